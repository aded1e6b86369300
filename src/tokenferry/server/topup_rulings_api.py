"""What administrators decide of orders.

POST /api/admin/topups/{id}/accept          credit what was paid instead of what was ordered
POST /api/admin/topups/{id}/close           it was settled elsewhere
POST /api/admin/topups/{id}/refund/give-up  wait for a refund no longer
"""

from collections.abc import Callable
from typing import Annotated, Any

from msgspec import Meta

from tokenferry.domain.account import REASON_CHARACTERS_MAX, clean_reason
from tokenferry.domain.money import format_dollars, parse_dollars
from tokenferry.domain.topup import Order
from tokenferry.domain.topup_review import Seen
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.engine.topup_rulings import TopUpRulings
from tokenferry.engine.topups import TopUps
from tokenferry.errors import InvalidRequest
from tokenferry.server import audit_log
from tokenferry.server.api_routes import Body, Call, Route
from tokenferry.server.topups_api import AnyTopUp, any_topup


class Acceptance(Body):
    """What was paid, as whoever decides has seen it; `credit` in USD, if not the order's rate."""

    amount_minor: Annotated[int, Meta(ge=1)]
    currency: Annotated[str, Meta(min_length=3, max_length=3)]
    credit: Annotated[str, Meta(max_length=30)] | None = None


class Closing(Body):
    """Why there is nothing more to be done."""

    reason: Annotated[str, Meta(min_length=1, max_length=4 * REASON_CHARACTERS_MAX)]


class GivingUp(Body):
    """An empty object."""


class TopUpRulingsApi:
    """The routes.

    Args:
        rulings: What does the work.
        topups: Where orders are found.
        wall_ms: The wall clock, Unix time.
    """

    def __init__(self, rulings: TopUpRulings, topups: TopUps, wall_ms: Callable[[], int]) -> None:
        self._rulings = rulings
        self._topups = topups
        self._wall_ms = wall_ms

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/api/admin/topups/{id}"
        return [
            Route("POST", f"{one}/accept", self._accept, "Credit what was paid instead",
                  body=Acceptance, answer=AnyTopUp, access="admin"),
            Route("POST", f"{one}/close", self._close, "End an order that was settled elsewhere",
                  body=Closing, answer=AnyTopUp, access="admin"),
            Route("POST", f"{one}/refund/give-up", self._give_up, "Wait for a refund no longer",
                  body=GivingUp, answer=AnyTopUp, access="admin"),
        ]  # fmt: skip

    async def _accept(self, call: Call[Acceptance]) -> AnyTopUp:
        body, order_id = call.body, call.request.match_info["id"]
        nanos = None if body.credit is None else parse_dollars(body.credit)
        if body.credit is not None and (nanos is None or nanos <= 0):
            raise InvalidRequest("`credit` is USD such as `5.00`, above zero.", param="credit")
        entries: list[AuditEntry] = []

        def entry_of(order: Order, worth: int) -> AuditEntry:
            entry = audit_log.entry_of(
                call,
                self._wall_ms(),
                "topup.accept",
                order_id,
                account=order.account_id,
                amount_minor=body.amount_minor,
                currency=body.currency,
                credit=format_dollars(worth),
            )
            entries.append(entry)
            return entry

        seen = Seen(body.currency, body.amount_minor)
        accepted = await self._rulings.accept(order_id, seen, nanos, entry_of)
        audit_log.tell(entries[-1])
        return any_topup(accepted)

    async def _close(self, call: Call[Closing]) -> AnyTopUp:
        order_id, reason = call.request.match_info["id"], clean_reason(call.body.reason)
        if not reason:
            raise InvalidRequest(
                f"`reason` must have 1 to {REASON_CHARACTERS_MAX} printable characters.",
                param="reason",
            )
        order = await self._topups.find(order_id)
        entry = audit_log.entry_of(
            call, self._wall_ms(), "topup.close", order_id, account=order.account_id, reason=reason
        )
        closed = await self._rulings.close(order_id, reason, entry)
        audit_log.tell(entry)
        return any_topup(closed)

    async def _give_up(self, call: Call[Any]) -> AnyTopUp:
        order_id = call.request.match_info["id"]
        entries: list[AuditEntry] = []

        def entry_of(order: Order) -> AuditEntry:
            entry = audit_log.entry_of(
                call,
                self._wall_ms(),
                "topup.abandon",
                order_id,
                account=order.account_id,
                amount_minor=order.pending_minor,
                currency=order.real_currency,
            )
            entries.append(entry)
            return entry

        given_up = await self._rulings.give_up(order_id, entry_of)
        audit_log.tell(entries[-1])
        return any_topup(given_up)
