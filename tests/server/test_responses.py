import json

from aiohttp import web

from tokenferry.domain.rate_limit import Standing
from tokenferry.errors import (
    InvalidKey,
    InvalidRequest,
    ProviderRejected,
    RateLimited,
    TokensOverLimit,
)
from tokenferry.server.responses import error_response, json_response, rate_headers


def body(response: web.Response) -> dict[str, object]:
    assert isinstance(response.body, bytes)
    read: dict[str, object] = json.loads(response.body)
    return read


def test_an_error_has_openais_shape() -> None:
    response = error_response(InvalidRequest("`n`은 1 이상이어야 합니다.", param="n"))
    assert response.status == 400
    assert response.content_type == "application/json"
    assert response.headers["x-should-retry"] == "false"
    assert body(response) == {
        "error": {
            "message": "`n`은 1 이상이어야 합니다.",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_value",
            "retryable": False,
        }
    }


def test_a_wait_is_given_in_milliseconds_and_in_whole_seconds_rounded_up() -> None:
    response = error_response(RateLimited("wait", retry_after_ms=1001))
    assert response.headers["retry-after-ms"] == "1001"
    assert response.headers["retry-after"] == "2"
    assert "x-should-retry" not in response.headers


def test_a_providers_status_and_wait_pass_through() -> None:
    response = error_response(ProviderRejected("busy", status=529, retry_after_ms=7000))
    assert response.status == 529
    assert response.headers["retry-after"] == "7"
    assert "x-should-retry" not in response.headers


def test_a_401_names_the_scheme() -> None:
    assert error_response(InvalidKey("no")).headers["www-authenticate"] == "Bearer"


def test_text_is_utf8_and_not_escaped() -> None:
    response = json_response({"text": "한글 🙂"})
    assert isinstance(response.body, bytes)
    assert "한글 🙂".encode() in response.body


def test_limits_are_told_as_openai_tells_them() -> None:
    standings = [Standing("requests", 60, 59, 1_000), Standing("tokens", 150_000, 149_984, 6)]
    assert rate_headers(standings) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6ms",
    }


def test_what_waiting_does_not_help_is_not_to_be_retried() -> None:
    response = error_response(TokensOverLimit("too much"))
    assert response.status == 400
    assert response.headers["x-should-retry"] == "false"
    assert "retry-after" not in response.headers
