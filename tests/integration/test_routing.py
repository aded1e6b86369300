"""A provider's bad day on a running gateway: what clients see of it, and what the operator sees."""

import asyncio
import json
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness import websocket
from harness.accounts import member
from harness.answers import MANNERS, WHOLE, ask, body, plain_frames, text_of
from harness.dialects import error_body, error_event, opening, whole
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import Exchange, Script, ScriptedProvider, answer, replay, scripted_provider
from harness.sse import DONE, open_stream

pytestmark = pytest.mark.asyncio

WAIT_S = 10
SOON_S = 0.3
TEXTS = ["대신 ", "답합니다 🙂"]
TEXT = "".join(TEXTS)
GOOD = replay(whole("openai", TEXTS))
BUSY = answer("503 Busy", error_body("openai", 503, "busy"))
QUICK = {"retries": 1, "backoff_s": 0.02}


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with scripted_provider() as running:
        yield running


@asynccontextmanager
async def serving(directory: Path, **options: Any) -> AsyncIterator[Gateway]:
    running = Gateway(directory, **{"server": SERVER, **options})
    await running.start()
    try:
        yield running
        await running.stop()
    finally:
        await running.kill()


def two(url: str, **extra: Any) -> dict[str, Any]:
    """Return the options of a gateway with two providers; a script tells them by their models."""
    return {
        "providers": [provider_entry("openai", url, name, **extra) for name in ("first", "second")],
        "aliases": {"either": ["first/m-first", "second/m-second"]},
        "tables": {"routing": QUICK},
    }


def model_of(exchange: Exchange) -> str:
    return str(exchange.request.json["model"])


def by_model(**scripts: Script) -> Script:
    """Return a script that does for each provider what stands for it."""

    async def run(exchange: Exchange) -> None:
        await scripts[model_of(exchange).removeprefix("m-")](exchange)

    return run


def called(provider: ScriptedProvider, prompt: str) -> list[str]:
    return [model_of(exchange).removeprefix("m-") for exchange in provider.exchanges(prompt)]


def in_turn(*scripts: Script) -> Script:
    """Return a script that does one after the other, a call each, and then the last one."""
    left = list(scripts)

    async def run(exchange: Exchange) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(exchange)

    return run


async def begins_and(exchange: Exchange, what: Callable[[Exchange], Any]) -> None:
    exchange.head()
    for part in opening("openai"):
        exchange.chunk(part)
    what(exchange)


async def cut_short(exchange: Exchange) -> None:
    """End a stream in good order, without a token."""
    await begins_and(exchange, Exchange.end)


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def reports_an_error(exchange: Exchange) -> None:
    def say(exchange: Exchange) -> None:
        exchange.chunk(error_event("openai", "과부하입니다"))
        exchange.end()

    await begins_and(exchange, say)


async def stalls(exchange: Exchange) -> None:
    await begins_and(exchange, lambda _: None)
    await exchange.until_gone()


# -- what clients see ------------------------------------------------------------------------


@pytest.mark.parametrize("manner", [*MANNERS, WHOLE])
async def test_a_passing_fault_is_hidden_by_one_more_call(
    tmp_path: Path, provider: ScriptedProvider, manner: str
) -> None:
    good = GOOD
    if manner == WHOLE:
        completion = {
            "id": "c", "object": "chat.completion", "created": 1, "model": "m-first",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT},
                         "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        }  # fmt: skip
        good = answer("200 OK", json.dumps(completion).encode())
    async with serving(tmp_path, **two(provider.url)) as gateway:
        prompt = provider.play(in_turn(BUSY, good))
        got = await ask(gateway, manner, body("either", prompt))
        assert (got.error, got.text) == (None, TEXT)
        assert called(provider, prompt) == ["first", "first"]
        if got.headers:
            assert got.headers["x-tokenferry-attempts"] == "2"


async def test_the_attempts_are_told_on_errors_as_well(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    async with serving(tmp_path, **two(provider.url)) as gateway:
        prompt = provider.play(BUSY)
        for manner in ("sse", WHOLE):
            got = await ask(gateway, manner, body("either", prompt))
            assert got.status == 503
            assert got.headers["x-tokenferry-attempts"] == "4"
        wrong = provider.play(answer("400 No", error_body("openai", 400, "too hot")))
        got = await ask(gateway, "sse", body("either", wrong))
        assert (got.status, got.headers["x-tokenferry-attempts"]) == (400, "1")


@pytest.mark.parametrize("phase", ["before the head", "after the head"])
async def test_a_stall_before_the_first_token_is_noticed_and_another_candidate_serves(
    tmp_path: Path, provider: ScriptedProvider, phase: str
) -> None:
    async def silent(exchange: Exchange) -> None:
        await exchange.until_gone()

    # The other limit is far away, so that it is the right one that ends the wait.
    before = phase == "before the head"
    limits = {
        "first_byte_timeout_s": SOON_S if before else 60,
        "idle_timeout_s": 60 if before else SOON_S,
    }
    async with serving(tmp_path, **two(provider.url, **limits)) as gateway:
        script = by_model(first=silent if before else stalls, second=GOOD)
        prompt = provider.play(script)
        got = await ask(gateway, "aware", body("either", prompt))
        assert (got.error, got.text) == (None, TEXT)
        assert called(provider, prompt) == ["first", "second"]


# -- the figure ------------------------------------------------------------------------------

STREAMS = 1_500
AT_ONCE = 40
FIRST_FAILS, SECOND_FAILS = 0.30, 0.01
SEED = 20_261_127
FAILURES: list[Script] = [
    BUSY,
    answer("500 Oops", b"<html>oops</html>", content_type="text/html"),
    # A short wait, so that the provider is soon the first again.
    answer("429 Slow", error_body("openai", 429, "slow"), headers={"retry-after-ms": "20"}),
    reset,
    cut_short,
    reports_an_error,
    stalls,
]


def flaky(number: int) -> Script:
    """Return a script whose failures depend on the number of the stream and of the call alone."""
    dice = random.Random(SEED * STREAMS + number)  # noqa: S311

    async def run(exchange: Exchange) -> None:
        share = FIRST_FAILS if model_of(exchange) == "m-first" else SECOND_FAILS
        fails = dice.random() < share
        await (dice.choice(FAILURES) if fails else GOOD)(exchange)

    return run


async def ask_by(gateway: Gateway, key: str, manner: str, prompt: str) -> tuple[str, str | None]:
    """Ask with a key; return the text and the error's code."""
    asked = body("either", prompt, max_tokens=20)
    if manner == "sse":
        async with open_stream(gateway.port, key, asked) as stream:
            if stream.status != 200:
                response = await stream.response()
                return "", str(response.error["code"])
            frames = [json.loads(event) for event in await stream.rest() if event != DONE]
    else:
        async with websocket.connect(gateway.port, key) as socket:
            socket.send_json(asked)
            frames = await plain_frames(socket)
            await socket.close()
    error = next((frame["error"]["code"] for frame in frames if frame.get("error")), None)
    return text_of(frames), error


async def test_of_a_provider_that_fails_three_calls_in_ten_nothing_is_seen(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    options = two(provider.url, idle_timeout_s=SOON_S)
    options["tables"] = {
        "routing": {"backoff_s": 0.02},
        "accounts": {"signup": "open", "signups_per_ip_per_hour": 0, "signups_per_hour": 0},
        "billing": {"signup_credit": "100.00"},
    }
    running = Gateway(tmp_path, server=SERVER, **options)
    for name in ("m-first", "m-second"):
        await running.administer("prices", "set", name, "--input", "1.00", "--output", "2.00")
    await running.start()
    try:
        somebody = await member(running, "kim@example.kr")
        key = await somebody.key()
        slots = asyncio.Semaphore(AT_ONCE)
        prompts = [provider.play(flaky(number)) for number in range(STREAMS)]

        async def one(number: int) -> tuple[str, str | None]:
            async with slots:
                manner = ("sse", "plain")[number % 2]
                return await ask_by(running, key, manner, prompts[number])

        answers = await asyncio.gather(*map(one, range(STREAMS)))
        complete = sum(got == (TEXT, None) for got in answers)
        assert complete >= 0.999 * STREAMS, Counter(error for _, error in answers)
        # An answer is whole or an error before its first token: none is there twice or in part.
        assert {text for text, error in answers if error is None} == {TEXT}
        assert {text for text, error in answers if error is not None} <= {""}
        calls = Counter(name for prompt in prompts for name in called(provider, prompt))
        print(f"{complete} of {STREAMS} are complete; calls: {dict(calls)}")
        # Both have served, and both have failed.
        assert min(calls.values()) > STREAMS / 10
        # Retries do not multiply: a fifth of the requests at most, and ten.
        assert calls["first"] <= STREAMS * 1.2 + 10
        await charged_once_each(running)
        await running.stop()
    finally:
        await running.kill()


async def charged_once_each(gateway: Gateway) -> None:
    """Check that each stream has one reservation, which has ended, and one charge."""
    async with asyncio.timeout(WAIT_S):
        while query(gateway, "SELECT COUNT(*) FROM charge") != [(STREAMS,)]:
            await asyncio.sleep(0.05)
    held = "SELECT COUNT(*), COUNT(DISTINCT stream_id) FROM ledger_reservation"
    assert query(gateway, held) == [(STREAMS, STREAMS)]
    assert query(gateway, f"{held} WHERE state = 'open'") == [(0, 0)]
    paid = "SELECT COUNT(*), COUNT(DISTINCT reference) FROM ledger_transfer WHERE kind = 'usage'"
    served = query(gateway, "SELECT COUNT(*) FROM charge WHERE finish = 'stop'")
    assert query(gateway, paid) == [served[0] * 2]
    costs = query(gateway, "SELECT DISTINCT cost_nanos FROM charge WHERE finish = 'stop'")
    assert len(costs) == 1, "the same answer had several prices"
    assert (await gateway.administer("ledger", "verify")).startswith("OK: ")


def query(gateway: Gateway, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(gateway.data_dir / "tokenferry.db")) as connection:
        return connection.execute(sql).fetchall()


# -- what the operator sees ------------------------------------------------------------------


async def status_of(gateway: Gateway) -> dict[str, Any]:
    response = await gateway.get("/v1/providers", gateway.key)
    assert response.status == 200, response.body
    return {entry["name"]: entry for entry in response.json["data"]}


async def test_a_provider_that_is_down_is_left_alone_and_comes_back(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    options = two(provider.url)
    options["tables"] = {
        "routing": {"retries": 0, "breaker_calls_min": 4, "breaker_open_s": SOON_S}
    }
    async with serving(tmp_path, **options) as gateway:
        prompt = provider.play(by_model(first=reset, second=GOOD))
        for _ in range(10):
            assert (await ask(gateway, "plain", body("either", prompt))).text == TEXT
        assert Counter(called(provider, prompt))["first"] == 4
        (model,) = (await status_of(gateway))["first"]["models"]
        assert model["state"] in ("open", "half_open")
        assert model["last_error"] == "provider_cut_off"
        healed = provider.play(GOOD)
        async with asyncio.timeout(WAIT_S):
            while (await status_of(gateway))["first"]["models"][0]["state"] != "closed":
                assert (await ask(gateway, "sse", body("either", healed))).text == TEXT
        assert called(provider, healed)[-1] == "first"
        metrics = (await gateway.get("/metrics", gateway.key)).body.decode()
        labels = 'model="m-first",provider="first"'
        for line in (
            'outcome="provider_cut_off",provider="first"} 4.0',
            'tokenferry_fallbacks_total{model="m-second",provider="second"} 4.0',
            f'tokenferry_breaker_state{{{labels},state="closed"}} 1.0',
            f"tokenferry_provider_calls_under_way{{{labels}}} 0.0",
        ):
            assert line in metrics, line
        assert f"tokenferry_provider_first_token_seconds_count{{{labels}}}" in metrics


async def test_of_several_keys_one_rests_and_none_is_told(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    keys = ["sk-eins-1234567890", "sk-zwei-1234567890", "sk-drei-1234567890"]

    async def by_key(exchange: Exchange) -> None:
        number = keys.index(exchange.request.headers["authorization"].removeprefix("Bearer "))
        await (limited, refused, GOOD)[number](exchange)

    limited = answer("429 Slow", error_body("openai", 429, "slow"), headers={"Retry-After": "60"})
    refused = answer("401 No", error_body("openai", 401, f"{keys[1]} is wrong"))
    entry = provider_entry("openai", provider.url, "first", api_keys=keys)
    object.__setattr__(entry, "api_key", "")
    async with serving(tmp_path, providers=[entry]) as gateway:
        prompt = provider.play(by_key)
        for _ in range(2):
            assert (await ask(gateway, "sse", body("m-first", prompt))).text == TEXT
        used = [e.request.headers["authorization"].removeprefix("Bearer ")
                for e in provider.exchanges(prompt)]  # fmt: skip
        assert used == [*keys, keys[2]]
        states = (await status_of(gateway))["first"]["keys"]
        assert [(key["position"], key["state"]) for key in states] == [
            (1, "limited"), (2, "refused"), (3, "ready"),
        ]  # fmt: skip
        status, out, err = await gateway.command(
            "providers", "status", "--url", gateway.url, TOKENFERRY_API_KEY=gateway.key
        )
        assert (status, err) == (0, "")
        assert "Key 1 of first is limited and rests for" in out
        assert "Key 2 of first is refused" in out
        metrics = (await gateway.get("/metrics", gateway.key)).body.decode()
        assert 'tokenferry_provider_key_rest_seconds{position="3",provider="first"} 0.0' in metrics
        for text in (out, metrics, gateway.log(), json.dumps(states)):
            assert not any(key in text for key in keys)
        assert "refuses key 2" in gateway.log()


async def test_who_may_see_how_providers_are(tmp_path: Path, provider: ScriptedProvider) -> None:
    options = two(provider.url)
    options["tables"] = {"accounts": {"signup": "open"}}
    async with serving(tmp_path, **options) as gateway:
        somebody = await member(gateway, "kim@example.kr")
        own = await gateway.get("/v1/providers", await somebody.key())
        assert (own.status, own.error["code"]) == (403, "admin_only")
        assert (await gateway.get("/v1/providers")).status == 401
        assert (await somebody.call("GET", "/api/admin/providers")).status == 403
        # What can be asked for is there before anybody has asked for it.
        assert [*await status_of(gateway)] == ["demo", "first", "second"]
        status, out, err = await gateway.command("providers", "status", "--url", gateway.url)
        assert (status, out) == (2, "")
        assert "TOKENFERRY_API_KEY" in err


async def test_what_was_tried_is_in_the_record_of_the_request(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    options = two(provider.url)
    options["tables"] = {
        "routing": QUICK,
        "accounts": {"signup": "open"},
        "billing": {"signup_credit": "1.00", "unpriced": "free"},
    }
    async with serving(tmp_path, **options) as gateway:
        somebody = await member(gateway, "kim@example.kr")
        prompt = provider.play(by_model(first=BUSY, second=GOOD))
        got = await ask_by(gateway, await somebody.key(), "sse", prompt)
        assert got == (TEXT, None)
        async with asyncio.timeout(WAIT_S):
            while not (found := (await somebody.call("GET", "/api/requests")).json["data"]):
                await asyncio.sleep(0.02)
        (request,) = found
        tries = [(t["provider"], t["model"], t["outcome"]) for t in request["tries"]]
        assert tries == [
            ("first", "m-first", "provider_http_503"),
            ("first", "m-first", "provider_http_503"),
            ("second", "m-second", "ok"),
        ]
        assert (request["attempts"], request["provider"]) == (3, "second")
        assert all(t["duration_ms"] >= 0 for t in request["tries"])
        (line,) = [line for line in gateway.log().splitlines() if "stream settled" in line]
        assert "first/m-first provider_http_503" in line


async def test_an_alias_spreads_its_requests_by_weight(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    options = two(provider.url)
    options["aliases"] = {
        "spread": {
            "candidates": ["first/m-first", "second/m-second"],
            "strategy": "weighted",
            "weights": [0, 5],
        },
        "idle": {"candidates": ["first/m-first", "second/m-second"], "strategy": "least_loaded"},
    }
    async with serving(tmp_path, **options) as gateway:
        prompt = provider.play(GOOD)
        for _ in range(5):
            await ask(gateway, "plain", body("spread", prompt))
        assert called(provider, prompt) == ["second"] * 5
        held = provider.play(stalls)
        async with websocket.connect(gateway.port, gateway.key) as socket:
            socket.send_json(body("idle", held))
            await provider.exchange(held)
            other = provider.play(GOOD)
            await ask(gateway, "sse", body("idle", other))
            assert (called(provider, held), called(provider, other)) == (["first"], ["second"])


async def test_a_late_first_token_is_raced_by_the_second_candidate(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    async def slowly(exchange: Exchange) -> None:
        await asyncio.sleep(SOON_S / 3)
        await GOOD(exchange)

    options = two(provider.url)
    options["aliases"] = {
        "raced": {"candidates": ["first/m-first", "second/m-second"], "hedge": True}
    }
    async with serving(tmp_path, **options) as gateway:
        usual = provider.play(slowly)
        for _ in range(5):
            await ask(gateway, "plain", body("raced", usual))
        assert set(called(provider, usual)) == {"first"}
        for manner in MANNERS:
            late = provider.play(by_model(first=stalls, second=GOOD))
            got = await ask(gateway, manner, body("raced", late))
            assert (got.error, got.text) == (None, TEXT)
            # The first has to connect anew after it was cancelled: it may arrive late, or never.
            assert Counter(called(provider, late))["second"] == 1
            # The one that was slower is stopped, not left to generate for nobody.
            for slower in provider.exchanges(late):
                if model_of(slower) == "m-first":
                    await slower.until_gone()
        async with asyncio.timeout(WAIT_S):
            while query(gateway, "SELECT COUNT(*) FROM charge") != [(8,)]:
                await asyncio.sleep(0.02)
        served = query(gateway, "SELECT provider, tries FROM charge WHERE attempts = 2")
        assert [name for name, _ in served] == ["second"] * 3
        for _, tries in served:
            assert [call[2] for call in json.loads(tries)] == ["slower", "ok"]
        states = await status_of(gateway)
        assert {m["under_way"] for entry in states.values() for m in entry["models"]} == {0}
