"""The Python client over sockets that the test answers for: what is under way when things end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosedError

from tokenferry_client import (
    AsyncStream,
    AsyncTokenferry,
    Chunk,
    ClientClosedError,
    InvalidRequestError,
    Position,
    RateLimitError,
    ToolCall,
    ToolCallDelta,
    dial,
)
from tokenferry_client.events import ErrorInfo

KEY = "tf_AbCdEf012345_0123456789ABCDEFGHIJabcdefghijZx_4OoXhA"
MESSAGES = [{"role": "user", "content": "?"}]
# Of a test that hangs; none of these waits for a time.
HANG_S = 30
T = TypeVar("T")


async def until(look: Callable[[], T]) -> T:
    """Let everybody else go on until there is what is looked for."""
    async with asyncio.timeout(HANG_S):
        while not (found := look()):
            await asyncio.sleep(0)
    return found


class Socket:
    """One connection, as the client sees it.

    Attributes:
        sent: What the client has said and the test has not looked at.
        closed: The code that the client closed with.
    """

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.closed: int | None = None
        self._line: asyncio.Queue[str | None] = asyncio.Queue()

    async def send(self, text: str) -> None:
        text.encode()
        self.sent.append(json.loads(text))

    async def recv(self) -> str:
        text = await self._line.get()
        if text is None:
            raise ConnectionClosedError(None, None)
        return text

    async def close(self, code: int = 1000) -> None:
        self.closed = code

    def give(self, kind: str, **fields: Any) -> None:
        """Say something to the client."""
        self._line.put_nowait(json.dumps({"type": kind, **fields}))

    def cut(self) -> None:
        """Lose the connection."""
        self._line.put_nowait(None)

    async def said(self, kind: str) -> dict[str, Any]:
        """Wait for a message of a type, and take it."""
        found = await until(lambda: self._taken(kind))
        assert found is not None
        return found

    def _taken(self, kind: str) -> dict[str, Any] | None:
        found = next((message for message in self.sent if message["type"] == kind), None)
        if found is not None:
            self.sent.remove(found)
        return found

    def chunk(self, seq: int, text: str, index: int = 0, **more: Any) -> None:
        choices = [{"index": index, "delta": {"content": text, **more.pop("delta", {})}}]
        where = {"stream_id": "st_1", "epoch": 1, "seq": seq, **more}
        self.give("chunk", choices=choices, **where)

    def done(self, seq: int, **more: Any) -> None:
        end = {"stream_id": "st_1", "epoch": 1, "seq": seq, "finish_reason": "stop", "done": True}
        self.give("done", **{**end, **more})

    async def start(self) -> str:
        """Answer a `create`, and return its ref."""
        ref: str = (await self.said("create"))["ref"]
        self.give("started", ref=ref, stream_id="st_1", epoch=1, seq=0)
        return ref


class World:
    """The connections of a client, as they come."""

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self.away = False
        self.dials = 0
        self.failure: dial.DialFailed | None = None

    async def dial(self, *_: Any, **__: Any) -> Socket:
        while self.away:
            await asyncio.sleep(0)
        self.dials += 1
        if self.failure is not None:
            raise self.failure
        socket = Socket()
        self.sockets.append(socket)
        socket.give("ready", heartbeat_s=15, connection_id="c_1")
        return socket

    async def socket(self, number: int = 0) -> Socket:
        await until(lambda: len(self.sockets) > number)
        return self.sockets[number]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(dial, "dial", world.dial)
    return world


@pytest_asyncio.fixture
async def client(world: World) -> AsyncIterator[AsyncTokenferry]:
    async with AsyncTokenferry(api_key=KEY) as client:
        yield client


class TestRequests:
    async def test_a_request_is_as_it_was_when_it_was_asked(
        self, client: AsyncTokenferry, world: World
    ) -> None:
        tools = [{"type": "function", "function": {"name": "f"}}]
        content = [{"type": "text", "text": "first"}]
        message = {"role": "user", "content": content}
        stream = client.stream(model="m", messages=[message], tools=tools)
        content[0]["text"] = "second"
        tools.clear()
        first = await world.socket()
        asked = (await first.said("create"))["request"]
        first.cut()
        again = (await (await world.socket(1)).said("create"))["request"]
        assert asked == again
        assert asked["messages"] == [
            {"role": "user", "content": [{"type": "text", "text": "first"}]}
        ]
        assert asked["tools"] == [{"type": "function", "function": {"name": "f"}}]
        stream.detach()

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({"metadata": {1, 2}}, "set"),
            ({"temperature": float("nan")}, "JSON"),
            ({"user": "half an emoji: \ud83d"}, "half"),
            ({"idempotency_key": "\ud83d"}, "half"),
        ],
    )
    async def test_what_cannot_be_sent_is_told_and_costs_nobody_else_anything(
        self, client: AsyncTokenferry, world: World, more: dict[str, Any], said: str
    ) -> None:
        other = client.stream(model="m", messages=MESSAGES)
        with pytest.raises(InvalidRequestError, match=said):
            client.stream(model="m", messages=MESSAGES, **more)
        socket = await world.socket()
        await socket.start()
        socket.chunk(1, "가")
        socket.done(2)
        assert await other.text() == "가"
        assert [message for message in socket.sent if message["type"] == "create"] == []


class TestEnds:
    async def test_closing_while_requests_wait_in_line_asks_for_none_of_them(
        self, client: AsyncTokenferry, world: World
    ) -> None:
        asking, waiting = (client.stream(model="m", messages=MESSAGES) for _ in "ab")
        socket = await world.socket()
        for _ in "ab":
            ref = (await socket.said("create"))["ref"]
            error = {"code": "rate_limit_exceeded", "type": "rate_limit_error", "retryable": True}
            socket.give("error", ref=ref, error=error, retry_after_ms=0)
        # The first of the line asks again; the other waits until that one has got through.
        await socket.said("create")
        await client.close()
        for stream in (asking, waiting):
            with pytest.raises(ClientClosedError):
                await stream.text()
        assert len(world.sockets) == 1
        assert not [message for message in socket.sent if message["type"] == "create"]

    async def test_who_cancels_all_tasks_leaves_no_reader_waiting(
        self, client: AsyncTokenferry, world: World
    ) -> None:
        stream = client.stream(model="m", messages=MESSAGES)
        await (await world.socket()).start()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        with pytest.raises(ClientClosedError):
            await stream.text()
        again = client.stream(model="m", messages=MESSAGES)
        socket = await world.socket(1)
        await socket.start()
        socket.done(1)
        assert await again.text() == ""


class TestLimitsInTheWay:
    """An upgrade that is refused with 429; how often and how long, the vectors say."""

    @pytest.mark.parametrize(
        "options",
        [{"max_retries": 0}, {"connect_attempts": 1}, {"max_wait": 4.999}],
        ids=["no retry", "one attempt", "a wait that is too long"],
    )
    async def test_is_told_when_no_retry_is_wanted(
        self, world: World, options: dict[str, Any]
    ) -> None:
        limit = ErrorInfo(
            "http_429", "slow down", "rate_limit_error", retryable=True, retry_after_ms=5_000
        )
        world.failure = dial.DialFailed(limit, 4029)
        async with AsyncTokenferry(api_key=KEY, **options) as client:
            for number in (1, 2):
                stream = client.stream(model="m", messages=MESSAGES)
                seen: list[object] = []
                with pytest.raises(RateLimitError, match="slow down") as caught:
                    seen.extend([event async for event in stream.events()])
                assert (caught.value.retry_after_ms, world.dials, seen) == (5_000, number, [])


class TestLoops:
    """One client in one event loop after the other, as programs with several `asyncio.run` do."""

    async def _answer(self, client: AsyncTokenferry, world: World, number: int) -> str:
        stream = client.stream(model="m", messages=MESSAGES)
        socket = await world.socket(number)
        await socket.start()
        socket.chunk(1, "가")
        socket.done(2)
        return await stream.text()

    def test_a_client_goes_on_in_the_next_loop(self, world: World) -> None:
        client = AsyncTokenferry(api_key=KEY)
        for number in range(3):
            assert asyncio.run(self._answer(client, world, number)) == "가"

    def test_a_client_goes_on_after_a_loop_that_was_closed_as_it_stood(self, world: World) -> None:
        client = AsyncTokenferry(api_key=KEY)
        for number in range(2):
            loop = asyncio.new_event_loop()
            assert loop.run_until_complete(self._answer(client, world, number)) == "가"
            for task in asyncio.all_tasks(loop):
                # Nothing of it runs any more, and nobody is told; Python is not to complain.
                task.get_coro().close()  # type: ignore[union-attr]
                task._log_destroy_pending = False  # type: ignore[attr-defined]
            loop.close()

    def test_two_loops_at_a_time_are_refused(self, world: World) -> None:
        client = AsyncTokenferry(api_key=KEY)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(self._answer(client, world, 0))
        with pytest.raises(RuntimeError, match="another event loop"):
            asyncio.run(self._answer(client, world, 1))
        loop.run_until_complete(client.close())
        loop.close()

    async def test_a_client_may_wait_for_ever(self, world: World) -> None:
        async with AsyncTokenferry(
            api_key=KEY, reconnect_for=float("inf"), max_wait=float("inf")
        ) as client:
            assert await self._answer(client, world, 0) == "가"

    async def test_a_stream_that_somebody_else_reads_can_be_closed(
        self, client: AsyncTokenferry, world: World
    ) -> None:
        stream = client.stream(model="m", messages=MESSAGES)
        reader = asyncio.create_task(stream.final())
        socket = await world.socket()
        await socket.start()
        socket.chunk(1, "가")
        await until(stream.answer.text)
        await stream.close()
        await socket.said("cancel")
        socket.done(2, finish_reason="cancelled")
        final = await reader
        assert (final.text, final.finish_reason) == ("가", "cancelled")


async def shown(stream: AsyncStream) -> tuple[dict[int, str], list[Chunk]]:
    """Read everything as a user would who shows it."""
    texts: dict[int, str] = {}
    replaced = []
    async with asyncio.timeout(HANG_S):
        async for chunk in stream:
            before = "" if chunk.replaces else texts.get(chunk.index, "")
            texts[chunk.index] = before + chunk.text
            replaced += [chunk] if chunk.replaces else []
    return texts, replaced


def reset(keep_through: int) -> dict[str, Any]:
    where = {"stream_id": "st_1", "epoch": 2, "keep_through": keep_through}
    return {**where, "head": keep_through, "state": "live"}


class TestTakenBack:
    async def test_all_of_a_choice(self, client: AsyncTokenferry, world: World) -> None:
        """Of the second choice nothing stands; of the first one all that it has."""
        stream = client.stream(model="m", messages=MESSAGES, n=2)
        socket = await world.socket()
        await socket.start()
        calls = [{"index": 2, "id": "c", "function": {"name": "f", "arguments": "{"}}]
        socket.chunk(1, "a", delta={"reasoning_content": "why", "tool_calls": calls})
        socket.chunk(2, "x", 1)
        socket.cut()
        again = await world.socket(1)
        await again.said("resume")
        again.give("reset", **reset(1))
        again.chunk(2, "X", 1, epoch=2)
        more = [{"index": 2, "function": {"arguments": "}"}}]
        again.chunk(3, "b", epoch=2, delta={"tool_calls": more})
        again.done(4, epoch=2)
        texts, replaced = await shown(stream)
        assert texts == {0: "ab", 1: "X"}
        assert stream.answer.texts == ("ab", "X")
        assert [(chunk.index, chunk.text, chunk.reasoning) for chunk in replaced] == [
            (0, "a", "why"),
            (1, "", ""),
        ]
        assert replaced[0].tool_calls == (ToolCallDelta(2, "c", "f", "{"),)
        assert stream.answer.tool_calls == (ToolCall("c", "f", "{}"),)

    async def test_what_was_there_before_the_position(
        self, client: AsyncTokenferry, world: World
    ) -> None:
        """Nothing is known of what was shown before; the whole answer comes in its place."""
        stream = client.resume("st_1@1-10")
        socket = await world.socket()
        await socket.said("resume")
        socket.give("reset", **reset(4))
        socket.chunk(5, "lost", epoch=2)
        reading = asyncio.create_task(shown(stream))
        await socket.said("detach")
        again = await socket.said("resume")
        assert (again["epoch"], again["after"]) == (2, 0)
        place = {"ref": again["ref"], "stream_id": "st_1", "epoch": 2, "head": 5, "state": "live"}
        socket.give("resumed", **place, **{"from": 0})
        socket.chunk(5, "whole", epoch=2, **{"from": 1})
        socket.done(6, epoch=2)
        texts, replaced = await reading
        assert texts == {0: "whole"}
        assert [chunk.text for chunk in replaced] == [""]
        assert stream.position == Position("st_1", 2, 6)

    async def test_a_snapshot_has_every_choice(self, client: AsyncTokenferry, world: World) -> None:
        stream = client.follow("st_1")
        socket = await world.socket()
        ref = (await socket.said("resume"))["ref"]
        first, second = ({"content": text, "refusal": "no"} for text in ("가", "나"))
        socket.give(
            "snapshot",
            ref=ref,
            stream_id="st_1",
            epoch=1,
            through=9,
            message=first,
            messages=[first, second],
            finish_reason="stop",
            finish_reasons=["stop", "length"],
            done=True,
        )
        texts, _ = await shown(stream)
        assert texts == {0: "가", 1: "나"}
        final = await stream.final()
        assert (final.texts, final.refusal) == (("가", "나"), "no")
        assert final.finish_reasons == ("stop", "length")
