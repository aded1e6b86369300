"""A price as somebody types it: read, and compared with what the model cost so far.

What the operator types is taken at its word unless it is odd: rates that contradict each other, or
a hundred times what they were so far, or a hundredth. Who means that says so.

Weakness: a price that is typed has one rate for all lengths, hours and service tiers; where the one
so far has more, that is lost, which whoever types it is to be told.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tokenferry.domain.money import parse_dollars
from tokenferry.domain.price_form import NAME_CHARACTERS_MAX, RATE_NANOS_MAX
from tokenferry.domain.price_import import faults, leaps
from tokenferry.domain.price_terms import Scale, Terms, complete_rates
from tokenferry.domain.pricing import Price, PriceBook

# Rates that can be typed; input and output have to be.
TYPED_RATES = ("input", "output", "cached_input", "cache_write", "cache_write_1h", "reasoning")


class EntryUnusable(Exception):
    """What was typed is no price.

    Args:
        field: Where: `model`, the name of a rate, or `successor`.
        reason: What is wrong with it, after the field's name.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """What was typed.

    Attributes:
        model: A provider's own name for a model, or `provider/model`.
        rates: Amounts in USD per million tokens, as texts, by their names in `TYPED_RATES`.
        valid_from_ms: From when it holds, Unix time.
        source: Where it is from, for people.
        context_tokens_max: The model's context.
        output_tokens_max: The most that it answers.
        shutdown_ms: The day on which it is shut down, the first moment of it in UTC.
        successor: What to ask for then.
    """

    model: str
    rates: Mapping[str, str]
    valid_from_ms: int
    source: str
    context_tokens_max: int | None = None
    output_tokens_max: int | None = None
    shutdown_ms: int | None = None
    successor: str | None = None

    def price(self) -> Price:
        """Return the price that it is.

        Raises:
            EntryUnusable: If it is none.
        """
        name = self.model
        is_printable = name.isprintable() and name == name.strip()
        if not is_printable or not 0 < len(name) <= NAME_CHARACTERS_MAX:
            raise EntryUnusable(
                "model", f"has 1..{NAME_CHARACTERS_MAX} printable characters; {name!r} is none"
            )
        given = {rate: _nanos(rate, text) for rate, text in self.rates.items()}
        if self.successor is not None and self.shutdown_ms is None:
            raise EntryUnusable("successor", "needs the day of a shutdown")
        terms = Terms(
            Scale(complete_rates(given)),
            context_tokens_max=self.context_tokens_max,
            output_tokens_max=self.output_tokens_max,
            shutdown_ms=self.shutdown_ms,
            successor=self.successor,
        )
        return Price(name, self.valid_from_ms, terms, self.source)


def known_price(book: PriceBook, model: str, now_ms: int) -> Price | None:
    """Return what a model cost so far, under its name or the same without its provider."""
    return book.known(model, now_ms) or book.known(model.partition("/")[2], now_ms)


def oddities(price: Price, known: Price | None) -> list[str]:
    """Return what is odd about a price, compared with the one so far."""
    rates = None if known is None else known.terms.scale.rates
    return [*faults(price.terms), *leaps(price.terms.scale.rates, rates)]


def has_more(terms: Terms) -> bool:
    """Return whether a price says more than can be typed: tiers, hours or service tiers."""
    return bool(terms.scale.tiers or terms.windows or terms.service_tiers)


def _nanos(rate: str, text: str) -> int:
    nanos = parse_dollars(text)
    if nanos is None or not 0 <= nanos <= RATE_NANOS_MAX:
        raise EntryUnusable(
            rate,
            f"is {text!r}, not an amount in USD per million tokens such as 1.00, of 0..1000000",
        )
    return nanos
