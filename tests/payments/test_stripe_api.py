"""How the SDK is made to call: limits, and what comes of answers that are none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import stripe
from aiohttp import web

from tokenferry.engine.payments import ProviderRefuses, ProviderUnsure
from tokenferry.payments import stripe_api
from tokenferry.payments.stripe_api import StripeApi, StripeHttp

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Start = Callable[[Handler], Awaitable[str]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    runners = []

    async def start(handler: Handler) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.mark.parametrize(("longer", "fits"), [(-1, True), (0, True), (1, False)])
async def test_an_answer_may_be_so_long(
    start: Start, monkeypatch: pytest.MonkeyPatch, longer: int, *, fits: bool
) -> None:
    monkeypatch.setattr(stripe_api, "ANSWER_BYTES_MAX", 1_000)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * (1_000 + longer))

    http = StripeHttp(5)
    url = await start(answer)
    if fits:
        body, status, _ = await http.request_async("get", url, {})
        assert (len(body), status) == (1_000 + longer, 200)
    else:
        with pytest.raises(stripe.APIConnectionError, match="too long"):
            await http.request_async("get", url, {})
    await http.close_async()
    await http.close_async()


async def test_an_answer_is_not_waited_for_longer(start: Start) -> None:
    asked = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        asked.set()
        await asyncio.Event().wait()
        return web.Response()

    http = StripeHttp(0.2)
    with pytest.raises(stripe.APIConnectionError, match="ReadTimeout"):
        await http.request_async("get", await start(answer), {})
    assert asked.is_set()
    await http.close_async()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[", "nonsense://x", "http://:x"])
async def test_an_address_without_anybody_is_no_answer(url: str) -> None:
    api = StripeApi("sk_test_x", url, 5, 0)
    with pytest.raises(ProviderUnsure):
        await api.ask("get a payment", api.sdk.v1.payment_intents.retrieve_async("pi_1"))
    await api.close()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "[]"), (200, "null"), (200, '"x"'), (200, "1"), (200, "{"), (200, ""),
        (200, "[" * 100_000), (400, "[]"), (400, '{"error": []}'), (400, '{"error": null}'),
        (400, '{"error": "invalid_request"}'), (400, '{"error": {}}'), (402, '{"error": {}}'),
        (400, '{"error": {"type": ["invalid_request_error"]}}'), (404, "{}"), (201, "<html>"),
    ],
)  # fmt: skip
async def test_what_is_not_understood_is_unsure(start: Start, status: int, body: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body, status=status, content_type="application/json")

    api = StripeApi("sk_test_x", await start(answer), 5, 0)
    with pytest.raises(ProviderUnsure):
        await api.ask("get a payment", api.sdk.v1.payment_intents.retrieve_async("pi_1"))
    await api.close()


async def test_only_ask_refuses(start: Start) -> None:
    async def answer(_: web.Request) -> web.Response:
        told = {"type": "invalid_request_error", "message": "No such thing"}
        return web.json_response({"error": told}, status=404)

    api = StripeApi("sk_test_x", await start(answer), 5, 0)
    with pytest.raises(ProviderRefuses, match="No such thing"):
        await api.ask("get", api.sdk.v1.payment_intents.retrieve_async("pi_1"))
    with pytest.raises(ProviderUnsure, match="get: No such thing"):
        await api.get("get", api.sdk.v1.payment_intents.retrieve_async("pi_1"))
    await api.close()


@pytest.mark.parametrize(("pages", "fits"), [(2, True), (3, True), (4, False)])
async def test_a_list_may_have_so_many_pages(
    start: Start, monkeypatch: pytest.MonkeyPatch, pages: int, *, fits: bool
) -> None:
    monkeypatch.setattr(stripe_api, "PAGES_MAX", 3)
    asked: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        data = [{"id": f"evt_{len(asked)}", "object": "event"}]
        more = len(asked) < pages
        return web.json_response({"object": "list", "data": data, "has_more": more})

    api = StripeApi("sk_test_x", await start(answer), 5, 0)
    found: list[str] = []

    async def read_all() -> None:
        async for event in api.each("list", api.sdk.v1.events.list_async, {}):
            found.append(event["id"])  # noqa: PERF401 - what came before the error is kept

    if fits:
        await read_all()
    else:
        with pytest.raises(ProviderUnsure, match="more than 3 pages"):
            await read_all()
    assert found == [f"evt_{number + 1}" for number in range(min(pages, 3))]
    assert asked[0] == {"limit": "100"}
    assert asked[1] == {"limit": "100", "starting_after": "evt_1"}
    await api.close()
