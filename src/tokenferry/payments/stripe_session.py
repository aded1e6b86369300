"""What a Checkout session is made of.

Source: docs.stripe.com/api/checkout/sessions/create, November 2026.
"""

from typing import TYPE_CHECKING

from tokenferry.domain.topup import Order
from tokenferry.engine.payments import Buyer, Urls

if TYPE_CHECKING:
    from stripe.params.checkout import SessionCreateParams

# A session may end 30 minutes to 24 hours after it was made. The slack is for clocks that differ.
SESSION_MIN_S = 30 * 60
SESSION_MAX_S = 24 * 60 * 60
SLACK_S = 5 * 60
LATE_SLACK_S = 60


def session_params(
    order: Order, urls: Urls, buyer: Buyer, product_name: str, now_s: int
) -> "SessionCreateParams":
    """Return what Stripe is asked for.

    When the session ends follows from the order and not from the clock, except for an order that
    was left lying so long that Stripe would refuse: then from the clock's minute, so that who
    repeats it with the same Idempotency-Key, which is one of the minute, says the same.

    Args:
        order: The order.
        urls: Where the buyer goes afterwards.
        buyer: Who buys.
        product_name: What the page says is bought.
        now_s: Unix time.
    """
    created_s, wanted_s = order.created_ms // 1000, order.expires_ms // 1000
    expires_s = max(
        min(
            max(wanted_s, created_s + SESSION_MIN_S + SLACK_S),
            created_s + SESSION_MAX_S - SLACK_S,
        ),
        # Of an order that was left lying.
        now_s // LATE_SLACK_S * LATE_SLACK_S + SESSION_MIN_S + 2 * LATE_SLACK_S,
    )
    mark = {"order_id": order.order_id}
    params: SessionCreateParams = {
        "mode": "payment",
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": order.currency.lower(),
                    # Stripe counts in the smallest unit, too; the won has none below it.
                    "unit_amount": order.amount_minor,
                    "product_data": {"name": product_name},
                },
            }
        ],
        "client_reference_id": order.order_id,
        "metadata": mark,
        # A session's metadata does not reach its payment, to which refunds and disputes lead.
        "payment_intent_data": {"metadata": mark},
        "success_url": urls.success,
        "cancel_url": urls.failure,
        "expires_at": expires_s,
        "locale": buyer.language,
    }
    if buyer.email is not None:
        params["customer_email"] = buyer.email
    return params
