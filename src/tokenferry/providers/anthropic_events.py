"""The events and messages that Anthropic sends, and their reading from JSON.

One decode an event is all the token path can afford, so that the reader is strict; what it refuses
is read again, leniently, for the two things that are no fault: a surrogate pair torn apart between
two events, and a type that came after this was written.

Source: platform.claude.com, "Streaming messages" and "Create a Message", November 2026, and
recorded streams. Weakness: a known field with an unknown type of value counts as a fault, except
inside the blocks, deltas and events that are not known themselves.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from tokenferry.errors import ProviderInvalidResponse
from tokenferry.protocol.surrogates import loads, well_formed
from tokenferry.providers.anthropic_errors import ErrorDetail

# The deltas that carry a fragment of text, and where.
FRAGMENTS: Final = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
}
_DELTAS: Final = frozenset((*FRAGMENTS, "signature_delta", "citations_delta"))
_BLOCKS: Final = frozenset(("text", "tool_use", "thinking", "redacted_thinking"))
_EVENTS: Final = frozenset(
    (
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    )
)
_TEXT_MAX: Final = 200


class OutputDetails(Struct):
    """What the output tokens were spent on."""

    thinking_tokens: int | None = None


class CacheCreation(Struct):
    """How long the tokens are cached for that were written to the cache."""

    ephemeral_1h_input_tokens: int | None = None


class Usage(Struct):
    """Token counts so far; what an event leaves out is None."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None
    service_tier: str | None = None


class StopDetails(Struct):
    """Why the model refused."""

    explanation: str | None = None


class Block(Struct):
    """A content block at its start, or whole."""

    type: str
    id: str | None = None
    name: str | None = None
    text: str | None = None
    input: dict[str, Any] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    citations: list[dict[str, Any]] | None = None


class Message(Struct):
    """A message at its start, or whole; or the error in its place."""

    type: str | None = None
    model: str | None = None
    content: list[dict[str, Any]] | None = None
    stop_reason: str | None = None
    stop_details: StopDetails | None = None
    usage: Usage | None = None
    error: ErrorDetail | None = None


# Two a token, and never part of a cycle: not worth the garbage collector's attention.
class Delta(Struct, gc=False):
    """What is added to a block, or to the message at its end."""

    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: dict[str, Any] | None = None
    stop_reason: str | None = None
    stop_details: StopDetails | None = None


class Event(Struct, gc=False):
    """An event; `type` says which of the other fields it has."""

    type: str
    index: int = 0
    delta: Delta | None = None
    content_block: dict[str, Any] | None = None
    message: Message | None = None
    usage: Usage | None = None
    error: ErrorDetail | None = None


decode_event = msgspec.json.Decoder(Event).decode
_decode_message = msgspec.json.Decoder(Message).decode
# What the fast readers raise; the last one for nesting beyond the interpreter's limit.
NOT_READ: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def reread_event(data: bytes) -> Event | None:
    """Read an event that `decode_event` refused; halves of surrogate pairs stay in its fragments.

    Returns:
        The event, or None if it is of a type that is not known.

    Raises:
        ProviderInvalidResponse: If it is no event of the Messages API.
    """
    value = _load(data)
    if value.get("type") == "content_block_delta" and isinstance(value.get("delta"), dict):
        delta = {
            key: item if key in FRAGMENTS.values() else well_formed(item)
            for key, item in value.pop("delta").items()
        }
        value = well_formed(value) | {"delta": delta}
    else:
        value = well_formed(value)
        if value.get("error"):  # of a relay, whose errors have OpenAI's form
            value.setdefault("type", "error")
    try:
        return msgspec.convert(value, Event)
    except msgspec.ValidationError:
        if _is_unknown(value):
            return None
        raise invalid(data) from None


def read_message(data: bytes) -> Message:
    """Read a whole message.

    Raises:
        ProviderInvalidResponse: If it is no message and no error of the Messages API.
    """
    try:
        return _decode_message(data)
    except NOT_READ:
        value = well_formed(_load(data))
    try:
        return msgspec.convert(value, Message)
    except msgspec.ValidationError:
        raise invalid(data) from None


def read_block(block: dict[str, Any]) -> Block | None:
    """Read a content block; None if it is of a type that says nothing to a client.

    Raises:
        ProviderInvalidResponse: If it is of a known type, but not of its form.
    """
    kind = block.get("type")
    if not isinstance(kind, str) or kind not in _BLOCKS:
        return None
    try:
        return msgspec.convert(block, Block)
    except msgspec.ValidationError as exc:
        raise ProviderInvalidResponse(
            f"The provider sent a content block of another form than its type has: {exc}."
        ) from None


def invalid(data: bytes) -> ProviderInvalidResponse:
    """Return the error for data that is not of the Messages API, with its beginning."""
    text = data[:_TEXT_MAX].decode(errors="replace")
    return ProviderInvalidResponse(f"The provider sent what is no Anthropic message: {text!r}.")


def _load(data: bytes) -> dict[str, Any]:
    try:
        value = loads(data)
    except ValueError:
        raise invalid(data) from None
    if not isinstance(value, dict):
        raise invalid(data)
    return value


def _is_unknown(value: dict[str, Any]) -> bool:
    """Say whether an event, or the delta in it, is of a type that came later."""
    kind = value.get("type")
    if kind == "content_block_delta":
        value, known = value.get("delta") or {}, _DELTAS
        kind = value.get("type") if isinstance(value, dict) else None
    else:
        known = _EVENTS
    return isinstance(kind, str) and kind not in known
