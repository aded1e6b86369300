"""The plain form of a price, which is JSON's and TOML's, and its reading with all checks.

Amounts are decimal texts, USD per million tokens. What may be left out: see `price_terms`.

    {"rates": {"input": "3.00", "cached_input": "0.30", "cache_write": "3.75", "output": "15.00"},
     "tiers": [{"above_prompt_tokens": 200000, "rates": {"input": "6.00", "output": "22.50"}}],
     "windows": [{"from": "01:00", "to": "04:00", "days": "mon-fri", "rates": {...}}],
     "service_tiers": {"flex": {"rates": {...}, "tiers": [...]}},
     "context_tokens_max": 1000000, "output_tokens_max": 64000,
     "vendor": "anthropic", "shutdown_ms": 1795996800000, "successor": "claude-sonnet-5-5"}
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tokenferry.domain.money import format_dollars, parse_dollars
from tokenferry.domain.price_terms import (
    DAYS,
    EVERY_DAY,
    RATE_NAMES,
    Rates,
    Scale,
    Terms,
    Tier,
    Window,
    complete_rates,
)

# A million dollars per million tokens: a dollar a token. What is above is a slip.
RATE_NANOS_MAX = 10**15
# Ten times what any model takes.
TOKENS_MAX = 10**8
TIERS_MAX = 8
WINDOWS_MAX = 8
SERVICE_TIERS_MAX = 8
NAME_CHARACTERS_MAX = 265
# The year 9999.
TIME_MS_MAX = 253_402_300_799_999

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_FACTS = ("context_tokens_max", "output_tokens_max", "vendor", "shutdown_ms", "successor")


class TermsUnusable(Exception):
    """A plain form that is no terms of a price; the message says where and why."""


def read_terms(plain: object) -> Terms:
    """Read the plain form.

    Raises:
        TermsUnusable: If it is none.
    """
    table = _Table(plain, "")
    scale = _read_scale(table)
    windows = [_read_window(item) for item in table.tables("windows", WINDOWS_MAX)]
    service_tiers = {
        name: _read_scale(item, last=True)
        for name, item in table.named_tables("service_tiers", SERVICE_TIERS_MAX)
    }
    terms = Terms(
        scale,
        tuple(windows),
        MappingProxyType(service_tiers),
        context_tokens_max=table.integer("context_tokens_max", 1, TOKENS_MAX),
        output_tokens_max=table.integer("output_tokens_max", 1, TOKENS_MAX),
        vendor=table.text("vendor"),
        shutdown_ms=table.integer("shutdown_ms", 0, TIME_MS_MAX),
        successor=table.text("successor"),
    )
    table.end()
    return terms


def write_terms(terms: Terms) -> dict[str, Any]:
    """Return the plain form, without what is to be filled in."""
    plain = _write_scale(terms.scale)
    if terms.windows:
        plain["windows"] = [_write_window(window) for window in terms.windows]
    if terms.service_tiers:
        plain["service_tiers"] = {
            name: _write_scale(scale) for name, scale in terms.service_tiers.items()
        }
    for name in _FACTS:
        if (value := getattr(terms, name)) is not None:
            plain[name] = value
    return plain


def write_rates(rates: Rates) -> dict[str, str]:
    """Return rates as decimal texts, USD per million tokens, without what is to be filled in."""
    return {name: format_dollars(nanos) for name, nanos in rates.given().items()}


class _Table:
    """A table of the plain form, read field by field; what is left over at the end is a fault."""

    def __init__(self, plain: object, place: str) -> None:
        if not isinstance(plain, Mapping):
            raise TermsUnusable(f"{place or 'the price'} is not a table")
        self.place = place
        self._left = dict(plain)

    def take(self, name: str) -> Any:
        return self._left.pop(name, None)

    def at(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name

    def refuse(self, name: str, why: str) -> TermsUnusable:
        return TermsUnusable(f"{self.at(name)} {why}")

    def integer(self, name: str, low: int, high: int) -> int | None:
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.refuse(name, f"is not a whole number within {low}..{high}")
        return value

    def text(self, name: str) -> str | None:
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, str) or not 0 < len(value) <= NAME_CHARACTERS_MAX:
            raise self.refuse(name, f"is not a text of 1..{NAME_CHARACTERS_MAX} characters")
        return value

    def tables(self, name: str, most: int) -> "list[_Table]":
        value = self.take(name) or []
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > most:
            raise self.refuse(name, f"is not a list of at most {most} tables")
        return [_Table(item, f"{self.at(name)}[{number}]") for number, item in enumerate(value)]

    def named_tables(self, name: str, most: int) -> "list[tuple[str, _Table]]":
        value = self.take(name) or {}
        if not isinstance(value, Mapping) or len(value) > most:
            raise self.refuse(name, f"is not a table of at most {most} tables")
        return [(key, _Table(item, f"{self.at(name)}.{key}")) for key, item in value.items()]

    def end(self) -> None:
        for name in self._left:
            raise self.refuse(name, "is not known")


def _read_scale(table: _Table, *, last: bool = False) -> Scale:
    rates = _read_rates(table)
    tiers: list[Tier] = []
    for item in table.tables("tiers", TIERS_MAX):
        above = item.integer("above_prompt_tokens", 1, TOKENS_MAX)
        if above is None:
            raise item.refuse("above_prompt_tokens", "is missing")
        if tiers and above <= tiers[-1].above_prompt_tokens:
            raise item.refuse("above_prompt_tokens", "is not above the one before")
        tiers.append(Tier(above, _read_rates(item)))
        item.end()
    if last:
        table.end()
    return Scale(rates, tuple(tiers))


def _read_rates(table: _Table) -> Rates:
    rates = _Table(table.take("rates"), table.at("rates"))
    given = {}
    for name in RATE_NAMES:
        if (text := rates.take(name)) is None:
            continue
        nanos = parse_dollars(text) if isinstance(text, str) else None
        if nanos is None:
            raise rates.refuse(name, 'is not an amount such as "1.00"')
        if not 0 <= nanos <= RATE_NANOS_MAX:
            raise rates.refuse(
                name, f"is {text}, out of 0..{RATE_NANOS_MAX // 10**9} USD per million tokens"
            )
        given[name] = nanos
    rates.end()
    for name in ("input", "output"):
        if name not in given:
            raise rates.refuse(name, "is missing")
    return complete_rates(given)


def _read_window(table: _Table) -> Window:
    begin, end = (_read_clock(table, name) for name in ("from", "to"))
    days = _read_days(table)
    return Window(begin, end, days, _read_scale(table, last=True))


def _read_clock(table: _Table, name: str) -> int:
    value = table.take(name)
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise table.refuse(name, 'is not a time of day in UTC such as "01:00"')
    return int(match[1]) * 60 + int(match[2])


def _read_days(table: _Table) -> frozenset[int]:
    value = table.take("days")
    if value is None:
        return EVERY_DAY
    first, _, last = value.partition("-") if isinstance(value, str) else ("", "", "")
    if first not in DAYS or last not in DAYS or DAYS.index(first) > DAYS.index(last):
        raise table.refuse("days", 'is not a range of days such as "mon-fri"')
    return frozenset(range(DAYS.index(first), DAYS.index(last) + 1))


def _write_scale(scale: Scale) -> dict[str, Any]:
    plain: dict[str, Any] = {"rates": write_rates(scale.rates)}
    if scale.tiers:
        plain["tiers"] = [
            {"above_prompt_tokens": tier.above_prompt_tokens, "rates": write_rates(tier.rates)}
            for tier in scale.tiers
        ]
    return plain


def _write_window(window: Window) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "from": _write_clock(window.from_minute),
        "to": _write_clock(window.to_minute),
    }
    if window.days != EVERY_DAY:
        plain["days"] = f"{DAYS[min(window.days)]}-{DAYS[max(window.days)]}"
    return plain | _write_scale(window.scale)


def _write_clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
