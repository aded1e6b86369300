"""The database file and its format, seen through the store of keys."""

import errno
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tokenferry.engine.keys import StoreUnusable
from tokenferry.stores import sqlite_database
from tokenferry.stores.sqlite import SqliteKeys
from tokenferry.stores.sqlite_archive import SqliteArchive
from tokenferry.stores.sqlite_database import APPLICATION_ID, MIGRATIONS

HASH = bytes(32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "tokenferry.db"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_can_read_it(path: Path) -> None:
    store = SqliteKeys(path)
    store.create("n", "id", HASH, 1)
    assert mode(path.parent) == 0o700
    files = list(path.parent.iterdir())
    assert {file.name for file in files} == {
        "tokenferry.db",
        "tokenferry.db-wal",
        "tokenferry.db-shm",
    }
    assert {mode(file) for file in files} == {0o600}
    store.close()


OTHER_PROCESS = """
import sys
from pathlib import Path
from tokenferry.stores.sqlite import SqliteKeys
store = SqliteKeys(Path(sys.argv[1]))
store.create("n", sys.argv[2], bytes(32), 1)
store.close()
"""


def test_two_stores_of_a_process_see_what_other_processes_write(path: Path) -> None:
    """POSIX: to close a file gives up all locks that the process has on it, whoever set them.

    The other process would take itself for the last user, and delete the write-ahead log.
    """
    keys = SqliteKeys(path)
    archive = SqliteArchive(path)
    for name in ("one", "two"):
        subprocess.run([sys.executable, "-c", OTHER_PROCESS, str(path), name], check=True)
        assert keys.find(name) is not None
        assert path.with_name("tokenferry.db-wal").exists()
    archive.close()
    keys.close()


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    directory = tmp_path / "mounted"
    directory.mkdir()
    directory.chmod(0o755)
    SqliteKeys(directory / "tokenferry.db").close()
    assert mode(directory) == 0o755


def test_writes_are_synced_to_a_write_ahead_log(path: Path) -> None:
    store = SqliteKeys(path)
    pragma = store._pragma
    assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert pragma("synchronous") == 2  # FULL
    assert pragma("busy_timeout") == sqlite_database.BUSY_TIMEOUT_MS
    assert pragma("user_version") == len(MIGRATIONS)
    assert pragma("application_id") == APPLICATION_ID
    store.close()


def test_two_that_open_a_new_file_at_once_migrate_it_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = SqliteKeys._migrate

    def slower(self: SqliteKeys) -> None:
        # The other process is through before this one has the lock.
        monkeypatch.setattr(SqliteKeys, "_migrate", original)
        other = SqliteKeys(path)
        other.create("n", "id", HASH, 1)
        other.close()
        original(self)

    monkeypatch.setattr(SqliteKeys, "_migrate", slower)
    store = SqliteKeys(path)
    assert store.find("id") is not None
    store.close()


def test_a_failed_migration_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = sqlite_database._statements

    def failing(name: str) -> list[str]:
        return [*statements(name), "SELECT nonsense"]

    monkeypatch.setattr(sqlite_database, "_statements", failing)
    with pytest.raises(StoreUnusable):
        SqliteKeys(path)
    monkeypatch.undo()
    store = SqliteKeys(path)
    assert store.is_empty()
    store.close()


def test_a_newer_format_is_refused_and_left_alone(path: Path) -> None:
    SqliteKeys(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    known = len(MIGRATIONS)
    with pytest.raises(
        StoreUnusable, match=rf"newer Tokenferry \(format {known + 1}, this one knows {known}\)"
    ):
        SqliteKeys(path)


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE bookmarks (url)", "PRAGMA application_id = 12345"]
)
def test_another_program_s_database_is_refused_and_left_alone(path: Path, statement: str) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreUnusable, match="database of another program"):
        SqliteKeys(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes("데이터베이스가 아닙니다".encode() * 100)
    with pytest.raises(StoreUnusable, match=r"damaged or no database.*backup"):
        SqliteKeys(path)


def test_a_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreUnusable, match=r"Cannot open .*File exists"):
        SqliteKeys(tmp_path / "data" / "tokenferry.db")


def test_a_database_that_is_a_directory_is_told(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreUnusable, match=r"Cannot open .*Is a directory"):
        SqliteKeys(path)


def test_a_second_connection_leaves_the_first_ones_locks_alone(path: Path) -> None:
    """A process that opens and closes the database is not the last one: the log stays."""
    first = SqliteKeys(path)
    second = SqliteKeys(path)
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
        "c.execute('PRAGMA user_version').fetchone(); c.close()"
    )
    first.create("a", "id", bytes(32), 1)
    log = path.with_name(f"{path.name}-wal")
    before = log.stat().st_ino
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=20)
    assert log.stat().st_ino == before
    second.close()
    first.close()


def test_a_full_disk_is_called_so(path: Path) -> None:
    store = SqliteKeys(path)
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnusable, match=r"tokenferry\.db: its disk is full .* Make room"):
        store.create("n" * 100_000, "id", HASH, 1)
    store.close()


@pytest.mark.parametrize(("free", "says"), [(0, "its disk is full"), (99, "Check the disk")])
def test_a_failure_for_want_of_room_is_told_from_others(
    path: Path, monkeypatch: pytest.MonkeyPatch, free: int, says: str
) -> None:
    failure = sqlite3.OperationalError("disk I/O error")
    failure.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    found = os.statvfs("/")
    monkeypatch.setattr(
        "os.statvfs", lambda _: os.statvfs_result((4096, 4096, *found[2:4], free, *found[5:]))
    )
    assert says in sqlite_database.explain(path, failure)


def test_a_file_for_which_there_is_no_room_is_called_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("os.open", fail)
        with pytest.raises(StoreUnusable, match="its disk is full"):
            SqliteKeys(path)
