from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.rate_limit import (
    MINUTE_NS,
    Allowed,
    Limit,
    Refused,
    Standing,
    check,
    duration,
    per_minute,
    standing,
    whole_ms,
)

limits = st.builds(Limit, interval_ns=st.integers(1, 1000), burst=st.integers(1, 20))
# What passes between two requests: nothing, about an interval, or long enough for a full refill.
waits = st.lists(st.integers(0, 3) | st.integers(0, 1500) | st.just(50_000), max_size=150)


def run(limit: Limit, waits_ns: Sequence[int], start_ns: int = 0) -> list[int]:
    """Ask after each wait and return when requests were let through."""
    arrival_ns, now_ns, passed = 0, start_ns, []
    for wait_ns in waits_ns:
        now_ns += wait_ns
        decision = check(limit, arrival_ns=arrival_ns, now_ns=now_ns)
        if isinstance(decision, Allowed):
            arrival_ns = decision.arrival_ns
            passed.append(now_ns)
    return passed


@pytest.mark.parametrize(("interval_ns", "burst"), [(0, 1), (-1, 1), (1, 0), (1, -1)])
def test_a_limit_that_is_none_is_refused(interval_ns: int, burst: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limit(interval_ns, burst)


def test_the_smallest_limit_is_one() -> None:
    assert isinstance(check(Limit(1, 1), arrival_ns=0, now_ns=0), Allowed)


def test_a_burst_and_then_the_rate() -> None:
    limit = Limit(interval_ns=100, burst=3)
    arrival_ns = 0
    for state_ns in (1100, 1200, 1300):
        decision = check(limit, arrival_ns=arrival_ns, now_ns=1000)
        assert decision == Allowed(state_ns)
        arrival_ns = state_ns
    assert check(limit, arrival_ns=1300, now_ns=1000) == Refused(100)
    assert check(limit, arrival_ns=1300, now_ns=1099) == Refused(1)
    assert check(limit, arrival_ns=1300, now_ns=1100) == Allowed(1400)


def test_idle_time_is_credit_for_the_burst_and_no_more() -> None:
    limit = Limit(interval_ns=100, burst=2)
    assert check(limit, arrival_ns=100, now_ns=10**15) == Allowed(10**15 + 100)


def test_a_refusal_costs_nothing() -> None:
    limit = Limit(interval_ns=100, burst=1)
    assert check(limit, arrival_ns=1100, now_ns=1000) == Refused(100)
    for now_ns in range(1000, 1100):
        assert check(limit, arrival_ns=1100, now_ns=now_ns) == Refused(1100 - now_ns)


@given(limits, waits)
def test_no_window_holds_more_than_burst_and_rate(limit: Limit, waits_ns: list[int]) -> None:
    passed = run(limit, waits_ns)
    for first, start_ns in enumerate(passed):
        for last in range(first, len(passed)):
            window_ns = passed[last] - start_ns
            assert last - first + 1 <= limit.burst + window_ns // limit.interval_ns


@given(limits, waits)
def test_who_keeps_to_the_rate_is_never_refused(limit: Limit, waits_ns: list[int]) -> None:
    slow = [max(wait_ns, limit.interval_ns) for wait_ns in waits_ns]
    assert len(run(limit, slow)) == len(slow)


@given(limits, st.integers(0, 10**6))
def test_an_idle_caller_gets_the_whole_burst_at_once(limit: Limit, now_ns: int) -> None:
    passed = run(limit, [0] * (limit.burst + 3), now_ns)
    assert passed == [now_ns] * limit.burst


@given(limits, st.integers(0, 10**5), st.integers(0, 10**5))
def test_retry_after_is_exact(limit: Limit, arrival_ns: int, now_ns: int) -> None:
    decision = check(limit, arrival_ns=arrival_ns, now_ns=now_ns)
    if isinstance(decision, Allowed):
        assert decision.arrival_ns == max(arrival_ns, now_ns) + limit.interval_ns
        return
    again_ns = now_ns + decision.retry_after_ns
    assert isinstance(check(limit, arrival_ns=arrival_ns, now_ns=again_ns), Allowed)
    assert check(limit, arrival_ns=arrival_ns, now_ns=again_ns - 1) == Refused(1)


def test_several_at_once_wait_for_room_for_all_of_them() -> None:
    limit = Limit(interval_ns=100, burst=10)
    assert check(limit, arrival_ns=0, now_ns=1000, cost=10) == Allowed(2000)
    assert check(limit, arrival_ns=1400, now_ns=1000, cost=7) == Refused(100)
    assert check(limit, arrival_ns=1400, now_ns=1000, cost=6) == Allowed(2000)
    for now_ns in (1000, 10**9):
        assert isinstance(check(limit, arrival_ns=0, now_ns=now_ns, cost=11), Refused)


@given(limits, st.lists(st.tuples(st.integers(0, 1500), st.integers(1, 20)), max_size=80))
def test_no_window_holds_more_when_some_count_for_several(
    limit: Limit, asked: list[tuple[int, int]]
) -> None:
    arrival_ns, now_ns = 0, 0
    passed: list[tuple[int, int]] = []
    for wait_ns, cost in asked:
        now_ns += wait_ns
        decision = check(limit, arrival_ns=arrival_ns, now_ns=now_ns, cost=cost)
        if isinstance(decision, Allowed):
            arrival_ns = decision.arrival_ns
            passed.append((now_ns, cost))
    for first, (start_ns, _) in enumerate(passed):
        together = 0
        for at_ns, cost in passed[first:]:
            together += cost
            assert together <= limit.burst + (at_ns - start_ns) // limit.interval_ns


@pytest.mark.parametrize(
    ("count", "interval_ns"),
    [(1, MINUTE_NS), (60, 10**9), (7, 8_571_428_572), (10**9, 60), (10**6, 60_000)],
)
def test_so_many_a_minute(count: int, interval_ns: int) -> None:
    assert per_minute(count) == Limit(interval_ns, count)


@given(st.integers(1, 10**9))
def test_a_minute_has_never_more_than_was_said(count: int) -> None:
    assert MINUTE_NS // per_minute(count).interval_ns <= count


@pytest.mark.parametrize(
    ("arrival_ns", "remaining", "reset_ms"),
    [
        (0, 60, 0),
        (500_000_000_000, 60, 0),
        (501_000_000_000, 59, 1_000),
        (500_000_000_001, 59, 1),
        (560_000_000_000, 0, 60_000),
        # In arrears.
        (900_000_000_000, 0, 400_000),
    ],
)
def test_how_one_stands(arrival_ns: int, remaining: int, reset_ms: int) -> None:
    found = standing("requests", per_minute(60), arrival_ns=arrival_ns, now_ns=500_000_000_000)
    assert found == Standing("requests", 60, remaining, reset_ms)


@given(limits, st.integers(0, 10**5), st.integers(0, 10**5))
def test_what_remains_is_let_through_at_once(limit: Limit, arrival_ns: int, now_ns: int) -> None:
    remaining = standing("tokens", limit, arrival_ns=arrival_ns, now_ns=now_ns).remaining
    if remaining:
        found = check(limit, arrival_ns=arrival_ns, now_ns=now_ns, cost=remaining)
        assert isinstance(found, Allowed)
    found = check(limit, arrival_ns=arrival_ns, now_ns=now_ns, cost=remaining + 1)
    assert isinstance(found, Refused)


@pytest.mark.parametrize(
    ("time_ns", "time_ms"), [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2)]
)
def test_milliseconds_are_rounded_up(time_ns: int, time_ms: int) -> None:
    assert whole_ms(time_ns) == time_ms


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (0, "0s"),
        (1, "1ms"),
        (12, "12ms"),
        (999, "999ms"),
        (1_000, "1s"),
        (1_500, "1.5s"),
        (8_640, "8.64s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (360_000, "6m0s"),
        (61_005, "1m1.005s"),
        (3_600_000, "1h0m0s"),
        (86_399_010, "23h59m59.01s"),
    ],
)
def test_durations(time_ms: int, text: str) -> None:
    assert duration(time_ms) == text
