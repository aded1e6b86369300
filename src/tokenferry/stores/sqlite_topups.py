"""Orders of credit in the SQLite database, beside the books.

Weakness: one connection, so one call at a time; a change waits for the disk, and belongs into a
worker thread.
"""

from tokenferry.domain.ledger import account_book, may_be_overdrawn
from tokenferry.domain.topup import Order
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.engine.payments import Change, OrderFilter
from tokenferry.stores import audit_statements
from tokenferry.stores.account_statements import suspend
from tokenferry.stores.ledger_statements import post
from tokenferry.stores.sqlite_database import SharedDatabase, explained

_COLUMNS = ", ".join(Order._fields)
_MARKS = ", ".join("?" * len(Order._fields))
_INSERT = (
    f"INSERT INTO topup_order ({_COLUMNS}, next_look_ms) "  # noqa: S608 -- constants only
    f"SELECT {_MARKS}, ? WHERE (SELECT COUNT(*) FROM topup_order WHERE account_id = ? "
    "AND status IN ('open', 'waiting') AND expires_ms > ?) < ?"
)
_SELECT = f"SELECT {_COLUMNS} FROM topup_order"  # noqa: S608 -- constants only
_AGREED = 10  # columns that never change come first
_CHANGING = Order._fields[_AGREED:]
_UPDATE = (
    f"UPDATE topup_order SET {', '.join(f'{name} = ?' for name in _CHANGING)} "  # noqa: S608 -- constants only
    "WHERE order_id = ?"
)
_DUE_NOW = "UPDATE topup_order SET next_look_ms = 0 WHERE order_id = ?"
_NEWEST_FIRST = " ORDER BY created_ms DESC, order_id DESC LIMIT ?"
# The first look comes a little later: until then the buyer is on the provider's page.
FIRST_LOOK_MS = 60_000


class SqliteTopUps(SharedDatabase):
    """Orders in an SQLite file; any thread may use it.

    Args:
        path: The database file, see `Database`.

    Raises:
        StoreUnusable: If the file cannot be used, see `Database`.
    """

    @explained
    def add(self, order: Order, open_max: int) -> bool:
        """Store a new order; see `TopUpStore`."""
        next_look_ms = order.created_ms + FIRST_LOOK_MS
        with self._lock, self._transaction("IMMEDIATE"):
            added = self._connection.execute(
                _INSERT, (*order, next_look_ms, order.account_id, order.created_ms, open_max)
            )
            return bool(added.rowcount)

    @explained
    def find(self, order_id: str) -> Order | None:
        """Return an order, or None."""
        with self._lock:
            return self._find(order_id)

    @explained
    def listing(self, wanted: OrderFilter) -> list[Order]:
        """Return orders, newest first."""
        conditions, values = ["1 = 1"], []
        if wanted.account_id is not None:
            conditions.append("account_id = ?")
            values.append(wanted.account_id)
        if wanted.before is not None:
            conditions.append(
                "(created_ms, order_id) < "
                "(SELECT created_ms, order_id FROM topup_order WHERE order_id = ?)"
            )
            values.append(wanted.before)
        query = f"{_SELECT} WHERE {' AND '.join(conditions)}{_NEWEST_FIRST}"
        with self._lock:
            rows = self._connection.execute(query, (*values, wanted.limit)).fetchall()
        return [_order(row) for row in rows]

    @explained
    def agree(self, order_id: str, payment_ref: str) -> Order | None:
        """Store the provider's name for a payment; see `TopUpStore`."""
        return self._name(order_id, payment_ref, "payment_ref IS NOT ?", payment_ref)

    @explained
    def agree_instead(self, order_id: str, payment_ref: str, before: str | None) -> Order | None:
        """Store it unless another one was stored meanwhile; see `TopUpStore`."""
        return self._name(order_id, payment_ref, "payment_ref IS ?", before)

    @explained
    def change(
        self,
        order_id: str,
        revision: int | None,
        change: Change,
        entry: AuditEntry | None = None,
    ) -> Order | None:
        """Change an order and book its transfers; see `TopUpStore`."""
        with self._lock, self._transaction("IMMEDIATE"):
            order = self._find(order_id)
            if order is None or (revision is not None and order.revision != revision):
                return None
            settled = change(order, self._free_nanos(order.account_id))
            for transfer in settled.transfers:
                post(self._connection, transfer)
            if settled.lost_to_bank:
                suspend(
                    self._connection,
                    order.account_id,
                    f"The bank took back a payment that was spent: {order_id}.",
                )
            after = settled.order
            if after != order:
                self._connection.execute(_UPDATE, (*after[_AGREED:], order_id))
            is_asked = after.refunds != order.refunds or after.given_up_ms != order.given_up_ms
            if is_asked or after.status == "waiting" != order.status:
                # Somebody has to ask for its end, whatever becomes of who asked for this.
                self._connection.execute(_DUE_NOW, (order_id,))
            audit_statements.append(self._connection, entry)
            return after

    @explained
    def due(self, provider: str, now_ms: int, latest_ms: int, limit: int) -> list[str]:
        """Return the ids of orders that are due; see `TopUpStore`."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT order_id FROM topup_order WHERE provider = ? "
                "AND (next_look_ms <= ? OR next_look_ms > ?) ORDER BY next_look_ms LIMIT ?",
                (provider, now_ms, latest_ms, limit),
            ).fetchall()
        return [order_id for (order_id,) in rows]

    @explained
    def looked_at(
        self, order_id: str, next_look_ms: int | None, revision: int | None = None
    ) -> None:
        """Store when an order is due again; see `TopUpStore`."""
        with self._lock, self._transaction("IMMEDIATE"):
            self._connection.execute(
                "UPDATE topup_order SET next_look_ms = ? WHERE order_id = ? "
                "AND revision = COALESCE(?, revision)",
                (next_look_ms, order_id, revision),
            )

    @explained
    def watermark(self, provider: str) -> int | None:
        """Return until when a provider's list was gone through; see `TopUpStore`."""
        with self._lock:
            row = self._connection.execute(
                "SELECT listed_until_ms FROM payment_list WHERE provider = ?", (provider,)
            ).fetchone()
        return None if row is None else int(row[0])

    @explained
    def set_watermark(self, provider: str, listed_until_ms: int) -> None:
        """Store until when a provider's list was gone through."""
        with self._lock, self._transaction("IMMEDIATE"):
            self._connection.execute(
                "INSERT INTO payment_list (provider, listed_until_ms) VALUES (?, ?) "
                "ON CONFLICT (provider) DO UPDATE SET listed_until_ms = excluded.listed_until_ms",
                (provider, listed_until_ms),
            )

    def close(self) -> None:
        """Let go of the file; idempotent."""
        with self._lock:
            super().close()

    def _name(
        self, order_id: str, payment_ref: str, condition: str, value: str | None
    ) -> Order | None:
        with self._lock, self._transaction("IMMEDIATE"):
            self._connection.execute(
                "UPDATE topup_order SET payment_ref = ?, revision = revision + 1, "  # noqa: S608 -- constants only
                "detail = IIF(status = 'failed', '', detail), "
                "status = IIF(status = 'failed', 'open', status), "
                "next_look_ms = COALESCE(next_look_ms, 0) "
                "WHERE order_id = ? AND moves = 0 AND status NOT IN ('paid', 'closed') "
                # A refund that is under way is one of the payment that was known then.
                f"AND pending_minor = 0 AND {condition}",
                (payment_ref, order_id, value),
            )
            return self._find(order_id)

    def _find(self, order_id: str) -> Order | None:
        row = self._connection.execute(f"{_SELECT} WHERE order_id = ?", (order_id,)).fetchone()
        return None if row is None else _order(row)

    def _free_nanos(self, account_id: str) -> int | None:
        book = account_book(account_id)
        if may_be_overdrawn(book):
            return None
        row = self._connection.execute(
            "SELECT credits_nanos - debits_nanos - held_nanos FROM ledger_book WHERE book = ?",
            (book,),
        ).fetchone()
        return 0 if row is None else int(row[0])


def _order(row: tuple[object, ...]) -> Order:
    order = Order(*row)  # type: ignore[arg-type]
    # SQLite has no truth values.
    return order._replace(live=bool(order.live))
