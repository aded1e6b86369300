import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from tokenferry.errors import InvalidJSON, InvalidRequest, MissingParameter, RequestError
from tokenferry.protocol.chat import (
    CHOICES_MAX,
    ChatRequest,
    Delta,
    FunctionDelta,
    StreamOptions,
    ToolCallDelta,
    ToolChoice,
    parse_request,
)

USER = {"role": "user", "content": "안녕"}
VALID = {"model": "m", "messages": [USER]}


def parse(**fields: Any) -> ChatRequest:
    return parse_request(json.dumps(VALID | fields).encode())


def fault(body: bytes) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse_request(body)
    return caught.value


def fault_of(**fields: Any) -> RequestError:
    return fault(json.dumps(VALID | fields).encode())


def one(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


# What is no JSON.


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"{", "truncated"),
        (b"hello", "malformed"),
        (b"[]", "Expected `object`, got `array`"),
        (b'"text"', "Expected `object`, got `str`"),
        (b"null", "Expected `object`, got `null`"),
        (b'{"model":"m"}{}', "trailing"),
        (b'{"model":"m","messages":[],}', "malformed"),
        (b"{'model':'m'}", "malformed"),
        (b'{"model":NaN}', "malformed"),
        (b"\xff\xfe{}", "utf-8"),
        (b'{"model":"\xff"}', "utf-8"),
        (b'{"unknown":"\xff","model":"m","messages":[{"role":"user"}]}', "utf-8"),
        (b'{"model":"m","messages":[{"role":"user","content":"\xed\xa0\xbd"}]}', "utf-8"),
        (b'{"model":"m","metadata":{"a":' + b"[" * 100_000, "nested too deeply"),
        (b'{"unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_what_is_no_json_object(body: bytes, words: str) -> None:
    error = fault(body)
    assert isinstance(error, InvalidJSON)
    assert words in error.message
    assert error.param is None


@pytest.mark.parametrize(
    "text",
    [r"\ud83d", r"안녕\uD83D", r"\ude00", r"\udfff뒤", r"\ud83d\ud83d\ude00", r"\ud83d\\ude00"],
)
@pytest.mark.parametrize("place", ['"messages":[{"role":"user","content":"%"}]', '"unknown":["%"]'])
def test_half_of_an_emoji_is_called_that(text: str, place: str) -> None:
    """JavaScript clients send it when they cut a text by its length."""
    error = fault(('{"model":"m",' + place.replace("%", text) + "}").encode())
    assert isinstance(error, InvalidJSON)
    assert "half of an emoji" in error.message
    assert "toWellFormed" in error.message


@pytest.mark.parametrize(
    "body",
    [
        rb'{"model":"m","messages":[{"role":"user","content":"\ud83d"}',
        rb'{"model":"\ud83d\ude00","messages":[NaN]}',
        rb'{"model":"\\ud83d",}',
        rb'{"x":"\ud83d","y":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_another_fault_is_not_blamed_on_emoji(body: bytes) -> None:
    assert "emoji" not in fault(body).message


@pytest.mark.parametrize("text", [r"\ud83d\ude00", r"\uD83D\uDE00", "😀", r"\\ud83d", r"\ud7ff"])
def test_whole_characters_are_fine(text: str) -> None:
    body = '{"model":"m","messages":[{"role":"user","content":"' + text + '"}]}'
    content = parse_request(body.encode()).messages[0].content
    assert content == json.loads(f'"{text}"')


# What is missing, and what is wrong: the field at fault is named.


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model"),
        ({"messages": [USER]}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": [{}]}, "messages[0].role"),
        ({"model": "m", "messages": [USER, {"content": "x"}]}, "messages[1].role"),
        ({"model": "m", "messages": one([{"text": "x"}])}, "messages[0].content[0].type"),
        (
            {"model": "m", "messages": one([{"type": "image_url", "image_url": {}}])},
            "messages[0].content[0].image_url.url",
        ),
        (
            {
                "model": "m",
                "messages": [USER, {"role": "assistant", "tool_calls": [{"id": "c"}]}],
            },
            "messages[1].tool_calls[0].function",
        ),
        (
            {
                "model": "m",
                "messages": [
                    USER,
                    {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]},
                ],
            },
            "messages[1].tool_calls[0].custom",
        ),
        (VALID | {"tools": [{}]}, "tools[0].type"),
        (VALID | {"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        (VALID | {"tool_choice": {}}, "tool_choice.type"),
        (VALID | {"response_format": {}}, "response_format.type"),
        (
            VALID | {"response_format": {"type": "json_schema", "json_schema": {}}},
            "response_format.json_schema.name",
        ),
    ],
)
def test_what_is_missing_is_named(body: Any, param: str) -> None:
    error = fault(json.dumps(body).encode())
    assert isinstance(error, MissingParameter)
    assert error.param == param
    assert error.message == f"`{param}` is required; add it to the request."


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"model": 1}, "model", "expected `str`, got `int`"),
        ({"model": ""}, "model", "empty"),
        ({"model": None}, "model", "got `null`"),
        ({"messages": "hi"}, "messages", "expected `array`, got `str`"),
        ({"messages": []}, "messages", "empty"),
        ({"messages": {}}, "messages", "expected `array`, got `object`"),
        ({"messages": ["hi"]}, "messages[0]", "expected `object`, got `str`"),
        ({"messages": [{"role": "robot"}]}, "messages[0].role", "'robot'"),
        ({"messages": [USER, {"role": 1}]}, "messages[1].role", "expected `str`"),
        ({"messages": one(5)}, "messages[0].content", "got `int`"),
        ({"messages": one({})}, "messages[0].content", "got `object`"),
        ({"messages": one(["x"])}, "messages[0].content[0]", "got `str`"),
        ({"messages": one([{"type": 1}])}, "messages[0].content[0].type", "got `int`"),
        ({"stream": "true"}, "stream", "expected `bool | null`, got `str`"),
        ({"stream": 1}, "stream", "got `int`"),
        ({"stream_options": True}, "stream_options", "got `bool`"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "got `int`"),
        ({"temperature": "hot"}, "temperature", "got `str`"),
        ({"top_p": []}, "top_p", "got `array`"),
        ({"stop": 1}, "stop", "got `int`"),
        ({"stop": ["a", 1]}, "stop[1]", "got `int`"),
        ({"max_tokens": 1.5}, "max_tokens", "got `float`"),
        ({"max_tokens": "1"}, "max_tokens", "got `str`"),
        ({"n": True}, "n", "got `bool`"),
        ({"logit_bias": {"1": "x"}}, "logit_bias[...]", "got `str`"),
        ({"tools": {}}, "tools", "got `object`"),
        ({"tools": [{"type": "function", "function": 1}]}, "tools[0].function", "got `int`"),
        ({"tool_choice": 1}, "tool_choice", "got `int`"),
        ({"response_format": "json"}, "response_format", "got `str`"),
        ({"metadata": []}, "metadata", "got `array`"),
        ({"seed": 1e40}, "seed", "got `float`"),
        ({"service_tier": 1}, "service_tier", "got `int`"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str, words: str) -> None:
    error = fault_of(**fields)
    assert isinstance(error, InvalidRequest)
    assert error.param == param
    assert f"`{param}`" in error.message
    assert words in error.message
    assert error.message.endswith(".")


def test_a_number_out_of_range_is_named() -> None:
    error = fault(b'{"model":"m","messages":[{"role":"user"}],"temperature":1e999}')
    assert (type(error), error.param) == (InvalidRequest, "temperature")


def test_a_long_integer_is_named() -> None:
    error = fault(b'{"model":"m","messages":[{"role":"user"}],"seed":1%b}' % (b"0" * 5000))
    assert (type(error), error.param) == (InvalidRequest, "seed")


# Limits: one below, at, and one above.


@pytest.mark.parametrize("n", [1, 2, CHOICES_MAX - 1, CHOICES_MAX])
def test_as_many_choices_as_may_be(n: int) -> None:
    assert parse(n=n).choice_count == n


@pytest.mark.parametrize("n", [-1, 0, CHOICES_MAX + 1, 10**30])
def test_too_many_choices_or_none(n: int) -> None:
    error = fault_of(n=n)
    assert (type(error), error.param) == (InvalidRequest, "n")
    assert "1..128" in error.message


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_output_limit_is_at_least_one(name: str) -> None:
    assert parse(**{name: 1}).output_tokens_max == 1
    for value in (0, -1):
        error = fault_of(**{name: value})
        assert (type(error), error.param) == (InvalidRequest, name)
        assert "at least 1" in error.message


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"max_tokens": None, "max_completion_tokens": None}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
    ],
)
def test_the_newer_name_of_the_output_limit_counts(
    fields: dict[str, Any], expected: int | None
) -> None:
    assert parse(**fields).output_tokens_max == expected


def test_without_n_there_is_one_choice() -> None:
    assert parse().choice_count == parse(n=None).choice_count == 1


# What is read.


def test_a_request_with_everything() -> None:
    request = parse(
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        temperature=1,
        top_p=0.5,
        stop=["끝", "\n"],
        presence_penalty=-2,
        frequency_penalty=2.0,
        logit_bias={"50256": -100},
        logprobs=True,
        top_logprobs=5,
        seed=-(2**70),
        user="u",
        service_tier="flex",
        reasoning_effort="high",
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"a": [1]}}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": {"x": 1}}},
        modalities=["text", "audio"],
        metadata={"k": "v"},
        store=False,
    )
    assert request.stream_options == StreamOptions(include_usage=True, include_obfuscation=False)
    assert request.include_usage
    assert (request.temperature, request.stop, request.seed) == (1.0, ["끝", "\n"], -(2**70))
    assert request.logit_bias == {"50256": -100.0}
    assert isinstance(request.tool_choice, ToolChoice)
    assert request.tools is not None
    assert request.tools[0].function is not None
    assert request.tools[0].function.parameters == {"a": [1]}
    assert request.response_format is not None
    assert request.response_format.json_schema is not None
    assert request.response_format.json_schema.definition == {"x": 1}


def test_every_role_and_kind_of_part() -> None:
    parts = [
        {"type": "text", "text": "이건", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f_1"}},
        {"type": "came_later", "thing": 1},
    ]
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    request = parse(
        messages=[
            {"role": "system", "content": "s"},
            {"role": "developer", "content": "d"},
            {"role": "user", "content": parts, "name": "n"},
            {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None},
            {"role": "tool", "tool_call_id": "c", "content": "결과"},
            {"role": "function", "name": "f", "content": "x"},
            {"role": "user"},
        ]
    )
    assert [message.role for message in request.messages][:3] == ["system", "developer", "user"]
    content = request.messages[2].content
    assert isinstance(content, list)
    assert [part.type for part in content] == [part["type"] for part in parts]
    assert content[1].image_url is not None
    assert content[1].image_url.detail == "low"
    assert request.messages[3].tool_calls is not None
    assert request.messages[3].tool_calls[0].function.arguments == "{}"
    assert request.messages[6].content is None


def test_null_is_as_good_as_absent() -> None:
    names = [name for name in ChatRequest.__struct_fields__ if name != "fields"]
    absent = {name: None for name in names if name not in VALID}
    request = parse(**absent)
    for name in absent:
        assert getattr(request, name) is None
    assert not request.include_usage


@pytest.mark.parametrize("value", [None, False, True])
def test_include_usage(*, value: bool | None) -> None:
    assert parse(stream_options={"include_usage": value}).include_usage is (value is True)


def test_prompt_text_is_what_an_estimate_counts() -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": '{"도시":1}'}}
    request = parse(
        messages=[
            {"role": "system", "content": "규칙"},
            {"role": "user", "content": [{"type": "text", "text": "가"}, {"type": "x"}]},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "나"},
        ]
    )
    assert request.prompt_text() == '규칙\n가\n{"도시":1}\n나'


# What is kept.


def test_every_field_is_kept_byte_for_byte() -> None:
    parts = {
        "model": '"m\\u0041"',
        "messages": '[ {"role":"user", "content":"\\uc548\\ub155","new":[1.0]} ]',
        "temperature": "1.50",
        "top_k": "40",
        "chat_template_kwargs": '{ "a" : 1e2 }',
        "한글": '"값"',
        "seed": "123456789012345678901234567890",
    }
    body = "{" + ", ".join(f'"{key}" : {value}' for key, value in parts.items()) + "}"
    request = parse_request(body.encode())
    assert {key: bytes(raw).decode() for key, raw in request.fields.items()} == parts
    assert list(request.fields) == list(parts)


def test_of_a_repeated_field_the_last_counts_everywhere() -> None:
    body = b'{"model":"a","messages":[{"role":"user"}],"model":"b","x":1,"x":2}'
    request = parse_request(body)
    assert request.model == "b"
    assert bytes(request.fields["model"]) == b'"b"'
    assert bytes(request.fields["x"]) == b"2"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)  # fmt: skip
known = set(ChatRequest.__struct_encode_fields__)
unknown_names = st.text(max_size=8).filter(lambda name: name not in known)


@given(st.dictionaries(unknown_names, json_values, max_size=4), st.booleans())
def test_unknown_fields_are_kept(fields: dict[str, Any], escape: bool) -> None:  # noqa: FBT001
    body = json.dumps(VALID | fields, ensure_ascii=escape).encode()
    request = parse_request(body)
    assert json.loads(msgspec.json.encode(request.fields)) == VALID | fields


names = st.sampled_from(sorted(known | {"x"}))
loose = st.dictionaries(names, json_values).map(lambda d: json.dumps(VALID | d).encode())


@given(st.binary(max_size=60) | loose | json_values.map(lambda v: json.dumps(v).encode()))
def test_any_body_is_a_request_or_a_fault_of_the_client(body: bytes) -> None:
    try:
        request = parse_request(body)
    except RequestError as error:
        assert error.http_status == 400  # noqa: PT017
        assert error.message.encode()  # noqa: PT017
    else:
        assert request.model
        assert request.messages
        assert 1 <= request.choice_count <= CHOICES_MAX


# Deltas: the common currency of the adapters.


def test_a_delta_says_only_what_there_is() -> None:
    assert msgspec.json.encode(Delta()) == b"{}"
    call = ToolCallDelta(0, "c", "function", FunctionDelta("f", ""))
    delta = Delta(content="", tool_calls=[call], annotations=Raw(b"[1]"))
    assert json.loads(msgspec.json.encode(delta)) == {
        "content": "",
        "tool_calls": [
            {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
        ],
        "annotations": [1],
    }
    assert msgspec.json.encode(ToolCallDelta(1, function=FunctionDelta())) == (
        b'{"index":1,"function":{}}'
    )


@pytest.mark.parametrize(
    ("limits", "less", "left"),
    [
        ({"max_tokens": 10}, 4, {"max_tokens": 6}),
        ({"max_tokens": 10}, 9, {"max_tokens": 1}),
        ({"max_tokens": 10}, 10, {"max_tokens": 1}),
        ({"max_completion_tokens": 10}, 4, {"max_completion_tokens": 6}),
        (
            {"max_tokens": 7, "max_completion_tokens": 10},
            4,
            {"max_tokens": 3, "max_completion_tokens": 6},
        ),
        ({"max_tokens": None}, 4, {"max_tokens": None}),
        ({}, 4, {}),
    ],
)
def test_a_shortened_request_is_streamed_and_has_less_room(
    limits: dict[str, int | None], less: int, left: dict[str, int | None]
) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "q"}], "top_k": 3}
    request = parse_request(json.dumps(body | limits).encode())
    shortened = request.shortened(less)
    fields = {name: json.loads(bytes(raw)) for name, raw in shortened.fields.items()}
    assert fields == body | left | {"stream": True}
    again = parse_request(json.dumps(fields).encode())
    assert again.output_tokens_max == shortened.output_tokens_max
    assert (shortened.stream, request.stream) == (True, None)
