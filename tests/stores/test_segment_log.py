from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.stores.segment_log import Part, Place, StreamLog


def log_of(parts: list[list[int]]) -> StreamLog:
    """Return a log with a part for each list, and in it a run for each count of records."""
    log = StreamLog("s", 1)
    for number, runs in enumerate(parts, 1):
        log.enter(number)
        for at, count in enumerate(runs):
            log.firsts.append(log.head + 1)
            log.offsets.append(at)
            log.head += count
    return log


def all_places(parts: list[list[int]]) -> list[Place]:
    places, head = [], 0
    for number, runs in enumerate(parts, 1):
        for at, count in enumerate(runs):
            places.append(Place(number, at, head + 1, head + count))
            head += count
    return places


PARTS = [[2, 1], [], [3], [], []]


@given(st.lists(st.lists(st.integers(1, 4), max_size=4), min_size=1, max_size=5), st.data())
def test_the_places_are_those_of_the_records_asked_for(
    parts: list[list[int]], data: st.DataObject
) -> None:
    log = log_of(parts)
    after = data.draw(st.integers(-1, log.head - 1))
    assert list(log.places(after)) == [each for each in all_places(parts) if each.last > after]


def test_a_segment_is_entered_once() -> None:
    log = log_of([[1]])
    log.enter(1)
    assert log.segments() == [1]
    log.enter(4)
    assert log.segments() == [1, 4]
    assert log.parts[-1].before == 1


@pytest.mark.parametrize(
    ("head", "left", "places"),
    [
        (6, [], [(1, 0, 1, 2), (1, 1, 3, 3), (3, 0, 4, 6)]),
        (5, [5, 4], [(1, 0, 1, 2), (1, 1, 3, 3), (3, 0, 4, 5)]),
        (4, [5, 4], [(1, 0, 1, 2), (1, 1, 3, 3), (3, 0, 4, 4)]),
        (3, [5, 4, 3, 2], [(1, 0, 1, 2), (1, 1, 3, 3)]),
        (1, [5, 4, 3, 2], [(1, 0, 1, 1)]),
        (0, [5, 4, 3, 2], []),
    ],
)
def test_what_is_cut_off_has_no_place(
    head: int, left: list[int], places: list[tuple[int, int, int, int]]
) -> None:
    log = log_of(PARTS)
    assert log.head == 6
    if head < 6:
        assert log.cut(head) == left
    assert log.head == head
    assert list(log.places(0)) == places
    log.add(Part(9, head, array("I", [head + 1]), array("I", [77])))
    log.head += 2
    assert list(log.places(head)) == [(9, 77, head + 1, head + 2)]
    assert list(log.places(0)) == [*places, (9, 77, head + 1, head + 2)]


def test_an_opening_says_all_that_there_is_to_say() -> None:
    log = log_of([[2]])
    log.own(((1, 1), (4, 3)), b"meta")
    assert log.epoch == 4
    assert log.opening() == (1, 2, ((1, 1), (4, 3)), "s", b"meta")
