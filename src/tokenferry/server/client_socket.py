"""The WebSocket beneath a connection: writing, pings, heartbeats and the closing handshake.

Frames are written straight to the transport, see `engine.stream.Outlet`; aiohttp reads and does
the closing handshake.

Source: RFC 6455, 5.5 (control frames); spec/PROTOCOL.md, "Flow, heartbeat, drain".
"""

import asyncio
import time

from aiohttp import web

from tokenferry.engine.stream import Outlet, Subscription, discard
from tokenferry.engine.traces import Arrival  # noqa: TC001 -- no import of its own for one name
from tokenferry.errors import AuthenticationTimeout
from tokenferry.protocol import messages
from tokenferry.protocol.session import Session
from tokenferry.server.hub import Hub
from tokenferry.server.transport import ClientProtocol

PING_FRAME = b"\x89\x00"
UNSUPPORTED_DATA = 1003
HEARTBEAT_LOST = 4108
TOO_SLOW = 4110
# RFC 6455, 5.5: a control frame carries 125 bytes, two of them the code.
CLOSE_REASON_BYTES_MAX = 123
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

    Attributes:
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
        "_written_s",
        "arrival",
        "network",
    )

    def __init__(
        self, hub: Hub, socket: web.WebSocketResponse, protocol: ClientProtocol, session: Session
    ) -> None:
        # Until nothing may be written any more; see `stop_writing`.
        super().__init__(discard if protocol.transport is None else protocol.transport.write)
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
        self._opened_s = self._pinged_s = self._written_s = time.monotonic()

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
