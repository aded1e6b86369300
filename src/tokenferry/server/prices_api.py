"""Models and prices, for administrators.

GET    /api/admin/models   every model, who serves it, and what it costs now and later
GET    /api/admin/prices   the operator's own prices
POST   /api/admin/prices   set one, as `tokenferry prices set` does
DELETE /api/admin/prices   remove one, or all of a model

Prices are list prices, USD per million tokens. Days are those of UTC.
"""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct

from tokenferry.config.prices import day_ms, day_of
from tokenferry.domain.money import format_dollars
from tokenferry.domain.price_entry import (
    TYPED_RATES,
    EntryUnusable,
    PriceEntry,
    has_more,
    known_price,
    oddities,
)
from tokenferry.domain.price_form import NAME_CHARACTERS_MAX, TOKENS_MAX, write_terms
from tokenferry.domain.price_terms import Rates, Scale, Terms
from tokenferry.domain.pricing import Price, PriceBook
from tokenferry.domain.routing import ALIAS_OWNER, Catalog
from tokenferry.engine.prices import PriceStore
from tokenferry.engine.workers import Workers
from tokenferry.errors import InvalidRequest, PriceNotFound
from tokenferry.server import audit_log
from tokenferry.server.api_routes import Body, Call, Route

PAGE_MAX = 500

Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
Amount = Annotated[str, Meta(max_length=30, description="USD per million tokens.")]
Day = Annotated[
    str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="Such as 2026-12-01, in UTC.")
]
Tokens = Annotated[int, Meta(ge=1, le=TOKENS_MAX)]

T = TypeVar("T")


class PartFacts(Struct):
    """What else than the ordinary rates a price has: what it holds for, and its rates."""

    service_tier: str | None
    hours: str | None
    above_prompt_tokens: int | None
    rates: dict[str, str]


class PriceFacts(Struct):
    """A price: under which name it stands, from when, whose it is, and what it says."""

    name: str
    valid_from: str | None
    own: bool
    source: str
    rates: dict[str, str]
    parts: list[PartFacts]


class ModelCandidate(Struct):
    """One way to serve a model; what is not known is null."""

    provider: str
    model: str
    price: PriceFacts | None
    coming: list[PriceFacts]
    context_tokens_max: int | None
    output_tokens_max: int | None
    shutdown_date: str | None
    successor: str | None


class ModelFacts(Struct):
    """A model or an alias as clients ask for it, with its candidates in their order."""

    id: str
    alias: bool
    candidates: list[ModelCandidate]


class ModelList(Struct):
    """All models; `margin_ppm` is what accounts pay above list prices, in parts per million."""

    margin_ppm: int
    data: list[ModelFacts]


class OwnPrice(PriceFacts, kw_only=True):
    """A price of the operator's own, and what it says of the model's limits and end.

    `state` is `counts`, `coming`, or `replaced` by a later one of the same name.
    """

    state: str
    context_tokens_max: int | None
    output_tokens_max: int | None
    shutdown_date: str | None
    successor: str | None


class PricePage(Body):
    """Which part of the list: those whose names contain a text."""

    search: Annotated[str, Meta(max_length=NAME_CHARACTERS_MAX)] = ""
    offset: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 100


class PriceList(Struct):
    """The operator's own prices by name and day, and how many there are in all."""

    total: int
    data: list[OwnPrice]


class NewPrice(Body):
    """A price; what is not given costs what the nearest thing does. `force` takes odd ones, too."""

    model: Name
    input: Amount
    output: Amount
    cached_input: Amount | None = None
    cache_write: Amount | None = None
    cache_write_1h: Amount | None = None
    reasoning: Amount | None = None
    context_tokens_max: Tokens | None = None
    output_tokens_max: Tokens | None = None
    valid_from: Day | None = None
    shutdown: Day | None = None
    successor: Name | None = None
    force: bool = False


class SetPrice(Struct):
    """The price that was set, the one so far, and whether that had tiers, hours or service tiers.

    Those are gone with it.
    """

    price: OwnPrice
    so_far: PriceFacts | None
    parts_lost: bool


class PriceName(Body):
    """Which price; without `valid_from`, all of the model."""

    model: Name
    valid_from: Day | None = None


class Removed(Struct):
    """How many were removed."""

    removed: int


class PricesApi:
    """The routes of models and prices.

    Args:
        catalog: Which models there are.
        store: The operator's own prices; used by `disk` alone.
        shipped: What Tokenferry brings along.
        margin_ppm: What accounts pay above list prices.
        disk: A single thread.
        wall_ms: Unix time.
    """

    def __init__(
        self,
        catalog: Catalog,
        store: PriceStore,
        shipped: Sequence[Price],
        margin_ppm: int,
        disk: Workers,
        wall_ms: Callable[[], int],
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._shipped = shipped
        self._margin_ppm = margin_ppm
        self._disk = disk
        self._wall_ms = wall_ms

    def routes(self) -> list[Route]:
        """Return the routes."""
        path = "/api/admin/prices"
        return [
            Route("GET", "/api/admin/models", self._models, "List models with their prices",
                  answer=ModelList, access="admin"),
            Route("GET", path, self._list, "List the operator's own prices",
                  query=PricePage, answer=PriceList, access="admin"),
            Route("POST", path, self._set, "Set a price of the operator's own",
                  body=NewPrice, answer=SetPrice, access="admin"),
            Route("DELETE", path, self._remove, "Remove prices of the operator's own",
                  query=PriceName, answer=Removed, access="admin"),
        ]  # fmt: skip

    async def _models(self, _: Call[Any]) -> ModelList:
        def models() -> list[ModelFacts]:
            # Read anew, not from what the engine has: that may be a second old, and the list is
            # asked for right after a price was set.
            book, now_ms = self._book(), self._wall_ms()
            return [
                ModelFacts(
                    entry.id,
                    entry.provider == ALIAS_OWNER,
                    [
                        _candidate(book, *candidate, now_ms)
                        for candidate in self._catalog.resolve(entry.id)
                    ],
                )
                for entry in self._catalog.listing()
            ]

        return ModelList(self._margin_ppm, await self._disk.run(models))

    async def _list(self, call: Call[Any]) -> PriceList:
        page: PricePage = call.query
        now_ms = self._wall_ms()

        def listed() -> PriceList:
            own = self._store.all()
            book = PriceBook((), own)
            found = [price for price in own if page.search.lower() in price.model.lower()]
            shown = found[page.offset : page.offset + page.limit]
            return PriceList(len(found), [_own_facts(book, price, now_ms) for price in shown])

        return await self._disk.run(listed)

    async def _set(self, call: Call[NewPrice]) -> SetPrice:
        now_ms = self._wall_ms()
        price = _typed(call.body, now_ms)
        entry = audit_log.entry_of(
            call,
            now_ms,
            "price.set",
            price.model,
            valid_from=day_of(price.valid_from_ms),
            rates=_rates(price.terms.scale.rates),
            forced=call.body.force,
        )

        def put() -> SetPrice:
            book = self._book()
            known = known_price(book, price.model, now_ms)
            odd = oddities(price, known)
            if odd and not call.body.force:
                raise InvalidRequest(
                    f"{price.model}: {'; '.join(odd)}. `force` takes it all the same.",
                    param="force",
                )
            self._store.put([price], now_ms, entry)
            own = PriceBook((), self._store.all())
            return SetPrice(
                _own_facts(own, price, now_ms),
                None if known is None else PriceFacts(**_facts(book, known)),
                known is not None and has_more(known.terms),
            )

        done = await self._disk.run(put)
        audit_log.tell(entry)
        return done

    async def _remove(self, call: Call[Any]) -> Removed:
        wanted: PriceName = call.query
        begin_ms = None if wanted.valid_from is None else _day(wanted.valid_from, "valid_from")
        entry = audit_log.entry_of(
            call, self._wall_ms(), "price.remove", wanted.model, valid_from=wanted.valid_from
        )
        removed = await self._disk.run(lambda: self._store.remove(wanted.model, begin_ms, entry))
        if not removed:
            raise PriceNotFound(
                "No price of that name was set here, for that day or at all; "
                "GET /api/admin/prices lists all. What Tokenferry brings along is not removed.",
                param="model",
            )
        audit_log.tell(entry)
        return Removed(removed)

    def _book(self) -> PriceBook:
        return PriceBook(self._shipped, self._store.all())


def _typed(body: NewPrice, now_ms: int) -> Price:
    entry = PriceEntry(
        body.model,
        {rate: text for rate in TYPED_RATES if (text := getattr(body, rate)) is not None},
        _day(body.valid_from or day_of(now_ms), "valid_from"),
        f"set {day_of(now_ms)}",
        body.context_tokens_max,
        body.output_tokens_max,
        None if body.shutdown is None else _day(body.shutdown, "shutdown"),
        body.successor,
    )
    try:
        return entry.price()
    except EntryUnusable as exc:
        raise InvalidRequest(f"`{exc.field}` {exc.reason}.", param=exc.field) from None


def _day(text: str, name: str) -> int:
    try:
        return day_ms(date.fromisoformat(text))
    except ValueError:
        raise InvalidRequest(f"`{name}` is no day; write 2026-12-01.", param=name) from None


def _candidate(book: PriceBook, provider: str, model: str, now_ms: int) -> ModelCandidate:
    price = book.counting(provider, model, now_ms)
    listing = book.listing(provider, model, now_ms)
    return ModelCandidate(
        provider,
        model,
        None if price is None else PriceFacts(**_facts(book, price)),
        [PriceFacts(**_facts(book, later)) for later in book.coming(provider, model, now_ms)],
        None if listing is None else listing.context_tokens_max,
        None if listing is None else listing.output_tokens_max,
        None if listing is None else _end(listing.shutdown_ms),
        None if listing is None else listing.successor,
    )


def _own_facts(book: PriceBook, price: Price, now_ms: int) -> OwnPrice:
    state = "coming"
    if price.valid_from_ms <= now_ms:
        state = "counts" if book.known(price.model, now_ms) == price else "replaced"
    terms = price.terms
    return OwnPrice(
        **{**_facts(book, price), "own": True},
        state=state,
        context_tokens_max=terms.context_tokens_max,
        output_tokens_max=terms.output_tokens_max,
        shutdown_date=_end(terms.shutdown_ms),
        successor=terms.successor,
    )


def _facts(book: PriceBook, price: Price) -> dict[str, Any]:
    return {
        "name": price.model,
        "valid_from": day_of(price.valid_from_ms) if price.valid_from_ms else None,
        "own": book.is_own(price),
        "source": price.source,
        "rates": _rates(price.terms.scale.rates),
        "parts": _parts(price.terms),
    }


def _end(shutdown_ms: int | None) -> str | None:
    return None if shutdown_ms is None else day_of(shutdown_ms)


def _rates(rates: Rates) -> dict[str, str]:
    given = rates.given() | {"input": rates.input, "output": rates.output}
    return {name: format_dollars(nanos) for name, nanos in given.items()}


def _parts(terms: Terms) -> list[PartFacts]:
    parts = _tiers(None, None, terms.scale)
    plain = write_terms(terms).get("windows", ())
    for hours, window in zip(plain, terms.windows, strict=True):
        label = f"{hours['from']}-{hours['to']} {hours.get('days', '')}".rstrip()
        parts += [PartFacts(None, label, None, _rates(window.scale.rates))]
        parts += _tiers(None, label, window.scale)
    for tier, scale in terms.service_tiers.items():
        parts += [PartFacts(tier, None, None, _rates(scale.rates)), *_tiers(tier, None, scale)]
    return parts


def _tiers(service_tier: str | None, hours: str | None, scale: Scale) -> list[PartFacts]:
    return [
        PartFacts(service_tier, hours, tier.above_prompt_tokens, _rates(tier.rates))
        for tier in scale.tiers
    ]
