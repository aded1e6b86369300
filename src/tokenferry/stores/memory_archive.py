"""The in-memory archive, for tests of whatever needs an `Archive`.

Weakness: it belongs to one thread, and asks every summary.
"""

from collections.abc import Sequence
from dataclasses import replace

from tokenferry.engine.archive import Summary


class MemoryArchive:
    """Summaries that live as long as the process."""

    def __init__(self) -> None:
        self._summaries: dict[str, Summary] = {}

    def save(self, summaries: Sequence[Summary]) -> None:
        """Store summaries; see `Archive`."""
        for each in summaries:
            if each.stream_id in self._summaries:
                continue
            key = each.idempotency_key
            if key is not None and self.find_idempotent(each.owner, key) is not None:
                key = None
            self._summaries[each.stream_id] = replace(each, idempotency_key=key)

    def find(self, owner: str, stream_id: str) -> Summary | None:
        """Return an owner's stream, or None."""
        found = self._summaries.get(stream_id)
        return found if found is not None and found.owner == owner else None

    def find_idempotent(self, owner: str, idempotency_key: str) -> Summary | None:
        """Return the stream that an owner's idempotency key stands for, or None."""
        for each in self._summaries.values():
            if (each.owner, each.idempotency_key) == (owner, idempotency_key):
                return each
        return None

    def recent(self, owner: str, limit: int, before_ms: int | None = None) -> list[Summary]:
        """Return an owner's streams, those that ended last first; see `Archive`."""
        found = [
            each
            for each in self._summaries.values()
            if each.owner == owner and (before_ms is None or each.ended_ms < before_ms)
        ]
        found.sort(key=lambda each: (each.ended_ms, each.stream_id), reverse=True)
        return [replace(each, message=None) for each in found[:limit]]

    def expire(self, now_ms: int, message_ms_kept: int, tombstone_ms_kept: int) -> None:
        """Give up what is older than it is kept; see `Archive`."""
        self._summaries = {
            each.stream_id: replace(each, message=None)
            if each.ended_ms < now_ms - message_ms_kept
            else each
            for each in self._summaries.values()
            if each.ended_ms >= now_ms - tombstone_ms_kept
        }

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""
