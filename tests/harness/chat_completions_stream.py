"""Streams of OpenAI's chat completions in short, and a sink that holds a decoder to its port."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from tokenferry.domain.usage import Usage
from tokenferry.errors import ProviderError
from tokenferry.protocol.chat import Delta
from tokenferry.providers.chat_completions_answer import ChatCompletionsDecoder


class Recorder:
    """A sink that writes its calls down, and fails where the order of the port is broken."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.error: ProviderError | None = None

    def _note(self, *call: Any) -> None:
        assert self.names()[-1:] not in (["end"], ["fail"]), "the answer was over"
        self.calls.append(call)

    def head(self, model: str, fingerprint: str | None, service_tier: str | None) -> None:
        assert not set(self.names()) - {"usage"}, "the head comes first and once"
        self._note("head", model, fingerprint, service_tier)

    def text(self, text: str) -> None:
        assert text.encode()  # it is not empty, and has no half of a surrogate pair
        self._note("text", text)

    def reasoning(self, text: str) -> None:
        assert text.encode()
        self._note("reasoning", text)

    def delta(self, index: int, delta: Delta, logprobs: Raw | None = None) -> None:
        data = msgspec.json.encode(delta)
        kept = b"null" if logprobs is None else bytes(logprobs)
        assert b"\n" not in data + kept, "an event is one line"
        assert b"\r" not in data + kept, "an event is one line"
        assert delta != Delta() or logprobs is not None
        call = ("delta", index, json.loads(data.decode()))
        self._note(*call if logprobs is None else (*call, json.loads(kept.decode())))

    def finish(self, index: int, reason: str) -> None:
        assert ("finish", index) not in [call[:2] for call in self.calls]
        self._note("finish", index, reason)

    def usage(self, usage: Usage) -> None:
        self._note("usage", usage)

    def end(self) -> None:
        self._note("end")

    def fail(self, error: ProviderError) -> None:
        self.error = error
        error.message.encode()
        self._note("fail", type(error).__name__, error.message, error.code, error.http_status)

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]

    def of(self, *names: str) -> list[tuple[Any, ...]]:
        """Return the calls of those names."""
        return [call for call in self.calls if call[0] in names]

    def fragments(self, key: str, index: int = 0) -> list[str]:
        """Return what deltas of a choice say under a key, text and reasoning included."""
        found = []
        for name, *rest in self.calls:
            if name == {"content": "text"}.get(key, key) and index == 0:
                found.append(rest[0])
            elif name == "delta" and rest[0] == index and rest[1].get(key):
                found.append(rest[1][key])
        return found

    def joined(self, key: str, index: int = 0) -> str:
        return "".join(self.fragments(key, index))

    def tool_calls(self, index: int = 0) -> list[dict[str, str]]:
        """Join the fragments of each tool call by index alone, as clients do."""
        calls: dict[int, dict[str, str]] = {}
        for fragments in self.fragments("tool_calls", index):
            for fragment in fragments:
                assert isinstance(fragment, dict)
                call = calls.setdefault(fragment["index"], {"id": "", "name": "", "arguments": ""})
                call["id"] = call["id"] or fragment.get("id") or ""
                assert fragment.get("id") in (call["id"], "", None), "one id a call"
                for key, value in fragment.get("function", {}).items():
                    call[key] += value
        assert sorted(calls) == list(range(len(calls)))
        return [calls[position] for position in sorted(calls)]


START = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "모델"}
DONE = b"[DONE]"


def chunk(delta: Any = None, *, index: int = 0, reason: Any = None, **more: Any) -> dict[str, Any]:
    """Return a chunk with one choice; `choice` holds further keys of it."""
    choice = {"index": index, "delta": {} if delta is None else delta, "finish_reason": reason}
    return START | {"choices": [choice | more.pop("choice", {})]} | more


def text(value: str | None, **more: Any) -> dict[str, Any]:
    return chunk({"content": value}, **more)


def raw(event: Any) -> bytes:
    return event if isinstance(event, bytes) else json.dumps(event).encode()


STOP = chunk(reason="stop")


class Feed:
    """Gives a decoder events as `EventsBody` does: those that it knows at a glance, whole."""

    def __init__(self, *, templates: bool = True) -> None:
        self.recorder = Recorder()
        self.decoder = ChatCompletionsDecoder(self.recorder)
        self.shortcuts = 0
        if not templates:
            self.decoder._templates_left = 0

    def __call__(self, *events: Any) -> Recorder:
        for event in events:
            data = raw(event)
            if self.quick(b"data: %b\n\n" % data):
                self.shortcuts += 1
            else:
                self.decoder.event(data)
        return self.recorder

    def quick(self, event: bytes) -> bool:
        template = self.decoder.template
        return template is not None and template.take(event)

    def eof(self) -> Recorder:
        self.decoder.eof()
        return self.recorder


def replay(*events: Any, templates: bool = True) -> Recorder:
    """Give a decoder all events and nothing more."""
    return Feed(templates=templates)(*events)


def whole(body: Any) -> Recorder:
    feed = Feed()
    feed.decoder.body(raw(body))
    return feed.recorder


def calls_of(events: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Return what a stream gives between its head and its end."""
    recorder = replay(*events, STOP, DONE)
    assert recorder.calls[0] == ("head", "모델", None, None)
    assert recorder.calls[-2:] == [("finish", 0, "stop"), ("end",)]
    return recorder.calls[1:-2]
