"""A client that does not read: the provider is not slowed, memory stays bounded, others go on."""

import asyncio
import contextlib
from typing import Any

import pytest

from harness import websocket
from harness.answers import aware_frames, body, plain_frames, text_of
from harness.dialects import closing, opening, token, whole
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import Exchange, Script, ScriptedProvider, replay
from harness.sse import DONE, open_stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
# The least that Linux takes; it doubles it.
WINDOW_BYTES = 4096
SLOW_READERS = 6
# Some 20 MB of frames: twice what sockets and transports were ever seen to hold. As records they
# are less than a stream may have (4 MiB).
TOKENS = 60_000
TOKEN = "느린 독자를 기다리지 않습니다. "
TEXT = TOKEN * TOKENS
STREAM_BYTES_MAX = 4 * MIB
# A stream's text is kept once, in the journal, at about twice its size. A second copy in frames
# that wait for their reader would be seven times the text.
KEPT_BYTES_MAX = 3 * len(TEXT.encode())


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    # Who does not read answers no ping either; on a loaded machine a flood takes its time.
    server = {**SERVER, "ping_interval_s": 120}
    return {"server": server, "providers": [provider_entry("openai", provider.url)]}


def flood() -> Script:
    """Return a script that sends everything as fast as it is taken."""
    chunk = token("openai", TOKEN)

    async def run(exchange: Exchange) -> None:
        exchange.head()
        for part in opening("openai"):
            exchange.chunk(part)
        for start in range(0, TOKENS, 100):
            for _ in range(start, start + 100):
                exchange.chunk(chunk)
            await exchange.drain()
        for part in closing("openai", TOKENS):
            exchange.chunk(part)
        exchange.end()

    return run


async def finished(provider: ScriptedProvider, prompt: str) -> None:
    """Wait until the provider has sent everything."""
    exchange = await provider.exchange(prompt)
    async with asyncio.timeout(120):
        await exchange.finished.wait()
    assert not exchange.gone.is_set()


@pytest.mark.parametrize("manner", ["plain", "aware", "coalescing"])
async def test_the_provider_is_not_slowed_and_nothing_is_lost(
    gateway: Gateway, provider: ScriptedProvider, manner: str
) -> None:
    prompt = provider.play(flood())
    async with websocket.connect(gateway.port, gateway.key, receive_bytes=WINDOW_BYTES) as socket:
        request = body("m-openai", prompt)
        if manner == "plain":
            socket.send_json(request)
        else:
            if manner == "coalescing":
                socket.send_json({"type": "hello", "version": 1, "caps": ["coalesce"]})
            socket.send_json({"type": "create", "ref": "r", "request": request})
        # Nothing is read until the provider is through.
        await finished(provider, prompt)
        socket.widen()
        if manner == "plain":
            frames = await plain_frames(socket)
        else:
            frames = await aware_frames(socket, "r")
    assert text_of(frames) == TEXT
    if manner != "aware":
        assert len(frames) < TOKENS, "what was missed comes in fewer, larger frames"
    assert frames[-1]["usage"]["completion_tokens"] == TOKENS


async def test_a_slow_reader_of_events(gateway: Gateway, provider: ScriptedProvider) -> None:
    prompt = provider.play(flood())
    async with open_stream(
        gateway.port, gateway.key, body("m-openai", prompt), receive_bytes=WINDOW_BYTES
    ) as stream:
        await finished(provider, prompt)
        stream.widen()
        chunks = []
        while (data := await stream.next()) != DONE:
            assert data is not None
            chunks.append(data)
    assert sum(chunk.count(TOKEN) for chunk in chunks) == TOKENS


async def test_many_slow_readers_do_not_eat_the_memory(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    before_bytes = gateway.rss_bytes()
    prompts = [provider.play(flood()) for _ in range(SLOW_READERS)]
    async with contextlib.AsyncExitStack() as stack:
        for prompt in prompts:
            socket = await stack.enter_async_context(
                websocket.connect(gateway.port, gateway.key, receive_bytes=WINDOW_BYTES)
            )
            socket.send_json(body("m-openai", prompt))
        await asyncio.gather(*(finished(provider, prompt) for prompt in prompts))
        growth_bytes = gateway.rss_bytes() - before_bytes
        # Another client is served as if nothing were.
        quick = provider.play(replay(whole("openai", ["바로"])))
        async with websocket.connect(gateway.port, gateway.key) as other:
            other.send_json(body("m-openai", quick))
            async with asyncio.timeout(20):
                assert text_of(await plain_frames(other)) == "바로"
    assert growth_bytes < SLOW_READERS * KEPT_BYTES_MAX, f"{growth_bytes / MIB:.0f} MiB"


async def test_a_slow_stream_s_neighbours_on_the_same_connection_go_on(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    # One client, many floods, read late: turns are taken, no stream waits for another's end.
    prompts = [provider.play(flood()) for _ in range(4)]
    async with websocket.connect(
        gateway.port,
        gateway.key,
        subprotocols=[websocket.SUBPROTOCOL],
        receive_bytes=WINDOW_BYTES,
    ) as socket:
        for ref, prompt in enumerate(prompts):
            socket.send_json({"type": "create", "ref": ref, "request": body("m-openai", prompt)})
        await asyncio.gather(*(finished(provider, prompt) for prompt in prompts))
        socket.widen()
        texts: dict[str, list[dict[str, Any]]] = {}
        ended: list[str] = []
        first_end_seen: set[str] = set()
        while len(ended) < len(prompts):
            frame = await socket.receive_json()
            if frame["type"] not in ("chunk", "done"):
                continue
            texts.setdefault(frame["stream_id"], []).append(frame)
            if frame["type"] == "done":
                ended.append(frame["stream_id"])
                first_end_seen = first_end_seen or set(texts)
    assert len(first_end_seen) == len(prompts), "every stream had its turn before the first ended"
    for frames in texts.values():
        assert text_of(frames) == TEXT


async def test_a_stream_that_outgrows_the_journal_ends_with_an_error(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    chunk = token("openai", "한" * 10_000)

    async def run(exchange: Exchange) -> None:
        exchange.head()
        while not exchange.gone.is_set():
            exchange.chunk(chunk)
            await exchange.drain()
            await asyncio.sleep(0)

    prompt = provider.play(run)
    async with websocket.connect(gateway.port, gateway.key) as socket:
        socket.send_json(body("m-openai", prompt))
        frames = await plain_frames(socket)
    assert frames[-1]["error"]["code"] == "stream_too_large"
    assert STREAM_BYTES_MAX * 0.9 < len(text_of(frames).encode()) < STREAM_BYTES_MAX * 1.1
    await (await provider.exchange(prompt)).until_gone()
    assert await gateway.is_up()
