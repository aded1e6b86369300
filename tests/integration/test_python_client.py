"""The Python client against a real gateway, through a relay that cuts its connections."""

import asyncio
import gc
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import trustme

from harness import dialects
from harness.answers import body
from harness.gateway import SERVER, Gateway, free_port, provider_entry
from harness.providers import (
    Exchange,
    ScriptedProvider,
    answer,
    closed_port,
    replay,
    silent_port,
)
from harness.relay import Steps, relay_before
from tokenferry_client import (
    AsyncStream,
    AsyncTokenferry,
    AuthenticationError,
    CertificateError,
    Chunk,
    ClientClosedError,
    ConnectionLostError,
    ConnectionRefusedByHostError,
    ConnectTimeoutError,
    Done,
    Event,
    GatewayConnectionError,
    HostNotFoundError,
    InsufficientCreditError,
    InvalidKeyError,
    NotFoundError,
    PermissionDeniedError,
    Position,
    PositionAhead,
    Queued,
    RateLimitError,
    RateLimits,
    Reconnecting,
    Started,
    TokenferryError,
    UpstreamError,
    Waiting,
    WrongSchemeError,
    feed,
    link,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

PIECES = ["하나 ", "둘 ", "셋 ", "넷 ", "👩‍👩‍👧"]
TEXT = "".join(PIECES)
TIMEOUT_S = 30
PRICED = "m-priced"
TOKENS = 100_000
# Every byte of a short answer would be some thousand connections; each of these meets another
# part of frame or upgrade.
CUTS_BYTES = [*range(1, 200, 23), *range(200, 1400, 37)]


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    return {
        "server": {**SERVER, "heartbeat_s": 1},
        "providers": [
            provider_entry("openai", provider.url),
            provider_entry("openai", provider.url, "priced"),
            provider_entry("openai", provider.url, "narrow", streams_max=1),
        ],
        "tables": {"limits": {"requests_per_minute": 0, "tokens_per_minute": TOKENS}},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(gateway: Gateway) -> AsyncIterator[AsyncTokenferry]:
    async with AsyncTokenferry(api_key=gateway.key, base_url=gateway.url) as client:
        yield client


def asks(prompt: str, model: str = "m-openai", **more: Any) -> dict[str, Any]:
    """Return a request that takes next to nothing of the limits."""
    return {**body(model, prompt), "max_tokens": 10, **more}


async def next_chunks(stream: AsyncStream, count: int) -> list[Chunk]:
    chunks: list[Chunk] = []
    async with asyncio.timeout(TIMEOUT_S):
        while len(chunks) < count:
            chunks.append(await anext(stream))
    return chunks


async def everything(stream: AsyncStream) -> list[Event]:
    async with asyncio.timeout(TIMEOUT_S):
        return [event async for event in stream.events()]


def text_of(events: list[Chunk] | list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Chunk))


def seqs(events: list[Event] | list[Chunk]) -> list[int]:
    return [event.seq for event in events if isinstance(event, Chunk)]


class TestAnswers:
    async def test_an_answer(self, client: AsyncTokenferry, provider: ScriptedProvider) -> None:
        steps = Steps(PIECES)
        stream = client.stream(**asks(provider.play(steps)))
        assert (stream.id, stream.position, stream.usage) == (None, None, None)
        steps.give(5)
        events = await everything(stream)
        assert isinstance(events[0], Started)
        assert text_of(events) == stream.answer.text() == TEXT
        assert isinstance(events[-1], Done)
        assert stream.ended
        assert stream.finish_reason == "stop"
        assert stream.usage is not None
        assert stream.usage["completion_tokens"] == len(PIECES)
        assert stream.id == events[0].stream_id
        assert stream.position == Position(events[0].stream_id, 1, 7)
        (limits,) = [event for event in events if isinstance(event, RateLimits)]
        assert [(limit.name, limit.limit) for limit in limits.limits] == [("tokens", TOKENS)]

    async def test_reasoning_tools_and_refusal(
        self, client: AsyncTokenferry, provider: ScriptedProvider
    ) -> None:
        deltas: list[dict[str, Any]] = [
            {"reasoning_content": "생각 "},
            {"reasoning_content": "중"},
            {"content": "네. "},
            {"tool_calls": [_call(0, "call_1", "날씨", '{"도')]},
            {"tool_calls": [_call(1, "call_2", "time", "{}")]},
            {"tool_calls": [_call(0, None, None, '시":"서울"}')]},
            {"refusal": "아니요"},
        ]

        async def script(exchange: Exchange) -> None:
            exchange.head()
            for delta in deltas:
                exchange.chunk(dialects.block("openai", _chunk(delta)))
            for block in dialects.closing("openai", 7):
                exchange.chunk(block)
            exchange.end()

        final = await client.stream(**asks(provider.play(script))).final()
        assert (final.text, final.reasoning, final.refusal) == ("네. ", "생각 중", "아니요")
        assert [(call.id, call.name, call.arguments) for call in final.tool_calls] == [
            ("call_1", "날씨", '{"도시":"서울"}'),
            ("call_2", "time", "{}"),
        ]

    async def test_models(self, client: AsyncTokenferry) -> None:
        names = [model.id for model in await client.models.list()]
        assert {"demo", "m-openai", PRICED} <= set(names)

    async def test_the_place_in_the_gateways_line(
        self, client: AsyncTokenferry, provider: ScriptedProvider
    ) -> None:
        both = [Steps(PIECES), Steps(PIECES)]
        first, second = (client.stream(**asks(provider.play(steps), "m-narrow")) for steps in both)
        for steps in both:
            steps.give(1)
        await next_chunks(first, 1)
        async with asyncio.timeout(TIMEOUT_S):
            async for event in second.events():
                if isinstance(event, Queued):
                    break
        assert event.position == 0
        await first.close()
        both[1].give(4)
        assert await second.text() == TEXT


def _chunk(delta: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }


def _call(index: int, id_: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {
        "index": index,
        "type": "function",
        **({"id": id_} if id_ else {}),
        "function": {key: value for key, value in function.items() if value is not None},
    }


class TestLostConnections:
    async def test_two_answers_on_one_connection_that_is_cut_again_and_again(
        self, gateway: Gateway, provider: ScriptedProvider
    ) -> None:
        steps = [Steps(PIECES), Steps(PIECES)]
        prompts = [provider.play(script) for script in steps]
        async with (
            relay_before(gateway) as relay,
            AsyncTokenferry(api_key=gateway.key, base_url=relay.url) as client,
        ):
            streams = [client.stream(**asks(prompt)) for prompt in prompts]
            seen: list[list[Event]] = [[], []]
            # The first token brings a record of its own.
            for count in (2, 1, 1, 1, 1):
                for events, script, stream in zip(seen, steps, streams, strict=True):
                    script.give(1)
                    events.extend(await next_chunks(stream, count))
                relay.cut()
            for events, stream in zip(seen, streams, strict=True):
                events.extend(await everything(stream))
                assert text_of(events) == stream.answer.text() == TEXT
                assert isinstance(events[-1], Done)
                assert seqs(events) == list(range(1, 7))
            # The end may have come before the last cut.
            assert len(PIECES) <= relay.connections <= 1 + len(PIECES)
        for prompt in prompts:
            assert len(provider.exchanges(prompt)) == 1

    async def test_a_cut_at_any_byte(self, gateway: Gateway, provider: ScriptedProvider) -> None:
        """One connection after the other ends after so many bytes of the gateway's."""
        prompt = provider.play(replay(dialects.whole("openai", PIECES)))

        async def one(cut: int) -> tuple[list[Event], AsyncStream, int]:
            async with relay_before(gateway) as relay:
                relay.cut_after = [cut, cut + 7]
                async with AsyncTokenferry(
                    api_key=gateway.key, base_url=relay.url, connect_attempts=5
                ) as client:
                    stream = client.stream(**asks(prompt))
                    return await everything(stream), stream, relay.connections

        for events, stream, connections in await asyncio.gather(*map(one, CUTS_BYTES)):
            assert text_of(events) == stream.answer.text() == TEXT
            assert isinstance(events[-1], Done)
            assert seqs(events) == sorted(set(seqs(events)))
            assert connections >= 2
        assert len(provider.exchanges(prompt)) == len(CUTS_BYTES)

    async def test_a_create_whose_answer_is_lost_generates_once(
        self, gateway: Gateway, provider: ScriptedProvider
    ) -> None:
        steps = Steps(PIECES)
        prompt = provider.play(steps)
        async with (
            relay_before(gateway) as relay,
            AsyncTokenferry(api_key=gateway.key, base_url=relay.url) as client,
        ):
            relay.answers_withheld = 2
            stream = client.stream(**asks(prompt))
            steps.give(5)
            events = await everything(stream)
            assert relay.connections == 3
        assert text_of(events) == TEXT
        told = [event for event in events if isinstance(event, Reconnecting)]
        assert len(told) == 2
        assert all(event.delay_ms > 0 for event in told)
        assert len(provider.exchanges(prompt)) == 1

    async def test_a_connection_that_was_lost_while_idle_is_no_news(
        self, gateway: Gateway, provider: ScriptedProvider
    ) -> None:
        prompt = provider.play(replay(dialects.whole("openai", PIECES)))
        async with (
            relay_before(gateway) as relay,
            AsyncTokenferry(api_key=gateway.key, base_url=relay.url) as client,
        ):
            assert await client.stream(**asks(prompt)).text() == TEXT
            relay.cut()
            await asyncio.wait({client._session._connection.task})
            events = await everything(client.stream(**asks(prompt)))
            assert relay.connections == 2
        assert text_of(events) == TEXT
        assert not [event for event in events if isinstance(event, Reconnecting)]

    async def test_silence_is_noticed(
        self, gateway: Gateway, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A black hole, and a gateway whose side is gone while the client's stands."""
        monkeypatch.setattr(link, "GRACE_MS", 100)
        monkeypatch.setattr(link, "HEARTBEAT_MS_MAX", 200)
        steps = Steps(PIECES)
        async with (
            relay_before(gateway) as relay,
            AsyncTokenferry(api_key=gateway.key, base_url=relay.url) as client,
        ):
            stream = client.stream(**asks(provider.play(steps)))
            steps.give(2)
            seen: list[Event] = [*await next_chunks(stream, 3)]
            relay.silent = True
            steps.give(2)
            async with asyncio.timeout(TIMEOUT_S):
                while not isinstance(await stream.next_event(), Reconnecting):
                    pass
            relay.silent = False
            steps.give(1)
            rest = await everything(stream)
            assert text_of(seen + rest) == TEXT
            assert seqs(seen + rest) == list(range(1, 7))
            assert relay.connections >= 2

    async def test_cancel_without_a_connection(
        self, gateway: Gateway, provider: ScriptedProvider
    ) -> None:
        steps = Steps(PIECES)
        prompt = provider.play(steps)
        async with (
            relay_before(gateway) as relay,
            AsyncTokenferry(api_key=gateway.key, base_url=relay.url) as client,
        ):
            stream = client.stream(**asks(prompt))
            steps.give(2)
            await next_chunks(stream, 3)
            relay.cut()
            stream.cancel()
            final = await stream.final()
        assert final.finish_reason == "cancelled"
        assert final.usage is not None
        await (await provider.exchange(prompt)).until_gone()

    async def test_a_gateway_that_is_gone_for_good(
        self, gateway: Gateway, provider: ScriptedProvider
    ) -> None:
        steps = Steps(PIECES)
        async with relay_before(gateway) as relay:
            client = AsyncTokenferry(
                api_key=gateway.key, base_url=relay.url, reconnect_for=0.2, timeout=1
            )
            stream = client.stream(**asks(provider.play(steps)))
            steps.give(2)
            await next_chunks(stream, 3)
            relay.redirect(free_port())
            relay.cut()
            with pytest.raises(ConnectionLostError) as caught:
                await everything(stream)
        assert caught.value.retryable
        assert caught.value.position == Position(stream.id or "", 1, 3)
        await client.close()
        async with AsyncTokenferry(api_key=gateway.key, base_url=gateway.url) as other:
            rest = other.resume(str(caught.value.position))
            steps.give(3)
            assert stream.answer.text() + await rest.text() == TEXT


class TestLeaving:
    async def test_follow_from_the_middle_and_from_the_end(
        self, client: AsyncTokenferry, provider: ScriptedProvider
    ) -> None:
        steps = Steps(PIECES)
        stream = client.stream(**asks(provider.play(steps)))
        steps.give(5)
        await everything(stream)
        assert stream.id is not None
        whole = await everything(client.follow(stream.id))
        middle = await everything(client.resume(Position(stream.id, 1, 3)))
        end = await everything(client.resume(f"{stream.id}@1-7"))
        assert text_of(whole) == TEXT
        assert text_of(middle) == "".join(PIECES[2:])
        assert text_of(end) == ""
        assert [event.finish_reason for event in end if isinstance(event, Done)] == ["stop"]

    async def test_detach_goes_on_and_closing_fails(
        self, gateway: Gateway, provider: ScriptedProvider
    ) -> None:
        scripts = [Steps(PIECES), Steps(PIECES)]
        async with AsyncTokenferry(api_key=gateway.key, base_url=gateway.url) as client:
            left, kept = (client.stream(**asks(provider.play(script))) for script in scripts)
            for script, stream in zip(scripts, (left, kept), strict=True):
                script.give(1)
                await next_chunks(stream, 2)
            left.detach()
            assert await everything(left) == []
            for whole in (left.text, left.final):
                with pytest.raises(TokenferryError, match="resume") as caught:
                    await whole()
                assert caught.value.code == "detached"
        with pytest.raises(ClientClosedError):
            await everything(kept)
        with pytest.raises(ClientClosedError):
            client.stream(**asks("?"))
        async with AsyncTokenferry(api_key=gateway.key, base_url=gateway.url) as client:
            for script, stream in zip(scripts, (left, kept), strict=True):
                assert stream.position is not None
                script.give(4)
                rest = await everything(client.resume(stream.position))
                assert stream.answer.text() + text_of(rest) == TEXT

    async def test_what_is_left_or_dropped_is_cancelled(
        self, client: AsyncTokenferry, provider: ScriptedProvider
    ) -> None:
        steps = [Steps(PIECES), Steps(PIECES)]
        prompts = [provider.play(script) for script in steps]
        stream = client.stream(**asks(prompts[0]))
        steps[0].give(2)
        with pytest.raises(KeyError, match="mine"):
            await _fail_inside(stream)
        assert stream.finish_reason == "cancelled"
        assert stream.usage is not None
        steps[1].give(2)
        async for _ in client.stream(**asks(prompts[1])):
            break
        gc.collect()
        for prompt in prompts:
            await (await provider.exchange(prompt)).until_gone()


async def _fail_inside(stream: AsyncStream) -> None:
    async with stream:
        await next_chunks(stream, 1)
        raise KeyError("mine")


class TestSlowReader:
    async def test_memory_is_bounded_and_nothing_is_lost(
        self, client: AsyncTokenferry, provider: ScriptedProvider
    ) -> None:
        """The reader of one of two answers sleeps while thousands of pieces come for it."""
        pieces = [f"{number}번째 🙂 " for number in range(3_000)]
        both = [Steps(pieces), Steps(PIECES)]
        slow, quick = (client.stream(**asks(provider.play(script))) for script in both)
        both[0].give(len(pieces))
        await next_chunks(slow, 1)
        async with asyncio.timeout(TIMEOUT_S):
            while not slow._feed.paused:
                await asyncio.sleep(0.01)
        at_most = slow._feed.size
        both[1].give(5)
        assert await quick.text() == TEXT
        # The end of the other answer has come behind all that was on the way for this one.
        assert at_most <= slow._feed.size < feed.EVENTS_MAX + 64
        chunks = await next_chunks(slow, 1)
        async for chunk in slow:
            chunks.append(chunk)
        assert slow.answer.text() == "".join(pieces)
        assert seqs(chunks) == sorted(set(seqs(chunks)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def limited_key(gateway: Gateway) -> str:
    """A key whose limit other tests do not use; each of these gives back all that it took."""
    return await gateway.create_key()


class TestLimits:
    async def test_refused_requests_wait_in_order(
        self, gateway: Gateway, provider: ScriptedProvider, limited_key: str
    ) -> None:
        async with AsyncTokenferry(api_key=limited_key, base_url=gateway.url) as client:
            steps = [Steps(PIECES) for _ in range(4)]
            prompts = [provider.play(script) for script in steps]
            first = client.stream(**asks(prompts[0], max_tokens=TOKENS - 100))
            await _until_started(first)
            # Each of these is beyond what is left for a second: a shorter time passes by itself
            # before they are asked for, on a busy machine.
            waiting = [client.stream(**asks(prompt, max_tokens=1_700)) for prompt in prompts[1:]]
            for script in steps[1:]:
                script.give(5)
            order: list[int] = []

            async def read(number: int) -> list[Event]:
                events = []
                async for event in waiting[number].events():
                    events.append(event)
                    order.extend([number] if isinstance(event, Started) else [])
                return events

            async with asyncio.timeout(TIMEOUT_S):
                events = await asyncio.gather(*map(read, range(3)))
            steps[0].give(5)
            assert await first.text() == TEXT
        assert [text_of(each) for each in events] == [TEXT] * 3
        told = [event for each in events for event in each if isinstance(event, Waiting)]
        assert told
        assert {event.code for event in told} == {"rate_limit_exceeded"}
        assert max(event.wait_ms for event in told) > 0
        assert order == [0, 1, 2]
        assert all(len(provider.exchanges(prompt)) == 1 for prompt in prompts)

    async def test_who_does_not_want_to_wait_is_told(
        self, gateway: Gateway, provider: ScriptedProvider, limited_key: str
    ) -> None:
        async with (
            AsyncTokenferry(api_key=limited_key, base_url=gateway.url, max_retries=0) as client,
            client.stream(**asks(provider.play(Steps(PIECES)), max_tokens=TOKENS - 100)) as first,
        ):
            await _until_started(first)
            with pytest.raises(RateLimitError) as caught:
                await client.stream(**asks("?", max_tokens=500)).text()
        assert caught.value.code == "rate_limit_exceeded"
        assert caught.value.status == 429
        assert caught.value.retryable
        assert caught.value.retry_after_ms
        assert caught.value.limit is not None
        assert caught.value.limit["name"] == "tokens_per_minute"

    async def test_the_wait_and_the_line_have_limits(
        self, gateway: Gateway, provider: ScriptedProvider, limited_key: str
    ) -> None:
        async with (
            AsyncTokenferry(
                api_key=limited_key, base_url=gateway.url, max_wait=0.5, queue_max=1
            ) as client,
            client.stream(**asks(provider.play(Steps(PIECES)), max_tokens=TOKENS - 100)) as first,
        ):
            await _until_started(first)
            # It would have to wait for half a minute: that is said at once.
            with pytest.raises(RateLimitError) as caught:
                await client.stream(**asks("?", max_tokens=50_000)).text()
            assert (caught.value.retry_after_ms or 0) > 10_000
            in_line = client.stream(**asks("?"))
            with pytest.raises(RateLimitError, match="wait already"):
                client.stream(**asks("?"))
            in_line.cancel()
            assert (await in_line.final()).finish_reason == "cancelled"
            late = client.stream(**asks("?"))
            with pytest.raises(RateLimitError, match=r"waited for 0\.5 s"):
                await late.text()


async def _until_started(stream: AsyncStream) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not isinstance(await stream.next_event(), Started):
            pass


class TestRefusals:
    async def test_a_key_that_is_none_is_told_before_anything_is_sent(self) -> None:
        with pytest.raises(InvalidKeyError, match="begin with `tf_`"):
            AsyncTokenferry(api_key="sk-proj-1234", base_url="http://127.0.0.1:1")

    async def test_401_in_the_middle_and_at_the_door(
        self, gateway: Gateway, provider: ScriptedProvider
    ) -> None:
        key = await gateway.create_key()
        steps = Steps(PIECES)
        async with (
            relay_before(gateway) as relay,
            AsyncTokenferry(api_key=key, base_url=relay.url) as client,
        ):
            stream = client.stream(**asks(provider.play(steps)))
            steps.give(1)
            await next_chunks(stream, 2)
            await gateway.revoke_key(key)
            with pytest.raises(AuthenticationError) as caught:
                await everything(stream)
            assert caught.value.position == stream.position
            relay.connections = 0
            with pytest.raises(AuthenticationError) as caught:
                await client.stream(**asks("?")).text()
            # It is told by HTTP, and not tried again.
            assert relay.connections == 1
            assert caught.value.code == "invalid_api_key"
            assert caught.value.status == 401
            assert not caught.value.retryable
            assert (caught.value.request_id or "").startswith("req_")
            with pytest.raises(AuthenticationError):
                await client.models.list()

    async def test_402_and_403(self, gateway: Gateway) -> None:
        where = ("--data-dir", str(gateway.data_dir))
        await gateway.command("accounts", "create", "a@example.com", *where)
        price = ("--input", "1000", "--output", "2000", "--output-max", "1000")
        await gateway.command("prices", "set", PRICED, *price, *where)
        key = await gateway.create_key("poor", "--account", "a@example.com")
        # A running server looks at its prices once a second.
        async with asyncio.timeout(TIMEOUT_S):
            while (await gateway.get(f"/v1/models/{PRICED}", key)).json["pricing"] is None:
                await asyncio.sleep(0.05)
        async with AsyncTokenferry(api_key=key, base_url=gateway.url) as client:
            with pytest.raises(InsufficientCreditError) as caught:
                await client.stream(**asks("?", PRICED)).text()
            assert (caught.value.code, caught.value.status) == ("insufficient_credit", 402)
            with pytest.raises(PermissionDeniedError, match="price"):
                await client.stream(**asks("?")).text()

    async def test_404_and_400(self, client: AsyncTokenferry, provider: ScriptedProvider) -> None:
        with pytest.raises(NotFoundError) as caught:
            await client.stream(**asks("?", "no-such-model")).text()
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
        with pytest.raises(NotFoundError):
            await client.follow("st_nobodys").text()
        stream = client.stream(**asks(provider.play(replay(dialects.whole("openai", PIECES)))))
        await stream.text()
        with pytest.raises(PositionAhead):
            await client.resume(Position(stream.id or "", 1, 99)).text()

    async def test_a_provider_that_fails(
        self, client: AsyncTokenferry, provider: ScriptedProvider
    ) -> None:
        prompt = provider.play(answer("401 Unauthorized", b'{"error": {"message": "no"}}'))
        stream = client.stream(**asks(prompt))
        with pytest.raises(UpstreamError) as caught:
            await stream.text()
        assert caught.value.code == "provider_auth_failed"
        assert caught.value.position is not None
        assert caught.value.request_id == stream.id

    async def test_the_text_of_an_answer_that_failed_can_still_be_read(
        self, tmp_path: Path, provider: ScriptedProvider
    ) -> None:
        """The gateway keeps the chunks for a moment only, and the text after that."""
        cut_off = [*dialects.opening("openai"), *(dialects.token("openai", it) for it in PIECES)]
        server, providers = {**SERVER, "retention_s": 0.1}, [provider_entry("openai", provider.url)]
        gateway = Gateway(tmp_path, server=server, providers=providers)
        await gateway.start()
        try:
            async with AsyncTokenferry(api_key=gateway.key, base_url=gateway.url) as client:
                first = client.stream(**asks(provider.play(replay(cut_off))))
                with pytest.raises(UpstreamError, match="provider"):
                    await everything(first)
                async with asyncio.timeout(TIMEOUT_S):
                    replaced = False
                    while not replaced:
                        again, shown = client.follow(first.id or ""), list[Chunk]()
                        with pytest.raises(UpstreamError) as caught:
                            await _read_into(shown, again)
                        replaced = shown[0].replaces
            assert text_of(shown) == again.answer.text() == TEXT
            assert caught.value.code == "provider_cut_off"
            assert (again.usage, again.ended) == (first.usage, True)
        finally:
            await gateway.kill()


async def _read_into(shown: list[Chunk], stream: AsyncStream) -> None:
    async for chunk in stream:
        shown.append(chunk)  # noqa: PERF401 -- what came before the error is kept


@asynccontextmanager
async def answering(said: str) -> AsyncIterator[str]:
    """Run a server that answers whatever is asked so, and give its address."""

    async def answer_so(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer_so, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


LIMIT_BODY = (
    '{"error": {"code": "too_many_connections", "message": "One connection may be open.", '
    '"type": "rate_limit_error", "param": null, "retryable": true}}'
)


class TestConnecting:
    async def test_refused(self, gateway: Gateway) -> None:
        with closed_port() as port:
            address = f"http://127.0.0.1:{port}"
            await self._fails(address, gateway.key, ConnectionRefusedByHostError, "Nothing listens")

    async def test_unknown_host(self, gateway: Gateway) -> None:
        address = "http://no-such-host.invalid"
        await self._fails(address, gateway.key, HostNotFoundError, "not known")

    async def test_a_server_that_says_nothing(self, gateway: Gateway) -> None:
        with silent_port() as port:
            address = f"http://127.0.0.1:{port}"
            said = r"within 0\.3 s"
            await self._fails(address, gateway.key, ConnectTimeoutError, said, timeout=0.3)

    async def test_https_where_http_is_right(self, gateway: Gateway) -> None:
        await self._fails(
            f"https://127.0.0.1:{gateway.port}",
            gateway.key,
            WrongSchemeError,
            f"Write http://127.0.0.1:{gateway.port} in place of https",
        )

    async def test_a_proxy_that_leads_elsewhere(self, gateway: Gateway) -> None:
        address = f"{gateway.url}/elsewhere"
        await self._fails(address, gateway.key, GatewayConnectionError, "HTTP 404")

    @pytest.mark.parametrize(
        ("headers", "body", "told"),
        [
            (
                "retry-after-ms: 1500\r\nretry-after: 2",
                LIMIT_BODY,
                ("too_many_connections", "One connection may be open.", 1500),
            ),
            ("Retry-After: 7", "slow down", ("http_429", "not from the gateway itself", 7000)),
            ("Retry-After: tomorrow", "", ("http_429", "not from the gateway itself", None)),
        ],
    )
    async def test_a_limit_in_the_way(
        self, gateway: Gateway, headers: str, body: str, told: tuple[str, str, int | None]
    ) -> None:
        head = f"HTTP/1.1 429 -\r\n{headers}\r\nContent-Length: {len(body)}\r\n\r\n"
        async with (
            answering(head + body) as address,
            AsyncTokenferry(api_key=gateway.key, base_url=address, max_retries=0) as client,
        ):
            code, said, wait_ms = told
            with pytest.raises(RateLimitError, match=said) as caught:
                await client.stream(**asks("?")).text()
        found = caught.value
        assert (found.code, found.retryable, found.retry_after_ms) == (code, True, wait_ms)

    @pytest.mark.parametrize(
        ("location", "kind", "to"),
        [
            ("https://127.0.0.1/v1/stream", WrongSchemeError, "https://127.0.0.1"),
            ("https://other.test/llm/v1/stream", GatewayConnectionError, "https://other.test/llm"),
            ("not:an/address", GatewayConnectionError, "not:an/address"),
        ],
    )
    async def test_an_address_that_leads_elsewhere(
        self, gateway: Gateway, location: str, kind: type[GatewayConnectionError], to: str
    ) -> None:
        head = f"HTTP/1.1 301 -\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        async with answering(head) as address:
            said = re.escape(f"{address} leads to {to}: that may be")
            await self._fails(address, gateway.key, kind, said)

    async def test_an_address_that_leads_to_what_is_none(self, gateway: Gateway) -> None:
        head = "HTTP/1.1 301 -\r\nLocation: https://[bad\r\nContent-Length: 0\r\n\r\n"
        async with answering(head) as address:
            await self._fails(address, gateway.key, GatewayConnectionError, "what is no address")

    async def test_tls(self, gateway: Gateway) -> None:
        """Another gateway with a certificate: plain to it, unknown authority, and right."""
        authority = trustme.CA()
        offered = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(offered)
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        async with relay_before(gateway, offered) as relay:
            right = relay.url.replace("wss", "https").removesuffix("/v1/stream")
            wrong = relay.url.replace("wss", "ws")
            await self._fails(wrong, gateway.key, WrongSchemeError, f"Write {right} in place of")
            await self._fails(right, gateway.key, CertificateError, "SSL_CERT_FILE")
            async with AsyncTokenferry(
                api_key=gateway.key, base_url=relay.url, ssl=trusting
            ) as client:
                assert await client.stream(**asks("안녕", "demo")).text()
                assert await client.models.list()

    async def _fails(
        self,
        address: str,
        key: str,
        error: type[GatewayConnectionError],
        said: str,
        timeout: float = TIMEOUT_S,
    ) -> None:
        async with AsyncTokenferry(
            api_key=key, base_url=address, connect_attempts=1, timeout=timeout
        ) as client:
            with pytest.raises(error, match=said) as caught:
                await client.stream(**asks("?")).text()
            assert type(caught.value) is error
