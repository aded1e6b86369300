"""Google's error objects, from an HTTP answer or from the middle of a stream, as our errors.

Source: google.rpc.Status with ErrorInfo and RetryInfo, as answers of 2026 that others published
show them. Weakness: of a 403 we cannot tell a refused key from a model that the
key's project may not use; both are the operator's business.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from tokenferry.errors import ProviderError, ProviderRejected
from tokenferry.providers.wire import operators_trouble, retry_after_ms

_KEY_REFUSED = "API_KEY_INVALID"  # comes with 400
_TEXT_MAX = 200
_STATUSES = range(400, 600)
_BAD_GATEWAY = 502
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")  # google.protobuf.Duration in JSON


class GoogleError(Struct):
    """What stands under the key `error`."""

    code: int | str | None = None
    message: str | None = None
    status: str | None = None
    details: Any = None


class _ErrorBody(Struct):
    error: GoogleError | None = None


class _Detail(Struct, rename="camel"):
    reason: str | None = None
    retry_delay: str | None = None


def of_response(
    status: int, headers: Mapping[str, str], body: bytes, *, api_key: str
) -> ProviderError:
    """Translate an HTTP error; Google sends an object, or an array that holds one.

    Args:
        status: The HTTP status.
        headers: The headers; names are lower case.
        body: The body, whatever it is.
        api_key: The operator's key, so that no message can show it.
    """
    return _translate(_read(body), status, retry_after_ms(headers), api_key)


def of_stream(error: GoogleError, *, api_key: str) -> ProviderError:
    """Translate an error that came inside an answer with the status 200."""
    code = error.code
    status = code if isinstance(code, int) and code in _STATUSES else _BAD_GATEWAY
    return _translate(error, status, None, api_key)


def _read(body: bytes) -> GoogleError:
    try:
        read = msgspec.json.decode(body, type=_ErrorBody | list[_ErrorBody])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        read = []
    for item in read if isinstance(read, list) else [read]:
        if item.error is not None:
            return item.error
    return GoogleError(message=body[:_TEXT_MAX].decode(errors="replace").strip() or None)


def _translate(error: GoogleError, status: int, wait_ms: int | None, api_key: str) -> ProviderError:
    details = _details(error.details)
    message = error.message or f"The provider answered with HTTP status {status}."
    if api_key:
        message = message.replace(api_key, "[key]")
    is_key_refused = any(detail.reason == _KEY_REFUSED for detail in details)
    trouble = operators_trouble(status, message, is_key_refused=is_key_refused, who="Google")
    if trouble is not None:
        return trouble
    if wait_ms is None:
        wait_ms = next((ms for ms in map(_retry_delay_ms, details) if ms is not None), None)
    code = error.status or (error.code if isinstance(error.code, str) else None)
    return ProviderRejected(message, status=status, code=code, retry_after_ms=wait_ms)


def _details(details: Any) -> list[_Detail]:
    try:
        return msgspec.convert(details or [], list[_Detail])
    except msgspec.ValidationError:
        return []


def _retry_delay_ms(detail: _Detail) -> int | None:
    match = _DURATION.fullmatch(detail.retry_delay or "")
    return round(float(match[1]) * 1000) if match else None
