"""Who signs up or guesses too often has to wait."""

import pytest

from tokenferry.engine import throttle
from tokenferry.engine.throttle import (
    ACCOUNT_PATIENCE,
    HOUR_NS,
    NETWORK_PATIENCE,
    NS_PER_S,
    HourlyLimit,
    LoginAttempts,
    Remembered,
)
from tokenferry.errors import RateLimited


class Clock:
    def __init__(self) -> None:
        self.now_ns = 1

    def __call__(self) -> int:
        return self.now_ns


def test_so_many_an_hour_and_subject() -> None:
    clock = Clock()
    limit = HourlyLimit(3, clock)
    assert [limit.wait_ns("a") for _ in range(3)] == [0, 0, 0]
    assert limit.wait_ns("a") == HOUR_NS // 3
    assert limit.wait_ns("b") == 0
    clock.now_ns += HOUR_NS // 3
    assert limit.wait_ns("a") == 0
    assert limit.wait_ns("a") > 0


def test_no_limit() -> None:
    limit = HourlyLimit(0, Clock())
    assert not any(limit.wait_ns("a") for _ in range(1_000))


@pytest.mark.parametrize(("more", "first"), [(-1, 1), (0, 1), (1, 0)])
def test_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch, more: int, first: int) -> None:
    monkeypatch.setattr(throttle, "SUBJECTS_MAX", 3)
    states = Remembered(0)
    for number in range(3 + more):
        states[f"{number}"] = 1
    assert len(states) == min(3, 3 + more)
    assert states["0"] == first


class TestLogins:
    def test_an_account_is_guarded_whoever_tries(self) -> None:
        clock = Clock()
        attempts = LoginAttempts(clock)
        for number in range(ACCOUNT_PATIENCE.free + 1):
            attempts.begin("a@b.kr", f"network {number}")
        with pytest.raises(RateLimited) as refused:
            attempts.begin("a@b.kr", "another")
        assert refused.value.retry_after_ms == 1_000
        attempts.begin("other@b.kr", "another")
        clock.now_ns += NS_PER_S
        attempts.begin("a@b.kr", "another")
        with pytest.raises(RateLimited) as refused:
            attempts.begin("a@b.kr", "another")
        assert refused.value.retry_after_ms == 2_000

    def test_a_network_is_guarded_whatever_it_tries(self) -> None:
        attempts = LoginAttempts(Clock())
        for number in range(NETWORK_PATIENCE.free + 1):
            attempts.begin(f"{number}@b.kr", "1.2.3.4")
        with pytest.raises(RateLimited):
            attempts.begin("a@b.kr", "1.2.3.4")
        attempts.begin("a@b.kr", "1.2.3.5")

    def test_who_is_refused_is_not_counted(self) -> None:
        clock = Clock()
        attempts = LoginAttempts(clock)
        for _ in range(ACCOUNT_PATIENCE.free + 1):
            attempts.begin("a@b.kr", "n")
        for _ in range(100):
            with pytest.raises(RateLimited):
                attempts.begin("a@b.kr", "n")
        clock.now_ns += NS_PER_S
        attempts.begin("a@b.kr", "n")

    def test_a_success_clears_the_account_and_not_the_network(self) -> None:
        attempts = LoginAttempts(Clock())
        for _ in range(NETWORK_PATIENCE.free):
            attempts.begin("own@b.kr", "n")
            attempts.succeeded("own@b.kr", "n")
        for number in range(NETWORK_PATIENCE.free + 1):
            attempts.begin(f"{number}@b.kr", "n")
            attempts.succeeded("own@b.kr", "other")
        with pytest.raises(RateLimited):
            attempts.begin("own@b.kr", "n")

    def test_nobody_is_locked_out_from_where_they_have_logged_in(self) -> None:
        clock = Clock()
        attempts = LoginAttempts(clock)
        attempts.begin("a@b.kr", "home")
        attempts.succeeded("a@b.kr", "home")
        for number in range(ACCOUNT_PATIENCE.free + 1):
            attempts.begin("a@b.kr", f"network {number}")
        with pytest.raises(RateLimited):
            attempts.begin("a@b.kr", "another")
        for _ in range(ACCOUNT_PATIENCE.free + 1):
            attempts.begin("a@b.kr", "home")
        # Who guesses at home waits there, and a success there is none for the others.
        with pytest.raises(RateLimited):
            attempts.begin("a@b.kr", "home")
        clock.now_ns += NS_PER_S
        attempts.begin("a@b.kr", "home")
        attempts.succeeded("a@b.kr", "home")
        attempts.begin("a@b.kr", "another")
        with pytest.raises(RateLimited):
            attempts.begin("a@b.kr", "one more")
        attempts.begin("b@b.kr", "home")
