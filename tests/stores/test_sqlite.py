"""What is particular to the keys in SQLite: other processes, and damage that is met later."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from tokenferry.domain.allowance import (
    LIMIT_NAMES,
    NO_OWN_LIMITS,
    Allowance,
    GivenLimits,
    KeyLimits,
)
from tokenferry.domain.api_key import KeyRecord, KeyTerms
from tokenferry.engine.keys import Authenticator, StoreUnusable, ensure_first_key
from tokenferry.errors import InvalidKey
from tokenferry.stores import sqlite_database
from tokenferry.stores.sqlite import SqliteKeys

HASH = bytes(32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "tokenferry.db"


def test_keys_outlive_the_process(path: Path) -> None:
    store = SqliteKeys(path)
    store.create("김철수", "id", HASH, 1)
    store.revoke("id", 2)
    store.close()
    again = SqliteKeys(path)
    assert again.all() == [KeyRecord("id", "김철수", HASH, 1, 2)]
    again.close()


def test_keys_that_are_older_than_limits_have_the_usual_ones(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = sqlite_database.MIGRATIONS
    monkeypatch.setattr(
        sqlite_database.Database, "migrations", every[: every.index("limits_1.sql")]
    )
    SqliteKeys(path).close()
    with sqlite3.connect(path) as old:
        old.execute(
            "INSERT INTO api_key (public_id, name, secret_hash, created_at_ms, version) "
            "VALUES ('id', '김철수', ?, 1, 1)",
            (HASH,),
        )
    old.close()
    monkeypatch.setattr(sqlite_database.Database, "migrations", every)
    store = SqliteKeys(path)
    (record,) = store.all()
    assert record == KeyRecord("id", "김철수", HASH, 1)
    # What nearly all keys have is one object, which costs a request nothing.
    assert record.terms.limits is NO_OWN_LIMITS
    store.close()


def before_limits_were_kept_apart(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a data directory with the steps that there were, and a key for each row."""
    every = sqlite_database.MIGRATIONS
    with monkeypatch.context() as patch:
        steps = every[: every.index("limits_2.sql")]
        patch.setattr(sqlite_database.Database, "migrations", steps)
        SqliteKeys(path).close()
    with closing(sqlite3.connect(path)) as old, old:
        old.executemany(
            "INSERT INTO api_key (public_id, name, secret_hash, created_at_ms, version, "
            "account_id, requests_per_minute, tokens_per_minute, streams_max, "
            "limits_granted, has_priority) "
            "VALUES (?, 'n', zeroblob(32), ?, ?, 'acc_1', ?, ?, ?, ?, ?)",
            [(name, at, at, *row) for at, (name, row) in enumerate(BEFORE.items(), 1)],
        )


# Requests, tokens, streams, whether the operator had set one, priority.
BEFORE = {
    "nobody's": (None, None, None, 0, 0),
    "owner's": (10, None, 3, 0, 0),
    "operator's": (5, 600, 0, 1, 0),
    "lowered by its owner": (300, None, 2, 1, 1),
    "taken back": (None, None, None, 1, 0),
}
AFTER = {
    "nobody's": NO_OWN_LIMITS,
    "owner's": KeyLimits(owner=GivenLimits(10, None, 3)),
    "operator's": KeyLimits(GivenLimits(5, 600, 0)),
    "lowered by its owner": KeyLimits(GivenLimits(300, None, 2), has_priority=True),
    "taken back": NO_OWN_LIMITS,
}


def test_of_limits_that_were_one_the_operator_s_are_told_from_the_owner_s(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_limits_were_kept_apart(path, monkeypatch)
    with closing(SqliteKeys(path)) as store:
        assert {record.public_id: record.terms.limits for record in store.all()} == AFTER


@pytest.mark.parametrize("usual", [Allowance(), Allowance(60, 1000, 4), Allowance(2, 2, 2)])
def test_what_holds_is_what_held_before_limits_were_kept_apart(
    path: Path, monkeypatch: pytest.MonkeyPatch, usual: Allowance
) -> None:
    def held_before(number: int | None, of_all: int, *, is_granted: bool) -> int:
        if number is None or (number > of_all > 0 and not is_granted):
            return of_all
        return number

    before_limits_were_kept_apart(path, monkeypatch)
    with closing(SqliteKeys(path)) as store:
        for public_id, (*numbers, is_granted, _) in BEFORE.items():
            record = store.find(public_id)
            assert record is not None
            held = record.terms.limits.within(usual)
            for number, name in zip(numbers, LIMIT_NAMES, strict=True):
                expected = held_before(number, getattr(usual, name), is_granted=bool(is_granted))
                assert getattr(held, name) == expected, (public_id, name)
            # Its owner lifts all that is his: of a key that the operator had limited, nothing.
            store.change(public_id, "n", KeyTerms())
            lifted = store.find(public_id)
            assert lifted is not None
            if is_granted:
                assert lifted.terms.limits.within(usual) == held
            else:
                assert lifted.terms.limits.within(usual) == usual


def test_another_connection_s_writes_are_seen_at_once(path: Path) -> None:
    server, command = SqliteKeys(path), SqliteKeys(path)
    version = server.data_version()
    command.create("n", "id", HASH, 1)
    assert server.data_version() > version
    assert server.find("id") is not None
    version = server.data_version()
    command.revoke("id", 2)
    assert server.changed_after(version) == ["id"]
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
    source = str(Path(sqlite_database.__file__).parents[2])
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
    assert [lost.public_id for lost in authenticator.lost_since_last_poll()] == [public_id]
    assert authenticator.lost_since_last_poll() == []
    store.close()


def test_a_damaged_page_is_told_when_it_is_read(path: Path) -> None:
    store = SqliteKeys(path)
    for number in range(100):
        store.create("n", f"id-{number}", HASH, number)
    store.close()
    content = bytearray(path.read_bytes())
    page_bytes = int.from_bytes(content[16:18])
    damaged = SqliteKeys(path)
    content[page_bytes:] = b"\xff" * (len(content) - page_bytes)
    path.write_bytes(content)
    for read in (damaged.all, lambda: damaged.find("id-1"), damaged.data_version):
        with pytest.raises(StoreUnusable, match=f"{path.name} is damaged"):
            read()
    damaged.close()


def test_a_lock_that_is_not_let_go_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_database, "BUSY_TIMEOUT_MS", 10)
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
