"""What comes between a client and its answer: tokens one by one, connections that are cut."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence

from harness import dialects
from harness.gateway import Gateway
from harness.providers import Exchange

READ_BYTES_MAX = 65_536


class Steps:
    """The script of a chat-completions provider, whose tokens the test releases one by one."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self._pieces = pieces
        self._leave: asyncio.Queue[int] = asyncio.Queue()

    def give(self, count: int) -> None:
        self._leave.put_nowait(count)

    async def __call__(self, exchange: Exchange) -> None:
        exchange.head()
        for block in dialects.opening("openai"):
            exchange.chunk(block)
        pieces = list(self._pieces)
        while pieces:
            for _ in range(await self._leave.get()):
                exchange.chunk(dialects.token("openai", pieces.pop(0)))
        for block in dialects.closing("openai", len(self._pieces)):
            exchange.chunk(block)
        exchange.end()


class Relay:
    """A TCP relay before the gateway.

    Attributes:
        answers_withheld: How many further connections are cut when the gateway has answered a
            `create`, before the answer gets through.
        connections: How many there were.
        cut_after: How many bytes of the gateway's the next connections let through before they
            are reset, one number a connection.
        silent: Whether nothing at all gets through, in either direction, and nobody is told.
        swallowed: Whether something of the gateway's has not got through for that reason.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.answers_withheld = 0
        self.connections = 0
        self.cut_after: list[int] = []
        self.silent = False
        self.swallowed = False
        self.url = ""
        self._gateway_port = gateway.port
        self._writers: list[asyncio.StreamWriter] = []

    def redirect(self, port: int) -> None:
        """Lead further connections somewhere else."""
        self._gateway_port = port

    def cut(self) -> None:
        """Reset every connection."""
        writers, self._writers = self._writers, []
        for writer in writers:
            # Those that end already need no more; of TLS, CPython 3.11.2 cannot abort() then.
            if not writer.transport.is_closing():
                writer.transport.abort()

    async def serve(
        self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        withholds = self.answers_withheld > 0
        self.answers_withheld -= withholds
        left = self.cut_after.pop(0) if self.cut_after else None
        try:
            gateway_in, gateway_out = await asyncio.open_connection("127.0.0.1", self._gateway_port)
        except OSError:  # it is down, and whoever listens in its place hangs up
            client_out.transport.abort()
            return
        writers = [client_out, gateway_out]
        self._writers += writers
        with contextlib.suppress(ConnectionError):
            async with asyncio.TaskGroup() as group:
                up = group.create_task(self._pump(client_in, gateway_out))
                await self._down(gateway_in, client_out, left, withholds=withholds)
                up.cancel()
        for writer in writers:
            writer.close()  # and not abort(): what was written still goes out

    async def _pump(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(READ_BYTES_MAX):
                if not self.silent:
                    to.write(data)

    async def _down(
        self,
        source: asyncio.StreamReader,
        to: asyncio.StreamWriter,
        left: int | None,
        *,
        withholds: bool,
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(READ_BYTES_MAX):
                if withholds and b'"started"' in data:
                    return
                if self.silent:
                    self.swallowed = True
                    continue
                if left is not None and len(data) >= left:
                    to.write(data[:left])
                    # What was written goes out first: the cut is to be where the test wants it.
                    await to.drain()
                    to.transport.abort()
                    return
                left = None if left is None else left - len(data)
                to.write(data)


@contextlib.asynccontextmanager
async def relay_before(gateway: Gateway, tls: ssl.SSLContext | None = None) -> AsyncIterator[Relay]:
    """Run a relay; with `tls` it is what a proxy with a certificate is."""
    relay = Relay(gateway)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0, ssl=tls)
    relay.url = (
        f"{'wss' if tls else 'ws'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/stream"
    )
    try:
        yield relay
    finally:
        relay.cut()
        server.close()
