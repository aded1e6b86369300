import threading

import pytest

from tokenferry.engine.vouchers import NewVoucher, wanted_voucher
from tokenferry.stores.sqlite_audit import SqliteAudit
from tokenferry.stores.sqlite_vouchers import SqliteVouchers

GOOD = NewVoucher(bytes(32), "v_1", "봄", 5_000, 10, None)


@pytest.fixture
def store(tmp_path):
    store = SqliteVouchers(tmp_path / "t.db")
    store.add([GOOD, NewVoucher(b"\1" * 32, "v_2", "가을", 7_000, 11, 100)])
    yield store
    store.close()


def test_a_voucher_is_redeemed_once(store):
    assert store.redeem(GOOD.code_hash, "a", 20) == 5_000
    assert store.redeem(GOOD.code_hash, "a", 21) == "redeemed"
    assert store.redeem(GOOD.code_hash, "b", 21) == "redeemed"
    assert store.redeem(b"\2" * 32, "a", 21) == "unknown"
    row = store.listing("봄")[0]
    assert (row.redeemed_ms, row.account_id) == (20, "a")


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("UPDATE voucher SET redeemed_ms = NULL", "None has 0 of it; account:a has 5000"),
        ("UPDATE voucher SET amount_nanos = 9", "account:a has 9 of it; account:a has 5000"),
        ("UPDATE voucher SET account_id = 'b'", "account:b has 5000 of it; account:a has 5000"),
        ("DELETE FROM voucher", "None has 0 of it; account:a has 5000"),
        ("UPDATE voucher SET redeemed_ms = 1, account_id = 'a'", "voucher v_2 says that account:a"),
    ],
)
def test_the_audit_compares_vouchers_with_entries(store, tmp_path, harm, told):
    store.redeem(GOOD.code_hash, "a", 20)
    audit = SqliteAudit(tmp_path / "t.db")
    assert audit.verify().differences == []
    store._connection.execute(harm)
    assert any(told in difference for difference in audit.verify().differences)
    audit.close()


@pytest.mark.parametrize(("moment", "outcome"), [(99, 7_000), (100, "expired"), (101, "expired")])
def test_a_voucher_expires(store, moment, outcome):
    assert store.redeem(b"\1" * 32, "a", moment) == outcome


def test_they_are_listed_by_batch(store):
    assert [row.voucher_id for row in store.listing(None)] == ["v_1", "v_2"]
    assert [row.voucher_id for row in store.listing("가을")] == ["v_2"]
    assert store.listing("겨울") == []


def test_the_newest_first_page_by_page(store):
    store.add([GOOD._replace(code_hash=bytes([n]) * 32, voucher_id=f"v_{n}") for n in (3, 4, 5)])
    found, before = [], None
    while page := store.latest(None, 2, before):
        found += [row.voucher_id for row in page]
        before = page[-1].created_ms, page[-1].voucher_id
    assert found == ["v_2", "v_5", "v_4", "v_3", "v_1"]
    assert [row.voucher_id for row in store.latest("가을", 9, None)] == ["v_2"]


@pytest.mark.parametrize(
    ("amount", "batch", "expires_ms", "field"),
    [
        ("0", "b", None, "amount"),
        ("-1", "b", None, "amount"),
        ("five", "b", None, "amount"),
        ("1", "", None, "batch"),
        ("1", "x" * 65, None, "batch"),
        ("1", "a\nb", None, "batch"),
        ("1", "b", 100, "expires"),
    ],
)
def test_what_is_no_voucher(amount, batch, expires_ms, field):
    with pytest.raises(ValueError, match=field):
        wanted_voucher(amount, batch, 100, expires_ms)


def test_what_is_one():
    wanted = wanted_voucher("0.000000001", "x" * 64, 100, 101)
    assert wanted == (b"", "", "x" * 64, 1, 100, 101)


def test_of_many_at_once_one_redeems(store):
    outcomes = []

    def redeem(account):
        with_own = SqliteVouchers(store.path)
        outcomes.append(with_own.redeem(GOOD.code_hash, account, 20))
        with_own.close()

    threads = [threading.Thread(target=redeem, args=(f"a{number}",)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["5000"] + ["redeemed"] * 15
    audit = SqliteAudit(store.path)
    assert audit.verify()[:3] == ([], 0, 1)
    audit.close()
