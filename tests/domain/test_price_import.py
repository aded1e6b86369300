"""Rows of the public list as they are written there, and what is wrong with others."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.price_form import write_terms
from tokenferry.domain.price_import import (
    ROWS_MAX,
    Imported,
    ImportUnusable,
    PassedOver,
    Refused,
    convert,
    faults,
    leaps,
    read_rows,
)
from tokenferry.domain.price_terms import complete_rates

FLAT = '"input_cost_per_token": 4e-07, "output_cost_per_token": 1.6e-06'


def tiers_of(count: int) -> str:
    return "".join(f', "input_cost_per_token_above_{n + 1}k_tokens": 1e-6' for n in range(count))


def row(text: str) -> dict[str, Any]:
    found: dict[str, Any] = read_rows(f'{{"m": {{{text}}}}}')["m"]
    return found


def imported(text: str) -> dict[str, Any]:
    found = convert("m", row(text), None)
    assert isinstance(found, Imported), found
    return write_terms(found.terms)


def refused(text: str, **more: Any) -> str:
    found = convert("m", row(text), more.pop("known", None), **more)
    assert isinstance(found, Refused), found
    return found.reason


def test_a_row():
    found = convert(
        "gpt-4.1-mini",
        row(
            f"""{FLAT}, "cache_read_input_token_cost": 1e-07,
            "cache_creation_input_token_cost": null, "input_cost_per_token_batches": 2e-07,
            "max_input_tokens": 1047576, "max_output_tokens": 32768, "max_tokens": 32768,
            "mode": "chat", "litellm_provider": "openai", "deprecation_date": "2027-01-14",
            "supports_vision": true, "supported_endpoints": ["/v1/chat/completions"]"""
        ),
        None,
    )
    assert isinstance(found, Imported)
    assert (found.model, found.end, found.warnings) == ("gpt-4.1-mini", "2027-01-14", ())
    assert write_terms(found.terms) == {
        "rates": {"input": "0.40", "cached_input": "0.10", "output": "1.60"},
        "context_tokens_max": 1_047_576,
        "output_tokens_max": 32_768,
        "vendor": "openai",
    }


def test_a_row_with_everything():
    assert imported(
        """"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05,
        "cache_read_input_token_cost": 3e-07, "cache_creation_input_token_cost": 3.75e-06,
        "cache_creation_input_token_cost_above_1hr": 6e-06,
        "output_cost_per_reasoning_token": 1.6e-05,
        "input_cost_per_audio_token": 4e-06, "output_cost_per_audio_token": 0.00002,
        "input_cost_per_token_above_200k_tokens": 6e-06,
        "output_cost_per_token_above_200k_tokens": 2.25e-05,
        "cache_read_input_token_cost_above_200k_tokens": 6e-07,
        "cache_creation_input_token_cost_above_200k_tokens": 7.5e-06,
        "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05"""
    ) == {
        "rates": {
            "input": "3.00",
            "cached_input": "0.30",
            "cache_write": "3.75",
            "cache_write_1h": "6.00",
            "audio_input": "4.00",
            "output": "15.00",
            "reasoning": "16.00",
            "audio_output": "20.00",
        },
        "tiers": [
            {
                "above_prompt_tokens": 200_000,
                "rates": {
                    "input": "6.00",
                    "cached_input": "0.60",
                    "cache_write": "7.50",
                    "cache_write_1h": "12.00",
                    # In proportion, as they are not given.
                    "audio_input": "8.00",
                    "output": "22.50",
                    "reasoning": "24.00",
                    "audio_output": "30.00",
                },
            }
        ],
    }


def test_service_tiers():
    found = imported(
        """"input_cost_per_token": 1e-06, "output_cost_per_token": 5e-06,
        "cache_read_input_token_cost": 5e-08,
        "input_cost_per_token_flex": 5e-07, "output_cost_per_token_flex": 2.5e-06,
        "input_cost_per_token_priority": 2e-06, "output_cost_per_token_priority": 1e-05,
        "cache_read_input_token_cost_priority": 1e-07,
        "input_cost_per_token_above_272k_tokens": 2e-06,
        "output_cost_per_token_above_272k_tokens": 7.5e-06,
        "input_cost_per_token_above_272k_tokens_priority": 5e-06"""
    )
    assert found["tiers"] == [
        {
            "above_prompt_tokens": 272_000,
            "rates": {"input": "2.00", "cached_input": "0.10", "output": "7.50"},
        }
    ]
    assert found["service_tiers"] == {
        "flex": {
            "rates": {"input": "0.50", "cached_input": "0.025", "output": "2.50"},
            "tiers": [
                {
                    "above_prompt_tokens": 272_000,
                    "rates": {"input": "1.00", "cached_input": "0.05", "output": "3.75"},
                }
            ],
        },
        "priority": {
            "rates": {"input": "2.00", "cached_input": "0.10", "output": "10.00"},
            "tiers": [
                {
                    "above_prompt_tokens": 272_000,
                    # Given 5.00; twice the ordinary 0.10, and a quarter more; twice 7.50.
                    "rates": {"input": "5.00", "cached_input": "0.25", "output": "15.00"},
                }
            ],
        },
    }


def test_tiers_by_their_thresholds_whatever_their_order():
    found = imported(
        FLAT
        + """, "input_cost_per_token_above_256k_tokens": 8e-07,
        "output_cost_per_token_above_128k_tokens": 2e-06"""
    )
    assert found["tiers"] == [
        {"above_prompt_tokens": 128_000, "rates": {"input": "0.40", "output": "2.00"}},
        {"above_prompt_tokens": 256_000, "rates": {"input": "0.80", "output": "2.00"}},
    ]


@pytest.mark.parametrize(
    ("number", "dollars"),
    [
        ("1e-06", "1.00"),
        ("0.000001", "1.00"),
        ("1E-6", "1.00"),
        ("1.5e-07", "0.15"),
        ("3e-9", "0.003"),
        ("1e-15", "0.000000001"),
        # As other programs write 1e-6, and what a float would make of 0.1.
        ("1.0000000000000001e-06", "1.00"),
        ("9.999999999999999e-07", "1.00"),
        ("5e-16", "0.000000001"),
        ("1.2345678915e-06", "1.234567892"),
        ("1", "1000000.00"),
    ],
)
def test_numbers_are_read_exactly(number, dollars):
    found = imported(f'"input_cost_per_token": {number}, "output_cost_per_token": 1')
    assert found["rates"]["input"] == dollars


@given(st.integers(1, 10**15), st.integers(-3, 3))
def test_a_price_is_the_same_however_it_is_written(nanos, shift):
    written = f"{Decimal(nanos).scaleb(-15 - shift):f}e{shift}"
    found = convert(
        "m", row(f'"input_cost_per_token": {written}, "output_cost_per_token": 1'), None
    )
    assert isinstance(found, Imported)
    assert found.terms.scale.rates.input == nanos


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('"output_cost_per_token": 1e-6', "it has no price of input"),
        ('"input_cost_per_token": 1e-6', "it has no price of output"),
        ('"input_cost_per_token": 1e-6, "output_cost_per_token": null', "no price of output"),
        ('"input_cost_per_token_flex": 1e-6', "it has no price of input"),
        ('"input_cost_per_token": -1e-6, "output_cost_per_token": 1e-6', "is negative"),
        ('"input_cost_per_token": "1e-6", "output_cost_per_token": 1e-6', "is no number"),
        ('"input_cost_per_token": true, "output_cost_per_token": 1e-6', "is no number"),
        ('"input_cost_per_token": NaN, "output_cost_per_token": 1e-6', "is no number"),
        ('"input_cost_per_token": Infinity, "output_cost_per_token": 1e-6', "is no number"),
        ('"input_cost_per_token": 1.01, "output_cost_per_token": 1', "more than a dollar a token"),
        ('"input_cost_per_token": 1e999999, "output_cost_per_token": 1', "more than a dollar"),
        # Beyond what a decimal takes.
        ('"input_cost_per_token": 1e-99999999999999999999', "is no number"),
        ('"input_cost_per_token": 1e99999999999999999999', "is no number"),
        (
            '"input_cost_per_token": 4e-16, "output_cost_per_token": 1e-6',
            "input_cost_per_token is less than a nano-dollar per million tokens",
        ),
        (
            '"input_cost_per_token": 0, "output_cost_per_token": 1e-6',
            "input costs nothing while other tokens do",
        ),
        (
            '"input_cost_per_token": 1e-6, "output_cost_per_token": 0.0',
            "output costs nothing while other tokens do",
        ),
        (
            FLAT + ', "cache_read_input_token_cost": 0',
            "cached input costs nothing while other tokens do",
        ),
        (
            FLAT + ', "cache_creation_input_token_cost": 0',
            "cache write costs nothing while other tokens do",
        ),
        (FLAT + ', "cache_read_input_token_cost": 5e-7', "cached input is dearer than input"),
        (
            FLAT + ', "cache_read_input_token_cost": 2e-7, "cache_creation_input_token_cost": 1e-7',
            "a cache write is cheaper than a cache read",
        ),
        (
            FLAT + ', "cache_creation_input_token_cost": 5e-7,'
            '"cache_creation_input_token_cost_above_1hr": 4.5e-7',
            "a cache write for an hour is cheaper than another",
        ),
        (
            FLAT + ', "input_cost_per_token_above_200k_tokens": 3e-7',
            "input above 200000 tokens is cheaper than below",
        ),
        (
            FLAT + ', "input_cost_per_token_above_200k_tokens": 8e-7,'
            '"input_cost_per_token_above_272k_tokens": 7e-7',
            "input above 272000 tokens is cheaper than below",
        ),
        (
            FLAT + ', "input_cost_per_token_above_200k_tokens": 8e-7,'
            '"cache_read_input_token_cost_above_200k_tokens": 9e-7',
            "cached input is dearer than input",
        ),
        (FLAT + ', "input_cost_per_token_flex": 5e-7', "flex input is dearer than the ordinary"),
        (
            FLAT + ', "output_cost_per_token_priority": 1e-6',
            "priority output is cheaper than the ordinary",
        ),
        (FLAT + ', "tiered_pricing": []', "`tiered_pricing` is a form that is not read here"),
        (FLAT + ', "input_cost_per_token_above_100001k_tokens": 1e-6', "tier above 100001000"),
        (
            FLAT + tiers_of(9),
            "more than 8 tiers",
        ),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_reason(text, reason):
    assert reason in refused(text)
    assert reason in refused(text, force=True)


@pytest.mark.parametrize(
    "text",
    [
        # At the limits.
        FLAT + tiers_of(8),
        FLAT + ', "input_cost_per_token_above_100000k_tokens": 1e-6',
        # No dearer and no cheaper than the ordinary ones.
        FLAT + ', "output_cost_per_token_priority": 1.6e-6, "output_cost_per_token_flex": 1.6e-6',
        FLAT + ', "input_cost_per_token_above_200k_tokens": 4e-7',
        FLAT + ', "cache_read_input_token_cost": 4e-7, "cache_creation_input_token_cost": 4e-7',
        # Output as dear as input is not odd.
        '"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6',
    ],
)
def test_what_is_just_right(text):
    found = convert("x" * 265, row(text), None)
    assert isinstance(found, Imported)
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("vendor", "read"),
    [
        ('"v"', "v"),
        ('""', None),
        ("1", None),
        (f'"{"v" * 265}"', "v" * 265),
        (f'"{"v" * 266}"', None),
    ],
)
def test_vendors(vendor, read):
    found = convert("m", row(f'{FLAT}, "litellm_provider": {vendor}'), None)
    assert isinstance(found, Imported)
    assert found.terms.vendor == read


@pytest.mark.parametrize("name", ["", "x" * 266, "a\nb", "\x1b[2J"])
def test_a_name_that_is_none(name):
    found = convert(name, row(FLAT), None)
    assert isinstance(found, Refused)
    assert "printable" in found.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (FLAT + ', "mode": "embedding"', "its mode is embedding"),
        (FLAT + ', "mode": "image_generation"', "its mode is image_generation"),
        (FLAT + ', "mode": []', "its mode is []"),
        ('"mode": "chat"', "it has no price a token"),
        ('"input_cost_per_second": 1e-6, "mode": "chat"', "it has no price a token"),
    ],
)
def test_what_is_for_something_else_is_passed_over(text, reason):
    assert convert("m", row(text), None) == PassedOver("m", reason)


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ('"input_cost_per_token": 2e-6, "output_cost_per_token": 1e-6', "output is cheaper than"),
        ('"input_cost_per_token": 0.0, "output_cost_per_token": 0', "it costs nothing"),
    ],
)
def test_what_is_odd_is_told(text, warning):
    found = convert("m", row(text), None)
    assert isinstance(found, Imported)
    assert warning in found.warnings[0]


@pytest.mark.parametrize(
    ("known", "leapt"),
    [
        ({"input": 400, "output": 1600}, False),
        ({"input": 4, "output": 1600}, False),
        ({"input": 3, "output": 1600}, True),
        ({"input": 40_000, "output": 1600}, False),
        ({"input": 40_100, "output": 1600}, True),
        ({"input": 400, "output": 15}, True),
        ({"input": 400, "cached_input": 3, "output": 1600}, True),
        ({"input": 0, "output": 1600}, True),
    ],
)
def test_a_price_a_hundred_times_another_is_a_slip(known, leapt):
    rates = complete_rates({name: nanos * 1_000_000 for name, nanos in known.items()})
    found = convert("m", row(FLAT), rates)
    assert isinstance(found, Refused) is leapt
    if leapt:
        assert "a factor of more than 100" in refused(FLAT, known=rates)
    assert isinstance(convert("m", row(FLAT), rates, force=True), Imported)


def test_nothing_leaps_where_nothing_is_known():
    rates = complete_rates({"input": 1, "output": 1})
    assert list(leaps(rates, None)) == []
    assert list(leaps(rates, rates)) == []


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ('"max_input_tokens": 5, "max_output_tokens": 6', (5, 6)),
        ('"max_input_tokens": 1e6, "max_output_tokens": 8192.0', (1_000_000, 8192)),
        ('"max_input_tokens": 1, "max_output_tokens": 0', (1, None)),
        ('"max_input_tokens": 100000000, "max_output_tokens": 100000001', (10**8, None)),
        ('"max_input_tokens": 1e8, "max_output_tokens": 1.00000001e8', (10**8, None)),
        ('"max_input_tokens": "many", "max_output_tokens": -1', (None, None)),
        ('"max_input_tokens": 1.5, "max_output_tokens": 1e9', (None, None)),
        ('"max_input_tokens": true, "max_tokens": 7', (None, None)),
    ],
)
def test_limits_that_are_none_are_left_out(text, limits):
    found = convert("m", row(f"{FLAT}, {text}"), None)
    assert isinstance(found, Imported)
    assert (found.terms.context_tokens_max, found.terms.output_tokens_max) == limits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("[]", "it is no object"),
        ('{"m": 1}', "it is no object"),
        ("{}", "it has 0 models"),
        ('{"sample_spec": {}}', "it has 0 models"),
        (json.dumps({str(n): {} for n in range(ROWS_MAX + 1)}), f"it has {ROWS_MAX + 1} models"),
    ],
)
def test_what_is_no_list(text, message):
    with pytest.raises(ImportUnusable, match=message):
        read_rows(text)


def test_the_sample_is_no_model():
    assert list(read_rows(f'{{"sample_spec": {{"mode": "one of"}}, "m": {{{FLAT}}}}}')) == ["m"]
    assert len(read_rows(json.dumps({str(n): {} for n in range(ROWS_MAX)}))) == ROWS_MAX


def test_shipped_prices_have_no_faults():
    from tokenferry.config.prices import shipped_prices

    for price in shipped_prices():
        assert list(faults(price.terms)) == [], price.model
