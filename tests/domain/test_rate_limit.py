from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.rate_limit import Allowed, Limit, Refused, check

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
