"""HTTP answers in OpenAI's shapes, and what clients are told of failures."""

import logging
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tokenferry.domain.rate_limit import Standing, duration
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.ports import JournalUnavailable
from tokenferry.errors import StorageUnavailable, TokenferryError
from tokenferry.protocol.frames import encode, wire_error

log = logging.getLogger(__name__)

JSON = "application/json"
ATTEMPTS = "x-tokenferry-attempts"
# In place of aiohttp's, which says which releases of it and of Python have to be attacked.
SERVER_NAME = "Tokenferry"
# Where a request keeps how its key stands with its limits, for the headers of its answer.
STANDINGS = "standings"
# What may come out of serving a client, and is told to it; anything else is a defect.
FAILURES = (TokenferryError, JournalUnavailable, StoreUnusable)


def told(failure: Exception) -> TokenferryError:
    """Return what a client is told of one of the FAILURES."""
    if isinstance(failure, TokenferryError):
        return failure
    log.error("a client could not be served: %s", failure)
    return StorageUnavailable("The server's storage fails; try later.")


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
