"""Gemini's answer, streamed or whole, as calls to a sink.

Source: Google's SDK python-genai of August 2026 (Candidate, FinishReason, BlockedReason,
UsageMetadata) and recorded streams of gemini-3-pro. Weakness: signatures of text parts are not
carried, because chat completions have no place for them; Google recommends to return them, and
demands only those of function calls.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Raw, Struct

from tokenferry.domain.usage import Usage
from tokenferry.engine.ports import Sink
from tokenferry.errors import ProviderCutOff, ProviderError, ProviderInvalidResponse
from tokenferry.protocol.chat import Delta, FunctionDelta, ToolCallDelta
from tokenferry.protocol.surrogates import SurrogateJoiner, loads, well_formed
from tokenferry.providers import gemini_errors
from tokenferry.providers.gemini_errors import GoogleError

# What a candidate's finishReason means; reasons that are not here are read as "stop".
_FINISH_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "MAX_TOKENS": "length",
        **dict.fromkeys(
            [
                "SAFETY",
                "RECITATION",
                "LANGUAGE",
                "BLOCKLIST",
                "PROHIBITED_CONTENT",
                "SPII",
                "IMAGE_SAFETY",
                "IMAGE_PROHIBITED_CONTENT",
                "IMAGE_RECITATION",
            ],
            "content_filter",
        ),
    }
)
# The model's output was unusable: an answer that ends so must not look complete.
_FAILURES = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    }
)

_DONE = b"[DONE]"  # Google never sends it; servers that imitate Google do
_TEXT_MAX = 200


class _Blob(Struct, rename="camel"):
    mime_type: str = ""
    data: str = ""


class _FunctionCall(Struct):
    name: str
    args: dict[str, Any] | None = None
    id: str | None = None


class _Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    function_call: _FunctionCall | None = None
    thought_signature: str | None = None
    inline_data: _Blob | None = None


class _Content(Struct):
    parts: list[_Part] | None = None


class _Token(Struct, rename="camel"):
    token: str | None = None
    log_probability: float | None = None


class _TopCandidates(Struct):
    candidates: list[_Token] | None = None


class _LogprobsResult(Struct, rename="camel"):
    chosen_candidates: list[_Token] | None = None
    top_candidates: list[_TopCandidates] | None = None


class _Candidate(Struct, rename="camel"):
    index: int | None = None
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    logprobs_result: _LogprobsResult | None = None


class _PromptFeedback(Struct, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class _ModalityTokens(Struct, rename="camel"):
    modality: str | None = None
    token_count: int | None = None


class _UsageMetadata(Struct, rename="camel"):
    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    prompt_tokens_details: list[_ModalityTokens] | None = None
    candidates_tokens_details: list[_ModalityTokens] | None = None


class _Chunk(Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    usage_metadata: _UsageMetadata | None = None
    prompt_feedback: _PromptFeedback | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: GoogleError | None = None


class _TokenLogprob(Struct):
    token: str
    logprob: float
    bytes: list[int]


class _ChosenLogprob(_TokenLogprob):
    top_logprobs: list[_TokenLogprob]


_chunk_decoder = msgspec.json.Decoder(_Chunk)
_body_decoder = msgspec.json.Decoder(_Chunk | list[_Chunk])
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class GeminiDecoder:
    """Reads one answer, streamed or whole.

    Args:
        sink: Where the answer goes.
        model: The model to name when Google does not name one.
        api_key: The operator's key, which no error may show.
    """

    template = None
    __slots__ = (
        "_api_key",
        "_call_count",
        "_calls",
        "_finished",
        "_headed",
        "_joiners",
        "_joins",
        "_model",
        "_over",
        "_seen",
        "_sink",
    )

    def __init__(self, sink: Sink, model: str, *, api_key: str) -> None:
        self._sink = sink
        self._model = model
        self._api_key = api_key
        self._headed = False
        self._over = False
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._calls: dict[int, int] = {}  # choice -> how many calls it made
        self._call_count = 0
        # Only once a broken surrogate pair was seen does text go through a joiner.
        self._joins = False
        self._joiners: dict[tuple[int, bool], SurrogateJoiner] = {}

    def event(self, data: bytes) -> None:
        """Take one chunk."""
        if data == _DONE:
            self.eof()
            return
        try:
            chunk = _chunk_decoder.decode(data)
        except _UNREADABLE:
            self._joins = True
            for chunk in _decode_leniently(data):
                self._take(chunk)
        else:
            self._take(chunk)

    def body(self, data: bytes) -> None:
        """Take a whole answer: one chunk, or the array of chunks that a stream without SSE is."""
        try:
            read = _body_decoder.decode(data)
        except _UNREADABLE:
            self._joins = True
            read = _decode_leniently(data)
        for chunk in read if isinstance(read, list) else [read]:
            self._take(chunk)
        if not self._seen and not self._over:
            raise ProviderInvalidResponse("The provider's answer has no candidates.")
        self.eof()

    def eof(self) -> None:
        """Take the end: complete only if every choice said why it ended."""
        if self._over:
            return
        if self._seen and self._seen == self._finished:
            self._over = True
            self._sink.end()
        else:
            self._fail(ProviderCutOff("The provider ended its answer without a finish reason."))

    def _take(self, chunk: _Chunk) -> None:
        if self._over:
            return
        if chunk.error is not None:
            self._fail(gemini_errors.of_stream(chunk.error, api_key=self._api_key))
            return
        if not self._headed:
            self._headed = True
            self._sink.head(chunk.model_version or self._model, None, None)
        failure: ProviderError | None = None
        for candidate in chunk.candidates or ():
            failure = failure or self._take_candidate(candidate, chunk.response_id)
        if chunk.usage_metadata is not None:  # a failed answer's, too
            self._sink.usage(_usage(chunk.usage_metadata))
        if failure is not None:
            self._fail(failure)
        feedback = chunk.prompt_feedback
        if feedback is not None and feedback.block_reason and not chunk.candidates:
            self._take_block(feedback)

    def _take_candidate(self, candidate: _Candidate, reply_id: str | None) -> ProviderError | None:
        index = candidate.index or 0
        self._seen.add(index)
        logprobs = None
        if candidate.logprobs_result is not None:
            logprobs = _logprobs(candidate.logprobs_result)
        content = candidate.content
        for part in (content.parts or ()) if content is not None else ():
            if part.text:
                if self._take_text(index, part.text, logprobs, thought=part.thought is True):
                    logprobs = None
            elif part.function_call is not None:
                self._take_call(index, part, part.function_call, reply_id)
            elif part.inline_data is not None and not part.thought:
                self._take_image(index, part.inline_data)
        if logprobs is not None:
            self._sink.delta(index, Delta(), logprobs)
        if candidate.finish_reason and index not in self._finished:
            return self._finish(index, candidate.finish_reason, candidate.finish_message)
        return None

    def _take_text(self, index: int, text: str, logprobs: Raw | None, *, thought: bool) -> bool:
        """Pass text on; return whether the log probabilities went with it."""
        if self._joins:
            text = self._joiners.setdefault((index, thought), SurrogateJoiner()).push(text)
            if not text:
                return False
        if thought:
            if index == 0:
                self._sink.reasoning(text)
            else:
                self._sink.delta(index, Delta(reasoning=text))
            return False
        if index == 0 and logprobs is None:
            self._sink.text(text)
        else:
            self._sink.delta(index, Delta(content=text), logprobs)
        return True

    def _take_call(
        self, index: int, part: _Part, call: _FunctionCall, response_id: str | None
    ) -> None:
        name = well_formed(call.name) if self._joins else call.name
        number = self._calls.get(index, 0)
        self._calls[index] = number + 1
        # Counted over all choices, so that ids differ; earlier models give none.
        call_id = call.id or f"call_{response_id or 'gemini'}_{self._call_count}"
        self._call_count += 1
        extra = None
        if part.thought_signature:
            extra = {"google": {"thought_signature": part.thought_signature}}
        function = FunctionDelta(name, _arguments(call.args or {}, joins=self._joins))
        delta = ToolCallDelta(number, call_id, "function", function, extra)
        self._sink.delta(index, Delta(tool_calls=[delta]))

    def _take_image(self, index: int, blob: _Blob) -> None:
        if not blob.mime_type.startswith("image/"):
            return
        url = f"data:{blob.mime_type};base64,{blob.data}"
        images = [{"type": "image_url", "image_url": {"url": url}}]
        self._sink.delta(index, Delta(images=Raw(msgspec.json.encode(images))))

    def _take_block(self, feedback: _PromptFeedback) -> None:
        """Take a refused prompt; it may come late, when candidates have begun."""
        refusal = f"Google blocked the prompt: {feedback.block_reason}."
        if feedback.block_reason_message:
            refusal = f"{refusal} {feedback.block_reason_message}"
        self._seen = self._seen or {0}
        for index in sorted(self._seen - self._finished):
            self._sink.delta(index, Delta(refusal=refusal))
            self._finished.add(index)
            self._sink.finish(index, "content_filter")

    def _finish(self, index: int, reason: str, message: str | None) -> ProviderError | None:
        if reason in _FAILURES:
            return ProviderInvalidResponse(
                f"Gemini ended the answer with {reason}: "
                f"{message or 'the model made something that cannot be used'}. Try again."
            )
        self._flush(index)
        self._finished.add(index)
        known = _FINISH_REASONS.get(reason, "stop")
        if known == "stop" and index in self._calls:
            known = "tool_calls"
        self._sink.finish(index, known)
        return None

    def _flush(self, index: int) -> None:
        for (choice, thought), joiner in self._joiners.items():
            if choice == index and (rest := joiner.flush()):
                delta = Delta(reasoning=rest) if thought else Delta(content=rest)
                self._sink.delta(index, delta)

    def _fail(self, error: ProviderError) -> None:
        self._over = True
        self._sink.fail(error)


def _decode_leniently(data: bytes) -> list[_Chunk]:
    """Read what the strict decoder refuses: broken surrogate pairs, numbers of another type."""
    try:
        value = well_formed(loads(data), but="text")
        return msgspec.convert(
            value if isinstance(value, list) else [value], list[_Chunk], strict=False
        )
    except (ValueError, msgspec.ValidationError, RecursionError) as exc:
        text = data[:_TEXT_MAX].decode(errors="replace")
        raise ProviderInvalidResponse(
            f"The provider sent something that is no Gemini answer: {text!r} ({exc})."
        ) from None


def _arguments(args: dict[str, Any], *, joins: bool) -> str:
    try:
        return msgspec.json.encode(well_formed(args) if joins else args).decode()
    except (ValueError, RecursionError):
        raise ProviderInvalidResponse(
            "The provider sent arguments of a function call that are nested too deeply."
        ) from None


def _usage(metadata: _UsageMetadata) -> Usage:
    """Put thoughts inside the completion and tool prompts inside the prompt; Google adds them."""
    thoughts = metadata.thoughts_token_count or 0
    return Usage(
        (metadata.prompt_token_count or 0) + (metadata.tool_use_prompt_token_count or 0),
        (metadata.candidates_token_count or 0) + thoughts,
        cached_tokens=metadata.cached_content_token_count or 0,
        reasoning_tokens=thoughts,
        prompt_audio_tokens=_audio_tokens(metadata.prompt_tokens_details),
        completion_audio_tokens=_audio_tokens(metadata.candidates_tokens_details),
    )


def _audio_tokens(details: list[_ModalityTokens] | None) -> int:
    return sum(item.token_count or 0 for item in details or () if item.modality == "AUDIO")


def _logprobs(result: _LogprobsResult) -> Raw:
    """Zip Google's two parallel lists into OpenAI's nested one."""
    top = result.top_candidates or []
    tokens = [
        _ChosenLogprob(
            *_token(chosen),
            [_TokenLogprob(*_token(item)) for item in _top_at(top, position)],
        )
        for position, chosen in enumerate(result.chosen_candidates or ())
    ]
    return Raw(msgspec.json.encode({"content": tokens, "refusal": None}))


def _top_at(top: list[_TopCandidates], position: int) -> Iterable[_Token]:
    return (top[position].candidates or ()) if position < len(top) else ()


def _token(token: _Token) -> tuple[str, float, list[int]]:
    text = (token.token or "").encode(errors="replace")
    return text.decode(), token.log_probability or 0.0, list(text)
