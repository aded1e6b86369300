"""What clients see of rate limits: headers, errors and messages, and slots that come back."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness import dialects, websocket
from harness.accounts import call, log_in, sign_up
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import Exchange, ScriptedProvider, replay

pytestmark = pytest.mark.asyncio(loop_scope="module")

PER_MINUTE = 600
TOKENS = 100_000
STREAMS = 2
READS = 300
REQUEST = {"model": "demo", "messages": [{"role": "user", "content": "안녕"}], "max_tokens": 5}
CHAT = "/v1/chat/completions"
BODY = json.dumps(REQUEST).encode()


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    limits = {
        "requests_per_minute": PER_MINUTE,
        "tokens_per_minute": TOKENS,
        "streams_max": STREAMS,
        "bad_keys_per_minute": 3,
        "reads_per_minute": READS,
    }
    return {
        "server": SERVER,
        "providers": [provider_entry("openai", provider.url)],
        "aliases": {"rare": ["demo/demo"]},
        "tables": {
            "limits": limits,
            "limits.models.rare": {"requests_per_minute": 1},
            "accounts": {"trusted_proxies": 1, "signup": "open"},
        },
    }


@pytest_asyncio.fixture(loop_scope="module")
async def key(gateway: Gateway) -> AsyncIterator[str]:
    """A key of its own, so that no test uses up another's limit."""
    return await gateway.create_key()


def body_for(prompt: str, **fields: Any) -> bytes:
    request = {"model": "m-openai", "messages": [{"role": "user", "content": prompt}]}
    return json.dumps(request | {"max_tokens": 10, "stream": True} | fields).encode()


async def hang(exchange: Exchange) -> None:
    """Begin an answer, and say no more."""
    exchange.head()
    for block in dialects.opening("openai"):
        exchange.chunk(block)
    exchange.chunk(dialects.token("openai", "안"))
    await exchange.gone.wait()


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_says_how_the_key_stands(
    gateway: Gateway, key: str, *, stream: bool
) -> None:
    # So many tokens are there again after some 0.9 s: however busy the machine is, they are missed.
    body = json.dumps(REQUEST | {"stream": stream, "max_tokens": 1_500, "stop": "\n"}).encode()
    response = await gateway.post("/v1/chat/completions", body, key)
    assert response.status == 200
    headers = response.headers
    assert headers["x-ratelimit-limit-requests"] == str(PER_MINUTE)
    assert headers["x-ratelimit-remaining-requests"] == str(PER_MINUTE - 1)
    # One request uses 100 ms up.
    reset = headers["x-ratelimit-reset-requests"]
    assert reset == "0s" or reset.endswith("ms")
    assert headers["x-ratelimit-limit-tokens"] == str(TOKENS)
    assert 0 < int(headers["x-ratelimit-remaining-tokens"]) < TOKENS
    assert headers["x-ratelimit-reset-tokens"].endswith("ms")
    assert "retry-after" not in headers


async def test_other_paths_count_nothing_and_say_nothing(gateway: Gateway, key: str) -> None:
    for path in ("/v1/models", "/v1/streams"):
        response = await gateway.get(path, key)
        assert response.status == 200
        assert not [name for name in response.headers if name.startswith("x-ratelimit")]
    response = await gateway.post("/v1/chat/completions", BODY, key)
    assert response.headers["x-ratelimit-remaining-requests"] == str(PER_MINUTE - 1)


async def test_reads_have_a_limit_of_their_own_and_a_large_estimate_is_many(
    gateway: Gateway, key: str
) -> None:
    large = [{"role": "user", "content": "x" * (READS * 4096)}]
    body = json.dumps(REQUEST | {"messages": large}).encode()
    estimate = await gateway.post(f"{CHAT}/estimate", body, key)
    assert estimate.status == 200
    assert not [name for name in estimate.headers if name.startswith("x-ratelimit")]
    # It took what a minute has; what is as large has to wait for most of one.
    refused = await gateway.post(f"{CHAT}/estimate", body, key)
    assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
    assert refused.json["limit"] == {"scope": "key", "name": "reads_per_minute", "value": READS}
    assert refused.json["rate_limits"][0]["name"] == "reads"
    assert refused.headers["x-ratelimit-limit-reads"] == str(READS)
    assert 0 < int(refused.headers["retry-after-ms"]) <= 60_000
    assert "x-ratelimit-limit-requests" not in refused.headers
    # Answers are another matter, and so is somebody else.
    assert (await gateway.post(CHAT, BODY, key)).status == 200
    assert (await gateway.get("/v1/models", await gateway.create_key())).status == 200
    exposition = (await gateway.get("/metrics")).body
    assert b'tokenferry_limited_total{limit="key_reads"}' in exposition


async def test_of_a_long_answer_what_is_read_counts(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    async def long_answer(exchange: Exchange) -> None:
        exchange.head()
        for block in dialects.opening("openai"):
            exchange.chunk(block)
        for _ in range(1_200):
            exchange.chunk(dialects.token("openai", "안"))
        for block in dialects.closing("openai", 1_200):
            exchange.chunk(block)
        exchange.end()

    gateway = Gateway(
        tmp_path,
        server=SERVER,
        providers=[provider_entry("openai", provider.url)],
        tables={"limits": {"requests_per_minute": 0, "reads_per_minute": 2}},
    )
    await gateway.start()
    try:
        answer = await gateway.post(
            CHAT, body_for(provider.play(long_answer), stream=False), gateway.key
        )
        path = f"/v1/streams/{answer.headers['x-stream-id']}"
        # Who comes back near its end reads little.
        near = f"{path}/events?after=1100"
        assert (await gateway.get(near, gateway.key)).status == 200
        # The whole is two reads: more than there are until half a minute has passed.
        for whole in (path, f"{path}/events"):
            refused = await gateway.get(whole, gateway.key)
            assert (refused.status, refused.json["limit"]["name"]) == (429, "reads_per_minute")
        assert (await gateway.get(near, gateway.key)).status == 200
        await gateway.stop()
    finally:
        await gateway.kill()


async def at_once(gateway: Gateway, key: str, count: int) -> list[int]:
    """Ask so many times at once; return what came of it."""
    asked = (gateway.post("/v1/chat/completions", BODY, key) for _ in range(count))
    return [answer.status for answer in await asyncio.gather(*asked)]


async def test_a_429_names_the_limit_and_when_to_come_back(gateway: Gateway) -> None:
    """KNOWN-FAILURES C17."""
    key = await gateway.create_key("slow", "--rpm", "30", "--streams", "0")
    async with asyncio.timeout(30):
        while (await at_once(gateway, key, 30)).count(429) == 0:
            pass
        while (response := await gateway.post("/v1/chat/completions", BODY, key)).status != 429:
            pass
    refused_s = time.monotonic()
    wait_ms = int(response.headers["retry-after-ms"])
    assert 0 < wait_ms <= 2000
    assert int(response.headers["retry-after"]) == -(-wait_ms // 1000)
    assert response.headers["x-ratelimit-limit-requests"] == "30"
    assert response.headers["x-ratelimit-remaining-requests"] == "0"
    assert response.error["type"] == "rate_limit_error"
    assert response.error["message"].startswith("This key may use 30 requests a minute.")
    assert response.json["limit"] == {"scope": "key", "name": "requests_per_minute", "value": 30}
    assert response.json["rate_limits"][0]["name"] == "requests"
    # Who asks then is served; nobody else has this key.
    await asyncio.sleep(wait_ms / 1000 - (time.monotonic() - refused_s) + 0.005)
    assert (await gateway.post("/v1/chat/completions", BODY, key)).status == 200


async def test_of_many_at_once_as_many_pass_as_may(gateway: Gateway) -> None:
    """KNOWN-FAILURES C16: over HTTP and over several WebSockets, all of one key."""
    key = await gateway.create_key("n", "--rpm", "40", "--streams", "0")
    began_s = time.monotonic()

    async def over_one_socket() -> list[int]:
        async with websocket.connect(
            gateway.port, key, subprotocols=[websocket.SUBPROTOCOL]
        ) as socket:
            for number in range(20):
                socket.send_json({"type": "create", "ref": number, "request": REQUEST})
            answers = [await socket.receive_type("started", "error") for _ in range(20)]
            return [200 if answer["type"] == "started" else 429 for answer in answers]

    found = await asyncio.gather(at_once(gateway, key, 60), *(over_one_socket() for _ in range(3)))
    passed = sum(statuses.count(200) for statuses in found)
    together_s = time.monotonic() - began_s
    assert sum(len(statuses) for statuses in found) == 120
    assert 40 <= passed <= 40 + together_s * 40 / 60


async def test_what_one_limit_refuses_the_others_do_not_count(gateway: Gateway, key: str) -> None:
    body = json.dumps(REQUEST | {"model": "rare"}).encode()
    other = await gateway.create_key()
    assert (await gateway.post("/v1/chat/completions", body, other)).status == 200
    for _ in range(5):
        response = await gateway.post("/v1/chat/completions", body, key)
        assert response.status == 429
        assert response.json["limit"]["scope"] == "model"
        assert response.headers["x-ratelimit-limit-requests"] == "1"
    response = await gateway.post("/v1/chat/completions", BODY, key)
    assert response.headers["x-ratelimit-remaining-requests"] == str(PER_MINUTE - 1)


async def test_a_request_that_is_too_much_for_any_minute(gateway: Gateway, key: str) -> None:
    body = json.dumps(REQUEST | {"max_tokens": TOKENS}).encode()
    response = await gateway.post("/v1/chat/completions", body, key)
    assert (response.status, response.error["code"]) == (400, "tokens_over_limit")
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["x-ratelimit-remaining-requests"] == str(PER_MINUTE)


async def test_an_aware_client_is_told(gateway: Gateway) -> None:
    key = await gateway.create_key("slow", "--rpm", "2", "--tpm", "5000")
    async with websocket.connect(gateway.port, key, subprotocols=[websocket.SUBPROTOCOL]) as socket:
        limits = (await socket.receive_type("ready"))["limits"]
        assert (limits["requests_per_minute"], limits["tokens_per_minute"]) == (2, 5000)
        assert limits["streams_max"] == STREAMS
        for remaining in (1, 0):
            socket.send_json({"type": "create", "ref": remaining, "request": REQUEST})
            await socket.receive_type("started")
            told = await socket.receive_type("rate_limits")
            assert told["ref"] == remaining
            requests, tokens = told["rate_limits"]
            assert (requests["name"], requests["limit"]) == ("requests", 2)
            assert requests["remaining"] == remaining
            assert 0 < requests["reset_ms"] <= 60_000
            assert (tokens["name"], tokens["limit"]) == ("tokens", 5000)
            await socket.receive_type("done")
        socket.send_json({"type": "create", "ref": "third", "request": REQUEST})
        error = await socket.receive_type("error")
        assert error["ref"] == "third"
        assert error["error"]["code"] == "rate_limit_exceeded"
        assert error["limit"] == {"scope": "key", "name": "requests_per_minute", "value": 2}
        assert error["rate_limits"][0]["remaining"] == 0
        assert 0 < error["retry_after_ms"] <= 30_000


async def test_a_plain_client_gets_the_same_facts_and_no_message_with_a_type(
    gateway: Gateway,
) -> None:
    key = await gateway.create_key("slow", "--rpm", "1")
    async with websocket.connect(gateway.port, key) as socket:
        socket.send_json(REQUEST)
        while not (frame := await socket.receive_json())["done"]:
            assert "type" not in frame
        socket.send_json(REQUEST)
        frame = await socket.receive_json()
        assert frame["error"]["code"] == "rate_limit_exceeded"
        assert frame["limit"]["value"] == 1
        assert frame["choices"][0]["finish_reason"] == "error"
        assert frame["done"] is True


# -- slots ---------------------------------------------------------------------------------------


async def fill(gateway: Gateway, provider: ScriptedProvider, key: str, socket: Any) -> list[str]:
    """Have as many streams running as may; return their names."""
    names = []
    for number in range(STREAMS):
        request = json.loads(body_for(provider.play(hang)))
        socket.send_json({"type": "create", "ref": number, "request": request})
        names.append((await socket.receive_type("started"))["stream_id"])
        await socket.receive_type("chunk")
    response = await gateway.post("/v1/chat/completions", BODY, key)
    assert (response.status, response.error["code"]) == (429, "too_many_streams")
    assert response.json["limit"] == {"scope": "key", "name": "streams_max", "value": STREAMS}
    assert response.headers["retry-after-ms"] == "1000"
    return names


async def until_served(gateway: Gateway, key: str) -> None:
    async with asyncio.timeout(10):
        while (await gateway.post("/v1/chat/completions", BODY, key)).status == 429:
            await asyncio.sleep(0.02)


async def test_a_slot_comes_back_with_a_cancel(
    gateway: Gateway, provider: ScriptedProvider, key: str
) -> None:
    """KNOWN-FAILURES C15."""
    async with websocket.connect(gateway.port, key, subprotocols=[websocket.SUBPROTOCOL]) as socket:
        for name in await fill(gateway, provider, key, socket):
            socket.send_json({"type": "cancel", "stream_id": name})
        await until_served(gateway, key)
        await until_served(gateway, key)


async def test_a_slot_comes_back_when_the_client_is_gone(
    gateway: Gateway, provider: ScriptedProvider, key: str
) -> None:
    calls = [
        asyncio.create_task(
            gateway.post("/v1/chat/completions", body_for(provider.play(hang)), key)
        )
        for _ in range(STREAMS)
    ]
    async with asyncio.timeout(10):
        while len((await gateway.get("/v1/streams", key)).json["data"]) < STREAMS:
            await asyncio.sleep(0.02)
    assert (await gateway.post("/v1/chat/completions", BODY, key)).status == 429
    for each in calls:
        each.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await until_served(gateway, key)


async def test_a_slot_comes_back_when_the_provider_fails(
    gateway: Gateway, provider: ScriptedProvider, key: str
) -> None:
    blocks = [*dialects.opening("openai"), dialects.token("openai", "half")]
    for _ in range(3 * STREAMS):
        response = await gateway.post(
            "/v1/chat/completions", body_for(provider.play(replay(blocks))), key
        )
        assert response.status == 200
        assert b"provider_cut_off" in response.body


async def test_a_repeat_a_follower_and_a_resume_are_no_new_requests(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    key = await gateway.create_key("one", "--rpm", "1")
    request = json.loads(body_for(provider.play(hang)))
    create = {"type": "create", "idempotency_key": "열쇠", "request": request}
    async with websocket.connect(gateway.port, key, subprotocols=[websocket.SUBPROTOCOL]) as socket:
        socket.send_json({**create, "ref": 1})
        name = (await socket.receive_type("started"))["stream_id"]
        socket.send_json({**create, "ref": 2})
        assert (await socket.receive_type("started", "error"))["stream_id"] == name
    async with websocket.connect(gateway.port, key, subprotocols=[websocket.SUBPROTOCOL]) as socket:
        socket.send_json({"type": "resume", "stream_id": name, "epoch": 1, "after": 0})
        assert (await socket.receive_type("resumed", "error"))["type"] == "resumed"
        socket.send_json({"type": "create", "request": REQUEST, "ref": 3})
        assert (await socket.receive_type("error"))["ref"] == 3
        socket.send_json({"type": "cancel", "stream_id": name})
        await socket.receive_type("done")


# -- whose limits --------------------------------------------------------------------------------


async def test_who_owns_a_key_may_lower_its_limits_and_only_the_operator_raises_them(
    gateway: Gateway,
) -> None:
    assert (await sign_up(gateway, "limits@b.kr")).status == 201
    token = (await log_in(gateway, "limits@b.kr")).token
    made = await call(
        gateway, "POST", "/api/keys", {"name": "mine", "requests_per_minute": 2}, token
    )
    assert made.status == 201
    facts = made.json["facts"]
    assert (facts["requests_per_minute"], facts["streams_max"]) == (2, None)
    usual = {"requests_per_minute": 2, "tokens_per_minute": TOKENS, "streams_max": STREAMS}
    assert facts["effective_limits"] == usual
    assert set(facts["operator_limits"].values()) == {None}
    path = f"/api/keys/{facts['public_id']}"
    # More than keys have as a rule is no fault, and has no effect.
    for name, most in (
        ("requests_per_minute", PER_MINUTE),
        ("tokens_per_minute", TOKENS),
        ("streams_max", STREAMS),
    ):
        facts = (await call(gateway, "PATCH", path, {name: most + 1}, token)).json
        assert (facts[name], facts["effective_limits"][name]) == (most + 1, most)
        facts = (await call(gateway, "PATCH", path, {name: None}, token)).json
        assert (facts[name], facts["effective_limits"][name]) == (None, most)
    assert (await call(gateway, "PATCH", path, {"streams_max": 0}, token)).status == 400
    await gateway.administer("keys", "limit", facts["public_id"], "--rpm", str(PER_MINUTE * 2))
    (facts,) = (await call(gateway, "GET", "/api/keys", None, token)).json["data"]
    assert facts["operator_limits"]["requests_per_minute"] == PER_MINUTE * 2
    assert facts["effective_limits"]["requests_per_minute"] == PER_MINUTE * 2
    change = {"requests_per_minute": PER_MINUTE + 1, "name": "n"}
    facts = (await call(gateway, "PATCH", path, change, token)).json
    assert facts["effective_limits"]["requests_per_minute"] == PER_MINUTE + 1
    assert f"{PER_MINUTE * 2} requests/min set by the operator" in (
        await gateway.administer("keys", "list")
    )
    response = await gateway.post("/v1/chat/completions", BODY, made.json["key"])
    assert response.headers["x-ratelimit-limit-requests"] == str(PER_MINUTE + 1)
    facts = (await call(gateway, "PATCH", path, {"requests_per_minute": None}, token)).json
    assert facts["effective_limits"]["requests_per_minute"] == PER_MINUTE * 2
    assert facts["name"] == "n"


async def test_a_change_counts_from_the_next_request_on(gateway: Gateway) -> None:
    key = await gateway.create_key("n", "--rpm", "1")
    assert (await gateway.post("/v1/chat/completions", BODY, key)).status == 200
    assert (await gateway.post("/v1/chat/completions", BODY, key)).status == 429
    await gateway.administer("keys", "limit", key.split("_")[1], "--rpm", "0", "--tpm", "0")
    response = await gateway.post("/v1/chat/completions", BODY, key)
    assert response.status == 200
    assert not [name for name in response.headers if name.startswith("x-ratelimit")]


# -- wrong keys ----------------------------------------------------------------------------------


async def unknown_key(gateway: Gateway) -> str:
    key = await gateway.create_key()
    await gateway.revoke_key(key)
    return key


async def tried(gateway: Gateway, key: str, sender: str) -> Any:
    return await gateway.post("/v1/chat/completions", BODY, key, **{"X-Forwarded-For": sender})


async def test_too_many_wrong_keys_make_a_network_wait(gateway: Gateway, key: str) -> None:
    bad = await unknown_key(gateway)
    assert (await tried(gateway, key, "9.9.9.9")).status == 200
    # What a client claims stands before what the proxy has added.
    answers = [await tried(gateway, bad, f"6.6.6.{n}, 9.9.9.9") for n in range(6)]
    assert [answer.status for answer in answers] == [401, 401, 401, 429, 429, 429]
    assert answers[-1].error["code"] == "too_many_bad_keys"
    assert 0 < int(answers[-1].headers["retry-after-ms"]) <= 20_000
    assert (await tried(gateway, "sk-malformed", "9.9.9.9")).status == 401
    # Others, and who was good before, are served.
    assert (await tried(gateway, key, "9.9.9.9")).status == 200
    assert (await tried(gateway, bad, "8.8.8.8")).status == 401


async def test_over_a_websocket_too(gateway: Gateway) -> None:
    bad = await unknown_key(gateway)
    headers = {"X-Forwarded-For": "2001:db8:7::1"}
    for _ in range(3):
        async with websocket.connect(gateway.port, headers=headers) as socket:
            socket.send_json({"type": "auth", "token": bad})
            assert (await socket.closed()).code == 4001
    # The next address is of the same network.
    headers = {"X-Forwarded-For": "2001:db8:7::2"}
    async with websocket.connect(gateway.port, headers=headers) as socket:
        socket.send_json({"type": "auth", "token": bad})
        assert (await socket.receive_type("error"))["error"]["code"] == "too_many_bad_keys"
        assert (await socket.closed()).code == 4100
    with pytest.raises(websocket.Refused) as refused:
        async with websocket.connect(gateway.port, bad, headers=headers):
            pass
    assert refused.value.response.status == 429
    headers["Origin"] = gateway.url
    headers["Host"] = gateway.url.removeprefix("http://")
    async with websocket.connect(gateway.port, bad, headers=headers) as socket:
        assert (await socket.closed()).code == 4100


async def test_metrics_count_refusals_by_limit_and_have_no_other_label(gateway: Gateway) -> None:
    key = await gateway.create_key("n", "--rpm", "1")
    for _ in range(2):
        await gateway.post("/v1/chat/completions", BODY, key)
    lines = (await gateway.get("/metrics")).body.decode().splitlines()
    found = {line.rpartition(" ")[0] for line in lines if line.startswith("tokenferry_limited")}
    assert 'tokenferry_limited_total{limit="key_requests"}' in found
    words = {f"{scope}_{what}" for scope in ("key", "account", "model")
             for what in ("requests", "tokens", "streams", "reads")} | {"bad_keys"}  # fmt: skip
    assert found <= {f'tokenferry_limited_total{{limit="{word}"}}' for word in words}


async def test_all_keys_of_an_account_share_its_limits(tmp_path: Path) -> None:
    tables = {
        "limits": {"requests_per_minute": 0, "account_requests_per_minute": 3},
        "billing": {"unpriced": "free"},
    }
    gateway = Gateway(tmp_path, server=SERVER, tables=tables)
    await gateway.start()
    try:
        await gateway.administer("accounts", "create", "a@b.kr", "--credit", "5")
        await gateway.administer("accounts", "create", "c@d.kr", "--credit", "5")
        first, second = [await gateway.create_key("n", "--account", "a@b.kr") for _ in range(2)]
        other = await gateway.create_key("n", "--account", "c@d.kr")
        keys = [first, second, first, second, first, other]
        answers = [await gateway.post("/v1/chat/completions", BODY, key) for key in keys]
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429, 200]
        assert answers[3].json["limit"]["scope"] == "account"
        for _ in range(5):
            assert (await gateway.post("/v1/chat/completions", BODY, gateway.key)).status == 200
        # What is counted is in memory: a new process begins anew.
        await gateway.stop()
        await gateway.start()
        assert (await gateway.post("/v1/chat/completions", BODY, first)).status == 200
        await gateway.stop()
    finally:
        await gateway.kill()
