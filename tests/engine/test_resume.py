"""The table itself is in tests/protocol/test_cursor.py."""

from dataclasses import replace

import pytest

from contracts.test_archive import FULL
from engine.virtual import Bench
from tokenferry.engine.book import Entry
from tokenferry.engine.resume import Replay, plan_resume
from tokenferry.errors import InvalidRequest, PositionAhead, StreamExpired
from tokenferry.protocol.cursor import Position
from tokenferry.protocol.messages import FinalAnswer


def entry(*epochs: tuple[int, int]) -> Entry:
    """Return a stream with three records, of these owners."""
    bench = Bench()
    stream = bench.create()
    bench.sink.text("하나")
    bench.timers.tick()
    bench.sink.text("둘")
    bench.timers.tick()
    stream.epochs = epochs or stream.epochs
    stream.epoch = stream.epochs[-1][0]
    found = bench.dispatcher.find("k", stream.id)
    assert isinstance(found, Entry)
    return found


@pytest.mark.parametrize("after", range(4))
def test_a_position_of_the_own_epoch_goes_on_from_there(after: int) -> None:
    found = entry()
    assert plan_resume(found, Position(1, after)) == Replay(found, after, is_reset=False)


@pytest.mark.parametrize(("after", "keep_through"), [(0, 0), (2, 2), (3, 2), (99, 2)])
def test_a_position_of_an_older_epoch_is_reset(after: int, keep_through: int) -> None:
    found = entry((1, 1), (2, 3))
    assert plan_resume(found, Position(1, after)) == Replay(found, keep_through, is_reset=True)


def test_a_newer_epoch_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        plan_resume(entry(), Position(2, 0))
    assert caught.value.param == "epoch"


def test_a_position_ahead_is_refused() -> None:
    with pytest.raises(PositionAhead) as caught:
        plan_resume(entry(), Position(1, 4))
    assert "0..3" in caught.value.message


@pytest.mark.parametrize("after", [0, FULL.head, FULL.head + 1])
def test_what_is_in_the_archive_is_given_whole(after: int) -> None:
    answer = plan_resume(FULL, Position(FULL.epoch, after))
    assert isinstance(answer, FinalAnswer)
    assert (answer.stream_id, answer.through) == (FULL.stream_id, FULL.head)
    assert FULL.message is not None
    assert bytes(answer.completion) == FULL.message.encode()
    assert bytes(answer.usage).decode() == FULL.usage


def test_what_is_not_known_of_it_is_null() -> None:
    answer = plan_resume(replace(FULL, usage=None, error=None), Position(FULL.epoch, 0))
    assert isinstance(answer, FinalAnswer)
    assert (bytes(answer.usage), bytes(answer.error)) == (b"null", b"null")


def test_without_its_text_it_has_expired_and_says_how_it_ended() -> None:
    with pytest.raises(StreamExpired) as caught:
        plan_resume(replace(FULL, message=None), Position(FULL.epoch, 0))
    details = caught.value.details
    assert (details["state"], details["cost"]) == (FULL.state, FULL.cost)
    assert bytes(details["usage"]).decode() == FULL.usage


def test_without_usage_it_says_null() -> None:
    with pytest.raises(StreamExpired) as caught:
        plan_resume(replace(FULL, message=None, usage=None), Position(FULL.epoch, 0))
    assert bytes(caught.value.details["usage"]) == b"null"
