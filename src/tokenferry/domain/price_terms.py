"""The terms of a price: rates, and what they depend on. Their plain form is JSON's and TOML's.

A rate is whole nano-dollars per million tokens; in the plain form it is a decimal text, USD per
million tokens. What a plain form leaves out costs what the nearest thing costs: cached input and
cache writes like input, cache writes for an hour like other ones, reasoning like output.

    {"rates": {"input": "3.00", "cached_input": "0.30", "cache_write": "3.75", "output": "15.00"},
     "tiers": [{"above_prompt_tokens": 200000, "rates": {"input": "6.00", "output": "22.50"}}],
     "windows": [{"from": "01:00", "to": "04:00", "days": "mon-fri", "rates": {...}}],
     "service_tiers": {"flex": {"rates": {...}, "tiers": [...]}},
     "context_tokens_max": 1000000, "output_tokens_max": 64000,
     "vendor": "anthropic", "shutdown_ms": 1795996800000, "successor": "claude-sonnet-5-5"}

Source: the price lists of OpenAI, Anthropic, Google and DeepSeek, November 2026.
Weakness: a window knows the days of the week, no holidays; the rates of a service tier hold at all
hours.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, NamedTuple

from tokenferry.domain.money import format_dollars, parse_dollars

MINUTES_PER_DAY = 24 * 60
_MS_PER_MINUTE = 60_000
_MS_PER_DAY = MINUTES_PER_DAY * _MS_PER_MINUTE
# 1970-01-01 was a Thursday, and Monday is 0.
_EPOCH_WEEKDAY = 3
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = frozenset(range(len(DAYS)))

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


class TermsUnusable(Exception):
    """A plain form that is no terms of a price; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What tokens cost, in nano-dollars per million.

    Attributes:
        input: Input tokens.
        cached_input: Input tokens read from the provider's cache.
        cache_write: Input tokens written to it.
        cache_write_1h: Input tokens written to it for an hour.
        audio_input: Input tokens that are audio.
        output: Output tokens.
        reasoning: Output tokens spent on reasoning.
        audio_output: Output tokens that are audio.
    """

    input: int
    cached_input: int
    cache_write: int
    cache_write_1h: int
    audio_input: int
    output: int
    reasoning: int
    audio_output: int

    @property
    def input_max(self) -> int:
        """The most that an input token may cost."""
        return max(
            self.input,
            self.cached_input,
            self.cache_write,
            self.cache_write_1h,
            self.audio_input,
        )

    @property
    def output_max(self) -> int:
        """The most that an output token may cost."""
        return max(self.output, self.reasoning, self.audio_output)

    def given(self) -> dict[str, int]:
        """Return those that are not what they would be if they were left out."""
        return {
            name: getattr(self, name)
            for name in RATE_NAMES
            if getattr(self, name) != getattr(self, _DEFAULTS.get(name, ""), None)
        }


# What a rate is when it is not given.
_DEFAULTS = {
    "cached_input": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "audio_input": "input",
    "reasoning": "output",
    "audio_output": "output",
}
RATE_NAMES = tuple(item.name for item in fields(Rates))


def complete_rates(given: Mapping[str, int]) -> Rates:
    """Return rates, with what is not given filled in.

    Raises:
        KeyError: If input or output is not given.
    """
    whole = {"input": given["input"], "output": given["output"]}
    for name, default in _DEFAULTS.items():
        whole[name] = given.get(name, whole[default])
    return Rates(**whole)


class Tier(NamedTuple):
    """The rates of a whole request whose prompt is longer than a threshold."""

    above_prompt_tokens: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Scale:
    """Rates by the length of the prompt.

    Attributes:
        rates: Those of short prompts.
        tiers: Those of longer ones, by rising threshold.
    """

    rates: Rates
    tiers: tuple[Tier, ...] = ()

    def rates_for(self, prompt_tokens: int) -> Rates:
        """Return the rates of the highest tier whose threshold the prompt exceeds."""
        found = self.rates
        for tier in self.tiers:
            if prompt_tokens > tier.above_prompt_tokens:
                found = tier.rates
        return found

    def all_rates(self) -> Iterator[Rates]:
        """Yield the rates of every length."""
        yield self.rates
        for tier in self.tiers:
            yield tier.rates


class Window(NamedTuple):
    """Hours of the day with a scale of their own, UTC.

    Attributes:
        from_minute: The first minute of the day.
        to_minute: The minute after the last one; not above `from_minute` when it is the next day's.
        days: The days of the week on which it begins, Monday is 0.
        scale: What holds then.
    """

    from_minute: int
    to_minute: int
    days: frozenset[int]
    scale: Scale

    def holds_at(self, now_ms: int) -> bool:
        """Return whether a moment is within."""
        minute = now_ms % _MS_PER_DAY // _MS_PER_MINUTE
        weekday = (now_ms // _MS_PER_DAY + _EPOCH_WEEKDAY) % len(DAYS)
        if self.from_minute < self.to_minute:
            return self.from_minute <= minute < self.to_minute and weekday in self.days
        if minute >= self.from_minute:
            return weekday in self.days
        return minute < self.to_minute and (weekday - 1) % len(DAYS) in self.days


@dataclass(frozen=True, slots=True)
class Terms:
    """All that a price says of a model.

    Attributes:
        scale: What holds outside windows, for the ordinary service tier.
        windows: Hours with a scale of their own; the first one that holds counts.
        service_tiers: The scales of other service tiers, by name.
        context_tokens_max: The model's context.
        output_tokens_max: The most that it answers.
        vendor: The provider whose model it is: its end counts only there. None for wherever it is.
        shutdown_ms: The day on which its provider shuts it down, the first moment of it in UTC.
        successor: What to ask for in its place.
    """

    scale: Scale
    windows: tuple[Window, ...] = ()
    service_tiers: Mapping[str, Scale] = field(default_factory=lambda: MappingProxyType({}))
    context_tokens_max: int | None = None
    output_tokens_max: int | None = None
    vendor: str | None = None
    shutdown_ms: int | None = None
    successor: str | None = None

    def scale_at(self, now_ms: int) -> Scale:
        """Return what the ordinary service tier costs at a moment."""
        for window in self.windows:
            if window.holds_at(now_ms):
                return window.scale
        return self.scale


_FACTS = ("context_tokens_max", "output_tokens_max", "vendor", "shutdown_ms", "successor")


# -- the plain form ------------------------------------------------------------------------------


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
