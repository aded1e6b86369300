"""A whole completion, folded from the records of a stream.

It serves every consumer that wants the answer at once: clients with `stream: false` and, for
streams whose provider never reported, the estimate of what was delivered.

Source: OpenAI API reference, "The chat completion object", November 2026.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from tokenferry.domain import journal
from tokenferry.protocol.chat import ToolCallDelta
from tokenferry.protocol.frames import (
    Head,
    Terminal,
    encode,
    head_decoder,
    terminal_decoder,
    text_frame,
)


class _Logprobs(Struct):
    content: Any = None
    refusal: Any = None


class _StoredDelta(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    function_call: Any = None
    annotations: list[Any] | None = None
    audio: dict[str, Any] | None = None
    reasoning_details: list[Any] | None = None
    images: list[Any] | None = None


_text_decoder = msgspec.json.Decoder(str)
_delta_decoder = msgspec.json.Decoder(_StoredDelta)
_logprobs_decoder = msgspec.json.Decoder(_Logprobs)

_LISTS = ("annotations", "reasoning_details", "images")


class _Choice:
    __slots__ = ("content", "extra", "logprobs", "reasoning", "refusal", "tool_calls")

    def __init__(self) -> None:
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.tool_calls: dict[int, dict[str, Any]] = {}
        self.logprobs: dict[str, list[Any]] = {}
        self.extra: dict[str, Any] = {}

    def add(self, delta: _StoredDelta, logprobs: bytes) -> None:
        for into, text in (
            (self.content, delta.content),
            (self.reasoning, delta.reasoning_content or delta.reasoning),
            (self.refusal, delta.refusal),
        ):
            if text:
                into.append(text)
        for call in delta.tool_calls or ():
            self._add_tool_call(call)
        for name in _LISTS:
            if items := getattr(delta, name):
                self.extra.setdefault(name, []).extend(items)
        if delta.audio:
            _add_audio(self.extra.setdefault("audio", {}), delta.audio)
        if delta.function_call:
            _add_function(self.extra.setdefault("function_call", {}), delta.function_call)
        if logprobs:
            self._add_logprobs(_logprobs_decoder.decode(logprobs))

    def _add_logprobs(self, logprobs: _Logprobs) -> None:
        for name, items in (("content", logprobs.content), ("refusal", logprobs.refusal)):
            if isinstance(items, list) and items:
                self.logprobs.setdefault(name, []).extend(items)

    def _add_tool_call(self, delta: ToolCallDelta) -> None:
        index = delta.index if isinstance(delta.index, int) else 0
        call = self.tool_calls.setdefault(
            index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        call["id"] = delta.id or call["id"]
        call["type"] = delta.type or call["type"]
        if delta.extra_content:
            call["extra_content"] = delta.extra_content
        if delta.function is not None:
            function = call.setdefault("function", {"name": "", "arguments": ""})
            function["name"] += delta.function.name or ""
            if isinstance(delta.function.arguments, str):
                function["arguments"] += delta.function.arguments
        if delta.custom is not None:
            call.pop("function", None)
            custom = call.setdefault("custom", {"name": "", "input": ""})
            custom["name"] += delta.custom.name or ""
            custom["input"] += delta.custom.input or ""

    def message(self, reasoning_fields: list[str]) -> dict[str, Any]:
        content = "".join(self.content)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": content if content or not self._says_otherwise() else None,
            "refusal": "".join(self.refusal) or None,
            "annotations": [],
        }
        if self.reasoning:
            message.update(dict.fromkeys(reasoning_fields, "".join(self.reasoning)))
        if self.tool_calls:
            message["tool_calls"] = [self.tool_calls[index] for index in sorted(self.tool_calls)]
        return message | self.extra

    def _says_otherwise(self) -> bool:
        """Say whether this is a message that has no content in OpenAI's form."""
        return bool(
            self.tool_calls
            or self.refusal
            or "function_call" in self.extra
            or "audio" in self.extra
        )


def _add_audio(audio: dict[str, Any], delta: dict[str, Any]) -> None:
    for key, value in delta.items():
        if key in ("data", "transcript"):
            audio[key] = audio.get(key, "") + (value if isinstance(value, str) else "")
        else:
            audio[key] = value


def _add_function(call: dict[str, Any], delta: dict[str, Any]) -> None:
    for key in ("name", "arguments"):
        value = delta.get(key)
        call[key] = call.get(key, "") + (value if isinstance(value, str) else "")


class Completion:
    """Folds the records of one stream; feed them in order."""

    __slots__ = ("_choices", "_stream_id", "end", "head")

    def __init__(self, stream_id: str) -> None:
        self._stream_id = stream_id
        self._choices: dict[int, _Choice] = {}
        self.head: Head | None = None
        self.end: Terminal | None = None

    def add(self, record: bytes) -> None:
        """Take the next record."""
        kind = record[0]
        if kind == journal.TEXT:
            self._choice(0).content.append(_text_decoder.decode(record[1:]))
        elif kind == journal.REASONING:
            self._choice(0).reasoning.append(_text_decoder.decode(record[1:]))
        elif kind == journal.HEAD:
            self.head = head_decoder.decode(record[1:])
        elif kind in journal.TERMINAL:
            self.end = terminal_decoder.decode(record[1:])
        else:
            index, delta, logprobs = journal.unpack_delta(record)
            self._choice(index).add(_delta_decoder.decode(delta), logprobs)

    def _choice(self, index: int) -> _Choice:
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice()
        return choice

    def output_text(self) -> str:
        """Return all that was delivered, as text: what an estimate of usage counts."""
        parts = []
        for choice in self._choices.values():
            parts += [*choice.reasoning, *choice.content, *choice.refusal]
            for call in choice.tool_calls.values():
                parts += (call.get("function") or call["custom"]).values()
            if function := choice.extra.get("function_call"):
                parts += [function["name"], function["arguments"]]
        return "".join(parts)

    def body(self) -> dict[str, Any]:
        """Return the completion in OpenAI's form; only after a terminal record without error."""
        head = self.head or Head("", 0, [])
        reasons = self.end.finish_reasons if self.end else []
        choices = []
        for index in range(max(len(reasons), 1)):
            choice = self._choice(index)
            choices.append(
                {
                    "index": index,
                    "message": choice.message(head.reasoning_fields),
                    "logprobs": choice.logprobs or None,
                    "finish_reason": reasons[index] if index < len(reasons) else None,
                }
            )
        body: dict[str, Any] = {
            "id": f"chatcmpl-{self._stream_id}",
            "object": "chat.completion",
            "created": head.created,
            "model": head.model,
            "choices": choices,
            "usage": self.end.usage if self.end else None,
        }
        if head.system_fingerprint is not None:
            body["system_fingerprint"] = head.system_fingerprint
        if head.service_tier is not None:
            body["service_tier"] = head.service_tier
        return body


def folded(stream_id: str, records: Iterable[bytes]) -> Completion:
    """Return the completion of a stream's records, from the first one on."""
    completion = Completion(stream_id)
    for record in records:
        completion.add(record)
    return completion


class WholeRenderer:
    """Renders a stream as one WebSocket frame, for `stream: false`.

    The one choice carries both `message` and `delta`, so that clients that know only one of the
    two find the text.
    """

    __slots__ = ("_aware", "_completion", "_epoch", "_stream_id", "merges")

    def __init__(self, stream_id: str, epoch: int, *, aware: bool) -> None:
        self.merges = False
        self._stream_id = stream_id
        self._epoch = epoch
        self._aware = aware
        self._completion = Completion(stream_id)

    def open(self, record: bytes) -> None:
        """Take the head record."""
        self._completion.add(record)

    def render(self, seq: int, record: bytes) -> bytes:
        """Return nothing until the terminal record, then the one frame."""
        self._completion.add(record)
        end = self._completion.end
        if end is None:
            return b""
        body = self._completion.body()
        for choice in body["choices"]:
            message = choice["message"]
            choice["delta"] = message | {"content": message["content"] or ""}
        if end.error is not None:
            body["error"] = end.error
            body["choices"][0]["finish_reason"] = "error"
        if self._aware:
            kind = "done" if end.error is None else "error"
            body = {"type": kind, "finish_reason": body["choices"][0]["finish_reason"]} | body
        else:
            body["choices"] = body["choices"][:1]
        position = {"stream_id": self._stream_id, "epoch": self._epoch, "seq": seq}
        return text_frame(
            encode(body | position | {"cost": end.cost} | end.money() | {"done": True})
        )

    def merge(self, first: int, last: int, texts: object) -> bytes:
        """Never called: `merges` is False."""
        raise NotImplementedError(f"{first}..{last}: {texts!r}")
