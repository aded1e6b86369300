"""What is learned of how much a provider bears."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.concurrency import NEWS_S, QUIET_S, Concurrency


def test_nothing_is_limited_that_nobody_has_limited():
    limit = Concurrency(0, is_adaptive=True)
    assert limit.limit == 0
    limit.served(1.0)
    assert limit.limit == 0


def test_what_the_operator_says_is_the_most():
    assert Concurrency(7, is_adaptive=False).limit == 7
    limit = Concurrency(4, is_adaptive=True)
    limit.refused(100, 1.0)
    assert limit.limit == 4


def test_a_refusal_takes_a_third_off_and_answers_give_it_back():
    limit = Concurrency(0, is_adaptive=True)
    limit.refused(30, 1.0)
    assert limit.limit == 20
    for _ in range(21):
        limit.served(2.0)
    assert limit.limit == 21


def test_refusals_of_one_moment_are_one():
    limit = Concurrency(0, is_adaptive=True)
    for _ in range(9):
        limit.refused(30, 1.0)
    assert limit.limit == 20
    limit.refused(30, 1.0 + NEWS_S)
    assert limit.limit == 13


def test_one_is_always_let_through():
    limit = Concurrency(0, is_adaptive=True)
    for second in range(9):
        limit.refused(1, 2.0 * second + 1)
    assert limit.limit == 1


def test_after_a_quiet_time_it_is_forgotten():
    limit = Concurrency(0, is_adaptive=True)
    limit.refused(30, 1.0)
    limit.served(QUIET_S)
    assert limit.limit == 20
    limit.served(QUIET_S + 1.0)
    assert limit.limit == 0


def test_who_does_not_want_it_learns_nothing():
    limit = Concurrency(0, is_adaptive=False)
    limit.refused(30, 1.0)
    assert limit.limit == 0


@given(
    st.integers(0, 50),
    st.lists(st.tuples(st.booleans(), st.integers(1, 200), st.floats(0, 30)), max_size=80),
)
def test_it_is_never_beyond_what_was_said_and_never_nothing(most, events):
    limit = Concurrency(most, is_adaptive=True)
    now_s = 1.0
    for is_refusal, running, passed_s in events:
        now_s += passed_s
        if is_refusal:
            limit.refused(running, now_s)
            assert limit.limit >= 1
        else:
            limit.served(now_s)
        assert not most or 1 <= limit.limit <= most


@pytest.mark.parametrize("bears", [1, 3, 10, 60])
def test_it_finds_what_a_provider_bears(bears):
    """All of whom wait are sent; those beyond what it bears are refused."""
    limit = Concurrency(0, is_adaptive=True)
    seen = []
    for second in range(400):
        running = limit.limit or 200
        if running > bears:
            limit.refused(running, float(second + 1))
        for _ in range(min(running, bears)):
            limit.served(float(second + 1))
        if second > 50:
            seen.append(limit.limit or 200)
    usual = sorted(seen)[len(seen) // 2]
    assert bears / 2 <= usual <= bears + 1
