"""Vouchers in the SQLite database.

Weakness: one connection, so one call at a time; a redemption waits for the disk, and belongs into
a worker thread.
"""

from collections.abc import Sequence

from tokenferry.domain.ledger import ISSUED_VOUCHER, Transfer, account_book
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.engine.vouchers import NewVoucher, Redemption, VoucherRow
from tokenferry.stores import audit_statements
from tokenferry.stores.ledger_statements import post
from tokenferry.stores.sqlite_database import SharedDatabase, explained

_COLUMNS = "voucher_id, batch, amount_nanos, created_ms, expires_ms, redeemed_ms, account_id"
# The condition decides, not a look before it: of two at once, one changes the row.
_REDEEM = (
    "UPDATE voucher SET redeemed_ms = ?, account_id = ? WHERE code_hash = ? "
    "AND redeemed_ms IS NULL AND (expires_ms IS NULL OR expires_ms > ?) "
    "RETURNING voucher_id, amount_nanos, batch"
)


class SqliteVouchers(SharedDatabase):
    """Vouchers in an SQLite file; any thread may use it.

    Args:
        path: The database file, see `Database`.

    Raises:
        StoreUnusable: If the file cannot be used, see `Database`.
    """

    @explained
    def add(self, vouchers: Sequence[NewVoucher], entry: AuditEntry | None = None) -> None:
        """Store new vouchers and the entry, all or none."""
        with self._lock, self._transaction("IMMEDIATE"):
            self._connection.executemany(
                "INSERT INTO voucher "
                "(code_hash, voucher_id, batch, amount_nanos, created_ms, expires_ms) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                vouchers,
            )
            audit_statements.append(self._connection, entry)

    @explained
    def redeem(self, code_hash: bytes, account_id: str, now_ms: int) -> Redemption:
        """Credit an account with a voucher, once; see `VoucherStore`."""
        with self._lock, self._transaction("IMMEDIATE"):
            row = self._connection.execute(
                _REDEEM, (now_ms, account_id, code_hash, now_ms)
            ).fetchone()
            if row is None:
                return self._why_not(code_hash)
            voucher_id, amount_nanos, batch = row
            post(
                self._connection,
                Transfer(
                    "voucher",
                    voucher_id,
                    ISSUED_VOUCHER,
                    account_book(account_id),
                    amount_nanos,
                    now_ms,
                    batch,
                ),
            )
            return int(amount_nanos)

    @explained
    def listing(self, batch: str | None) -> list[VoucherRow]:
        """Return vouchers, oldest first."""
        with self._lock:
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM voucher WHERE ? IS NULL OR batch = ? "  # noqa: S608 -- constants only
                "ORDER BY created_ms, voucher_id",
                (batch, batch),
            )
            return [VoucherRow(*row) for row in rows]

    @explained
    def latest(
        self, batch: str | None, limit: int, before: tuple[int, str] | None
    ) -> list[VoucherRow]:
        """Return vouchers, the newest first; see `VoucherStore`."""
        created_ms, voucher_id = before or (2**62, "")
        with self._lock:
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM voucher WHERE (? IS NULL OR batch = ?) "  # noqa: S608 -- constants only
                "AND (created_ms, voucher_id) < (?, ?) "
                "ORDER BY created_ms DESC, voucher_id DESC LIMIT ?",
                (batch, batch, created_ms, voucher_id, limit),
            )
            return [VoucherRow(*row) for row in rows]

    def close(self) -> None:
        """Let go of the file; idempotent."""
        with self._lock:
            super().close()

    def _why_not(self, code_hash: bytes) -> Redemption:
        row = self._connection.execute(
            "SELECT redeemed_ms FROM voucher WHERE code_hash = ?", (code_hash,)
        ).fetchone()
        if row is None:
            return "unknown"
        return "expired" if row[0] is None else "redeemed"
