import json

import pytest

from tokenferry.errors import ProviderAuthFailed, ProviderRejected
from tokenferry.providers.anthropic_errors import (
    STATUSES,
    ErrorDetail,
    read_error,
    translate_error,
)


@pytest.mark.parametrize("kind", STATUSES)
def test_an_event_gets_the_status_of_its_type(kind: str) -> None:
    result = translate_error(ErrorDetail(kind, "그만"))
    if STATUSES[kind] in (401, 403):
        assert isinstance(result, ProviderAuthFailed)
        assert str(STATUSES[kind]) in result.message
    elif STATUSES[kind] == 402:
        assert (result.http_status, result.code) == (503, "provider_quota_exhausted")
    else:
        assert (result.http_status, result.code) == (STATUSES[kind], kind)
        assert result.message == "그만"


@pytest.mark.parametrize("error", [None, ErrorDetail(), ErrorDetail("later_error", None)])
def test_an_error_that_is_not_known_is_the_providers_fault(error: ErrorDetail | None) -> None:
    result = translate_error(error)
    assert isinstance(result, ProviderRejected)
    assert result.http_status == 502
    assert result.message
    assert result.code == ((error and error.type) or "provider_error")


@pytest.mark.parametrize(
    ("status", "expected"), [(302, 502), (399, 502), (400, 400), (599, 599), (600, 502)]
)
def test_a_status_that_is_no_error_becomes_one(status: int, expected: int) -> None:
    assert translate_error(ErrorDetail("x", "y"), status).http_status == expected


def test_the_wait_is_passed_on() -> None:
    assert translate_error(ErrorDetail("x", "y"), 429, 1_500).retry_after_ms == 1_500


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (502, b"<html>\n bad\t gateway </html>", "<html> bad gateway </html>"),
        (500, b"x" * 201, "x" * 200),
        (500, b"x" * 200, "x" * 200),
        (503, b"", "The provider answered with HTTP 503 Service Unavailable."),
        (529, b" \n", "The provider answered with HTTP 529 Overloaded."),
        (599, b"", "The provider answered with HTTP 599."),
        (500, b"\xff\xfe", "\ufffd\ufffd"),
        (500, b'{"detail":"other"}', '{"detail":"other"}'),
        (500, b'{"error":"text"}', '{"error":"text"}'),
        (500, b"[" * 100_000, "[" * 200),
    ],
)
def test_bodies_that_are_not_anthropics(status: int, body: bytes, message: str) -> None:
    assert read_error(status, body) == ErrorDetail(None, message)


def test_the_body_that_is() -> None:
    inner = {"type": "api_error", "message": "그만", "details": {}}
    body = {"type": "error", "error": inner, "request_id": "req_1"}
    assert read_error(500, json.dumps(body).encode()) == ErrorDetail("api_error", "그만")
