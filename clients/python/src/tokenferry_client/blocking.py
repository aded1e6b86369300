"""The same client for programs without asyncio: a thin front of the one for asyncio.

    with Tokenferry() as client, client.stream(model="demo", messages=[...]) as stream:
        for chunk in stream:
            print(chunk.text, end="")

Nothing is decided here: every call runs in the event loop of a thread of the client's own. Any
number of threads may use one client; one stream is read by one thread at a time.

Weakness: a piece costs a change of threads, some fifty microseconds.
"""

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Unpack

from tokenferry_client.address import Address
from tokenferry_client.answer import Answer, Final
from tokenferry_client.client import AsyncTokenferry, ClientOptions
from tokenferry_client.errors import ClientClosedError
from tokenferry_client.events import Chunk, Event, Position
from tokenferry_client.models import AsyncModels, Model
from tokenferry_client.portal import Portal
from tokenferry_client.scope import Scope
from tokenferry_client.streaming import AsyncStream


class Stream(Scope, Iterator[Chunk]):
    """The answer to one request; see `AsyncStream`, whose front it is."""

    def __init__(self, portal: Portal, inner: AsyncStream) -> None:
        self._portal = portal
        self._inner = inner
        # What has come and was not returned yet: one event, or a second one whose predecessor came
        # at the moment of an interrupt.
        self._taken: deque[Event | None] = deque()

    @property
    def id(self) -> str | None:
        """The gateway's name for the stream; None until it exists."""
        return self._inner.id

    @property
    def position(self) -> Position | None:
        """How far the stream has been read; `client.resume` goes on there."""
        return self._inner.position

    @property
    def answer(self) -> Answer:
        """What has been read so far."""
        return self._inner.answer

    @property
    def usage(self) -> dict[str, Any] | None:
        """What was used: OpenAI's keys. None until the end."""
        return self._inner.usage

    @property
    def cost(self) -> str | None:
        """What it costs, in decimal USD."""
        return self._inner.cost

    @property
    def balance(self) -> str | None:
        """The account's credit after it, in decimal USD."""
        return self._inner.balance

    @property
    def notice(self) -> dict[str, Any] | None:
        """An object like an error beside a regular end."""
        return self._inner.notice

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended; None until then."""
        return self._inner.finish_reason

    @property
    def ended(self) -> bool:
        """Whether the end has been read."""
        return self._inner.ended

    def __next__(self) -> Chunk:
        """Return the next piece."""
        while (event := self._next_event()) is not None:
            if isinstance(event, Chunk):
                return event
        raise StopIteration

    def events(self) -> Iterator[Event]:
        """Iterate over everything that happens: pieces, waiting, reconnecting, the end."""
        while (event := self._next_event()) is not None:
            yield event

    def text(self) -> str:
        """Read to the end, and return the text."""
        return self._portal.run(self._inner.text)

    def final(self) -> Final:
        """Read to the end, and return the whole answer."""
        return self._portal.run(self._inner.final)

    def cancel(self) -> None:
        """End the stream at the server. Its end, with usage and cost, still comes."""
        self._portal.call(self._inner.cancel)

    def detach(self) -> None:
        """Stop receiving. The stream goes on at the server; the iteration ends."""
        self._portal.call(self._inner.detach)

    def close(self) -> None:
        """Cancel the stream unless it has ended, and wait a moment for its bill.

        If another thread is reading it, the end is told there. Of a client that was closed before,
        nothing is left to do.
        """
        if not self._inner.ended:
            with contextlib.suppress(ClientClosedError):
                self._portal.run(self._inner.close)

    def _next_event(self) -> Event | None:
        if not self._taken:
            self._portal.run(self._take)
        return self._taken.popleft()

    async def _take(self) -> None:
        self._taken.append(await self._inner.next_event())


class Models:
    """The models of one gateway."""

    def __init__(self, portal: Portal, inner: AsyncModels) -> None:
        self._portal = portal
        self._inner = inner

    def list(self) -> list[Model]:
        """Return the models that the key may ask for."""
        return self._portal.run(self._inner.list)


class Tokenferry(Scope):
    """A client of one gateway; see `AsyncTokenferry`, whose front it is.

    Args:
        **options: Those of `AsyncTokenferry`, all optional.

    Raises:
        InvalidKeyError: If the key cannot be one; nothing is sent.
        InvalidAddressError: If the base URL is none.
    """

    def __init__(self, **options: Unpack[ClientOptions]) -> None:
        self._inner = AsyncTokenferry(**options)
        self._portal = Portal()
        self.models = Models(self._portal, self._inner.models)

    @property
    def address(self) -> Address:
        """Where the gateway is."""
        return self._inner.address

    def stream(
        self, *, model: str, messages: Iterable[Mapping[str, Any]], **parameters: Any
    ) -> Stream:
        """Ask for an answer; the arguments are those of `AsyncTokenferry.stream`."""
        inner = self._inner

        def start() -> AsyncStream:
            return inner.stream(model=model, messages=messages, **parameters)

        return Stream(self._portal, self._portal.call(start))

    def follow(self, stream_id: str) -> Stream:
        """Follow a stream of the same key from its start, whoever created it."""
        return Stream(self._portal, self._portal.call(lambda: self._inner.follow(stream_id)))

    def resume(self, position: Position | str) -> Stream:
        """Go on with a stream after a position."""
        return Stream(self._portal, self._portal.call(lambda: self._inner.resume(position)))

    def close(self) -> None:
        """Close the connection and end the thread. Streams go on at the server."""
        self._portal.close(self._inner.close)
