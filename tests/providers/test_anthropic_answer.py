import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from tokenferry.domain.usage import Usage
from tokenferry.errors import (
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderError,
    ProviderInvalidResponse,
    ProviderRejected,
)
from tokenferry.protocol.chat import Delta, parse_request
from tokenferry.providers.anthropic import AnthropicFormat
from tokenferry.providers.wire import Decoder

SHARED = Path(__file__).parents[2] / ".." / "shared" / "transcripts" / "anthropic"
TRANSCRIPTS = [
    "anthropic-clear-thinking.1",
    "anthropic-json-output-format.1",
    "anthropic-message-delta-input-tokens",
    "anthropic-refusal",
    "anthropic-text",
    "anthropic-tool-no-args",
    "anthropic-web-search-tool.1",
]


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


# Events, as short as they can be.


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


# Text, heads and ends.


def test_text() -> None:
    recorder = replay(
        message(usage={"input_tokens": 5, "output_tokens": 1, "service_tier": "standard"}),
        begin(TEXT),
        {"type": "ping"},
        add("text", text="안녕"),
        add("text", text=""),
        add("text", text=" 😀"),
        close(),
        finish(usage={"output_tokens": 3}),
        STOP,
    )
    assert recorder.calls == [
        ("head", "claude-x", None, "default"),
        ("usage", Usage(5, 1)),
        ("text", "안녕"),
        ("text", " 😀"),
        ("finish", 0, "stop"),
        ("usage", Usage(5, 3)),
        ("end",),
    ]


@pytest.mark.parametrize(
    ("tier", "expected"), [("standard", "default"), ("priority", "priority"), (None, None)]
)
def test_service_tier(tier: str | None, expected: str | None) -> None:
    recorder = replay(message(usage={"service_tier": tier}), eof=False)
    assert recorder.calls[0] == ("head", "claude-x", None, expected)


def test_a_provider_that_does_not_name_its_model() -> None:
    assert replay(message(model=None), eof=False).calls[0][1] == "alias"


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("came_later", "stop"),
    ],
)
def test_finish_reasons(reason: str, expected: str) -> None:
    recorder = replay(message(), finish(reason), STOP)
    assert recorder.calls[-2:] == [("finish", 0, expected), ("end",)]


def test_a_refusal_is_explained() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "안 됩니다"}
    event = {
        "type": "message_delta",
        "delta": {"stop_reason": "refusal", "stop_details": details},
    }
    recorder = replay(message(), event, STOP)
    assert recorder.refusal == "안 됩니다"
    assert recorder.names()[-3:] == ["delta", "finish", "end"]


@pytest.mark.parametrize("details", [None, {"type": "refusal", "explanation": None}])
def test_a_refusal_without_words(details: Any) -> None:
    delta = {"stop_reason": "refusal", "stop_details": details}
    recorder = replay(message(), {"type": "message_delta", "delta": delta}, STOP)
    assert recorder.calls[-2:] == [("finish", 0, "content_filter"), ("end",)]
    assert "delta" not in recorder.names()


def test_details_of_another_reason_are_no_refusal() -> None:
    delta = {"stop_reason": "max_tokens", "stop_details": {"explanation": "too long"}}
    recorder = replay(message(), {"type": "message_delta", "delta": delta}, STOP)
    assert recorder.refusal == ""


def test_an_end_without_message_stop_is_complete_if_the_reason_was_seen() -> None:
    assert replay(message(), finish()).calls[-2:] == [("finish", 0, "stop"), ("end",)]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [message()],
        [message(), begin(TEXT), add("text", text="a")],
        [message(), begin(TEXT), add("text", text="a"), close()],
        [message(), finish(None)],
    ],
)
def test_an_end_before_the_reason_is_a_cut(events: list[Any]) -> None:
    recorder = replay(*events)
    assert isinstance(recorder.error, ProviderCutOff)
    assert recorder.names()[-1] == "fail"
    assert "finish" not in recorder.names()


def test_only_the_first_end_counts() -> None:
    recorder = replay(message(), finish(), finish("max_tokens"), STOP, STOP, begin(tool()))
    assert recorder.names() == ["head", "usage", "finish", "end"]


def test_a_message_that_is_repeated_counts_once() -> None:
    again = message(usage={"input_tokens": 99, "output_tokens": 1})
    recorder = replay(message(), again, finish(usage={"output_tokens": 2}), STOP)
    assert recorder.names().count("head") == 1
    assert recorder.last_usage() == Usage(5, 2)


def test_a_stop_without_a_reason_is_complete() -> None:
    assert replay(message(), STOP).calls[-2:] == [("finish", 0, "stop"), ("end",)]


def test_a_stop_without_a_message_is_not() -> None:
    with pytest.raises(ProviderInvalidResponse, match="never began"):
        replay(STOP)


def test_a_message_that_begins_with_content() -> None:
    recorder = replay(
        message(
            content=[
                {"type": "code_execution_tool_result", "tool_use_id": "s", "content": {}},
                {"type": "text", "text": "앞"},
                tool(input={"id": "고객"}),
            ],
            stop_reason="tool_use",
        ),
        STOP,
    )
    assert recorder.joined("text") == "앞"
    assert [json.loads(call["json"]) for call in recorder.tool_calls] == [{"id": "고객"}]
    assert recorder.calls[-2:] == [("finish", 0, "tool_calls"), ("end",)]


# Tool calls.


def test_a_call() -> None:
    recorder = replay(
        message(),
        begin(tool("날씨", "toolu_1")),
        add("input_json", partial_json=""),
        add("input_json", partial_json='{"도시": "서'),
        add("input_json", partial_json='울"}'),
        close(),
        finish("tool_use"),
        STOP,
    )
    function = {"name": "날씨", "arguments": ""}
    first = {"index": 0, "id": "toolu_1", "type": "function", "function": function}
    assert [call[1]["tool_calls"][0] for call in recorder.calls if call[0] == "delta"] == [
        first,
        {"index": 0, "function": {"arguments": '{"도시": "서'}},
        {"index": 0, "function": {"arguments": '울"}'}},
    ]


def test_calls_are_counted_without_the_other_blocks() -> None:
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    recorder = replay(
        message(),
        begin(TEXT),
        close(),
        begin(tool("f", "a"), 1),
        add("input_json", 1, partial_json="{}"),
        close(1),
        begin(search, 2),
        add("input_json", 2, partial_json='{"query":"x"}'),
        close(2),
        begin({"type": "web_search_tool_result", "tool_use_id": "s", "content": []}, 3),
        close(3),
        begin(tool("g", "b"), 4),
        add("input_json", 4, partial_json='{"x":1}'),
        close(4),
        finish("tool_use"),
        STOP,
    )
    assert recorder.tool_calls == [
        {"id": "a", "name": "f", "json": "{}"},
        {"id": "b", "name": "g", "json": '{"x":1}'},
    ]


@pytest.mark.parametrize(
    ("content", "fragments", "expected"),
    [
        ({}, [], "{}"),
        ({}, ["", ""], "{}"),
        (None, [], "{}"),
        ({"가": 1}, [], '{"가":1}'),
        ({"가": 1}, [""], '{"가":1}'),
        ({"가": 1}, ['{"b":', "2}"], '{"b":2}'),
    ],
)
@pytest.mark.parametrize("ends", [[close()], []])
def test_arguments_are_always_an_object(
    content: Any, fragments: list[str], expected: str, ends: list[Any]
) -> None:
    recorder = replay(
        message(),
        begin(tool(input=content)),
        *(add("input_json", partial_json=fragment) for fragment in fragments),
        *ends,
        finish("tool_use"),
        STOP,
    )
    assert [call["json"] for call in recorder.tool_calls] == [expected]
    assert recorder.names()[-2:] == ["finish", "end"]


def test_blocks_under_way_at_once_are_told_apart() -> None:
    recorder = replay(
        message(),
        begin(tool("f", "a"), 0),
        begin(tool("g", "b"), 1),
        add("input_json", 1, partial_json="[1"),
        add("input_json", 0, partial_json="[0"),
        add("input_json", 1, partial_json="]"),
        close(1),
        add("input_json", 0, partial_json="]"),
        close(0),
        finish("tool_use"),
    )
    assert [call["json"] for call in recorder.tool_calls] == ["[0]", "[1]"]


def test_a_block_that_begins_where_another_did_not_end() -> None:
    recorder = replay(message(), begin(tool("f", "a")), begin(tool("g", "b")), finish("tool_use"))
    assert [call["json"] for call in recorder.tool_calls] == ["{}", "{}"]


# Thinking.


def test_thinking_and_its_signature() -> None:
    recorder = replay(
        message(),
        begin(THINKING),
        add("thinking", thinking="음"),
        add("thinking", thinking="…"),
        add("signature", signature="c2ln"),
        add("signature", signature="LTI="),
        close(),
        begin({"type": "redacted_thinking", "data": "ZGF0YQ=="}, 1),
        close(1),
        begin(TEXT, 2),
        add("text", 2, text="네"),
        close(2),
        finish(),
        STOP,
    )
    assert recorder.joined("reasoning") == "음…"
    assert recorder.joined("text") == "네"
    assert recorder.details == [
        {
            "type": "reasoning.text",
            "text": "음…",
            "signature": "c2lnLTI=",
            "format": "anthropic-claude-v1",
            "index": 0,
        },
        {
            "type": "reasoning.encrypted",
            "data": "ZGF0YQ==",
            "format": "anthropic-claude-v1",
            "index": 1,
        },
    ]


def test_hidden_thinking_has_only_its_signature() -> None:
    recorder = replay(
        message(), begin(THINKING), add("signature", signature="s"), close(), finish(), STOP
    )
    assert recorder.joined("reasoning") == ""
    assert [(detail["text"], detail["signature"]) for detail in recorder.details] == [("", "s")]


def test_thinking_without_a_signature_cannot_go_back() -> None:
    events = [message(), begin(THINKING), add("thinking", thinking="음"), close(), finish()]
    recorder = replay(*events)
    assert recorder.joined("reasoning") == "음"
    assert recorder.details == []


# Citations.


def cite(url: str | None, title: str | None = "제목") -> dict[str, Any]:
    citation = {"type": "web_search_result_location", "url": url, "title": title, "cited_text": "x"}
    return add("citations", 1, citation=citation)


def test_citations_cover_the_text_of_their_block() -> None:
    recorder = replay(
        message(),
        begin(TEXT),
        add("text", text="서울 😀:"),
        close(),
        begin({"type": "text", "text": "", "citations": []}, 1),
        cite("https://a.kr"),
        add("text", 1, text="비가"),
        cite("https://b.kr", None),
        add("text", 1, text=" 온다"),
        cite(None),
        add("citations", 1, citation={"type": "page_location", "document_index": 0}),
        add("citations", 1),
        close(1),
        finish(),
        STOP,
    )
    span = {"start_index": 5, "end_index": 10}
    assert recorder.annotations == [
        {"type": "url_citation", "url_citation": {"url": url, "title": title, **span}}
        for url, title in [("https://a.kr", "제목"), ("https://b.kr", "")]
    ]
    assert recorder.joined("text")[5:10] == "비가 온다"


# Usage.


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ({"input_tokens": 5, "output_tokens": 1}, {"output_tokens": 9}, Usage(5, 9)),
        (
            {"input_tokens": 43, "output_tokens": 1},
            {"input_tokens": 61, "output_tokens": 2},
            Usage(61, 2),
        ),
        # Not summed: 1 and 2 are states of one counter.
        ({"output_tokens": 1}, {"output_tokens": 2}, Usage(0, 2)),
        (
            {"input_tokens": 5, "output_tokens": 4},
            {"input_tokens": 0, "output_tokens": 0},
            Usage(0, 0),
        ),
        ({"input_tokens": 5, "output_tokens": 4}, {"input_tokens": None}, Usage(5, 4)),
        # Cached tokens are beside input_tokens there and inside prompt_tokens here.
        (
            {"input_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 30},
            {"output_tokens": 2},
            Usage(135, 2, cached_tokens=100, cache_write_tokens=30),
        ),
        (
            {"input_tokens": 5, "cache_read_input_tokens": 100},
            {"output_tokens": 2, "cache_read_input_tokens": 0},
            Usage(5, 2),
        ),
        (
            {"input_tokens": 5},
            {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 7}},
            Usage(5, 9, reasoning_tokens=7),
        ),
        ({}, None, Usage(0, 0)),
        (None, {"output_tokens": 3}, Usage(0, 3)),
        (None, None, None),
    ],
)
def test_usage(first: Any, last: Any, expected: Usage | None) -> None:
    recorder = replay(message(usage=first), finish(usage=last), STOP)
    assert recorder.last_usage() == expected


def test_usage_is_known_as_soon_as_the_message_begins() -> None:
    recorder = replay(message(usage={"input_tokens": 5, "output_tokens": 1}), eof=False)
    assert recorder.last_usage() == Usage(5, 1)


def test_usage_that_is_no_number_is_a_fault() -> None:
    with pytest.raises(ProviderInvalidResponse):
        replay(message(), finish(usage={"output_tokens": "many"}))


# Errors, and what is not known.


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("overloaded_error", 529),
        ("rate_limit_error", 429),
        ("api_error", 500),
        ("invalid_request_error", 400),
        ("request_too_large", 413),
        ("timeout_error", 504),
        ("came_later", 502),
        (None, 502),
    ],
)
def test_error_events(kind: str | None, status: int) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "그만"}}
    recorder = replay(message(), begin(TEXT), add("text", text="a"), error)
    assert isinstance(recorder.error, ProviderRejected)
    assert recorder.error.http_status == status
    assert recorder.error.message == "그만"
    assert recorder.names()[-2:] == ["text", "fail"]


@pytest.mark.parametrize("kind", ["authentication_error", "permission_error"])
def test_a_refused_credential_in_a_stream(kind: str) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "invalid x-api-key"}}
    assert isinstance(replay(error).error, ProviderAuthFailed)


def test_an_error_without_words() -> None:
    error = replay({"type": "error"}).error
    assert isinstance(error, ProviderRejected)
    assert error.message


def test_nothing_comes_after_an_error() -> None:
    error = {"type": "error", "error": {"type": "api_error", "message": "x"}}
    assert replay(message(), error, finish(), STOP).names() == ["head", "usage", "fail"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "ping"},
        {"type": "came_later", "delta": "text", "usage": 5, "index": None},
        {"type": "came_later", "text": "\ud83d"},
        begin({"type": "came_later", "text": 5, "data": {}}),
        begin({"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}}),
        begin({"no": "type"}),
        {"type": "content_block_start", "index": 0},
        {"type": "content_block_delta", "index": 0},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "came_later", "text": {}}},
        add("came_later", text="x"),
        add("signature", signature="s"),
        add("input_json", partial_json="{"),
        add("citations", citation={"url": "https://a.kr"}),
        close(7),
        {"type": "message_start"},
        {"type": "message_delta"},
    ],
)
def test_what_is_not_known_is_passed_over(event: Any) -> None:
    recorder = replay(message(), event, begin(TEXT, 1), add("text", 1, text="네"), finish(), STOP)
    assert recorder.names() == ["head", "usage", "text", "finish", "end"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[DONE]",
        b"<html>",
        b"null",
        b"[]",
        b'"text"',
        b"5",
        b"{}",
        b'{"type":5}',
        b'{"type":"content_block_delta","delta":{"type":"text_delta","text":5}}',
        b'{"type":"content_block_delta","delta":5}',
        b'{"type":"content_block_start","content_block":{"type":"text","text":5}}',
        b'{"type":"message_start","message":5}',
        b'{"type":"message_start","message":{"content":[5]}}',
        b'{"type":"ping"',
        b'{"type":"\xff"}',
        b"[" * 100_000,
        b'{"type":"ping","x":' + b"[" * 100_000 + b"}",
    ],
)
def test_what_is_no_event_is_a_fault(data: bytes) -> None:
    with pytest.raises(ProviderInvalidResponse):
        replay(message(), data)


# Surrogate pairs that are torn apart.


def test_a_pair_torn_apart_between_two_texts() -> None:
    recorder = replay(
        message(),
        begin(TEXT),
        add("text", text="a"),
        add("text", text="b\ud83d"),
        add("text", text="\ude00c"),
        add("text", text="d"),
        close(),
        finish(),
    )
    assert recorder.joined("text") == "ab😀cd"
    assert recorder.names().count("text") == 4


def test_halves_that_stay_alone() -> None:
    recorder = replay(
        message(),
        begin(TEXT),
        add("text", text="a\ud83d"),
        close(),
        begin(TEXT, 1),
        add("text", 1, text="\ude00b"),
        finish(),
    )
    assert recorder.joined("text") == "a\ufffd\ufffdb"


def test_a_half_at_the_very_end_is_sent_before_the_finish() -> None:
    recorder = replay(message(), add("text", text="a\ud83d"), finish(), STOP)
    assert recorder.joined("text") == "a\ufffd"
    assert recorder.names() == ["head", "usage", "text", "text", "finish", "end"]


def test_halves_in_thinking_and_in_arguments() -> None:
    recorder = replay(
        message(),
        begin(THINKING),
        add("thinking", thinking="\ud83d"),
        add("thinking", thinking="\ude00"),
        add("signature", signature="s"),
        close(),
        begin(tool(), 1),
        add("input_json", 1, partial_json='{"a":"\ud83d'),
        add("input_json", 1, partial_json='\ude00"}'),
        close(1),
        finish("tool_use"),
    )
    assert recorder.joined("reasoning") == "😀"
    assert recorder.details[0]["text"] == "😀"
    assert recorder.tool_calls[0]["json"] == '{"a":"😀"}'


def test_halves_where_nothing_can_join_them() -> None:
    recorder = replay(
        message(model="m\ud83d"),
        begin({"type": "text", "text": "a\ud83d"}),
        add("citations", citation={"url": "https://a.kr", "title": "t\ud83d"}),
        close(),
        {"type": "error", "error": {"type": "api_error", "message": "e\ud83d"}},
    )
    assert recorder.calls[0][1] == "m\ufffd"
    assert recorder.joined("text") == "a\ufffd"
    assert recorder.annotations[0]["url_citation"]["title"] == "t\ufffd"
    assert recorder.error is not None
    assert recorder.error.message == "e\ufffd"


def test_positions_count_the_joined_text() -> None:
    recorder = replay(
        message(),
        begin(TEXT),
        add("text", text="\ud83d"),
        add("text", text="\ude00"),
        close(),
        begin(TEXT, 1),
        cite("https://a.kr"),
        add("text", 1, text="b"),
        close(1),
        finish(),
    )
    place = recorder.annotations[0]["url_citation"]
    assert (place["start_index"], place["end_index"]) == (1, 2)


# Whole messages.


def whole(**more: Any) -> bytes:
    body = {"type": "message", "model": "claude-x", "content": [], "stop_reason": "end_turn"}
    return json.dumps(body | more).encode()


def read_body(data: bytes) -> Recorder:
    recorder, decoder = start()
    decoder.body(data)
    decoder.eof()
    return recorder


def test_a_whole_message() -> None:
    recorder = read_body(
        whole(
            content=[
                {"type": "thinking", "thinking": "음", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "네, "},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                {"type": "text", "text": "비", "citations": [{"url": "https://a.kr"}]},
                tool("f", "a", input={"x": [1]}),
                tool("g", "b"),
            ],
            stop_reason="tool_use",
            usage={
                "input_tokens": 1,
                "output_tokens": 2,
                "cache_read_input_tokens": 3,
                "cache_creation_input_tokens": 4,
                "output_tokens_details": {"thinking_tokens": 1},
                "service_tier": "priority",
            },
        )
    )
    assert recorder.calls[0] == ("head", "claude-x", None, "priority")
    assert recorder.joined("text") == "네, 비"
    assert recorder.joined("reasoning") == "음"
    assert [detail["index"] for detail in recorder.details] == [0, 1]
    assert recorder.tool_calls == [
        {"id": "a", "name": "f", "json": '{"x":[1]}'},
        {"id": "b", "name": "g", "json": "{}"},
    ]
    span = {"start_index": 3, "end_index": 4}
    assert recorder.annotations[0]["url_citation"] == {"url": "https://a.kr", "title": "", **span}
    assert recorder.last_usage() == Usage(
        8, 2, cached_tokens=3, cache_write_tokens=4, reasoning_tokens=1
    )
    assert recorder.calls[-2:] == [("finish", 0, "tool_calls"), ("end",)]
    assert recorder.names().count("end") == 1


def test_a_whole_refusal() -> None:
    recorder = read_body(whole(stop_reason="refusal", stop_details={"explanation": "안 됩니다"}))
    assert recorder.refusal == "안 됩니다"
    assert ("finish", 0, "content_filter") in recorder.calls


def test_a_whole_error() -> None:
    error = {"type": "overloaded_error", "message": "x"}
    recorder = read_body(json.dumps({"type": "error", "error": error}).encode())
    assert isinstance(recorder.error, ProviderRejected)
    assert recorder.error.http_status == 529
    assert recorder.names() == ["fail"]


def test_halves_in_a_whole_message() -> None:
    recorder = read_body(whole(content=[{"type": "text", "text": "a\ud83d\ude00\ud83d"}]))
    assert recorder.joined("text") == "a😀\ufffd"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"<html>",
        b'{"type":"ping"}',
        whole(stop_reason=None),
        whole(content=5),
        whole(content=[{"type": "text", "text": 5}]),
        whole(usage={"input_tokens": "many"}),
        b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_a_fault(data: bytes) -> None:
    with pytest.raises(ProviderInvalidResponse):
        read_body(data)


# Recordings, against a reading that knows nothing of ours.


def transcript(name: str) -> list[bytes]:
    return [line for line in (SHARED / f"{name}.jsonl").read_bytes().splitlines() if line]


@pytest.mark.needs("shared")
def test_every_recording_is_listed() -> None:
    assert sorted(path.stem for path in SHARED.glob("*.jsonl")) == TRANSCRIPTS


@pytest.mark.needs("shared")
@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_recordings(name: str) -> None:
    lines = transcript(name)
    events = [json.loads(line) for line in lines]
    recorder = replay(*lines)
    blocks = {e["index"]: e["content_block"] for e in events if e["type"] == "content_block_start"}
    deltas = [(e["index"], e["delta"]) for e in events if e["type"] == "content_block_delta"]
    assert recorder.joined("text") == "".join(d.get("text", "") for _, d in deltas)
    assert recorder.joined("reasoning") == "".join(d.get("thinking", "") for _, d in deltas)
    calls = {index: block for index, block in blocks.items() if block["type"] == "tool_use"}
    assert [(call["id"], call["name"]) for call in recorder.tool_calls] == [
        (block["id"], block["name"]) for block in calls.values()
    ]
    for call, index in zip(recorder.tool_calls, calls, strict=True):
        sent = "".join(d["partial_json"] for i, d in deltas if i == index)
        assert json.loads(call["json"]) == json.loads(sent or "{}")
    cited = [d["citation"]["url"] for _, d in deltas if d["type"] == "citations_delta"]
    assert [found["url_citation"]["url"] for found in recorder.annotations] == cited
    signatures = [d["signature"] for _, d in deltas if d["type"] == "signature_delta"]
    assert [detail["signature"] for detail in recorder.details] == signatures
    (last,) = [e for e in events if e["type"] == "message_delta"]
    assert recorder.last_usage() == Usage(
        last["usage"]["input_tokens"], last["usage"]["output_tokens"]
    )
    reasons = {"end_turn": "stop", "tool_use": "tool_calls", "refusal": "content_filter"}
    assert ("finish", 0, reasons[last["delta"]["stop_reason"]]) in recorder.calls
    details = last["delta"].get("stop_details") or {}
    assert recorder.refusal == details.get("explanation", "")
    assert recorder.calls[0] == ("head", events[0]["message"]["model"], None, recorder.calls[0][3])
    assert recorder.names()[-1] == "end"


@pytest.mark.needs("shared")
def test_citations_of_a_recording_cover_the_text_of_their_block() -> None:
    lines = transcript("anthropic-web-search-tool.1")
    recorder = replay(*lines)
    said: dict[int, str] = {}
    cites: list[int] = []
    for event in map(json.loads, lines):
        if event["type"] == "content_block_delta":
            index, delta = event["index"], event["delta"]
            said[index] = said.get(index, "") + delta.get("text", "")
            cites += [index] if delta["type"] == "citations_delta" else []
    text = recorder.joined("text")
    assert len(cites) == 14
    for index, found in zip(cites, recorder.annotations, strict=True):
        place = found["url_citation"]
        assert text[place["start_index"] : place["end_index"]] == said[index]


@pytest.mark.needs("shared")
@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_recordings_cut_after_any_event_are_never_called_complete(name: str) -> None:
    lines = transcript(name)
    reason_at = next(i for i, line in enumerate(lines) if b'"message_delta"' in line)
    for cut in range(reason_at + 1):
        assert isinstance(replay(*lines[:cut]).error, ProviderCutOff)
    assert replay(*lines[: reason_at + 1]).error is None


# Whatever the deltas, and however they are cut.

fragments = st.lists(st.text(st.sampled_from(["a", "한", "😀", '"', "\\"]), max_size=3), max_size=4)
# Cut between the halves of a character, as a provider that counts UTF-16 code units may.
torn = st.text(st.sampled_from(["a", "한", "😀"]), max_size=4).flatmap(
    lambda text: st.lists(st.integers(0, 8), max_size=4).map(lambda cuts: cut_units(text, cuts))
)


def cut_units(text: str, cuts: Iterable[int]) -> list[str]:
    units = text.encode("utf-16-le")
    places = sorted({0, *(min(2 * cut, len(units)) for cut in cuts), len(units)})
    return [units[a:b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(places)]


blocks_of_deltas = st.lists(
    st.tuples(st.sampled_from(["text", "thinking", "tool", "search", "later"]), fragments | torn),
    max_size=6,
)


def play(blocks: list[tuple[str, list[str]]]) -> list[Any]:
    events: list[Any] = [message()]
    for index, (kind, pieces) in enumerate(blocks):
        start_as = {
            "text": TEXT,
            "thinking": THINKING,
            "tool": tool("f", f"t{index}"),
            "search": {"type": "server_tool_use", "id": "s", "name": "x", "input": {}},
        }
        events.append(begin(start_as.get(kind, {"type": kind}), index))
        for piece in pieces:
            if kind in ("text", "thinking"):
                events.append(add(kind, index, **{kind: piece}))
            elif kind in ("tool", "search"):
                events.append(add("input_json", index, partial_json=piece))
            else:
                events.append(add(kind, index, text=piece))
        if kind == "thinking":
            events.append(add("signature", index, signature="s"))
        events.append(close(index))
    return [*events, finish(), STOP]


@given(blocks_of_deltas)
def test_any_sequence_of_deltas(blocks: list[tuple[str, list[str]]]) -> None:
    recorder = replay(*play(blocks))

    def said(wanted: str) -> list[str]:
        return [
            "".join(pieces).encode("utf-16", "surrogatepass").decode("utf-16")
            for kind, pieces in blocks
            if kind == wanted
        ]

    assert recorder.joined("text") == "".join(said("text"))
    assert recorder.joined("reasoning") == "".join(said("thinking"))
    assert [call["json"] for call in recorder.tool_calls] == [text or "{}" for text in said("tool")]
    assert [detail["text"] for detail in recorder.details] == said("thinking")
    assert recorder.names()[0] == "head"
    assert recorder.names()[-2:] == ["finish", "end"]


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "delta", "index", "text", "message", "content_block", "usage", "error"]
                ),
                inner
                | st.sampled_from(
                    [
                        "text_delta",
                        "text",
                        "content_block_delta",
                        "message_start",
                        "message_stop",
                        "error",
                        "tool_use",
                        "content_block_start",
                        "message_delta",
                    ]
                ),
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_garbage_is_read_or_refused(value: Any) -> None:
    recorder, decoder = start()
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    for take in (decoder.event, decoder.body):
        try:
            take(data)
        except ProviderInvalidResponse as exc:
            assert exc.message  # noqa: PT017 -- either outcome is right; only another error is not
    decoder.eof()
    assert recorder.names().count("end") + recorder.names().count("fail") >= 1
