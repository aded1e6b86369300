"""What is particular to the archive in SQLite: the shared file, threads, batches."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.test_archive import BARE, FULL
from tokenferry.engine.keys import StoreUnusable
from tokenferry.stores import sqlite_archive
from tokenferry.stores.sqlite import SqliteKeys
from tokenferry.stores.sqlite_archive import SqliteArchive
from tokenferry.stores.sqlite_database import MIGRATIONS, Database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokenferry.db"


@pytest.fixture
def archive(path: Path) -> Iterator[SqliteArchive]:
    archive = SqliteArchive(path)
    yield archive
    archive.close()


def test_summaries_outlive_the_process(path: Path) -> None:
    for _ in range(2):
        archive = SqliteArchive(path)
        archive.save([FULL, BARE])
        archive.close()
    archive = SqliteArchive(path)
    assert archive.recent("key", 9) == [replace(FULL, message=None), BARE]
    assert archive.find("key", FULL.stream_id) == FULL
    archive.close()


def test_a_database_that_has_only_keys_gets_the_archive(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Database, "migrations", MIGRATIONS[:1])
        Database(path).close()
    with closing(sqlite3.connect(path)) as old, old:
        # As the release wrote it that knew no more.
        old.execute("INSERT INTO api_key VALUES ('id', 'n', zeroblob(32), 1, NULL, 1)")
    archive = SqliteArchive(path)
    archive.save([FULL])
    keys = SqliteKeys(path)
    assert keys.find("id") is not None
    keys.close()
    archive.close()


def test_saving_does_not_change_the_keys_version(path: Path, archive: SqliteArchive) -> None:
    keys = SqliteKeys(path)
    keys.create("n", "id", bytes(32), 1)
    version = keys.data_version()
    archive.save([FULL])
    assert keys.data_version() == version
    keys.close()


def test_several_threads_may_use_it(archive: SqliteArchive) -> None:
    failures: list[Exception] = []

    def work(name: str) -> None:
        try:
            for number in range(20):
                archive.save([replace(BARE, stream_id=f"{name}{number}", owner=name)])
                archive.recent(name, 5)
                archive.expire(1, 0, 0)
        except Exception as exc:  # noqa: BLE001 -- reported below
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [len(archive.recent(name, 99)) for name in "abc"] == [20, 20, 20]


def test_a_failed_save_leaves_nothing(archive: SqliteArchive) -> None:
    with pytest.raises(StoreUnusable):
        archive.save([FULL, replace(BARE, state="nonsense")])  # type: ignore[arg-type]
    assert archive.recent("key", 9) == []
    archive.save([FULL, BARE])
    assert len(archive.recent("key", 9)) == 2


def test_nobody_who_looks_for_a_stream_waits_for_a_save(archive: SqliteArchive) -> None:
    archive.save([FULL])
    found: list[object] = []

    def look() -> None:
        found.append(archive.find("key", FULL.stream_id))
        found.append(archive.find_idempotent("key", FULL.idempotency_key or ""))
        found.append(archive.find("key", BARE.stream_id))
        found.append(len(archive.recent("key", 9)))

    with archive._lock, archive._transaction("IMMEDIATE"):
        archive._connection.execute("UPDATE archived_stream SET head = 99")
        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        looking.join(30)
        assert found == [FULL, FULL, None, 1]


@pytest.mark.parametrize("rows", [2, 3, 4, 6, 7])
def test_expiry_takes_batches(
    archive: SqliteArchive, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(sqlite_archive, "EXPIRE_ROWS_MAX", 3)
    statements: list[str] = []
    archive.save([replace(BARE, stream_id=f"{number}", message="m") for number in range(rows)])
    archive._connection.set_trace_callback(statements.append)
    archive.expire(100, 50, 1_000)
    archive._connection.set_trace_callback(None)
    for number in range(rows):
        found = archive.find("key", f"{number}")
        assert found is not None
        assert found.message is None
    updates = [each for each in statements if each.startswith("UPDATE")]
    assert len(updates) == rows // 3 + 1


@pytest.mark.parametrize(
    ("rest", "index"),
    [
        ("owner = 'k' AND idempotency_key = 'i'", "idempotency"),
        ("owner = 'k' ORDER BY ended_ms DESC, stream_id DESC", "owner"),
        ("ended_ms < 5 LIMIT 5", "ended"),
        ("ended_ms < 5 AND message IS NOT NULL LIMIT 5", "message"),
    ],
)
def test_no_query_reads_the_whole_table(
    path: Path, archive: SqliteArchive, rest: str, index: str
) -> None:
    connection = sqlite3.connect(path)
    query = f"EXPLAIN QUERY PLAN SELECT rowid FROM archived_stream WHERE {rest}"
    plan = " ".join(row[3] for row in connection.execute(query))
    connection.close()
    assert f"archived_stream_{index}" in plan
    assert "SCAN" not in plan
    assert "B-TREE" not in plan


def test_a_closed_archive_says_so(archive: SqliteArchive) -> None:
    archive.close()
    with pytest.raises(StoreUnusable, match="cannot be used"):
        archive.save([FULL])
