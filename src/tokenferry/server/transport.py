"""The server's side of a client's TCP connection, with the two events that aiohttp keeps to itself.

Tokens are written straight to the transport, without a coroutine each; so whoever writes must
hear, also without a coroutine, when the transport has room again and when it is gone.

Weakness: it subclasses aiohttp's `RequestHandler`, which is public but seldom subclassed.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from aiohttp import http_exceptions, web

from tokenferry.errors import InvalidRequest
from tokenferry.server.responses import error_response

log = logging.getLogger(__name__)

# As long as nginx waits between two parts of a body. Nothing else would find a client that is gone
# without a word: the server sends it nothing, and so has no answer to miss.
UPLOAD_SILENCE_S = 60.0
UPLOAD_SWEEP_S = 10.0


class TransportUser(Protocol):
    """Whoever writes to a connection directly."""

    def full(self) -> None:
        """Hear that the transport takes no more for now."""

    def writable(self) -> None:
        """Hear that the transport has room again."""

    def lost(self) -> None:
        """Hear that the connection is gone."""


class ClientProtocol(web.RequestHandler):
    """aiohttp's connection with hooks.

    Attributes:
        user: Who is told of the events; None while aiohttp alone uses the connection.
        last_data_s: Monotonic seconds at which the client last sent anything.
    """

    __slots__ = ("last_data_s", "user")

    user: TransportUser | None
    last_data_s: float

    def data_received(self, data: bytes) -> None:
        """Take the client's bytes, and note that it lives."""
        self.last_data_s = time.monotonic()
        super().data_received(data)

    def forget_http(self) -> None:
        """Give up the HTTP parser after an upgrade: a tenth of an idle connection's memory.

        aiohttp itself sets it to None when the connection ends, and reads it only before that
        and before an upgrade.
        """
        self._parser = None

    def is_uploading(self) -> bool:
        """Say whether a request's body is waited for, and nothing else."""
        request = self._current_request
        return (
            request is not None
            and self.user is None
            and not self._reading_paused  # then it is the handler that is slow
            and not request.content.is_eof()
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
            return super().handle_error(request, status, exc, message)
        # What follows is quoted from the request.
        fault = exc.message.partition("\n")[0].partition(": b")[0].rstrip(":.")
        if isinstance(exc, http_exceptions.ContentEncodingError):
            fault = "its content-encoding is none of gzip and deflate"
        log.info("a request from %s cannot be read: %s", request.remote, fault)
        response = error_response(InvalidRequest(f"The request cannot be read: {fault}."))
        response.force_close()
        return response

    def pause_writing(self) -> None:
        """Pass the event on after aiohttp had it."""
        super().pause_writing()
        if self.user is not None:
            self.user.full()

    def resume_writing(self) -> None:
        """Pass the event on after aiohttp had it."""
        super().resume_writing()
        if self.user is not None:
            self.user.writable()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Pass the event on after aiohttp had it."""
        user, self.user = self.user, None
        super().connection_lost(exc)
        if user is not None:
            user.lost()


def cut_silent_uploads(server: web.Server, now_s: float) -> None:
    """Cut off whoever has begun a request's body and has sent nothing for `UPLOAD_SILENCE_S`."""
    for protocol in server.connections:
        if (
            isinstance(protocol, ClientProtocol)
            and protocol.transport is not None
            and now_s - protocol.last_data_s > UPLOAD_SILENCE_S
            and protocol.is_uploading()
        ):
            protocol.transport.abort()


async def watch_uploads(server: web.Server) -> None:
    """Look for silent uploads until cancelled."""
    while True:
        await asyncio.sleep(UPLOAD_SWEEP_S)
        cut_silent_uploads(server, time.monotonic())


def protocol_factory(
    server: web.Server, options: dict[str, object]
) -> Callable[[], ClientProtocol]:
    """Return a factory for `loop.create_server`.

    Args:
        server: The runner's server, which knows the handler.
        options: Options of aiohttp's `RequestHandler`.
    """

    def make() -> ClientProtocol:
        protocol = ClientProtocol(server, loop=server._loop, **options)  # type: ignore[arg-type] # noqa: SLF001 -- as aiohttp's own factory does
        protocol.user = None
        protocol.last_data_s = 0.0
        return protocol

    return make
