"""The official openai SDK for Python with `base_url` alone, against every kind of provider."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from harness import dialects
from harness.dialects import KINDS
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import ScriptedProvider, answer, replay

pytestmark = pytest.mark.asyncio(loop_scope="module")

each_kind = pytest.mark.parametrize("kind", KINDS)
PIECES = ["안녕", "하세요", " 🙂"]


class Weather(BaseModel):
    """What the parse helpers are asked for."""

    city: str
    degrees: int


WEATHER_TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "날씨",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
            "required": ["city", "degrees"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    entries = [provider_entry(kind, provider.url) for kind in KINDS]
    return {"server": SERVER, "providers": entries, "aliases": {}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    base_url = f"{gateway.url}/v1"
    async with openai.AsyncOpenAI(base_url=base_url, api_key=gateway.key) as running:
        yield running


def say(prompt: str) -> Any:
    return [{"role": "user", "content": prompt}]


@each_kind
async def test_streaming(client: openai.AsyncOpenAI, provider: ScriptedProvider, kind: str) -> None:
    prompt = provider.play(replay(dialects.whole(kind, PIECES)))
    stream = await client.chat.completions.create(
        model=f"m-{kind}",
        messages=say(prompt),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "".join(PIECES)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert [c.usage is None for c in chunks] == [True] * (len(chunks) - 1) + [False]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == len(PIECES)


@each_kind
async def test_without_streaming(
    client: openai.AsyncOpenAI, provider: ScriptedProvider, kind: str
) -> None:
    script = answer("200 OK", dialects.unstreamed(kind, "안녕하세요"))
    prompt = provider.play(script)
    raw = await client.chat.completions.with_raw_response.create(
        model=f"m-{kind}", messages=say(prompt)
    )
    completion = raw.parse()
    assert completion.choices[0].message.content == "안녕하세요"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == dialects.PROMPT_TOKENS
    assert raw.headers["x-request-id"].startswith("req_")
    assert completion._request_id == raw.headers["x-request-id"]


def openai_tool_blocks() -> list[bytes]:
    """Return a tool call whose arguments come in fragments."""
    call = {"index": 0, "id": "c1", "type": "function"}
    fragments = ['{"city":"서', '울","degrees":', "21}"]
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": None},
        {"tool_calls": [call | {"function": {"name": "weather", "arguments": ""}}]},
        *({"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in fragments),
    ]
    blocks = [dialects.block("openai", dialects._openai_chunk(delta)) for delta in deltas]
    blocks.append(dialects.block("openai", dialects._openai_chunk({}, "tool_calls")))
    return [*blocks, b"data: [DONE]\n\n"]


async def test_tools_through_the_stream_helper(
    client: openai.AsyncOpenAI, provider: ScriptedProvider
) -> None:
    prompt = provider.play(replay(openai_tool_blocks()))
    async with client.chat.completions.stream(
        model="m-openai", messages=say(prompt), tools=[WEATHER_TOOL]
    ) as stream:
        events = [event async for event in stream]
        completion = await stream.get_final_completion()
    message = completion.choices[0].message
    assert message.tool_calls is not None
    function = message.tool_calls[0].function
    assert json.loads(function.arguments) == {"city": "서울", "degrees": 21}
    assert function.name == "weather"
    assert "tool_calls.function.arguments.delta" in {event.type for event in events}


@each_kind
async def test_the_parse_helper(
    client: openai.AsyncOpenAI, provider: ScriptedProvider, kind: str
) -> None:
    script = answer("200 OK", dialects.unstreamed(kind, '{"city": "부산", "degrees": 9}'))
    prompt = provider.play(script)
    completion = await client.chat.completions.parse(
        model=f"m-{kind}", messages=say(prompt), response_format=Weather
    )
    assert completion.choices[0].message.parsed == Weather(city="부산", degrees=9)


async def test_the_demo_model_answers_tools_and_schemas_too(client: openai.AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(
        model="demo", messages=say("weather?"), tools=[WEATHER_TOOL], tool_choice="required"
    )
    assert completion.choices[0].finish_reason == "tool_calls"
    parsed = await client.chat.completions.parse(
        model="demo", messages=say("JSON"), response_format=Weather
    )
    assert isinstance(parsed.choices[0].message.parsed, Weather)


async def test_models(client: openai.AsyncOpenAI) -> None:
    listed = [model.id async for model in client.models.list()]
    assert {"demo", "m-openai", "m-anthropic", "m-gemini"} <= set(listed)
    assert (await client.models.retrieve("openai/m-openai")).owned_by == "openai"
    with pytest.raises(openai.NotFoundError) as missing:
        await client.models.retrieve("nope")
    assert missing.value.code == "model_not_found"


async def test_each_error_has_its_class(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        await client.chat.completions.create(model="demo", messages=[])
    assert (bad.value.param, bad.value.code) == ("messages", "invalid_value")
    assert bad.value.request_id is not None
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(model="gpt-nope", messages=say("x"))
    assert missing.value.code == "model_not_found"
    wrong = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="sk-wrong")
    with pytest.raises(openai.AuthenticationError) as refused:
        await wrong.chat.completions.create(model="demo", messages=say("x"))
    assert refused.value.code == "invalid_api_key_format"
    await wrong.close()


async def test_what_is_not_served_says_what_is(
    gateway: Gateway, client: openai.AsyncOpenAI
) -> None:
    with pytest.raises(openai.NotFoundError, match=r"client\.chat\.completions\.create"):
        await client.responses.create(model="demo", input="x")
    async with openai.AsyncOpenAI(base_url=gateway.url, api_key=gateway.key) as without_v1:
        with pytest.raises(openai.NotFoundError, match="base URL ends with /v1"):
            await without_v1.chat.completions.create(model="demo", messages=say("x"))


async def test_a_retry_waits_as_long_as_the_provider_asked(
    client: openai.AsyncOpenAI, provider: ScriptedProvider
) -> None:
    tries: list[float] = []
    limited = answer(
        "429 Too Many Requests",
        dialects.error_body("openai", 429, "slow down"),
        headers={"retry-after-ms": "300"},
    )
    good = answer("200 OK", dialects.unstreamed("openai", "now"))

    async def script(exchange: Any) -> None:
        tries.append(time.monotonic())
        await (limited if len(tries) == 1 else good)(exchange)

    prompt = provider.play(script)
    completion = await client.chat.completions.create(model="m-openai", messages=say(prompt))
    assert completion.choices[0].message.content == "now"
    assert len(tries) == 2
    assert tries[1] - tries[0] >= 0.3


async def test_what_a_retry_cannot_mend_is_not_retried(
    client: openai.AsyncOpenAI, provider: ScriptedProvider
) -> None:
    script = answer("401 Unauthorized", dialects.error_body("openai", 401, "bad key"))
    calls = 0

    async def counted(exchange: Any) -> None:
        nonlocal calls
        calls += 1
        await script(exchange)

    prompt = provider.play(counted)
    with pytest.raises(openai.InternalServerError) as failed:
        await client.chat.completions.create(model="m-openai", messages=say(prompt))
    assert failed.value.code == "provider_auth_failed"
    assert calls == 1


@each_kind
async def test_a_cut_stream_raises(
    client: openai.AsyncOpenAI, provider: ScriptedProvider, kind: str
) -> None:
    blocks = [*dialects.opening(kind), dialects.token(kind, "half")]
    prompt = provider.play(replay(blocks))
    stream = await client.chat.completions.create(
        model=f"m-{kind}", messages=say(prompt), stream=True
    )
    texts: list[str] = []

    async def read() -> None:
        async for chunk in stream:
            texts.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 -- what came before the error counts

    with pytest.raises(openai.APIError) as failed:
        await read()
    assert "".join(texts) == "half"
    assert failed.value.code == "provider_cut_off"


async def test_the_synchronous_client_in_a_thread_of_its_own(gateway: Gateway) -> None:
    def ask() -> str:
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key) as client:
            stream = client.chat.completions.create(
                model="demo", messages=say("안녕하세요"), stream=True, max_tokens=5
            )
            return "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key) as client:
        whole = await client.chat.completions.create(
            model="demo", messages=say("안녕하세요"), max_tokens=5
        )
    assert await asyncio.to_thread(ask) == whole.choices[0].message.content


async def test_langchain(gateway: Gateway, provider: ScriptedProvider) -> None:
    async with httpx.AsyncClient() as http:
        model = ChatOpenAI(
            model="m-openai",
            base_url=f"{gateway.url}/v1",
            api_key=SecretStr(gateway.key),
            stream_usage=True,
            http_async_client=http,
        )
        prompt = provider.play(replay(dialects.whole("openai", PIECES)))
        chunks = [chunk async for chunk in model.astream(prompt)]
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole = whole + chunk
        assert isinstance(whole, AIMessageChunk)
        assert whole.content == "".join(PIECES)
        assert whole.usage_metadata is not None
        assert whole.usage_metadata["output_tokens"] == len(PIECES)
        prompt = provider.play(replay(openai_tool_blocks()))
        called = await model.bind_tools([WEATHER_TOOL]).ainvoke(prompt, stream=True)
        assert called.tool_calls[0]["args"] == {"city": "서울", "degrees": 21}
