"""A client that counts bytes, over a real socket: nothing comes without credit, and all with it."""

import asyncio
import json
from typing import Any

import pytest

from harness import websocket
from harness.answers import body, text_of
from harness.dialects import closing, opening, token, unstreamed, whole
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import Exchange, Script, ScriptedProvider, answer, replay

pytestmark = pytest.mark.asyncio(loop_scope="module")

WINDOW_BYTES = 8_000
STREAM_WINDOW_BYTES = 2_000
PLENTY = 50_000_000
WORD = "신용 "
WORDS = 300
HELLO = {"type": "hello", "version": 1, "caps": ["credit"], "window_bytes": WINDOW_BYTES}


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    return {"server": SERVER, "providers": [provider_entry("openai", provider.url)]}


class Counting:
    """A socket whose chunks are counted, by stream."""

    def __init__(self, socket: websocket.Socket) -> None:
        self.socket = socket
        self.frames: dict[str, list[dict[str, Any]]] = {}
        self.sizes: dict[str, list[int]] = {}

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            payload = await self.socket.receive()
        frame: dict[str, Any] = json.loads(payload)
        assert frame["type"] != "error", frame
        if frame["type"] in ("chunk", "done"):
            self.frames.setdefault(frame["stream_id"], []).append(frame)
        if frame["type"] == "chunk":
            self.sizes.setdefault(frame["stream_id"], []).append(len(payload))
        return frame

    async def until_quiet(self) -> None:
        """Read all that was sent before the answer to a ping, which is asked for now."""
        self.socket.send_json({"type": "ping", "t": "quiet"})
        while (await self.next())["type"] != "pong":
            pass

    async def until_done(self, stream_id: str) -> None:
        while not (self.frames.get(stream_id) and self.frames[stream_id][-1]["done"]):
            await self.next()

    async def create(self, prompt: str, ref: str = "r") -> str:
        request = body("m-openai", prompt)
        self.socket.send_json({"type": "create", "ref": ref, "request": request})
        while (frame := await self.next())["type"] != "started":
            pass
        stream_id: str = frame["stream_id"]
        return stream_id

    def give(self, count: int, stream_id: str | None = None) -> None:
        of = {} if stream_id is None else {"stream_id": stream_id}
        self.socket.send_json({"type": "credit", "bytes": count, **of})

    def check_whole(self, stream_id: str, text: str) -> None:
        frames = self.frames[stream_id]
        assert text_of(frames) == text
        assert [frame["seq"] for frame in frames] == [*range(1, len(frames) + 1)]
        assert [frame["done"] for frame in frames[:-1]] == [False] * (len(frames) - 1)


def words() -> Script:
    return replay(whole("openai", [WORD] * WORDS))


def answered(text: str) -> Script:
    return answer("200 OK", unstreamed("openai", text))


async def generated(gateway: Gateway, stream_id: str) -> None:
    """Wait until the server has the whole answer, whoever may have read it."""
    async with asyncio.timeout(20):
        while True:
            response = await gateway.get(f"/v1/streams/{stream_id}", gateway.key)
            if response.json["state"] != "generating":
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("subprotocols", [[], [websocket.SUBPROTOCOL]])
async def test_nothing_comes_beyond_the_credit_and_everything_with_it(
    gateway: Gateway, provider: ScriptedProvider, subprotocols: list[str]
) -> None:
    prompt = provider.play(words())
    async with websocket.connect(gateway.port, gateway.key, subprotocols=subprotocols) as socket:
        client = Counting(socket)
        socket.send_json(HELLO)
        # With the subprotocol there was a `ready` before the server knew of the wish.
        for _ in range(1 + len(subprotocols)):
            ready = await client.next()
            assert ready["type"] == "ready"
            assert "credit" in ready["caps"]
        assert ready["window_bytes"] == WINDOW_BYTES
        assert ready["stream_window_bytes"] == STREAM_WINDOW_BYTES
        stream_id = await client.create(prompt)
        await generated(gateway, stream_id)
        given = STREAM_WINDOW_BYTES
        while True:
            await client.until_quiet()
            sizes = client.sizes[stream_id]
            if client.frames[stream_id][-1]["done"]:
                break
            # As much as was given, and less than one chunk more.
            assert sum(sizes[:-1]) < given <= sum(sizes)
            client.give(3_000, stream_id)
            client.give(3_000)
            given += 3_000
        client.check_whole(stream_id, WORD * WORDS)
        # What is under way for a stream that has ended is no fault.
        client.give(1, stream_id)
        await client.until_quiet()


async def test_other_streams_and_plain_requests_go_on(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    slow, quick, plain = (provider.play(words()) for _ in range(3))
    async with websocket.connect(gateway.port, gateway.key) as socket:
        client = Counting(socket)
        socket.send_json(HELLO)
        standing = await client.create(slow, "slow")
        await generated(gateway, standing)
        moving = await client.create(quick, "quick")
        client.give(PLENTY)
        client.give(PLENTY, moving)
        await client.until_done(moving)
        client.check_whole(moving, WORD * WORDS)
        socket.send_json(body("m-openai", plain))
        frames = []
        while not frames or not frames[-1]["done"]:
            frame = await socket.receive_json()
            if "type" not in frame:
                frames.append(frame)
        assert text_of(frames) == WORD * WORDS
        await client.until_quiet()
        assert sum(client.sizes[standing][:-1]) < STREAM_WINDOW_BYTES
        client.give(PLENTY, standing)
        await client.until_done(standing)
        client.check_whole(standing, WORD * WORDS)


async def test_a_whole_answer_needs_no_credit(gateway: Gateway, provider: ScriptedProvider) -> None:
    slow, whole_one = provider.play(words()), provider.play(answered("네" * 1_000))
    async with websocket.connect(gateway.port, gateway.key) as socket:
        client = Counting(socket)
        socket.send_json({**HELLO, "window_bytes": 1})
        standing = await client.create(slow)
        await generated(gateway, standing)
        request = {**body("m-openai", whole_one), "stream": False}
        socket.send_json({"type": "create", "ref": "whole", "request": request})
        while (frame := await client.next())["type"] != "done":
            pass
        assert frame["choices"][0]["message"]["content"] == "네" * 1_000
        assert len(client.frames[standing]) == 1


async def test_a_cancel_is_heard_and_brings_the_rest(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    async def run(exchange: Exchange) -> None:
        exchange.head()
        for part in [*opening("openai"), *[token("openai", WORD)] * WORDS]:
            exchange.chunk(part)
        await exchange.until_gone()

    prompt = provider.play(run)
    async with websocket.connect(gateway.port, gateway.key) as socket:
        client = Counting(socket)
        socket.send_json(HELLO)
        stream_id = await client.create(prompt)
        while sum(client.sizes.get(stream_id, ())) < STREAM_WINDOW_BYTES:
            await client.next()
        socket.send_json({"type": "cancel", "stream_id": stream_id})
        await client.until_done(stream_id)
        await (await provider.exchange(prompt)).until_gone()
        frames = client.frames[stream_id]
        assert frames[-1]["finish_reason"] == "cancelled"
        assert [frame["seq"] for frame in frames] == [*range(1, len(frames) + 1)]


async def test_the_end_comes_without_credit(gateway: Gateway, provider: ScriptedProvider) -> None:
    says_more = asyncio.Event()

    async def run(exchange: Exchange) -> None:
        exchange.head()
        for part in [*opening("openai"), token("openai", "가" * 5_000)]:
            exchange.chunk(part)
        await says_more.wait()
        for part in closing("openai", 1):
            exchange.chunk(part)
        exchange.end()

    prompt = provider.play(run)
    async with websocket.connect(gateway.port, gateway.key) as socket:
        client = Counting(socket)
        socket.send_json(HELLO)
        stream_id = await client.create(prompt)
        while len(client.sizes.get(stream_id, ())) < 2:
            await client.next()
        assert sum(client.sizes[stream_id]) > WINDOW_BYTES
        says_more.set()
        await client.until_done(stream_id)
        client.check_whole(stream_id, "가" * 5_000)


async def test_a_resume_begins_with_new_windows(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    prompt = provider.play(words())
    async with websocket.connect(gateway.port, gateway.key) as socket:
        client = Counting(socket)
        socket.send_json(HELLO)
        stream_id = await client.create(prompt)
        await generated(gateway, stream_id)
        await client.until_quiet()
        socket.reset()
    first = client.frames[stream_id]
    async with websocket.connect(gateway.port, gateway.key) as socket:
        client = Counting(socket)
        client.frames[stream_id] = first
        socket.send_json(HELLO)
        position = {"stream_id": stream_id, "epoch": 1, "after": first[-1]["seq"]}
        socket.send_json({"type": "resume", **position})
        await client.until_quiet()
        sizes = client.sizes[stream_id]
        assert sum(sizes[:-1]) < STREAM_WINDOW_BYTES <= sum(sizes)
        for _ in range(2):
            client.give(PLENTY, stream_id)
            client.give(PLENTY)
        while (await client.next())["type"] != "caught_up":
            pass
        client.check_whole(stream_id, WORD * WORDS)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "zero": ({"bytes": 0}, "`$.bytes`"),
    "below-zero": ({"bytes": -1}, "`$.bytes`"),
    "fraction": ({"bytes": 1.5}, "`$.bytes`"),
    "text": ({"bytes": "1"}, "`$.bytes`"),
    "true": ({"bytes": True}, "`$.bytes`"),
    "null": ({"bytes": None}, "`$.bytes`"),
    "none": ({}, "`bytes`"),
    "too-much": ({"bytes": 1 << 31}, "more credit"),
    "far-too-much": ({"bytes": 10**30}, "more credit"),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_is_no_credit(gateway: Gateway, name: str) -> None:
    fields, words = BAD[name]
    async with websocket.connect(gateway.port, gateway.key) as socket:
        socket.send_json(HELLO)
        socket.send_json({"type": "credit", **fields})
        error = (await socket.receive_type("error"))["error"]
        assert words in error["message"], error
        assert error["retryable"] is False
        await Counting(socket).until_quiet()


@pytest.mark.parametrize(
    ("asked", "granted"), [(1, 1), (None, 262_144), (16_777_217, 16_777_216), (0, None), (-1, None)]
)
async def test_what_window_is_granted(
    gateway: Gateway, asked: int | None, granted: int | None
) -> None:
    async with websocket.connect(gateway.port, gateway.key) as socket:
        socket.send_json({**HELLO, "window_bytes": asked})
        frame = await socket.receive_json()
        if granted is None:
            assert "`$.window_bytes`" in frame["error"]["message"]
        else:
            assert frame["window_bytes"] == granted


async def test_who_does_not_ask_is_sent_everything(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    prompt = provider.play(words())
    async with websocket.connect(gateway.port, gateway.key) as socket:
        client = Counting(socket)
        socket.send_json({**HELLO, "caps": []})
        ready = await client.next()
        assert "window_bytes" not in ready
        stream_id = await client.create(prompt)
        client.give(1)  # without effect
        await client.until_done(stream_id)
        client.check_whole(stream_id, WORD * WORDS)
