"""The port of an account's statement: its balance, what it used, what was booked.

Source: docs/decisions/0010-money.md.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from tokenferry.domain.ledger import Charge, Transfer, TransferKind
from tokenferry.domain.request_page import Part, Wanted

Grouping = Literal["day", "model", "key"]


class Balance(NamedTuple):
    """What an account has.

    Attributes:
        balance_nanos: Everything that was credited, less what was used.
        held_nanos: The part of it that is held for running streams.
    """

    balance_nanos: int
    held_nanos: int


class Used(NamedTuple):
    """What was used by one group: on a day (UTC), of a model, or by a key.

    Attributes:
        group: The day as 2026-11-27, the model as it was asked for, or the key's public id.
        requests: How many streams ended.
        prompt_tokens: Input, cached included.
        cached_tokens: The part of it from providers' caches.
        completion_tokens: Output, reasoning included.
        cost_nanos: What it cost.
        list_nanos: The same at list prices.
        cache_saved_nanos: How much more it were without the caches.
        failed: How many of the streams ended in an error.
        unpriced: How many have no known price; they are in neither sum.
    """

    group: str
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_nanos: int
    list_nanos: int
    cache_saved_nanos: int
    failed: int
    unpriced: int


class Only(NamedTuple):
    """Which streams are meant: those of one model, of one key; None for any."""

    model: str | None = None
    key_id: str | None = None


ANY = Only()


class KeyUse(NamedTuple):
    """What one key did.

    Attributes:
        last_ms: When its latest stream ended; None if there was none.
        spent_nanos: What it spent in the month asked for.
    """

    last_ms: int | None
    spent_nanos: int


class Reserved(NamedTuple):
    """What was held for a stream.

    Attributes:
        amount_nanos: How much.
        state: `open`, `posted`, `voided` or `expired`.
    """

    amount_nanos: int
    state: str


class Booked(NamedTuple):
    """What the books have of one stream.

    Attributes:
        charge: What it used and costs; None if nothing is charged.
        shortfall_nanos: The part of it that no credit was left for.
        reserved: What was held; None if nothing was.
        transfers: Its entries with their numbers, the oldest first.
    """

    charge: Charge | None
    shortfall_nanos: int
    reserved: Reserved | None
    transfers: Sequence[tuple[int, Transfer]]


class Statements(Protocol):
    """Reads of the books. Every method may raise `StoreUnusable`."""

    def balance(self, account_id: str) -> Balance:
        """Return what an account has."""

    def used(
        self, account_id: str, from_ms: int, until_ms: int, grouping: Grouping, only: Only = ANY
    ) -> Sequence[Used]:
        """Return what was used by streams that ended from the first moment, before the second."""

    def key_use(self, key_ids: Sequence[str], moment_ms: int) -> Sequence[KeyUse]:
        """Return what each key did, and spent in the calendar month (UTC) of a moment."""

    def charges(self, wanted: Wanted) -> Part:
        """Return charges, the newest first."""

    def booked(self, stream_id: str, account_id: str | None) -> Booked:
        """Return what the books have of a stream, of any account if that is None."""

    def transfers(
        self, account_id: str, limit: int, before: int | None
    ) -> Sequence[tuple[int, Transfer]]:
        """Return the latest transfers with their numbers, the newest first."""

    def transfer(self, kinds: Sequence[TransferKind], reference: str) -> Transfer | None:
        """Return what was booked under a reference, as one of these kinds; None if nothing was."""

    def close(self) -> None:
        """Let go of the store; idempotent."""
