"""Networks that send one wrong key after the other."""

import pytest

from tokenferry.engine.bad_keys import BadKeys
from tokenferry.errors import TooManyBadKeys


class Clock:
    now_s = 500.0

    def __call__(self) -> float:
        return self.now_s


def test_so_many_are_free_and_then_one_waits() -> None:
    clock = Clock()
    bad = BadKeys(3, clock)
    for _ in range(3):
        bad.check("1.1.1.1")
        bad.count("1.1.1.1")
    with pytest.raises(TooManyBadKeys) as caught:
        bad.check("1.1.1.1")
    assert caught.value.retry_after_ms == 20_000
    assert (caught.value.http_status, caught.value.limit) == (429, "bad_keys")
    bad.check("2.2.2.2")
    clock.now_s += 19.999
    with pytest.raises(TooManyBadKeys):
        bad.check("1.1.1.1")
    clock.now_s += 0.001
    bad.check("1.1.1.1")


def test_to_be_told_to_wait_does_not_count() -> None:
    clock = Clock()
    bad = BadKeys(1, clock)
    for _ in range(100):
        bad.count("1.1.1.1")
    clock.now_s += 60
    bad.check("1.1.1.1")


def test_a_zero_is_no_limit() -> None:
    bad = BadKeys(0, Clock())
    for _ in range(1000):
        bad.count("1.1.1.1")
        bad.check("1.1.1.1")
    assert len(bad._arrivals_ns) == 0
