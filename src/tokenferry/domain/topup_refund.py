"""The rules of giving money back for an order: asking for it, its end, and giving it up.

Source: docs/decisions/0011-payments.md.
"""

from typing import Literal, NamedTuple

from tokenferry.domain.topup import Books, Order, Payment, Settled, settle, target


class RefundRefusal(NamedTuple):
    """Why nothing is given back.

    Attributes:
        reason: `not_paid`, `pending`: another one is under way, `too_much`: of what was paid,
            `spent`: of what is left of the credit, `none`: there is none that could be given up.
        most_minor: The most that could be given back now.
    """

    reason: Literal["not_paid", "pending", "too_much", "spent", "none"]
    most_minor: int


def ask_refund(
    order: Order, minor: int, account: str, free_nanos: int | None, now_ms: int
) -> Settled | RefundRefusal:
    """Take back the credit for a refund, before the provider is asked for it.

    Only what is unspent is given back: what the provider then gives is covered. Of an order that a
    person has to look at nothing was credited, and all that was paid can be given back.

    Args:
        order: The order, as it is stored.
        minor: How much, in the currency's smallest unit; above zero.
        account: See `Order.refund_account`.
        free_nanos: What of the account's credit is not held; None where nothing limits it.
        now_ms: Unix time.
    """
    if order.status not in ("paid", "review"):
        return RefundRefusal("not_paid", 0)
    if order.pending_minor:
        return RefundRefusal("pending", 0)
    left = most = order.left_minor
    if order.status == "paid" and free_nanos is not None:
        # What must stay, so that no more than the free credit is taken: rounded up.
        kept = max(0, order.standing_nanos - max(0, free_nanos))
        most = max(0, left - -(-kept * order.real_minor // order.worth_nanos))
    if minor > left:
        return RefundRefusal("too_much", most)
    if minor > most:
        return RefundRefusal("spent", most)
    books = Books(order, free_nanos, now_ms)
    books.change(
        pending_minor=minor,
        refunds=order.refunds + 1,
        refund_account=account,
        pending_ms=now_ms,
    )
    if order.status == "paid":
        books.reach(target(books.order), "refund")
    return books.settled(order)


def end_refund(
    order: Order,
    payment: Payment,
    free_nanos: int | None,
    now_ms: int,
    *,
    is_made: bool = True,
) -> Settled:
    """Settle an order whose pending refund has found its end, whichever it is.

    Args:
        order: The order, as it is stored.
        payment: What the provider says, asked after it had answered to the refund.
        free_nanos: See `settle`.
        now_ms: Unix time.
        is_made: Whether the provider has said that it gave it back.
    """
    made_minor = order.pending_minor if is_made else 0
    ended = order._replace(pending_minor=0, refund_account="")
    settled = settle(ended, payment, free_nanos, now_ms, made_minor)
    if settled.order.revision == order.revision and order.pending_minor:
        return settled._replace(order=settled.order._replace(revision=order.revision + 1))
    return settled


def give_up_refund(
    order: Order, payment: Payment | None, free_nanos: int | None, now_ms: int
) -> Settled | RefundRefusal:
    """Let go of a pending refund that the provider does not come to an end with.

    Its credit stands again. If the provider makes it all the same, its next answer says so, and
    the credit is taken then.

    Args:
        order: The order, as it is stored.
        payment: What the provider says; None if it cannot be asked.
        free_nanos: See `settle`.
        now_ms: Unix time.
    """
    if not order.pending_minor:
        return RefundRefusal("none", 0)
    let_go = order._replace(
        pending_minor=0,
        refund_account="",
        given_up_minor=order.given_up_minor + order.pending_minor,
        given_up_ms=now_ms,
        revision=order.revision + 1,
    )
    if payment is not None:
        return settle(let_go, payment, free_nanos, now_ms)
    books = Books(let_go, free_nanos, now_ms)
    if order.status == "paid":
        books.reach(target(books.order), "refund")
    return books.settled(let_go)
