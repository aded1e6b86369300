"""What aiohttp leaves open on a client's connection: uploads that stop, and what is no HTTP."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from aiohttp import web

from harness.http_client import ConnectionFailed, Exchange, connection
from tokenferry.server.transport import (
    SILENCE_S,
    UNREAD_BYTES_MAX,
    ClientProtocol,
    Unread,
    cut_stalled,
    protocol_factory,
)

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"
KEY = "tf_KEY_SECRET"
# Beyond what the buffers of a connection hold.
MIB = 1024 * 1024
LARGE = 16 * MIB
LARGE_HEAD = b"POST /large HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n1"


class Server:
    """A server whose handler reads the body, and answers it."""

    def __init__(self, server: web.Server, port: int) -> None:
        self.server = server
        self.port = port
        self.ends: list[str] = []

    def sweep(self, after_s: float) -> None:
        cut_stalled(self.server, time.monotonic() + after_s)

    async def until_uploading(self) -> None:
        """Wait until the handler of the one connection waits for the body."""
        await self._until(ClientProtocol.is_uploading)

    async def until_full(self) -> None:
        """Wait until the answer on the one connection waits for the client."""
        await self._until(lambda protocol: protocol.writing_paused)

    def unread_bytes(self) -> int:
        """Return what the one connection has still to send."""
        (protocol,) = self.server.connections
        assert protocol.transport is not None
        return protocol.transport.get_write_buffer_size()

    async def _until(self, is_so: Callable[[ClientProtocol], bool]) -> None:
        async with asyncio.timeout(20):
            while True:
                for protocol in self.server.connections:
                    if isinstance(protocol, ClientProtocol) and is_so(protocol):
                        return
                await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    async def handler(request: web.BaseRequest) -> web.Response:
        try:
            body = await request.read()
        except ConnectionError:
            serving.ends.append("gone")
            raise
        serving.ends.append("read")
        return web.Response(body=body * (LARGE if request.path == "/large" else 1))

    server = web.Server(handler)
    listener = await asyncio.get_running_loop().create_server(
        protocol_factory(server, {"access_log": None}), "127.0.0.1", 0
    )
    serving = Server(server, listener.sockets[0].getsockname()[1])
    try:
        yield serving
    finally:
        listener.close()
        await server.shutdown(1)


async def answer(exchange: Exchange, data: bytes) -> tuple[int, bytes]:
    exchange.send(data)
    async with asyncio.timeout(20):
        await exchange.read_head()
        return exchange.status, await exchange.body()


class TestSilentUploads:
    @pytest.mark.parametrize(
        "begun",
        [b"content-length: 9\r\n\r\n1234", b"transfer-encoding: chunked\r\n\r\n4\r\n1234"],
    )
    async def test_one_is_cut_off(self, begun: bytes) -> None:
        async with serving() as server, connection(server.port) as exchange:
            exchange.send(HEAD + begun)
            await server.until_uploading()
            server.sweep(SILENCE_S + 1)
            with pytest.raises(ConnectionFailed):
                await asyncio.wait_for(exchange.read_head(), 20)
        assert server.ends == ["gone"]

    async def test_one_that_is_not_silent_for_long_goes_on(self) -> None:
        async with serving() as server, connection(server.port) as exchange:
            exchange.send(HEAD + b"content-length: 9\r\n\r\n1234")
            await server.until_uploading()
            server.sweep(SILENCE_S - 30)
            assert await answer(exchange, b"56789") == (200, b"123456789")

    async def test_one_whose_chunks_are_none_is_cut_off(self) -> None:
        """aiohttp notes the fault for later, and has the handler wait for the rest."""
        async with serving() as server, connection(server.port) as exchange:
            exchange.send(HEAD + b"transfer-encoding: chunked\r\n\r\n4\r\n1234\r\n")
            await server.until_uploading()
            exchange.send(b"no chunk\r\n")
            await exchange.drain()
            server.sweep(SILENCE_S + 1)
            with pytest.raises(ConnectionFailed):
                await asyncio.wait_for(exchange.read_head(), 20)

    async def test_who_waits_for_an_answer_stays(self) -> None:
        async with serving() as server, connection(server.port) as exchange:
            assert await answer(exchange, HEAD + b"content-length: 1\r\n\r\n1") == (200, b"1")
            server.sweep(SILENCE_S + 1)
            assert await answer(exchange, HEAD + b"content-length: 1\r\n\r\n2") == (200, b"2")


class TestUnreadAnswers:
    async def test_whoever_does_not_read_is_cut_off(self) -> None:
        async with serving() as server, connection(server.port, receive_bytes=4096) as exchange:
            exchange.send(LARGE_HEAD)
            await server.until_full()
            server.sweep(0)
            server.sweep(SILENCE_S + 1)
            exchange.widen()
            await exchange.read_head()
            with pytest.raises(ConnectionFailed):
                await asyncio.wait_for(exchange.body(), 20)

    async def test_whoever_reads_slowly_is_not(self) -> None:
        async with serving() as server, connection(server.port, receive_bytes=4096) as exchange:
            exchange.send(LARGE_HEAD)
            await server.until_full()
            server.sweep(0)
            before = server.unread_bytes()
            exchange.widen()
            await exchange.read_head()
            async with asyncio.timeout(20):
                while server.unread_bytes() == before:
                    await asyncio.sleep(0)
            server.sweep(SILENCE_S + 1)
            assert len(await exchange.body()) == LARGE


class TestWhatIsNoHTTP:
    @pytest.mark.parametrize(
        ("sent", "fault"),
        [
            (b"hello\r\n\r\n", "Invalid method encountered"),
            (b"GET / HTTP/1.1\r\n\r\n", "Missing 'Host' header in request"),
            (HEAD + f"authorization: Bearer {KEY}\x01\r\n\r\n".encode(), "Invalid header value"),
            (HEAD + f"authorization: Bearer {KEY * 900}\r\n\r\n".encode(), "more than 8190 bytes"),
            (HEAD + b"content-encoding: zstd\r\ncontent-length: 1\r\n\r\n1", "content-encoding"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "HTTPS traffic on an HTTP port"),
        ],
    )
    async def test_it_is_refused_in_the_shape_of_all_errors(
        self, caplog: pytest.LogCaptureFixture, sent: bytes, fault: str
    ) -> None:
        caplog.set_level(logging.INFO)
        async with serving() as server, connection(server.port) as exchange:
            status, body = await answer(exchange, sent)
        assert status == 400
        assert body.startswith(b'{"error":{"message":"The request cannot be read: ')
        assert fault in body.decode()
        assert KEY not in body.decode()
        assert KEY not in caplog.text
        assert all(record.levelno == logging.INFO for record in caplog.records)

    async def test_a_defect_of_a_handler_stays_one(self, caplog: pytest.LogCaptureFixture) -> None:
        async def fail(_: web.BaseRequest) -> web.Response:
            raise ZeroDivisionError

        server = web.Server(fail)
        listener = await asyncio.get_running_loop().create_server(
            protocol_factory(server, {"access_log": None}), "127.0.0.1", 0
        )
        async with connection(listener.sockets[0].getsockname()[1]) as exchange:
            status, _ = await answer(exchange, HEAD + b"content-length: 0\r\n\r\n")
        assert status == 500
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        listener.close()
        await server.shutdown(1)


class Client:
    """A connection, as `Unread` knows it."""

    def __init__(self) -> None:
        self.transport: Any = self
        self.was_cut = False

    def abort(self) -> None:
        self.was_cut = True


def test_who_has_not_read_for_longest_makes_room_for_others() -> None:
    unread = Unread()
    clients = [Client() for _ in range(UNREAD_BYTES_MAX // MIB + 2)]
    for client in clients[:-1]:
        unread.add(cast("Any", client), MIB)
    assert [each.was_cut for each in clients] == [True, *[False] * (len(clients) - 1)]
    unread.drop(cast("Any", clients[5]))
    unread.add(cast("Any", clients[-1]), MIB)
    assert sum(each.was_cut for each in clients) == 1
    # One that reads a little begins anew, and is no longer the one that waits for longest.
    unread.add(cast("Any", clients[1]), MIB)
    unread.add(cast("Any", clients[1]), MIB)
    assert sum(each.was_cut for each in clients) == 1
    unread.add(cast("Any", clients[0]), MIB)
    assert (clients[1].was_cut, clients[2].was_cut) == (False, True)


def test_one_answer_alone_is_never_too_much() -> None:
    unread, client = Unread(), Client()
    unread.add(cast("Any", client), 2 * UNREAD_BYTES_MAX)
    assert not client.was_cut
    other = Client()
    unread.add(cast("Any", other), 1)
    assert (client.was_cut, other.was_cut) == (True, False)


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    try:
        return (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_connection_without_a_place_is_closed_at_once() -> None:
    async def hello(_: web.BaseRequest) -> web.Response:
        return web.Response(text="hello")

    loop = asyncio.get_running_loop()
    server = web.Server(hello)
    listener = await loop.create_server(protocol_factory(server, {}, 2), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.shutdown, 1)
        stack.callback(listener.close)

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.push_async_callback(_close, writer)
            return reader, writer

        clients = []
        for has_place in (True, True, False, False):
            clients.append(await connect())
            assert await _answers(*clients[-1]) is has_place
        assert await _answers(*clients[0])
        # Its place is free as soon as the server knows that it is gone.
        await _close(clients[0][1])
        async with asyncio.timeout(10):
            while not await _answers(*await connect()):
                pass
