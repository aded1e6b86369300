"""An account's statement from the SQLite database.

Weakness: `used` reads every charge of the time asked for; a hundred thousand take some 0.1 s.
"""

from collections.abc import Sequence
from pathlib import Path

from tokenferry.domain.ledger import Charge, Transfer, TransferKind, account_book
from tokenferry.domain.request_page import Part, Wanted
from tokenferry.engine.statement import (
    ANY,
    Balance,
    Booked,
    Grouping,
    KeyUse,
    Only,
    Reserved,
    Used,
)
from tokenferry.stores.budget_month import budget_month
from tokenferry.stores.charge_search import search
from tokenferry.stores.sqlite_database import Database, explained

_GROUPS: dict[Grouping, str] = {
    "day": "date(ended_ms / 1000, 'unixepoch')",
    "model": "model",
    "key": "key_id",
}
_CHARGE = ", ".join(Charge._fields)
_TRANSFER = ", ".join(("transfer_id", *Transfer._fields))
_OF_SIDE = (
    f"SELECT {_TRANSFER} FROM ledger_transfer WHERE {{}} = ? AND transfer_id < ? "  # noqa: S608 -- constants only
    "ORDER BY transfer_id DESC LIMIT ?"
)
_OF_BOOK = (
    f"SELECT * FROM ({_OF_SIDE.format('debit')}) UNION ALL "  # noqa: S608 -- constants only
    f"SELECT * FROM ({_OF_SIDE.format('credit')}) ORDER BY transfer_id DESC LIMIT ?"
)
# Of one account, or of any.
_WHOSE = "WHERE stream_id = ? AND account_id = COALESCE(?, account_id)"


class SqliteStatements(Database):
    """Reads of the books. Any one thread at a time may use it.

    Args:
        path: The database file; see `Database`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, any_thread=True)

    @explained
    def balance(self, account_id: str) -> Balance:
        """Return what an account has; see `Statements`."""
        row = self._connection.execute(
            "SELECT credits_nanos - debits_nanos, held_nanos FROM ledger_book WHERE book = ?",
            (account_book(account_id),),
        ).fetchone()
        return Balance(*(row or (0, 0)))

    @explained
    def used(
        self, account_id: str, from_ms: int, until_ms: int, grouping: Grouping, only: Only = ANY
    ) -> Sequence[Used]:
        """Return what was used; see `Statements`."""
        rows = self._connection.execute(
            f"SELECT {_GROUPS[grouping]}, COUNT(*), SUM(prompt_tokens), SUM(cached_tokens), "  # noqa: S608 -- constants only
            "SUM(completion_tokens), COALESCE(SUM(cost_nanos), 0), COALESCE(SUM(list_nanos), 0), "
            "SUM(cache_saved_nanos), SUM(finish = 'error'), SUM(cost_nanos IS NULL) FROM charge "
            "WHERE account_id = ? AND ended_ms >= ? AND ended_ms < ? "
            "AND model = COALESCE(?, model) AND key_id = COALESCE(?, key_id) "
            "GROUP BY 1 ORDER BY 1",
            (account_id, from_ms, until_ms, *only),
        )
        return [Used(*row) for row in rows]

    @explained
    def key_use(self, key_ids: Sequence[str], moment_ms: int) -> Sequence[KeyUse]:
        """Return what keys did; see `Statements`."""
        return [
            KeyUse(
                *self._connection.execute(
                    "SELECT (SELECT MAX(ended_ms) FROM charge WHERE key_id = ?), COALESCE("
                    "(SELECT spent_nanos FROM key_month WHERE key_id = ? AND month = ?), 0)",
                    (key_id, key_id, budget_month(moment_ms)),
                ).fetchone()
            )
            for key_id in key_ids
        ]

    @explained
    def charges(self, wanted: Wanted) -> Part:
        """Return charges; see `Statements`."""
        return search(self._connection, "charge", wanted)

    @explained
    def booked(self, stream_id: str, account_id: str | None) -> Booked:
        """Return what the books have of a stream; see `Statements`."""
        whose = (stream_id, account_id)
        row = self._connection.execute(
            f"SELECT shortfall_nanos, {_CHARGE} FROM charge {_WHOSE}",  # noqa: S608 -- constants only
            whose,
        ).fetchone()
        held = self._connection.execute(
            f"SELECT amount_nanos, state FROM ledger_reservation {_WHOSE}",  # noqa: S608 -- as above
            whose,
        ).fetchone()
        if row is None and held is None:
            return Booked(None, 0, None, ())
        transfers = self._connection.execute(
            f"SELECT {_TRANSFER} FROM ledger_transfer "  # noqa: S608 -- as above
            "WHERE kind IN ('usage', 'shortfall') AND reference = ? ORDER BY transfer_id",
            (stream_id,),
        )
        return Booked(
            None if row is None else Charge(*row[1:]),
            0 if row is None else row[0],
            None if held is None else Reserved(*held),
            [(row[0], Transfer(*row[1:])) for row in transfers],
        )

    @explained
    def transfers(
        self, account_id: str, limit: int, before: int | None
    ) -> Sequence[tuple[int, Transfer]]:
        """Return the latest transfers; see `Statements`."""
        book = account_book(account_id)
        number = 2**62 if before is None else before
        # Each side by its index, the latest first: together they would be sorted whole.
        rows = self._connection.execute(
            _OF_BOOK,
            (book, number, limit, book, number, limit, limit),
        )
        return [(row[0], Transfer(*row[1:])) for row in rows]

    @explained
    def transfer(self, kinds: Sequence[TransferKind], reference: str) -> Transfer | None:
        """Return what was booked under a reference; see `Statements`."""
        row = self._connection.execute(
            f"SELECT {_TRANSFER} FROM ledger_transfer "  # noqa: S608 -- constants and marks only
            f"WHERE kind IN ({', '.join('?' * len(kinds))}) AND reference = ?",
            (*kinds, reference),
        ).fetchone()
        return None if row is None else Transfer(*row[1:])
