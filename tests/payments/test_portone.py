"""PortOne's adapter against the emulated PortOne, over real HTTP."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import httpx
import pytest
from aiohttp import web
from emulators.portone import PortOneEmulator
from emulators.portone_payments import Payment as Held
from emulators.portone_payments import Refused

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
from tokenferry.payments.portone import PortOne

URLS = Urls("https://gateway.example/paid", "https://gateway.example/not-paid")
BUYER = Buyer("acc_1", "buyer@example.com", "ko")
ID = "tu_aaaaaaaaaaaaaaaa"
OTHER_SECRET = "whsec_" + base64.b64encode(b"of somebody else").decode()


def order(
    order_id: str = ID, amount: int = 10_000, currency: Currency = "KRW", **columns: object
) -> Order:
    made = Order(
        order_id=order_id,
        account_id="acc_1",
        provider="portone",
        currency=currency,
        amount_minor=amount,
        credit_nanos=7_000_000_000,
        live=True,
        note="",
        created_ms=0,
        expires_ms=1,
    )
    return made._replace(**columns)


def refunding(minor: int, number: int = 1, **columns: object) -> Order:
    return order(status="paid", pending_minor=minor, refunds=number, **columns)


class World(NamedTuple):
    portone: PortOne
    emulator: PortOneEmulator
    url: str
    notices: list[tuple[dict[str, str], bytes]]

    async def paid(self, order_id: str = ID, amount: int = 10_000) -> Held:
        await self.portone.begin(order(order_id, amount), URLS, BUYER)
        return await self.emulator.pay(order_id)

    def cancels(self) -> list[tuple[str, str, dict[str, object]]]:
        return [call for call in self.emulator.calls if call[1].endswith("/cancel")]

    @contextmanager
    def impatient(self) -> Iterator[None]:
        """Give up soon on a call that will not be answered, and on no other."""
        client = self.portone._api._client
        patient, client.timeout = client.timeout, httpx.Timeout(1.0)
        yield
        client.timeout = patient


def adapter(url: str, **settings: object) -> PortOne:
    values: dict[str, object] = {
        "api_secret": PortOneEmulator.api_secret,
        "webhook_secret": PortOneEmulator.webhook_secret,
        "store_id": PortOneEmulator.store_id,
        "channel_key": PortOneEmulator.channel_key,
        "live": True,
        "api_url": url,
    }
    return PortOne(**(values | settings))  # type: ignore[arg-type]


async def listen(app: web.Application) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    return runner, f"http://{host}:{port}"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    notices: list[tuple[dict[str, str], bytes]] = []

    async def receive(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        notices.append((headers, await request.read()))
        return web.Response()

    receiver = web.Application()
    receiver.router.add_post("/notices", receive)
    receiving, receiver_url = await listen(receiver)
    emulator = PortOneEmulator(f"{receiver_url}/notices", live=True)
    serving, url = await listen(emulator.app)
    portone = adapter(url)
    yield World(portone, emulator, url, notices)
    await portone.close()
    await serving.cleanup()
    await receiving.cleanup()


class TestWhatItIs:
    def test_its_name_and_currencies(self) -> None:
        portone = adapter("http://127.0.0.1:1", live=False)
        assert portone.name == "portone"
        assert portone.currencies == {"KRW", "USD"}
        assert not portone.live
        assert adapter("http://127.0.0.1:1").live

    async def test_closes_twice(self) -> None:
        portone = adapter("http://127.0.0.1:1")
        await portone.close()
        await portone.close()


class TestBegin:
    async def test_returns_the_call_of_the_script(self, world: World) -> None:
        begun = await world.portone.begin(order(), URLS, BUYER)
        assert isinstance(begun, Widget)
        customer_id = begun.options["customer"]["customerId"]
        assert re.fullmatch("[0-9a-f]{20}", customer_id)
        assert begun == Widget(
            "portone",
            "https://cdn.portone.io/v2/browser-sdk.js",
            {
                "storeId": world.emulator.store_id,
                "channelKey": world.emulator.channel_key,
                "paymentId": ID,
                "orderName": "API credit",
                "totalAmount": 10_000,
                "currency": "KRW",
                "redirectUrl": URLS.success,
                "forceRedirect": True,
                "customer": {"customerId": customer_id, "email": "buyer@example.com"},
            },
        )

    async def test_registers_the_amount_so_that_another_is_refused(self, world: World) -> None:
        await world.portone.begin(order(), URLS, BUYER)
        assert world.emulator.registered == {ID: (10_000, "KRW")}
        with pytest.raises(Refused):
            await world.emulator.pay(ID, amount=1)
        assert await world.portone.look_up(order()) == Payment("open")

    async def test_may_be_called_again(self, world: World) -> None:
        first = await world.portone.begin(order(), URLS, BUYER)
        assert await world.portone.begin(order(), URLS, BUYER) == first
        assert len(world.emulator.registered) == 1

    async def test_counts_cents(self, world: World) -> None:
        widget = await world.portone.begin(order(amount=1_050, currency="USD"), URLS, BUYER)
        assert widget.options["totalAmount"] == 1_050
        await world.emulator.pay(ID)
        payment = await world.portone.look_up(order(amount=1_050, currency="USD"))
        assert (payment.currency, payment.amount_minor) == ("USD", 1_050)

    async def test_a_buyer_without_an_address(self, world: World) -> None:
        widget = await world.portone.begin(order(), URLS, BUYER._replace(email=None))
        assert list(widget.options["customer"]) == ["customerId"]

    async def test_what_was_paid_is_refused(self, world: World) -> None:
        await world.paid()
        with pytest.raises(ProviderRefuses, match="ALREADY_PAID"):
            await world.portone.begin(order(), URLS, BUYER)

    @pytest.mark.parametrize("status", [500, 502, 503, 429])
    async def test_a_fault_is_no_refusal(self, world: World, status: int) -> None:
        await world.emulator.fail_next("error", status=status, code="INTERNAL")
        with pytest.raises(ProviderUnsure):
            await world.portone.begin(order(), URLS, BUYER)

    async def test_an_error_without_a_type_is_no_refusal(self, world: World) -> None:
        await world.emulator.fail_next("error", status=403)
        with pytest.raises(ProviderUnsure):
            await world.portone.begin(order(), URLS, BUYER)

    async def test_the_settings_reach_the_page(self, world: World) -> None:
        portone = adapter(world.url, script_url="https://x.example/s.js", order_name="크레딧")
        widget = await portone.begin(order(), URLS, BUYER)
        await portone.close()
        assert widget.script_url == "https://x.example/s.js"
        assert widget.options["orderName"] == "크레딧"


class TestLookUp:
    async def test_nobody_has_opened_the_window(self, world: World) -> None:
        assert await world.portone.look_up(order()) == Payment("open")

    async def test_open_and_pending(self, world: World) -> None:
        await world.portone.begin(order(), URLS, BUYER)
        await world.emulator.open_window(
            {
                "storeId": world.emulator.store_id,
                "channelKey": world.emulator.channel_key,
                "paymentId": ID,
                "totalAmount": 10_000,
                "currency": "CURRENCY_KRW",
            }
        )
        assert world.emulator.payments[ID].status == "READY"
        assert (await world.portone.look_up(order())).status == "open"
        await world.emulator.pend(ID)
        assert (await world.portone.look_up(order())).status == "waiting"

    async def test_paid(self, world: World) -> None:
        held = await world.paid()
        assert await world.portone.look_up(order()) == Payment(
            "paid",
            currency="KRW",
            amount_minor=10_000,
            live=True,
            payment_ref=held.transaction_id,
        )

    async def test_a_failed_attempt_leaves_it_open_and_says_why(self, world: World) -> None:
        await world.portone.begin(order(), URLS, BUYER)
        await world.emulator.fail(ID, "잔액 부족")
        assert await world.portone.look_up(order()) == Payment("open", detail="잔액 부족")
        await world.emulator.pay(ID)
        assert (await world.portone.look_up(order())).status == "paid"
        assert world.emulator.payments[ID].attempt == 2

    async def test_a_virtual_account_waits(self, world: World) -> None:
        await world.portone.begin(order(), URLS, BUYER)
        await world.emulator.issue_account(ID)
        payment = await world.portone.look_up(order())
        assert (payment.status, payment.amount_minor) == ("waiting", 0)
        await world.emulator.deposit(ID)
        assert (await world.portone.look_up(order())).status == "paid"
        await world.emulator.bounce(ID)
        assert (await world.portone.look_up(order())).status == "waiting"

    async def test_an_account_that_was_closed_was_not_paid(self, world: World) -> None:
        await world.portone.begin(order(), URLS, BUYER)
        await world.emulator.issue_account(ID)
        await world.emulator.close_account(ID)
        assert await world.portone.look_up(order()) == Payment("open", detail="계좌말소")

    async def test_what_was_cancelled_before_it_was_paid_was_not_paid(self, world: World) -> None:
        await world.portone.begin(order(), URLS, BUYER)
        await world.emulator.issue_account(ID)
        await world.emulator.cancel_unpaid(ID)
        assert world.emulator.payments[ID].status == "CANCELLED"
        payment = await world.portone.look_up(order())
        assert (payment.status, payment.amount_minor) == ("failed", 0)
        # Had it been seen paid, its credit must not stay.
        credited = order()._replace(status="paid", moves=1)
        assert (await world.portone.look_up(credited)).status == "waiting"

    async def test_a_tampered_amount_is_reported_as_it_is(self, world: World) -> None:
        await world.emulator.pay(ID, amount=100)
        payment = await world.portone.look_up(order())
        assert (payment.status, payment.amount_minor, payment.currency) == ("paid", 100, "KRW")

    async def test_another_currency_is_reported_as_it_is(self, world: World) -> None:
        await world.emulator.pay(ID, amount=10_000, currency="JPY")
        payment = await world.portone.look_up(order())
        assert (payment.amount_minor, payment.currency) == (10_000, "JPY")

    async def test_test_money_is_no_real_money(self, world: World) -> None:
        world.emulator.channel_type = "TEST"
        await world.paid()
        assert not (await world.portone.look_up(order())).live

    async def test_what_the_console_gave_back_is_seen(self, world: World) -> None:
        await world.paid()
        await world.emulator.console_cancel(ID, 3_000)
        payment = await world.portone.look_up(order())
        assert world.emulator.payments[ID].status == "PARTIAL_CANCELLED"
        assert (payment.amount_minor, payment.refunded_minor) == (10_000, 3_000)
        await world.emulator.console_cancel(ID)
        payment = await world.portone.look_up(order())
        assert world.emulator.payments[ID].status == "CANCELLED"
        assert (payment.status, payment.refunded_minor) == ("paid", 10_000)

    async def test_disputes(self, world: World) -> None:
        await world.paid()
        await world.emulator.dispute(ID)
        assert (await world.portone.look_up(order())).disputed_minor == 10_000
        await world.emulator.resolve_dispute(ID, lost=False)
        assert (await world.portone.look_up(order())).disputed_minor == 0
        await world.emulator.dispute(ID)
        await world.emulator.resolve_dispute(ID, lost=True)
        payment = await world.portone.look_up(order())
        assert (payment.status, payment.refunded_minor) == ("paid", 0)
        assert payment.disputed_minor == 10_000

    async def test_a_chargeback_beside_a_refund(self, world: World) -> None:
        await world.paid()
        await world.emulator.console_cancel(ID, 2_000)
        await world.emulator.console_cancel(ID, 5_000, "CHARGEBACK")
        payment = await world.portone.look_up(order())
        assert (payment.refunded_minor, payment.disputed_minor) == (2_000, 5_000)

    async def test_asks_with_the_store_and_the_credential(self, world: World) -> None:
        foreign = adapter(world.url, store_id="another")
        wrong = adapter(world.url, api_secret="very-wrong")
        await world.paid()
        with pytest.raises(ProviderUnsure, match="FORBIDDEN"):
            await foreign.look_up(order())
        with pytest.raises(ProviderUnsure, match="UNAUTHORIZED") as caught:
            await wrong.look_up(order())
        assert "very-wrong" not in str(caught.value)
        await foreign.close()
        await wrong.close()

    async def test_a_line_end_behind_the_credential_is_none(self, world: World) -> None:
        portone = adapter(world.url, api_secret=f"{world.emulator.api_secret}\n")
        assert (await portone.look_up(order())).status == "open"
        await portone.close()

    @pytest.mark.parametrize(
        "fields",
        [
            {"status": "EXCHANGED"},
            {"status": None},
            {"id": "tu_another"},
            {"amount": None},
            {"amount": {"total": "10000", "cancelled": 0}},
            {"amount": {"total": 10_000.0, "cancelled": 0}},
            {"amount": {"total": True, "cancelled": 0}},
            {"amount": {"total": -1, "cancelled": 0}},
            {"amount": {"total": 10_000}},
            {"amount": {"total": 10_000, "cancelled": 10_001}},
            {"currency": None},
            {"channel": None},
            {"channel": {"type": "SANDBOX"}},
            {"transactionId": None},
            {"disputes": [{"status": "ESCALATED"}]},
            {"disputes": [[]]},
            {"disputes": "none"},
            {"cancellations": [{"status": "REVERSED"}]},
            {"cancellations": [None]},
        ],
    )
    async def test_what_is_not_understood_is_unsure(
        self, world: World, fields: dict[str, object]
    ) -> None:
        await world.paid()
        await world.emulator.distort(ID, fields)
        with pytest.raises(ProviderUnsure):
            await world.portone.look_up(order())
        await world.emulator.distort(ID, {})
        assert (await world.portone.look_up(order())).status == "paid"

    async def test_what_is_new_does_not_matter(self, world: World) -> None:
        await world.paid()
        await world.emulator.distort(ID, {"novelty": {"a": 1}, "disputes": None})
        assert (await world.portone.look_up(order())).status == "paid"

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "html"},
            {"kind": "pg"},
            {"kind": "reset"},
            {"kind": "error", "status": 500},
            {"kind": "error", "status": 429, "code": "TOO_MANY_REQUESTS"},
            {"kind": "error", "status": 409, "code": "ANYTHING"},
            {"kind": "error", "status": 404},
            {"kind": "error", "status": 404, "code": "STORE_NOT_FOUND"},
            {"kind": "error", "status": 400, "code": "INVALID_REQUEST"},
        ],
    )
    async def test_an_error_is_never_taken_for_not_paid(
        self, world: World, fault: dict[str, object]
    ) -> None:
        await world.paid()
        await world.emulator.fail_next(**fault)  # type: ignore[arg-type]
        with pytest.raises(ProviderUnsure):
            await world.portone.look_up(order())
        assert (await world.portone.look_up(order())).status == "paid"

    async def test_no_answer(self, world: World) -> None:
        await world.emulator.fail_next("hang")
        with world.impatient(), pytest.raises(ProviderUnsure, match="ReadTimeout"):
            await world.portone.look_up(order())

    async def test_nobody_there(self) -> None:
        portone = adapter("http://127.0.0.1:1")
        with pytest.raises(ProviderUnsure):
            await portone.look_up(order())
        await portone.close()

    async def test_an_id_that_is_no_path(self, world: World) -> None:
        await world.emulator.pay(ID, amount=1)
        assert await world.portone.look_up(order("../payments")) == Payment("open")
        assert world.emulator.calls[-1][1] == "/payments/../payments"


class TestRefund:
    async def test_once_for_the_same_number(self, world: World) -> None:
        await world.paid()
        await world.portone.refund(refunding(3_000))
        await world.portone.refund(refunding(3_000))
        (made,) = world.emulator.payments[ID].cancellations
        assert (made.amount, made.trigger, made.status) == (3_000, "API", "SUCCEEDED")
        assert made.reason.endswith(f"(order {ID} refund 1)")
        assert len(world.cancels()) == 1
        assert world.cancels()[0][2]["currentCancellableAmount"] == 10_000

    async def test_again_for_the_next_number(self, world: World) -> None:
        await world.paid()
        for number in (1, 2, 11):
            await world.portone.refund(refunding(1_000, number))
        await world.portone.refund(refunding(1_000, 1))
        amounts = [each.amount for each in world.emulator.payments[ID].cancellations]
        assert amounts == [1_000] * 3
        assert (await world.portone.look_up(order())).refunded_minor == 3_000

    async def test_all_of_it(self, world: World) -> None:
        await world.paid()
        await world.portone.refund(refunding(10_000))
        await world.portone.refund(refunding(10_000))
        assert world.emulator.payments[ID].status == "CANCELLED"
        assert len(world.emulator.payments[ID].cancellations) == 1
        assert (await world.portone.look_up(order())).refunded_minor == 10_000

    async def test_after_something_was_given_back_at_the_console(self, world: World) -> None:
        await world.paid()
        await world.emulator.console_cancel(ID, 4_000)
        await world.portone.refund(refunding(5_000))
        assert world.emulator.payments[ID].cancelled == 9_000

    @pytest.mark.parametrize("fault", ["hang", "reset"])
    async def test_done_and_not_answered(self, world: World, fault: str) -> None:
        await world.paid()
        await world.emulator.fail_next(fault, route="/cancel")
        with world.impatient(), pytest.raises(ProviderUnsure):
            await world.portone.refund(refunding(3_000))
        assert world.emulator.payments[ID].cancelled == 3_000
        await world.portone.refund(refunding(3_000))
        await world.portone.refund(refunding(2_000, 2))
        assert [each.amount for each in world.emulator.payments[ID].cancellations] == [
            3_000,
            2_000,
        ]

    async def test_a_second_call_that_overtakes_the_first(self, world: World) -> None:
        await world.paid()
        await world.emulator.fail_next("hold", route="/cancel")
        with world.impatient(), pytest.raises(ProviderUnsure, match="ReadTimeout"):
            await world.portone.refund(refunding(3_000))
        assert world.emulator.payments[ID].cancellations == []
        with pytest.raises(ProviderUnsure, match="IDEMPOTENCY_OUTSTANDING_REQUEST"):
            await world.portone.refund(refunding(3_000))
        await world.emulator.release()
        await world.portone.refund(refunding(3_000))
        assert [each.amount for each in world.emulator.payments[ID].cancellations] == [3_000]

    async def test_two_at_once(self, world: World) -> None:
        await world.paid()
        await asyncio.gather(
            *(world.portone.refund(refunding(3_000)) for _ in range(4)), return_exceptions=True
        )
        assert [each.amount for each in world.emulator.payments[ID].cancellations] == [3_000]

    async def test_long_after_the_key_was_forgotten(self, world: World) -> None:
        await world.paid()
        await world.emulator.fail_next("hang", route="/cancel")
        with world.impatient(), pytest.raises(ProviderUnsure):
            await world.portone.refund(refunding(3_000))
        await world.emulator.set_clock(4 * 3_600)
        await world.portone.refund(refunding(3_000))
        assert world.emulator.payments[ID].cancelled == 3_000

    async def test_the_console_comes_in_between(self, world: World) -> None:
        """Between the look at what is left and the call, somebody else gives something back."""
        await world.paid()
        await world.emulator.fail_next("hold", route="/cancel")
        asked = asyncio.create_task(world.portone.refund(refunding(3_000)))
        while not world.cancels():
            await asyncio.sleep(0)
        await world.emulator.console_cancel(ID, 1_000)
        await world.emulator.release()
        with pytest.raises(ProviderRefuses, match="CONSISTENCY_BROKEN"):
            await asked
        assert world.emulator.payments[ID].cancelled == 1_000
        # Asked once more, it is another call than the one that was refused.
        await world.portone.refund(refunding(3_000, 2))
        assert world.emulator.payments[ID].cancelled == 4_000

    async def test_more_than_is_left(self, world: World) -> None:
        await world.paid()
        await world.emulator.console_cancel(ID, 9_000)
        with pytest.raises(ProviderRefuses, match="EXCEEDS"):
            await world.portone.refund(refunding(3_000))
        await world.emulator.console_cancel(ID)
        with pytest.raises(ProviderRefuses, match="이미 취소"):
            await world.portone.refund(refunding(3_000))
        assert world.emulator.payments[ID].cancelled == 10_000

    async def test_what_was_not_paid(self, world: World) -> None:
        with pytest.raises(ProviderUnsure):
            await world.portone.refund(refunding(3_000))
        await world.portone.begin(order(), URLS, BUYER)
        await world.emulator.issue_account(ID)
        with pytest.raises(ProviderUnsure):
            await world.portone.refund(refunding(3_000))
        assert world.cancels() == []

    async def test_to_a_bank_account(self, world: World) -> None:
        await world.portone.begin(order(), URLS, BUYER)
        await world.emulator.issue_account(ID)
        await world.emulator.deposit(ID)
        with pytest.raises(ProviderRefuses, match="환불 계좌가 필요합니다"):
            await world.portone.refund(refunding(3_000))
        account = json.dumps({"bank": "SHINHAN", "number": "110123", "holder": "홍길동"})
        await world.portone.refund(refunding(3_000, 2, refund_account=account))
        (made,) = world.emulator.payments[ID].cancellations
        assert made.refund_account == {
            "bank": "SHINHAN",
            "number": "110123",
            "holderName": "홍길동",
        }

    @pytest.mark.parametrize("account", ["{", "[]", '{"bank": "SHINHAN"}'])
    async def test_an_account_that_is_none(self, world: World, account: str) -> None:
        await world.paid()
        with pytest.raises(ProviderRefuses, match="lacks bank"):
            await world.portone.refund(refunding(3_000, refund_account=account))
        assert world.cancels() == []

    async def test_that_ends_later(self, world: World) -> None:
        await world.paid()
        await world.emulator.set_cancel_outcome("REQUESTED")
        for _ in range(2):
            with pytest.raises(ProviderUnsure, match="not done yet"):
                await world.portone.refund(refunding(3_000))
        assert (await world.portone.look_up(order())).refunded_minor == 0
        await world.emulator.finish_cancel(ID, ok=True)
        await world.portone.refund(refunding(3_000))
        assert len(world.cancels()) == 1
        assert (await world.portone.look_up(order())).refunded_minor == 3_000

    async def test_that_fails_later(self, world: World) -> None:
        await world.paid()
        await world.emulator.set_cancel_outcome("REQUESTED")
        with pytest.raises(ProviderUnsure):
            await world.portone.refund(refunding(3_000))
        await world.emulator.finish_cancel(ID, ok=False)
        with pytest.raises(ProviderRefuses, match="failed"):
            await world.portone.refund(refunding(3_000))
        await world.emulator.set_cancel_outcome("SUCCEEDED")
        await world.portone.refund(refunding(3_000, 2))
        assert world.emulator.payments[ID].cancelled == 3_000

    async def test_that_fails_and_is_recorded(self, world: World) -> None:
        await world.paid()
        await world.emulator.set_cancel_outcome("FAILED")
        for _ in range(2):
            with pytest.raises(ProviderRefuses, match="failed"):
                await world.portone.refund(refunding(3_000))
        assert len(world.cancels()) == 1
        assert (await world.portone.look_up(order())).refunded_minor == 0

    async def test_the_payment_company_says_no(self, world: World) -> None:
        await world.paid()
        await world.emulator.fail_next("pg", route="/cancel")
        with pytest.raises(ProviderRefuses, match="PG99 은행 점검 시간입니다"):
            await world.portone.refund(refunding(3_000))
        assert world.emulator.payments[ID].cancellations == []

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "html"},
            {"kind": "error", "status": 500, "code": "INTERNAL"},
            {"kind": "error", "status": 502, "code": "INTERNAL"},
            {"kind": "error", "status": 429, "code": "TOO_MANY_REQUESTS"},
            {"kind": "error", "status": 409},
            # An answer that says nothing.
            {"kind": "error", "status": 200},
        ],
    )
    async def test_a_fault_is_no_refusal(self, world: World, fault: dict[str, object]) -> None:
        await world.paid()
        await world.emulator.fail_next(route="/cancel", **fault)  # type: ignore[arg-type]
        with pytest.raises(ProviderUnsure):
            await world.portone.refund(refunding(3_000))
        assert world.emulator.payments[ID].cancellations == []
        await world.portone.refund(refunding(3_000))
        assert world.emulator.payments[ID].cancelled == 3_000

    async def test_the_second_look_fails(self, world: World) -> None:
        """A refusal counts only once it is seen that nothing was done."""
        await world.paid()
        await world.emulator.console_cancel(ID, 9_000)
        await world.emulator.fail_next("error", route="/cancel", status=409, code="X")
        await world.emulator.fail_next("hold", route="GET")
        asked = asyncio.create_task(world.portone.refund(refunding(1_000)))
        while not world.emulator.calls or world.emulator.calls[-1][0] != "GET":
            await asyncio.sleep(0)
        await world.emulator.fail_next("html", route="GET")
        await world.emulator.release()
        with pytest.raises(ProviderUnsure, match="502"):
            await asked


class TestWebhook:
    async def read(self, world: World) -> Hint | None:
        headers, body = world.notices[-1]
        return await world.portone.read_webhook(headers, body)

    async def test_each_that_is_documented(self, world: World) -> None:
        await world.portone.begin(order(), URLS, BUYER)
        await world.emulator.pend(ID)
        await world.emulator.fail(ID)
        await world.emulator.issue_account(ID)
        await world.emulator.deposit(ID)
        await world.emulator.dispute(ID)
        await world.emulator.resolve_dispute(ID, lost=False)
        account = json.dumps({"bank": "TOSS", "number": "1", "holder": "홍길동"})
        await world.portone.refund(refunding(1_000, refund_account=account))
        await world.emulator.set_cancel_outcome("REQUESTED")
        with pytest.raises(ProviderUnsure):
            await world.portone.refund(refunding(1_000, 2, refund_account=account))
        await world.emulator.console_cancel(ID)
        kinds = [json.loads(body)["type"].removeprefix("Transaction.") for _, body in world.notices]
        assert set(kinds) == {
            *("Ready", "PayPending", "VirtualAccountIssued", "Paid", "Failed"),
            *("PartialCancelled", "Cancelled", "CancelPending"),
            *("DisputeCreated", "DisputeResolved"),
        }
        for headers, body in world.notices:
            assert await world.portone.read_webhook(headers, body) == Hint(ID)

    async def test_comes_before_the_buyer_is_back(self, world: World) -> None:
        await world.paid()
        assert await self.read(world) == Hint(ID)
        assert (await world.portone.look_up(order())).status == "paid"

    async def test_late_twice_and_the_last_first(self, world: World) -> None:
        await world.emulator.set_notices("hold")
        await world.paid()
        await world.emulator.console_cancel(ID)
        assert world.notices == []
        assert await world.emulator.release_notices(reverse=True, times=2) == 3
        kinds = [json.loads(body)["type"] for _, body in world.notices]
        assert kinds[:2] == ["Transaction.Cancelled"] * 2
        assert kinds[-1] == "Transaction.Ready"
        assert await self.read(world) == Hint(ID)

    async def test_what_is_lost_is_found_without_it(self, world: World) -> None:
        await world.emulator.set_notices("lose")
        await world.paid()
        assert world.notices == []
        assert (await world.portone.look_up(order())).status == "paid"
        assert list(await world.portone.changed_since(0)) == [ID]

    @pytest.mark.parametrize("age_s", [290, -290])
    async def test_within_five_minutes(self, world: World, age_s: int) -> None:
        await world.emulator.send_notice(ID, age_s=age_s)
        assert await self.read(world) == Hint(ID)

    @pytest.mark.parametrize(("age_s", "reason"), [(310, "TOO_OLD"), (-310, "TOO_NEW")])
    async def test_beyond_five_minutes(self, world: World, age_s: int, reason: str) -> None:
        await world.emulator.send_notice(ID, age_s=age_s)
        with pytest.raises(WebhookForged, match=reason):
            await self.read(world)

    async def test_signed_by_somebody_else(self, world: World) -> None:
        await world.emulator.send_notice(ID, secret=OTHER_SECRET)
        with pytest.raises(WebhookForged, match="NO_MATCHING"):
            await self.read(world)

    @pytest.mark.parametrize("more", ["v1,AAAA", "v1a,AAAA", "v1,!", "nonsense", "v1", ","])
    async def test_one_of_several_signatures_is_enough(self, world: World, more: str) -> None:
        """While a secret is changed, notices are signed with both."""
        await world.emulator.send_notice(ID, more=more)
        assert await self.read(world) == Hint(ID)

    async def test_a_body_that_was_changed(self, world: World) -> None:
        await world.emulator.send_notice(ID)
        headers, body = world.notices[-1]
        with pytest.raises(WebhookForged):
            await world.portone.read_webhook(headers, body.replace(b"tu_a", b"tu_b"))

    @pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
    async def test_a_header_that_is_missing_or_changed(self, world: World, name: str) -> None:
        await world.emulator.send_notice(ID)
        headers, body = world.notices[-1]
        with pytest.raises(WebhookForged):
            await world.portone.read_webhook(headers | {name: "1"}, body)
        del headers[name]
        with pytest.raises(WebhookForged):
            await world.portone.read_webhook(headers, body)

    @pytest.mark.parametrize("secret", ["", " ", "whsec_", "whsec_!", "!!!!", "whsec_a"])
    async def test_an_empty_secret_verifies_nothing(self, world: World, secret: str) -> None:
        portone = adapter(world.url, webhook_secret=secret)
        for signer in (world.emulator.webhook_secret, "whsec_"):
            await world.emulator.send_notice(ID, secret=signer)
            headers, body = world.notices[-1]
            with pytest.raises(WebhookForged):
                await portone.read_webhook(headers, body)
        await portone.close()

    async def test_without_a_secret_it_says_so(self, world: World) -> None:
        portone = adapter(world.url, webhook_secret="")
        with pytest.raises(WebhookForged, match="no secret"):
            await portone.read_webhook({}, b"{}")
        await portone.close()

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"null", b"1", b"\xff", b"[" * 100_000, b'{"type": []}']
    )
    async def test_garbage(self, world: World, body: bytes) -> None:
        with pytest.raises(WebhookForged):
            await world.portone.read_webhook({}, body)

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"null", b"1", b"\xff", b"[" * 100_000, b"\xed\xa0\x80"]
    )
    async def test_garbage_that_is_signed(self, world: World, body: bytes) -> None:
        from emulators.portone_notices import signature

        headers, _ = world.emulator.notices.make({})
        headers["webhook-signature"] = signature(
            world.emulator.webhook_secret,
            headers["webhook-id"],
            headers["webhook-timestamp"],
            body,
        )
        with pytest.raises(WebhookForged, match="cannot be read"):
            await world.portone.read_webhook(headers, body)

    @pytest.mark.parametrize(
        "notice",
        [
            {"type": "Transaction.Novelty", "data": {"paymentId": ID}},
            {"type": "BillingKey.Issued", "data": {"billingKey": "b"}},
            {"type": "Transaction.Paid", "data": {"paymentId": ID, "storeId": "another"}},
            {"type": "Transaction.Paid", "data": {"storeId": PortOneEmulator.store_id}},
            {"type": "Transaction.Paid", "data": []},
            {"type": "Transaction.Paid"},
            {"type": ["Transaction.Paid"], "data": {"paymentId": ID}},
            {},
        ],
    )
    async def test_nothing_of_ours(self, world: World, notice: dict[str, object]) -> None:
        assert await world.portone.read_webhook(*world.emulator.notices.make(notice)) is None

    async def test_an_order_that_is_not_known_is_the_engines_business(self, world: World) -> None:
        await world.emulator.send_notice("somebody-elses")
        assert await self.read(world) == Hint("somebody-elses")


class TestChangedSince:
    async def test_pages(self, world: World) -> None:
        ids = [f"tu_{number:016}" for number in range(7)]
        for each in ids:
            await world.emulator.pay(each, amount=1)
        world.emulator.page_size_max = 3
        assert sorted(await world.portone.changed_since(0)) == ids
        assert len([call for call in world.emulator.calls if call[1] == "/payments"]) == 4

    async def test_by_when_it_changed(self, world: World) -> None:
        """An order of long ago is among them, when it is given back today."""
        for offset_s, each in enumerate(("tu_old", "tu_mid", "tu_new")):
            await world.emulator.set_clock(86_400.0 * offset_s)
            await world.emulator.pay(each, amount=10)
        since_ms = int((world.emulator.now() - 3_600) * 1_000)
        assert list(await world.portone.changed_since(since_ms)) == ["tu_new"]
        await world.emulator.console_cancel("tu_old", 1)
        assert set(await world.portone.changed_since(since_ms)) == {"tu_new", "tu_old"}

    async def test_what_changes_meanwhile_hides_nothing(self, world: World) -> None:
        for number in range(4):
            await world.emulator.set_clock(float(number))
            await world.emulator.pay(f"tu_{number}", amount=10)
        world.emulator.page_size_max = 2
        await world.emulator.fail_next("hold", route="/payments")
        asked = asyncio.create_task(world.portone.changed_since(0))
        while not world.emulator.calls:
            await asyncio.sleep(0)
        # What is on the second page comes to the front, while the first is on its way.
        await world.emulator.fail_next("hold", route="/payments")
        await world.emulator.release()
        while len(world.emulator.calls) < 2:
            await asyncio.sleep(0)
        await world.emulator.set_clock(9.0)
        await world.emulator.console_cancel("tu_1", 1)
        await world.emulator.release()
        assert set(await asked) >= {"tu_0", "tu_2", "tu_3"}

    async def test_payments_of_another_store(self, world: World) -> None:
        await world.emulator.pay(ID, amount=1)
        await world.emulator.pay("tu_b", amount=1)
        world.emulator.payments["tu_b"].store_id = "another"
        assert list(await world.portone.changed_since(0)) == [ID]

    async def test_none(self, world: World) -> None:
        assert list(await world.portone.changed_since(0)) == []

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "html"},
            {"kind": "error", "status": 500},
            {"kind": "error", "status": 401, "code": "UNAUTHORIZED"},
        ],
    )
    async def test_a_fault(self, world: World, fault: dict[str, object]) -> None:
        await world.emulator.fail_next(**fault)  # type: ignore[arg-type]
        with pytest.raises(ProviderUnsure):
            await world.portone.changed_since(0)

    async def test_an_item_without_an_id(self, world: World) -> None:
        await world.emulator.pay(ID, amount=1)
        await world.emulator.distort(ID, {"id": None})
        with pytest.raises(ProviderUnsure):
            await world.portone.changed_since(0)

    async def test_a_list_without_an_end(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tokenferry.payments.portone._PAGES_MAX", 2)
        world.emulator.page_size_max = 1
        await world.emulator.pay(ID, amount=1)
        assert list(await world.portone.changed_since(0)) == [ID]
        await world.emulator.pay("tu_b", amount=1)
        with pytest.raises(ProviderUnsure, match="more than 2 pages"):
            await world.portone.changed_since(0)
