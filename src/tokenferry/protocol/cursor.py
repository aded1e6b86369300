"""From where a client goes on with a stream: a table over its position and what the log keeps.

Source: docs/decisions/0009-streams-survive.md, "Resume"; spec/PROTOCOL.md, section 5. Weakness: it
knows no streams and no keys; whether the client may see this one is decided before.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """What a client has of a stream.

    Attributes:
        epoch: The epoch in which it was sent the last record that it applied.
        after: The seq of that record, from 0 (it has none).
    """

    epoch: int
    after: int

    def __post_init__(self) -> None:
        """Refuse what no client can have; the message's reader does so before."""
        if self.after < 0:
            raise ValueError(f"after must not be negative: {self}")


@dataclass(frozen=True, slots=True)
class LogState:
    """What there is of a stream.

    Attributes:
        epochs: Each epoch with the first seq that its owner wrote or will write, oldest first;
            at least one. Epochs grow; the last one is the stream's.
        floor: The lowest `after` whose records can still be replayed; None when no chunks are kept.
        head: The seq of the last committed record.
        has_snapshot: Whether the final text is kept.
    """

    epochs: tuple[tuple[int, int], ...]
    floor: int | None
    head: int
    has_snapshot: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    """The records (`after`, `head`] follow."""

    epoch: int
    after: int
    head: int


@dataclass(frozen=True, slots=True)
class Reset:
    """The client drops what is beyond `keep_through`; (`keep_through`, `head`] follow."""

    epoch: int
    keep_through: int
    head: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The final text is sent instead of the records up to `through`."""

    epoch: int
    through: int


@dataclass(frozen=True, slots=True)
class Expired:
    """Neither the records nor the text are there."""


@dataclass(frozen=True, slots=True)
class PositionAhead:
    """The client has more than the stream ever had in this epoch."""

    head: int


@dataclass(frozen=True, slots=True)
class EpochUnknown:
    """The client names an epoch that the stream has not reached."""

    epoch: int


Answer = Resumed | Reset | Snapshot | Expired | PositionAhead | EpochUnknown


def decide(position: Position, log: LogState) -> Answer:
    """Decide how a `resume` of a known stream is answered; the first case that applies."""
    epoch = log.epochs[-1][0]
    if position.epoch > epoch:
        return EpochUnknown(epoch)
    keep_through = min(position.after, _common_through(position.epoch, log))
    if log.floor is None or keep_through < log.floor:
        return Snapshot(epoch, log.head) if log.has_snapshot else Expired()
    if position.epoch < epoch:
        return Reset(epoch, keep_through, log.head)
    if position.after > log.head:
        return PositionAhead(log.head)
    return Resumed(epoch, position.after, log.head)


def _common_through(epoch: int, log: LogState) -> int:
    """Return the last seq that an epoch has in common with the stream's own.

    Every later owner wrote over what it had not found, and so may a still later one have done
    with less: the lowest of their beginnings counts. In the stream's own epoch, nothing was
    written over.
    """
    later = [first_seq - 1 for owner, first_seq in log.epochs if owner > epoch]
    return min(later, default=log.head)
