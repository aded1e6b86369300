"""One answer as its user sees it: pieces to iterate over, and what is known of the whole.

    async with client.stream(model="demo", messages=[...]) as stream:
        async for chunk in stream:
            print(chunk.text, end="")
    print(stream.usage, stream.cost)

Weakness: who shows pieces as they come cannot take them back. After the server has lost part of
what it had sent, a chunk comes with `replaces`; `answer` is right in any case.
"""

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from tokenferry_client import answer, errors
from tokenferry_client.answer import Answer
from tokenferry_client.events import (
    Chunk,
    Done,
    Event,
    Failed,
    Position,
    Rewind,
    Snapshot,
    Started,
)
from tokenferry_client.feed import Feed
from tokenferry_client.scope import AsyncScope
from tokenferry_client.session import Session

# A stream that is left is cancelled, and its bill is waited for; not for long.
LEAVE_TIMEOUT_S: Final = 3.0


class AsyncStream(AsyncScope, AsyncIterator[Chunk]):
    """The answer to one request, or one that is followed.

    Iterating gives the pieces, and raises a `TokenferryError` if the stream ends with an error.
    As a context manager it cancels the stream when it is left before its end, and so does dropping
    it; `detach` before that lets it go on.

    Attributes:
        answer: What has been read so far.
        usage: What was used: OpenAI's keys. None until the end.
        cost: What it costs, in decimal USD; None until the end, or if no price is known.
        balance: The account's credit after it, in decimal USD; None for an operator's key.
        notice: An object like an error beside a regular end, such as `credit_used_up`.
        finish_reason: Why the answer ended; None until then.
    """

    def __init__(self, session: Session, start: Callable[[], Feed], after: Position | None) -> None:
        self.answer = Answer()
        self.usage: dict[str, Any] | None = None
        self.cost: str | None = None
        self.balance: str | None = None
        self.notice: dict[str, Any] | None = None
        self.finish_reason: str | None = None
        self._finish_reasons: tuple[str, ...] = ()
        self._session = session
        self._position = after
        self._began = 0 if after is None else after.seq
        self._further: deque[Chunk] = deque()
        self._failure: errors.TokenferryError | None = None
        self._over = False
        self._feed = start()
        self._abandoned = self._finalizer()

    @property
    def id(self) -> str | None:
        """The gateway's name for the stream; None until it exists."""
        return None if self._position is None else self._position.stream_id

    @property
    def position(self) -> Position | None:
        """How far the stream has been read; `client.resume` goes on there. None: nowhere yet."""
        return self._position

    @property
    def ended(self) -> bool:
        """Whether the end has been read."""
        return self._over

    async def __anext__(self) -> Chunk:
        """Return the next piece."""
        chunk = await self.next_chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def next_chunk(self) -> Chunk | None:
        """Return the next piece; None at the end.

        Raises:
            TokenferryError: If the stream ended with an error, or cannot be followed.
        """
        while (event := await self.next_event()) is not None:
            if isinstance(event, Chunk):
                return event
        return None

    async def events(self) -> AsyncIterator[Event]:
        """Iterate over everything that happens: pieces, waiting, reconnecting, the end.

        Raises:
            TokenferryError: If the stream ended with an error, or cannot be followed.
        """
        while (event := await self.next_event()) is not None:
            yield event

    async def next_event(self) -> Event | None:
        """Return the next thing that happens; None after the end.

        Raises:
            TokenferryError: If the stream ended with an error, or cannot be followed.
        """
        if self._failure is not None:
            raise self._failure
        if self._further:
            return self._further.popleft()
        event = None if self._over else await self._feed.next()
        if event is None:
            self._over = True
            return None
        return self._take(event)

    async def text(self) -> str:
        """Read to the end, and return the text.

        Raises:
            TokenferryError: As `final`.
        """
        return (await self.final()).text

    async def final(self) -> answer.Final:
        """Read to the end, and return the whole answer.

        Raises:
            TokenferryError: If the stream ended with an error, or was left with `detach`: what is
                in `answer` is not all of it.
        """
        while await self.next_chunk() is not None:
            pass
        if self.finish_reason is None:
            raise errors.detached()
        texts = self.answer.texts
        return answer.Final(
            self.id or "",
            texts[0],
            texts,
            self.answer.reasoning,
            self.answer.refusal,
            self.answer.tool_calls,
            self.finish_reason or "",
            self._finish_reasons,
            self.usage,
            self.cost,
        )

    def cancel(self) -> None:
        """End the stream at the server. Its end, with usage and cost, still comes."""
        self._session.cancel(self._feed.ref)

    def detach(self) -> None:
        """Stop receiving. The stream goes on at the server; the iteration ends."""
        self._abandoned.detach()
        self._session.detach(self._feed.ref)

    async def close(self) -> None:
        """Cancel the stream unless it has ended, and wait a moment for its bill.

        If somebody else is reading it, the end is told there.
        """
        if self._over:
            return
        self.cancel()
        if self._feed.awaited:
            return
        with contextlib.suppress(TimeoutError, errors.TokenferryError):
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                while await self.next_event() is not None:
                    pass
        if not self._over:
            self.detach()

    def _take(self, event: Event) -> Event:
        match event:
            case Started():
                self._position = Position(event.stream_id, event.epoch, 0)
            case Chunk():
                self.answer.add(event)
                self._moved(event.epoch, event.seq)
            case Rewind():
                return self._taken_back(event)
            case Snapshot():
                self.answer.replace(event)
                self._moved(event.epoch, event.through)
                self._further.extend(answer.whole(event))
                return self._further.popleft()
            case Done():
                self._done(event)
            case Failed():
                self._over = True
                self._abandoned.detach()
                self.usage, self.cost, self.balance = event.usage, event.cost, event.balance
                self._failure = errors.of(event, self._session.connection_id)
                raise self._failure
        return event

    def _taken_back(self, rewind: Rewind) -> Event:
        """Drop what the gateway has lost; of what was here before this stream, nothing is known."""
        choices, keep = len(self.answer.texts), rewind.keep_through
        if keep < self._began and self._position is not None:
            keep = self._began = 0
            self._abandoned.detach()
            again = Position(self._position.stream_id, rewind.epoch)
            self._session.detach(self._feed.ref)
            self._feed = self._session.follow(again)
            self._abandoned = self._finalizer()
        self.answer.rewind(keep)
        self._moved(rewind.epoch, keep)
        self._further.extend(self.answer.standing(choices, self._feed.ref, rewind.epoch, keep))
        return self._further.popleft()

    def _finalizer(self) -> "weakref.finalize[[Session, str], AsyncStream]":
        """Arrange what follows when nobody has the stream any more, and will read what comes."""
        abandoned = weakref.finalize(self, _abandon, self._session, self._feed.ref)
        abandoned.atexit = False
        return abandoned

    def _moved(self, epoch: int, seq: int) -> None:
        if self._position is not None:
            self._position = Position(self._position.stream_id, epoch, seq)

    def _done(self, event: Done) -> None:
        self._over = True
        self._abandoned.detach()
        self.finish_reason, self._finish_reasons = event.finish_reason, event.finish_reasons
        self.usage, self.cost = event.usage, event.cost
        self.balance, self.notice = event.balance, event.notice
        if event.epoch:
            self._moved(event.epoch, event.seq)


def _abandon(session: Session, ref: str) -> None:
    """Cancel a stream that was dropped, in the loop that it lives in."""
    session.abandon(ref)
