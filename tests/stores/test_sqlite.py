"""What is particular to the SQLite store: the file, its format, and other processes."""

import sqlite3
import stat
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from tokenferry.domain.api_key import KeyRecord
from tokenferry.engine.keys import Authenticator, StoreUnusable, ensure_first_key
from tokenferry.errors import InvalidKey
from tokenferry.stores import sqlite
from tokenferry.stores.sqlite import APPLICATION_ID, MIGRATIONS, SqliteKeys

HASH = bytes(32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "tokenferry.db"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_outlive_the_process(path: Path) -> None:
    store = SqliteKeys(path)
    store.create("김철수", "id", HASH, 1)
    store.revoke("id", 2)
    store.close()
    again = SqliteKeys(path)
    assert again.all() == [KeyRecord("id", "김철수", HASH, 1, 2)]
    again.close()


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
    assert pragma("busy_timeout") == sqlite.BUSY_TIMEOUT_MS
    assert pragma("user_version") == len(MIGRATIONS)
    assert pragma("application_id") == APPLICATION_ID
    store.close()


def test_another_connection_s_writes_are_seen_at_once(path: Path) -> None:
    server, command = SqliteKeys(path), SqliteKeys(path)
    version = server.data_version()
    command.create("n", "id", HASH, 1)
    assert server.data_version() > version
    assert server.find("id") is not None
    version = server.data_version()
    command.revoke("id", 2)
    assert server.revoked_after(version) == ["id"]
    server.close()
    command.close()


def test_other_tables_writes_do_not_change_the_version(path: Path) -> None:
    store = SqliteKeys(path)
    store.create("n", "id", HASH, 1)
    version = store.data_version()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE ledger (entry)")
    other.close()
    assert store.data_version() == version
    store.close()


def test_a_key_that_another_process_revokes_is_refused_from_then_on(path: Path) -> None:
    store = SqliteKeys(path)
    authenticator = Authenticator(store, count().__next__)
    token = ensure_first_key(store, 1, lambda count: b"\7" * count)
    assert token is not None
    public_id = authenticator.authenticate(token).public_id
    authenticator.check(public_id)
    code = (
        "import sys; from pathlib import Path; from tokenferry.stores.sqlite import SqliteKeys;"
        "sys.exit(not SqliteKeys(Path(sys.argv[1])).revoke(sys.argv[2], 2))"
    )
    source = str(Path(sqlite.__file__).parents[2])
    subprocess.run(
        [sys.executable, "-c", code, str(path), public_id],
        env={"PYTHONPATH": source},
        check=True,
        timeout=60,
    )
    with pytest.raises(InvalidKey):
        authenticator.authenticate(token)
    with pytest.raises(InvalidKey):
        authenticator.check(public_id)
    assert authenticator.revoked_since_last_poll() == [public_id]
    assert authenticator.revoked_since_last_poll() == []
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
    statements = sqlite._statements

    def failing(name: str) -> list[str]:
        return [*statements(name), "SELECT nonsense"]

    monkeypatch.setattr(sqlite, "_statements", failing)
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
    with pytest.raises(StoreUnusable, match=r"newer Tokenferry \(format 2, this one knows 1\)"):
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


def test_a_damaged_page_is_told_when_it_is_read(path: Path) -> None:
    store = SqliteKeys(path)
    for number in range(100):
        store.create("n", f"id-{number}", HASH, number)
    store.close()
    content = bytearray(path.read_bytes())
    page_bytes = int.from_bytes(content[16:18])
    content[page_bytes:] = b"\xff" * (len(content) - page_bytes)
    path.write_bytes(content)
    damaged = SqliteKeys(path)
    for read in (damaged.all, lambda: damaged.find("id-1"), damaged.data_version):
        with pytest.raises(StoreUnusable, match=f"{path.name} is damaged"):
            read()
    damaged.close()


def test_a_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreUnusable, match=r"Cannot open .*File exists"):
        SqliteKeys(tmp_path / "data" / "tokenferry.db")


def test_a_database_that_is_a_directory_is_told(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreUnusable, match=r"Cannot open .*Is a directory"):
        SqliteKeys(path)


def test_a_lock_that_is_not_let_go_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 10)
    store = SqliteKeys(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnusable, match="locked by another program"):
        store.create("n", "id", HASH, 1)
    # Reading goes on meanwhile.
    assert store.is_empty()
    other.execute("ROLLBACK")
    other.close()
    store.create("n", "id", HASH, 1)
    store.close()


def test_a_closed_store_says_so(path: Path) -> None:
    store = SqliteKeys(path)
    store.close()
    with pytest.raises(StoreUnusable, match="cannot be used"):
        store.find("id")
    with pytest.raises(StoreUnusable, match="cannot be used"):
        store.data_version()


def test_a_wrong_hash_length_is_refused(path: Path) -> None:
    store = SqliteKeys(path)
    with pytest.raises(StoreUnusable):
        store.create("n", "id", b"short", 1)
    assert store.is_empty()
    store.close()
