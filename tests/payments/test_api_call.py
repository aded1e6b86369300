"""What an answer of a payment provider may be taken for, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from tokenferry.engine.payments import ProviderUnsure
from tokenferry.payments import api_call
from tokenferry.payments.api_call import Api

Handler = Callable[[web.Request], Any]


class Server:
    """Answers with what the test has set."""

    def __init__(self) -> None:
        self.answer: Handler = lambda _: web.json_response({})
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append((request.method, request.path_qs, headers, body))
        answer = self.answer(request)
        return await answer if asyncio.iscoroutine(answer) else answer


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest_asyncio.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    api = Api(server.url, {"authorization": "Basic c2VjcmV0"}, spoken=(409,))
    yield api
    await api.close()
    await api.close()


async def test_a_call_carries_credential_query_body_and_its_own_headers(server, api):
    await api.get("/a", {"q": "한글", "n": 1})
    await api.post("/b", {"amount": 10_000}, {"idempotency-key": "k"})
    (method, path, headers, _), (method_2, path_2, headers_2, body) = server.seen
    assert (method, path) == ("GET", "/a?q=%ED%95%9C%EA%B8%80&n=1")
    assert (method_2, path_2, body) == ("POST", "/b", b'{"amount":10000}')
    assert headers["authorization"] == headers_2["authorization"] == "Basic c2VjcmV0"
    assert (headers_2["idempotency-key"], headers_2["accept"]) == ("k", "application/json")


@pytest.mark.parametrize("status", [200, 201, 400, 401, 404, 409, 422])
async def test_what_is_an_answer(server, api, status):
    server.answer = lambda _: web.json_response(
        {"code": "X", "message": "안 됩니다"}, status=status
    )
    answer = await api.get("/")
    assert (answer.status, answer.is_error) == (status, status >= 400)
    assert (answer.text("message"), answer.text("none")) == ("안 됩니다", "")


async def test_a_list_is_an_answer_without_fields(server, api):
    server.answer = lambda _: web.json_response([1])
    answer = await api.get("/")
    assert (answer.body, answer.text("code")) == ([1], "")


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=500, text="{}"),
        web.Response(status=502, text="<html>Bad Gateway</html>"),
        web.Response(status=429, text="{}"),
        web.Response(status=200, text="<html>maintenance</html>"),
        web.Response(status=404, text="not here"),
        web.Response(status=200, text=""),
        web.Response(status=200, text='"text"'),
        web.Response(status=200, text="12"),
        web.Response(status=200, body=b'{"a": "\xff"}'),
        web.Response(status=302, headers={"location": "/elsewhere"}, text="{}"),
    ],
)
async def test_what_says_nothing_is_never_taken_for_an_answer(server, api, answer):
    server.answer = lambda _: answer
    with pytest.raises(ProviderUnsure) as unsure:
        await api.post("/", {})
    assert "c2VjcmV0" not in str(unsure.value)
    assert len(server.seen) == 1


async def test_409_says_nothing_unless_this_provider_speaks_with_it(server):
    server.answer = lambda _: web.json_response({}, status=409)
    api = Api(server.url, {})
    with pytest.raises(ProviderUnsure, match="409"):
        await api.get("/")
    await api.close()


async def test_nobody_listens(server, api):
    nobody = Api("http://127.0.0.1:9", {})
    with pytest.raises(ProviderUnsure, match="ConnectError"):
        await nobody.get("/")
    await nobody.close()


async def test_no_end_and_no_time(server, api, monkeypatch):
    monkeypatch.setattr(api_call, "ANSWER_BYTES_MAX", 1_000)
    server.answer = lambda _: web.json_response({"a": "x" * 2_000})
    with pytest.raises(ProviderUnsure, match="too long"):
        await api.get("/")
    monkeypatch.setattr(api_call, "TIMEOUT_S", 0.05)
    hasty = Api(server.url, {})

    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.json_response({})

    server.answer = never
    with pytest.raises(ProviderUnsure, match="ReadTimeout"):
        await hasty.get("/")
    await hasty.close()
