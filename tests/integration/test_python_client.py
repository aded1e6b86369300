"""The Python client against a real gateway, through a relay that cuts its connections."""

import asyncio
from typing import Any

import pytest

from harness.answers import body
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import ScriptedProvider
from harness.relay import Steps, relay_before
from tokenferry_client import Chunk, Client, Done, Event, Failed, Started, Stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

PIECES = ["하나 ", "둘 ", "셋 ", "넷 ", "👩‍👩‍👧"]
TIMEOUT_S = 30


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    return {"server": SERVER, "providers": [provider_entry("openai", provider.url)]}


async def next_chunks(stream: Stream, count: int) -> list[Chunk]:
    chunks: list[Chunk] = []
    async with asyncio.timeout(TIMEOUT_S):
        while len(chunks) < count:
            event = await anext(stream)
            assert isinstance(event, Started | Chunk), event
            if isinstance(event, Chunk):
                chunks.append(event)
    return chunks


async def to_the_end(stream: Stream) -> list[Event]:
    async with asyncio.timeout(TIMEOUT_S):
        return [event async for event in stream]


def text_of(events: list[Chunk] | list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Chunk))


async def test_an_answer(gateway: Gateway, provider: ScriptedProvider) -> None:
    steps = Steps(PIECES)
    prompt = provider.play(steps)
    async with Client(gateway.ws_url, gateway.key) as client:
        stream = client.stream(body("m-openai", prompt))
        steps.give(5)
        events = await to_the_end(stream)
    assert isinstance(events[0], Started)
    assert text_of(events) == stream.text == "".join(PIECES)
    assert isinstance(events[-1], Done)
    assert events[-1].finish_reason == "stop"
    assert events[-1].usage is not None
    assert events[-1].usage["completion_tokens"] == len(PIECES)


async def test_two_answers_on_one_connection_that_is_cut_again_and_again(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    steps = [Steps(PIECES), Steps(PIECES)]
    prompts = [provider.play(script) for script in steps]
    async with relay_before(gateway) as relay, Client(relay.url, gateway.key) as client:
        streams = [client.stream(body("m-openai", prompt)) for prompt in prompts]
        seen: list[list[Event]] = [[], []]
        # The first token brings a record of its own.
        for count in (2, 1, 1, 1, 1):
            for events, script, stream in zip(seen, steps, streams, strict=True):
                script.give(1)
                events.extend(await next_chunks(stream, count))
            relay.cut()
        for events, stream in zip(seen, streams, strict=True):
            events.extend(await to_the_end(stream))
            assert text_of(events) == stream.text == "".join(PIECES)
            assert isinstance(events[-1], Done)
            assert [e.seq for e in events if isinstance(e, Chunk)] == list(range(1, 7))
        # The end may have come before the last cut.
        assert len(PIECES) <= relay.connections <= 1 + len(PIECES)
    for prompt in prompts:
        assert len(provider.exchanges(prompt)) == 1


async def test_a_create_whose_answer_is_lost_generates_once(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    steps = Steps(PIECES)
    prompt = provider.play(steps)
    async with relay_before(gateway) as relay, Client(relay.url, gateway.key) as client:
        relay.answers_withheld = 2
        stream = client.stream(body("m-openai", prompt))
        steps.give(5)
        events = await to_the_end(stream)
        assert relay.connections == 3
    assert text_of(events) == "".join(PIECES)
    assert len(provider.exchanges(prompt)) == 1


async def test_follow_from_the_middle_and_from_the_end(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    steps = Steps(PIECES)
    prompt = provider.play(steps)
    async with Client(gateway.ws_url, gateway.key) as client:
        stream = client.stream(body("m-openai", prompt))
        steps.give(5)
        await to_the_end(stream)
        assert stream.stream_id is not None
        middle = await to_the_end(client.follow(stream.stream_id, after=3))
        end = await to_the_end(client.follow(stream.stream_id, after=7))
    assert text_of(middle) == "".join(PIECES[2:])
    assert isinstance(middle[-1], Done)
    assert end == [Done("3", "stop", (), middle[-1].usage, middle[-1].cost, 1, 7)]


async def test_cancel_without_a_connection(gateway: Gateway, provider: ScriptedProvider) -> None:
    steps = Steps(PIECES)
    prompt = provider.play(steps)
    async with relay_before(gateway) as relay, Client(relay.url, gateway.key) as client:
        stream = client.stream(body("m-openai", prompt))
        steps.give(2)
        await next_chunks(stream, 3)
        relay.cut()
        stream.cancel()
        (last,) = await to_the_end(stream)
    assert isinstance(last, Done)
    assert last.finish_reason == "cancelled"
    await (await provider.exchange(prompt)).until_gone()


async def test_detach_and_closing_end_the_iteration(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    scripts = [Steps(PIECES), Steps(PIECES)]
    prompts = [provider.play(script) for script in scripts]
    async with Client(gateway.ws_url, gateway.key) as client:
        left, kept = (client.stream(body("m-openai", prompt)) for prompt in prompts)
        for script, stream in zip(scripts, (left, kept), strict=True):
            script.give(1)
            await next_chunks(stream, 2)
        left.detach()
        assert await to_the_end(left) == []
    (last,) = await to_the_end(kept)
    assert isinstance(last, Failed)
    assert last.error.code == "client_closed"
    async with Client(gateway.ws_url, gateway.key) as client:
        for script, stream in zip(scripts, (left, kept), strict=True):
            assert stream.stream_id is not None
            script.give(4)
            rest = await to_the_end(client.follow(stream.stream_id, after=stream.seq))
            assert stream.text + text_of(rest) == "".join(PIECES)


async def test_an_error_of_the_callers_own_leaves_as_it_is(gateway: Gateway) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with Client(gateway.ws_url, gateway.key):
            raise KeyError("mine")


async def test_a_wrong_key_is_not_tried_again(gateway: Gateway) -> None:
    async with relay_before(gateway) as relay, Client(relay.url, "tf_wrong") as client:
        (last,) = await to_the_end(client.stream(body("m-openai", "?")))
        assert isinstance(last, Failed)
        assert last.error.code == "connection_closed"
        assert "4001" in last.error.message
        assert relay.connections == 1
