import json

import pytest

from tokenferry.errors import ProviderAuthFailed, ProviderRejected, UnsupportedParameter
from tokenferry.protocol.chat import parse_request
from tokenferry.providers.anthropic import AnthropicFormat
from tokenferry.providers.wire import WireFormat

KEY = "sk-ant-api03-secret"
FORMAT: WireFormat = AnthropicFormat(KEY)


def error(
    status: int, body: object = None, headers: dict[str, str] | None = None
) -> ProviderRejected:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    result = FORMAT.error(status, headers or {}, raw)
    assert isinstance(result, ProviderRejected)
    return result


def anthropic(kind: str, message: str) -> dict[str, object]:
    inner = {"type": kind, "message": message}
    return {"type": "error", "error": inner, "request_id": "req_1"}


def test_the_request_on_the_wire() -> None:
    request = parse_request(b'{"model":"a","messages":[{"role":"user","content":"q"}]}')
    wire = FORMAT.encode(request, "claude-sonnet-4-5")
    assert wire.path == "/v1/messages"
    assert dict(wire.headers) == {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    assert json.loads(wire.body)["model"] == "claude-sonnet-4-5"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"max_tokens": 5},
        {"max_tokens": 5, "reasoning_effort": "max"},
        {"max_completion_tokens": 5},
    ],
)
def test_the_limit_that_claude_is_told_is_known(fields: dict[str, object]) -> None:
    request = parse_request(json.dumps(QUESTION | fields).encode())
    wire = FORMAT.encode(request, "claude-sonnet-4-5")
    assert wire.output_tokens_max == json.loads(wire.body)["max_tokens"]


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, "invalid_request_error", False),
        (404, "not_found_error", False),
        (409, "conflict_error", True),
        (413, "request_too_large", False),
        (429, "rate_limit_error", True),
        (500, "api_error", True),
        (504, "timeout_error", True),
        (529, "overloaded_error", True),
    ],
)
def test_errors_keep_status_type_and_words(status: int, kind: str, *, retryable: bool) -> None:
    result = error(status, anthropic(kind, "그만"))
    assert (result.http_status, result.code, result.type) == (status, kind, kind)
    assert result.message == "그만"
    assert result.retryable is retryable


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_the_operators_matter(status: int) -> None:
    body = json.dumps(anthropic("authentication_error", f"invalid x-api-key {KEY}")).encode()
    result = FORMAT.error(status, {}, body)
    assert isinstance(result, ProviderAuthFailed)
    assert "not your key" in result.message
    assert KEY not in result.message
    assert result.http_status == 502


def test_the_gateways_own_bill_is_not_the_clients() -> None:
    result = error(402, anthropic("billing_error", "no funds"))
    assert (result.http_status, result.code) == (503, "provider_quota_exhausted")
    assert "no funds" in result.message


def test_the_key_is_never_repeated() -> None:
    assert error(400, anthropic("invalid_request_error", f"bad {KEY}!")).message == "bad (key)!"
    assert error(400, f"bad {KEY}!".encode()).message == "bad (key)!"


@pytest.mark.parametrize(
    ("headers", "retry_after_ms"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7_000),
        ({"retry-after": "0.25"}, 250),
        ({"retry-after-ms": "80", "retry-after": "7"}, 80),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], retry_after_ms: int | None) -> None:
    result = error(429, anthropic("rate_limit_error", "slow"), headers)
    assert result.retry_after_ms == retry_after_ms


QUESTION = {"model": "a", "messages": [{"role": "user", "content": "q"}], "max_tokens": 9}


def test_a_continuation_on_the_wire() -> None:
    asked = parse_request(json.dumps(QUESTION).encode())
    continuation = FORMAT.encode_continuation(asked, "claude-sonnet-4-5", "Eins \n")
    assert json.loads(continuation.request.body)["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "q"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Eins"}]},
    ]
    assert (continuation.repeated, continuation.as_whole) == (" \n", False)
    assert continuation.request.path == "/v1/messages"


def test_white_space_alone_is_no_beginning() -> None:
    asked = parse_request(json.dumps(QUESTION).encode())
    continuation = FORMAT.encode_continuation(asked, "claude-haiku-4-5", "\n")
    assert len(json.loads(continuation.request.body)["messages"]) == 1
    assert continuation.repeated == "\n"


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("claude-opus-4-6", {}),
        ("claude-sonnet-5-5", {}),
        ("claude-newest", {}),
        ("deepseek-v4", {}),
        ("claude-sonnet-4-5", {"reasoning_effort": "low"}),
        ("claude-sonnet-4-5", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
    ],
)
def test_what_claude_does_not_go_on_with(model: str, fields: dict[str, object]) -> None:
    asked = parse_request(json.dumps(QUESTION | fields).encode())
    with pytest.raises(UnsupportedParameter):
        FORMAT.encode_continuation(asked, model, "a")
