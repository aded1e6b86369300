"""PortOne V2: Korea's payment companies behind one API; `docs/decisions/0011-payments.md`.

The buyer's browser names the amount, so it is registered beforehand, and reported as it was paid.

Source: PortOne's OpenAPI schema V2 and its guides to payment, cancellation and webhooks
(developers.portone.io repository at af926bd, August 2026).

Weakness: a dispute has no amount; while it is open, all that is left of the payment counts as
taken. Lists do not show disputes, nor does a partly cancelled payment: those come by notice, or
when they have cost money. Whether a bank account took a refund is not looked at.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal
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

API_URL = "https://api.portone.io"
SCRIPT_URL = "https://cdn.portone.io/v2/browser-sdk.js"
ORDER_NAME = "API credit"
_NOT_FOUND = 404
# A refusal to cancel is a 409, what the payment company behind it says is a 502.
_CONFLICT = 409
_BAD_GATEWAY = 502
# Nobody has paid, and somebody still can: of many attempts one may succeed.
_OPEN = frozenset({"READY", "PAY_PENDING", "FAILED"})
_PAID = frozenset({"PAID", "PARTIAL_CANCELLED", "CANCELLED"})
# Kinds of notices that are not known are to be ignored (guide to webhooks).
_NOTICES = frozenset(
    f"Transaction.{what}"
    for what in (
        "Ready",
        "Paid",
        "VirtualAccountIssued",
        "PartialCancelled",
        "Cancelled",
        "Failed",
        "PayPending",
        "CancelPending",
        "DisputeCreated",
        "DisputeResolved",
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
        api_url: str = API_URL,
        script_url: str = SCRIPT_URL,
        order_name: str = ORDER_NAME,
    ) -> None:
        self.live = live
        self._webhook_secret = webhook_secret.strip()
        self._store_id = store_id
        self._channel_key = channel_key
        self._script_url = script_url
        self._order_name = order_name
        self._api = Api(
            api_url,
            {"authorization": f"PortOne {api_secret}"},
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
        answer = await self._api.post(
            f"{_path(order)}/pre-register",
            {
                "storeId": self._store_id,
                "totalAmount": order.amount_minor,
                "currency": order.currency,
            },
        )
        if answer.is_error:
            if answer.status == _BAD_GATEWAY or not answer.text("type"):
                raise ProviderUnsure(f"pre-register: {_words(answer)}")
            raise ProviderRefuses(_words(answer))
        return Widget(
            "portone",
            self._script_url,
            {
                "storeId": self._store_id,
                "channelKey": self._channel_key,
                "paymentId": order.order_id,
                "orderName": self._order_name,
                "totalAmount": order.amount_minor,
                "currency": order.currency,
                "redirectUrl": urls.success,
                # One way for phones and others: what happened is in the address.
                "forceRedirect": True,
                "customer": {"email": buyer.email} if buyer.email else {},
            },
        )

    async def look_up(self, order: Order) -> Payment:
        """Ask for the state of an order's payment.

        Raises:
            ProviderUnsure: If PortOne does not answer, or with something that is not understood.
        """
        found = await self._find(order)
        return Payment("open") if found is None else _payment(found)

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
        if _was_cancelled(found, tag):
            return
        left = _amount(found, "total") - _amount(found, "cancelled")
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
            cancellation = answer.body.get("cancellation") if _is_object(answer.body) else None
            if not _is_done(cancellation):
                raise ProviderUnsure("cancel: an answer without a cancellation")
            return
        if answer.text("type") == "IDEMPOTENCY_OUTSTANDING_REQUEST":
            raise ProviderUnsure("cancel: it is under way")
        if _was_cancelled(await self._find_paid(order), tag):
            return
        # What a payment company answers in error may have been done nevertheless.
        if answer.status == _BAD_GATEWAY or not answer.text("type"):
            raise ProviderUnsure(f"cancel: {_words(answer)}")
        raise ProviderRefuses(_words(answer))

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
        if notice.get("type") not in _NOTICES or not _is_object(data):
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
            items = answer.body.get("items") if _is_object(answer.body) else None
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
            if not _is_object(item):
                raise ProviderUnsure("list: an item that is no payment")
            if item.get("storeId", self._store_id) == self._store_id:
                yield _text(item, "id")

    async def _find(self, order: Order) -> dict[str, Any] | None:
        answer = await self._api.get(_path(order), {"storeId": self._store_id})
        if answer.status == _NOT_FOUND and answer.text("type") == "PAYMENT_NOT_FOUND":
            return None
        if answer.is_error or not _is_object(answer.body):
            raise ProviderUnsure(f"look-up: {_words(answer)}")
        found: dict[str, Any] = answer.body
        if found.get("id") != order.order_id:
            raise ProviderUnsure("look-up: the answer is about another payment")
        return found

    async def _find_paid(self, order: Order) -> dict[str, Any]:
        found = await self._find(order)
        if found is None or _payment(found).status != "paid":
            raise ProviderUnsure("refund: there is no payment to be given back")
        return found


def _path(order: Order) -> str:
    return f"/payments/{quote(order.order_id, safe='')}"


def _payment(found: Mapping[str, Any]) -> Payment:
    status = _text(found, "status")
    if status in _OPEN:
        failure = found.get("failure")
        reasons = failure if status == "FAILED" and _is_object(failure) else {}
        detail = reasons.get("reason") or reasons.get("pgMessage") or ""
        return Payment("open", detail=str(detail))
    reference = _text(found, "transactionId")
    live = _channel(found) == "LIVE"
    # An account that was closed before anything came has no `paidAt`. This takes back what was
    # credited, if a paid one should ever lack it.
    never_paid = status == "CANCELLED" and not isinstance(found.get("paidAt"), str)
    if status == "VIRTUAL_ACCOUNT_ISSUED" or never_paid:
        return Payment("waiting", live=live, payment_ref=reference)
    if status not in _PAID:
        raise ProviderUnsure(f"look-up: status {status[:40]!r} is not known")
    total, cancelled = _amount(found, "total"), _amount(found, "cancelled")
    if status == "CANCELLED":
        # All of it, also where a discount was a part that nobody paid.
        cancelled = total
    taken = sum(
        _whole(each, "totalAmount")
        for each in _cancellations(found)
        if each.get("trigger") == "CHARGEBACK" and each["status"] == "SUCCEEDED"
    )
    if not taken <= cancelled <= total:
        raise ProviderUnsure("look-up: more was cancelled than paid")
    disputed = total - cancelled if _is_disputed(found) else 0
    return Payment(
        "paid",
        currency=_text(found, "currency"),
        amount_minor=total,
        refunded_minor=cancelled - taken,
        disputed_minor=taken + disputed,
        live=live,
        payment_ref=reference,
    )


def _is_disputed(found: Mapping[str, Any]) -> bool:
    """Return whether a dispute is open: what a lost one costs is a cancellation later."""
    states = [
        each.get("status") if _is_object(each) else None for each in _list(found, "disputes")
    ]
    if not set(states) <= {"UNRESOLVED", "RESOLVED"}:
        raise ProviderUnsure("look-up: the state of a dispute is not known")
    return "UNRESOLVED" in states


def _was_cancelled(found: Mapping[str, Any], tag: str) -> bool:
    """Return whether a refund of ours was done; False if nothing was tried.

    Raises:
        ProviderUnsure: If it is under way.
        ProviderRefuses: If it was tried and has failed.
    """
    ours = [each for each in _cancellations(found) if tag in str(each.get("reason"))]
    # If a refund was tried twice, its success is what counts.
    ours.sort(key=lambda each: ("SUCCEEDED", "REQUESTED", "FAILED").index(each["status"]))
    return bool(ours) and _is_done(ours[0])


def _is_done(cancellation: Any) -> bool:
    status = cancellation.get("status") if _is_object(cancellation) else None
    if status == "REQUESTED":
        raise ProviderUnsure("cancel: it was asked for and is not done yet")
    if status == "FAILED":
        raise ProviderRefuses("the cancellation failed")
    return status == "SUCCEEDED"


def _cancellations(found: Mapping[str, Any]) -> list[Any]:
    listed = _list(found, "cancellations")
    for each in listed:
        status = each.get("status") if _is_object(each) else None
        if status not in ("SUCCEEDED", "REQUESTED", "FAILED"):
            raise ProviderUnsure("look-up: the state of a cancellation is not known")
    return listed


def _channel(found: Mapping[str, Any]) -> Literal["LIVE", "TEST"]:
    channel = found.get("channel")
    kind = channel.get("type") if _is_object(channel) else None
    if kind == "LIVE":
        return "LIVE"
    if kind == "TEST":
        return "TEST"
    raise ProviderUnsure("look-up: it is not known whether it is real money")


def _account(text: str) -> dict[str, str]:
    """Return the account for a refund in PortOne's words."""
    account = json.loads(text)
    return {
        "bank": account["bank"],
        "number": account["number"],
        "holderName": account["holder"],
    }


def _amount(found: Mapping[str, Any], name: str) -> int:
    amount = found.get("amount")
    return _whole(amount if _is_object(amount) else {}, name)


def _whole(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or value < 0:
        raise ProviderUnsure(f"look-up: no whole number in {name}")
    return value


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ProviderUnsure(f"there is no {name} in what PortOne says")
    return value


def _list(found: Mapping[str, Any], name: str) -> list[Any]:
    # Which of them a payment has depends on its state.
    value = found.get(name, [])
    if not isinstance(value, list):
        raise ProviderUnsure(f"look-up: {name} is no list")
    return value


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _words(answer: Answer) -> str:
    """Return what PortOne says, and the payment company behind it."""
    said = [answer.text(name) for name in ("type", "message", "pgCode", "pgMessage")]
    return " ".join(filter(None, said))[:500] or f"HTTP {answer.status}"
