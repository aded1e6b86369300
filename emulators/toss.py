"""Toss Payments as its documents describe it, over real HTTP: for tests, and to try it by hand.

`python -m emulators.toss --port 8201 --webhook http://127.0.0.1:8080/…` runs it alone; the page at
`/` shows what it holds. Every method of `TossEmulator` that is listed in `_CONTROLS` can be called
as `POST /_control/<name>` with its arguments as a JSON object.

Source: docs.tosspayments.com, "Core API", "Idempotency keys", "API error codes" and "JavaScript SDK
version 2", November 2026.
"""

import argparse
import asyncio
import json
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any, NamedTuple

from aiohttp import web

from emulators.toss_books import Json, TossBooks, TossError
from emulators.toss_notices import Outbox
from emulators.toss_pages import add_pages

CLIENT_KEY = "test_ck_emulated0client0key"
SECRET_KEY = "test_sk_emulated0secret0key"
IDEMPOTENCY_S = 15 * 24 * 3600
IDEMPOTENCY_CHARS_MAX = 300
HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"
_CONTROLS = (
    "request_payment", "pay", "fail", "deposit", "bounce", "refund", "advance", "fail_next",
    "clear_faults", "cut_hung", "deliver", "lose", "retry", "forge", "state", "settings",
)  # fmt: skip


class Fault(NamedTuple):
    """What goes wrong with a call.

    Attributes:
        kind: Before anything is done: `error`, `html`, `stall`. Instead of it, and remembered for
            the idempotency key: `reject`. After it: `hang`, `reset`, `html_after`, `body`.
        method: Of which calls: `GET`, `POST`, or empty for all.
        path: Only of those whose path contains it.
        status: Of the answer; 0 for the usual one.
        code: In it.
        body: What is answered instead, for `body`.
    """

    kind: str
    method: str = ""
    path: str = ""
    status: int = 0
    code: str = "FAILED_INTERNAL_SYSTEM_PROCESSING"
    body: Any = None


class TossEmulator:
    """A merchant's account at Toss Payments.

    Args:
        webhook_url: Where notices go; None for nowhere.
        client_key: The key that the script takes.
        secret_key: The key that the API takes.
    """

    def __init__(
        self,
        webhook_url: str | None = None,
        *,
        client_key: str = CLIENT_KEY,
        secret_key: str = SECRET_KEY,
    ) -> None:
        self.client_key = client_key
        self.secret_key = secret_key
        self.books = TossBooks()
        self.outbox = Outbox(webhook_url, self.books.stamp)
        self.books.changed = self.outbox.changed
        # What came: method, path, idempotency key, body.
        self.calls: list[tuple[str, str, str | None, Any]] = []
        self.hung = asyncio.Event()
        self._faults: list[Fault] = []
        self._answers: dict[tuple[str, str, str], tuple[float, int, Any] | None] = {}
        self._hanging: list[asyncio.Event] = []
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self, port: int = 0) -> str:
        """Listen on loopback; return the address."""
        app = web.Application()
        app.router.add_route("*", "/v1/{rest:.*}", self._api)
        app.router.add_post("/_control/{name}", self._control)
        add_pages(app, self)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self.url

    async def stop(self) -> None:
        self.cut_hung()
        await self.outbox.close()
        if self._runner is not None:
            await self._runner.cleanup()

    # -- what a test, or a person, can do ------------------------------------------------------

    def request_payment(self, order_id: str, amount: float, **more: Any) -> str:
        """Open the window for a payment; return its key."""
        key: str = self.books.open_window(order_id, amount, **more)["paymentKey"]
        return key

    def pay(self, key: str, method: str = "CARD") -> str:
        """Let the buyer agree, by CARD or VIRTUAL_ACCOUNT; return where the browser goes."""
        return self.books.agree(key, method)

    def fail(self, key: str, code: str = "PAY_PROCESS_CANCELED") -> str:
        """Let the buyer give up; return where the browser goes."""
        return self.books.give_up(key, code)

    def deposit(self, key: str) -> None:
        """Pay into the virtual account."""
        self.books.deposit(key)

    def bounce(self, key: str) -> None:
        """Let the deposit go back."""
        self.books.bounce(key)

    def refund(self, key: str, amount: int | None = None, reason: str = "상점 관리자") -> None:
        """Refund at the console: a part, or what is left."""
        self.books.cancel(key, {"cancelReason": reason, "cancelAmount": amount}, console=True)

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self.books.advance(seconds)

    def fail_next(self, kind: str, n: int = 1, **more: Any) -> None:
        """Let the next calls go wrong; see `Fault`."""
        self._faults += [Fault(kind, **more)] * n

    def clear_faults(self) -> None:
        """Let calls go right again."""
        self._faults.clear()

    def cut_hung(self) -> int:
        """Cut the connections of calls that hang; return how many."""
        hanging, self._hanging = self._hanging, []
        for event in hanging:
            event.set()
        return len(hanging)

    async def deliver(self, times: int = 1, *, newest_first: bool = False) -> list[int]:
        """Send the notices that are held."""
        return await self.outbox.deliver(times=times, newest_first=newest_first)

    def lose(self) -> int:
        """Lose the notices that are held."""
        return self.outbox.lose()

    async def retry(self) -> list[int]:
        """Send again what was not answered with 200."""
        return await self.outbox.retry()

    async def forge(self, body: Json) -> int:
        """Send a notice of somebody else's."""
        return await self.outbox.forge(body)

    def settings(
        self, *, hidden_until_confirmed: bool | None = None, at_once: bool | None = None
    ) -> None:
        """Change how it behaves: see `TossBooks` and `Outbox`."""
        if hidden_until_confirmed is not None:
            self.books.hidden_until_confirmed = hidden_until_confirmed
        if at_once is not None:
            self.outbox.at_once = at_once

    def state(self) -> Json:
        """Return what it holds."""
        held = [json.loads(notice.body) for notice in self.outbox.held]
        payments, rows = list(self.books.payments.values()), self.books.transactions
        return {"payments": payments, "transactions": rows, "held": held}

    def count(self, method: str, part: str) -> int:
        """Return how many calls came whose path contains a part."""
        return sum(call[0] == method and part in call[1] for call in self.calls)

    # -- HTTP --------------------------------------------------------------------------------

    async def _control(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _CONTROLS:
            return web.json_response({"error": "no such control"}, status=404)
        try:
            arguments = await request.json() if request.can_read_body else {}
            result = getattr(self, name)(**arguments)
            if asyncio.iscoroutine(result):
                result = await result
        except (TossError, TypeError, ValueError, KeyError) as exc:
            return web.json_response({"error": repr(exc)}, status=400)
        return web.json_response({"result": result})

    async def _api(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw) if raw else None
        key = request.headers.get("idempotency-key")
        self.calls.append((request.method, request.path, key, body))
        fault = self._fault(request)
        if fault is not None and fault.kind == "html":
            return web.Response(text=HTML, content_type="text/html", status=502)
        if fault is not None and fault.kind == "error":
            return _error(TossError(fault.status or 500, fault.code, "요청을 처리하지 못했습니다."))
        credential = b64encode(f"{self.secret_key}:".encode()).decode()
        if request.headers.get("authorization") != f"Basic {credential}":
            return _error(TossError(401, "UNAUTHORIZED_KEY", "인증되지 않은 시크릿 키 입니다."))
        # The body is no part of it, as Toss documents.
        scope = (key or "", request.method, request.path)
        if request.method == "POST" and key:
            known = self._replay(scope)
            if known is not None:
                return known
            self._answers[scope] = None
        if fault is not None and fault.kind == "stall":
            await self._hang()
        if fault is not None and fault.kind == "reject":
            status, answer = fault.status or 403, {"code": fault.code, "message": "거절되었습니다."}
        else:
            status, answer = self._answer(request, body)
        if request.method == "POST" and key:
            # A copy: later changes of the payment do not change the first answer.
            copy = json.loads(json.dumps(answer))
            self._answers[scope] = (self.books.now(), status, copy)
        return await self._after(request, fault, web.json_response(answer, status=status))

    async def _after(
        self, request: web.Request, fault: Fault | None, response: web.Response
    ) -> web.StreamResponse:
        if fault is None:
            return response
        match fault.kind:
            case "hang":
                await self._hang()
            case "html_after":
                return web.Response(text=HTML, content_type="text/html", status=502)
            case "body":
                return web.json_response(fault.body, status=fault.status or 200)
            case "reset":
                pass
            case _:
                return response
        if request.transport is not None:
            request.transport.abort()
        return response

    async def _hang(self) -> None:
        event = asyncio.Event()
        self._hanging.append(event)
        self.hung.set()
        await event.wait()

    def _fault(self, request: web.Request) -> Fault | None:
        for number, fault in enumerate(self._faults):
            if fault.method in ("", request.method) and fault.path in request.path:
                return self._faults.pop(number)
        if code := request.headers.get("tosspayments-test-code"):
            return Fault("error", status=400, code=code)
        return None

    def _replay(self, scope: tuple[str, str, str]) -> web.Response | None:
        if len(scope[0]) > IDEMPOTENCY_CHARS_MAX:
            return _error(TossError(400, "INVALID_IDEMPOTENCY_KEY", "멱등키는 300자 이하입니다."))
        if scope not in self._answers:
            return None
        known = self._answers[scope]
        if known is None:
            message = "이전 멱등 요청이 처리중입니다."
            return _error(TossError(409, "IDEMPOTENT_REQUEST_PROCESSING", message))
        if self.books.now() - known[0] > IDEMPOTENCY_S:
            return None
        return web.json_response(known[2], status=known[1])

    def _answer(self, request: web.Request, body: Any) -> tuple[int, Any]:
        try:
            return 200, self._route(request)(body)
        except TossError as exc:
            return exc.status, {"code": exc.code, "message": exc.message}

    def _route(self, request: web.Request) -> Callable[[Any], Any]:
        books = self.books
        match [request.method, *request.path.strip("/").split("/")[1:]]:
            case ["POST", "payments", "confirm"]:
                return books.confirm
            case ["POST", "payments", key, "cancel"]:
                return lambda body: books.cancel(key, body)
            case ["GET", "payments", "orders", order_id]:
                return lambda _: books.find_by_order(order_id)
            case ["GET", "payments", key]:
                return lambda _: books.find(key)
            case ["GET", "transactions"]:
                query = request.query
                start, end = query.get("startDate", ""), query.get("endDate", "")
                limit = min(int(query.get("limit", "100")), 10_000)
                after = query.get("startingAfter")
                return lambda _: books.list_transactions(start, end, after, limit)
        raise TossError(404, "NOT_FOUND", "존재하지 않는 정보 입니다.")


def _error(exc: TossError) -> web.Response:
    return web.json_response({"code": exc.code, "message": exc.message}, status=exc.status)


async def _serve(port: int, webhook_url: str | None) -> None:
    emulator = TossEmulator(webhook_url)
    emulator.outbox.at_once = True
    url = await emulator.start(port)
    print(f"Toss Payments, emulated: {url}")
    print(f"client key {CLIENT_KEY}, secret key {SECRET_KEY}, script {url}/v2/standard", flush=True)
    try:
        # What is overdue expires also when nobody asks.
        while True:
            await asyncio.sleep(1)
            emulator.advance(0)
    finally:
        await emulator.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m emulators.toss")
    parser.add_argument("--port", type=int, default=8201)
    parser.add_argument("--webhook", metavar="URL")
    arguments = parser.parse_args()
    try:
        asyncio.run(_serve(arguments.port, arguments.webhook))
    except KeyboardInterrupt:
        print(f"stopped at {time.strftime('%H:%M:%S')}")


if __name__ == "__main__":
    main()
