"""A raw client for the streamed answers of `POST /v1/chat/completions`."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from harness.http_client import TIMEOUT_S, Exchange, Response, connection, request_bytes

PATH = "/v1/chat/completions"
DONE = "[DONE]"


class Stream:
    """A response that is an event stream.

    Attributes:
        comments: The comment lines so far, without their colon.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._events = self._read()
        self.comments: list[str] = []
        self.ids: list[str] = []
        self.commented = asyncio.Event()

    @property
    def status(self) -> int:
        return self._exchange.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._exchange.headers

    async def response(self) -> Response:
        """Read the rest as an ordinary response: what an error before the first token is."""
        return Response(self.status, self.headers, await self._exchange.body())

    async def _read(self) -> AsyncIterator[str]:
        rest = b""
        async for piece in self._exchange.pieces():
            rest += piece
            while b"\n\n" in rest:
                block, rest = rest.split(b"\n\n", 1)
                # Strict: a character cut in two would be an error here.
                for line in block.decode("utf-8").split("\n"):
                    if line.startswith(":"):
                        self.comments.append(line[1:].strip())
                        self.commented.set()
                    elif line.startswith("id: "):
                        self.ids.append(line[4:])
                    elif line:
                        assert line.startswith("data: "), line
                        yield line.removeprefix("data: ")
        assert not rest, f"the stream ends inside an event: {rest!r}"

    async def next(self) -> str | None:
        """Return the next event's data, or None at the end of the body."""
        async with asyncio.timeout(TIMEOUT_S):
            return await anext(self._events, None)

    async def next_chunk(self) -> dict[str, Any]:
        """Return the next event, which must be JSON."""
        data = await self.next()
        assert data is not None, "the stream ended"
        return dict(json.loads(data))

    async def rest(self) -> list[str]:
        """Return the data of every event until the end of the body."""
        events = []
        while (data := await self.next()) is not None:
            events.append(data)
        return events

    def widen(self) -> None:
        """Begin to read at an ordinary speed; see `receive_bytes`."""
        self._exchange.widen()

    def reset(self) -> None:
        """Leave at once."""
        self._exchange.reset()

    async def close(self) -> None:
        """Leave in good order."""
        await self._exchange.close()


@contextlib.asynccontextmanager
async def open_stream(
    port: int, key: str, body: Mapping[str, Any], *, receive_bytes: int | None = None
) -> AsyncIterator[Stream]:
    """Ask for an answer and wait for the response's head."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    async with connection(port, receive_bytes=receive_bytes) as exchange:
        exchange.send(request_bytes("POST", PATH, headers, json.dumps(body).encode()))
        async with asyncio.timeout(TIMEOUT_S):
            await exchange.read_head()
        stream = Stream(exchange)
        try:
            yield stream
        finally:
            await stream._events.aclose()
