"""A raw HTTP/1.1 client that shows a response as it is: status, headers, body, and how it ended.

Weakness: it understands what a gateway sends (content-length, chunked, close) and nothing more.
"""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

HEAD_BYTES_MAX = 64 * 1024
WIDE_BYTES = 1024 * 1024
TIMEOUT_S = 30

NO_CONTENT = 204


class ConnectionFailed(Exception):
    """The connection could not be made, or ended before a response was complete."""


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object of an OpenAI-shaped error body, checked for its shape."""
        document = self.json
        assert isinstance(document, dict), document
        error = document["error"]
        assert {"message", "type", "param", "code"} <= error.keys(), error
        assert isinstance(error["message"], str), error
        assert error["message"], error
        return dict(error)


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Return the status and the headers of a response's head."""
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in filter(None, lines):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(status_line.split(" ")[1]), headers


def request_bytes(
    method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> bytes:
    """Return a request as it goes over the wire."""
    every = {"Host": "127.0.0.1", **(headers or {})}
    if body is not None and not any(name.lower() == "transfer-encoding" for name in every):
        every.setdefault("Content-Length", str(len(body)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in every.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + (body or b"")


class Exchange:
    """One request and the response to it, on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    async def read_head(self) -> None:
        """Wait for the response's head."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, OSError) as exc:
            raise ConnectionFailed(repr(exc)) from exc
        self.status, self.headers = parse_head(head)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            ConnectionFailed: If the connection ends before the body is complete.
        """
        if self.status == NO_CONTENT:
            return
        try:
            if self.headers.get("transfer-encoding", "").lower() == "chunked":
                while size := int(await self._reader.readuntil(b"\r\n"), 16):
                    yield (await self._reader.readexactly(size + 2))[:-2]
                await self._reader.readuntil(b"\r\n")
            elif "content-length" in self.headers:
                yield await self._reader.readexactly(int(self.headers["content-length"]))
            else:
                while piece := await self._reader.read(65536):
                    yield piece
        except (asyncio.IncompleteReadError, OSError) as exc:
            raise ConnectionFailed(repr(exc)) from exc

    async def body(self) -> bytes:
        """Wait for the whole body."""
        return b"".join([piece async for piece in self.pieces()])

    def widen(self) -> None:
        """Give a connection that was opened with a small window an ordinary one.

        Over a window of less than a segment, TCP may send a few kilobytes every 200 ms.
        """
        own = self._writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WIDE_BYTES)

    def reset(self) -> None:
        """End the connection at once, with a TCP reset."""
        own = self._writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def half_close(self) -> None:
        """Send nothing more, as a client that still reads the answer."""
        self._writer.write_eof()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


@contextlib.asynccontextmanager
async def connection(port: int, *, receive_bytes: int | None = None) -> AsyncIterator[Exchange]:
    """Open a connection.

    Args:
        port: The port on 127.0.0.1.
        receive_bytes: The size of the kernel's receive buffer, and with it of the window;
            reading is then as lazy as the caller.

    Raises:
        ConnectionFailed: If nothing listens there.
    """
    raw = socket.socket()
    raw.settimeout(0)
    if receive_bytes is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    try:
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
        limit = receive_bytes or HEAD_BYTES_MAX
        reader, writer = await asyncio.open_connection(sock=raw, limit=limit)
    except OSError as exc:
        raw.close()
        raise ConnectionFailed(repr(exc)) from exc
    except asyncio.CancelledError:
        raw.close()
        raise
    exchange = Exchange(reader, writer)
    try:
        yield exchange
    finally:
        await exchange.close()


async def fetch(
    port: int,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Response:
    """Send a request and wait for the whole response.

    Raises:
        ConnectionFailed: If no complete response came.
    """
    async with asyncio.timeout(TIMEOUT_S), connection(port) as exchange:
        exchange.send(request_bytes(method, path, headers, body))
        await exchange.read_head()
        return Response(exchange.status, exchange.headers, await exchange.body())
