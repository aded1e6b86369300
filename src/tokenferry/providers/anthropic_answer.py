"""The answer: Anthropic's events, or its whole message, as calls of the sink.

Everything is told apart by the `type` inside the JSON, so that the names of the events are not
needed. Types that are not known are passed over: Anthropic adds events, blocks and deltas without
a new version.

Source: platform.claude.com, "Streaming messages", "Stop reasons" and "Citations", November 2026,
and recorded streams, which outrank it. Weakness: what Anthropic's own tools do (searches, code, its
results) is not shown, only what the model says with it; of citations those with a URL.
"""

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from tokenferry.domain import usage as domain
from tokenferry.engine.ports import Sink
from tokenferry.errors import ProviderCutOff, ProviderInvalidResponse
from tokenferry.protocol.chat import Delta, FunctionDelta, ToolCallDelta
from tokenferry.protocol.surrogates import SurrogateJoiner
from tokenferry.providers.anthropic_errors import ErrorDetail, translate_error
from tokenferry.providers.anthropic_events import (
    FRAGMENTS,
    NOT_READ,
    Block,
    Event,
    Message,
    StopDetails,
    Usage,
    decode_event,
    invalid,
    read_block,
    read_message,
    reread_event,
)

# The name under which other gateways hand out the same signed blocks, so that a conversation can
# move between them.
REASONING_FORMAT: Final = "anthropic-claude-v1"

_FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
# OpenAI's names; the others are the same in both.
_SERVICE_TIERS: Final = {"standard": "default"}


class _TextBlock(Struct):
    """A text block under way: where it began, and what it cites."""

    start: int
    citations: list[dict[str, Any]]


class _ToolBlock(Struct):
    """A call under way; `rest` is what to send if no arguments come."""

    position: int
    rest: str


class _ThinkingBlock(Struct):
    """Thinking under way, kept whole because it goes back to the provider whole."""

    text: list[str]
    signature: list[str]


class AnthropicDecoder:
    """Reads one answer, streamed or whole.

    Args:
        sink: Where it goes.
        model: The name to report if the provider gives none.
    """

    template = None  # an event of this format says more than one string

    __slots__ = (
        "_blocks",
        "_details",
        "_finished",
        "_joiners",
        "_joins",
        "_length",
        "_model",
        "_over",
        "_sink",
        "_started",
        "_stop_reason",
        "_tools",
        "_usage",
    )

    def __init__(self, sink: Sink, *, model: str) -> None:
        self._sink = sink
        self._model = model
        self._blocks: dict[int, _TextBlock | _ToolBlock | _ThinkingBlock] = {}
        # Characters of answer text, calls and reasoning details so far: the next one's position.
        self._length = 0
        self._tools = 0
        self._details = 0
        self._usage = Usage()
        self._stop_reason: str | None = None
        self._started = False
        self._finished = False
        self._over = False
        # Only once a broken surrogate pair was seen, or the end, is the hot path closed: fragments
        # go through a joiner then.
        self._joins = False
        self._joiners: dict[tuple[int, str], SurrogateJoiner] = {}

    def event(self, data: bytes) -> None:
        """Take the data of one event.

        Raises:
            ProviderInvalidResponse: If it is no event of the Messages API.
        """
        try:
            event = decode_event(data)
        except NOT_READ:
            reread = reread_event(data)
            if reread is None:
                return
            self._joins = True
            event = reread
        delta = event.delta
        # Hot: one of these for every few characters of the answer.
        if delta is not None and delta.type == "text_delta" and not self._joins:
            if text := delta.text:
                self._length += len(text)
                self._sink.text(text)
        elif not self._over:
            self._take(event)

    def body(self, data: bytes) -> None:
        """Take a whole message.

        Raises:
            ProviderInvalidResponse: If it is no message and no error of the Messages API.
        """
        message = read_message(data)
        if message.type == "error" or message.error is not None:
            self._fail(message.error)
            return
        if message.type != "message" or message.stop_reason is None:
            raise invalid(data)
        self._take_message(message)
        self._finish(message.stop_reason, message.stop_details)
        self._end()

    def eof(self) -> None:
        """Take the end of the body: complete if the provider said why it stopped."""
        if self._over:
            return
        if self._finished:
            self._end()
            return
        self._stop()
        self._sink.fail(ProviderCutOff("The provider ended its answer without a stop_reason."))

    def _take(self, event: Event) -> None:
        match event.type:
            case "content_block_delta":
                self._take_block_delta(event)
            case "content_block_start" if event.content_block is not None:
                self._open(event.index, event.content_block)
            case "content_block_stop":
                self._close(event.index)
            # Some relays send the start twice; the first one counts.
            case "message_start" if event.message is not None and not self._started:
                self._take_message(event.message)
            case "message_delta":
                self._take_message_delta(event)
            case "message_stop":
                self._take_message_stop()
            case "error":
                self._fail(event.error)

    def _take_message(self, message: Message) -> None:
        self._started = True
        tier = message.usage.service_tier if message.usage else None
        model = message.model or self._model
        self._sink.head(model, None, _SERVICE_TIERS.get(tier or "", tier))
        # Empty in a stream, except when it continues what the provider's own tools began.
        for index, block in enumerate(message.content or ()):
            self._open(index, block)
            self._close(index)
        # After what it counts.
        self._take_usage(message.usage)
        self._stop_reason = message.stop_reason

    def _take_block_delta(self, event: Event) -> None:
        delta = event.delta
        if delta is None:
            return
        block = self._blocks.get(event.index)
        if isinstance(block, _ThinkingBlock) and delta.type == "signature_delta":
            block.signature.append(delta.signature or "")
        elif isinstance(block, _TextBlock) and delta.type == "citations_delta" and delta.citation:
            block.citations.append(delta.citation)
        elif delta.type in FRAGMENTS:
            fragment = getattr(delta, FRAGMENTS[delta.type]) or ""
            if self._joins:
                key = (event.index, delta.type)
                fragment = self._joiners.setdefault(key, SurrogateJoiner()).push(fragment)
            self._add(event.index, delta.type, fragment)

    def _take_message_delta(self, event: Event) -> None:
        delta = event.delta
        if delta is not None and delta.stop_reason is not None:
            self._finish(delta.stop_reason, delta.stop_details)
        self._take_usage(event.usage)

    def _take_message_stop(self) -> None:
        if not self._started:
            raise ProviderInvalidResponse("The provider ended an answer that it never began.")
        self._finish(self._stop_reason or "end_turn", None)
        self._end()

    def _open(self, index: int, content_block: dict[str, Any]) -> None:
        """Begin a block, with what it holds already."""
        self._close(index)  # in case the end of the one before it never came
        block = read_block(content_block)
        if block is None:
            return
        if block.type == "text":
            self._blocks[index] = _TextBlock(self._length, block.citations or [])
            self._add(index, "text_delta", block.text or "")
        elif block.type == "tool_use":
            self._open_tool(index, block)
        elif block.type == "thinking":
            signature = [block.signature] if block.signature else []
            self._blocks[index] = _ThinkingBlock([], signature)
            self._add(index, "thinking_delta", block.thinking or "")
        elif block.type == "redacted_thinking":
            self._send_detail({"type": "reasoning.encrypted", "data": block.data or ""})

    def _open_tool(self, index: int, block: Block) -> None:
        # The arguments of a call without any are an empty object, not an empty text.
        rest = msgspec.json.encode(block.input or {}).decode()
        self._blocks[index] = _ToolBlock(self._tools, rest)
        self._send_call(
            ToolCallDelta(
                index=self._tools,
                id=block.id,
                type="function",
                function=FunctionDelta(name=block.name, arguments=""),
            )
        )
        self._tools += 1

    def _add(self, index: int, kind: str, fragment: str) -> None:
        """Pass on a fragment of a block."""
        if not fragment:
            return
        block = self._blocks.get(index)
        if kind == "text_delta":
            self._length += len(fragment)
            self._sink.text(fragment)
        elif kind == "thinking_delta":
            if isinstance(block, _ThinkingBlock):
                block.text.append(fragment)
            self._sink.reasoning(fragment)
        elif isinstance(block, _ToolBlock):  # not the arguments of the provider's own tools
            block.rest = ""
            function = FunctionDelta(arguments=fragment)
            self._send_call(ToolCallDelta(index=block.position, function=function))

    def _close(self, index: int) -> None:
        """End a block and send what waited for its end."""
        for kind in FRAGMENTS:
            if joiner := self._joiners.pop((index, kind), None):
                self._add(index, kind, joiner.flush())
        block = self._blocks.pop(index, None)
        if isinstance(block, _ToolBlock) and block.rest:
            function = FunctionDelta(arguments=block.rest)
            self._send_call(ToolCallDelta(index=block.position, function=function))
        elif isinstance(block, _ThinkingBlock) and block.signature:
            self._send_detail(
                {
                    "type": "reasoning.text",
                    "text": "".join(block.text),
                    "signature": "".join(block.signature),
                }
            )
        elif isinstance(block, _TextBlock):
            self._send_citations(block)

    def _send_call(self, call: ToolCallDelta) -> None:
        self._sink.delta(0, Delta(tool_calls=[call]))

    def _send_detail(self, detail: dict[str, Any]) -> None:
        detail |= {"format": REASONING_FORMAT, "index": self._details}
        self._details += 1
        self._sink.delta(0, Delta(reasoning_details=_raw([detail])))

    def _send_citations(self, block: _TextBlock) -> None:
        # They come before the text that they are for: only now is its end known.
        annotations = [
            {
                "type": "url_citation",
                "url_citation": {
                    "url": citation["url"],
                    "title": citation.get("title") or "",
                    "start_index": block.start,
                    "end_index": self._length,
                },
            }
            for citation in block.citations
            if isinstance(citation.get("url"), str)
        ]
        if annotations:
            self._sink.delta(0, Delta(annotations=_raw(annotations)))

    def _take_usage(self, usage: Usage | None) -> None:
        """Merge cumulative usage: what a later report leaves out stays, a zero is a zero."""
        if usage is None:
            return
        now = self._usage
        for name in Usage.__struct_fields__:
            if (value := getattr(usage, name)) is not None:
                setattr(now, name, value)
        cached = now.cache_read_input_tokens or 0
        written = now.cache_creation_input_tokens or 0
        lifetimes = now.cache_creation
        details = now.output_tokens_details
        self._sink.usage(
            domain.Usage(
                (now.input_tokens or 0) + cached + written,
                now.output_tokens or 0,
                cached_tokens=cached,
                cache_write_tokens=written,
                cache_write_1h_tokens=(lifetimes and lifetimes.ephemeral_1h_input_tokens) or 0,
                reasoning_tokens=(details and details.thinking_tokens) or 0,
            )
        )

    def _finish(self, stop_reason: str, details: StopDetails | None) -> None:
        if self._finished:
            return
        self._finished = True
        for index in sorted({*self._blocks, *(index for index, _ in self._joiners)}):
            self._close(index)
        if stop_reason == "refusal" and details is not None and details.explanation:
            self._sink.delta(0, Delta(refusal=details.explanation))
        self._sink.finish(0, _FINISH_REASONS.get(stop_reason, "stop"))

    def _end(self) -> None:
        self._stop()
        self._sink.end()

    def _fail(self, error: ErrorDetail | None) -> None:
        self._stop()
        self._sink.fail(translate_error(error))

    def _stop(self) -> None:
        """Close the ways to the sink, which may serve another provider's answer from now on."""
        self._over = True
        self._joins = True  # the hot path asks nothing else


def _raw(value: list[dict[str, Any]]) -> Raw:
    return Raw(msgspec.json.encode(value))
