"""The models over HTTP: what there is, what it costs, and until when.

    GET /v1/models      all aliases and models
    GET /v1/models/ID   one of them

The fields are OpenAI's, `shutdown_date` among them, and those that others add: `pricing`,
`context_length`, `max_output_tokens`, `successor`. What is not known is null. An alias shows what
the first of its candidates has that is still served.

Source: developers.openai.com, "List models", and openrouter.ai, "List available models", November
2026; docs/reference/prices.md.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tokenferry.domain.money import format_dollars
from tokenferry.domain.price_form import write_terms
from tokenferry.domain.price_terms import (
    RATE_NAMES,
    Rates,
    Scale,
    Terms,
)
from tokenferry.domain.pricing import Listing, with_margin
from tokenferry.domain.routing import Candidate, Catalog, ModelEntry
from tokenferry.engine.keys import Key
from tokenferry.engine.prices import serving
from tokenferry.engine.read_limit import LIST_READS
from tokenferry.errors import ModelNotAllowed
from tokenferry.server.credentials import reader
from tokenferry.server.hub import Hub
from tokenferry.server.responses import json_response

UNIT = "USD per million tokens"
# These are there always; others when they differ from what they default to.
_SHOWN = ("input", "cached_input", "cache_write", "output")


class ModelsApi:
    """The routes under /v1/models.

    Args:
        hub: What the handlers work with.
        catalog: Which models there are.
        started_s: Wall-clock seconds, shown as every model's `created`.
        margin_ppm: What limited accounts pay above list prices.
    """

    def __init__(self, hub: Hub, catalog: Catalog, started_s: int, margin_ppm: int) -> None:
        self._hub = hub
        self._catalog = catalog
        self._started_s = started_s
        self._margin_ppm = margin_ppm

    def add_to(self, app: web.Application) -> None:
        """Add the routes to an application."""
        app.router.add_get("/v1/models", self._list)
        app.router.add_get("/v1/models/{id:.+}", self._show)

    async def _list(self, request: web.Request) -> web.Response:
        key = reader(request, self._hub, LIST_READS)
        return json_response({"object": "list", "data": self.listing(key)})

    def listing(self, key: Key) -> list[dict[str, object]]:
        """Return what is shown of all models that a key may ask for."""
        return [
            self._entry(entry, key)
            for entry in self._catalog.listing()
            if key.may_ask_for(entry.id)
        ]

    async def _show(self, request: web.Request) -> web.Response:
        key = reader(request, self._hub)
        name = request.match_info["id"]
        engine = self._hub.shared.dispatcher.engine
        # Only for its errors: one that is retired and still configured is shown.
        serving(self._catalog, engine.prices, engine.providers, name, engine.wall_ms())
        entry = self._catalog.entry(name)
        if not key.may_ask_for(entry.id):
            raise ModelNotAllowed(f"This key is not for the model {entry.id!r}.", param="model")
        return json_response(self._entry(entry, key))

    def _entry(self, entry: ModelEntry, key: Key) -> dict[str, object]:
        shown: dict[str, object] = {
            "id": entry.id,
            "object": "model",
            "created": self._started_s,
            "owned_by": entry.provider,
        }
        listing = self._listing(self._catalog.resolve(entry.id))
        return shown | facts(listing, self._margin_ppm if key.is_limited else 0)

    def _listing(self, candidates: tuple[Candidate, ...]) -> Listing | None:
        engine = self._hub.shared.dispatcher.engine
        now_ms = engine.wall_ms()
        for candidate in candidates:
            if engine.prices.retirement(*candidate, now_ms) is None:
                return engine.prices.listing(*candidate, now_ms)
        return engine.prices.listing(*candidates[0], now_ms)


def facts(listing: Listing | None, margin_ppm: int) -> dict[str, object]:
    """Return what is shown of a model beside its name."""
    if listing is None:
        names = ("pricing", "context_length", "max_output_tokens", "shutdown_date", "successor")
        return dict.fromkeys(names)
    end_ms = listing.shutdown_ms
    return {
        "pricing": {"unit": UNIT, **_pricing(listing.terms, margin_ppm)},
        "context_length": listing.context_tokens_max,
        "max_output_tokens": listing.output_tokens_max,
        "shutdown_date": end_ms and datetime.fromtimestamp(end_ms // 1000, UTC).date().isoformat(),
        "successor": listing.successor,
    }


def _pricing(terms: Terms, margin_ppm: int) -> dict[str, Any]:
    shown = dict(_scale(terms.scale, margin_ppm))
    if terms.windows:
        # Hours and days in the form in which prices are written.
        plain = write_terms(terms)["windows"]
        shown["windows"] = [
            {name: hours[name] for name in ("from", "to", "days") if name in hours}
            | dict(_scale(window.scale, margin_ppm))
            for hours, window in zip(plain, terms.windows, strict=True)
        ]
    if terms.service_tiers:
        shown["service_tiers"] = {
            name: dict(_scale(scale, margin_ppm)) for name, scale in terms.service_tiers.items()
        }
    return shown


def _scale(scale: Scale, margin_ppm: int) -> Iterator[tuple[str, Any]]:
    yield from _rates(scale.rates, margin_ppm)
    if scale.tiers:
        tiers = [
            {
                "above_prompt_tokens": tier.above_prompt_tokens,
                **dict(_rates(tier.rates, margin_ppm)),
            }
            for tier in scale.tiers
        ]
        yield "tiers", tiers


def _rates(rates: Rates, margin_ppm: int) -> Iterator[tuple[str, str]]:
    given = rates.given()
    for name in RATE_NAMES:
        if name in _SHOWN or name in given:
            yield name, format_dollars(with_margin(getattr(rates, name), margin_ppm))
