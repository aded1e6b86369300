from contextlib import closing

import pytest

from stores.test_sqlite_ledger import NOW_MS, charge, grant, hold
from tokenferry.domain.request_page import Wanted
from tokenferry.engine.statement import Balance, Booked, KeyUse, Only, Reserved, Used
from tokenferry.stores.sqlite_ledger import SqliteLedger
from tokenferry.stores.sqlite_statements import SqliteStatements

DAY_MS = 86_400_000


@pytest.fixture
def statements(tmp_path):
    ledger = SqliteLedger(tmp_path / "t.db")
    grant(ledger, 1000)
    ledger.commit(
        [
            charge("s1", 10),
            charge("s2", 20)._replace(model="other"),
            charge("s3", 30)._replace(ended_ms=NOW_MS + DAY_MS, cached_tokens=1),
            charge("s4", 40, "operator"),
            charge("s5", None),
            hold("s6", 50),
        ]
    )
    ledger.close()
    store = SqliteStatements(tmp_path / "t.db")
    yield store
    store.close()


def test_the_balance_and_what_is_held_of_it(statements):
    assert statements.balance("a") == Balance(940, 50)
    assert statements.balance("nobody") == Balance(0, 0)


def test_what_was_used_by_day_and_model(statements):
    rows = statements.used("a", NOW_MS, NOW_MS + 2 * DAY_MS, "day")
    assert rows == [
        Used("2026-11-27", 3, 3, 0, 3, 30, 30, 0, failed=0, unpriced=1),
        Used("2026-11-28", 1, 1, 1, 1, 30, 30, 0, failed=0, unpriced=0),
    ]
    models = statements.used("a", NOW_MS, NOW_MS + 2 * DAY_MS, "model")
    assert [(row.group, row.cost_nanos) for row in models] == [("m", 40), ("other", 20)]
    assert [row.group for row in statements.used("a", NOW_MS, NOW_MS + 6, "key")] == ["k"]


@pytest.mark.parametrize(
    ("only", "requests"),
    [
        (Only(), 4),
        (Only(model="m"), 3),
        (Only(model="other"), 1),
        (Only(key_id="k"), 4),
        (Only("other", "k"), 1),
        (Only("m", "nobody's"), 0),
        (Only(model=""), 0),
    ],
)
def test_what_was_used_of_one_model_or_by_one_key(statements, only, requests):
    rows = statements.used("a", NOW_MS, NOW_MS + 2 * DAY_MS, "day", only)
    assert sum(row.requests for row in rows) == requests


def test_failures_are_counted(tmp_path):
    ledger = SqliteLedger(tmp_path / "t.db")
    grant(ledger, 1000)
    ledger.commit(
        [
            charge("s1", 0)._replace(finish="error", error_code="provider_timeout"),
            charge("s2", 1)._replace(finish="cancelled"),
        ]
    )
    ledger.close()
    with closing(SqliteStatements(tmp_path / "t.db")) as store:
        (row,) = store.used("a", NOW_MS, NOW_MS + DAY_MS, "model")
    assert (row.requests, row.failed, row.unpriced) == (2, 1, 0)


def test_what_keys_did(statements):
    assert statements.key_use(["k", "unused"], NOW_MS) == [
        KeyUse(NOW_MS + DAY_MS, 100),
        KeyUse(None, 0),
    ]
    assert statements.key_use(["k"], NOW_MS + 31 * DAY_MS) == [KeyUse(NOW_MS + DAY_MS, 0)]
    assert statements.key_use([], NOW_MS) == []


@pytest.mark.parametrize(("until", "count"), [(5, 0), (6, 3)])
def test_the_end_of_a_span_is_not_in_it(statements, until, count):
    rows = statements.used("a", NOW_MS, NOW_MS + until, "day")
    assert sum(row.requests for row in rows) == count


def test_charges_page_by_page(statements):
    first = statements.charges(Wanted(2, "a"))
    rest = statements.charges(Wanted(9, "a", before=first.reached))
    assert [row.stream_id for row in (*first.rows, *rest.rows)] == ["s3", "s5", "s2", "s1"]
    assert rest.reached is None


def test_what_is_booked_of_one_stream(statements):
    booked = statements.booked("s1", "a")
    assert (booked.charge.cost_nanos, booked.shortfall_nanos, booked.reserved) == (10, 0, None)
    ((_, transfer),) = booked.transfers
    assert (transfer.kind, transfer.reference, transfer.amount_nanos) == ("usage", "s1", 10)
    held = statements.booked("s6", "a")
    assert (held.charge, held.reserved) == (None, Reserved(50, "open"))
    assert statements.booked("s4", None).charge.account_id == "operator"


def test_what_is_booked_of_another_s_stream_is_nothing(statements):
    nothing = Booked(None, 0, None, ())
    assert statements.booked("s4", "a") == nothing
    assert statements.booked("s6", "b") == nothing
    assert statements.booked("none", None) == nothing


def test_transfers_page_by_page(statements):
    first = statements.transfers("a", 2, None)
    rest = statements.transfers("a", 9, first[-1][0])
    assert [row.reference for _, row in (*first, *rest)] == ["s3", "s2", "s1", "1"]


def test_what_was_booked_under_a_reference(statements):
    found = statements.transfer(("grant", "withdrawal"), "1")
    assert found is not None
    assert (found.kind, found.credit, found.amount_nanos) == ("grant", "account:a", 1000)
    assert statements.transfer(("withdrawal",), "1") is None
    assert statements.transfer(("grant", "withdrawal"), "2") is None


def test_a_page_of_transfers_reads_no_more_than_the_page(statements):
    """Steps of SQLite's machine, a thousand a look: thousands of entries would be hundreds."""
    statements._connection.executemany(
        "INSERT INTO ledger_transfer (kind, reference, debit, credit, amount_nanos, created_ms) "
        "VALUES ('usage', ?, IIF(? % 9, 'account:a', 'x'), IIF(? % 9, 'x', 'account:a'), 1, 1)",
        ((f"many_{number}", number, number) for number in range(9_000)),
    )
    looks = []
    statements._connection.set_progress_handler(lambda: looks.append(1), 1_000)
    page = statements.transfers("a", 50, None)
    assert [number for number, _ in page] == sorted((n for n, _ in page), reverse=True)
    assert {transfer.debit for _, transfer in page} == {"account:a", "x"}
    assert len(page) == 50
    assert len(looks) < 20
