"""The request log's file: apart from money, safe to share, found by indexes."""

import sqlite3
import threading
from contextlib import closing

import pytest

from contracts.test_request_store import PERIODS, answer, drafts
from domain.test_request_record import record
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.request_log import Draft
from tokenferry.stores.sqlite_database import Database
from tokenferry.stores.sqlite_requests import SqliteRequests


@pytest.fixture
def path(tmp_path):
    return tmp_path / "requests.db"


@pytest.fixture
def store(path):
    with closing(SqliteRequests(path)) as store:
        yield store


def test_it_outlives_its_process_and_is_readable_for_its_owner_alone(path, store):
    store.write(drafts(record()))
    store.close()
    with closing(SqliteRequests(path)) as again:
        assert again.find("st_1", None) == record()
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_of_money_is_another_one(path, tmp_path, store):
    Database(tmp_path / "tokenferry.db").close()
    with pytest.raises(StoreUnusable, match="another program"):
        SqliteRequests(tmp_path / "tokenferry.db")
    with pytest.raises(StoreUnusable, match="another program"):
        Database(path)


def test_a_batch_is_written_whole_or_not_at_all(store):
    bad = record("st_2")._replace(transport=None)
    with pytest.raises(StoreUnusable):
        store.write(drafts(record(), bad))
    assert store.find("st_1", None) is None
    assert list(store.hours(0, 0)) == []


def test_another_thread_may_read_while_one_writes(store):
    def write():
        for n in range(50):
            store.write(drafts(record(f"st_{n}")))

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        store.hours(0, 0)
        store.find("st_1", "a")
    writer.join()
    assert store.hours(0, 0)[0].served == 50


def test_what_has_expired_is_not_left_in_the_file(path, store):
    secret = "비밀번호는 참새입니다"
    store.write([Draft(record(), None, answer(secret), 10_000)])
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert secret.encode() in path.read_bytes()
    store.expire(10_000, PERIODS)
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert secret.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT rowid FROM request WHERE ended_ms < 5 ORDER BY ended_ms LIMIT 9",
        "SELECT rowid FROM request_content WHERE ended_ms < 5 ORDER BY ended_ms LIMIT 9",
        (
            "SELECT 1 FROM request WHERE is_charged = 0 AND account_id = 'a' "
            "AND (ended_ms, stream_id) < (5, '') ORDER BY ended_ms DESC, stream_id DESC"
        ),
        (
            "SELECT 1 FROM request WHERE is_charged = 0 "
            "AND (ended_ms, stream_id) < (5, '') ORDER BY ended_ms DESC, stream_id DESC"
        ),
        "SELECT * FROM model_hour WHERE hour >= 5",
    ],
)
def test_nothing_reads_the_whole_file(path, store, query):
    with closing(sqlite3.connect(path)) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert plan[0].startswith("SEARCH")
    assert not any("TEMP B-TREE" in step for step in plan)
