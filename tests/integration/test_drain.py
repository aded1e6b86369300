"""SIGTERM: clients are told, running answers may finish, and the process ends in time."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness import websocket
from harness.answers import body, check_plain, plain_frames, text_of
from harness.dialects import KINDS, closing, opening, token
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import Exchange, Script, ScriptedProvider, scripted_provider
from harness.sse import DONE, PATH, open_stream

# Here each test stops a gateway of its own.
DRAIN_TIMEOUT_S = 3
FIRST, SECOND = "앞 ", "뒤"


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with scripted_provider() as running:
        yield running


@pytest.fixture
def durability() -> str:
    return "process"


@pytest_asyncio.fixture
async def gateway(
    tmp_path: Path, provider: ScriptedProvider, durability: str
) -> AsyncIterator[Gateway]:
    running = Gateway(
        tmp_path,
        server={**SERVER, "durability": durability, "drain_timeout_s": DRAIN_TIMEOUT_S},
        providers=[provider_entry(kind, provider.url) for kind in KINDS],
    )
    await running.start()
    try:
        yield running
    finally:
        await running.kill()


def waits(resume: asyncio.Event) -> Script:
    """Return a script that sends one token, and the rest when it is told to."""

    async def run(exchange: Exchange) -> None:
        exchange.head()
        for part in (*opening("openai"), token("openai", FIRST)):
            exchange.chunk(part)
        await resume.wait()
        for part in (token("openai", SECOND), *closing("openai", 2)):
            exchange.chunk(part)
        exchange.end()

    return run


def aware(gateway: Gateway) -> Any:
    return websocket.connect(gateway.port, gateway.key, subprotocols=[websocket.SUBPROTOCOL])


async def until_text(socket: websocket.Socket) -> None:
    while not text_of([await socket.receive_json()]):
        pass


async def check_exit(gateway: Gateway) -> None:
    assert await gateway.exit_status() == 0
    assert "Traceback" not in gateway.log()


async def test_running_answers_finish_and_then_everything_closes(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    resume = asyncio.Event()
    prompts = [provider.play(waits(resume)) for _ in range(3)]
    async with (
        aware(gateway) as idle,
        aware(gateway) as busy,
        websocket.connect(gateway.port, gateway.key) as plain,
        open_stream(gateway.port, gateway.key, body("m-openai", prompts[0])) as events,
    ):
        busy.send_json({"type": "create", "ref": "r", "request": body("m-openai", prompts[1])})
        plain.send_json(body("m-openai", prompts[2]))
        await until_text(busy)
        await until_text(plain)
        gateway.terminate()
        for socket in (idle, busy):
            leaving = await socket.receive_type("going_away")
            assert 250 <= leaving["reconnect_after_ms"] <= 30_000
            assert leaving["deadline_ms"] == DRAIN_TIMEOUT_S * 1000
        assert (await idle.closed()).code == 1012
        # New work is refused, in so many words.
        busy.send_json({"type": "create", "ref": "late", "request": body("m-openai", "late")})
        refused = await busy.receive_type("error")
        assert (refused["ref"], refused["error"]["code"]) == ("late", "server_draining")
        assert refused["error"]["retryable"] is True
        late = await gateway.post(PATH, json.dumps(body("m-openai", "late")).encode(), gateway.key)
        assert (late.status, late.error["code"]) == (503, "server_draining")
        resume.set()
        assert (await busy.receive_type("done"))["finish_reason"] == "stop"
        frames = await plain_frames(plain)
        assert frames[-1]["choices"][0]["finish_reason"] == "stop"
        assert text_of(frames) == SECOND
        *chunks, last = await events.rest()
        assert last == DONE
        assert text_of([json.loads(chunk) for chunk in chunks]).endswith(SECOND)
        for socket in (busy, plain):
            assert (await socket.closed()).code == 1012
    await check_exit(gateway)


async def test_readiness_goes_before_liveness(gateway: Gateway, provider: ScriptedProvider) -> None:
    resume = asyncio.Event()
    prompt = provider.play(waits(resume))
    async with websocket.connect(gateway.port, gateway.key) as plain:
        plain.send_json(body("m-openai", prompt))
        await until_text(plain)
        gateway.terminate()
        async with asyncio.timeout(DRAIN_TIMEOUT_S):
            while (await gateway.get("/readyz")).status == 200:
                await asyncio.sleep(0.01)
        assert (await gateway.get("/readyz")).status == 503
        assert (await gateway.get("/healthz")).status == 200
        resume.set()
        await plain_frames(plain)
    await check_exit(gateway)


@pytest.mark.parametrize("durability", ["process", "disk"])
async def test_an_answer_that_takes_too_long_ends_with_an_error(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    never = asyncio.Event()
    prompts = [provider.play(waits(never)) for _ in range(3)]
    async with (
        aware(gateway) as busy,
        websocket.connect(gateway.port, gateway.key) as plain,
        open_stream(gateway.port, gateway.key, body("m-openai", prompts[0])) as events,
    ):
        busy.send_json({"type": "create", "ref": "r", "request": body("m-openai", prompts[1])})
        plain.send_json(body("m-openai", prompts[2]))
        await until_text(busy)
        await until_text(plain)
        gateway.terminate()
        ended = await busy.receive_type("error")
        assert (ended["error"]["code"], ended["done"]) == ("server_draining", True)
        frame = await plain.receive_json()
        check_plain(frame)
        assert frame["error"]["code"] == "server_draining"
        *_, error, last = await events.rest()
        assert json.loads(error)["error"]["code"] == "server_draining"
        assert last == DONE
        for socket in (busy, plain):
            assert (await socket.closed()).code == 1012
    for prompt in prompts:
        await provider.exchanges(prompt)[0].until_gone()
    await check_exit(gateway)


@pytest.mark.parametrize("answered", [False, True])
async def test_a_provider_that_never_answers_does_not_keep_the_process(
    gateway: Gateway, provider: ScriptedProvider, *, answered: bool
) -> None:
    async def stalls(exchange: Exchange) -> None:
        if answered:
            exchange.head()
        await exchange.until_gone()

    prompt = provider.play(stalls)
    async with websocket.connect(gateway.port, gateway.key) as plain:
        plain.send_json(body("m-openai", prompt))
        await provider.exchange(prompt)
        gateway.terminate()
        assert (await plain_frames(plain))[-1]["error"]["code"] == "server_draining"
    await check_exit(gateway)


async def test_a_client_that_does_not_read_does_not_keep_the_process(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    async def floods(exchange: Exchange) -> None:
        exchange.head()
        for part in opening("openai"):
            exchange.chunk(part)
        for _ in range(300):
            exchange.chunk(token("openai", "한" * 1000))
        for part in closing("openai", 300):
            exchange.chunk(part)
        exchange.end()

    prompt = provider.play(floods)
    async with websocket.connect(gateway.port, gateway.key, receive_bytes=4096) as plain:
        plain.send_json(body("m-openai", prompt))
        await (await provider.exchange(prompt)).finished.wait()
        gateway.terminate()
        await check_exit(gateway)


async def test_a_second_signal_ends_it_at_once(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    prompt = provider.play(waits(asyncio.Event()))
    async with aware(gateway) as busy:
        busy.send_json({"type": "create", "ref": "r", "request": body("m-openai", prompt)})
        await until_text(busy)
        gateway.terminate()
        await busy.receive_type("going_away")
        gateway.terminate()
        async with asyncio.timeout(DRAIN_TIMEOUT_S * 0.9):
            assert await gateway.exit_status() == 1
        assert (await busy.closed()).code in (1006, 1012)
    assert not gateway.running
