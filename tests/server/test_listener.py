"""Where the server listens, and what is said when there is nothing to listen at."""

import asyncio
import errno
import gc
import socket
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from harness.gateway import free_port
from tokenferry.config.server_settings import ServerSettings
from tokenferry.server import listener
from tokenferry.server.listener import (
    UNREAD_TIMEOUT_MS,
    ListenerUnusable,
    _give_up_in_time,
    listening,
)


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the process of the tests as it is."""
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(gc, "set_threshold", lambda *_: None)
    monkeypatch.setattr(listener, "allow_open_files", lambda _: None)


async def fault_of(host: str, port: int) -> str:
    with pytest.raises(ListenerUnusable) as told:
        async with listening(ServerSettings(host=host, port=port), web.Application()):
            raise AssertionError
    return str(told.value)


async def test_a_port_that_is_taken() -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert await fault_of("127.0.0.1", port) == (
            f"Cannot listen at 127.0.0.1:{port}. Another program uses this port. End it, or name "
            "another port with --port."
        )


async def test_an_address_of_another_machine() -> None:
    assert "no such address" in await fault_of("192.0.2.1", 0)  # RFC 5737: nobody has it


@pytest.mark.parametrize(
    ("exc", "said"),
    [
        (socket.gaierror(-2, "Name or service not known"), "not known. Name an address of this"),
        (OSError(errno.EACCES, "permission denied"), "Ports below 1024 need a privilege."),
        (OSError(errno.EMFILE, "too many open files"), "too many open files"),
    ],
)
async def test_other_reasons(monkeypatch: pytest.MonkeyPatch, exc: OSError, said: str) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise exc

    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.create_server", refused)
    assert said in await fault_of("127.0.0.1", 80)


async def test_a_port_that_is_taken_on_every_address() -> None:
    with closing(socket.create_server(("", 0))) as other:
        port = other.getsockname()[1]
        assert "Another program uses this port." in await fault_of("::", port)


def reaches(family: socket.AddressFamily, address: str, port: int) -> bool:
    with socket.socket(family) as client:
        return client.connect_ex((address, port)) == 0


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")
@pytest.mark.parametrize(
    ("host", "ipv4", "ipv6"), [("::", True, True), ("::1", False, True), ("0.0.0.0", True, False)]
)
async def test_it_listens_on_what_the_setting_says(host: str, *, ipv4: bool, ipv6: bool) -> None:
    server = ServerSettings(host=host, port=free_port())
    async with listening(server, web.Application()) as url:
        port = urlsplit(url).port or 0
        assert url == f"http://{f'[{host}]' if ':' in host else host}:{server.port}"
        assert reaches(socket.AF_INET, "127.0.0.1", port) is ipv4
        assert reaches(socket.AF_INET6, "::1", port) is ipv6


async def test_an_idle_connection_is_closed_when_the_setting_says() -> None:
    server = ServerSettings(port=free_port(), keepalive_timeout_s=1)
    async with listening(server, web.Application()), asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 404")
        writer.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux counts it")
def test_the_kernel_gives_up_clients_that_read_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        _give_up_in_time(server)
        with (
            socket.create_connection(server.getsockname()),
            server.accept()[0] as accepted,
        ):
            option = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert option == UNREAD_TIMEOUT_MS
