import pytest

from tokenferry.domain.topup import Order, Payment, Settled, settle
from tokenferry.domain.topup_refund import ask_refund
from tokenferry.domain.topup_review import Seen, accept
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.payments import OrderFilter
from tokenferry.stores.sqlite_audit import SqliteAudit
from tokenferry.stores.sqlite_database import MIGRATIONS, Database
from tokenferry.stores.sqlite_topups import FIRST_LOOK_MS, SqliteTopUps

ORDER = Order("tu_1", "acc_1", "toss", "KRW", 10_000, 7_000, True, "환율 1450", 5, 9)
PAID = Payment("paid", "KRW", 10_000)


def credited(order, free_nanos):
    return settle(order, PAID, free_nanos, 6)


@pytest.fixture
def store(tmp_path):
    store = SqliteTopUps(tmp_path / "t.db")
    assert store.add(ORDER, 3)
    yield store
    store.close()


def differences(store):
    audit = SqliteAudit(store.path)
    try:
        return audit.verify().differences
    finally:
        audit.close()


def test_an_order_is_kept_as_it_is(store):
    assert store.find("tu_1") == ORDER
    assert store.find("tu_2") is None


def test_so_many_unpaid_ones_and_no_more(store):
    assert store.add(ORDER._replace(order_id="tu_2"), 2)
    assert not store.add(ORDER._replace(order_id="tu_3"), 2)
    # Another account's do not count, and neither do those that have expired.
    assert store.add(ORDER._replace(order_id="tu_4", account_id="acc_2"), 2)
    assert store.add(ORDER._replace(order_id="tu_5", created_ms=9, expires_ms=20), 2)


def test_they_are_listed_newest_first_page_by_page(store):
    for number in range(2, 6):
        order_id = f"tu_{number}"
        store.add(ORDER._replace(order_id=order_id, created_ms=5 + number // 2), 10)
    store.add(ORDER._replace(order_id="tu_9", account_id="acc_2", created_ms=99), 10)
    pages, before = [], None
    while page := store.listing(OrderFilter("acc_1", before, 2)):
        pages += [order.order_id for order in page]
        before = page[-1].order_id
    assert pages == ["tu_5", "tu_4", "tu_3", "tu_2", "tu_1"]
    assert store.listing(OrderFilter(None, None, 1))[0].order_id == "tu_9"


def test_a_change_is_booked_with_its_order_or_not_at_all(store):
    assert store.change("tu_1", 0, credited).standing_nanos == 7_000
    # Somebody who has read it before has to read it again.
    assert store.change("tu_1", 0, credited) is None
    assert store.change("tu_2", None, credited) is None
    assert differences(store) == []

    def fails(order, free_nanos):
        settled = settle(order, PAID._replace(refunded_minor=10_000), free_nanos, 7)
        return settled._replace(order=settled.order._replace(taken_nanos=-1))

    with pytest.raises(StoreUnusable):
        store.change("tu_1", None, fails)
    assert store.find("tu_1").standing_nanos == 7_000
    assert differences(store) == []


def test_an_error_of_the_rule_changes_nothing(store):
    def refuses(order, free_nanos):
        raise ValueError(free_nanos)

    with pytest.raises(ValueError, match="0"):
        store.change("tu_1", None, refuses)
    assert store.find("tu_1") == ORDER


def test_what_was_agreed_on_is_never_changed(store):
    def dearer(order, _):
        return Settled(order._replace(status="paid"), (), lost_to_bank=False)

    assert store.change("tu_1", None, dearer).status == "paid"
    for column in ("amount_minor = 1", "credit_nanos = 1", "account_id = 'b'", "currency = 'USD'"):
        with pytest.raises(Exception, match="never changed"):
            store._connection.execute(f"UPDATE topup_order SET {column}")


def test_the_payments_name_is_the_latest_until_it_is_credited(store):
    assert store.agree("tu_1", "pk_1").payment_ref == "pk_1"
    again = store.agree("tu_1", "pk_1")
    assert again.revision == 1
    assert store.agree("tu_1", "pk_2").revision == 2
    store.change("tu_1", None, credited)
    assert store.agree("tu_1", "pk_3").payment_ref == "pk_2"
    assert store.agree("tu_9", "pk") is None


def test_a_new_name_takes_the_place_of_the_one_that_was_known_and_of_no_other(store):
    assert store.agree_instead("tu_1", "cs_1", None).payment_ref == "cs_1"
    assert store.agree_instead("tu_1", "cs_2", None).payment_ref == "cs_1"
    assert store.agree_instead("tu_1", "cs_2", "cs_1").payment_ref == "cs_2"
    assert store.agree_instead("tu_9", "cs_2", None) is None


def test_a_refund_is_one_of_the_payment_that_was_known_when_it_was_asked_for(store):
    def refunding(order, free_nanos):
        less = settle(order, PAID._replace(amount_minor=5_000), free_nanos, 6).order
        return ask_refund(less, 5_000, "", free_nanos, 7)

    store.agree("tu_1", "pk_1")
    assert store.change("tu_1", None, refunding).pending_minor == 5_000
    assert store.agree("tu_1", "pk_2").payment_ref == "pk_1"


def test_what_is_due_and_when_again(store):
    store.add(ORDER._replace(order_id="tu_2", created_ms=1), 9)
    first = 1 + FIRST_LOOK_MS
    assert store.due("toss", first - 1, 10**9, 9) == []
    assert store.due("toss", first, 10**9, 9) == ["tu_2"]
    assert store.due("toss", first + 4, 10**9, 9) == ["tu_2", "tu_1"]
    assert store.due("toss", first + 4, 10**9, 1) == ["tu_2"]
    assert store.due("stripe", first + 4, 10**9, 9) == []
    # Planned for later than anything is.
    assert store.due("toss", first - 1, first, 9) == ["tu_1"]
    store.looked_at("tu_2", 10**9)
    store.looked_at("tu_1", None)
    # What has changed since somebody looked is as due as it was.
    revision = store.find("tu_2").revision
    store.agree("tu_2", "pk_1")
    store.looked_at("tu_2", None, revision)
    assert store.due("toss", 10**9, 10**9, 5) == ["tu_2"]
    assert store.due("toss", 10**9, 10**9, 9) == ["tu_2"]


def test_watermarks(store):
    assert store.watermark("toss") is None
    store.set_watermark("toss", 5)
    store.set_watermark("toss", 9)
    assert (store.watermark("toss"), store.watermark("stripe")) == (9, None)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("UPDATE topup_order SET taken_nanos = 1", "of top-up tu_1 6999 stand"),
        ("UPDATE topup_order SET taken_nanos = 2, short_nanos = 1", "1 of the rest had been spent"),
        ("DELETE FROM topup_order", "topup toss:tu_1:0 is of no top-up of that account"),
        ("UPDATE topup_order SET moves = 0", "of top-up tu_1 0 stand"),
        ("UPDATE topup_order SET moves = 2", "its 1 of 2 entries say 7000, 0"),
    ],
)
def test_the_audit_compares_orders_with_entries(store, harm, told):
    store.change("tu_1", None, credited)
    assert differences(store) == []
    store._connection.execute(harm)
    assert any(told in difference for difference in differences(store))


def test_the_audit_of_many_orders_is_no_longer_than_they_are_many(store, tmp_path):
    """Steps of SQLite's machine, a hundred thousand a look: each with each would be 200 looks."""
    for number in range(1_000):
        order_id = f"tu{number:024}"
        store.add(ORDER._replace(order_id=order_id, account_id=f"acc_{number}"), 9)
        store.change(order_id, None, credited)
    audit, looks = SqliteAudit(tmp_path / "t.db"), []
    assert audit.verify(lambda: bool(looks.append(1))).differences == []
    assert len(looks) < 20
    audit.close()


def test_the_audit_knows_whose_an_order_is(store):
    store.add(ORDER._replace(order_id="tu_2", account_id="acc_2"), 9)

    def of_another(order, free_nanos):
        settled = credited(order, free_nanos)
        [entry] = settled.transfers
        return settled._replace(transfers=[entry._replace(credit="account:acc_3")])

    store.change("tu_2", None, of_another)
    assert differences(store) == ["topup toss:tu_2:0 is of no top-up of that account"]


def test_orders_of_an_earlier_version_are_kept(tmp_path, monkeypatch):
    path = tmp_path / "old.db"
    steps = MIGRATIONS[: MIGRATIONS.index("topups_2.sql")]
    monkeypatch.setattr(Database, "migrations", steps)
    old = Database(path)
    columns = Order._fields[: Order._fields.index("paid_currency")]
    order = ORDER._replace(
        status="paid", moves=1, taken_nanos=2_800, pending_minor=4_000, refunds=1, revision=3,
        payment_ref="pk_1", refund_account="{}",
    )  # fmt: skip
    values = order[: len(columns)]
    old._connection.execute(
        f"INSERT INTO topup_order ({', '.join(columns)}, next_look_ms) "
        f"VALUES ({', '.join('?' * len(columns))}, 7)",
        values,
    )
    old.close()
    monkeypatch.setattr(Database, "migrations", MIGRATIONS)
    store = SqliteTopUps(path)
    kept = store.find("tu_1")
    assert kept._replace(pending_ms=0) == order
    # As if it had been asked for now: with the key that it was asked for with.
    assert kept.pending_ms > 0
    assert store.due("toss", 7, 99, 9) == ["tu_1"]
    with pytest.raises(Exception, match="never changed"):
        store._connection.execute("UPDATE topup_order SET credit_nanos = 1")
    store.close()


def test_what_was_accepted_is_never_changed_either(store):
    def paid_otherwise(order, free_nanos):
        return settle(order, PAID._replace(amount_minor=5_000), free_nanos, 6)

    store.change("tu_1", None, paid_otherwise)
    taken = store.change(
        "tu_1", None, lambda order, free: accept(order, Seen("KRW", 5_000), 9_000, free, 7)
    )
    # More than was ordered, and all of it can go again.
    assert taken.standing_nanos == 9_000
    assert differences(store) == []
    store.change(
        "tu_1", None,
        lambda order, free: settle(
            order, PAID._replace(amount_minor=5_000, refunded_minor=5_000), free, 8
        ),
    )  # fmt: skip
    assert store.find("tu_1").standing_nanos == 0
    assert differences(store) == []
    with pytest.raises(Exception, match="never changed"):
        store._connection.execute("UPDATE topup_order SET accepted_nanos = 1")
