"""Charges by filters: what is found, and how far a page looks."""

from contextlib import closing

import pytest

from stores.test_sqlite_ledger import NOW_MS, charge
from tokenferry.domain.request_page import Wanted, merged
from tokenferry.stores import charge_search
from tokenferry.stores.sqlite_ledger import SqliteLedger
from tokenferry.stores.sqlite_statements import SqliteStatements


@pytest.fixture
def statements(tmp_path):
    with closing(SqliteLedger(tmp_path / "t.db")) as ledger:
        ledger.commit(
            [
                charge(f"s{n:02}", None, "operator" if n % 3 == 0 else "a")._replace(
                    ended_ms=NOW_MS + n // 2,
                    model="rare" if n == 1 else "m",
                    key_id=f"k{n % 2}",
                    finish=("stop", "error", "cancelled", "length")[n % 4],
                )
                for n in range(12)
            ]
        )
    with closing(SqliteStatements(tmp_path / "t.db")) as store:
        yield store


def ids(part):
    return [row.stream_id for row in part.rows]


@pytest.mark.parametrize(
    ("wish", "numbers"),
    [
        ({}, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ({"account_id": "a"}, [11, 10, 8, 7, 5, 4, 2, 1]),
        ({"account_id": "nobody"}, []),
        ({"model": "rare"}, [1]),
        ({"key_id": "k1", "account_id": "operator"}, [9, 3]),
        ({"status": "failed"}, [9, 5, 1]),
        ({"status": "stopped"}, [10, 6, 2]),
        ({"status": "ok"}, [11, 8, 7, 4, 3, 0]),
        ({"from_ms": NOW_MS + 4}, [11, 10, 9, 8]),
        ({"until_ms": NOW_MS + 1}, [1, 0]),
        ({"before": (NOW_MS + 1, "s03")}, [2, 1, 0]),
    ],
)
def test_filters(statements, wish, numbers):
    found = statements.charges(Wanted(20, **wish))
    assert ids(found) == [f"s{n:02}" for n in numbers]
    assert found.reached is None


def test_a_page_looks_through_so_many_and_says_how_far_it_got(statements, monkeypatch):
    monkeypatch.setattr(charge_search, "SCANNED_MAX", 5)
    wanted = Wanted(3, model="rare")
    pages = [statements.charges(wanted)]
    while pages[-1].reached is not None:
        pages.append(statements.charges(wanted._replace(before=pages[-1].reached)))
    assert [ids(page) for page in pages] == [[], [], ["s01"]]
    assert pages[0].reached == (NOW_MS + 3, "s07")


def test_the_other_page_of_a_short_one_is_not_lost(statements, monkeypatch):
    monkeypatch.setattr(charge_search, "SCANNED_MAX", 2)
    met, wanted = [], Wanted(2, "a", status="ok")
    while True:
        page = merged([statements.charges(wanted)], wanted.limit)
        met += ids(page)
        if page.reached is None:
            break
        wanted = wanted._replace(before=page.reached)
    assert met == ["s11", "s08", "s07", "s04"]


def test_what_is_listed_first_is_found_by_an_index(statements):
    for table, where in (("charge", "account_id = 'a' AND"), ("charge", "")):
        plan = statements._connection.execute(
            f"EXPLAIN QUERY PLAN SELECT stream_id FROM {table} WHERE {where} "
            "(ended_ms, stream_id) < (5, '') ORDER BY ended_ms DESC, stream_id DESC LIMIT 9"
        ).fetchall()
        assert "INDEX charge_" in plan[0][3]
        assert not any("TEMP B-TREE" in row[3] for row in plan)
