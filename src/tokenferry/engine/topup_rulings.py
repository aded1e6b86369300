"""What a person decides of an order: to accept what was paid, to close it, to give up a refund.

Each is one transaction: what is decided, what is booked for it, and the entry of the audit trail.
Who decides a second time, or on what has changed since, is refused.

Source: docs/decisions/0011-payments.md.
"""

import logging
from collections.abc import Callable

from tokenferry.domain.topup import Order, Payment, Settled
from tokenferry.domain.topup_rate import worth_of_paid
from tokenferry.domain.topup_refund import RefundRefusal, give_up_refund
from tokenferry.domain.topup_review import ReviewRefusal, Seen, accept, close
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.engine.payments import ProviderUnsure, TopUpStore
from tokenferry.engine.topup_words import RETRY_AFTER_MS, refund_refused, review_refused, tell
from tokenferry.engine.topups import TRIES_MAX, TopUps
from tokenferry.engine.workers import Workers
from tokenferry.errors import InvalidRequest, Overloaded, PaymentsOff

log = logging.getLogger(__name__)


class TopUpRulings:
    """Carries out what persons decide.

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

    async def accept(
        self,
        order_id: str,
        seen: Seen,
        credit_nanos: int | None,
        entry_of: Callable[[Order, int], AuditEntry],
    ) -> Order:
        """Take what was paid for what was ordered, and credit it.

        Args:
            order_id: The order.
            seen: What whoever decides has seen.
            credit_nanos: What it is worth; None for what the order's rate says.
            entry_of: From the order and its worth to what the audit trail is to say.

        Raises:
            TopUpNotFound: If there is no such order.
            PaymentsOff: If its provider is not configured any more.
            PaymentUncertain: If the provider does not answer.
            InvalidRequest: If the order has no rate for what was paid.
            ReviewRefused: If there is nothing to be accepted, or something else.
            StoreUnusable: If the store fails.
        """
        # Asked once more: what a notice has said may be hours old.
        order = await self._topups.settle(order_id)
        worth = worth_of_paid(order) if credit_nanos is None else credit_nanos
        if worth is None:
            raise InvalidRequest(
                f"The order has no rate for {order.real_currency}. Say what credit it is worth.",
                param="credit",
            )
        now_ms = self._wall_ms()

        def change(current: Order, free_nanos: int | None) -> Settled:
            return _ruled(current, accept(current, seen, worth, free_nanos, now_ms))

        entry = entry_of(order, worth)
        return await self._change(order, None, change, entry)

    async def close(self, order_id: str, reason: str, entry: AuditEntry) -> Order:
        """End an order that was settled elsewhere. Its provider is not asked.

        Raises:
            TopUpNotFound: If there is no such order.
            ReviewRefused: If there is nothing to be decided.
            StoreUnusable: If the store fails.
        """

        def change(current: Order, _: int | None) -> Settled:
            return _ruled(current, close(current, reason))

        return await self._change(await self._topups.find(order_id), None, change, entry)

    async def give_up(self, order_id: str, entry_of: Callable[[Order], AuditEntry]) -> Order:
        """Let go of a refund that the provider does not come to an end with.

        Raises:
            TopUpNotFound: If there is no such order.
            RefundRefused: If none is pending.
            StoreUnusable: If the store fails.
        """
        for _ in range(TRIES_MAX):
            order = await self._topups.find(order_id)
            # It may have been made just now; that it cannot be asked hinders nobody.
            payment = await self._look_up(order)
            now_ms = self._wall_ms()

            def change(
                current: Order,
                free_nanos: int | None,
                payment: Payment | None = payment,
                now_ms: int = now_ms,
            ) -> Settled:
                given_up = give_up_refund(current, payment, free_nanos, now_ms)
                if isinstance(given_up, RefundRefusal):
                    raise refund_refused(current, given_up)
                return given_up

            settled = await self._change(order, order.revision, change, entry_of(order))
            if settled is not order:
                return settled
        raise Overloaded("The payment changes all the time.", retry_after_ms=RETRY_AFTER_MS)

    async def _look_up(self, order: Order) -> Payment | None:
        try:
            return await self._topups.provider(order.provider).look_up(order)
        except (ProviderUnsure, PaymentsOff) as exc:
            log.warning("%s cannot be asked about %s: %s", order.provider, order.order_id, exc)
            return None

    async def _change(
        self,
        order: Order,
        revision: int | None,
        change: Callable[[Order, int | None], Settled],
        entry: AuditEntry,
    ) -> Order:
        """Change an order; return what was handed in if it has changed since."""
        settled = await self._disk.run(
            lambda: self._store.change(order.order_id, revision, change, entry)
        )
        if settled is None:
            return order
        tell(order, settled)
        return settled


def _ruled(order: Order, ruled: Settled | ReviewRefusal) -> Settled:
    if isinstance(ruled, Settled):
        return ruled
    raise review_refused(order, ruled)
