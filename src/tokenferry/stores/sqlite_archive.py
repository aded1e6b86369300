"""The archive in the SQLite database, beside the keys.

A connection writes and another one reads: who looks for a stream does not wait for a save, which
waits for the disk and belongs into a worker thread.

Source: docs/decisions/0009-streams-survive.md, "Kept"; https://sqlite.org/wal.html, "Concurrency".
Weakness: what has expired is still in free pages of the file until they are used again.
"""

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from pathlib import Path

from tokenferry.engine.archive import Summary
from tokenferry.stores.sqlite_database import SharedDatabase, explained

# Rows of one transaction of `expire`: a few milliseconds, in which the keys cannot be written.
EXPIRE_ROWS_MAX = 500

_NAMES = [field.name for field in fields(Summary)]
# `astuple` would make deep copies.
_values_of = attrgetter(*_NAMES)
_COLUMNS = ", ".join(_NAMES)
_VALUES = ", ".join(
    "CASE WHEN EXISTS (SELECT 1 FROM archived_stream"
    " WHERE owner = :owner AND idempotency_key = :idempotency_key)"
    " THEN NULL ELSE :idempotency_key END"
    if name == "idempotency_key"
    else f":{name}"
    for name in _NAMES
)
_INSERT = (
    f"INSERT INTO archived_stream ({_COLUMNS}) VALUES ({_VALUES}) "  # noqa: S608 -- constants only
    "ON CONFLICT (stream_id) DO NOTHING"
)
_SELECT = f"SELECT {_COLUMNS} FROM archived_stream"  # noqa: S608 -- constants only
# A list needs no texts, which may be megabytes each.
_SELECT_BARE = _SELECT.replace(" message,", " NULL,")
_DELETE_ROWS = (
    "DELETE FROM archived_stream WHERE rowid IN "
    "(SELECT rowid FROM archived_stream WHERE ended_ms < ? LIMIT ?)"
)
_DELETE_MESSAGES = (
    "UPDATE archived_stream SET message = NULL WHERE rowid IN "
    "(SELECT rowid FROM archived_stream WHERE ended_ms < ? AND message IS NOT NULL LIMIT ?)"
)


class _Reader(SharedDatabase):
    """The connection that reads."""

    def select(self, statement: str, *values: object) -> list[Summary]:
        with self._lock:
            return [Summary(*row) for row in self._connection.execute(statement, values)]

    def close(self) -> None:
        with self._lock:
            super().close()


class SqliteArchive(SharedDatabase):
    """Summaries in an SQLite file; any thread may use it.

    Args:
        path: The database file, see `Database`.

    Raises:
        StoreUnusable: If the file cannot be used, see `Database`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._reader = _Reader(path)
        except BaseException:
            super().close()
            raise

    @explained
    def save(self, summaries: Sequence[Summary]) -> None:
        """Store summaries durably, all or none; see `Archive`."""
        rows = [dict(zip(_NAMES, _values_of(each), strict=True)) for each in summaries]
        with self._lock, self._transaction("IMMEDIATE"):
            self._connection.executemany(_INSERT, rows)

    @explained
    def find(self, owner: str, stream_id: str) -> Summary | None:
        """Return an owner's stream, or None."""
        where = "WHERE stream_id = ? AND owner = ?"
        found = self._reader.select(f"{_SELECT} {where}", stream_id, owner)
        return found[0] if found else None

    @explained
    def find_idempotent(self, owner: str, idempotency_key: str) -> Summary | None:
        """Return the stream that an owner's idempotency key stands for, or None."""
        where = "WHERE owner = ? AND idempotency_key = ?"
        found = self._reader.select(f"{_SELECT} {where}", owner, idempotency_key)
        return found[0] if found else None

    @explained
    def recent(self, owner: str, limit: int, before_ms: int | None = None) -> list[Summary]:
        """Return an owner's streams, those that ended last first; see `Archive`."""
        where = "owner = ?"
        values: tuple[object, ...] = (owner,)
        if before_ms is not None:
            where += " AND ended_ms < ?"
            values = (owner, before_ms)
        order = "ORDER BY ended_ms DESC, stream_id DESC LIMIT ?"
        return self._reader.select(f"{_SELECT_BARE} WHERE {where} {order}", *values, limit)

    @explained
    def expire(self, now_ms: int, message_ms_kept: int, tombstone_ms_kept: int) -> None:
        """Give up what is older than it is kept; see `Archive`.

        Between two batches others have their turn.
        """
        steps = ((_DELETE_ROWS, tombstone_ms_kept), (_DELETE_MESSAGES, message_ms_kept))
        for statement, kept_ms in steps:
            changed = EXPIRE_ROWS_MAX
            while changed == EXPIRE_ROWS_MAX:
                with self._lock:
                    cursor = self._connection.execute(
                        statement, (now_ms - kept_ms, EXPIRE_ROWS_MAX)
                    )
                    changed = cursor.rowcount

    def close(self) -> None:
        """Let go of the file; idempotent."""
        self._reader.close()
        with self._lock:
            super().close()
