import pytest

from stores.test_sqlite_ledger import NOW_MS, charge, grant, hold
from tokenferry.engine.statement import Balance, Used
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
        Used("2026-11-27", 3, 3, 0, 3, 30, 30, 0),
        Used("2026-11-28", 1, 1, 1, 1, 30, 30, 0),
    ]
    models = statements.used("a", NOW_MS, NOW_MS + 2 * DAY_MS, "model")
    assert [(row.group, row.cost_nanos) for row in models] == [("m", 40), ("other", 20)]
    assert [row.group for row in statements.used("a", NOW_MS, NOW_MS + 6, "key")] == ["k"]


@pytest.mark.parametrize(("until", "count"), [(5, 0), (6, 3)])
def test_the_end_of_a_span_is_not_in_it(statements, until, count):
    rows = statements.used("a", NOW_MS, NOW_MS + until, "day")
    assert sum(row.requests for row in rows) == count


def test_charges_page_by_page(statements):
    first = statements.charges("a", 2, None)
    rest = statements.charges("a", 9, (first[-1].ended_ms, first[-1].stream_id))
    assert [row.stream_id for row in (*first, *rest)] == ["s3", "s5", "s2", "s1"]


def test_transfers_page_by_page(statements):
    first = statements.transfers("a", 2, None)
    rest = statements.transfers("a", 9, first[-1][0])
    assert [row.reference for _, row in (*first, *rest)] == ["s3", "s2", "s1", "1"]
