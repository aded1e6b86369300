"""Money on a running gateway: what is charged, to whom, and what a death does not change."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness import websocket
from harness.accounts import log_in, member
from harness.answers import body, plain_frames
from harness.dialects import closing as ending
from harness.dialects import opening, token, whole
from harness.gateway import SERVER, Gateway, provider_entry
from harness.http_client import connection, fetch, request_bytes
from harness.providers import Exchange, ScriptedProvider, replay, scripted_provider
from harness.sse import PATH, Stream, open_stream
from tokenferry.domain.money import parse_dollars

pytestmark = pytest.mark.asyncio

KINDS = ("openai", "anthropic", "gemini")
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
        server=SERVER | {"metrics_public": False},
        providers=[provider_entry(kind, provider.url) for kind in KINDS],
        tables={
            "accounts": {"signup": "open", "signups_per_ip_per_hour": 0, "signups_per_hour": 0},
            "billing": {"signup_credit": "1.00"},
        },
    )
    # A millionth of a dollar a token in, two a token out.
    price = ("--input", "1.00", "--output", "2.00", "--output-max", "1000")
    for kind in KINDS:
        await running.administer("prices", "set", f"m-{kind}", *price)
    await running.start()
    try:
        yield running
    finally:
        await running.kill()


class Steps:
    """A script whose tokens the test releases; the answer ends after the last one."""

    def __init__(self, released: int = 0, kind: str = "openai") -> None:
        self._leave = asyncio.Semaphore(released)
        self._kind = kind

    async def __call__(self, exchange: Exchange) -> None:
        exchange.head()
        for block in opening(self._kind):
            exchange.chunk(block)
        for text in TEXTS:
            await self._leave.acquire()
            exchange.chunk(token(self._kind, text))
        for block in ending(self._kind, len(TEXTS)):
            exchange.chunk(block)
        exchange.end()


@asynccontextmanager
async def reading(
    gateway: Gateway,
    key: str,
    provider: ScriptedProvider,
    prompt: str,
    chunks: int,
    *,
    kind: str = "openai",
) -> AsyncIterator[Any]:
    """Ask for an answer, and read so much of it."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    asked = json.dumps(body(f"m-{kind}", prompt, max_tokens=50)).encode()
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


@pytest.mark.parametrize("kind", KINDS)
async def test_who_leaves_pays_for_the_answer_whatever_was_reported_at_its_beginning(
    gateway: Gateway, provider: ScriptedProvider, kind: str
) -> None:
    """Claude counts the prompt before the answer, and says that the answer has one token."""
    somebody = await member(gateway, "reader@example.kr")
    key = await somebody.key()
    prompt = provider.play(Steps(released=3, kind=kind))
    async with reading(gateway, key, provider, prompt, 3, kind=kind) as exchange:
        exchange.reset()
    ((_, completion_tokens, is_estimated, _),) = await settled(gateway, 1)
    assert completion_tokens >= 6
    assert is_estimated
    await verified(gateway)


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


async def test_an_account_sees_its_statement(gateway: Gateway, provider: ScriptedProvider) -> None:
    somebody = await member(gateway, "reader@example.kr")
    key = await somebody.key()
    prompt = provider.play(replay(whole("openai", ["네"])))
    for _ in range(2):
        async with open_stream(gateway.port, key, body(MODEL, prompt, max_tokens=9)) as stream:
            await stream.rest()
    found = await settled(gateway, 2)
    spent = sum(row[3] for row in found)

    async def get(path: str) -> Any:
        response = await somebody.call("GET", path)
        assert response.status == 200, response.body
        return response.json

    balance = await get("/api/balance")
    assert parse_dollars(balance["available"]) == CREDIT_NANOS - spent
    (day,) = (await get("/api/usage"))["data"]
    assert (day["requests"], parse_dollars(day["cost"])) == (2, spent)
    assert (day["failed"], day["unpriced"]) == (0, 0)
    (own,) = (await get("/api/keys"))["data"]
    assert parse_dollars(own["spent"]) == spent
    assert own["created"] <= own["last_used"] <= time.time()
    (same,) = (await get(f"/api/usage?by=day&model={MODEL}&key={own['public_id']}"))["data"]
    assert same == day
    assert (await get("/api/usage?model=other"))["data"] == []
    assert (await get("/api/usage?key=other"))["data"] == []
    (model,) = (await get("/api/usage?by=model"))["data"]
    assert model["group"] == MODEL
    page = await get("/api/requests?limit=1")
    rest = await get(f"/api/requests?limit=10&before={page['next']}")
    assert len({row["stream_id"] for row in (*page["data"], *rest["data"])}) == 2
    assert rest["next"] is None
    entries = await get("/api/ledger")
    assert [row["kind"] for row in entries["data"]] == ["usage", "usage", "signup"]
    assert sum(parse_dollars(row["amount"]) or 0 for row in entries["data"]) == (
        CREDIT_NANOS - spent
    )
    page = await get("/api/ledger?limit=2")
    assert [r["kind"] for r in (await get(f"/api/ledger?before={page['next']}"))["data"]] == [
        "signup"
    ]
    other = await member(gateway, "other@example.kr")
    assert (await other.call("GET", "/api/requests")).json["data"] == []


@pytest.mark.parametrize(
    "query", ["from=2026-13-01", "from=2026-11-02&to=2026-11-01", "from=0001-01-01", "by=hour"]
)
async def test_a_span_that_cannot_be_is_refused(gateway: Gateway, query: str) -> None:
    somebody = await member(gateway, "span@example.kr")
    response = await somebody.call("GET", f"/api/usage?{query}")
    assert (response.status, response.error["type"]) == (400, "invalid_request_error")


async def test_what_a_request_may_cost(gateway: Gateway) -> None:
    somebody = await member(gateway, "asker@example.kr")
    headers = {"Authorization": f"Bearer {await somebody.key()}"}
    request = json.dumps(body(MODEL, "안녕", max_tokens=100)).encode()
    path = f"{PATH}/estimate"
    response = await fetch(gateway.port, "POST", path, headers=headers, body=request)
    estimate = response.json
    assert (estimate["prompt_tokens"], estimate["prompt_cost"]) == (2, "0.000002")
    assert 202 * MICRO <= (parse_dollars(estimate["cost_max"]) or 0) <= 250 * MICRO
    own = {"Authorization": f"Bearer {gateway.key}"}
    response = await fetch(gateway.port, "POST", path, headers=own, body=request)
    assert response.json["cost_max"] == estimate["cost_max"]


async def test_clients_are_told_when_the_credit_runs_low(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    somebody = await member(gateway, "low@example.kr")
    key = await somebody.key()
    await gateway.administer(
        "accounts", "grant", somebody.email, "-0.499990", "--reason", "so that it is just above"
    )
    prompt = provider.play(replay(whole("openai", ["네"])))
    async with websocket.connect(gateway.port, key, subprotocols=[websocket.SUBPROTOCOL]) as socket:
        request = body(MODEL, prompt, max_tokens=9)
        socket.send_json({"type": "create", "ref": "1", "request": request})
        notice = await socket.receive_type("notice")
    assert notice["code"] == "low_balance"
    assert 0 < (parse_dollars(notice["balance"]) or 0) < CREDIT_NANOS // 2


async def test_what_is_measured_of_all_is_not_for_an_account(gateway: Gateway) -> None:
    somebody = await member(gateway, "curious@example.kr")
    paths = ("/metrics", "/v1/providers")
    for key, status in ((None, 401), (await somebody.key(), 403), (gateway.key, 200)):
        assert [(await gateway.get(path, key)).status for path in paths] == [status] * 2


async def test_an_administrator_gives_and_takes_credit(gateway: Gateway) -> None:
    somebody = await member(gateway, "given@example.kr")
    await member(gateway, "chief@example.kr")
    with closing(sqlite3.connect(gateway.data_dir / "tokenferry.db")) as connection:
        connection.execute("UPDATE account SET role = 'admin' WHERE email = 'chief@example.kr'")
        connection.commit()
    chief = await log_in(gateway, "chief@example.kr")
    path = f"/api/admin/accounts/{somebody.account_id}/grants"
    given = await chief.call("POST", path, {"amount": "2.50", "reason": "감사"})
    assert given.json["balance"] == "3.50"
    taken = await chief.call("POST", path, {"amount": "-3.51", "reason": "too much"})
    assert (taken.status, taken.error["param"]) == (400, "amount")
    assert (await somebody.call("POST", path, {"amount": "1", "reason": "me"})).status == 403
    # What the books cannot count is refused, and does not make them inexact.
    much = [
        await chief.call("POST", path, {"amount": "1000000000", "reason": "much"}) for _ in range(5)
    ]
    assert [answer.status for answer in much] == [200] * 4 + [400]
    assert much[-1].error["param"] == "amount"
    await verified(gateway)


async def test_a_voucher_is_worth_its_amount_to_one_account_once(gateway: Gateway) -> None:
    code, late = (
        await gateway.administer("vouchers", "create", "--amount", "5.00", "--count", "2")
    ).split()
    first = await member(gateway, "quick@example.kr")
    second = await member(gateway, "slow@example.kr")

    async def redeem(somebody: Any, text: str) -> Any:
        return await somebody.call("POST", "/api/vouchers/redeem", {"code": text})

    answers = await asyncio.gather(
        *(redeem(somebody, code.lower()) for somebody in (first, second) for _ in range(8))
    )
    assert sorted(answer.status for answer in answers) == [200] + [409] * 15
    (won,) = [answer.json for answer in answers if answer.status == 200]
    assert won == {"credited": "5.00", "balance": "6.00"}
    assert {a.error["code"] for a in answers if a.status == 409} == {"voucher_redeemed"}
    unknown = await redeem(first, "TF-0000-0000-0000-0000-0000")
    assert (unknown.status, unknown.error["code"]) == (404, "voucher_not_found")
    assert (await redeem(first, "5 dollars please")).status == 404
    assert (await redeem(first, late)).status == 200
    statuses = [(await redeem(second, "TF-0000-0000-0000-0000-0000")).status for _ in range(60)]
    assert statuses[-1] == 429
    await verified(gateway)
