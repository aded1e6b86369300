"""A stream at a glance, and the port of the archive, which keeps that after the chunks.

For a day the final text, and for a month how it ended and what it used. The second also lets a
repeated create with the same idempotency key be recognised.

Source: docs/decisions/0009-streams-survive.md, "Kept".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Summary:
    """A stream at a glance; only those that are done are archived.

    Attributes:
        stream_id: The stream.
        owner: Public id of the key that created it.
        idempotency_key: What its create said, if anything.
        request_hash: SHA-256 of the request that came with the idempotency key.
        epoch: Its last owner's epoch.
        head: Seq of its last record.
        state: How it ended, or that it has not.
        finish_reason: As the client was told it; None for an error.
        error: The error, JSON.
        message: The whole answer as HTTP would give it, JSON; None when it is not kept any more.
        usage: What it used, JSON.
        cost: Decimal USD, if a price is known.
        model: The model that the client asked for.
        created_ms: Unix time of its create.
        ended_ms: Unix time of its last record; 0 before.
    """

    stream_id: str
    owner: str
    idempotency_key: str | None
    request_hash: bytes | None
    epoch: int
    head: int
    state: Literal["generating", "done", "error", "cancelled"]
    finish_reason: str | None
    error: str | None
    message: str | None
    usage: str | None
    cost: str | None
    model: str
    created_ms: int
    ended_ms: int


class Archive(Protocol):
    """Where summaries are kept.

    Any thread may call it. Every method may raise `StoreUnusable`.
    """

    def save(self, summaries: Sequence[Summary]) -> None:
        """Store summaries durably, all or none.

        A stream that is there already stays as it is. So does the idempotency key of another stream
        of the same owner's: the one that comes later is stored without it.
        """

    def find(self, owner: str, stream_id: str) -> Summary | None:
        """Return an owner's stream, or None."""

    def find_idempotent(self, owner: str, idempotency_key: str) -> Summary | None:
        """Return the stream that an owner's idempotency key stands for, or None."""

    def recent(self, owner: str, limit: int, before_ms: int | None = None) -> list[Summary]:
        """Return an owner's streams without their messages, those that ended last first.

        Args:
            owner: Public id of the key.
            limit: How many at most.
            before_ms: Only those that ended before.
        """

    def expire(self, now_ms: int, message_ms_kept: int, tombstone_ms_kept: int) -> None:
        """Give up what is older than it is kept; counted from the stream's end.

        Args:
            now_ms: Unix time.
            message_ms_kept: How long the message is kept.
            tombstone_ms_kept: How long everything else is.
        """

    def close(self) -> None:
        """Let go of the store; idempotent."""
