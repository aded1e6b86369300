"""The shipped list, figure by figure, and what its reader refuses."""

from datetime import date

import pytest

from tokenferry.config.presets import PRESETS
from tokenferry.config.prices import day_ms, day_of, read_prices, shipped_prices
from tokenferry.domain.money import format_dollars
from tokenferry.domain.price_form import TermsUnusable
from tokenferry.domain.pricing import Cost, PriceBook, Retirement
from tokenferry.domain.usage import Usage

# A Thursday, off-peak in Beijing.
NOW_MS = day_ms(date(2026, 11, 26)) + 12 * 3_600_000
BOOK = PriceBook(shipped_prices())


@pytest.mark.parametrize(
    ("provider", "model", "rates"),
    [
        ("openai", "gpt-6.1-sol", "2.00 0.10 10.00"),
        ("openai", "gpt-6.1-terra", "1.00 0.05 5.00"),
        ("openai", "gpt-6-luna", "0.10 0.01 0.50"),
        ("openai", "gpt-4.1", "2.00 0.50 8.00"),
        ("openai", "gpt-4.1-mini", "0.40 0.10 1.60"),
        ("openai", "gpt-4.1-mini-2025-04-14", "0.40 0.10 1.60"),
        ("openai", "gpt-4.1-nano", "0.10 0.025 0.40"),
        ("anthropic", "claude-opus-5-5", "4.00 0.20 20.00"),
        ("anthropic", "claude-sonnet-5-5", "2.00 0.20 10.00"),
        ("anthropic", "claude-haiku-4-5", "1.00 0.10 5.00"),
        ("anthropic", "claude-sonnet-4-5", "3.00 0.30 15.00"),
        ("gemini", "gemini-3.6-flash", "1.50 0.15 7.50"),
        ("gemini", "gemini-2.5-flash", "0.30 0.03 2.50"),
        ("deepseek", "deepseek-flash", "0.15 0.003 0.60"),
        ("deepseek", "deepseek-v4-pro", "0.66 0.022 1.98"),
        ("deepseek", "deepseek-v3.2", "0.28 0.028 0.42"),
        ("demo", "demo", "1.00 0.10 5.00"),
    ],
)
def test_list_prices(provider, model, rates):
    found = BOOK.tariff(provider, model, NOW_MS)
    assert found is not None
    shown = found.scale.rates
    assert " ".join(map(format_dollars, (shown.input, shown.cached_input, shown.output))) == rates


def test_every_model_of_the_presets_has_a_price():
    for provider, preset in PRESETS.items():
        for model in preset.models:
            listing = BOOK.listing(provider, model, NOW_MS)
            assert listing is not None, model
            assert listing.output_tokens_max, model
            assert listing.context_tokens_max, model


@pytest.mark.parametrize(
    ("provider", "model", "usage", "list_nanos"),
    [
        ("openai", "gpt-4.1-mini", Usage(1000, 200, 600), 540_000),
        (
            "anthropic",
            "claude-sonnet-4-5",
            Usage(200_000, 1000, 150_000, 40_000, cache_write_1h_tokens=10_000),
            262_500_000,
        ),
        (
            "anthropic",
            "claude-sonnet-4-5",
            Usage(200_001, 1000, 150_000, 40_000, cache_write_1h_tokens=10_000),
            517_506_000,
        ),
        ("deepseek", "deepseek-flash", Usage(1000, 100, 900), 77_700),
        ("openai", "gpt-6.1-terra", Usage(272_001, 1), 544_009_500),
        ("gemini", "gemini-2.5-flash", Usage(10, 0, prompt_audio_tokens=4), 5800),
        ("demo", "demo", Usage(3, 4), 23_000),
    ],
)
def test_costs(provider, model, usage, list_nanos):
    found = BOOK.tariff(provider, model, NOW_MS)
    assert found is not None
    assert found.cost(usage).list_nanos == list_nanos


@pytest.mark.parametrize("model", ["deepseek-flash", "deepseek-v4-pro"])
@pytest.mark.parametrize(
    ("hour", "factor"), [(0, 1), (1, 2), (3, 2), (4, 1), (5, 1), (6, 2), (9, 2), (10, 1), (23, 1)]
)
def test_deepseek_costs_twice_as_much_at_peak(model, hour, factor):
    usage = Usage(2000, 300, 1000)
    costs = []
    for day in (26, 28):  # Thursday, Saturday
        moment = day_ms(date(2026, 11, day)) + hour * 3_600_000
        found = BOOK.tariff("deepseek", model, moment)
        assert found is not None
        costs.append(found.cost(usage).list_nanos)
    assert costs[0] == factor * costs[1]


@pytest.mark.parametrize(
    ("asked", "cost"),
    [("flex", 3000), ("priority", 12_000), (None, 6000), ("default", 6000)],
)
def test_service_tiers_of_terra(asked, cost):
    found = BOOK.tariff("openai", "gpt-6.1-terra", NOW_MS, service_tier=asked)
    assert found is not None
    assert found.cost(Usage(1, 1)) == Cost(cost, cost, 0)


@pytest.mark.parametrize(
    ("provider", "model", "day", "successor"),
    [
        ("openai", "gpt-4.1", date(2027, 1, 14), "gpt-6.1-terra"),
        ("openai", "gpt-4.1-mini", date(2027, 1, 14), "gpt-6-luna"),
        ("openai", "gpt-4.1-nano", date(2026, 10, 23), "gpt-6-luna"),
        ("anthropic", "claude-sonnet-4-5", date(2026, 11, 30), "claude-sonnet-5-5"),
    ],
)
def test_models_that_end(provider, model, day, successor):
    last_ms = day_ms(day) + 86_400_000 - 1
    assert BOOK.retirement(provider, model, last_ms) is None
    assert BOOK.retirement(provider, model, last_ms + 1) == Retirement(
        model, day_ms(day), successor
    )
    assert BOOK.retirement("my-vllm", model, last_ms + 1) is None
    # Its successor is one that we know, and that does not end before it.
    assert BOOK.tariff(provider, successor, last_ms) is not None
    assert BOOK.retirement(provider, successor, last_ms) is None


GOOD = """
date = 2026-11-26
[[prices]]
models = ["m"]
vendor = "v"
rates = { input = "1", output = "2" }
"""


def test_a_list():
    (price,) = read_prices(GOOD)
    assert (price.model, price.valid_from_ms, price.terms.vendor) == ("m", 0, "v")
    assert price.source == "Tokenferry, 2026-11-26"


def test_dates_are_days_in_utc():
    (price,) = read_prices(GOOD + "valid_from = 1970-01-02\nshutdown = 1970-01-03\n")
    assert price.valid_from_ms == 86_400_000
    assert price.terms.shutdown_ms == 2 * 86_400_000
    assert day_of(86_400_000 - 1) == "1970-01-01"
    assert day_of(86_400_000) == "1970-01-02"
    assert day_of(day_ms(date(2026, 11, 30))) == "2026-11-30"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "no TOML"),
        (GOOD.replace("date = 2026-11-26", ""), "no `date`"),
        (GOOD.replace("date = 2026-11-26", "date = 1"), "no `date`"),
        ("colour = 1\n" + GOOD, "something else"),
        ("date = 2026-11-26\n", "something else"),
        (GOOD.replace('["m"]', "[]"), "a list of names"),
        (GOOD.replace('["m"]', '["m", 1]'), "a list of names"),
        (GOOD.replace('["m"]', '["m", "m"]'), "m: has two prices for the same day"),
        (GOOD.replace('vendor = "v"', ""), "m: vendor is missing"),
        (GOOD.replace('"1"', "1.0"), "m: rates.input is not an amount"),
        (GOOD + "shutdown = 2026-11-26T00:00:00Z\n", "m: shutdown is not a date"),
        (GOOD + 'valid_from = "2026-11-26"\n', "m: valid_from is not a date"),
        (GOOD + "colour = 1\n", "m: colour is not known"),
    ],
)
def test_what_is_no_list_is_refused(text, message):
    with pytest.raises(TermsUnusable) as refused:
        read_prices(text)
    assert message in str(refused.value)
