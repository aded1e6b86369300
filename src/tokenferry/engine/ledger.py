"""The port of the books, as far as streams need it: what is held for them, and what they cost.

Source: docs/decisions/0010-money.md.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from tokenferry.domain.ledger import Charge, Refusal
from tokenferry.engine.keys import StoreUnusable


class Hold(NamedTuple):
    """Something to be held for a stream, before a provider is called.

    Attributes:
        stream_id: The stream; one that has a reservation gets the same answer again.
        account_id: Who pays.
        key_id: Public id of the key that asks.
        wanted_nanos: The most that it may cost.
        least_nanos: The least that is worth beginning with.
        budget_nanos: What the key may spend in this month; None for no limit.
        now_ms: Unix time.
    """

    stream_id: str
    account_id: str
    key_id: str
    wanted_nanos: int
    least_nanos: int
    budget_nanos: int | None
    now_ms: int


class Held(NamedTuple):
    """What is held for a stream.

    Attributes:
        amount_nanos: How much.
        balance_nanos: The account's balance, which includes everything held.
    """

    amount_nanos: int
    balance_nanos: int


class Charged(NamedTuple):
    """What became of a charge.

    Attributes:
        balance_nanos: The account's balance after it.
        shortfall_nanos: What it had no credit for.
    """

    balance_nanos: int
    shortfall_nanos: int


Work = Hold | Charge
Result = Held | Refusal | Charged


class Ledger(Protocol):
    """The books. Any one thread at a time may call it; every method may raise `StoreUnusable`."""

    def commit(self, work: Sequence[Work]) -> list[Result]:
        """Do all of it or none, in order, in one transaction; return what became of each.

        A charge that was booked before changes nothing. With no work at all it is tried whether a
        transaction can be committed.

        Raises:
            Unbookable: If some of it can never be committed, whatever the disk does.
        """

    def void_others(self, stream_ids: Collection[str]) -> int:
        """Void the open reservations of all streams but these; return how many there were."""

    def close(self) -> None:
        """Let go of the store; idempotent."""


class Unbookable(StoreUnusable):
    """Something that was to be committed cannot be, ever; nothing was. Others can."""


class BookFull(StoreUnusable):
    """A book would hold more than it can count; nothing was booked. The message says which."""


class Overdrawn(Exception):
    """The debited book has not that much; nothing was booked."""


class ReferenceReused(Exception):
    """Something else was booked under the same kind and reference."""
