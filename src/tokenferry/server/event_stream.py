"""POST /v1/chat/completions: an answer as server-sent events, or whole.

The status line waits for the provider's verdict: a failure before the first token is an HTTP
error that SDKs understand. Only after a heartbeat's time of silence is the answer begun without
it, so that no proxy cuts the connection.

Source: OpenAI API reference, "Create chat completion"; WHATWG HTML, 9.2 (comments as heartbeat).
"""

import asyncio
import contextlib
import time

from aiohttp import HttpVersion11, web

from tokenferry.engine.dispatcher import Options
from tokenferry.engine.keys import Key
from tokenferry.engine.stream import Outlet, Stream, Subscription
from tokenferry.errors import InvalidKey
from tokenferry.protocol.chat import ChatRequest
from tokenferry.protocol.completion import Completion
from tokenferry.protocol.frames import EventRenderer
from tokenferry.server.hub import Hub
from tokenferry.server.responses import error_response, json_response
from tokenferry.server.transport import ClientProtocol

KEEP_ALIVE = b": keep-alive\n\n"
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # nginx would hold the tokens back
}
# A client that goes away ends its stream: without a stream id it has no way to come back.
OPTIONS = Options(resumable=False, on_disconnect_cancel=True, orphan_timeout_s=0.0)


async def complete(
    request: web.Request, hub: Hub, key: Key, chat: ChatRequest
) -> web.StreamResponse:
    """Serve one chat completion.

    Raises:
        TokenferryError: If no generation could be started.
    """
    protocol = request.protocol
    if not isinstance(protocol, ClientProtocol):
        raise TypeError("the server was not started with its own protocol factory")
    arrived_s = time.monotonic()
    hub.check_room()
    stream = hub.shared.dispatcher.create(key.public_id, chat, OPTIONS, arrived_s=arrived_s)
    if not chat.stream:
        return await _answer_whole(hub, protocol, stream)
    outlet = EventOutlet(hub, protocol, key)
    renderer = EventRenderer(stream.id, include_usage=chat.include_usage)
    outlet.subscription = subscription = Subscription(stream, outlet, renderer)
    hub.connections.add(outlet)
    protocol.user = outlet
    try:
        return await _answer_events(request, stream, outlet)
    finally:
        protocol.user = None
        hub.connections.discard(outlet)
        hub.shared.dispatcher.leave(subscription, lost=True)
        outlet.subscription = None  # a cycle, which would keep the whole stream for the collector


async def _answer_events(
    request: web.Request, stream: Stream, outlet: "EventOutlet"
) -> web.StreamResponse:
    await outlet.begun.wait()
    if stream.error is not None and stream.head_record is None and not outlet.silent:
        return error_response(stream.error)
    response = web.StreamResponse(headers=HEADERS | {"x-stream-id": stream.id})
    chunked = request.version >= HttpVersion11
    if chunked:
        response.enable_chunked_encoding()
    else:
        response.force_close()  # HTTP/1.0 knows no other end of the body
    await response.prepare(request)
    await response.write(outlet.take_over(chunked=chunked))
    await outlet.ended.wait()
    with contextlib.suppress(ConnectionError):  # many clients close as soon as they read [DONE]
        await response.write_eof()
    return response


async def _answer_whole(hub: Hub, protocol: ClientProtocol, stream: Stream) -> web.Response:
    outlet = WholeOutlet(hub)
    outlet.subscription = subscription = Subscription(stream, outlet, _SILENT)
    protocol.user = outlet
    try:
        await outlet.ended
        if stream.error is not None:
            return error_response(stream.error)
        completion = Completion(stream.id)
        for record in stream.all_records():
            completion.add(record)
        return json_response(completion.body(), headers={"x-stream-id": stream.id})
    finally:
        protocol.user = None
        hub.shared.dispatcher.leave(subscription, lost=True)
        outlet.subscription = None  # a cycle, as above


class EventOutlet(Outlet):
    """The client of one event stream.

    Attributes:
        begun: Set when there is something to send, or nothing for a heartbeat's time.
        ended: Set when everything was sent, or the client is gone.
        silent: Whether the answer begins with a heartbeat.
        key: Whose it is.
    """

    __slots__ = (
        "_chunked",
        "_early",
        "_hub",
        "_protocol",
        "_written_s",
        "_wrote",
        "begun",
        "ended",
        "key",
        "silent",
        "subscription",
    )

    def __init__(self, hub: Hub, protocol: ClientProtocol, key: Key) -> None:
        super().__init__()
        self.key: Key | None = key
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.silent = False
        self.subscription: Subscription | None = None
        self._hub = hub
        self._protocol = protocol
        self._written_s = time.monotonic()
        self._wrote = False
        # What came before the headers were sent; None from then on.
        self._early: list[bytes] | None = []
        self._chunked = False

    def take_over(self, *, chunked: bool) -> bytes:
        """Return what came so far; what comes from now on goes straight to the transport."""
        early, self._early = self._early or [], None
        self._chunked = chunked
        return b"".join(early)

    def write(self, data: bytes) -> None:
        """Write events."""
        if self._early is not None:
            self._early.append(data)
            self.begun.set()
            return
        transport = self._protocol.transport
        if transport is not None:
            self._wrote = True
            transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def delivered(self, subscription: Subscription) -> None:  # noqa: ARG002 -- there is but one
        """End the answer."""
        self.ended.set()

    def gone(self, subscription: Subscription) -> None:  # noqa: ARG002 -- there is but one
        """Cut the answer off: what this client has not read yet is no longer kept."""
        self.cut()

    def cut(self) -> None:
        """Cut the connection off."""
        if self._protocol.transport is not None:
            self._protocol.transport.abort()

    def full(self) -> None:
        """Write no more for now."""
        self.paused = True

    def writable(self) -> None:
        """Go on writing."""
        self.resume()

    def lost(self) -> None:
        """End the stream at once: the client is gone."""
        if self.subscription is not None:
            self._hub.shared.dispatcher.leave(self.subscription, lost=True)
        self.begun.set()
        self.ended.set()

    def sweep(self, now_s: float) -> None:
        """Send a comment after a silence."""
        if self._wrote:
            self._wrote = False
            self._written_s = now_s
        elif now_s - self._written_s >= self._hub.shared.settings.heartbeat_s:
            self._written_s = now_s
            self.silent = self.silent or not self.begun.is_set()
            self.write(KEEP_ALIVE)

    def caught_up(self, subscription: Subscription) -> None:
        """Do nothing: a comment would tell the client nothing."""

    def revoke(self, error: InvalidKey) -> None:
        """Do nothing: the key's streams were cancelled, which ends the answer."""


class WholeOutlet(Outlet):
    """A client that waits for the whole answer.

    Attributes:
        ended: Done when the stream is, or the client is gone.
    """

    __slots__ = ("_hub", "ended", "subscription")

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self.ended: asyncio.Future[None] = hub.loop.create_future()
        self.subscription: Subscription | None = None
        self._hub = hub

    def write(self, data: bytes) -> None:
        """Send nothing: the answer is sent by the handler, whole."""

    def pump(self) -> None:
        """Wake the handler at the end."""
        self.queued = False
        self.line.clear()
        subscription = self.subscription
        if subscription is not None and subscription.stream.done and not self.ended.done():
            self.ended.set_result(None)

    def cut(self) -> None:
        """Give up on the answer."""
        self.lost()

    def full(self) -> None:
        """Do nothing: nothing is written from here."""

    def writable(self) -> None:
        """Do nothing: nothing is written from here."""

    def lost(self) -> None:
        """End the stream at once: the client is gone."""
        if self.subscription is not None:
            self._hub.shared.dispatcher.leave(self.subscription, lost=True)
        if not self.ended.done():
            self.ended.set_exception(ConnectionResetError("the client is gone"))


class _SilentRenderer:
    """Renders nothing."""

    merges = False

    def open(self, record: bytes) -> None:
        """Take the head record."""

    def render(self, seq: int, record: bytes) -> bytes:  # noqa: ARG002 -- renders nothing
        """Return nothing."""
        return b""

    def merge(self, first: int, last: int, texts: object) -> bytes:  # noqa: ARG002 -- as above
        """Return nothing."""
        return b""


_SILENT = _SilentRenderer()
