"""The protocols of the load client: raw, so that the client never is what is being measured.

HTTP chunk framing is taken off before the stamps are sought, because a proxy may put a chunk's
border inside a stamp. A WebSocket frame's border is never inside a JSON text from a server that
does not fragment, so that a lone stream is scanned as it comes.

Source: RFC 9112, RFC 6455. Weakness: no TLS, no fragmented frames, answers of trusted servers only.
"""

import asyncio
import base64
import os
import re
import struct
import time
from collections.abc import Iterator

import httptools
from bench.meter import Meter, Tally

STREAM_ID = re.compile(rb'"stream_id": ?"([^"]+)"')
REF = re.compile(rb'"ref": ?"([^"]+)"')
WS_DONE = re.compile(rb'"done": ?true')
ERROR = re.compile(rb'"error": ?[{"]')
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Stream(asyncio.Protocol):
    """What both kinds of a lone stream share: it finishes once, well or not."""

    def __init__(self, args, body: bytes, tally: Tally):
        self.args = args
        self.body = body
        self.tally = tally
        self.finished = asyncio.get_running_loop().create_future()

    def finish(self, complaint: str = "") -> None:
        if self.finished.done():
            return
        if complaint:
            self.tally.received += self.meter.seen
            self.tally.fail(complaint)
        else:
            self.meter.close(self.args.tokens)
        self.finished.set_result(None)

    def connection_lost(self, exc):
        self.finish(f"the connection ended: {exc!r} after {self.meter.seen} tokens")


class SSEStream(Stream):
    """One streamed answer over HTTP, on its own connection."""

    def connection_made(self, transport):
        self.transport = transport
        self.parser = httptools.HttpResponseParser(self)
        self.pieces: list[bytes] = []
        self.meter = Meter(self.tally, time.monotonic_ns())
        transport.write(post(self.args, self.body, b"Connection: close\r\n"))

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)

    def data_received(self, data):
        now_ns = time.monotonic_ns()
        self.parser.feed_data(data)
        if not self.pieces:
            return
        rest = self.meter.feed(b"".join(self.pieces), now_ns)
        self.pieces.clear()
        if ERROR.search(rest):
            self.finish(rest.decode(errors="replace"))
        elif b"[DONE]" in rest:
            self.finish()

    def on_message_complete(self) -> None:
        self.transport.close()  # not at [DONE]: a proxy would have to drop its upstream connection


class SocketStream(Stream):
    """One stream over a WebSocket of its own, in the plain manner: the frame is an OpenAI body."""

    def connection_made(self, transport):
        self.transport = transport
        self.head = b""
        self.upgraded = False
        self.meter = Meter(self.tally, time.monotonic_ns())
        transport.write(upgrade(self.args))

    def data_received(self, data):
        now_ns = time.monotonic_ns()
        if self.finished.done():  # the server's answer to our close
            self.transport.close()
            return
        if not self.upgraded:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self.head.startswith(b"HTTP/1.1 101 "):
                self.finish(self.head.decode(errors="replace"))
                self.transport.close()
                return
            self.upgraded = True
            self.transport.write(frame(TEXT, self.body))
            data = self.head[end + 4 :]
        rest = self.meter.feed(data, now_ns)
        if ERROR.search(rest):
            self.finish(rest.decode(errors="replace"))
        elif WS_DONE.search(rest):
            self.finish()
        if self.finished.done():
            self.transport.write(frame(CLOSE, struct.pack(">H", 1000)))


class FramedSocket(asyncio.Protocol):
    """A WebSocket whose frames are read one by one."""

    subprotocol = b""

    def __init__(self, args, tally: Tally):
        self.args = args
        self.tally = tally
        self.received = b""
        self.leaving = False
        self.opened = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(upgrade(self.args, self.subprotocol))

    def data_received(self, data):
        now_ns = time.monotonic_ns()
        self.received += data
        if not self.opened.done():
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self.received.startswith(b"HTTP/1.1 101 "):
                self.opened.set_exception(OSError(self.received.decode(errors="replace")))
                return
            self.received = self.received[end + 4 :]
            self.opened.set_result(None)
        position = 0
        for opcode, payload, end in frames(self.received):
            position = end
            if opcode == TEXT:
                self.on_text(payload, now_ns)
            elif opcode == PING:
                self.transport.write(frame(PONG, payload))
        self.received = self.received[position:]

    def on_text(self, payload: bytes, _now_ns: int) -> None:
        if ERROR.search(payload):
            self.tally.fail(payload.decode(errors="replace"))

    def leave(self) -> None:
        self.leaving = True
        self.transport.write(frame(CLOSE, struct.pack(">H", 1000)))
        self.transport.close()

    def connection_lost(self, exc):
        if not self.leaving:
            self.tally.fail(f"the connection ended: {exc!r}")
            if not self.opened.done():
                self.opened.set_exception(OSError("closed before the upgrade"))


class IdleSocket(FramedSocket):
    """An authenticated socket on which nothing happens."""


class LaneSocket(FramedSocket):
    """A socket in the aware manner with many streams on it, told apart by `stream_id`."""

    subprotocol = b"Sec-WebSocket-Protocol: tokenferry.v1\r\n"

    def __init__(self, args, body: bytes, tally: Tally):
        super().__init__(args, tally)
        self.body = body
        self.by_ref: dict[bytes, tuple[Meter, asyncio.Future]] = {}
        self.by_stream: dict[bytes, tuple[Meter, asyncio.Future]] = {}

    async def create(self, ref: str) -> None:
        """Start a stream and wait for its terminal."""
        meter = Meter(self.tally, time.monotonic_ns())
        terminal = asyncio.get_running_loop().create_future()
        self.by_ref[ref.encode()] = (meter, terminal)
        self.transport.write(
            frame(TEXT, b'{"type":"create","ref":"%s","request":%s}' % (ref.encode(), self.body))
        )
        await terminal

    def on_text(self, payload: bytes, now_ns: int) -> None:
        stream_id = STREAM_ID.search(payload)
        lane = self.by_stream.get(stream_id[1]) if stream_id else None
        if lane is None:
            self.on_other(payload, stream_id)
            return
        meter, terminal = lane
        meter.feed(payload, now_ns)
        meter.rest = b""  # a frame is whole
        failed = ERROR.search(payload)
        if failed:
            self.tally.fail(payload.decode(errors="replace"))
        if failed or WS_DONE.search(payload):
            del self.by_stream[stream_id[1]]
            meter.close(self.args.tokens)
            settle(terminal)

    def on_other(self, payload: bytes, stream_id: re.Match | None) -> None:
        ref = REF.search(payload)
        lane = self.by_ref.pop(ref[1], None) if ref else None
        if ERROR.search(payload):
            self.tally.fail(payload.decode(errors="replace"))
            if lane:
                settle(lane[1])
        elif lane and stream_id:
            self.by_stream[stream_id[1]] = lane

    def connection_lost(self, exc):
        super().connection_lost(exc)
        for _meter, terminal in (*self.by_ref.values(), *self.by_stream.values()):
            settle(terminal)


class RequestConnection(asyncio.Protocol):
    """A keep-alive connection with one request after another, not streamed."""

    def __init__(self, args, body: bytes, tally: Tally):
        self.request = post(args, body)
        self.left = args.rounds
        self.tally = tally
        self.finished = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def start(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.answer = b""
        self.started_ns = time.monotonic_ns()
        self.transport.write(self.request)

    def data_received(self, data):
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.answer += body

    def on_message_complete(self) -> None:
        self.left -= 1
        if self.parser.get_status_code() == 200 and b'"hi"' in self.answer:
            self.tally.received += 1
            self.tally.latencies_ns.append(time.monotonic_ns() - self.started_ns)
        else:
            self.tally.fail(self.answer.decode(errors="replace"))
        if self.left:
            # Not from within the parser's own callback: a parser reads one answer.
            asyncio.get_running_loop().call_soon(self.start)
        else:
            self.finished.set_result(None)
            self.transport.close()

    def connection_lost(self, exc):
        if not self.finished.done():
            self.tally.fail(f"the connection ended: {exc!r}, {self.left} requests left")
            self.finished.set_result(None)


def settle(future: asyncio.Future) -> None:
    if not future.done():  # it is, when the waiter has run out of time
        future.set_result(None)


def post(args, body: bytes, headers: bytes = b"") -> bytes:
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s"
        % (args.key.encode(), len(body), headers, body)
    )


def upgrade(args, headers: bytes = b"") -> bytes:
    return (
        b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: %s\r\n%s\r\n"
        % (args.key.encode(), base64.b64encode(os.urandom(16)), headers)
    )


def frame(opcode: int, payload: bytes) -> bytes:
    """Return one masked frame (RFC 6455, 5.2 and 5.3)."""
    size = len(payload)
    mask = os.urandom(4)
    head = bytes([0x80 | opcode, 0x80 | size]) if size < 126 else b""
    head = head or struct.pack(">BBH", 0x80 | opcode, 0xFE, size)
    key = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload) ^ int.from_bytes(key)
    return head + mask + masked.to_bytes(size)


def frames(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield opcode, payload and end position of every whole frame from a server."""
    position = 0
    while len(data) - position >= 2:
        size = data[position + 1]
        start = position + 2
        if size == 126:
            start += 2
            size = int.from_bytes(data[start - 2 : start])
        elif size == 127:
            start += 8
            size = int.from_bytes(data[start - 8 : start])
        if len(data) < start + size:
            return
        yield data[position] & 0x0F, data[start : start + size], start + size
        position = start + size
