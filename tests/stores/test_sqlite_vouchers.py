import threading

import pytest

from tokenferry.engine.vouchers import NewVoucher
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


@pytest.mark.parametrize(("moment", "outcome"), [(99, 7_000), (100, "expired"), (101, "expired")])
def test_a_voucher_expires(store, moment, outcome):
    assert store.redeem(b"\1" * 32, "a", moment) == outcome


def test_they_are_listed_by_batch(store):
    assert [row.voucher_id for row in store.listing(None)] == ["v_1", "v_2"]
    assert [row.voucher_id for row in store.listing("가을")] == ["v_2"]
    assert store.listing("겨울") == []


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
