"""Money on a running gateway: what is charged, to whom, and what a death does not change."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness import websocket
from harness.accounts import member
from harness.answers import body, plain_frames
from harness.dialects import closing as ending
from harness.dialects import opening, token, whole
from harness.gateway import SERVER, Gateway, provider_entry
from harness.http_client import connection, fetch, request_bytes
from harness.providers import Exchange, ScriptedProvider, replay, scripted_provider
from harness.sse import PATH, Stream, open_stream
from tokenferry.domain.money import parse_dollars

pytestmark = pytest.mark.asyncio

MODEL = "m-openai"
TEXTS = ["하나 ", "둘 🙂 ", "셋 ", "넷"]
MICRO = 1_000
CREDIT_NANOS = 1_000_000_000
WAIT_S = 10


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with scripted_provider() as running:
        yield running


@pytest_asyncio.fixture
async def gateway(tmp_path: Path, provider: ScriptedProvider) -> AsyncIterator[Gateway]:
    running = Gateway(
        tmp_path,
        server={**SERVER, "creates_per_minute": 0},
        providers=[provider_entry("openai", provider.url)],
        tables={
            "accounts": {"signup": "open", "signups_per_ip_per_hour": 0, "signups_per_hour": 0},
            "billing": {"signup_credit": "1.00"},
        },
    )
    # A millionth of a dollar a token in, two a token out.
    price = ("--input", "1.00", "--output", "2.00", "--output-max", "1000")
    await running.administer("prices", "set", MODEL, *price)
    await running.start()
    try:
        yield running
    finally:
        await running.kill()


class Steps:
    """A script whose tokens the test releases; the answer ends after the last one."""

    def __init__(self, released: int = 0) -> None:
        self._leave = asyncio.Semaphore(released)

    async def __call__(self, exchange: Exchange) -> None:
        exchange.head()
        for block in opening("openai"):
            exchange.chunk(block)
        for text in TEXTS:
            await self._leave.acquire()
            exchange.chunk(token("openai", text))
        for block in ending("openai", len(TEXTS)):
            exchange.chunk(block)
        exchange.end()


@asynccontextmanager
async def reading(
    gateway: Gateway, key: str, provider: ScriptedProvider, prompt: str, chunks: int
) -> AsyncIterator[Any]:
    """Ask for an answer, and read so much of it."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    asked = json.dumps(body(MODEL, prompt, max_tokens=50)).encode()
    async with connection(gateway.port) as exchange:
        exchange.send(request_bytes("POST", PATH, headers, asked))
        await provider.exchange(prompt)
        if chunks:
            await exchange.read_head()
            stream = Stream(exchange)
            for _ in range(chunks + 1):
                await stream.next()
            yield exchange
            await stream._events.aclose()
        else:
            yield exchange


def rows(gateway: Gateway, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(gateway.data_dir / "tokenferry.db")) as connection:
        return connection.execute(query).fetchall()


async def settled(gateway: Gateway, count: int) -> list[tuple[Any, ...]]:
    """Wait for so many charges, and return them."""
    async with asyncio.timeout(WAIT_S):
        while True:
            found = rows(
                gateway,
                "SELECT prompt_tokens, completion_tokens, estimated, cost_nanos FROM charge",
            )
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


async def verified(gateway: Gateway) -> None:
    assert (await gateway.administer("ledger", "verify")).startswith("OK: ")


async def test_each_manner_says_what_it_cost_and_what_is_left(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    somebody = await member(gateway, "kim@example.kr")
    key = await somebody.key()
    prompt = provider.play(replay(whole("openai", ["네"])))
    bearer = {"Authorization": f"Bearer {key}"}
    request = body(MODEL, prompt, max_tokens=10, stream_options={"include_usage": True})
    async with open_stream(gateway.port, key, request) as stream:
        events = await stream.rest()
    assert '"cost":"' in events[-2]
    assert '"balance":"0.99' in events[-2]
    async with websocket.connect(gateway.port, key) as socket:
        socket.send_json(body(MODEL, prompt, max_tokens=10))
        last = (await plain_frames(socket))[-1]
    usage = last["usage"]
    cost = usage["prompt_tokens"] * MICRO + usage["completion_tokens"] * 2 * MICRO
    assert parse_dollars(last["cost"]) == cost
    assert parse_dollars(last["balance"]) == CREDIT_NANOS - 2 * cost
    found = await settled(gateway, 2)
    assert [row[3] for row in found] == [cost, cost]
    assert (await gateway.administer("accounts", "balance", somebody.email)).strip() == last[
        "balance"
    ]
    response = await fetch(gateway.port, "GET", "/v1/models", headers=bearer)
    priced = {entry["id"]: entry["pricing"] for entry in response.json["data"]}
    assert priced[MODEL]["output"] == "2.00"
    await verified(gateway)


async def test_without_credit_it_is_402_and_says_what_is_missing(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    somebody = await member(gateway, "poor@example.kr")
    key = await somebody.key()
    await gateway.administer("accounts", "grant", somebody.email, "-1.00", "--reason", "test")
    bearer = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    prompt = provider.play(replay(whole("openai", ["네"])))
    for stream in (True, False):
        response = await fetch(
            gateway.port,
            "POST",
            PATH,
            headers=bearer,
            body=json.dumps(body(MODEL, prompt, max_tokens=10, stream=stream)).encode(),
        )
        assert response.status == 402
        assert response.error["code"] == "insufficient_credit"
        assert response.headers["x-should-retry"] == "false"
        assert response.json["available"] == "0.00"
        assert parse_dollars(response.json["missing"]) > 0
    async with websocket.connect(gateway.port, key) as socket:
        socket.send_json(body(MODEL, prompt, max_tokens=10))
        frames = await plain_frames(socket)
        assert frames[-1]["error"]["code"] == "insufficient_credit"
        # The socket lives on, and the same request is served after a top-up.
        await gateway.administer("accounts", "grant", somebody.email, "1.00", "--reason", "test")
        socket.send_json(body(MODEL, prompt, max_tokens=10))
        assert (await plain_frames(socket))[-1]["choices"][0]["finish_reason"] == "stop"
    await verified(gateway)


@pytest.mark.parametrize("chunks", range(len(TEXTS) + 1))
async def test_a_client_that_leaves_after_any_chunk_pays_for_it_once(
    gateway: Gateway, provider: ScriptedProvider, chunks: int
) -> None:
    somebody = await member(gateway, "leaver@example.kr")
    key = await somebody.key()
    prompt = provider.play(Steps(released=chunks))
    async with reading(gateway, key, provider, prompt, chunks) as exchange:
        exchange.reset()
    (found,) = await settled(gateway, 1)
    delivered = sum(map(len, TEXTS[:chunks]))
    cost = found[3]
    if not chunks:
        assert cost == 0
    elif chunks < len(TEXTS):
        # Ours is the estimate: never below a token a chunk.
        assert found[2] == 1
        assert (chunks + 1) * 2 * MICRO <= cost <= (delivered + len(prompt)) * 2 * MICRO
    else:
        assert cost >= len(TEXTS) * 2 * MICRO
    await verified(gateway)
    assert rows(gateway, "SELECT COUNT(*) FROM ledger_reservation WHERE state = 'open'") == [(0,)]


@pytest.mark.parametrize("chunks", range(len(TEXTS) + 1))
async def test_a_server_that_is_killed_after_any_chunk_charges_it_once(
    gateway: Gateway, provider: ScriptedProvider, chunks: int
) -> None:
    somebody = await member(gateway, "survivor@example.kr")
    key = await somebody.key()
    prompt = provider.play(Steps(released=chunks))
    async with reading(gateway, key, provider, prompt, chunks):
        await gateway.kill()
    for _ in range(2):
        await gateway.start()
        (found,) = await settled(gateway, 1)
        assert (found[3] > 0) == (chunks > 0)
        balance = await gateway.administer("accounts", "balance", somebody.email)
        assert parse_dollars(balance.strip()) == CREDIT_NANOS - found[3]
        await verified(gateway)
        await gateway.kill()
    assert rows(gateway, "SELECT COUNT(*) FROM ledger_reservation WHERE state = 'open'") == [(0,)]


@pytest.mark.parametrize("covered", [0, 1, 7])
async def test_of_many_at_once_as_many_are_admitted_as_the_credit_covers(
    gateway: Gateway, provider: ScriptedProvider, covered: int
) -> None:
    somebody = await member(gateway, "many@example.kr")
    key = await somebody.key()
    prompt = provider.play(Steps())
    request = json.dumps(body(MODEL, prompt, max_tokens=100_000)).encode()
    # 0.2 dollars of output and a little for the prompt.
    change = f"{covered * 0.21 + 0.1 - 1:.2f}"
    await gateway.administer("accounts", "grant", somebody.email, change, "--reason", "test")
    bearer = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    requests = [
        asyncio.ensure_future(fetch(gateway.port, "POST", PATH, headers=bearer, body=request))
        for _ in range(100)
    ]
    async with asyncio.timeout(WAIT_S):
        while sum(task.done() for task in requests) < 100 - covered:
            await asyncio.sleep(0.02)
    assert {task.result().status for task in requests if task.done()} == {402}
    held = rows(gateway, "SELECT COUNT(*) FROM ledger_reservation WHERE state = 'open'")
    assert held == [(covered,)]
    for task in requests:
        task.cancel()
    await asyncio.gather(*requests, return_exceptions=True)
    await settled(gateway, covered)
    await verified(gateway)
