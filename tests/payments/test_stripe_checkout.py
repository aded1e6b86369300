"""The adapter against the emulated Stripe, over real HTTP."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import stripe
from aiohttp import web
from emulators.stripe import SECRET_KEY, WEBHOOK_SECRET, StripeEmulator

from tokenferry.domain.topup import Currency, Order, Payment
from tokenferry.engine.payments import (
    Buyer,
    Hint,
    PaymentProvider,
    ProviderRefuses,
    ProviderUnsure,
    Redirect,
    Urls,
    WebhookForged,
)
from tokenferry.payments.stripe_checkout import EVENTS, StripeCheckout

URLS = Urls("https://shop.example/paid?s={CHECKOUT_SESSION_ID}", "https://shop.example/not-paid")
BUYER = Buyer("ac_1", "buyer@example.com", "ko")
SESSIONS = "POST /v1/checkout/sessions"
REFUNDS = "POST /v1/refunds"


@pytest.fixture
async def emulator() -> AsyncIterator[StripeEmulator]:
    async with StripeEmulator().running() as running:
        yield running


@pytest.fixture
async def provider(emulator: StripeEmulator) -> AsyncIterator[StripeCheckout]:
    made = StripeCheckout(SECRET_KEY, WEBHOOK_SECRET, api_url=emulator.url, retries=0)
    yield made
    await made.close()


@pytest.fixture
async def impatient(emulator: StripeEmulator) -> AsyncIterator[StripeCheckout]:
    made = StripeCheckout(
        SECRET_KEY, WEBHOOK_SECRET, api_url=emulator.url, retries=0, timeout_s=0.3
    )
    yield made
    await made.close()


def an_order(
    order_id: str = "tu_1", minor: int = 1_000, currency: Currency = "USD", hours: float = 1
) -> Order:
    now_ms = int(time.time() * 1000)
    return Order(
        order_id, "ac_1", "stripe", currency, minor, 10_000_000_000, live=False, note="",
        created_ms=now_ms, expires_ms=now_ms + int(hours * 3_600_000),
    )  # fmt: skip


async def begun(provider: StripeCheckout, order: Order) -> Order:
    page = await provider.begin(order, URLS, BUYER)
    return order._replace(payment_ref=page.payment_ref)


async def paid(provider: StripeCheckout, emulator: StripeEmulator, **order: Any) -> Order:
    made = await begun(provider, an_order(**order))
    emulator.books.pay(made.payment_ref or "")
    return made


def refunding(order: Order, minor: int, number: int = 1) -> Order:
    return order._replace(
        pending_minor=minor, refunds=number, pending_ms=time.time_ns() // 1_000_000
    )


def posts(emulator: StripeEmulator, path: str) -> list[str]:
    return [key for method, asked, key in emulator.calls if (method, asked) == ("POST", path)]


class TestBeingMade:
    def test_is_a_payment_provider(self) -> None:
        made: PaymentProvider = StripeCheckout(SECRET_KEY, WEBHOOK_SECRET)
        assert (made.name, made.currencies) == ("stripe", {"USD", "KRW"})

    @pytest.mark.parametrize(
        ("key", "live"),
        [("sk_live_x", True), ("rk_live_x", True), ("sk_test_x", False), ("rk_test_x", False)],
    )
    def test_is_live_if_its_key_is(self, key: str, *, live: bool) -> None:
        assert StripeCheckout(key, WEBHOOK_SECRET).live is live

    @pytest.mark.parametrize("key", ["", "pk_live_secretive", "whsec_secretive", "secretive"])
    def test_refuses_what_is_no_secret_key_and_does_not_quote_it(self, key: str) -> None:
        with pytest.raises(ValueError, match="secret key") as caught:
            StripeCheckout(key, WEBHOOK_SECRET)
        assert "secretive" not in str(caught.value)

    @pytest.mark.parametrize("secret", ["", " ", "\n"])
    def test_refuses_an_empty_webhook_secret(self, secret: str) -> None:
        with pytest.raises(ValueError, match="webhook secret"):
            StripeCheckout(SECRET_KEY, secret)

    async def test_can_be_closed_twice(self, provider: StripeCheckout) -> None:
        await provider.close()
        await provider.close()


class TestBegin:
    async def test_makes_a_session_for_the_order(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = an_order()
        page = await provider.begin(order, URLS, BUYER)
        (session,) = emulator.books.sessions.values()
        assert page == Redirect(session["url"], session["id"])
        assert (session["amount_total"], session["currency"]) == (1_000, "usd")
        assert session["client_reference_id"] == "tu_1"
        assert session["metadata"] == session["_intent_metadata"] == {"order_id": "tu_1"}
        assert (session["success_url"], session["cancel_url"]) == URLS
        assert (session["customer_email"], session["locale"]) == ("buyer@example.com", "ko")
        assert session["expires_at"] == order.expires_ms // 1000
        [key] = posts(emulator, "/v1/checkout/sessions")
        assert key.startswith("tu_1:begin:")

    async def test_asks_for_won_in_won(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        await provider.begin(
            an_order(currency="KRW", minor=13_900), URLS, Buyer("ac_1", None, "en")
        )
        (session,) = emulator.books.sessions.values()
        assert (session["amount_total"], session["currency"]) == (13_900, "krw")
        assert session["customer_email"] is None

    @pytest.mark.parametrize("hours", [0.1, 0.5, 24, 100])
    async def test_stripe_takes_every_expiry(self, provider: StripeCheckout, hours: float) -> None:
        assert await provider.begin(an_order(hours=hours), URLS, BUYER)

    async def test_again_leads_to_the_same_session(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = an_order()
        first = await provider.begin(order, URLS, BUYER)
        known = order._replace(payment_ref=first.payment_ref)
        assert await provider.begin(known, URLS, BUYER) == first
        # Whoever did not get to store its id is led to the same one, too.
        assert await provider.begin(order, URLS, BUYER) == first
        assert len(emulator.books.sessions) == 1

    async def test_does_not_make_a_second_page_for_another_language(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = an_order()
        await provider.begin(order, URLS, BUYER)
        with pytest.raises(ProviderUnsure, match="idempotency_error"):
            await provider.begin(order, URLS, BUYER._replace(language="en"))
        assert len(emulator.books.sessions) == 1

    async def test_refuses_a_session_that_is_being_paid(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        done = await paid(provider, emulator)
        later = await begun(provider, an_order("tu_2"))
        emulator.books.pay(later.payment_ref or "", later=True)
        for order in (done, later):
            with pytest.raises(ProviderRefuses, match="complete"):
                await provider.begin(order, URLS, BUYER)
        assert len(emulator.books.sessions) == 2

    @pytest.mark.parametrize("end", ["expired", "broken off"])
    async def test_makes_a_new_session_where_nobody_can_pay_the_old_one(
        self, provider: StripeCheckout, emulator: StripeEmulator, end: str
    ) -> None:
        order = await begun(provider, an_order())
        old = order.payment_ref or ""
        if end == "expired":
            emulator.books.expire(old)
        else:
            emulator.books.pay(old, later=True)
            emulator.books.break_off(old)
        page = await provider.begin(order, URLS, BUYER)
        assert page.payment_ref != old
        assert page == Redirect(
            emulator.books.sessions[page.payment_ref or ""]["url"], page.payment_ref
        )
        assert posts(emulator, "/v1/checkout/sessions")[-1].startswith(f"tu_1:begin:{old}:")
        emulator.books.pay(page.payment_ref or "")
        found = await provider.look_up(order._replace(payment_ref=page.payment_ref))
        assert found.status == "paid"

    async def test_a_failure_that_stripe_repeats_is_over_with_the_minute(
        self, emulator: StripeEmulator
    ) -> None:
        now = [600.0]
        provider = StripeCheckout(
            SECRET_KEY, WEBHOOK_SECRET, api_url=emulator.url, retries=0, wall_s=lambda: now[0]
        )
        emulator.fail_next(match=SESSIONS, kept=True)
        for now[0] in (600.0, 659.0):
            with pytest.raises(ProviderUnsure):
                await provider.begin(an_order(), URLS, BUYER)
        now[0] = 660.0
        page = await provider.begin(an_order(), URLS, BUYER)
        assert [page.payment_ref] == list(emulator.books.sessions)
        await provider.close()

    async def test_carries_the_words_of_a_refusal(self, provider: StripeCheckout) -> None:
        with pytest.raises(ProviderRefuses, match=r"at least \$0\.50"):
            await provider.begin(an_order(minor=49), URLS, BUYER)

    async def test_is_unsure_of_a_session_with_another_status(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        emulator.alter_next({"status": "paused"})
        with pytest.raises(ProviderUnsure, match="paused"):
            await provider.begin(an_order(), URLS, BUYER)

    @pytest.mark.parametrize("field", ["id", "url", "status", "client_reference_id"])
    async def test_is_unsure_of_a_session_without(
        self, provider: StripeCheckout, emulator: StripeEmulator, field: str
    ) -> None:
        emulator.alter_next({field: None})
        with pytest.raises(ProviderUnsure, match=field):
            await provider.begin(an_order(), URLS, BUYER)

    async def test_hangs_after_it_was_done(
        self, impatient: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = an_order()
        emulator.hang_next(match=SESSIONS)
        with pytest.raises(ProviderUnsure, match="ReadTimeout"):
            await impatient.begin(order, URLS, BUYER)
        page = await impatient.begin(order, URLS, BUYER)
        assert [page.payment_ref] == list(emulator.books.sessions)

    async def test_is_cut_off_after_it_was_done(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = an_order()
        emulator.reset_next(match=SESSIONS)
        with pytest.raises(ProviderUnsure):
            await provider.begin(order, URLS, BUYER)
        page = await provider.begin(order, URLS, BUYER)
        assert [page.payment_ref] == list(emulator.books.sessions)

    async def test_is_still_being_done(
        self, provider: StripeCheckout, impatient: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = an_order()
        emulator.hang_next(match=SESSIONS, commit=False)
        with pytest.raises(ProviderUnsure):
            await impatient.begin(order, URLS, BUYER)
        with pytest.raises(ProviderUnsure, match="idempotency_key_in_use"):
            await provider.begin(order, URLS, BUYER)
        emulator.release()
        while emulator.busy:
            await provider.changed_since(0)
        page = await provider.begin(order, URLS, BUYER)
        assert [page.payment_ref] == list(emulator.books.sessions)

    async def test_is_repeated_at_once_with_the_same_key(self, emulator: StripeEmulator) -> None:
        patient = StripeCheckout(
            SECRET_KEY, WEBHOOK_SECRET, api_url=emulator.url, wall_s=lambda: 90.0
        )
        emulator.reset_next(match=SESSIONS)
        page = await patient.begin(an_order(), URLS, BUYER)
        await patient.close()
        assert [page.payment_ref] == list(emulator.books.sessions)
        assert posts(emulator, "/v1/checkout/sessions") == ["tu_1:begin:1"] * 2


class TestLookUp:
    async def test_nobody_can_have_paid_what_was_not_begun(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        assert await provider.look_up(an_order()) == Payment("open", live=False)
        assert emulator.calls == []

    async def test_an_open_session(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await begun(provider, an_order())
        expected = Payment("open", live=False, payment_ref=order.payment_ref)
        assert await provider.look_up(order) == expected

    @pytest.mark.parametrize("currency", ["USD", "KRW"])
    async def test_a_paid_one(
        self, provider: StripeCheckout, emulator: StripeEmulator, currency: str
    ) -> None:
        order = await paid(provider, emulator, currency=currency)
        assert await provider.look_up(order) == Payment(
            "paid", currency, 1_000, 0, 0, live=False, payment_ref=order.payment_ref
        )

    async def test_live_money(self) -> None:
        async with StripeEmulator("sk_live_x").running() as emulator:
            provider = StripeCheckout("sk_live_x", WEBHOOK_SECRET, api_url=emulator.url)
            order = await paid(provider, emulator)
            assert (await provider.look_up(order)).live
            await provider.close()

    async def test_an_expired_one(self, provider: StripeCheckout, emulator: StripeEmulator) -> None:
        order = await begun(provider, an_order())
        emulator.set_clock(2 * 3600)
        assert emulator.outbox[-1]["type"] == "checkout.session.expired"
        payment = await provider.look_up(order)
        assert (payment.status, payment.detail) == ("failed", "the checkout session expired")

    async def test_a_transfer_under_way_that_arrives(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await begun(provider, an_order())
        emulator.books.pay(order.payment_ref or "", later=True)
        assert (await provider.look_up(order)).status == "waiting"
        emulator.books.arrive(order.payment_ref or "")
        payment = await provider.look_up(order)
        assert (payment.status, payment.amount_minor) == ("paid", 1_000)

    async def test_a_transfer_under_way_that_fails(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await begun(provider, an_order())
        emulator.books.pay(order.payment_ref or "", later=True)
        emulator.books.break_off(order.payment_ref or "", "No funds.")
        payment = await provider.look_up(order)
        assert (payment.status, payment.detail) == ("failed", "No funds.")

    async def test_another_amount_is_reported_as_it_is(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await begun(provider, an_order())
        emulator.books.pay(order.payment_ref or "", amount=20)
        assert (await provider.look_up(order)).amount_minor == 20

    async def test_another_currency_is_reported_as_it_is(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await paid(provider, emulator)
        emulator.alter_next({"currency": "inr"})
        assert (await provider.look_up(order)).currency == "INR"

    async def test_an_unknown_session_is_not_an_unpaid_one(self, provider: StripeCheckout) -> None:
        with pytest.raises(ProviderUnsure, match="No such"):
            await provider.look_up(an_order()._replace(payment_ref="cs_test_foreign"))

    async def test_anothers_session_is_not_believed(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        other = await paid(provider, emulator, order_id="tu_2")
        with pytest.raises(ProviderUnsure, match="another order"):
            await provider.look_up(an_order()._replace(payment_ref=other.payment_ref))

    @pytest.mark.parametrize(
        "changes",
        [
            {"status": "paused"},
            {"payment_status": "no_payment_required"},
            {"payment_status": "unpaid", "payment_intent.status": "dreaming"},
            {"status": "open"},
            {"status": "expired"},
            {"status": None},
            {"payment_status": None},
            {"amount_total": None},
            {"amount_total": "1000"},
            {"amount_total": 10.0},
            {"amount_total": -1},
            {"amount_total": True},
            {"currency": None},
            {"livemode": None},
            {"id": None},
            {"client_reference_id": None},
            {"payment_intent": None},
            {"payment_intent": "pi_not_expanded"},
            {"payment_intent.latest_charge": None},
            {"payment_intent.latest_charge": "ch_not_expanded"},
            {"payment_intent.latest_charge.amount_refunded": None},
            {"": []},
            {"": "paid"},
            {"": 1},
            {"": {}},
        ],
        ids=str,
    )
    async def test_what_is_not_understood_is_never_unpaid(
        self, provider: StripeCheckout, emulator: StripeEmulator, changes: dict[str, Any]
    ) -> None:
        order = await paid(provider, emulator)
        emulator.alter_next(changes)
        with pytest.raises(ProviderUnsure):
            await provider.look_up(order)
        assert (await provider.look_up(order)).status == "paid"


FAILURES = [
    ({"status": 500}, ProviderUnsure, "HTTP 500"),
    ({"status": 502, "html": True}, ProviderUnsure, "HTTP 502"),
    ({"status": 200, "html": True}, ProviderUnsure, "HTTP 200"),
    ({"status": 404, "html": True}, ProviderUnsure, "HTTP 404"),
    ({"status": 302, "html": True}, ProviderUnsure, "HTTP 302"),
    ({"status": 503, "type": "api_error"}, ProviderUnsure, "HTTP 503"),
    ({"status": 429, "type": "invalid_request_error", "code": "rate_limit"}, ProviderUnsure, "429"),
    ({"status": 409, "code": "idempotency_key_in_use"}, ProviderUnsure, "idempotency_key_in_use"),
    ({"status": 400, "type": "idempotency_error"}, ProviderUnsure, "idempotency_error"),
    ({"status": 400, "type": "api_error"}, ProviderUnsure, "HTTP 400"),
    ({"status": 424, "type": "api_error"}, ProviderUnsure, "HTTP 424"),
    ({"status": 403, "type": "invalid_request_error"}, ProviderUnsure, "refuses the secret key"),
    (
        {"status": 400, "type": "invalid_request_error", "message": "No."},
        ProviderRefuses,
        r"^No\.$",
    ),
    ({"status": 402, "type": "card_error", "message": "Declined."}, ProviderRefuses, "Declined"),
    ({"status": 402, "type": "card_error", "message": None}, ProviderRefuses, "card_error"),
]


@pytest.mark.parametrize(("failure", "kind", "words"), FAILURES, ids=str)
class TestErrors:
    async def test_of_begin(
        self,
        provider: StripeCheckout,
        emulator: StripeEmulator,
        failure: dict[str, Any],
        kind: type[Exception],
        words: str,
    ) -> None:
        emulator.fail_next(match=SESSIONS, **failure)
        with pytest.raises(kind, match=words):
            await provider.begin(an_order(), URLS, BUYER)
        assert not emulator.books.sessions

    async def test_of_refund(
        self,
        provider: StripeCheckout,
        emulator: StripeEmulator,
        failure: dict[str, Any],
        kind: type[Exception],
        words: str,
    ) -> None:
        order = refunding(await paid(provider, emulator), 300)
        emulator.fail_next(match=REFUNDS, **failure)
        with pytest.raises(kind, match=words):
            await provider.refund(order)
        assert not emulator.books.refunds

    @pytest.mark.parametrize("path", ["/sessions/", "/disputes", "/refunds"])
    async def test_of_look_up(
        self,
        provider: StripeCheckout,
        emulator: StripeEmulator,
        failure: dict[str, Any],
        kind: type[Exception],
        words: str,
        path: str,
    ) -> None:
        order = await paid(provider, emulator)
        emulator.books.console_refund(order.payment_ref or "", 1)
        emulator.fail_next(match=f"GET /v1{'/checkout' if path[1] == 's' else ''}{path}", **failure)
        with pytest.raises(ProviderUnsure, match=words.strip("^$")):
            await provider.look_up(order)


class TestSecrets:
    async def test_a_refused_key_is_named_but_not_quoted(self, emulator: StripeEmulator) -> None:
        provider = StripeCheckout("sk_test_wrong", "whsec_quiet", api_url=emulator.url)
        for call in (
            provider.begin(an_order(), URLS, BUYER),
            provider.look_up(an_order()._replace(payment_ref="cs_1")),
            provider.refund(an_order()._replace(payment_ref="cs_1", pending_minor=1, refunds=1)),
            provider.changed_since(0),
        ):
            with pytest.raises(ProviderUnsure, match="refuses the secret key") as caught:
                await call
            assert "sk_test_wrong" not in str(caught.value)
            assert caught.value.__cause__ is None
            assert caught.value.__suppress_context__
        await provider.close()
        assert not emulator.books.sessions

    async def test_a_quoted_key_is_taken_out_of_a_refusal(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        told = {"type": "invalid_request_error", "message": f"{SECRET_KEY} may not. " * 99}
        emulator.fail_next(status=400, **told)
        with pytest.raises(ProviderRefuses, match="may not") as caught:
            await provider.begin(an_order(), URLS, BUYER)
        assert SECRET_KEY not in str(caught.value)
        assert len(str(caught.value)) <= 300

    async def test_no_secret_is_in_the_log(
        self,
        provider: StripeCheckout,
        emulator: StripeEmulator,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level("DEBUG")
        order = refunding(await paid(provider, emulator), 300)
        emulator.fail_next(match=REFUNDS)
        with pytest.raises(ProviderUnsure):
            await provider.refund(order)
        headers, body = emulator.notice(emulator.outbox[0])
        await provider.read_webhook(headers, body)
        assert "/v1/refunds" in caplog.text
        assert SECRET_KEY not in caplog.text
        assert WEBHOOK_SECRET not in caplog.text

    async def test_nothing_is_told_about_this_machine(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        await paid(provider, emulator)
        await provider.changed_since(0)
        for headers in emulator.headers_seen:
            assert "x-stripe-client-telemetry" not in headers
            agent = json.loads(headers["x-stripe-client-user-agent"])
            assert not {"telemetry_id", "platform", "uname"} & agent.keys()


class TestRefund:
    async def test_gives_back_once_for_the_same_number(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = refunding(await paid(provider, emulator), 300)
        await provider.refund(order)
        await provider.refund(order)
        (refund,) = emulator.books.refunds.values()
        assert (refund["amount"], refund["metadata"]["order_id"]) == (300, "tu_1")
        assert posts(emulator, "/v1/refunds") == ["tu_1:refund:1"]
        assert (await provider.look_up(order)).refunded_minor == 300

    async def test_gives_back_again_for_the_next_number(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await paid(provider, emulator)
        await provider.refund(refunding(order, 300, 1))
        await provider.refund(refunding(order, 300, 2))
        await provider.refund(refunding(order, 400, 3))
        assert [refund["amount"] for refund in emulator.books.refunds.values()] == [300, 300, 400]
        payment = await provider.look_up(order)
        assert (payment.status, payment.refunded_minor) == ("paid", 1_000)

    async def test_a_failure_that_stripe_repeats_is_tried_again_with_another_key(
        self, emulator: StripeEmulator
    ) -> None:
        """Not before an earlier try is certain to be over, and not if it was made after all."""
        asked_s, hour = int(time.time()), 3_600
        now = [asked_s]
        provider = StripeCheckout(
            SECRET_KEY, WEBHOOK_SECRET, api_url=emulator.url, retries=0, wall_s=lambda: now[0]
        )
        order = refunding(await paid(provider, emulator), 300)._replace(pending_ms=asked_s * 1000)
        emulator.fail_next(match=REFUNDS, kept=True)
        for after_s in (0, 60, hour - 1, hour, hour + 299):
            now[0] = asked_s + after_s
            with pytest.raises(ProviderUnsure):
                await provider.refund(order)
        # In the quiet time nothing was asked for.
        assert posts(emulator, "/v1/refunds") == ["tu_1:refund:1"] * 3
        now[0] = asked_s + hour + 300
        await provider.refund(order)
        await provider.refund(order)
        assert posts(emulator, "/v1/refunds")[3:] == ["tu_1:refund:1:1"]
        assert [refund["amount"] for refund in emulator.books.refunds.values()] == [300]
        await provider.close()

    async def test_is_not_asked_for_while_stripes_list_lags_behind(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = refunding(await paid(provider, emulator), 300)
        await provider.refund(order)
        emulator.alter_next({"data": []}, match="GET /v1/refunds")
        with pytest.raises(ProviderUnsure, match="lacks one"):
            await provider.refund(order)
        assert len(posts(emulator, "/v1/refunds")) == 1

    async def test_once_even_when_stripe_has_forgotten_the_key(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = refunding(await paid(provider, emulator), 300)
        emulator.reset_next(match=REFUNDS)
        with pytest.raises(ProviderUnsure):
            await provider.refund(order)
        emulator.set_clock(3 * 86_400)
        await provider.refund(order)
        assert len(emulator.books.refunds) == 1

    async def test_is_found_among_many(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await paid(provider, emulator)
        await provider.refund(refunding(order, 300))
        for _ in range(120):
            emulator.books.console_refund(order.payment_ref or "", 1)
        await provider.refund(refunding(order, 300))
        assert len(emulator.books.refunds) == 121
        assert (await provider.look_up(order)).refunded_minor == 420

    async def test_hangs_after_it_was_done(
        self, provider: StripeCheckout, impatient: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = refunding(await paid(provider, emulator), 300)
        emulator.hang_next(match=REFUNDS)
        with pytest.raises(ProviderUnsure):
            await impatient.refund(order)
        assert len(emulator.books.refunds) == 1
        await provider.refund(order)
        assert len(emulator.books.refunds) == 1

    async def test_is_cut_off_before_it_was_done(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = refunding(await paid(provider, emulator), 300)
        emulator.reset_next(match=REFUNDS, commit=False)
        with pytest.raises(ProviderUnsure):
            await provider.refund(order)
        assert not emulator.books.refunds
        await provider.refund(order)
        assert len(emulator.books.refunds) == 1

    @pytest.mark.parametrize("status", ["pending", "requires_action"])
    async def test_on_its_way_counts_as_given_back(
        self, provider: StripeCheckout, emulator: StripeEmulator, status: str
    ) -> None:
        emulator.set_refund_status(status)
        order = refunding(await paid(provider, emulator), 300)
        await provider.refund(order)
        assert (await provider.look_up(order)).refunded_minor == 300

    @pytest.mark.parametrize("status", ["failed", "canceled"])
    async def test_failed_is_refused(
        self, provider: StripeCheckout, emulator: StripeEmulator, status: str
    ) -> None:
        emulator.set_refund_status(status)
        order = refunding(await paid(provider, emulator), 300)
        for _ in range(2):
            with pytest.raises(ProviderRefuses, match=status):
                await provider.refund(order)
        assert len(emulator.books.refunds) == 1
        assert (await provider.look_up(order)).refunded_minor == 0

    async def test_that_fails_later_is_not_given_back(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await paid(provider, emulator)
        await provider.refund(refunding(order, 300))
        await provider.refund(refunding(order, 200, 2))
        first, _ = emulator.books.refunds
        emulator.books.set_refund(first, "failed")
        assert (await provider.look_up(order)).refunded_minor == 200
        with pytest.raises(ProviderRefuses, match="lost_or_stolen_card"):
            await provider.refund(refunding(order, 300))

    async def test_that_failed_is_not_counted_even_if_its_charge_still_does(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await paid(provider, emulator)
        await provider.refund(refunding(order, 300))
        (refund,) = emulator.books.refunds.values()
        refund["status"] = "failed"
        assert (await provider.look_up(order)).refunded_minor == 0

    @pytest.mark.parametrize("changes", [{"status": "paused"}, {"status": None}, {"": []}], ids=str)
    async def test_is_unsure_of(
        self, provider: StripeCheckout, emulator: StripeEmulator, changes: dict[str, Any]
    ) -> None:
        order = refunding(await paid(provider, emulator), 300)
        emulator.alter_next(changes, match=REFUNDS)
        with pytest.raises(ProviderUnsure):
            await provider.refund(order)
        await provider.refund(order)
        assert len(emulator.books.refunds) == 1

    @pytest.mark.parametrize("field", ["amount", "status", "currency"])
    async def test_look_up_is_unsure_of_a_refund_without(
        self, provider: StripeCheckout, emulator: StripeEmulator, field: str
    ) -> None:
        order = await paid(provider, emulator)
        emulator.books.console_refund(order.payment_ref or "")
        emulator.alter_next({f"data.0.{field}": None}, match="/v1/refunds")
        with pytest.raises(ProviderUnsure, match=field):
            await provider.look_up(order)

    async def test_look_up_is_unsure_of_a_list_that_lags_behind(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await paid(provider, emulator)
        emulator.books.console_refund(order.payment_ref or "", 300)
        emulator.alter_next({"data": []}, match="/v1/refunds")
        with pytest.raises(ProviderUnsure, match="lacks one"):
            await provider.look_up(order)

    async def test_refuses_more_than_was_paid(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await paid(provider, emulator)
        with pytest.raises(ProviderRefuses, match="greater than unrefunded"):
            await provider.refund(refunding(order, 1_001))
        await provider.refund(refunding(order, 1_000, 2))
        with pytest.raises(ProviderRefuses, match="already been refunded"):
            await provider.refund(refunding(order, 1, 3))

    async def test_refuses_where_nothing_was_paid(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = an_order()
        with pytest.raises(ProviderRefuses, match="nothing was paid"):
            await provider.refund(refunding(order, 1))
        order = await begun(provider, order)
        with pytest.raises(ProviderRefuses, match="nothing was paid"):
            await provider.refund(refunding(order, 1))
        emulator.books.pay(order.payment_ref or "", later=True)
        with pytest.raises(ProviderRefuses, match="successful charge"):
            await provider.refund(refunding(order, 1))

    async def test_of_the_console_is_seen(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await paid(provider, emulator)
        emulator.books.console_refund(order.payment_ref or "", 300)
        assert (await provider.look_up(order)).refunded_minor == 300
        emulator.books.console_refund(order.payment_ref or "")
        assert (await provider.look_up(order)).refunded_minor == 1_000


class TestDispute:
    @pytest.mark.parametrize(
        ("status", "disputed"),
        [
            ("needs_response", 1_000),
            ("under_review", 1_000),
            ("lost", 1_000),
            ("won", 0),
            ("warning_needs_response", 0),
            ("warning_under_review", 0),
            ("warning_closed", 0),
            ("charge_refunded", 0),
            ("prevented", 0),
        ],
    )
    async def test_counts_as_long_as_the_bank_has_the_money(
        self, provider: StripeCheckout, emulator: StripeEmulator, status: str, disputed: int
    ) -> None:
        order = await paid(provider, emulator)
        emulator.books.dispute(order.payment_ref or "", status=status)
        payment = await provider.look_up(order)
        assert (payment.status, payment.disputed_minor) == ("paid", disputed)

    @pytest.mark.parametrize(
        "status", ["prevented", "appeal_needs_response", "appeal_under_review"]
    )
    async def test_counts_by_what_moved_where_the_status_does_not_say(
        self, provider: StripeCheckout, emulator: StripeEmulator, status: str
    ) -> None:
        order = await paid(provider, emulator)
        dispute = emulator.books.dispute(order.payment_ref or "", 700)
        emulator.books.set_dispute(dispute["id"], status, moves=True)
        assert (await provider.look_up(order)).disputed_minor == 700
        emulator.books.set_dispute(dispute["id"], status, moves=False)
        assert (await provider.look_up(order)).disputed_minor == 0

    async def test_lost_and_won_beside_a_refund(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await paid(provider, emulator)
        await provider.refund(refunding(order, 100))
        first = emulator.books.dispute(order.payment_ref or "", 300)
        emulator.books.dispute(order.payment_ref or "", 200, "lost")
        payment = await provider.look_up(order)
        assert (payment.refunded_minor, payment.disputed_minor) == (100, 500)
        emulator.books.set_dispute(first["id"], "won")
        assert (await provider.look_up(order)).disputed_minor == 200
        with pytest.raises(ProviderRefuses, match="disputed"):
            await provider.refund(refunding(order, 100, 2))

    async def test_of_another_payment_does_not_count(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await paid(provider, emulator)
        other = await paid(provider, emulator, order_id="tu_2")
        emulator.books.dispute(other.payment_ref or "")
        assert (await provider.look_up(order)).disputed_minor == 0

    @pytest.mark.parametrize(
        "changes",
        [
            {"data.0.status": "asleep"},
            {"data.0.status": None},
            {"data.0.amount": None},
            {"data.0.currency": None},
            {"data.0.status": "prevented", "data.0.balance_transactions": None},
            {"data.0.status": "prevented", "data.0.balance_transactions": [{"amount": "7"}]},
            {"data": None},
            {"data": [1]},
            {"has_more": None},
            {"has_more": True, "data": []},
            {"": {"object": "error"}},
        ],
        ids=str,
    )
    async def test_look_up_is_unsure_of(
        self, provider: StripeCheckout, emulator: StripeEmulator, changes: dict[str, Any]
    ) -> None:
        order = await paid(provider, emulator)
        emulator.books.dispute(order.payment_ref or "")
        emulator.alter_next(changes, match="/v1/disputes")
        with pytest.raises(ProviderUnsure):
            await provider.look_up(order)


class Shop:
    """A webhook endpoint that does what a server does with the adapter."""

    def __init__(self, provider: StripeCheckout) -> None:
        self.provider = provider
        self.seen: list[Hint | str | None] = []

    async def receive(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            self.seen.append(await self.provider.read_webhook(headers, await request.read()))
        except (WebhookForged, ProviderUnsure) as exc:
            self.seen.append(str(exc))
            return web.Response(status=400 if isinstance(exc, WebhookForged) else 500)
        return web.Response()


@pytest.fixture
async def shop(provider: StripeCheckout, emulator: StripeEmulator) -> AsyncIterator[Shop]:
    made = Shop(provider)
    app = web.Application()
    app.router.add_post("/", made.receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    emulator.webhook_url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield made
    await emulator.settled()
    await runner.cleanup()


class TestWebhook:
    async def test_comes_before_the_buyer_is_back(
        self, provider: StripeCheckout, emulator: StripeEmulator, shop: Shop
    ) -> None:
        order = await paid(provider, emulator)
        await emulator.settled()
        assert shop.seen == [Hint("tu_1")]
        assert (await provider.look_up(order)).status == "paid"

    async def test_of_everything_that_happens_names_the_order(
        self, provider: StripeCheckout, emulator: StripeEmulator, shop: Shop
    ) -> None:
        emulator.hold()
        order = await begun(provider, an_order())
        session_id = order.payment_ref or ""
        emulator.books.pay(session_id, later=True)
        emulator.books.arrive(session_id)
        emulator.books.console_refund(session_id, 10)
        await provider.refund(refunding(order, 20))
        emulator.books.set_refund(next(iter(emulator.books.refunds)), "failed")
        dispute = emulator.books.dispute(session_id, 500)
        emulator.books.set_dispute(dispute["id"], "under_review")
        emulator.books.set_dispute(dispute["id"], "won")
        emulator.books.expire((await begun(provider, an_order("tu_2"))).payment_ref or "")
        lost = await begun(provider, an_order("tu_3"))
        emulator.books.pay(lost.payment_ref or "", later=True)
        emulator.books.break_off(lost.payment_ref or "")
        kinds = {event["type"] for event in emulator.outbox}
        # An older name of refund.updated, which the emulator does not send.
        assert kinds == set(EVENTS) - {"charge.refund.updated"}
        sent = len(emulator.outbox)
        assert await emulator.deliver() == [200] * sent
        assert shop.seen == [Hint("tu_1")] * (sent - 3) + [Hint("tu_2")] + [Hint("tu_3")] * 2

    async def test_twice_and_in_another_order(
        self, provider: StripeCheckout, emulator: StripeEmulator, shop: Shop
    ) -> None:
        emulator.hold()
        await paid(provider, emulator)
        await paid(provider, emulator, order_id="tu_2")
        assert await emulator.deliver([1, 0], times=2) == [200] * 4
        assert shop.seen == [Hint("tu_2")] * 2 + [Hint("tu_1")] * 2

    async def test_forged(
        self, provider: StripeCheckout, emulator: StripeEmulator, shop: Shop
    ) -> None:
        assert await emulator.send_forged("tu_1") == 400
        assert WEBHOOK_SECRET not in str(shop.seen)

    @pytest.mark.parametrize(("age_s", "status"), [(240, 200), (360, 400), (86_400, 400)])
    async def test_old(
        self,
        provider: StripeCheckout,
        emulator: StripeEmulator,
        shop: Shop,
        age_s: int,
        status: int,
    ) -> None:
        emulator.hold()
        await paid(provider, emulator)
        assert await emulator.deliver(age_s=age_s) == [status]

    async def test_that_cannot_be_resolved_is_sent_again(
        self, provider: StripeCheckout, emulator: StripeEmulator, shop: Shop
    ) -> None:
        order = await paid(provider, emulator)
        emulator.hold()
        emulator.books.dispute(order.payment_ref or "", status="warning_needs_response")
        event = emulator.outbox[0]
        emulator.fail_next(match="/payment_intents/")
        assert await emulator.send(*emulator.notice(event)) == 500
        assert await emulator.send(*emulator.notice(event)) == 200
        assert shop.seen[-1] == Hint("tu_1")

    async def test_with_two_signatures(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        await paid(provider, emulator)
        headers, body = emulator.notice(emulator.outbox[0], secrets=("old", WEBHOOK_SECRET))
        assert headers["stripe-signature"].count("v1=") == 2
        assert await provider.read_webhook(headers, body) == Hint("tu_1")

    async def test_signed_by_the_sdk(self, provider: StripeCheckout) -> None:
        body = json.dumps(an_event()).encode()
        header = stripe.WebhookSignature.generate_signature_header(body.decode(), WEBHOOK_SECRET)
        assert await provider.read_webhook({"stripe-signature": header}, body) == Hint("tu_1")

    @pytest.mark.parametrize(
        "header",
        [None, "", "t=1", "v1=00", "t=x,v1=00", "t=9999999999,v1=é", "t=,v1=,,=", "t" * 9],
    )
    async def test_with_a_bad_signature(self, provider: StripeCheckout, header: str | None) -> None:
        headers = {} if header is None else {"stripe-signature": header}
        with pytest.raises(WebhookForged):
            await provider.read_webhook(headers, json.dumps(an_event()).encode())

    @pytest.mark.parametrize(
        "body",
        [b"", b"\xff", b"{", b"[]", b"1", b"null", b'"x"', b'{"object": "v2.core.event"}']
        + [json.dumps({"type": EVENTS[0], "livemode": False, **rest}).encode()
           for rest in ({}, {"data": []}, {"data": {}}, {"data": {"object": "cs_1"}})],
    )  # fmt: skip
    async def test_that_is_signed_but_not_readable(
        self, provider: StripeCheckout, emulator: StripeEmulator, body: bytes
    ) -> None:
        with pytest.raises(WebhookForged):
            await provider.read_webhook({"stripe-signature": emulator.sign(body)}, body)

    @pytest.mark.parametrize(
        "changes",
        [
            {"type": "customer.created"},
            {"type": None},
            {"livemode": True},
            {"livemode": None},
            {"data": {"object": {"object": "checkout.session", "client_reference_id": None}}},
            {"data": {"object": {"object": "charge", "metadata": {}, "payment_intent": None}}},
            {"data": {"object": {"object": "charge", "metadata": [], "payment_intent": 1}}},
            {"data": {"object": {"object": "charge", "payment_intent": "pi_foreign"}}},
            {"data": {"object": {"object": "charge", "payment_intent": "pi_unknown"}}},
        ],
        ids=str,
    )
    async def test_about_nothing_of_ours(
        self, provider: StripeCheckout, emulator: StripeEmulator, changes: dict[str, Any]
    ) -> None:
        emulator.books.intents["pi_foreign"] = {"id": "pi_foreign", "metadata": {}}
        headers, body = emulator.notice({**an_event(), **changes})
        assert await provider.read_webhook(headers, body) is None


def an_event() -> dict[str, Any]:
    thing = {"object": "checkout.session", "client_reference_id": "tu_1"}
    return {"object": "event", "type": EVENTS[0], "livemode": False, "data": {"object": thing}}


class TestChangedSince:
    async def test_names_every_order_once(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await paid(provider, emulator)
        emulator.books.console_refund(order.payment_ref or "", 10)
        for _ in range(3):
            emulator.books.dispute(order.payment_ref or "", 10)
        await paid(provider, emulator, order_id="tu_2")
        emulator.calls.clear()
        assert sorted(await provider.changed_since(0)) == ["tu_1", "tu_2"]
        # The payment of what does not name its order is asked for once.
        assert len([path for _, path, _ in emulator.calls if "/payment_intents/" in path]) == 1

    async def test_is_not_stopped_by_what_is_of_another_account(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await paid(provider, emulator)
        await paid(provider, emulator, order_id="tu_2")
        emulator.books.dispute(order.payment_ref or "", status="won")
        event = list(emulator.books.events.values())[-1]
        event["data"]["object"]["payment_intent"] = "pi_unknown"
        assert sorted(await provider.changed_since(0)) == ["tu_1", "tu_2"]

    async def test_goes_through_all_pages(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        ids = [f"tu_{number}" for number in range(201)]
        for order_id in ids:
            await paid(provider, emulator, order_id=order_id)
        emulator.calls.clear()
        assert sorted(await provider.changed_since(0)) == sorted(ids)
        assert len(emulator.calls) == 3

    async def test_only_since_then_and_what_is_kept(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        await paid(provider, emulator)
        now_ms = int(time.time() * 1000)
        assert await provider.changed_since(now_ms - 60_000) == ["tu_1"]
        assert await provider.changed_since(now_ms + 60_000) == []
        emulator.set_clock(31 * 86_400)
        assert await provider.changed_since(0) == []

    async def test_lost_notices_are_found_here(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        emulator.hold()
        await paid(provider, emulator)
        assert emulator.drop() == 1
        assert await provider.changed_since(0) == ["tu_1"]

    async def test_asks_for_no_more_kinds_than_stripe_lists(self) -> None:
        assert len(EVENTS) <= 20

    @pytest.mark.parametrize(
        "changes",
        [{"data": None}, {"has_more": "no"}, {"data.0.data": None}, {"data.0.data.object": None}],
        ids=str,
    )
    async def test_is_unsure_of(
        self, provider: StripeCheckout, emulator: StripeEmulator, changes: dict[str, Any]
    ) -> None:
        await paid(provider, emulator)
        emulator.alter_next(changes)
        with pytest.raises(ProviderUnsure):
            await provider.changed_since(0)

    @pytest.mark.parametrize("path", ["/v1/events", "/v1/payment_intents"])
    async def test_is_unsure_if_stripe_does_not_answer(
        self, provider: StripeCheckout, emulator: StripeEmulator, path: str
    ) -> None:
        order = await paid(provider, emulator)
        emulator.books.dispute(order.payment_ref or "")
        emulator.fail_next(match=path)
        with pytest.raises(ProviderUnsure, match="HTTP 500"):
            await provider.changed_since(0)


class TestTheEmulatorByHand:
    async def test_a_buyer_pays_on_its_page(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        page = await provider.begin(an_order(), URLS, BUYER)
        order = an_order()._replace(payment_ref=page.payment_ref)
        async with httpx.AsyncClient() as browser:
            assert "1000 USD" in (await browser.get(page.url)).text
            declined = await browser.post(page.url, data={"button": "fail"})
            assert declined.status_code == 303
            assert (await provider.look_up(order)).status == "open"
            back = await browser.post(page.url, data={"button": "cancel"})
            assert back.headers["location"] == URLS.failure
            done = await browser.post(page.url, data={"button": "pay"})
            assert done.headers["location"] == f"https://shop.example/paid?s={page.payment_ref}"
            assert (await browser.get(page.url)).status_code == 410
        assert (await provider.look_up(order)).status == "paid"

    async def test_another_process_drives_it(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = await begun(provider, an_order())
        named = {"session_id": order.payment_ref}
        async with httpx.AsyncClient(base_url=f"{emulator.url}/_control/") as client:
            assert (await client.post("pay", json=named)).json()["payment_status"] == "paid"
            assert (await client.post("pay", json=named)).status_code == 400
            await client.post("console_refund", json={**named, "amount": 5})
            assert len((await client.post("state")).json()["refunds"]) == 1
            assert (await client.post("pay", json={"wrong": 1})).status_code == 400
            assert "deliver" in (await client.post("nothing")).json()["controls"]
        assert (await provider.look_up(order)).refunded_minor == 5

    async def test_two_begins_at_once_make_one_session(
        self, provider: StripeCheckout, emulator: StripeEmulator
    ) -> None:
        order = an_order()
        pages = await asyncio.gather(*[provider.begin(order, URLS, BUYER) for _ in range(5)])
        assert len(set(pages)) == len(emulator.books.sessions) == 1
