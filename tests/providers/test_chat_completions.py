import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chat_completions_stream import Recorder
from tokenferry.errors import (
    ProviderAuthFailed,
    ProviderError,
    ProviderRejected,
    UnsupportedParameter,
)
from tokenferry.protocol.chat import ChatRequest, parse_request
from tokenferry.providers.chat_completions import PARAMETERS, ChatCompletionsFormat
from tokenferry.providers.chat_completions_answer import ChatCompletionsDecoder

FORMAT = ChatCompletionsFormat("sk-operator")
NO_USAGE = ChatCompletionsFormat("sk-operator", include_usage=False)
VALID = {"model": "fast", "messages": [{"role": "user", "content": "안녕"}]}


def request(**fields: Any) -> ChatRequest:
    return parse_request(json.dumps(VALID | fields).encode())


def sent(wire: ChatCompletionsFormat = FORMAT, **fields: Any) -> Any:
    return json.loads(wire.encode(request(**fields), "gpt-4.1").body)


# Requests.


def test_where_a_request_goes() -> None:
    encoded = FORMAT.encode(request(), "m")
    assert encoded.path == "/chat/completions"
    assert encoded.headers == (("authorization", "Bearer sk-operator"),)


def test_a_server_that_wants_no_key_gets_none() -> None:
    assert ChatCompletionsFormat("").encode(request(), "m").headers == ()


def test_the_body_goes_through_byte_for_byte() -> None:
    body = (
        '{"temperature":1.50 ,"model" : "fast","messages": [ {"role":"user",'
        ' "content":"\\uc548녕","cache_control":{"type":"ephemeral"}} ],'
        '"top_k":40,"chat_template_kwargs":{"a" : 1e2},"seed":123456789012345678901234567890}'
    )
    encoded = FORMAT.encode(parse_request(body.encode()), 'm"한')
    assert encoded.body.decode() == (
        '{"temperature":1.50,"model":"m\\"한","messages":[ {"role":"user",'
        ' "content":"\\uc548녕","cache_control":{"type":"ephemeral"}} ],'
        '"top_k":40,"chat_template_kwargs":{"a" : 1e2},"seed":123456789012345678901234567890,'
        '"stream":false}'
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 7},
        {"max_completion_tokens": 7},
        {"max_completion_tokens": 7, "max_tokens": 900},
        {"max_completion_tokens": 7, "max_tokens": None},
        {"max_completion_tokens": None, "max_tokens": 7},
    ],
)
def test_who_does_not_know_the_newer_limit_is_told_it_by_the_older_name(
    fields: dict[str, Any],
) -> None:
    wire = ChatCompletionsFormat("k", takes_max_tokens=True)
    encoded = wire.encode(request(**fields), "m")
    body = json.loads(encoded.body)
    assert body["max_tokens"] == encoded.output_tokens_max == 7
    assert body.get("max_completion_tokens") is None


def test_of_two_limits_the_higher_one_may_be_what_a_provider_goes_by() -> None:
    fields = {"max_completion_tokens": 7, "max_tokens": 900}
    encoded = FORMAT.encode(request(**fields), "m")
    assert json.loads(encoded.body).items() >= fields.items()
    assert encoded.output_tokens_max == 900
    assert FORMAT.encode(request(), "m").output_tokens_max is None


def test_an_image_as_mistral_writes_it_goes_through() -> None:
    part = {"type": "image_url", "image_url": "https://example.com/고양이.png"}
    messages = [{"role": "user", "content": [part]}]
    assert sent(messages=messages)["messages"] == messages


def test_calls_of_custom_tools_go_through() -> None:
    call = {"id": "c", "type": "custom", "custom": {"name": "shell", "input": "echo 안녕"}}
    messages = [
        {"role": "user", "content": "안녕"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "안녕"},
    ]
    assert sent(messages=messages)["messages"] == messages


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
unknown = st.dictionaries(st.text(max_size=6).map(lambda name: f"x_{name}"), json_values)


@given(unknown, st.booleans())
def test_unknown_fields_go_through(fields: dict[str, Any], stream: bool) -> None:  # noqa: FBT001
    expected = VALID | fields | {"model": "gpt-4.1", "stream": stream}
    if stream:
        expected["stream_options"] = {"include_usage": True}
    assert sent(stream=stream, **fields) == expected


def test_encoding_leaves_the_request_as_it_was() -> None:
    original = request(stream=True, stream_options={"include_usage": False})
    before = {name: bytes(raw) for name, raw in original.fields.items()}
    first = FORMAT.encode(original, "a").body
    assert json.loads(FORMAT.encode(original, "b").body)["model"] == "b"
    assert FORMAT.encode(original, "a").body == first
    assert not original.include_usage
    assert {name: bytes(raw) for name, raw in original.fields.items()} == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, {"include_usage": True}),
        ({}, {"include_usage": True}),
        ({"include_usage": None}, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_usage": True}, {"include_usage": True}),
        (
            {"include_obfuscation": False, "continuous_usage_stats": True, "새것": [1]},
            {
                "include_obfuscation": False,
                "continuous_usage_stats": True,
                "새것": [1],
                "include_usage": True,
            },
        ),
    ],
)
def test_usage_is_always_asked_for(options: Any, expected: Any) -> None:
    assert sent(stream=True, stream_options=options)["stream_options"] == expected
    assert sent(stream=True)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("stream", [None, False])
def test_without_a_stream_there_are_no_stream_options(*, stream: bool | None) -> None:
    body = sent(stream=stream, stream_options={"include_usage": True})
    assert body["stream"] is False
    assert "stream_options" not in body


def test_a_server_that_refuses_stream_options_gets_none() -> None:
    body = sent(NO_USAGE, stream=True, stream_options={"include_usage": True, "x": 1})
    assert body["stream"] is True
    assert "stream_options" not in body


def test_the_decoder_writes_to_the_sink() -> None:
    recorder = Recorder()
    decoder = FORMAT.decoder(request(), recorder)
    assert isinstance(decoder, ChatCompletionsDecoder)
    decoder.event(b'{"choices":[{"delta":{"content":"a"}}]}')
    assert recorder.calls[-1] == ("text", "a")


def test_the_table_of_parameters_names_what_is_changed() -> None:
    mapped = {"model", "stream", "stream_options", "max_completion_tokens"}
    assert set(PARAMETERS) == mapped | {"(everything else)"}


# Errors.

OPENAI = {
    "error": {
        "message": "한도를 넘었습니다.",
        "type": "rate_limit_error",
        "param": "messages",
        "code": "rate_limit_exceeded",
    }
}


def error(status: int, body: Any = b"", headers: dict[str, str] | None = None) -> ProviderError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return FORMAT.error(status, headers or {}, data)


def test_openais_error() -> None:
    got = error(429, OPENAI, {"retry-after": "2", "retry-after-ms": "1500"})
    assert isinstance(got, ProviderRejected)
    assert (got.message, got.http_status) == ("한도를 넘었습니다.", 429)
    assert (got.type, got.param, got.code) == (
        "rate_limit_error",
        "messages",
        "rate_limit_exceeded",
    )
    assert (got.retry_after_ms, got.retryable) == (1500, True)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_the_operators_business(status: int) -> None:
    got = error(status, {"error": {"message": "Incorrect API key provided: sk-op***tor"}})
    assert isinstance(got, ProviderAuthFailed)
    assert (got.http_status, got.code, got.retryable) == (502, "provider_auth_failed", False)
    assert "sk-op" not in got.message
    assert str(status) in got.message


def test_no_credit_at_the_provider_is_no_402_for_the_client() -> None:
    got = error(402, {"error": {"message": "Insufficient Balance"}})
    assert (got.http_status, got.code, got.retryable) == (503, "provider_quota_exhausted", True)
    assert "Insufficient Balance" in got.message


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (500, b"<html>Internal Server Error</html>", "<html>Internal Server Error</html>"),
        (503, b"", "The provider answered with HTTP status 503."),
        (500, {"error": {"message": ""}}, "The provider answered with HTTP status 500."),
        (404, {"error": "model 'x' not found"}, "model 'x' not found"),
        (404, {"detail": "Not Found"}, "Not Found"),
        (422, {"object": "error", "message": "too long", "code": 422}, "too long"),
        (400, [{"error": {"message": "구글", "status": "INVALID_ARGUMENT"}}], "구글"),
    ],
)
def test_errors_in_other_forms(status: int, body: Any, message: str) -> None:
    got = error(status, body)
    assert isinstance(got, ProviderRejected)
    assert (got.message, got.http_status) == (message, status)
    assert got.retryable is (status >= 500)
    assert got.retry_after_ms is None


def test_a_numeric_code_is_a_string_for_clients() -> None:
    assert error(400, {"error": {"message": "m", "code": 1214}}).code == "1214"
    assert error(400, {"error": {"message": "m", "code": 0}}).code == "0"
    assert error(400, {"error": {"message": "m"}}).code == "provider_error"


@given(st.integers(400, 599), st.binary(max_size=60))
def test_any_body_is_an_error_with_a_message(status: int, body: bytes) -> None:
    got = error(status, body)
    assert got.message
    got.message.encode()
    assert 400 <= got.http_status < 600


# The rest of an answer.


@pytest.mark.parametrize(
    ("prefill", "body", "repeated"),
    [
        (
            "prefix",
            (
                '{"model":"m","messages":[{"role":"user","content":"안녕"},'
                '{"role":"assistant","content":"하나 ","prefix":true}],"stream":false}'
            ),
            "",
        ),
        (
            "prefix_repeated",
            (
                '{"model":"m","messages":[{"role":"user","content":"안녕"},'
                '{"role":"assistant","content":"하나 ","prefix":true}],"stream":false}'
            ),
            "하나 ",
        ),
        (
            "continue_final_message",
            (
                '{"model":"m","messages":[{"role":"user","content":"안녕"},'
                '{"role":"assistant","content":"하나 "}],"add_generation_prompt":false,'
                '"continue_final_message":true,"stream":false}'
            ),
            "",
        ),
    ],
)
def test_a_continuation_on_the_wire(prefill: str, body: str, repeated: str) -> None:
    wire = ChatCompletionsFormat("k", prefill=prefill)
    asked = b'{"model":"fast","messages":[{"role":"user","content":"\xec\x95\x88\xeb\x85\x95"}]}'
    continuation = wire.encode_continuation(parse_request(asked), "m", "하나 ")
    assert continuation.request.body.decode() == body
    assert (continuation.repeated, continuation.as_whole) == (repeated, True)
    assert continuation.request.path == "/chat/completions"


def test_without_a_setting_there_is_no_continuation() -> None:
    with pytest.raises(UnsupportedParameter):
        FORMAT.encode_continuation(request(), "m", "a")
