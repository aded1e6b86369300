"""Bodies that come slowly, at the same time as too many others, or broken."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tokenferry.domain.ledger import OPERATOR
from tokenferry.errors import (
    Overloaded,
    PayloadTooLarge,
    RateLimited,
    RequestTooSlow,
    TokenferryError,
)
from tokenferry.server import request_body
from tokenferry.server.request_body import ALL_MAX, EACH_MAX, Room, read_body

BYTES_MAX = 1_000_000
ROOM = Room(BYTES_MAX)


async def _echo(request: web.Request) -> web.Response:
    account_id = request.query.get("account", OPERATOR)
    try:
        body = await read_body(request, BYTES_MAX, "; so long.", room=ROOM, account_id=account_id)
    except TokenferryError as exc:
        return web.Response(status=exc.http_status, text=type(exc).__name__)
    except web.RequestPayloadError:
        return web.Response(status=400)
    return web.Response(body=body)


@pytest_asyncio.fixture
async def client() -> AsyncIterator[TestClient]:
    app = web.Application()
    app.router.add_post("/", _echo)
    async with TestClient(TestServer(app)) as running:
        yield running


def _is_empty(room: Room) -> bool:
    """Say whether all was given back, to the last byte: an account is then forgotten."""
    return not room._taken and room._taken_by_all == 0


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


@pytest.mark.parametrize("count", [0, 1, 70_000, BYTES_MAX])
async def test_a_body_comes_as_it_was_sent(client: TestClient, count: int) -> None:
    body = bytes(each % 251 for each in range(count))
    assert await (await client.post("/", data=body)).read() == body
    in_pieces = _pieces(body[: count // 2], body[count // 2 :])
    assert await (await client.post("/", data=in_pieces)).read() == body
    assert _is_empty(ROOM)


@pytest.mark.parametrize("is_told", [True, False])
async def test_one_byte_too_many(client: TestClient, is_told: bool) -> None:  # noqa: FBT001
    body = b"x" * (BYTES_MAX + 1)
    response = await client.post("/", data=body if is_told else _pieces(body))
    assert (response.status, await response.text()) == (413, PayloadTooLarge.__name__)
    assert _is_empty(ROOM)


async def test_a_body_that_does_not_come_is_not_waited_for(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "START_S", 0.05)
    never = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        await never.wait()

    response = await client.post("/", data=stuck())
    assert (response.status, await response.text()) == (408, RequestTooSlow.__name__)
    assert _is_empty(ROOM)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_what_is_not_packed_as_its_header_says(client: TestClient, coding: str) -> None:
    response = await client.post(
        "/", data=b"\xff" * 300, headers={"Content-Encoding": coding}, compress=False
    )
    assert response.status == 400


async def test_a_body_that_finds_no_room_is_refused(client: TestClient) -> None:
    body = "x" * 500_000  # more than comes along with the head
    count = EACH_MAX * BYTES_MAX - 10
    ROOM.take("acc_1", count)
    try:
        refused = await client.post("/?account=acc_1", data=body)
        assert (refused.status, await refused.text()) == (429, RateLimited.__name__)
        other = await client.post("/?account=acc_2", data=body)
        assert (other.status, await other.text()) == (200, body)
    finally:
        ROOM.give_back("acc_1", count)
    assert _is_empty(ROOM)


async def test_nothing_is_kept_for_a_client_that_left() -> None:
    """The reader keeps the exception, and the exception keeps the frames that it went through."""
    left = ConnectionResetError("the client is gone")

    class Reader:
        pieces = iter((b"x" * 1_000, b"y" * 1_000))

        async def readany(self) -> bytes:
            try:
                return next(self.pieces)
            except StopIteration:
                raise left from None

    with pytest.raises(ConnectionResetError):
        await request_body._gather(cast("Any", Reader()), BYTES_MAX, lambda _: None)
    kept = [frame.f_locals for frame, _ in traceback.walk_tb(left.__traceback__)]
    (gathering,) = [names for names in kept if "data" in names]
    assert (gathering["data"], gathering["chunk"]) == (bytearray(), b"")


def _refusal(take: Callable[[], Any]) -> type[Exception] | None:
    try:
        take()
    except TokenferryError as exc:
        return type(exc)
    return None


def test_all_accounts_share_a_whole_of_which_each_has_a_part() -> None:
    room = Room(10)
    for account in range(ALL_MAX // EACH_MAX):
        account_id = f"acc_{account}"
        room.take(account_id, EACH_MAX * 10)
        assert _refusal(lambda name=account_id: room.take(name, 1)) is RateLimited
    assert _refusal(lambda: room.take("acc_x", 1)) is Overloaded
    assert _refusal(lambda: room.take(OPERATOR, 1)) is Overloaded
    room.give_back("acc_0", EACH_MAX * 10)
    room.take(OPERATOR, EACH_MAX * 10)
