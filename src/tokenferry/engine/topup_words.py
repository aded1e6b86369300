"""What is said of orders: errors for those who ask, lines in the log for operators."""

import logging
from typing import Final

from tokenferry.domain.money import format_dollars
from tokenferry.domain.topup import Order, state_of
from tokenferry.domain.topup_refund import RefundRefusal
from tokenferry.domain.topup_review import ReviewRefusal
from tokenferry.engine.payments import ProviderUnsure
from tokenferry.errors import PaymentUncertain, RefundRefused, ReviewRefused

log = logging.getLogger("tokenferry.engine.topups")

RETRY_AFTER_MS: Final = 2_000


def uncertain(order: Order, exc: ProviderUnsure) -> PaymentUncertain:
    """Return the error for a provider that does not say what it did; it is logged."""
    log.warning("%s does not say what became of %s: %s", order.provider, order.order_id, exc)
    return PaymentUncertain(
        "The payment provider does not answer. What became of the payment will be found out; "
        "look again in a minute.",
        retry_after_ms=RETRY_AFTER_MS,
    )


def refund_refused(order: Order, refusal: RefundRefusal) -> RefundRefused:
    """Return the error for a refund that is not asked for, or not given up."""
    sentences = {
        "not_paid": "The top-up is not paid.",
        "pending": "Another refund of it is under way; wait for its end.",
        "too_much": "That is more than is left of the payment.",
        "none": "No refund of it is under way.",
        "spent": "The credit is spent, or held by running streams; less can be given back.",
    }
    error = RefundRefused(sentences[refusal.reason], param="amount_minor")
    error.details = {"refundable_minor": refusal.most_minor, "currency": order.real_currency}
    return error


def review_refused(order: Order, refusal: ReviewRefusal) -> ReviewRefused:
    """Return the error for a decision that is none any more."""
    sentences = {
        "not_in_review": "There is nothing to be decided of this top-up; somebody may have been "
        "faster.",
        "changed": "What was paid is not what you have seen.",
        "nothing": "Nothing is left of the payment that could be credited.",
    }
    error = ReviewRefused(sentences[refusal])
    error.details = {
        "state": state_of(order),
        "paid_minor": order.real_minor,
        "currency": order.real_currency,
    }
    return error


def tell(before: Order, after: Order) -> None:
    """Log what an operator wants to know."""
    if after.revision == before.revision:
        return
    if after.standing_nanos > before.standing_nanos:
        log.info("top-up %s: %s USD credited", after.order_id, format_dollars(after.standing_nanos))
    elif after.standing_nanos < before.standing_nanos:
        log.warning(
            "top-up %s: %s USD of its credit stand",
            after.order_id,
            format_dollars(after.standing_nanos),
        )
    if after.short_nanos > before.short_nanos:
        lost = format_dollars(after.short_nanos - before.short_nanos)
        log.warning("top-up %s: %s USD were spent before they were lost", after.order_id, lost)
    if after.detail and after.detail != before.detail:
        log.warning("top-up %s is %s: %s", after.order_id, after.status, after.detail)
    if after.late_minor > before.late_minor:
        log.warning(
            "top-up %s: %s gave back %s %s that had been given up",
            after.order_id,
            after.provider,
            after.late_minor - before.late_minor,
            after.real_currency,
        )
