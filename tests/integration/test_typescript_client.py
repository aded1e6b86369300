"""The TypeScript client in Node against a real gateway, and all that can come between them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
import trustme
from chaos.faults import Fault, Kind
from chaos.proxy import Proxy

from harness.dialects import closing, opening, token
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import Exchange, ScriptedProvider, closed_port, replay
from harness.relay import Steps, relay_before
from harness.typescript import Driver, Told, build, driver

pytestmark = [pytest.mark.needs("node", "typescript"), pytest.mark.asyncio(loop_scope="module")]

MODEL = "m-openai"
PIECES = ["하나 ", "둘 ", "셋 ", "넷 ", "👩‍👩‍👧"]
# Long enough that a cut at any of the places below is within it.
LONG = [f"{number}: 가나다 👨‍👩‍👧‍👦 " for number in range(400)]
# Where connections break, in bytes of the gateway's: in the upgrade, the greeting, the answer.
# Then come two that break what the client says: its upgrade, and its `resume`.
FAULTS = [
    Fault(Kind.RESET, at_bytes=100),
    Fault(Kind.CUT, at_bytes=400),
    Fault(Kind.TRICKLE, at_bytes=2_000, piece_bytes=(1, 2, 3, 500)),
    Fault(Kind.RESET, at_bytes=9_001),
    Fault(Kind.HALF_OPEN, at_bytes=7_002),
    Fault(Kind.CUT, up=True, at_bytes=350),
    Fault(Kind.BLACK_HOLE, at_bytes=12_003),
]
BIG_PIECE = "바이트" * 700
BIG_COUNT = 300
BUFFER_BYTES = 100_000
# One chunk goes beyond the mark: as many pieces as the gateway merges for who is behind.
RECORD_BYTES_MAX = 300_000


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    return {
        "server": {**SERVER, "heartbeat_s": 1},
        "providers": [provider_entry("openai", provider.url)],
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Driver]:
    async with driver(build(tmp_path_factory.mktemp("dist"))) as running:
        yield running


@asynccontextmanager
async def client(node: Driver, url: str, key: str, **options: Any) -> AsyncIterator[Told]:
    """Open a client, and close it."""
    opened = node.send("open", options={"baseURL": url, "apiKey": key, **options})
    try:
        yield opened
    finally:
        node.send("close", client=opened.id)
        await opened.until("closed")


@asynccontextmanager
async def faulty(gateway: Gateway, faults: Sequence[Fault]) -> AsyncIterator[Proxy]:
    """Run a proxy whose first connections have these faults."""
    proxy = Proxy(gateway.port, lambda number: faults[number] if number < len(faults) else Fault())
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()


def ask(node: Driver, opened: Told, prompt: str, **more: Any) -> Told:
    return node.send("stream", client=opened.id, model=MODEL, prompt=prompt, **more)


def whole(told: Told, texts: Sequence[str]) -> None:
    """Make sure that the texts came, once each and in order, and that the end says the same."""
    shown = told.shown()
    assert "".join(chunk["text"] for chunk in shown) == "".join(texts)
    assert told.seen[-1]["text"] == "".join(texts)
    # With merged chunks a seq may be left out, but none comes twice.
    numbers = [chunk["seq"] for chunk in shown]
    assert numbers == sorted(set(numbers))
    assert not any(chunk["replaces"] for chunk in shown)


# -- connections that break ------------------------------------------------------------------


async def test_an_answer_whose_connection_is_cut_again_and_again(
    gateway: Gateway, provider: ScriptedProvider, node: Driver
) -> None:
    steps = Steps(PIECES)
    prompt = provider.play(steps)
    async with relay_before(gateway) as relay:
        relay.answers_withheld = 1
        async with client(node, relay.url, gateway.key) as opened:
            told = ask(node, opened, prompt)
            for count in (2, 1, 1, 1, 1):
                steps.give(1)
                await told.chunks(count)
                relay.cut()
            end = await told.until("end")
    whole(told, PIECES)
    assert end["finishReason"] == "stop"
    assert end["usage"]["completion_tokens"] == len(PIECES)
    assert [chunk["seq"] for chunk in told.shown()] == list(range(1, 7))
    assert len(provider.exchanges(prompt)) == 1
    states = [event["type"] for event in told.seen if event["type"] in ("started", "reconnecting")]
    assert states.count("started") == 1
    assert states.count("reconnecting") >= len(PIECES)


async def test_every_kind_of_fault(
    gateway: Gateway, provider: ScriptedProvider, node: Driver
) -> None:
    """Two streams share a connection; it breaks in the middle of Hangul and of an emoji, too."""
    script = replay([*opening("openai"), *map(token_of, LONG), *closing("openai", len(LONG))])
    prompts = [provider.play(script), provider.play(script)]
    async with faulty(gateway, FAULTS) as proxy:
        async with client(node, f"http://127.0.0.1:{proxy.port}", gateway.key) as opened:
            both = [ask(node, opened, prompt) for prompt in prompts]
            for told in both:
                await told.until("end")
                whole(told, LONG)
        assert proxy.cuts >= len(FAULTS) - 1  # the last fault may lie beyond what is left
    assert [len(provider.exchanges(prompt)) for prompt in prompts] == [1, 1]


def token_of(text: str) -> bytes:
    return token("openai", text)


async def fast(exchange: Exchange) -> None:
    """Give a long answer as fast as the gateway takes it."""
    exchange.head()
    for block in opening("openai"):
        exchange.chunk(block)
    for _ in range(BIG_COUNT):
        exchange.chunk(token_of(BIG_PIECE))
        await exchange.drain()
    for block in closing("openai", BIG_COUNT):
        exchange.chunk(block)
    exchange.end()


# -- one stream and its readers --------------------------------------------------------------


async def test_cancel_over_the_socket(
    gateway: Gateway, provider: ScriptedProvider, node: Driver
) -> None:
    steps = Steps(PIECES)
    prompt = provider.play(steps)
    async with client(node, gateway.url, gateway.key) as opened:
        told = ask(node, opened, prompt)
        steps.give(2)
        await told.chunks(3)
        cancelled = node.send("cancel", of=told.id)
        end = await told.until("end")
        await cancelled.until("cancelled")
    assert end["finishReason"] == "cancelled"
    assert end["text"] == "".join(PIECES[:2])
    await (await provider.exchange(prompt)).until_gone()


async def test_cancel_by_http_while_the_socket_is_down(
    gateway: Gateway, provider: ScriptedProvider, node: Driver
) -> None:
    steps = Steps(PIECES)
    prompt = provider.play(steps)
    async with (
        relay_before(gateway) as relay,
        client(node, relay.url, gateway.key) as opened,
    ):
        told = ask(node, opened, prompt)
        steps.give(2)
        await told.chunks(3)
        connections = relay.connections
        relay.cut()
        await told.until("reconnecting")
        cancelled = node.send("cancel", of=told.id)
        await cancelled.until("cancelled")
        end = await told.until("end")
        # That of the DELETE; on a slow machine the next socket's as well.
        assert relay.connections - connections in (1, 2)
    assert end["finishReason"] == "cancelled"
    assert end["text"] == "".join(PIECES[:2])
    assert end["usage"]["estimated"]
    await (await provider.exchange(prompt)).until_gone()


async def test_an_abort_ends_the_answer_for_the_reader_and_at_the_provider(
    gateway: Gateway, provider: ScriptedProvider, node: Driver
) -> None:
    steps = Steps(PIECES)
    prompt = provider.play(steps)
    async with client(node, gateway.url, gateway.key) as opened:
        told = ask(node, opened, prompt)
        steps.give(1)
        await told.chunks(2)
        node.send("abort", of=told.id)
        error = await told.until("error")
        assert (error["name"], error["code"]) == ("AbortError", "aborted")
        await (await provider.exchange(prompt)).until_gone()


async def test_a_second_client_follows_and_a_third_goes_on_from_what_was_saved(
    gateway: Gateway, provider: ScriptedProvider, node: Driver
) -> None:
    steps = Steps(PIECES)
    prompt = provider.play(steps)
    async with (
        client(node, gateway.url, gateway.key) as first,
        client(node, gateway.url, gateway.key) as second,
    ):
        told = ask(node, first, prompt)
        steps.give(3)
        await told.chunks(4)
        stream_id = told.seen[0]["streamId"]
        node.send("detach", of=told.id)
        followed = node.send("follow", client=second.id, streamId=stream_id)
        await followed.until("caughtUp")
        resumed = node.send("resume", client=first.id, of=told.id)
        await resumed.until("caughtUp")
        steps.give(2)
        ends = [await each.until("end") for each in (followed, resumed)]
    whole(followed, PIECES)
    assert "".join(chunk["text"] for chunk in resumed.shown()) == "".join(PIECES[3:])
    assert [end["text"] for end in ends] == ["".join(PIECES)] * 2
    assert len(provider.exchanges(prompt)) == 1


# -- pages -----------------------------------------------------------------------------------


async def test_a_page_exchanges_its_key_for_a_ticket_a_connection(
    gateway: Gateway, provider: ScriptedProvider, node: Driver
) -> None:
    steps = Steps(PIECES)
    prompt = provider.play(steps)
    async with (
        relay_before(gateway) as relay,
        client(node, relay.url, gateway.key, entry="browser") as opened,
    ):
        told = ask(node, opened, prompt)
        steps.give(3)
        await told.chunks(4)
        relay.cut()
        steps.give(2)
        await told.until("end")
        whole(told, PIECES)
        seen = await node.send("held", of=told.id).next()
    assert "hello" in seen["sent"]
    assert "auth" not in seen["sent"]
    *_, first, second = seen["tickets"]
    assert first.startswith("ticket.")
    assert first != second


async def test_a_ticket_that_went_bad_is_replaced_once(
    gateway: Gateway, provider: ScriptedProvider, node: Driver
) -> None:
    """Tickets are lost with the process that gave them; a second bad one is no accident."""
    prompt = provider.play(replay(answer_of("하나")))
    async with client(node, gateway.url, gateway.key, entry="browser", badTickets=1) as opened:
        await ask(node, opened, prompt).until("end")
    async with client(node, gateway.url, gateway.key, entry="browser", badTickets=9) as opened:
        error = await ask(node, opened, "?").until("error")
    assert (error["name"], error["status"]) == ("AuthenticationError", 401)


# -- errors ----------------------------------------------------------------------------------


async def failure(
    node: Driver, url: str, key: str, *, model: str = MODEL, **options: Any
) -> dict[str, Any]:
    """Return the error that a request ends with."""
    async with client(node, url, key, **options) as opened:
        return await node.send("stream", client=opened.id, model=model, prompt="?").until("error")


async def test_connections_that_cannot_be_made(gateway: Gateway, node: Driver) -> None:
    certificate = trustme.CA().issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    server = await asyncio.start_server(lambda _, out: out.close(), "127.0.0.1", 0, ssl=context)
    tls_port = server.sockets[0].getsockname()[1]
    key, once = gateway.key, {"maxRetries": 0}
    async with server, relay_before(gateway) as relay:
        with closed_port() as port:
            found = await asyncio.gather(
                failure(node, f"http://127.0.0.1:{port}", key, maxRetries=1),
                failure(node, relay.url.replace("ws:", "wss:"), key),
                failure(node, f"http://127.0.0.1:{tls_port}", key),
                failure(node, f"https://127.0.0.1:{tls_port}", key),
                failure(node, "http://name.invalid", key, **once),
                failure(node, f"{gateway.url}/elsewhere", key, **once),
            )
    assert [error["name"] for error in found] == [
        "ConnectionRefusedError",
        "WrongSchemeError",
        "WrongSchemeError",
        "CertificateError",
        "DNSError",
        "UpgradeError",
    ], found
    assert "http: or ws:" in found[1]["message"]
    assert relay.connections <= 3  # it was not tried again and again


async def test_a_key_that_cannot_be_right_connects_to_nothing(
    gateway: Gateway, node: Driver
) -> None:
    async with relay_before(gateway) as relay:
        wrong = gateway.key[:-1] + ("0" if gateway.key[-1] != "0" else "1")
        opened = node.send("open", options={"baseURL": relay.url, "apiKey": wrong})
        error = await opened.until("error")
        assert relay.connections == 0
    assert (error["name"], error["code"]) == ("InvalidKeyError", "invalid_api_key_format")
    assert wrong not in error["message"]


async def test_what_the_gateway_refuses(gateway: Gateway, node: Driver) -> None:
    broke, revoked = await asyncio.gather(
        gateway.create_key("broke", "--budget", "0.000001"), gateway.create_key("gone")
    )
    await gateway.revoke_key(revoked)
    found = await asyncio.gather(
        failure(node, gateway.url, revoked),
        failure(node, gateway.url, broke, model="demo"),
        failure(node, gateway.url, gateway.key, model="unknown"),
    )
    assert [(error["name"], error["status"], error["code"]) for error in found] == [
        ("AuthenticationError", 401, "invalid_api_key"),
        ("InsufficientCreditError", 402, "budget_exceeded"),
        ("NotFoundError", 404, "model_not_found"),
    ]
    assert found[1]["requestId"].startswith("c_")
    # The same over HTTP.
    async with client(node, gateway.url, revoked, entry="browser") as opened:
        errors = [
            await node.send("models", client=opened.id).until("error"),
            await ask(node, opened, "?").until("error"),
        ]
    for error in errors:
        assert (error["name"], error["status"]) == ("AuthenticationError", 401)
        assert error["requestId"].startswith("req_")


# -- limits ----------------------------------------------------------------------------------


async def test_requests_beyond_a_limit_wait_in_order(
    gateway: Gateway, provider: ScriptedProvider, node: Driver
) -> None:
    steps = Steps(PIECES)
    held = provider.play(steps)
    quick = [provider.play(replay(answer_of("하나"))) for _ in range(2)]
    key = await gateway.create_key("narrow", "--streams", "1")
    async with client(node, gateway.url, key) as opened:
        first = ask(node, opened, held)
        await first.until("started")
        refused = ask(node, opened, quick[0], options={"maxRetries": 0})
        error = await refused.until("error")
        assert (error["name"], error["code"]) == ("RateLimitError", "too_many_streams")
        assert error["limit"]["name"] == "streams_max"
        later = [ask(node, opened, prompt) for prompt in quick]
        waits = [await told.until("waiting") for told in later]
        assert waits[0]["ahead"] == 0
        assert 0 < waits[0]["waitMs"] <= error["retryAfterMs"]
        assert waits[0]["code"] == "too_many_streams"
        steps.give(len(PIECES))
        await first.until("end")
        for told in later:
            await told.until("end")
            whole(told, ["하나"])
    assert [len(provider.exchanges(prompt)) for prompt in quick] == [1, 1]


def answer_of(*texts: str) -> list[bytes]:
    return [*opening("openai"), *map(token_of, texts), *closing("openai", len(texts))]


async def test_who_would_wait_too_long_is_told_at_once(
    gateway: Gateway, provider: ScriptedProvider, node: Driver
) -> None:
    prompts = [provider.play(replay(answer_of("하나"))) for _ in range(3)]
    key = await gateway.create_key("slow", "--rpm", "1")
    async with client(node, gateway.url, key, queueWaitMs=5_000, queueMax=1) as opened:
        await ask(node, opened, prompts[0]).until("end")
        error = await ask(node, opened, prompts[1]).until("error")
        assert (error["name"], error["status"]) == ("RateLimitError", 429)
        assert 5_000 < error["retryAfterMs"] <= 60_000
    assert provider.exchanges(prompts[1]) == []
    async with client(node, gateway.url, key, queueWaitMs=300_000, queueMax=1) as opened:
        waits = ask(node, opened, prompts[1])
        await waits.until("waiting")
        full = await ask(node, opened, prompts[2]).until("error")
        assert full["name"] == "QueueFullError"
        node.send("abort", of=waits.id)
        assert (await waits.until("error"))["name"] == "AbortError"
    assert provider.exchanges(prompts[1]) == []


# -- a slow reader, and a server that dies; the last ones, for they take the gateway along ------


async def test_a_reader_that_does_not_read_and_a_server_that_is_killed_meanwhile(
    gateway: Gateway, provider: ScriptedProvider, node: Driver
) -> None:
    prompt, running = provider.play(fast), provider.play(steps := Steps(PIECES))
    async with client(node, gateway.url, gateway.key, bufferBytes=BUFFER_BYTES) as opened:
        held = ask(node, opened, prompt, held=True)
        stream_id = (await held.until("started"))["streamId"]
        other = ask(node, opened, running)
        steps.give(2)
        await other.chunks(3)
        async with asyncio.timeout(20):
            while await state_of(gateway, stream_id) != "done":
                await asyncio.sleep(0.02)
        state = await node.send("held", of=held.id).next()
        assert state["paused"]
        assert BUFFER_BYTES < state["bufferedBytes"] < BUFFER_BYTES + RECORD_BYTES_MAX
        await gateway.kill()
        await gateway.start()
        error = await other.until("error")
        assert (error["name"], error["code"]) == ("UpstreamError", "upstream_lost")
        assert "".join(chunk["text"] for chunk in other.shown()) == "".join(PIECES[:2])
        node.send("read", of=held.id)
        await held.until("end")
    whole(held, [BIG_PIECE] * BIG_COUNT)
    assert len(provider.exchanges(prompt)) == 1


async def state_of(gateway: Gateway, stream_id: str) -> str:
    return str((await gateway.get(f"/v1/streams/{stream_id}", gateway.key)).json["state"])
