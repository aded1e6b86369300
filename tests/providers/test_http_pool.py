"""Connections: used again, dropped, retried, waited for, closed."""

import asyncio
import gc
import socket

import pytest

from providers.http_fakes import (
    ANSWER,
    CHUNKED,
    EVENTS_HEAD,
    LAST_CHUNK,
    Peer,
    RecordingSink,
    Scripted,
    chunk,
    event,
    finished,
    make_provider,
    sized,
    start,
    within,
)
from tokenferry.errors import ProviderCutOff, ProviderTimeout, ProviderUnreachable
from tokenferry.providers import http_call, http_pool
from tokenferry.providers.http_dial import Destination
from tokenferry.providers.http_pool import ConnectionPool, Lane


async def always(peer: Peer) -> None:
    """Answer every request of a connection."""
    try:
        while True:
            await peer.answer(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        return


async def once(peer: Peer) -> None:
    """Answer one request and wait for the client to close."""
    await peer.answer(ANSWER)
    await peer.gone()


async def mute(peer: Peer) -> None:
    """Read a request and close."""
    await peer.request()


class TestKeepAlive:
    async def test_one_connection_serves_many(self, pool: ConnectionPool) -> None:
        async with Scripted(always) as server:
            provider = make_provider(server.url, pool)
            for _ in range(5):
                assert (await finished(provider)).terminals == ["end"]
            assert server.connections == 1
            pool.close()

    async def test_idle_connection_is_written_to_at_once(self, pool: ConnectionPool) -> None:
        async with Scripted(always) as server:
            provider = make_provider(server.url, pool)
            await finished(provider)
            tasks = asyncio.all_tasks()
            sink, call = start(provider)
            assert asyncio.all_tasks() == tasks
            await within(sink.over.wait())
            call.cancel()
            pool.close()
        assert sink.terminals == ["end"]

    async def test_last_in_first_out(self, pool: ConnectionPool) -> None:
        proceed = [asyncio.Event(), asyncio.Event()]
        used: list[int] = []

        async def script(peer: Peer) -> None:
            await peer.request()
            await within(proceed[peer.number].wait())
            peer.send(ANSWER)
            if await peer.reader.read(1):
                used.append(peer.number)
                peer.send(ANSWER)

        async with Scripted(script) as server:
            provider = make_provider(server.url, pool)
            sinks = [start(provider)[0], start(provider)[0]]
            await within(_until(lambda: server.connections == 2))
            for number, event_ in enumerate(proceed):
                event_.set()
                await within(
                    _until(lambda n=number: sum(len(sink.terminals) for sink in sinks) == n + 1)
                )
            await finished(provider)
            assert used == [1]
            pool.close()

    @pytest.mark.parametrize(
        "answer",
        [
            EVENTS_HEAD + b"connection: close\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 0\r\n\r\n",
            ANSWER + b"HTTP",
            ANSWER + b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            ANSWER + b"\x00",
            sized(b"{invalid}", "application/json"),
        ],
        ids=["close", "1.0", "partial surplus", "surplus", "garbage", "invalid"],
    )
    async def test_not_kept(self, pool: ConnectionPool, answer: bytes) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(answer)
            await peer.gone()

        async with Scripted(script, once) as server:
            provider = make_provider(server.url, pool)
            assert len((await finished(provider)).terminals) == 1
            sink = await finished(provider)
            assert sink.calls == [("text", "하나"), ("end", None)]
            assert server.connections == 2
            pool.close()

    async def test_surplus_after_the_last_chunk(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(CHUNKED, chunk(event("하나")), LAST_CHUNK, ANSWER)
            await peer.gone()

        async with Scripted(script) as server:
            sink = await finished(make_provider(server.url, pool))
        assert sink.calls == [("text", "하나"), ("end", None)]

    async def test_data_while_idle(self, pool: ConnectionPool) -> None:
        proceed = asyncio.Event()
        is_gone = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.answer(ANSWER)
            await within(proceed.wait())
            peer.send(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
            await peer.gone()
            is_gone.set()

        async with Scripted(script, once) as server:
            provider = make_provider(server.url, pool)
            await finished(provider)
            proceed.set()
            await within(is_gone.wait())
            assert (await finished(provider)).terminals == ["end"]
            assert server.connections == 2
            pool.close()

    async def test_idle_timeout(self) -> None:
        pool = ConnectionPool(idle_timeout_s=0.01)
        async with Scripted(once) as server:  # ends only when the client has closed
            await asyncio.gather(
                finished(make_provider(server.url, pool)),
                finished(make_provider(server.url, pool)),
            )
        pool.close()
        await within(pool.wait_closed())

    async def test_idle_timeout_drops_the_oldest_only(self) -> None:
        class FakeConnection:
            is_usable = True
            is_closed = False
            idle_since_s = 0.0

            def close(self) -> None:
                self.is_closed = True

        destination = Destination("fake", "localhost", 9, None, None, 1)
        lane = Lane(destination, connections_max=9, line_max=9, idle_timeout_s=15)
        old, recent = FakeConnection(), FakeConnection()
        for connection in (old, recent):
            lane.take_back(connection)
        old.idle_since_s -= 15
        recent.idle_since_s -= 10
        lane._drop_stale()
        assert (old.is_closed, recent.is_closed) == (True, False)
        recent.idle_since_s -= 5
        lane._drop_stale()
        assert recent.is_closed
        assert lane._sweep is None

    async def test_providers_do_not_share(self, pool: ConnectionPool) -> None:
        async with Scripted(once) as server:
            await finished(make_provider(server.url, pool))
            await finished(make_provider(server.url, pool))
            assert server.connections == 2
            pool.close()


async def _until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.005)


class TestStale:
    async def test_retried_on_a_fresh_connection(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(ANSWER)
            await peer.request()

        async with Scripted(script, once) as server:
            provider = make_provider(server.url, pool)
            await finished(provider)
            sink = await finished(provider)
            assert sink.calls == [("text", "하나"), ("end", None)]
            assert server.connections == 2
            pool.close()

    async def test_reset_is_like_close(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(ANSWER)
            await peer.request()
            peer.writer.transport.abort()

        async with Scripted(script, once) as server:
            provider = make_provider(server.url, pool)
            await finished(provider)
            assert (await finished(provider)).terminals == ["end"]
            pool.close()

    async def test_not_twice(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(ANSWER)
            await peer.request()

        async with Scripted(script, mute) as server:
            provider = make_provider(server.url, pool)
            await finished(provider)
            sink = await finished(provider)
            assert isinstance(sink.error, ProviderCutOff)
            assert sink.terminals == ["fail"]
            assert server.connections == 2

    async def test_retry_avoids_other_idle_connections(self, pool: ConnectionPool) -> None:
        """They may be as stale as the first one."""
        both = asyncio.Barrier(2)

        async def script(peer: Peer) -> None:
            await peer.request()
            await within(both.wait())
            peer.send(ANSWER)
            await peer.reader.read(1)

        async with Scripted(script, script, once) as server:
            provider = make_provider(server.url, pool)
            await asyncio.gather(finished(provider), finished(provider))
            assert (await finished(provider)).terminals == ["end"]
            assert server.connections == 3
            pool.close()

    async def test_fresh_connection_is_not_retried(self, pool: ConnectionPool) -> None:
        async with Scripted(mute) as server:
            sink = await finished(make_provider(server.url, pool))
            assert isinstance(sink.error, ProviderCutOff)
            assert server.connections == 1

    async def test_not_after_a_byte(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(ANSWER)
            await peer.answer(b"H")

        async with Scripted(script) as server:
            provider = make_provider(server.url, pool)
            await finished(provider)
            assert isinstance((await finished(provider)).error, ProviderCutOff)
            assert server.connections == 1

    async def test_not_when_the_server_may_have_begun(
        self, pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http_call, "STALE_WINDOW_S", 0)

        async def script(peer: Peer) -> None:
            await peer.answer(ANSWER)
            await peer.request()

        async with Scripted(script) as server:
            provider = make_provider(server.url, pool)
            await finished(provider)
            assert isinstance((await finished(provider)).error, ProviderCutOff)
            assert server.connections == 1

    async def test_retry_goes_ahead_of_the_line(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(ANSWER)
            await peer.request()

        async with Scripted(script, always) as server:
            provider = make_provider(server.url, pool, connections_max=1)
            await finished(provider)
            ended: list[str] = []
            first, _ = start(provider)
            first.on_text = lambda _: ended.append("first")
            second, _ = start(provider)
            second.on_text = lambda _: ended.append("second")
            await within(second.over.wait())
            assert ended == ["first", "second"]
            assert server.connections == 2
            pool.close()

    async def test_cancelled_while_it_is_retried(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(ANSWER)
            await peer.request()

        async def never(peer: Peer) -> None:
            await peer.gone()

        async with Scripted(script, never) as server:
            provider = make_provider(server.url, pool)
            await finished(provider)
            sink, call = start(provider)
            connection = call._connection
            while call._connection is connection:
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.sleep(0)
        assert sink.calls == []


class TestLine:
    async def test_first_come_first_served(self, pool: ConnectionPool) -> None:
        async with Scripted(always) as server:
            provider = make_provider(server.url, pool, connections_max=1)
            order: list[int] = []
            sinks: list[RecordingSink] = []
            for number in range(8):
                sink, _ = start(provider)
                sink.on_text = lambda _, number=number: order.append(number)
                sinks.append(sink)
            for sink in sinks:
                await within(sink.over.wait())
            assert order == list(range(8))
            assert server.connections == 1
            pool.close()

    async def test_as_many_connections_as_allowed(self, pool: ConnectionPool) -> None:
        together = asyncio.Barrier(3)

        async def script(peer: Peer) -> None:
            await peer.request()
            await within(together.wait())  # no answer before there are three
            peer.send(ANSWER)
            await always(peer)

        async with Scripted(script) as server:
            provider = make_provider(server.url, pool, connections_max=3)
            sinks = [start(provider)[0] for _ in range(4)]
            for sink in sinks:
                await within(sink.over.wait())
                assert sink.terminals == ["end"]
            assert server.connections == 3
            pool.close()

    async def test_closed_connection_makes_room(self, pool: ConnectionPool) -> None:
        async def closing(peer: Peer) -> None:
            await peer.answer(EVENTS_HEAD + b"connection: close\r\ncontent-length: 0\r\n\r\n")

        async with Scripted(closing) as server:
            provider = make_provider(server.url, pool, connections_max=1)
            sinks = [start(provider)[0] for _ in range(4)]
            for sink in sinks:
                await within(sink.over.wait())
            assert server.connections == 4

    async def test_refused_dial_makes_room(self, pool: ConnectionPool) -> None:
        provider = make_provider(f"http://127.0.0.1:{_closed_port()}", pool, connections_max=1)
        sinks = [start(provider)[0] for _ in range(4)]
        for sink in sinks:
            await within(sink.over.wait())
            assert isinstance(sink.error, ProviderUnreachable)

    async def test_full(self, pool: ConnectionPool) -> None:
        asked = asyncio.Event()

        async def stalled(peer: Peer) -> None:
            await peer.request()
            asked.set()
            await peer.gone()

        async with Scripted(stalled) as server:
            provider = make_provider(server.url, pool, connections_max=1, line_max=1)
            served, _ = start(provider)
            await within(asked.wait())  # a connection that is cut off in its request is a fault
            waiting, _ = start(provider)
            late, late_call = start(provider)
            assert late.calls == []  # nothing before `start` returns
            await within(late.over.wait())
            assert isinstance(late.error, ProviderUnreachable)
            assert "pool for this provider is full" in late.error.message
            late_call.cancel()
            cancelled, call = start(provider)
            call.cancel()
            await asyncio.sleep(0)
            assert cancelled.calls == waiting.calls == served.calls == []
            pool.close()

    async def test_wait_has_an_end(self, pool: ConnectionPool) -> None:
        asked = asyncio.Event()

        async def stalled(peer: Peer) -> None:
            await peer.request()
            asked.set()
            await peer.gone()

        async with Scripted(stalled) as server:
            provider = make_provider(server.url, pool, connections_max=1, place_timeout_s=0.02)
            served, _ = start(provider)
            await within(asked.wait())  # connecting may take longer than the wait for a place
            waiting, _ = start(provider)
            await within(waiting.over.wait())
            assert isinstance(waiting.error, ProviderTimeout)
            assert "no free connection within 0.02 s" in waiting.error.message
            assert served.calls == []
            pool.close()

    async def test_cancel_in_the_line(self, pool: ConnectionPool) -> None:
        proceed = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.request()
            await within(proceed.wait())
            peer.send(ANSWER)
            await always(peer)

        async with Scripted(script) as server:
            provider = make_provider(server.url, pool, connections_max=1)
            first, _ = start(provider)
            cancelled, call = start(provider)
            last, _ = start(provider)
            call.cancel()
            call.cancel()
            proceed.set()
            await within(last.over.wait())
            assert first.terminals == last.terminals == ["end"]
            assert cancelled.calls == []
            assert server.connections == 1
            pool.close()

    async def test_cancelled_dial_makes_room(self, pool: ConnectionPool) -> None:
        async with Scripted(always) as server:
            provider = make_provider(server.url, pool, connections_max=1)
            cancelled, call = start(provider)
            last, _ = start(provider)
            call.cancel()
            await within(last.over.wait())
            assert last.terminals == ["end"]
            assert cancelled.calls == []
            pool.close()


def _closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class TestClose:
    async def test_in_every_phase(self, pool: ConnectionPool) -> None:
        async def idle(peer: Peer) -> None:
            await peer.answer(ANSWER)
            await peer.gone()

        async def streaming(peer: Peer) -> None:
            await peer.answer(CHUNKED, chunk(event("하나")))
            await peer.gone()

        async with Scripted(idle, streaming) as server:
            provider = make_provider(server.url, pool, connections_max=1)
            await finished(make_provider(server.url, pool))
            live, _ = start(provider)
            await within(live.heard.wait())
            waiting, _ = start(provider)
            dialling, _ = start(make_provider(server.url, pool))
            pool.close()
            await within(pool.wait_closed())
            assert isinstance(live.error, ProviderCutOff)
            for sink in (waiting, dialling):
                assert isinstance(sink.error, ProviderUnreachable)
                assert "shutting down" in sink.error.message
            late = await finished(provider)
            assert isinstance(late.error, ProviderUnreachable)
            for sink in (live, waiting, dialling, late):
                assert sink.terminals == ["fail"]

    async def test_stale_retry_ends_with_the_pool(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(ANSWER)
            await peer.request()
            await peer.gone()

        async with Scripted(script) as server:
            provider = make_provider(server.url, pool)
            await finished(provider)
            sink, _ = start(provider)
            pool.close()
            await within(sink.over.wait())
            assert isinstance(sink.error, ProviderUnreachable)

    async def test_body_that_ends_by_close_is_not_complete_then(self, pool: ConnectionPool) -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(EVENTS_HEAD, b"\r\n", event("하나"))
            await peer.gone()

        async with Scripted(script) as server:
            sink, _ = start(make_provider(server.url, pool))
            await within(sink.heard.wait())
            pool.close()
        assert isinstance(sink.error, ProviderCutOff)

    async def test_without_any_use(self) -> None:
        pool = ConnectionPool()
        make_provider("http://localhost/v1", pool)
        pool.close()
        pool.close()
        await within(pool.wait_closed())

    async def test_withdrawn_when_the_dial_had_just_succeeded(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class FakeTransport:
            is_aborted = False

            def get_extra_info(self, _: str) -> socket.socket:
                return sock

            def abort(self) -> None:
                self.is_aborted = True

        async def succeed(_: Destination, protocol: asyncio.Protocol) -> None:
            protocol.connection_made(transport)

        pool = ConnectionPool()
        transport = FakeTransport()
        monkeypatch.setattr(http_pool, "dial", succeed)
        with socket.socket() as sock:
            sink, call = start(make_provider("http://localhost", pool))
            await asyncio.sleep(0)  # the dial has ended now, but nobody was told
            call.cancel()
            pool.close()
            await within(pool.wait_closed())
        assert transport.is_aborted
        assert sink.calls == []

    async def test_foreign_cancellation_of_a_dial(self, pool: ConnectionPool) -> None:
        async with Scripted(always) as server:
            before = asyncio.all_tasks()
            sink, _ = start(make_provider(server.url, pool))
            (task,) = asyncio.all_tasks() - before
            task.cancel()
            await within(sink.over.wait())
            assert isinstance(sink.error, ProviderUnreachable)


async def test_a_finished_call_is_no_cyclic_garbage(pool: ConnectionPool) -> None:
    async with Scripted(always) as server:
        provider = make_provider(server.url, pool)
        await finished(provider)
        gc.collect()
        gc.disable()
        try:
            await finished(provider)
            calls = [obj for obj in gc.get_objects() if isinstance(obj, http_call.HttpCall)]
            assert calls == []
        finally:
            gc.enable()
        pool.close()


async def test_socket_options(pool: ConnectionPool) -> None:
    async with Scripted(always) as server:
        provider = make_provider(server.url, pool)
        await finished(provider)
        _, call = start(provider)
        assert call._connection is not None
        sock = call._connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        call.cancel()
        pool.close()
