"""What the emulated PortOne holds: payments, what becomes of them, and how they look over HTTP.

Source: `Payment` and its kinds in PortOne's OpenAPI schema V2 (developers.portone.io repository at
af926bd, August 2026). Weakness: one payment company, which never asks for anything; amounts
without taxes and discounts; what PortOne does not document is chosen, and said where it is.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5


class Refused(Exception):
    """PortOne says no, in its words."""

    def __init__(self, status: int, kind: str, message: str = "") -> None:
        super().__init__(kind)
        self.status = status
        self.body = {"type": kind, "message": message or kind.lower().replace("_", " ")}


def stamp(now_s: float) -> str:
    """Return a time as PortOne writes it (RFC 3339)."""
    return datetime.fromtimestamp(now_s, UTC).isoformat().replace("+00:00", "Z")


def named(*parts: object) -> str:
    """Return a UUID that is the same in every run."""
    return str(uuid5(NAMESPACE_URL, "/".join(map(str, parts))))


@dataclass
class Cancellation:
    """A part of a payment that goes back, or was to."""

    id: str
    amount: int
    reason: str
    trigger: str
    requested_s: float
    status: str = "SUCCEEDED"
    refund_account: dict[str, Any] | None = None

    def json(self) -> dict[str, Any]:
        shown = {
            "status": self.status,
            "id": self.id,
            "pgCancellationId": f"pg-{self.id[:8]}",
            "totalAmount": self.amount,
            "taxFreeAmount": 0,
            "vatAmount": 0,
            "reason": self.reason,
            "requestedAt": stamp(self.requested_s),
            "trigger": self.trigger,
        }
        if self.status == "SUCCEEDED":
            shown["cancelledAt"] = stamp(self.requested_s)
        return shown


@dataclass
class Payment:
    """One payment: an order of the merchant, with the latest attempt to pay it."""

    id: str
    store_id: str
    channel_key: str
    channel_type: str
    total: int
    currency: str
    order_name: str
    requested_s: float
    changed_s: float
    status: str = "READY"
    attempt: int = 1
    redirect_url: str = ""
    paid_s: float | None = None
    failure: dict[str, str] | None = None
    account: str | None = None
    cancellations: list[Cancellation] = field(default_factory=list)
    disputes: list[dict[str, str]] = field(default_factory=list)
    # What is shown otherwise than it is: None leaves a field out.
    distorted: dict[str, Any] = field(default_factory=dict)

    @property
    def transaction_id(self) -> str:
        return named(self.id, "attempt", self.attempt)

    @property
    def cancelled(self) -> int:
        return sum(each.amount for each in self.cancellations if each.status == "SUCCEEDED")

    @property
    def was_paid(self) -> bool:
        return self.status in ("PAID", "PARTIAL_CANCELLED", "CANCELLED") and bool(self.paid_s)

    def turn(self, status: str, now_s: float) -> None:
        """Change the status."""
        self.status = status
        self.changed_s = now_s

    def cancel(
        self, asked: dict[str, Any], trigger: str, now_s: float, outcome: str
    ) -> Cancellation:
        """Give a part back, or all of it.

        Args:
            asked: `CancelPaymentBody`.
            trigger: Who did: `API`, `CONSOLE`, `PORTONE_ADMIN`, `CHARGEBACK`.
            now_s: The clock.
            outcome: `SUCCEEDED`, or `REQUESTED` for one that ends later, or `FAILED`.

        Raises:
            Refused: With the documented errors.
        """
        reason, amount = asked.get("reason"), asked.get("amount")
        if not isinstance(reason, str) or not reason:
            raise Refused(400, "INVALID_REQUEST", "reason is missing")
        if amount is not None and (type(amount) is not int or amount <= 0):
            raise Refused(400, "INVALID_REQUEST", "amount is no positive integer")
        if self.status == "CANCELLED":
            raise Refused(409, "PAYMENT_ALREADY_CANCELLED", "결제가 이미 취소되었습니다")
        if not self.was_paid:
            raise Refused(409, "PAYMENT_NOT_PAID")
        left = self.total - self.cancelled
        expected = asked.get("currentCancellableAmount")
        if expected is not None and expected != left:
            raise Refused(409, "CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN")
        amount = left if amount is None else amount
        if amount > left:
            raise Refused(409, "CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT")
        account = asked.get("refundAccount")
        if account is not None and not {"bank", "number", "holderName"} <= set(account):
            raise Refused(400, "INVALID_REQUEST", "refundAccount is incomplete")
        if self.account and not account and trigger == "API":
            raise PgError("AC01", "환불 계좌가 필요합니다")
        number = len(self.cancellations) + 1
        made = Cancellation(
            named(self.id, "cancel", number), amount, reason, trigger, now_s, outcome, account
        )
        self.cancellations.append(made)
        if outcome == "SUCCEEDED":
            self.settle_cancellations(now_s)
        return made

    def settle_cancellations(self, now_s: float) -> None:
        """Let the status follow what was given back."""
        if self.cancelled:
            whole = self.cancelled == self.total
            self.turn("CANCELLED" if whole else "PARTIAL_CANCELLED", now_s)

    def json(self) -> dict[str, Any]:
        """Return it as `GET /payments/{paymentId}` does."""
        shown: dict[str, Any] = {
            "status": self.status,
            "id": self.id,
            "transactionId": self.transaction_id,
            "merchantId": "merchant-emulated",
            "storeId": self.store_id,
            "channel": {
                "type": self.channel_type,
                "key": self.channel_key,
                "pgProvider": "TOSSPAYMENTS",
                "pgMerchantId": "emulated",
            },
            "version": "V2",
            "requestedAt": stamp(self.requested_s),
            "updatedAt": stamp(self.changed_s),
            "statusChangedAt": stamp(self.changed_s),
            "orderName": self.order_name,
            "amount": {
                "total": self.total,
                "taxFree": 0,
                "vat": 0,
                "supply": self.total,
                "discount": 0,
                "paid": self.total,
                "cancelled": self.cancelled,
                "cancelledTaxFree": 0,
            },
            "currency": self.currency,
            "customer": {"id": "customer-emulated"},
            "origin": {"platformType": "PC", "ipAddress": "127.0.0.1"},
            "method": self._method(),
        }
        shown |= self._shown_of_status()
        for name, value in self.distorted.items():
            if value is None:
                shown.pop(name, None)
            else:
                shown[name] = value
        return shown

    def _method(self) -> dict[str, Any]:
        if self.account:
            return {"type": "PaymentMethodVirtualAccount", "accountNumber": self.account}
        return {"type": "PaymentMethodCard"}

    def _shown_of_status(self) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        if self.status in ("PAID", "PARTIAL_CANCELLED", "CANCELLED"):
            if self.paid_s:
                shown["paidAt"] = stamp(self.paid_s)
            shown["cancellations"] = [each.json() for each in self.cancellations]
        if self.status == "PAID":
            # Of what is cancelled, PortOne shows no disputes.
            shown["disputes"] = self.disputes
        if self.status in ("PARTIAL_CANCELLED", "CANCELLED"):
            shown["cancelledAt"] = stamp(self.changed_s)
        if self.status == "FAILED":
            shown |= {"failedAt": stamp(self.changed_s), "failure": self.failure or {}}
        return shown


class PgError(Refused):
    """The payment company behind PortOne says no."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(502, "PG_PROVIDER")
        self.body |= {"pgCode": code, "pgMessage": message}
