"""OpenAI chat completions, and everything that speaks them: DeepSeek, Groq, Mistral, vLLM, Ollama …

The request goes through byte for byte, except for the model's name and the stream options; the
answer is read with types, so that what leaves the gateway is well formed whatever came in.

Source: OpenAI API reference, "Chat completions", November 2026, and recorded streams of six
providers. Weakness: a delta key that no provider had in November 2026 is dropped, not passed on.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct

from tokenferry.domain.usage import Usage
from tokenferry.engine.ports import Sink
from tokenferry.errors import (
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderError,
    ProviderInvalidResponse,
    ProviderRejected,
)
from tokenferry.protocol.chat import ChatRequest, Delta, FunctionDelta, ToolCallDelta
from tokenferry.protocol.surrogates import SurrogateJoiner, loads, well_formed
from tokenferry.providers.wire import WireRequest, retry_after_ms

PARAMETERS: Mapping[str, str] = MappingProxyType(
    {
        "model": "mapped: the provider's own name for it",
        "stream": "mapped: as the client's",
        "stream_options": "mapped: include_usage is always asked for, and hidden from clients "
        "that did not; other options pass through",
        "(everything else)": "passed through byte for byte, unknown fields included",
    }
)

# Reasons that OpenAI defines; what others say is read as one of them.
_FINISH_REASONS = {
    **dict.fromkeys(["stop", "length", "tool_calls", "content_filter", "function_call"]),
    "model_length": "length",  # Mistral
    "max_tokens": "length",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "sensitive": "content_filter",  # Zhipu
}
# How some servers write null: Ollama, SGLang and LocalAI the first, KoboldCpp the second.
_NO_REASON = ("", "null")
_DONE = b"[DONE]"
_UNAUTHORIZED = (401, 403)
_PAYMENT_REQUIRED = 402
_ERROR_CHARACTERS_MAX = 200
# No context is near this; more is a provider's mistake, which nobody should pay for.
_TOKENS_MAX = 10**12


class _TokenDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    reasoning_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _TokenDetails | None = None
    completion_tokens_details: _TokenDetails | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek


class _Function(Struct):
    name: str | None = None
    arguments: Any = None  # OpenAI: a string; some servers begin with null or send an object


class _ToolCall(Struct):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: _Function | None = None
    extra_content: Any = None


class _Part(Struct):
    """A part of a content that is a list, as Mistral's reasoning models send it."""

    text: str | None = None
    thinking: "str | list[_Part] | None" = None


class _Message(Struct):
    """A delta, or the message of an answer that is not streamed.

    What passes through untouched is still read whole: journal and clients get valid JSON only.
    """

    content: str | list[_Part] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: Any = None
    annotations: Any = None
    audio: Any = None
    reasoning_details: Any = None
    images: Any = None


class _Choice(Struct):
    index: int | None = None
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    error: Any = None  # OpenRouter, beside finish_reason "error"


class _Groq(Struct):
    usage: _Usage | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    x_groq: _Groq | None = None
    error: Any = None
    object: str | None = None
    message: str | None = None  # vLLM: {"object": "error", "message": …, "code": …}
    code: int | str | None = None


class _FirstChunk(_Chunk):
    """The first chunks are read in full, for what the answer as a whole says of itself."""

    model: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None


class _Error(Struct):
    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: int | str | None = None


class _ErrorBody(Struct):
    error: _Error | str | None = None
    message: str | None = None
    detail: str | None = None
    type: str | None = None
    code: int | str | None = None


class ChatCompletionsFormat:
    """The wire format of OpenAI's chat completions.

    Args:
        api_key: The operator's key at this provider; empty for servers that want none.
        include_usage: Whether to ask for usage in streams; False for servers that refuse
            `stream_options`, at the price of estimated usage.
    """

    def __init__(self, api_key: str, *, include_usage: bool = True) -> None:
        self._headers = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        self._include_usage = include_usage

    def encode(self, request: ChatRequest, model: str) -> WireRequest:
        """Pass the request through, with the model's name and the stream options replaced."""
        fields = dict(request.fields)
        fields["model"] = Raw(msgspec.json.encode(model))
        fields["stream"] = Raw(b"true" if request.stream else b"false")
        if request.stream and self._include_usage:
            options = {}
            if request.stream_options is not None:
                options = msgspec.json.decode(fields["stream_options"], type=dict[str, Raw])
            options["include_usage"] = Raw(b"true")
            fields["stream_options"] = Raw(msgspec.json.encode(options))
        else:
            fields.pop("stream_options", None)
        return WireRequest("/chat/completions", msgspec.json.encode(fields), self._headers)

    def decoder(self, request: ChatRequest, sink: Sink) -> "ChatCompletionsDecoder":
        """Return a reader for the answer to `request`."""
        return ChatCompletionsDecoder(sink)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Translate an HTTP error; OpenAI's shape and its common relatives are understood."""
        error = _read_error(body)
        message = error.message or f"The provider answered with HTTP status {status}."
        if status in _UNAUTHORIZED:
            return ProviderAuthFailed(
                "The provider refused the gateway's own credential, not your key. "
                f"The operator must check it (HTTP {status})."
            )
        if status == _PAYMENT_REQUIRED:
            return ProviderRejected(
                f"The gateway's account at this provider has no credit left: {message}",
                status=503,
                code="provider_quota_exhausted",
            )
        return ProviderRejected(
            message,
            status=status,
            code=None if error.code is None else str(error.code),
            type=error.type,
            param=error.param,
            retry_after_ms=retry_after_ms(headers),
        )


def _read_error(body: bytes) -> _Error:
    try:
        read = _error_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = body[: 4 * _ERROR_CHARACTERS_MAX].decode(errors="replace").strip()
        return _Error(message=text[:_ERROR_CHARACTERS_MAX] or None)
    if isinstance(read, list):  # Google's endpoint for this dialect
        read = read[0] if read else _ErrorBody()
    if isinstance(read.error, _Error):
        return read.error
    return _Error(message=read.error or read.message or read.detail, type=read.type, code=read.code)


# A provider that pads its chunks has no two alike; it is not worth trying for ever.
TEMPLATES_MAX = 16

_error_decoder = msgspec.json.Decoder(_ErrorBody | list[_ErrorBody])
_string_decoder = msgspec.json.Decoder(str)
_chunk_decoder = msgspec.json.Decoder(_Chunk)
_first_chunk_decoder = msgspec.json.Decoder(_FirstChunk)


class ChatCompletionsDecoder:
    """Reads one answer, streamed or whole."""

    __slots__ = (
        "_calls",
        "_decode",
        "_failure",
        "_finished",
        "_has_head",
        "_is_over",
        "_joiners",
        "_joins",
        "_prefix",
        "_seen",
        "_sink",
        "_suffix",
        "_templates_left",
        "_to_sink",
    )

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._decode: Callable[[bytes], _Chunk] = _first_chunk_decoder.decode
        self._has_head = False
        self._is_over = False
        self._failure: ProviderError | None = None
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._calls: dict[int, _ToolCallIndex] = {}
        # Only once a broken surrogate pair was seen does text go through a joiner.
        self._joins = False
        self._joiners: dict[tuple[int, str | int], SurrogateJoiner] = {}
        # The template: what stands before and after the text in a chunk that was read in full.
        self._prefix = b""
        self._suffix = b""
        self._to_sink: Callable[[str], None] = sink.text
        self._templates_left = TEMPLATES_MAX

    def event(self, data: bytes) -> None:
        """Take one chunk, or `[DONE]`."""
        # Most chunks of a stream differ in one string only. Where all before and after it is as in
        # a chunk that was read in full, and the string is valid, so is the chunk.
        prefix, suffix = self._prefix, self._suffix
        if prefix and data.startswith(prefix) and data.endswith(suffix):
            try:
                text = _string_decoder.decode(data[len(prefix) - 1 : 1 - len(suffix)])
            except (msgspec.MsgspecError, UnicodeDecodeError):
                pass  # two strings, or none, or a broken one: read it in full below
            else:
                if text:
                    self._to_sink(text)
                return
        if self._is_over:
            return
        if data.startswith(_DONE):
            self.eof()
            return
        chunk = self._read(data)
        self._take(chunk)
        if self._templates_left:
            self._learn(data, chunk)

    def body(self, data: bytes) -> None:
        """Take a whole completion."""
        chunk = self._read(data)
        if not chunk.choices and not chunk.error and chunk.object != "error":
            raise ProviderInvalidResponse("The provider's answer has no choices.")
        self._take(chunk)
        self.eof()

    def eof(self) -> None:
        """Take the end: complete only if every choice said why it ended."""
        if self._is_over:
            return
        if self._finished and self._finished >= self._seen:
            self._flush(self._seen)
            self._stop()
            self._sink.end()
        else:
            self._fail(ProviderCutOff("The provider ended its answer without a finish_reason."))

    def _stop(self) -> None:
        """Close the ways to the sink: after its one end it may serve another provider's answer."""
        self._is_over = True
        self._prefix = b""
        self._templates_left = 0

    def _fail(self, error: ProviderError) -> None:
        self._stop()
        self._sink.fail(error)

    def _read(self, data: bytes) -> _Chunk:
        try:
            return self._decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            # From now on all text goes through joiners, and none past them.
            self._joins = True
            self._prefix = b""
            self._templates_left = 0
            return _decode_leniently(data)

    def _learn(self, data: bytes, chunk: _Chunk) -> None:
        """Keep a chunk as the template if one string is all that it says."""
        found = _only_string(chunk)
        if found is None:
            return
        self._templates_left -= 1
        key, text = found
        match = _STRINGS[key].search(data)
        if match is None:
            return
        prefix, inner, suffix = data[: match.start(1)], match[1], data[match.end(1) :]
        # The same key may stand in other places too. This is the one if a change here is what a
        # reading in full then finds.
        if _only_string(self._decode(b"%b%b.%b" % (prefix, inner, suffix))) == (key, text + "."):
            self._prefix, self._suffix = prefix, suffix
            self._to_sink = self._sink.text if key == "content" else self._sink.reasoning

    def _take(self, chunk: _Chunk) -> None:
        if chunk.choices:
            if not self._has_head and isinstance(chunk, _FirstChunk):
                self._has_head = True
                self._sink.head(chunk.model or "", chunk.system_fingerprint, chunk.service_tier)
                self._decode = _chunk_decoder.decode  # the cheaper half
            for choice in chunk.choices:
                self._take_choice(choice)
        if chunk.usage is not None:
            self._take_usage(chunk.usage)
        elif chunk.x_groq is not None and chunk.x_groq.usage is not None:
            self._take_usage(chunk.x_groq.usage)
        if chunk.error or chunk.object == "error":
            self._failure = _reported(chunk)
        if self._failure is not None:
            self._fail(self._failure)

    def _take_choice(self, choice: _Choice) -> None:
        index = choice.index or 0
        self._seen.add(index)
        message = choice.delta or choice.message
        if message is not None:
            self._take_message(index, message, choice.logprobs)
        reason = choice.finish_reason
        if reason is not None and reason not in _NO_REASON and index not in self._finished:
            self._finish(index, reason, choice.error)

    def _take_message(self, index: int, message: _Message, logprobs: Any) -> None:
        content = message.content
        reasoning = message.reasoning_content or message.reasoning
        if isinstance(content, list):
            content, thoughts = _split(content)
            reasoning = reasoning or thoughts
        if self._joins:
            content = self._join(index, "content", content)
            reasoning = self._join(index, "reasoning", reasoning)
        if index == 0 and not logprobs and _has_text_only(message):
            # The order matters where one event ends the reasoning and begins the answer.
            if reasoning:
                self._sink.reasoning(reasoning)
            if content:
                self._sink.text(content)
            return
        delta = Delta(
            content=content or None,
            reasoning=reasoning or None,
            refusal=self._join(index, "refusal", message.refusal) or None,
            tool_calls=self._tool_calls(index, message.tool_calls),
            function_call=self._raw(message.function_call, dict),
            annotations=self._raw(message.annotations, list),
            audio=self._raw(message.audio, dict),
            reasoning_details=self._raw(message.reasoning_details, list),
            images=self._raw(message.images, list),
        )
        raw_logprobs = self._raw(logprobs, dict)
        if delta != _EMPTY or raw_logprobs is not None:
            self._sink.delta(index, delta, raw_logprobs)

    def _tool_calls(self, choice: int, calls: list[_ToolCall] | None) -> list[ToolCallDelta] | None:
        if not calls:
            return None
        positions = self._calls.setdefault(choice, _ToolCallIndex())
        positions.begin_event()
        return [self._tool_call(choice, positions.of(call), call) for call in calls]

    def _tool_call(self, choice: int, position: int, call: _ToolCall) -> ToolCallDelta:
        function = None
        if call.function is not None:
            arguments = call.function.arguments
            if arguments is not None and not isinstance(arguments, str):
                arguments = msgspec.json.encode(self._clean(arguments)).decode()
            arguments = self._join(choice, position, arguments)
            function = FunctionDelta(
                self._clean(call.function.name) or None, UNSET if arguments is None else arguments
            )
        return ToolCallDelta(
            position,
            self._clean(call.id) or None,
            self._clean(call.type) or ("function" if call.id else None),
            function,
            self._clean(call.extra_content) if isinstance(call.extra_content, dict) else None,
        )

    def _finish(self, index: int, reason: str, error: Any) -> None:
        if reason == "insufficient_system_resource":
            # DeepSeek broke the answer off: no reason to call it complete.
            self._failure = ProviderRejected(
                "The provider ran out of resources in the middle of the answer.",
                status=503,
                code=reason,
            )
        elif reason == "error":  # OpenRouter; the error itself stands in the same chunk
            self._failure = _reported(_Chunk(error=self._clean(error) or {}))
        else:
            self._finished.add(index)
            self._flush({index})
            self._sink.finish(index, _FINISH_REASONS.get(reason, "stop") or reason)

    def _take_usage(self, usage: _Usage) -> None:
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        if prompt is None or completion is None:
            return
        into = usage.prompt_tokens_details or _TokenDetails()
        out = usage.completion_tokens_details or _TokenDetails()
        reasoning = out.reasoning_tokens or 0
        if reasoning and usage.total_tokens == prompt + completion + reasoning:
            completion += reasoning  # xAI counts reasoning beside the completion, not inside
        cached = into.cached_tokens
        if cached is None:
            cached = usage.prompt_cache_hit_tokens or 0
        counts = (
            prompt,
            completion,
            cached,
            into.cache_write_tokens or 0,
            reasoning,
            into.audio_tokens or 0,
            out.audio_tokens or 0,
            out.accepted_prediction_tokens or 0,
            out.rejected_prediction_tokens or 0,
        )
        if min(counts) >= 0 and max(counts) <= _TOKENS_MAX:
            self._sink.usage(Usage(*counts))

    def _join(self, index: int, kind: str | int, text: str | None) -> str | None:
        """Pass a fragment through the joiner of its text; `kind` is the position of a tool call."""
        if not text or not self._joins:
            return text
        return self._joiners.setdefault((index, kind), SurrogateJoiner()).push(text)

    def _flush(self, indexes: set[int]) -> None:
        for (index, kind), joiner in self._joiners.items():
            if index in indexes and (rest := joiner.flush()):
                self._sink.delta(index, _text_delta(kind, rest))

    def _clean(self, value: Any) -> Any:
        """Return what goes into no joiner without halves of surrogate pairs."""
        return well_formed(value) if self._joins else value

    def _raw(self, value: Any, kind: type) -> Raw | None:
        """Return what is passed on as it is, unless it is empty or nothing that clients expect."""
        if not value or not isinstance(value, kind):
            return None
        return Raw(msgspec.json.encode(self._clean(value)))


def _decode_leniently(data: bytes) -> _FirstChunk:
    """Read what the strict reader refuses: broken surrogate pairs, numbers of another type.

    Halves stay in `choices` only: what is there goes through joiners.
    """
    try:
        value = loads(data)
        if isinstance(value, dict):
            value = {k: v if k == "choices" else well_formed(v) for k, v in value.items()}
        return msgspec.convert(value, _FirstChunk, strict=False)
    except (ValueError, RecursionError) as exc:  # msgspec's own errors are ValueErrors
        text = data[:_ERROR_CHARACTERS_MAX].decode(errors="replace")
        raise ProviderInvalidResponse(
            f"The provider sent something that is no chat completion: {text!r} ({exc})."
        ) from None


def _reported(chunk: _Chunk) -> ProviderRejected:
    """Return the error that stands in an answer."""
    if chunk.object == "error":
        error = _Error(message=chunk.message, code=chunk.code)
    else:
        error = _read_error(msgspec.json.encode({"error": chunk.error}))
    code = None if error.code is None else str(error.code)
    return ProviderRejected(
        error.message or "The provider reported an error in the middle of the answer.",
        status=int(code) if code and _ERROR_STATUS.fullmatch(code) else 502,
        code=code,
        type=error.type,
        param=error.param,
    )


def _split(parts: list[_Part]) -> tuple[str, str]:
    """Return text and reasoning of a content that is a list."""
    text, thoughts = "", ""
    for part in parts:
        text += part.text or ""
        if isinstance(part.thinking, str):
            thoughts += part.thinking
        else:
            thoughts += "".join([inner.text or "" for inner in part.thinking or ()])
    return text, thoughts


def _only_string(chunk: _Chunk) -> tuple[str, str] | None:
    """Return key and text of a chunk that adds text to choice 0 and says nothing else."""
    if chunk.usage is not None or chunk.error or chunk.object == "error" or chunk.x_groq:
        return None
    choices = chunk.choices
    if not choices or len(choices) > 1 or choices[0].delta is None:
        return None
    choice, delta = choices[0], choices[0].delta
    if choice.index or choice.finish_reason or choice.logprobs or not _has_text_only(delta):
        return None
    filled = [(key, text) for key in _STRINGS if (text := getattr(delta, key))]
    if len(filled) != 1 or not isinstance(filled[0][1], str):
        return None
    return filled[0]


class _ToolCallIndex:
    """Gives every tool call of a choice its own index.

    Some servers leave the index out, others give every call index 0; a new id then begins a new
    call, and so does a name where there is no id.
    """

    __slots__ = ("_ids", "_named", "_positions")

    def __init__(self) -> None:
        self._ids: list[str | None] = []
        self._positions: dict[int, int] = {}
        # Which calls were named in this event: two entries with names are two calls.
        self._named: set[int] = set()

    def begin_event(self) -> None:
        """Take note that the next call is the first of an event."""
        self._named.clear()

    def of(self, call: _ToolCall) -> int:
        """Return the index of the call that a fragment belongs to."""
        position = self._find(call)
        if position is None:
            position = len(self._ids)
            self._ids.append(None)
        if call.id:
            self._ids[position] = call.id
        if call.index is not None:
            self._positions[call.index] = position
        if call.function is not None and call.function.name:
            self._named.add(position)
        return position

    def _find(self, call: _ToolCall) -> int | None:
        """Return the call that a fragment goes on with; None if it begins one."""
        if call.index is None:
            position = len(self._ids) - 1 if self._ids else None
        else:
            position = self._positions.get(call.index)
        if call.id:
            if call.id in self._ids and (call.index is None or position is not None):
                return self._ids.index(call.id)
            return position if position is not None and self._ids[position] is None else None
        names = call.function is not None and call.function.name
        if names and (position in self._named or call.index is None):
            return None
        return position


# The keys that tokens come under, and where their value is in a chunk's JSON. Possessive, so that
# a long string takes linear time.
_STRINGS: Mapping[str, re.Pattern[bytes]] = MappingProxyType(
    {
        key: re.compile(rb'"%b"\s*+:\s*+"((?:[^"\\]++|\\.)*+)(?=")' % key.encode(), re.DOTALL)
        for key in ("content", "reasoning_content", "reasoning")
    }
)
_ERROR_STATUS = re.compile(r"[45][0-9][0-9]")
_EMPTY = Delta()


def _has_text_only(message: _Message) -> bool:
    return not (
        message.tool_calls
        or message.refusal
        or message.annotations
        or message.function_call
        or message.audio
        or message.reasoning_details
        or message.images
    )


def _text_delta(kind: str | int, text: str) -> Delta:
    if isinstance(kind, int):
        return Delta(tool_calls=[ToolCallDelta(kind, function=FunctionDelta(arguments=text))])
    return Delta(**{kind: text})
