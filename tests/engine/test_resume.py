"""What the engine adds to the table of `protocol.cursor`: which stream it is, and the words."""

from dataclasses import replace

import pytest

from engine.virtual import Bench
from tokenferry.engine.archive import Summary
from tokenferry.engine.book import Entry, StreamMeta
from tokenferry.engine.resume import Replay, plan_resume
from tokenferry.engine.stream import Stream
from tokenferry.errors import InvalidRequest, PositionAhead, StreamExpired
from tokenferry.protocol.cursor import Position
from tokenferry.protocol.messages import FinalAnswer

SUMMARY = Summary(
    stream_id="st_1",
    owner="k",
    idempotency_key=None,
    request_hash=None,
    epoch=2,
    head=9,
    state="cancelled",
    finish_reason="cancelled",
    error='{"code":"e"}',
    message='{"id":"m"}',
    usage='{"total_tokens":1}',
    cost="0.1",
    model="m",
    created_ms=1,
    ended_ms=2,
)


def taken_over() -> Entry:
    """Return a stream that its second owner took over at seq 4, and that is at 6."""
    stream = Stream("st_1", "k", ((1, 1), (2, 4)), Bench().journal, head=6)
    return Entry(stream, StreamMeta("k", "m", "p", "m", 1, 60.0))


@pytest.mark.parametrize("after", [0, 3, 6])
def test_in_the_streams_own_epoch_the_records_follow(after: int) -> None:
    entry = taken_over()
    assert plan_resume(entry, Position(2, after)) == Replay(entry, after, is_reset=False)


@pytest.mark.parametrize(("after", "kept"), [(0, 0), (2, 2), (3, 3), (4, 3), (99, 3)])
def test_in_an_older_epoch_what_both_have_is_kept(after: int, kept: int) -> None:
    entry = taken_over()
    assert plan_resume(entry, Position(1, after)) == Replay(entry, kept, is_reset=True)


def test_a_newer_epoch_is_refused_and_the_streams_own_named() -> None:
    with pytest.raises(InvalidRequest, match="epoch is 2") as caught:
        plan_resume(taken_over(), Position(3, 0))
    assert caught.value.param == "epoch"
    with pytest.raises(InvalidRequest, match="epoch is 2"):
        plan_resume(SUMMARY, Position(3, 0))


def test_a_position_beyond_the_head_is_refused_and_the_head_named() -> None:
    with pytest.raises(PositionAhead, match=r"`after` is 7; this stream has 0\.\.6") as caught:
        plan_resume(taken_over(), Position(2, 7))
    assert caught.value.param == "after"


@pytest.mark.parametrize("position", [Position(1, 0), Position(2, 9), Position(1, 99)])
def test_of_an_archived_stream_its_text(position: Position) -> None:
    answer = plan_resume(SUMMARY, position)
    assert isinstance(answer, FinalAnswer)
    assert (answer.stream_id, answer.epoch, answer.through) == ("st_1", 2, 9)
    assert (bytes(answer.completion), bytes(answer.usage)) == (b'{"id":"m"}', b'{"total_tokens":1}')
    assert (answer.finish_reason, answer.cost) == ("cancelled", "0.1")
    assert bytes(answer.error) == b'{"code":"e"}'


def test_what_an_archived_stream_has_not_is_null() -> None:
    answer = plan_resume(replace(SUMMARY, usage=None, error=None), Position(2, 0))
    assert isinstance(answer, FinalAnswer)
    assert (bytes(answer.usage), bytes(answer.error)) == (b"null", b"null")


@pytest.mark.parametrize(("usage", "told"), [('{"total_tokens":1}',) * 2, (None, "null")])
def test_where_the_text_is_gone_too_how_it_ended_is_told(usage: str | None, told: str) -> None:
    with pytest.raises(StreamExpired) as caught:
        plan_resume(replace(SUMMARY, message=None, usage=usage), Position(2, 0))
    details = caught.value.details
    assert (details["state"], details["cost"]) == ("cancelled", "0.1")
    assert bytes(details["usage"]).decode() == told
