"""The request log on a running gateway: lists, stories, who may see them, the status page."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness import websocket
from harness.accounts import Member, log_in, member
from harness.answers import body
from harness.dialects import error_body, opening, token, whole
from harness.gateway import SERVER, Gateway, provider_entry
from harness.http_client import connection, fetch, request_bytes
from harness.providers import Exchange, ScriptedProvider, answer, replay
from harness.sse import open_stream
from tokenferry.domain.request_page import Wanted
from tokenferry.stores.sqlite_accounts import SqliteAccounts
from tokenferry.stores.sqlite_requests import SqliteRequests
from tokenferry.stores.sqlite_statements import SqliteStatements

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAIT_S = 10
MODEL = "m-second"
GOOD = replay(whole("openai", ["하나 ", "둘 🙂"]))
BUSY = answer(503, error_body("openai", 503, "busy"))
TABLES = {
    "accounts": {"signup": "open", "signups_per_ip_per_hour": 0, "signups_per_hour": 0},
    "billing": {"signup_credit": "1.00", "unpriced": "free"},
    "routing": {"retries": 0},
    "request_log": {"content": True, "content_bytes_max": 1024},
}


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    names = ("first", "second")
    return {
        "server": SERVER,
        "providers": [provider_entry("openai", provider.url, name) for name in names],
        "aliases": {"either": ["first/m-first", "second/m-second"]},
        "tables": TABLES,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(directory: Path, gateway_options: dict[str, Any]) -> AsyncIterator[Gateway]:
    running = Gateway(directory, **gateway_options)
    price = ("--input", "1.00", "--output", "2.00", "--output-max", "1000")
    await running.administer("prices", "set", "second/m-second", *price)
    await running.start()
    try:
        yield running
        await running.stop()
    finally:
        await running.kill()


async def by_model(exchange: Exchange) -> None:
    is_first = exchange.request.json["model"] == "m-first"
    await (BUSY if is_first else GOOD)(exchange)


async def ask(gateway: Gateway, key: str, model: str, prompt: str, **fields: Any) -> str:
    """Have an answer streamed to its end; return the stream."""
    async with open_stream(gateway.port, key, body(model, prompt, **fields)) as stream:
        await stream.rest()
        return str(stream.headers["x-stream-id"])


async def until(look: Callable[[], Any]) -> Any:
    """Return what is there at last: charges and records are written a moment later."""
    async with asyncio.timeout(WAIT_S):
        while not (found := await look()):
            await asyncio.sleep(0.02)
        return found


async def story(somebody: Member, stream_id: str, root: str = "/api/requests") -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        response = await somebody.call("GET", f"{root}/{stream_id}")
        told = response.json
        return told if response.status == 200 and told["recorded"] else None

    return dict(await until(look))


async def listed(somebody: Member, query: str = "", root: str = "/api/requests") -> list[Any]:
    """Return every request that a query finds, page by page."""
    found, after = [], ""
    while after is not None:
        response = await somebody.call("GET", f"{root}?before={after}&{query}")
        assert response.status == 200, response.body
        found += response.json["data"]
        after = response.json["next"]
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(gateway: Gateway) -> Member:
    somebody = await member(gateway, "admin@example.kr")
    with closing(SqliteAccounts(gateway.data_dir / "tokenferry.db")) as accounts:
        accounts._connection.execute(
            "UPDATE account SET role = 'admin' WHERE email = ?", (somebody.email,)
        )
    return await log_in(gateway, somebody.email)


async def test_the_story_of_an_answer(gateway: Gateway, provider: ScriptedProvider) -> None:
    somebody = await member(gateway, "story@example.kr")
    prompt = provider.play(by_model)
    async with open_stream(
        gateway.port, await somebody.key(), body("either", prompt, max_tokens=9)
    ) as stream:
        await stream.rest()
        headers = stream.headers
    told = await story(somebody, headers["x-stream-id"])
    request = told["request"]
    assert (request["model"], request["provider"], request["status"]) == ("either", "second", "ok")
    assert [(t["provider"], t["outcome"], t["status"]) for t in request["tries"]] == [
        ("first", "provider_http_503", 503),
        ("second", "ok", 200),
    ]
    assert (told["transport"], told["request_id"]) == ("sse", headers["x-request-id"])
    assert (told["ended_by"], told["chunks"], told["queued_ms"]) == ("provider", 2, 0)
    assert told["accepted_ms"] <= told["ended_ms"]
    assert (told["hold"]["state"], told["charged"]) == ("posted", True)
    (entry,) = told["entries"]
    assert (entry["kind"], entry["amount"]) == ("usage", f"-{request['cost']}")
    held, released, cost = (
        float(x) for x in (told["hold"]["amount"], told["hold"]["released"], request["cost"])
    )
    assert held == pytest.approx(released + cost)
    assert prompt in told["content"]["prompt"]
    assert "하나 둘 🙂" in told["content"]["answer"]
    assert told["content"]["cut"] is False


async def test_a_reader_that_is_lost_and_comes_back(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    go = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        exchange.head()
        for block in [*opening("openai"), token("openai", "하나 ")]:
            exchange.chunk(block)
        await go.wait()
        for block in whole("openai", ["둘"])[1:]:
            exchange.chunk(block)
        exchange.end()

    somebody = await member(gateway, "socket@example.kr")
    key = await somebody.key()
    prompt = provider.play(script)
    protocols = [websocket.SUBPROTOCOL]
    async with websocket.connect(gateway.port, key, subprotocols=protocols) as socket:
        socket.send_json({"type": "create", "request": body(MODEL, prompt, max_tokens=9)})
        stream_id = (await socket.receive_type("started"))["stream_id"]
        await socket.receive_type("chunk")
        socket.reset()
    async with websocket.connect(gateway.port, key, subprotocols=protocols) as socket:
        position = {"stream_id": stream_id, "epoch": 1, "after": 0}
        socket.send_json({"type": "resume", **position})
        await socket.receive_type("resumed")
        # And once more over HTTP.
        async with connection(gateway.port) as client:
            headers = {"Authorization": f"Bearer {key}"}
            client.send(request_bytes("GET", f"/v1/streams/{stream_id}/events", headers))
            await client.read_head()
            go.set()
            await socket.receive_type("done")
    told = await story(somebody, stream_id)
    assert (told["transport"], told["request_id"]) == ("websocket", None)
    assert (told["drops"], told["resumes"], told["ended_by"]) == (1, 2, "provider")


async def test_filters_and_pages(gateway: Gateway, provider: ScriptedProvider) -> None:
    somebody = await member(gateway, "filters@example.kr")
    keys = [await somebody.key(), await somebody.key("다른 키")]
    good, bad = provider.play(GOOD), provider.play(BUSY)
    ids = [await ask(gateway, keys[n % 2], MODEL, good, max_tokens=9) for n in range(3)]
    ids.append(await ask(gateway, keys[0], f"second/{MODEL}", good, max_tokens=9))
    refused = await gateway.post(
        "/v1/chat/completions", json.dumps(body(MODEL, bad, max_tokens=9)).encode(), keys[1]
    )
    assert refused.status == 503
    # Millions of tokens: more than there is credit for, so that nothing is begun.
    costly = json.dumps(body(MODEL, good, max_tokens=900_000)).encode()
    assert (await gateway.post("/v1/chat/completions", costly, keys[0])).status == 402

    async def all_there() -> list[Any]:
        found = await listed(somebody, "limit=2")
        return found if len(found) == 6 else []

    every = await until(all_there)
    moments = [row["created"] for row in every]
    assert moments == sorted(moments, reverse=True)
    assert len({row["stream_id"] for row in every}) == 6

    async def found(query: str) -> list[str]:
        return [row["stream_id"] for row in await listed(somebody, f"limit=2&{query}")]

    assert set(await found("status=ok")) == set(ids)
    assert await found(f"model=second/{MODEL}") == [ids[3]]
    assert await found("status=stopped") == []
    first, second = (key.split("_")[1] for key in keys)
    assert set(await found(f"key={second}&status=ok")) == {ids[1]}
    failed = {row["error_code"]: row for row in every if row["status"] == "failed"}
    assert set(failed) == {"provider_http_503", "insufficient_credit"}
    broke = failed["insufficient_credit"]
    assert (broke["cost"], broke["attempts"], broke["key"]) == ("0.00", 0, first)
    told = await story(somebody, broke["stream_id"])
    assert (told["charged"], told["ended_by"], told["hold"]) == (False, "client", None)
    assert len(await found("from=2026-01-01")) == 6
    assert await found("to=2026-01-01") == []
    response = await somebody.call("GET", "/api/requests.csv?status=failed")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(response.body.decode("utf-8-sig"))))
    assert {row["error_code"] for row in rows} == set(failed)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "status=bad", "from=2026-13-01", "to=0001-01-01", "before=x", "a=1"],
)
async def test_a_query_that_cannot_be_is_refused(gateway: Gateway, admin: Member, query) -> None:
    for root in ("/api/requests", "/api/admin/requests", "/api/requests.csv"):
        response = await admin.call("GET", f"{root}?{query}")
        assert response.status == 400, (root, response.body)


async def test_another_s_request_is_like_none(
    gateway: Gateway, provider: ScriptedProvider, admin: Member
) -> None:
    owner, other = [await member(gateway, f"{name}@example.kr") for name in ("owner", "other")]
    key = await owner.key()
    stream_id = await ask(gateway, key, MODEL, provider.play(GOOD), max_tokens=9)
    await story(owner, stream_id)
    unknown = "st_" + "0" * (len(stream_id) - 3)
    answers = [await other.call("GET", f"/api/requests/{each}") for each in (stream_id, unknown)]
    assert [each.status for each in answers] == [404, 404]
    assert answers[0].body.decode().replace(stream_id, unknown) == answers[1].body.decode()
    assert await listed(other, f"key={key.split('_')[1]}") == []
    assert len((await other.call("GET", "/api/requests.csv")).body.splitlines()) == 1
    for path in ("", ".csv", f"/{stream_id}"):
        response = await other.call("GET", f"/api/admin/requests{path}")
        assert (response.status, response.error["code"]) == (403, "admin_only")
    assert (await gateway.get("/api/requests")).status == 401

    told = await story(admin, stream_id, "/api/admin/requests")
    assert told["request"]["account"] == owner.account_id
    own = await listed(admin, f"account={owner.account_id}", "/api/admin/requests")
    assert [row["stream_id"] for row in own] == [stream_id]
    another = await ask(gateway, await other.key(), MODEL, provider.play(GOOD), max_tokens=9)
    await story(other, another)
    everybody = await listed(admin, "limit=3", "/api/admin/requests")
    assert {owner.account_id, other.account_id} <= {row["account"] for row in everybody}
    assert (await admin.call("GET", f"/api/requests/{stream_id}")).status == 404
    missing = await admin.call("GET", f"/api/admin/requests/{unknown}")
    assert (missing.status, missing.error["code"]) == (404, "stream_not_found")


async def test_the_status_page_needs_neither_login_nor_script(
    gateway: Gateway, provider: ScriptedProvider, admin: Member
) -> None:
    stream_id = await ask(gateway, gateway.key, MODEL, provider.play(GOOD))
    await story(admin, stream_id, "/api/admin/requests")
    for headers, query, language, title in (
        ({}, "", "en", "Service status"),
        ({"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"}, "", "ko", "서비스 상태"),
        ({"Accept-Language": "ko"}, "?lang=en", "en", "Service status"),
        ({}, "?lang=ko", "ko", "서비스 상태"),
    ):
        page = await fetch(gateway.port, "GET", f"/status{query}", headers=headers)
        text = page.body.decode()
        assert page.status == 200
        assert f'<html lang="{language}">' in text
        assert f"<h1>{title}</h1>" in text
        assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src")
        assert "<script" not in text
        assert page.headers["vary"] == "Accept-Language"
    told = await gateway.get("/api/status")
    assert [model["model"] for model in told.json["models"]] == [
        "either", "m-first", "m-second", "demo",
    ]  # fmt: skip
    assert (await gateway.get("/static/status.css")).status == 200
    metrics = (await gateway.get("/metrics")).body.decode()
    assert 'tokenferry_request_log_total{result="written"}' in metrics


@asynccontextmanager
async def alone(directory: Path, provider: ScriptedProvider, **own: Any) -> AsyncIterator[Gateway]:
    running = Gateway(
        directory,
        server=SERVER,
        providers=[provider_entry("openai", provider.url)],
        tables={"request_log": own},
    )
    await running.start()
    try:
        yield running
        await running.stop()
    finally:
        await running.kill()


async def test_a_stream_that_was_killed_has_its_record_and_the_status_page_can_be_off(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    async def endless(exchange: Exchange) -> None:
        exchange.head()
        for block in [*opening("openai"), token("openai", "하나 "), token("openai", "둘")]:
            exchange.chunk(block)
        await asyncio.Event().wait()

    async with alone(tmp_path, provider, status_page=False) as gateway:
        for path in ("/status", "/api/status"):
            assert (await gateway.get(path)).status == 404
        request = body("m-openai", provider.play(endless))
        async with open_stream(gateway.port, gateway.key, request) as stream:
            while "둘" not in str(await stream.next()):
                pass
            stream_id = stream.headers["x-stream-id"]
            key = gateway.key.split("_")[1]
            await gateway.kill()
        text = gateway.config.read_text("utf-8").replace("status_page = false", "")
        gateway.config.write_text(text, "utf-8")
        await gateway.start()

        with closing(SqliteRequests(gateway.data_dir / "requests.db")) as log:

            async def recorded() -> Any:
                return log.find(stream_id, None)

            await until(recorded)
        out = await gateway.administer("requests", "show", stream_id)
        lines = dict(line.split(maxsplit=1) for line in out.splitlines())
        assert lines["key"] == f"{key} of operator"
        assert lines["transport"].startswith("sse req_")
        assert lines["chunks"] == "2"
        assert "upstream_lost" in out
        assert lines["ended"].endswith("gateway")  # the second word of its name is cut off
        (model, _) = (await gateway.get("/api/status")).json["models"]
        assert (model["availability"], model["state"]) == (0.0, "degraded")


async def test_without_a_log_the_books_are_listed(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    async with alone(tmp_path, provider, enabled=False) as gateway:
        await ask(gateway, gateway.key, "m-openai", provider.play(GOOD))
        for path in ("/status", "/api/status"):
            assert (await gateway.get(path)).status == 404
        assert not (gateway.data_dir / "requests.db").exists()
        with closing(SqliteStatements(gateway.data_dir / "tokenferry.db")) as statements:

            async def charged() -> Any:
                return statements.charges(Wanted(9)).rows

            assert [row.model for row in await until(charged)] == ["m-openai"]
