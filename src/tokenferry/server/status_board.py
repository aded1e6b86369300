"""How the service is: what /status shows, and the same for programs at /api/status.

Anybody may ask, so it is made anew twice a minute at most, in another thread, whoever asks how
often. It tells shares and times of models, and nothing of accounts, keys, providers, or how much
is asked.

Weakness: what the gateway refuses before it makes a stream of it, when it is full or its disk is,
is in no record and is not counted.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

from aiohttp import web
from msgspec import Struct

from tokenferry.domain.routing import Catalog
from tokenferry.domain.service_status import (
    DAYS_SHOWN,
    HOURS_A_DAY,
    MS_PER_DAY,
    MS_PER_HOUR,
    NOW_WITHIN_HOURS,
    PPM,
    Day,
    Incident,
    ModelStatus,
    Report,
    State,
    report,
)
from tokenferry.engine.request_log import RequestStore
from tokenferry.engine.workers import Workers
from tokenferry.protocol.frames import encode
from tokenferry.server.api_routes import Call, Route
from tokenferry.server.responses import JSON

PATH = "/api/status"
KEPT_MS = 30_000
CACHED = {"Cache-Control": f"public, max-age={KEPT_MS // 1000}"}
S_PER_DAY = MS_PER_DAY // 1000
S_PER_HOUR = MS_PER_HOUR // 1000

T = TypeVar("T")


class DayFacts(Struct):
    """One day, UTC; `availability` is the share of requests that were served, null if none was."""

    day: str
    state: State
    availability: float | None


class ModelStatusFacts(Struct):
    """How one model was served in the last 90 days."""

    model: str
    state: State
    availability: float | None
    first_token_p50_ms: int | None
    first_token_p95_ms: int | None
    days: list[DayFacts]


class IncidentFacts(Struct):
    """A run of bad hours, in Unix seconds; `failed` is the share of requests that failed."""

    model: str
    state: State
    began: int
    ended: int
    over: bool
    failed: float


class StatusFacts(Struct):
    """How the service is; `as_of` is Unix time."""

    state: State
    as_of: int
    models: list[ModelStatusFacts]
    incidents: list[IncidentFacts]


class StatusBoard:
    """The latest report.

    Args:
        store: The request log.
        disk: The thread that reads it.
        catalog: Which models there are.
        wall_ms: The wall clock, Unix time.
    """

    def __init__(
        self, store: RequestStore, disk: Workers, catalog: Catalog, wall_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._disk = disk
        self._catalog = catalog
        # In the order of the list; a dictionary, since each count is looked up.
        self._names = {entry.id: entry.id for entry in catalog.listing()}
        self._wall_ms = wall_ms
        self._latest: Report | None = None
        self._told = b""
        # One makes it, and who comes meanwhile waits for that.
        self._lock = asyncio.Lock()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("GET", PATH, self._show, "Show how the service is",
                  answer=StatusFacts, access="anyone"),
        ]  # fmt: skip

    async def report(self) -> Report:
        """Return the latest report.

        Raises:
            StoreUnusable: If the log cannot be read.
            Overloaded: If too much waits for the disk.
        """
        async with self._lock:
            now_ms, latest = self._wall_ms(), self._latest
            # A clock that was set back must not keep an old one for long.
            if latest is None or not 0 <= now_ms - latest.now_ms < KEPT_MS:
                made, self._told = await self._disk.run(lambda: self._made(now_ms))
                latest = self._latest = made
            return latest

    async def off_loop(self, work: Callable[[], T]) -> T:
        """Return what some work on a report returns, done where it holds nobody up."""
        return await self._disk.run(work)

    async def _show(self, _: Call[Any]) -> web.Response:
        await self.report()
        return web.Response(body=self._told, content_type=JSON, headers=CACHED)

    def _made(self, now_ms: int) -> tuple[Report, bytes]:
        first_day = now_ms // MS_PER_DAY - DAYS_SHOWN + 1
        last_day = now_ms // MS_PER_HOUR - NOW_WITHIN_HOURS
        name = self._shown_name
        days = self._store.days(first_day)
        hours = self._store.hours(first_day * HOURS_A_DAY, last_day)
        first_tokens = self._store.first_tokens(first_day)
        made = report(
            list(self._names),
            [day._replace(model=name(day.model)) for day in days],
            [hour._replace(model=name(hour.model)) for hour in hours],
            [each._replace(model=name(each.model)) for each in first_tokens],
            now_ms,
        )
        return made, encode(facts(made))

    def _shown_name(self, model: str) -> str:
        """Return the name under which a model is shown: that of `provider/model` without it."""
        names = self._catalog.names_of(model)
        # None of them, if it was there once.
        return next((name for name in names if name in self._names), model)


def facts(made: Report) -> StatusFacts:
    """Return a report for programs."""
    return StatusFacts(
        made.state,
        made.now_ms // 1000,
        [_model(status) for status in made.models],
        [_incident(incident) for incident in made.incidents],
    )


@lru_cache(4 * DAYS_SHOWN)
def day_text(day: int) -> str:
    """Return a day since 1970 as 2026-11-27."""
    return f"{datetime.fromtimestamp(day * S_PER_DAY, UTC):%Y-%m-%d}"


def _model(status: ModelStatus) -> ModelStatusFacts:
    return ModelStatusFacts(
        status.model,
        status.state,
        _share(status.served_ppm),
        status.p50_ms,
        status.p95_ms,
        [_day(day) for day in status.days],
    )


def _day(day: Day) -> DayFacts:
    return DayFacts(day_text(day.day), day.state, _share(day.served_ppm))


def _incident(incident: Incident) -> IncidentFacts:
    return IncidentFacts(
        incident.model,
        incident.state,
        incident.first_hour * S_PER_HOUR,
        (incident.last_hour + 1) * S_PER_HOUR,
        incident.is_over,
        incident.failed_ppm / PPM,
    )


def _share(ppm: int | None) -> float | None:
    return None if ppm is None else ppm / PPM
