"""Bad input of every sort: a 4xx at once that names field and remedy, and nothing is sent on."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from harness import websocket
from harness.answers import aware_frames, body, check_plain, plain_frames, text_of
from harness.dialects import whole
from harness.gateway import Gateway
from harness.http_client import connection, fetch, request_bytes
from harness.providers import ScriptedProvider, replay
from harness.sse import PATH

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
USER = {"role": "user", "content": "안녕"}
SERVER_NAME = "Tokenferry"
GOOD = {"model": "m-openai", "messages": [USER]}
DEEP = 100_000

# What is wrong -> body, status, code, param.
BODIES: dict[str, tuple[bytes, int, str, str | None]] = {
    "empty": (b"", 400, "invalid_json", None),
    "no-json": (b"{model:", 400, "invalid_json", None),
    "cut-off-json": (b'{"model": "m-openai", "messages": [', 400, "invalid_json", None),
    "two-documents": (b"{}{}", 400, "invalid_json", None),
    "array": (b"[]", 400, "invalid_json", None),
    "array-of-requests": (json.dumps([GOOD]).encode(), 400, "invalid_json", None),
    "string": (b'"hello"', 400, "invalid_json", None),
    "null": (b"null", 400, "invalid_json", None),
    "number": (b"42", 400, "invalid_json", None),
    "not-a-number": (b'{"model": NaN}', 400, "invalid_json", None),
    "nested-deeply": (b"[" * DEEP + b"]" * DEEP, 400, "invalid_json", None),
    "no-fields": (b"{}", 400, "missing_required_parameter", "model"),
}
# A field of an otherwise good request -> code and param.
FIELDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "messages-string": ({"messages": "안녕"}, "invalid_value", "messages"),
    "messages-object": ({"messages": {}}, "invalid_value", "messages"),
    "messages-null": ({"messages": None}, "invalid_value", "messages"),
    "messages-empty": ({"messages": []}, "invalid_value", "messages"),
    "message-string": ({"messages": ["안녕"]}, "invalid_value", "messages[0]"),
    "role-unknown": (
        {"messages": [USER, {"role": "robot", "content": ""}]},
        "invalid_value",
        "messages[1].role",
    ),
    "role-missing": (
        {"messages": [{"content": "안녕"}]},
        "missing_required_parameter",
        "messages[0].role",
    ),
    "content-number": (
        {"messages": [{"role": "user", "content": 7}]},
        "invalid_value",
        "messages[0].content",
    ),
    "model-number": ({"model": 4}, "invalid_value", "model"),
    "model-null": ({"model": None}, "invalid_value", "model"),
    "model-empty": ({"model": ""}, "invalid_value", "model"),
    "stream-string": ({"stream": "yes"}, "invalid_value", "stream"),
    "temperature-string": ({"temperature": "hot"}, "invalid_value", "temperature"),
    "max_tokens-fraction": ({"max_tokens": 1.5}, "invalid_value", "max_tokens"),
    "max_tokens-zero": ({"max_tokens": 0}, "invalid_value", "max_tokens"),
    "n-zero": ({"n": 0}, "invalid_value", "n"),
    "n-huge": ({"n": 1000}, "invalid_value", "n"),
    "tools-object": ({"tools": {}}, "invalid_value", "tools"),
    "stop-number": ({"stop": 1}, "invalid_value", "stop"),
}


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def the_server_stays_up(gateway: Gateway) -> AsyncIterator[None]:
    yield
    assert await gateway.is_up()


# A prompt without a script would come to light as a request that nobody scripted: the provider's
# fixture fails the module if any of these requests is sent on.


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_is_no_request(gateway: Gateway, name: str) -> None:
    data, status, code, param = BODIES[name]
    response = await gateway.post(PATH, data, gateway.key)
    assert response.status == status
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["x-request-id"]
    error = response.error
    assert (error["code"], error["param"]) == (code, param), error
    assert error["type"] == "invalid_request_error"
    assert "Traceback" not in error["message"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", FIELDS)
async def test_a_field_that_is_wrong(gateway: Gateway, name: str, *, stream: bool) -> None:
    fields, code, param = FIELDS[name]
    asked = {**GOOD, "stream": stream, **fields}
    response = await gateway.post(PATH, json.dumps(asked).encode(), gateway.key)
    error = response.error
    assert response.status == 400, error
    assert (error["code"], error["param"]) == (code, param), error
    assert param in error["message"], error


@pytest.mark.parametrize("missing", ["model", "messages"])
async def test_a_field_that_is_missing(gateway: Gateway, missing: str) -> None:
    asked = {name: value for name, value in GOOD.items() if name != missing}
    response = await gateway.post(PATH, json.dumps(asked).encode(), gateway.key)
    assert response.status == 400
    assert response.error["code"] == "missing_required_parameter"
    assert response.error["param"] == missing


async def test_a_model_that_is_not_there(gateway: Gateway) -> None:
    response = await gateway.post(
        PATH, json.dumps({**GOOD, "model": "m-opena"}).encode(), gateway.key
    )
    assert response.status == 404
    assert (response.error["code"], response.error["param"]) == ("model_not_found", "model")
    assert "m-openai" in response.error["message"], "the near name is the remedy"
    listed = await gateway.get("/v1/models/no-such-model", gateway.key)
    assert (listed.status, listed.error["code"]) == (404, "model_not_found")


def request_of(size: int) -> bytes:
    """Return a request to no model, of exactly so many bytes."""
    start = b'{"model":"no-such-model","messages":[{"role":"user","content":"'
    return start + b"a" * (size - len(start) - 4) + b'"}]}'


async def test_a_body_at_the_limit_and_above_it(gateway: Gateway) -> None:
    at_limit = await gateway.post(PATH, request_of(8 * MIB), gateway.key)
    assert at_limit.status == 404
    for size in (8 * MIB + 1, 10 * MIB):
        above = await gateway.post(PATH, request_of(size), gateway.key)
        assert (above.status, above.error["code"]) == (413, "payload_too_large")
        assert str(8 * MIB) in above.error["message"]


async def test_a_large_body_that_does_not_say_its_length(gateway: Gateway) -> None:
    headers = {"Authorization": f"Bearer {gateway.key}", "Transfer-Encoding": "chunked"}
    data = request_of(10 * MIB)
    async with connection(gateway.port) as exchange:
        exchange.send(request_bytes("POST", PATH, headers, b""))
        for start in range(0, len(data), MIB):
            piece = data[start : start + MIB]
            exchange.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        exchange.send(b"0\r\n\r\n")
        async with asyncio.timeout(10):
            await exchange.read_head()
    assert exchange.status == 413


async def test_a_body_that_is_not_encoded_as_it_says(gateway: Gateway) -> None:
    headers = {"Content-Encoding": "gzip"}
    response = await gateway.post(PATH, json.dumps(GOOD).encode(), gateway.key, **headers)
    assert response.status == 400
    assert response.error["code"] == "invalid_value"
    assert "gzip" in response.error["message"]


async def test_a_client_that_leaves_inside_its_own_body(gateway: Gateway) -> None:
    head = {"Authorization": f"Bearer {gateway.key}", "Content-Length": "1000"}
    async with connection(gateway.port) as exchange:
        exchange.send(request_bytes("POST", PATH, head, b'{"model":'))
        await exchange.drain()
        exchange.reset()
    assert await gateway.is_up()


async def test_what_is_no_http_gets_a_400(gateway: Gateway) -> None:
    async with connection(gateway.port) as exchange:
        exchange.send(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        async with asyncio.timeout(10):
            await exchange.read_head()
    assert exchange.status == 400
    assert exchange.headers["server"] == SERVER_NAME
    assert "Traceback" not in gateway.log(), "anybody could fill the log with it"


async def test_no_answer_names_a_release_of_what_the_server_is_made_of(gateway: Gateway) -> None:
    answers = [await gateway.get(path, gateway.key) for path in ("/", "/healthz", "/v1/no")]
    answers.append(await gateway.post(PATH, b"{", gateway.key))
    for answer in answers:
        assert answer.headers["server"] == SERVER_NAME
    headers = {
        "Authorization": f"Bearer {gateway.key}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    async with connection(gateway.port) as exchange:
        exchange.send(request_bytes("GET", websocket.PATH, headers))
        async with asyncio.timeout(10):
            await exchange.read_head()
    assert (exchange.status, exchange.headers["server"]) == (101, SERVER_NAME)


async def test_a_handshake_whose_key_is_none_is_the_clients_fault(gateway: Gateway) -> None:
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "KEY",
    }
    asked = request_bytes("GET", "/v1/stream", headers, b"")
    for key in (b"\xff\xfe", b"short", b"="):
        async with connection(gateway.port) as exchange:
            exchange.send(asked.replace(b"KEY", key))
            async with asyncio.timeout(10):
                await exchange.read_head()
        assert exchange.status == 400, key
    assert "Traceback" not in gateway.log()


async def test_a_handshake_key_that_is_no_text_gets_a_400(gateway: Gateway) -> None:
    headers = {
        "Authorization": f"Bearer {gateway.key}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "KEY",
    }
    asked = request_bytes("GET", websocket.PATH, headers)
    async with connection(gateway.port) as exchange:
        exchange.send(asked.replace(b"KEY", b"\xffAAAAAAAAAAAAAAAAAAAAA=="))
        async with asyncio.timeout(10):
            await exchange.read_head()
    assert exchange.status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PATH, 405),
        ("DELETE", PATH, 405),
        ("POST", "/v1/models", 405),
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/completions", 404),
        ("GET", "/v1/stream", 426),
    ],
)
async def test_a_wrong_path_or_method(
    gateway: Gateway, method: str, path: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {gateway.key}"}
    response = await fetch(gateway.port, method, path, headers=headers, body=b"{}")
    assert response.status == status
    assert response.error["message"]


# -- over the WebSocket ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*BODIES, *FIELDS])
async def test_a_bad_plain_frame_gets_a_frame_that_its_client_understands(
    gateway: Gateway, name: str
) -> None:
    data = BODIES[name][0] if name in BODIES else json.dumps({**GOOD, **FIELDS[name][0]}).encode()
    async with websocket.connect(gateway.port, gateway.key) as socket:
        socket.send_frame(websocket.TEXT, data)
        frame = await socket.receive_json()
        check_plain(frame)
        assert frame["error"]["message"]
        if name in FIELDS:
            assert frame["error"]["code"] == FIELDS[name][1]
            assert frame["error"]["param"] == FIELDS[name][2]
        await socket.close()


async def test_a_connection_is_of_use_after_a_bad_frame(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    async with websocket.connect(gateway.port, gateway.key) as socket:
        for bad in ("{", json.dumps({**GOOD, "model": "no-such-model"})):
            socket.send_text(bad)
            check_plain(await socket.receive_json())
        prompt = provider.play(replay(whole("openai", ["네"])))
        socket.send_json(body("m-openai", prompt))
        assert text_of(await plain_frames(socket)) == "네"
        await socket.close()


AWARE_FRAMES = {
    "unknown-type": {"type": "dance"},
    "type-number": {"type": 7},
    "create-without-request": {"type": "create", "ref": "r"},
    "create-with-a-string": {"type": "create", "ref": "r", "request": "안녕"},
    "create-without-messages": {"type": "create", "ref": "r", "request": {"model": "m-openai"}},
    "create-unknown-model": {"type": "create", "ref": "r", "request": {**GOOD, "model": "none"}},
    "cancel-without-id": {"type": "cancel"},
    "cancel-unknown": {"type": "cancel", "stream_id": "none"},
    "resume-unknown": {"type": "resume", "stream_id": "none", "epoch": 1, "after": 0},
    "no-type": GOOD,
}


@pytest.mark.parametrize("name", AWARE_FRAMES)
async def test_a_bad_aware_frame_gets_an_error_and_no_close(gateway: Gateway, name: str) -> None:
    async with websocket.connect(
        gateway.port, gateway.key, subprotocols=[websocket.SUBPROTOCOL]
    ) as socket:
        socket.send_json(AWARE_FRAMES[name])
        frame = await socket.receive_type("error")
        error = frame["error"]
        assert {"message", "type", "code", "param", "retryable"} <= error.keys(), error
        assert error["retryable"] is False
        if "ref" in AWARE_FRAMES[name]:
            assert frame["ref"] == "r"
        socket.send_json({"type": "ping", "t": 5})
        assert (await socket.receive_type("pong"))["t"] == 5
        await socket.close()


@pytest.mark.parametrize("subprotocols", [[], [websocket.SUBPROTOCOL]])
async def test_half_an_emoji_in_one_create_of_several(
    gateway: Gateway, provider: ScriptedProvider, subprotocols: list[str]
) -> None:
    prompt = provider.play(replay(whole("openai", ["네"])))
    good = json.dumps({"type": "create", "ref": "good", "request": body("m-openai", prompt)})
    bad = good.replace('"good"', '"bad"').replace(prompt, prompt + "\\ud83d")
    async with websocket.connect(gateway.port, gateway.key, subprotocols=subprotocols) as socket:
        socket.send_text(bad)
        socket.send_text(good)
        error = await socket.receive_type("error")
        assert (error["ref"], error["error"]["code"]) == ("bad", "invalid_frame")
        assert "emoji" in error["error"]["message"]
        assert text_of(await aware_frames(socket, "good")) == "네"


@pytest.mark.parametrize("aware", [False, True])
async def test_ten_bad_frames_in_a_row_close_the_connection(
    gateway: Gateway, *, aware: bool
) -> None:
    subprotocols = [websocket.SUBPROTOCOL] if aware else []
    async with websocket.connect(gateway.port, gateway.key, subprotocols=subprotocols) as socket:
        for _ in range(10):
            socket.send_text("{")
        errors = []
        with contextlib.suppress(websocket.Closed):
            while True:
                errors.append(await socket.receive_json())
        closed = await socket.closed()
    assert closed.code == 4000
    assert len([frame for frame in errors if "error" in frame]) == 10


async def test_nine_bad_frames_and_a_good_one_begin_the_count_anew(gateway: Gateway) -> None:
    async with websocket.connect(
        gateway.port, gateway.key, subprotocols=[websocket.SUBPROTOCOL]
    ) as socket:
        for _ in range(3):
            for _ in range(9):
                socket.send_text("{")
                await socket.receive_type("error")
            socket.send_json({"type": "ping", "t": 1})
            await socket.receive_type("pong")
        await socket.close()


async def test_a_binary_frame_closes_with_1003(gateway: Gateway) -> None:
    async with websocket.connect(gateway.port, gateway.key) as socket:
        socket.send_frame(websocket.BINARY, json.dumps(GOOD).encode())
        assert (await socket.closed()).code == 1003


async def test_a_frame_at_the_limit_and_above_it(gateway: Gateway) -> None:
    async with websocket.connect(gateway.port, gateway.key) as socket:
        socket.send_frame(websocket.TEXT, request_of(MIB))
        frame = await socket.receive_json()
        assert frame["error"]["code"] == "model_not_found"
        socket.send_frame(websocket.TEXT, request_of(MIB + 1))
        assert (await socket.closed()).code == 1009


async def test_a_message_over_the_limit_in_fragments(gateway: Gateway) -> None:
    # No more than one fragment goes over it: a reset for unread data would outrun the close frame.
    data = request_of(MIB + 1)
    async with websocket.connect(gateway.port, gateway.key) as socket:
        for start in range(0, len(data), 64 * 1024):
            opcode = websocket.CONTINUATION if start else websocket.TEXT
            socket.send_frame(opcode, data[start : start + 64 * 1024], fin=False)
        assert (await socket.closed()).code == 1009


BROKEN = {
    "reserved-bit": b"\xc1\x80\0\0\0\0",
    "unknown-opcode": b"\x83\x80\0\0\0\0",
    "long-ping": b"\x89\xfe\x01\x00\0\0\0\0" + b"a" * 256,
    "continuation-of-nothing": b"\x80\x80\0\0\0\0",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_frame_that_breaks_the_rfc_closes_with_1002(gateway: Gateway, name: str) -> None:
    async with websocket.connect(gateway.port, gateway.key) as socket:
        socket.send_raw(BROKEN[name])
        assert (await socket.closed()).code == 1002


async def test_a_thousand_idle_connections(gateway: Gateway, provider: ScriptedProvider) -> None:
    async with contextlib.AsyncExitStack() as stack:
        sockets: list[websocket.Socket] = []
        for start in range(0, 1000, 50):
            sockets += await asyncio.gather(
                *(
                    stack.enter_async_context(websocket.connect(gateway.port, gateway.key))
                    for _ in range(start, start + 50)
                )
            )
        prompt = provider.play(replay(whole("openai", ["아직 ", "살아 있어요"])))
        sockets[500].send_json(body("m-openai", prompt))
        assert text_of(await plain_frames(sockets[500])) == "아직 살아 있어요"
        assert await gateway.is_up()
        # Each of them is still open, and not only the one that was used.
        for socket in sockets:
            socket.send_frame(websocket.PING, b"")
        for socket in sockets[::100]:
            socket.send_json({**GOOD, "model": "no-such-model"})
            check_plain(await socket.receive_json())
