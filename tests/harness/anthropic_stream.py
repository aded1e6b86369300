"""Anthropic's event streams in short, and a sink that writes down what becomes of them."""

import json
from typing import Any

import msgspec
from msgspec import Raw

from tokenferry.domain.usage import Usage
from tokenferry.errors import ProviderError
from tokenferry.protocol.chat import Delta, parse_request
from tokenferry.providers.anthropic import AnthropicFormat
from tokenferry.providers.wire import Decoder


class Recorder:
    """A sink that writes down its calls, and what they add up to."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.tool_calls: list[dict[str, str]] = []
        self.annotations: list[Any] = []
        self.details: list[Any] = []
        self.refusal = ""
        self.error: ProviderError | None = None

    def head(self, model: str, fingerprint: str | None, service_tier: str | None) -> None:
        self.calls.append(("head", model, fingerprint, service_tier))

    def text(self, text: str) -> None:
        text.encode()  # no half of a surrogate pair gets out
        assert text
        self.calls.append(("text", text))

    def reasoning(self, text: str) -> None:
        text.encode()
        assert text
        self.calls.append(("reasoning", text))

    def delta(self, index: int, delta: Delta, logprobs: Raw | None = None) -> None:
        assert (index, logprobs) == (0, None)
        self.calls.append(("delta", json.loads(msgspec.json.encode(delta))))
        for call in delta.tool_calls or ():
            assert isinstance(call.index, int)
            assert call.function is not None
            assert isinstance(call.function.arguments, str)
            if call.id is not None:
                assert call.index == len(self.tool_calls)
                assert call.type == "function"
                self.tool_calls.append(
                    {"id": call.id, "name": call.function.name or "", "json": ""}
                )
            self.tool_calls[call.index]["json"] += call.function.arguments
        self.annotations += json.loads(bytes(delta.annotations or b"[]"))
        self.details += json.loads(bytes(delta.reasoning_details or b"[]"))
        self.refusal += delta.refusal or ""

    def finish(self, index: int, reason: str) -> None:
        self.calls.append(("finish", index, reason))

    def usage(self, usage: Usage) -> None:
        self.calls.append(("usage", usage))

    def end(self) -> None:
        self.calls.append(("end",))

    def fail(self, error: ProviderError) -> None:
        self.error = error
        self.calls.append(("fail",))

    def joined(self, name: str) -> str:
        return "".join(call[1] for call in self.calls if call[0] == name)

    def last_usage(self) -> Usage | None:
        return next((call[1] for call in reversed(self.calls) if call[0] == "usage"), None)

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]


def start() -> tuple[Recorder, Decoder]:
    recorder = Recorder()
    request = parse_request(b'{"model":"alias","messages":[{"role":"user","content":"q"}]}')
    return recorder, AnthropicFormat("key").decoder(request, recorder)


def replay(*events: Any, eof: bool = True) -> Recorder:
    recorder, decoder = start()
    for event in events:
        decoder.event(event if isinstance(event, bytes) else json.dumps(event).encode())
    if eof:
        decoder.eof()
    return recorder


def message(**more: Any) -> dict[str, Any]:
    inner = {"model": "claude-x", "content": [], "usage": {"input_tokens": 5, "output_tokens": 1}}
    return {"type": "message_start", "message": inner | more}


def begin(block: Any, index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def add(kind: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    delta = {"type": f"{kind}_delta", **fields}
    return {"type": "content_block_delta", "index": index, "delta": delta}


def close(index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def finish(reason: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, **more}


STOP = {"type": "message_stop"}
TEXT = {"type": "text", "text": ""}
THINKING = {"type": "thinking", "thinking": "", "signature": ""}


def tool(name: str = "f", call_id: str = "t", **more: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": {}, **more}


def cite(url: str | None, title: str | None = "제목") -> dict[str, Any]:
    citation = {"type": "web_search_result_location", "url": url, "title": title, "cited_text": "x"}
    return add("citations", 1, citation=citation)
