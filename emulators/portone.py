"""A PortOne V2 that runs here: its API, its notices, and the page where a buyer pays.

`python -m emulators.portone --port 8701 --webhook http://127.0.0.1:8000/...` runs it alone.
Everything a test can do with it, a person can: `POST /_control/<method>` with its arguments as a
JSON object; the methods are those of `PortOneService`. `GET /_control` shows what it holds.

Source: developers.portone.io repository at af926bd, August 2026: the OpenAPI schema, and the
guide to idempotency keys.
"""

import argparse
import asyncio
import contextlib
import hmac
import inspect
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from emulators.portone_pages import ACTIONS, SCRIPT, check_window, pay_page
from emulators.portone_payments import Payment, PgError, Refused
from emulators.portone_service import PortOneService

IDEMPOTENCY_S = 3 * 3600
KEY_MIN, KEY_MAX = 16, 256
LIST_DAYS = 90
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PortOneEmulator(PortOneService):
    """The service over HTTP.

    Args:
        webhook_url: Where notices go; None for nowhere.
        live: Whether its channel is for real money.
    """

    def __init__(self, webhook_url: str | None = None, *, live: bool = False) -> None:
        super().__init__(webhook_url, live=live)
        # From an idempotency key to when it was used, for what, and the answer once there is one.
        self._answers: dict[str, tuple[float, bytes, web.Response | None]] = {}
        self.app = web.Application(middlewares=[self._guard])
        self.app.add_routes(
            [
                web.get("/payments", self._list),
                web.get("/payments-by-cursor", self._list_by_cursor),
                web.get("/payments/{id}", self._get),
                web.post("/payments/{id}/pre-register", self._pre_register),
                web.post("/payments/{id}/cancel", self._cancel),
                web.get("/v2/browser-sdk.js", self._script),
                web.post("/_pay", self._open),
                web.get("/_pay/{id}", self._page),
                web.post("/_pay/{id}", self._act),
                web.get("/_control", self._state),
                web.post("/_control/{method}", self._control),
            ]
        )
        self.app.on_shutdown.append(self._shut)

    # -- the API -------------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/payments"):
            try:
                return await handler(request)
            except Refused as refused:
                return web.json_response(refused.body, status=refused.status)
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"PortOne {self.api_secret}".encode()):
            return web.json_response({"type": "UNAUTHORIZED", "message": "no"}, status=401)
        body = await request.read()
        self.calls.append((request.method, request.path, json.loads(body or b"{}")))
        fault = self._fault(request)
        kind = fault.get("kind")
        if kind == "error":
            said = {"type": fault["code"], "message": "as told"} if fault["code"] else {}
            return web.json_response(said, status=int(fault["status"]))
        if kind == "html":
            return web.Response(
                text="<html><h1>502 Bad Gateway</h1></html>", content_type="text/html", status=502
            )
        if kind == "pg":
            refused = PgError("PG99", "은행 점검 시간입니다")
            return web.json_response(refused.body, status=refused.status)
        answer = await self._once(request, handler, body, held=kind == "hold")
        if kind == "hang":
            await self.released.wait()
        if kind == "reset" and request.transport is not None:
            request.transport.abort()
        return answer

    def _fault(self, request: web.Request) -> dict[str, str | int]:
        what = f"{request.method} {request.path}"
        for number, fault in enumerate(self.faults):
            if str(fault["route"]) in what:
                return self.faults.pop(number)
        return {}

    async def _once(
        self, request: web.Request, handler: Handler, body: bytes, *, held: bool
    ) -> web.StreamResponse:
        """Answer, with an idempotency key once in three hours."""
        key = request.headers.get("idempotency-key")
        if key is None or request.method == "GET":
            return await self._answer(request, handler, held=held)
        bare = key[1:-1]
        if key != f'"{bare}"' or not KEY_MIN <= len(bare) <= KEY_MAX:
            return web.json_response({"type": "INVALID_REQUEST"}, status=400)
        used_s, used_for, answer = self._answers.get(key, (0.0, b"", None))
        if used_for and self.now() - used_s < IDEMPOTENCY_S:
            # What happens to another request with the same key is not documented: it must not be.
            if used_for != request.path.encode() + body:
                return web.json_response({"type": "INVALID_REQUEST"}, status=400)
            if answer is None:
                said = {"type": "IDEMPOTENCY_OUTSTANDING_REQUEST"}
                return web.json_response(said, status=409)
            return web.Response(
                body=answer.body, status=answer.status, content_type="application/json"
            )
        self._answers[key] = (self.now(), request.path.encode() + body, None)
        made = await self._answer(request, handler, held=held)
        self._answers[key] = (self.now(), request.path.encode() + body, made)
        return made

    async def _answer(self, request: web.Request, handler: Handler, *, held: bool) -> web.Response:
        if held:
            await self.released.wait()
        try:
            made = await handler(request)
        except Refused as refused:
            return web.json_response(refused.body, status=refused.status)
        assert isinstance(made, web.Response)
        return made

    def _known(self, request: web.Request, store_id: str | None) -> Payment:
        if store_id not in (None, self.store_id):
            raise Refused(403, "FORBIDDEN", "no such store")
        payment = self.payments.get(request.match_info["id"])
        if payment is None:
            raise Refused(404, "PAYMENT_NOT_FOUND")
        return payment

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._known(request, request.query.get("storeId")).json())

    async def _pre_register(self, request: web.Request) -> web.Response:
        asked, payment_id = await request.json(), request.match_info["id"]
        payment = self.payments.get(payment_id)
        if asked.get("storeId", self.store_id) != self.store_id:
            raise Refused(403, "FORBIDDEN", "no such store")
        if payment is not None and payment.was_paid:
            raise Refused(409, "ALREADY_PAID")
        total, currency = asked.get("totalAmount"), asked.get("currency")
        if type(total) is not int or total <= 0 or not isinstance(currency, str):
            raise Refused(400, "INVALID_REQUEST")
        self.registered[payment_id] = (total, currency)
        return web.json_response({})

    async def _cancel(self, request: web.Request) -> web.Response:
        asked = await request.json()
        payment = self._known(request, asked.get("storeId"))
        made = payment.cancel(asked, "API", self.now(), self.cancel_outcome)
        if made.status == "FAILED":
            raise PgError("PG98", "가맹점 잔액이 부족합니다")
        if made.status == "SUCCEEDED":
            await self._tell_cancelled(payment, made.id)
        else:
            await self.notices.tell(payment, "CancelPending", made.id)
        return web.json_response({"cancellation": made.json()})

    async def _list(self, request: web.Request) -> web.Response:
        asked = self._asked(request)
        page, wanted = asked.get("page", {}), asked.get("filter", {})
        number, size = page.get("number", 0), min(page.get("size", 10), self.page_size_max)
        if (number + 1) * size > 60_000:
            raise Refused(400, "INVALID_REQUEST", "too far")
        begun = wanted.get("timestampType") == "CREATED_AT"
        found = self._between(wanted, begun=begun)
        by_change = wanted.get("sortBy") == "STATUS_CHANGED_AT"
        found.sort(
            key=lambda each: each.changed_s if by_change else each.requested_s,
            reverse=wanted.get("sortOrder") != "ASC",
        )
        shown = found[number * size : (number + 1) * size]
        info = {"number": number, "size": size, "totalCount": len(found)}
        return web.json_response({"items": [each.json() for each in shown], "page": info})

    async def _list_by_cursor(self, request: web.Request) -> web.Response:
        asked = self._asked(request)
        found = sorted(self._between(asked, begun=True), key=lambda each: each.requested_s)
        start = int(asked.get("cursor", -1)) + 1
        shown = list(enumerate(found))[start : start + min(asked.get("size", 10), 1000)]
        items = [{"payment": each.json(), "cursor": str(number)} for number, each in shown]
        return web.json_response({"items": items})

    def _asked(self, request: web.Request) -> dict[str, Any]:
        try:
            asked: dict[str, Any] = json.loads(request.query.get("requestBody", "{}"))
        except ValueError as exc:
            raise Refused(400, "INVALID_REQUEST") from exc
        return asked

    def _between(self, wanted: dict[str, Any], *, begun: bool) -> list[Payment]:
        def seconds(name: str, default: float) -> float:
            text = wanted.get(name)
            return datetime.fromisoformat(text).timestamp() if text else default

        until = seconds("until", self.now())
        since = seconds("from", until - LIST_DAYS * 86400)
        return [
            each
            for each in self.payments.values()
            if since <= (each.requested_s if begun else each.changed_s) <= until
        ]

    # -- for browsers --------------------------------------------------------------------------

    async def _script(self, request: web.Request) -> web.Response:
        script = SCRIPT.replace("@ORIGIN@", str(request.url.origin()))
        return web.Response(text=script, content_type="text/javascript")

    async def _open(self, request: web.Request) -> web.Response:
        """Open the window; the script of another origin asks."""
        allowed = {"access-control-allow-origin": "*"}
        try:
            asked = json.loads(await request.text())
            check_window(asked)
            payment = await self.open_window(asked)
        except Refused as refused:
            said = {"code": refused.body["type"], "message": refused.body["message"]}
            return web.json_response(said, headers=allowed)
        url = request.url.origin() / "_pay" / payment.id
        return web.json_response({"url": str(url)}, headers=allowed)

    async def _page(self, request: web.Request) -> web.Response:
        page = pay_page(self._known(request, None))
        return web.Response(text=page, content_type="text/html")

    async def _act(self, request: web.Request) -> web.Response:
        form = await request.post()
        action, payment = str(form.get("action")), self._known(request, None)
        if action not in ACTIONS:
            raise Refused(400, "INVALID_REQUEST", "no such button")
        mode = self.notices.mode
        self.notices.mode = "lose" if "lose" in form else "hold" if "hold" in form else mode
        try:
            payment = await getattr(self, action)(payment.id)
        finally:
            self.notices.mode = mode
        url = return_url(payment)
        if not url:
            return web.Response(text=pay_page(payment), content_type="text/html")
        raise web.HTTPSeeOther(url)

    # -- for tests and people ------------------------------------------------------------------

    async def _state(self, _request: web.Request) -> web.Response:
        held = [json.loads(body) for _headers, body in self.notices.held]
        shown = [each.json() for each in self.payments.values()]
        return web.json_response({"payments": shown, "held_notices": held})

    async def _control(self, request: web.Request) -> web.Response:
        method = getattr(PortOneService, request.match_info["method"], None)
        if not inspect.iscoroutinefunction(method) or method.__name__.startswith("_"):
            raise Refused(404, "NO_SUCH_CONTROL")
        arguments = json.loads(await request.text() or "{}")
        try:
            inspect.signature(method).bind(self, **arguments)
            done = await method(self, **arguments)
        except (TypeError, KeyError, IndexError) as exc:
            raise Refused(400, "INVALID_REQUEST", repr(exc)) from exc
        return web.json_response(done.json() if isinstance(done, Payment) else {"done": done})

    async def _shut(self, _app: web.Application) -> None:
        await self.release()
        await self.notices.close()


def return_url(payment: Payment) -> str:
    """Return where the buyer is led afterwards; empty if the page did not say."""
    if not payment.redirect_url:
        return ""
    query = {
        "transactionType": "PAYMENT",
        "txId": payment.transaction_id,
        "paymentId": payment.id,
    }
    if payment.status == "FAILED" and payment.failure:
        query |= {
            "code": "FAILURE_TYPE_PG",
            "message": payment.failure.get("reason", ""),
            "pgCode": payment.failure.get("pgCode", ""),
            "pgMessage": payment.failure.get("pgMessage", ""),
        }
    separator = "&" if "?" in payment.redirect_url else "?"
    return f"{payment.redirect_url}{separator}{urlencode(query)}"


async def serve(port: int, webhook_url: str | None, *, live: bool) -> None:
    """Run it alone, until it is stopped."""
    emulator = PortOneEmulator(webhook_url, live=live)
    runner = web.AppRunner(emulator.app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        host, bound = runner.addresses[0][:2]
        print(f"PortOne emulator: http://{host}:{bound}")
        print(f"  browser script: http://{host}:{bound}/v2/browser-sdk.js")
        print(f"  API secret:     {emulator.api_secret}")
        print(f"  webhook secret: {emulator.webhook_secret}")
        print(f"  store:          {emulator.store_id}")
        print(f"  channel key:    {emulator.channel_key}", flush=True)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="emulators.portone", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 for any that is free")
    parser.add_argument("--webhook", help="where notices are sent to")
    parser.add_argument("--live", action="store_true", help="a channel for real money")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(arguments.port, arguments.webhook, live=arguments.live))


if __name__ == "__main__":
    main()
