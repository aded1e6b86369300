"""Toss Payments: the adapter of a Korean provider, in won.

The buyer agrees to a payment in Toss's window; the money moves only when the merchant confirms it,
and into a virtual account it comes later still. What is true is what a look-up says: notices are
not signed, and only name the order.

Source: docs.tosspayments.com, "Core API", "API error codes", "Idempotency keys" and "Webhooks",
November 2026. Weakness: that a cancelled payment was never paid is told by its `approvedAt`, which
is empty while a deposit is awaited; that it stays so is observed in answers, not promised.
"""

import hashlib
import hmac
import re
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tokenferry.domain.topup import Currency, Order, Payment
from tokenferry.engine.payments import (
    Buyer,
    Hint,
    ProviderRefuses,
    ProviderUnsure,
    Urls,
    Widget,
)
from tokenferry.payments.api_call import Answer, Api
from tokenferry.payments.toss_payment import (
    UNSURE_CODES,
    find_cancel,
    foreign_terms,
    korean_time,
    likeliest,
    read_notice,
    read_payment,
    refund_account,
    status_of,
)

API_URL: Final = "https://api.tosspayments.com"
SCRIPT_URL: Final = "https://js.tosspayments.com/v2/standard"
# Toss allows 10,000; a page stays far below the longest answer that is read.
PAGE_ROWS: Final = 1_000
PAGES_MAX: Final = 1_000
MINUTE_S: Final = 60
HOUR_S: Final = 3_600
# A provider's words in a page of ours.
WORDS_MAX: Final = 200

_ORDER_NAMES: Final = {"en": "API credit", "ko": "API 크레딧"}
_NOT_FOUND: Final = 404
# With a code, by which one of them is told from a fault of Toss's.
_FAULT: Final = 500
# The account is closed, say: it fails for as long as it is asked for.
REFUND_FAILED: Final = "FAILED_PARTIAL_REFUND"
_NOT_FOUND_CODES: Final = {"NOT_FOUND", "NOT_FOUND_PAYMENT", "NOT_FOUND_PAYMENT_SESSION"}
# It comes from the buyer's browser, and becomes part of an address.
_PAYMENT_KEY: Final = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9_.=-]{0,199}")


class Toss:
    """Toss Payments over its HTTP API.

    Args:
        client_key: The public key for the buyer's page.
        secret_key: The key of the API; one that begins with `test_` moves no money.
        api_url: Where the API is.
        script_url: Where the script for the buyer's page is.
    """

    name = "toss"
    currencies: frozenset[Currency] = frozenset({"KRW"})

    def __init__(
        self,
        client_key: str,
        secret_key: str,
        *,
        api_url: str = API_URL,
        script_url: str = SCRIPT_URL,
    ) -> None:
        self.live = not secret_key.startswith("test_")
        self._client_key = client_key
        self._secret_key = secret_key
        self._script_url = script_url
        # The key is the name; the password is empty.
        credential = b64encode(f"{secret_key}:".encode()).decode()
        self._api = Api(
            api_url.rstrip("/"), {"authorization": f"Basic {credential}"}, spoken=(_FAULT,)
        )

    async def begin(self, order: Order, urls: Urls, buyer: Buyer) -> Widget:
        """Return what our page hands to `TossPayments(…).payment(…).requestPayment(…)`.

        How it is paid, `method`, is left to the page. Toss is not asked for anything yet.

        Raises:
            ProviderRefuses: If it is not in won.
        """
        if order.currency not in self.currencies:
            raise ProviderRefuses(f"Toss takes no {order.currency}")
        request: dict[str, Any] = {
            "amount": {"currency": order.currency, "value": order.amount_minor},
            "orderId": order.order_id,
            "orderName": _ORDER_NAMES[buyer.language],
            "successUrl": urls.success,
            "failUrl": urls.failure,
        }
        if buyer.email is not None:
            request["customerEmail"] = buyer.email
        # Whoever knows it can act as the customer: it must not be guessed from the account.
        customer_key = hmac.new(
            self._secret_key.encode(), buyer.account_id.encode(), hashlib.sha256
        ).hexdigest()[:32]
        options = {
            "clientKey": self._client_key,
            "customerKey": customer_key,
            "request": request,
        }
        return Widget(self.name, self._script_url, options)

    async def look_up(self, order: Order) -> Payment:
        """Ask Toss for an order's payment; confirm it first if the buyer has agreed to it.

        It is confirmed over the order's own amount, and only if Toss knows it as this order's.

        Raises:
            ProviderUnsure: If Toss does not answer, with something that is not understood, or with
                a status that is not known.
        """
        by_order = await self._find(f"/v1/payments/orders/{order.order_id}")
        states: list[Payment] = []
        if by_order is not None:
            states.append(read_payment(by_order, order, live=self.live))
        key = _agreed_key(order)
        if key is not None and not (states and states[0].status in ("paid", "waiting")):
            # An order can have several payments, of which this is the one that was agreed to.
            agreed = by_order
            if by_order is None or by_order.get("paymentKey") != key:
                agreed = await self._find(f"/v1/payments/{key}")
            state = await self._agreed_state(order, key, agreed)
            if state is not None:
                if agreed is by_order and agreed is not None:
                    states.clear()
                states.append(state)
        return likeliest(states) if states else Payment("open", live=self.live)

    async def refund(self, order: Order) -> None:
        """Give `order.pending_minor` back. For the same `order.refunds` it is given back once.

        The reason of a cancellation names the refund, and is looked for first; what is left of the
        payment is sent along, so that Toss refuses if another one was done meanwhile. The
        idempotency key is one of the hour: to a key that it knows, Toss repeats its first answer
        for 15 days, also that it could not do it just then.

        Raises:
            ProviderUnsure: If it is not known whether it was done.
            ProviderRefuses: If it was not done and will not be.
        """
        key = _agreed_key(order)
        if key is None:
            raise ProviderRefuses("no payment of the order is known")
        reason = f"Refund {order.refunds} of {order.order_id}"
        body = {"cancelReason": reason, "cancelAmount": order.pending_minor}
        body |= refund_account(order.refund_account)
        left = await self._left_of(order, key, reason)
        if left is None:
            return
        body["refundableAmount"] = left
        answer = await self._api.post(
            f"/v1/payments/{key}/cancel",
            body,
            {"idempotency-key": f"{order.order_id}:refund:{order.refunds}:{left}:{_now(HOUR_S)}"},
        )
        if not answer.is_error:
            if find_cancel(answer.body, reason) != "done":
                raise ProviderUnsure("cancel: the answer does not name the refund")
            return
        if _is_unsure(answer):
            raise ProviderUnsure(f"cancel: {self._words(answer)}")
        # A refusal may be of the second of two requests, the first of which was done.
        if await self._left_of(order, key, reason) is None:
            return
        raise ProviderRefuses(self._words(answer))

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Hint | None:
        """Return what a notice is about; None if nothing of ours.

        Toss does not sign notices of payments; a deposit's carries the payment's secret.

        Args:
            headers: Of the request, their names in lower case.
            body: Its bytes as they came.

        Raises:
            WebhookForged: If it cannot be read.
        """
        del headers
        return read_notice(body)

    async def changed_since(self, since_ms: int) -> Sequence[str]:
        """Return the ids of all orders with a payment, deposit or cancellation since a time.

        Raises:
            ProviderUnsure: If Toss does not answer, or not with a list that is understood.
        """
        query: dict[str, str | int] = {
            "startDate": korean_time(since_ms),
            # To the end of today, so that nothing of now is missed; Toss takes that.
            "endDate": korean_time(time.time_ns() // 1_000_000)[:11] + "23:59:59",
            "limit": PAGE_ROWS,
        }
        found: dict[str, None] = {}
        for _ in range(PAGES_MAX):
            answer = await self._api.get("/v1/transactions", query)
            if answer.is_error or not isinstance(answer.body, list):
                raise ProviderUnsure(f"transactions: {self._words(answer)}")
            last: Any = None
            for row in answer.body:
                order_id = row.get("orderId") if isinstance(row, dict) else None
                last = row.get("transactionKey") if isinstance(row, dict) else None
                if not isinstance(order_id, str) or not isinstance(last, str):
                    raise ProviderUnsure("transactions: one without order or key")
                found[order_id] = None
            if len(answer.body) < PAGE_ROWS:
                return list(found)
            query["startingAfter"] = last
        raise ProviderUnsure("transactions: the list does not end")

    async def close(self) -> None:
        """Let go of connections; idempotent."""
        await self._api.close()

    async def _find(self, path: str) -> dict[str, Any] | None:
        answer = await self._api.get(path)
        if not answer.is_error and isinstance(answer.body, dict):
            return answer.body
        if answer.status == _NOT_FOUND and answer.text("code") in _NOT_FOUND_CODES:
            return None
        raise ProviderUnsure(f"GET {path}: {self._words(answer)}")

    async def _agreed_state(
        self, order: Order, key: str, agreed: dict[str, Any] | None
    ) -> Payment | None:
        """Return the state of the payment that was agreed to; None if it is not this order's."""
        if agreed is not None:
            if agreed.get("orderId") != order.order_id:
                return None
            if status_of(agreed) != "IN_PROGRESS":
                return read_payment(agreed, order, live=self.live)
            terms = foreign_terms(agreed, order)
            if terms:
                return Payment("failed", live=self.live, detail=terms)
        # Toss may know a payment by nothing else before it is confirmed; it compares itself.
        answer = await self._api.post(
            "/v1/payments/confirm",
            {"paymentKey": key, "orderId": order.order_id, "amount": order.amount_minor},
            {"idempotency-key": _confirm_key(order, key)},
        )
        if not answer.is_error:
            return read_payment(answer.body, order, live=self.live)
        after = await self._find(f"/v1/payments/{key}")
        if after is not None and after.get("orderId") == order.order_id:
            state = read_payment(after, order, live=self.live)
            if state.status != "open":
                return state
        if _is_unsure(answer):
            raise ProviderUnsure(f"confirm: {self._words(answer)}")
        return Payment("failed", live=self.live, detail=self._words(answer))

    async def _left_of(self, order: Order, key: str, reason: str) -> int | None:
        """Return what is left of a payment; None if a refund was done.

        Raises:
            ProviderRefuses: If it cannot be done any more.
        """
        payment = await self._find(f"/v1/payments/{key}")
        if payment is None:
            raise ProviderUnsure("cancel: the payment is not found")
        if payment.get("orderId") != order.order_id:
            raise ProviderRefuses("the payment is another order's")
        match find_cancel(payment, reason):
            case "done":
                return None
            case "pending":
                raise ProviderUnsure("cancel: under way")
            case "failed":
                raise ProviderRefuses("the cancellation failed")
        status = status_of(payment)
        if status not in ("DONE", "PARTIAL_CANCELED"):
            # What waits for its deposit could be cancelled, but there is nothing to give back.
            raise ProviderRefuses(f"the payment is {status}")
        found = read_payment(payment, order, live=self.live)
        return found.amount_minor - found.refunded_minor

    def _words(self, answer: Answer) -> str:
        """Return what Toss says to an error, fit for a log and for people."""
        words = answer.text("message") or f"HTTP {answer.status}"
        if code := answer.text("code"):
            words = f"{words} ({code})"
        return words.replace(self._secret_key, "(key)")[:WORDS_MAX]


def _is_unsure(answer: Answer) -> bool:
    """Return whether an error leaves open what was done, or says that it may be done later."""
    code = answer.text("code")
    if answer.status == _FAULT and code != REFUND_FAILED:
        return True
    return not code or code in UNSURE_CODES


def _agreed_key(order: Order) -> str | None:
    """Return what the buyer's browser brought, if it can be a payment's key."""
    ref = order.payment_ref
    return ref if ref is not None and _PAYMENT_KEY.fullmatch(ref) else None


def _confirm_key(order: Order, key: str) -> str:
    """Return an idempotency key: Toss does not look whether the body is the same.

    It is one of the minute, since Toss repeats a failure to whoever brings the same key. A payment
    is confirmed once anyway.
    """
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"{order.order_id}:confirm:{digest}:{_now(MINUTE_S)}"


def _now(span_s: int) -> int:
    """Return which minute, or hour, it is."""
    return time.time_ns() // (span_s * 1_000_000_000)
