"""What every store of prices does, whatever it is made of."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stores.test_sqlite_audit_trail import ENTRY
from tokenferry.config.prices import shipped_prices
from tokenferry.domain.price_form import read_terms
from tokenferry.domain.pricing import Price
from tokenferry.engine.audit_trail import AuditEntry, AuditFilter
from tokenferry.engine.prices import PriceStore
from tokenferry.stores.memory_prices import MemoryPrices
from tokenferry.stores.sqlite_audit_trail import SqliteAuditTrail
from tokenferry.stores.sqlite_prices import SqlitePrices

STORES: dict[str, Callable[[Path], PriceStore]] = {
    "memory": lambda _: MemoryPrices(),
    "sqlite": lambda directory: SqlitePrices(directory / "prices.db"),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PriceStore]:
    store = STORES[request.param](tmp_path)
    yield store
    store.close()


def kept(store: PriceStore) -> list[AuditEntry]:
    """Return what the audit trail says, the oldest first."""
    if isinstance(store, MemoryPrices):
        return store.entries
    assert isinstance(store, SqlitePrices)
    with closing(SqliteAuditTrail(store.path)) as trail:
        return [entry for _, entry in reversed(trail.entries(AuditFilter(99)))]


def price(model: str = "m", valid_from_ms: int = 0, dollars: str = "1.00") -> Price:
    terms = read_terms({"rates": {"input": dollars, "output": "2.00"}})
    return Price(model, valid_from_ms, terms, "a test")


def test_a_new_store_is_empty(store: PriceStore) -> None:
    assert store.all() == []
    assert store.remove("m") == 0


def test_prices_are_listed_by_model_and_moment(store: PriceStore) -> None:
    prices = [price("b", 5), price("a", 7), price("b", 1), price("p/한글 모델", 0)]
    store.put(prices, 1)
    assert store.all() == [prices[1], prices[2], prices[0], prices[3]]


def test_every_shipped_price_comes_back_as_it_was(store: PriceStore) -> None:
    prices = list(shipped_prices())
    store.put(prices, 1)
    assert store.all() == sorted(prices, key=lambda price: price.model)


def test_a_price_takes_the_place_of_the_one_for_the_same_moment(store: PriceStore) -> None:
    store.put([price(), price(valid_from_ms=5)], 1)
    store.put([price(dollars="3.00")], 1)
    assert store.all() == [price(dollars="3.00"), price(valid_from_ms=5)]


def test_prices_are_removed_one_by_one_or_all_of_a_model(store: PriceStore) -> None:
    store.put([price(), price(valid_from_ms=5), price(valid_from_ms=6), price("n")], 1)
    assert store.remove("m", 7) == 0
    assert store.remove("m", 0) == 1
    assert store.remove("m") == 2
    assert store.all() == [price("n")]


def test_the_version_is_another_one_after_every_write_and_only_then(store: PriceStore) -> None:
    versions = [store.data_version()]
    for write in (
        lambda: store.put([price()], 1),
        lambda: store.put([price(dollars="3.00")], 1),  # the clock stands still
        lambda: store.put([price(dollars="4.00")], 0),  # or goes back
        lambda: store.put([price("n")], 1),
        lambda: store.remove("m"),
    ):
        write()
        versions.append(store.data_version())
        assert store.data_version() == versions[-1]
        store.all()
        assert store.data_version() == versions[-1]
    assert len(set(versions)) == len(versions)


def test_closing_twice_is_no_fault(store: PriceStore) -> None:
    store.close()
    store.close()


def test_an_entry_is_written_with_what_was_changed(store: PriceStore) -> None:
    store.put([price()], 1, ENTRY)
    assert store.remove("n", None, ENTRY) == 0
    assert store.remove("m", None, ENTRY._replace(action="price.remove")) == 1
    assert [entry.action for entry in kept(store)] == ["account.grant", "price.remove"]
