import json
from typing import Any

import pytest

from tokenferry.errors import InvalidRequest, MissingParameter, RequestError, UnsupportedParameter
from tokenferry.protocol.chat import ChatRequest, parse_request
from tokenferry.providers.anthropic import PARAMETERS
from tokenferry.providers.anthropic_request import encode_request

OLD, NEW, FREE = "claude-sonnet-4-5", "claude-opus-5-5", "claude-opus-4-1"
MESSAGES = [{"role": "user", "content": "안녕 😀"}]
TURNS = [{"role": "user", "content": [{"type": "text", "text": "안녕 😀"}]}]
TOOL = {"type": "function", "function": {"name": "f"}}
SCHEMA = {"type": "object", "properties": {"답": {"type": "string"}}, "additionalProperties": False}


def encode(model: str = OLD, **fields: Any) -> dict[str, Any]:
    body = {"model": "alias", "messages": MESSAGES, **fields}
    encoded = encode_request(parse_request(json.dumps(body).encode()), model)
    result: dict[str, Any] = json.loads(encoded)
    return result


def refused(error: type[RequestError], model: str = OLD, **fields: Any) -> str | None:
    with pytest.raises(error) as caught:
        encode(model, **fields)
    assert caught.value.message[-1] == "."
    return caught.value.param


def test_the_least_request() -> None:
    assert encode() == {"model": OLD, "max_tokens": 8_192, "messages": TURNS}


def test_the_body_is_utf_8_and_not_escapes() -> None:
    request = parse_request(json.dumps({"model": "a", "messages": MESSAGES}).encode())
    assert "안녕 😀".encode() in encode_request(request, OLD)


def test_everything_at_once() -> None:
    assert encode(
        FREE,
        messages=[{"role": "system", "content": "규칙"}, *MESSAGES],
        max_tokens=5,
        temperature=0.25,
        top_p=0.5,
        top_k=7,
        stop="끝",
        user="u-1",
        service_tier="auto",
        stream=True,
        tools=[TOOL],
        tool_choice="auto",
    ) == {
        "model": FREE,
        "max_tokens": 5,
        "system": [{"type": "text", "text": "규칙"}],
        "messages": TURNS,
        "temperature": 0.25,
        "top_p": 0.5,
        "top_k": 7,
        "stop_sequences": ["끝"],
        "metadata": {"user_id": "u-1"},
        "service_tier": "auto",
        "stream": True,
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "auto"},
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"stream": False}, {"stream": False}),
        ({"stream": None}, {}),
        ({"max_completion_tokens": 9}, {"max_tokens": 9}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"temperature": 1}, {"temperature": 1}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
        # 4.5 takes only one of the two.
        ({"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}),
        ({"top_k": 40}, {"top_k": 40}),
        ({"top_k": None}, {}),
        ({"stop": ["a", "\n", " ", "b\n"]}, {"stop_sequences": ["a", "b\n"]}),
        ({"stop": "\n\n"}, {}),
        ({"stop": []}, {}),
        ({"user": ""}, {}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"service_tier": "flex"}, {}),
        ({"service_tier": "priority"}, {}),
        ({"n": 1, "logprobs": False, "top_logprobs": 0}, {}),
        ({"modalities": ["text"]}, {}),
        (dict.fromkeys(["audio", "functions", "function_call", "web_search_options"]), {}),
        ({"response_format": {"type": "text"}}, {}),
    ],
)
def test_single_parameters(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert encode(**fields) == {"model": OLD, "max_tokens": 8_192, "messages": TURNS} | expected


DROPPED = {
    "seed": 7,
    "presence_penalty": 1.5,
    "frequency_penalty": -1,
    "logit_bias": {"50256": -100},
    "store": True,
    "metadata": {"a": "b"},
    "prediction": {"type": "content", "content": "x"},
    "verbosity": "low",
    "stream_options": {"include_usage": True},
    "prompt_cache_key": "k",
    "safety_identifier": "s",
}


@pytest.mark.parametrize("name", DROPPED)
def test_dropped_parameters_change_nothing(name: str) -> None:
    assert encode(**{name: DROPPED[name]}) == encode()


def test_unknown_fields_are_dropped() -> None:
    assert encode(mcp_servers=[{"url": "x"}], later=1) == encode()


REFUSED = {
    "n": 2,
    "logprobs": True,
    "top_logprobs": 1,
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "functions": [{"name": "f"}],
    "function_call": "auto",
    "web_search_options": {},
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_parameters_are_named(name: str) -> None:
    assert refused(UnsupportedParameter, **{name: REFUSED[name]}) == name


def test_the_table_says_what_happens_to_every_parameter() -> None:
    assert set(ChatRequest.__struct_fields__) - {"fields"} <= set(PARAMETERS)
    kinds: dict[str, set[str]] = {"mapped": set(), "dropped": set(), "refused": set()}
    for name, fate in PARAMETERS.items():
        kinds[fate.partition(":")[0]].add(name)
    assert kinds["dropped"] == set(DROPPED)
    assert kinds["refused"] == set(REFUSED)


@pytest.mark.parametrize("temperature", [1.0001, 2, -0.1])
def test_a_temperature_out_of_range_is_refused(temperature: float) -> None:
    for model in (OLD, NEW):
        assert refused(InvalidRequest, model, temperature=temperature) == "temperature"


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        # Claude 4.7 and later take no sampling parameters.
        ("claude-opus-4-7", {}),
        (NEW, {}),
        # With thinking nothing else does.
        (OLD, {"reasoning_effort": "low"}),
        (FREE, {"thinking": {"type": "enabled", "budget_tokens": 1_024}}),
        ("claude-opus-4-6", {"thinking": {"type": "adaptive"}}),
    ],
)
def test_sampling_is_dropped_where_it_would_be_refused(model: str, fields: dict[str, Any]) -> None:
    body = encode(model, temperature=0.5, top_p=0.5, top_k=5, **fields)
    assert not {"temperature", "top_p", "top_k"} & set(body)


def test_both_sampling_parameters_where_both_are_taken() -> None:
    body = encode(FREE, temperature=0.5, top_p=0.25, thinking={"type": "disabled"})
    assert (body["temperature"], body["top_p"]) == (0.5, 0.25)


# Thinking.


def test_reasoning_effort() -> None:
    body = encode(reasoning_effort="low")
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2_048}
    assert body["max_tokens"] == 8_192 + 2_048
    body = encode(NEW, reasoning_effort="low")
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": "low"}


def test_own_thinking_is_passed_byte_for_byte() -> None:
    body = b'{"model":"a","messages":[{"role":"user","content":"q"}],"thinking":{"x":1.50}}'
    assert b'"thinking":{"x":1.50}' in encode_request(parse_request(body), OLD)


def test_thinking_gives_way_to_an_unsigned_call_and_to_a_forced_tool() -> None:
    function = {"name": "f", "arguments": ""}
    messages = [
        *MESSAGES,
        {"role": "assistant", "tool_calls": [{"id": "c", "function": function}]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ]
    body = encode(messages=messages, reasoning_effort="high", tools=[TOOL], temperature=0.5)
    assert "thinking" not in body
    assert body["temperature"] == 0.5
    body = encode(reasoning_effort="high", tools=[TOOL], tool_choice="required")
    assert "thinking" not in body


# Tools.


def test_tools() -> None:
    mark = {"type": "ephemeral"}
    function = {"name": "g", "description": "설명", "parameters": SCHEMA, "strict": True}
    tool = {"type": "function", "function": function, "cache_control": mark}
    assert encode(tools=[TOOL, tool])["tools"] == [
        {"name": "f", "input_schema": {"type": "object", "properties": {}}},
        {"name": "g", "description": "설명", "input_schema": SCHEMA, "cache_control": mark},
    ]


@pytest.mark.parametrize(
    ("parameters", "schema"),
    [
        (None, {"type": "object", "properties": {}}),
        ({}, {"type": "object", "properties": {}}),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        ({"type": "object"}, {"type": "object"}),
    ],
)
def test_a_tool_always_has_an_object_schema(parameters: Any, schema: Any) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    assert encode(tools=[tool])["tools"][0]["input_schema"] == schema


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("none", {"type": "none"}),
        ("auto", {"type": "auto"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "tool", "name": "f"}),
    ],
)
def test_tool_choice(choice: Any, expected: dict[str, Any]) -> None:
    assert encode(tools=[TOOL], tool_choice=choice)["tool_choice"] == expected
    body = encode(tools=[TOOL], tool_choice=choice, parallel_tool_calls=False)
    single = {} if choice == "none" else {"disable_parallel_tool_use": True}
    assert body["tool_choice"] == expected | single


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"parallel_tool_calls": True}, None),
        ({}, None),
    ],
)
def test_parallel_calls_need_a_choice_to_stand_in(fields: dict[str, Any], expected: Any) -> None:
    assert encode(tools=[TOOL], **fields).get("tool_choice") == expected


@pytest.mark.parametrize("tools", [None, []])
def test_without_tools_there_is_nothing_to_choose(tools: Any) -> None:
    body = encode(tools=tools, tool_choice="auto", parallel_tool_calls=False)
    assert "tools" not in body
    assert "tool_choice" not in body
    assert refused(MissingParameter, tools=tools, tool_choice="required") == "tools"


@pytest.mark.parametrize(
    ("fields", "error", "param"),
    [
        ({"tools": [TOOL, {"type": "web_search"}]}, UnsupportedParameter, "tools[1].type"),
        ({"tools": [{"type": "function"}]}, MissingParameter, "tools[0].function"),
        ({"tools": [TOOL], "tool_choice": "any"}, InvalidRequest, "tool_choice"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}},
            UnsupportedParameter,
            "tool_choice.type",
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function"}},
            MissingParameter,
            "tool_choice.function",
        ),
    ],
)
def test_tools_that_cannot_be_said(
    fields: dict[str, Any], error: type[RequestError], param: str
) -> None:
    assert refused(error, **fields) == param


@pytest.mark.parametrize("model", [NEW, "claude-sonnet-5-5", "claude-fable-5-1"])
def test_models_that_cannot_be_forced(model: str) -> None:
    named = {"type": "function", "function": {"name": "f"}}
    for choice in ("required", named):
        param = refused(UnsupportedParameter, model, tools=[TOOL], tool_choice=choice)
        assert param == "tool_choice"
    assert encode(model, tools=[TOOL], tool_choice="none")["tool_choice"] == {"type": "none"}


# Structured outputs.


def response_format(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "답", "schema": schema, "strict": True}}


def test_json_schema() -> None:
    body = encode(response_format=response_format(SCHEMA))
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}


def test_json_schema_beside_an_effort() -> None:
    body = encode(NEW, response_format=response_format(SCHEMA), reasoning_effort="max")
    assert set(body["output_config"]) == {"format", "effort"}


def test_objects_in_a_schema_are_closed_at_every_depth() -> None:
    open_object = {"type": "object", "properties": {"type": {"type": "object"}}}
    closed = {
        "type": "object",
        "properties": {"type": {"type": "object", "additionalProperties": False}},
        "additionalProperties": False,
    }
    maybe = {"type": ["object", "null"]}
    schema = {
        "type": "object",
        "properties": {"a": open_object, "b": {"type": "array", "items": open_object}},
        "$defs": {"c": {"anyOf": [open_object, {"type": "null"}, maybe]}},
        "required": ["a"],
    }
    assert encode(response_format=response_format(schema))["output_config"]["format"]["schema"] == {
        "type": "object",
        "properties": {"a": closed, "b": {"type": "array", "items": closed}},
        "$defs": {
            "c": {"anyOf": [closed, {"type": "null"}, maybe | {"additionalProperties": False}]}
        },
        "required": ["a"],
        "additionalProperties": False,
    }


def test_what_the_client_says_of_further_properties_stays() -> None:
    schema = {
        "type": "object",
        "properties": {},
        "additionalProperties": {"type": "object"},
        "default": {"type": "object"},
        "enum": [{"type": "object"}],
    }
    assert (
        encode(response_format=response_format(schema))["output_config"]["format"]["schema"]
        == schema
    )


@pytest.mark.parametrize(
    ("wanted", "error", "param"),
    [
        ({"type": "json_object"}, UnsupportedParameter, "response_format"),
        ({"type": "grammar"}, InvalidRequest, "response_format.type"),
        ({"type": "json_schema"}, MissingParameter, "response_format.json_schema.schema"),
        (response_format(None), MissingParameter, "response_format.json_schema.schema"),
    ],
)
def test_formats_that_cannot_be_said(wanted: Any, error: type[RequestError], param: str) -> None:
    assert refused(error, response_format=wanted) == param


def test_json_object_names_the_remedy() -> None:
    with pytest.raises(UnsupportedParameter, match="json_schema"):
        encode(response_format={"type": "json_object"})


def test_a_schema_nested_too_deeply_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(100_000):
        schema = {"items": schema}
    request = parse_request(
        json.dumps(
            {"model": "a", "messages": MESSAGES, "response_format": response_format({})}
        ).encode()
    )
    assert request.response_format is not None
    assert request.response_format.json_schema is not None
    request.response_format.json_schema.definition = schema
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        encode_request(request, OLD)


def test_messages_are_checked_too() -> None:
    assert refused(InvalidRequest, messages=[{"role": "system", "content": "s"}]) == "messages"
