"""Keys while the server runs: made, refused and revoked at once, on every way in."""

import json
import re

import pytest

from harness import websocket
from harness.answers import ask, body, plain_frames, text_of
from harness.dialects import opening, token, whole
from harness.gateway import Gateway
from harness.http_client import Response, fetch
from harness.providers import Exchange, ScriptedProvider, replay
from harness.sse import DONE, PATH, open_stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_ONCE_S = 3.0
KEY = re.compile(r"tf_[A-Za-z0-9]+_[A-Za-z0-9]+_[A-Za-z0-9]+")
GOOD = json.dumps(body("m-openai", "never sent on")).encode()


async def refused(gateway: Gateway, authorization: str | None) -> list[Response]:
    """Return the answers of every way in to an `Authorization` header."""
    headers = {} if authorization is None else {"Authorization": authorization}
    found = [
        await fetch(gateway.port, method, path, headers=headers, body=GOOD)
        for method, path in (
            ("POST", PATH),
            ("GET", "/v1/models"),
            ("GET", "/v1/models/demo"),
            ("POST", "/v1/stream/tickets"),
        )
    ]
    if authorization is not None:
        with pytest.raises(websocket.Refused) as refusal:
            async with websocket.connect(gateway.port, headers=headers):
                pass
        found.append(refusal.value.response)
    return found


async def test_a_key_has_its_form(gateway: Gateway) -> None:
    assert KEY.fullmatch(gateway.key)
    assert len(gateway.key) >= 20


async def test_a_key_made_while_the_server_runs_works_at_once(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    key = await gateway.create_key("둘째")
    assert KEY.fullmatch(key)
    assert (await gateway.get("/v1/models", key)).status == 200
    prompt = provider.play(replay(whole("openai", ["네"])))
    async with websocket.connect(gateway.port, key) as socket:
        socket.send_json(body("m-openai", prompt))
        assert text_of(await plain_frames(socket)) == "네"


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "missing_api_key"),
        ("", "missing_api_key"),
        ("Bearer", "missing_api_key"),
        # Something is there, but not in the form of a key.
        ("Basic dXNlcjpwYXNz", "invalid_api_key_format"),
        ("Bearer sk-proj-1234567890abcdefghij", "invalid_api_key_format"),
        ("Bearer tf_short", "invalid_api_key_format"),
        ("Bearer undefined", "invalid_api_key_format"),
        ("Bearer 열쇠", "invalid_api_key_format"),
        ("Bearer " + "a" * 5000, "invalid_api_key_format"),
    ],
)
async def test_what_is_no_key_is_refused_everywhere(
    gateway: Gateway, authorization: str | None, code: str
) -> None:
    for response in await refused(gateway, authorization):
        assert response.status == 401
        assert response.error["code"] == code
        assert response.error["type"] == "authentication_error"
        assert response.headers["x-request-id"]


async def test_a_typing_error_in_a_key_is_told_from_an_unknown_key(gateway: Gateway) -> None:
    last = gateway.key[-1]
    typo = gateway.key[:-1] + ("a" if last != "a" else "b")
    for response in await refused(gateway, f"Bearer {typo}"):
        assert (response.status, response.error["code"]) == (401, "invalid_api_key_format")


async def test_a_key_is_never_taken_from_a_url_or_a_cookie(gateway: Gateway) -> None:
    for path, headers in (
        (f"/v1/models?api_key={gateway.key}&key={gateway.key}&token={gateway.key}", {}),
        ("/v1/models", {"Cookie": f"api_key={gateway.key}; token={gateway.key}"}),
    ):
        response = await fetch(gateway.port, "GET", path, headers=headers)
        assert (response.status, response.error["code"]) == (401, "missing_api_key")


async def test_what_needs_no_key(gateway: Gateway) -> None:
    for path in ("/healthz", "/readyz"):
        assert (await gateway.get(path)).status == 200


async def test_a_revoked_key_stops_working_at_once_and_its_live_sockets_close(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    key = await gateway.create_key("to be revoked")

    async def run(exchange: Exchange) -> None:
        exchange.head()
        for part in (*opening("openai"), token("openai", "아직")):
            exchange.chunk(part)
        await exchange.until_gone()

    prompts = [provider.play(run) for _ in range(3)]
    async with (
        websocket.connect(gateway.port, key) as idle,
        websocket.connect(gateway.port, key) as plain,
        websocket.connect(gateway.port, key, subprotocols=[websocket.SUBPROTOCOL]) as aware,
        open_stream(gateway.port, key, body("m-openai", prompts[2])) as events,
        websocket.connect(gateway.port, gateway.key) as other,
    ):
        plain.send_json(body("m-openai", prompts[0]))
        request = {"type": "create", "ref": "r", "request": body("m-openai", prompts[1])}
        aware.send_json(request)
        await plain.receive_json()
        await aware.receive_type("chunk")
        await events.next_chunk()
        await gateway.revoke_key(key)
        for socket in (idle, plain, aware):
            closed = await socket.closed()
            assert closed.code == 4001, closed
        # The streams that it paid for end as well, at the provider too.
        for prompt in prompts:
            await (await provider.exchange(prompt)).until_gone(AT_ONCE_S)
        *_, last = await events.rest()
        assert last == DONE
        for response in await refused(gateway, f"Bearer {key}"):
            assert (response.status, response.error["code"]) == (401, "invalid_api_key")
        # Nobody else is disturbed.
        prompt = provider.play(replay(whole("openai", ["네"])))
        other.send_json(body("m-openai", prompt))
        assert text_of(await plain_frames(other)) == "네"


async def test_an_unknown_key_and_a_revoked_one_get_the_same_words(gateway: Gateway) -> None:
    key = await gateway.create_key("to be revoked too")
    await gateway.revoke_key(key)
    response = await gateway.get("/v1/models", key)
    assert response.status == 401
    message = response.error["message"].lower()
    assert "revoked" not in message or "unknown" in message


async def test_the_first_frame_can_carry_the_key(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    async with websocket.connect(gateway.port, subprotocols=[websocket.SUBPROTOCOL]) as socket:
        socket.send_json({"type": "auth", "token": gateway.key})
        await socket.receive_type("ready")
        prompt = provider.play(replay(whole("openai", ["네"])))
        socket.send_json({"type": "create", "ref": 1, "request": body("m-openai", prompt)})
        assert (await socket.receive_type("done"))["finish_reason"] == "stop"
    async with websocket.connect(gateway.port) as socket:
        socket.send_json({"type": "auth", "token": "tf_wrong"})
        assert (await socket.closed()).code == 4001
    async with websocket.connect(gateway.port) as socket:
        socket.send_json(body("m-openai", "never sent on"))
        assert (await socket.closed()).code == 4001


async def test_a_ticket_opens_one_connection(gateway: Gateway) -> None:
    response = await gateway.post("/v1/stream/tickets", b"{}", gateway.key)
    assert response.status == 200
    assert response.json["expires_in"] == 30
    ticket = response.json["ticket"]
    assert gateway.key not in ticket
    offered = [websocket.SUBPROTOCOL, f"ticket.{ticket}"]
    async with websocket.connect(gateway.port, subprotocols=offered) as socket:
        assert socket.subprotocol == websocket.SUBPROTOCOL
        await socket.receive_type("ready")
    with pytest.raises(websocket.Refused) as refusal:
        async with websocket.connect(gateway.port, subprotocols=offered):
            pass
    assert refusal.value.response.status == 401
    assert refusal.value.response.error["code"] == "invalid_ticket"


async def test_a_ticket_of_a_revoked_key_opens_nothing(gateway: Gateway) -> None:
    key = await gateway.create_key("short-lived")
    ticket = (await gateway.post("/v1/stream/tickets", b"{}", key)).json["ticket"]
    await gateway.revoke_key(key)
    with pytest.raises(websocket.Refused) as refusal:
        async with websocket.connect(
            gateway.port, subprotocols=[websocket.SUBPROTOCOL, f"ticket.{ticket}"]
        ):
            pass
    assert refusal.value.response.status == 401


async def test_the_provider_never_sees_the_client_s_key(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    for kind in ("openai", "anthropic", "gemini"):
        prompt = provider.play(replay(whole(kind, ["네"])))
        for manner in ("sse", "plain", "aware"):
            await ask(gateway, manner, body(f"m-{kind}", prompt))
        for exchange in provider.exchanges(prompt):
            sent = json.dumps([exchange.request.headers, exchange.request.path])
            assert gateway.key not in sent
            assert "provider-secret-1234567890" in sent
