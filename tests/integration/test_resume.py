"""A stream outlives its connection: resume, follow, detach and cancel from elsewhere."""

import asyncio
from typing import Any

import pytest

from harness import dialects, websocket
from harness.answers import body
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import Exchange, ScriptedProvider

pytestmark = pytest.mark.asyncio(loop_scope="module")

AWARE = [websocket.SUBPROTOCOL]
PIECES = ["하나 ", "둘 ", "셋 ", "넷 ", "다섯"]


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    return {"server": SERVER, "providers": [provider_entry("openai", provider.url)]}


class Steps:
    """A script whose tokens the test releases one by one."""

    def __init__(self) -> None:
        self._leave: asyncio.Queue[int] = asyncio.Queue()

    def give(self, count: int) -> None:
        self._leave.put_nowait(count)

    async def __call__(self, exchange: Exchange) -> None:
        exchange.head()
        for block in dialects.opening("openai"):
            exchange.chunk(block)
        pieces = list(PIECES)
        while pieces:
            for _ in range(await self._leave.get()):
                exchange.chunk(dialects.token("openai", pieces.pop(0)))
        for block in dialects.closing("openai", len(PIECES)):
            exchange.chunk(block)
        exchange.end()


async def create(socket: websocket.Socket, prompt: str, **options: Any) -> dict[str, Any]:
    request = body("m-openai", prompt)
    socket.send_json({"type": "create", "ref": 7, "request": request, "options": options})
    return await socket.receive_type("started")


async def chunks(socket: websocket.Socket, count: int) -> list[dict[str, Any]]:
    return [await socket.receive_type("chunk") for _ in range(count)]


async def to_the_end(socket: websocket.Socket) -> list[dict[str, Any]]:
    frames = []
    while not frames or frames[-1]["type"] not in ("done", "error"):
        frames.append(await socket.receive_type("chunk", "done", "error"))
    return frames


async def test_a_dropped_client_gets_exactly_what_it_missed(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    steps = Steps()
    prompt = provider.play(steps)
    async with websocket.connect(gateway.port, gateway.key, subprotocols=AWARE) as socket:
        started = await create(socket, prompt)
        assert (started["ref"], started["seq"]) == (7, 0)
        steps.give(2)
        before = await chunks(socket, 3)
        socket.reset()
    steps.give(1)
    async with websocket.connect(gateway.port, gateway.key, subprotocols=AWARE) as socket:
        position = {"stream_id": started["stream_id"], "epoch": started["epoch"], "after": 3}
        socket.send_json({"type": "resume", "ref": "again", **position})
        resumed = await socket.receive_type("resumed")
        assert (resumed["ref"], resumed["from"], resumed["state"]) == ("again", 3, "live")
        caught_up = None
        steps.give(2)
        after = []
        while not after or after[-1]["type"] != "done":
            frame = await socket.receive_type("chunk", "done", "caught_up")
            if frame["type"] == "caught_up":
                caught_up = frame
            else:
                after.append(frame)
    assert caught_up is not None
    frames = before + after
    assert [frame["seq"] for frame in frames] == list(range(1, 8))
    texts = [frame["choices"][0]["delta"]["content"] for frame in frames[:-1]]
    assert "".join(texts) == "".join(PIECES)
    assert len(provider.exchanges(prompt)) == 1


async def test_two_followers_see_the_same_bytes(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    steps = Steps()
    async with (
        websocket.connect(gateway.port, gateway.key, subprotocols=AWARE) as first,
        websocket.connect(gateway.port, gateway.key, subprotocols=AWARE) as second,
    ):
        started = await create(first, provider.play(steps))
        steps.give(3)
        head = await chunks(first, 4)
        position = {"stream_id": started["stream_id"], "epoch": started["epoch"], "after": 0}
        second.send_json({"type": "resume", **position})
        await second.receive_type("resumed")
        steps.give(2)
        assert head + await to_the_end(first) == await to_the_end(second)


async def test_a_finished_stream_can_still_be_asked_for(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    steps = Steps()
    steps.give(5)
    async with websocket.connect(gateway.port, gateway.key, subprotocols=AWARE) as socket:
        started = await create(socket, provider.play(steps))
        whole = await to_the_end(socket)
        position = {"stream_id": started["stream_id"], "epoch": started["epoch"]}
        socket.send_json({"type": "resume", **position, "after": 0})
        assert (await socket.receive_type("resumed"))["state"] == "done"
        assert await to_the_end(socket) == whole
        socket.send_json({"type": "resume", **position, "after": whole[-1]["seq"]})
        await socket.receive_type("resumed")
        assert (await socket.receive_type("caught_up"))["seq"] == whole[-1]["seq"]


async def test_positions_that_cannot_be(gateway: Gateway, provider: ScriptedProvider) -> None:
    steps = Steps()
    steps.give(5)
    other_key = await gateway.create_key("other")
    async with (
        websocket.connect(gateway.port, gateway.key, subprotocols=AWARE) as socket,
        websocket.connect(gateway.port, other_key, subprotocols=AWARE) as stranger,
    ):
        started = await create(socket, provider.play(steps))
        await to_the_end(socket)
        stream_id, epoch = started["stream_id"], started["epoch"]

        async def refused(asker: websocket.Socket, **fields: Any) -> dict[str, Any]:
            position = {"stream_id": stream_id, "epoch": epoch, "after": 0}
            asker.send_json({"type": "resume", **position, **fields})
            error: dict[str, Any] = (await asker.receive_type("error"))["error"]
            return error

        assert (await refused(socket, after=99))["code"] == "position_ahead"
        assert (await refused(socket, epoch=epoch + 1))["param"] == "epoch"
        unknown = await refused(socket, stream_id="st_none")
        foreign = await refused(stranger)
        assert unknown["code"] == foreign["code"] == "stream_not_found"
        assert unknown["message"].replace("st_none", stream_id) == foreign["message"]


async def test_a_detached_stream_goes_on_and_any_connection_may_cancel_it(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    steps = Steps()
    prompt = provider.play(steps)
    async with (
        websocket.connect(gateway.port, gateway.key, subprotocols=AWARE) as first,
        websocket.connect(gateway.port, gateway.key, subprotocols=AWARE) as second,
    ):
        started = await create(first, prompt, on_disconnect="cancel")
        steps.give(1)
        await chunks(first, 2)
        stream_id = started["stream_id"]
        first.send_json({"type": "detach", "stream_id": stream_id})
        first.send_json({"type": "ping", "t": 1})
        await first.receive_type("pong")
        exchange = await provider.exchange(prompt)
        assert not exchange.gone.is_set()
        second.send_json({"type": "cancel", "stream_id": stream_id})
        await exchange.until_gone()
        second.send_json({"type": "cancel", "stream_id": stream_id})
        position = {"stream_id": stream_id, "epoch": started["epoch"], "after": 2}
        second.send_json({"type": "resume", **position})
        done = await second.receive_type("done")
        assert done["finish_reason"] == "cancelled"


async def test_a_repeated_create_returns_the_stream_and_calls_nobody(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    steps = Steps()
    prompt = provider.play(steps)
    create_frame = {
        "type": "create",
        "idempotency_key": "한 번만",
        "request": body("m-openai", prompt),
    }
    async with websocket.connect(gateway.port, gateway.key, subprotocols=AWARE) as socket:
        socket.send_json(create_frame)
        first = await socket.receive_type("started")
        steps.give(5)
        whole = await to_the_end(socket)
        socket.send_json(create_frame)
        assert (await socket.receive_type("started"))["stream_id"] == first["stream_id"]
        assert await to_the_end(socket) == whole
    assert len(provider.exchanges(prompt)) == 1
