"""The Python client against a real gateway, through a relay that cuts its connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from harness import dialects
from harness.answers import body
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import Exchange, ScriptedProvider
from tokenferry_client import Chunk, Client, Done, Event, Failed, Started, Stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

PIECES = ["하나 ", "둘 ", "셋 ", "넷 ", "👩‍👩‍👧"]
TIMEOUT_S = 30
READ_BYTES_MAX = 65_536


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


class Relay:
    """A TCP relay before the gateway.

    Attributes:
        answers_withheld: How many further connections get nothing but the answer to their
            upgrade; they are cut when the gateway has sent more.
        connections: How many there were.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.answers_withheld = 0
        self.connections = 0
        self.url = ""
        self._gateway_port = gateway.port
        self._writers: list[asyncio.StreamWriter] = []

    def cut(self) -> None:
        """Reset every connection."""
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.transport.abort()

    async def serve(
        self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        withholds = self.answers_withheld > 0
        self.answers_withheld -= withholds
        gateway_in, gateway_out = await asyncio.open_connection("127.0.0.1", self._gateway_port)
        writers = [client_out, gateway_out]
        self._writers += writers
        with contextlib.suppress(ConnectionError):
            async with asyncio.TaskGroup() as group:
                up = group.create_task(self._pump(client_in, gateway_out))
                await self._down(gateway_in, client_out, withholds=withholds)
                up.cancel()
        for writer in writers:
            writer.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(READ_BYTES_MAX):
                to.write(data)

    async def _down(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, withholds: bool
    ) -> None:
        if withholds:
            to.write(await source.readuntil(b"\r\n\r\n"))
            # `started` at the latest tells that the create has arrived.
            await source.readuntil(b'"started"')
            return
        with contextlib.suppress(ConnectionError):
            while data := await source.read(READ_BYTES_MAX):
                to.write(data)


@contextlib.asynccontextmanager
async def relay_before(gateway: Gateway) -> AsyncIterator[Relay]:
    relay = Relay(gateway)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/stream"
    try:
        yield relay
    finally:
        relay.cut()
        server.close()


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
    steps = Steps()
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
    steps = [Steps(), Steps()]
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
    steps = Steps()
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
    steps = Steps()
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
    steps = Steps()
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
    scripts = [Steps(), Steps()]
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
