"""A price as somebody types it."""

from typing import Any

import pytest

from tokenferry.domain.price_entry import (
    EntryUnusable,
    PriceEntry,
    has_more,
    known_price,
    oddities,
)
from tokenferry.domain.price_form import NAME_CHARACTERS_MAX, RATE_NANOS_MAX, read_terms
from tokenferry.domain.pricing import Price, PriceBook


def entry(model: str = "m", rates: Any = None, **more: Any) -> PriceEntry:
    return PriceEntry(model, rates or {"input": "1.00", "output": "2.00"}, 5, "a test", **more)


def test_what_is_not_typed_costs_what_the_nearest_thing_does() -> None:
    price = entry("p/한글 모델", {"input": "0.5", "output": "2", "cached_input": "0.05"}).price()
    rates = price.terms.scale.rates
    assert (price.model, price.valid_from_ms, price.source) == ("p/한글 모델", 5, "a test")
    assert (rates.input, rates.cached_input, rates.cache_write) == (5 * 10**8, 5 * 10**7, 5 * 10**8)
    assert (rates.output, rates.reasoning) == (2 * 10**9, 2 * 10**9)


def test_the_limits_of_what_can_be_typed() -> None:
    assert entry("x" * NAME_CHARACTERS_MAX).price()
    dearest = RATE_NANOS_MAX // 10**9
    assert entry(rates={"input": f"{dearest}", "output": f"{dearest}"}).price()
    assert entry(rates={"input": "0", "output": "0"}).price()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (entry(""), "model"),
        (entry(" m"), "model"),
        (entry("m\n"), "model"),
        (entry("x" * (NAME_CHARACTERS_MAX + 1)), "model"),
        (entry(rates={"input": "-1", "output": "2"}), "input"),
        (entry(rates={"input": "1", "output": "1000000.000000001"}), "output"),
        (entry(rates={"input": "1", "output": "2", "reasoning": "1e3"}), "reasoning"),
        (entry(rates={"input": "1", "output": "2", "cache_write_1h": "\uff11"}), "cache_write_1h"),
        (entry(successor="n"), "successor"),
    ],
)
def test_what_is_no_price(wrong: PriceEntry, field: str) -> None:
    with pytest.raises(EntryUnusable) as refusal:
        wrong.price()
    assert refusal.value.field == field


def test_a_successor_goes_with_an_end() -> None:
    terms = entry(successor="n", shutdown_ms=9).price().terms
    assert (terms.shutdown_ms, terms.successor) == (9, "n")


def test_what_is_odd() -> None:
    known = entry().price()
    assert oddities(entry().price(), known) == []
    hundred = {"input": "100.00", "output": "2.00"}
    assert not any("factor" in odd for odd in oddities(entry(rates=hundred).price(), known))
    more = {"input": "100.01", "output": "200.00"}
    assert any("factor of more than" in odd for odd in oddities(entry(rates=more).price(), known))
    assert oddities(entry(rates=more).price(), None) == []
    dear = {"input": "1", "output": "2", "cached_input": "1.1"}
    assert "cached input is dearer than input" in oddities(entry(rates=dear).price(), None)


def test_the_price_so_far_is_that_of_the_name_or_of_the_model() -> None:
    terms = read_terms({"rates": {"input": "1.00", "output": "2.00"}})
    bare, named = Price("m", 0, terms), Price("p/m", 0, terms)
    assert known_price(PriceBook([bare, named]), "p/m", 1) is named
    assert known_price(PriceBook([bare]), "p/m", 1) is bare
    assert known_price(PriceBook([bare]), "n", 1) is None


def test_a_price_that_says_more_than_can_be_typed() -> None:
    rates = {"input": "1.00", "output": "2.00"}
    assert not has_more(entry().price().terms)
    for more in (
        {"tiers": [{"above_prompt_tokens": 9, "rates": rates}]},
        {"windows": [{"from": "01:00", "to": "02:00", "rates": rates}]},
        {"service_tiers": {"flex": {"rates": rates}}},
    ):
        assert has_more(read_terms({"rates": rates, **more}))
