"""Connections to a name with several addresses, of which the first one is dead."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from harness.providers import closed_port, silent_port
from providers.http_fakes import ANSWER, Peer, Scripted, finished, make_provider
from tokenferry.errors import ProviderTimeout
from tokenferry.providers.http_pool import ConnectionPool


@pytest.fixture
def mute() -> Iterator[int]:
    """Return a port that answers no attempt to connect."""
    with silent_port() as port:
        yield port


def resolve(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Let every name have these ports of 127.0.0.1 as its addresses."""

    async def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        # uvloop asks for the address of an address, too.
        found = (port,) if host == "127.0.0.1" else ports
        return [(*kind, ("127.0.0.1", port)) for port in found]

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
