"""Builds the smallest value that fits a JSON schema, for tool arguments and structured answers.

Source: JSON Schema draft 2020-12, validation and core vocabularies.
Weakness: `pattern`, `not`, `uniqueItems`, `dependentRequired`, conditionals and remote references
are not followed; `allOf` is merged key by key. Made for the schemas that clients send to models.
"""

import math
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

DEPTH_MAX: Final = 32
VALUES_MAX: Final = 1_000
TEXT_CHARACTERS_MAX: Final = 1_000

_FORMATS: Final = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "demo@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


class Unbuildable(Exception):
    """The schema has no small value that this module can find; the message says why."""


def smallest(schema: Any, text: str) -> Any:
    """Return a small JSON value that fits `schema`; strings say `text` where they may.

    Raises:
        Unbuildable: If the schema is too large, never ends, or contradicts itself.
    """
    return _Builder(schema, text).value(schema, 0)


class _Builder:
    def __init__(self, root: Any, text: str) -> None:
        self._root = root
        self._text = text
        self._values_left = VALUES_MAX
        self._open: list[str] = []  # references being followed; meeting one again never ends

    def value(self, schema: Any, depth: int) -> Any:
        self._values_left -= 1
        if self._values_left < 0 or depth > DEPTH_MAX:
            raise Unbuildable("it is too large")
        if not isinstance(schema, dict):
            return self._text  # `true` allows anything
        allowed = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(allowed, list) and allowed:
            return allowed[0]
        if isinstance(schema.get("$ref"), str):
            return self._reference(schema["$ref"], depth)
        options = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(options, list):
            return self._first_possible(schema, options, depth)
        if isinstance(schema.get("allOf"), list):
            return self.value(self._merged(schema), depth + 1)
        return self._typed(schema, depth)

    def _typed(self, schema: dict[str, Any], depth: int) -> Any:
        match _type_of(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer" | "number" as kind:
                return _number(schema, whole=kind == "integer")
            case "boolean":
                return False
            case "null":
                return None
            case _:
                return self._string(schema)

    def _reference(self, reference: str, depth: int) -> Any:
        if reference in self._open:
            raise Unbuildable(f"`{reference}` contains itself without an end")
        self._open.append(reference)
        try:
            return self.value(self._resolve(reference), depth + 1)
        finally:
            self._open.pop()

    def _resolve(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise Unbuildable(f"`{reference}` is outside of the schema")
        found = self._root
        for part in unquote(reference[1:]).split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                raise Unbuildable(f"`{reference}` leads nowhere")
            found = found[name]
        return found

    def _first_possible(self, schema: dict[str, Any], options: list[Any], depth: int) -> Any:
        rest = {key: schema[key] for key in schema if key not in ("anyOf", "oneOf")}
        reason = Unbuildable("none of its alternatives can be built")
        for option in options:
            try:
                whole = {**rest, **option} if isinstance(option, dict) else option
                return self.value(whole, depth + 1)
            except Unbuildable as exc:
                reason = exc
        raise reason

    def _merged(self, schema: dict[str, Any]) -> dict[str, Any]:
        merged = {key: schema[key] for key in schema if key != "allOf"}
        for part in schema["allOf"]:
            whole = part
            if isinstance(part, dict) and isinstance(part.get("$ref"), str):
                whole = self._resolve(part["$ref"])
            if not isinstance(whole, dict):
                continue
            properties = {**_properties(merged), **_properties(whole)}
            required = [*_required(merged), *_required(whole)]
            merged |= whole
            if properties:
                merged |= {"properties": properties, "required": required}
        return merged

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = _properties(schema)
        return {
            name: self.value(properties.get(name, True), depth + 1) for name in _required(schema)
        }

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        count = schema.get("minItems")
        count = count if isinstance(count, int) else 0
        if count > VALUES_MAX:
            raise Unbuildable("it is too large")
        first = schema.get("prefixItems")
        items = [*(first if isinstance(first, list) else [])][:count]
        items += [schema.get("items", True)] * (count - len(items))
        return [self.value(item, depth + 1) for item in items]

    def _string(self, schema: dict[str, Any]) -> str:
        if text := _FORMATS.get(str(schema.get("format"))):
            return text
        low, high = schema.get("minLength"), schema.get("maxLength")
        low = low if isinstance(low, int) else 0
        if low > TEXT_CHARACTERS_MAX:
            raise Unbuildable("it asks for too long a text")
        text = self._text.ljust(low, ".")
        return text[: max(high, 0)] if isinstance(high, int) else text


def _type_of(schema: dict[str, Any]) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        return next((each for each in kind if each != "null"), "null")
    if kind is None and "properties" in schema:
        return "object"
    if kind is None and ("items" in schema or "prefixItems" in schema):
        return "array"
    return kind


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


def _required(schema: dict[str, Any]) -> list[str]:
    found = schema.get("required")
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _number(schema: dict[str, Any], *, whole: bool) -> float:
    try:
        bounds = {
            key: schema[key]
            for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")
            if type(schema.get(key)) in (int, float) and math.isfinite(schema[key])
        }
        for candidate in _candidates(bounds):
            if (not whole or candidate == int(candidate)) and _within(candidate, bounds):
                return int(candidate) if candidate == int(candidate) else candidate
    except OverflowError:
        raise Unbuildable("its limits are beyond what a number can hold") from None
    raise Unbuildable("its limits leave no number")


def _candidates(bounds: dict[str, float]) -> Iterator[float]:
    yield from (0, 1)
    edges = [bounds[key] for key in bounds if key != "multipleOf"]
    step = bounds.get("multipleOf", 0)
    for edge in edges:
        yield from (edge, math.ceil(edge), math.floor(edge), math.floor(edge) + 1)
        yield math.ceil(edge) - 1
        if step > 0:
            nearest = math.floor(edge / step)
            yield from (nearest * step, (nearest + 1) * step, (nearest - 1) * step)
    if step > 0:
        yield step
    yield sum(edges) / max(len(edges), 1)


def _within(number: float, bounds: dict[str, float]) -> bool:
    step = bounds.get("multipleOf", 0)
    return (
        number >= bounds.get("minimum", -math.inf)
        and number > bounds.get("exclusiveMinimum", -math.inf)
        and number <= bounds.get("maximum", math.inf)
        and number < bounds.get("exclusiveMaximum", math.inf)
        and (step <= 0 or number % step == 0)
    )
