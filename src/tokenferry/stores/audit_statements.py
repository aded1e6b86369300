"""What every store that an administrator changes does within its own transaction."""

import sqlite3

from tokenferry.engine.audit_trail import AuditEntry

COLUMNS = ", ".join(AuditEntry._fields)
_INSERT = (
    f"INSERT INTO audit_entry ({COLUMNS}) "  # noqa: S608 -- constants only
    f"VALUES ({', '.join('?' * len(AuditEntry._fields))})"
)


def append(connection: sqlite3.Connection, entry: AuditEntry | None) -> None:
    """Write an entry of the audit trail in the open transaction; None for no administrator."""
    if entry is not None:
        connection.execute(_INSERT, entry)
