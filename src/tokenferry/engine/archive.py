"""What is kept of finished streams after their chunks: the port."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Summary:
    """What is kept of a stream after its chunks."""

    stream_id: str
    owner: str
    idempotency_key: str | None
    request_hash: bytes | None
    epoch: int
    head: int
    state: str
    finish_reason: str | None
    error: str | None
    message: str | None
    usage: str | None
    cost: str | None
    model: str
    created_ms: int
    ended_ms: int


class Archive(Protocol):
    """Where summaries are kept."""

    def save(self, summaries: Sequence[Summary]) -> None:
        """Save."""

    def find(self, owner: str, stream_id: str) -> Summary | None:
        """Find."""

    def find_idempotent(self, owner: str, idempotency_key: str) -> Summary | None:
        """Find."""

    def recent(self, owner: str, limit: int, before_ms: int | None = None) -> list[Summary]:
        """Return."""

    def expire(self, now_ms: int, message_ms_kept: int, tombstone_ms_kept: int) -> None:
        """Expire."""
