"""Connections to a name with several addresses, of which the first one is dead."""

import asyncio
import gc
import socket
from collections.abc import Iterator

import pytest
import pytest_asyncio

from harness.providers import closed_port, silent_port
from providers.http_fakes import ANSWER, Peer, Scripted, finished, make_provider, start, within
from tokenferry.errors import ProviderTimeout
from tokenferry.providers.http_pool import ConnectionPool


@pytest.fixture
def mute() -> Iterator[int]:
    """Return a port that answers no attempt to connect."""
    with silent_port() as port:
        yield port


def addressed(port: int) -> object:
    """Return what a lookup returns for a port of 127.0.0.1."""
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))


def resolve(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Let every name have these ports of 127.0.0.1 as its addresses."""

    async def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
        # uvloop asks for the address of an address, too.
        return [addressed(port) for port in ((port,) if host == "127.0.0.1" else ports)]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def answer(peer: Peer) -> None:
    await peer.answer(ANSWER)
    await peer.gone()


async def refuse_tunnel(peer: Peer) -> None:
    await peer.head()
    peer.send(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n")
    await peer.gone()


async def test_the_next_one_serves(
    pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch, mute: int
) -> None:
    async with Scripted(answer) as server:
        resolve(monkeypatch, mute, server.port)
        sink = await finished(make_provider("http://far.example", pool))
        pool.close()
    assert sink.calls == [("text", "하나"), ("end", None)]


async def test_the_next_one_of_a_proxy_serves(
    pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch, mute: int
) -> None:
    async with Scripted(answer) as server:
        resolve(monkeypatch, mute, server.port)
        provider = make_provider("http://far.example", pool, proxy_url="http://proxy.example")
        sink = await finished(provider)
        pool.close()
    assert sink.calls == [("text", "하나"), ("end", None)]


async def test_the_next_one_of_a_tunnel_serves(
    pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch, mute: int
) -> None:
    async with Scripted(refuse_tunnel) as server:
        resolve(monkeypatch, mute, server.port)
        provider = make_provider("https://far.example", pool, proxy_url="http://proxy.example")
        sink = await finished(provider)
    assert "it answered HTTP 403" in sink.error.message


async def test_all_refuse(pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_port() as first, closed_port() as second:
        resolve(monkeypatch, first, second)
        sink = await finished(make_provider("http://far.example", pool))
    assert sink.error.message == "fake: no connection to far.example:80: Connection refused."


async def test_none_answers(
    pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch, mute: int
) -> None:
    resolve(monkeypatch, mute, mute)
    sink = await finished(make_provider("http://far.example", pool, connect_timeout_s=0.5))
    assert isinstance(sink.error, ProviderTimeout)


class TestLookups:
    """Calls that ask for one name at the same time."""

    @pytest_asyncio.fixture
    async def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Future[list[object]]]:
        """Return the lookups of names so far; each waits for its answer."""
        asked: list[asyncio.Future[list[object]]] = []

        async def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
            if host == "127.0.0.1":  # uvloop asks for the address of an address, too
                return [addressed(port)]
            asked.append(asyncio.get_running_loop().create_future())
            return await asked[-1]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        return asked

    async def test_share_one_lookup(
        self, pool: ConnectionPool, asked: list[asyncio.Future[list[object]]]
    ) -> None:
        async with Scripted(answer) as server:
            provider = make_provider("http://far.example", pool)
            started = [start(provider) for _ in range(5)]
            await turns()
            started[0][1].cancel()
            await turns()
            assert len(asked) == 1
            asked[0].set_result([addressed(server.port)])
            for sink, _ in started[1:]:
                await within(sink.over.wait())
                assert sink.calls == [("text", "하나"), ("end", None)]
            pool.close()
        assert started[0][0].calls == []

    async def test_the_next_one_asks_anew(
        self, pool: ConnectionPool, asked: list[asyncio.Future[list[object]]]
    ) -> None:
        for count in (1, 2):
            sink, _ = start(make_provider("http://far.example", pool))
            await turns()
            assert len(asked) == count
            asked[-1].set_exception(socket.gaierror(socket.EAI_AGAIN, "Try again"))
            await within(sink.over.wait())
            assert sink.error.message == (
                "fake: no connection to far.example:80: its name cannot be resolved: Try again."
            )

    async def test_nobody_waits_any_more(
        self, pool: ConnectionPool, asked: list[asyncio.Future[list[object]]]
    ) -> None:
        sink, call = start(make_provider("http://far.example", pool))
        await turns()
        call.cancel()
        asked[0].set_exception(socket.gaierror(socket.EAI_AGAIN, "Try again"))
        await turns()
        gc.collect()
        assert sink.calls == []
        assert len(asked) == 1


async def turns() -> None:
    """Let everything happen that waits for nothing outside."""
    for _ in range(20):
        await asyncio.sleep(0)
