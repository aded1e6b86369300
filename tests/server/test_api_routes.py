"""The registry of /api: who is let in, what is read, and what is answered."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from msgspec import Meta, Struct

from tokenferry.domain.account import Account
from tokenferry.engine.accounts import LoginSession
from tokenferry.engine.keys import StoreUnusable
from tokenferry.errors import LoginRequired, TokenferryError
from tokenferry.server.api_document import document, with_document
from tokenferry.server.api_routes import BODY_BYTES_MAX, COOKIE, Api, Body, Call, Route
from tokenferry.server.responses import error_response

LISTED = "https://console.example"


class NewName(Body):
    """What somebody is called from now on."""

    name: Annotated[str, Meta(max_length=8)]
    times: int = 1


class Page(Body):
    """Which part of a list."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class Named(Struct):
    """What somebody is called."""

    name: str


async def rename(call: Call[NewName]) -> Named:
    return Named(call.body.name * call.body.times)


async def who(call: Call[Any]) -> Named:
    return Named(call.account.account_id)


async def visitor(call: Call[Any]) -> Named:
    return Named("nobody" if call.session is None else call.account.account_id)


async def page(call: Call[Any]) -> Named:
    return Named(str(call.query.limit))


async def nothing(_: Call[Any]) -> None:
    return None


async def raw(call: Call[Any]) -> web.Response:
    return web.Response(body=await call.request.read())


async def broken(_: Call[Any]) -> None:
    raise StoreUnusable("the disk is gone")


ROUTES = [
    Route("PUT", "/api/name", rename, "Rename", body=NewName, answer=Named),
    Route("POST", "/api/open", rename, "Open", body=NewName, answer=Named, status=201,
          access="anyone"),
    Route("GET", "/api/who", who, "Who", answer=Named),
    Route("GET", "/api/page", page, "Page", query=Page, answer=Named),
    Route("DELETE", "/api/things/{id}", nothing, "Nothing"),
    Route("GET", "/api/admin", who, "Admin", answer=Named, access="admin"),
    Route("POST", "/api/hook", raw, "Hook", access="anyone"),
    Route("GET", "/api/visitor", visitor, "Visitor", answer=Named, access="visitor"),
    Route("POST", "/api/visitor", visitor, "Visit", body=NewName, answer=Named,
          access="visitor"),
    Route("GET", "/api/broken", broken, "Broken", access="anyone"),
]  # fmt: skip


class Sessions:
    async def session(self, token: str) -> LoginSession:
        if token not in ("member", "admin"):
            raise LoginRequired("Log in.")
        account = Account("acc_1", "a@b.kr", token, "active", "en", 1)
        return LoginSession(account, bytes(32), 10)


@web.middleware
async def errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        return await handler(request)
    except TokenferryError as error:
        return error_response(error)


@pytest_asyncio.fixture
async def client() -> AsyncIterator[TestClient]:
    app = web.Application(middlewares=[errors])
    Api(with_document(ROUTES), Sessions(), (LISTED, "*")).add_to(app)
    async with TestClient(TestServer(app)) as running:
        yield running


MEMBER = {"Authorization": "Bearer member"}


async def code(response: Any) -> tuple[int, str, str | None]:
    error = (await response.json())["error"]
    return response.status, error["code"], error["param"]


async def test_a_body_is_decoded_and_an_answer_encoded(client: TestClient) -> None:
    response = await client.put("/api/name", json={"name": "철수", "times": 2}, headers=MEMBER)
    assert (response.status, await response.json()) == (200, {"name": "철수철수"})
    assert response.headers["cache-control"] == "no-store"
    assert (await client.post("/api/open", json={"name": "a"})).status == 201
    assert (await client.delete("/api/things/7", headers=MEMBER)).status == 204
    assert await (await client.post("/api/hook", data=b"\xff")).read() == b"\xff"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, "invalid_json", None)),
        (b"{", (400, "invalid_json", None)),
        (b'{"name":"\xff"}', (400, "invalid_json", None)),
        (b'{"name":"\\ud800"}', (400, "invalid_json", None)),
        (b"[" * 10_000, (400, "invalid_value", None)),
        (b"[]", (400, "invalid_value", None)),
        (b"{}", (400, "missing_required_parameter", "name")),
        (b'{"name":1}', (400, "invalid_value", "name")),
        (b'{"name":"a","nmae":1}', (400, "invalid_value", "nmae")),
        (b'{"name":"123456789"}', (400, "invalid_value", "name")),
    ],
)
async def test_bodies_that_are_refused(
    client: TestClient, body: bytes, expected: tuple[int, str, str | None]
) -> None:
    headers = {**MEMBER, "Content-Type": "application/json"}
    assert await code(await client.put("/api/name", data=body, headers=headers)) == expected


async def test_the_limit_of_a_body(client: TestClient) -> None:
    headers = {**MEMBER, "Content-Type": "application/json"}
    for extra, status in ((-1, 200), (0, 200), (1, 413)):
        body = b'{"name":"a"}'.ljust(BODY_BYTES_MAX + extra)
        response = await client.put("/api/name", data=body, headers=headers)
        assert response.status == status


async def test_a_body_of_another_type_is_refused(client: TestClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        headers = {"Content-Type": kind}
        response = await client.post("/api/open", data=b'{"name":"a"}', headers=headers)
        assert await code(response) == (400, "invalid_value", "Content-Type")


async def test_the_query(client: TestClient) -> None:
    assert await (await client.get("/api/page", headers=MEMBER)).json() == {"name": "20"}
    response = await client.get("/api/page?limit=100", headers=MEMBER)
    assert await response.json() == {"name": "100"}
    for query, param in (("limit=101", "limit"), ("limit=x", "limit"), ("limti=1", "limti")):
        response = await client.get(f"/api/page?{query}", headers=MEMBER)
        assert await code(response) == (400, "invalid_value", param)


async def test_who_is_let_in(client: TestClient) -> None:
    assert await code(await client.get("/api/who")) == (401, "login_required", None)
    for header, expected in (
        ("Bearer nobody", "login_required"),
        ("Basic x", "invalid_api_key_format"),
    ):
        response = await client.get("/api/who", headers={"Authorization": header})
        assert (await code(response))[:2] == (401, expected)
    assert (await client.get("/api/who", headers=MEMBER)).status == 200
    assert await code(await client.get("/api/admin", headers=MEMBER)) == (403, "admin_only", None)
    admin = {"Authorization": "Bearer admin"}
    assert (await client.get("/api/admin", headers=admin)).status == 200


async def test_a_store_that_fails_is_no_fault_of_the_client(client: TestClient) -> None:
    assert (await code(await client.get("/api/broken")))[:2] == (503, "storage_unavailable")


class TestCookies:
    JSON = "application/json"

    async def put(self, client: TestClient, **headers: str) -> Any:
        every = {"Cookie": f"{COOKIE}=member", **headers}
        return await client.put("/api/name", data=b'{"name":"a"}', headers=every)

    async def test_reading_takes_the_cookie_alone(self, client: TestClient) -> None:
        headers = {"Cookie": f"{COOKIE}=member"}
        assert (await client.get("/api/who", headers=headers)).status == 200

    async def test_changing_takes_a_page_that_may(self, client: TestClient) -> None:
        own = f"http://{client.host}:{client.port}"
        for origin in (own, LISTED):
            response = await self.put(client, **{"Origin": origin, "Content-Type": self.JSON})
            assert response.status == 200

    @pytest.mark.parametrize(
        "origin", [None, "null", "https://evil.example", "http://127.0.0.1", "http://["]
    )
    async def test_other_pages_may_not(self, client: TestClient, origin: str | None) -> None:
        headers = {"Content-Type": self.JSON} | ({"Origin": origin} if origin else {})
        response = await self.put(client, **headers)
        assert await code(response) == (403, "origin_not_allowed", None)

    async def test_a_form_may_not(self, client: TestClient) -> None:
        response = await self.put(client, Origin=LISTED, **{"Content-Type": "text/plain"})
        assert await code(response) == (400, "invalid_value", "Content-Type")
        headers = {"Cookie": f"{COOKIE}=member", "Origin": LISTED}
        response = await client.delete("/api/things/7", headers=headers)
        assert await code(response) == (400, "invalid_value", "Content-Type")

    async def test_a_token_needs_none_of_it(self, client: TestClient) -> None:
        headers = {**MEMBER, "Cookie": f"{COOKIE}=nobody", "Origin": "https://evil.example"}
        assert (await client.put("/api/name", json={"name": "a"}, headers=headers)).status == 200


async def test_the_document_is_served(client: TestClient) -> None:
    found = await (await client.get("/api/openapi.json")).json()
    assert found == document(with_document(ROUTES)[:-1]) | {"paths": found["paths"]}
    assert {"/api/openapi.json", *(route.path for route in ROUTES)} == found["paths"].keys()


@pytest.mark.parametrize(
    ("cookie", "name"), [(None, "nobody"), ("member", "acc_1"), ("ended", "nobody")]
)
async def test_a_visitor_is_logged_in_or_not(
    client: TestClient, cookie: str | None, name: str
) -> None:
    cookies = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
    response = await client.get("/api/visitor", headers=cookies)
    assert (await response.json())["name"] == name
    # A header is a program's; the page has none, and a visitor's route takes none.
    response = await client.get("/api/visitor", headers={**cookies, **MEMBER})
    assert (await response.json())["name"] == name
    own = {"Origin": f"http://{client.host}:{client.port}", **cookies}
    response = await client.post("/api/visitor", json={"name": "a"}, headers=own)
    assert (await response.json())["name"] == name


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null"])
async def test_a_visitor_comes_from_a_page_of_this_server(
    client: TestClient, origin: str | None
) -> None:
    headers = {} if origin is None else {"Origin": origin}
    response = await client.post("/api/visitor", json={"name": "a"}, headers=headers)
    assert (await code(response))[:2] == (403, "origin_not_allowed")
    own = {"Origin": f"http://{client.host}:{client.port}", "Content-Type": "text/plain"}
    response = await client.post("/api/visitor", data=b"{}", headers=own)
    assert await code(response) == (400, "invalid_value", "Content-Type")


async def test_the_document_says_that_a_login_is_optional_for_visitors(client: TestClient) -> None:
    paths = (await (await client.get("/api/openapi.json")).json())["paths"]
    assert paths["/api/visitor"]["get"]["security"] == [{"cookie": []}, {}]
