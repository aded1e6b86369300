"""The TypeScript client in Node against a real gateway, through a relay that cuts connections."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import ScriptedProvider
from harness.relay import Steps, relay_before
from harness.typescript import build

pytestmark = [pytest.mark.needs("node", "typescript"), pytest.mark.asyncio(loop_scope="module")]

PIECES = ["하나 ", "둘 ", "셋 ", "넷 ", "👩‍👩‍👧"]
SCRIPT = Path(__file__).parents[1] / "node" / "client.mjs"
TIMEOUT_S = 30


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    return {"server": SERVER, "providers": [provider_entry("openai", provider.url)]}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("dist"))


class Node:
    """A running client."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def event(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(TIMEOUT_S):
            line = await self._process.stdout.readline()
        assert line, "the client ended before its time"
        event: dict[str, Any] = json.loads(line)
        return event

    async def chunks(self, count: int) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        while len(events) < count:
            event = await self.event()
            assert event["type"] in ("started", "chunk"), event
            events += [event] if event["type"] == "chunk" else []
        return events

    def cancel(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")


@contextlib.asynccontextmanager
async def node(dist: Path, url: str, key: str, prompt: str) -> AsyncIterator[Node]:
    process = await asyncio.create_subprocess_exec(
        *("node", str(SCRIPT), str(dist), url, key, "m-openai", prompt),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Node(process)
        async with asyncio.timeout(TIMEOUT_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_an_answer_whose_connection_is_cut_again_and_again(
    gateway: Gateway, provider: ScriptedProvider, dist: Path
) -> None:
    steps = Steps(PIECES)
    prompt = provider.play(steps)
    async with relay_before(gateway) as relay:
        relay.answers_withheld = 1
        async with node(dist, relay.url, gateway.key, prompt) as client:
            seen: list[dict[str, Any]] = []
            for count in (2, 1, 1, 1, 1):
                steps.give(1)
                seen += await client.chunks(count)
                relay.cut()
            last, end = await client.event(), await client.event()
    assert [chunk["seq"] for chunk in seen] == list(range(1, 7))
    assert "".join(chunk["text"] for chunk in seen) == end["text"] == "".join(PIECES)
    assert (last["type"], last["finishReason"], last["seq"]) == ("done", "stop", 7)
    assert last["usage"]["completion_tokens"] == len(PIECES)
    assert len(provider.exchanges(prompt)) == 1


async def test_cancel(gateway: Gateway, provider: ScriptedProvider, dist: Path) -> None:
    steps = Steps(PIECES)
    prompt = provider.play(steps)
    async with node(dist, gateway.ws_url, gateway.key, prompt) as client:
        steps.give(2)
        await client.chunks(3)
        client.cancel()
        last, end = await client.event(), await client.event()
    assert (last["type"], last["finishReason"]) == ("done", "cancelled")
    assert end["text"] == "".join(PIECES[:2])
    await (await provider.exchange(prompt)).until_gone()


async def test_a_wrong_key_is_not_tried_again(gateway: Gateway, dist: Path) -> None:
    async with (
        relay_before(gateway) as relay,
        node(dist, relay.url, "tf_wrong", "?") as client,
    ):
        last = await client.event()
        await client.event()
        assert relay.connections == 1
    assert (last["type"], last["error"]["code"]) == ("failed", "invalid_api_key_format")
