"""The chat page's routes: who gets a ticket, for whom it is, and what it is good for."""

import asyncio
import json
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness import websocket
from harness.accounts import COOKIE, PASSWORD, Member, call, log_in, member
from harness.dialects import closing, opening, token
from harness.gateway import SERVER, Gateway, ProviderEntry, provider_entry
from harness.http_client import Response
from harness.providers import Exchange, ScriptedProvider

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "m-openai"
GUEST_COOKIE = "tokenferry_guest"


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    return {
        "server": SERVER,
        "providers": [provider_entry("openai", provider.url)],
        "tables": {
            "accounts": {"signup": "open", "trusted_proxies": 1},
            "billing": {"signup_credit": "5.00"},
            "limits": {"requests_per_minute": 0, "guest_connections_per_minute": 6},
        },
    }


# A price is known within a second; a busy machine takes longer.
WAIT_S = 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def somebody(gateway: Gateway) -> AsyncIterator[Member]:
    await gateway.administer("prices", "set", MODEL, "--input", "1", "--output", "2")
    # A running gateway looks for prices every now and then.
    async with asyncio.timeout(WAIT_S):
        while not (await gateway.get(f"/v1/models/{MODEL}", gateway.key)).json.get("pricing"):
            await asyncio.sleep(0.05)
    yield await member(gateway, "somebody@example.com")


class Visitor:
    """A browser: an address, and cookies that are kept."""

    def __init__(self, gateway: Gateway, address: str, login: str | None = None) -> None:
        self.gateway = gateway
        self.address = address
        self.cookies = {} if login is None else {COOKIE: login}
        self.set_cookie: str | None = None

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        own = {"Origin": self.gateway.url, "Host": f"127.0.0.1:{self.gateway.port}"}
        own |= {"X_Forwarded_For": self.address} | ({"Cookie": cookie} if cookie else {})
        response = await call(self.gateway, method, path, body, None, **{**own, **headers})
        self.set_cookie = response.headers.get("set-cookie")
        for name, morsel in SimpleCookie(self.set_cookie or "").items():
            self.cookies[name] = morsel.value
        return response

    async def ticket(self, who: str = "guest") -> str:
        response = await self.call("POST", "/api/chat/ticket", {"who": who})
        assert response.status == 200, response.body
        assert response.headers["cache-control"] == "no-store"
        return str(response.json["ticket"])

    def connect(self, ticket: str) -> Any:
        headers = {
            "Origin": self.gateway.url,
            "Host": f"127.0.0.1:{self.gateway.port}",
            "Sec-WebSocket-Protocol": f"tokenferry.v1, ticket.{ticket}",
        }
        return websocket.connect(self.gateway.port, headers=headers)


def create(model: str, prompt: str, **request: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}]
    return {
        "type": "create",
        "ref": "r",
        "request": {"model": model, "messages": messages, **request},
    }


def code(response: Response) -> tuple[int, str]:
    return response.status, response.json["error"]["code"]


async def test_a_guest_has_the_demo_and_its_price_alone(gateway: Gateway) -> None:
    guest = Visitor(gateway, "198.51.100.1")
    listed = (await guest.call("GET", "/api/chat/models")).json
    assert (listed["who"], listed["email"]) == ("guest", None)
    (demo,) = listed["data"]
    pricing = demo["pricing"]
    assert (demo["id"], pricing["input"], pricing["output"]) == ("demo", "1.00", "5.00")
    assert guest.cookies == {}, "who only looks is not marked"


async def test_a_guest_s_answers_are_its_own(gateway: Gateway) -> None:
    guest = Visitor(gateway, "198.51.100.2")
    ticket = await guest.ticket()
    assert guest.set_cookie is not None
    attributes = {part.strip().split("=")[0].lower() for part in guest.set_cookie.split(";")[1:]}
    assert {"httponly", "samesite", "path", "max-age"} <= attributes
    assert "path=/api/chat" in guest.set_cookie.lower()
    secret = guest.cookies[GUEST_COOKIE]
    async with guest.connect(ticket) as socket:
        ready = await socket.receive_type("ready")
        assert ready["limits"]["requests_per_minute"] == 20
        assert ready["limits"]["streams_max"] == 4
        socket.send_json(create("demo", "안녕하세요"))
        stream_id = (await socket.receive_type("started"))["stream_id"]
        await socket.receive_type("chunk")
        # Nothing else is for guests, and nobody goes before others.
        socket.send_json(create(MODEL, "anything"))
        assert (await socket.receive_type("error"))["error"]["code"] == "model_not_allowed"
        socket.send_json(create("demo", "x", service_tier="priority"))
        refused = await socket.receive_type("error")
        assert refused["error"]["code"] == "service_tier_not_allowed"

        # The same browser goes on with it on another connection; another one does not see it.
        async with guest.connect(await guest.ticket()) as again:
            assert guest.set_cookie is None
            assert guest.cookies[GUEST_COOKIE] == secret
            resume = {"type": "resume", "ref": "r", "stream_id": stream_id, "epoch": 1, "after": 0}
            again.send_json(resume)
            assert (await again.receive_type("resumed"))["stream_id"] == stream_id
            stranger = Visitor(gateway, "198.51.100.3")
            async with stranger.connect(await stranger.ticket()) as other:
                other.send_json(resume)
                refused = await other.receive_type("error")
                assert refused["error"]["code"] == "stream_not_found"
            found = await stranger.call(
                "DELETE", f"/api/chat/streams/{stream_id}", {"who": "guest"}
            )
            assert code(found) == (404, "stream_not_found")

        # It is ended without a socket, too.
        ended = await guest.call("DELETE", f"/api/chat/streams/{stream_id}", {"who": "guest"})
        assert (ended.status, ended.json["state"]) == (200, "cancelled")
        assert (await socket.receive_type("done"))["finish_reason"] == "cancelled"
    # A guest is not a key: nothing of /v1 is open to it.
    assert (await gateway.get("/v1/models", secret)).status == 401


async def test_a_ticket_is_for_the_page_that_asked(gateway: Gateway) -> None:
    guest = Visitor(gateway, "198.51.100.4")
    body = {"who": "guest"}
    for origin in ("https://evil.example", "null"):
        response = await guest.call("POST", "/api/chat/ticket", body, Origin=origin)
        assert code(response) == (403, "origin_not_allowed")
    response = await call(gateway, "POST", "/api/chat/ticket", body)
    assert code(response) == (403, "origin_not_allowed")
    form = await guest.call("POST", "/api/chat/ticket", body, Content_Type="text/plain")
    assert code(form) == (400, "invalid_value")
    assert code(await guest.call("POST", "/api/chat/ticket", {"who": "admin"})) == (
        400,
        "invalid_value",
    )
    ticket = await guest.ticket()
    async with guest.connect(ticket) as socket:
        await socket.receive_type("ready")
    async with guest.connect(ticket) as socket:
        assert (await socket.closed()).code == 4001


async def test_a_network_with_many_guests_is_told_to_wait(gateway: Gateway) -> None:
    for _ in range(6):
        await Visitor(gateway, "198.51.100.5").ticket()
    late = Visitor(gateway, "198.51.100.5")
    response = await late.call("POST", "/api/chat/ticket", {"who": "guest"})
    assert code(response) == (429, "rate_limit_exceeded")
    assert int(response.headers["retry-after-ms"]) <= 10_000
    assert late.cookies == {}
    await Visitor(gateway, "198.51.100.6").ticket()


async def test_a_login_is_the_account_with_a_key_that_nobody_sees(
    gateway: Gateway, provider: ScriptedProvider, somebody: Member
) -> None:
    async def script(exchange: Exchange) -> None:
        exchange.head()
        for block in (*opening("openai"), token("openai", "안녕"), *closing("openai", 1)):
            exchange.chunk(block)
        exchange.end()

    visitor = Visitor(gateway, "198.51.100.7", somebody.token)
    listed = (await visitor.call("GET", "/api/chat/models")).json
    assert (listed["who"], listed["email"]) == ("account", "somebody@example.com")
    assert {"demo", MODEL} <= {model["id"] for model in listed["data"]}
    assert (await somebody.call("GET", "/api/keys")).json["data"] == [], "to look makes no key"
    for _ in range(2):
        async with visitor.connect(await visitor.ticket("account")) as socket:
            socket.send_json(create(MODEL, provider.play(script)))
            done = await socket.receive_type("done")
            assert done["cost"] == "0.000013"
            assert done["balance"].startswith("4.99")
    (key,) = (await somebody.call("GET", "/api/keys")).json["data"]
    assert (key["name"], key["models"], key["budget"]) == ("Chat page", None, None)

    # It can be limited and revoked like any other; the next visit makes another one.
    async with visitor.connect(await visitor.ticket("account")) as socket:
        await socket.receive_type("ready")
        revoked = await somebody.call("DELETE", f"/api/keys/{key['public_id']}")
        assert revoked.status == 200
        assert (await socket.closed()).code == 4001
    await visitor.ticket("account")
    keys = (await somebody.call("GET", "/api/keys")).json["data"]
    assert [each["revoked"] is None for each in keys] == [False, True]


async def test_what_a_login_has_opened_ends_with_it(gateway: Gateway) -> None:
    """Whoever had the password may have a socket open, and would go on at the owner's cost."""
    owner = await member(gateway, "owner@example.com")
    thief, left = [await log_in(gateway, "owner@example.com") for _ in range(2)]
    theirs, another, own = (
        Visitor(gateway, "198.51.100.9", each.token) for each in (thief, left, owner)
    )
    async with (
        theirs.connect(await theirs.ticket("account")) as stolen,
        another.connect(await another.ticket("account")) as over,
        own.connect(await own.ticket("account")) as kept,
    ):
        for socket in (stolen, over, kept):
            await socket.receive_type("ready")
        assert (await left.call("DELETE", "/api/sessions/current")).status == 204
        assert (await over.receive_type("error"))["error"]["code"] == "login_required"
        assert (await over.closed()).code == 4001
        change = {"old_password": PASSWORD, "new_password": "another horse"}
        assert (await owner.call("PATCH", "/api/account", change)).status == 200
        assert (await stolen.closed()).code == 4001
        kept.send_json({"type": "ping"})
        await kept.receive_type("pong")


async def test_a_login_that_has_ended_is_no_guest(gateway: Gateway) -> None:
    visitor = Visitor(gateway, "198.51.100.8", "ts_gone")
    response = await visitor.call("POST", "/api/chat/ticket", {"who": "account"})
    assert code(response) == (401, "login_required")
    response = await visitor.call("DELETE", "/api/chat/streams/st_x", {"who": "account"})
    assert code(response) == (401, "login_required")
    # Who has nothing is told what there is for guests.
    assert (await visitor.call("GET", "/api/chat/models")).json["who"] == "guest"


@pytest.mark.parametrize(
    ("server", "model"),
    [
        ({"guest_demo": False}, MODEL),
        ({"demo": False}, MODEL),
        # A model of this name that somebody pays for is not for guests.
        ({}, "demo"),
    ],
)
async def test_guests_are_not_let_in(
    tmp_path: Path, provider: ScriptedProvider, server: dict[str, Any], model: str
) -> None:
    running = Gateway(
        tmp_path,
        server={**SERVER, **server},
        providers=[ProviderEntry("other", "openai", f"{provider.url}/v1", [model])],
    )
    try:
        await running.start()
        visitor = Visitor(running, "198.51.100.9")
        assert code(await visitor.call("GET", "/api/chat/models")) == (401, "login_required")
        response = await visitor.call("POST", "/api/chat/ticket", {"who": "guest"})
        assert code(response) == (401, "login_required")
        assert json.loads(response.body)["error"]["message"].startswith("Log in, or use an API key")
    finally:
        await running.kill()
