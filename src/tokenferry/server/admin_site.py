"""Wires what administrators see and do besides accounts: the part of the composition root for them.

Models and prices, the lines before providers, running streams, the check of the books, and what
administrators have changed.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence

from tokenferry.config.settings import Settings
from tokenferry.domain.pricing import Price
from tokenferry.engine.audit import Audit, LedgerCheck
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.engine.dispatcher import Dispatcher
from tokenferry.engine.workers import Workers
from tokenferry.server.api_routes import Route
from tokenferry.server.audit_api import AuditApi
from tokenferry.server.ledger_check_api import LedgerCheckApi
from tokenferry.server.live_api import LiveApi
from tokenferry.server.prices_api import PricesApi
from tokenferry.server.providers_api import provider_routes
from tokenferry.stores.sqlite_audit import SqliteAudit
from tokenferry.stores.sqlite_audit_trail import SqliteAuditTrail
from tokenferry.stores.sqlite_prices import SqlitePrices


@contextlib.asynccontextmanager
async def admin_site(
    settings: Settings, dispatcher: Dispatcher, shipped: Sequence[Price], disk: Workers
) -> AsyncIterator[list[Route]]:
    """Open what administrators need, and give its routes; at the end it is let go.

    Args:
        settings: The configuration.
        dispatcher: What runs.
        shipped: The prices that come along.
        disk: The thread that waits for the disk.

    Raises:
        StoreUnusable: If the database cannot be used.
    """
    database = settings.server.database
    wall_ms = dispatcher.engine.wall_ms

    def verify(is_over: Callable[[], bool]) -> Audit:
        # A connection of its own, in the check's thread: it reads for long.
        with contextlib.closing(SqliteAudit(database)) as audit:
            return audit.verify(is_over)

    with contextlib.ExitStack() as stack:
        prices = SqlitePrices(database, any_thread=True)
        stack.enter_context(contextlib.closing(prices))
        trail = stack.enter_context(contextlib.closing(SqliteAuditTrail(database)))
        check = stack.enter_context(
            contextlib.closing(LedgerCheck(verify, wall_ms, time.monotonic))
        )

        async def keep(entry: AuditEntry) -> None:
            await disk.run(lambda: trail.append(entry))

        margin_ppm = settings.billing.margin
        yield [
            *provider_routes(dispatcher.engine.router),
            *LiveApi(dispatcher, keep).routes(),
            *PricesApi(settings.catalog(), prices, shipped, margin_ppm, disk, wall_ms).routes(),
            *LedgerCheckApi(check, keep, wall_ms).routes(),
            *AuditApi(trail, disk, wall_ms).routes(),
        ]
