"""Stripe as a shop with Checkout sees it: API, signed notices, pay page, and faults on demand.

    python -m emulators.stripe --port 4243 --webhook http://127.0.0.1:8080/payments/stripe/webhook

`StripeEmulator` is the same for tests. Everything in `CONTROLS` is a method, and over HTTP
`POST /_control/<name>` with its arguments as a JSON object.

Source: docs.stripe.com (API reference, idempotent requests, webhook signatures), November 2026.
"""

import argparse
import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from emulators.stripe_books import DAY_S, StripeBooks, StripeFault, Thing
from emulators.stripe_wire import altered, failure, nested, page_of, pay_page

SECRET_KEY = "sk_test_emulated"
WEBHOOK_SECRET = "whsec_emulated"
KEY_CHARS_MAX = 255
# What changes or asks for the books, and what is of this module.
BOOKS_CONTROLS = (
    "pay", "arrive", "break_off", "expire", "console_refund", "set_refund", "dispute",
    "set_dispute",
)  # fmt: skip
CONTROLS = (
    *BOOKS_CONTROLS, "fail_next", "hang_next", "reset_next", "alter_next", "clear_faults",
    "release", "set_clock", "set_refund_status", "hold", "deliver", "send_forged", "drop", "state",
)  # fmt: skip


class StripeEmulator:
    """An account of Stripe behind HTTP.

    Attributes:
        books: What it holds.
        calls: Every API request so far: method, path and the Idempotency-Key.
        outbox: Notices that are not sent yet, because they are held.
        busy: The Idempotency-Keys of what is still being done.
    """

    def __init__(
        self,
        secret_key: str = SECRET_KEY,
        webhook_secret: str = WEBHOOK_SECRET,
        webhook_url: str = "",
    ) -> None:
        self.secret_key = secret_key
        self.webhook_secret = webhook_secret
        self.webhook_url = webhook_url
        self.books = StripeBooks(live="_live_" in secret_key, on_event=self._on_event)
        self.calls: list[tuple[str, str, str]] = []
        self.headers_seen: list[dict[str, str]] = []
        self.outbox: list[Thing] = []
        self.held = False
        self.url = ""
        self._faults: list[Thing] = []
        self._keys: dict[str, Thing] = {}
        # Failures that are repeated to a key, and until when.
        self._kept: dict[str, tuple[float, Thing]] = {}
        self.busy: set[str] = set()
        self._released = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/v1/{path:.*}", self._serve_api)
        app.router.add_get("/pay/{session}", self._show_page)
        app.router.add_post("/pay/{session}", self._press_button)
        app.router.add_post("/_control/{name}", self._control)
        return app

    @contextlib.asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator["StripeEmulator"]:
        """Serve on loopback; `url` says where."""
        runner = web.AppRunner(self.app(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self.release()
            await self.settled()
            await runner.cleanup()

    # -- faults ----------------------------------------------------------------------------

    def fail_next(
        self, times: int = 1, *, status: int = 500, match: str = "", kept: bool = False, **body: Any
    ) -> None:
        """Answer with an error and do nothing.

        `body` may be `html`, or the error's `type`, `code` and `message`. If it is `kept`, it is
        repeated to its idempotency key for a day, as what fails after it was begun.
        """
        fault = {"do": "fail", "match": match, "status": status, "body": body, "kept": kept}
        self._faults += [fault] * times

    def hang_next(self, times: int = 1, *, match: str = "", commit: bool = True) -> None:
        """Do it, if `commit`, and say nothing until `release`; else the key is in use so long."""
        self._faults += [{"do": "hang", "match": match, "commit": commit}] * times

    def reset_next(self, times: int = 1, *, match: str = "", commit: bool = True) -> None:
        """Do it, if `commit`, and cut the connection."""
        self._faults += [{"do": "reset", "match": match, "commit": commit}] * times

    def alter_next(self, changes: Thing, times: int = 1, *, match: str = "") -> None:
        """Do it, and answer with changes: a path of fields to a value; null takes the field out."""
        self._faults += [{"do": "alter", "match": match, "changes": changes}] * times

    def clear_faults(self) -> None:
        self._faults.clear()

    def release(self) -> None:
        """Let those go on who hang."""
        self._released.set()
        self._released = asyncio.Event()

    def set_clock(self, offset_s: float) -> None:
        """Set how far its clock is ahead of the real one; sessions expire by it."""
        self.books.offset_s = offset_s
        for session_id in self.books.sessions:
            self.books.session(session_id)

    def set_refund_status(self, status: str) -> None:
        """Set what becomes of the next refunds."""
        self.books.refund_status = status

    # -- notices ---------------------------------------------------------------------------

    def hold(self, *, on: bool = True) -> None:
        """Keep notices in the outbox, for `deliver`; before that, each is sent at once."""
        self.held = on

    def drop(self) -> int:
        """Lose what is in the outbox; it stays in the list of events."""
        lost = len(self.outbox)
        self.outbox.clear()
        return lost

    async def deliver(
        self, order: Iterable[int] | None = None, *, times: int = 1, age_s: int = 0
    ) -> list[int]:
        """Send what is held and return the HTTP statuses.

        `order` are places in the outbox, for another order or some only; `times` for duplicates;
        `age_s` signs as if it was so long ago.
        """
        held, self.outbox = self.outbox, []
        chosen = held if order is None else [held[place] for place in order]
        return [
            await self.send(*self.notice(event, age_s=age_s))
            for event in chosen
            for _ in range(times)
        ]

    async def send_forged(self, order_id: str) -> int:
        """Send what claims a payment and is signed with another secret."""
        thing = {"object": "checkout.session", "client_reference_id": order_id}
        event = {"type": "checkout.session.completed", "livemode": self.books.live}
        return await self.send(
            *self.notice(event | {"object": "event", "data": {"object": thing}}, secrets=("x",))
        )

    def notice(
        self, event: Thing, *, age_s: int = 0, secrets: tuple[str, ...] = ()
    ) -> tuple[dict[str, str], bytes]:
        """Return a notice's headers and body; with two secrets it has two signatures."""
        body = json.dumps(event).encode()
        return {"stripe-signature": self.sign(body, age_s=age_s, secrets=secrets)}, body

    def sign(self, body: bytes, *, age_s: int = 0, secrets: tuple[str, ...] = ()) -> str:
        stamp = str(int(self.books.now_s()) - age_s)
        signatures = [
            hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
            for secret in secrets or (self.webhook_secret,)
        ]
        return ",".join([f"t={stamp}", *(f"v1={signature}" for signature in signatures)])

    async def send(self, headers: dict[str, str], body: bytes) -> int:
        """Send a notice; 0 if nobody answers."""
        headers = {"content-type": "application/json; charset=utf-8", **headers}
        timeout = aiohttp.ClientTimeout(total=20)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as client,
                client.post(self.webhook_url, data=body, headers=headers) as response,
            ):
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    async def settled(self) -> None:
        """Wait for the notices that are being sent."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def state(self) -> Thing:
        """Return all that it holds."""
        names = ("sessions", "intents", "charges", "refunds", "disputes", "events")
        return {name: list(getattr(self.books, name).values()) for name in names}

    def _on_event(self, event: Thing) -> None:
        if not self.webhook_url or self.held:
            self.outbox.append(event)
            return
        task = asyncio.get_running_loop().create_task(self.send(*self.notice(event)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- the API ---------------------------------------------------------------------------

    async def _serve_api(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("Idempotency-Key", "")
        self.calls.append((request.method, request.path, key))
        self.headers_seen.append({name.lower(): value for name, value in request.headers.items()})
        fault = self._fault_for(request)
        until_s, kept = self._kept.get(key, (0.0, {}))
        if until_s > self.books.now_s():
            return failure(kept)
        if fault is not None and fault["do"] == "fail":
            if fault["kept"] and key:
                self._kept[key] = (self.books.now_s() + DAY_S, fault)
            return failure(fault)
        if fault is not None and not fault.get("commit", True):
            self.busy.add(key)
            try:
                return await self._break(request, fault)
            finally:
                self.busy.discard(key)
        status, body, headers = await self._answer(request, key)
        if fault is not None and fault["do"] != "alter":
            return await self._break(request, fault)
        if fault is not None:
            body = altered(body, fault["changes"])
        headers["Request-Id"] = f"req_{len(self.calls):06}"
        return web.json_response(body, status=status, headers=headers)

    async def _break(self, request: web.Request, fault: Thing) -> web.StreamResponse:
        if fault["do"] == "hang":
            await self._released.wait()
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _answer(self, request: web.Request, key: str) -> tuple[int, Any, dict[str, str]]:
        try:
            self._authenticate(request)
            text = (await request.read()).decode() if request.method == "POST" else ""
            params = nested(parse_qsl(text or request.query_string, keep_blank_values=True))
            if request.method == "POST" and key:
                return self._once(request, key, params)
            return 200, self._do(request, params), {}
        except StripeFault as exc:
            return exc.status, exc.body, {}

    def _authenticate(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self.secret_key.encode()):
            # Stripe hides most of a key that it quotes; nobody should rely on that.
            raise StripeFault(401, f"Invalid API Key provided: {given}")

    def _once(
        self, request: web.Request, key: str, params: Thing
    ) -> tuple[int, Any, dict[str, str]]:
        """Do it once for a key, and answer the same again for a day."""
        if len(key) > KEY_CHARS_MAX:
            raise StripeFault(400, "Idempotency keys may be 255 characters long.")
        if key in self.busy:
            raise StripeFault(
                409, "There is currently another in-progress request using this Idempotent Key.",
                kind="idempotency_error", code="idempotency_key_in_use",
            )  # fmt: skip
        known = self._keys.get(key)
        asked = (request.path, params)
        if known is not None and self.books.now_s() - known["at_s"] < DAY_S:
            if known["asked"] != asked:
                raise StripeFault(
                    400, "Keys for idempotent requests can only be used with the same parameters"
                    " they were first used with.", kind="idempotency_error",
                )  # fmt: skip
            return known["status"], known["body"], {"Idempotent-Replayed": "true"}
        # What fails validation leaves the key free.
        body = self._do(request, params)
        self._keys[key] = {"asked": asked, "status": 200, "body": body, "at_s": self.books.now_s()}
        return 200, body, {}

    def _do(self, request: web.Request, params: Thing) -> Any:
        books, path = self.books, request.path.removeprefix("/v1/")
        expand = list(params.pop("expand", {}).values())
        name, _, item = path.rpartition("/")
        if request.method == "POST":
            if path == "checkout/sessions":
                return books.shown(books.create_session(params, str(request.url.origin())))
            if path == "refunds":
                return books.shown(books.create_refund(params))
            if item == "expire":
                return books.shown(books.expire(name.rpartition("/")[2]))
        elif path == "events":
            wanted = list(params.pop("types", {}).values())
            events = [e for e in books.kept_events() if not wanted or e["type"] in wanted]
            return page_of(events, params, self.books.shown)
        elif path in ("checkout/sessions", "refunds", "disputes"):
            table = getattr(books, path.rpartition("/")[2])
            return page_of(list(table.values()), params, self.books.shown)
        elif name == "checkout/sessions":
            return books.shown(books.session(item), expand)
        elif name == "payment_intents":
            if item in books.intents:
                return books.shown(books.intents[item], expand)
            raise StripeFault(
                404, "No such payment_intent", code="resource_missing", param="intent"
            )
        raise StripeFault(404, f"Unrecognized request URL ({request.method}: {request.path}).")

    def _fault_for(self, request: web.Request) -> Thing | None:
        for fault in self._faults:
            if fault["match"] in f"{request.method} {request.path}":
                self._faults.remove(fault)
                return fault
        return None

    # -- people and other processes --------------------------------------------------------

    async def _show_page(self, request: web.Request) -> web.Response:
        try:
            session = self.books.session(request.match_info["session"])
        except StripeFault as exc:
            return web.Response(text=str(exc), status=404)
        if session["status"] != "open":
            return web.Response(text=f"The session is {session['status']}.", status=410)
        return pay_page(session, note=request.query.get("note", ""))

    async def _press_button(self, request: web.Request) -> web.Response:
        button = (await request.post()).get("button")
        try:
            session = self.books.session(request.match_info["session"])
            if button == "fail":
                raise web.HTTPSeeOther(f"/pay/{session['id']}?note=Your card was declined.")
            if button == "cancel":
                raise web.HTTPSeeOther(session["cancel_url"] or "/")
            self.books.pay(session["id"], later=button == "later")
        except StripeFault as exc:
            return web.Response(text=str(exc), status=410)
        raise web.HTTPSeeOther(
            session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])
        )

    async def _control(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in CONTROLS:
            return web.json_response({"controls": CONTROLS}, status=404)
        method = getattr(self.books if name in BOOKS_CONTROLS else self, name)
        try:
            done = method(**(await request.json() if request.can_read_body else {}))
            return web.json_response(await done if asyncio.iscoroutine(done) else done)
        except StripeFault as exc:
            return web.json_response(exc.body, status=exc.status)
        except (TypeError, ValueError, KeyError, IndexError) as exc:
            return web.json_response({"error": repr(exc)}, status=400)


async def run(port: int, webhook: str, secret_key: str) -> None:
    async with StripeEmulator(secret_key, webhook_url=webhook).running(port) as emulator:
        print(f"Stripe is emulated at {emulator.url}; notices go to {webhook or 'nobody'}.")
        print(f"Secret key {emulator.secret_key}, webhook secret {emulator.webhook_secret}.")
        print(f"POST {emulator.url}/_control/<name>: {', '.join(CONTROLS)}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m emulators.stripe")
    parser.add_argument("--port", type=int, default=4243)
    parser.add_argument("--webhook", default="", metavar="URL")
    parser.add_argument("--secret-key", default=SECRET_KEY)
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(arguments.port, arguments.webhook, arguments.secret_key))
