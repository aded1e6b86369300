"""The composition root: with the `*_site` modules, all of the server that names adapters.

`run` starts everything, serves until a signal, drains, and stops.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from aiohttp import web

from tokenferry.config.prices import shipped_prices
from tokenferry.config.settings import DEMO, Settings
from tokenferry.engine.archive import Archive
from tokenferry.engine.bad_keys import BadKeys
from tokenferry.engine.billing import Billing, Rules
from tokenferry.engine.dispatcher import Dispatcher, Engine
from tokenferry.engine.guests import Guests
from tokenferry.engine.keys import Authenticator, KeyStore, StoreUnusable, ensure_first_key
from tokenferry.engine.ledger import Ledger, Result, Work
from tokenferry.engine.options import Limits
from tokenferry.engine.ports import Journal, JournalUnavailable
from tokenferry.engine.prices import LivePrices, Prices
from tokenferry.engine.recovery import Takeover, recover, start
from tokenferry.engine.relay import Durability, Synced
from tokenferry.engine.retention import Periods, Retention
from tokenferry.engine.settlement import Commit, Committed, Settlement
from tokenferry.engine.traces import Tracer
from tokenferry.engine.workers import Workers
from tokenferry.providers.http_pool import ConnectionPool
from tokenferry.server.account_site import account_site
from tokenferry.server.admin_site import admin_site
from tokenferry.server.api_document import with_document
from tokenferry.server.api_routes import Api, Route
from tokenferry.server.certificate import CertificateUnusable
from tokenferry.server.chat_api import ChatApi
from tokenferry.server.drain import drain
from tokenferry.server.http_api import HttpApi
from tokenferry.server.hub import Hub, Shared
from tokenferry.server.listener import ListenerUnusable, listening
from tokenferry.server.metrics import Metrics
from tokenferry.server.models_api import ModelsApi
from tokenferry.server.pages import add_pages
from tokenferry.server.provider_site import providers, router
from tokenferry.server.random_ids import stream_id
from tokenferry.server.request_site import RequestSite, request_site
from tokenferry.server.status_board import StatusBoard
from tokenferry.server.status_page import StatusPage
from tokenferry.server.telemetry import TelemetryUnusable, telemetry
from tokenferry.server.tickets import Tickets
from tokenferry.server.web_app import add_web_app
from tokenferry.stores.memory import MemoryJournal
from tokenferry.stores.segment_files import DirectoryLock
from tokenferry.stores.segment_journal import SegmentJournal
from tokenferry.stores.sqlite import SqliteKeys
from tokenferry.stores.sqlite_archive import SqliteArchive
from tokenferry.stores.sqlite_ledger import SqliteLedger
from tokenferry.stores.sqlite_prices import SqlitePrices

log = logging.getLogger(__name__)

OnReady = Callable[[str, str | None], None]

_UNUSABLE = (
    StoreUnusable, JournalUnavailable, TelemetryUnusable, ListenerUnusable, CertificateUnusable,
    OSError,
)  # fmt: skip
NS_PER_MS = 1_000_000
SETTLE_POLL_S = 0.01
SETTLE_POLLS_MAX = 500
REASONING_FIELDS = {
    "reasoning_content": ["reasoning_content"],
    "reasoning": ["reasoning"],
    "both": ["reasoning_content", "reasoning"],
}


class LoopTimers:
    """The event loop as the engine's timers, with a finer clock: uvloop's counts milliseconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.time = time.monotonic
        self.call_soon = loop.call_soon
        self.call_later = loop.call_later


def run(settings: Settings, on_ready: OnReady) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code.

    Args:
        settings: The configuration.
        on_ready: Called once the server answers, with its address and, if the data directory had
            no key, the first one.
    """
    try:
        with asyncio.Runner(loop_factory=_new_event_loop) as runner:
            runner.run(_serve(settings, on_ready))
    except _UNUSABLE as exc:
        log.error("%s", exc)  # noqa: TRY400 -- the message says what to do
        return 1
    return 0


def _new_event_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop  # noqa: PLC0415 -- not there on Windows

    return uvloop.new_event_loop()


async def _serve(settings: Settings, on_ready: OnReady) -> None:
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        keys = stack.enter_context(contextlib.closing(SqliteKeys(settings.server.database)))
        own_prices = stack.enter_context(contextlib.closing(SqlitePrices(settings.server.database)))
        prices = LivePrices(own_prices, shipped_prices(), time.monotonic)
        storage = stack.enter_context(_storage(settings, loop))
        pool = stack.enter_context(contextlib.closing(ConnectionPool()))
        ledger = stack.enter_context(contextlib.closing(_ledger(settings)))
        books = stack.enter_context(ThreadPoolExecutor(1, "ledger"))
        settlement = Settlement(_committing(ledger, books, loop), LoopTimers(loop))
        tracer = await stack.enter_async_context(telemetry(settings, os.environ))
        recording = await stack.enter_async_context(
            request_site(settings, LoopTimers(loop), _wall_ms)
        )
        outward = _Outward(pool, tracer, recording)
        hub = _hub(settings, keys, _Money(prices, settlement), storage, outward)
        settlement.on_charged = hub.charged
        dispatcher = hub.shared.dispatcher
        takeover = _take_over(dispatcher, storage, ledger)
        app = web.Application()
        models = ModelsApi(hub, settings.catalog(), int(time.time()), settings.billing.margin)
        HttpApi(hub, models).add_to(app)
        add_pages(app)
        add_web_app(app)
        site = await stack.enter_async_context(account_site(settings, recording.store))
        site.payments.pages.add_to(app)
        routes = [
            *site.routes,
            *ChatApi(hub, models, site).routes(),
            *await stack.enter_async_context(
                admin_site(settings, dispatcher, shipped_prices(), site.disk)
            ),
            *_status_routes(settings, recording, site.disk, app),
        ]
        Api(with_document(routes), site.membership, site.origins).add_to(app)
        retention = Retention(dispatcher.book, storage.journal, storage.archive, _periods(settings))
        stop = _stop_event(loop)
        async with listening(settings.server, app) as url:
            # Not sooner: a key that is created and cannot be shown is lost.
            first_key = ensure_first_key(keys, _wall_ms(), secrets.token_bytes)
            async with asyncio.TaskGroup() as tasks:
                endless = [
                    hub.sweep_forever(),
                    hub.watch_revocations(),
                    hub.watch_logins(site.membership.lasting),
                    retention.run(_wall_ms),
                    recording.expire_forever(),
                    dispatcher.journal_watch.run(),
                    site.payments.reconcile(),
                ]
                background = [tasks.create_task(work) for work in endless]
                start(dispatcher, takeover, hub.shared.authenticator.check)
                on_ready(url, first_key)
                await stop.wait()
                await drain(hub, settings.server.drain_timeout_s)
                for task in background:
                    task.cancel()
        await hub.close()
        await _settled(settlement)


def _take_over(dispatcher: Dispatcher, storage: "Storage", ledger: Ledger) -> Takeover:
    """Find an end or a new owner for what an earlier process has left."""
    takeover = recover(dispatcher, storage.journal.recovered())
    voided = ledger.void_others(dispatcher.book.stream_ids())
    if voided:
        log.warning("%d reservations had no stream any more and are void", voided)
    if takeover.ended or takeover.continued:
        log.warning(
            "the server's last end cut streams off: %d have ended, %d are gone on with",
            takeover.ended,
            len(takeover.continued),
        )
    return takeover


async def _settled(settlement: Settlement) -> None:
    """Wait until the books have everything; what they do not take now, the next process has."""
    for _ in range(SETTLE_POLLS_MAX):
        if settlement.is_idle:
            return
        await asyncio.sleep(SETTLE_POLL_S)
    log.error("the ledger took not everything; the next start books it from the journal")


def _status_routes(
    settings: Settings, recording: RequestSite, disk: Workers, app: web.Application
) -> list[Route]:
    """Add the status page, and return its routes; none where it is switched off."""
    if recording.log is None or not settings.request_log.status_page:
        return []
    board = StatusBoard(recording.store, disk, settings.catalog(), _wall_ms)
    StatusPage(board).add_to(app)
    return board.routes()


def _ledger(settings: Settings) -> SqliteLedger:
    server = settings.server
    return SqliteLedger(server.database, synced=server.durability == "disk")


def _committing(
    ledger: Ledger, books: ThreadPoolExecutor, loop: asyncio.AbstractEventLoop
) -> Commit:
    """Return what commits in the books' thread, and calls back in the loop's."""

    def commit(work: Sequence[Work], committed: Committed) -> None:
        def done(future: asyncio.Future[list[Result]]) -> None:
            exc = future.exception()
            if exc is not None and not isinstance(exc, StoreUnusable):
                log.error("the ledger failed", exc_info=exc)
                exc = StoreUnusable("The ledger failed.")
            committed(future.result() if exc is None else exc)

        loop.run_in_executor(books, ledger.commit, work).add_done_callback(done)

    return commit


@dataclass(frozen=True, slots=True)
class Storage:
    """Where streams are kept."""

    journal: Journal
    archive: Archive
    durability: Durability


@contextlib.contextmanager
def _storage(settings: Settings, loop: asyncio.AbstractEventLoop) -> Iterator[Storage]:
    """Open the journal and the archive; both are let go at the end, synced."""
    server = settings.server
    with contextlib.ExitStack() as stack:
        archive = stack.enter_context(contextlib.closing(SqliteArchive(server.database)))
        on_disk = server.durability == "disk"
        journal: Journal
        if server.durability == "memory":
            # Retention is to give up chunks at the limit, after it has saved their text.
            journal = MemoryJournal(2 * server.journal_bytes_max)
            # The database is one server's as well: another one would give up what this one holds.
            stack.enter_context(contextlib.closing(DirectoryLock(server.journal)))
        else:
            journal = SegmentJournal(
                server.journal, wall_ms=_wall_ms, durability="disk" if on_disk else "process"
            )
        stack.callback(journal.close_files)
        # One thread: a sync that waits for another one would find nothing left to do.
        disk = stack.enter_context(ThreadPoolExecutor(1, "journal-sync"))

        def sync(synced: Synced) -> None:
            def done(future: asyncio.Future[None]) -> None:
                exc = future.exception()
                if exc is not None and not isinstance(exc, JournalUnavailable):
                    raise exc
                synced(exc)

            loop.run_in_executor(disk, journal.sync).add_done_callback(done)

        yield Storage(journal, archive, Durability(journal, sync if on_disk else None))


def _periods(settings: Settings) -> Periods:
    server = settings.server
    return Periods(
        server.retention_s,
        server.text_retention_s,
        server.tombstone_retention_s,
        server.journal_bytes_max,
    )


def _wall_ms() -> int:
    return time.time_ns() // NS_PER_MS


@dataclass(frozen=True, slots=True)
class _Money:
    """What prices and books there are."""

    prices: Prices
    settlement: Settlement


@dataclass(frozen=True, slots=True)
class _Outward:
    """Where things go from the engine: calls of providers, traces, and records of requests."""

    pool: ConnectionPool
    tracer: Tracer | None
    recording: RequestSite


def _hub(
    settings: Settings, keys: KeyStore, money: _Money, storage: Storage, outward: _Outward
) -> Hub:
    """Wire the engine together."""
    loop = asyncio.get_running_loop()
    server = settings.server
    metrics = Metrics(loop.call_soon)
    if outward.recording.log is not None:
        outward.recording.log.counted = metrics.recorded
    timers = LoopTimers(loop)
    candidates = router(settings, timers)
    metrics.routing.watch(candidates)
    engine = Engine(
        catalog=settings.catalog(),
        providers=providers(settings, outward.pool, candidates.heard),
        durability=storage.durability,
        archive=storage.archive,
        timers=timers,
        meter=metrics,
        wall_ms=_wall_ms,
        new_id=stream_id,
        reasoning_fields=REASONING_FIELDS[server.reasoning_field],
        prices=money.prices,
        router=candidates,
        tracer=outward.tracer,
        requests=outward.recording.requests,
        billing=Billing(money.prices, money.settlement, _rules(settings), _wall_ms),
    )
    limits = Limits(server.stream_bytes_max, server.followers_per_stream_max, settings.rates())
    guests = _guests(settings)
    shared = Shared(
        server,
        Dispatcher(engine, limits),
        Authenticator(
            keys,
            time.monotonic,
            bad_keys=BadKeys(settings.limits.bad_keys_per_minute, time.monotonic),
            guests=guests,
        ),
        Tickets(secrets.token_urlsafe, time.monotonic),
        metrics,
        guests,
    )
    hub = Hub(shared, loop)
    hub.low_balance_nanos = settings.billing.low_balance
    hub.trusted_proxies = settings.accounts.trusted_proxies
    return hub


def _guests(settings: Settings) -> Guests | None:
    """Return who may come without a key: nobody, unless `demo` is what comes built in."""
    candidates = {
        candidate.provider
        for entry in settings.catalog().listing()
        if entry.id == DEMO
        for candidate in settings.catalog().resolve(DEMO)
    }
    if not settings.server.guest_demo or not settings.server.demo or candidates != {DEMO}:
        return None
    return Guests(DEMO, settings.limits.guest_connections_per_minute, time.monotonic)


def _rules(settings: Settings) -> Rules:
    billing = settings.billing
    return Rules(
        billing.margin,
        billing.hold_tokens_min,
        billing.unpriced == "free",
        billing.top_up_url or None,
    )


def _stop_event(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    """Return an event that the first signal sets; the second one ends the process at once."""
    stop = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            log.warning("%s again: stopping at once", number.name)
            raise SystemExit(1)
        log.info("%s: draining", number.name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return stop
