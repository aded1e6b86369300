"""The SQLite database: one file, shared by the server and the administration commands.

Every store in it has a connection of its own. Here is what they all need: opening, the file's
format, transactions, and failures in sentences.

Source: https://sqlite.org/wal.html, https://sqlite.org/lang_transaction.html (2026-11).
Weakness: SQLite's write-ahead log needs a local disk; a data directory on a network file system
may lose writes. Calls block the caller's thread, a write for as long as the disk takes to sync.
"""

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, Concatenate, ParamSpec, TypeVar

from tokenferry.engine.keys import StoreUnusable

# Step n brings a database of version n - 1 to version n. Steps are only ever added.
MIGRATIONS = (
    "keys_1.sql",
    "archive_1.sql",
    "accounts_1.sql",
    "ledger_1.sql",
    "prices_1.sql",
    "vouchers_1.sql",
    "topups_1.sql",
    "ledger_2.sql",
    "limits_1.sql",
    "ledger_3.sql",
    "ledger_4.sql",
    "admin_1.sql",
    "limits_2.sql",
    "audit_1.sql",
    "topups_2.sql",
)
# "tfry", so that another program's database is not taken for ours.
APPLICATION_ID = 0x74667279
# A writer holds the lock for one sync of the disk; the event loop may have to wait that long.
BUSY_TIMEOUT_MS = 2_000
# The least that the index of SQLite's log takes.
ROOM_MIN_BYTES = 32 << 10

_P = ParamSpec("_P")
_R = TypeVar("_R")
_D = TypeVar("_D", bound="Database")


def explained(method: Callable[Concatenate[_D, _P], _R]) -> Callable[Concatenate[_D, _P], _R]:
    """Turn every failure of SQLite in a method into `StoreUnusable`."""

    @wraps(method)
    def explaining(self: _D, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(self, *args, **kwargs)
        except sqlite3.Error as exc:
            raise StoreUnusable(explain(self.path, exc)) from exc

    return explaining


class Database:
    """A connection to the database file.

    Attributes:
        migrations: The steps to today's form.
        application_id: Whose file it is.

    Args:
        path: The database file; it is created, readable by its owner alone, and so is its
            directory. What already exists keeps its mode.
        any_thread: Whether others than the thread that opened it may use it, one at a time.

    Raises:
        StoreUnusable: If the file cannot be opened, is no database of ours, or was written by a
            newer release.
    """

    migrations: ClassVar[Sequence[str]] = MIGRATIONS
    application_id: ClassVar[int] = APPLICATION_ID

    def __init__(self, path: Path, *, any_thread: bool = False) -> None:
        self.path = path
        try:
            _create_file(path)
            self._connection = sqlite3.connect(
                path,
                isolation_level=None,
                timeout=BUSY_TIMEOUT_MS / 1000,
                check_same_thread=not any_thread,
            )
        except (OSError, sqlite3.Error) as exc:
            raise StoreUnusable(explain(path, exc)) from exc
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Let go of the file; idempotent."""
        self._connection.close()

    @explained
    def _prepare(self) -> None:
        # Nothing is written before the file is known to be ours.
        with self._transaction("DEFERRED"):
            format_version = self._recognise()
        self._connection.execute("PRAGMA journal_mode = WAL")
        # A key that was shown must exist, and a revoked one stay revoked, after a power cut; and
        # a summary must be there before the chunks are given up.
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA trusted_schema = OFF")
        if format_version < len(self.migrations):
            self._migrate()

    def _recognise(self) -> int:
        application_id = self._pragma("application_id")
        format_version = self._pragma("user_version")
        if application_id != self.application_id and (application_id or not self._is_blank()):
            raise StoreUnusable(
                f"{self.path} is a database of another program. Name another data directory."
            )
        if format_version > len(self.migrations):
            raise StoreUnusable(
                f"{self.path} was written by a newer Tokenferry (format {format_version}, this one "
                f"knows {len(self.migrations)}). Start that release, or name another data "
                "directory."
            )
        return format_version

    def _migrate(self) -> None:
        with self._transaction("IMMEDIATE"):
            # Asked again under the lock: another process may have been faster.
            for name in self.migrations[self._recognise() :]:
                for statement in _statements(name):
                    self._connection.execute(statement)
            self._connection.execute(f"PRAGMA application_id = {self.application_id}")
            self._connection.execute(f"PRAGMA user_version = {len(self.migrations)}")

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


class SharedDatabase(Database):
    """A connection that any thread may use, each under `_lock`.

    Args:
        path: The database file, see `Database`.

    Raises:
        StoreUnusable: If the file cannot be used, see `Database`.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        super().__init__(path, any_thread=True)


def _create_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Only a file that is not there yet: to close one that another connection of this process has
    # open would give up that connection's locks (https://sqlite.org/howtocorrupt.html, 2.2).
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    with suppress(FileExistsError):
        # SQLite gives its -wal and -shm files the mode of the database.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _statements(name: str) -> Iterator[str]:
    """Yield the statements of a script; `executescript` would commit the open transaction."""
    script = files(__package__).joinpath(name).read_text(encoding="utf-8")
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def explain(path: Path, exc: Exception) -> str:
    """Return a sentence that says what is wrong with the file and what to do."""
    if _is_full(path, exc):
        return f"Cannot write {path}: its disk is full ({exc}). Make room, or raise the limit."
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


def _is_full(path: Path, exc: Exception) -> bool:
    if isinstance(exc, OSError):
        return exc.errno in (errno.ENOSPC, errno.EDQUOT)
    primary = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    if primary != sqlite3.SQLITE_IOERR:
        return primary == sqlite3.SQLITE_FULL
    # SQLite calls it so where it has no room for the index of its log.
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < ROOM_MIN_BYTES
