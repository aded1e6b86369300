"""What an administrator changes and its entry of the audit trail are one transaction."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.test_price_store import price
from stores.test_sqlite_accounts import ONE
from stores.test_sqlite_audit_trail import ENTRY
from stores.test_sqlite_topups import ORDER, PAID
from stores.test_sqlite_vouchers import GOOD
from tokenferry.domain.allowance import GivenLimits, KeyLimits
from tokenferry.domain.api_key import KeyTerms
from tokenferry.domain.ledger import grant
from tokenferry.domain.topup import Order, Settled, settle
from tokenferry.domain.topup_refund import ask_refund
from tokenferry.engine.audit_trail import AuditEntry, AuditFilter
from tokenferry.engine.keys import LimitChange, StoreUnusable
from tokenferry.stores.sqlite import SqliteKeys
from tokenferry.stores.sqlite_accounts import SqliteAccounts
from tokenferry.stores.sqlite_audit_trail import SqliteAuditTrail
from tokenferry.stores.sqlite_prices import SqlitePrices
from tokenferry.stores.sqlite_topups import SqliteTopUps
from tokenferry.stores.sqlite_vouchers import SqliteVouchers

Change = Callable[[Path, AuditEntry], object]
MADE = GOOD._replace(code_hash=b"\7" * 32, voucher_id="v_7")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a database with one of everything that can be changed."""
    path = tmp_path / "tokenferry.db"
    with closing(SqliteAccounts(path)) as accounts:
        accounts.create(ONE, None, 0)
        accounts.create(replace(ONE, account_id="acc_s", email="s@example.com"), None, 0)
        accounts.suspend("acc_s", "before")
    with closing(SqliteKeys(path)) as keys:
        keys.create("k", "id", bytes(32), 1, KeyTerms(ONE.account_id))
    with closing(SqlitePrices(path)) as prices:
        prices.put([price()], 1)
    with closing(SqliteTopUps(path)) as topups:
        topups.add(ORDER, 3)
        topups.change(ORDER.order_id, None, lambda order, free: settle(order, PAID, free, 6))
    return path


def suspend(path: Path, entry: AuditEntry) -> None:
    with closing(SqliteAccounts(path)) as store:
        assert store.suspend(ONE.account_id, "도난 카드", entry) is not None


def unsuspend(path: Path, entry: AuditEntry) -> None:
    with closing(SqliteAccounts(path)) as store:
        assert store.unsuspend("acc_s", entry) is not None


def book(path: Path, entry: AuditEntry) -> None:
    with closing(SqliteAccounts(path)) as store:
        store.book(grant(ONE.account_id, 5, "acc_9:1", 7, "버그 제보"), entry)


def limit(path: Path, entry: AuditEntry) -> None:
    with closing(SqliteKeys(path)) as store:
        limits = KeyLimits(GivenLimits(600, None, 0), has_priority=True)
        assert store.limit("id", lambda _: LimitChange(limits, entry))


def revoke(path: Path, entry: AuditEntry) -> None:
    with closing(SqliteKeys(path)) as store:
        assert store.revoke("id", 7, entry) is not None


def set_price(path: Path, entry: AuditEntry) -> None:
    with closing(SqlitePrices(path)) as store:
        store.put([price("n")], 7, entry)


def remove_price(path: Path, entry: AuditEntry) -> None:
    with closing(SqlitePrices(path)) as store:
        store.remove("m", None, entry)


def make_voucher(path: Path, entry: AuditEntry) -> None:
    with closing(SqliteVouchers(path)) as store:
        store.add([MADE], entry)


def refund(path: Path, entry: AuditEntry) -> None:
    def asked(order: Order, free_nanos: int | None) -> Settled:
        settled = ask_refund(order, 1_000, "", free_nanos, 7)
        assert isinstance(settled, Settled)
        return settled

    with closing(SqliteTopUps(path)) as store:
        store.change(ORDER.order_id, None, asked, entry)


ONCE = (suspend, unsuspend, book, revoke, remove_price)
CHANGES = (*ONCE, limit, set_price, make_voucher, refund)


def kept(path: Path) -> list[AuditEntry]:
    with closing(SqliteAuditTrail(path)) as trail:
        return [entry for _, entry in trail.entries(AuditFilter(99))]


def everything(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_has_its_entry(path: Path, change: Change) -> None:
    change(path, ENTRY)
    assert kept(path) == [ENTRY]


@pytest.mark.parametrize("change", ONCE)
def test_where_nothing_was_to_be_changed_there_is_none(path: Path, change: Change) -> None:
    change(path, ENTRY)
    after = everything(path)
    change(path, ENTRY._replace(details='{"reason":"again"}'))
    assert everything(path) == after


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_whose_entry_cannot_be_written_is_none(path: Path, change: Change) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TRIGGER no_room BEFORE INSERT ON audit_entry "
            "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
    before = everything(path)
    with pytest.raises(StoreUnusable, match="the disk is full"):
        change(path, ENTRY)
    assert everything(path) == before


def test_a_refund_that_is_refused_has_no_entry(path: Path) -> None:
    def refused(order: Order, free_nanos: int | None) -> Settled:
        raise ValueError(order.order_id, free_nanos)

    with closing(SqliteTopUps(path)) as store, pytest.raises(ValueError, match="tu_1"):
        store.change(ORDER.order_id, None, refused, ENTRY)
    assert kept(path) == []


def test_who_is_no_administrator_leaves_none(path: Path) -> None:
    with closing(SqliteKeys(path)) as keys:
        keys.change("id", "another name", KeyTerms())
        keys.limit("id", lambda _: LimitChange(KeyLimits(GivenLimits(5))))
        keys.revoke("id", 7)
    assert kept(path) == []
