"""Stripe's idempotency keys: for how long the same one is sent, and from when on another.

For a day Stripe repeats its first answer to a key, also that it failed to do it just then; so the
key has to change before what failed can be tried again. While it changes, two requests may be on
their way with different keys, and both be done.

Source: docs.stripe.com, idempotent requests, November 2026.
"""

from tokenferry.domain.topup import Order
from tokenferry.engine.payments import ProviderUnsure

MINUTE_S = 60
# How long a refund is asked for with the same key.
TRY_MS = 60 * 60_000
# A request takes a minute at most, with its repetition. When so much has passed since the last one
# with the key before, it is over, and Stripe's list has what came of it.
QUIET_MS = 5 * 60_000


def session_key(order: Order, now_s: int) -> str:
    """Return the key with which an order's session is made.

    Who begins twice at once may be given two sessions; the address of one of them is given to the
    buyer, since only one is stored.
    """
    # Of the session before, if it is over.
    after = f":{order.payment_ref}" if order.payment_ref else ""
    return f"{order.order_id}:begin{after}:{now_s // MINUTE_S}"


def refund_key(order: Order, now_ms: int) -> str:
    """Return the key with which the pending refund is asked for.

    Call it when Stripe has just been found not to have the refund.

    Raises:
        ProviderUnsure: If one that was asked for with the key before may still be under way.
    """
    tries, since_ms = divmod(max(0, now_ms - order.pending_ms), TRY_MS)
    if tries and since_ms < QUIET_MS:
        raise ProviderUnsure("refund: an earlier try may still be under way")
    again = f":{tries}" if tries else ""
    return f"{order.order_id}:refund:{order.refunds}{again}"
