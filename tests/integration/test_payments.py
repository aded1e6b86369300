"""Credit is bought at emulated providers, over HTTP, by a running gateway: once, whatever is lost."""

import asyncio
import contextlib
import itertools
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from aiohttp import web
from emulators.portone import PortOneEmulator
from emulators.stripe import StripeEmulator
from emulators.toss import CLIENT_KEY, SECRET_KEY, TossEmulator

from harness.accounts import Member, call, log_in, member
from harness.gateway import SERVER, Gateway
from harness.http_client import ConnectionFailed, Response, fetch

RATE = {"krw_per_usd": "1450.00", "krw_rate_date": "2026-11-27"}
PACKAGES = {"packages_usd": ["5.00"], "packages_krw": ["10000"]}
# Ten thousand won at the rate, rounded down to a nano-dollar.
WON_CREDIT = "6.896551724"
Step = Callable[[str], Awaitable[Any]]


@dataclass
class Seller:
    """A provider, and how a buyer pays there; every step takes the order's id."""

    name: str
    package: str
    credit: str
    minor: int
    emulator: Any
    pay: Step
    refund_at_console: Step
    forge: Step
    notices: Callable[[], Awaitable[Any]]


class Market:
    """The emulators, a gateway that sells by them, and a buyer."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.toss = TossEmulator()
        self.portone = PortOneEmulator()
        self.stripe = StripeEmulator()
        self.gateway: Gateway
        self.buyer: Member
        self.sellers: dict[str, Seller] = {}
        self.numbers = itertools.count()

    async def open(self, stack: AsyncExitStack) -> "Market":
        toss_url = await self.toss.start()
        stack.push_async_callback(self.toss.stop)
        runner = web.AppRunner(self.portone.app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        portone_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        await stack.enter_async_context(self.stripe.running())
        # Nothing is sent unless a test says so.
        await self.portone.set_notices("hold")
        self.stripe.hold()
        tables = {
            "payments": {**PACKAGES, **RATE},
            "toss": {
                "client_key": CLIENT_KEY,
                "secret_key": SECRET_KEY,
                "api_url": toss_url,
                "script_url": f"{toss_url}/v2/standard",
            },
            "portone": {
                "store_id": self.portone.store_id,
                "channel_key": self.portone.channel_key,
                "api_secret": self.portone.api_secret,
                "webhook_secret": self.portone.webhook_secret,
                "test": True,
                "api_url": portone_url,
                "script_url": f"{portone_url}/v2/browser-sdk.js",
            },
            "stripe": {
                "secret_key": self.stripe.secret_key,
                "webhook_secret": self.stripe.webhook_secret,
                "api_url": self.stripe.url,
            },
            "accounts": {"signup": "open", "signups_per_ip_per_hour": 0},
        }
        gateway = Gateway(self.directory, server=dict(SERVER), tables=tables)
        # The port is known now: buyers come back to it, and notices go there.
        text = gateway.config.read_text()
        text = text.replace("[server]\n", f'[server]\npublic_url = "{gateway.url}"\n')
        gateway.config.write_text(text)
        hooks = f"{gateway.url}/api/webhooks"
        self.toss.outbox.url = f"{hooks}/toss"
        await self.portone.set_notices("hold", f"{hooks}/portone")
        self.stripe.webhook_url = f"{hooks}/stripe"
        self.gateway = await gateway.start()
        stack.push_async_callback(self.close)
        self._describe()
        return self

    async def welcome(self) -> None:
        self.toss.lose()
        self.toss.hung.clear()
        self.stripe.drop()
        await self.portone.set_notices("lose")
        await self.portone.set_notices("hold")
        self.portone.notices.held.clear()
        self.buyer = await member(self.gateway, f"buyer{next(self.numbers)}@example.com")

    async def close(self) -> None:
        if self.gateway.running:
            await self.gateway.kill()

    def _describe(self) -> None:
        async def toss_pays(order_id: str) -> str:
            key = self.toss.request_payment(
                order_id, 10_000, success_url=f"{self.gateway.url}/pay/{order_id}/return"
            )
            return self.toss.pay(key)

        async def toss_refunds(order_id: str) -> None:
            self.toss.refund(self.toss_key(order_id))

        async def toss_forges(order_id: str) -> int:
            data = {"orderId": order_id, "status": "DONE", "totalAmount": 10_000}
            return await self.toss.forge({"eventType": "PAYMENT_STATUS_CHANGED", "data": data})

        async def portone_pays(order_id: str) -> str:
            await self.portone_opens(order_id)
            await self.portone.pay(order_id)
            return f"{self.gateway.url}/pay/{order_id}/return?paymentId={order_id}"

        async def portone_refunds(order_id: str) -> None:
            await self.portone.console_cancel(order_id)

        async def portone_forges(order_id: str) -> int:
            notice = {
                "type": "Transaction.Paid",
                "data": {"storeId": self.portone.store_id, "paymentId": order_id},
            }
            wrong = self.portone.notices.make(notice, secret="whsec_AAAA")
            return await self.portone.notices.send(*wrong)

        async def stripe_pays(order_id: str) -> str:
            self.stripe.books.pay(self.session(order_id))
            return f"{self.gateway.url}/pay/{order_id}/return"

        async def stripe_refunds(order_id: str) -> None:
            self.stripe.books.console_refund(self.session(order_id))

        rows = (
            Seller("toss", "KRW-10000", WON_CREDIT, 10_000, self.toss, toss_pays, toss_refunds,
                   toss_forges, self.toss.deliver),
            Seller("portone", "KRW-10000", WON_CREDIT, 10_000, self.portone, portone_pays,
                   portone_refunds, portone_forges, self.portone.release_notices),
            Seller("stripe", "USD-500", "5.00", 500, self.stripe, stripe_pays, stripe_refunds,
                   self.stripe.send_forged, self.stripe.deliver),
        )  # fmt: skip
        self.sellers = {seller.name: seller for seller in rows}

    def toss_key(self, order_id: str) -> str:
        keys = [k for k, p in self.toss.books.payments.items() if p["orderId"] == order_id]
        return keys[-1]

    def session(self, order_id: str) -> str:
        sessions = self.stripe.books.sessions
        [found] = [k for k, s in sessions.items() if s["client_reference_id"] == order_id]
        return found

    async def portone_opens(self, order_id: str) -> None:
        await self.portone.open_window(
            {
                "storeId": self.portone.store_id,
                "channelKey": self.portone.channel_key,
                "paymentId": order_id,
                "totalAmount": 10_000,
                "currency": "KRW",
                "redirectUrl": f"{self.gateway.url}/pay/{order_id}/return",
            }
        )

    async def order(self, seller: Seller) -> dict[str, Any]:
        wish = {"provider": seller.name, "package": seller.package}
        response = await self.buyer.call("POST", "/api/topups", wish)
        assert response.status == 201, response.body
        return dict(response.json)

    async def state(self, order_id: str) -> tuple[str, str]:
        response = await self.buyer.call("GET", f"/api/topups/{order_id}")
        return response.json["state"], response.json["credited"]

    async def balance(self) -> str:
        return str((await self.buyer.call("GET", "/api/balance")).json["balance"])

    async def visit(self, url: str, **headers: str) -> Response:
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        return await fetch(self.gateway.port, "GET", path, headers=headers)

    async def check(self, order_id: str) -> Response:
        return await self.buyer.call("POST", f"/api/topups/{order_id}/check", {})

    async def administrator(self) -> Member:
        email = f"chief{next(self.numbers)}@example.com"
        await member(self.gateway, email)
        self.write(f"UPDATE account SET role = 'admin' WHERE email = '{email}'")
        return await log_in(self.gateway, email)

    def make_due(self, order_id: str) -> None:
        """Let the time until the next look pass."""
        self.write(f"UPDATE topup_order SET next_look_ms = 0 WHERE order_id = '{order_id}'")

    def write(self, statement: str) -> None:
        database = self.gateway.data_dir / "tokenferry.db"
        with contextlib.closing(sqlite3.connect(database)) as connection, connection:
            assert connection.execute(statement).rowcount == 1

    async def verified(self) -> None:
        status, out, err = await self.gateway.command(
            "ledger", "verify", "--data-dir", str(self.gateway.data_dir)
        )
        assert status == 0, out + err


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole_market(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    async with AsyncExitStack() as stack:
        market = await Market(tmp_path_factory.mktemp("market")).open(stack)
        yield market
        await market.verified()


@pytest_asyncio.fixture(loop_scope="module")
async def market(whole_market: Market) -> Market:
    """Return the market with a new buyer, and no notices of others."""
    await whole_market.welcome()
    return whole_market


every_seller = pytest.mark.parametrize("name", ["toss", "portone", "stripe"])


@every_seller
async def test_the_buyer_comes_back_and_has_the_credit_once(market: Market, name: str) -> None:
    seller = market.sellers[name]
    order = await market.order(seller)
    assert (order["state"], order["credit"], order["credited"]) == ("open", seller.credit, "0.00")
    back = await seller.pay(order["id"])
    for _ in range(3):
        page = await market.visit(back)
        assert page.status == 200
        assert "The credit is on your account" in page.body.decode()
    assert await market.balance() == seller.credit
    assert await market.state(order["id"]) == ("paid", seller.credit)


@every_seller
async def test_the_notice_alone_is_enough_and_comes_as_often_as_it_likes(
    market: Market, name: str
) -> None:
    seller = market.sellers[name]
    order = await market.order(seller)
    back = await seller.pay(order["id"])
    if name == "toss":
        # The merchant has to confirm first, and the browser brings what is confirmed; the
        # notice is about what came of that.
        await market.visit(back)
    await asyncio.gather(seller.notices(), seller.notices())
    await seller.notices(times=3)
    assert await market.state(order["id"]) == ("paid", seller.credit)
    assert await market.balance() == seller.credit


@every_seller
async def test_a_forged_notice_credits_nothing(market: Market, name: str) -> None:
    seller = market.sellers[name]
    order = await market.order(seller)
    status = await seller.forge(order["id"])
    # Toss signs nothing: the notice has the provider asked, and that is all.
    assert status == (200 if name == "toss" else 401)
    assert await market.balance() == "0.00"
    assert await market.state(order["id"]) == ("open", "0.00")


@every_seller
async def test_an_order_of_another_provider_is_not_settled(market: Market, name: str) -> None:
    """A paid order's id in a notice of a provider by whom nobody has paid."""
    seller = market.sellers[name]
    order = await market.order(market.sellers["stripe" if name != "stripe" else "portone"])
    if name == "toss":
        assert await seller.forge(order["id"]) == 200
    elif name == "portone":
        data = {"storeId": market.portone.store_id, "paymentId": order["id"]}
        right = market.portone.notices.make({"type": "Transaction.Paid", "data": data})
        assert await market.portone.notices.send(*right) == 200
    else:
        thing = {"object": "checkout.session", "client_reference_id": order["id"]}
        event = {
            "object": "event",
            "type": "checkout.session.completed",
            "livemode": False,
            "data": {"object": thing},
        }
        assert await market.stripe.send(*market.stripe.notice(event)) == 200
    assert await market.balance() == "0.00"


@pytest.mark.parametrize("name", ["toss", "portone", "stripe", "alipay"])
async def test_what_is_not_configured_takes_nothing(tmp_path: Path, name: str) -> None:
    gateway = await Gateway(tmp_path, server=dict(SERVER)).start()
    try:
        answer = await call(gateway, "POST", f"/api/webhooks/{name}", {"data": {}})
        assert (answer.status, answer.error["code"]) == (404, "payment_method_unavailable")
        options = await call(gateway, "GET", "/api/topups/options")
        assert options.json == {"providers": [], "packages": []}
    finally:
        await gateway.kill()


@every_seller
async def test_all_notices_are_lost_and_the_buyer_never_comes_back(
    market: Market, name: str
) -> None:
    seller = market.sellers[name]
    order = await market.order(seller)
    back = await seller.pay(order["id"])
    if name == "toss":
        # Agreed to, written down, and the answer to the confirmation was lost.
        market.toss.fail_next("reset", method="POST", path="confirm")
        page = await market.visit(back)
        assert page.status == 503
    await market.gateway.kill()
    market.make_due(order["id"])
    await market.gateway.start()
    async with asyncio.timeout(30):
        while await market.state(order["id"]) != ("paid", seller.credit):
            await asyncio.sleep(0.05)
    assert await market.balance() == seller.credit


async def test_killed_between_confirmation_and_credit(market: Market) -> None:
    """Toss has the money, we have said nothing yet, and the process dies."""
    seller = market.sellers["toss"]
    order = await market.order(seller)
    back = await seller.pay(order["id"])
    market.toss.fail_next("hang", method="POST", path="confirm")
    visit = asyncio.create_task(market.visit(back))
    await asyncio.wait_for(market.toss.hung.wait(), 20)
    await market.gateway.kill()
    with pytest.raises(ConnectionFailed):
        await visit
    market.toss.cut_hung()
    assert market.toss.books.payments[market.toss_key(order["id"])]["status"] == "DONE"
    await market.gateway.start()
    assert await market.balance() == "0.00"
    assert (await market.toss.deliver(times=2))[-1] == 200
    assert await market.balance() == seller.credit
    confirmed = [call for call in market.toss.calls if order["id"] in str(call[3])]
    assert [call[:2] for call in confirmed] == [("POST", "/v1/payments/confirm")]


async def test_killed_in_the_middle_of_a_refund(market: Market) -> None:
    seller = market.sellers["toss"]
    order = await market.order(seller)
    await market.visit(await seller.pay(order["id"]))
    admin = await market.administrator()
    market.toss.hung.clear()
    market.toss.fail_next("hang", method="POST", path="cancel")
    path = f"/api/admin/topups/{order['id']}/refund"
    refund = asyncio.create_task(admin.call("POST", path, {"amount_minor": 4_000}))
    await asyncio.wait_for(market.toss.hung.wait(), 20)
    await market.gateway.kill()
    with pytest.raises(ConnectionFailed):
        await refund
    market.toss.cut_hung()
    await market.gateway.start()
    # Due since before the provider was asked.
    async with asyncio.timeout(30):
        while (await market.state(order["id"]))[0] != "partly_refunded":
            await asyncio.sleep(0.05)
    assert await market.balance() == "4.137931034"
    [payment] = [p for p in market.toss.state()["payments"] if p["orderId"] == order["id"]]
    assert payment["balanceAmount"] == 6_000


@every_seller
async def test_an_administrator_gives_money_back(market: Market, name: str) -> None:
    seller = market.sellers[name]
    order = await market.order(seller)
    await market.visit(await seller.pay(order["id"]))
    admin = await market.administrator()
    path = f"/api/admin/topups/{order['id']}/refund"
    refused = await admin.call("POST", path, {"amount_minor": seller.minor + 1})
    assert (refused.status, refused.json["refundable_minor"]) == (409, seller.minor)
    assert (await market.buyer.call("POST", path, {"amount_minor": 1})).status == 403
    done = await admin.call("POST", path, {"amount_minor": seller.minor})
    assert (done.status, done.json["state"], done.json["credited"]) == (200, "refunded", "0.00")
    assert await market.balance() == "0.00"
    listed = await admin.call("GET", f"/api/admin/topups?account={market.buyer.account_id}")
    [row] = listed.json["data"]
    assert (row["id"], row["refunded_minor"], row["lost"]) == (order["id"], seller.minor, "0.00")


@every_seller
async def test_a_refund_at_the_providers_console_is_noticed(market: Market, name: str) -> None:
    seller = market.sellers[name]
    order = await market.order(seller)
    await market.visit(await seller.pay(order["id"]))
    await seller.refund_at_console(order["id"])
    await seller.notices()
    assert await market.state(order["id"]) == ("refunded", "0.00")
    assert await market.balance() == "0.00"


async def test_a_dispute_after_the_credit_was_spent_suspends_until_somebody_looks(
    market: Market,
) -> None:
    seller = market.sellers["stripe"]
    order = await market.order(seller)
    await market.visit(await seller.pay(order["id"]))
    admin = await market.administrator()
    path = f"/api/admin/accounts/{market.buyer.account_id}/grants"
    taken = await admin.call("POST", path, {"amount": "-3.00", "reason": "spent"})
    assert taken.status in (200, 201), taken.body
    dispute = market.stripe.books.dispute(market.session(order["id"]))
    await market.stripe.deliver()
    listed = await admin.call("GET", f"/api/admin/topups?account={market.buyer.account_id}")
    [row] = listed.json["data"]
    assert (row["state"], row["credited"], row["lost"]) == ("disputed", "0.00", "3.00")
    assert (await market.buyer.call("GET", "/api/balance")).status == 403
    market.stripe.books.set_dispute(dispute["id"], "won")
    await market.stripe.deliver()
    listed = await admin.call("GET", f"/api/admin/topups?account={market.buyer.account_id}")
    assert (listed.json["data"][0]["state"], listed.json["data"][0]["lost"]) == ("paid", "0.00")


async def test_a_deposit_comes_later_goes_back_and_comes_again(market: Market) -> None:
    seller = market.sellers["toss"]
    order = await market.order(seller)
    key = market.toss.request_payment(
        order["id"], 10_000, success_url=f"{market.gateway.url}/pay/{order['id']}/return"
    )
    page = await market.visit(market.toss.pay(key, "VIRTUAL_ACCOUNT"))
    assert "Waiting for your deposit" in page.body.decode()
    assert await market.balance() == "0.00"
    market.toss.lose()
    market.toss.deposit(key)
    # The secret of a deposit's notice must be the payment's.
    assert (
        await market.toss.forge(
            {
                "secret": "ps_wrong",
                "status": "DONE",
                "transactionKey": "t",
                "orderId": order["id"],
                "createdAt": "2026-11-27T00:00:00",
            }  # fmt: skip
        )
        == 401
    )
    assert set(await market.toss.deliver(newest_first=True)) == {200}
    assert await market.balance() == seller.credit
    market.toss.bounce(key)
    await market.toss.deliver()
    assert await market.balance() == "0.00"
    market.toss.deposit(key)
    await market.toss.deliver(times=2)
    assert await market.balance() == seller.credit


async def test_an_amount_that_was_tampered_with_is_for_a_person(market: Market) -> None:
    order = await market.order(market.sellers["portone"])
    # As where the registration of the amount were not enforced.
    market.portone.registered.clear()
    await market.portone_opens(order["id"])
    await market.portone.pay(order["id"], 100)
    page = await market.visit(f"{market.gateway.url}/pay/{order['id']}/return")
    assert "not what was ordered" in page.body.decode()
    assert await market.state(order["id"]) == ("review", "0.00")


async def test_somebody_elses_order_is_none(market: Market) -> None:
    order = await market.order(market.sellers["toss"])
    other = await member(market.gateway, f"other{next(market.numbers)}@example.com")
    for method, path, body in (
        ("GET", f"/api/topups/{order['id']}", None),
        ("POST", f"/api/topups/{order['id']}/check", {}),
        ("GET", "/api/topups/tu_none", None),
    ):
        answer = await other.call(method, path, body)
        assert (answer.status, answer.error["code"]) == (404, "topup_not_found")
    assert (await other.call("GET", "/api/topups")).json == {"data": []}
    assert (await other.call("GET", "/api/admin/topups")).status == 403


async def test_what_is_wrong_with_a_wish_is_said(market: Market) -> None:
    for wish, status in (
        ({"provider": "toss", "package": "USD-500"}, 404),
        ({"provider": "toss", "package": "KRW-99999"}, 404),
        ({"provider": "alipay", "package": "USD-500"}, 404),
        ({"provider": "toss"}, 400),
        ({"provider": "toss", "package": "KRW-10000", "amount": 1}, 400),
    ):
        answer = await market.buyer.call("POST", "/api/topups", wish)
        assert answer.status == status, answer.body
    assert (await market.buyer.call("GET", "/api/topups")).json == {"data": []}
    options = (await call(market.gateway, "GET", "/api/topups/options")).json
    assert options["packages"] == [
        {"id": "USD-500", "currency": "USD", "amount": "5.00", "credit": "5.00"},
        {"id": "KRW-10000", "currency": "KRW", "amount": "10000", "credit": WON_CREDIT},
    ]
    assert {seller["name"]: seller["live"] for seller in options["providers"]} == {
        "toss": False, "portone": False, "stripe": False,
    }  # fmt: skip


async def test_pages_of_no_order_and_while_the_provider_is_silent(market: Market) -> None:
    for path in ("/pay/tu_none", "/pay/tu_none/return", "/pay/tu_none/failed"):
        page = await market.visit(f"{market.gateway.url}{path}", **{"Accept-Language": "ko-KR"})
        assert (page.status, "주문을 찾을 수 없습니다" in page.body.decode()) == (404, True)
    order = await market.order(market.sellers["portone"])
    await market.portone.fail_next("html")
    page = await market.visit(f"{market.gateway.url}/pay/{order['id']}/return")
    assert page.status == 503
    assert "Nothing is lost" in page.body.decode()


async def test_no_secret_reaches_pages_or_logs(market: Market) -> None:
    for seller in market.sellers.values():
        order = await market.order(seller)
        page = await market.visit(order["pay_url"])
        for secret in (SECRET_KEY, market.portone.api_secret, market.stripe.secret_key,
                       market.stripe.webhook_secret, market.portone.webhook_secret):  # fmt: skip
            assert secret not in page.body.decode()
            assert secret not in market.gateway.log()


async def test_the_amount_of_won_is_what_the_rate_says() -> None:
    assert int(WON_CREDIT.replace(".", "")) == 10_000 * 10**9 // 1450
