"""The WebSocket beneath a connection: writing, pings, announcements and the closing handshake.

Frames are written straight to the transport, see `engine.stream.Outlet`; aiohttp reads and does
the closing handshake.

Source: RFC 6455, 5.5 (control frames); spec/PROTOCOL.md, "Flow, heartbeat, drain".
"""

import asyncio
import time
from dataclasses import asdict

from aiohttp import WSMessage, WSMsgType, web

from tokenferry.engine.keys import Key
from tokenferry.engine.stream import Outlet, Subscription, discard
from tokenferry.engine.traces import Arrival  # noqa: TC001 -- no import of its own for one name
from tokenferry.errors import AuthenticationTimeout, TokenferryError
from tokenferry.protocol import messages
from tokenferry.protocol.session import Session
from tokenferry.server.hub import Hub
from tokenferry.server.request_body import BYTES_PER_S_MIN, START_S
from tokenferry.server.transport import ClientProtocol

PING_FRAME = b"\x89\x00"
UNSUPPORTED_DATA = 1003
HEARTBEAT_LOST = 4108
TOO_SLOW = 4110
# RFC 6455, 5.5: a control frame carries 125 bytes, two of them the code.
CLOSE_REASON_BYTES_MAX = 123
# RFC 6455, 5.2: two bytes and the mask; only longer frames have more.
CONTROL_HEAD_BYTES = 6
# Streams pause at about half of this. Only answers to the client's own messages get beyond, so
# that a client that asks and does not read is no longer listened to.
UNREAD_BYTES_MAX = 256 * 1024


class ClientSocket(Outlet):
    """One WebSocket, as an outlet for streams.

    Args:
        hub: What connections share.
        socket: aiohttp's side of it.
        protocol: The transport's owner.
        session: The reader of its frames.
        key: Whose it is, when the upgrade said so.

    Attributes:
        key: Whose it is, as soon as that is known.
        network: Where it comes from, if its first frame is to say whose it is.
        arrival: What its requests' traces are a part of; None where no traces are sent.
    """

    __slots__ = (
        "_closing",
        "_drained",
        "_hub",
        "_opened_s",
        "_pinged",
        "_pinged_s",
        "_progress",
        "_protocol",
        "_session",
        "_socket",
        "_wants_heartbeat",
        "_whole_s",
        "_written_s",
        "arrival",
        "key",
        "network",
    )

    def __init__(
        self,
        hub: Hub,
        socket: web.WebSocketResponse,
        protocol: ClientProtocol,
        session: Session,
        key: Key | None,
    ) -> None:
        # Until nothing may be written any more; see `stop_writing`.
        super().__init__(discard if protocol.transport is None else protocol.transport.write)
        self.key = key
        self.network = ""
        self.arrival: Arrival | None = None
        self._hub = hub
        self._socket = socket
        self._protocol = protocol
        self._session = session
        self._closing = False
        self._drained: asyncio.Event | None = None
        self._wants_heartbeat = False
        self._pinged = False
        self._progress = 0
        self._opened_s = self._pinged_s = self._written_s = self._whole_s = time.monotonic()

    @property
    def coming_bytes(self) -> int:
        """What has come of a message that is not complete."""
        return self._protocol.coming_bytes

    def took(self, frame: WSMessage) -> None:
        """Take note of a frame; what comes from now on is the next message's."""
        if frame.type in (WSMsgType.PING, WSMsgType.PONG):
            # It may stand between two fragments of a message.
            count = CONTROL_HEAD_BYTES + len(frame.data)
            self._protocol.coming_bytes = max(0, self._protocol.coming_bytes - count)
        else:
            self._protocol.coming_bytes = 0
            self._whole_s = self._hub.now_s

    def progress(self) -> int:
        """Return a number that changes whenever a stream's frames are written."""
        raise NotImplementedError

    def gone(self, subscription: Subscription) -> None:
        """Close: what this client has not read yet is no longer kept."""
        self.close(TOO_SLOW, f"Too slow: stream {subscription.stream.id} is no longer kept.")

    def cut(self) -> None:
        """Cut the connection off."""
        if self._protocol.transport is not None:
            self._protocol.transport.abort()

    def full(self) -> None:
        """Write no more for now."""
        self.paused = True

    def writable(self) -> None:
        """Go on writing."""
        if self._drained is not None:
            self._drained.set()
        self.resume()

    async def room(self) -> None:
        """Wait until the client has read enough of what it was sent."""
        transport = self._protocol.transport
        while transport is not None and transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
            self._drained = asyncio.Event()
            await self._drained.wait()
            transport = self._protocol.transport
        self._drained = None

    def say_ready(self, connection_id: str, windows: dict[str, int] | None) -> None:
        """Greet a client that understands, with what it may have."""
        settings = self._hub.shared.settings
        limits = {
            "frame_bytes_max": settings.frame_bytes_max,
            "streams_per_connection_max": settings.streams_per_connection_max,
            "followers_per_stream_max": settings.followers_per_stream_max,
        }
        if self.key is not None:
            limits |= asdict(self._hub.shared.dispatcher.admissions.allowance(self.key))
        self.write(messages.ready(connection_id, settings.heartbeat_s, limits, windows))

    def caught_up(self, subscription: Subscription) -> None:
        """Tell the client that the replay is over."""
        self.write(messages.caught_up(subscription.stream.id, subscription.after))

    def waits(self, subscription: Subscription, position: int, eta_s: float | None) -> None:
        """Tell a client that understands where its stream stands."""
        if self._session.aware:
            self.write(messages.queued(subscription.stream.id, position, eta_s))

    def revoke(self, error: TokenferryError) -> None:
        """Close, because the key is no longer good."""
        self.write(messages.error(error) if self._session.aware else messages.plain_error(error))
        self.close(error.close_code or UNSUPPORTED_DATA, error.message)

    def credit_low(self, account_id: str, balance: str) -> None:
        """Tell a client of the account, if it understands."""
        if self._session.aware and self.key is not None and self.key.account_id == account_id:
            self.write(messages.low_balance(balance))

    def go_away(self, reconnect_after_ms: int, deadline_ms: int) -> None:
        """Announce the server's stop to a client that understands."""
        if self._session.aware:
            self.write(messages.going_away(reconnect_after_ms, deadline_ms))

    def sweep(self, now_s: float) -> None:
        """Ping, beat, and give up on a client that does not answer."""
        settings = self._hub.shared.settings
        transport = self._protocol.transport
        if self._closing or transport is None:
            return
        if not self._session.authenticated and now_s - self._opened_s > settings.auth_timeout_s:
            error = AuthenticationTimeout("No authentication came in time.")
            self.close(error.close_code or UNSUPPORTED_DATA, error.message)
            return
        coming = self._protocol.coming_bytes
        if not coming or self._drained is not None:
            self._whole_s = now_s
        elif now_s - self._whole_s > START_S + coming / BYTES_PER_S_MIN:
            self.close(HEARTBEAT_LOST, "A message has not come to its end.")
            transport.abort()
            return
        waits_s = now_s - self._pinged_s
        silent = self._pinged and self._protocol.last_data_s < self._pinged_s
        if silent and waits_s > settings.ping_timeout_s:
            self.close(HEARTBEAT_LOST, "No answer to a ping.")
            # The closing handshake needs a peer; this one is not there.
            transport.abort()
            return
        if waits_s >= settings.ping_interval_s:
            self._pinged = True
            self._pinged_s = now_s
            transport.write(PING_FRAME)
        if self._progress != (progress := self.progress()):
            self._progress = progress
            self._written_s = now_s
        if self._wants_heartbeat and now_s - self._written_s >= settings.heartbeat_s:
            self._written_s = now_s
            self.write(messages.heartbeat(time.time_ns() // 1_000_000))

    def stop_writing(self) -> None:
        """Write nothing more: the closing handshake has begun, or the connection is gone."""
        self._closing = True
        self.write = discard

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake; nothing is written after it."""
        if self._closing:
            return
        self.stop_writing()
        text = reason.encode()[:CLOSE_REASON_BYTES_MAX].decode(errors="ignore").encode()
        self._hub.spawn(_close(self._socket, code, text))


async def _close(socket: web.WebSocketResponse, code: int, reason: bytes) -> None:
    await socket.close(code=code, message=reason)
