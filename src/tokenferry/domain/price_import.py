"""Prices from LiteLLM's public list, `model_prices_and_context_window.json`, checked row by row.

A row has USD per token, as a number that may be in scientific notation; it is read exactly, and
rounded to a nano-dollar per million tokens. Of `KEY_above_200k_tokens` becomes a tier, of
`KEY_flex` and `KEY_priority` a service tier. A rate that a tier leaves out goes up in proportion to
the tier's input or output. What a row has of images, seconds, searches and batches is left out.

Source: https://github.com/BerriAI/litellm, the file's `sample_spec` and rows of November 2026.
Weakness: the list is made by hand and has had rows that were wrong by orders of magnitude; what
the checks of `faults` let through is taken as it is.
"""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, NamedTuple

from tokenferry.domain.money import format_dollars
from tokenferry.domain.price_form import NAME_CHARACTERS_MAX, RATE_NANOS_MAX, TIERS_MAX, TOKENS_MAX
from tokenferry.domain.price_terms import (
    RATE_NAMES,
    Rates,
    Scale,
    Terms,
    Tier,
    complete_rates,
)

# The list itself has some 3,000 models.
ROWS_MAX = 50_000
# More than that is a slip of the point, or another unit.
FACTOR_MAX = 100
# From USD per token to nano-dollars per million tokens.
_EXPONENT = 15
_KEYS = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
    "output_cost_per_audio_token": "audio_output",
}
_KEY = re.compile(
    rf"({'|'.join(sorted(_KEYS, key=len, reverse=True))})"
    r"(?:_above_([1-9]\d{0,5})k_tokens)?(?:_(flex|priority))?",
    re.ASCII,
)
_OUTPUT_SIDE = frozenset({"output", "reasoning", "audio_output"})
_MODES = frozenset({None, "chat", "completion", "responses"})
_SAMPLE = "sample_spec"


class ImportUnusable(Exception):
    """A file that is no list of prices; the message says why."""


class Imported(NamedTuple):
    """A row that became a price.

    Attributes:
        model: Its name: a model's, or `provider/model`.
        terms: What it says, without the day of its end.
        end: That day, as it is written there, such as `2026-10-23`.
        warnings: What is odd about it.
    """

    model: str
    terms: Terms
    end: str | None
    warnings: tuple[str, ...]


class Refused(NamedTuple):
    """A row that is wrong."""

    model: str
    reason: str


class PassedOver(NamedTuple):
    """A row that is for something else than text, or has no price a token."""

    model: str
    reason: str


class _Faulty(Exception):
    """A row is wrong; the message says why."""


def read_rows(text: str) -> dict[str, Any]:
    """Return the rows of a list by their names, numbers exactly as they are written.

    Raises:
        ImportUnusable: If it is no list of prices.
    """
    try:
        rows = json.loads(text, parse_float=_decimal, parse_constant=str)
    except (ValueError, RecursionError) as exc:
        raise ImportUnusable(f"it is no JSON: {exc}") from None
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise ImportUnusable("it is no object with an object for each model")
    rows.pop(_SAMPLE, None)
    if not rows or len(rows) > ROWS_MAX:
        raise ImportUnusable(f"it has {len(rows)} models, not 1..{ROWS_MAX}")
    return rows


def convert(
    model: str, row: Mapping[str, Any], known: Rates | None, *, force: bool = False
) -> Imported | Refused | PassedOver:
    """Return what becomes of a row.

    Args:
        model: Its name.
        row: From `read_rows`.
        known: What the model cost so far, if that is known.
        force: Whether a price may be another by more than `FACTOR_MAX`.
    """
    mode = row.get("mode")
    if not isinstance(mode, str | None) or mode not in _MODES:
        return PassedOver(model, f"its mode is {mode}")
    if not 0 < len(model) <= NAME_CHARACTERS_MAX or not model.isprintable():
        return Refused(model, f"its name has not 1..{NAME_CHARACTERS_MAX} printable characters")
    try:
        found = _amounts(row)
        if not found:
            return PassedOver(model, "it has no price a token")
        terms = _terms(row, found)
    except _Faulty as exc:
        return Refused(model, str(exc))
    reasons = [*faults(terms), *(() if force else leaps(terms.scale.rates, known))]
    if reasons:
        return Refused(model, "; ".join(reasons))
    end = row.get("deprecation_date")
    return Imported(model, terms, end if isinstance(end, str) else None, tuple(_oddities(terms)))


def faults(terms: Terms) -> Iterator[str]:
    """Yield what cannot be right about a price, whoever wrote it."""
    scale = terms.scale
    yield from _scale_faults("", scale)
    for name, other in terms.service_tiers.items():
        yield from _scale_faults(f"{name} ", other)
        for rate in RATE_NAMES:
            base, special = getattr(scale.rates, rate), getattr(other.rates, rate)
            if name == "flex" and special > base:
                yield f"{name} {_words(rate)} is dearer than the ordinary one"
            if name == "priority" and special < base:
                yield f"{name} {_words(rate)} is cheaper than the ordinary one"


def leaps(rates: Rates, known: Rates | None) -> Iterator[str]:
    """Yield which rates are another than the known ones by a factor that is no change of price."""
    if known is None:
        return
    for name in RATE_NAMES:
        now, then = getattr(rates, name), getattr(known, name)
        low, high = sorted((now, then))
        if high > low * FACTOR_MAX:
            yield (
                f"{_words(name)} is {format_dollars(now)} and was {format_dollars(then)} so far, "
                f"a factor of more than {FACTOR_MAX}"
            )
            return


def _scale_faults(where: str, scale: Scale) -> Iterator[str]:
    for rates in scale.all_rates():
        yield from (where + fault for fault in _rates_faults(rates))
    lower = scale.rates
    for tier in scale.tiers:
        for name in RATE_NAMES:
            if getattr(tier.rates, name) < getattr(lower, name):
                yield (
                    f"{where}{_words(name)} above {tier.above_prompt_tokens} tokens is cheaper "
                    "than below"
                )
                break
        lower = tier.rates


def _rates_faults(rates: Rates) -> Iterator[str]:
    amounts = {name: getattr(rates, name) for name in RATE_NAMES}
    if any(amounts.values()):
        for name, nanos in amounts.items():
            if not nanos:
                yield f"{_words(name)} costs nothing while other tokens do"
                return
    if rates.cached_input > rates.input:
        yield "cached input is dearer than input"
    if rates.cache_write < rates.cached_input:
        yield "a cache write is cheaper than a cache read"
    if rates.cache_write_1h < rates.cache_write:
        yield "a cache write for an hour is cheaper than another"


def _oddities(terms: Terms) -> Iterator[str]:
    rates = terms.scale.rates
    if not rates.input_max and not rates.output_max:
        yield "it costs nothing"
    elif rates.output < rates.input:
        yield "output is cheaper than input"


# (threshold in prompt tokens, 0 for none; service tier) -> rates
_Rates = dict[str, int]
_Found = dict[tuple[int, str], _Rates]


def _amounts(row: Mapping[str, Any]) -> _Found:
    found: _Found = {}
    for key, value in row.items():
        match = _KEY.fullmatch(key)
        if match is not None and value is not None:
            place = int(match[2] or 0) * 1000, match[3] or ""
            found.setdefault(place, {})[_KEYS[match[1]]] = _nanos(key, value)
    return found


def _decimal(text: str) -> Decimal | str:
    """Return a number, or the text of one whose exponent nothing can have."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _nanos(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _Faulty(f"{key} is no number")
    amount = Decimal(value)
    if amount < 0:
        raise _Faulty(f"{key} is negative")
    # Before it is multiplied: 1e999999 would become a number of a million digits.
    if amount > 1:
        raise _Faulty(f"{key} is more than a dollar a token")
    nanos = int(amount.scaleb(_EXPONENT).to_integral_value(ROUND_HALF_UP))
    if amount and not nanos:
        raise _Faulty(f"{key} is less than a nano-dollar per million tokens")
    return min(nanos, RATE_NANOS_MAX)


def _terms(row: Mapping[str, Any], found: _Found) -> Terms:
    base = found.get((0, ""), {})
    for name in ("input", "output"):
        if name not in base:
            raise _Faulty(f"it has no price of {name}")
    if "tiered_pricing" in row:
        raise _Faulty("its `tiered_pricing` is a form that is not read here")
    thresholds = sorted({threshold for threshold, _ in found if threshold})
    if len(thresholds) > TIERS_MAX:
        raise _Faulty(f"it has more than {TIERS_MAX} tiers")
    service_tiers = sorted({tier for _, tier in found if tier})
    vendor = row.get("litellm_provider")
    is_name = isinstance(vendor, str) and 0 < len(vendor) <= NAME_CHARACTERS_MAX
    return Terms(
        _scale(found, "", thresholds),
        service_tiers={tier: _scale(found, tier, thresholds) for tier in service_tiers},
        context_tokens_max=_limit(row.get("max_input_tokens")),
        output_tokens_max=_limit(row.get("max_output_tokens")),
        vendor=vendor if is_name else None,
    )


def _scale(found: _Found, service_tier: str, thresholds: list[int]) -> Scale:
    base = found[0, ""]
    short = _filled(found.get((0, service_tier), {}), base)
    tiers = []
    ordinary = base
    for threshold in thresholds:
        if threshold > TOKENS_MAX:
            raise _Faulty(f"it has a tier above {threshold} tokens")
        long = ordinary = _filled(found.get((threshold, ""), {}), ordinary)
        if service_tier:
            # As much more than the ordinary one as for short prompts.
            long = {name: _in_proportion(n, short, base, name) for name, n in long.items()}
            long = _filled(found.get((threshold, service_tier), {}), long)
        tiers.append(Tier(threshold, complete_rates(long)))
    return Scale(complete_rates(short), tuple(tiers))


def _filled(given: _Rates, below: _Rates) -> dict[str, int]:
    """Return rates with what is not given taken from those below, in proportion."""
    rest = {}
    for name, nanos in below.items():
        side = "output" if name in _OUTPUT_SIDE else "input"
        rest[name] = _in_proportion(nanos, below | given, below, side)
    return rest | given


def _in_proportion(nanos: int, now: _Rates, then: _Rates, name: str) -> int:
    """Return a rate after it went the way of another one, rounded up."""
    return -(-nanos * now[name] // then[name]) if then.get(name) else nanos


def _limit(value: object) -> int | None:
    if isinstance(value, Decimal) and value == value.to_integral_value() and value <= TOKENS_MAX:
        value = int(value)
    is_limit = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= TOKENS_MAX
    return value if is_limit else None  # type: ignore[return-value]


def _words(rate: str) -> str:
    return rate.replace("_", " ")
