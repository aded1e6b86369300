"""HTTP answers in OpenAI's shapes."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tokenferry.domain.rate_limit import Standing, duration
from tokenferry.errors import TokenferryError
from tokenferry.protocol.frames import encode, wire_error

JSON = "application/json"
ATTEMPTS = "x-tokenferry-attempts"
# Where a request keeps how its key stands with its limits, for the headers of its answer.
STANDINGS = "standings"


def json_response(
    body: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """Return a JSON answer."""
    return web.Response(body=encode(body), status=status, content_type=JSON, headers=headers)


def attempts_header(calls: int) -> dict[str, str]:
    """Return how many calls of providers an answer took; nothing if that is not known."""
    return {ATTEMPTS: str(calls)} if calls else {}


def rate_headers(standings: Sequence[Standing]) -> dict[str, str]:
    """Return how a client stands with its limits, in the headers that OpenAI's clients read."""
    headers = {}
    for name, limit, remaining, reset_ms in standings:
        headers[f"x-ratelimit-limit-{name}"] = str(limit)
        headers[f"x-ratelimit-remaining-{name}"] = str(remaining)
        headers[f"x-ratelimit-reset-{name}"] = duration(reset_ms)
    return headers


def error_response(error: TokenferryError, *, calls: int = 0) -> web.Response:
    """Return an error in OpenAI's shape, with the headers that the official SDKs act on."""
    headers = attempts_header(calls)
    if error.retry_after_ms is not None:
        headers["retry-after-ms"] = str(error.retry_after_ms)
        # Whole seconds, rounded up: who waits that long has waited long enough.
        headers["retry-after"] = str(-(-error.retry_after_ms // 1000))
    if error.http_status == web.HTTPUnauthorized.status_code:
        headers["www-authenticate"] = "Bearer"
    if not error.retryable:
        # SDKs retry every 5xx, 409 and 429 on their own; here it would be in vain.
        headers["x-should-retry"] = "false"
    body = {"error": wire_error(error), **error.details}
    return json_response(body, status=error.http_status, headers=headers)
