import json
from typing import Any

import pytest

from harness.anthropic_stream import (
    STOP,
    TEXT,
    THINKING,
    add,
    begin,
    cite,
    close,
    finish,
    message,
    replay,
    tool,
)
from tokenferry.domain.usage import Usage
from tokenferry.errors import (
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderInvalidResponse,
    ProviderRejected,
)

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
        # Those for an hour are among the written ones, and the last event need not say so again.
        (
            {
                "input_tokens": 5,
                "cache_creation_input_tokens": 30,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 20,
                    "ephemeral_1h_input_tokens": 10,
                },
            },
            {"output_tokens": 2, "cache_creation_input_tokens": 30},
            Usage(35, 2, cache_write_tokens=30, cache_write_1h_tokens=10),
        ),
        (
            {"input_tokens": 5, "cache_creation": {"ephemeral_5m_input_tokens": 20}},
            {"cache_creation": None},
            Usage(5, 0),
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
    late = [begin(TEXT), add("text", text="a"), finish(), STOP]
    assert replay(message(), error, *late).names() == ["head", "usage", "fail"]


def test_no_text_comes_after_the_end() -> None:
    recorder = replay(message(), finish(), STOP, add("text", text="a"))
    assert recorder.names() == ["head", "usage", "finish", "end"]
