"""What all routes share when something fails; the routes are in tests/integration."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.ports import JournalUnavailable
from tokenferry.server.http_api import HttpApi


@pytest.mark.filterwarnings("ignore::aiohttp.web.NotAppKeyWarning")
@pytest.mark.parametrize("failure", [StoreUnusable("locked"), JournalUnavailable("damaged")])
async def test_a_storage_that_fails_is_worth_another_try(failure: Exception) -> None:
    metrics = SimpleNamespace(refused=lambda _: None)
    hub: Any = SimpleNamespace(shared=SimpleNamespace(metrics=metrics))
    api = HttpApi(hub, cast("Any", None))

    async def failing(_: web.Request) -> web.StreamResponse:
        raise failure

    answer = cast("web.Response", await api._middleware(make_mocked_request("GET", "/"), failing))
    assert answer.status == 503
    assert "x-should-retry" not in answer.headers
    assert json.loads(cast("bytes", answer.body))["error"]["code"] == "storage_unavailable"
