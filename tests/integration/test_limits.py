"""A limit of the gateway's own tells the client how long to wait, in the form that it reads."""

from typing import Any

import pytest

from harness import websocket
from harness.gateway import SERVER, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

CREATES_PER_MINUTE = 3
CONNECTIONS_PER_KEY = 2
# More than Python lets functions call each other in turn.
LINE_MAX = 2000
# One request is allowed every 20 s; a slow machine may have used some of it up.
WAIT_MS_MAX = 60_000 // CREATES_PER_MINUTE
REQUEST = {"model": "demo", "messages": [{"role": "user", "content": "안녕"}], "max_tokens": 1}
BODY = b'{"model":"demo","messages":[{"role":"user","content":"hi"}],"max_tokens":1}'


@pytest.fixture(scope="module")
def gateway_options() -> dict[str, Any]:
    return {
        "server": {
            **SERVER,
            "connections_per_key_max": CONNECTIONS_PER_KEY,
            "streams_per_connection_max": LINE_MAX,
        },
        "tables": {"limits": {"requests_per_minute": CREATES_PER_MINUTE}},
    }


async def used_up_key(gateway: Gateway) -> str:
    """Return a new key that has made as many requests as it may."""
    key = await gateway.create_key()
    for _ in range(CREATES_PER_MINUTE):
        assert (await gateway.post("/v1/chat/completions", BODY, key)).status == 200
    return key


async def test_http_gets_a_429_with_both_headers(gateway: Gateway) -> None:
    response = await gateway.post("/v1/chat/completions", BODY, await used_up_key(gateway))
    assert response.status == 429
    assert response.error["code"] == "rate_limit_exceeded"
    assert response.error["type"] == "rate_limit_error"
    assert response.error["retryable"] is True
    wait_ms = int(response.headers["retry-after-ms"])
    assert 0 < wait_ms <= WAIT_MS_MAX
    assert int(response.headers["retry-after"]) == -(-wait_ms // 1000)
    assert "x-should-retry" not in response.headers


async def test_a_plain_client_gets_a_last_frame(gateway: Gateway) -> None:
    async with websocket.connect(gateway.port, await used_up_key(gateway)) as socket:
        socket.send_json(REQUEST)
        frame = await socket.receive_json()
        assert frame["error"]["code"] == "rate_limit_exceeded"
        assert 0 < frame["retry_after_ms"] <= WAIT_MS_MAX
        assert frame["choices"][0]["finish_reason"] == "error"
        assert frame["done"] is True


async def test_every_one_of_a_long_line_of_plain_requests_is_refused(gateway: Gateway) -> None:
    async with websocket.connect(gateway.port, await gateway.create_key()) as socket:
        for _ in range(LINE_MAX):
            socket.send_json(REQUEST)
        frames = [await socket.receive_json() for _ in range(CREATES_PER_MINUTE)]
        refused = 0
        while refused < LINE_MAX - CREATES_PER_MINUTE - 1:
            frame = await socket.receive_json()
            refused += frame.get("error", {}).get("code") == "rate_limit_exceeded"
        assert "error" not in frames[0]


async def test_an_aware_client_gets_an_error_with_its_ref(gateway: Gateway) -> None:
    async with websocket.connect(
        gateway.port, await used_up_key(gateway), subprotocols=[websocket.SUBPROTOCOL]
    ) as socket:
        socket.send_json({"type": "create", "ref": "four", "request": REQUEST})
        frame = await socket.receive_type("error")
        assert frame["error"]["code"] == "rate_limit_exceeded"
        assert 0 < frame["retry_after_ms"] <= WAIT_MS_MAX
        assert frame["ref"] == "four"


async def test_one_key_s_limit_is_not_another_s(gateway: Gateway) -> None:
    await used_up_key(gateway)
    other = await gateway.create_key()
    assert (await gateway.post("/v1/chat/completions", BODY, other)).status == 200


async def test_a_key_s_connections_are_limited_and_given_back(gateway: Gateway) -> None:
    key = await gateway.create_key()
    async with websocket.connect(gateway.port, key):
        async with websocket.connect(gateway.port, key) as second:
            with pytest.raises(websocket.Refused) as refusal:
                async with websocket.connect(gateway.port, key):
                    pass
            assert refusal.value.response.status == 429
            assert refusal.value.response.error["code"] == "too_many_connections"
            assert refusal.value.response.headers["retry-after-ms"] == "1000"
            await second.close()
        async with websocket.connect(gateway.port, key) as again:
            again.send_json({"type": "ping", "t": 1})
            assert (await again.receive_json())["type"] == "pong"


async def test_a_key_that_comes_with_the_first_message_has_no_more_connections(
    gateway: Gateway,
) -> None:
    key = await gateway.create_key()
    async with (
        websocket.connect(gateway.port, key),
        websocket.connect(gateway.port, key),
        websocket.connect(gateway.port) as third,
    ):
        third.send_json({"type": "auth", "token": key})
        error = await third.receive_json()
        assert error["error"]["code"] == "too_many_connections"
        assert error["retry_after_ms"] == 1000
        assert (await third.closed()).code == 4029
