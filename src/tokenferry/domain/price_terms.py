"""The terms of a price: rates, what they depend on, and what tokens come to at them.

A rate is whole nano-dollars per million tokens. What is not given costs what the nearest thing
costs: cached input and cache writes like input, cache writes for an hour like other ones, reasoning
like output.

Source: the price lists of OpenAI, Anthropic, Google and DeepSeek, November 2026.
Weakness: a window knows the days of the week, no holidays; the rates of a service tier hold at all
hours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple

from tokenferry.domain.usage import Usage

MINUTES_PER_DAY = 24 * 60
_MS_PER_MINUTE = 60_000
_MS_PER_DAY = MINUTES_PER_DAY * _MS_PER_MINUTE
# 1970-01-01 was a Thursday, and Monday is 0.
_EPOCH_WEEKDAY = 3
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = frozenset(range(len(DAYS)))


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
            if getattr(self, name) != getattr(self, RATE_DEFAULTS.get(name, ""), None)
        }


# What a rate is when it is not given.
RATE_DEFAULTS = {
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
    for name, default in RATE_DEFAULTS.items():
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


def token_sums(rates: Rates, usage: Usage) -> tuple[int, int]:
    """Return the cost of usage and what the cache saved of it, in tokens times rates."""
    if not any(_parts(usage)):
        # Most answers are plain text, asked for in plain text.
        plain, text = max(0, usage.prompt_tokens), max(0, usage.completion_tokens)
        return plain * rates.input + text * rates.output, 0
    left = max(0, usage.prompt_tokens)
    cached, left = _taken(usage.cached_tokens, left)
    written, left = _taken(usage.cache_write_tokens, left)
    written_1h, written = _taken(usage.cache_write_1h_tokens, written)
    prompt_audio, plain = _taken(usage.prompt_audio_tokens, left)
    left = max(0, usage.completion_tokens)
    reasoning, left = _taken(usage.reasoning_tokens, left)
    completion_audio, text = _taken(usage.completion_audio_tokens, left)
    cost = (
        cached * rates.cached_input
        + written * rates.cache_write
        + written_1h * rates.cache_write_1h
        + prompt_audio * rates.audio_input
        + plain * rates.input
        + reasoning * rates.reasoning
        + completion_audio * rates.audio_output
        + text * rates.output
    )
    saved = (
        cached * (rates.input - rates.cached_input)
        + written * (rates.input - rates.cache_write)
        + written_1h * (rates.input - rates.cache_write_1h)
    )
    return cost, saved


# What is priced apart from the rest.
_parts = attrgetter(
    "cached_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "prompt_audio_tokens",
    "reasoning_tokens",
    "completion_audio_tokens",
)


def _taken(part: int, whole: int) -> tuple[int, int]:
    """Return what a part takes of a whole, and what it leaves."""
    taken = min(max(0, part), whole)
    return taken, whole - taken
