"""What providers that speak OpenAI's chat completions send: the types of chunks and of errors.

Reading is strict first, because that is fast. What it refuses is read again, leniently: broken
surrogate pairs and numbers of another type are things that real servers send.

Source: as `chat_completions`. Weakness: a chunk that is read leniently costs several times more.
"""

import re
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from tokenferry.errors import ProviderError, ProviderInvalidResponse, ProviderRejected
from tokenferry.protocol.chat import CustomDelta, FunctionDelta, ToolCallDelta
from tokenferry.protocol.surrogates import loads, well_formed
from tokenferry.providers.wire import operators_trouble

ERROR_CHARACTERS_MAX = 200
NULL: Final = Raw(b"null")

_BAD_GATEWAY = 502
_ERROR_STATUS = re.compile(r"[45][0-9][0-9]")
_PASSED_ON = ("function_call", "annotations", "audio", "reasoning_details", "images")
_EMPTY = (b"null", b"{}", b"[]", b'""', b"false")


def _is_empty(raw: Raw) -> bool:
    """Say whether a field is as good as absent."""
    return bytes(raw) in _EMPTY


class TokenDetails(Struct):
    """A part of the usage."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    reasoning_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class ChunkUsage(Struct):
    """Usage, as far as servers agree on it."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: TokenDetails | None = None
    completion_tokens_details: TokenDetails | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek


class ChunkFunction(FunctionDelta):
    """A fragment of a call; OpenAI's arguments are a string, others' may be null or an object."""

    arguments: Any = UNSET


class ChunkCustom(CustomDelta):
    """A fragment of a custom tool's call; its input may be null, too."""

    input: Any = UNSET


class ChunkToolCall(ToolCallDelta):
    """A fragment of a call; the index may be null, too."""

    index: Any = UNSET
    function: ChunkFunction | None = None
    custom: ChunkCustom | None = None

    @property
    def called(self) -> ChunkFunction | ChunkCustom | None:
        """What is called, of whichever kind."""
        return self.function or self.custom


class Part(Struct):
    """A part of a content that is a list, as Mistral's reasoning models send it."""

    text: str | None = None
    thinking: "str | list[Part] | None" = None


class Message(Struct):
    """A delta, or the message of an answer that is not streamed."""

    content: str | list[Part] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ChunkToolCall] | None = None
    function_call: Raw | UnsetType = UNSET
    annotations: Raw | UnsetType = UNSET
    audio: Raw | UnsetType = UNSET
    reasoning_details: Raw | UnsetType = UNSET
    images: Raw | UnsetType = UNSET

    def has_text_only(self) -> bool:
        """Say whether content and reasoning are all that there is."""
        return (
            not self.tool_calls
            and not self.refusal
            and (self.annotations is UNSET or _is_empty(self.annotations))
            and (self.function_call is UNSET or _is_empty(self.function_call))
            and (self.audio is UNSET or _is_empty(self.audio))
            and (self.reasoning_details is UNSET or _is_empty(self.reasoning_details))
            and (self.images is UNSET or _is_empty(self.images))
        )


class Choice(Struct):
    """What a chunk says of one choice; `error` is OpenRouter's, with finish_reason "error"."""

    index: int | None = None
    delta: Message | None = None
    message: Message | None = None
    finish_reason: str | None = None
    logprobs: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class Groq(Struct):
    """Where older answers of Groq have their usage."""

    usage: ChunkUsage | None = None


class Chunk(Struct):
    """A chunk, or a whole answer."""

    choices: list[Choice] | None = None
    usage: ChunkUsage | None = None
    x_groq: Groq | None = None
    error: Raw | UnsetType = UNSET
    object: str | None = None
    message: str | None = None  # vLLM: {"object": "error", "message": …, "code": …}
    code: int | str | None = None

    def is_error(self) -> bool:
        """Say whether it reports an error."""
        return self.object == "error" or not (self.error is UNSET or _is_empty(self.error))


class FirstChunk(Chunk):
    """The first chunks are read in full, for what the answer as a whole says of itself."""

    model: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None


class ErrorObject(Struct):
    """An error in OpenAI's form."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: int | str | None = None


class _ErrorBody(Struct):
    error: ErrorObject | str | None = None
    message: str | None = None
    detail: str | None = None
    type: str | None = None
    code: int | str | None = None


_error_decoder = msgspec.json.Decoder(_ErrorBody | list[_ErrorBody])


def read_error(body: bytes) -> ErrorObject:
    """Read the body of an error: OpenAI's shape, its relatives, or any text."""
    try:
        read = _error_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = body[: 4 * ERROR_CHARACTERS_MAX].decode(errors="replace").strip()
        return ErrorObject(message=text[:ERROR_CHARACTERS_MAX] or None)
    if isinstance(read, list):  # Google's endpoint for this dialect
        read = read[0] if read else _ErrorBody()
    if isinstance(read.error, ErrorObject):
        return read.error
    return ErrorObject(read.error or read.message or read.detail, read.type, code=read.code)


def translated(
    error: ErrorObject, message: str, status: int, retry_after_ms: int | None = None
) -> ProviderError:
    """Return the error of our tree; what concerns the operator's account is not the client's fault.

    Args:
        error: The provider's own words.
        message: What to say where it gives none.
        status: The HTTP status, or the one that stands in an answer.
        retry_after_ms: How long the provider asks to wait.
    """
    message = error.message or message
    return operators_trouble(status, message) or ProviderRejected(
        message,
        status=status,
        code=None if error.code is None else str(error.code),
        type=error.type,
        param=error.param,
        retry_after_ms=retry_after_ms,
    )


def reported(chunk: Chunk, error: Raw | UnsetType) -> ProviderError:
    """Return the error that stands in an answer: `error`, or the chunk itself."""
    if error is not UNSET and not _is_empty(error):
        read = read_error(b'{"error":%b}' % bytes(error))
    else:
        read = ErrorObject(message=chunk.message, code=chunk.code)
    code = str(read.code)
    return translated(
        read,
        "The provider reported an error in the middle of the answer.",
        int(code) if _ERROR_STATUS.fullmatch(code) else _BAD_GATEWAY,
    )


def decode_leniently(data: bytes) -> FirstChunk:
    """Read what the strict reader refuses: broken surrogate pairs, numbers of another type.

    Halves of pairs stay only where fragments of texts stand: in content, reasoning, refusal and
    tool calls of a choice.

    Raises:
        ProviderInvalidResponse: If it is no chat completion for the lenient reader either.
    """
    try:
        value = loads(data)
        if isinstance(value, dict):
            choices = value.pop("choices", None)
            value = {"choices": choices} | _with_raw(well_formed(value), "error")
            for choice in choices if isinstance(choices, list) else ():
                _with_raw(choice, "logprobs", "error")
                if isinstance(choice, dict):
                    _with_raw(choice.get("delta"), *_PASSED_ON)
                    _with_raw(choice.get("message"), *_PASSED_ON)
        return msgspec.convert(value, FirstChunk, strict=False)
    except (ValueError, RecursionError) as exc:  # msgspec's errors are ValueErrors
        text = data[: 4 * ERROR_CHARACTERS_MAX].decode(errors="replace")[:ERROR_CHARACTERS_MAX]
        raise ProviderInvalidResponse(
            f"The provider sent something that is no chat completion: {text!r} ({exc})."
        ) from None


def passed_on(raw: Raw, opening: bytes) -> Raw | None:
    """Return what is passed on as it came, for journal and clients: valid UTF-8, on one line.

    Args:
        raw: Any JSON value; its grammar was checked when it was read.
        opening: The first byte that clients expect; anything else, or an empty value, is dropped.
    """
    data = bytes(raw)
    if not data.startswith(opening) or data in _EMPTY:
        return None
    if not data.isascii():
        data = data.decode(errors="replace").encode()
    if b"\n" in data or b"\r" in data:
        data = msgspec.json.format(data, indent=-1)
    return Raw(data)


def split_parts(parts: list[Part]) -> tuple[str, str]:
    """Return text and reasoning of a content that is a list."""
    text, thoughts = "", ""
    for part in parts:
        text += part.text or ""
        if isinstance(part.thinking, str):
            thoughts += part.thinking
        else:
            thoughts += "".join([inner.text or "" for inner in part.thinking or ()])
    return text, thoughts


def _with_raw(holder: Any, *names: str) -> Any:
    """Encode those fields of a decoded object again that the types keep as they came."""
    if isinstance(holder, dict):
        for name in names:
            if name in holder:
                holder[name] = Raw(msgspec.json.encode(well_formed(holder[name])))
    return holder
