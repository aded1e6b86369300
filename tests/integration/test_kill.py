"""A server that dies, and the next one on the same data directory: what clients get then."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness import websocket
from harness.answers import body
from harness.dialects import closing, opening, token
from harness.gateway import SERVER, Gateway, provider_entry
from harness.http_client import Response, fetch
from harness.providers import Exchange, ScriptedProvider, scripted_provider
from harness.sse import PATH, open_stream

pytestmark = pytest.mark.asyncio

TEXTS = ["하나 ", "둘 🙂 ", "셋 ", "넷"]
WAIT_S = 10


class Steps:
    """A script whose tokens the test releases; the answer ends after the last one."""

    def __init__(self, released: int = 0) -> None:
        self._leave = asyncio.Semaphore(released)

    def give(self, count: int) -> None:
        for _ in range(count):
            self._leave.release()

    async def __call__(self, exchange: Exchange) -> None:
        exchange.head()
        for block in opening("openai"):
            exchange.chunk(block)
        for text in TEXTS:
            await self._leave.acquire()
            exchange.chunk(token("openai", text))
        for block in closing("openai", len(TEXTS)):
            exchange.chunk(block)
        exchange.end()


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with scripted_provider() as running:
        yield running


@pytest.fixture
def settings() -> dict[str, Any]:
    return {}


@pytest_asyncio.fixture
async def gateway(
    tmp_path: Path, provider: ScriptedProvider, settings: dict[str, Any]
) -> AsyncIterator[Gateway]:
    running = Gateway(
        tmp_path,
        server={**SERVER, **settings},
        providers=[provider_entry("openai", provider.url)],
    )
    await running.start()
    try:
        yield running
    finally:
        await running.kill()


async def restart(gateway: Gateway) -> None:
    """Kill the process and start the next one; the key stays the same."""
    key = gateway.key
    await gateway.kill()
    await gateway.start()
    gateway.key = key


def aware(gateway: Gateway) -> Any:
    return websocket.connect(gateway.port, gateway.key, subprotocols=[websocket.SUBPROTOCOL])


async def begin(
    gateway: Gateway, prompt: str, count: int, key: str | None = None
) -> tuple[str, list[dict[str, Any]]]:
    """Create a stream and read so many of its frames, as a client that is then lost."""
    frames: list[dict[str, Any]] = []
    async with aware(gateway) as socket:
        request = body("m-openai", prompt)
        socket.send_json({"type": "create", "request": request, "idempotency_key": key})
        started = await socket.receive_type("started")
        while len(frames) < count:
            frames.append(await socket.receive_type("chunk", "done"))
        socket.reset()
    return started["stream_id"], frames


async def resume(
    gateway: Gateway, stream_id: str, after: int, epoch: int = 1
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Resume, and return the answer and the frames to the stream's end."""
    async with aware(gateway) as socket:
        position = {"stream_id": stream_id, "epoch": epoch, "after": after}
        socket.send_json({"type": "resume", **position})
        answer = await socket.receive_type("resumed", "reset", "snapshot", "error")
        frames: list[dict[str, Any]] = []
        if answer["type"] in ("resumed", "reset"):
            while (frame := await socket.receive_json())["type"] != "caught_up":
                frames.append(frame)
        return answer, frames


async def events(gateway: Gateway, stream_id: str, after: str) -> Response:
    headers = {"Authorization": f"Bearer {gateway.key}", "Last-Event-ID": after}
    return await fetch(gateway.port, "GET", f"/v1/streams/{stream_id}/events", headers=headers)


async def shown(gateway: Gateway, stream_id: str) -> dict[str, Any]:
    response = await gateway.get(f"/v1/streams/{stream_id}", gateway.key)
    return dict(response.json)


def same(frame: dict[str, Any]) -> dict[str, Any]:
    """Return a frame without its epoch, which is the owner's."""
    return {name: value for name, value in frame.items() if name != "epoch"}


# -- kill -9 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"durability": "disk"}], ids=["process", "disk"])
async def test_killed_in_mid_stream_every_position_gets_a_reset_and_the_rest(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    prompt = provider.play(Steps(2))
    stream_id, before = await begin(gateway, prompt, 3)
    assert [frame["seq"] for frame in before] == [1, 2, 3]
    await restart(gateway)
    for after in range(4):
        reset, frames = await resume(gateway, stream_id, after)
        assert reset["type"] == "reset"
        assert (reset["epoch"], reset["keep_through"]) == (2, after)
        assert (reset["head"], reset["state"], reset["reason"]) == (4, "done", "owner_changed")
        *chunks, end = frames
        assert list(map(same, chunks)) == list(map(same, before[after:]))
        assert {frame["epoch"] for frame in frames} == {2}
        assert (end["type"], end["error"]["code"], end["seq"]) == ("error", "upstream_lost", 4)
        assert end["error"]["retryable"] is True
        assert end["usage"]["estimated"] is True
        assert end["usage"]["completion_tokens"] > 0
    # Who has taken the new epoch goes on in it; and the next process changes nothing.
    await restart(gateway)
    resumed, frames = await resume(gateway, stream_id, 3, epoch=2)
    assert (resumed["type"], resumed["head"]) == ("resumed", 4)
    assert [frame["seq"] for frame in frames] == [4]
    refused, _ = await resume(gateway, stream_id, 3, epoch=3)
    assert refused["error"]["param"] == "epoch"
    assert len(provider.exchanges(prompt)) == 1


async def test_killed_before_the_first_token(gateway: Gateway, provider: ScriptedProvider) -> None:
    prompt = provider.play(Steps())
    stream_id, _ = await begin(gateway, prompt, 0)
    await provider.exchange(prompt)
    await restart(gateway)
    reset, (end,) = await resume(gateway, stream_id, 0)
    assert (reset["type"], reset["keep_through"], reset["head"]) == ("reset", 0, 1)
    assert (end["error"]["code"], end["seq"]) == ("upstream_lost", 1)
    assert (await shown(gateway, stream_id))["state"] == "error"


async def test_killed_after_the_end(gateway: Gateway, provider: ScriptedProvider) -> None:
    prompt = provider.play(Steps(len(TEXTS)))
    stream_id, whole = await begin(gateway, prompt, len(TEXTS) + 2)
    before = await shown(gateway, stream_id)
    read = (await events(gateway, stream_id, "0")).body
    await restart(gateway)
    for after in range(len(whole) + 1):
        resumed, frames = await resume(gateway, stream_id, after)
        assert (resumed["type"], resumed["epoch"]) == ("resumed", 1)
        assert frames == whole[after:]
    assert (await events(gateway, stream_id, "0")).body == read
    assert await shown(gateway, stream_id) == before


async def test_a_repeated_create_after_the_restart_calls_no_provider(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    prompt = provider.play(Steps(1))
    stream_id, _ = await begin(gateway, prompt, 2, key="한 번")
    await restart(gateway)
    async with aware(gateway) as socket:
        request = body("m-openai", prompt)
        create = {"type": "create", "request": request, "idempotency_key": "한 번"}
        socket.send_json(create)
        started = await socket.receive_type("started")
        assert (started["stream_id"], started["epoch"]) == (stream_id, 2)
        assert (await socket.receive_type("error"))["error"]["code"] == "upstream_lost"
    assert len(provider.exchanges(prompt)) == 1


async def test_an_event_stream_goes_on_after_the_restart(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    prompt = provider.play(Steps(2))
    async with open_stream(gateway.port, gateway.key, body("m-openai", prompt)) as stream:
        before = [await stream.next() for _ in range(3)]
        stream_id = stream.headers["x-stream-id"]
        await gateway.kill()
    await restart(gateway)
    one, two = [await events(gateway, stream_id, "1-2") for _ in range(2)]
    assert one.body == two.body
    reset, chunk, error, done = [
        block for block in one.body.decode().split("\n\n") if block and block[0] != ":"
    ]
    assert reset.startswith("event: reset\ndata: {")
    assert reset.endswith("\nid: 2-2")
    assert chunk == f"data: {before[2]}\nid: 2-3"
    assert json.loads(error.removeprefix("data: "))["error"]["code"] == "upstream_lost"
    assert done == "data: [DONE]\nid: 2-4"


# -- a deploy ----------------------------------------------------------------------------------


async def test_after_a_deploy_the_next_process_answers(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    steps = Steps(1)
    prompt = provider.play(steps)
    key = gateway.key
    async with aware(gateway) as socket:
        socket.send_json({"type": "create", "request": body("m-openai", prompt)})
        stream_id = (await socket.receive_type("started"))["stream_id"]
        begun = [await socket.receive_type("chunk") for _ in range(2)]
        gateway.terminate()
        await socket.receive_type("going_away")
        steps.give(len(TEXTS) - 1)
        rest = []
        while not rest or rest[-1]["type"] != "done":
            rest.append(await socket.receive_type("chunk", "done"))
        assert (await socket.closed()).code == 1012
    assert await gateway.exit_status() == 0
    await gateway.start()
    gateway.key = key
    resumed, frames = await resume(gateway, stream_id, 0)
    assert (resumed["type"], resumed["epoch"]) == ("resumed", 1)
    assert frames == begun + rest


@pytest.mark.parametrize("settings", [{}, {"durability": "memory"}])
async def test_a_second_server_on_the_same_data_is_refused(gateway: Gateway) -> None:
    status, out, err = await gateway.command(
        "serve", "--port", "0", "--data-dir", str(gateway.data_dir)
    )
    assert status == 1
    assert "journal" in out + err
    assert "another" in (out + err).lower()
    assert "Traceback" not in out + err
    assert await gateway.is_up()


# -- retention ---------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"retention_s": 0.1}])
async def test_without_its_chunks_a_stream_gives_a_snapshot(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    stream_id, _ = await begin(gateway, provider.play(Steps(len(TEXTS))), len(TEXTS) + 2)
    async with asyncio.timeout(WAIT_S):
        while (answer := (await resume(gateway, stream_id, 2))[0])["type"] != "snapshot":
            await asyncio.sleep(0.05)
    assert answer["message"]["content"] == "".join(TEXTS)
    assert (answer["finish_reason"], answer["done"]) == ("stop", True)
    assert (answer["through"], answer["usage"]["completion_tokens"]) == (6, len(TEXTS))
    got = await events(gateway, stream_id, "1-2")
    assert got.body.startswith(b"event: snapshot\ndata: {")
    assert got.body.endswith(b"data: [DONE]\nid: 1-6\n\n")
    assert (await events(gateway, stream_id, "1-6")).status == 204
    assert (await shown(gateway, stream_id))["state"] == "done"
    await restart(gateway)
    assert (await resume(gateway, stream_id, 2))[0] == answer


@pytest.mark.parametrize("settings", [{"retention_s": 0.1, "text_retention_s": 0}])
async def test_without_its_text_a_stream_gives_how_it_ended(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    stream_id, _ = await begin(gateway, provider.play(Steps(len(TEXTS))), len(TEXTS) + 2)
    async with asyncio.timeout(WAIT_S):
        while (answer := (await resume(gateway, stream_id, 2))[0])["type"] != "error":
            assert answer["type"] != "snapshot", "no text is to be kept"
            await asyncio.sleep(0.05)
    assert (answer["error"]["code"], answer["state"], answer["cost"]) == ("expired", "done", None)
    assert answer["usage"]["completion_tokens"] == len(TEXTS)
    got = await events(gateway, stream_id, "1-2")
    assert (got.status, got.error["code"]) == (410, "expired")
    assert (await shown(gateway, stream_id))["completion"] is None


async def test_a_repeated_post_is_answered_without_its_chunks(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    running = Gateway(
        tmp_path,
        server={**SERVER, "retention_s": 0.1},
        providers=[provider_entry("openai", provider.url)],
    )
    await running.start()
    try:
        prompt = provider.play(Steps(len(TEXTS)))
        asked = json.dumps(body("m-openai", prompt)).encode()
        headers = {"Idempotency-Key": "kept"}
        first = await running.post(PATH, asked, running.key, **headers)
        stream_id = first.headers["x-stream-id"]
        async with asyncio.timeout(WAIT_S):
            while (await resume(running, stream_id, 0))[0]["type"] != "snapshot":
                await asyncio.sleep(0.05)
        again = await running.post(PATH, asked, running.key, **headers)
        chunks = [
            json.loads(block[6:]) for block in again.body.split(b"\n\n") if block[:7] == b"data: {"
        ]
        assert chunks[0]["choices"][0]["delta"]["content"] == "".join(TEXTS)
        # Who has not asked for usage reads `choices[0]` of every chunk.
        assert all(chunk["choices"] for chunk in chunks)
        assert len(provider.exchanges(prompt)) == 1
        await running.stop()
    finally:
        await running.kill()
