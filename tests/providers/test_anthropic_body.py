import json
from typing import Any

import pytest

from harness.anthropic_stream import Recorder, start, tool
from tokenferry.domain.usage import Usage
from tokenferry.errors import (
    ProviderInvalidResponse,
    ProviderRejected,
)

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
                "cache_creation": {"ephemeral_1h_input_tokens": 3},
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
        8, 2, cached_tokens=3, cache_write_tokens=4, reasoning_tokens=1, cache_write_1h_tokens=3
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


def test_a_whole_error_of_another_form() -> None:
    recorder = read_body(b'{"error":{"message":"x","type":"rate_limit_error","code":null}}')
    assert isinstance(recorder.error, ProviderRejected)
    assert (recorder.error.http_status, recorder.error.message) == (429, "x")
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
