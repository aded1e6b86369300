"""The adapter of Toss Payments against the emulated one, over real HTTP."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from aiohttp import web
from emulators.toss import CLIENT_KEY, SECRET_KEY, TossEmulator

from tokenferry.domain.topup import Order, Payment
from tokenferry.engine.payments import (
    Buyer,
    Hint,
    ProviderRefuses,
    ProviderUnsure,
    Urls,
    WebhookForged,
    Widget,
)
from tokenferry.payments import api_call, toss
from tokenferry.payments.toss import Toss

ORDER = Order(
    order_id="tu_0123456789abcdef",
    account_id="acc_1",
    provider="toss",
    currency="KRW",
    amount_minor=10_000,
    credit_nanos=7_000_000_000,
    live=False,
    note="1430 KRW/USD",
    created_ms=0,
    expires_ms=0,
)
URLS = Urls("https://gate.example/paid?order=1", "https://gate.example/failed")
BUYER = Buyer("acc_1", "kim@example.com", "ko")
ACCOUNT = json.dumps({"bank": "88", "number": "110123456789", "holder": "김토스"})


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return the adapter's clock, which stands still: idempotency keys go by it."""
    clock = SimpleNamespace(now_ns=time.time_ns())
    clock.time_ns = lambda: clock.now_ns
    monkeypatch.setattr(toss, "time", clock)
    return clock


@pytest.fixture
async def emulator() -> AsyncIterator[TossEmulator]:
    emulator = TossEmulator()
    await emulator.start()
    yield emulator
    await emulator.stop()


@pytest.fixture
async def provider(emulator: TossEmulator) -> AsyncIterator[Toss]:
    provider = Toss(CLIENT_KEY, SECRET_KEY, api_url=emulator.url)
    yield provider
    await provider.close()


def agreed(emulator: TossEmulator, method: str = "CARD", order: Order = ORDER) -> Order:
    """Let the buyer agree to an order's payment; return the order as it is stored then."""
    key = emulator.request_payment(order.order_id, order.amount_minor)
    emulator.pay(key, method)
    return order._replace(payment_ref=key)


async def paid(emulator: TossEmulator, provider: Toss, order: Order = ORDER) -> Order:
    order = agreed(emulator, order=order)
    assert (await provider.look_up(order)).status == "paid"
    return order._replace(status="paid", moves=1)


def held(emulator: TossEmulator, order: Order) -> Any:
    """Return the payment as the emulator holds it."""
    assert order.payment_ref is not None
    return emulator.books.payments[order.payment_ref]


def refunding(order: Order, minor: int, number: int = 1, account: str = "") -> Order:
    return order._replace(pending_minor=minor, refunds=number, refund_account=account)


# -- who it is, and how a payment begins -------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "live"), [("test_sk_x", False), ("test_gsk_x", False), ("live_sk_x", True)]
)
async def test_is_live_by_its_key(key: str, *, live: bool) -> None:
    provider = Toss("ck", key)
    assert provider.live is live
    assert provider.name == "toss"
    assert provider.currencies == {"KRW"}
    await provider.close()
    await provider.close()


class TestBegin:
    async def test_hands_the_page_what_the_script_takes(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        begun = await provider.begin(ORDER, URLS, BUYER)
        assert isinstance(begun, Widget)
        assert (begun.kind, begun.script_url) == ("toss", toss.SCRIPT_URL)
        options = json.loads(json.dumps(begun.options))
        customer_key = options.pop("customerKey")
        assert options == {
            "clientKey": CLIENT_KEY,
            "request": {
                "amount": {"currency": "KRW", "value": 10_000},
                "orderId": ORDER.order_id,
                "orderName": "API 크레딧",
                "successUrl": URLS.success,
                "failUrl": URLS.failure,
                "customerEmail": "kim@example.com",
            },
        }
        assert 2 <= len(customer_key) <= 50
        assert "acc_1" not in customer_key
        assert SECRET_KEY not in json.dumps(begun.options)
        assert emulator.calls == []

    async def test_is_the_same_again_and_another_for_another_account(self, provider: Toss) -> None:
        first = await provider.begin(ORDER, URLS, BUYER)
        assert await provider.begin(ORDER, URLS, BUYER) == first
        other = await provider.begin(ORDER, URLS, Buyer("acc_2", None, "en"))
        assert other.options["customerKey"] != first.options["customerKey"]
        assert "customerEmail" not in other.options["request"]
        assert other.options["request"]["orderName"] == "API credit"

    async def test_refuses_dollars(self, provider: Toss) -> None:
        with pytest.raises(ProviderRefuses, match="USD"):
            await provider.begin(ORDER._replace(currency="USD"), URLS, BUYER)

    async def test_takes_another_script(self) -> None:
        provider = Toss("ck", "test_sk", script_url="http://127.0.0.1/v2/standard")
        begun = await provider.begin(ORDER, URLS, BUYER)
        assert begun.script_url == "http://127.0.0.1/v2/standard"
        await provider.close()

    async def test_leads_through_the_pages_to_the_confirmed_payment(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        options = (await provider.begin(ORDER, URLS, BUYER)).options
        asked = {
            "clientKey": options["clientKey"],
            "customer": {"customerKey": options["customerKey"]},
            "request": options["request"],
        }
        async with httpx.AsyncClient(base_url=emulator.url, trust_env=False) as browser:
            script = (await browser.get("/v2/standard")).text
            assert "window.TossPayments = " in script
            assert "requestPayment" in script
            opened = await browser.get("/_pay/open", params={"asked": json.dumps(asked)})
            page = opened.headers["location"]
            assert "Pay by card" in (await browser.get(page)).text
            gone = (await browser.post(f"{page}/card")).headers["location"]
            assert ORDER.order_id in (await browser.get("/")).text
        assert gone.startswith(URLS.success + "&")
        query = parse_qs(urlsplit(gone).query)
        assert query["orderId"] == [ORDER.order_id]
        assert query["amount"] == ["10000"]
        order = ORDER._replace(payment_ref=query["paymentKey"][0])
        assert (await provider.look_up(order)).status == "paid"


# -- looking up --------------------------------------------------------------------------------


class TestLookUp:
    async def test_nobody_has_paid(self, emulator: TossEmulator, provider: Toss) -> None:
        assert await provider.look_up(ORDER) == Payment("open", live=False)
        emulator.request_payment(ORDER.order_id, 10_000)
        assert await provider.look_up(ORDER) == Payment("open", live=False)

    async def test_is_not_confirmed_before_the_buyer_has_come_back(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        order = agreed(emulator)
        assert await provider.look_up(ORDER) == Payment("open", live=False)
        assert held(emulator, order)["status"] == "IN_PROGRESS"
        assert emulator.count("POST", "/confirm") == 0

    @pytest.mark.parametrize("hidden", [False, True])
    async def test_is_confirmed_once(
        self, emulator: TossEmulator, provider: Toss, *, hidden: bool
    ) -> None:
        emulator.settings(hidden_until_confirmed=hidden)
        order = agreed(emulator)
        first = await provider.look_up(order)
        secret = held(emulator, order)["secret"]
        assert first == Payment(
            "paid",
            currency="KRW",
            amount_minor=10_000,
            live=False,
            payment_ref=order.payment_ref,
            secret=secret,
        )
        assert secret
        assert await provider.look_up(order) == first
        assert emulator.count("POST", "/confirm") == 1
        assert [row["status"] for row in emulator.books.transactions] == ["DONE"]

    async def test_found_without_the_redirect_once_confirmed(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        order = await paid(emulator, provider)
        state = await provider.look_up(ORDER)
        assert (state.status, state.payment_ref) == ("paid", order.payment_ref)

    async def test_gives_up_and_expires(self, emulator: TossEmulator, provider: Toss) -> None:
        key = emulator.request_payment(ORDER.order_id, 10_000)
        emulator.fail(key)
        state = await provider.look_up(ORDER)
        assert (state.status, state.payment_ref) == ("failed", None)
        assert state.detail == "결제가 취소되었거나 실패했습니다."

    @pytest.mark.parametrize("hidden", [False, True])
    async def test_fails_when_it_is_too_late_to_confirm(
        self, emulator: TossEmulator, provider: Toss, *, hidden: bool
    ) -> None:
        emulator.settings(hidden_until_confirmed=hidden)
        order = agreed(emulator)
        emulator.advance(601)
        state = await provider.look_up(order)
        assert state.status == "failed"
        assert "만료" in state.detail
        assert held(emulator, order)["status"] == "EXPIRED"

    async def test_another_try_counts(self, emulator: TossEmulator, provider: Toss) -> None:
        emulator.fail(emulator.request_payment(ORDER.order_id, 10_000))
        stale = agreed(emulator)
        emulator.fail_next("error", method="POST", status=400, code="REJECT_CARD_PAYMENT")
        assert (await provider.look_up(stale)).status == "failed"
        order = agreed(emulator)
        state = await provider.look_up(order)
        assert (state.status, state.payment_ref) == ("paid", order.payment_ref)
        # The name of a try that came to nothing does not hide the one that was paid.
        late = await provider.look_up(stale)
        assert (late.status, late.payment_ref) == ("paid", order.payment_ref)

    async def test_another_payment_does_not_get_the_first_ones_answer(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        other = ORDER._replace(order_id="tu_fedcba9876543210")
        for order in (ORDER, other):
            ready = agreed(emulator, order=order)
            state = await provider.look_up(ready)
            assert (state.status, state.payment_ref) == ("paid", ready.payment_ref)
        keys = [call[2] for call in emulator.calls if call[0] == "POST"]
        assert len(set(keys)) == 2
        assert all(key is not None and len(key) <= 300 for key in keys)

    async def test_a_failure_that_toss_repeats_is_not_the_end(
        self, emulator: TossEmulator, provider: Toss, clock: SimpleNamespace
    ) -> None:
        """To the same key Toss gives the same answer, and ten minutes are all there is."""
        order = agreed(emulator)
        emulator.fail_next("reject", method="POST", status=400, code="PROVIDER_ERROR")
        for _ in range(2):
            with pytest.raises(ProviderUnsure, match="PROVIDER_ERROR"):
                await provider.look_up(order)
        clock.now_ns += toss.MINUTE_S * 10**9
        assert (await provider.look_up(order)).status == "paid"

    async def test_another_try_does_not_get_the_first_ones_refusal(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        first = agreed(emulator)
        emulator.fail_next("reject", method="POST", code="REJECT_CARD_COMPANY")
        refused = await provider.look_up(first)
        assert refused.status == "failed"
        assert await provider.look_up(first) == refused
        second = agreed(emulator)
        state = await provider.look_up(second)
        assert (state.status, state.payment_ref) == ("paid", second.payment_ref)

    async def test_a_newer_window_does_not_hide_what_was_agreed_to(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        order = agreed(emulator)
        newer = emulator.request_payment(ORDER.order_id, 10_000)
        state = await provider.look_up(order)
        assert (state.status, state.payment_ref) == ("paid", order.payment_ref)
        assert emulator.books.payments[newer]["status"] == "READY"

    async def test_nothing_is_confirmed_for_an_order_that_is_paid(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        first, second = agreed(emulator), agreed(emulator)
        assert (await provider.look_up(second)).status == "paid"
        state = await provider.look_up(first)
        assert (state.status, state.payment_ref) == ("paid", second.payment_ref)
        assert emulator.count("POST", "/confirm") == 1
        assert held(emulator, first)["status"] == "IN_PROGRESS"

    async def test_reports_a_tampered_amount_and_does_not_confirm_it(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        key = emulator.request_payment(ORDER.order_id, 100)
        emulator.pay(key)
        state = await provider.look_up(ORDER._replace(payment_ref=key))
        assert (state.status, state.detail) == ("failed", "for 100, not for 10000 KRW")
        assert emulator.count("POST", "/confirm") == 0

    async def test_a_tampered_amount_that_is_not_seen_before_is_refused(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        emulator.settings(hidden_until_confirmed=True)
        key = emulator.request_payment(ORDER.order_id, 100)
        emulator.pay(key)
        state = await provider.look_up(ORDER._replace(payment_ref=key))
        assert (state.status, state.amount_minor) == ("failed", 0)
        assert emulator.books.transactions == []
        assert emulator.calls[-2][3]["amount"] == 10_000

    async def test_does_not_confirm_another_currency(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        key = emulator.request_payment(ORDER.order_id, 10_000, currency="USD")
        emulator.pay(key)
        state = await provider.look_up(ORDER._replace(payment_ref=key))
        assert (state.status, state.detail) == ("failed", "in USD, not in KRW")
        assert emulator.count("POST", "/confirm") == 0

    async def test_reports_what_was_paid_as_it_is(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        order = await paid(emulator, provider)
        held(emulator, order).update(totalAmount=99.5, balanceAmount=50.25, currency="USD")
        state = await provider.look_up(order)
        assert (state.currency, state.amount_minor, state.refunded_minor) == ("USD", 9950, 4925)

    @pytest.mark.parametrize("hidden", [False, True])
    async def test_does_not_confirm_another_orders_payment(
        self, emulator: TossEmulator, provider: Toss, *, hidden: bool
    ) -> None:
        emulator.settings(hidden_until_confirmed=hidden)
        other = agreed(emulator, order=ORDER._replace(order_id="tu_fedcba9876543210"))
        state = await provider.look_up(ORDER._replace(payment_ref=other.payment_ref))
        assert state.status in ("open", "failed")
        assert held(emulator, other)["status"] == "IN_PROGRESS"
        assert emulator.books.transactions == []

    async def test_another_orders_paid_payment_pays_nothing(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        other = await paid(emulator, provider, ORDER._replace(order_id="tu_fedcba9876543210"))
        state = await provider.look_up(ORDER._replace(payment_ref=other.payment_ref))
        assert state == Payment("open", live=False)

    @pytest.mark.parametrize("ref", ["..", "a/../b", "x?y=z", "", "ü", "a\r\nb", "k" * 201])
    async def test_asks_for_no_name_that_is_none(
        self, emulator: TossEmulator, provider: Toss, ref: str
    ) -> None:
        state = await provider.look_up(ORDER._replace(payment_ref=ref))
        assert state.status == "open"
        assert [call[1] for call in emulator.calls] == [f"/v1/payments/orders/{ORDER.order_id}"]


class TestErrors:
    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("REJECT_CARD_PAYMENT", 403),
            ("REJECT_CARD_COMPANY", 403),
            ("BELOW_MINIMUM_AMOUNT", 400),
            ("NOT_FOUND_PAYMENT_SESSION", 404),
            ("INVALID_REQUEST", 400),
        ],
    )
    async def test_a_final_error_of_confirming_fails(
        self, emulator: TossEmulator, provider: Toss, code: str, status: int
    ) -> None:
        order = agreed(emulator)
        emulator.fail_next("error", method="POST", code=code, status=status)
        state = await provider.look_up(order)
        assert (state.status, state.live) == ("failed", False)
        assert state.detail == f"요청을 처리하지 못했습니다. ({code})"

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("PROVIDER_ERROR", 400),
            ("ALREADY_PROCESSED_PAYMENT", 400),
            ("FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING", 500),
            ("IDEMPOTENT_REQUEST_PROCESSING", 409),
            ("TOO_MANY", 429),
            ("UNAUTHORIZED_KEY", 401),
            ("", 400),
        ],
    )
    async def test_another_one_says_nothing_and_is_tried_again(
        self, emulator: TossEmulator, provider: Toss, code: str, status: int
    ) -> None:
        order = agreed(emulator)
        emulator.fail_next("error", method="POST", code=code, status=status)
        with pytest.raises(ProviderUnsure):
            await provider.look_up(order)
        assert (await provider.look_up(order)).status == "paid"
        assert len(emulator.books.transactions) == 1

    async def test_an_error_after_it_was_done_is_looked_up(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        order = agreed(emulator)
        emulator.fail_next(
            "body", method="POST", body={"code": "ALREADY_PROCESSED_PAYMENT"}, status=400
        )
        assert (await provider.look_up(order)).status == "paid"

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize("kind", ["html", "html_after", "error", "reset"])
    async def test_no_answer_is_not_taken_for_unpaid(
        self, emulator: TossEmulator, provider: Toss, kind: str, method: str
    ) -> None:
        order = agreed(emulator)
        emulator.fail_next(kind, method=method)
        with pytest.raises(ProviderUnsure):
            await provider.look_up(order)
        assert (await provider.look_up(order)).status == "paid"
        assert [row["status"] for row in emulator.books.transactions] == ["DONE"]

    async def test_committed_and_then_silent(
        self, emulator: TossEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api_call, "TIMEOUT_S", 1.0)
        provider = Toss(CLIENT_KEY, SECRET_KEY, api_url=emulator.url)
        order = agreed(emulator)
        emulator.fail_next("hang", method="POST")
        with pytest.raises(ProviderUnsure, match="Timeout"):
            await provider.look_up(order)
        assert held(emulator, order)["status"] == "DONE"
        assert (await provider.look_up(order)).status == "paid"
        assert len(emulator.books.transactions) == 1
        await provider.close()

    async def test_two_at_once_confirm_once(self, emulator: TossEmulator, provider: Toss) -> None:
        order = agreed(emulator)
        emulator.fail_next("stall", method="POST")
        first = asyncio.create_task(provider.look_up(order))
        await emulator.hung.wait()
        with pytest.raises(ProviderUnsure, match="409"):
            await provider.look_up(order)
        assert emulator.cut_hung() == 1
        assert (await first).status == "paid"
        assert len(emulator.books.transactions) == 1

    async def test_a_repeat_gets_the_first_answer(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        """Even where a look-up does not show yet what was confirmed."""
        order = agreed(emulator)
        emulator.fail_next("reset", method="POST")
        with pytest.raises(ProviderUnsure):
            await provider.look_up(order)
        stale = dict(held(emulator, order), status="IN_PROGRESS", approvedAt=None)
        emulator.fail_next("body", method="GET", body=stale)
        assert (await provider.look_up(order)).status == "paid"
        assert emulator.count("POST", "/confirm") == 2
        assert len(emulator.books.transactions) == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"status": "PAID_MAYBE"},
            {"status": None},
            {"orderId": "tu_another_order"},
            {"totalAmount": "10000"},
            {"totalAmount": True},
            {"totalAmount": 10_000.5},
            {"balanceAmount": 10_001},
            {"balanceAmount": -1},
            {"balanceAmount": 0},
            {"currency": None},
            {"currency": "XAU"},
            {"paymentKey": ""},
        ],
    )
    async def test_what_is_not_understood(
        self, emulator: TossEmulator, provider: Toss, change: dict[str, Any]
    ) -> None:
        order = await paid(emulator, provider)
        emulator.fail_next("body", body=dict(held(emulator, order), **change))
        with pytest.raises(ProviderUnsure):
            await provider.look_up(order)

    @pytest.mark.parametrize(
        "name", ["status", "orderId", "totalAmount", "balanceAmount", "currency", "paymentKey"]
    )
    async def test_what_is_missing(self, emulator: TossEmulator, provider: Toss, name: str) -> None:
        order = await paid(emulator, provider)
        body = {key: value for key, value in held(emulator, order).items() if key != name}
        emulator.fail_next("body", body=body)
        with pytest.raises(ProviderUnsure):
            await provider.look_up(order)

    @pytest.mark.parametrize("body", [[], ["DONE"], {}, "DONE", None, 7])
    async def test_something_else(self, emulator: TossEmulator, provider: Toss, body: Any) -> None:
        emulator.fail_next("body", body=body)
        with pytest.raises(ProviderUnsure):
            await provider.look_up(ORDER)

    async def test_a_wrong_key_says_nothing_and_is_not_told(self, emulator: TossEmulator) -> None:
        provider = Toss(CLIENT_KEY, "test_sk_wrong", api_url=emulator.url)
        with pytest.raises(ProviderUnsure, match="UNAUTHORIZED_KEY") as caught:
            await provider.look_up(ORDER)
        assert "test_sk_wrong" not in str(caught.value)
        await provider.close()

    async def test_no_secret_and_no_flood_in_what_is_told(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        order = await paid(emulator, provider)
        answer = {"code": "NOT_CANCELABLE_PAYMENT", "message": f"{SECRET_KEY} " * 100}
        emulator.fail_next("body", method="GET", body=answer, status=400)
        with pytest.raises(ProviderUnsure) as unsure:
            await provider.look_up(order)
        emulator.fail_next("error", method="POST", code=SECRET_KEY, status=403)
        with pytest.raises(ProviderRefuses) as refused:
            await provider.refund(refunding(order, 1_000))
        for text in (str(unsure.value), str(refused.value)):
            assert SECRET_KEY not in text
            assert "(key)" in text
            assert len(text) < 300

    async def test_nobody_there(self, emulator: TossEmulator, provider: Toss) -> None:
        await emulator.stop()
        with pytest.raises(ProviderUnsure):
            await provider.look_up(ORDER)

    async def test_another_404_is_not_an_unknown_order(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        emulator.fail_next("error", status=404, code="SOMETHING")
        with pytest.raises(ProviderUnsure, match="SOMETHING"):
            await provider.look_up(ORDER)


# -- virtual accounts --------------------------------------------------------------------------


class TestVirtualAccount:
    async def test_waits_and_is_paid_later(self, emulator: TossEmulator, provider: Toss) -> None:
        order = agreed(emulator, "VIRTUAL_ACCOUNT")
        state = await provider.look_up(order)
        secret = held(emulator, order)["secret"]
        assert state == Payment("waiting", live=False, payment_ref=order.payment_ref, secret=secret)
        assert secret
        emulator.deposit(order.payment_ref or "")
        state = await provider.look_up(order)
        assert (state.status, state.amount_minor, state.secret) == ("paid", 10_000, secret)

    async def test_a_deposit_goes_back(self, emulator: TossEmulator, provider: Toss) -> None:
        order = agreed(emulator, "VIRTUAL_ACCOUNT")
        await provider.look_up(order)
        emulator.deposit(order.payment_ref or "")
        emulator.bounce(order.payment_ref or "")
        assert (await provider.look_up(order)).status == "waiting"
        emulator.deposit(order.payment_ref or "")
        assert (await provider.look_up(order)).status == "paid"

    async def test_the_deadline_passes(self, emulator: TossEmulator, provider: Toss) -> None:
        order = agreed(emulator, "VIRTUAL_ACCOUNT")
        await provider.look_up(order)
        emulator.advance(8 * 24 * 3600)
        assert (await provider.look_up(order)).status == "waiting"

    async def test_is_cancelled_before_anything_came(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        order = agreed(emulator, "VIRTUAL_ACCOUNT")
        await provider.look_up(order)
        emulator.refund(order.payment_ref or "")
        assert held(emulator, order)["status"] == "CANCELED"
        state = await provider.look_up(order)
        assert (state.status, state.amount_minor, state.detail) == ("failed", 0, "CANCELED")

    async def test_is_cancelled_after_the_deposit_went_back(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        order = agreed(emulator, "VIRTUAL_ACCOUNT")
        await provider.look_up(order)
        emulator.deposit(order.payment_ref or "")
        emulator.bounce(order.payment_ref or "")
        emulator.refund(order.payment_ref or "")
        credited = order._replace(status="paid", moves=1)
        assert (await provider.look_up(credited)).status == "waiting"

    async def test_is_refunded_to_an_account(self, emulator: TossEmulator, provider: Toss) -> None:
        order = agreed(emulator, "VIRTUAL_ACCOUNT")
        await provider.look_up(order)
        emulator.deposit(order.payment_ref or "")
        with pytest.raises(ProviderRefuses, match="INVALID_REFUND_ACCOUNT_INFO"):
            await provider.refund(refunding(order, 4_000))
        await provider.refund(refunding(order, 4_000, 2, ACCOUNT))
        receiver = {"bank": "88", "accountNumber": "110123456789", "holderName": "김토스"}
        assert emulator.books.accounts_paid(order.payment_ref or "") == [receiver]
        assert held(emulator, order)["balanceAmount"] == 6_000

    @pytest.mark.parametrize("account", ["{", "[]", '{"bank": "88", "number": "110123"}', "7"])
    async def test_an_account_that_cannot_be_read(
        self, emulator: TossEmulator, provider: Toss, account: str
    ) -> None:
        order = await paid(emulator, provider)
        with pytest.raises(ProviderRefuses) as caught:
            await provider.refund(refunding(order, 4_000, 1, account))
        assert "110123" not in str(caught.value)
        assert emulator.count("POST", "/cancel") == 0

    async def test_nothing_to_give_back_while_it_waits(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        order = agreed(emulator, "VIRTUAL_ACCOUNT")
        await provider.look_up(order)
        with pytest.raises(ProviderRefuses, match="WAITING_FOR_DEPOSIT"):
            await provider.refund(refunding(order, 10_000, 1, ACCOUNT))
        assert held(emulator, order)["status"] == "WAITING_FOR_DEPOSIT"


# -- refunds -----------------------------------------------------------------------------------


class TestRefund:
    async def test_gives_back_once_for_a_number(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        order = await paid(emulator, provider)
        await provider.refund(refunding(order, 3_000))
        await provider.refund(refunding(order, 3_000))
        assert held(emulator, order)["balanceAmount"] == 7_000
        state = await provider.look_up(order)
        assert (state.status, state.amount_minor, state.refunded_minor) == ("paid", 10_000, 3_000)

    async def test_and_again_for_the_next(self, emulator: TossEmulator, provider: Toss) -> None:
        order = await paid(emulator, provider)
        await provider.refund(refunding(order, 3_000, 1))
        await provider.refund(refunding(order, 3_000, 2))
        await provider.refund(refunding(order, 4_000, 3))
        assert [c["cancelAmount"] for c in held(emulator, order)["cancels"]] == [3000, 3000, 4000]
        state = await provider.look_up(order)
        assert (state.status, state.refunded_minor) == ("paid", 10_000)
        assert emulator.books.accounts_paid(order.payment_ref or "") == [None, None, None]

    @pytest.mark.parametrize("kind", ["reset", "html_after", "html", "error"])
    @pytest.mark.parametrize("later_s", [0, 16 * 24 * 3600])
    async def test_a_lost_answer_gives_back_once(
        self, emulator: TossEmulator, provider: Toss, kind: str, later_s: int
    ) -> None:
        """Also when Toss has forgotten the idempotency key meanwhile."""
        order = await paid(emulator, provider)
        emulator.fail_next(kind, method="POST")
        with pytest.raises(ProviderUnsure):
            await provider.refund(refunding(order, 3_000))
        emulator.advance(later_s)
        await provider.refund(refunding(order, 3_000))
        assert [c["cancelAmount"] for c in held(emulator, order)["cancels"]] == [3_000]

    async def test_a_failure_that_toss_repeats_is_not_the_end(
        self, emulator: TossEmulator, provider: Toss, clock: SimpleNamespace
    ) -> None:
        """To the same key Toss gives the same answer for 15 days."""
        order = await paid(emulator, provider)
        emulator.fail_next("reject", method="POST", status=400, code="PROVIDER_ERROR")
        for _ in range(2):
            with pytest.raises(ProviderUnsure, match="PROVIDER_ERROR"):
                await provider.refund(refunding(order, 3_000))
        clock.now_ns += toss.HOUR_S * 10**9
        await provider.refund(refunding(order, 3_000))
        assert held(emulator, order)["balanceAmount"] == 7_000

    async def test_one_that_the_bank_does_not_take_is_refused(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        """Its account is closed, say: what is asked for ever cannot go to another one."""
        order = await paid(emulator, provider)
        emulator.fail_next("reject", method="POST", status=500, code="FAILED_PARTIAL_REFUND")
        with pytest.raises(ProviderRefuses, match="FAILED_PARTIAL_REFUND"):
            await provider.refund(refunding(order, 3_000))
        emulator.fail_next("reject", method="POST", status=500, code="FAILED_REFUND_PROCESS")
        with pytest.raises(ProviderUnsure, match="FAILED_REFUND_PROCESS"):
            await provider.refund(refunding(order, 3_000, 2))

    async def test_two_of_different_hours_give_back_once(
        self, emulator: TossEmulator, provider: Toss, clock: SimpleNamespace
    ) -> None:
        """The first one hangs at Toss, and is done after the second, whose key is another."""
        order = await paid(emulator, provider)
        emulator.fail_next("stall", method="POST")
        first = asyncio.create_task(provider.refund(refunding(order, 3_000)))
        await emulator.hung.wait()
        clock.now_ns += toss.HOUR_S * 10**9
        await provider.refund(refunding(order, 3_000))
        emulator.cut_hung()
        await first
        assert [c["cancelAmount"] for c in held(emulator, order)["cancels"]] == [3_000]

    async def test_a_silent_answer_gives_back_once(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        order = await paid(emulator, provider)
        emulator.fail_next("hang", method="POST")
        first = asyncio.create_task(provider.refund(refunding(order, 10_000)))
        await emulator.hung.wait()
        await provider.refund(refunding(order, 10_000))
        emulator.cut_hung()
        with pytest.raises(ProviderUnsure):
            await first
        assert [c["cancelAmount"] for c in held(emulator, order)["cancels"]] == [10_000]

    async def test_two_at_once_give_back_once(self, emulator: TossEmulator, provider: Toss) -> None:
        order = await paid(emulator, provider)
        emulator.fail_next("stall", method="POST")
        first = asyncio.create_task(provider.refund(refunding(order, 3_000)))
        await emulator.hung.wait()
        with pytest.raises(ProviderUnsure, match="409"):
            await provider.refund(refunding(order, 3_000))
        emulator.cut_hung()
        await first
        assert held(emulator, order)["balanceAmount"] == 7_000

    async def test_refused_with_the_words_of_toss(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        order = await paid(emulator, provider)
        emulator.refund(order.payment_ref or "", 9_000)
        with pytest.raises(ProviderRefuses) as caught:
            await provider.refund(refunding(order, 3_000))
        assert str(caught.value) == "취소 할 수 없는 금액 입니다. (NOT_CANCELABLE_AMOUNT)"
        assert held(emulator, order)["balanceAmount"] == 1_000

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("PROVIDER_ERROR", 400),
            ("FORBIDDEN_CONSECUTIVE_REQUEST", 403),
            ("UNAUTHORIZED_KEY", 401),
            ("FAILED_REFUND_PROCESS", 500),
        ],
    )
    async def test_an_error_that_says_nothing(
        self, emulator: TossEmulator, provider: Toss, code: str, status: int
    ) -> None:
        order = await paid(emulator, provider)
        emulator.fail_next("error", method="POST", code=code, status=status)
        with pytest.raises(ProviderUnsure):
            await provider.refund(refunding(order, 3_000))
        assert held(emulator, order)["balanceAmount"] == 10_000

    async def test_an_error_after_it_was_done(self, emulator: TossEmulator, provider: Toss) -> None:
        order = await paid(emulator, provider)
        answer = {"code": "ALREADY_CANCELED_PAYMENT", "message": "x"}
        emulator.fail_next("body", method="POST", body=answer, status=400)
        await provider.refund(refunding(order, 10_000))
        assert held(emulator, order)["status"] == "CANCELED"

    @pytest.mark.parametrize("answer", [{}, [], {"status": "CANCELED", "cancels": None}])
    async def test_an_answer_that_does_not_name_it(
        self, emulator: TossEmulator, provider: Toss, answer: Any
    ) -> None:
        order = await paid(emulator, provider)
        emulator.fail_next("body", method="POST", body=answer)
        with pytest.raises(ProviderUnsure):
            await provider.refund(refunding(order, 3_000))
        await provider.refund(refunding(order, 3_000))
        assert held(emulator, order)["balanceAmount"] == 7_000

    @pytest.mark.parametrize(
        ("status", "error"),
        [("IN_PROGRESS", ProviderUnsure), ("ABORTED", ProviderRefuses), ("WHO", ProviderUnsure)],
    )
    async def test_one_that_is_not_done(
        self, emulator: TossEmulator, provider: Toss, status: str, error: type[Exception]
    ) -> None:
        order = await paid(emulator, provider)
        await provider.refund(refunding(order, 3_000))
        held(emulator, order)["cancels"][0]["cancelStatus"] = status
        with pytest.raises(error):
            await provider.refund(refunding(order, 3_000))
        assert emulator.count("POST", "/cancel") == 1

    async def test_of_no_payment_or_another_orders(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        order = await paid(emulator, provider)
        with pytest.raises(ProviderRefuses):
            await provider.refund(refunding(ORDER, 3_000))
        with pytest.raises(ProviderUnsure):
            await provider.refund(refunding(ORDER._replace(payment_ref="unknown"), 3_000))
        with pytest.raises(ProviderRefuses):
            await provider.refund(refunding(order._replace(order_id="tu_another_order"), 3_000))
        assert held(emulator, order)["balanceAmount"] == 10_000

    async def test_what_the_console_gave_back_is_seen(
        self, emulator: TossEmulator, provider: Toss
    ) -> None:
        order = await paid(emulator, provider)
        emulator.refund(order.payment_ref or "", 2_500)
        assert (await provider.look_up(order)).refunded_minor == 2_500
        emulator.refund(order.payment_ref or "")
        state = await provider.look_up(order)
        assert (state.status, state.amount_minor, state.refunded_minor) == ("paid", 10_000, 10_000)
        with pytest.raises(ProviderRefuses, match="NOT_CANCELABLE_AMOUNT"):
            await provider.refund(refunding(order, 10_000))


# -- notices -----------------------------------------------------------------------------------


class Sink:
    """Takes notices as the gateway would, and answers what it is told to."""

    def __init__(self) -> None:
        self.came: list[tuple[dict[str, str], bytes]] = []
        self.status = 200

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.came.append((headers, await request.read()))
        return web.Response(status=self.status)


@pytest.fixture
async def sink(emulator: TossEmulator) -> AsyncIterator[Sink]:
    sink = Sink()
    app = web.Application()
    app.router.add_post("/hook", sink.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    emulator.outbox.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield sink
    await runner.cleanup()


class TestNotices:
    async def test_of_a_card(self, emulator: TossEmulator, provider: Toss, sink: Sink) -> None:
        order = agreed(emulator)
        assert await emulator.deliver() == [200]  # before the redirect
        await provider.look_up(order)
        assert await emulator.deliver(times=2) == [200, 200]
        hints = [await provider.read_webhook(headers, body) for headers, body in sink.came]
        secret = held(emulator, order)["secret"]
        done = Hint(ORDER.order_id, secret)
        assert hints == [Hint(ORDER.order_id, None), done, done]

    async def test_of_a_deposit_both_shapes(
        self, emulator: TossEmulator, provider: Toss, sink: Sink
    ) -> None:
        order = agreed(emulator, "VIRTUAL_ACCOUNT")
        await provider.look_up(order)
        emulator.lose()
        emulator.deposit(order.payment_ref or "")
        emulator.bounce(order.payment_ref or "")
        await emulator.deliver(newest_first=True)
        bodies = [json.loads(body) for _, body in sink.came]
        assert ["eventType" in body for body in bodies] == [False, True, False, True]
        secret = held(emulator, order)["secret"]
        for headers, body in sink.came:
            assert await provider.read_webhook(headers, body) == Hint(ORDER.order_id, secret)

    async def test_comes_again_after_a_failure(
        self, emulator: TossEmulator, provider: Toss, sink: Sink
    ) -> None:
        agreed(emulator)
        sink.status = 500
        assert await emulator.deliver() == [500]
        sink.status = 200
        assert await emulator.retry() == [200]
        (first, _), (again, body) = sink.came
        name = "tosspayments-webhook-transmission-"
        assert first[name + "id"] == again[name + "id"]
        assert again[name + "retried-count"] == "1"
        assert await provider.read_webhook(again, body) == Hint(ORDER.order_id)

    async def test_a_forged_one_names_an_order_and_nothing_else(
        self, emulator: TossEmulator, provider: Toss, sink: Sink
    ) -> None:
        data = {"orderId": ORDER.order_id, "status": "DONE", "totalAmount": 10_000}
        await emulator.forge({"eventType": "PAYMENT_STATUS_CHANGED", "data": data})
        await emulator.forge({"secret": "guessed", "orderId": ORDER.order_id, "status": "DONE"})
        hints = [await provider.read_webhook(headers, body) for headers, body in sink.came]
        assert hints == [Hint(ORDER.order_id), Hint(ORDER.order_id, "guessed")]
        assert (await provider.look_up(ORDER)).status == "open"

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"\xff\xfe",
            b"[]",
            b"7",
            b"[" * 100_000,
            b"{}",
            b'{"orderId": "tu_0123456789abcdef", "status": "DONE"}',
            b'{"secret": "x", "status": "DONE"}',
            b'{"eventType": "PAYMENT_STATUS_CHANGED"}',
            b'{"eventType": "PAYMENT_STATUS_CHANGED", "data": []}',
            b'{"eventType": "PAYMENT_STATUS_CHANGED", "data": {"orderId": 7}}',
        ],
    )
    async def test_what_cannot_be_read(self, provider: Toss, body: bytes) -> None:
        with pytest.raises(WebhookForged):
            await provider.read_webhook({}, body)

    @pytest.mark.parametrize(
        "body",
        [
            {"eventType": "BILLING_DELETED", "data": {"orderId": ORDER.order_id}},
            {"eventType": None},
            {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"orderId": "shop-17-order"}},
            {"secret": "x", "orderId": "tu_\ud800\ud800\ud800\ud800"},
            {"secret": "x", "orderId": "tu_" + "a" * 62},
        ],
    )
    async def test_nothing_of_ours(self, provider: Toss, body: Any) -> None:
        assert await provider.read_webhook({}, json.dumps(body).encode()) is None


# -- the list ----------------------------------------------------------------------------------


class TestChangedSince:
    async def test_lists_in_pages(
        self, emulator: TossEmulator, provider: Toss, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(toss, "PAGE_ROWS", 2)
        since_ms = int(emulator.books.now() * 1000)
        orders = [ORDER._replace(order_id=f"tu_{n:016}") for n in range(5)]
        for order in orders:
            await paid(emulator, provider, order)
        agreed(emulator)
        assert await provider.changed_since(since_ms) == [order.order_id for order in orders]
        assert emulator.count("GET", "/v1/transactions") == 3

    async def test_a_full_last_page(
        self, emulator: TossEmulator, provider: Toss, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(toss, "PAGE_ROWS", 1)
        since_ms = int(emulator.books.now() * 1000)
        order = await paid(emulator, provider)
        await provider.refund(refunding(order, 3_000))
        assert await provider.changed_since(since_ms) == [ORDER.order_id]
        assert emulator.count("GET", "/v1/transactions") == 3

    async def test_leaves_out_what_is_older(self, emulator: TossEmulator, provider: Toss) -> None:
        emulator.advance(-3600)
        await paid(emulator, provider)
        emulator.advance(3600)
        now_ms = int(emulator.books.now() * 1000)
        assert await provider.changed_since(now_ms - 60_000) == []
        assert await provider.changed_since(now_ms - 3_700_000) == [ORDER.order_id]

    @pytest.mark.parametrize(
        "body", [{}, [7], [{"orderId": "x"}], [{"transactionKey": "x"}], "x", None]
    )
    async def test_a_list_that_is_not_understood(
        self, emulator: TossEmulator, provider: Toss, body: Any
    ) -> None:
        emulator.fail_next("body", body=body)
        with pytest.raises(ProviderUnsure):
            await provider.changed_since(0)

    async def test_no_answer(self, emulator: TossEmulator, provider: Toss) -> None:
        for kind in ("html", "error", "reset"):
            emulator.fail_next(kind)
            with pytest.raises(ProviderUnsure):
                await provider.changed_since(0)
        emulator.fail_next("error", status=400, code="INVALID_DATE")
        with pytest.raises(ProviderUnsure, match="INVALID_DATE"):
            await provider.changed_since(0)

    async def test_a_list_without_an_end(
        self, emulator: TossEmulator, provider: Toss, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(toss, "PAGE_ROWS", 1)
        monkeypatch.setattr(toss, "PAGES_MAX", 3)
        row = {"orderId": ORDER.order_id, "transactionKey": "k"}
        emulator.fail_next("body", n=4, body=[row])
        with pytest.raises(ProviderUnsure, match="does not end"):
            await provider.changed_since(0)
        assert emulator.count("GET", "/v1/transactions") == 3


# -- the emulator, driven from outside ---------------------------------------------------------


async def test_the_emulator_is_driven_over_http(emulator: TossEmulator, provider: Toss) -> None:
    async with httpx.AsyncClient(base_url=emulator.url, trust_env=False) as outside:

        async def control(name: str, **arguments: Any) -> Any:
            answer = await outside.post(f"/_control/{name}", json=arguments)
            assert answer.status_code == 200, answer.text
            return answer.json()["result"]

        key = await control("request_payment", order_id=ORDER.order_id, amount=10_000)
        url = await control("pay", key=key, method="VIRTUAL_ACCOUNT")
        assert f"paymentKey={key}" in url
        order = ORDER._replace(payment_ref=key)
        assert (await provider.look_up(order)).status == "waiting"
        await control("deposit", key=key)
        assert (await provider.look_up(order)).status == "paid"
        await control("refund", key=key, amount=1_000)
        await control("fail_next", kind="error")
        with pytest.raises(ProviderUnsure):
            await provider.look_up(order)
        state = await control("state")
        assert state["payments"][0]["status"] == "PARTIAL_CANCELED"
        assert (await outside.post("/_control/_hang")).status_code == 404
        assert (await outside.post("/_control/deposit", json={"key": key})).status_code == 400
