import sqlite3
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenferry.domain.ledger import Charge, Refusal, Transfer
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.ledger import Charged, Held, Hold, Unbookable
from tokenferry.stores.ledger_statements import post
from tokenferry.stores.sqlite_ledger import SqliteLedger

NOW_MS = 1_795_737_600_000  # 2026-11-27


@pytest.fixture
def ledger(tmp_path):
    store = SqliteLedger(tmp_path / "t.db")
    yield store
    store.close()


def grant(ledger, amount, account="a", reference="1"):
    book = f"account:{account}"
    with ledger._transaction("IMMEDIATE"):
        post(ledger._connection, Transfer("grant", reference, "issued:grant", book, amount, NOW_MS))


def hold(stream, wanted, least=None, account="a", budget=None, now_ms=NOW_MS):
    return Hold(stream, account, "k", wanted, wanted if least is None else least, budget, now_ms)


def charge(stream, cost, account="a"):
    return Charge(
        stream_id=stream,
        account_id=account,
        key_id="k",
        model="m",
        provider="p",
        provider_model="pm",
        created_ms=NOW_MS,
        ended_ms=NOW_MS + 5,
        prompt_tokens=1,
        cached_tokens=0,
        cache_write_tokens=0,
        completion_tokens=1,
        reasoning_tokens=0,
        estimated=False,
        cost_nanos=cost,
        list_nanos=cost,
        cache_saved_nanos=0,
        finish="stop",
        error_code=None,
        attempts=1,
        first_token_ms=1,
        duration_ms=5,
    )


def book(ledger, name="account:a"):
    return ledger._connection.execute(
        "SELECT credits_nanos - debits_nanos, held_nanos FROM ledger_book WHERE book = ?", (name,)
    ).fetchone()


def total(ledger):
    return ledger._connection.execute(
        "SELECT SUM(credits_nanos - debits_nanos) FROM ledger_book"
    ).fetchone()[0]


def states(ledger):
    return dict(ledger._connection.execute("SELECT stream_id, state FROM ledger_reservation"))


def test_what_is_held_is_not_free(ledger):
    grant(ledger, 100)
    results = ledger.commit([hold("s1", 60), hold("s2", 60), hold("s3", 40)])
    assert results == [
        Held(60, 100),
        Refusal("insufficient_credit", 60, 40),
        Held(40, 100),
    ]
    assert book(ledger) == (100, 100)


def test_a_part_will_do_where_the_least_is_there(ledger):
    grant(ledger, 100)
    assert ledger.commit([hold("s1", 160, 50)]) == [Held(100, 100)]


def test_a_charge_frees_what_it_did_not_need(ledger):
    grant(ledger, 100)
    ledger.commit([hold("s1", 60)])
    assert ledger.commit([charge("s1", 25)]) == [Charged(75, 0)]
    assert book(ledger) == (75, 0)
    assert book(ledger, "revenue") == (25, 0)
    assert states(ledger) == {"s1": "posted"}
    assert total(ledger) == 0


def test_what_cost_nothing_is_void(ledger):
    grant(ledger, 100)
    ledger.commit([hold("s1", 60), charge("s1", 0)])
    assert book(ledger) == (100, 0)
    assert states(ledger) == {"s1": "voided"}


@pytest.mark.parametrize("apart", [False, True])
def test_a_stream_is_charged_once(ledger, apart):
    grant(ledger, 100)
    ledger.commit([hold("s1", 60)])
    if apart:
        ledger.commit([charge("s1", 25)])
        ledger.commit([charge("s1", 30)])
    else:
        ledger.commit([charge("s1", 25), charge("s1", 30)])
    assert book(ledger) == (75, 0)
    assert ledger._connection.execute(
        "SELECT COUNT(*), SUM(cost_nanos) FROM charge"
    ).fetchone() == (
        1,
        25,
    )


def test_a_repeated_hold_gets_the_same_answer(ledger):
    grant(ledger, 100)
    assert ledger.commit([hold("s1", 60), hold("s1", 60)]) == [Held(60, 100), Held(60, 100)]
    assert book(ledger) == (100, 60)


def test_a_cost_above_its_hold_is_taken_from_free_credit_then_from_the_gateway(ledger):
    grant(ledger, 100)
    ledger.commit([hold("s1", 60), hold("s2", 30)])
    assert ledger.commit([charge("s1", 90)]) == [Charged(30, 20)]
    assert book(ledger) == (30, 30)
    assert book(ledger, "shortfall") == (-20, 0)
    assert book(ledger, "revenue") == (90, 0)
    assert total(ledger) == 0


def test_the_operator_is_metered_and_never_refused(ledger):
    assert ledger.commit([charge("s1", 70, "operator")]) == [Charged(-70, 0)]
    assert ledger.commit([hold("s2", 10, account="operator")]) == [Held(10, -70)]
    assert total(ledger) == 0


def test_a_price_that_nobody_knows_books_nothing(ledger):
    assert ledger.commit([charge("s1", None, "operator")]) == [Charged(0, 0)]
    row = ledger._connection.execute("SELECT cost_nanos FROM charge").fetchone()
    assert row == (None,)


def test_a_budget_is_a_month_s(ledger):
    grant(ledger, 1000)
    december_ms = NOW_MS + 6 * 86_400_000
    results = ledger.commit(
        [
            hold("s1", 60, budget=100),
            hold("s2", 60, budget=100),
            hold("s3", 60, budget=100, now_ms=december_ms),
            charge("s1", 10),
            hold("s4", 60, budget=100),
        ]
    )
    assert [type(result) for result in results] == [Held, Refusal, Held, Charged, Held]
    assert results[1] == Refusal("budget_exceeded", 60, 40)
    months = ledger._connection.execute("SELECT month, spent_nanos, held_nanos FROM key_month")
    assert sorted(months) == [(202611, 10, 60), (202612, 0, 60)]


def test_reservations_without_a_stream_are_void(ledger):
    grant(ledger, 100)
    ledger.commit([hold("s1", 10), hold("s2", 20), hold("s3", 30), charge("s3", 5)])
    assert ledger.void_others(["s1"]) == 1
    assert states(ledger) == {"s1": "open", "s2": "voided", "s3": "posted"}
    assert book(ledger) == (95, 10)


def test_a_batch_is_all_or_nothing(ledger):
    grant(ledger, 100)
    with pytest.raises(StoreUnusable, match="refuses"):
        ledger.commit([hold("s1", 60), charge("s2", 5)._replace(attempts=None)])
    assert book(ledger) == (100, 0)
    assert states(ledger) == {}


def test_a_reservation_ends_once(ledger):
    grant(ledger, 100)
    ledger.commit([hold("s1", 60), charge("s1", 5)])
    with pytest.raises(sqlite3.IntegrityError, match="ends once"):
        ledger._connection.execute("UPDATE ledger_reservation SET state = 'voided'")


@pytest.mark.parametrize(
    "bad",
    [
        lambda: charge("s1", 2**63),
        lambda: charge("s1", 5)._replace(prompt_tokens=2**64 - 1),
        lambda: charge("s1", -1),
        lambda: charge("s1", 5)._replace(finish="\ud800"),
    ],
)
def test_what_no_book_can_hold_is_told_from_a_disk_that_takes_nothing(ledger, bad):
    grant(ledger, 100)
    with pytest.raises(Unbookable):
        ledger.commit([charge("s0", 5), bad()])
    assert book(ledger) == (100, 0)
    ledger.commit([charge("s0", 5)])
    assert book(ledger) == (95, 0)


@pytest.mark.parametrize("covered", [0, 1, 7, 999, 1000])
def test_exactly_as_many_are_admitted_as_the_balance_covers(tmp_path, covered):
    """A thousand requests at once, from several connections to the file."""
    path = tmp_path / "t.db"
    first = SqliteLedger(path, synced=False)
    if covered:
        grant(first, covered * 10 + 9)
    first.close()
    admitted = []

    def ask(number):
        ledger = SqliteLedger(path, synced=False)
        batches = [
            [hold(f"s{number}-{start + n}", 10) for n in range(10)] for start in range(0, 250, 10)
        ]
        for batch in batches:
            results = ledger.commit(batch)
            admitted.extend(result for result in results if isinstance(result, Held))
        ledger.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == covered


steps = st.lists(
    st.tuples(
        st.sampled_from(["hold", "charge", "grant"]),
        st.integers(0, 5),
        st.integers(0, 50),
        st.integers(0, 50),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_the_books_are_zero_and_nobody_is_below(tmp_path_factory, actions):
    ledger = SqliteLedger(tmp_path_factory.mktemp("l") / "t.db", synced=False)
    try:
        work = []
        for number, (what, stream, one, other) in enumerate(actions):
            if what == "grant":
                ledger.commit(work)
                work = []
                if one:
                    grant(ledger, one, reference=str(number))
            elif what == "hold":
                work.append(hold(f"s{stream}", max(one, other), min(one, other)))
            else:
                work.append(charge(f"s{stream}", one))
        ledger.commit(work)
        assert (total(ledger) or 0) == 0
        row = book(ledger)
        assert row is None or row[0] - row[1] >= 0
        held = ledger._connection.execute(
            "SELECT COALESCE(SUM(amount_nanos), 0) FROM ledger_reservation WHERE state = 'open'"
        ).fetchone()[0]
        assert held == (0 if row is None else row[1])
    finally:
        ledger.close()


def test_without_work_it_is_tried_whether_something_can_be_written(ledger, tmp_path):
    log = tmp_path / "t.db-wal"
    before = log.stat().st_size
    assert ledger.commit([]) == []
    assert log.stat().st_size > before
    pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreUnusable):
        ledger.commit([])
    ledger._connection.execute("PRAGMA query_only = OFF")
    assert ledger.commit([]) == []
    assert ledger._connection.execute("PRAGMA page_count").fetchone()[0] == pages
