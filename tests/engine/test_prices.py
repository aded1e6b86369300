import logging

import pytest

from tokenferry.domain.price_form import read_terms
from tokenferry.domain.pricing import Price, PriceBook, Retirement
from tokenferry.domain.routing import Candidate, Catalog
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.prices import FRESH_S, LivePrices, Prices, retired, serving
from tokenferry.errors import ModelNotFound, ModelRetired
from tokenferry.stores.memory_prices import MemoryPrices

DAY_MS = 86_400_000


def price(model: str, dollars: str, **more: object) -> Price:
    return Price(model, 0, read_terms({"rates": {"input": dollars, "output": "2"}, **more}))


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class CountingPrices(MemoryPrices):
    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.read = 0
        self.fault: StoreUnusable | None = None

    def data_version(self) -> int:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        return super().data_version()

    def all(self) -> list[Price]:
        self.read += 1
        return super().all()


def input_of(prices: Prices, model: str = "m") -> int | None:
    found = prices.tariff("p", model, 0)
    return found and found.scale.rates.input


@pytest.fixture
def store() -> CountingPrices:
    return CountingPrices()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def live(store: CountingPrices, clock: Clock) -> LivePrices:
    return LivePrices(store, [price("m", "1")], clock)


def test_the_operator_s_prices_count_a_second_after_they_were_set(live, store, clock):
    assert input_of(live) == 10**9
    store.put([price("m", "2")], 1)
    clock.now_s += FRESH_S - 0.001
    assert input_of(live) == 10**9
    clock.now_s += 0.001
    assert input_of(live) == 2 * 10**9
    store.remove("m")
    clock.now_s += FRESH_S
    assert input_of(live) == 10**9


def test_the_store_is_asked_once_a_second_and_read_after_writes_only(live, store, clock):
    assert (store.asked, store.read) == (1, 1)
    for _ in range(100):
        input_of(live)
    assert (store.asked, store.read) == (1, 1)
    clock.now_s += FRESH_S
    for _ in range(100):
        input_of(live)
    assert (store.asked, store.read) == (2, 1)


def test_a_store_that_fails_is_told_once_and_the_old_prices_count(live, store, clock, caplog):
    store.fault = StoreUnusable("the disk is gone")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            clock.now_s += FRESH_S
            assert input_of(live) == 10**9
    assert [record.message for record in caplog.records] == [
        "prices cannot be read anew, the old ones count: the disk is gone"
    ]
    store.fault = None
    store.put([price("m", "2")], 1)
    clock.now_s += FRESH_S
    assert input_of(live) == 2 * 10**9


def test_a_store_that_fails_at_the_start_is_a_fault(store, clock):
    store.fault = StoreUnusable("the disk is gone")
    with pytest.raises(StoreUnusable):
        LivePrices(store, [], clock)


def test_all_questions_go_to_the_book(store, clock):
    ending = price("m", "1", shutdown_ms=DAY_MS, successor="n", output_tokens_max=5)
    book = PriceBook([ending])
    live = LivePrices(store, [ending], clock)
    for now_ms in (0, DAY_MS, 2 * DAY_MS):
        assert live.retirement("p", "m", now_ms) == book.retirement("p", "m", now_ms)
        assert live.listing("p", "m", now_ms) == book.listing("p", "m", now_ms)
    asked = {"service_tier": "flex", "margin_ppm": 7}
    assert live.tariff("p", "m", 0, **asked) == book.tariff("p", "m", 0, **asked)
    assert live.tariff("p", "n", 0) is None


@pytest.mark.parametrize(
    ("successor", "remedy"),
    [
        ("n", "Ask for n in its place."),
        (None, "Ask for another model; GET /v1/models lists all."),
    ],
)
def test_a_retired_model_s_error_names_the_day_and_what_to_ask_for(successor, remedy):
    error = retired("openai", Retirement("m", 1_795_996_800_000, successor))
    assert error.message == f"m was shut down by openai on 2026-11-30. {remedy}"
    assert error.details == {"successor": successor, "shutdown_date": "2026-11-30"}
    assert (error.code, error.http_status, error.param) == ("model_retired", 404, "model")


CATALOG = Catalog([("p", "m"), ("q", "m"), ("q", "n")])
ENDED = {"shutdown_ms": DAY_MS, "successor": "n"}


def served(prices: PriceBook, name: str) -> tuple[list[Candidate], ModelRetired | None]:
    return serving(CATALOG, prices, ("p", "q"), name, 10 * DAY_MS)


def test_candidates_whose_model_is_retired_are_left_out():
    prices = PriceBook([price("p/m", "1", **ENDED)])
    left, gone = served(prices, "m")
    assert left == [("q", "m")]
    assert gone is not None
    assert gone.details["successor"] == "n"
    assert served(prices, "p/m")[0] == []
    assert served(prices, "n") == ([Candidate("q", "n")], None)
    assert served(PriceBook([]), "m") == ([Candidate("p", "m"), Candidate("q", "m")], None)


@pytest.mark.parametrize("name", ["old", "p/old", "q/old"])
def test_a_retired_model_is_named_as_such_when_it_is_not_configured(name):
    with pytest.raises(ModelRetired, match=r"old was shut down by [pq] on 1970-01-02. Ask for n"):
        served(PriceBook([price("old", "1", **ENDED)]), name)
    # The end of a shipped price says nothing of who is not its vendor.
    with pytest.raises(ModelNotFound) as found:
        served(PriceBook([price("old", "1", vendor="r", **ENDED)]), name)
    assert not isinstance(found.value, ModelRetired)
