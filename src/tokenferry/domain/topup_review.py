"""The rules of an order that was paid with something else: a person accepts it, or closes it.

To give back what was paid is a refund as any other, see `topup_refund`.

Source: docs/decisions/0011-payments.md.
"""

from typing import Literal, NamedTuple

from tokenferry.domain.topup import Order, Payment, Settled, settle, state_of


class Seen(NamedTuple):
    """What a person has looked at and decides on: that much was paid."""

    currency: str
    minor: int


# `not_in_review`: there is nothing to be decided, or somebody was faster. `changed`: what was
# seen is not what was paid. `nothing`: nothing that is worth anything was paid.
ReviewRefusal = Literal["not_in_review", "changed", "nothing"]


def accept(
    order: Order, seen: Seen, credit_nanos: int, free_nanos: int | None, now_ms: int
) -> Settled | ReviewRefusal:
    """Take what was paid for what was ordered.

    Args:
        order: The order, as it is stored.
        seen: What whoever decides has seen.
        credit_nanos: What the whole payment is worth.
        free_nanos: What of the account's credit is not held; None where nothing limits it.
        now_ms: Unix time.
    """
    if refusal := _refusal(order, seen):
        return refusal
    # As the provider has said last.
    paid = Payment(
        "paid",
        order.paid_currency,
        order.paid_minor,
        order.refunded_minor,
        order.disputed_minor,
    )
    settled = settle(order._replace(accepted_nanos=credit_nanos), paid, free_nanos, now_ms)
    return settled if settled.transfers else "nothing"


def close(order: Order, reason: str) -> Settled | ReviewRefusal:
    """End an order that was settled elsewhere: nothing is booked for it, now or later."""
    if state_of(order) != "review":
        return "not_in_review"
    closed = order._replace(status="closed", detail=reason, revision=order.revision + 1)
    return Settled(closed, (), lost_to_bank=False)


def _refusal(order: Order, seen: Seen) -> ReviewRefusal | None:
    if state_of(order) != "review":
        return "not_in_review"
    if seen != (order.paid_currency, order.paid_minor):
        return "changed"
    return None if order.left_minor else "nothing"
