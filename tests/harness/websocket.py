"""A raw WebSocket client that can also break the rules: any frame, any cut, any close.

Source: RFC 6455. Weakness: it answers pings and closes by itself, but never splits what it sends
unless told to, and knows no extension.
"""

import asyncio
import base64
import contextlib
import json
import os
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from harness.http_client import (
    TIMEOUT_S,
    ConnectionFailed,
    Exchange,
    Response,
    connection,
    request_bytes,
)

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
PATH = "/v1/stream"
SUBPROTOCOL = "tokenferry.v1"


class Refused(Exception):
    """The server answered the upgrade with an ordinary response."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"{response.status} {response.body!r}")
        self.response = response


class Closed(Exception):
    """The connection ended; 1006 when it did so without a close frame."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """Return a masked frame."""
    size = len(payload)
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += bytes([0x80 | 126]) + struct.pack(">H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", size)
    mask = os.urandom(4)
    stretched = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")
    return head + mask + masked.to_bytes(size, "big")


class Socket:
    """An open WebSocket.

    Attributes:
        pings: How many pings came; each was answered, unless `answers_pings` is off.
        subprotocol: What the server chose.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._closed: Closed | None = None
        self.pings = 0
        self.pinged = asyncio.Event()
        self.answers_pings = True
        self.subprotocol = exchange.headers.get("sec-websocket-protocol")

    def send_frame(self, opcode: int, payload: bytes, *, fin: bool = True) -> None:
        self._exchange.send(frame(opcode, payload, fin=fin))

    def send_raw(self, data: bytes) -> None:
        """Send bytes that need not be a frame."""
        self._exchange.send(data)

    def send_text(self, text: str) -> None:
        self.send_frame(TEXT, text.encode())

    def send_json(self, value: Any) -> None:
        self.send_text(json.dumps(value, ensure_ascii=False))

    async def drain(self) -> None:
        await self._exchange.drain()

    async def receive(self) -> bytes:
        """Return the next message's payload; it must be text.

        Raises:
            Closed: When there is none.
        """
        message = b""
        while True:
            opcode, fin, payload = await self._read_frame()
            if opcode in (TEXT, CONTINUATION):
                message += payload
                if fin:
                    return message
            elif opcode == CLOSE:
                self._take_close(payload)
            elif opcode == PING:
                self.pings += 1
                self.pinged.set()
                if self.answers_pings:
                    self.send_frame(PONG, payload)
            else:
                assert opcode == PONG, f"unexpected opcode {opcode}"

    def _take_close(self, payload: bytes) -> None:
        code = struct.unpack(">H", payload[:2])[0] if payload else 1005
        self._closed = Closed(code, payload[2:].decode())
        with contextlib.suppress(OSError):
            self.send_frame(CLOSE, payload[:2])
        raise self._closed

    async def _read_frame(self) -> tuple[int, bool, bytes]:
        if self._closed:
            raise self._closed
        reader = self._exchange._reader
        try:
            first, second = await reader.readexactly(2)
            assert not first & 0x70, "reserved bits without an extension"
            assert not second & 0x80, "a server must not mask"
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack(">H", await reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", await reader.readexactly(8))
            return first & 0x0F, bool(first & 0x80), await reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError):
            self._closed = Closed(1006)
            raise self._closed from None

    async def receive_json(self, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """Return the next message, which must be a JSON object in valid UTF-8."""
        async with asyncio.timeout(timeout_s):
            message = json.loads((await self.receive()).decode("utf-8"))
        assert isinstance(message, dict), message
        return message

    async def receive_type(self, *types: str) -> dict[str, Any]:
        """Return the next message of one of the types, and drop what comes before it.

        An error that nobody waits for would otherwise be a wait without a reason.
        """
        while True:
            message = await self.receive_json()
            if message.get("type") in types:
                return message
            assert message.get("type") != "error", message

    async def closed(self) -> Closed:
        """Wait for the end of the connection, and drop what comes before it."""
        async with asyncio.timeout(TIMEOUT_S):
            try:
                while True:
                    await self.receive()
            except Closed as closed:
                return closed

    def widen(self) -> None:
        """Begin to read at an ordinary speed; see `receive_bytes`."""
        self._exchange.widen()

    def reset(self) -> None:
        """Leave at once, with a TCP reset."""
        self._exchange.reset()

    async def close(self, code: int = 1000) -> None:
        """Leave in good order."""
        self.send_frame(CLOSE, struct.pack(">H", code))
        await self.closed()


@contextlib.asynccontextmanager
async def connect(
    port: int,
    key: str | None = None,
    *,
    subprotocols: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
    receive_bytes: int | None = None,
) -> AsyncIterator[Socket]:
    """Open a WebSocket.

    Raises:
        Refused: If the server does not upgrade.
    """
    every = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        **(headers or {}),
    }
    if key is not None:
        every["Authorization"] = f"Bearer {key}"
    if subprotocols:
        every["Sec-WebSocket-Protocol"] = ", ".join(subprotocols)
    async with connection(port, receive_bytes=receive_bytes) as exchange:
        exchange.send(request_bytes("GET", PATH, every))
        async with asyncio.timeout(TIMEOUT_S):
            await exchange.read_head()
            if exchange.status != 101:
                body = await exchange.body()
                raise Refused(Response(exchange.status, exchange.headers, body))
        yield Socket(exchange)


__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PATH",
    "PING",
    "PONG",
    "SUBPROTOCOL",
    "TEXT",
    "Closed",
    "ConnectionFailed",
    "Refused",
    "Socket",
    "connect",
    "frame",
]
