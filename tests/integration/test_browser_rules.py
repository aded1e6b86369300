"""What browsers need, and what protects their users: origins, CORS, tickets, TLS."""

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
import websockets

from harness import websocket
from harness.gateway import SERVER, Gateway
from harness.http_client import connection, fetch, request_bytes

pytestmark = pytest.mark.asyncio(loop_scope="module")

FRIEND = "https://app.example.kr"
STRANGER = "https://evil.example"


@pytest.fixture(scope="module")
def gateway_options() -> dict[str, Any]:
    return {"server": {**SERVER, "origins": [FRIEND], "auth_timeout_s": 1}}


def host(gateway: Gateway) -> str:
    return gateway.url.removeprefix("http://")


async def closed_code(gateway: Gateway, **headers: str) -> int:
    key = headers.pop("key", None)
    async with websocket.connect(gateway.port, key, headers=headers) as socket:
        return (await socket.closed()).code


async def test_a_page_of_another_origin_is_told_why(gateway: Gateway) -> None:
    assert await closed_code(gateway, Origin=STRANGER, key=gateway.key) == 4003
    assert await closed_code(gateway, Origin="null", key=gateway.key) == 4003
    assert await closed_code(gateway, Origin="http://[", key=gateway.key) == 4003


async def test_an_origin_in_another_encoding_is_refused_in_so_many_words(gateway: Gateway) -> None:
    headers = {"Authorization": f"Bearer {gateway.key}", "Origin": "ORIGIN"}
    asked = request_bytes("POST", "/v1/stream/tickets", headers, b"{}")
    async with connection(gateway.port) as client:
        client.send(asked.replace(b"ORIGIN", b"http://\xe9.example"))
        await client.read_head()
        assert client.status == 403
        assert json.loads(await client.body())["error"]["code"] == "origin_not_allowed"


async def test_subprotocols_may_be_offered_in_several_headers(gateway: Gateway) -> None:
    ticket = (await gateway.post("/v1/stream/tickets", b"{}", gateway.key)).json["ticket"]
    offered = f"ticket.{ticket}, {websocket.SUBPROTOCOL}"
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": f"another\r\nSec-WebSocket-Protocol: {offered}",
    }
    async with connection(gateway.port) as client:
        client.send(request_bytes("GET", websocket.PATH, headers))
        await client.read_head()
        assert client.status == 101
        assert client.headers["sec-websocket-protocol"] == websocket.SUBPROTOCOL
        assert (await websocket.Socket(client).receive_json())["type"] == "ready"


async def test_what_is_offered_as_a_subprotocol_stays_out_of_the_log(gateway: Gateway) -> None:
    """Clients of other gateways carry their keys there."""
    offered = ["realtime", "authorization-of-another.0123456789abcdef"]
    async with websocket.connect(gateway.port, gateway.key, subprotocols=offered) as socket:
        await socket.close()
    assert "another" not in gateway.log()


async def test_a_page_with_a_bad_key_is_told_why_and_a_program_gets_a_status(
    gateway: Gateway,
) -> None:
    assert await closed_code(gateway, Origin=FRIEND, key="tf_bad") == 4001
    with pytest.raises(websocket.Refused) as refused:
        async with websocket.connect(gateway.port, "tf_bad"):
            pass
    assert refused.value.response.status == 401


@pytest.mark.parametrize("origin", [FRIEND, "same"])
async def test_allowed_origins_and_the_gateways_own_are_let_in(
    gateway: Gateway, origin: str
) -> None:
    headers = {"Origin": gateway.url if origin == "same" else origin, "Host": host(gateway)}
    async with websocket.connect(gateway.port, gateway.key, headers=headers) as socket:
        socket.send_json({"type": "ping", "t": "살아 있음"})
        assert (await socket.receive_type("pong"))["t"] == "살아 있음"


async def test_who_does_not_authenticate_in_time_is_closed(gateway: Gateway) -> None:
    async with websocket.connect(gateway.port) as socket:
        assert (await socket.closed()).code == 4008


async def greeted(socket: websocket.Socket, key: str | None = None) -> None:
    if key is not None:
        socket.send_json({"type": "auth", "token": key})
    socket.send_json({"type": "ping", "t": "1"})
    assert (await socket.receive_type("pong"))["t"] == "1"


async def two_strangers(gateway: Gateway) -> None:
    """Connect twice, as soon as there is room."""
    async with asyncio.timeout(10):
        while True:
            try:
                async with websocket.connect(gateway.port), websocket.connect(gateway.port):
                    return
            except websocket.Refused:
                await asyncio.sleep(0.02)


async def test_strangers_do_not_take_all_connections(tmp_path: Path) -> None:
    server = {**SERVER, "connections_max": 4, "auth_timeout_s": 60}
    gateway = await Gateway(tmp_path, server=server).start()
    try:
        async with websocket.connect(gateway.port), websocket.connect(gateway.port) as second:
            with pytest.raises(websocket.Refused) as refused:
                async with websocket.connect(gateway.port):
                    pass
            assert refused.value.response.status == 503
            async with websocket.connect(gateway.port, gateway.key) as known:
                await greeted(known)
            # Who says whose they are is none any more.
            await greeted(second, gateway.key)
            async with websocket.connect(gateway.port) as third:
                await greeted(third, gateway.key)
        # Nor is who leaves, whether they had said so or not.
        for _ in range(2):
            await two_strangers(gateway)
    finally:
        await gateway.stop()


async def test_a_request_before_authentication_is_refused_in_its_own_manner(
    gateway: Gateway,
) -> None:
    async with websocket.connect(gateway.port) as socket:
        socket.send_json({"model": "demo", "messages": [{"role": "user", "content": "x"}]})
        frame = await socket.receive_json()
        assert frame["error"]["code"] == "missing_api_key"
        assert frame["done"] is True
        assert (await socket.closed()).code == 4001


async def test_a_ticket_is_bound_to_its_origin(gateway: Gateway) -> None:
    key = gateway.key
    response = await gateway.post("/v1/stream/tickets", b"{}", key, Origin=FRIEND)
    ticket = response.json["ticket"]
    offered = [websocket.SUBPROTOCOL, f"ticket.{ticket}"]
    async with websocket.connect(
        gateway.port,
        subprotocols=offered,
        headers={"Origin": gateway.url, "Host": host(gateway)},
    ) as socket:
        assert (await socket.closed()).code == 4001
    async with websocket.connect(
        gateway.port, subprotocols=offered, headers={"Origin": FRIEND}
    ) as socket:
        assert (await socket.closed()).code == 4001, "the failed try has used it up"
    response = await gateway.post("/v1/stream/tickets", b"{}", key, Origin=FRIEND)
    offered = [websocket.SUBPROTOCOL, f"ticket.{response.json['ticket']}"]
    async with websocket.connect(
        gateway.port, subprotocols=offered, headers={"Origin": FRIEND}
    ) as socket:
        assert socket.subprotocol == websocket.SUBPROTOCOL
        await socket.receive_type("ready")
    refused = await gateway.post("/v1/stream/tickets", b"{}", key, Origin=STRANGER)
    assert (refused.status, refused.error["code"]) == (403, "origin_not_allowed")


async def test_cors_for_configured_origins_only(gateway: Gateway) -> None:
    asked = {
        "Origin": FRIEND,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
    }
    path = "/v1/chat/completions"
    preflight = await fetch(gateway.port, "OPTIONS", path, headers=asked)
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == FRIEND
    assert "x-stainless-os" in preflight.headers["access-control-allow-headers"]
    refused = await fetch(gateway.port, "OPTIONS", path, headers=asked | {"Origin": STRANGER})
    assert refused.status == 403
    assert "access-control-allow-origin" not in refused.headers
    body = json.dumps({"model": "demo", "messages": [], "stream": True}).encode()
    error = await gateway.post(path, body, gateway.key, Origin=FRIEND)
    assert error.status == 400
    assert error.headers["access-control-allow-origin"] == FRIEND


async def test_tls_serves_https_and_wss(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    files = {"tls_cert": str(tmp_path / "cert.pem"), "tls_key": str(tmp_path / "key.pem")}
    gateway = Gateway(tmp_path / "gateway", server={**SERVER, **files})
    status, _, err = await gateway.command("config", "check", "--config", str(gateway.config))
    assert status == 0, err
    await start_with_tls(gateway)
    try:
        headers = {"Authorization": f"Bearer {await gateway.create_key()}"}
        uri = f"wss://localhost:{gateway.port}/v1/stream"
        async with websockets.connect(uri, ssl=tls, additional_headers=headers) as socket:
            message = {"role": "user", "content": "안녕"}
            await socket.send(json.dumps({"model": "demo", "messages": [message]}))
            frames = [json.loads(await socket.recv())]
            while not frames[-1]["done"]:
                frames.append(json.loads(await socket.recv()))
        assert frames[-1]["choices"][0]["finish_reason"] == "stop"
        assert len(frames) > 5
    finally:
        await gateway.stop()


async def start_with_tls(gateway: Gateway) -> None:
    """Start without the harness's own wait, which speaks plain HTTP."""

    async def ready() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        except OSError:
            return False
        writer.close()
        return True

    gateway._is_ready = ready  # type: ignore[method-assign]
    await gateway.start()
