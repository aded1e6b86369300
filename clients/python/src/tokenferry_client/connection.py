"""One socket, from the wish for it to its end: messages in both directions."""

import asyncio
from collections.abc import Callable
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tokenferry_client.link import ABNORMAL, NORMAL

# Messages that wait for the socket; more than the streams of a link ask at once.
OUTBOX_MAX: Final = 4096


class Connection:
    """One socket, and the task that opens and reads it.

    Attributes:
        task: That task.
        wanted: Whether anybody is still interested in it.
    """

    __slots__ = ("_close_code", "_outbox", "task", "wanted")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.wanted = True
        self._outbox: asyncio.Queue[str] = asyncio.Queue(OUTBOX_MAX)
        self._close_code = NORMAL

    def put(self, text: str) -> bool:
        """Send a message when there is room; return whether as many may wait."""
        try:
            self._outbox.put_nowait(text)
        except asyncio.QueueFull:
            return False
        return True

    def hang_up(self, code: int) -> None:
        """Let it end, with a code for the other side."""
        self.wanted = False
        self._close_code = code
        # The task that reads ends by itself, and closes in peace.
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()

    async def carry(self, socket: ClientConnection, received: Callable[[str], None]) -> int:
        """Carry messages both ways, and return the code that the server closed with."""
        writer = asyncio.get_running_loop().create_task(self._write(socket))
        try:
            while self.wanted:
                data = await socket.recv()
                # A binary message is none of the protocol; as text, the link refuses it.
                received(data if isinstance(data, str) else "")
        except ConnectionClosed as exc:
            return ABNORMAL if exc.rcvd is None else exc.rcvd.code
        finally:
            writer.cancel()
            await socket.close(self._close_code)
        return ABNORMAL

    async def _write(self, socket: ClientConnection) -> None:
        while True:
            text = await self._outbox.get()
            try:
                await socket.send(text)
            except ConnectionClosed:
                return  # whoever reads is told the reason
