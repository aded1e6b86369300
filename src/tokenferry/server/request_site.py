"""Wires the request log together: its file, the thread that writes it, and its retention.

With `app` and the other `*_site` modules, this is all of the server that names stores.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from tokenferry.config.settings import Settings
from tokenferry.domain.service_status import DAYS_SHOWN, MS_PER_DAY
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.ports import Timers
from tokenferry.engine.request_log import (
    NOT_RECORDED,
    Draft,
    Periods,
    RequestLog,
    Requests,
    RequestStore,
    Write,
    Written,
)
from tokenferry.stores.memory_requests import MemoryRequests
from tokenferry.stores.sqlite_requests import SqliteRequests

log = logging.getLogger(__name__)

EXPIRY_INTERVAL_S = 600.0
FLUSH_POLL_S = 0.01
FLUSH_POLLS_MAX = 300
# The status page shows so many days; a few more do not hurt.
STATUS_DAYS = DAYS_SHOWN + 2


@dataclass(frozen=True, slots=True)
class RequestSite:
    """What there is of the request log.

    Attributes:
        requests: Takes finished requests.
        store: Where they are; empty where no log is kept.
        log: What records them; None where no log is kept.
        expire_forever: Gives up what is older than it is kept, until cancelled.
    """

    requests: Requests
    store: RequestStore
    log: RequestLog | None
    expire_forever: Callable[[], Coroutine[Any, Any, None]]


@contextlib.asynccontextmanager
async def request_site(
    settings: Settings, timers: Timers, wall_ms: Callable[[], int]
) -> AsyncIterator[RequestSite]:
    """Open the request log; at the end everything that waits is written.

    Raises:
        StoreUnusable: If its file cannot be used.
    """
    own = settings.request_log
    if not own.enabled:
        yield RequestSite(NOT_RECORDED, MemoryRequests(), None, _nothing)
        return
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(
            contextlib.closing(SqliteRequests(settings.server.requests_database))
        )
        # One thread: what is deleted waits for what is written, and the other way round.
        thread = stack.enter_context(ThreadPoolExecutor(1, "request-log"))
        recording = RequestLog(
            _writing(store, thread, loop), timers, own.content_bytes_max if own.content else 0
        )
        periods = Periods(
            own.retention_days * MS_PER_DAY,
            own.content_retention_days * MS_PER_DAY,
            STATUS_DAYS * MS_PER_DAY,
        )

        expiring = partial(_expire_forever, store, thread, periods, wall_ms)
        yield RequestSite(recording, store, recording, expiring)
        await _flushed(recording)


async def _nothing() -> None:
    """Keep nothing, so that nothing expires."""


def _writing(
    store: RequestStore, thread: ThreadPoolExecutor, loop: asyncio.AbstractEventLoop
) -> Write:
    """Return what writes in the log's thread, and calls back in the loop's."""

    def write(drafts: Sequence[Draft], written: Written) -> None:
        def done(future: asyncio.Future[None]) -> None:
            exc = future.exception()
            if exc is not None and not isinstance(exc, StoreUnusable):
                log.error("the request log failed", exc_info=exc)
                exc = StoreUnusable("The request log failed.")
            written(exc)

        loop.run_in_executor(thread, store.write, drafts).add_done_callback(done)

    return write


async def _expire_forever(
    store: RequestStore, thread: ThreadPoolExecutor, periods: Periods, wall_ms: Callable[[], int]
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            # A step at a time: what is written has its turn between two.
            while await loop.run_in_executor(thread, store.expire, wall_ms(), periods):
                pass
        except StoreUnusable as exc:
            log.error("the request log cannot be cleared: %s", exc)  # noqa: TRY400 -- the message says all
        await asyncio.sleep(EXPIRY_INTERVAL_S)


async def _flushed(recording: RequestLog) -> None:
    """Wait until everything is written; a store that takes nothing is not waited for."""
    for _ in range(FLUSH_POLLS_MAX):
        recording.flush()
        if recording.is_idle:
            return
        await asyncio.sleep(FLUSH_POLL_S)
    log.error("the request log took not everything; the rest is lost")
