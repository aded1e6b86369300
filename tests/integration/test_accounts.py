"""Accounts on a running gateway: from signing up to a stream, and what ends live sockets."""

import asyncio
import json
import time
from typing import Any

import pytest

from harness import websocket
from harness.accounts import COOKIE, PASSWORD, Member, call, log_in, member, sign_up
from harness.answers import ask, body, plain_frames, text_of
from harness.dialects import KINDS, opening, token, whole
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import Exchange, ScriptedProvider, replay
from harness.sse import DONE, open_stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_ONCE_S = 3.0
# The server looks for changes every ten milliseconds.
FRESH_S = 0.05
GIVEN = "1.25"
LISTED = "https://console.example"


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    return {
        "server": {**SERVER, "origins": [LISTED, "*"]},
        "providers": [provider_entry(kind, provider.url) for kind in KINDS],
        "tables": {
            "accounts": {"signup": "open", "signups_per_ip_per_hour": 0, "signups_per_hour": 0},
            # Members are to get models that nobody set a price for.
            "billing": {"signup_credit": GIVEN, "unpriced": "free"},
        },
    }


async def endless(exchange: Exchange) -> None:
    exchange.head()
    for part in (*opening("openai"), token("openai", "아직")):
        exchange.chunk(part)
    await exchange.until_gone()


async def test_from_signing_up_to_a_stream(gateway: Gateway, provider: ScriptedProvider) -> None:
    somebody = await member(gateway, "First@Example.com")
    assert somebody.email == "first@example.com"
    balance = await gateway.administer("accounts", "balance", somebody.email)
    assert balance == f"{GIVEN}\n"
    key = await somebody.key("노트북")
    prompt = provider.play(replay(whole("openai", ["네"])))
    async with websocket.connect(gateway.port, key) as socket:
        socket.send_json(body("m-openai", prompt))
        assert text_of(await plain_frames(socket)) == "네"
    assert "노트북" in await gateway.administer("keys", "list")


async def test_one_address_is_signed_up_once(gateway: Gateway) -> None:
    email = "once@example.com"
    answers = await asyncio.gather(*(sign_up(gateway, email) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 7
    assert {answer.error["code"] for answer in answers if answer.status == 409} == {"email_taken"}
    assert await gateway.administer("accounts", "balance", email) == f"{GIVEN}\n"


async def test_a_wrong_login_tells_nothing(gateway: Gateway) -> None:
    await sign_up(gateway, "known@example.com")
    found = []
    for email, password in (
        ("known@example.com", "wrong horse"),
        ("unknown@example.com", PASSWORD),
        ("nonsense", PASSWORD),
    ):
        request = {"email": email, "password": password}
        found.append(await call(gateway, "POST", "/api/sessions", request))
    assert {(answer.status, answer.body) for answer in found} == {(401, found[0].body)}
    assert found[0].error["code"] == "wrong_credentials"


async def test_guessing_has_to_wait(gateway: Gateway) -> None:
    await sign_up(gateway, "guessed@example.com")
    request = {"email": "guessed@example.com", "password": "wrong horse"}
    statuses = [(await call(gateway, "POST", "/api/sessions", request)).status for _ in range(7)]
    assert statuses == [401] * 6 + [429]
    answer = await call(gateway, "POST", "/api/sessions", {**request, "password": PASSWORD})
    assert answer.status == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 2


async def test_bodies_are_read_strictly(gateway: Gateway) -> None:
    for request, status, param in (
        ({"email": "a@b.kr"}, 400, "password"),
        ({"email": "a@b.kr", "password": PASSWORD, "admin": True}, 400, "admin"),
        ({"email": "a@b.kr", "password": 7}, 400, "password"),
        ({"email": "a b@c.kr", "password": PASSWORD}, 400, "email"),
        ({"email": "a@b.kr", "password": "password123"}, 400, "password"),
        ({"email": "a@b.kr", "password": PASSWORD, "language": "fr"}, 400, "language"),
    ):
        answer = await call(gateway, "POST", "/api/accounts", request)
        assert (answer.status, answer.error["param"]) == (status, param), answer.body


class TestSessions:
    async def test_a_login_and_its_end(self, gateway: Gateway) -> None:
        somebody = await member(gateway, "session@example.com")
        answer = await somebody.call("GET", "/api/sessions/current")
        assert answer.json["account"]["id"] == somebody.account_id
        days = (answer.json["expires"] - time.time()) / 86_400
        assert 29.9 < days <= 30
        assert (await somebody.call("DELETE", "/api/sessions/current")).status == 204
        answer = await somebody.call("GET", "/api/account")
        assert (answer.status, answer.error["code"]) == (401, "login_required")

    async def test_a_key_is_no_login_and_a_login_no_key(self, gateway: Gateway) -> None:
        somebody = await member(gateway, "mixed@example.com")
        key = await somebody.key()
        assert (await call(gateway, "GET", "/api/account", token=key)).status == 401
        assert (await gateway.get("/v1/models", somebody.token)).status == 401

    async def test_changing_the_account(self, gateway: Gateway) -> None:
        somebody = await member(gateway, "change@example.com")
        other = await log_in(gateway, somebody.email)
        change = {"language": "ko", "old_password": PASSWORD, "new_password": "another horse"}
        answer = await somebody.call("PATCH", "/api/account", change)
        assert (answer.status, answer.json["language"]) == (200, "ko")
        assert (await other.call("GET", "/api/account")).status == 401
        assert (await somebody.call("GET", "/api/account")).json["language"] == "ko"
        await log_in(gateway, somebody.email, "another horse")
        for wrong, param in (
            ({"new_password": "a third horse"}, "old_password"),
            ({"old_password": PASSWORD}, "old_password"),
            ({"email": "x@y.kr"}, "email"),
        ):
            answer = await somebody.call("PATCH", "/api/account", wrong)
            assert (answer.status, answer.error["param"]) == (400, param)

    async def test_browsers_get_a_cookie_that_no_other_page_can_use(self, gateway: Gateway) -> None:
        await sign_up(gateway, "browser@example.com")
        request = {"email": "browser@example.com", "password": PASSWORD}
        answer = await call(gateway, "POST", "/api/sessions", request)
        cookie, *attributes = answer.headers["set-cookie"].split("; ")
        assert {"HttpOnly", "SameSite=Strict", "Path=/api"} <= set(attributes)
        assert "Secure" not in attributes
        name, _, token = cookie.partition("=")
        assert (name, token) == (COOKIE, answer.json["token"])
        # A page that came by TLS, whatever proxy ended it and whatever is configured.
        answer = await call(gateway, "POST", "/api/sessions", request, Origin="https://a.example")
        assert "Secure" in answer.headers["set-cookie"].split("; ")

        async def make_key(**headers: str) -> int:
            response = await call(
                gateway, "POST", "/api/keys", {"name": "k"}, Cookie=cookie, **headers
            )
            return response.status

        own = f"http://127.0.0.1:{gateway.port}"
        host = {"Host": f"127.0.0.1:{gateway.port}"}
        assert await make_key(Origin=own, **host) == 201
        assert await make_key(Origin=LISTED) == 201
        # `*` lets any page use a key that it has, and no cookie that it has not.
        for origin in ("https://evil.example", "null", f"http://127.0.0.1:{gateway.port + 1}"):
            assert await make_key(Origin=origin, **host) == 403
        assert await make_key(**host) == 403
        assert await make_key(Origin=own, **host, Content_Type="text/plain") == 400
        answer = await call(gateway, "GET", "/api/keys", Cookie=cookie)
        assert len(answer.json["data"]) == 2

    async def test_without_an_account_there_is_nothing_to_see(self, gateway: Gateway) -> None:
        for method, path in (
            ("GET", "/api/account"),
            ("GET", "/api/keys"),
            ("GET", "/api/sessions/current"),
            ("GET", "/api/admin/accounts"),
            ("DELETE", "/api/keys/AAAAAAAAAAAA"),
        ):
            answer = await call(gateway, method, path)
            assert (answer.status, answer.error["code"]) == (401, "login_required")


class TestKeys:
    async def test_terms(self, gateway: Gateway) -> None:
        somebody = await member(gateway, "terms@example.com")
        expires_at = int(time.time()) + 3_600
        terms = {"budget": "10", "models": ["m-openai", "nope"], "expires_at": expires_at}
        key = await somebody.key("k", **terms)
        (facts,) = (await somebody.call("GET", "/api/keys")).json["data"]
        assert facts["public_id"] == key.split("_")[1]
        assert {name: facts[name] for name in terms} == {**terms, "budget": "10.00"}
        assert (facts["last_used"], facts["spent"]) == (None, "0.00")
        assert key.split("_")[2] not in json.dumps(facts)
        path = f"/api/keys/{facts['public_id']}"
        answer = await somebody.call("PATCH", path, {"name": "새 이름", "budget": None})
        assert (answer.json["name"], answer.json["budget"]) == ("새 이름", None)
        assert answer.json["models"] == terms["models"]
        answer = await somebody.call("DELETE", path)
        assert answer.json["revoked"] is not None
        await asyncio.sleep(FRESH_S)
        assert (await gateway.get("/v1/models", key)).status == 401

    async def test_a_key_shows_only_its_models(self, gateway: Gateway) -> None:
        somebody = await member(gateway, "models@example.com")
        key = await somebody.key("k", models=["m-openai", "demo"])
        listed = (await gateway.get("/v1/models", key)).json["data"]
        assert [model["id"] for model in listed] == ["m-openai", "demo"]
        assert (await gateway.get("/v1/models/demo", key)).status == 200
        answer = await gateway.get("/v1/models/m-gemini", key)
        assert (answer.status, answer.error["code"]) == (403, "model_not_allowed")

    async def test_the_keys_of_others_are_not_there(self, gateway: Gateway) -> None:
        one, other = await member(gateway, "one@example.com"), await member(gateway, "o@b.kr")
        public_id = (await one.key()).split("_")[1]
        own = gateway.key.split("_")[1]
        for found in (public_id, own, "AAAAAAAAAAAA", "%00", "..%2f"):
            for method, request in (("PATCH", {"name": "x"}), ("DELETE", None)):
                answer = await other.call(method, f"/api/keys/{found}", request)
                assert (answer.status, answer.error["code"]) == (404, "key_not_found"), found
        assert (await gateway.get("/v1/models", gateway.key)).status == 200

    @pytest.mark.parametrize(
        ("terms", "param"),
        [
            ({"name": ""}, "name"),
            ({"name": "a\nb"}, "name"),
            ({"name": "x" * 65}, "name"),
            ({"budget": "ten"}, "budget"),
            ({"budget": "-1"}, "budget"),
            ({"budget": 10}, "budget"),
            ({"models": []}, "models"),
            ({"models": ["m"] * 101}, "models"),
            ({"models": ["a\nb"]}, "models"),
            ({"expires_at": 1}, "expires_at"),
            ({"expires_at": "2099-01-01"}, "expires_at"),
            ({"account_id": "operator"}, "account_id"),
        ],
    )
    async def test_terms_that_cannot_be(
        self, gateway: Gateway, terms: dict[str, Any], param: str
    ) -> None:
        # The other cases' too: some of them may run in another process, on a gateway of its own.
        assert (await sign_up(gateway, "terms-that-cannot-be@example.com")).status in (201, 409)
        somebody = await log_in(gateway, "terms-that-cannot-be@example.com")
        answer = await somebody.call("POST", "/api/keys", {"name": "k", **terms})
        assert (answer.status, answer.error["param"]) == (400, param), answer.body

    async def test_an_account_has_so_many_keys(self, gateway: Gateway) -> None:
        somebody = await member(gateway, "many@example.com")
        statuses = [
            (await somebody.call("POST", "/api/keys", {"name": "k"})).status for _ in range(101)
        ]
        assert statuses == [201] * 100 + [409]
        first = (await somebody.call("GET", "/api/keys")).json["data"][0]["public_id"]
        await somebody.call("DELETE", f"/api/keys/{first}")
        assert (await somebody.call("POST", "/api/keys", {"name": "k"})).status == 201


async def lives(
    gateway: Gateway, provider: ScriptedProvider, key: str, end: Any, expected: tuple[int, str]
) -> None:
    """Open sockets and streams of a key, end it, and see all of them end with a close code."""
    close_code, error_code = expected
    prompts = [provider.play(endless) for _ in range(3)]
    async with (
        websocket.connect(gateway.port, key) as idle,
        websocket.connect(gateway.port, key) as plain,
        websocket.connect(gateway.port, key, subprotocols=[websocket.SUBPROTOCOL]) as aware,
        open_stream(gateway.port, key, body("m-openai", prompts[2])) as events,
        websocket.connect(gateway.port, gateway.key) as other,
    ):
        plain.send_json(body("m-openai", prompts[0]))
        aware.send_json({"type": "create", "ref": 1, "request": body("m-openai", prompts[1])})
        await plain.receive_json()
        await aware.receive_type("chunk")
        await events.next_chunk()
        await end()
        for socket in (idle, plain, aware):
            closed = await socket.closed()
            assert closed.code == close_code, closed
        for prompt in prompts:
            await (await provider.exchange(prompt)).until_gone(AT_ONCE_S)
        *texts, last = await events.rest()
        assert last == DONE
        assert error_code in texts[-1]
        # Nobody else is disturbed.
        prompt = provider.play(replay(whole("openai", ["네"])))
        other.send_json(body("m-openai", prompt))
        assert text_of(await plain_frames(other)) == "네"
    with pytest.raises(websocket.Refused) as refusal:
        async with websocket.connect(gateway.port, key):
            pass
    assert refusal.value.response.error["code"] == error_code
    answer = await gateway.get("/v1/models", key)
    assert answer.error["code"] == error_code


async def test_a_suspension_ends_what_is_live(gateway: Gateway, provider: ScriptedProvider) -> None:
    somebody = await member(gateway, "suspended@example.com")
    key = await somebody.key()

    async def suspend() -> None:
        await gateway.administer("accounts", "suspend", somebody.email, "--reason", "도용")

    await lives(gateway, provider, key, suspend, (4003, "account_suspended"))
    answer = await somebody.call("GET", "/api/account")
    assert (answer.status, answer.error["code"]) == (403, "account_suspended")
    await gateway.administer("accounts", "unsuspend", somebody.email)
    assert (await gateway.get("/v1/models", key)).status == 200
    assert (await somebody.call("GET", "/api/account")).status == 200


async def test_a_key_s_last_day_ends_what_is_live(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    somebody = await member(gateway, "expired@example.com")
    expires_at = int(time.time()) + 3
    key = await somebody.key("k", expires_at=expires_at)

    async def wait() -> None:
        assert time.time() < expires_at, "the machine was too slow for this test"

    await lives(gateway, provider, key, wait, (4001, "expired_api_key"))
    assert time.time() >= expires_at


async def test_a_create_after_the_suspension_is_refused_on_a_live_socket(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    """The sweep comes five times a second; a create must not slip in before it."""
    somebody = await member(gateway, "slipping@example.com")
    key = await somebody.key()
    async with websocket.connect(gateway.port, key, subprotocols=[websocket.SUBPROTOCOL]) as socket:
        await socket.receive_type("ready")
        await gateway.administer("accounts", "suspend", somebody.email)
        socket.send_json({"type": "create", "ref": 1, "request": body("m-openai", "never sent")})
        assert (await socket.closed()).code == 4003


async def test_a_revocation_over_http_ends_what_is_live(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    somebody = await member(gateway, "revoking@example.com")
    key = await somebody.key()

    async def revoke() -> None:
        path = f"/api/keys/{key.split('_')[1]}"
        assert (await somebody.call("DELETE", path)).status == 200

    await lives(gateway, provider, key, revoke, (4001, "invalid_api_key"))


class TestAdministration:
    async def administrator(self, gateway: Gateway, email: str) -> Member:
        # The command reads the password from its standard input, which a test has not.
        await sign_up(gateway, email)
        import sqlite3

        with sqlite3.connect(gateway.data_dir / "tokenferry.db") as database:
            database.execute("UPDATE account SET role = 'admin' WHERE email = ?", (email,))
        database.close()
        return await log_in(gateway, email)

    async def test_members_may_not(self, gateway: Gateway) -> None:
        somebody = await member(gateway, "member@example.com")
        for method, path, request in (
            ("GET", "/api/admin/accounts", None),
            ("POST", f"/api/admin/accounts/{somebody.account_id}/unsuspend", {}),
        ):
            answer = await somebody.call(method, path, request)
            assert (answer.status, answer.error["code"]) == (403, "admin_only")

    async def test_all_accounts_page_by_page(self, gateway: Gateway) -> None:
        admin = await self.administrator(gateway, "admin@example.com")
        found, before = [], ""
        while before is not None:
            path = f"/api/admin/accounts?limit=3&before={before}"
            answer = (await admin.call("GET", path)).json
            found += answer["data"]
            before = answer["next"]
        assert {"operator", admin.account_id} <= {account["id"] for account in found}
        assert len(found) == len({account["id"] for account in found})
        for query, param in (("limit=0", "limit"), ("limit=1001", "limit"), ("page=1", "page")):
            answer = await admin.call("GET", f"/api/admin/accounts?{query}")
            assert (answer.status, answer.error["param"]) == (400, param)

    async def test_suspending(self, gateway: Gateway, provider: ScriptedProvider) -> None:
        admin = await self.administrator(gateway, "admin2@example.com")
        somebody = await member(gateway, "victim@example.com")
        key = await somebody.key()
        path = f"/api/admin/accounts/{somebody.account_id}"

        async def suspend() -> None:
            answer = await admin.call("POST", f"{path}/suspend", {"reason": "도용"})
            assert (answer.json["state"], answer.json["suspended_reason"]) == ("suspended", "도용")

        await lives(gateway, provider, key, suspend, (4003, "account_suspended"))
        answer = await admin.call("POST", f"{path}/unsuspend", {})
        assert (answer.json["state"], answer.json["suspended_reason"]) == ("active", None)
        await asyncio.sleep(FRESH_S)
        assert (await gateway.get("/v1/models", key)).status == 200
        for unknown in ("operator", "acc_0"):
            answer = await admin.call("POST", f"/api/admin/accounts/{unknown}/suspend", {})
            assert (answer.status, answer.error["code"]) == (404, "account_not_found")
        assert (await gateway.get("/v1/models", gateway.key)).status == 200


async def test_the_document_describes_every_route(gateway: Gateway) -> None:
    document = (await call(gateway, "GET", "/api/openapi.json")).json
    assert document["openapi"] == "3.1.1"
    assert "/api/keys/{public_id}" in document["paths"]
    # Each operation is there: what is refused is refused by the route itself.
    for path, operations in document["paths"].items():
        for method in operations:
            answer = await call(gateway, method.upper(), path.replace("{", "x").replace("}", "x"))
            assert answer.status != 405
            assert answer.status == 200 or answer.error["code"] != "not_found"


async def test_the_other_ways_in_are_as_before(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    """An account's key serves every manner."""
    key = await (await member(gateway, "manners@example.com")).key()
    own, gateway.key = gateway.key, key
    try:
        for manner in ("sse", "whole", "plain", "aware"):
            prompt = provider.play(replay(whole("openai", ["네"])))
            await ask(gateway, manner, body("m-openai", prompt))
    finally:
        gateway.key = own
