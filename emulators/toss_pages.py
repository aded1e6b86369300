"""The buyer's pages of the emulated Toss Payments, the browser script, and a plain console.

Source: docs.tosspayments.com, "JavaScript SDK version 2", November 2026.
"""

import html
import json
from typing import TYPE_CHECKING

from aiohttp import web

from emulators.toss_books import TossError

if TYPE_CHECKING:
    from emulators.toss import TossEmulator

SCRIPT = """\
"use strict";
window.TossPayments = function (clientKey) {
  return {
    payment: function (customer) {
      return {
        requestPayment: function (request) {
          const asked = JSON.stringify({ clientKey, customer, request });
          window.location.assign("%(base)s/_pay/open?asked=" + encodeURIComponent(asked));
          // The buyer leaves the page, as on a phone: it is never settled here.
          return new Promise(function () {});
        },
      };
    },
  };
};
window.TossPayments.ANONYMOUS = "ANONYMOUS";
"""
PAGE = """\
<!doctype html><html lang="ko"><head><meta charset="utf-8"><title>%(title)s</title>
<style>body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
form{display:inline}table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.3rem .6rem}
</style></head><body><h1>%(title)s</h1>%(body)s</body></html>
"""
BUYER = (
    ("card", "Pay by card"),
    ("account", "Pay into a virtual account"),
    ("fail", "Let it fail"),
    ("cancel", "Give up"),
)
CONSOLE = ("deposit", "bounce", "refund", "refund 1000")


def add_pages(app: web.Application, emulator: "TossEmulator") -> None:
    """Add the pages to an application."""
    pages = _Pages(emulator)
    app.router.add_get("/v2/standard", pages.script)
    app.router.add_get("/_pay/open", pages.open)
    app.router.add_get("/_pay/{key}", pages.pay)
    app.router.add_post("/_pay/{key}/{what}", pages.decide)
    app.router.add_get("/", pages.console)
    app.router.add_post("/_console/{key}/{what}", pages.act)


class _Pages:
    def __init__(self, emulator: "TossEmulator") -> None:
        self._emulator = emulator

    async def script(self, request: web.Request) -> web.Response:
        text = SCRIPT % {"base": f"{request.scheme}://{request.host}"}
        return web.Response(text=text, content_type="text/javascript")

    async def open(self, request: web.Request) -> web.Response:
        """Check what the script was given, and show the payment's page."""
        try:
            asked = json.loads(request.query["asked"])
            wanted, amount = asked["request"], asked["request"]["amount"]
            urls = {"success_url": wanted["successUrl"], "fail_url": wanted["failUrl"]}
            if asked["clientKey"] != self._emulator.client_key or not asked["customer"]:
                return _page("INVALID_CLIENT_KEY", "", 400)
            key = self._emulator.request_payment(
                wanted["orderId"],
                amount["value"],
                currency=amount["currency"],
                order_name=wanted["orderName"],
                **urls,
            )
        except (KeyError, TypeError, ValueError) as exc:
            return _page("INVALID_REQUEST", html.escape(repr(exc)), 400)
        except TossError as exc:
            return _page(exc.code, html.escape(exc.message), exc.status)
        raise web.HTTPSeeOther(f"/_pay/{key}")

    async def pay(self, request: web.Request) -> web.Response:
        key = request.match_info["key"]
        payment = self._emulator.books.payments.get(key)
        if payment is None:
            return _page("NOT_FOUND_PAYMENT", "", 404)
        amount = f"{payment['totalAmount']} {payment['currency']}"
        text = html.escape(f"{payment['orderName']}, {payment['orderId']}: {amount}")
        buttons = "".join(_button(f"/_pay/{key}/{what}", name, what) for what, name in BUYER)
        return _page("Toss Payments (emulated)", f"<p>{text}</p>{buttons}")

    async def decide(self, request: web.Request) -> web.Response:
        key, what = request.match_info["key"], request.match_info["what"]
        emulator = self._emulator
        try:
            match what:
                case "card":
                    url = emulator.pay(key)
                case "account":
                    url = emulator.pay(key, "VIRTUAL_ACCOUNT")
                case "fail":
                    url = emulator.fail(key, "REJECT_CARD_COMPANY")
                case _:
                    url = emulator.fail(key)
        except TossError as exc:
            return _page(exc.code, html.escape(exc.message), exc.status)
        except KeyError:
            return _page("NOT_FOUND_PAYMENT", "", 404)
        raise web.HTTPSeeOther(url)

    async def console(self, _: web.Request) -> web.Response:
        rows = []
        for key, payment in reversed(self._emulator.books.payments.items()):
            names = ("orderId", "status", "method", "totalAmount", "balanceAmount", "currency")
            cells = "".join(f"<td>{html.escape(str(payment[name]))}</td>" for name in names)
            buttons = "".join(_button(f"/_console/{key}/{what}", what, what) for what in CONSOLE)
            rows.append(f"<tr>{cells}<td>{buttons}</td></tr>")
        table = f"<table>{''.join(rows)}</table>" if rows else "<p>No payments yet.</p>"
        return _page("Toss Payments console (emulated)", table)

    async def act(self, request: web.Request) -> web.Response:
        key, what = request.match_info["key"], request.match_info["what"]
        emulator = self._emulator
        try:
            match what:
                case "deposit":
                    emulator.deposit(key)
                case "bounce":
                    emulator.bounce(key)
                case "refund":
                    emulator.refund(key)
                case _:
                    emulator.refund(key, 1000)
        except TossError as exc:
            return _page(exc.code, html.escape(exc.message), exc.status)
        except KeyError:
            return _page("NOT_FOUND_PAYMENT", "", 404)
        raise web.HTTPSeeOther("/")


def _button(path: str, name: str, what: str) -> str:
    return f'<form method="post" action="{path}"><button name="{what}">{name}</button></form> '


def _page(title: str, body: str, status: int = 200) -> web.Response:
    text = PAGE % {"title": html.escape(title), "body": body}
    return web.Response(text=text, content_type="text/html", status=status)
