from typing import NamedTuple
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenferry.domain import token_rate
from tokenferry.domain.rate_limit import Limit
from tokenferry.domain.token_rate import LOWS_MAX, TokenRate

LIMIT = Limit(interval_ns=10, burst=100)


class Ask(NamedTuple):
    wait_ns: int
    cost: int


class GiveBack(NamedTuple):
    wait_ns: int
    # Which of the open ones, and how much of what it took it used, in sixteenths.
    which: int
    used: int


waits = st.integers(0, 3) | st.integers(0, 700) | st.integers(0, 3000)
steps = st.lists(
    st.builds(Ask, waits, st.integers(1, 120))
    | st.builds(GiveBack, waits, st.integers(0, 30), st.integers(0, 16)),
    max_size=120,
)


class Taken:
    """A request that was let through, and what it cost in the end."""

    def __init__(self, at_ns: int, cost: int, number: int) -> None:
        self.at_ns, self.cost, self.number = at_ns, cost, number
        self.used = cost
        self.counted_ns = cost * LIMIT.interval_ns


def run(plan: list[Ask | GiveBack]) -> tuple[list[Taken], TokenRate]:
    """Carry out a plan, and check at each step what holds always."""
    rate, now_ns = TokenRate(), 0
    taken: list[Taken] = []
    still_open: list[Taken] = []
    for step in plan:
        now_ns += step.wait_ns
        if isinstance(step, Ask):
            wait_ns = rate.wait_ns(LIMIT, step.cost, now_ns)
            if not wait_ns:
                number = rate.take(step.cost * LIMIT.interval_ns, now_ns)
                taken.append(Taken(now_ns, step.cost, number))
                still_open.append(taken[-1])
            elif step.cost <= LIMIT.burst:
                assert rate.wait_ns(LIMIT, step.cost, now_ns + wait_ns) == 0
                assert rate.wait_ns(LIMIT, step.cost, now_ns + wait_ns - 1) == 1
        elif still_open:
            one = still_open.pop(step.which % len(still_open))
            one.used = one.cost * step.used // 16
            unused_ns = (one.cost - one.used) * LIMIT.interval_ns
            one.counted_ns -= rate.give_back(one.number, unused_ns, now_ns)
        assert rate.arrival_ns == replayed([(each.at_ns, each.counted_ns) for each in taken])
    return taken, rate


def replayed(costs: list[tuple[int, int]]) -> int:
    """Return the state as if each had cost this from the beginning."""
    arrival_ns = 0
    for at_ns, cost_ns in costs:
        arrival_ns = max(arrival_ns, at_ns) + cost_ns
    return arrival_ns


def test_a_burst_and_then_the_rate() -> None:
    rate = TokenRate()
    assert rate.wait_ns(LIMIT, 100, 5000) == 0
    rate.take(1000, 5000)
    assert rate.wait_ns(LIMIT, 1, 5000) == 10
    assert rate.wait_ns(LIMIT, 1, 5010) == 0
    assert rate.wait_ns(LIMIT, 100, 5010) == 990


def test_what_was_not_used_is_there_at_once() -> None:
    rate = TokenRate()
    number = rate.take(1000, 0)
    assert rate.give_back(number, 900, 10) == 900
    assert rate.wait_ns(LIMIT, 91, 10) == 0
    assert rate.wait_ns(LIMIT, 92, 10) == 10


def test_requests_side_by_side_get_back_all_that_they_did_not_use() -> None:
    rate = TokenRate()
    numbers = [rate.take(100, 0) for _ in range(10)]
    for number in numbers:
        # Nothing waits longer than what was really used.
        assert rate.give_back(number, 90, 20) == 90
    assert rate.arrival_ns == 100


def test_room_that_time_has_made_is_not_given_again() -> None:
    rate = TokenRate()
    first = rate.take(1000, 0)
    second = rate.take(1000, 1000)
    # All of the first had drained when the second came: that began with the whole burst already.
    assert rate.give_back(first, 1000, 1000) == 0
    assert rate.wait_ns(LIMIT, 1, 1000) == 10
    assert rate.give_back(second, 1000, 1000) == 1000
    assert rate.wait_ns(LIMIT, 100, 1000) == 0


def test_only_what_waited_ever_since_is_given_back() -> None:
    rate = TokenRate()
    first = rate.take(1000, 0)
    rate.take(900, 970)
    # When the second came, three tokens of the first still waited.
    assert rate.give_back(first, 1000, 980) == 30
    assert rate.arrival_ns == 970 + 900


@pytest.mark.parametrize("count", [10, 60, 256, 257, 1000, 5000])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_burst_of_many_gets_nearly_all_of_it_back(count: int, *, backwards: bool) -> None:
    rate = TokenRate()
    numbers = [rate.take(1000, 0) for _ in range(count)]
    if backwards:
        numbers.reverse()
    given = sum(rate.give_back(number, 900, 0) for number in numbers)
    assert given >= 900 * count * 0.97


def test_arrears_wait_until_they_are_paid() -> None:
    rate = TokenRate()
    rate.take(1000, 0)
    rate.take(5000, 0)
    assert rate.wait_ns(LIMIT, 1, 0) == 5010


def test_what_is_too_much_never_fits() -> None:
    rate = TokenRate()
    for now_ns in (0, 10**6):
        assert rate.wait_ns(LIMIT, 101, now_ns) > 0


@pytest.mark.parametrize(
    ("count", "lows"),
    [
        (LOWS_MAX - 1, LOWS_MAX - 1),
        (LOWS_MAX, LOWS_MAX),
        (LOWS_MAX + 1, LOWS_MAX // 2),
        (10 * LOWS_MAX, LOWS_MAX),
    ],
)
def test_its_memory_is_bounded(count: int, lows: int) -> None:
    rate = TokenRate()
    # Each comes when more is waiting than when the one before it came.
    numbers = [rate.take(100, now_ns) for now_ns in range(count)]
    assert len(rate._lows_ns) == len(rate._numbers) <= lows
    assert sum(rate.give_back(number, 50, count) for number in numbers) <= 50 * count
    assert rate.arrival_ns >= 50 * count


@given(steps)
def test_it_is_as_if_each_had_cost_what_it_is_counted_with(plan: list[Ask | GiveBack]) -> None:
    taken, _ = run(plan)
    assert all(each.counted_ns >= each.used * LIMIT.interval_ns for each in taken)


@given(steps)
def test_no_window_has_more_than_burst_and_rate(plan: list[Ask | GiveBack]) -> None:
    taken, _ = run(plan)
    for first in range(len(taken)):
        used = 0
        for last in taken[first:]:
            used += last.used
            window_ns = last.at_ns - taken[first].at_ns
            assert used <= LIMIT.burst + window_ns // LIMIT.interval_ns


small_steps = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.integers(1, 9),
        # Which of those before is given back to, and how much at most.
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    max_size=40,
)


@pytest.mark.parametrize("lows_max", [1, 2, 4, LOWS_MAX])
def test_however_they_overlap_it_is_as_if_less_had_been_taken(lows_max: int) -> None:
    """Small numbers meet: many wait for as long as each other, or not at all."""

    @settings(max_examples=400)
    @given(small_steps)
    def holds(plan: list[tuple[int, int, int, int]]) -> None:
        rate, now_ns = TokenRate(), 0
        costs: list[tuple[int, int]] = []
        still_open: list[int] = []
        for wait_ns, cost_ns, which, given_ns in plan:
            now_ns += wait_ns
            still_open.append(rate.take(cost_ns, now_ns))
            costs.append((now_ns, cost_ns))
            if which < len(still_open):
                number = still_open.pop(which)
                at_ns, taken_ns = costs[number - 1]
                unused_ns = min(given_ns, taken_ns)
                worth_ns = rate.give_back(number, unused_ns, now_ns)
                assert 0 <= worth_ns <= unused_ns
                costs[number - 1] = at_ns, taken_ns - worth_ns
            assert rate.arrival_ns == replayed(costs)
            assert len(rate._lows_ns) <= lows_max

    with mock.patch.object(token_rate, "LOWS_MAX", lows_max):
        holds()


@given(small_steps)
def test_what_is_given_back_is_all_that_it_is_worth(plan: list[tuple[int, int, int, int]]) -> None:
    """One alone gets back what a replay without its unused part would have saved."""
    for target in range(len(plan)):
        rate, now_ns = TokenRate(), 0
        costs: list[tuple[int, int]] = []
        for wait_ns, cost_ns, _, _ in plan:
            now_ns += wait_ns
            rate.take(cost_ns, now_ns)
            costs.append((now_ns, cost_ns))
        at_ns, cost_ns = costs[target]
        before_ns = rate.arrival_ns
        worth_ns = rate.give_back(target + 1, cost_ns, now_ns)
        costs[target] = at_ns, 0
        assert worth_ns == before_ns - max(now_ns, replayed(costs))


@given(st.lists(st.integers(1, 100), max_size=LOWS_MAX - 1), st.integers(0, 3))
def test_nothing_is_lost_while_others_wait(costs: list[int], wait_ns: int) -> None:
    """Whoever gives back while more is waiting ever since gets all of it."""
    rate = TokenRate()
    rate.take(100_000, 0)
    numbers = [rate.take(cost * 10, wait_ns) for cost in costs]
    for number, cost in zip(numbers, costs, strict=True):
        assert rate.give_back(number, cost * 10, wait_ns) == cost * 10
    assert rate.arrival_ns == 100_000
