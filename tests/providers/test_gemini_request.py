"""The parameters: each row of the table, and each limit."""

import json
from typing import Any

import pytest

from tokenferry.errors import InvalidRequest, MissingParameter, RequestError, UnsupportedParameter
from tokenferry.protocol.chat import parse_request
from tokenferry.providers.gemini_request import (
    CANDIDATES_MAX,
    PARAMETERS,
    STOP_SEQUENCES_MAX,
    encode_body,
)

FLASH_25 = "gemini-2.5-flash"
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"이름": {"$ref": "#/$defs/name"}, "n": {"type": ["integer", "null"]}},
    "required": ["이름"],
    "additionalProperties": False,
    "$defs": {"name": {"type": "string", "pattern": "^.+$"}},
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "날씨",
        "parameters": SCHEMA,
        "strict": True,
    },
}
DECLARED = {"name": "weather", "description": "날씨", "parametersJsonSchema": SCHEMA}


def encode(model: str = FLASH_25, **fields: Any) -> Any:
    body = {"model": "any", "messages": [{"role": "user", "content": "안녕"}], **fields}
    return json.loads(encode_body(parse_request(json.dumps(body).encode()), model))


PLAIN = {"contents": [{"role": "user", "parts": [{"text": "안녕"}]}]}


def generation(model: str = FLASH_25, **fields: Any) -> Any:
    body = encode(model, **fields)
    config = body.pop("generationConfig", None)
    assert body == PLAIN
    return config


def refused(model: str = FLASH_25, **fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        encode(model, **fields)
    assert caught.value.param is not None
    assert caught.value.param in caught.value.message
    return caught.value


# A request with the parameter -> what the body has beyond the plain one.
MAPPED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "model": ({}, {}),
    "stream": ({"stream": True}, {}),
    "messages": (
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "안녕"}]},
        {"systemInstruction": {"parts": [{"text": "s"}]}},
    ),
    "temperature": ({"temperature": 0}, {"generationConfig": {"temperature": 0.0}}),
    "top_p": ({"top_p": 0.9}, {"generationConfig": {"topP": 0.9}}),
    "top_k": ({"top_k": 40}, {"generationConfig": {"topK": 40}}),
    "n": ({"n": 2}, {"generationConfig": {"candidateCount": 2}}),
    "max_tokens": ({"max_tokens": 7}, {"generationConfig": {"maxOutputTokens": 7}}),
    "max_completion_tokens": (
        {"max_completion_tokens": 8, "max_tokens": 7},
        {"generationConfig": {"maxOutputTokens": 8}},
    ),
    "stop": ({"stop": "끝"}, {"generationConfig": {"stopSequences": ["끝"]}}),
    "seed": ({"seed": 0}, {"generationConfig": {"seed": 0}}),
    "presence_penalty": (
        {"presence_penalty": 0.5},
        {"generationConfig": {"presencePenalty": 0.5}},
    ),
    "frequency_penalty": (
        {"frequency_penalty": -0.5},
        {"generationConfig": {"frequencyPenalty": -0.5}},
    ),
    "logprobs": ({"logprobs": True}, {"generationConfig": {"responseLogprobs": True}}),
    "top_logprobs": (
        {"logprobs": True, "top_logprobs": 3},
        {"generationConfig": {"responseLogprobs": True, "logprobs": 3}},
    ),
    "response_format": (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "strict": True, "schema": SCHEMA},
            }
        },
        {
            "generationConfig": {
                "responseMimeType": "application/json",
                "responseJsonSchema": SCHEMA,
            }
        },
    ),
    "modalities": (
        {"modalities": ["text", "image"]},
        {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}},
    ),
    "reasoning_effort": (
        {"reasoning_effort": "low"},
        {"generationConfig": {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1024}}},
    ),
    "thinking_config": (
        {"thinking_config": {"include_thoughts": True, "thinking_budget": -1}},
        {"generationConfig": {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": -1}}},
    ),
    "extra_body": (
        {"extra_body": {"google": {"thinking_config": {"thinking_level": "high"}, "x": 1}}},
        {"generationConfig": {"thinkingConfig": {"thinkingLevel": "high"}}},
    ),
    "tools": ({"tools": [WEATHER]}, {"tools": [{"functionDeclarations": [DECLARED]}]}),
    "tool_choice": (
        {"tools": [WEATHER], "tool_choice": "auto"},
        {
            "tools": [{"functionDeclarations": [DECLARED]}],
            "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
        },
    ),
}
DROPPED: dict[str, Any] = {
    "parallel_tool_calls": False,
    "user": "kim",
    "store": True,
    "metadata": {"a": "b"},
    "logit_bias": {"50256": -100},
    "service_tier": "priority",
    "stream_options": {"include_usage": True},
    "prediction": {"type": "content", "content": "x"},
    "verbosity": "low",
    "(everything else)": 1,
}
REFUSED: dict[str, Any] = {
    "functions": [{"name": "f"}],
    "function_call": "auto",
    "audio": {"voice": "alloy", "format": "wav"},
    "web_search_options": {},
}


def test_the_table_is_whole():
    fates: dict[str, set[str]] = {}
    for name, fate in PARAMETERS.items():
        fates.setdefault(fate.partition(":")[0], set()).add(name)
    assert fates == {"mapped": set(MAPPED), "dropped": set(DROPPED), "refused": set(REFUSED)}


@pytest.mark.parametrize("name", MAPPED)
def test_mapped(name: str):
    fields, expected = MAPPED[name]
    assert encode(**fields) == PLAIN | expected


@pytest.mark.parametrize("name", DROPPED)
def test_dropped(name: str):
    assert encode(**{name: DROPPED[name]}) == PLAIN


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str):
    error = refused(**{name: REFUSED[name]})
    assert isinstance(error, UnsupportedParameter)
    assert error.param == name


@pytest.mark.parametrize("name", [*REFUSED, "top_k", "thinking_config", "extra_body", "stop"])
def test_null_is_absence(name: str):
    assert encode(**{name: None}) == PLAIN


@pytest.mark.parametrize("content", ["", None, [], [{"type": "text", "text": ""}]])
def test_an_empty_last_message_does_not_have_the_models_own_words_continued(content: Any):
    messages = [
        {"role": "user", "content": "안녕"},
        {"role": "assistant", "content": "네"},
        {"role": "user", "content": content},
    ]
    error = refused(messages=messages)
    assert isinstance(error, InvalidRequest)
    assert error.param == "messages[2].content"


def test_an_empty_message_behind_a_full_one_is_left_out():
    messages = [{"role": "user", "content": "안녕"}, {"role": "user", "content": ""}]
    assert encode(messages=messages) == PLAIN


def test_only_system_messages():
    error = refused(messages=[{"role": "system", "content": "s"}, {"role": "user", "content": ""}])
    assert isinstance(error, InvalidRequest)
    assert error.param == "messages"
    assert "add a user message" in error.message


class TestLimits:
    @pytest.mark.parametrize(("n", "config"), [(1, None), (8, {"candidateCount": 8})])
    def test_n_within(self, n: int, config: Any):
        assert generation(n=n) == config

    def test_n_above(self):
        assert refused(n=CANDIDATES_MAX + 1).param == "n"

    @pytest.mark.parametrize("count", [0, 1, STOP_SEQUENCES_MAX])
    def test_stop_within(self, count: int):
        stop = [str(number) for number in range(count)]
        assert generation(stop=stop) == ({"stopSequences": stop} if stop else None)

    @pytest.mark.parametrize("stop", ["", [""], [], ["", ""]])
    def test_empty_sequences_are_none(self, stop: Any):
        assert generation(stop=stop) is None

    def test_empty_sequences_do_not_count(self):
        stop = [str(number) for number in range(STOP_SEQUENCES_MAX)]
        assert generation(stop=["", *stop]) == {"stopSequences": stop}

    def test_stop_above(self):
        error = refused(stop=[str(number) for number in range(STOP_SEQUENCES_MAX + 1)])
        assert isinstance(error, InvalidRequest)
        assert error.param == "stop"

    @pytest.mark.parametrize("seed", [2**31 - 1, -(2**31)])
    def test_seed_within(self, seed: int):
        assert generation(seed=seed) == {"seed": seed}

    @pytest.mark.parametrize("seed", [2**31, -(2**31) - 1])
    def test_seed_beyond(self, seed: int):
        assert refused(seed=seed).param == "seed"

    def test_top_k_of_a_wrong_type(self):
        error = refused(top_k="many")
        assert isinstance(error, InvalidRequest)
        assert error.param == "top_k"


class TestLogprobs:
    @pytest.mark.parametrize(
        ("fields", "config"),
        [
            ({"logprobs": False}, None),
            ({"logprobs": False, "top_logprobs": 3}, None),
            # Google refuses the number 0.
            ({"logprobs": True, "top_logprobs": 0}, {"responseLogprobs": True}),
        ],
    )
    def test_forms(self, fields: dict[str, Any], config: Any):
        assert generation(**fields) == config


class TestResponseFormat:
    def test_text(self):
        assert generation(response_format={"type": "text"}) is None

    def test_json_object(self):
        config = generation(response_format={"type": "json_object"})
        assert config == {"responseMimeType": "application/json"}

    def test_json_schema_without_a_schema(self):
        error = refused(response_format={"type": "json_schema"})
        assert isinstance(error, MissingParameter)
        assert error.param == "response_format.json_schema"

    def test_unknown(self):
        error = refused(response_format={"type": "grammar"})
        assert isinstance(error, InvalidRequest)
        assert error.param == "response_format.type"


class TestModalities:
    def test_text_alone_is_the_default(self):
        assert generation(modalities=["text"]) is None

    def test_audio(self):
        error = refused(modalities=["text", "audio"])
        assert isinstance(error, UnsupportedParameter)
        assert error.param == "modalities"

    def test_unknown(self):
        error = refused(modalities=["smell"])
        assert isinstance(error, InvalidRequest)
        assert error.param == "modalities"


class TestThinking:
    @pytest.mark.parametrize(
        ("model", "effort", "config"),
        [
            ("gemini-2.5-flash", "minimal", {"includeThoughts": True, "thinkingBudget": 1024}),
            ("gemini-2.5-flash", "low", {"includeThoughts": True, "thinkingBudget": 1024}),
            ("gemini-2.5-flash", "medium", {"includeThoughts": True, "thinkingBudget": 8192}),
            ("gemini-2.5-pro", "high", {"includeThoughts": True, "thinkingBudget": 24576}),
            ("gemini-2.5-flash", "xhigh", {"includeThoughts": True, "thinkingBudget": 24576}),
            ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
            ("gemini-2.5-flash-lite", "none", {"thinkingBudget": 0}),
            ("gemini-2.5-pro", "none", {"thinkingBudget": 128}),
            (
                "gemini-3-flash-preview",
                "minimal",
                {"includeThoughts": True, "thinkingLevel": "minimal"},
            ),
            ("gemini-3.6-flash", "low", {"includeThoughts": True, "thinkingLevel": "low"}),
            ("gemini-3.6-flash", "medium", {"includeThoughts": True, "thinkingLevel": "medium"}),
            ("gemini-3.6-flash", "high", {"includeThoughts": True, "thinkingLevel": "high"}),
            ("gemini-3.6-flash", "max", {"includeThoughts": True, "thinkingLevel": "high"}),
            ("gemini-3.6-flash", "none", {"thinkingLevel": "minimal"}),
            (
                "gemini-3.1-pro-preview",
                "minimal",
                {"includeThoughts": True, "thinkingLevel": "low"},
            ),
            ("gemini-3.1-pro-preview", "none", {"thinkingLevel": "low"}),
            ("gemini-3.8-flash", "minimal", {"includeThoughts": True, "thinkingLevel": "low"}),
            ("gemini-3.7-flash", "none", {"thinkingLevel": "low"}),
            ("gemini-flash-latest", "none", {"thinkingLevel": "low"}),
            ("gemini-flash-lite-latest", "none", {"thinkingLevel": "minimal"}),
        ],
    )
    def test_effort(self, model: str, effort: str, config: dict[str, Any]):
        assert generation(model, reasoning_effort=effort) == {"thinkingConfig": config}

    @pytest.mark.parametrize("model", ["gemini-2.0-flash", "gemma-3-27b-it"])
    def test_models_that_do_not_think(self, model: str):
        assert generation(model, reasoning_effort="high") is None

    def test_unknown_effort(self):
        error = refused(reasoning_effort="heroic")
        assert isinstance(error, InvalidRequest)
        assert error.param == "reasoning_effort"

    def test_no_thoughts_unless_asked_for(self):
        assert generation() is None

    @pytest.mark.parametrize("include", [True, False])
    def test_effort_with_include_thoughts(self, *, include: bool):
        asked = {"include_thoughts": include}
        expected = {"thinkingConfig": {"includeThoughts": include, "thinkingLevel": "low"}}
        model = "gemini-3.6-flash"
        assert generation(model, reasoning_effort="low", thinking_config=asked) == expected
        extra = {"google": {"thinking_config": asked}}
        assert generation(model, reasoning_effort="low", extra_body=extra) == expected

    @pytest.mark.parametrize("asked", [{"thinking_budget": 5}, {"thinking_level": "low"}])
    def test_two_ways_at_once(self, asked: dict[str, Any]):
        error = refused(reasoning_effort="low", thinking_config=asked)
        assert isinstance(error, InvalidRequest)
        assert error.param == "reasoning_effort"

    @pytest.mark.parametrize(
        "asked", [{"thinking_budget": "big"}, {"thinkingBudget": 5}, [], "high"]
    )
    def test_malformed(self, asked: Any):
        assert refused(thinking_config=asked).param == "thinking_config"

    def test_extra_body_without_google(self):
        assert encode(extra_body={"anything": 1}) == PLAIN


class TestTools:
    @pytest.mark.parametrize(
        "schema",
        [
            None,
            {},
            {"type": "object"},
            {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "title": "인자",
                "description": "없음",
                "type": "object",
                "properties": {},
            },
        ],
    )
    def test_a_function_without_parameters(self, schema: Any):
        tool = {"type": "function", "function": {"name": "now", "parameters": schema}}
        assert encode(tools=[tool])["tools"] == [{"functionDeclarations": [{"name": "now"}]}]

    def test_all_functions_in_one_tool(self):
        now = {"type": "function", "function": {"name": "now"}}
        assert encode(tools=[WEATHER, now])["tools"] == [
            {"functionDeclarations": [DECLARED, {"name": "now"}]}
        ]

    def test_no_tools(self):
        assert encode(tools=[], tool_choice="auto") == PLAIN

    def test_another_kind_of_tool(self):
        error = refused(tools=[WEATHER, {"type": "web_search"}])
        assert isinstance(error, UnsupportedParameter)
        assert error.param == "tools[1].type"

    def test_a_function_tool_without_its_function(self):
        error = refused(tools=[{"type": "function"}])
        assert isinstance(error, MissingParameter)
        assert error.param == "tools[0].function"

    @pytest.mark.parametrize(
        ("choice", "config"),
        [
            ("none", {"mode": "NONE"}),
            ("auto", {"mode": "AUTO"}),
            ("required", {"mode": "ANY"}),
            (
                {"type": "function", "function": {"name": "weather"}},
                {"mode": "ANY", "allowedFunctionNames": ["weather"]},
            ),
        ],
    )
    def test_choice(self, choice: Any, config: dict[str, Any]):
        body = encode(tools=[WEATHER], tool_choice=choice)
        assert body["toolConfig"] == {"functionCallingConfig": config}

    @pytest.mark.parametrize(
        ("choice", "param"),
        [
            ("any", "tool_choice"),
            ({"type": "allowed_tools", "allowed_tools": {}}, "tool_choice"),
            ({"type": "function"}, "tool_choice"),
            ({"type": "function", "function": {"name": "x"}}, "tool_choice.function.name"),
        ],
    )
    def test_choice_refused(self, choice: Any, param: str):
        assert refused(tools=[WEATHER], tool_choice=choice).param == param

    def test_choice_without_tools(self):
        assert encode(tool_choice="none") == PLAIN
        assert refused(tool_choice="required").param == "tool_choice"
