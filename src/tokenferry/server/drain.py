"""How the server stops without losing anybody: announce, let streams finish, close spread out.

Source: spec/PROTOCOL.md, "Drain".
"""

import asyncio
import logging
import random
import time

from tokenferry.engine.dispatcher import Dispatcher
from tokenferry.errors import Draining
from tokenferry.server.hub import Hub
from tokenferry.server.websocket import Connection

log = logging.getLogger(__name__)

SERVICE_RESTART = 1012
POLL_INTERVAL_S = 0.02
# Idle connections close spread over this long each, so that their clients do not all come back
# in the same instant: 1,000 connections over two seconds.
SPREAD_S_PER_CONNECTION = 0.002
RECONNECT_AFTER_MS = (250, 5_000)
# With `durability = "disk"` what ends a stream is sent after a sync; a slow disk takes 0.1 s.
SYNC_TIMEOUT_S = 1.0


async def drain(hub: Hub, timeout_s: float) -> None:
    """Stop taking work, let what runs finish within `timeout_s`, and close every connection."""
    dispatcher = hub.shared.dispatcher
    dispatcher.draining = True
    started_s = time.monotonic()
    deadline_s = started_s + timeout_s
    sockets = [c for c in hub.connections if isinstance(c, Connection)]
    spread_s = min(timeout_s / 2, len(sockets) * SPREAD_S_PER_CONNECTION)
    closing_s: dict[Connection, float] = {}
    for connection in sockets:
        # Not a secret: only a spread in time.
        connection.go_away(random.randint(*RECONNECT_AFTER_MS), round(timeout_s * 1000))  # noqa: S311
        closing_s[connection] = started_s + random.uniform(0.0, spread_s)  # noqa: S311
    while (closing_s or dispatcher.book.live_count) and time.monotonic() < deadline_s:
        now_s = time.monotonic()
        for connection, when_s in list(closing_s.items()):
            if when_s <= now_s and not connection.busy:
                del closing_s[connection]
                connection.close(SERVICE_RESTART, "The server restarts; connect again.")
        await asyncio.sleep(POLL_INTERVAL_S)
    if dispatcher.book.live_count:
        log.warning("%d streams did not finish in time", dispatcher.book.live_count)
        dispatcher.abort_all(
            Draining("The server had to restart before the answer was complete; ask again.")
        )
        await _said(dispatcher)
    for connection in closing_s:
        connection.close(SERVICE_RESTART, "The server restarts; connect again.")
    await hub.close()


async def _said(dispatcher: Dispatcher) -> None:
    """Wait until the streams' ends are committed and on their way, unless the disk takes none."""
    deadline_s = time.monotonic() + SYNC_TIMEOUT_S
    while not dispatcher.relay.is_idle and time.monotonic() < deadline_s:  # noqa: ASYNC110 -- asked at the server's end alone
        await asyncio.sleep(POLL_INTERVAL_S)
