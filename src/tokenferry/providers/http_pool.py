"""Connections to providers: lent to one exchange at a time, kept alive, closed.

Synchronous code decides; only the opening of a connection is a task. A `Lane` holds the
connections of one provider, so that two providers never share one, whatever their addresses are.

Source: RFC 9112, 9.3 "Persistence". Weakness: whoever waits for a connection that is being opened
gets that one, even if another becomes idle sooner.
"""

import asyncio
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

from tokenferry.errors import ProviderError, ProviderUnreachable
from tokenferry.providers.http_dial import Destination, dial, make_tls_context

# Below the limits of common servers (nginx 75 s, Node 5 s, uvicorn 5 s; the short ones say so by
# closing): a connection that has gone unnoticed costs a retry.
IDLE_TIMEOUT_S = 15.0
# NAT gateways forget a silent connection after some 350 s; a model may think for longer.
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
_SHUTTING_DOWN = "the gateway is shutting down"


class Exchange(Protocol):
    """What a connection is lent to: one request and its response."""

    def ready(self, connection: "Connection") -> None:
        """Take the connection and write the request."""

    def received(self, data: bytes) -> None:
        """Take bytes of the response."""

    def lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone; None for an orderly end by the peer."""

    def refused(self, error: ProviderError) -> None:
        """Take note that there will be no connection."""


class Connection(asyncio.BaseProtocol):
    """One connection of a lane.

    Attributes:
        data_received: As in `asyncio.Protocol`; while the connection is lent, the exchange's own
            method, which saves a call for each read.
    """

    __slots__ = ("_exchange", "_lane", "_transport", "data_received", "idle_since_s", "is_reused")

    def __init__(self, lane: "Lane") -> None:
        self.data_received: Callable[[bytes], None] = self._unasked
        self._lane = lane
        self._exchange: Exchange | None = None
        self._transport: asyncio.Transport | None = None
        self.idle_since_s = 0.0
        self.is_reused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport and set its socket's options."""
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if (option := getattr(socket, name, None)) is not None:  # not on every system
                sock.setsockopt(socket.IPPROTO_TCP, option, value)

    def _unasked(self, data: bytes) -> None:  # noqa: ARG002 -- it is thrown away
        """Close: bytes that nobody asked for make the connection unusable."""
        self.close()

    def _receive_by(self, receive: Callable[[bytes], None]) -> None:
        self.data_received = receive
        if self._transport is not None:
            self._transport.set_protocol(self)  # uvloop keeps the method that it finds here

    def eof_received(self) -> None:
        """Close: nobody sends half of an exchange."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up the place in the lane and tell the exchange."""
        exchange, self._exchange = self._exchange, None
        self.data_received = _ignore  # no cycle is left behind
        self._lane.discard(self)
        if exchange is not None:
            exchange.lost(exc)
        self._lane.serve()  # after the exchange, whose retry goes first

    @property
    def is_usable(self) -> bool:
        """Whether a request can be written, and nothing of an earlier one is left to send."""
        transport = self._transport
        return (
            transport is not None
            and not transport.is_closing()
            and not transport.get_write_buffer_size()
        )

    def lend(self, exchange: Exchange) -> None:
        """Let an exchange use the connection, until it gives it back or closes it."""
        self._exchange = exchange
        self._receive_by(exchange.received)
        exchange.ready(self)

    def write(self, data: bytes) -> None:
        """Write a request."""
        if self._transport is not None:
            self._transport.write(data)

    def give_back(self) -> None:
        """End the loan; the next exchange may have the connection."""
        self._exchange = None
        self._receive_by(self._unasked)
        self.is_reused = True
        self._lane.take_back(self)

    def close(self) -> None:
        """Close at once; the exchange hears nothing more."""
        self._exchange = None
        self.data_received = _ignore
        if self._transport is not None:
            self._transport.abort()

    def break_off(self, exc: Exception) -> None:
        """Close at once and tell the exchange that the connection is lost."""
        exchange = self._exchange
        self.close()
        if exchange is not None:
            exchange.lost(exc)


def _ignore(_: bytes) -> None:
    """Take the place of an exchange once the connection is closed."""


class Lane:
    """The connections of one provider, and the line of those who wait for one.

    Args:
        destination: Where the connections lead.
        connections_max: Connections in use, idle and being opened, together.
        line_max: Exchanges that may wait for a place.
        idle_timeout_s: How long an unused connection is kept.
    """

    __slots__ = (
        "_connections_max",
        "_destination",
        "_dials",
        "_emptied",
        "_idle",
        "_idle_timeout_s",
        "_is_closed",
        "_line",
        "_line_max",
        "_live",
        "_sweep",
        "_tasks",
    )

    def __init__(
        self,
        destination: Destination,
        *,
        connections_max: int,
        line_max: int,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
    ) -> None:
        self._destination = destination
        self._connections_max = connections_max
        self._line_max = line_max
        self._idle_timeout_s = idle_timeout_s
        self._is_closed = False
        self._emptied = asyncio.Event()
        self._live: set[Connection] = set()
        # The longest idle first. The last one is lent first, so that a lull lets the surplus go.
        self._idle: OrderedDict[Connection, None] = OrderedDict()
        self._line: OrderedDict[Exchange, None] = OrderedDict()
        self._dials: dict[Exchange, asyncio.Task[ProviderError | None]] = {}
        # A withdrawn dial stays here until it has ended: the loop refers to tasks only weakly.
        self._tasks: set[asyncio.Task[ProviderError | None]] = set()
        self._sweep: asyncio.TimerHandle | None = None

    def open(self, exchange: Exchange, *, fresh: bool = False) -> None:
        """Get `exchange` a connection: at once when one is idle, otherwise in its turn.

        Args:
            exchange: Gets one of `ready` and `refused`; `refused` never before this returns.
                After `withdraw` it must ignore a `refused` that was already on its way.
            fresh: Open a new connection. For a retry from within `lost`: the place of the lost
                connection is free then, and is not yet given to the line.
        """
        while self._idle and not fresh:
            connection, _ = self._idle.popitem()
            if connection.is_usable:
                connection.lend(exchange)
                return
            connection.close()
        if self._is_closed:
            self._refuse_soon(exchange, _SHUTTING_DOWN)
        elif self._has_room():
            self._dial(exchange)
        elif len(self._line) < self._line_max:
            self._line[exchange] = None
        else:
            self._refuse_soon(
                exchange,
                f"the gateway's pool for this provider is full ({self._connections_max} "
                f"connections in use, {self._line_max} requests waiting); try again later",
            )

    def leave_line(self, exchange: Exchange) -> bool:
        """Give up the place in the line; return whether `exchange` had one."""
        if exchange not in self._line:
            return False
        del self._line[exchange]
        return True

    def withdraw(self, exchange: Exchange) -> None:
        """Stop waiting, or opening a connection, for `exchange`."""
        if not self.leave_line(exchange) and (task := self._dials.pop(exchange, None)):
            task.cancel()
            self.serve()

    def serve(self) -> None:
        """Give free places to those who wait, first come, first served."""
        while self._line and self._has_room():
            self._dial(self._line.popitem(last=False)[0])

    def take_back(self, connection: Connection) -> None:
        """Lend a connection to the first in line, or keep it for later."""
        if not connection.is_usable:
            connection.close()
        elif self._line:
            connection.lend(self._line.popitem(last=False)[0])
        else:
            loop = asyncio.get_running_loop()
            connection.idle_since_s = loop.time()
            self._idle[connection] = None
            if self._sweep is None:
                self._sweep = loop.call_later(self._idle_timeout_s, self._drop_stale)

    def discard(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self._live.discard(connection)
        self._idle.pop(connection, None)
        self._note_empty()

    def close(self) -> None:
        """Close everything at once; whoever waits or reads is told."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        waiting = [*self._line, *self._dials]
        self._line.clear()
        for task in self._dials.values():
            task.cancel()
        self._dials.clear()
        self._idle.clear()
        for exchange in waiting:
            exchange.refused(self._unreachable(_SHUTTING_DOWN))
        for connection in tuple(self._live):
            connection.break_off(ConnectionAbortedError(_SHUTTING_DOWN))
        self._note_empty()

    async def wait_closed(self) -> None:
        """Wait until every connection is gone; call `close` first."""
        await self._emptied.wait()

    def _note_empty(self) -> None:
        if self._is_closed and not self._live and not self._tasks:
            self._emptied.set()

    def _has_room(self) -> bool:
        return len(self._live) + len(self._dials) < self._connections_max

    def _refuse_soon(self, exchange: Exchange, reason: str) -> None:
        asyncio.get_running_loop().call_soon(exchange.refused, self._unreachable(reason))

    def _unreachable(self, reason: str) -> ProviderUnreachable:
        return ProviderUnreachable(f"{self._destination.provider}: {reason}.")

    def _drop_stale(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = None
        while self._idle:
            oldest = next(iter(self._idle))
            left_s = oldest.idle_since_s + self._idle_timeout_s - loop.time()
            if left_s > 0:
                self._sweep = loop.call_later(left_s, self._drop_stale)
                return
            del self._idle[oldest]
            oldest.close()

    def _dial(self, exchange: Exchange) -> None:
        connection = Connection(self)
        task = asyncio.get_running_loop().create_task(
            dial(self._destination, cast("asyncio.Protocol", connection))
        )
        self._dials[exchange] = task
        self._tasks.add(task)
        task.add_done_callback(partial(self._dialled, exchange, connection))

    def _dialled(
        self,
        exchange: Exchange,
        connection: Connection,
        task: asyncio.Task[ProviderError | None],
    ) -> None:
        """Hand over a new connection; a callback, since a task cancelled early runs no code."""
        self._tasks.discard(task)
        if self._dials.get(exchange) is not task:  # withdrawn, maybe after it had succeeded
            connection.close()
            self._note_empty()
            return
        del self._dials[exchange]
        error = self._unreachable(_SHUTTING_DOWN) if task.cancelled() else task.result()
        if error is None and not connection.is_usable:
            error = self._unreachable(f"{self._destination} closed the connection at once")
        if error is None:
            self._live.add(connection)
            connection.lend(exchange)
        else:
            connection.close()
            exchange.refused(error)
            self.serve()


class ConnectionPool:
    """All lanes, and the TLS contexts that they share.

    Args:
        idle_timeout_s: How long an unused connection is kept.
    """

    __slots__ = ("_contexts", "_idle_timeout_s", "_lanes")

    def __init__(self, *, idle_timeout_s: float = IDLE_TIMEOUT_S) -> None:
        self._idle_timeout_s = idle_timeout_s
        self._lanes: list[Lane] = []
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    def lane(self, destination: Destination, *, connections_max: int, line_max: int) -> Lane:
        """Return a new lane to a destination, see `Lane`."""
        lane = Lane(
            destination,
            connections_max=connections_max,
            line_max=line_max,
            idle_timeout_s=self._idle_timeout_s,
        )
        self._lanes.append(lane)
        return lane

    def tls_context(self, ca_file: str | None) -> ssl.SSLContext:
        """Return the verifying context for a file of additional CAs, or for the system's alone.

        Raises:
            ValueError: If the file cannot be read or holds no certificate.
        """
        # Loading the system's CAs takes tens of milliseconds and about a megabyte.
        if ca_file not in self._contexts:
            self._contexts[ca_file] = make_tls_context(ca_file)
        return self._contexts[ca_file]

    def close(self) -> None:
        """Close every connection at once; exchanges under way are told that theirs is lost."""
        for lane in self._lanes:
            lane.close()

    async def wait_closed(self) -> None:
        """Wait until every connection is gone; call `close` first."""
        for lane in self._lanes:
            await lane.wait_closed()
