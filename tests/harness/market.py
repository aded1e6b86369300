"""A market: the emulators of all payment providers, a gateway that sells by them, and a buyer."""

import contextlib
import itertools
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from emulators.portone import PortOneEmulator
from emulators.stripe import StripeEmulator
from emulators.toss import CLIENT_KEY, SECRET_KEY, TossEmulator

from harness.accounts import Member, log_in, member
from harness.gateway import SERVER, Gateway
from harness.http_client import Response, fetch

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

    async def open(self, stack: AsyncExitStack, credit: str = "0.00") -> "Market":
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
                "ask_buyer": True,
                "api_url": portone_url,
                "script_url": f"{portone_url}/v2/browser-sdk.js",
            },
            "stripe": {
                "secret_key": self.stripe.secret_key,
                "webhook_secret": self.stripe.webhook_secret,
                "api_url": self.stripe.url,
            },
            "accounts": {"signup": "open", "signups_per_ip_per_hour": 0},
            "billing": {"signup_credit": credit, "top_up_url": "https://gateway.example/top-up"},
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
