"""Toss Payments: what its objects say in our words, and ours in its.

Pure: from the decoded `Payment` object to a `domain.topup.Payment`. What is missing, or of another
kind than documented, is `ProviderUnsure`.

Source: docs.tosspayments.com, "Core API: the Payment object" and "Webhooks", November 2026.
"""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final, Literal

from tokenferry.domain.topup import ID_PREFIX, Order, Payment
from tokenferry.engine.payments import Hint, ProviderRefuses, ProviderUnsure, WebhookForged

# After these it is not known what was done: said by a bank behind Toss, or of another request.
UNSURE_CODES: Final = {
    "ALREADY_PROCESSED_PAYMENT",
    "PROVIDER_ERROR",
    "CARD_PROCESSING_ERROR",
    "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING",
    "FAILED_INTERNAL_SYSTEM_PROCESSING",
    "UNKNOWN_PAYMENT_ERROR",
    "IDEMPOTENT_REQUEST_PROCESSING",
    "FORBIDDEN_CONSECUTIVE_REQUEST",
    # Our settings are wrong, which says nothing of the payment; right ones may come.
    "UNAUTHORIZED_KEY",
    "INVALID_API_KEY",
    "INCORRECT_BASIC_AUTH_FORMAT",
    "FORBIDDEN_REQUEST",
}
_KST: Final = timezone(timedelta(hours=9))
_ORDER_ID: Final = re.compile(r"[A-Za-z0-9_-]{6,64}")
# How many digits after the point an amount may have: ISO 4217.
_EXPONENTS: Final = {"KRW": 0, "JPY": 0, "USD": 2}
_OPEN: Final = ("READY", "IN_PROGRESS")
_OVER: Final = ("ABORTED", "EXPIRED")
_PAID: Final = ("DONE", "PARTIAL_CANCELED", "CANCELED")
_RANKS: Final = ("paid", "waiting", "open", "failed")
_CANCELS: Final[dict[str | None, Literal["done", "pending", "failed"]]] = {
    # Older versions of the API know no cancellation that is not done at once.
    None: "done",
    "DONE": "done",
    "IN_PROGRESS": "pending",
    "ABORTED": "failed",
}


def status_of(payment: Any) -> str:
    """Return a payment's status as Toss names it.

    Raises:
        ProviderUnsure: If it has none, or one that is not known.
    """
    status = payment.get("status") if isinstance(payment, dict) else None
    if status in _OPEN or status in _OVER or status in _PAID or status == "WAITING_FOR_DEPOSIT":
        return str(status)
    raise ProviderUnsure(f"a payment's status is not known: {str(status)[:40]!r}")


def read_payment(payment: Any, order: Order, *, live: bool) -> Payment:
    """Return what a payment of an order has come to.

    Args:
        payment: The decoded object.
        order: Whose payment it is.
        live: Whether the key it was asked with is for real money: Toss keeps both apart by key.

    Raises:
        ProviderUnsure: If it is another order's, or not understood.
    """
    status = status_of(payment)
    if payment.get("orderId") != order.order_id:
        raise ProviderUnsure("the payment is another order's")
    if status in _OPEN:
        # Its key is not told: the buyer has not come back, and agreed to nothing here.
        return Payment("open", live=live)
    if status == "WAITING_FOR_DEPOSIT":
        return _awaited(payment, live=live)
    if status in _OVER or _was_never_paid(payment, status, order):
        if order.was_credited and payment.get("virtualAccount") is not None:
            # The deposit went back before the account was closed.
            return _awaited(payment, live=live)
        return Payment("failed", live=live, detail=_failure(payment, status))
    currency = _text(payment, "currency")
    total = _amount(payment, "totalAmount", currency)
    balance = _amount(payment, "balanceAmount", currency)
    # A cancelled payment has nothing left, and one that was never cancelled something. One whose
    # parts were given back, one after the other, stays PARTIAL_CANCELED when nothing is left.
    odd = {"DONE": balance == 0, "CANCELED": balance != 0}.get(status, False)
    if odd or not 0 <= balance <= total:
        raise ProviderUnsure(f"{status}, with {balance} left of {total}")
    return Payment(
        "paid",
        currency=currency,
        amount_minor=total,
        refunded_minor=total - balance,
        live=live,
        payment_ref=_text(payment, "paymentKey"),
        secret=_secret(payment),
    )


def foreign_terms(payment: dict[str, Any], order: Order) -> str:
    """Return in what a payment is not what was ordered; empty if in nothing.

    Raises:
        ProviderUnsure: If it does not say.
    """
    currency = _text(payment, "currency")
    if currency != order.currency:
        return f"in {currency}, not in {order.currency}"
    total = _amount(payment, "totalAmount", currency)
    if total != order.amount_minor:
        return f"for {total}, not for {order.amount_minor} {currency}"
    return ""


def likeliest(states: Sequence[Payment]) -> Payment:
    """Return which of several payments for an order counts: the one that got furthest.

    Args:
        states: At least one.
    """
    return min(states, key=lambda state: _RANKS.index(state.status))


def find_cancel(payment: Any, reason: str) -> Literal["done", "pending", "failed"] | None:
    """Return how far the cancellation with a reason is; None if there is none.

    Raises:
        ProviderUnsure: If the payment's cancellations are not understood.
    """
    cancels = _field(payment, "cancels")
    for cancel in cancels if isinstance(cancels, list) else ():
        if not isinstance(cancel, dict):
            raise ProviderUnsure("a cancellation is no object")
        if cancel.get("cancelReason") == reason:
            status = cancel.get("cancelStatus")
            if not isinstance(status, str | None) or status not in _CANCELS:
                raise ProviderUnsure(f"a cancellation's status is not known: {status!r}")
            return _CANCELS[status]
    return None


def read_notice(body: bytes) -> Hint | None:
    """Return what a notice is about; None if nothing of ours.

    A change of a payment's status comes with its type and the payment; a deposit flat, without a
    type, and with the payment's secret.

    Raises:
        WebhookForged: If it cannot be read.
    """
    try:
        notice = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise WebhookForged("no JSON") from exc
    if not isinstance(notice, dict):
        raise WebhookForged("no JSON object")
    if "eventType" in notice:
        if notice["eventType"] not in ("PAYMENT_STATUS_CHANGED", "DEPOSIT_CALLBACK"):
            return None
        notice = notice.get("data")
        if not isinstance(notice, dict):
            raise WebhookForged("no data")
    elif not isinstance(notice.get("secret"), str):
        raise WebhookForged("neither a type nor a secret")
    order_id, secret = notice.get("orderId"), notice.get("secret")
    if not isinstance(order_id, str):
        raise WebhookForged("no order")
    if not order_id.startswith(ID_PREFIX) or not _ORDER_ID.fullmatch(order_id):
        return None
    return Hint(order_id, secret if isinstance(secret, str) else None)


def refund_account(account: str) -> dict[str, Any]:
    """Return what says where a refund goes; nothing if it goes whence the payment came.

    Args:
        account: See `Order.refund_account`.

    Raises:
        ProviderRefuses: If it cannot be read.
    """
    if not account:
        return {}
    try:
        fields = json.loads(account)
        bank, number, holder = (str(fields[name]) for name in ("bank", "number", "holder"))
    except (ValueError, KeyError, TypeError):
        # Without its cause, which would quote somebody's account.
        raise ProviderRefuses("the account for the refund cannot be read") from None
    receiver = {"bank": bank, "accountNumber": number, "holderName": holder}
    return {"refundReceiveAccount": receiver}


def korean_time(unix_ms: int) -> str:
    """Return a time as Toss's lists take it: without offset, in Korea, down to the second."""
    moment = datetime.fromtimestamp(unix_ms // 1000, UTC).astimezone(_KST)
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def _was_never_paid(payment: dict[str, Any], status: str, order: Order) -> bool:
    """Return whether a payment was cancelled before anything came, as a virtual account can be."""
    if status != "CANCELED" or _field(payment, "approvedAt") is not None:
        return False
    return not order.was_credited or payment.get("virtualAccount") is not None


def _awaited(payment: dict[str, Any], *, live: bool) -> Payment:
    key, secret = _text(payment, "paymentKey"), _secret(payment)
    return Payment("waiting", live=live, payment_ref=key, secret=secret)


def _failure(payment: dict[str, Any], status: str) -> str:
    failure = payment.get("failure")
    message = failure.get("message") if isinstance(failure, dict) else None
    return message if isinstance(message, str) and message else status


def _secret(payment: dict[str, Any]) -> str | None:
    secret = payment.get("secret")
    return secret if isinstance(secret, str) and secret else None


def _field(payment: Any, name: str) -> Any:
    if not isinstance(payment, dict) or name not in payment:
        raise ProviderUnsure(f"a payment without {name}")
    return payment[name]


def _text(payment: dict[str, Any], name: str) -> str:
    value = _field(payment, name)
    if not isinstance(value, str) or not value:
        raise ProviderUnsure(f"a payment's {name} is no text")
    return value


def _amount(payment: dict[str, Any], name: str, currency: str) -> int:
    """Return an amount in the currency's smallest unit: Toss writes dollars with a point."""
    value = _field(payment, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or currency not in _EXPONENTS:
        raise ProviderUnsure(f"a payment's {name} is not understood")
    minor = Decimal(str(value)).scaleb(_EXPONENTS[currency])
    if not minor.is_finite() or minor != int(minor):
        raise ProviderUnsure(f"a payment's {name} is not understood")
    return int(minor)
