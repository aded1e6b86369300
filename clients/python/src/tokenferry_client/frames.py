"""Reading of the server's frames: every field is checked before it is believed.

Source: spec/PROTOCOL.md, section 3.3. Numbers stay within what JSON readers agree on (RFC 8259,
section 6): 2^53 - 1.
"""

import json
from typing import Any, Final

from tokenferry_client.events import ErrorInfo, RateLimit

INTEGER_MAX: Final = 2**53 - 1
# The choices of one answer; OpenAI's `n` goes to 128. It bounds what a faulty index can cost.
CHOICES_MAX: Final = 128
# A server has two limits; it is not asked how many more it may invent.
RATE_LIMITS_MAX: Final = 16


class UnreadableFrame(ValueError):
    """The server sent what is not the protocol."""


def parse(text: str) -> dict[str, Any]:
    """Return the object in a frame.

    Raises:
        UnreadableFrame: If it is no JSON object.
    """
    try:
        frame = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise UnreadableFrame("it is no JSON") from exc
    if not isinstance(frame, dict):
        raise UnreadableFrame("it is no JSON object")
    return frame


def _refuse_constant(name: str) -> None:
    """Refuse what Python reads and RFC 8259 does not have: NaN and the infinities."""
    raise ValueError(name)


def integer(frame: dict[str, Any], key: str) -> int:
    """Return a number from 0.

    Raises:
        UnreadableFrame: If it is missing, or something else.
    """
    value = frame.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= INTEGER_MAX:
        raise UnreadableFrame(f"`{key}` is no number from 0")
    return value


def string(frame: dict[str, Any], key: str) -> str:
    """Return a string.

    Raises:
        UnreadableFrame: If it is missing, or something else.
    """
    value = frame.get(key)
    if not isinstance(value, str):
        raise UnreadableFrame(f"`{key}` is no string")
    return value


def mapping(frame: dict[str, Any], key: str) -> dict[str, Any]:
    """Return an object.

    Raises:
        UnreadableFrame: If it is missing, or something else.
    """
    value = frame.get(key)
    if not isinstance(value, dict):
        raise UnreadableFrame(f"`{key}` is no object")
    return value


def optional_mapping(frame: dict[str, Any], key: str) -> dict[str, Any] | None:
    """Return an object, or None when it is null or missing.

    Raises:
        UnreadableFrame: If it is something else.
    """
    return None if frame.get(key) is None else mapping(frame, key)


def optional_string(frame: dict[str, Any], key: str) -> str | None:
    """Return a string, or None when it is null or missing.

    Raises:
        UnreadableFrame: If it is something else.
    """
    return None if frame.get(key) is None else string(frame, key)


def optional_mappings(frame: dict[str, Any], key: str) -> tuple[dict[str, Any], ...]:
    """Return a list of objects; an empty one when it is null or missing.

    Raises:
        UnreadableFrame: If it is something else.
    """
    value = frame.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise UnreadableFrame(f"`{key}` is no list of objects")
    return tuple(value)


def optional_integer(frame: dict[str, Any], key: str) -> int | None:
    """Return a number from 0, or None when it is null or missing.

    Raises:
        UnreadableFrame: If it is something else.
    """
    return None if frame.get(key) is None else integer(frame, key)


def error_info(frame: dict[str, Any]) -> ErrorInfo:
    """Return the error in a frame.

    Raises:
        UnreadableFrame: If there is none.
    """
    error = mapping(frame, "error")
    return ErrorInfo(
        code=string(error, "code"),
        message=optional_string(error, "message") or "",
        type=optional_string(error, "type") or "",
        param=optional_string(error, "param"),
        retryable=error.get("retryable") is True,
        retry_after_ms=optional_integer(frame, "retry_after_ms"),
    )


def rate_limits(frame: dict[str, Any]) -> tuple[RateLimit, ...]:
    """Return how the key stands with its limits.

    Raises:
        UnreadableFrame: If that is no list of them.
    """
    if frame.get("rate_limits") is None:
        raise UnreadableFrame("`rate_limits` are missing")
    return tuple(
        RateLimit(
            string(one, "name"),
            integer(one, "limit"),
            integer(one, "remaining"),
            integer(one, "reset_ms"),
        )
        for one in optional_mappings(frame, "rate_limits")[:RATE_LIMITS_MAX]
    )


def piece(frame: dict[str, Any]) -> tuple[int, dict[str, Any], str]:
    """Return choice, delta and text of a chunk; a chunk without a choice adds nothing.

    Raises:
        UnreadableFrame: If its choice is none.
    """
    choices = frame.get("choices")
    if not isinstance(choices, list) or not choices:
        return 0, {}, ""
    choice = choices[0]
    if not isinstance(choice, dict):
        raise UnreadableFrame("`choices[0]` is no object")
    delta = optional_mapping(choice, "delta") or {}
    index = optional_integer(choice, "index") or 0
    if index >= CHOICES_MAX:
        raise UnreadableFrame(f"`index` is not below {CHOICES_MAX}")
    return index, delta, optional_string(delta, "content") or ""


def reasons(frame: dict[str, Any]) -> tuple[str, ...]:
    """Return the finish reasons of several choices; of one choice, nothing.

    Raises:
        UnreadableFrame: If they are no list of strings.
    """
    value = frame.get("finish_reasons")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(reason, str) for reason in value):
        raise UnreadableFrame("`finish_reasons` is no list of strings")
    return tuple(value)
