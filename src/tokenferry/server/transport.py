"""The server's side of a client's TCP connection, with the two events that aiohttp keeps to itself.

Tokens are written straight to the transport, without a coroutine each; so whoever writes must
hear, also without a coroutine, when the transport has room again and when it is gone. What aiohttp
writes itself, whole answers, waits in the memory until its client reads: there is a limit to that.

Weakness: it subclasses aiohttp's `RequestHandler`, which is public but seldom subclassed.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from aiohttp import hdrs, http_exceptions, web

from tokenferry.errors import InvalidRequest
from tokenferry.server.responses import SERVER_NAME, error_response

log = logging.getLogger(__name__)

# As long as nginx waits between two reads of a body, or two writes of an answer. Nothing else would
# find a client that is gone without a word in the middle of its request, since the server sends it
# nothing and so misses no answer, or one that is there and does not read.
SILENCE_S = 60.0
SWEEP_INTERVAL_S = 10.0
# Some sixty of the largest answers; a client that reads leaves none of its own behind.
UNREAD_BYTES_MAX = 256 * 1024 * 1024


class TransportUser(Protocol):
    """Whoever writes to a connection directly."""

    def full(self) -> None:
        """Hear that the transport takes no more for now."""

    def writable(self) -> None:
        """Hear that the transport has room again."""

    def lost(self) -> None:
        """Hear that the connection is gone."""


class Unread:
    """The clients that do not read a whole answer, in the order in which they began not to."""

    def __init__(self) -> None:
        self._bytes: OrderedDict[ClientProtocol, int] = OrderedDict()
        self._bytes_of_all = 0

    def add(self, protocol: "ClientProtocol", count: int) -> None:
        """Take note of what waits for a client; who has not read for longest is cut off for it."""
        self.drop(protocol)
        self._bytes[protocol] = count
        self._bytes_of_all += count
        while self._bytes_of_all > UNREAD_BYTES_MAX and len(self._bytes) > 1:
            oldest = next(iter(self._bytes))
            self.drop(oldest)
            if oldest.transport is not None:
                oldest.transport.abort()

    def drop(self, protocol: "ClientProtocol") -> None:
        """Take note that a client has read, or is gone."""
        self._bytes_of_all -= self._bytes.pop(protocol, 0)


class Places:
    """How many connections are open, of so many that may be.

    Args:
        most: How many; None for any number.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._open = 0

    def take(self) -> bool:
        """Count a connection that opens, and return whether there was a place for it."""
        self._open += 1
        return self._most is None or self._open <= self._most

    def leave(self) -> None:
        """Count a connection that is gone."""
        self._open -= 1


class ClientProtocol(web.RequestHandler):
    """aiohttp's connection with hooks.

    Attributes:
        coming_bytes: What has come of a WebSocket message that is not complete.
        places: Where it is counted.
        unread: Where a client is noted down that does not read.
        user: Who is told of the events; None while aiohttp alone uses the connection.
        last_data_s: Monotonic seconds at which the client last sent anything.
    """

    __slots__ = (
        "_unread_bytes",
        "_unread_since_s",
        "coming_bytes",
        "last_data_s",
        "places",
        "unread",
        "user",
    )

    coming_bytes: int
    places: Places
    unread: Unread
    user: TransportUser | None
    last_data_s: float
    _unread_bytes: int
    _unread_since_s: float

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close at once what finds no place: it would take the files that others need."""
        has_place = self.places.take()
        super().connection_made(transport)
        if not has_place and self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take the client's bytes, and note that it lives."""
        self.last_data_s = time.monotonic()
        self.coming_bytes += len(data)
        super().data_received(data)

    def forget_http(self) -> None:
        """Give up the HTTP parser after an upgrade: a tenth of an idle connection's memory.

        aiohttp itself sets it to None when the connection ends, and reads it only before that
        and before an upgrade.
        """
        self._parser = None
        self.coming_bytes = 0

    def is_stalled(self, now_s: float) -> bool:
        """Say whether the client has neither sent nor read anything of a request for too long.

        Whoever writes to the connection directly looks after that on its own.
        """
        if self.user is not None or self.transport is None or not self._request_in_progress:
            return False
        if self.is_uploading():
            return now_s - self.last_data_s > SILENCE_S
        unread_bytes = self.transport.get_write_buffer_size()
        if not self.writing_paused or unread_bytes != self._unread_bytes:
            self._unread_bytes, self._unread_since_s = unread_bytes, now_s
        return self.writing_paused and now_s - self._unread_since_s > SILENCE_S

    def is_uploading(self) -> bool:
        """Say whether the rest of a request's body is waited for."""
        request = self._current_request
        return (
            request is not None
            and not request.content.is_eof()
            and not self._reading_paused  # then it is the handler that is slow
        )

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP in the shape of all errors, and close.

        aiohttp's own answer is a text, and its log an error with a traceback for each scanner that
        comes along, and with the line at fault, which may hold a key.
        """
        if not isinstance(exc, http_exceptions.HttpProcessingError) or request.writer.output_size:
            failed = super().handle_error(request, status, exc, message)
            failed.headers[hdrs.SERVER] = SERVER_NAME
            return failed
        # What follows is quoted from the request.
        fault = exc.message.partition("\n")[0].partition(": b")[0].rstrip(":.")
        if isinstance(exc, http_exceptions.ContentEncodingError):
            fault = "its content-encoding is none of gzip and deflate"
        log.info("a request from %s cannot be read: %s", request.remote, fault)
        response = error_response(InvalidRequest(f"The request cannot be read: {fault}."))
        response.headers[hdrs.SERVER] = SERVER_NAME
        response.force_close()
        return response

    def pause_writing(self) -> None:
        """Pass the event on after aiohttp had it."""
        super().pause_writing()
        if self.user is not None:
            self.user.full()
        elif self.transport is not None:
            self.unread.add(self, self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Pass the event on after aiohttp had it."""
        super().resume_writing()
        self.unread.drop(self)
        if self.user is not None:
            self.user.writable()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Pass the event on after aiohttp had it."""
        user, self.user = self.user, None
        self.unread.drop(self)
        self.places.leave()
        super().connection_lost(exc)
        if user is not None:
            user.lost()


def cut_stalled(server: web.Server, now_s: float) -> None:
    """Cut off all clients that stall."""
    for protocol in server.connections:
        if (
            isinstance(protocol, ClientProtocol)
            and protocol.is_stalled(now_s)
            and protocol.transport is not None
        ):
            protocol.transport.abort()


async def watch_stalled(server: web.Server) -> None:
    """Look for clients that stall until cancelled."""
    while True:
        await asyncio.sleep(SWEEP_INTERVAL_S)
        cut_stalled(server, time.monotonic())


def protocol_factory(
    server: web.Server, options: dict[str, object], most: int | None = None
) -> Callable[[], ClientProtocol]:
    """Return a factory for `loop.create_server`.

    Args:
        server: The runner's server, which knows the handler.
        options: Options of aiohttp's `RequestHandler`.
        most: How many connections may be open at once; None for any number.
    """
    unread, places = Unread(), Places(most)

    def make() -> ClientProtocol:
        protocol = ClientProtocol(server, loop=server._loop, **options)  # type: ignore[arg-type] # noqa: SLF001 -- as aiohttp's own factory does
        protocol.user = None
        protocol.last_data_s = protocol._unread_since_s = 0.0  # noqa: SLF001 -- its own factory
        protocol._unread_bytes = 0  # noqa: SLF001 -- as above
        protocol.coming_bytes = 0
        protocol.unread = unread
        protocol.places = places
        return protocol

    return make
