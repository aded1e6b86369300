"""A connection whose server's storage fails; what clients see otherwise is in tests/integration."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.virtual import KEY, read_frames
from tokenferry.engine.keys import StoreUnusable
from tokenferry.protocol.session import Session
from tokenferry.server.websocket import Connection

PLAIN = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
AWARE = b'{"type":"create","ref":"r","request":%b}' % PLAIN


class Transport:
    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


def failing(_: str) -> None:
    raise StoreUnusable("locked")


@pytest.mark.parametrize("frame", [PLAIN, AWARE])
def test_a_storage_that_fails_costs_nobody_the_connection(frame: bytes) -> None:
    settings = SimpleNamespace(orphan_timeout_s=60, streams_per_connection_max=32)
    shared = SimpleNamespace(
        settings=settings,
        authenticator=SimpleNamespace(check=failing),
        dispatcher=SimpleNamespace(book=None),
        metrics=SimpleNamespace(refused=lambda _: None),
    )
    protocol = SimpleNamespace(transport=Transport(), user=None)
    connection = Connection(
        cast("Any", SimpleNamespace(shared=shared)),
        cast("Any", None),
        cast("Any", protocol),
        Session(aware=False, authenticated=True),
        KEY,
    )
    for _ in range(2):
        connection._receive(frame)
    frames = read_frames(protocol.transport.written)
    assert [each["error"]["code"] for each in frames] == ["storage_unavailable"] * 2
