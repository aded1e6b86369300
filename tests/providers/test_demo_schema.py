"""The smallest value of a JSON schema."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.providers.demo.schema import (
    DEPTH_MAX,
    TEXT_CHARACTERS_MAX,
    VALUES_MAX,
    Unbuildable,
    smallest,
)

KEYWORDS = [
    "type",
    "$ref",
    "properties",
    "required",
    "items",
    "anyOf",
    "allOf",
    "enum",
    "minItems",
    "prefixItems",
    "minimum",
    "exclusiveMaximum",
    "multipleOf",
    "maxLength",
    "format",
]


class TestSchema:
    @pytest.mark.parametrize(
        ("schema", "value"),
        [
            (True, "x"),
            ({}, "x"),
            ({"type": "string"}, "x"),
            ({"type": "string", "minLength": 3}, "x.."),
            ({"type": "string", "maxLength": 0}, ""),
            ({"type": "string", "format": "date"}, "2026-01-01"),
            ({"type": ["null", "integer"]}, 0),
            ({"type": ["null"]}, None),
            ({"type": "null"}, None),
            ({"type": "boolean"}, False),
            ({"const": None}, None),
            ({"enum": ["red", "blue"]}, "red"),
            ({"type": "integer", "minimum": 3.5}, 4),
            ({"type": "integer", "exclusiveMinimum": 3}, 4),
            ({"type": "integer", "exclusiveMaximum": 0}, -1),
            ({"type": "integer", "minimum": 10, "multipleOf": 4}, 12),
            ({"type": "integer", "maximum": -10, "multipleOf": 4}, -12),
            ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
            ({"type": "number", "minimum": 2.5}, 2.5),
            ({"type": "array"}, []),
            ({"items": {"type": "integer"}, "minItems": 2}, [0, 0]),
            ({"prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 2}, [1, 2]),
            ({"properties": {"a": {}, "b": {}}, "required": ["b"]}, {"b": "x"}),
            ({"type": "object", "required": ["unspecified"]}, {"unspecified": "x"}),
            ({"anyOf": [{"$ref": "https://example.com"}, {"type": "null"}]}, None),
            ({"type": "integer", "oneOf": [{"minimum": 5}, {"maximum": 1}]}, 5),
            (
                {
                    "allOf": [
                        {"$ref": "#/$defs/a~1b"},
                        {"properties": {"b": {"const": 2}}, "required": ["b"]},
                    ],
                    "$defs": {"a/b": {"properties": {"a": {"const": 1}}, "required": ["a"]}},
                },
                {"a": 1, "b": 2},
            ),
        ],
    )
    def test_vectors(self, schema, value):
        assert smallest(schema, "x") == value

    @pytest.mark.parametrize(
        "schema",
        [
            {"$ref": "#/$defs/absent"},
            {"$ref": "other.json"},
            {"$ref": "#"},
            {"anyOf": [{"$ref": "#"}]},
            {"type": "integer", "minimum": 2, "maximum": 1},
            {"type": "integer", "minimum": 0.2, "maximum": 0.8},
            {"type": "integer", "minimum": 10**400, "maximum": 1.5},
        ],
    )
    def test_what_cannot_be_built_says_so(self, schema):
        with pytest.raises(Unbuildable):
            smallest(schema, "x")

    def test_depth_limit(self):
        def nested(levels: int) -> dict[str, Any]:
            schema: dict[str, Any] = {"const": 1}
            for _ in range(levels):
                schema = {"items": schema, "minItems": 1}
            return schema

        value = smallest(nested(DEPTH_MAX), "x")
        for _ in range(DEPTH_MAX):
            (value,) = value
        assert value == 1
        with pytest.raises(Unbuildable, match="too large"):
            smallest(nested(DEPTH_MAX + 1), "x")

    def test_size_limit(self):
        assert len(smallest({"items": {}, "minItems": VALUES_MAX - 1}, "x")) == VALUES_MAX - 1
        for count in (VALUES_MAX, VALUES_MAX + 1, 10**12):
            with pytest.raises(Unbuildable, match="too large"):
                smallest({"items": {}, "minItems": count}, "x")

    def test_doubling_references_are_bounded(self):
        defs = {f"d{n}": {"items": {"$ref": f"#/$defs/d{n + 1}"}, "minItems": 2} for n in range(20)}
        with pytest.raises(Unbuildable, match="too large"):
            smallest({"$ref": "#/$defs/d0", "$defs": {**defs, "d20": {}}}, "x")

    def test_text_limit(self):
        longest = {"type": "string", "minLength": TEXT_CHARACTERS_MAX}
        assert len(smallest(longest, "x")) == TEXT_CHARACTERS_MAX
        with pytest.raises(Unbuildable, match="long"):
            smallest({"type": "string", "minLength": TEXT_CHARACTERS_MAX + 1}, "x")

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(KEYWORDS),
                    inner | st.sampled_from(["#", "object", "array", "integer", "string"]),
                    max_size=4,
                )
            ),
            max_leaves=20,
        )
    )
    def test_no_schema_does_harm(self, schema):
        try:
            smallest(schema, "x")
        except Unbuildable:
            return


# Each is one character to its reader; UAX 29 gives one cluster for every one of them.
