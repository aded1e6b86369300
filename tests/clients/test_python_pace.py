"""The client's own line: order, one probe a wait, and its limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry_client.pace import Due, Pace

CODE = "rate_limit_exceeded"


def pace(refusals_max: int = 3, line_max: int = 4, wait_ms_max: int = 1_000) -> Pace:
    return Pace(refusals_max, line_max, wait_ms_max)


def test_nobody_waits_as_long_as_nothing_is_refused() -> None:
    line = pace()
    assert [line.come(ref, 0) for ref in "abcdefgh"] == [True] * 8
    assert line.due(0) == Due()


def test_refused_ones_wait_where_they_stood_and_go_one_by_one() -> None:
    line = pace()
    for ref in "abc":
        line.come(ref, 0)
    assert line.refused("c", CODE, 100, 10)
    assert line.refused("b", CODE, 90, 20)
    assert not line.come("d", 30)
    assert [line.place(ref, 30) for ref in "abcd"] == [None, (0, 80), (1, 80), (2, 80)]
    assert line.due(109) == Due(in_ms=1)
    assert line.due(110) == Due(("b",), (), 890)
    assert line.due(500).go == ()
    line.through("b")
    assert line.due(500).go == ("c",)
    assert line.refused("c", CODE, 50, 510)
    assert line.due(559).go == ()
    assert line.due(560).go == ("c",)
    line.through("c")
    assert line.due(560).go == ("d",)
    line.through("d")
    assert line.come("e", 561)


def test_one_that_leaves_makes_room() -> None:
    line = pace()
    for ref in "ab":
        line.come(ref, 0)
        line.refused(ref, CODE, 10, 0)
    assert line.due(10).go == ("a",)
    line.leave("a")
    assert line.due(10).go == ("b",)
    line.leave("b")
    assert not line.must_wait(10)


def test_refusals_of_one_request_are_counted() -> None:
    line = pace(refusals_max=2, wait_ms_max=1_000_000)
    line.come("a", 0)
    assert line.refused("a", CODE, 10, 0)
    assert line.due(10).go == ("a",)
    assert line.refusals("a") == 1
    assert line.refused("a", CODE, 10, 10)
    assert line.due(20).go == ("a",)
    assert not line.refused("a", CODE, 10, 20)


def test_with_none_allowed_nobody_ever_waits() -> None:
    line = pace(refusals_max=0)
    line.come("a", 0)
    assert not line.refused("a", CODE, 10_000, 0)
    line.spent(1, 60_000, 0)
    assert line.come("b", 1)


@pytest.mark.parametrize(("wait_ms", "waits"), [(999, True), (1_000, True), (1_001, False)])
def test_a_wait_that_is_too_long_is_told_at_once(wait_ms: int, waits: bool) -> None:  # noqa: FBT001 -- a row
    line = pace()
    line.come("a", 0)
    assert line.refused("a", CODE, wait_ms, 0) is waits


def test_who_has_waited_too_long_is_late() -> None:
    line = pace()
    line.come("a", 0)
    line.refused("a", CODE, 900, 0)
    line.come("b", 50)
    line.come("c", 950)
    assert line.due(999).go == ("a",)
    assert line.due(1_050) == Due((), ("b",), 900)


def test_the_line_is_full() -> None:
    line = pace(line_max=2)
    for ref in "abc":
        line.come(ref, 0)
    assert line.refused("a", CODE, 10, 0)
    assert not line.full
    assert line.refused("b", CODE, 10, 0)
    assert line.full
    assert not line.refused("c", CODE, 10, 0)


@pytest.mark.parametrize(
    ("limit", "reset_ms", "free_ms"), [(60, 59_500, 500), (1, 42_000, 42_000), (600, 59_999, 99)]
)
def test_a_spent_limit_holds_back_until_one_is_free(
    limit: int, reset_ms: int, free_ms: int
) -> None:
    line = pace(wait_ms_max=100_000)
    line.spent(limit, reset_ms, 0)
    assert line.must_wait(free_ms - 1)
    assert not line.must_wait(free_ms)


@given(st.lists(st.integers(0, 5), max_size=60))
def test_a_server_with_few_places_serves_in_order(waits: list[int]) -> None:
    """Whatever is refused, and how long it is told to wait, they get through as they came."""
    line = Pace(1_000, 1_000, 10**9)
    names = [str(number) for number in range(20)]
    asking = [ref for ref in names if line.come(ref, 0)]
    assert asking == names
    line.refused(names[0], CODE, 1, 0)
    for ref in names[1:]:
        line.refused(ref, CODE, 1, 0)
    now, served = 0, []
    while len(served) < len(names):
        due = line.due(now)
        assert not due.late
        assert len(due.go) <= 1
        for ref in due.go:
            if waits:
                line.refused(ref, CODE, waits.pop(), now)
            else:
                served.append(ref)
                line.through(ref)
        now += 1
    assert served == names
