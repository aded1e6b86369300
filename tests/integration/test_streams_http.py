"""The streams of a key over HTTP: resuming, following, idempotency, ending, listing."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from harness import websocket
from harness.answers import body
from harness.dialects import closing, opening, token
from harness.gateway import SERVER, Gateway, provider_entry
from harness.http_client import Exchange as Client
from harness.http_client import Response, connection, fetch, request_bytes
from harness.providers import Exchange, ScriptedProvider
from harness.sse import PATH

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXTS = ["안녕", " 하세요 ", "🙂", "👩‍👩‍👧 ", "끝"]
COMMENT = b": keep-alive\n\n"
DONE = b"data: [DONE]"
FOLLOWERS_MAX = 64
AT_ONCE_S = 2.0


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    return {"server": SERVER, "providers": [provider_entry("openai", provider.url)]}


class Steps:
    """A script whose tokens the test releases; the answer ends after the last one."""

    def __init__(self, released: int = 0) -> None:
        self._leave = asyncio.Semaphore(released)

    def give(self, count: int) -> None:
        for _ in range(count):
            self._leave.release()

    async def __call__(self, exchange: Exchange) -> None:
        exchange.head()
        for block in opening("openai"):
            exchange.chunk(block)
        for text in TEXTS:
            await self._leave.acquire()
            exchange.chunk(token("openai", text))
        for block in closing("openai", len(TEXTS)):
            exchange.chunk(block)
        exchange.end()


def post_bytes(gateway: Gateway, asked: dict[str, Any], headers: dict[str, str]) -> bytes:
    every = {"Authorization": f"Bearer {gateway.key}", "Content-Type": "application/json"}
    return request_bytes("POST", PATH, every | headers, json.dumps(asked).encode())


class Events:
    """A body of events, block by block as it arrives."""

    def __init__(self, client: Client) -> None:
        self._pieces = client.pieces()
        self._rest = b""
        self.client = client

    @property
    def stream_id(self) -> str:
        return self.client.headers["x-stream-id"]

    async def blocks(self, count: int) -> list[bytes]:
        """Return the next so many blocks, comments left out."""
        found: list[bytes] = []
        async with asyncio.timeout(30):
            while len(found) < count:
                while b"\n\n" not in self._rest:
                    self._rest += await anext(self._pieces)
                block, self._rest = self._rest.split(b"\n\n", 1)
                if not block.startswith(b":"):
                    found.append(block)
        return found

    async def rest(self) -> list[bytes]:
        async with asyncio.timeout(30):
            data = self._rest + b"".join([piece async for piece in self._pieces])
        return [block for block in data.split(b"\n\n") if block and not block.startswith(b":")]


@asynccontextmanager
async def posted(
    gateway: Gateway, prompt: str, *, stream: bool = True, **headers: str
) -> AsyncIterator[Events]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with connection(gateway.port) as client:
        client.send(post_bytes(gateway, body("m-openai", prompt) | {"stream": stream}, named))
        await client.read_head()
        assert client.status == 200
        yield Events(client)


@asynccontextmanager
async def followed(gateway: Gateway, stream_id: str, after: str = "0") -> AsyncIterator[Events]:
    headers = {"Authorization": f"Bearer {gateway.key}", "Last-Event-ID": after}
    async with connection(gateway.port) as client:
        client.send(request_bytes("GET", f"/v1/streams/{stream_id}/events", headers))
        await client.read_head()
        assert client.status == 200
        yield Events(client)


async def call(gateway: Gateway, method: str, path: str, key: str | None = None) -> Response:
    headers = {"Authorization": f"Bearer {key or gateway.key}"}
    return await fetch(gateway.port, method, f"/v1/streams{path}", headers=headers)


async def finished(gateway: Gateway, provider: ScriptedProvider) -> tuple[str, bytes]:
    """Return the name of a stream that is done, and its events."""
    async with posted(gateway, provider.play(Steps(len(TEXTS)))) as events:
        return events.stream_id, await events.client.body()


def position_of(block: bytes) -> bytes | None:
    return next((line[4:] for line in block.split(b"\n") if line.startswith(b"id: ")), None)


async def until_state(gateway: Gateway, stream_id: str, state: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while (shown := (await call(gateway, "GET", f"/{stream_id}")).json)["state"] != state:
            await asyncio.sleep(0.01)
    return dict(shown)


# -- positions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["header", "query", "seq alone"])
async def test_every_position_gives_exactly_the_rest(
    gateway: Gateway, provider: ScriptedProvider, by: str
) -> None:
    stream_id, whole = await finished(gateway, provider)
    blocks = whole.split(b"\n\n")[:-1]
    ids = [position_of(block) for block in blocks]
    seqs = len(TEXTS) + 2
    assert blocks[-1].startswith(DONE)
    assert ids[-1] == b"1-%d" % seqs
    for seq in range(seqs):
        name = b"1-%d" % seq
        start = ids.index(name) + 1 if seq else 0
        headers = {"Authorization": f"Bearer {gateway.key}"}
        path = f"/v1/streams/{stream_id}/events"
        if by == "header":
            headers["Last-Event-ID"] = name.decode()
        else:
            path += f"?after={seq if by == 'seq alone' else name.decode()}"
        got = await fetch(gateway.port, "GET", path, headers=headers)
        assert got.status == 200
        assert got.headers["content-type"].startswith("text/event-stream")
        assert got.body == COMMENT + b"".join(block + b"\n\n" for block in blocks[start:])


async def test_who_has_all_of_a_stream_is_told_not_to_come_back(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    """A browser's EventSource comes back after every end but that of a 204 (WHATWG HTML, 9.2)."""
    stream_id, whole = await finished(gateway, provider)
    last = position_of(whole.split(b"\n\n")[-2])
    assert last is not None
    got = await call(gateway, "GET", f"/{stream_id}/events?after={last.decode()}")
    assert (got.status, got.body) == (204, b"")


async def test_events_are_not_written_to_who_asks_for_the_head_alone(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    """They would be taken for the answer to the next request on the connection."""
    stream_id, _ = await finished(gateway, provider)
    headers = {"Authorization": f"Bearer {gateway.key}"}
    async with connection(gateway.port) as client:
        client.send(request_bytes("HEAD", f"/v1/streams/{stream_id}/events", headers))
        client.send(request_bytes("GET", "/healthz"))
        await client.read_head()
        assert client.status == 405
        await client.read_head()
        assert client.status == 200


@pytest.mark.parametrize(
    ("after", "status", "code"),
    [
        ("1-99", 400, "position_ahead"),
        ("2-1", 400, "invalid_value"),
        ("x", 400, "invalid_value"),
        ("1-", 400, "invalid_value"),
        ("-1", 400, "invalid_value"),
        ("99999999999", 400, "invalid_value"),
        ("%D9%A1", 400, "invalid_value"),
    ],
)
async def test_positions_that_cannot_be(
    gateway: Gateway, provider: ScriptedProvider, after: str, status: int, code: str
) -> None:
    stream_id, _ = await finished(gateway, provider)
    got = await call(gateway, "GET", f"/{stream_id}/events?after={after}")
    assert (got.status, got.error["code"]) == (status, code)


async def test_streams_that_are_not_there_or_another_keys(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    stream_id, _ = await finished(gateway, provider)
    other = await gateway.create_key("other")
    for method, rest in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
        foreign = await call(gateway, method, f"/{stream_id}{rest}", other)
        unknown = await call(gateway, method, f"/st_none{rest}")
        assert (foreign.status, foreign.error["code"]) == (404, "stream_not_found")
        assert foreign.body.replace(stream_id.encode(), b"st_none") == unknown.body
        keyless = await fetch(gateway.port, method, f"/v1/streams/{stream_id}{rest}")
        assert (keyless.status, keyless.error["code"]) == (401, "missing_api_key")
    assert (await fetch(gateway.port, "GET", "/v1/streams")).status == 401


# -- following ---------------------------------------------------------------------------------


async def test_a_live_stream_is_followed_by_a_second_client(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    steps = Steps(2)
    async with posted(gateway, provider.play(steps)) as first:
        begun = await first.blocks(3)
        async with followed(gateway, first.stream_id, "1-1") as second:
            assert await second.blocks(2) == begun[1:]
            steps.give(len(TEXTS) - 2)
            rest = await first.rest()
            assert await second.rest() == rest
            assert rest[-1].startswith(DONE)


async def test_so_many_followers_and_no_more(gateway: Gateway, provider: ScriptedProvider) -> None:
    steps = Steps(1)
    prompt = provider.play(steps)
    asked = body("m-openai", prompt)
    async with posted(gateway, prompt, Idempotency_Key="crowded") as first:
        begun = await first.blocks(2)
        stream_id = first.stream_id
        followers = [followed(gateway, stream_id) for _ in range(FOLLOWERS_MAX - 1)]
        reading = [await follower.__aenter__() for follower in followers]
        refused = await call(gateway, "GET", f"/{stream_id}/events")
        assert (refused.status, refused.error["code"]) == (429, "too_many_followers")
        async with websocket.connect(
            gateway.port, gateway.key, subprotocols=[websocket.SUBPROTOCOL]
        ) as socket:
            for message in (
                {"type": "resume", "stream_id": stream_id, "epoch": 1, "after": 0},
                {"type": "create", "request": asked, "idempotency_key": "crowded"},
            ):
                socket.send_json(message)
                answer = await socket.receive_type("started", "resumed", "error")
                assert answer["error"]["code"] == "too_many_followers"
        steps.give(len(TEXTS) - 1)
        whole = begun + await first.rest()
        for events in reading:
            assert await events.rest() == whole
        for follower in followers:
            await follower.__aexit__(None, None, None)


async def test_a_client_of_http_1_0(gateway: Gateway, provider: ScriptedProvider) -> None:
    stream_id, whole = await finished(gateway, provider)
    head = f"GET /v1/streams/{stream_id}/events HTTP/1.0\r\nAuthorization: Bearer {gateway.key}"
    async with connection(gateway.port) as client:
        client.send(head.encode() + b"\r\n\r\n")
        await client.read_head()
        assert "transfer-encoding" not in client.headers
        assert await client.body() == COMMENT + whole


# -- lost clients ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers", [{"Idempotency_Key": "lost-1"}, {"x_tokenferry_on_disconnect": "continue"}]
)
async def test_a_lost_stream_that_is_to_go_on_is_read_to_its_end(
    gateway: Gateway, provider: ScriptedProvider, headers: dict[str, str]
) -> None:
    steps = Steps(2)
    prompt = provider.play(steps)
    async with posted(gateway, prompt, **headers) as first:
        begun = await first.blocks(3)
        stream_id = first.stream_id
        first.client.reset()
    steps.give(len(TEXTS) - 2)
    last = position_of(begun[-1])
    assert last is not None
    async with followed(gateway, stream_id, last.decode()) as second:
        rest = await second.rest()
    async with followed(gateway, stream_id) as third:
        assert begun + rest == await third.rest()
    text = "".join(
        json.loads(block.split(b"\n")[0][6:])["choices"][0]["delta"].get("content", "")
        for block in (begun + rest)[:-1]
    )
    assert text == "".join(TEXTS)
    assert len(provider.exchanges(prompt)) == 1


@pytest.mark.parametrize("headers", [{}, {"x_tokenferry_on_disconnect": "cancel"}])
async def test_a_lost_stream_is_cancelled_at_once_and_can_be_read(
    gateway: Gateway, provider: ScriptedProvider, headers: dict[str, str]
) -> None:
    prompt = provider.play(Steps(2))
    async with posted(gateway, prompt, **headers) as first:
        begun = await first.blocks(3)
        stream_id = first.stream_id
        first.client.reset()
    await (await provider.exchange(prompt)).until_gone(AT_ONCE_S)
    shown = await until_state(gateway, stream_id, "cancelled")
    assert shown["completion"]["choices"][0]["message"]["content"] == "".join(TEXTS[:2])
    assert shown["usage"]["estimated"] is True
    async with followed(gateway, stream_id) as second:
        *records, finish, done = await second.rest()
    assert records == begun
    assert b'"finish_reason":"cancelled"' in finish
    assert done.startswith(DONE)


# -- the end -----------------------------------------------------------------------------------


async def test_a_delete_ends_live_followers_and_can_be_repeated(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    prompt = provider.play(Steps(1))
    async with posted(gateway, prompt) as first:
        await first.blocks(2)
        path = f"/{first.stream_id}"
        deleted = await call(gateway, "DELETE", path)
        assert (deleted.status, deleted.json["state"]) == (200, "cancelled")
        finish, done = await first.rest()
        assert b'"finish_reason":"cancelled"' in finish
        assert done.startswith(DONE)
    await (await provider.exchange(prompt)).until_gone(AT_ONCE_S)
    again = await call(gateway, "DELETE", path)
    assert (again.status, again.json["head"]) == (200, deleted.json["head"])
    assert again.json["completion"] == deleted.json["completion"]


async def test_a_delete_changes_nothing_about_a_stream_that_is_done(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    stream_id, _ = await finished(gateway, provider)
    before = await call(gateway, "GET", f"/{stream_id}")
    deleted = await call(gateway, "DELETE", f"/{stream_id}")
    assert (deleted.status, deleted.json) == (200, before.json)
    assert before.json["state"] == "done"


async def test_the_list_has_a_keys_own_streams_the_newest_first(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    one, _ = await finished(gateway, provider)
    two, _ = await finished(gateway, provider)
    listed = (await call(gateway, "GET", "?limit=2")).json
    assert [stream["id"] for stream in listed["data"]] == [two, one]
    assert all("completion" not in stream for stream in listed["data"])
    other = await gateway.create_key("lister")
    assert (await call(gateway, "GET", "", other)).json == {"object": "list", "data": []}


@pytest.mark.parametrize(
    ("limit", "status"),
    [("0", 400), ("1", 200), ("100", 200), ("101", 400), ("x", 400), ("", 400),
     ("00000000199999", 400)],
)  # fmt: skip
async def test_the_list_has_its_bounds(gateway: Gateway, limit: str, status: int) -> None:
    assert (await call(gateway, "GET", f"?limit={limit}")).status == status


# -- idempotency -------------------------------------------------------------------------------


async def test_a_repeated_post_joins_the_running_stream(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    steps = Steps(1)
    prompt = provider.play(steps)
    async with (
        posted(gateway, prompt, Idempotency_Key="running") as first,
        posted(gateway, prompt, Idempotency_Key="running") as second,
    ):
        assert first.stream_id == second.stream_id
        steps.give(len(TEXTS) - 1)
        assert await first.rest() == await second.rest()
    async with posted(gateway, prompt, Idempotency_Key="running") as third:
        assert third.stream_id == first.stream_id
        assert len(await third.rest()) == len(TEXTS) + 3
    assert len(provider.exchanges(prompt)) == 1


async def test_a_repeated_whole_post_waits_for_the_same_answer(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    steps = Steps()
    prompt = provider.play(steps)
    asked = json.dumps(body("m-openai", prompt) | {"stream": False}).encode()
    headers = {"Idempotency-Key": "whole"}
    both = [
        asyncio.create_task(gateway.post(PATH, asked, gateway.key, **headers)) for _ in range(2)
    ]
    await provider.exchange(prompt)
    steps.give(len(TEXTS))
    one, two = await asyncio.gather(*both)
    three = await gateway.post(PATH, asked, gateway.key, **headers)
    assert one.status == 200
    assert one.json["choices"][0]["message"]["content"] == "".join(TEXTS)
    assert one.body == two.body == three.body
    assert len(provider.exchanges(prompt)) == 1


async def test_an_idempotency_key_is_one_requests_and_one_keys(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    prompt = provider.play(Steps(100))
    asked = json.dumps(body("m-openai", prompt)).encode()
    different = json.dumps(body("m-openai", prompt, temperature=0.5)).encode()
    headers = {"Idempotency-Key": "mine"}
    assert (await gateway.post(PATH, asked, gateway.key, **headers)).status == 200
    refused = await gateway.post(PATH, different, gateway.key, **headers)
    assert (refused.status, refused.error["code"]) == (422, "idempotency_key_reused")
    other = await gateway.create_key("idempotent")
    assert (await gateway.post(PATH, different, other, **headers)).status == 200
    assert len(provider.exchanges(prompt)) == 2


async def test_an_idempotency_key_in_another_encoding_is_refused(gateway: Gateway) -> None:
    asked = post_bytes(gateway, body("m-openai", "x"), {"Idempotency-Key": "KEY"})
    async with connection(gateway.port) as client:
        client.send(asked.replace(b"KEY", "주문".encode("euc-kr"), 1))
        await client.read_head()
        assert client.status == 400
        error = json.loads(await client.body())["error"]
    assert (error["code"], error["param"]) == ("invalid_value", "Idempotency-Key")


@pytest.mark.parametrize(("length", "status"), [(0, 400), (255, 200), (256, 400)])
async def test_an_idempotency_key_has_its_bounds(
    gateway: Gateway, provider: ScriptedProvider, length: int, status: int
) -> None:
    prompt = provider.play(Steps(len(TEXTS)))
    asked = json.dumps(body("m-openai", prompt)).encode()
    headers = {"Idempotency-Key": "k" * length}
    assert (await gateway.post(PATH, asked, gateway.key, **headers)).status == status
