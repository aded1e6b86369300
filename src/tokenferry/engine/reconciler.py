"""Finds out what notices have missed: asks the payment providers again and again.

Orders that nobody has paid yet are asked for after a minute, then at growing intervals, for days;
refunds that found no end, every minute. What changes later, a refund or a dispute, is in the
provider's own list, which is gone through every hour, from where it was left. Each provider is
asked by itself: one that does not answer keeps nobody from credit that another one has money for.

Source: docs/decisions/0011-payments.md.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from tokenferry.domain.topup import Order, Settled, expire
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.payments import PaymentProvider, ProviderUnsure, TopUpStore
from tokenferry.engine.topups import ORDER_MS, TopUps
from tokenferry.engine.workers import Workers
from tokenferry.errors import TokenferryError

log = logging.getLogger(__name__)

POLL_S: Final = 15.0
BATCH_MAX: Final = 50
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
# A quarter of its age: 5 looks in the first quarter of an hour, 30 in the first day.
AGE_DIVISOR: Final = 4
LOOK_MS_MAX: Final = 3 * HOUR_MS
# Toss waits ten minutes for the confirmation of what the buyer has agreed to. Whoever was to give
# it may have died: two looks come in that time.
CONFIRM_LOOK_MS: Final = 4 * MINUTE_MS
# How long an order is asked for. Accounts to deposit into are given for a week, as a rule.
OPEN_MS: Final = 4 * DAY_MS
WAITING_MS: Final = 15 * DAY_MS
# How long a refund may still be made that nobody waits for any more: banks take weeks.
GIVEN_UP_MS: Final = 30 * DAY_MS
LIST_EVERY_MS: Final = HOUR_MS
# What is listed again each time: a provider may list late.
LIST_OVERLAP_MS: Final = 2 * HOUR_MS
LIST_FIRST_MS: Final = 3 * DAY_MS
# A clock that went ahead, and was put right, has left a time that is still to come: since when
# nothing was listed is not known. Stripe keeps its events so long.
LIST_LOST_MS: Final = 30 * DAY_MS


class Reconciler:
    """Asks payment providers for what is open.

    Args:
        topups: Settles orders.
        store: Where orders are.
        disk: The threads that use it.
        wall_ms: The wall clock, Unix time.
    """

    def __init__(
        self, topups: TopUps, store: TopUpStore, disk: Workers, wall_ms: Callable[[], int]
    ) -> None:
        self._topups = topups
        self._store = store
        self._disk = disk
        self._wall_ms = wall_ms

    async def run(self) -> None:
        """Ask until cancelled. No failure ends it."""
        async with asyncio.TaskGroup() as group:
            for provider in self._topups.shop.providers.values():
                # A long list is not to keep anybody waiting who has just paid.
                group.create_task(self._repeat(self.look_once, provider))
                group.create_task(self._repeat(self.list_once, provider))

    async def _repeat(
        self, task: Callable[[PaymentProvider], Awaitable[object]], provider: PaymentProvider
    ) -> None:
        while True:
            try:
                await task(provider)
            except Exception:
                # Money of others depends on the next round.
                log.exception("the reconciliation of payments failed; it goes on")
            await asyncio.sleep(POLL_S)

    async def look_once(self, provider: PaymentProvider) -> int:
        """Settle a provider's orders that are due, each by itself; return how many they were.

        Raises:
            StoreUnusable: If the store fails.
        """
        now_ms, name = self._wall_ms(), provider.name
        # What is planned for later than that was planned by a clock that went wrong.
        span = (now_ms, now_ms + LOOK_MS_MAX)
        order_ids = await self._disk.run(lambda: self._store.due(name, *span, BATCH_MAX))
        for order_id in order_ids:
            is_settled = await self._settle(order_id)
            await self._plan(order_id, is_settled=is_settled)
        return len(order_ids)

    async def list_once(self, provider: PaymentProvider) -> bool:
        """Settle what a provider lists as changed, if it is time to; return whether it was.

        Raises:
            StoreUnusable: If the store fails.
        """
        now_ms = self._wall_ms()
        name = provider.name
        until_ms = await self._disk.run(lambda: self._store.watermark(name))
        if until_ms is not None and 0 <= now_ms - until_ms < LIST_EVERY_MS:
            return False
        since_ms = now_ms - LIST_FIRST_MS if until_ms is None else until_ms - LIST_OVERLAP_MS
        if until_ms is not None and until_ms > now_ms:
            since_ms = now_ms - LIST_LOST_MS
        try:
            order_ids = await provider.changed_since(since_ms)
        except ProviderUnsure as exc:
            log.warning("%s does not list its payments: %s", name, exc)
            return False
        for order_id in order_ids:
            await self._settle_listed(name, order_id)
        await self._disk.run(lambda: self._store.set_watermark(name, now_ms))
        return True

    async def _settle_listed(self, provider_name: str, order_id: str) -> None:
        """Settle an order, if it is one of ours; one that fails is due by itself."""
        order = await self._disk.run(lambda: self._store.find(order_id))
        if order is None or order.provider != provider_name:
            return
        if not await self._settle(order_id):
            again_ms = self._wall_ms() + MINUTE_MS
            await self._disk.run(lambda: self._store.looked_at(order_id, again_ms))

    async def _settle(self, order_id: str) -> bool:
        try:
            await self._topups.settle(order_id)
        except (TokenferryError, StoreUnusable) as exc:
            log.info("top-up %s is asked for again later: %s", order_id, exc)
            return False
        except Exception:
            # A defect, say, or books that disagree: it must not keep others from their credit.
            log.exception("top-up %s cannot be settled", order_id)
            return False
        return True

    async def _plan(self, order_id: str, *, is_settled: bool) -> None:
        """Store when an order is due again."""
        order = await self._disk.run(lambda: self._store.find(order_id))
        if order is None:
            return
        now_ms = self._wall_ms()
        next_look_ms = next_look(order, now_ms)
        if next_look_ms is None and order.status in ("open", "waiting"):
            before = order.revision
            order = await self._disk.run(lambda: self._store.change(order_id, before, _expired))
            if order is None:
                return  # it has changed since, and stays due
        elif next_look_ms is None and not is_settled:
            # Something has changed at the provider, and is not known here yet.
            next_look_ms = now_ms + HOUR_MS
        revision = order.revision
        await self._disk.run(lambda: self._store.looked_at(order_id, next_look_ms, revision))


def next_look(order: Order, now_ms: int) -> int | None:
    """Return when an order's provider is to be asked again, Unix time; None for never."""
    if order.pending_minor:
        return now_ms + MINUTE_MS
    if order.given_up_minor and now_ms - order.given_up_ms < GIVEN_UP_MS:
        return now_ms + LOOK_MS_MAX
    age_ms = now_ms - order.created_ms
    if order.status == "open" and age_ms < OPEN_MS:
        ends_ms = order.created_ms + OPEN_MS
    elif order.status == "waiting" and age_ms < WAITING_MS:
        ends_ms = order.created_ms + WAITING_MS
    else:
        return None
    most_ms = LOOK_MS_MAX
    if order.status == "open" and now_ms < order.expires_ms + ORDER_MS:
        most_ms = CONFIRM_LOOK_MS
    # The last look comes right at the end, before the order expires.
    return min(now_ms + min(max(age_ms // AGE_DIVISOR, MINUTE_MS), most_ms), ends_ms)


def _expired(order: Order, _: int | None) -> Settled:
    return Settled(expire(order), (), lost_to_bank=False)
