"""A client that cancels or leaves: the provider's connection is closed, or drained, in every phase.

The phases of a call: connecting, before the provider's headers, after them, in mid-stream, in a
stall. The ways to leave: a streamed or a whole HTTP request that is dropped, an aware `cancel`, a
dropped WebSocket whose stream is not to go on, and one whose time as an orphan has run out.
"""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import websocket
from harness.answers import aware_frames, body, check_plain, plain_frames, text_of
from harness.dialects import KINDS, closing, opening, token, whole
from harness.gateway import SERVER, Gateway, provider_entry
from harness.http_client import connection, request_bytes
from harness.providers import Exchange, Script, ScriptedProvider, replay, silent_port
from harness.sse import DONE, PATH, open_stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

# At once, on a loaded machine.
AT_ONCE_S = 2.0
ORPHAN_TIMEOUT_S = 1.0
PHASES = ("before-headers", "after-headers", "mid-stream")
TEXTS = ["하나 ", "둘 ", "셋 "]
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def silent() -> Iterator[int]:
    with silent_port() as port:
        yield port


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider, silent: int) -> dict[str, Any]:
    closing_ones = [provider_entry(kind, provider.url, on_cancel="close") for kind in KINDS]
    draining = [
        provider_entry(kind, provider.url, f"drain-{kind}", on_cancel="drain") for kind in KINDS
    ]
    root = f"http://127.0.0.1:{silent}"
    return {
        "server": {**SERVER, "orphan_timeout_s": ORPHAN_TIMEOUT_S},
        "providers": [*closing_ones, *draining, provider_entry("openai", root, "silent")],
    }


def stops_in(phase: str, kind: str) -> Script:
    """Return a script that comes as far as the phase, and then waits for its end."""

    async def run(exchange: Exchange) -> None:
        if phase != "before-headers":
            exchange.head()
            for part in opening(kind):
                exchange.chunk(part)
        if phase == "mid-stream":
            exchange.chunk(token(kind, TEXTS[0]))
        await exchange.until_gone()

    return run


def streams_until_gone(kind: str) -> Script:
    """Return a script that sends a token every few milliseconds until its connection is closed."""

    async def run(exchange: Exchange) -> None:
        exchange.head()
        for part in opening(kind):
            exchange.chunk(part)
        while not exchange.gone.is_set():
            exchange.chunk(token(kind, TEXTS[0]))
            await asyncio.sleep(0.01)

    return run


def request_line(model: str, prompt: str, key: str, *, stream: bool) -> bytes:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    asked = {**body(model, prompt), "stream": stream}
    return request_bytes("POST", PATH, headers, json.dumps(asked).encode())


# -- over HTTP ------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("leave", ["reset", "close", "half-close"])
@pytest.mark.parametrize("phase", PHASES)
async def test_a_dropped_http_stream(
    gateway: Gateway, provider: ScriptedProvider, phase: str, leave: str, kind: str
) -> None:
    prompt = provider.play(stops_in(phase, kind))
    async with connection(gateway.port) as client:
        client.send(request_line(f"m-{kind}", prompt, gateway.key, stream=True))
        exchange = await provider.exchange(prompt)
        if phase == "mid-stream":
            await client.read_head()
            await anext(client.pieces())
        assert not exchange.gone.is_set()
        if leave == "reset":
            client.reset()
        elif leave == "half-close":
            client.half_close()
        else:
            await client.close()
        await exchange.until_gone(AT_ONCE_S)
    assert len(provider.exchanges(prompt)) == 1


@each_kind
async def test_a_dropped_http_stream_while_tokens_flow(
    gateway: Gateway, provider: ScriptedProvider, kind: str
) -> None:
    prompt = provider.play(streams_until_gone(kind))
    async with open_stream(gateway.port, gateway.key, body(f"m-{kind}", prompt)) as stream:
        await stream.next_chunk()
        stream.reset()
        await (await provider.exchange(prompt)).until_gone(AT_ONCE_S)


@each_kind
@pytest.mark.parametrize("phase", PHASES)
async def test_a_dropped_whole_request(
    gateway: Gateway, provider: ScriptedProvider, phase: str, kind: str
) -> None:
    prompt = provider.play(stops_in(phase, kind))
    async with connection(gateway.port) as client:
        client.send(request_line(f"m-{kind}", prompt, gateway.key, stream=False))
        exchange = await provider.exchange(prompt)
        client.reset()
        await exchange.until_gone(AT_ONCE_S)


def connecting_to(port: int) -> int:
    """Return how many TCP connections to the port are being opened (SYN_SENT) on this machine."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "02" for row in rows)


async def until_connecting(port: int, count: int) -> None:
    async with asyncio.timeout(AT_ONCE_S):
        while connecting_to(port) != count:
            await asyncio.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/net/tcp")
@pytest.mark.parametrize("stream", [True, False])
async def test_a_request_dropped_while_the_provider_is_being_connected(
    gateway: Gateway, silent: int, *, stream: bool
) -> None:
    before = connecting_to(silent)
    async with connection(gateway.port) as client:
        client.send(request_line("m-silent", "안녕", gateway.key, stream=stream))
        await until_connecting(silent, before + 1)
        client.reset()
        await until_connecting(silent, before)


# -- over the WebSocket, aware --------------------------------------------------------------------


def aware(gateway: Gateway) -> Any:
    return websocket.connect(gateway.port, gateway.key, subprotocols=[websocket.SUBPROTOCOL])


@each_kind
@pytest.mark.parametrize("phase", PHASES)
async def test_an_aware_cancel(
    gateway: Gateway, provider: ScriptedProvider, phase: str, kind: str
) -> None:
    prompt = provider.play(stops_in(phase, kind))
    async with aware(gateway) as socket:
        socket.send_json({"type": "create", "ref": "r", "request": body(f"m-{kind}", prompt)})
        started = await socket.receive_type("started")
        exchange = await provider.exchange(prompt)
        if phase == "mid-stream":
            while text_of([await socket.receive_type("chunk")]) != TEXTS[0]:
                pass
        stream_id = started["stream_id"]
        for _ in range(3):
            socket.send_json({"type": "cancel", "stream_id": stream_id})
        last = await socket.receive_type("done", "error")
        assert (last["type"], last["done"]) == ("done", True), last
        assert last["stream_id"] == stream_id
        assert last["finish_reason"] == "cancelled"
        await exchange.until_gone(AT_ONCE_S)
        # However often it was asked for, there is one end; the pong shows that nothing follows.
        socket.send_json({"type": "ping", "t": 1})
        assert (await socket.receive_json())["type"] == "pong"
        await socket.close()


async def test_a_cancel_while_the_provider_is_being_connected(
    gateway: Gateway, silent: int
) -> None:
    async with aware(gateway) as socket:
        socket.send_json({"type": "create", "ref": "r", "request": body("m-silent", "안녕")})
        started = await socket.receive_type("started")
        socket.send_json({"type": "cancel", "stream_id": started["stream_id"]})
        last = await socket.receive_type("done", "error")
        assert last["finish_reason"] == "cancelled"
        await socket.close()


async def test_a_cancelled_stream_says_what_it_used(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    prompt = provider.play(stops_in("mid-stream", "openai"))
    async with aware(gateway) as socket:
        socket.send_json({"type": "create", "ref": "r", "request": body("m-openai", prompt)})
        chunk = await socket.receive_type("chunk")
        while not text_of([chunk]):
            chunk = await socket.receive_type("chunk")
        socket.send_json({"type": "cancel", "stream_id": chunk["stream_id"]})
        last = await socket.receive_type("done", "error")
        # No report came from the provider, so this is our own count, and says so.
        assert last["usage"]["completion_tokens"] >= 1
        assert last["usage"]["estimated"] is True
        await socket.close()


async def test_cancelling_one_stream_leaves_the_others_alone(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    stays = asyncio.Event()

    async def goes_on(exchange: Exchange) -> None:
        exchange.head()
        for part in opening("openai"):
            exchange.chunk(part)
        await stays.wait()
        for part in (*(token("openai", text) for text in TEXTS), *closing("openai", 3)):
            exchange.chunk(part)
        exchange.end()

    kept, cancelled = provider.play(goes_on), provider.play(stops_in("mid-stream", "openai"))
    async with aware(gateway) as socket:
        socket.send_json({"type": "create", "ref": "a", "request": body("m-openai", kept)})
        first = await socket.receive_type("started")
        socket.send_json({"type": "create", "ref": "b", "request": body("m-openai", cancelled)})
        second = await socket.receive_type("started")
        exchange = await provider.exchange(cancelled)
        socket.send_json({"type": "cancel", "stream_id": second["stream_id"]})
        assert (await socket.receive_type("done"))["stream_id"] == second["stream_id"]
        await exchange.until_gone(AT_ONCE_S)
        stays.set()
        frames = []
        while not frames or not frames[-1].get("done"):
            frames.append(await socket.receive_json())
            assert frames[-1]["stream_id"] == first["stream_id"]
        assert text_of(frames) == "".join(TEXTS)
        await socket.close()


@each_kind
@pytest.mark.parametrize("phase", PHASES)
async def test_an_aware_client_that_wants_no_orphan(
    gateway: Gateway, provider: ScriptedProvider, phase: str, kind: str
) -> None:
    prompt = provider.play(stops_in(phase, kind))
    async with aware(gateway) as socket:
        request = {"type": "create", "ref": "r", "request": body(f"m-{kind}", prompt)}
        socket.send_json({**request, "options": {"on_disconnect": "cancel"}})
        exchange = await provider.exchange(prompt)
        socket.reset()
        await exchange.until_gone(ORPHAN_TIMEOUT_S / 2)


# -- orphans --------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("manner", ["plain", "aware"])
async def test_an_orphan_ends_when_its_time_is_up(
    gateway: Gateway, provider: ScriptedProvider, manner: str, phase: str, kind: str
) -> None:
    prompt = provider.play(stops_in(phase, kind))
    loop = asyncio.get_running_loop()
    async with websocket.connect(gateway.port, gateway.key) as socket:
        request = body(f"m-{kind}", prompt)
        if manner == "aware":
            request = {"type": "create", "ref": "r", "request": request}
        socket.send_json(request)
        exchange = await provider.exchange(prompt)
        socket.reset()
        left_s = loop.time()
    await exchange.until_gone(ORPHAN_TIMEOUT_S + AT_ONCE_S)
    assert loop.time() - left_s >= ORPHAN_TIMEOUT_S * 0.9


@each_kind
async def test_an_orphan_may_finish_in_its_time(
    gateway: Gateway, provider: ScriptedProvider, kind: str
) -> None:
    left = asyncio.Event()

    async def run(exchange: Exchange) -> None:
        exchange.head()
        for part in (*opening(kind), token(kind, TEXTS[0])):
            exchange.chunk(part)
        await left.wait()
        for text in TEXTS[1:]:
            exchange.chunk(token(kind, text))
            await asyncio.sleep(ORPHAN_TIMEOUT_S / 10)
        assert not exchange.gone.is_set(), "closed with the client"
        for part in closing(kind, 3):
            exchange.chunk(part)
        exchange.end()

    prompt = provider.play(run)
    async with websocket.connect(gateway.port, gateway.key) as socket:
        socket.send_json(body(f"m-{kind}", prompt))
        check_plain(await socket.receive_json())
        socket.reset()
    left.set()
    exchange = await provider.exchange(prompt)
    async with asyncio.timeout(AT_ONCE_S):
        await exchange.finished.wait()
    # The connection was read to its end, and serves the next request.
    count = provider.connection_count
    again = provider.play(replay(whole(kind, TEXTS)))
    async with websocket.connect(gateway.port, gateway.key) as socket:
        socket.send_json(body(f"m-{kind}", again))
        assert text_of(await plain_frames(socket)) == "".join(TEXTS)
    assert provider.connection_count == count


# -- drained --------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("leave", ["http", "cancel"])
async def test_where_the_provider_bills_on_the_answer_is_drained(
    gateway: Gateway, provider: ScriptedProvider, leave: str, kind: str
) -> None:
    left = asyncio.Event()

    async def run(exchange: Exchange) -> None:
        exchange.head()
        for part in (*opening(kind), token(kind, TEXTS[0])):
            exchange.chunk(part)
        await left.wait()
        for text in TEXTS[1:]:
            exchange.chunk(token(kind, text))
            await asyncio.sleep(0.1)
        assert not exchange.gone.is_set(), "closed in spite of `drain`"
        for part in closing(kind, 3):
            exchange.chunk(part)
        exchange.end()

    prompt = provider.play(run)
    if leave == "http":
        asked = body(f"m-drain-{kind}", prompt)
        async with open_stream(gateway.port, gateway.key, asked) as stream:
            await stream.next_chunk()
            stream.reset()
    else:
        async with aware(gateway) as socket:
            request = body(f"m-drain-{kind}", prompt)
            socket.send_json({"type": "create", "ref": "r", "request": request})
            chunk = await socket.receive_type("chunk")
            socket.send_json({"type": "cancel", "stream_id": chunk["stream_id"]})
            # The client does not wait for the provider.
            last = await socket.receive_type("done", "error")
            assert last["finish_reason"] == "cancelled"
            await socket.close()
    left.set()
    exchange = await provider.exchange(prompt)
    async with asyncio.timeout(AT_ONCE_S):
        await exchange.finished.wait()


# -- an ordinary end is no disconnect -------------------------------------------------------------


async def finished(gateway: Gateway, kind: str) -> dict[str, float]:
    """Return how many requests to a provider ended, by how they did."""
    lines = (await gateway.get("/metrics")).body.decode().split("\n")
    name = re.compile(rf'tokenferry_requests_total{{(?=.*provider="{kind}").*finish="(\w+)".*}}')
    rows = [(name.match(line), line.rpartition(" ")[2]) for line in lines]
    return {match[1]: float(value) for match, value in rows if match}


@each_kind
async def test_a_client_that_closes_right_after_the_end_was_no_disconnect(
    gateway: Gateway, provider: ScriptedProvider, kind: str
) -> None:
    before = await finished(gateway, kind)
    for _ in range(10):
        prompts = [provider.play(replay(whole(kind, TEXTS))) for _ in range(3)]
        async with open_stream(gateway.port, gateway.key, body(f"m-{kind}", prompts[0])) as stream:
            while await stream.next() != DONE:
                pass
            stream.reset()
        async with websocket.connect(gateway.port, gateway.key) as socket:
            socket.send_json(body(f"m-{kind}", prompts[1]))
            await plain_frames(socket)
            socket.reset()
        async with aware(gateway) as socket:
            request = {"type": "create", "ref": "r", "request": body(f"m-{kind}", prompts[2])}
            socket.send_json({**request, "options": {"on_disconnect": "cancel"}})
            await aware_frames(socket, "r")
            socket.reset()
    after = await finished(gateway, kind)
    assert after["stop"] - before.get("stop", 0) == 30
    assert {**after, "stop": 0} == {**before, "stop": 0}
