"""Reads an answer in OpenAI's chat completions, streamed or whole, and repairs what servers break.

Source: as `chat_completions`. Weakness: after the first chunk that is no valid Unicode, or has a
number of another type, the fast way is closed for the rest of the answer.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec
from msgspec import UNSET, Raw, UnsetType

from tokenferry.domain.usage import Usage
from tokenferry.engine.ports import Sink
from tokenferry.errors import (
    ProviderCutOff,
    ProviderError,
    ProviderInvalidResponse,
    ProviderRejected,
)
from tokenferry.protocol.chat import Delta, FunctionDelta, ToolCallDelta
from tokenferry.protocol.surrogates import SurrogateJoiner
from tokenferry.providers.chat_completions_calls import ToolCallIndex, repair
from tokenferry.providers.chat_completions_chunks import (
    NULL,
    Choice,
    Chunk,
    ChunkToolCall,
    ChunkUsage,
    FirstChunk,
    Message,
    TokenDetails,
    decode_leniently,
    passed_on,
    reported,
    split_parts,
)
from tokenferry.providers.event_template import EventTemplate

# Reasons that OpenAI defines; what others say, in capitals or not, is read as one of them.
_FINISH_REASONS = {
    **dict.fromkeys(["stop", "length", "tool_calls", "content_filter", "function_call"]),
    "model_length": "length",  # Mistral
    "max_tokens": "length",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "sensitive": "content_filter",  # Zhipu
    # Anthropic's and Google's own, of servers that translate everything else.
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "model_context_window_exceeded": "length",
    **dict.fromkeys(["refusal", "safety", "recitation", "prohibited_content"], "content_filter"),
}
# The provider broke the answer off: DeepSeek; vLLM, SGLang and Z.ai; Zhipu.
_BROKEN_OFF = ("insufficient_system_resource", "abort", "network_error")
# How some servers write null: Ollama, SGLang and LocalAI the first, KoboldCpp the second.
_NO_REASON = ("", "null")
_DONE = b"[DONE]"
# A provider that pads its chunks has no two alike; it is not worth trying for ever.
TEMPLATES_MAX = 16
# The keys that tokens come under, and where their value is in a chunk's JSON. Possessive, so that
# a long string takes linear time.
_STRINGS: Mapping[str, re.Pattern[bytes]] = MappingProxyType(
    {
        key: re.compile(rb'"%b"\s*+:\s*+"((?:[^"\\]++|\\.)*+)"' % key.encode(), re.DOTALL)
        for key in ("content", "reasoning_content", "reasoning")
    }
)
_EMPTY = Delta()

_chunk_decoder = msgspec.json.Decoder(Chunk)
_first_chunk_decoder = msgspec.json.Decoder(FirstChunk)


class ChatCompletionsDecoder:
    """Reads one answer, streamed or whole.

    Attributes:
        template: The form of most events, once it is known.
    """

    __slots__ = (
        "_calls",
        "_candidate",
        "_decode",
        "_failure",
        "_finished",
        "_has_head",
        "_is_over",
        "_joiners",
        "_joins",
        "_seen",
        "_sink",
        "_templates_left",
        "template",
    )

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._decode: Callable[[bytes], Chunk] = _first_chunk_decoder.decode
        self._has_head = False
        self._is_over = False
        self._failure: ProviderError | None = None
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._calls: dict[int, ToolCallIndex] = {}
        # Only once a broken surrogate pair was seen does text go through a joiner.
        self._joins = False
        self._joiners: dict[tuple[int, str | int], SurrogateJoiner] = {}
        self.template: EventTemplate | None = None
        self._candidate = (b"", b"", "")
        self._templates_left = TEMPLATES_MAX

    def event(self, data: bytes) -> None:
        """Take one chunk, or `[DONE]`."""
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
        if not chunk.choices and not chunk.is_error():
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
        self.template = None
        self._templates_left = 0

    def _fail(self, error: ProviderError) -> None:
        self._stop()
        self._sink.fail(error)

    def _read(self, data: bytes) -> Chunk:
        try:
            return self._decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            # From now on all text goes through joiners, and none past them.
            self._joins = True
            self.template = None
            self._templates_left = 0
            return decode_leniently(data)

    def _learn(self, data: bytes, chunk: Chunk) -> None:
        """Make a template of what stands around the one string that a chunk says.

        The same key may stand in other places too. Where the rest is as in the chunk before, and
        the text is another one, this is the place that the text comes from.
        """
        found = _only_string(chunk)
        if found is None:
            return
        self._templates_left -= 1
        key, text = found
        match = _STRINGS[key].search(data)
        if match is None or b"\n" in data:  # an event of several lines has another framing
            return
        prefix, suffix = data[: match.start(1)], data[match.end(1) :]
        before, self._candidate = self._candidate, (prefix, suffix, text)
        if before[:2] == (prefix, suffix) and before[2] != text:
            sink = self._sink.text if key == "content" else self._sink.reasoning
            self.template = EventTemplate(b"data: " + prefix, suffix + b"\n\n", sink)

    def _take(self, chunk: Chunk) -> None:
        if chunk.choices:
            if not self._has_head and isinstance(chunk, FirstChunk):
                self._has_head = True
                self._sink.head(chunk.model or "", chunk.system_fingerprint, chunk.service_tier)
                self._decode = _chunk_decoder.decode  # the cheaper half
            for choice in chunk.choices:
                self._take_choice(choice)
        if chunk.usage is not None:
            self._take_usage(chunk.usage)
        elif chunk.x_groq is not None and chunk.x_groq.usage is not None:
            self._take_usage(chunk.x_groq.usage)
        if chunk.is_error():
            self._failure = reported(chunk, chunk.error)
        if self._failure is not None:
            self._fail(self._failure)

    def _take_choice(self, choice: Choice) -> None:
        index = choice.index or 0
        self._seen.add(index)
        message = choice.delta or choice.message
        if message is not None:
            self._take_message(index, message, choice.logprobs)
        reason = choice.finish_reason
        if reason is not None and reason not in _NO_REASON and index not in self._finished:
            self._finish(index, reason, choice.error)

    def _take_message(self, index: int, message: Message, logprobs: Raw | UnsetType) -> None:
        content = message.content
        reasoning = message.reasoning_content or message.reasoning
        if isinstance(content, list):
            content, thoughts = split_parts(content)
            reasoning = reasoning or thoughts
        if self._joins:
            content = self._join(index, "content", content)
            reasoning = self._join(index, "reasoning", reasoning)
        kept = None
        if logprobs is not UNSET and logprobs != NULL:
            kept = passed_on(logprobs, b"{")
        if not message.has_text_only():
            delta = self._delta(index, message, content or None, reasoning or None)
        elif index or kept is not None:
            delta = Delta(content or None, reasoning or None)
        else:
            # The order matters where one event ends the reasoning and begins the answer.
            if reasoning:
                self._sink.reasoning(reasoning)
            if content:
                self._sink.text(content)
            return
        if delta != _EMPTY or kept is not None:
            self._sink.delta(index, delta, kept)

    def _delta(
        self, index: int, message: Message, content: str | None, reasoning: str | None
    ) -> Delta:
        delta = Delta(
            content,
            reasoning,
            self._join(index, "refusal", message.refusal) or None,
            self._tool_calls(index, message.tool_calls),
        )
        if message.function_call is not UNSET:
            delta.function_call = passed_on(message.function_call, b"{")
        if message.annotations is not UNSET:
            delta.annotations = passed_on(message.annotations, b"[")
        if message.audio is not UNSET:
            delta.audio = passed_on(message.audio, b"{")
        if message.reasoning_details is not UNSET:
            delta.reasoning_details = passed_on(message.reasoning_details, b"[")
        if message.images is not UNSET:
            delta.images = passed_on(message.images, b"[")
        return delta

    def _tool_calls(
        self, choice: int, calls: list[ChunkToolCall] | None
    ) -> list[ToolCallDelta] | None:
        if not calls:
            return None
        positions = self._calls.setdefault(choice, ToolCallIndex())
        positions.begin_event()
        for call in calls:
            call.index = position = positions.of(call)
            repair(call)
            function = call.function
            if self._joins and function is not None and function.arguments is not UNSET:
                function.arguments = self._join(choice, position, function.arguments)
        return [*calls]

    def _finish(self, index: int, reason: str, error: Raw | UnsetType) -> None:
        reason = reason.lower()
        if reason in _BROKEN_OFF:
            self._failure = ProviderRejected(
                f"The provider broke the answer off ({reason}).", status=503, code=reason
            )
        elif reason == "error":  # OpenRouter; the error itself stands in the same chunk
            self._failure = reported(Chunk(), error)
        else:
            self._finished.add(index)
            self._flush({index})
            self._sink.finish(index, _FINISH_REASONS.get(reason, "stop") or reason)

    def _take_usage(self, usage: ChunkUsage) -> None:
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        if prompt is None or completion is None:
            return
        into = usage.prompt_tokens_details or TokenDetails()
        out = usage.completion_tokens_details or TokenDetails()
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
        self._sink.usage(Usage(*counts))

    def _join(self, index: int, kind: str | int, text: str | None) -> str:
        """Pass a fragment through the joiner of its text; `kind` is the position of a tool call."""
        if not text or not self._joins:
            return text or ""
        return self._joiners.setdefault((index, kind), SurrogateJoiner()).push(text)

    def _flush(self, indexes: set[int]) -> None:
        for (index, kind), joiner in self._joiners.items():
            if index in indexes and (rest := joiner.flush()):
                self._sink.delta(index, _text_delta(kind, rest))


def _only_string(chunk: Chunk) -> tuple[str, str] | None:
    """Return key and text of a chunk that adds text to choice 0 and says nothing else.

    That it reports no error is known: nothing is learned after one.
    """
    if chunk.usage is not None or chunk.x_groq is not None:
        return None
    choices = chunk.choices
    if not choices or len(choices) > 1 or choices[0].delta is None:
        return None
    choice, delta = choices[0], choices[0].delta
    if choice.index or choice.finish_reason or choice.logprobs not in (UNSET, NULL):
        return None
    filled = [(key, text) for key in _STRINGS if (text := getattr(delta, key))]
    if len(filled) != 1 or not isinstance(filled[0][1], str) or not delta.has_text_only():
        return None
    return filled[0]


def _text_delta(kind: str | int, text: str) -> Delta:
    if isinstance(kind, int):
        return Delta(tool_calls=[ToolCallDelta(kind, function=FunctionDelta(arguments=text))])
    return Delta(
        content=text if kind == "content" else None,
        reasoning=text if kind == "reasoning" else None,
        refusal=text if kind == "refusal" else None,
    )
