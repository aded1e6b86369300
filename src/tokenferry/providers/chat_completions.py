"""OpenAI chat completions, and everything that speaks them: DeepSeek, Groq, Mistral, vLLM, Ollama …

The request goes through byte for byte, except for the model's name and the stream options; the
answer is read with types, so that what leaves the gateway is well formed whatever came in.

Source: OpenAI API reference, "Chat completions", November 2026, and recorded streams of six
providers. Weakness: a delta key that no provider had in November 2026 is dropped, not passed on.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct

from tokenferry.domain.usage import Usage
from tokenferry.engine.ports import Sink
from tokenferry.errors import (
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderError,
    ProviderInvalidResponse,
    ProviderRejected,
)
from tokenferry.protocol.chat import ChatRequest, Delta, ToolCallDelta
from tokenferry.protocol.surrogates import SurrogateJoiner, loads
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

_ABSENT = Raw(b"")

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
_DONE = b"[DONE]"
_UNAUTHORIZED = (401, 403)
_PAYMENT_REQUIRED = 402
_ERROR_TEXT_MAX = 200


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


class _Message(Struct):
    """A delta, or the message of an answer that is not streamed."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    function_call: Raw = _ABSENT
    annotations: Raw = _ABSENT
    audio: Raw = _ABSENT
    reasoning_details: Raw = _ABSENT
    images: Raw = _ABSENT


class _Choice(Struct):
    index: int | None = None
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    logprobs: Raw = _ABSENT


class _Groq(Struct):
    usage: _Usage | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    x_groq: _Groq | None = None
    error: Raw = _ABSENT
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
        read = msgspec.json.decode(body, type=_ErrorBody)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Error(message=body[:_ERROR_TEXT_MAX].decode(errors="replace").strip() or None)
    if isinstance(read.error, _Error):
        return read.error
    return _Error(message=read.error or read.message or read.detail, type=read.type, code=read.code)


# A provider that pads its chunks has no two alike; it is not worth trying for ever.
TEMPLATES_MAX = 16

_string_decoder = msgspec.json.Decoder(str)
_chunk_decoder = msgspec.json.Decoder(_Chunk)
_first_chunk_decoder = msgspec.json.Decoder(_FirstChunk)


class ChatCompletionsDecoder:
    """Reads one answer, streamed or whole."""

    __slots__ = (
        "_calls",
        "_decode",
        "_finished",
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
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._calls: dict[int, _ToolCallIndex] = {}
        # Only once a broken surrogate pair was seen does text go through a joiner.
        self._joins = False
        self._joiners: dict[tuple[int, str], SurrogateJoiner] = {}
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
        if data == _DONE:
            self.eof()
            return
        try:
            chunk = self._decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._join_from_now()
            chunk = _decode_leniently(data)
        self._take(chunk)
        if self._templates_left:
            self._learn(data, chunk)

    def _join_from_now(self) -> None:
        """Send all text through joiners, and none past them."""
        self._joins = True
        self._prefix = b""
        self._templates_left = 0

    def _learn(self, data: bytes, chunk: _Chunk) -> None:
        """Keep a chunk as the template if one string is all that it says."""
        found = _only_string(chunk)
        if found is None:
            return
        self._templates_left -= 1
        key, text = found
        span = _find_string(data, key, text)
        if span is not None:
            start, end = span
            self._prefix, self._suffix = data[: start + 1], data[end:]
            self._to_sink = self._sink.text if key == b'"content":' else self._sink.reasoning

    def body(self, data: bytes) -> None:
        """Take a whole completion."""
        self._join_from_now()
        chunk = _decode_leniently(data)
        if not chunk.choices and chunk.error == _ABSENT and chunk.object != "error":
            raise ProviderInvalidResponse("The provider's answer has no choices.")
        self._take(chunk)
        self.eof()

    def eof(self) -> None:
        """Take the end: complete only if every choice said why it ended."""
        if self._finished and self._finished >= self._seen:
            for (index, kind), joiner in self._joiners.items():
                if rest := joiner.flush():
                    self._sink.delta(index, _text_delta(kind, rest))
            self._sink.end()
        else:
            self._sink.fail(
                ProviderCutOff("The provider ended its answer without a finish_reason.")
            )

    def _take(self, chunk: _Chunk) -> None:
        if chunk.choices:
            if isinstance(chunk, _FirstChunk):
                self._sink.head(chunk.model or "", chunk.system_fingerprint, chunk.service_tier)
                self._decode = _chunk_decoder.decode  # the cheaper half
            for choice in chunk.choices:
                self._take_choice(choice)
        if chunk.usage is not None:
            self._take_usage(chunk.usage)
        elif chunk.x_groq is not None and chunk.x_groq.usage is not None:
            self._take_usage(chunk.x_groq.usage)
        if chunk.error not in (_ABSENT, _NULL) or chunk.object == "error":
            self._fail(chunk)

    def _take_choice(self, choice: _Choice) -> None:
        index = choice.index or 0
        self._seen.add(index)
        message = choice.delta or choice.message
        if message is not None:
            self._take_message(index, message, choice.logprobs)
        reason = choice.finish_reason
        if reason is not None and index not in self._finished:
            self._finished.add(index)
            self._finish(index, reason)

    def _take_message(self, index: int, message: _Message, logprobs: Raw) -> None:
        content = message.content
        reasoning = message.reasoning_content or message.reasoning
        if self._joins:
            content, reasoning = self._join(index, content, reasoning)
        plain_logprobs = logprobs in (_ABSENT, _NULL)
        if index == 0 and plain_logprobs and _has_text_only(message):
            # The order matters where one event ends the reasoning and begins the answer.
            if reasoning:
                self._sink.reasoning(reasoning)
            if content:
                self._sink.text(content)
            return
        delta = Delta(
            content=content or None,
            reasoning=reasoning or None,
            refusal=message.refusal or None,
            tool_calls=self._tool_calls(index, message.tool_calls),
            function_call=_raw_or_none(message.function_call),
            annotations=_raw_or_none(message.annotations),
            audio=_raw_or_none(message.audio),
            reasoning_details=_raw_or_none(message.reasoning_details),
            images=_raw_or_none(message.images),
        )
        if delta != _EMPTY or not plain_logprobs:
            self._sink.delta(index, delta, None if plain_logprobs else logprobs)

    def _tool_calls(
        self, choice: int, calls: list[ToolCallDelta] | None
    ) -> list[ToolCallDelta] | None:
        if not calls:
            return None
        positions = self._calls.setdefault(choice, _ToolCallIndex())
        for call in calls:
            call.index = positions.of(call)
            if call.id and call.type is None:
                call.type = "function"
        return calls

    def _finish(self, index: int, reason: str) -> None:
        if reason == "insufficient_system_resource":
            # DeepSeek broke the answer off: no reason to call it complete.
            self._sink.fail(
                ProviderRejected(
                    "The provider ran out of resources in the middle of the answer.",
                    status=503,
                    code="insufficient_system_resource",
                )
            )
        elif reason != "error":  # the error itself stands in the same chunk
            known = _FINISH_REASONS.get(reason, "stop") or reason
            self._sink.finish(index, known)

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
        self._sink.usage(
            Usage(
                prompt,
                completion,
                cached_tokens=cached,
                cache_write_tokens=into.cache_write_tokens or 0,
                reasoning_tokens=reasoning,
                prompt_audio_tokens=into.audio_tokens or 0,
                completion_audio_tokens=out.audio_tokens or 0,
                accepted_prediction_tokens=out.accepted_prediction_tokens or 0,
                rejected_prediction_tokens=out.rejected_prediction_tokens or 0,
            )
        )

    def _fail(self, chunk: _Chunk) -> None:
        if chunk.object == "error":
            error = _Error(message=chunk.message, code=chunk.code)
        else:
            error = _read_error(b'{"error":' + bytes(chunk.error) + b"}")
        code = error.code
        status = int(code) if str(code).isdigit() and 400 <= int(str(code)) < 600 else 502  # type: ignore[arg-type] # noqa: PLR2004
        self._sink.fail(
            ProviderRejected(
                error.message or "The provider reported an error in the middle of the answer.",
                status=status,
                code=None if code is None else str(code),
                type=error.type,
                param=error.param,
            )
        )

    def _join(
        self, index: int, content: str | None, reasoning: str | None
    ) -> tuple[str | None, str | None]:
        for kind, text in (("content", content), ("reasoning", reasoning)):
            if text:
                joiner = self._joiners.setdefault((index, kind), SurrogateJoiner())
                if kind == "content":
                    content = joiner.push(text)
                else:
                    reasoning = joiner.push(text)
        return content, reasoning


def _decode_leniently(data: bytes) -> _FirstChunk:
    """Read what the strict reader refuses: broken surrogate pairs, numbers of another type."""
    try:
        return msgspec.convert(loads(data), _FirstChunk, strict=False)
    except (ValueError, msgspec.ValidationError) as exc:
        text = data[:_ERROR_TEXT_MAX].decode(errors="replace")
        raise ProviderInvalidResponse(
            f"The provider sent something that is no chat completion: {text!r} ({exc})."
        ) from None


def _only_string(chunk: _Chunk) -> tuple[bytes, str] | None:
    """Return key and text of a chunk that adds text to choice 0 and says nothing else."""
    if chunk.usage is not None or chunk.error not in (_ABSENT, _NULL) or chunk.x_groq is not None:
        return None
    choices = chunk.choices
    if not choices or len(choices) > 1 or choices[0].delta is None:
        return None
    choice, delta = choices[0], choices[0].delta
    if choice.index or choice.finish_reason or choice.logprobs not in (_ABSENT, _NULL):
        return None
    texts = [
        (b'"content":', delta.content),
        (b'"reasoning_content":', delta.reasoning_content),
        (b'"reasoning":', delta.reasoning),
    ]
    filled = [(key, text) for key, text in texts if text]
    return filled[0] if len(filled) == 1 and _has_text_only(delta) else None


def _find_string(data: bytes, key: bytes, text: str) -> tuple[int, int] | None:
    """Return the places of the quotes around the one string `key` has in a chunk."""
    if data.count(key) != 1:
        return None
    start = data.index(key) + len(key)
    while data[start : start + 1] == b" ":
        start += 1
    end = start
    while (end := data.find(b'"', end + 1)) > 0:
        try:
            if _string_decoder.decode(data[start : end + 1]) == text:
                return start, end
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # an escaped quote inside the string
    return None


class _ToolCallIndex:
    """Gives every tool call of a choice its own index.

    Some servers leave the index out, others give every call index 0; a new id then begins a new
    call.
    """

    __slots__ = ("_ids", "_positions")

    def __init__(self) -> None:
        self._ids: list[str | None] = []
        self._positions: dict[int, int] = {}

    def of(self, call: ToolCallDelta) -> int:
        raw = call.index if isinstance(call.index, int) else None
        position = self._positions.get(raw) if raw is not None else len(self._ids) - 1
        if call.id and call.id in self._ids:
            position = self._ids.index(call.id)
        elif position is None or position < 0 or (call.id and self._ids[position] is not None):
            position = len(self._ids)
            self._ids.append(call.id)
        elif call.id:
            self._ids[position] = call.id
        if raw is not None:
            self._positions[raw] = position
        return position


_NULL = Raw(b"null")
_EMPTY = Delta()


def _has_text_only(message: _Message) -> bool:
    return (
        message.tool_calls is None
        and not message.refusal
        and message.annotations == _ABSENT
        and message.function_call == _ABSENT
        and message.audio == _ABSENT
        and message.reasoning_details == _ABSENT
        and message.images == _ABSENT
    )


def _raw_or_none(raw: Raw) -> Raw | None:
    return None if raw in (_ABSENT, _NULL) or bytes(raw) == b"[]" else raw


def _text_delta(kind: str, text: str) -> Delta:
    return Delta(reasoning=text) if kind == "reasoning" else Delta(content=text)
