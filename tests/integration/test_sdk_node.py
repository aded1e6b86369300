"""The official openai SDK for Node with `baseURL` alone, as a process of its own."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from harness import dialects
from harness.dialects import KINDS
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import ScriptedProvider, answer, replay

pytestmark = [pytest.mark.needs("node"), pytest.mark.asyncio(loop_scope="module")]

each_kind = pytest.mark.parametrize("kind", KINDS)
SCRIPT = Path(__file__).parents[1] / "node" / "sdk.mjs"
PIECES = ["안녕", "하세요", " 🙂"]
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    entries = [provider_entry(kind, provider.url) for kind in KINDS]
    return {"server": SERVER, "providers": entries}


async def node(gateway: Gateway, *arguments: str) -> Any:
    """Run one scenario and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(SCRIPT), f"{gateway.url}/v1", gateway.key, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT_S):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out)


@each_kind
async def test_streaming(gateway: Gateway, provider: ScriptedProvider, kind: str) -> None:
    prompt = provider.play(replay(dialects.whole(kind, PIECES)))
    seen = await node(gateway, "stream", f"m-{kind}", prompt)
    assert seen["text"] == "".join(PIECES)
    assert seen["finish"] == "stop"
    assert seen["usage"]["completion_tokens"] == len(PIECES)


async def test_without_streaming(gateway: Gateway, provider: ScriptedProvider) -> None:
    prompt = provider.play(answer("200 OK", dialects.unstreamed("anthropic", "안녕")))
    seen = await node(gateway, "whole", "m-anthropic", prompt)
    assert seen["text"] == "안녕"
    assert seen["requestId"].startswith("req_")


async def test_tools_and_schemas(gateway: Gateway) -> None:
    seen = await node(gateway, "tools", "demo", "Use the weather tool")
    assert seen["calls"][0]["name"] == "weather"
    assert "city" in json.loads(seen["calls"][0]["arguments"])
    seen = await node(gateway, "parse", "demo", "JSON, please")
    assert isinstance(seen["parsed"]["city"], str)


async def test_a_cut_stream_throws(gateway: Gateway, provider: ScriptedProvider) -> None:
    blocks = [*dialects.opening("openai"), dialects.token("openai", "half")]
    seen = await node(gateway, "cut", "m-openai", provider.play(replay(blocks)))
    assert seen["text"] == "half"
    assert seen["error"]["code"] == "provider_cut_off"


async def test_each_error_has_its_class(gateway: Gateway) -> None:
    seen = await node(gateway, "errors")
    assert seen["bad"]["name"] == "BadRequestError"
    assert seen["bad"]["param"] == "messages"
    assert seen["bad"]["requestID"].startswith("req_")
    assert (seen["missing"]["name"], seen["missing"]["code"]) == (
        "NotFoundError",
        "model_not_found",
    )
    assert (seen["refused"]["name"], seen["refused"]["status"]) == ("AuthenticationError", 401)


async def test_a_retry_waits_as_long_as_the_provider_asked(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    tries: list[float] = []
    body = dialects.error_body("openai", 429, "slow down")
    limited = answer("429 Too Many Requests", body, headers={"retry-after-ms": "300"})
    good = answer("200 OK", dialects.unstreamed("openai", "now"))

    async def script(exchange: Any) -> None:
        tries.append(time.monotonic())
        await (limited if len(tries) == 1 else good)(exchange)

    seen = await node(gateway, "failing", "m-openai", provider.play(script))
    assert seen == {"name": None}
    assert len(tries) == 2
    assert tries[1] - tries[0] >= 0.3
