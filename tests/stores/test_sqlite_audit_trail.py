"""The audit trail in SQLite: what is listed, that nothing of it is changed, and older databases."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tokenferry.engine.audit_trail import AuditEntry, AuditFilter
from tokenferry.engine.keys import StoreUnusable
from tokenferry.stores.sqlite_audit_trail import SqliteAuditTrail
from tokenferry.stores.sqlite_database import MIGRATIONS, Database

ENTRY = AuditEntry(
    1_000, "account.grant", "acc_1", "acc_1", "acc_9", "관리@예시.kr", '{"reason":"버그 제보"}'
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokenferry.db"


@pytest.fixture
def trail(path: Path) -> Iterator[SqliteAuditTrail]:
    with closing(SqliteAuditTrail(path)) as trail:
        yield trail


def numbers(trail: SqliteAuditTrail, wanted: AuditFilter) -> list[int]:
    return [number for number, _ in trail.entries(wanted)]


def test_an_entry_is_kept_as_it_is(path: Path, trail: SqliteAuditTrail) -> None:
    bare = AuditEntry(2_000, "ledger.check", "ledger", None, "acc_9", None, "{}")
    trail.append(ENTRY)
    trail.append(bare)
    trail.close()
    with closing(SqliteAuditTrail(path)) as again:
        assert again.entries(AuditFilter(9)) == [(2, bare), (1, ENTRY)]


def test_the_newest_first_page_by_page_whatever_the_clock_said(trail: SqliteAuditTrail) -> None:
    for moment_ms in (5, 9, 3, 3, 1):
        trail.append(ENTRY._replace(moment_ms=moment_ms))
    pages, before = [], None
    while page := numbers(trail, AuditFilter(2, before=before)):
        pages.append(page)
        before = page[-1]
    assert pages == [[5, 4], [3, 2], [1]]


def test_filters(trail: SqliteAuditTrail) -> None:
    trail.append(ENTRY)
    trail.append(ENTRY._replace(moment_ms=2_000, action="key.revoke", target="k", account_id="a"))
    trail.append(ENTRY._replace(moment_ms=3_000, action="price.set", account_id=None))
    trail.append(ENTRY._replace(moment_ms=4_000, account_id="acc_9", by_account="a"))
    # About an account, or by it.
    assert numbers(trail, AuditFilter(9, account_id="a")) == [4, 2]
    assert numbers(trail, AuditFilter(9, account_id="acc_1")) == [1]
    assert numbers(trail, AuditFilter(9, account_id="acc_9")) == [4, 3, 2, 1]
    assert numbers(trail, AuditFilter(9, action="account.grant")) == [4, 1]
    assert numbers(trail, AuditFilter(9, from_ms=2_000)) == [4, 3, 2]
    assert numbers(trail, AuditFilter(9, from_ms=2_000, until_ms=4_000)) == [3, 2]
    assert numbers(trail, AuditFilter(1, "acc_9", "account.grant", 0, 9_000, 4)) == [1]
    assert numbers(trail, AuditFilter(9, action="account")) == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE audit_entry SET by_account = 'somebody'", "never changed"),
        ("UPDATE audit_entry SET details = details", "never changed"),
        ("DELETE FROM audit_entry", "never deleted"),
    ],
)
def test_nothing_of_it_is_changed_or_deleted(
    path: Path, trail: SqliteAuditTrail, statement: str, told: str
) -> None:
    trail.append(ENTRY)
    with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.IntegrityError, match=told):
        other.execute(statement)
    assert trail.entries(AuditFilter(9)) == [(1, ENTRY)]


def test_an_older_data_directory_gets_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Database, "migrations", MIGRATIONS[: MIGRATIONS.index("audit_1.sql")])
        Database(path).close()
    with closing(sqlite3.connect(path)) as old:
        tables = "SELECT COUNT(*) FROM sqlite_master WHERE name LIKE 'audit_entry%'"
        assert old.execute(tables).fetchone() == (0,)
    with closing(SqliteAuditTrail(path)) as trail:
        assert trail.entries(AuditFilter(9)) == []
        trail.append(ENTRY)
        assert numbers(trail, AuditFilter(9)) == [1]


def test_a_closed_one_says_so(trail: SqliteAuditTrail) -> None:
    trail.close()
    trail.close()
    with pytest.raises(StoreUnusable):
        trail.entries(AuditFilter(9))
