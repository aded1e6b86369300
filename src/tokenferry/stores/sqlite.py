"""The SQLite store of API keys.

Source: https://sqlite.org/pragma.html#pragma_data_version (2026-11).
Weakness: that of `sqlite_database`; each write is made in the event loop's thread.
"""

import sqlite3
from pathlib import Path

from tokenferry.domain.api_key import KeyRecord
from tokenferry.engine.keys import KeyExists, StoreUnusable
from tokenferry.stores.sqlite_database import Database, explain, explained

_COLUMNS = "public_id, name, secret_hash, created_at_ms, revoked_at_ms"
_NEXT_VERSION = "(SELECT COALESCE(MAX(version), 0) + 1 FROM api_key)"


class SqliteKeys(Database):
    """Keys in an SQLite file. It belongs to the thread that opened it.

    Args:
        path: The database file; it is created, readable by its owner alone, and so is its
            directory. What already exists keeps its mode.

    Raises:
        StoreUnusable: If the file cannot be opened, is no database of ours, or was written by a
            newer release.
    """

    def __init__(self, path: Path) -> None:
        self._write_version = 0
        self._file_version = -1
        super().__init__(path)

    @explained
    def create(self, name: str, public_id: str, secret_hash: bytes, created_at_ms: int) -> None:
        """Store a new key; see `KeyStore`."""
        insert = (
            f"INSERT INTO api_key ({_COLUMNS}, version) "  # noqa: S608 -- constants only
            f"VALUES (?, ?, ?, ?, NULL, {_NEXT_VERSION})"
        )
        try:
            self._connection.execute(insert, (public_id, name, secret_hash, created_at_ms))
        except sqlite3.IntegrityError as exc:
            if self.find(public_id) is None:
                raise
            raise KeyExists(public_id) from exc
        self._file_version = -1

    @explained
    def find(self, public_id: str) -> KeyRecord | None:
        """Return one key, revoked or not, or None."""
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM api_key WHERE public_id = ?",  # noqa: S608 -- constants only
            (public_id,),
        ).fetchone()
        return KeyRecord(*row) if row else None

    @explained
    def all(self) -> list[KeyRecord]:
        """Return every key, oldest first."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM api_key ORDER BY created_at_ms, public_id"  # noqa: S608 -- constants only
        )
        return [KeyRecord(*row) for row in rows]

    @explained
    def revoke(self, public_id: str, now_ms: int) -> bool:
        """Revoke a key and return whether it exists; see `KeyStore`."""
        self._connection.execute(
            f"UPDATE api_key SET revoked_at_ms = ?, version = {_NEXT_VERSION} "  # noqa: S608 -- constants only
            "WHERE public_id = ? AND revoked_at_ms IS NULL",
            (now_ms, public_id),
        )
        self._file_version = -1
        return self.find(public_id) is not None

    @explained
    def is_empty(self) -> bool:
        """Return whether no key was ever created."""
        row = self._connection.execute("SELECT NOT EXISTS (SELECT 1 FROM api_key)").fetchone()
        return bool(row[0])

    def data_version(self) -> int:
        """Return the number of writes to the keys; see `KeyStore`.

        SQLite's own data_version changes when another connection has written anything to the
        file; only then, or after a write of ours, is the table asked. Not decorated: it is called
        for every request.
        """
        try:
            (file_version,) = self._connection.execute("PRAGMA data_version").fetchone()
            if file_version != self._file_version:
                self._write_version = self._read_version()
                self._file_version = file_version
        except sqlite3.Error as exc:
            raise StoreUnusable(explain(self.path, exc)) from exc
        return self._write_version

    @explained
    def revoked_after(self, version: int) -> list[str]:
        """Return the public ids that were revoked by writes later than `version`."""
        rows = self._connection.execute(
            "SELECT public_id FROM api_key "
            "WHERE version > ? AND revoked_at_ms IS NOT NULL ORDER BY version",
            (version,),
        )
        return [public_id for (public_id,) in rows]

    def _read_version(self) -> int:
        row = self._connection.execute("SELECT COALESCE(MAX(version), 0) FROM api_key").fetchone()
        return int(row[0])
