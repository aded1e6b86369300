import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.price_form import (
    RATE_NANOS_MAX,
    TermsUnusable,
    read_terms,
    write_terms,
)
from tokenferry.domain.price_terms import (
    EVERY_DAY,
    RATE_NAMES,
    Rates,
    Scale,
    Terms,
    Tier,
    Window,
)

RATES = {"input": "3.00", "output": "15.00"}


def test_what_is_left_out_costs_what_the_nearest_thing_costs():
    terms = read_terms({"rates": {**RATES, "cache_write": "3.75"}})
    assert terms == Terms(
        Scale(
            Rates(
                input=3_000_000_000,
                cached_input=3_000_000_000,
                cache_write=3_750_000_000,
                cache_write_1h=3_750_000_000,
                audio_input=3_000_000_000,
                output=15_000_000_000,
                reasoning=15_000_000_000,
                audio_output=15_000_000_000,
            )
        )
    )


FULL = {
    "rates": {
        "input": "3.00",
        "cached_input": "0.30",
        "cache_write": "3.75",
        "cache_write_1h": "6.00",
        "output": "15.00",
        "reasoning": "16.00",
    },
    "tiers": [{"above_prompt_tokens": 200_000, "rates": {"input": "6.00", "output": "22.50"}}],
    "windows": [
        {"from": "01:00", "to": "04:00", "days": "mon-fri", "rates": RATES},
        {"from": "23:59", "to": "00:00", "rates": RATES},
    ],
    "service_tiers": {"flex": {"rates": {"input": "1.50", "output": "7.50"}}},
    "context_tokens_max": 1_000_000,
    "output_tokens_max": 64_000,
    "vendor": "anthropic",
    "shutdown_ms": 1_795_996_800_000,
    "successor": "claude-sonnet-5-5",
}


def test_the_plain_form_is_what_was_read():
    terms = read_terms(FULL)
    assert write_terms(terms) == FULL
    assert terms.windows[0].days == frozenset(range(5))
    assert terms.windows[1].days == EVERY_DAY
    assert terms.scale.tiers[0].rates.cached_input == 6_000_000_000


nanos = st.integers(0, RATE_NANOS_MAX)
rates = st.builds(Rates, **dict.fromkeys(RATE_NAMES, nanos))
tiers = st.lists(st.builds(Tier, st.integers(1, 1000), rates), max_size=3).map(
    lambda items: tuple(sorted({tier[0]: tier for tier in items}.values(), key=lambda t: t[0]))
)
scales = st.builds(Scale, rates, tiers)
days = st.tuples(st.integers(0, 6), st.integers(0, 6)).map(
    lambda ends: frozenset(range(min(ends), max(ends) + 1))
)
windows = st.builds(Window, st.integers(0, 1439), st.integers(0, 1439), days, scales)
limits = st.none() | st.integers(1, 10**8)
names = st.none() | st.text(min_size=1, max_size=20)
all_terms = st.builds(
    Terms,
    scales,
    st.lists(windows, max_size=2).map(tuple),
    st.dictionaries(st.sampled_from(("flex", "priority")), scales),
    limits,
    limits,
    names,
    limits,
    names,
)


@given(all_terms)
def test_every_terms_survive_their_plain_form(terms):
    assert read_terms(write_terms(terms)) == terms


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        (None, "the price is not a table"),
        ([], "the price is not a table"),
        ({}, "rates is not a table"),
        ({"rates": {"output": "1"}}, "rates.input is missing"),
        ({"rates": {"input": "1"}}, "rates.output is missing"),
        ({"rates": {"input": 1.5, "output": "1"}}, 'rates.input is not an amount such as "1.00"'),
        ({"rates": {"input": 1, "output": "1"}}, "rates.input is not an amount"),
        ({"rates": {"input": "1e3", "output": "1"}}, "rates.input is not an amount"),
        ({"rates": {"input": "-1", "output": "1"}}, "rates.input is -1, out of 0..1000000 USD"),
        ({"rates": {"input": "1000000.000000001", "output": "1"}}, "out of 0..1000000 USD"),
        ({"rates": {**RATES, "image": "1"}}, "rates.image is not known"),
        ({"rates": RATES, "colour": 1}, "colour is not known"),
        ({"rates": RATES, "tiers": {}, "successor": ""}, "successor is not a text of 1..265"),
        ({"rates": RATES, "tiers": "no"}, "tiers is not a list of at most 8 tables"),
        ({"rates": RATES, "tiers": [{}] * 9}, "tiers is not a list of at most 8 tables"),
        ({"rates": RATES, "tiers": [1]}, "tiers[0] is not a table"),
        ({"rates": RATES, "tiers": [{"rates": RATES}]}, "tiers[0].above_prompt_tokens is missing"),
        (
            {"rates": RATES, "tiers": [{"above_prompt_tokens": 5, "rates": RATES}] * 2},
            "tiers[1].above_prompt_tokens is not above the one before",
        ),
        (
            {"rates": RATES, "tiers": [{"above_prompt_tokens": 5, "rates": RATES, "x": 1}]},
            "tiers[0].x is not known",
        ),
        (
            {"rates": RATES, "windows": [{"from": "24:00", "to": "04:00", "rates": RATES}]},
            'windows[0].from is not a time of day in UTC such as "01:00"',
        ),
        (
            {"rates": RATES, "windows": [{"from": "1:00", "to": "04:00", "rates": RATES}]},
            "windows[0].from is not a time of day",
        ),
        (
            {
                "rates": RATES,
                "windows": [{"from": "01:00", "to": "04:00", "days": "fri-mon", "rates": RATES}],
            },
            'windows[0].days is not a range of days such as "mon-fri"',
        ),
        ({"rates": RATES, "service_tiers": [1]}, "service_tiers is not a table of at most 8"),
        ({"rates": RATES, "service_tiers": {"flex": {}}}, "service_tiers.flex.rates is not a"),
        ({"rates": RATES, "output_tokens_max": 0}, "output_tokens_max is not a whole number"),
        ({"rates": RATES, "output_tokens_max": True}, "output_tokens_max is not a whole number"),
        ({"rates": RATES, "output_tokens_max": 10**8 + 1}, "output_tokens_max is not a whole"),
    ],
)
def test_what_is_no_price_is_refused_by_name(plain, message):
    with pytest.raises(TermsUnusable) as refused:
        read_terms(plain)
    assert message in str(refused.value)


def test_limits_are_taken_at_their_ends():
    terms = read_terms({"rates": {"input": "1000000", "output": "0"}, "output_tokens_max": 10**8})
    assert terms.scale.rates.input == RATE_NANOS_MAX
    assert terms.output_tokens_max == 10**8


def test_everything_at_its_most():
    tier = {f"t{n}": {"rates": RATES} for n in range(8)}
    window = {"from": "20:00", "to": "00:59", "days": "sun-sun", "rates": RATES}
    long = [{"above_prompt_tokens": n + 1, "rates": RATES} for n in range(8)]
    plain = {
        "rates": RATES,
        "tiers": long,
        "windows": [window] * 8,
        "service_tiers": tier,
        "shutdown_ms": 0,
        "successor": "x" * 265,
    }
    assert write_terms(read_terms(plain)) == plain
    for name, more in (
        ("windows", [window] * 9),
        ("service_tiers", {**tier, "t8": {"rates": RATES}}),
        ("successor", "x" * 266),
        ("shutdown_ms", -1),
    ):
        with pytest.raises(TermsUnusable, match=name):
            read_terms({**plain, name: more})


@pytest.mark.parametrize("days", ["mon", "mon-", "-mon", "mon-xyz", "xyz-mon", "tue-mon", 1, ""])
def test_days_that_are_none(days):
    window = {"from": "20:00", "to": "00:59", "days": days, "rates": RATES}
    with pytest.raises(TermsUnusable, match='days is not a range of days such as "mon-fri"'):
        read_terms({"rates": RATES, "windows": [window]})
