"""A provider with few places on a running gateway: who waits, what it hears, and who is next."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio

from harness import websocket
from harness.accounts import member
from harness.answers import ask, body, text_of
from harness.dialects import closing, opening, token
from harness.gateway import SERVER, Gateway, provider_entry
from harness.http_client import fetch
from harness.providers import Exchange, ScriptedProvider, scripted_provider
from harness.sse import open_stream

pytestmark = pytest.mark.asyncio

MODEL = "m-openai"
WAIT_S = 20


class Slots:
    """A script whose answers stay under way until they are let go, in the order they came."""

    def __init__(self) -> None:
        self.running: list[tuple[str, asyncio.Event]] = []
        self.order: list[str] = []
        self.most = 0
        self.came = asyncio.Condition()

    async def script(self, exchange: Exchange) -> None:
        name = exchange.request.json["user"]
        done = asyncio.Event()
        async with self.came:
            self.running.append((name, done))
            self.order.append(name)
            self.most = max(self.most, len(self.running))
            self.came.notify_all()
        exchange.head()
        for part in opening("openai"):
            exchange.chunk(part)
        exchange.chunk(token("openai", f"{name} 님의 차례"))
        leaving = asyncio.ensure_future(exchange.gone.wait())
        await asyncio.wait(
            {asyncio.ensure_future(done.wait()), leaving}, return_when="FIRST_COMPLETED"
        )
        leaving.cancel()
        self.running = [one for one in self.running if one[1] is not done]
        if not exchange.gone.is_set():
            for part in closing("openai", 3):
                exchange.chunk(part)
            exchange.end()

    def let_go(self) -> None:
        self.running.pop(0)[1].set()

    async def until(self, count: int) -> None:
        """Wait until so many have come."""
        async with asyncio.timeout(WAIT_S), self.came:
            await self.came.wait_for(lambda: len(self.order) >= count)


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with scripted_provider() as running:
        yield running


@pytest.fixture
def slots(provider: ScriptedProvider) -> Slots:
    return Slots()


@asynccontextmanager
async def serving(
    directory: Path, provider: ScriptedProvider, queue: Any = None, **extra: Any
) -> AsyncIterator[Gateway]:
    running = Gateway(
        directory,
        server=SERVER,
        providers=[provider_entry("openai", provider.url, **{"streams_max": 1, **extra})],
        tables={
            "queue": queue or {},
            "accounts": {"signup": "open"},
            "billing": {"signup_credit": "9.00"},
        },
    )
    await running.administer(
        "prices", "set", MODEL, "--input", "1", "--output", "1", "--output-max", "99"
    )
    await running.start()
    try:
        yield running
        await running.stop()
    finally:
        await running.kill()


async def create(socket: Any, prompt: str, name: str, **fields: Any) -> dict[str, Any]:
    request = body(MODEL, prompt, user=name, **fields)
    socket.send_json({"type": "create", "ref": name, "request": request})
    started = await socket.receive_type("started", "error")
    return dict(started)


def aware(gateway: Gateway, key: str = "") -> Any:
    return websocket.connect(gateway.port, key or gateway.key, subprotocols=[websocket.SUBPROTOCOL])


async def post(gateway: Gateway, request: dict[str, Any]) -> Any:
    data = json.dumps(request).encode()
    return await gateway.post("/v1/chat/completions", data, gateway.key)


async def waiting(gateway: Gateway) -> dict[str, int]:
    """Return who waits, as the operator sees it."""
    answer = await gateway.get("/v1/providers", gateway.key)
    [facts] = [one for one in answer.json["data"] if one["name"] == "openai"]
    return dict(facts["line"]["waiting"]) | {"running": facts["line"]["running"]}


async def until_waiting(gateway: Gateway, **counts: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while not counts.items() <= (await waiting(gateway)).items():
            await asyncio.sleep(0.01)


async def test_who_waits_hears_where_it_stands_and_is_served_in_its_turn(
    tmp_path: Path, provider: ScriptedProvider, slots: Slots
) -> None:
    prompt = provider.play(slots.script)
    async with serving(tmp_path, provider) as gateway, aware(gateway) as socket:
        await create(socket, prompt, "하나")
        await slots.until(1)
        second = await create(socket, prompt, "둘")
        queued = await socket.receive_type("queued")
        assert queued == {
            "type": "queued", "stream_id": second["stream_id"], "position": 0, "eta_s": None,
        }  # fmt: skip
        await create(socket, prompt, "셋")
        await until_waiting(gateway, default=2, running=1)
        async with asyncio.timeout(WAIT_S):
            while (await socket.receive_type("queued"))["position"] != 1:
                pass
        slots.let_go()
        await slots.until(2)
        slots.let_go()
        await slots.until(3)
        slots.let_go()
        assert slots.order == ["하나", "둘", "셋"]
        assert slots.most == 1
        for _ in range(3):
            await socket.receive_type("done")
        await until_waiting(gateway, default=0, running=0)
        await socket.close()


async def test_a_plain_client_hears_nothing_of_it(
    tmp_path: Path, provider: ScriptedProvider, slots: Slots
) -> None:
    prompt = provider.play(slots.script)
    async with serving(tmp_path, provider) as gateway, aware(gateway) as first:
        await create(first, prompt, "하나")
        await slots.until(1)
        asked = asyncio.create_task(ask(gateway, "plain", body(MODEL, prompt, user="둘")))
        await until_waiting(gateway, default=1)
        slots.let_go()
        await slots.until(2)
        slots.let_go()
        answer = await asked
        assert answer.text == "둘 님의 차례"
        await first.close()


async def test_priority_goes_first_for_who_may(
    tmp_path: Path, provider: ScriptedProvider, slots: Slots
) -> None:
    prompt = provider.play(slots.script)
    async with serving(tmp_path, provider) as gateway, aware(gateway) as socket:
        somebody = await member(gateway, "someone@example.com")
        usual = await somebody.key()
        await create(socket, prompt, "0")
        await slots.until(1)
        for number in range(1, 6):
            await create(socket, prompt, f"{number}")
        await create(socket, prompt, "flex", service_tier="flex")
        await until_waiting(gateway, default=5, flex=1)
        async with aware(gateway, usual) as other:
            refused = await create(other, prompt, "x", service_tier="priority")
            assert refused["error"]["code"] == "service_tier_not_allowed"
            await gateway.administer("keys", "limit", usual.split("_")[1], "--priority")
            async with asyncio.timeout(WAIT_S):
                while refused["error"]["code"] == "service_tier_not_allowed":
                    await asyncio.sleep(0.05)
                    refused = await create(other, prompt, "x", service_tier="priority")
            # It may now; but nobody has said what that costs.
            assert refused["error"]["code"] == "model_not_priced"
            await other.close()
        async with aware(gateway, await gateway.create_key("operator's other one")) as other:
            assert "error" not in await create(other, prompt, "먼저", service_tier="priority")
            await until_waiting(gateway, priority=1)
            for turn in range(2, 9):
                slots.let_go()
                await slots.until(turn)
            slots.let_go()
            await other.receive_type("done")
        assert slots.order == ["0", "먼저", "1", "2", "3", "4", "5", "flex"]
        await socket.close()


async def test_one_account_does_not_starve_another(
    tmp_path: Path, provider: ScriptedProvider, slots: Slots
) -> None:
    prompt = provider.play(slots.script)
    async with serving(tmp_path, provider) as gateway, aware(gateway) as flood:
        somebody = await member(gateway, "light@example.com")
        await create(flood, prompt, "0")
        await slots.until(1)
        for number in range(1, 21):
            await create(flood, prompt, f"{number}")
        async with aware(gateway, await somebody.key()) as light:
            await create(light, prompt, "light")
            await until_waiting(gateway, default=21)
            for turn in range(2, 5):
                slots.let_go()
                await slots.until(turn)
            assert "light" in slots.order[:4]
            await light.close()
        await flood.close()


@pytest.mark.parametrize("how", ["cancel", "leave"])
async def test_who_gives_up_while_waiting_pays_nothing_and_leaves_no_trace(
    tmp_path: Path, provider: ScriptedProvider, slots: Slots, how: str
) -> None:
    prompt = provider.play(slots.script)
    async with serving(tmp_path, provider) as gateway, aware(gateway) as first:
        somebody = await member(gateway, "leaver@example.com")
        key = await somebody.key()
        await create(first, prompt, "0")
        await slots.until(1)
        if how == "cancel":
            async with aware(gateway, key) as socket:
                started = await create(socket, prompt, "gone")
                await until_waiting(gateway, default=1)
                socket.send_json({"type": "cancel", "stream_id": started["stream_id"]})
                done = await socket.receive_type("done")
                assert done["finish_reason"] == "cancelled"
                await socket.close()
        else:
            stream = open_stream(gateway.port, key, body(MODEL, prompt, user="gone"))
            entering = asyncio.ensure_future(stream.__aenter__())
            await until_waiting(gateway, default=1)
            entering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await entering
        await until_waiting(gateway, default=0, running=1)
        slots.let_go()
        await until_waiting(gateway, default=0, running=0)
        assert slots.order == ["0"]
        async with asyncio.timeout(WAIT_S):
            while (balance := (await somebody.call("GET", "/api/balance")).json)["held"] != "0.00":
                await asyncio.sleep(0.02)
        assert balance["balance"] == "9.00"
        status, out, _ = await gateway.command(
            "ledger", "verify", "--data-dir", str(gateway.data_dir)
        )
        assert status == 0, out
        await first.close()


async def test_a_full_line_is_a_503_that_says_when(
    tmp_path: Path, provider: ScriptedProvider, slots: Slots
) -> None:
    prompt = provider.play(slots.script)
    async with serving(tmp_path, provider, {"length_max": 1}) as gateway, aware(gateway) as socket:
        await create(socket, prompt, "0")
        await slots.until(1)
        await create(socket, prompt, "1")
        await until_waiting(gateway, default=1)
        answer = await post(gateway, body(MODEL, prompt, user="2"))
        assert (answer.status, answer.error["code"]) == (503, "queue_full")
        assert int(answer.headers["retry-after"]) >= 1
        assert int(answer.headers["retry-after-ms"]) >= 1
        metrics = (await fetch(gateway.port, "GET", "/metrics")).body.decode()
        assert 'tokenferry_queue_turned_away_total{provider="openai",reason="full"} 1.0' in metrics
        assert 'tokenferry_queue_waiting{provider="openai",service_class="default"} 1.0' in metrics
        await socket.close()


async def test_the_openai_sdk_comes_back_by_itself(
    tmp_path: Path, provider: ScriptedProvider, slots: Slots
) -> None:
    prompt = provider.play(slots.script)
    queue = {"length_max": 0}
    async with serving(tmp_path, provider, queue) as gateway, aware(gateway) as socket:
        await create(socket, prompt, "0")
        await slots.until(1)
        client = openai.AsyncOpenAI(
            base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=5
        )
        messages = [{"role": "user", "content": prompt}]
        asked = asyncio.create_task(
            client.chat.completions.create(model=MODEL, messages=messages, user="sdk")
        )
        async with asyncio.timeout(WAIT_S):
            while "full" not in (await fetch(gateway.port, "GET", "/metrics")).body.decode():
                await asyncio.sleep(0.01)
        slots.let_go()
        await slots.until(2)
        slots.let_go()
        answer = await asked
        assert answer.choices[0].message.content == "sdk 님의 차례"
        await client.close()
        await socket.close()


async def test_who_waited_too_long_goes_to_the_next_candidate(
    tmp_path: Path, provider: ScriptedProvider, slots: Slots
) -> None:
    prompt = provider.play(slots.script)
    entries = [
        provider_entry("openai", provider.url, "near", streams_max=1),
        provider_entry("openai", provider.url, "far"),
    ]
    gateway = Gateway(
        tmp_path,
        server=SERVER,
        providers=entries,
        aliases={"either": ["near/m-near", "far/m-far"]},
        tables={"queue": {"wait_max_s": 0.3}},
    )
    await gateway.start()
    try:
        async with aware(gateway) as socket:
            for name in ("1", "2", "3"):
                request = body("either", prompt, user=name)
                socket.send_json({"type": "create", "ref": name, "request": request})
            # The near one has one place; nobody waits while the far one is free.
            await slots.until(3)
            models = [exchange.request.json["model"] for exchange in provider.exchanges(prompt)]
            assert sorted(models) == ["m-far", "m-far", "m-near"]
            request = body("m-near", prompt, user="4")
            socket.send_json({"type": "create", "ref": "4", "request": request})
            failed = await socket.receive_type("error")
            assert (failed["error"]["code"], failed["done"]) == ("queue_timeout", True)
            for _ in range(3):
                slots.let_go()
            await socket.close()
        await gateway.stop()
    finally:
        await gateway.kill()


async def test_a_provider_that_refuses_is_sent_fewer(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    """The provider bears two at a time, and says so with 429; nobody notices but who waits."""
    bears, running, most, refused = 2, 0, 0, 0

    async def script(exchange: Exchange) -> None:
        nonlocal running, most, refused
        if running >= bears:
            refused += 1
            error = json.dumps({"error": {"message": "too many", "type": "rate_limit_error"}})
            exchange.head("429 Too Many Requests", framing="close", content_type="application/json",
                          headers={"retry-after-ms": "20"})  # fmt: skip
            exchange.send(error.encode())
            exchange.close()
            return
        running += 1
        most = max(most, running)
        exchange.head()
        for part in opening("openai"):
            exchange.chunk(part)
        exchange.chunk(token("openai", "네"))
        await asyncio.sleep(0.02)
        for part in closing("openai", 1):
            exchange.chunk(part)
        exchange.end()
        running -= 1

    prompt = provider.play(script)
    async with serving(tmp_path, provider, streams_max=0) as gateway:
        answers = await asyncio.gather(*(post(gateway, body(MODEL, prompt)) for _ in range(40)))
        statuses = [answer.status for answer in answers]
        # What was refused twice is told so; the others waited, and were served.
        assert set(statuses) <= {200, 429}
        late = [await post(gateway, body(MODEL, prompt)) for _ in range(5)]
        assert [answer.status for answer in late] == [200] * 5
        assert statuses.count(200) >= bears
        assert most == bears
        assert refused
        state = await waiting(gateway)
        assert (state["running"], state["default"]) == (0, 0)


async def test_texts_of_what_waited_are_whole(
    tmp_path: Path, provider: ScriptedProvider, slots: Slots
) -> None:
    prompt = provider.play(slots.script)
    async with serving(tmp_path, provider) as gateway:
        asked = [
            asyncio.create_task(ask(gateway, "sse", body(MODEL, prompt, user=f"{number}번")))
            for number in range(6)
        ]
        for turn in range(1, 7):
            await slots.until(turn)
            slots.let_go()
        texts = {text_of([]) or (await each).text for each in asked}
        assert texts == {f"{number}번 님의 차례" for number in range(6)}


async def test_who_is_told_that_nothing_is_left_calls_again_when_there_is(
    tmp_path: Path, provider: ScriptedProvider
) -> None:
    came_s: list[float] = []
    reset_s = 0.4

    async def script(exchange: Exchange) -> None:
        came_s.append(asyncio.get_running_loop().time())
        left = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "400ms"}
        if len(came_s) > 1:
            left = {"x-ratelimit-remaining-requests": "9", "x-ratelimit-reset-requests": "6m0s"}
        exchange.head(headers=left)
        for part in (*opening("openai"), token("openai", "남은 몫"), *closing("openai", 1)):
            exchange.chunk(part)
        exchange.end()

    prompt = provider.play(script)
    async with serving(tmp_path, provider, streams_max=0) as gateway:
        assert (await post(gateway, body(MODEL, prompt))).status == 200
        answers = await asyncio.gather(*(post(gateway, body(MODEL, prompt)) for _ in range(3)))
        assert [answer.status for answer in answers] == [200] * 3
        first_s, *later_s = came_s
        assert len(later_s) == 3
        # Held back by the gateway: it has heard of it only after this.
        assert min(later_s) >= first_s + reset_s
        facts = (await gateway.get("/v1/providers", gateway.key)).json["data"]
        [limit] = next(one for one in facts if one["name"] == "openai")["limits"]
        assert 0 < limit.pop("reset_ms") <= 360_000
        assert limit == {
            "position": 1, "model": MODEL, "kind": "requests", "limit": None, "remaining": 9,
            "hold_ms": 0,
        }  # fmt: skip
        metrics = (await fetch(gateway.port, "GET", "/metrics")).body.decode()
        labels = f'kind="requests",model="{MODEL}",position="1",provider="openai"'
        assert f"tokenferry_provider_limit_remaining{{{labels}}} 9.0" in metrics
        waited = 'tokenferry_queue_wait_seconds_count{provider="openai",service_class="default"}'
        assert f"{waited} 3.0" in metrics
        key = {"TOKENFERRY_API_KEY": gateway.key}
        status, out, _ = await gateway.command("providers", "status", "--url", gateway.url, **key)
        assert (status, "9 of ? requests" in out) == (0, True)
