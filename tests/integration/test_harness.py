"""The harness itself: what the other tests conclude from it must not be its own mistake."""

import asyncio
import json

import aiohttp.web
import pytest
import websockets

from harness import dialects, websocket
from harness.http_client import ConnectionFailed, connection, fetch, request_bytes
from harness.providers import (
    Exchange,
    answer,
    closed_port,
    cut,
    places_to_cut,
    replay,
    response_bytes,
    scripted_provider,
    silent_port,
)
from harness.reading import Usage, join_calls, read
from harness.sse import open_stream

TEXTS = ["안녕", "하세요 ", "🙂"]


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
async def test_a_replay_arrives_whole_wherever_it_is_cut(framing: str) -> None:
    blocks = dialects.whole("openai", TEXTS)
    size = len(response_bytes(blocks, framing))
    async with scripted_provider() as provider:
        prompt = provider.play(replay(blocks, framing=framing, at=range(1, size, 3)))
        response = await fetch(provider.port, "POST", "/x", body=prompt.encode())
    assert response.body == b"".join(blocks)
    assert response.headers["content-type"] == "text/event-stream"


def test_cutting_loses_nothing() -> None:
    assert cut(b"abcdef", [4, 2, 2, 0, 6, 9]) == [b"ab", b"cd", b"ef"]
    assert places_to_cut(4, every_byte_below=5, count=1, seed=1) == [1, 2, 3]
    assert len(places_to_cut(5000, every_byte_below=5, count=1000, seed=1)) == 1000


async def test_a_provider_sees_when_its_caller_goes_and_how_often_it_was_called() -> None:
    async def stall(exchange: Exchange) -> None:
        await exchange.until_gone()

    async with scripted_provider() as provider:
        prompt = provider.play(stall)
        async with connection(provider.port) as caller:
            caller.send(request_bytes("POST", "/x", {"X-Own": "1"}, prompt.encode()))
            exchange = await provider.exchange(prompt)
            assert not exchange.gone.is_set()
            caller.reset()
            await exchange.until_gone()
        assert len(provider.exchanges(prompt)) == 1
        assert exchange.request.headers["x-own"] == "1"
        assert exchange.request.body == prompt.encode()


async def test_a_reset_and_a_close_both_end_an_answer() -> None:
    async def reset(exchange: Exchange) -> None:
        exchange.head()
        exchange.chunk(b"data: x\n\n")
        await asyncio.sleep(0)
        exchange.reset()

    async def close(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\ndata")
        exchange.close()

    async with scripted_provider() as provider:
        for script in (reset, close):
            prompt = provider.play(script)
            with pytest.raises(ConnectionFailed):
                await fetch(provider.port, "POST", "/x", body=prompt.encode())


async def test_connections_are_kept_and_idle_ones_can_be_closed() -> None:
    async with scripted_provider() as provider:
        prompt = provider.play(answer("200 OK", b"{}"))
        async with connection(provider.port) as caller:
            for _ in range(2):
                caller.send(request_bytes("POST", "/x", {}, prompt.encode()))
                await caller.read_head()
                assert await caller.body() == b"{}"
            assert provider.connection_count == 1
            provider.close_idle_connections()
            with pytest.raises(ConnectionFailed):
                await caller.read_head()


async def test_a_request_without_a_script_is_kept_in_evidence() -> None:
    async with scripted_provider() as provider:
        response = await fetch(provider.port, "POST", "/x", body=b"who?")
        assert response.status == 500
        assert [request.body for request in provider.unscripted] == [b"who?"]


async def test_ports_that_refuse_and_that_never_answer() -> None:
    with closed_port() as port, pytest.raises(ConnectionFailed):
        await fetch(port, "GET", "/")
    with silent_port() as port, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await fetch(port, "GET", "/")


async def test_the_event_stream_client_reads_events_and_comments() -> None:
    blocks = [b": keep-alive\n\n", *dialects.whole("openai", TEXTS)]
    async with scripted_provider() as provider:
        size = len(response_bytes(blocks))
        prompt = provider.play(replay(blocks, at=range(1, size)))
        async with open_stream(provider.port, "key", {"prompt": prompt}) as stream:
            *events, last = await stream.rest()
    assert stream.comments == ["keep-alive"]
    assert last == "[DONE]"
    chunks = [json.loads(event) for event in events]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks[:-1]) == "".join(
        TEXTS
    )


async def test_the_websocket_client_against_a_foreign_server() -> None:
    async def echo(peer: websockets.ServerConnection) -> None:
        async for message in peer:
            await peer.send(message)
        # Runs when the client closed.

    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with websocket.connect(port) as socket:
            for size in (0, 125, 126, 65535, 65536, 200_000):
                socket.send_text("가" * size)
                assert (await socket.receive()).decode() == "가" * size
            data = "나다🙂".encode()
            socket.send_frame(websocket.TEXT, data[:1], fin=False)
            socket.send_frame(websocket.PING, b"between")
            socket.send_frame(websocket.CONTINUATION, data[1:])
            assert await socket.receive() == data
            await socket.close()


async def test_the_websocket_client_tells_how_the_connection_ended() -> None:
    async def leave(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        if "refuse" in request.headers:
            return aiohttp.web.json_response({"error": "no"}, status=403)
        response = aiohttp.web.WebSocketResponse()
        await response.prepare(request)
        await response.ping(b"?")
        await response.close(code=4001, message=b"because")
        return response

    app = aiohttp.web.Application()
    app.router.add_get(websocket.PATH, leave)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with websocket.connect(port) as socket:
        closed = await socket.closed()
        assert (closed.code, closed.reason, socket.pings) == (4001, "because", 1)
    with pytest.raises(websocket.Refused) as refused:
        async with websocket.connect(port, headers={"refuse": "yes"}):
            pass
    assert refused.value.response.status == 403
    await runner.cleanup()


@pytest.mark.parametrize("kind", dialects.KINDS)
def test_a_scripted_answer_reads_as_it_was_meant(kind: str) -> None:
    blocks = dialects.whole(kind, TEXTS)
    lines = [line for block in blocks for line in block.decode().split("\n")]
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    reading = read(kind, [event for event in data if event != "[DONE]"])
    assert reading.text == "".join(TEXTS)
    assert reading.finish_reason == "stop"
    assert reading.usage == Usage(11, 3, 14)


def test_fragments_of_calls_join_by_index_and_part_by_id() -> None:
    fragments = [
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}},
        {"index": 1, "id": "b", "function": {"name": "g", "arguments": ""}},
        {"index": 0, "function": {"arguments": "}"}},
        {"index": 1, "function": {"arguments": "[]"}},
        {"index": 0, "id": "c", "function": {"name": "h", "arguments": "1"}},
    ]
    assert join_calls(fragments) == [
        {"id": "a", "name": "f", "arguments": "{}"},
        {"id": "b", "name": "g", "arguments": "[]"},
        {"id": "c", "name": "h", "arguments": "1"},
    ]
