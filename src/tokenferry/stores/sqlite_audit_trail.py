"""The audit trail in the SQLite database.

Weakness: a filter that finds little looks at every entry, a microsecond each.
"""

from tokenferry.engine.audit_trail import AuditEntry, AuditFilter
from tokenferry.stores import audit_statements
from tokenferry.stores.audit_statements import COLUMNS
from tokenferry.stores.sqlite_database import SharedDatabase, explained

_ENTRIES = f"""
    SELECT entry_id, {COLUMNS} FROM audit_entry WHERE (:account_id IS NULL OR account_id =
    :account_id OR by_account = :account_id) AND (:action IS NULL OR action = :action) AND
    (:from_ms IS NULL OR moment_ms >= :from_ms) AND (:until_ms IS NULL OR moment_ms < :until_ms)
    AND (:before IS NULL OR entry_id < :before) ORDER BY entry_id DESC LIMIT :limit
    """  # noqa: S608 -- constants only


class SqliteAuditTrail(SharedDatabase):
    """The audit trail in an SQLite file; any thread may use it.

    Args:
        path: The database file, see `Database`.

    Raises:
        StoreUnusable: If the file cannot be used, see `Database`.
    """

    @explained
    def append(self, entry: AuditEntry) -> None:
        """Store an entry; see `AuditTrail`."""
        with self._lock, self._transaction("IMMEDIATE"):
            audit_statements.append(self._connection, entry)

    @explained
    def entries(self, wanted: AuditFilter) -> list[tuple[int, AuditEntry]]:
        """Return entries with their numbers, the newest first; see `AuditTrail`."""
        with self._lock:
            rows = self._connection.execute(_ENTRIES, wanted._asdict())
            return [(row[0], AuditEntry(*row[1:])) for row in rows]

    def close(self) -> None:
        """Let go of the file; idempotent."""
        with self._lock:
            super().close()
