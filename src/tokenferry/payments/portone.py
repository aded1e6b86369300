"""PortOne V2: Korea's payment companies behind one API; `docs/decisions/0011-payments.md`.

The buyer's browser names the amount, so it is registered beforehand, and reported as it was paid.

Source: PortOne's OpenAPI schema V2 and its guides to payment, cancellation and webhooks
(developers.portone.io repository at af926bd, August 2026).

Weakness: the list of what has changed does not show disputes, which come by notice, or when the
order is looked at.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from portone_server_sdk import webhook
from portone_server_sdk.errors import PortOneError

from tokenferry.domain.topup import Currency, Order, Payment
from tokenferry.engine.payments import (
    Buyer,
    Hint,
    ProviderRefuses,
    ProviderUnsure,
    Urls,
    WebhookForged,
    Widget,
)
from tokenferry.payments.api_call import Answer, Api
from tokenferry.payments.portone_payment import (
    amount_of,
    is_done,
    is_object,
    payment_of,
    text_of,
    was_cancelled,
)

API_URL = "https://api.portone.io"
SCRIPT_URL = "https://cdn.portone.io/v2/browser-sdk.js"
ORDER_NAME = "API credit"
CUSTOMER_CHARACTERS = 20
_NOT_FOUND = 404
# A refusal to cancel is a 409, what the payment company behind it says is a 502.
_CONFLICT = 409
_BAD_GATEWAY = 502
# Kinds of notices that are not known are to be ignored (guide to webhooks).
_NOTICES = tuple(
    f"Transaction.{what}"
    for what in (
        *("Ready", "PayPending", "VirtualAccountIssued", "Paid", "Failed"),
        *("PartialCancelled", "Cancelled", "CancelPending"),
        *("DisputeCreated", "DisputeResolved"),
    )
)
_PAGE_SIZE = 100
# PortOne's list ends after 60,000.
_PAGES_MAX = 600


class PortOne:
    """Takes money by PortOne V2. It keeps no state.

    Args:
        api_secret: The API secret V2.
        webhook_secret: What notices are signed with, `whsec_` and base64; with an empty one
            every notice is forged.
        store_id: The store.
        channel_key: Which of the store's channels takes the payments.
        live: Whether the channel is for real money.
        ask_buyer: Whether the company behind the channel wants the buyer's name and phone number.
        api_url: The API, without a slash at the end.
        script_url: The browser's script.
        order_name: What is sold, on the buyer's receipt.
    """

    name = "portone"
    # PortOne counts both in their smallest unit (ISO 4217), as we do.
    currencies: frozenset[Currency] = frozenset({"KRW", "USD"})

    def __init__(  # noqa: PLR0913 - wiring: each is a setting of its own
        self,
        *,
        api_secret: str,
        webhook_secret: str,
        store_id: str,
        channel_key: str,
        live: bool,
        ask_buyer: bool = False,
        api_url: str = API_URL,
        script_url: str = SCRIPT_URL,
        order_name: str = ORDER_NAME,
    ) -> None:
        self.live = live
        self._ask_buyer = ask_buyer
        self._webhook_secret = webhook_secret.strip()
        self._store_id = store_id
        self._channel_key = channel_key
        self._script_url = script_url
        self._order_name = order_name
        self._api_secret = api_secret.strip()
        self._api = Api(
            api_url,
            # A header that has a line's end in it would be quoted in an error.
            {"authorization": f"PortOne {self._api_secret}"},
            spoken=(_CONFLICT, _BAD_GATEWAY),
        )

    async def begin(self, order: Order, urls: Urls, buyer: Buyer) -> Widget:
        """Register the amount and return the call of the browser's script.

        `redirectUrl` is where the buyer is led however it ends: after a failure with `code`.
        Our page adds `payMethod`.

        Raises:
            ProviderUnsure: If PortOne does not answer.
            ProviderRefuses: If it wants no such payment: for one, when it was paid already.
        """
        agreed = {
            "storeId": self._store_id,
            "totalAmount": order.amount_minor,
            "currency": order.currency,
        }
        answer = await self._api.post(f"{_path(order)}/pre-register", agreed)
        if answer.is_error:
            raise _no(answer)
        # KPN and Galaxia want a name for the customer, of 20 characters; ours is nobody's business.
        customer = {
            "customerId": hmac.new(
                self._api_secret.encode(), buyer.account_id.encode(), hashlib.sha256
            ).hexdigest()[:CUSTOMER_CHARACTERS]
        }
        if buyer.email:
            customer["email"] = buyer.email
        return Widget(
            "portone",
            self._script_url,
            {
                **agreed,
                "channelKey": self._channel_key,
                "paymentId": order.order_id,
                "orderName": self._order_name,
                "redirectUrl": urls.success,
                # One way for phones and others: what happened is in the address.
                "forceRedirect": True,
                "customer": customer,
            },
            self._ask_buyer,
        )

    async def look_up(self, order: Order) -> Payment:
        """Ask for the state of an order's payment.

        Raises:
            ProviderUnsure: If PortOne does not answer, or with something that is not understood.
        """
        found = await self._find(order)
        if found is None:
            return Payment("open")
        payment = payment_of(found)
        if (
            payment.status == "waiting"
            and found["status"] == "CANCELLED"
            and not order.was_credited
        ):
            # Nobody deposited anything, and nobody can any more.
            return payment._replace(status="failed")
        return payment

    async def refund(self, order: Order) -> None:
        """Cancel `order.pending_minor` of the payment, once for each `order.refunds`.

        The reason of the cancellation names the refund, by which it is found again. An
        idempotency key, which is good for three hours only, keeps apart a second call that
        overtakes the first.

        Raises:
            ProviderUnsure: If it is not known whether it was done, or if it is under way.
            ProviderRefuses: If it was not done and will not be.
        """
        tag = f"(order {order.order_id} refund {order.refunds})"
        found = await self._find_paid(order)
        if was_cancelled(found, tag):
            return
        left = amount_of(found, "total") - amount_of(found, "cancelled")
        body: dict[str, Any] = {
            "storeId": self._store_id,
            "reason": f"Credit given back {tag}",
            "amount": order.pending_minor,
            # What the refund goes by: if another has come first, PortOne refuses.
            "currentCancellableAmount": left,
        }
        if order.refund_account:
            body["refundAccount"] = _account(order.refund_account)
        # In quotes (RFC 8941), and another one for another body.
        key = f'"{order.order_id}-refund-{order.refunds}-of-{left}"'
        answer = await self._api.post(f"{_path(order)}/cancel", body, {"idempotency-key": key})
        if not answer.is_error:
            cancellation = answer.body.get("cancellation") if is_object(answer.body) else None
            if not is_done(cancellation):
                raise ProviderUnsure("cancel: an answer without a cancellation")
            return
        if answer.text("type") == "IDEMPOTENCY_OUTSTANDING_REQUEST":
            raise ProviderUnsure(_words(answer))
        if was_cancelled(await self._find_paid(order), tag):
            return
        raise _no(answer)

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Hint | None:
        """Return what a notice is about; None for another store, or no payment.

        Raises:
            WebhookForged: If it was not signed with our secret within five minutes, or cannot be
                read.
        """
        if not self._webhook_secret:
            raise WebhookForged("there is no secret to tell it by")
        try:
            text = body.decode()
            webhook.verify(self._webhook_secret, text, headers)
            notice = json.loads(text)
        except PortOneError as exc:
            reason = getattr(exc, "reason", type(exc).__name__)
            raise WebhookForged(f"its signature: {reason}") from exc
        # A type that the SDK does not know passes, text that is no JSON does not.
        except (ValueError, RecursionError) as exc:
            raise WebhookForged("it cannot be read") from exc
        data = notice.get("data")
        if notice.get("type") not in _NOTICES or not is_object(data):
            return None
        if data.get("storeId", self._store_id) != self._store_id:
            return None
        payment_id = data.get("paymentId")
        return Hint(payment_id) if isinstance(payment_id, str) else None

    async def changed_since(self, since_ms: int) -> Sequence[str]:
        """Return the ids of all payments whose status has changed since a time.

        Of PortOne's lists this one goes by the change; the one by cursor knows only when a
        payment was begun. The newest come first: what changes meanwhile goes to the front, so
        that pages only ever shift towards what is not read yet.

        Raises:
            ProviderUnsure: If PortOne does not answer, or its list does not end.
        """
        since = datetime.fromtimestamp(since_ms // 1000, UTC).isoformat().replace("+00:00", "Z")
        wanted = {
            "timestampType": "STATUS_CHANGED_AT",
            "from": since,
            "sortBy": "STATUS_CHANGED_AT",
            "sortOrder": "DESC",
        }
        changed: dict[str, None] = {}
        for number in range(_PAGES_MAX):
            page = {"page": {"number": number, "size": _PAGE_SIZE}, "filter": wanted}
            answer = await self._api.get("/payments", {"requestBody": json.dumps(page)})
            items = answer.body.get("items") if is_object(answer.body) else None
            if answer.is_error or not isinstance(items, list):
                raise ProviderUnsure(f"list: {_words(answer)}")
            # A page may be shorter than asked for; only an empty one is the end.
            if not items:
                return list(changed)
            changed.update(dict.fromkeys(self._ids(items)))
        raise ProviderUnsure(f"list: more than {_PAGES_MAX} pages since {since}")

    async def close(self) -> None:
        """Let go of connections; idempotent."""
        await self._api.close()

    def _ids(self, items: Sequence[Any]) -> Iterator[str]:
        for item in items:
            if not is_object(item):
                raise ProviderUnsure("list: an item that is no payment")
            if item.get("storeId", self._store_id) == self._store_id:
                yield text_of(item, "id")

    async def _find(self, order: Order) -> dict[str, Any] | None:
        answer = await self._api.get(_path(order), {"storeId": self._store_id})
        if answer.status == _NOT_FOUND and answer.text("type") == "PAYMENT_NOT_FOUND":
            return None
        if answer.is_error or not is_object(answer.body):
            raise ProviderUnsure(f"look-up: {_words(answer)}")
        if answer.body.get("id") != order.order_id:
            raise ProviderUnsure("look-up: the answer is about another payment")
        return answer.body

    async def _find_paid(self, order: Order) -> dict[str, Any]:
        found = await self._find(order)
        if found is None or payment_of(found).status != "paid":
            raise ProviderUnsure("refund: there is no payment to be given back")
        return found


def _path(order: Order) -> str:
    return f"/payments/{quote(order.order_id, safe='')}"


def _account(text: str) -> dict[str, str]:
    """Return the account for a refund in PortOne's words."""
    try:
        account = json.loads(text)
        bank, number, holder = account["bank"], account["number"], account["holder"]
    except (ValueError, KeyError, TypeError) as exc:
        raise ProviderRefuses("the account for the refund lacks bank, number or holder") from exc
    return {"bank": bank, "number": number, "holderName": holder}


def _no(answer: Answer) -> ProviderRefuses | ProviderUnsure:
    """Return what an error is: a refusal only if PortOne, or who is behind it, says so."""
    kind = answer.text("type")
    if kind == "PG_PROVIDER" or (kind and answer.status != _BAD_GATEWAY):
        return ProviderRefuses(_words(answer))
    return ProviderUnsure(_words(answer))


def _words(answer: Answer) -> str:
    """Return what PortOne says, and the payment company behind it."""
    said = [answer.text(name) for name in ("type", "message", "pgCode", "pgMessage")]
    return " ".join(filter(None, said))[:500] or f"HTTP {answer.status}"
