"""What is coming on a connection, how long it may take, and how many connections one may have."""

from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import WSMessage, WSMsgType

from engine.virtual import KEY
from tokenferry.domain.ledger import OPERATOR
from tokenferry.engine.keys import Key
from tokenferry.errors import Overloaded, TooManyConnections
from tokenferry.protocol.session import Session
from tokenferry.server.client_socket import HEARTBEAT_LOST
from tokenferry.server.hub import COMING_BYTES_MIN, Hub
from tokenferry.server.request_body import BYTES_PER_S_MIN, EACH_MAX, START_S
from tokenferry.server.websocket import Connection

MIB = 1024 * 1024


class Task:
    """Work that is done."""

    def add_done_callback(self, _: object) -> None:
        """Take what nobody waits for."""


class Loop:
    """Does at once what waits for nothing."""

    def create_task(self, work: Coroutine[Any, Any, None]) -> Task:
        with pytest.raises(StopIteration):
            work.send(None)
        return Task()


def _hub(body_bytes_max: int = 8 * MIB) -> Hub:
    settings = SimpleNamespace(
        body_bytes_max=body_bytes_max,
        auth_timeout_s=1e9,
        ping_interval_s=1e9,
        ping_timeout_s=1e9,
        heartbeat_s=1e9,
    )
    hub = Hub(cast("Any", SimpleNamespace(settings=settings)), cast("Any", Loop()))
    hub.now_s = 0.0
    return hub


class Wire:
    """A connection's socket, transport and protocol in one."""

    def __init__(self, hub: Hub, key: Key | None = KEY) -> None:
        self.transport: Any = self
        self.user: Any = None
        self.coming_bytes = 0
        self.last_data_s = 0.0
        self.was_aborted = False
        self.closed: int | None = None
        self.connection = Connection(
            hub,
            cast("Any", self),
            cast("Any", self),
            Session(aware=True, authenticated=key is not None),
            key,
        )
        self.connection._opened_s = self.connection._whole_s = self.connection._pinged_s = 0.0
        hub.connections.add(self.connection)

    def write(self, data: bytes) -> None:
        """Take what nobody reads."""

    def abort(self) -> None:
        self.was_aborted = True

    async def close(self, *, code: int, message: bytes) -> None:
        assert message
        self.closed = code


def test_a_message_has_a_time_that_grows_with_what_has_come() -> None:
    hub = _hub()
    wire = Wire(hub)
    wire.coming_bytes = BYTES_PER_S_MIN
    wire.connection.sweep(START_S + 1)
    assert not wire.was_aborted
    wire.connection.sweep(START_S + 1.5)
    assert wire.was_aborted
    # Clients reconnect after this code.
    assert wire.closed == HEARTBEAT_LOST


def test_a_client_that_sends_one_message_after_the_other_is_never_late() -> None:
    hub = _hub()
    wire = Wire(hub)
    for second in range(1, 200):
        wire.coming_bytes += 10_000
        hub.now_s = float(second)
        wire.connection.took(WSMessage(WSMsgType.TEXT, "…", ""))
        wire.coming_bytes += 10
        wire.connection.sweep(float(second) + 1)
    assert not wire.was_aborted


def test_a_client_that_is_not_listened_to_is_not_late() -> None:
    """It has unread answers; what it has sent meanwhile waits before us, not with it."""
    hub = _hub()
    wire = Wire(hub)
    wire.connection._drained = cast("Any", object())
    wire.coming_bytes = 10_000
    wire.connection.sweep(10 * START_S)
    wire.connection._drained = None
    wire.connection.sweep(10 * START_S + 1)
    assert not wire.was_aborted


@pytest.mark.parametrize("kind", [WSMsgType.PING, WSMsgType.PONG])
def test_a_control_frame_ends_no_message(kind: WSMsgType) -> None:
    hub = _hub()
    wire = Wire(hub)
    wire.coming_bytes = 500 + 6 + 4
    wire.connection.took(WSMessage(kind, b"ping", ""))
    assert wire.coming_bytes == 500
    wire.connection.took(WSMessage(WSMsgType.TEXT, "…", ""))
    wire.coming_bytes += 6
    wire.connection.took(WSMessage(kind, b"", ""))
    assert wire.coming_bytes == 0
    wire.connection.sweep(10 * START_S)
    assert not wire.was_aborted


def _key(account_id: str) -> Key:
    return Key("pub", "k", account_id)


def _refused(hub: Hub, key: Key) -> bool:
    try:
        hub.admit(key)
    except TooManyConnections:
        return True
    return False


def test_nobody_has_all_connections() -> None:
    hub = _hub()
    hub.shared.settings.connections_max = 41  # type: ignore[misc]
    hub.shared.settings.connections_per_key_max = 100  # type: ignore[misc]
    share = 11  # a quarter, rounded up
    guests = [Key(f"guest_{number}", "g", OPERATOR, is_guest=True) for number in range(share)]
    for number in range(share):
        assert not _refused(hub, Key(f"key{number}", "k", "acc_1"))
        assert not _refused(hub, guests[number])
    assert _refused(hub, Key("another", "k", "acc_1"))
    assert _refused(hub, Key("guest_x", "g", OPERATOR, is_guest=True))
    assert not _refused(hub, _key("acc_2"))
    assert not any(_refused(hub, _key(OPERATOR)) for _ in range(2 * share))
    hub.leave(guests[0])
    assert not _refused(hub, guests[0])


def test_an_account_has_no_more_unfinished_messages_than_there_is_room_for() -> None:
    hub = _hub(MIB)
    hog = [Wire(hub, _key("acc_1")) for _ in range(EACH_MAX + 1)]
    strangers = [Wire(hub, None) for _ in range(EACH_MAX + 1)]
    guests = [
        Wire(hub, Key(f"guest_{number}", "g", OPERATOR, is_guest=True))
        for number in range(EACH_MAX + 1)
    ]
    operator = [Wire(hub, _key(OPERATOR)) for _ in range(EACH_MAX + 1)]
    small = Wire(hub, _key("acc_1"))
    other = Wire(hub, _key("acc_2"))
    small.coming_bytes = COMING_BYTES_MIN
    for wire in (*hog, *strangers, *guests, *operator, other):
        wire.coming_bytes = MIB
    hub._shed()
    assert {wire.closed for wire in (*hog, *strangers, *guests)} == {Overloaded.close_code}
    assert {wire.closed for wire in (*operator, small, other)} == {None}
