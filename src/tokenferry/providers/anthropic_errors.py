"""Anthropic's errors, as HTTP answers and as events of a stream, in our tree.

Source: platform.claude.com, "Claude API errors", November 2026. Weakness: an error event carries
no HTTP status; the one that the page pairs with the error's type stands in for it.
"""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import Struct

from tokenferry.errors import ProviderError, ProviderRejected
from tokenferry.providers.wire import operators_trouble

STATUSES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "invalid_request_error": 400,
        "authentication_error": 401,
        "billing_error": 402,
        "permission_error": 403,
        "not_found_error": 404,
        "conflict_error": 409,
        "request_too_large": 413,
        "rate_limit_error": 429,
        "api_error": 500,
        "timeout_error": 504,
        "overloaded_error": 529,
    }
)

_BAD_GATEWAY: Final = 502
_STATUS_MIN: Final = 400
_STATUS_MAX: Final = 599
_TEXT_MAX: Final = 200
_NO_WORDS: Final = "The provider reported an error without saying which."


class ErrorDetail(Struct):
    """The inner object of an error."""

    type: str | None = None
    message: str | None = None


class _ErrorBody(Struct):
    error: ErrorDetail


def read_error(status: int, body: bytes) -> ErrorDetail:
    """Return what the body of an HTTP error says; the text itself if it is not Anthropic's form."""
    try:
        return msgspec.json.decode(body, type=_ErrorBody).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = " ".join(body.decode(errors="replace").split())[:_TEXT_MAX]
        return ErrorDetail(message=text or f"The provider answered with HTTP {_phrase(status)}.")


def translate_error(
    error: ErrorDetail | None, status: int | None = None, retry_after_ms: int | None = None
) -> ProviderError:
    """Return the error of our tree.

    Args:
        error: The provider's own words.
        status: The HTTP status; None for an event, which has only its type.
        retry_after_ms: How long the provider asks to wait.
    """
    error = error or ErrorDetail()
    if status is None:
        status = STATUSES.get(error.type or "", _BAD_GATEWAY)
    message = error.message or _NO_WORDS
    return operators_trouble(status, message) or ProviderRejected(
        message,
        status=status if _STATUS_MIN <= status <= _STATUS_MAX else _BAD_GATEWAY,
        code=error.type,
        type=error.type,
        retry_after_ms=retry_after_ms,
    )


def _phrase(status: int) -> str:
    known = {member.value: member.phrase for member in HTTPStatus} | {529: "Overloaded"}
    return f"{status} {known.get(status, '')}".strip()
