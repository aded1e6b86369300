"""The server's side of a client's TCP connection, with the two events that aiohttp keeps to itself.

Tokens are written straight to the transport, without a coroutine each; so whoever writes must
hear, also without a coroutine, when the transport has room again and when it is gone.

Weakness: it subclasses aiohttp's `RequestHandler`, which is public but seldom subclassed.
"""

import time
from collections.abc import Callable
from typing import Protocol

from aiohttp import web


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
