"""Every cut of every recorded stream, through the parser and the decoders alone.

The sockets of test_transcripts.py cut for real, but the kernel may join what was cut. Here every
single place is tried, with nothing in between.
"""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import Raw

from harness.dialects import sse
from harness.reading import Reading, Usage, join_calls
from harness.transcripts import Transcript, own, shared
from tokenferry.domain.usage import Usage as TokenUsage
from tokenferry.errors import ProviderError
from tokenferry.protocol.chat import Delta, parse_request
from tokenferry.protocol.sse import Parser
from tokenferry.providers.anthropic import AnthropicFormat
from tokenferry.providers.chat_completions import ChatCompletionsFormat
from tokenferry.providers.gemini import GeminiFormat
from tokenferry.providers.http_asked import Asked
from tokenferry.providers.http_body import EventsBody
from tokenferry.providers.wire import WireFormat

WIRES: dict[str, WireFormat] = {
    "openai": ChatCompletionsFormat(""),
    "anthropic": AnthropicFormat(""),
    "gemini": GeminiFormat(""),
}
REQUEST = parse_request(
    b'{"model":"m","stream":true,"messages":[{"role":"user","content":"?"}],'
    b'"tools":[{"type":"function","function":{"name":"weather"}}]}'
)
# Every place is tried in streams up to this size, so many random ones in longer streams.
SHORT_BYTES = 5000
PLACES = 1000
each_transcript = pytest.mark.parametrize(
    "transcript", [*own(), *shared()], ids=lambda each: each.name
)


class Recorder:
    """A sink that keeps what it is told, in the form of an independent reading."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.calls: list[dict[str, Any]] = []
        self.reasons: dict[int, str] = {}
        self.counted: TokenUsage | None = None
        self.ended = 0

    def head(self, model: str, fingerprint: str | None, service_tier: str | None) -> None:
        assert not self.texts

    def text(self, text: str) -> None:
        self.texts.append(text)

    def reasoning(self, text: str) -> None:
        self.thoughts.append(text)

    def delta(self, index: int, delta: Delta, logprobs: Raw | None = None) -> None:
        assert index == 0
        self.texts.append(delta.content or "")
        self.thoughts.append(delta.reasoning or "")
        for call in delta.tool_calls or []:
            function = call.function
            fragment = {"index": call.index, "id": call.id}
            if function is not None:
                arguments = function.arguments if isinstance(function.arguments, str) else ""
                fragment["function"] = {"name": function.name, "arguments": arguments}
            self.calls.append(fragment)

    def finish(self, index: int, reason: str) -> None:
        self.reasons[index] = reason

    def usage(self, usage: TokenUsage) -> None:
        self.counted = usage

    def end(self) -> None:
        self.ended += 1

    def fail(self, error: ProviderError) -> None:
        raise AssertionError(error)

    def heard(self) -> tuple[str, str, list[dict[str, str]], dict[int, str], Usage]:
        assert self.counted is not None
        used = self.counted
        usage = Usage(
            used.prompt_tokens,
            used.completion_tokens,
            used.total_tokens,
            used.cached_tokens,
            used.cache_write_tokens,
            used.reasoning_tokens,
        )
        calls = [{**call, "id": ""} for call in join_calls(self.calls)]
        return "".join(self.texts), "".join(self.thoughts), calls, self.reasons, usage


def run(kind: str, pieces: Sequence[bytes]) -> Recorder:
    """Feed the pieces to the body of a response, as a connection would."""
    recorder = Recorder()
    body = EventsBody(Asked(kind, WIRES[kind], REQUEST, recorder, 1 << 20))
    for piece in pieces:
        body.feed(piece)
    if not recorder.ended:
        assert body.end() is None
    assert recorder.ended >= 1
    return recorder


def agrees(recorder: Recorder, reading: Reading) -> bool:
    """Say whether the recorder heard what the independent reading found."""
    text, thoughts, calls, reasons, usage = recorder.heard()
    return (
        (text, thoughts) == (reading.text, reading.reasoning)
        and [call["name"] for call in calls] == [name for _, name, _ in reading.tool_calls]
        and reasons == {0: reading.finish_reason}
        and usage == reading.usage
    )


@each_transcript
def test_whole_and_byte_by_byte(transcript: Transcript) -> None:
    data = b"".join(sse(transcript.kind, transcript.events))
    whole = run(transcript.kind, [data])
    assert agrees(whole, transcript.reading), whole.heard()
    single = run(transcript.kind, [data[place : place + 1] for place in range(len(data))])
    assert single.heard() == whole.heard()


@each_transcript
def test_cut_at_every_place(transcript: Transcript) -> None:
    data = b"".join(sse(transcript.kind, transcript.events))
    events = Parser().feed(data)
    assert len(events) >= len(transcript.events)
    places: Sequence[int] = range(1, len(data))
    if len(data) > SHORT_BYTES:
        places = random.Random(len(data)).sample(places, PLACES)  # noqa: S311
    for place in places:
        parser = Parser()
        found = parser.feed(data[:place]) + parser.feed(data[place:])
        # The decoders take whole events, so that what they make of these is the same as well.
        assert found == events, place


@each_transcript
def test_cut_at_many_places_at_once(transcript: Transcript) -> None:
    data = b"".join(sse(transcript.kind, transcript.events))
    expected = run(transcript.kind, [data]).heard()
    for seed in range(5):
        places = random.Random(seed).sample(range(1, len(data)), min(PLACES, len(data) // 2))  # noqa: S311
        edges = [0, *sorted(places), len(data)]
        pieces = [data[edges[i] : edges[i + 1]] for i in range(len(edges) - 1)]
        assert run(transcript.kind, pieces).heard() == expected
