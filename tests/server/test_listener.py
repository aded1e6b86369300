"""What is said when there is nothing to listen at."""

import errno
import socket
from contextlib import closing

import pytest
from aiohttp import web

from tokenferry.config.server_settings import ServerSettings
from tokenferry.server.listener import ListenerUnusable, listening


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
