"""A disk that is full: what requests, load balancers, monitoring and the log are told, and its end.

The limit of a file's size stands for it: whatever makes the journal's file longer fails, and the
log of the process, which is shorter, can still be written.
"""

import asyncio
import json
import resource
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing as closed_after
from pathlib import Path

import pytest_asyncio

from harness.accounts import PASSWORD
from harness.answers import body
from harness.dialects import closing, opening, token
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import Exchange, ScriptedProvider, scripted_provider
from harness.sse import PATH

FILE_BYTES_MAX = 100_000
# A load balancer comes back within seconds; a loaded machine has more.
RECOVERY_TIMEOUT_S = 30


async def long_answer(exchange: Exchange) -> None:
    exchange.head()
    for part in (*opening("openai"), token("openai", "x" * FILE_BYTES_MAX), *closing("openai", 2)):
        exchange.chunk(part)
    exchange.end()


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with scripted_provider() as running:
        yield running


@pytest_asyncio.fixture
async def gateway(tmp_path: Path, provider: ScriptedProvider) -> AsyncIterator[Gateway]:
    running = Gateway(tmp_path, server=SERVER, providers=[provider_entry("openai", provider.url)])
    await running.start()
    try:
        yield running
        await running.stop()
    finally:
        await running.kill()


def lines(gateway: Gateway, store: str = "the journal") -> list[str]:
    entries = [json.loads(line) for line in gateway.log().split("\n") if line.startswith("{")]
    return [each["message"] for each in entries if each["message"].startswith(store)]


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(RECOVERY_TIMEOUT_S):
        while not done():
            await asyncio.sleep(0.05)


async def available(gateway: Gateway) -> bool:
    exposition = (await gateway.get("/metrics")).body
    return b"tokenferry_storage_available 1.0" in exposition


async def test_a_full_disk_is_told_to_load_balancers_and_over_when_there_is_room(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    def request() -> bytes:
        return json.dumps(body("m-openai", provider.play(long_answer)) | {"stream": False}).encode()

    assert (await gateway.post(PATH, request(), gateway.key)).status == 200
    assert await available(gateway)
    limits = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, limits[1]))
    # Before any request comes that would be refused.
    async with asyncio.timeout(RECOVERY_TIMEOUT_S):
        while (ready := await gateway.get("/readyz")).status == 200:
            await asyncio.sleep(0.05)
    assert ready.status == 503
    assert ready.json == {
        "status": "storage_unavailable",
        "reason": "the journal takes nothing; the log says why",
    }
    assert not await available(gateway)
    assert (await gateway.get("/healthz")).status == 200
    late = json.dumps(body("m-openai", "never asked")).encode()
    for _ in range(3):
        refused = await gateway.post(PATH, late, gateway.key)
        assert (refused.status, refused.error["code"]) == (503, "storage_unavailable")
    assert len(lines(gateway)) == 1
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, limits)
    # Nobody asks, and nothing is written: it finds out by itself.
    await until(lambda: len(lines(gateway)) > 1)
    begin, end = lines(gateway)
    assert begin.endswith("File too large. Make room on its disk, or raise its limit.")
    assert begin.startswith("the journal takes nothing: Cannot write ")
    assert end.startswith("the journal takes what it is given again (after ")
    assert end.endswith(", requests refused: 3)")
    assert (await gateway.get("/readyz")).json == {"status": "ready"}
    assert await available(gateway)
    assert (await gateway.post(PATH, request(), gateway.key)).status == 200


async def test_books_that_take_nothing_refuse_accounts_and_are_told_until_they_take_something(
    gateway: Gateway,
) -> None:
    email = "a@example.com"
    made = ("accounts", "create", email, "--credit", "1.00", "--password-stdin")
    await gateway.administer(*made, typed=f"{PASSWORD}\n")
    key = await gateway.create_key("theirs", "--account", email)
    request = json.dumps(body("demo", "hi", max_tokens=5, stream=False)).encode()
    assert (await gateway.post(PATH, request, key)).status == 200
    # Another program writes, for ever: what a full disk does to the database, without its files.
    with closed_after(
        sqlite3.connect(gateway.data_dir / "tokenferry.db", isolation_level=None)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        assert (await gateway.get("/readyz")).status == 200
        refused = await gateway.post(PATH, request, key)
        assert (refused.status, refused.error["code"]) == (503, "storage_unavailable")
        ready = await gateway.get("/readyz")
        assert ready.status == 503
        assert ready.json["reason"] == "the ledger takes nothing; the log says why"
        assert not await available(gateway)
        other.execute("ROLLBACK")
    async with asyncio.timeout(RECOVERY_TIMEOUT_S):
        while not await available(gateway):
            await asyncio.sleep(0.05)
    assert (await gateway.get("/readyz")).status == 200
    assert (await gateway.post(PATH, request, key)).status == 200
    begin, end = lines(gateway, "the ledger")
    assert "is locked by another program" in begin
    assert end.endswith(", requests refused: 1)")
