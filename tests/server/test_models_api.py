"""What is shown of models; that a real gateway does so is in tests/integration/test_models.py."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from engine.virtual import Bench, ScriptedProvider
from tokenferry.domain.price_form import read_terms
from tokenferry.domain.pricing import Price, PriceBook
from tokenferry.domain.routing import Catalog
from tokenferry.engine.keys import Key
from tokenferry.errors import ModelNotFound, ModelRetired
from tokenferry.server.models_api import UNIT, ModelsApi, facts

DAY_MS = 86_400_000
ASKING = {"Authorization": "Bearer k"}
NOTHING = {
    "pricing": None,
    "context_length": None,
    "max_output_tokens": None,
    "shutdown_date": None,
    "successor": None,
}


def book(*prices: tuple[str, dict[str, Any]]) -> PriceBook:
    return PriceBook([Price(name, 0, read_terms(plain)) for name, plain in prices])


def shown(plain: dict[str, Any], margin_ppm: int = 0) -> dict[str, Any]:
    return facts(book(("m", plain)).listing("p", "m", 0), margin_ppm)


FLAT = {"rates": {"input": "0.40", "cached_input": "0.10", "output": "1.60"}}


def test_a_price():
    assert shown(FLAT) == NOTHING | {
        "pricing": {
            "unit": UNIT,
            "input": "0.40",
            "cached_input": "0.10",
            "cache_write": "0.40",
            "output": "1.60",
        }
    }


def test_nothing_is_known():
    assert facts(None, 0) == NOTHING


def test_a_margin_is_in_what_is_shown_and_rounded_up():
    pricing = shown(FLAT, 125_000)["pricing"]
    assert (pricing["input"], pricing["cached_input"]) == ("0.45", "0.1125")
    assert shown(FLAT, 1)["pricing"]["input"] == "0.4000004"
    tiny = {"rates": {"input": "0.000000001", "output": "0.00"}}
    assert shown(tiny, 125_000)["pricing"]["input"] == "0.000000002"
    assert shown(FLAT, -1_000_000)["pricing"]["output"] == "0.00"


def test_everything():
    rates = {"input": "3.00", "cache_write": "3.75", "cache_write_1h": "6.00", "output": "15.00"}
    long = {"above_prompt_tokens": 200_000, "rates": {"input": "6.00", "output": "22.50"}}
    night = {"from": "23:00", "to": "01:00", "days": "mon-fri", "rates": FLAT["rates"]}
    found = shown(
        {
            "rates": rates,
            "tiers": [long],
            "windows": [night],
            "service_tiers": {"flex": {"rates": FLAT["rates"], "tiers": [long]}},
            "context_tokens_max": 1_000_000,
            "output_tokens_max": 64_000,
            "shutdown_ms": 1_795_996_800_000,
            "successor": "n",
        }
    )
    flat = {"input": "0.40", "cached_input": "0.10", "cache_write": "0.40", "output": "1.60"}
    tier = {
        "above_prompt_tokens": 200_000,
        "input": "6.00",
        "cached_input": "6.00",
        "cache_write": "6.00",
        "output": "22.50",
    }
    assert found == {
        "pricing": {
            "unit": UNIT,
            "cached_input": "3.00",
            **rates,
            "tiers": [tier],
            "windows": [{"from": "23:00", "to": "01:00", "days": "mon-fri", **flat}],
            "service_tiers": {"flex": {**flat, "tiers": [tier]}},
        },
        "context_length": 1_000_000,
        "max_output_tokens": 64_000,
        "shutdown_date": "2026-11-30",
        "successor": "n",
    }


class Api:
    """The routes over a bench, asked as somebody."""

    def __init__(self, prices: PriceBook, key: Key | None = None) -> None:
        bench = Bench([ScriptedProvider("p"), ScriptedProvider("q")], prices=prices)
        bench.wall_ms = 10 * DAY_MS
        asking = key or Key("id", "n")
        shared = SimpleNamespace(
            dispatcher=bench.dispatcher,
            authenticator=SimpleNamespace(authenticate=lambda token, network: asking),
        )
        models = Catalog([("p", "m"), ("q", "m")], [("alias", [("p", "m"), ("q", "m")])])
        hub: Any = SimpleNamespace(shared=shared, trusted_proxies=0)
        self.api = ModelsApi(hub, models, 7, 125_000)

    async def list(self) -> list[dict[str, Any]]:
        response = await self.api._list(make_mocked_request("GET", "/v1/models", headers=ASKING))
        data: list[dict[str, Any]] = json.loads(response.body)["data"]
        return data

    async def show(self, name: str) -> dict[str, Any]:
        path = f"/v1/models/{name}"
        request = make_mocked_request("GET", path, headers=ASKING, match_info={"id": name})
        found: dict[str, Any] = json.loads((await self.api._show(request)).body)
        return found


async def test_openai_s_fields_are_there():
    for entry in (await Api(book(("m", FLAT))).list(), [await Api(book()).show("p/m")]):
        for model in entry:
            assert model["object"] == "model"
            assert model["created"] == 7
            assert model["owned_by"] in ("p", "tokenferry")
    assert [model["id"] for model in await Api(book()).list()] == ["alias", "m"]


async def test_who_is_limited_sees_the_margin():
    prices = book(("m", FLAT))
    assert (await Api(prices).show("m"))["pricing"]["input"] == "0.40"
    limited = Key("id", "n", account_id="somebody")
    assert (await Api(prices, limited).show("m"))["pricing"]["input"] == "0.45"


async def test_an_alias_shows_the_first_candidate_that_is_served():
    ending = {**FLAT, "shutdown_ms": DAY_MS, "successor": "n"}
    other = {"rates": {"input": "7.00", "output": "7.00"}}
    api = Api(book(("p/m", ending), ("q/m", other)))
    for name in ("alias", "m", "q/m"):
        model = await api.show(name)
        assert (model["pricing"]["input"], model["shutdown_date"]) == ("7.00", None)
    # One that is retired and still configured is shown as such.
    retired = await api.show("p/m")
    assert (retired["pricing"]["input"], retired["shutdown_date"]) == ("0.40", "1970-01-02")
    assert retired["successor"] == "n"


async def test_a_model_that_is_not_there_or_no_more():
    api = Api(book(("old", {**FLAT, "shutdown_ms": DAY_MS, "successor": "m"})))
    with pytest.raises(ModelNotFound):
        await api.show("nope")
    with pytest.raises(ModelRetired):
        await api.show("old")
