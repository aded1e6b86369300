"""The OpenAPI document: what it says of a route is what the route does."""

import json
from typing import Annotated, Any

import pytest
from aiohttp.test_utils import make_mocked_request
from msgspec import Meta, Struct

from tokenferry.server import api_document
from tokenferry.server.api_document import document, with_document
from tokenferry.server.api_routes import Body, Call, Route


class Wanted(Body):
    """What is wanted."""

    name: Annotated[str, Meta(max_length=8)]
    note: str | None = None


class Which(Body):
    """Which of them."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class Thing(Struct):
    """A thing."""

    name: str


async def handler(_: Call[Any]) -> None:
    return None


ROUTES = [
    Route("POST", "/api/things", handler, "Make one", body=Wanted, answer=Thing, status=201),
    Route("GET", "/api/things", handler, "List", query=Which, answer=Thing, access="anyone"),
    Route("DELETE", "/api/things/{id}", handler, "Remove one", access="admin"),
]


def test_an_operation_is_described() -> None:
    found = document(ROUTES)["paths"]
    made = found["/api/things"]["post"]
    assert made["summary"] == "Make one"
    assert made["operationId"] == "post_things"
    reference = {"schema": {"$ref": "#/components/schemas/Wanted"}}
    assert made["requestBody"] == {"required": True, "content": {"application/json": reference}}
    assert made["responses"]["201"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Thing"
    }
    assert made["security"] == [{"token": []}, {"cookie": []}]
    listed = found["/api/things"]["get"]
    assert "security" not in listed
    assert listed["parameters"] == [
        {
            "name": "limit",
            "in": "query",
            "required": False,
            "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
        }
    ]
    removed = found["/api/things/{id}"]["delete"]
    assert removed["responses"]["204"] == {"description": "Done."}
    assert removed["parameters"][0]["name"] == "id"


def test_schemas_have_their_docstrings_and_refuse_unknown_fields() -> None:
    schemas = document(ROUTES)["components"]["schemas"]
    assert schemas["Wanted"]["description"] == "What is wanted."
    assert schemas["Wanted"]["additionalProperties"] is False
    assert schemas["Wanted"]["required"] == ["name"]
    assert {"Thing", "ErrorAnswer"} <= schemas.keys()


def test_every_operation_has_a_name_of_its_own() -> None:
    paths = document(with_document(ROUTES))["paths"]
    names = [operation["operationId"] for path in paths.values() for operation in path.values()]
    assert len(names) == len(set(names)) == len(ROUTES) + 1


async def test_it_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may ask for it, as often as they like."""
    made = []

    def counting(routes: Any) -> dict[str, Any]:
        made.append(routes)
        return document(routes)

    monkeypatch.setattr(api_document, "document", counting)
    show = with_document(ROUTES)[-1].handler
    call: Call[Any] = Call(make_mocked_request("GET", api_document.PATH), None, None, None)
    bodies = [(await show(call)).body for _ in range(3)]
    assert len(made) == 1
    assert json.loads(bodies[0]) == document(with_document(ROUTES))
    assert bodies[0] == bodies[1] == bodies[2]
