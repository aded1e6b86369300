"""A stream at a glance: how far it is, its text, its usage. For the archive, and for who asks.

A long text has thousands of records, and to fold them takes milliseconds: it is done in slices,
with others' turns between.
"""

import asyncio
from typing import Literal

from tokenferry.domain.journal import is_terminal
from tokenferry.engine.archive import Summary
from tokenferry.engine.book import Entry
from tokenferry.protocol.completion import Completion
from tokenferry.protocol.frames import Terminal, encode, terminal_decoder

# A record is folded within some 1 µs, and read from among those of many streams within 4 µs.
SLICE_RECORDS = 512
_CANCELLED = "cancelled"


class Folding:
    """Folds the committed records of a stream, slice by slice.

    Args:
        entry: The stream.
    """

    __slots__ = ("_after", "_completion", "_entry")

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._after = 0
        self._completion = Completion(entry.stream.id)

    def step(self, limit: int) -> int:
        """Take up to `limit` records, and return how many there were.

        Raises:
            JournalUnavailable: If they cannot be read.
        """
        records = self._entry.stream.read(self._after, limit)
        for record in records:
            self._completion.add(record)
        self._after += len(records)
        return len(records)

    def summary(self) -> Summary:
        """Return the stream at a glance, as far as it was taken."""
        completion = self._completion
        message = encode(completion.body()).decode()
        return _summary(self._entry, completion.end, self._after, message)


async def summarize(entry: Entry) -> Summary:
    """Return a stream at a glance; what is not committed yet is not in it.

    Raises:
        JournalUnavailable: If its records cannot be read.
    """
    folding = Folding(entry)
    while folding.step(SLICE_RECORDS) == SLICE_RECORDS:  # noqa: ASYNC110 -- others' turn, no wait
        await asyncio.sleep(0)
    return folding.summary()


def glance(entry: Entry) -> Summary:
    """Return a stream without its text: at most one of its records is read.

    Raises:
        JournalUnavailable: If that cannot be read.
    """
    stream = entry.stream
    end = None
    if stream.done:
        records = stream.read(stream.head - 1, 1)
        if records and is_terminal(records[0]):
            end = terminal_decoder.decode(records[0][1:])
    return _summary(entry, end, stream.head, None)


def _summary(entry: Entry, end: Terminal | None, head: int, message: str | None) -> Summary:
    stream, meta = entry.stream, entry.meta
    state: Literal["generating", "done", "error", "cancelled"] = "generating"
    reason = None
    if end is not None and end.error is not None:
        state = "error"
    elif end is not None:
        reason = end.finish_reasons[0] if end.finish_reasons else "stop"
        state = "cancelled" if reason == _CANCELLED else "done"
    return Summary(
        stream_id=stream.id,
        owner=stream.owner,
        idempotency_key=meta.idempotency_key,
        request_hash=meta.request_hash,
        epoch=stream.epoch,
        head=head,
        state=state,
        finish_reason=reason,
        error=None if end is None or end.error is None else encode(end.error).decode(),
        message=message,
        usage=None if end is None or end.usage is None else encode(end.usage).decode(),
        cost=None if end is None else end.cost,
        model=meta.model,
        created_ms=meta.created_ms,
        ended_ms=entry.ended_ms,
    )
