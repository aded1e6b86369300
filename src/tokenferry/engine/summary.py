"""A stream at a glance: how far it is, its text, its usage. For the archive, and for who asks."""

from typing import Literal

from tokenferry.engine.archive import Summary
from tokenferry.engine.book import Entry
from tokenferry.protocol.completion import folded
from tokenferry.protocol.frames import encode

_CANCELLED = "cancelled"


def summarize(entry: Entry) -> Summary:
    """Return a stream at a glance; what is not committed yet is not in it.

    Raises:
        JournalUnavailable: If its records cannot be read.
    """
    stream, meta = entry.stream, entry.meta
    completion = folded(stream.id, stream.committed())
    end = completion.end
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
        head=stream.head,
        state=state,
        finish_reason=reason,
        error=None if end is None or end.error is None else encode(end.error).decode(),
        message=encode(completion.body()).decode(),
        usage=None if end is None or end.usage is None else encode(end.usage).decode(),
        cost=None if end is None else end.cost,
        model=meta.model,
        created_ms=meta.created_ms,
        ended_ms=entry.ended_ms,
    )
