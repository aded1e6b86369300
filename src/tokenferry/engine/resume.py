"""How a client goes on with a stream: from the log, from what the archive keeps, or not at all.

Source: spec/PROTOCOL.md, section 5; the table itself is `protocol.cursor`.
"""

from dataclasses import dataclass

from msgspec import Raw

from tokenferry.engine.archive import Summary
from tokenferry.engine.book import Entry
from tokenferry.errors import InvalidRequest, PositionAhead, StreamExpired
from tokenferry.protocol import cursor
from tokenferry.protocol.cursor import LogState, Position
from tokenferry.protocol.messages import FinalAnswer


@dataclass(frozen=True, slots=True)
class Replay:
    """The records after a position follow, then live ones.

    Attributes:
        entry: The stream.
        after: The position.
        is_reset: Whether the client must drop what it has beyond it, and take the new epoch.
    """

    entry: Entry
    after: int
    is_reset: bool


def plan_resume(found: Entry | Summary, position: Position) -> Replay | FinalAnswer:
    """Return how a client goes on from a position.

    Raises:
        InvalidRequest: If the stream has not reached the epoch.
        PositionAhead: If the stream has not reached the seq.
        StreamExpired: If neither the chunks nor the text are kept.
    """
    answer = cursor.decide(position, _state(found))
    if isinstance(answer, cursor.Resumed) and isinstance(found, Entry):
        return Replay(found, answer.after, is_reset=False)
    if isinstance(answer, cursor.Reset) and isinstance(found, Entry):
        return Replay(found, answer.keep_through, is_reset=True)
    if isinstance(answer, cursor.Snapshot) and isinstance(found, Summary):
        return final_answer(found)
    if isinstance(answer, cursor.EpochUnknown):
        raise InvalidRequest(f"This stream's epoch is {answer.epoch}.", param="epoch")
    if isinstance(answer, cursor.PositionAhead):
        raise PositionAhead(
            f"`after` is {position.after}; this stream has 0..{answer.head}.", param="after"
        )
    expired = StreamExpired("Neither the chunks nor the text of this stream are kept any more.")
    if isinstance(found, Summary):
        usage = Raw((found.usage or "null").encode())
        expired.details = {"state": found.state, "usage": usage, "cost": found.cost}
    raise expired


def final_answer(summary: Summary) -> FinalAnswer:
    """Return what is kept of an answer; only if its text is."""
    return FinalAnswer(
        summary.stream_id,
        summary.epoch,
        summary.head,
        Raw((summary.message or "null").encode()),
        summary.finish_reason,
        Raw((summary.usage or "null").encode()),
        summary.cost,
        Raw((summary.error or "null").encode()),
    )


def _state(found: Entry | Summary) -> LogState:
    if isinstance(found, Summary):
        return LogState(((found.epoch, 1),), None, found.head, found.message is not None)
    stream = found.stream
    return LogState(stream.epochs, 0, stream.head, has_snapshot=False)
