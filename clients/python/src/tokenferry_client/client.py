"""The link on a real socket, with real timers: an asyncio client.

    async with Client("ws://localhost:8000/v1/stream", key) as client:
        async for event in client.stream({"model": "demo", "messages": [...]}):
            ...

Source: the `websockets` documentation, "asyncio client". Weakness: events wait in memory until they
are read; the server's limit on one stream's log bounds them.
"""

import asyncio
import json
import random
import time
import uuid
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Final, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException
from websockets.typing import Subprotocol

from tokenferry_client import actions, closing
from tokenferry_client.events import Chunk, Done, Event, Failed, Rewind, Snapshot, Started
from tokenferry_client.lane import Creation
from tokenferry_client.link import ABNORMAL, NORMAL, Link, LinkOptions

SUBPROTOCOL: Final = Subprotocol("tokenferry.v1")
OPEN_TIMEOUT_S: Final = 10.0
# A peer that does not answer a close frame is not waited for longer.
CLOSE_TIMEOUT_S: Final = 2.0
# A merged backlog is much smaller; a snapshot of one stream's log (4 MiB) escapes to less.
FRAME_BYTES_MAX: Final = 32 * 2**20
# Messages that wait for the socket; more than the streams of a link ask at once.
OUTBOX_MAX: Final = 4096


class Stream(AsyncIterator[Event]):
    """The events of one stream, in order; the last one is `Done` or `Failed`.

    Attributes:
        ref: The client's own id for it.
        stream_id: The server's; None until it is known.
        epoch: With `seq`, how far the events that were read reach.
        text: The text of choice 0 so far, with what was taken back taken out.
    """

    def __init__(self, client: "Client", ref: str, stream_id: str | None = None) -> None:
        self.ref = ref
        self.stream_id = stream_id
        self.epoch = self.seq = 0
        self.text = ""
        self._client = client
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._over = False

    async def __anext__(self) -> Event:
        """Return the next event."""
        event = None if self._over else await self._events.get()
        if event is None:
            self._over = True
            raise StopAsyncIteration
        self._take(event)
        return event

    def cancel(self) -> None:
        """End the stream at the server; `Done` with "cancelled" comes as the last event."""
        self._client.cancel(self)

    def detach(self) -> None:
        """Stop receiving: the iteration ends, the stream goes on."""
        self._client.detach(self)

    def push(self, event: Event | None) -> None:
        """Add an event to those that wait to be read; None ends them."""
        self._events.put_nowait(event)

    def _take(self, event: Event) -> None:
        match event:
            case Started():
                self.stream_id, self.epoch = event.stream_id, event.epoch
            case Chunk():
                self.epoch, self.seq = event.epoch, event.seq
                if event.index == 0:
                    self.text += event.text
            case Rewind():
                self.epoch, self.seq = event.epoch, event.keep_through
                self.text = event.texts[0]
            case Snapshot():
                self.epoch, self.seq, self.text = event.epoch, event.through, event.text
            case Done() | Failed():
                self._over = True


class _Connection:
    """One socket, from the wish for it to its end."""

    __slots__ = ("close_code", "outbox", "task")

    def __init__(self) -> None:
        self.outbox: asyncio.Queue[str] = asyncio.Queue(OUTBOX_MAX)
        self.close_code = NORMAL
        self.task: asyncio.Task[None] | None = None


class Client:
    """One connection to a gateway at a time, and any number of streams over it.

    Args:
        url: Of `/v1/stream`, with ws: or wss:.
        key: The API key.
        options: When to ping and when to give up. The key goes in a header, so `token` and
            `ticket` stay as they are.
    """

    def __init__(self, url: str, key: str, options: LinkOptions | None = None) -> None:
        self._url = url
        self._key = key
        self._link = Link(options or LinkOptions())
        self._streams: dict[str, Stream] = {}
        self._connection: _Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks = asyncio.TaskGroup()
        self._refs = 0

    async def __aenter__(self) -> Self:
        """Begin; a connection is made when the first stream is wanted."""
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; streams that have not ended fail with `client_closed`, and go on at the server."""
        self._act(self._link.close())
        if isinstance(exc, asyncio.CancelledError):
            await self._tasks.__aexit__(kind, exc, trace)
        else:
            # An error of the caller's own leaves as it is, and not in a group.
            await self._tasks.__aexit__(None, None, None)

    def stream(
        self,
        request: dict[str, Any],
        *,
        idempotency_key: str | None = None,
        options: dict[str, Any] | None = None,
    ) -> Stream:
        """Ask for an answer to a chat-completion request.

        Args:
            request: The body; `stream` is set.
            idempotency_key: Creates with the same one get the same stream; made when not given.
            options: Those of `create`: `on_disconnect`, `orphan_timeout_s`.

        Raises:
            ValueError: If there are too many streams.
        """
        creation = Creation(request, idempotency_key or uuid.uuid4().hex, options)
        stream = Stream(self, self._next_ref())
        done = self._link.create(stream.ref, creation, now_ms=_now_ms())
        self._streams[stream.ref] = stream
        self._act(done)
        return stream

    def follow(self, stream_id: str, *, epoch: int = 1, after: int = 0) -> Stream:
        """Follow a stream of the same key from a position on; (1, 0) is its start.

        Raises:
            ValueError: If this client follows it already, or there are too many streams.
        """
        stream = Stream(self, self._next_ref(), stream_id)
        stream.epoch, stream.seq = epoch, after
        done = self._link.follow(stream.ref, stream_id, epoch, after, now_ms=_now_ms())
        self._streams[stream.ref] = stream
        self._act(done)
        return stream

    def cancel(self, stream: Stream) -> None:
        """End a stream at the server."""
        self._act(self._link.cancel(stream.ref, now_ms=_now_ms(), random_bits=_random_bits()))

    def detach(self, stream: Stream) -> None:
        """Stop receiving a stream."""
        if self._streams.pop(stream.ref, None) is not None:
            stream.push(None)
        self._act(self._link.detach(stream.ref, now_ms=_now_ms(), random_bits=_random_bits()))

    # -- actions -------------------------------------------------------------------------------

    def _next_ref(self) -> str:
        self._refs += 1
        return str(self._refs)

    def _act(self, wanted: list[actions.Action]) -> None:
        for action in wanted:
            match action:
                case actions.Send(message):
                    self._send(json.dumps(message, ensure_ascii=False))
                case actions.Deliver(event):
                    self._deliver(event)
                case actions.Timer(in_ms):
                    self._set_timer(in_ms)
                case actions.Connect(delay_ms):
                    connection = self._connection = _Connection()
                    connection.task = self._tasks.create_task(self._run(connection, delay_ms))
                case actions.Close(code):
                    self._hang_up(code)

    def _send(self, text: str) -> None:
        if self._connection is None:
            return
        try:
            self._connection.outbox.put_nowait(text)
        except asyncio.QueueFull:
            # A server that reads nothing is as good as lost. Later, for `_act` is at work.
            asyncio.get_running_loop().call_soon(self._overflow, self._connection)

    def _overflow(self, connection: _Connection) -> None:
        if self._connection is connection:
            self._hang_up(NORMAL)
            self._closed(ABNORMAL)

    def _deliver(self, event: Event) -> None:
        stream = self._streams.get(event.ref)
        if stream is None:
            return
        if isinstance(event, Done | Failed):
            del self._streams[event.ref]
        stream.push(event)

    def _set_timer(self, in_ms: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if in_ms is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(in_ms / 1000, self._fired)

    def _fired(self) -> None:
        self._timer = None
        self._act(self._link.fired(now_ms=_now_ms(), random_bits=_random_bits()))

    def _hang_up(self, code: int) -> None:
        connection, self._connection = self._connection, None
        if connection is None or connection.task is None:
            return
        connection.close_code = code
        # The task that reads ends by itself, and closes in peace.
        if connection.task is not asyncio.current_task():
            connection.task.cancel()

    def _closed(self, code: int) -> None:
        self._act(self._link.closed(code, now_ms=_now_ms(), random_bits=_random_bits()))

    # -- the socket ----------------------------------------------------------------------------

    async def _run(self, connection: _Connection, delay_ms: int) -> None:
        """Open a socket after a delay, and read it to its end."""
        await asyncio.sleep(delay_ms / 1000)
        try:
            socket = await connect(
                self._url,
                additional_headers={"Authorization": f"Bearer {self._key}"},
                subprotocols=[SUBPROTOCOL],
                compression=None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_interval=None,  # the link sends its own
                max_size=FRAME_BYTES_MAX,
            )
        except InvalidURI:
            raise  # the caller's mistake, which no other attempt would mend
        except InvalidStatus as exc:
            code = closing.code_of_status(exc.response.status_code)
        except (OSError, TimeoutError, EOFError, WebSocketException):
            code = ABNORMAL
        else:
            code = await self._serve(connection, socket)
        if self._connection is connection:
            self._connection = None
            self._closed(code)

    async def _serve(self, connection: _Connection, socket: ClientConnection) -> int:
        """Carry messages both ways, and return the code that the server closed with."""
        writer = self._tasks.create_task(_write(connection.outbox, socket))
        try:
            if self._connection is connection:
                self._act(self._link.opened(now_ms=_now_ms()))
            while self._connection is connection:
                data = await socket.recv()
                # A binary message is none of the protocol; as text, the link refuses it.
                self._received(data if isinstance(data, str) else "")
        except ConnectionClosed as exc:
            return ABNORMAL if exc.rcvd is None else exc.rcvd.code
        finally:
            writer.cancel()
            await socket.close(connection.close_code)
        return ABNORMAL

    def _received(self, text: str) -> None:
        self._act(self._link.received(text, now_ms=_now_ms(), random_bits=_random_bits()))


async def _write(outbox: asyncio.Queue[str], socket: ClientConnection) -> None:
    """Send what is put into the outbox, until the socket closes."""
    while True:
        text = await outbox.get()
        try:
            await socket.send(text)
        except ConnectionClosed:
            return  # whoever reads is told the reason


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _random_bits() -> int:
    return random.getrandbits(closing.RANDOM_BITS)
