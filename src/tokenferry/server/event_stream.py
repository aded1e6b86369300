"""POST /v1/chat/completions: an answer as server-sent events, or whole.

The status line waits for the provider's verdict: a failure before the first token is an HTTP
error that SDKs understand. Only after a heartbeat's time of silence is the answer begun without
it, so that no proxy cuts the connection.

Source: OpenAI API reference, "Create chat completion"; WHATWG HTML, 9.2 (comments as heartbeat).
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass

from aiohttp import HttpVersion11, web

from tokenferry.engine.archive import Summary
from tokenferry.engine.keys import Key
from tokenferry.engine.stream import Outlet, Stream, Subscription, discard
from tokenferry.errors import StorageUnavailable, StreamExpired, TokenferryError
from tokenferry.protocol.chat import ChatRequest
from tokenferry.protocol.completion import folded
from tokenferry.protocol.events import EventRenderer, framed, kept_events
from tokenferry.protocol.frames import Terminal
from tokenferry.server.create_headers import create_options
from tokenferry.server.hub import Hub
from tokenferry.server.responses import STANDINGS, attempts_header, error_response, json_response
from tokenferry.server.transport import ClientProtocol

KEEP_ALIVE = b": keep-alive\n\n"
# How long a client over HTTP may read nothing of what is there; no ping can tell whether it lives.
STALLED_S = 600.0
NOT_SAVED = "The server could not save the answer. Ask again later."
JSON = "application/json"
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    # Proxies that compress, as of webpack and Next.js, would hold tokens back to the end.
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",  # nginx would hold the tokens back
}


async def complete(
    request: web.Request, hub: Hub, key: Key, chat: ChatRequest
) -> web.StreamResponse:
    """Serve one chat completion.

    Raises:
        TokenferryError: If no generation could be started.
    """
    arrived_s = time.monotonic()
    protocol = client_protocol(request)
    hub.check_room()
    dispatcher = hub.shared.dispatcher
    options = create_options(request, hub)
    try:
        created = dispatcher.create(key, chat, options, arrived_s=arrived_s)
    finally:
        request[STANDINGS] = dispatcher.admissions.standings(key, chat.model)
    if isinstance(created, Summary):
        return answer_kept(created, chat)
    if not chat.stream:
        return await _answer_whole(hub, protocol, created)
    return await send_events(request, hub, key, Reading(created, include_usage=chat.include_usage))


def client_protocol(request: web.Request) -> ClientProtocol:
    """Return the connection that a request came on."""
    protocol = request.protocol
    if not isinstance(protocol, ClientProtocol):
        raise TypeError("the server was not started with its own protocol factory")
    return protocol


@dataclass(frozen=True, slots=True)
class Reading:
    """What one client reads of a stream as events.

    Attributes:
        stream: The stream.
        include_usage: Whether it gets the usage chunk.
        after: The seq that it has already.
        preface: Events that come first.
        resumes: Whether the stream was there before the request.
    """

    stream: Stream
    include_usage: bool
    after: int = 0
    preface: bytes = b""
    resumes: bool = False


async def send_events(
    request: web.Request, hub: Hub, key: Key, reading: Reading
) -> web.StreamResponse:
    """Answer with a stream's events, to its end.

    Raises:
        TooManyFollowers: If the stream has as many as it may.
    """
    protocol = client_protocol(request)
    stream, book = reading.stream, hub.shared.dispatcher.book
    book.check_room(stream)
    outlet = EventOutlet(hub, protocol, key, chunked=request.version >= HttpVersion11)
    if reading.resumes:
        outlet.write(framed(reading.preface or KEEP_ALIVE, chunked=outlet.chunked))
        outlet.silent = True
    renderer = EventRenderer(
        stream.id, stream.epoch, include_usage=reading.include_usage, chunked=outlet.chunked
    )
    outlet.subscription = subscription = Subscription(
        stream, outlet, renderer, after=reading.after, resumes=reading.resumes
    )
    book.follow(subscription)
    hub.connections.add(outlet)
    protocol.user = outlet
    try:
        if stream.done and not outlet.line:
            outlet.ended.set()  # the client has everything
        outlet.pump()
        return await _answer_events(request, stream, outlet)
    finally:
        protocol.user = None
        hub.connections.discard(outlet)
        book.leave(subscription, lost=True)
        outlet.subscription = None  # a cycle, which would keep the whole stream for the collector


async def _answer_events(
    request: web.Request, stream: Stream, outlet: "EventOutlet"
) -> web.StreamResponse:
    await outlet.begun.wait()
    if stream.error is not None and stream.head_record is None and not outlet.silent:
        return error_response(stream.error, calls=stream.calls)
    headers = HEADERS | {"x-stream-id": stream.id} | attempts_header(stream.calls)
    response = web.StreamResponse(headers=headers)
    if outlet.chunked:
        response.enable_chunked_encoding()
    else:
        response.force_close()  # HTTP/1.0 knows no other end of the body
    await response.prepare(request)
    outlet.take_over()
    await outlet.ended.wait()
    with contextlib.suppress(ConnectionError):  # many clients close as soon as they read [DONE]
        await response.write_eof()
    return response


async def _answer_whole(hub: Hub, protocol: ClientProtocol, stream: Stream) -> web.Response:
    book = hub.shared.dispatcher.book
    book.check_room(stream)
    outlet = WholeOutlet(hub)
    outlet.subscription = subscription = Subscription(stream, outlet, _SILENT)
    book.follow(subscription)
    protocol.user = outlet
    try:
        outlet.pump()
        await outlet.ended
        return whole_response(stream)
    finally:
        protocol.user = None
        book.leave(subscription, lost=True)
        outlet.subscription = None  # a cycle, as above


def whole_response(stream: Stream) -> web.Response:
    """Return the whole answer of a stream that is done."""
    completion = folded(stream.id, stream.committed())
    end = completion.end
    headers = {"x-stream-id": stream.id} | attempts_header(stream.calls)
    if end is not None and end.error is not None:
        if stream.error is not None:
            return error_response(stream.error, calls=stream.calls)
        return json_response({"error": end.error}, status=502, headers=headers)
    if end is not None:
        headers |= money_headers(end)
    return json_response(completion.body(), headers=headers)


def money_headers(end: Terminal) -> dict[str, str]:
    """Return what a whole answer says of money."""
    headers = {}
    if end.cost is not None:
        headers["x-tokenferry-cost"] = end.cost
    if end.balance is not None:
        headers["x-tokenferry-balance"] = end.balance
    if end.notice is not None:
        headers["x-tokenferry-notice"] = end.notice.code
    return headers


def answer_kept(summary: Summary, chat: ChatRequest) -> web.Response:
    """Answer a repeated request from what is kept of the first one's answer."""
    headers = {"x-stream-id": summary.stream_id}
    if summary.message is None:
        raise StreamExpired("The answer to this idempotency key is no longer kept.")
    if summary.error is not None:
        body = b'{"error":%b}' % summary.error.encode()
        return web.Response(body=body, status=502, headers=headers, content_type=JSON)
    if not chat.stream:
        return web.Response(body=summary.message.encode(), headers=headers, content_type=JSON)
    body = kept_events(summary.message.encode(), include_usage=chat.include_usage)
    return web.Response(body=body, headers=HEADERS | headers)


class EventOutlet(Outlet):
    """The client of one event stream.

    Attributes:
        begun: Set when there is something to send, or nothing for a heartbeat's time.
        ended: Set when everything was sent, or the client is gone.
        silent: Whether the answer begins with a heartbeat.
        chunked: Whether the body is in chunks; without, it ends with the connection.
        key: Whose it is.
    """

    __slots__ = (
        "_early",
        "_hub",
        "_moved_s",
        "_protocol",
        "_seen",
        "_written_s",
        "begun",
        "chunked",
        "ended",
        "key",
        "silent",
        "subscription",
    )

    def __init__(self, hub: Hub, protocol: ClientProtocol, key: Key, *, chunked: bool) -> None:
        super().__init__(self._write_early)
        self.key: Key | None = key
        self.chunked = chunked
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.silent = False
        self.subscription: Subscription | None = None
        self._hub = hub
        self._protocol = protocol
        self._written_s = self._moved_s = time.monotonic()
        self._seen = 0
        # What came before the headers were sent.
        self._early: list[bytes] = []

    @property
    def coming_bytes(self) -> int:
        """Nothing: a request has come before its answer begins."""
        return 0

    def take_over(self) -> None:
        """Write what came so far; what comes from now on goes straight to the transport."""
        early, self._early = self._early, []
        transport = self._protocol.transport
        self.write = discard if transport is None else transport.write
        self.write(b"".join(early))

    def _write_early(self, data: bytes) -> None:
        self._early.append(data)
        self.begun.set()

    def delivered(self, subscription: Subscription) -> None:  # noqa: ARG002 -- there is but one
        """End the answer."""
        self.ended.set()

    def gone(self, subscription: Subscription) -> None:  # noqa: ARG002 -- there is but one
        """Cut the answer off: what this client has not read yet is no longer kept."""
        self.cut()

    def cut(self) -> None:
        """Cut the connection off, unless the answer has not begun and can be an error."""
        subscription = self.subscription
        if subscription is not None and subscription.stream.error and not self.begun.is_set():
            self.begun.set()
        elif self._protocol.transport is not None:
            self._protocol.transport.abort()

    def full(self) -> None:
        """Write no more for now."""
        self.paused = True

    def writable(self) -> None:
        """Go on writing."""
        self.resume()

    def lost(self) -> None:
        """End the stream at once: the client is gone."""
        self.write = discard
        if self.subscription is not None:
            self._hub.shared.dispatcher.book.leave(self.subscription, lost=True)
        self.begun.set()
        self.ended.set()

    def sweep(self, now_s: float) -> None:
        """Send a comment after a silence; cut off a client that has long read nothing."""
        seen = 0 if self.subscription is None else self.subscription.after
        if seen != self._seen:
            self._seen = seen
            self._written_s = self._moved_s = now_s
        elif self.paused:
            # What it has still to read could never be given up.
            if now_s - self._moved_s >= STALLED_S:
                self.cut()
        elif now_s - self._written_s >= self._hub.shared.settings.heartbeat_s:
            self._written_s = now_s
            self.silent = self.silent or not self.begun.is_set()
            self.write(framed(KEEP_ALIVE, chunked=self.chunked))

    def caught_up(self, subscription: Subscription) -> None:
        """Do nothing: a comment would tell the client nothing."""

    def credit_low(self, account_id: str, balance: str) -> None:
        """Do nothing: an event stream has the balance at its end."""

    def revoke(self, error: TokenferryError) -> None:
        """Do nothing: the key's streams were cancelled, which ends the answer."""


class WholeOutlet(Outlet):
    """A client that waits for the whole answer.

    Attributes:
        ended: Done when the stream is, or the client is gone.
    """

    __slots__ = ("_hub", "ended", "subscription")

    def __init__(self, hub: Hub) -> None:
        super().__init__(discard)  # the answer is sent by the handler, whole
        self.ended: asyncio.Future[None] = hub.loop.create_future()
        self.subscription: Subscription | None = None
        self._hub = hub

    def pump(self) -> None:
        """Wake the handler at the end."""
        self.queued = False
        self.line.clear()
        subscription = self.subscription
        if subscription is not None and subscription.stream.done and not self.ended.done():
            self.ended.set_result(None)

    def cut(self) -> None:
        """Give up on the answer, which cannot be saved: the client is still there."""
        if not self.ended.done():
            self.ended.set_exception(StorageUnavailable(NOT_SAVED))

    def full(self) -> None:
        """Do nothing: nothing is written from here."""

    def writable(self) -> None:
        """Do nothing: nothing is written from here."""

    def lost(self) -> None:
        """End the stream at once: the client is gone."""
        if self.subscription is not None:
            self._hub.shared.dispatcher.book.leave(self.subscription, lost=True)
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
