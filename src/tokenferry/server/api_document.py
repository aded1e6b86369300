"""Describes the routes under /api for programs: GET /api/openapi.json, made from the routes.

Source: OpenAPI 3.1.1; JSON Schema 2020-12, which msgspec writes.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from tokenferry import __version__
from tokenferry.protocol.frames import encode
from tokenferry.server.api_routes import COOKIE, Call, Route
from tokenferry.server.responses import JSON

PATH = "/api/openapi.json"
_REFERENCE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"{(\w+)}")


class ErrorFacts(Struct, rename={"kind": "type"}):
    """What went wrong, in OpenAI's shape."""

    message: str
    kind: str
    param: str | None
    code: str | None


class ErrorAnswer(Struct):
    """The answer to a request that was refused."""

    error: ErrorFacts


def with_document(routes: Iterable[Route]) -> list[Route]:
    """Return the routes, and one more that describes all of them."""
    every = list(routes)
    # Made once, when it is first asked for: that takes longer than most requests of strangers may.
    made: list[bytes] = []

    async def show(_: Call[Any]) -> Any:
        if not made:
            made.append(encode(document(every)))
        return web.Response(body=made[0], content_type=JSON)

    own = Route("GET", PATH, show, "This document", access="anyone")
    every.append(own)
    return every


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the OpenAPI document of routes."""
    kinds: list[Any] = [ErrorAnswer]
    for route in routes:
        kinds += [kind for kind in (route.body, route.answer) if kind and kind not in kinds]
    references, schemas = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    reference = dict(zip(kinds, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, reference)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Tokenferry: accounts, keys and money", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A login, `ts_…`."},
                "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
    }


def _operation(route: Route, reference: dict[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done."}
    if route.answer is not None:
        answer["content"] = {JSON: {"schema": reference[route.answer]}}
    refused = {"description": "Refused.", "content": {JSON: {"schema": reference[ErrorAnswer]}}}
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _name(route),
        "responses": {str(route.status if route.answer else 204): answer, "default": refused},
    }
    if route.path == PATH:
        operation["responses"] = {"200": {**answer, "content": {JSON: {}}}}
    if route.access == "visitor":
        operation["security"] = [{"cookie": []}, {}]
    elif route.access != "anyone":
        operation["security"] = [{"token": []}, {"cookie": []}]
    if route.access == "admin":
        operation["description"] = "For administrators."
    if parameters := [*_path_parameters(route), *_query_parameters(route)]:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": reference[route.body]}},
        }
    return operation


def _name(route: Route) -> str:
    words = re.findall(r"\w+", route.path.removeprefix("/api"))
    return "_".join([route.method.lower(), *words])


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    _, schemas = msgspec.json.schema_components([route.query], ref_template=_REFERENCE)
    schema = schemas[route.query.__name__]
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": rule}
        for name, rule in schema["properties"].items()
    ]
