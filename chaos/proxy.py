"""A TCP proxy that breaks the connections through it, each in its own way.

Source: socket(7) on SO_LINGER: with a time of 0, close sends RST; RFC 9293, 3.6 on half-closed
connections. Weakness: whether the kernel joins a trickle's pieces again is its own affair.
"""

import asyncio
import contextlib
import itertools
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from chaos.faults import CUTTING, Fault, Kind

LINGER_0 = struct.pack("ii", 1, 0)
READ_BYTES = 64 * 1024
BACKLOG = 1024
# A black hole or a half-open connection goes on until the client has enough, or for this long.
HOLE_S = 8.0
CONNECT_S = 2.0
NO_FAULT = Fault()


class Broken(Exception):
    """The fault has struck; the connection is done for."""


@dataclass
class Proxy:
    """Listens on a port of its own and connects to `target_port`, which may change.

    Attributes:
        target_port: Where connections go.
        draw: Returns the fault of the n-th connection.
        calm: Whether new connections are left in peace.
        struck: How many connections were cut, by what.
        refused: Connections for which the target did not listen.
    """

    target_port: int
    draw: Callable[[int], Fault]
    calm: bool = False
    port: int = 0
    struck: Counter[Kind] = field(default_factory=Counter)
    connections: int = 0
    refused: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _numbers: itertools.count = field(default_factory=itertools.count)

    @property
    def cuts(self) -> int:
        return self.struck.total()

    async def start(self) -> None:
        """Listen, and accept until `stop`."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._spawn(self._accept(listener))

    async def stop(self) -> None:
        """Break off every connection and stop listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                client, _ = await loop.sock_accept(listener)
                self._spawn(self._carry(client))

    async def _carry(self, client: socket.socket) -> None:
        """Serve one connection to its end."""
        number = next(self._numbers)
        server = socket.socket()
        for end in (client, server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client, server:
            try:
                async with asyncio.timeout(CONNECT_S):
                    address = ("127.0.0.1", self.target_port)
                    await asyncio.get_running_loop().sock_connect(server, address)
            except (OSError, TimeoutError):
                self.refused += 1
                reset(client)
                return
            self.connections += 1
            fault = NO_FAULT if self.calm else self.draw(number)
            await Carriage(fault, client, server, self.struck).run()


class Carriage:
    """One connection under way: two pumps, of which one may strike."""

    def __init__(
        self, fault: Fault, client: socket.socket, server: socket.socket, struck: Counter[Kind]
    ):
        self.fault = fault
        self.ends = (client, server)
        self.struck = struck
        self.swallows = False

    async def run(self) -> None:
        client, server = self.ends
        pumps = [
            asyncio.ensure_future(self.pump(client, server, up=True)),
            asyncio.ensure_future(self.pump(server, client, up=False)),
        ]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
            for pump in done:
                with contextlib.suppress(OSError, Broken):
                    pump.result()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def pump(self, source: socket.socket, sink: socket.socket, *, up: bool) -> None:
        """Pass bytes on until the end, or until the fault strikes in this direction."""
        loop = asyncio.get_running_loop()
        fault = self.fault
        left = fault.at_bytes if fault.kind in CUTTING and fault.up is up else -1
        while data := await loop.sock_recv(source, READ_BYTES):
            if self.swallows:
                continue
            if fault.delay_s:
                await asyncio.sleep(fault.delay_s)
            if left < 0:
                await loop.sock_sendall(sink, data)
                continue
            part = data[:left]
            left -= len(part)
            await self.pass_on(sink, part)
            if not left:
                await self.strike(source, sink)
                return
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    async def pass_on(self, sink: socket.socket, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        pieces = self.fault.piece_bytes
        if not pieces:
            await loop.sock_sendall(sink, data)
            return
        for turn in itertools.count():
            if not data:
                return
            size = pieces[turn % len(pieces)]
            await loop.sock_sendall(sink, data[:size])
            data = data[size:]
            await asyncio.sleep(0.001)

    async def strike(self, source: socket.socket, sink: socket.socket) -> None:
        """Do what the fault says, in the direction from `source` to `sink`.

        Raises:
            Broken: When the connection is to be closed.
        """
        kind = self.fault.kind
        self.struck[kind] += 1
        if kind is Kind.BLACK_HOLE:
            self.swallows = True
            async with asyncio.timeout(HOLE_S):
                while await asyncio.get_running_loop().sock_recv(source, READ_BYTES):
                    pass
        elif kind is Kind.HALF_OPEN:
            # This direction ends; the other one goes on as long as anybody talks.
            sink.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(HOLE_S):
                while await asyncio.get_running_loop().sock_recv(source, READ_BYTES):
                    pass
        elif kind is Kind.RESET:
            for end in self.ends:
                reset(end)
        raise Broken


def reset(end: socket.socket) -> None:
    """Have the close send RST instead of FIN."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
