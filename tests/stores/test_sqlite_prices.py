"""What is particular to prices in SQLite: other processes, and damage that is met later."""

import sqlite3
from pathlib import Path

import pytest

from tokenferry.domain.price_form import read_terms
from tokenferry.domain.pricing import Price
from tokenferry.engine.keys import StoreUnusable
from tokenferry.stores.sqlite import SqliteKeys
from tokenferry.stores.sqlite_prices import SqlitePrices

PRICE = Price("m", 0, read_terms({"rates": {"input": "1.00", "output": "2.00"}}), "a test")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "tokenferry.db"


def test_prices_outlive_the_process(path: Path) -> None:
    store = SqlitePrices(path)
    store.put([PRICE], 1)
    store.close()
    again = SqlitePrices(path)
    assert again.all() == [PRICE]
    again.close()


def test_another_connection_s_writes_are_seen_at_once(path: Path) -> None:
    server, command = SqlitePrices(path), SqlitePrices(path)
    before = server.data_version()
    command.put([PRICE], 1)
    written = server.data_version()
    assert written != before
    assert server.all() == [PRICE]
    command.remove("m")
    assert server.data_version() != written
    assert server.all() == []
    server.close()
    command.close()


def test_other_tables_writes_do_not_change_the_version(path: Path) -> None:
    store, keys = SqlitePrices(path), SqliteKeys(path)
    store.put([PRICE], 1)
    version = store.data_version()
    keys.create("n", "id", bytes(32), 1)
    assert store.data_version() == version
    store.close()
    keys.close()


def test_what_was_read_before_is_not_read_again(path: Path) -> None:
    store = SqlitePrices(path)
    other = read_terms({"rates": {"input": "3.00", "output": "4.00"}})
    store.put([PRICE, PRICE._replace(model="n", terms=other)], 1)
    before = store.all()
    store.put([PRICE._replace(terms=other)], 2)
    store.remove("n")
    store.put([PRICE._replace(model="o")], 3)
    after = store.all()
    assert after == [PRICE._replace(terms=other), PRICE._replace(model="o")]
    assert after[0].terms is before[1].terms
    assert after[1].terms is before[0].terms
    store.close()


def test_nothing_is_stored_if_something_cannot_be(path: Path) -> None:
    store = SqlitePrices(path)
    with pytest.raises(StoreUnusable):
        store.put([PRICE, PRICE._replace(valid_from_ms=None)], 1)  # type: ignore[arg-type]
    assert store.all() == []
    store.close()


@pytest.mark.parametrize("terms", ["{", "{}", '{"rates": {"input": 1.5, "output": "1"}}'])
def test_terms_that_cannot_be_read_are_named(path: Path, terms: str) -> None:
    store = SqlitePrices(path)
    store.put([PRICE], 1)
    with sqlite3.connect(path) as other:
        other.execute("UPDATE price SET terms = ?", (terms,))
    other.close()
    with pytest.raises(StoreUnusable, match="the price of m cannot be read"):
        store.all()
    store.put([PRICE], 1)
    assert store.all() == [PRICE]
    store.close()
