"""One WebSocket connection at /v1/stream: what its frames mean is carried out here.

Frames are read by `protocol.session`; requests become streams in the dispatcher, and the streams'
frames go out through `server.client_socket`.

Source: spec/PROTOCOL.md.
"""

import logging
import time
from collections import deque
from collections.abc import Callable

from aiohttp import WSMsgType, web

from tokenferry.engine.archive import Summary
from tokenferry.engine.credit import CreditedSubscription, Credits
from tokenferry.engine.keys import Key
from tokenferry.engine.options import Options
from tokenferry.engine.resume import Replay, plan_resume
from tokenferry.engine.stream import Stream, Subscription
from tokenferry.errors import (
    AccountSuspended,
    AuthenticationError,
    InvalidRequest,
    RequestError,
    StreamNotFound,
    TokenferryError,
    TooManyBadKeys,
    TooManyStreams,
)
from tokenferry.protocol import messages
from tokenferry.protocol.chat import ChatRequest, parse_request
from tokenferry.protocol.completion import WholeRenderer
from tokenferry.protocol.cursor import Position
from tokenferry.protocol.frames import FrameRenderer, Renderer
from tokenferry.protocol.messages import FinalAnswer
from tokenferry.protocol.session import PlainRequest, Refusal, Session
from tokenferry.server.client_socket import UNSUPPORTED_DATA, ClientSocket
from tokenferry.server.hub import Hub
from tokenferry.server.random_ids import random_hex
from tokenferry.server.responses import FAILURES, told
from tokenferry.server.transport import ClientProtocol

log = logging.getLogger(__name__)

# RFC 6455, 7.4.1.
INTERNAL_ERROR = 1011
# After these the connection is of no use any more.
_SHUTS_OUT = (AuthenticationError, AccountSuspended, TooManyBadKeys)


class Connection(ClientSocket):
    """A client's connection.

    Args:
        hub: What connections share.
        socket: aiohttp's side of it.
        protocol: The transport's owner.
        session: The reader of its frames.
        key: Whose it is, when the upgrade said so.
    """

    __slots__ = (
        "_arrived_s",
        "_coalesces",
        "_credits",
        "_greeted",
        "_id",
        "_lanes",
        "_plain_line",
    )

    def __init__(
        self,
        hub: Hub,
        socket: web.WebSocketResponse,
        protocol: ClientProtocol,
        session: Session,
        key: Key | None,
    ) -> None:
        super().__init__(hub, socket, protocol, session, key)
        self._id = f"c_{random_hex(6)}"
        self._lanes: dict[str, Subscription] = {}
        self._plain_line: deque[bytes] | None = None
        self._greeted = False
        self._coalesces = False
        self._credits: Credits | None = None
        self._arrived_s = time.monotonic()
        protocol.user = self

    # -- reading -----------------------------------------------------------------------------

    async def serve(self) -> None:
        """Read frames until the connection ends."""
        if self._session.aware and self._session.authenticated:
            self._greet()
        socket = self._socket
        while True:
            frame = await socket.receive()
            self.took(frame)
            if frame.type is WSMsgType.TEXT:
                try:
                    self._receive(frame.data.encode())
                except Exception:
                    # Not further up: an HTTP error has no place on this connection any more.
                    log.exception("a frame could not be handled")
                    self.close(INTERNAL_ERROR, "The gateway failed; its log has more.")
                await self.room()
            elif frame.type is WSMsgType.PING:
                await socket.pong(frame.data)
                await self.room()
            elif frame.type is WSMsgType.BINARY:
                self.close(UNSUPPORTED_DATA, "Frames must be text.")
            elif frame.type is not WSMsgType.PONG:
                return

    def detach_all(self) -> None:
        """Leave every stream: the connection is gone."""
        self.stop_writing()
        lanes, self._lanes = self._lanes, {}
        for subscription in lanes.values():
            self._hub.shared.dispatcher.book.leave(subscription, lost=True)

    def _receive(self, data: bytes) -> None:
        if self._closing:
            return
        self._arrived_s = time.monotonic()
        message = self._session.receive(data)
        if isinstance(message, Refusal):
            self._refuse(message)
        elif isinstance(message, PlainRequest):
            self._take_plain(message.body)
        else:
            try:
                self._handlers[type(message)](self, message)
            except FAILURES as exc:
                self._answer(message, told(exc))

    def _answer(self, message: messages.ClientMessage, error: TokenferryError) -> None:
        """Say that a message was refused."""
        ref = getattr(message, "ref", None)
        stream_id = getattr(message, "stream_id", None)
        self._hub.shared.metrics.refused(error)
        self.write(messages.error(error, ref=ref, stream_id=stream_id))
        if isinstance(error, _SHUTS_OUT) or not self._session.authenticated:
            self.close(error.close_code or UNSUPPORTED_DATA, error.message)

    def _refuse(self, refusal: Refusal) -> None:
        error = refusal.error
        self._hub.shared.metrics.refused(error)
        if refusal.plain:
            self.write(messages.plain_error(error))
        else:
            self.write(messages.error(error, ref=refusal.ref))
        if refusal.close_code is not None:
            self.close(refusal.close_code, error.message)

    # -- the plain manner ----------------------------------------------------------------------

    def _take_plain(self, body: bytes) -> None:
        """Serve requests first in, first out: a plain client cannot tell two answers apart."""
        if self._plain_line is None:
            self._plain_line = deque((body,))
            self._next_plain()
        elif len(self._plain_line) >= self._hub.shared.settings.streams_per_connection_max:
            error = TooManyStreams("Too many requests wait on this connection; read the answers.")
            self._refuse(Refusal(error, plain=True))
        else:
            self._plain_line.append(body)

    def _next_plain(self) -> None:
        """Begin the first request in line that is not refused."""
        while self._plain_line and not self._closing:
            if self._start_plain(self._plain_line.popleft()):
                return
        self._plain_line = None

    def _start_plain(self, body: bytes) -> bool:
        try:
            request = parse_request(body)
            timeout_s = self._hub.shared.settings.orphan_timeout_s
            options = Options(on_disconnect_cancel=False, orphan_timeout_s=timeout_s)
            stream = self._create(request, options)
        except FAILURES as exc:
            error = told(exc)
            close_code = error.close_code if isinstance(error, _SHUTS_OUT) else None
            refusal = Refusal(error, plain=True, close_code=close_code)
            is_bad = isinstance(error, RequestError)
            self._refuse(self._session.refused(refusal) if is_bad else refusal)
            return False
        self._session.accepted()
        if isinstance(stream, Stream):  # without an idempotency key it is
            self._subscribe(stream, self._renderer(stream, request, aware=False), counts=False)
        return True

    # -- the aware manner ----------------------------------------------------------------------

    def _on_auth(self, message: messages.Auth) -> None:
        key = self._hub.shared.authenticator.authenticate(message.token, lambda: self.network)
        self._hub.admit(key, was_stranger=True)
        self.key = key
        self._session.authenticated = True
        self._greet()

    def _on_hello(self, message: messages.Hello) -> None:
        self._wants_heartbeat = "hb" in message.caps
        self._coalesces = "coalesce" in message.caps
        if "credit" in message.caps and self._credits is None:
            self._credits = Credits(message.window_bytes)
            self.count()
            self._greeted = False  # whoever counts must know from where
        self._greet()

    def _on_create(self, message: messages.Create) -> None:
        settings = self._hub.shared.settings
        key, book = message.idempotency_key, self._hub.shared.dispatcher.book
        repeats = key is not None and book.repeated(self._public_id(), key) is not None
        if len(self._lanes) >= settings.streams_per_connection_max and not repeats:
            raise TooManyStreams(
                f"This connection has {len(self._lanes)} streams running, as many as it may. "
                "Wait for one to end, or open another connection."
            )
        wanted = message.options
        orphan_timeout_s = settings.orphan_timeout_s
        if wanted.orphan_timeout_s is not None:
            orphan_timeout_s = min(max(0.0, wanted.orphan_timeout_s), orphan_timeout_s)
        request = parse_request(bytes(message.request))
        created = self._create(
            request,
            Options(
                on_disconnect_cancel=wanted.on_disconnect == "cancel",
                orphan_timeout_s=orphan_timeout_s,
                idempotency_key=message.idempotency_key,
                recovery=wanted.recovery or "fail",
            ),
        )
        self._greet()
        if isinstance(created, Summary):
            self._send_kept(message.ref, created)
            return
        follows = created.id in self._lanes
        if not follows:
            self._hub.shared.dispatcher.book.check_room(created)
        retention_s = settings.retention_s
        self.write(messages.started(message.ref, created.id, created.epoch, retention_s))
        self._say_limits(message.ref, request.model)
        if not follows:
            renderer = self._renderer(created, request, aware=True)
            self._subscribe(created, renderer, counts=request.stream is not False)

    def _say_limits(self, ref: str | int | None, model: str) -> None:
        admissions = self._hub.shared.dispatcher.admissions
        if self.key is not None and (standings := admissions.standings(self.key, model)):
            self.write(messages.rate_limits(ref, standings))

    def _on_resume(self, message: messages.Resume) -> None:
        dispatcher = self._hub.shared.dispatcher
        self._check_key()
        if message.stream_id in self._lanes:
            raise InvalidRequest("This connection follows the stream already.", param="stream_id")
        found = dispatcher.find(self._public_id(), message.stream_id)
        plan = plan_resume(found, Position(message.epoch, message.after))
        self._greet()
        if not isinstance(plan, Replay):
            self.write(messages.snapshot(message.ref, plan))
            return
        stream, after = plan.entry.stream, plan.after
        dispatcher.book.check_room(stream)
        position = (stream.id, stream.epoch, after, stream.head)
        if plan.is_reset:
            fields = messages.reset_fields(*position, done=stream.done)
            self.write(messages.reset(message.ref, fields))
        else:
            self.write(messages.resumed(message.ref, *position, done=stream.done))
        renderer = FrameRenderer(stream.id, stream.epoch, aware=True, merges=self._coalesces)
        self._subscribe(stream, renderer, after=after, resumes=True)

    def _send_kept(self, ref: str | int | None, summary: Summary) -> None:
        """Answer a repeated create whose stream is in the archive."""
        plan = plan_resume(summary, Position(summary.epoch, 0))
        if isinstance(plan, FinalAnswer):
            self.write(messages.started(ref, summary.stream_id, summary.epoch, 0))
            self.write(messages.snapshot(ref, plan))

    def _on_detach(self, message: messages.Detach) -> None:
        subscription = self._lanes.pop(message.stream_id, None)
        if subscription is None:
            raise StreamNotFound("This connection does not follow that stream.")
        self._hub.shared.dispatcher.book.leave(subscription, lost=False)

    def _on_cancel(self, message: messages.Cancel) -> None:
        self._hub.shared.dispatcher.cancel(self._public_id(), message.stream_id)
        lane = self._lanes.get(message.stream_id)
        if isinstance(lane, CreditedSubscription):
            lane.free()
            self.pump()

    def _on_credit(self, message: messages.Credit) -> None:
        """Let streams go on; of one that is no longer followed, credit may have been under way."""
        lane = None
        if message.stream_id is not None and (lane := self._lanes.get(message.stream_id)) is None:
            return
        if self._credits is not None:
            if not self._credits.add(message.bytes, lane):
                raise InvalidRequest("There is more credit than anybody can use.", param="bytes")
            self.pump()

    def _on_ping(self, message: messages.Ping) -> None:
        self.write(messages.pong(message.t))

    def _on_ack(self, message: messages.Ack) -> None:
        """Take what needs no answer: retention is by time."""

    _handlers: dict[type, Callable[..., None]] = {  # noqa: RUF012 -- a constant; slots bar ClassVar
        messages.Auth: _on_auth,
        messages.Hello: _on_hello,
        messages.Create: _on_create,
        messages.Resume: _on_resume,
        messages.Detach: _on_detach,
        messages.Cancel: _on_cancel,
        messages.Ping: _on_ping,
        messages.Ack: _on_ack,
        messages.Credit: _on_credit,
    }

    # -- both ----------------------------------------------------------------------------------

    def _public_id(self) -> str:
        return self.key.public_id if self.key is not None else ""

    def _check_key(self) -> Key:
        """Check again what was checked at the upgrade: a key may have been changed since."""
        self.key = key = self._hub.shared.authenticator.check(self._public_id())
        return key

    def _create(self, request: ChatRequest, options: Options) -> Stream | Summary:
        key = self._check_key()
        if self.arrival is not None:
            options = options._replace(arrival=self.arrival)
        if request.stream is None:
            request.stream = True  # this socket is for streaming; OpenAI's default is for HTTP
        return self._hub.shared.dispatcher.create(key, request, options, arrived_s=self._arrived_s)

    def _renderer(self, stream: Stream, request: ChatRequest, *, aware: bool) -> Renderer:
        if request.stream is False:
            return WholeRenderer(stream.id, stream.epoch, aware=aware)
        merges = self._coalesces or not aware
        return FrameRenderer(stream.id, stream.epoch, aware=aware, merges=merges)

    def _subscribe(
        self,
        stream: Stream,
        renderer: Renderer,
        *,
        counts: bool = True,
        after: int = 0,
        resumes: bool = False,
    ) -> None:
        if self._credits is None or not counts:
            subscription = Subscription(stream, self, renderer, after=after, resumes=resumes)
        else:
            subscription = CreditedSubscription(
                stream, self, renderer, self._credits, after=after, resumes=resumes
            )
        self._lanes[stream.id] = subscription
        self._hub.shared.dispatcher.book.follow(subscription)
        self.pump()

    def _greet(self) -> None:
        if self._greeted or not self._session.authenticated:
            return
        self._greeted = True
        self.say_ready(self._id, None if self._credits is None else self._credits.told())

    # -- events ---------------------------------------------------------------------------------

    def delivered(self, subscription: Subscription) -> None:
        """Free the lane; in the plain manner, begin the next request."""
        if self._lanes.pop(subscription.stream.id, None) is None:
            return
        self._hub.shared.dispatcher.book.leave(subscription, lost=False)
        if self._plain_line is not None:
            self._next_plain()

    def lost(self) -> None:
        """Let go of the streams at once; `serve` ends by itself."""
        if self._drained is not None:
            self._drained.set()
        self.detach_all()

    def progress(self) -> int:
        """Return a number that changes whenever a stream's frames are written."""
        return sum(lane.after for lane in self._lanes.values())

    @property
    def busy(self) -> bool:
        """Whether a stream is still on its way to this client."""
        return bool(self._lanes)
