"""The SQLite store of API keys: one file, shared by the server and the administration commands.

Source: https://sqlite.org/wal.html, https://sqlite.org/pragma.html#pragma_data_version (2026-11).
Weakness: SQLite's write-ahead log needs a local disk; a data directory on a network file system
may lose writes. Calls block the caller's thread, a write for as long as the disk takes to sync.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib.resources import files
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from tokenferry.domain.api_key import KeyRecord
from tokenferry.engine.keys import KeyExists, StoreUnusable

# Step n brings a database of version n - 1 to version n. Steps are only ever added.
MIGRATIONS = ("keys_1.sql",)
# "tfry", so that another program's database is not taken for ours.
APPLICATION_ID = 0x74667279
# A writer holds the lock for one sync of the disk; the event loop may have to wait that long.
BUSY_TIMEOUT_MS = 2_000

_COLUMNS = "public_id, name, secret_hash, created_at_ms, revoked_at_ms"
_NEXT_VERSION = "(SELECT COALESCE(MAX(version), 0) + 1 FROM api_key)"

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _explained(
    method: "Callable[Concatenate[SqliteKeys, _P], _R]",
) -> "Callable[Concatenate[SqliteKeys, _P], _R]":
    """Turn every failure of SQLite into `StoreUnusable`."""

    @wraps(method)
    def explained(self: "SqliteKeys", /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(self, *args, **kwargs)
        except sqlite3.Error as exc:
            raise StoreUnusable(_explain(self.path, exc)) from exc

    return explained


class SqliteKeys:
    """Keys in an SQLite file. It belongs to the thread that opened it.

    Args:
        path: The database file; it is created, readable by its owner alone, and so is its
            directory. What already exists keeps its mode.

    Raises:
        StoreUnusable: If the file cannot be opened, is no database of ours, or was written by a
            newer release.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._write_version = 0
        self._file_version = -1
        try:
            _create_file(path)
            self._connection = sqlite3.connect(
                path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000
            )
        except (OSError, sqlite3.Error) as exc:
            raise StoreUnusable(_explain(path, exc)) from exc
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    @_explained
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

    @_explained
    def find(self, public_id: str) -> KeyRecord | None:
        """Return one key, revoked or not, or None."""
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM api_key WHERE public_id = ?",  # noqa: S608 -- constants only
            (public_id,),
        ).fetchone()
        return KeyRecord(*row) if row else None

    @_explained
    def all(self) -> list[KeyRecord]:
        """Return every key, oldest first."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM api_key ORDER BY created_at_ms, public_id"  # noqa: S608 -- constants only
        )
        return [KeyRecord(*row) for row in rows]

    @_explained
    def revoke(self, public_id: str, now_ms: int) -> bool:
        """Revoke a key and return whether it exists; see `KeyStore`."""
        self._connection.execute(
            f"UPDATE api_key SET revoked_at_ms = ?, version = {_NEXT_VERSION} "  # noqa: S608 -- constants only
            "WHERE public_id = ? AND revoked_at_ms IS NULL",
            (now_ms, public_id),
        )
        self._file_version = -1
        return self.find(public_id) is not None

    @_explained
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
            raise StoreUnusable(_explain(self.path, exc)) from exc
        return self._write_version

    @_explained
    def revoked_after(self, version: int) -> list[str]:
        """Return the public ids that were revoked by writes later than `version`."""
        rows = self._connection.execute(
            "SELECT public_id FROM api_key "
            "WHERE version > ? AND revoked_at_ms IS NOT NULL ORDER BY version",
            (version,),
        )
        return [public_id for (public_id,) in rows]

    def close(self) -> None:
        """Let go of the file; idempotent."""
        self._connection.close()

    def _read_version(self) -> int:
        row = self._connection.execute("SELECT COALESCE(MAX(version), 0) FROM api_key").fetchone()
        return int(row[0])

    @_explained
    def _prepare(self) -> None:
        # Nothing is written before the file is known to be ours.
        with self._transaction("DEFERRED"):
            format_version = self._recognise()
        self._connection.execute("PRAGMA journal_mode = WAL")
        # A key that was shown must exist, and a revoked one stay revoked, after a power cut.
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA trusted_schema = OFF")
        if format_version < len(MIGRATIONS):
            self._migrate()

    def _recognise(self) -> int:
        application_id = self._pragma("application_id")
        format_version = self._pragma("user_version")
        if application_id != APPLICATION_ID and (application_id or not self._is_blank()):
            raise StoreUnusable(
                f"{self.path} is a database of another program. Name another data directory."
            )
        if format_version > len(MIGRATIONS):
            raise StoreUnusable(
                f"{self.path} was written by a newer Tokenferry (format {format_version}, this one "
                f"knows {len(MIGRATIONS)}). Start that release, or name another data directory."
            )
        return format_version

    def _migrate(self) -> None:
        with self._transaction("IMMEDIATE"):
            # Asked again under the lock: another process may have been faster.
            for name in MIGRATIONS[self._recognise() :]:
                for statement in _statements(name):
                    self._connection.execute(statement)
            self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        self._connection.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            # Some failures have ended the transaction already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _is_blank(self) -> bool:
        return self._connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def _create_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the mode of the database.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _statements(name: str) -> Iterator[str]:
    """Yield the statements of a script; `executescript` would commit the open transaction."""
    script = files(__package__).joinpath(name).read_text(encoding="utf-8")
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _explain(path: Path, exc: Exception) -> str:
    if isinstance(exc, OSError):
        return f"Cannot open {path}: {exc.strerror}. Check who owns it, or name another directory."
    if isinstance(exc, sqlite3.OperationalError) and "locked" in str(exc):
        return f"{path} is locked by another program: {exc}. End that program and try again."
    if isinstance(exc, sqlite3.ProgrammingError):
        return f"{path} cannot be used: {exc}."
    if isinstance(exc, sqlite3.OperationalError):
        return f"Cannot use {path}: {exc}. Check the disk and the file's permissions."
    return (
        f"{path} is damaged or no database: {exc}. Restore it from a backup, or move it away to "
        "start anew without its keys."
    )
