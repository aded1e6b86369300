"""A gateway that says what a test tells it to, for the states that a real one is seldom in."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from tokenferry.server.pages import add_pages
from tokenferry.server.web_app import add_web_app

KEY = "tf_0123456789AB_0123456789abcdefghijklmnopqrstuv_3WPvlI"
PREFIX = "ticket."


class Talk:
    """One answer: what the page asked, and what it is sent."""

    def __init__(self, socket: web.WebSocketResponse, create: dict[str, Any], number: int) -> None:
        self.socket = socket
        self.create = create
        self.stream_id = create.get("stream_id", f"st_{number}")
        self.seq = 0
        self.epoch = 1
        self.cancelled = asyncio.Event()

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send_json({"type": kind, "stream_id": self.stream_id, **fields})

    async def started(self) -> None:
        await self.send("started", ref=self.create["ref"], epoch=self.epoch, seq=0)

    async def delta(self, **delta: Any) -> None:
        self.seq += 1
        await self.send(
            "chunk", epoch=self.epoch, seq=self.seq, choices=[{"index": 0, "delta": delta}]
        )

    async def text(self, *texts: str) -> None:
        for text in texts:
            await self.delta(content=text)

    async def done(self, reason: str = "stop", **fields: Any) -> None:
        self.seq += 1
        usage = {"prompt_tokens": 3, "completion_tokens": self.seq, "total_tokens": 3 + self.seq}
        end = {"finish_reason": reason, "usage": usage, "cost": None, "done": True, **fields}
        await self.send("done", epoch=self.epoch, seq=self.seq, **end)

    async def error(self, code: str, message: str, **fields: Any) -> None:
        if fields.get("done"):
            self.seq += 1
            fields |= {"epoch": self.epoch, "seq": self.seq}
        await self.send("error", error={"message": message, "code": code}, **fields)

    async def resumed(self, after: int, state: str = "live", head: int = 9) -> None:
        self.seq = after
        fields = {"epoch": self.epoch, "from": after, "head": head, "state": state}
        await self.send("resumed", ref=self.create["ref"], **fields)

    async def reset(self, epoch: int, keep_through: int) -> None:
        self.epoch, self.seq = epoch, keep_through
        ref = self.create["ref"]
        await self.send("reset", ref=ref, epoch=epoch, keep_through=keep_through, head=9)

    async def refuse(self, code: str) -> None:
        error = {"message": f"The server's words for {code}.", "code": code}
        await self.send("error", ref=self.create["ref"], error=error)


Script = Callable[[Talk], Awaitable[None]]


async def greet(talk: Talk) -> None:
    """Answer shortly."""
    await talk.started()
    await talk.delta(role="assistant", content="")
    await talk.text("안녕", "하세", "요!")
    await talk.done()


async def unknown(talk: Talk) -> None:
    """Know no stream."""
    await talk.refuse("stream_not_found")


class FakeGateway:
    """The page and the addresses that it uses."""

    def __init__(self) -> None:
        self.script: Script = greet
        self.resume_script: Script = unknown
        self.resumes: list[Talk] = []
        self.models = ["claude-sonnet-5-5", "demo", "gpt-6.1-terra"]
        self.models_error: tuple[int, str, dict[str, str]] | None = None
        # Whom the page is told to be: a guest, an account, or nobody.
        self.who = "guest"
        # Cleared, they are asked for and do not come.
        self.models_come = asyncio.Event()
        self.models_come.set()
        self.talks: list[Talk] = []
        self.sockets = 0
        self.paths: list[str] = []
        self.port = 0
        self._numbers = itertools.count(1)
        self._tickets: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _authorized(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {KEY}"

    def _refusal(self, status: int, code: str, **headers: str) -> web.Response:
        error = {"message": f"The server's words for {code}.", "code": code}
        return web.json_response(
            {"error": error}, status=status, headers={"x-request-id": "req_42", **headers}
        )

    async def _models(self, request: web.Request) -> web.Response:
        await self.models_come.wait()
        if self.models_error:
            status, code, headers = self.models_error
            return self._refusal(status, code, **headers)
        if not self._authorized(request):
            return self._refusal(401, "invalid_api_key")
        return web.json_response({"object": "list", "data": self._shown_models()})

    def _shown_models(self) -> list[dict[str, Any]]:
        pricing = {"input": "1.00", "output": "5.00"}
        return [{"id": name, "owned_by": "fake", "pricing": pricing} for name in self.models]

    async def _chat_models(self, _request: web.Request) -> web.Response:
        await self.models_come.wait()
        if self.models_error:
            status, code, headers = self.models_error
            return self._refusal(status, code, **headers)
        if self.who == "":
            return self._refusal(401, "login_required")
        email = "somebody@example.com" if self.who == "account" else None
        return web.json_response({"who": self.who, "email": email, "data": self._shown_models()})

    def _new_ticket(self) -> web.Response:
        ticket = f"t{next(self._numbers)}"
        self._tickets.add(ticket)
        return web.json_response({"ticket": ticket, "expires_in": 30})

    async def _ticket(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return self._refusal(401, "invalid_api_key")
        return self._new_ticket()

    async def _chat_ticket(self, request: web.Request) -> web.Response:
        assert (await request.json()) == {"who": self.who}
        return self._new_ticket()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        offered = request.headers["Sec-WebSocket-Protocol"].split(", ")
        ticket = offered[1].removeprefix(PREFIX)
        assert offered[0] == "tokenferry.v1"
        self._tickets.remove(ticket)  # single use
        socket = web.WebSocketResponse(protocols=["tokenferry.v1"])
        await socket.prepare(request)
        self.sockets += 1
        ready = {"type": "ready", "version": 1, "connection_id": "c1", "heartbeat_s": 15}
        await socket.send_json(ready)
        running: set[asyncio.Task[None]] = set()
        async for message in socket:
            assert message.type is WSMsgType.TEXT
            frame = message.json()
            if frame["type"] == "create":
                talk = Talk(socket, frame, next(self._numbers))
                self.talks.append(talk)
                running.add(asyncio.ensure_future(self.script(talk)))
            elif frame["type"] == "resume":
                talk = Talk(socket, frame, 0)
                self.resumes.append(talk)
                running.add(asyncio.ensure_future(self.resume_script(talk)))
            elif frame["type"] == "cancel":
                for talk in self.talks + self.resumes:
                    if talk.stream_id == frame["stream_id"]:
                        talk.cancelled.set()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        return socket

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["FakeGateway"]:
        """Serve on a free port."""

        @web.middleware
        async def keep_path(request: web.Request, handler: Any) -> web.StreamResponse:
            self.paths.append(request.path_qs)
            return await handler(request)

        app = web.Application(middlewares=[keep_path])
        add_pages(app)
        add_web_app(app)
        app.router.add_get("/api/chat/models", self._chat_models)
        app.router.add_post("/api/chat/ticket", self._chat_ticket)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/stream/tickets", self._ticket)
        app.router.add_get("/v1/stream", self._stream)
        runner = web.AppRunner(app, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()
