"""Traces of a running gateway, as a collector gets them: whose they are, and what is in them."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness import websocket
from harness.answers import ask, aware_frames, body
from harness.collector import VARIABLES, Collector, Span, collector
from harness.dialects import PROMPT_TOKENS, error_body, opening, token, whole
from harness.gateway import SERVER, Gateway, environment, provider_entry
from harness.http_client import fetch
from harness.providers import Exchange, ScriptedProvider, answer, replay

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXTS = ["비밀스러운 ", "답변입니다 🙂"]
QUESTION = "아무도 몰라야 하는 질문"
GOOD = replay(whole("openai", TEXTS))
BUSY = answer("503 Busy", error_body("openai", 503, "바쁩니다: 아무도 몰라야 하는 질문"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def traces() -> AsyncIterator[Collector]:
    async with collector() as running:
        yield running


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider, traces: Collector) -> dict[str, Any]:
    return {
        "server": SERVER,
        "providers": [
            provider_entry("openai", provider.url, "first"),
            provider_entry("openai", provider.url, "second"),
            provider_entry("gemini", provider.url),
        ],
        "aliases": {"either": ["first/m-first", "second/m-second"]},
        "tables": {
            "telemetry": {"otlp_endpoint": traces.url, "propagate": True},
            "routing": {"retries": 0},
        },
        "variables": VARIABLES,
    }


def fresh() -> tuple[str, str, dict[str, str]]:
    """Return a client's trace, its span in it, and the header that says so."""
    trace, span = os.urandom(16).hex(), os.urandom(8).hex()
    return trace, span, {"traceparent": f"00-{trace}-{span}-01", "tracestate": "vendor=1"}


async def ask_whole(
    gateway: Gateway, prompt: str, headers: dict[str, str], model: str = "m-first", **fields: Any
) -> Any:
    request = body(model, f"{prompt} {QUESTION}", **fields)
    del request["stream"]
    return await fetch(
        gateway.port, "POST", "/v1/chat/completions", body=json.dumps(request).encode(),
        headers={"Authorization": f"Bearer {gateway.key}", **headers},
    )  # fmt: skip


def parts(spans: list[Span]) -> tuple[Span, list[Span]]:
    """Return the request's span and its calls', which are its children."""
    server, *calls = spans
    assert server.kind == "SERVER"
    assert all(call.parent == server.id for call in calls)
    return server, calls


async def test_a_streamed_answer_is_a_request_and_a_call_in_the_clients_trace(
    gateway: Gateway, provider: ScriptedProvider, traces: Collector
) -> None:
    trace, span, headers = fresh()
    prompt = provider.play(GOOD)
    request = body("m-first", f"{prompt} {QUESTION}", stream=True, max_tokens=77)
    answered = await fetch(
        gateway.port, "POST", "/v1/chat/completions", body=json.dumps(request).encode(),
        headers={"Authorization": f"Bearer {gateway.key}", **headers},
    )  # fmt: skip
    assert TEXTS[0] in answered.body.decode()
    server, [call] = parts(await traces.trace(trace, 2))
    assert (server.name, server.parent) == ("POST /v1/chat/completions", span)
    assert server.resource["service.name"] == "tokenferry"
    first_s = server.facts.pop("tokenferry.time_to_first_token")
    assert 0 < first_s * 1e9 <= server.nanoseconds
    assert server.facts == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "url.path": "/v1/chat/completions",
        "url.scheme": "http",
        "tokenferry.key_id": gateway.key.split("_")[1],
        "tokenferry.stream_id": answered.headers["x-stream-id"],
        "tokenferry.model": "m-first",
        "tokenferry.calls": 1,
        "tokenferry.finish": "stop",
    }
    assert (call.name, call.kind, call.is_error) == ("chat m-first", "CLIENT", False)
    chunk_s = call.facts.pop("gen_ai.response.time_to_first_chunk")
    assert 0 < chunk_s <= first_s
    assert call.facts == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "first",
        "gen_ai.request.model": "m-first",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 77,
        "gen_ai.response.model": "gpt",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": PROMPT_TOKENS,
        "gen_ai.usage.output_tokens": len(TEXTS),
        "server.address": "127.0.0.1",
        "server.port": int(provider.url.rpartition(":")[2]),
        "tokenferry.provider": "first",
        "tokenferry.outcome": "stop",
    }
    # What the provider traces is a part of this call.
    [exchange] = provider.exchanges(prompt)
    assert exchange.request.headers["traceparent"] == f"00-{trace}-{call.id}-01"
    assert exchange.request.headers["tracestate"] == "vendor=1"


async def test_a_try_that_failed_has_a_span_of_its_own(
    gateway: Gateway, provider: ScriptedProvider, traces: Collector
) -> None:
    async def script(exchange: Exchange) -> None:
        await (BUSY if exchange.request.json["model"] == "m-first" else GOOD)(exchange)

    trace, _, headers = fresh()
    prompt = provider.play(script)
    assert (await ask_whole(gateway, prompt, headers, "either", stream=True)).status == 200
    server, calls = parts(await traces.trace(trace, 3))
    failed, served = sorted(calls, key=lambda call: not call.is_error)
    assert failed.facts["error.type"] == "provider_http_503"
    assert failed.facts["tokenferry.provider"] == "first"
    assert "gen_ai.usage.input_tokens" not in failed.facts
    assert not served.is_error
    assert served.facts["gen_ai.request.model"] == "m-second"
    assert (server.is_error, server.facts["tokenferry.calls"]) == (False, 2)
    assert server.facts["tokenferry.model"] == "either"


async def test_an_answer_that_breaks_off_is_an_error_of_both(
    gateway: Gateway, provider: ScriptedProvider, traces: Collector
) -> None:
    async def script(exchange: Exchange) -> None:
        exchange.head()
        for part in (*opening("openai"), token("openai", TEXTS[0])):
            exchange.chunk(part)
        await exchange.drain()
        exchange.close()

    trace, _, headers = fresh()
    await ask_whole(gateway, provider.play(script), headers, stream=True)
    server, [call] = parts(await traces.trace(trace, 2))
    assert (server.is_error, call.is_error) == (True, True)
    assert server.facts["error.type"] == call.facts["error.type"] == "provider_cut_off"
    assert call.facts["gen_ai.response.finish_reasons"] == ["error"]
    assert call.facts["tokenferry.usage.estimated"] is True
    assert "http.response.status_code" not in server.facts


async def test_what_is_refused_has_a_span_without_calls(
    gateway: Gateway, traces: Collector
) -> None:
    trace, span, headers = fresh()
    secret = "모르는-모델"
    assert (await ask_whole(gateway, "x", headers, secret)).status == 404
    [server] = await traces.trace(trace, 1)
    assert (server.parent, server.is_error) == (span, False)
    assert server.facts["http.response.status_code"] == 404
    assert server.facts["error.type"] == "model_not_found"


async def test_each_request_of_a_websocket_is_a_part_of_what_the_upgrade_names(
    gateway: Gateway, provider: ScriptedProvider, traces: Collector
) -> None:
    trace, span, headers = fresh()
    async with websocket.connect(
        gateway.port, gateway.key, subprotocols=[websocket.SUBPROTOCOL], headers=headers
    ) as socket:
        for number in range(2):
            request = body("m-gemini", f"{provider.play(replay(whole('gemini', TEXTS)))} {number}")
            socket.send_json({"type": "create", "ref": f"{number}", "request": request})
            await aware_frames(socket, f"{number}")
        await socket.close()
    first, second, *calls = await traces.trace(trace, 4)
    for server in (first, second):
        assert (server.name, server.kind, server.parent) == ("create /v1/stream", "SERVER", span)
        [call] = [call for call in calls if call.parent == server.id]
        assert call.name == "generate_content m-gemini"
        assert call.facts["gen_ai.response.finish_reasons"] == ["stop"]
        assert call.facts["gen_ai.request.stream"] is True


async def test_a_client_that_leaves_is_no_error(
    gateway: Gateway, provider: ScriptedProvider, traces: Collector
) -> None:
    async def script(exchange: Exchange) -> None:
        exchange.head()
        for part in (*opening("openai"), token("openai", TEXTS[0])):
            exchange.chunk(part)
        await exchange.until_gone()

    trace, _, headers = fresh()
    async with websocket.connect(
        gateway.port, gateway.key, subprotocols=[websocket.SUBPROTOCOL], headers=headers
    ) as socket:
        request = body("m-first", provider.play(script))
        socket.send_json({"type": "create", "ref": "1", "request": request})
        chunk = await socket.receive_type("chunk")
        socket.send_json({"type": "cancel", "stream_id": chunk["stream_id"]})
        await socket.receive_type("done")
        await socket.close()
    server, [call] = parts(await traces.trace(trace, 2))
    assert (server.is_error, call.is_error) == (False, False)
    assert server.facts["tokenferry.finish"] == call.facts["tokenferry.outcome"] == "cancelled"
    assert call.facts["gen_ai.response.finish_reasons"] == ["error"]


async def test_without_a_traceparent_it_is_a_trace_of_its_own(
    gateway: Gateway, provider: ScriptedProvider, traces: Collector
) -> None:
    answered = await ask(gateway, "sse", body("m-second", provider.play(GOOD)))
    stream_id = answered.headers["x-stream-id"]
    [server] = await traces.until(lambda one: one.facts.get("tokenferry.stream_id") == stream_id)
    assert server.parent == ""
    # The client of a trace that is not sampled has said that it does not want it.
    trace, _, headers = fresh()
    headers["traceparent"] = headers["traceparent"].removesuffix("01") + "00"
    await ask_whole(gateway, provider.play(GOOD), headers, stream=True)
    malformed = {"traceparent": "00-나쁨".encode().decode("latin-1")}
    answered = await ask_whole(gateway, provider.play(GOOD), malformed, stream=True)
    stream_id = answered.headers["x-stream-id"]
    await traces.until(lambda one: one.facts.get("tokenferry.stream_id") == stream_id)
    assert not [one for one in traces.spans if one.trace == trace]


async def test_no_text_of_anybody_is_in_a_trace(
    gateway: Gateway, provider: ScriptedProvider, traces: Collector
) -> None:
    trace, _, headers = fresh()
    await ask_whole(gateway, provider.play(GOOD), headers)
    await traces.trace(trace, 2)
    everything = b"".join(traces.bodies)
    for text in (*TEXTS, QUESTION, "모르는-모델", "바쁩니다"):
        assert text.strip().encode() not in everything
    # Nor anything else that is written in Korean, as all texts of these tests are.
    assert repr(traces.spans).isascii()


async def test_where_traces_are_off_nothing_of_opentelemetry_is_loaded(tmp_path: Path) -> None:
    """A gateway is started and stopped in a process that then looks at what it has loaded."""
    program = (
        "import os, signal, sys\n"
        "from tokenferry.config import load\n"
        "from tokenferry.server import app\n"
        "settings = load(None, os.environ, {'port': 0, 'data_dir': sys.argv[1]})\n"
        "code = app.run(settings, lambda *_: os.kill(os.getpid(), signal.SIGTERM))\n"
        "loaded = [name for name in sys.modules if name.startswith(('opentelemetry', 'google'))]\n"
        "sys.exit(code or ' '.join(loaded) or 0)\n"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program, str(tmp_path / "data")],
        env=environment(), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
