"""Calls are held back while nothing is left, for as long as that takes, and no longer."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenferry.domain.capacity_headers import Capacity, Left
from tokenferry.domain.learned_limits import HOLD_MAX_NS, LearnedLimits, LearnedState

S = 1_000_000_000
NOW = 1_000 * S


def requests(limit: int, remaining: int, reset_ms: int) -> Capacity:
    return Capacity(Left(limit, remaining, reset_ms), None)


def tokens(limit: int, remaining: int, reset_ms: int) -> Capacity:
    return Capacity(None, Left(limit, remaining, reset_ms))


def test_nothing_is_held_back_while_something_is_left() -> None:
    limits = LearnedLimits()
    limits.heard(0, "m", Capacity(Left(60, 1, 59_000), Left(1_000, 1, 60_000)), NOW)
    assert limits.wait_ns("m", 900, NOW) == 0
    assert not limits.is_holding
    assert limits.states(NOW) == [
        LearnedState(1, "m", "requests", 60, 1, 59_000, 0),
        LearnedState(1, "m", "tokens", 1_000, 1, 60_000, 0),
    ]
    # What is whole again is known no longer.
    assert limits.states(NOW + 60 * S) == []


def test_without_the_limit_all_wait_for_the_reset() -> None:
    limits = LearnedLimits()
    limits.heard(0, "m", requests(0, 0, 2_000), NOW)
    assert limits.wait_ns("m", 1, NOW) == 2 * S
    assert limits.wait_ns("m", 1, NOW + 2 * S - 1) == 1
    assert limits.wait_ns("m", 1, NOW + 2 * S) == 0
    assert not limits.is_holding
    # Other models have limits of their own.
    assert limits.wait_ns("other", 1, NOW) == 0


def test_with_the_limit_one_goes_whenever_there_is_room_for_one() -> None:
    """Sixty a minute, all gone: whole after a minute, and room for one each second."""
    limits = LearnedLimits()
    limits.heard(0, "m", requests(60, 0, 60_000), NOW)
    assert limits.wait_ns("m", 1, NOW) == S
    assert limits.wait_ns("m", 1, NOW + S) == 0
    limits.took(0, "m", 1, NOW + S)
    assert limits.wait_ns("m", 1, NOW + S) == S
    assert limits.states(NOW + S)[0].hold_ms == 1_000
    # What has gathered meanwhile goes at once.
    now = NOW + 4 * S
    for _ in range(3):
        assert limits.wait_ns("m", 1, now) == 0
        limits.took(0, "m", 1, now)
    assert limits.wait_ns("m", 1, now) == S


def test_tokens_wait_for_room_for_all_that_a_call_may_use() -> None:
    limits = LearnedLimits()
    limits.heard(0, "m", tokens(600, 0, 60_000), NOW)
    assert limits.wait_ns("m", 100, NOW) == 10 * S
    limits.took(0, "m", 100, NOW + 10 * S)
    assert limits.wait_ns("m", 50, NOW + 10 * S) == 5 * S
    # More than there ever is does not wait for ever.
    assert limits.wait_ns("m", 10_000, NOW + 10 * S) == 50 * S


def test_a_reset_of_a_day_holds_nobody_for_longer_than_a_minute() -> None:
    limits = LearnedLimits()
    limits.heard(0, "m", requests(0, 0, 86_400_000), NOW)
    assert limits.wait_ns("m", 1, NOW) == HOLD_MAX_NS
    assert limits.wait_ns("m", 1, NOW + HOLD_MAX_NS) == 0
    # It is still known, for the operator.
    assert limits.states(NOW + HOLD_MAX_NS) == [
        LearnedState(1, "m", "requests", 0, 0, 86_340_000, 0)
    ]


def test_the_newest_word_counts() -> None:
    limits = LearnedLimits()
    limits.heard(0, "m", Capacity(Left(0, 0, 5_000), Left(0, 0, 9_000)), NOW)
    assert limits.wait_ns("m", 1, NOW) == 9 * S
    # Nothing is said of requests: what was known of them stays.
    limits.heard(0, "m", tokens(0, 7, 9_000), NOW + S)
    assert limits.wait_ns("m", 1, NOW + S) == 4 * S
    limits.heard(0, "m", requests(0, 1, 9_000), NOW + S)
    assert limits.wait_ns("m", 1, NOW + S) == 0
    assert not limits.is_holding


def test_a_key_with_room_is_waited_for_by_nobody() -> None:
    limits = LearnedLimits(2)
    limits.heard(1, "m", requests(0, 0, 5_000), NOW)
    assert limits.wait_ns("m", 1, NOW) == 0
    assert limits.spent("m", NOW) == {1}
    assert limits.spent("other", NOW) == set()
    limits.heard(0, "m", requests(0, 0, 3_000), NOW)
    assert limits.wait_ns("m", 1, NOW) == 3 * S
    assert limits.spent("m", NOW) == {0, 1}
    assert limits.wait_ns("m", 1, NOW + 3 * S) == 0
    assert limits.spent("m", NOW + 3 * S) == {1}


CAPACITIES = st.builds(
    Capacity,
    *[st.none() | st.builds(Left, st.integers(0, 10**15), st.integers(0, 2), st.integers(0, 10**8))]
    * 2,
)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 1), st.sampled_from("ab"), CAPACITIES, st.integers(0, 10**15),
        st.integers(0, 70 * S),
    ),
    max_size=12,
)  # fmt: skip


# Many small draws: a busy machine is slow at them.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EVENTS, st.integers(1, 10**15))
def test_no_wait_is_longer_than_a_minute_and_each_one_ends(
    events: list[tuple[int, str, Capacity, int, int]], wanted: int
) -> None:
    limits, now = LearnedLimits(2), NOW
    for position, model, capacity, used, passed in events:
        limits.heard(position, model, capacity, now)
        limits.took(position, model, used, now)
        now += passed
        for name in "ab":
            wait = limits.wait_ns(name, wanted, now)
            assert 0 <= wait <= HOLD_MAX_NS
            # Who waits for as long as it is told, and is overtaken by nobody, may go.
            assert limits.wait_ns(name, wanted, now + wait) == 0
        for state in limits.states(now):
            assert 0 <= state.hold_ms * 1_000_000 <= HOLD_MAX_NS
            assert state.hold_ms <= state.reset_ms
    for name in "ab":
        assert limits.wait_ns(name, wanted, now + HOLD_MAX_NS) == 0
        assert limits.spent(name, now + HOLD_MAX_NS) == set()
    assert not limits.is_holding
