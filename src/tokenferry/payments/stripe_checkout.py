"""Stripe Checkout: the buyer pays on a page of Stripe, a session of its own for every order.

What a notice says of a payment is not used: the session, its refunds and its disputes are asked
for, and their amounts reported as they are.

Source: docs.stripe.com (API reference, Checkout, idempotent requests, webhooks, disputes) and
stripe-python 16.1, November 2026.
Weakness: for 24 hours Stripe repeats its first answer to an Idempotency-Key, failures included, and
forgets it then. A refund is therefore looked for before it is asked for, and asked for with another
key when it is certain that nothing came of the first, see `stripe_keys`; a session whose making was
not answered is made anew, and nobody was given the address of the first.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import stripe

from tokenferry.domain.topup import Currency, Order, Payment
from tokenferry.engine.payments import (
    Buyer,
    Hint,
    ProviderRefuses,
    ProviderUnsure,
    Redirect,
    Urls,
    WebhookForged,
)
from tokenferry.payments.api_call import TIMEOUT_S
from tokenferry.payments.stripe_answer import (
    belongs,
    broken_off,
    count,
    flag,
    given_back,
    judge_refund,
    part,
    taken_back,
    text,
)
from tokenferry.payments.stripe_api import STUMBLES, StripeApi
from tokenferry.payments.stripe_keys import refund_key, session_key
from tokenferry.payments.stripe_session import session_params

API_URL = "https://api.stripe.com"
# Once more within the call; who is told that it is not known asks again anyway.
RETRIES = 1
# What a webhook endpoint has to be registered for; Stripe lists at most 20 kinds at once.
EVENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
)


class StripeCheckout:
    """Stripe Checkout, as a `PaymentProvider`.

    Args:
        secret_key: A secret or restricted key, of live or of test mode.
        webhook_secret: What the notices are signed with.
        api_url: Where the API is.
        product_name: What the page says is bought.
        timeout_s: How long an answer is waited for.
        retries: How many times an unanswered call is repeated at once.
        wall_s: The wall clock, Unix time.

    Raises:
        ValueError: If the key is none, or the secret is empty.
    """

    name = "stripe"
    currencies: frozenset[Currency] = frozenset(("USD", "KRW"))

    def __init__(  # noqa: PLR0913 - wiring: each is a setting of its own
        self,
        secret_key: str,
        webhook_secret: str,
        *,
        api_url: str = API_URL,
        product_name: str = "Prepaid credit",
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        if not secret_key.startswith(("sk_live_", "sk_test_", "rk_live_", "rk_test_")):
            raise ValueError("a secret key of Stripe begins with sk_live_, sk_test_, rk_…")
        if not webhook_secret.strip():
            # Anybody can sign with an empty one.
            raise ValueError("Stripe's webhook secret is empty")
        self.live = secret_key[3:].startswith("live_")
        self._webhook_secret = webhook_secret
        self._product_name = product_name
        self._wall_s = wall_s
        self._api = StripeApi(secret_key, api_url, timeout_s, retries)

    async def begin(self, order: Order, urls: Urls, buyer: Buyer) -> Redirect:
        """Return the page of the order's session, which is made if there is none to be paid.

        Raises:
            ProviderUnsure: If Stripe does not answer.
            ProviderRefuses: If it wants no such payment, or if the session is being paid.
        """
        if order.payment_ref is None or _is_over(session := await self._session(order)):
            now_s = int(self._wall_s())
            session = await self._api.ask(
                "create a session",
                self._api.sdk.v1.checkout.sessions.create_async(
                    session_params(order, urls, buyer, self._product_name, now_s),
                    {"idempotency_key": session_key(order, now_s)},
                ),
            )
            belongs(session, order.order_id)
        status = text(session, "status")
        if status == "open":
            return Redirect(text(session, "url"), text(session, "id"))
        if status in ("complete", "expired"):
            raise ProviderRefuses(f"the checkout session is {status}")
        raise ProviderUnsure(f"the checkout session has the unknown status {status}")

    async def look_up(self, order: Order) -> Payment:
        """Ask Stripe for the session, and if it is paid for its refunds and disputes.

        Raises:
            ProviderUnsure: If Stripe does not answer, or not understandably.
        """
        if order.payment_ref is None:
            # The id of a session is stored before anybody is led to it.
            return Payment("open", live=self.live)
        session = await self._session(order)
        state = (text(session, "status"), text(session, "payment_status"))
        if state == ("complete", "paid"):
            return await self._paid(session)
        found = Payment("open", live=flag(session, "livemode"), payment_ref=order.payment_ref)
        if state == ("open", "unpaid"):
            return found
        if state == ("expired", "unpaid"):
            return found._replace(status="failed", detail="the checkout session expired")
        if state == ("complete", "unpaid"):
            # A bank transfer, say, that takes days and can still fail.
            why = broken_off(part(session, "payment_intent"))
            if why is not None:
                return found._replace(status="failed", detail=why)
            return found._replace(status="waiting")
        raise ProviderUnsure(f"the checkout session has the unknown state {state}")

    async def refund(self, order: Order) -> None:
        """Give `order.pending_minor` back; once for the same `order.refunds`.

        Raises:
            ProviderUnsure: If it is not known whether it was done.
            ProviderRefuses: If it was not done and will not be.
        """
        if order.payment_ref is None:
            raise ProviderRefuses("nothing was paid")
        session = await self._session(order)
        if session.get("payment_intent") is None:
            raise ProviderRefuses("nothing was paid")
        intent = part(session, "payment_intent")
        intent_id, listed = text(intent, "id"), 0
        mark = {"order_id": order.order_id, "refund": str(order.refunds)}
        listing = self._api.sdk.v1.refunds.list_async
        # The key of a refund that was asked for earlier is forgotten: it would be done again.
        async for refund in self._api.each("list refunds", listing, {"payment_intent": intent_id}):
            if mark.items() <= part(refund, "metadata").items():
                judge_refund(refund)
                return
            listed += count(refund, "amount")
        charge = intent.get("latest_charge")
        if charge is not None and count(part(intent, "latest_charge"), "amount_refunded") > listed:
            # What the list lacks may be this very one.
            raise ProviderUnsure("Stripe's list of refunds lacks one")
        refund = await self._api.ask(
            "refund",
            self._api.sdk.v1.refunds.create_async(
                {"payment_intent": intent_id, "amount": order.pending_minor, "metadata": mark},
                {"idempotency_key": refund_key(order, int(self._wall_s() * 1000))},
            ),
        )
        judge_refund(refund)

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Hint | None:
        """Return what a notice is about; None if nothing of ours.

        Notices of the other mode are none of ours: their signature may be right, since a live
        endpoint of a platform is sent test events as well, but our key cannot ask about them.

        Raises:
            WebhookForged: If its signature is wrong or old, or it cannot be read.
            ProviderUnsure: If Stripe had to be asked what it is about, and does not answer.
        """
        try:
            event = self._api.sdk.construct_event(
                body, headers.get("stripe-signature"), self._webhook_secret
            ).to_dict()
        except stripe.SignatureVerificationError as exc:
            raise WebhookForged(str(exc.user_message)) from None
        except STUMBLES as exc:
            raise WebhookForged(f"the notice cannot be read: {type(exc).__name__}") from None
        if event.get("type") not in EVENTS or event.get("livemode") is not self.live:
            return None
        data = event.get("data")
        thing = data.get("object") if isinstance(data, dict) else None
        if not isinstance(thing, dict):
            raise WebhookForged("the notice is about nothing")
        order_id = await self._order_of(thing, {})
        return None if order_id is None else Hint(order_id)

    async def changed_since(self, since_ms: int) -> Sequence[str]:
        """Return the ids of all orders that Stripe has events about; it keeps them 30 days.

        Raises:
            ProviderUnsure: If Stripe does not answer.
        """
        wanted = {"types": list(EVENTS), "created": {"gte": since_ms // 1000}}
        intents: dict[str, str | None] = {}
        found: dict[str, None] = {}
        async for event in self._api.each(
            "list events", self._api.sdk.v1.events.list_async, wanted
        ):
            order_id = await self._order_of(part(part(event, "data"), "object"), intents)
            if order_id is not None:
                found[order_id] = None
        return list(found)

    async def close(self) -> None:
        """Let go of connections; idempotent."""
        await self._api.close()

    async def _session(self, order: Order) -> dict[str, Any]:
        """Return the order's session, and in it the payment and the charge.

        Raises:
            ProviderUnsure: If Stripe does not answer, or does not know it.
        """
        session = await self._api.get(
            "get a session",
            self._api.sdk.v1.checkout.sessions.retrieve_async(
                order.payment_ref or "", {"expand": ["payment_intent.latest_charge"]}
            ),
        )
        belongs(session, order.order_id)
        return session

    async def _paid(self, session: dict[str, Any]) -> Payment:
        intent = part(session, "payment_intent")
        charge = part(intent, "latest_charge")
        of_intent = {"payment_intent": text(intent, "id")}
        currency, amount = text(session, "currency"), count(session, "amount_total")
        refunded, listed, disputed = 0, 0, 0
        # It is documented nowhere whether a charge's sum still holds what has failed since.
        in_charge = count(charge, "amount_refunded")
        if in_charge:
            refunds = self._api.sdk.v1.refunds.list_async
            async for refund in self._api.each("list refunds", refunds, of_intent):
                refunded += given_back(refund, currency)
                listed += count(refund, "amount")
        if in_charge > listed:
            # A list may be older than the charge; credit must not come back for that.
            raise ProviderUnsure("Stripe's list of refunds lacks one")
        disputes = self._api.sdk.v1.disputes.list_async
        async for dispute in self._api.each("list disputes", disputes, of_intent):
            disputed += taken_back(dispute, currency, amount)
        return Payment(
            "paid",
            currency=currency.upper(),
            amount_minor=amount,
            refunded_minor=refunded,
            disputed_minor=disputed,
            live=flag(session, "livemode"),
            payment_ref=text(session, "id"),
        )

    async def _order_of(self, thing: dict[str, Any], intents: dict[str, str | None]) -> str | None:
        """Return the order that an object of Stripe's is about; its payment is asked for once."""
        metadata = thing.get("metadata")
        marked = metadata.get("order_id") if isinstance(metadata, dict) else None
        for order_id in (thing.get("client_reference_id"), marked):
            if isinstance(order_id, str) and order_id:
                return order_id
        intent_id = thing.get("payment_intent")
        if not isinstance(intent_id, str):
            return None
        if intent_id not in intents:
            try:
                intent = await self._api.ask(
                    "get a payment", self._api.sdk.v1.payment_intents.retrieve_async(intent_id)
                )
            except ProviderRefuses:
                # It is not in our account: one of a platform's, say.
                intent = {}
            # What a refund made at the console, or a dispute, does not say itself.
            intents[intent_id] = await self._order_of({"metadata": intent.get("metadata")}, {})
        return intents[intent_id]


def _is_over(session: dict[str, Any]) -> bool:
    """Return whether nobody can pay a session any more, and nobody has."""
    if text(session, "payment_status") != "unpaid":
        return False
    status = text(session, "status")
    if status == "complete":
        return broken_off(part(session, "payment_intent")) is not None
    return status == "expired"
