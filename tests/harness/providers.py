"""Scripted providers: HTTP/1.1 servers in the test's event loop, scripted down to the byte.

A test registers a script and gets a prompt; the gateway's request that carries the prompt runs
the script. So one server, and one gateway process, serve any number of tests at once.
"""

import asyncio
import contextlib
import itertools
import json
import random
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

WAIT_TIMEOUT_S = 30
# Long enough that the kernel hands over two writes as two reads, as long as the reader is idle.
APART_S = 0.001
PIECES_APART_MAX = 200
_PROMPT = re.compile(rb"script-\d+-end")


@dataclass(frozen=True, slots=True)
class Request:
    """What the gateway sent; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Exchange:
    """One request of the gateway and what the script does about it.

    Attributes:
        gone: Set when the gateway closed the connection, or it was reset.
        finished: Set when the script ran to its end.
    """

    def __init__(self, request: Request, transport: asyncio.Transport) -> None:
        self.request = request
        self.gone = asyncio.Event()
        self.finished = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self._transport = transport

    def send(self, data: bytes) -> None:
        self._transport.write(data)

    def head(
        self,
        status: str = "200 OK",
        *,
        framing: str = "chunked",
        content_type: str = "text/event-stream",
        headers: dict[str, str] | None = None,
    ) -> None:
        """Send the response's head."""
        self.send(head_bytes(status, framing=framing, content_type=content_type, headers=headers))

    def chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked body."""
        self.send(chunk_bytes(data))

    def end(self) -> None:
        """Send the end of a chunked body."""
        self.send(b"0\r\n\r\n")

    async def send_apart(self, pieces: Sequence[bytes]) -> None:
        """Send each piece as a TCP write of its own.

        Where they are very many, other replays' writes are the pause between two of them.
        """
        pause_s = APART_S if len(pieces) < PIECES_APART_MAX else 0
        for index, piece in enumerate(pieces):
            # Not after the last one: whoever has the whole answer finds the script finished.
            if index:
                await asyncio.sleep(pause_s)
            self.send(piece)

    async def drain(self) -> None:
        """Wait until the gateway has taken nearly everything that was sent."""
        await self.writable.wait()

    async def until_gone(self, timeout_s: float = WAIT_TIMEOUT_S) -> None:
        """Wait until the gateway closes the connection.

        Raises:
            TimeoutError: If it does not.
        """
        async with asyncio.timeout(timeout_s):
            await self.gone.wait()

    def close(self) -> None:
        """Close the connection in good order (FIN)."""
        self._transport.close()

    def reset(self) -> None:
        """Break the connection (RST)."""
        own = self._transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


Script = Callable[[Exchange], Awaitable[None]]


def head_bytes(
    status: str = "200 OK",
    *,
    framing: str = "chunked",
    content_type: str = "text/event-stream",
    headers: dict[str, str] | None = None,
) -> bytes:
    """Return a response's head; `framing` is chunked, close, or a content length in digits."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}"]
    if framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
    elif framing == "close":
        lines.append("Connection: close")
    else:
        lines.append(f"Content-Length: {framing}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode()


def chunk_bytes(data: bytes) -> bytes:
    """Return one chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def response_bytes(blocks: Sequence[bytes], framing: str = "chunked") -> bytes:
    """Return a whole response whose body is these events."""
    if framing == "chunked":
        body = b"".join(map(chunk_bytes, blocks)) + b"0\r\n\r\n"
    else:
        body = b"".join(blocks)
    framing = str(len(body)) if framing == "length" else framing
    return head_bytes(framing=framing) + body


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Return the data in pieces, cut at the places."""
    edges = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def places_to_cut(size: int, *, every_byte_below: int, count: int, seed: int) -> list[int]:
    """Return every place of short data, and so many random ones of long data."""
    if size < every_byte_below:
        return list(range(1, size))
    return random.Random(seed).sample(range(1, size), min(count, size - 1))  # noqa: S311


def replay(blocks: Sequence[bytes], *, framing: str = "chunked", at: Sequence[int] = ()) -> Script:
    """Return a script that answers with these events, the wire's bytes cut at the places."""
    pieces = cut(response_bytes(blocks, framing), at)

    async def script(exchange: Exchange) -> None:
        await exchange.send_apart(pieces)
        if framing == "close":
            exchange.close()

    return script


def answer(
    status: str,
    body: bytes,
    *,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> Script:
    """Return a script that answers with an ordinary response."""

    async def script(exchange: Exchange) -> None:
        head = head_bytes(
            status, framing=str(len(body)), content_type=content_type, headers=headers
        )
        exchange.send(head + body)

    return script


class _Connection(asyncio.Protocol):
    """Reads requests off one connection of the gateway; one script at a time."""

    def __init__(self, provider: "ScriptedProvider") -> None:
        self._provider = provider
        self._buffer = bytearray()
        self._exchange: Exchange | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._provider._connections.add(self)
        self._provider.connection_count += 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_size = self._buffer.find(b"\r\n\r\n")
        if head_size < 0:
            return
        request_line, *lines = self._buffer[:head_size].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        size = head_size + 4 + int(headers["content-length"])
        if len(self._buffer) < size:
            return
        method, path, _ = request_line.split(" ")
        body = bytes(self._buffer[head_size + 4 : size])
        del self._buffer[:size]
        exchange = Exchange(Request(method, path, headers, body), self._transport)
        self._exchange = exchange
        self._provider._run(exchange)

    def pause_writing(self) -> None:
        if self._exchange:
            self._exchange.writable.clear()

    def resume_writing(self) -> None:
        if self._exchange:
            self._exchange.writable.set()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._provider._connections.discard(self)
        if self._exchange:
            self._exchange.gone.set()
            self._exchange.writable.set()

    def close_idle(self) -> None:
        """Close the connection if no script is under way, as a server's keep-alive timeout does."""
        if self._exchange is None or self._exchange.finished.is_set():
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


class ScriptedProvider:
    """A server that runs, for each request, the script that the request's prompt names.

    Attributes:
        otherwise: The script of requests without a known prompt, if they are expected.
        unscripted: Requests without a known prompt; a test module expects none.
        connection_count: How many connections the gateway has opened so far.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._scripts: dict[str, Script] = {}
        self._exchanges: dict[str, list[Exchange]] = {}
        self._called: dict[str, asyncio.Event] = {}
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server
        self.otherwise: Script | None = None
        self.unscripted: list[Request] = []
        self.connection_count = 0
        self.failures: list[BaseException] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), "127.0.0.1", 0, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop, and raise what a script raised, if any did."""
        self._server.close()
        for connected in list(self._connections):
            connected.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        if self.failures:
            raise self.failures[0]

    def play(self, script: Script) -> str:
        """Register a script and return the prompt that runs it."""
        prompt = f"script-{next(self._numbers)}-end"
        self._scripts[prompt] = script
        self._exchanges[prompt] = []
        self._called[prompt] = asyncio.Event()
        return prompt

    async def exchange(self, prompt: str) -> Exchange:
        """Wait until the gateway asks with this prompt, and return the (first) exchange."""
        async with asyncio.timeout(WAIT_TIMEOUT_S):
            await self._called[prompt].wait()
        return self._exchanges[prompt][0]

    def exchanges(self, prompt: str) -> list[Exchange]:
        """Return the exchanges so far; their number is the number of calls."""
        return self._exchanges[prompt]

    def close_idle_connections(self) -> None:
        """Close every kept-alive connection that waits for its next request."""
        for connected in list(self._connections):
            connected.close_idle()

    def _run(self, exchange: Exchange) -> None:
        match = _PROMPT.search(exchange.request.body)
        prompt = match[0].decode() if match else ""
        script = self._scripts.get(prompt)
        if script is None and self.otherwise is not None:
            script = self.otherwise
        elif script is None:
            self.unscripted.append(exchange.request)
            script = answer("500 Unscripted", b'{"error":{"message":"no script"}}')
        else:
            self._exchanges[prompt].append(exchange)
            self._called[prompt].set()
        task = asyncio.get_running_loop().create_task(self._follow(exchange, script))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, exchange: Exchange, script: Script) -> None:
        try:
            await script(exchange)
        except Exception as exc:  # noqa: BLE001 -- kept for `stop`, which raises it
            self.failures.append(exc)
        else:
            exchange.finished.set()


@contextlib.asynccontextmanager
async def scripted_provider() -> AsyncIterator[ScriptedProvider]:
    """Run a provider for as long as the context lasts."""
    provider = ScriptedProvider()
    await provider.start()
    try:
        yield provider
    finally:
        await provider.stop()


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """Give a port that refuses connections: bound, so that nobody takes it, but not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """Give a port where connecting never completes: its backlog is full, so the SYN is dropped.

    Weakness: how many connections a backlog of 0 lets in is the kernel's affair; Linux lets in
    one, and drops further ones.
    """
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(full.getsockname())
        yield full.getsockname()[1]
