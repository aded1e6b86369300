"""What usage costs: the price book, and the tariff of one request.

A cost is a sum of tokens times nano-dollars per million tokens, times (1 + margin). It is exact
until its end, where it is rounded up to a nano-dollar, once.

Each token is billed once. Of the prompt, first the cached tokens count as such, then the cache
writes (those for an hour first), then audio; what is left is plain input. Of the output it is
reasoning, then audio, then plain output. A part that is larger than what is left of the whole is
cut to it: the provider's totals are never exceeded. Less than nothing is nothing.

Source: docs/decisions/0010-money.md.
Weakness: the moment at which a request is begun decides on hours and dates, wherever it ends. A
service tier that is dearer than the one that was asked for is charged when the provider reports it,
but held only for requests that say `auto`. A tier that has no price costs what the ordinary one
does; see `Tariff.unknown_service_tier`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from tokenferry.domain.price_terms import Scale, Terms, token_sums
from tokenferry.domain.usage import Usage

_T = TypeVar("_T")

PRICED_TOKENS = 1_000_000
PPM = 1_000_000
# From what a sum of tokens times rates, times (PPM + margin), becomes nano-dollars.
_UNIT = PRICED_TOKENS * PPM
# What an amount affords where output costs nothing.
AFFORDED_TOKENS_MAX = 10**9
MS_PER_DAY = 86_400_000
MS_PER_MINUTE = 60_000
# Models that are asked for in a minute; names that nobody serves are among them.
SAID_MAX = 4_096

_ORDINARY = frozenset({"default", "standard", "standard_only"})
# They cost less than the ordinary one, everywhere.
_CHEAPER = frozenset({"batch", "flex"})
_AUTO = "auto"


class Cost(NamedTuple):
    """What a stream costs.

    Attributes:
        charge_nanos: With the margin, rounded up.
        list_nanos: At list price, rounded up.
        cache_saved_nanos: What the cached input would have cost more at the price of other input,
            less what cache writes cost more than that; with the margin, rounded down.
    """

    charge_nanos: int
    list_nanos: int
    cache_saved_nanos: int


class Retirement(NamedTuple):
    """A model that its provider serves no more.

    Attributes:
        model: Its name.
        shutdown_ms: The day of its end, the first moment of it in UTC.
        successor: What to ask for in its place.
    """

    model: str
    shutdown_ms: int
    successor: str | None


class Price(NamedTuple):
    """One entry of the book.

    Attributes:
        model: A provider's own name for a model, or `provider/model`.
        valid_from_ms: From when it holds, Unix time.
        terms: What it says.
        source: Where it is from, for people.
    """

    model: str
    valid_from_ms: int
    terms: Terms
    source: str = ""


class Listing(NamedTuple):
    """A model's price and limits, for people.

    Attributes:
        scale: What the ordinary service tier costs now.
        terms: All of the price.
        context_tokens_max: The model's context.
        output_tokens_max: The most that it answers.
        shutdown_ms: The day of its end, if that is known.
        successor: What to ask for then.
    """

    scale: Scale
    terms: Terms
    context_tokens_max: int | None
    output_tokens_max: int | None
    shutdown_ms: int | None
    successor: str | None


@dataclass(frozen=True, slots=True)
class Tariff:
    """All that one candidate's request costs, as of one moment.

    Attributes:
        scale: What the ordinary service tier costs.
        service_tiers: What the others cost.
        asked_tier: The service tier that the request asks for.
        margin_ppm: What is added to list prices, in parts per million.
        output_tokens_max: The model's maximum.
        context_tokens_max: The model's context.
    """

    scale: Scale
    service_tiers: Mapping[str, Scale]
    asked_tier: str | None = None
    margin_ppm: int = 0
    output_tokens_max: int | None = None
    context_tokens_max: int | None = None

    @property
    def unknown_service_tier(self) -> str | None:
        """The service tier that was asked for, if it may be dearer than any price that is known.

        Whoever must be charged should be refused it.
        """
        tier = self.asked_tier
        known = tier in self.service_tiers or tier in _ORDINARY or tier in _CHEAPER
        return None if known or tier == _AUTO else tier

    def cost(self, usage: Usage, service_tier: str | None = None) -> Cost:
        """Return what usage costs.

        Args:
            usage: The provider's count, or the estimate in its place.
            service_tier: The one that the provider reports; None if it does not.
        """
        served = self.asked_tier if service_tier is None else service_tier
        rates = self.service_tiers.get(served or "", self.scale).rates_for(usage.prompt_tokens)
        sum_, saved = token_sums(rates, usage)
        factor = PPM + self.margin_ppm
        return Cost(
            _divided_up(sum_ * factor, _UNIT),
            _divided_up(sum_, PRICED_TOKENS),
            saved * factor // _UNIT,
        )

    def hold_nanos(self, prompt_tokens: int, output_tokens: int) -> int:
        """Return the most that so many tokens may cost, whatever becomes of them.

        That is at the dearest rates: of any length of the prompt, since its count is an estimate,
        of cached and written and audio tokens, and of the service tiers that may serve the request.
        """
        input_max, output_max = self._dearest()
        sum_ = max(0, prompt_tokens) * input_max + max(0, output_tokens) * output_max
        return _divided_up(sum_ * (PPM + self.margin_ppm), _UNIT)

    def output_tokens_for(self, nanos: int, prompt_tokens: int) -> int:
        """Return how many output tokens an amount affords after the prompt, at the dearest rates.

        It is the largest number whose `hold_nanos` does not exceed the amount, and 0 if there is
        none; at most `AFFORDED_TOKENS_MAX`.
        """
        if nanos < self.hold_nanos(prompt_tokens, 0):
            return 0
        input_max, output_max = self._dearest()
        factor = PPM + self.margin_ppm
        if not output_max * factor:
            return AFFORDED_TOKENS_MAX
        left = nanos * _UNIT // factor - max(0, prompt_tokens) * input_max
        return min(left // output_max, AFFORDED_TOKENS_MAX)

    def _dearest(self) -> tuple[int, int]:
        every = [rates for scale in self._possible() for rates in scale.all_rates()]
        return max(rates.input_max for rates in every), max(rates.output_max for rates in every)

    def _possible(self) -> Iterator[Scale]:
        # A provider without room in the tier that was asked for serves the ordinary one.
        yield self.scale
        if self.asked_tier == _AUTO:
            yield from self.service_tiers.values()
        elif self.asked_tier is not None and self.asked_tier in self.service_tiers:
            yield self.service_tiers[self.asked_tier]


class PriceBook:
    """All prices.

    `provider/model` is looked up first, then the model's name alone; under the same name, the
    operator's own prices before those that Tokenferry brings along. The latest one that has begun
    counts. What a price does not say of limits and of the model's end, the next one may.

    Args:
        shipped: What Tokenferry brings along.
        own: What the operator has set.
    """

    def __init__(self, shipped: Iterable[Price], own: Iterable[Price] = ()) -> None:
        self._shipped = _by_name(shipped)
        self._own = _by_name(own)
        # What was said in this minute: nothing begins or ends within one but a price that is
        # valid from its middle, and then nothing is remembered.
        self._said: dict[tuple[str, str], Listing | None] = {}
        # Of them, what requests cost that ask for no service tier, by margin.
        self._plain: dict[tuple[str, str, int], Tariff] = {}
        self._minute = -1
        self._remembers = all(
            price.valid_from_ms % MS_PER_MINUTE == 0
            for prices in (*self._shipped.values(), *self._own.values())
            for price in prices
        )

    def tariff(
        self,
        provider: str,
        model: str,
        now_ms: int,
        *,
        service_tier: str | None = None,
        margin_ppm: int = 0,
    ) -> Tariff | None:
        """Return what a request costs that is begun now; None if no price is known.

        Args:
            provider: The provider's configured name.
            model: Its own name for the model.
            now_ms: Unix time.
            service_tier: The one that the request asks for.
            margin_ppm: What is added to list prices; -1,000,000 or more.
        """
        listing = self.listing(provider, model, now_ms)
        if listing is None:
            return None
        name = (provider, model, margin_ppm)
        plain = self._plain.get(name)
        if plain is None:
            plain = self._plain[name] = Tariff(
                listing.scale,
                listing.terms.service_tiers,
                None,
                margin_ppm,
                listing.output_tokens_max,
                listing.context_tokens_max,
            )
        return plain if service_tier is None else replace(plain, asked_tier=service_tier)

    def listing(self, provider: str, model: str, now_ms: int) -> Listing | None:
        """Return what there is to say of a model; None if no price is known."""
        minute = now_ms // MS_PER_MINUTE
        if minute != self._minute or len(self._said) >= SAID_MAX or not self._remembers:
            self._said.clear()
            self._plain.clear()
            self._minute = minute
        name = (provider, model)
        if name not in self._said:
            self._said[name] = self._listing(provider, model, now_ms)
        return self._said[name]

    def _listing(self, provider: str, model: str, now_ms: int) -> Listing | None:
        found = list(self._found(provider, model, now_ms))
        if not found:
            return None
        terms = found[0].terms
        shutdown_ms, successor = _end(found, provider)
        return Listing(
            terms.scale_at(now_ms),
            terms,
            _first(price.terms.context_tokens_max for price in found),
            _first(price.terms.output_tokens_max for price in found),
            shutdown_ms,
            successor,
        )

    def retirement(self, provider: str, model: str, now_ms: int) -> Retirement | None:
        """Return why a model is served no more, once the day of its end is over in UTC.

        Where a price names a vendor, as the shipped ones do, its end counts only for the provider
        of that name: a server of the operator's own may serve the same model for ever.
        """
        listing = self.listing(provider, model, now_ms)
        if listing is None or listing.shutdown_ms is None:
            return None
        if now_ms < listing.shutdown_ms + MS_PER_DAY:
            return None
        return Retirement(model, listing.shutdown_ms, listing.successor)

    def known(self, name: str, now_ms: int) -> Price | None:
        """Return the price that counts under exactly this name, the operator's own one first."""
        return _begun(self._own.get(name, ()), now_ms) or _begun(
            self._shipped.get(name, ()), now_ms
        )

    def counting(self, provider: str, model: str, now_ms: int) -> Price | None:
        """Return the price that counts for a provider's model; None if none is known."""
        return next(self._found(provider, model, now_ms), None)

    def coming(self, provider: str, model: str, now_ms: int) -> list[Price]:
        """Return the prices that will count for a provider's model, one after the other."""
        moments = {
            price.valid_from_ms
            for name in (f"{provider}/{model}", model)
            for prices in (self._own, self._shipped)
            for price in prices.get(name, ())
            if price.valid_from_ms > now_ms
        }
        found, last = [], self.counting(provider, model, now_ms)
        for moment in sorted(moments):
            price = self.counting(provider, model, moment)
            # One that begins below a price that goes before it changes nothing.
            if price is not None and price is not last:
                found.append(price)
                last = price
        return found

    def is_own(self, price: Price) -> bool:
        """Return whether a price of this book is the operator's own."""
        return any(own is price for own in self._own.get(price.model, ()))

    def _found(self, provider: str, model: str, now_ms: int) -> Iterator[Price]:
        for name in (f"{provider}/{model}", model):
            for prices in (self._own, self._shipped):
                price = _begun(prices.get(name, ()), now_ms)
                if price is not None:
                    yield price


def with_margin(nanos: int, margin_ppm: int) -> int:
    """Return a price with the margin, rounded up."""
    return _divided_up(nanos * (PPM + margin_ppm), PPM)


def _by_name(prices: Iterable[Price]) -> dict[str, list[Price]]:
    """Return prices by their names, the latest first."""
    found: dict[str, list[Price]] = {}
    for price in sorted(prices, key=lambda price: -price.valid_from_ms):
        found.setdefault(price.model, []).append(price)
    return found


def _begun(prices: Iterable[Price], now_ms: int) -> Price | None:
    return next((price for price in prices if price.valid_from_ms <= now_ms), None)


def _end(prices: Iterable[Price], provider: str) -> tuple[int | None, str | None]:
    """Return the first end that counts for a provider, and the first successor."""
    ends = [
        price.terms
        for price in prices
        if price.terms.shutdown_ms is not None and price.terms.vendor in (None, provider)
    ]
    return _first(end.shutdown_ms for end in ends), _first(end.successor for end in ends)


def _first(values: Iterable[_T | None]) -> _T | None:
    return next((value for value in values if value is not None), None)


def _divided_up(number: int, divisor: int) -> int:
    return -(-number // divisor)
