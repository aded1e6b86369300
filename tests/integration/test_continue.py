"""The server is killed in the middle of an answer, and the next one goes on with it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness import dialects, websocket
from harness.answers import body
from harness.gateway import SERVER, Gateway, provider_entry
from harness.http_client import ConnectionFailed
from harness.providers import Exchange, ScriptedProvider

pytestmark = pytest.mark.asyncio(loop_scope="module")

AWARE = [websocket.SUBPROTOCOL]
CONTINUE = {"recovery": "continue"}


@pytest_asyncio.fixture(loop_scope="module")
async def mortal(tmp_path: Path, provider: ScriptedProvider) -> AsyncIterator[Gateway]:
    """A gateway that the test kills and starts again."""
    running = Gateway(
        tmp_path,
        server=SERVER,
        providers=[
            provider_entry("openai", provider.url, prefill="continue_final_message"),
            provider_entry("openai", provider.url, name="repeats", prefill="prefix_repeated"),
            provider_entry("openai", provider.url, name="silent"),
        ],
    )
    await running.start()
    try:
        yield running
        await running.stop()
    finally:
        await running.kill()


class HalfThenRest:
    """Answers the first call with `half` and no end, the next ones with `rest`."""

    def __init__(self, half: list[str], rest: list[str]) -> None:
        self.half, self.rest = half, rest
        self.calls = 0

    async def __call__(self, exchange: Exchange) -> None:
        self.calls += 1
        exchange.head()
        for block in dialects.opening("openai"):
            exchange.chunk(block)
        for piece in self.half if self.calls == 1 else self.rest:
            exchange.chunk(dialects.token("openai", piece))
        if self.calls == 1:
            await exchange.until_gone()
            return
        for block in dialects.closing("openai", len(self.rest)):
            exchange.chunk(block)
        exchange.end()


async def restart(gateway: Gateway) -> str:
    """Kill the gateway, start it again, and return the key that was there."""
    key = gateway.key
    await gateway.kill()
    await gateway.start()
    return key


async def begin(gateway: Gateway, request: dict[str, Any], chunk_count: int, **options: Any) -> Any:
    """Create a stream and read so many chunks; return `started` and the chunks."""
    async with websocket.connect(gateway.port, gateway.key, subprotocols=AWARE) as socket:
        socket.send_json({"type": "create", "request": request, "options": options})
        started = await socket.receive_type("started")
        chunks = [await socket.receive_type("chunk") for _ in range(chunk_count)]
        return started, chunks


async def rest_of(gateway: Gateway, key: str, started: Any, chunks: list[Any]) -> Any:
    """Resume; return `reset`, the chunks that are kept and the new ones, and the end."""
    async with websocket.connect(gateway.port, key, subprotocols=AWARE) as socket:
        position = {"epoch": 1, "after": chunks[-1]["seq"] if chunks else 0}
        socket.send_json({"type": "resume", "stream_id": started["stream_id"], **position})
        reset = await socket.receive_type("reset")
        frames = [chunk for chunk in chunks if chunk["seq"] <= reset["keep_through"]]
        while not frames or frames[-1]["type"] not in ("done", "error"):
            frames.append(await socket.receive_type("chunk", "done", "error"))
        return reset, frames[:-1], frames[-1]


def words(chunks: list[Any]) -> str:
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


@pytest.mark.parametrize(
    ("model", "rest"),
    [("m-openai", ["셋 ", "넷"]), ("m-repeats", ["하나 ", "둘 셋", " 넷"])],
)
async def test_the_client_sees_one_answer(
    mortal: Gateway, provider: ScriptedProvider, model: str, rest: list[str]
) -> None:
    script = HalfThenRest(["하나 ", "둘 "], rest)
    prompt = provider.play(script)
    started, chunks = await begin(mortal, body(model, prompt, max_tokens=40), 3, **CONTINUE)
    assert words(chunks) == "하나 둘 "
    key = await restart(mortal)
    reset, frames, end = await rest_of(mortal, key, started, chunks)
    assert (reset["epoch"], reset["keep_through"]) == (2, 3)
    assert words(frames) == "하나 둘 셋 넷"
    assert [frame["seq"] for frame in frames] == list(range(1, len(frames) + 1))
    assert (end["type"], end["finish_reason"], end["usage"]["estimated"]) == ("done", "stop", True)
    assert end["usage"]["prompt_tokens"] > dialects.PROMPT_TOKENS
    first, second = provider.exchanges(prompt)
    assert first.request.json["max_tokens"] == 40
    asked = second.request.json
    assert asked["messages"][-1]["content"] == "하나 둘 "
    assert asked["max_tokens"] < 40
    assert (asked["stream"], len(asked["messages"])) == (True, 2)


@pytest.mark.parametrize(
    ("model", "options"),
    [("m-openai", {}), ("m-openai", {"recovery": "fail"}), ("m-silent", CONTINUE)],
)
async def test_else_it_is_lost_and_nobody_is_called(
    mortal: Gateway, provider: ScriptedProvider, model: str, options: dict[str, str]
) -> None:
    prompt = provider.play(HalfThenRest(["하나 "], ["둘"]))
    started, chunks = await begin(mortal, body(model, prompt), 2, **options)
    key = await restart(mortal)
    _, frames, end = await rest_of(mortal, key, started, chunks)
    assert (words(frames), end["error"]["code"]) == ("하나 ", "upstream_lost")
    assert len(provider.exchanges(prompt)) == 1


async def test_the_demo_model_says_what_it_would_have_said(mortal: Gateway) -> None:
    request = body("demo", "Please give me a short answer", max_tokens=60)
    started, chunks = await begin(mortal, request, 12, **CONTINUE)
    key = await restart(mortal)
    _, frames, end = await rest_of(mortal, key, started, chunks)
    whole = json.dumps({**request, "stream": False}).encode()
    answer = await mortal.post("/v1/chat/completions", whole, key)
    uninterrupted = json.loads(answer.body)["choices"][0]
    assert words(frames) == uninterrupted["message"]["content"]
    assert end["finish_reason"] == uninterrupted["finish_reason"] == "length"
    assert end["seq"] == len(frames) + 1 == 62


async def test_over_http_a_header_asks_for_it(mortal: Gateway, provider: ScriptedProvider) -> None:
    prompt = provider.play(HalfThenRest(["하나 "], ["둘"]))
    request = json.dumps(body("m-openai", prompt)).encode()
    header = {"x-tokenferry-recovery": "continue"}
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(
            _ignoring(mortal.post("/v1/chat/completions", request, mortal.key, **header))
        )
        stream_id = await _half_there(mortal)
        await mortal.kill()
        await asking
    key = mortal.key
    await mortal.start()
    events = await mortal.get(f"/v1/streams/{stream_id}/events", key)
    assert b"data: [DONE]" in events.body
    shown = json.loads((await mortal.get(f"/v1/streams/{stream_id}", key)).body)
    assert shown["completion"]["choices"][0]["message"]["content"] == "하나 둘"
    assert (shown["state"], shown["epoch"]) == ("done", 2)
    refused = await mortal.post(
        "/v1/chat/completions", request, key, **{"x-tokenferry-recovery": "maybe"}
    )
    assert refused.status == 400


async def _ignoring(request: Any) -> None:
    """Wait for a request whose server dies meanwhile."""
    with contextlib.suppress(ConnectionFailed):
        await request


async def _half_there(gateway: Gateway) -> str:
    """Wait until a stream has its first text, and return its id."""
    while True:
        listed = json.loads((await gateway.get("/v1/streams", gateway.key)).body)["data"]
        if listed and listed[0]["head"] >= 2:
            return str(listed[0]["id"])
        await asyncio.sleep(0.02)
