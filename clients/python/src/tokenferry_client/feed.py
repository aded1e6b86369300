"""Events of one stream on their way to whoever reads them: a buffer with a limit.

A reader that is slow costs no memory: beyond the limit nothing more of the stream is asked for, and
when the reader has caught up it is asked for again, from its position. Neither the provider nor
other streams are held up by that.

Weakness: what is on the way when the limit is reached is thrown away, and sent again later.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from tokenferry_client.events import Event

# A screen of text comes in a few hundred pieces.
EVENTS_MAX: Final = 256
# And of long pieces not more than this, in characters of their messages.
CHARACTERS_MAX: Final = 256 * 1024


class Feed:
    """The events that wait to be read.

    Args:
        ref: The client's own id of the stream.
        pause: Called when the limit is reached.
        unpause: Called when everything has been read.
    """

    __slots__ = (
        "_characters",
        "_events",
        "_over",
        "_pause",
        "_paused",
        "_reader",
        "_unpause",
        "ref",
    )

    def __init__(
        self, ref: str, pause: Callable[[str], None], unpause: Callable[[str], None]
    ) -> None:
        self.ref = ref
        self._pause = pause
        self._unpause = unpause
        self._events: deque[tuple[Event, int]] = deque()
        self._characters = 0
        self._paused = False
        self._over = False
        self._reader: asyncio.Future[None] | None = None

    @property
    def size(self) -> int:
        """How many events wait."""
        return len(self._events)

    @property
    def paused(self) -> bool:
        """Whether nothing more is asked for."""
        return self._paused

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for the next event."""
        return self._reader is not None and not self._reader.cancelled()

    def push(self, event: Event, characters: int) -> None:
        """Add an event, which came with a message of so many characters."""
        self._events.append((event, characters))
        self._characters += characters
        self._wake()
        if self._paused or (len(self._events) < EVENTS_MAX and self._characters < CHARACTERS_MAX):
            return
        self._paused = True
        self._pause(self.ref)

    def end(self) -> None:
        """Let nothing follow what waits already."""
        self._over = True
        self._wake()

    def drop(self) -> None:
        """Let nothing follow at all."""
        self._events.clear()
        self._paused = False
        self.end()

    async def next(self) -> Event | None:
        """Return the next event; None when none will come.

        Raises:
            RuntimeError: If somebody else is waiting for it.
        """
        while not self._events:
            if self._paused:
                self._paused = False
                self._unpause(self.ref)
                continue
            if self._over:
                return None
            # A reader that was cancelled may not have been told yet.
            if self.awaited:
                raise RuntimeError("a stream has one reader at a time")
            reader = self._reader = asyncio.get_running_loop().create_future()
            try:
                await reader
            finally:
                if self._reader is reader:
                    self._reader = None
        event, characters = self._events.popleft()
        self._characters -= characters
        return event

    def _wake(self) -> None:
        reader = self._reader
        # Nobody wakes up in a loop that was closed under its readers.
        if reader is not None and not reader.done() and not reader.get_loop().is_closed():
            reader.set_result(None)
