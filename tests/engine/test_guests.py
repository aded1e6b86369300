"""Guests: who is which one, what they may do, and how many may come from one network."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.allowance import Allowance, GivenLimits
from tokenferry.engine.guests import GUEST_LIMITS, PREFIX, SECRET_BYTES, Guests
from tokenferry.errors import RateLimited


class Clock:
    now_s = 500.0

    def __call__(self) -> float:
        return self.now_s


def make(per_minute_max: int = 0, clock: Clock | None = None) -> Guests:
    return Guests("demo", per_minute_max, clock or Clock())


def test_a_guest_is_found_again_by_its_text_and_by_its_public_id() -> None:
    guests = make()
    secret, guest = guests.newcomer(bytes(range(SECRET_BYTES)))
    assert secret == "000102030405060708090a0b0c0d0e0f"
    assert guest.public_id == f"{PREFIX}d65df89f702eec58ca3c7bf2"
    assert guests.of_secret(secret) == guest
    assert guests.known(guest.public_id) == guest
    # Also by another process.
    assert make().of_secret(secret) == guest
    assert secret not in guest.public_id


def test_a_guest_may_ask_for_the_demo_alone_and_does_not_go_before_others() -> None:
    _, guest = make().newcomer(bytes(SECRET_BYTES))
    assert guest.is_guest
    assert guest.may_ask_for("demo")
    assert not guest.may_ask_for("gpt-4.1")
    assert not guest.has_priority
    # What the operator gives to keys is no reason to give guests more.
    assert guest.limits.within(Allowance()) == Allowance(20, 20_000, 4)
    assert guest.limits.within(Allowance(5, 1_000, 1)) == Allowance(5, 1_000, 1)
    assert GUEST_LIMITS.operator == GivenLimits()
    assert make().anybody.models == guest.models


@given(st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES), st.binary(min_size=16, max_size=16))
def test_two_guests_are_two(one: bytes, other: bytes) -> None:
    guests = make()
    ids = {guests.newcomer(random)[1].public_id for random in (one, other)}
    assert len(ids) == len({one, other})


@pytest.mark.parametrize(
    "secret",
    [
        None,
        "",
        "0" * 31,
        "0" * 33,
        "G" * 32,
        "A" * 32,
        "0" * 31 + "\n",
        "\N{ARABIC-INDIC DIGIT ZERO}" * 32,
    ],
)
def test_what_nobody_was_given_is_nobody(secret: str | None) -> None:
    assert make().of_secret(secret) is None


@pytest.mark.parametrize(
    "public_id", ["", "guest_", "guest_" + "0" * 23, "guest_" + "0" * 25, "guest_" + "z" * 24,
                  "0123456789AB", "Guest_" + "0" * 24]
)  # fmt: skip
def test_the_ids_of_keys_are_no_guests(public_id: str) -> None:
    assert make().known(public_id) is None


@pytest.mark.parametrize("size", [0, SECRET_BYTES - 1, SECRET_BYTES + 1])
def test_a_guest_takes_so_many_random_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="random bytes"):
        make().newcomer(bytes(size))


def test_so_many_connections_of_a_network_and_then_one_waits() -> None:
    clock = Clock()
    guests = make(3, clock)
    for _ in range(3):
        guests.count("1.1.1.1")
    with pytest.raises(RateLimited) as caught:
        guests.count("1.1.1.1")
    assert caught.value.retry_after_ms == 20_000
    assert "Log in, use an API key" in caught.value.message
    guests.count("2.2.2.2")
    clock.now_s += 19.999
    with pytest.raises(RateLimited):
        guests.count("1.1.1.1")
    clock.now_s += 0.001
    guests.count("1.1.1.1")


def test_a_zero_is_no_limit() -> None:
    guests = make(0)
    for _ in range(1_000):
        guests.count("1.1.1.1")
    assert len(guests._arrivals_ns) == 0
