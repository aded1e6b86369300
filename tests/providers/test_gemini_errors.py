"""Google's errors as ours."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.errors import ProviderAuthFailed, ProviderError, ProviderRejected
from tokenferry.providers.gemini_errors import GoogleError, of_response, of_stream

KEY = "AIzaSyNotARealKey-000000000000000000000"
INFO = "type.googleapis.com/google.rpc.ErrorInfo"
RETRY = "type.googleapis.com/google.rpc.RetryInfo"


def translate(
    status: int, body: Any, headers: dict[str, str] | None = None, *, raw: bool = False
) -> ProviderError:
    data = body if raw else json.dumps(body).encode()
    return of_response(status, headers or {}, data, api_key=KEY)


def exhausted(*details: Any) -> dict[str, Any]:
    return {
        "error": {
            "code": 429,
            "message": "Quota exceeded.",
            "status": "RESOURCE_EXHAUSTED",
            "details": list(details),
        }
    }


@pytest.mark.parametrize("wrap", [lambda body: body, lambda body: [body]])
@pytest.mark.parametrize(
    ("status", "name", "retryable"),
    [
        (400, "INVALID_ARGUMENT", False),
        (404, "NOT_FOUND", False),
        (429, "RESOURCE_EXHAUSTED", True),
        (500, "INTERNAL", True),
        (503, "UNAVAILABLE", True),
    ],
)
def test_words_status_and_code_are_kept(*, wrap: Any, status: int, name: str, retryable: bool):
    error = translate(
        status, wrap({"error": {"code": status, "message": "모델 없음", "status": name}})
    )
    assert isinstance(error, ProviderRejected)
    assert error.message == "모델 없음"
    assert (error.http_status, error.code, error.retryable) == (status, name, retryable)
    assert error.retry_after_ms is None


def test_newer_errors_carry_the_code_as_a_word():
    error = translate(400, {"error": {"code": "invalid_request", "message": "no"}})
    assert (error.http_status, error.code) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"error": {"code": 401, "message": f"bad {KEY}", "status": "UNAUTHENTICATED"}}),
        (403, {"error": {"code": 403, "message": f"bad {KEY}", "status": "PERMISSION_DENIED"}}),
        (
            400,
            {
                "error": {
                    "code": 400,
                    "message": f"API key not valid: {KEY}",
                    "status": "INVALID_ARGUMENT",
                    "details": [
                        {"@type": INFO, "reason": "API_KEY_INVALID", "domain": "googleapis.com"},
                        {"@type": "type.googleapis.com/google.rpc.LocalizedMessage"},
                    ],
                }
            },
        ),
        (403, b"<html>"),
    ],
)
def test_the_operators_credential(status: int, body: Any):
    error = translate(status, body, raw=isinstance(body, bytes))
    assert isinstance(error, ProviderAuthFailed)
    assert error.code == "provider_auth_failed"
    assert not error.retryable
    assert "not your key" in error.message
    assert KEY not in error.message


def test_no_message_shows_the_key():
    error = translate(400, {"error": {"message": f"strange {KEY}!", "code": 400}})
    assert error.message == "strange [key]!"
    assert KEY not in translate(500, KEY.encode(), raw=True).message


def test_an_empty_account_is_not_the_clients_debt():
    error = translate(402, {"error": {"code": 402, "message": "pay"}})
    assert (error.http_status, error.code) == (503, "provider_quota_exhausted")


@pytest.mark.parametrize(
    ("headers", "details", "wait_ms"),
    [
        ({"retry-after-ms": "250"}, [], 250),
        ({"retry-after": "7"}, [], 7000),
        ({"retry-after": "7"}, [{"@type": RETRY, "retryDelay": "3s"}], 7000),
        ({}, [{"@type": RETRY, "retryDelay": "7s"}], 7000),
        ({}, [{"@type": INFO, "reason": "X"}, {"@type": RETRY, "retryDelay": "1.5s"}], 1500),
        ({}, [{"@type": RETRY, "retryDelay": "0s"}], 0),
        ({}, [{"@type": RETRY, "retryDelay": "soon"}], None),
        ({}, [{"@type": RETRY, "retryDelay": "-7s"}], None),
        ({}, [{"@type": RETRY, "retryDelay": "9999999999s"}], None),
        ({}, [{"@type": RETRY, "retryDelay": 7}], None),
        ({}, [7], None),
    ],
)
def test_wait(headers: dict[str, str], details: list[Any], wait_ms: int | None):
    error = translate(429, exhausted(*details), headers)
    assert error.message == "Quota exceeded."
    assert error.retry_after_ms == wait_ms


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
        (b"", "The provider answered with HTTP status 502."),
        (b" \n", "The provider answered with HTTP status 502."),
        (b"x" * 300, "x" * 200),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[]", "[]"),
        (b'{"error":"text"}', '{"error":"text"}'),
        (b'{"error":{"code":502}}', "The provider answered with HTTP status 502."),
    ],
)
def test_other_bodies(body: bytes, message: str):
    error = translate(502, body, raw=True)
    assert isinstance(error, ProviderRejected)
    assert (error.message, error.http_status) == (message, 502)


@pytest.mark.parametrize(
    ("code", "status"), [(503, 503), (400, 400), (599, 599), (200, 502), (None, 502), ("x", 502)]
)
def test_status_of_an_error_inside_a_stream(code: Any, status: int):
    assert of_stream(GoogleError(code, "no"), api_key=KEY).http_status == status


def test_refused_key_inside_a_stream():
    assert isinstance(of_stream(GoogleError(403, "no"), api_key=KEY), ProviderAuthFailed)


@given(st.integers(400, 599), st.binary(max_size=60))
def test_any_body_becomes_an_error_with_words(status: int, body: bytes):
    error = of_response(status, {}, body, api_key="")
    assert error.message
    assert len(error.message) <= 300
