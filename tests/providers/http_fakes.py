"""A scripted HTTP peer, byte by byte; a wire format and a sink that record what they are told."""

import asyncio
import gzip
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Self, TypeVar

from msgspec import Raw

from tokenferry.domain.capacity_headers import Capacity
from tokenferry.domain.usage import Usage
from tokenferry.engine.ports import Sink
from tokenferry.errors import (
    ProviderCutOff,
    ProviderError,
    ProviderInvalidResponse,
    ProviderRejected,
)
from tokenferry.protocol.chat import ChatRequest, Delta, parse_request
from tokenferry.providers.http_asked import Asked
from tokenferry.providers.http_pool import ConnectionPool
from tokenferry.providers.http_stream import HttpCall, HttpProvider, HttpProviderSettings
from tokenferry.providers.wire import WireRequest

T = TypeVar("T")
WAIT_S = 20
REQUEST = parse_request(
    '{"model":"m","stream":true,"messages":[{"role":"user","content":"안녕"}]}'.encode()
)
BODY = '{"물음":"안녕"}'.encode()
EVENTS_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
CHUNKED = EVENTS_HEAD + b"transfer-encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


async def within(awaitable: Awaitable[T]) -> T:
    """Wait, but not for ever."""
    return await asyncio.wait_for(awaitable, WAIT_S)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(data: str) -> bytes:
    return f"data: {data}\n\n".encode()


def sized(body: bytes, content_type: str = "text/event-stream", status: str = "200 OK") -> bytes:
    """Return a whole response with a content length."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def zipped(body: bytes) -> bytes:
    body = gzip.compress(body)
    return EVENTS_HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body


ANSWER = sized(event("하나"))


class RecordingSink:
    """Records each call; `over` is set by the first terminal one."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []
        self.over = asyncio.Event()
        self.heard = asyncio.Event()
        self.on_text: Callable[[str], None] = lambda _: None

    @property
    def texts(self) -> list[object]:
        return [value for name, value in self.calls if name == "text"]

    @property
    def terminals(self) -> list[str]:
        return [name for name, _ in self.calls if name in ("end", "fail")]

    @property
    def error(self) -> ProviderError:
        (error,) = [value for name, value in self.calls if name == "fail"]
        assert isinstance(error, ProviderError)
        return error

    def head(self, model: str, fingerprint: str | None, service_tier: str | None) -> None:
        self.calls.append(("head", model))

    def text(self, text: str) -> None:
        self.calls.append(("text", text))
        self.heard.set()
        self.on_text(text)

    def reasoning(self, text: str) -> None:
        self.calls.append(("reasoning", text))

    def delta(self, index: int, delta: Delta, logprobs: Raw | None = None) -> None:
        self.calls.append(("delta", delta))

    def finish(self, index: int, reason: str) -> None:
        self.calls.append(("finish", reason))

    def usage(self, usage: Usage) -> None:
        self.calls.append(("usage", usage))

    def end(self) -> None:
        self.calls.append(("end", None))
        self.over.set()

    def fail(self, error: ProviderError) -> None:
        self.calls.append(("fail", error))
        self.over.set()


class FakeDecoder:
    """Says every event's data as text; an end is complete only after `[DONE]`, if that is asked."""

    template = None

    def __init__(self, sink: Sink, *, wants_done: bool = False) -> None:
        self._sink = sink
        self._is_done = not wants_done

    def event(self, data: bytes) -> None:
        if data == b"[DONE]":
            self._is_done = True
        elif data == b"invalid":
            raise ProviderInvalidResponse("This is not the dialect.")
        elif data == b"defect":
            raise ZeroDivisionError
        else:
            self._sink.text(data.decode())

    def body(self, data: bytes) -> None:
        if data == b"{invalid}":
            raise ProviderInvalidResponse("This is not the dialect.")
        self._sink.text(f"body {data.decode()}")
        self._sink.end()

    def eof(self) -> None:
        if self._is_done:
            self._sink.end()
        else:
            self._sink.fail(ProviderCutOff("No finish reason."))


class FakeWire:
    """A wire format that sends what it is told to."""

    def __init__(self, *, wants_done: bool = False, body: bytes = BODY) -> None:
        self.path = "/chat"
        self.request_body = body
        self.headers: tuple[tuple[str, str], ...] = (("authorization", "Bearer 열쇠"),)
        self.errors: list[tuple[int, Mapping[str, str], bytes]] = []
        self._wants_done = wants_done

    def encode(self, request: ChatRequest, model: str) -> WireRequest:
        return WireRequest(self.path, self.request_body, self.headers)

    def decoder(self, request: ChatRequest, sink: Sink) -> FakeDecoder:
        return FakeDecoder(sink, wants_done=self._wants_done)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        self.errors.append((status, headers, body))
        return ProviderRejected(body.decode("utf-8", "replace"), status=status)


def asked(
    sink: RecordingSink,
    wire: FakeWire | None = None,
    *,
    body_bytes_max: int = 999,
    heard: Callable[[Capacity], None] | None = None,
) -> Asked:
    return Asked("fake", wire or FakeWire(), REQUEST, sink, body_bytes_max, heard)


class Peer:
    """The server's end of one connection; they are numbered from 0."""

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer

    async def head(self) -> bytes:
        return await within(self.reader.readuntil(b"\r\n\r\n"))

    async def request(self) -> bytes:
        """Read one request; return its head."""
        head = await self.head()
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await within(self.reader.readexactly(length))
        return head

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def answer(self, *parts: bytes) -> bytes:
        """Read a request and send an answer."""
        head = await self.request()
        self.send(*parts)
        return head

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        try:
            rest = await within(self.reader.read())
        except ConnectionError:
            return
        assert rest == b"", f"the client sent more: {rest!r}"

    async def close(self) -> None:
        await self.writer.drain()
        self.writer.close()


Script = Callable[[Peer], Awaitable[None]]


class Scripted:
    """A server whose first connection runs the first script, and so on; the last one repeats."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self._scripts = scripts
        self._tls = tls
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self._is_over = False
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://localhost:{self.port}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        """Let the scripts end; what goes wrong in one goes wrong in the test."""
        assert self._server is not None
        self._server.close()
        # Who was accepted just now has a transport already, and is heard of a few turns later.
        self._is_over = True
        for _ in range(10):
            await asyncio.sleep(0)
        if kind is not None:
            for task in self._tasks:
                task.cancel()
        await asyncio.wait_for(asyncio.gather(*self._tasks, return_exceptions=kind is not None), 30)
        await asyncio.sleep(0)  # the last transport that was closed lets go of its socket

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_over:
            writer.close()
            return
        peer = Peer(self.connections, reader, writer)
        script = self._scripts[min(peer.number, len(self._scripts) - 1)]
        self.connections += 1
        self._tasks.append(asyncio.create_task(self._run(script, peer)))

    async def _run(self, script: Script, peer: Peer) -> None:
        try:
            await script(peer)
        finally:
            peer.writer.close()


def make_provider(
    url: str, pool: ConnectionPool, wire: FakeWire | None = None, **settings: object
) -> HttpProvider:
    return HttpProvider(
        HttpProviderSettings("fake", url, **settings),  # type: ignore[arg-type]
        [wire or FakeWire()],
        pool,
    )


def start(provider: HttpProvider) -> tuple[RecordingSink, HttpCall]:
    sink = RecordingSink()
    return sink, provider.prepare(REQUEST, "m").start(sink)


async def finished(provider: HttpProvider) -> RecordingSink:
    """Make a call and wait for its end."""
    sink, _ = start(provider)
    await within(sink.over.wait())
    return sink
