import json
from typing import Any

import pytest

from harness import transcripts
from harness.chat_completions_stream import (
    DONE,
    START,
    STOP,
    Feed,
    Recorder,
    calls_of,
    chunk,
    raw,
    replay,
    text,
    whole,
)
from harness.transcripts import Transcript
from tokenferry.domain.usage import Usage
from tokenferry.errors import ProviderCutOff, ProviderInvalidResponse, ProviderRejected

HIGH, LOW = "\ud83d", "\ude00"
RECORDED = [each for each in [*transcripts.own(), *transcripts.shared()] if each.kind == "openai"]
each_recording = pytest.mark.parametrize("recording", RECORDED, ids=lambda each: each.name)

# Text, heads and ends.


def test_text() -> None:
    recorder = replay(
        chunk({"role": "assistant", "content": ""}, service_tier="default"),
        text("안녕", service_tier="default"),
        text(" 😀"),
        text(""),
        text(None),
        chunk(),
        STOP,
        START | {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
        DONE,
    )
    assert recorder.calls == [
        ("head", "모델", None, "default"),
        ("text", "안녕"),
        ("text", " 😀"),
        ("finish", 0, "stop"),
        ("usage", Usage(3, 2)),
        ("end",),
    ]


def test_the_head_waits_for_a_choice() -> None:
    """Azure's first chunk has neither choice nor model."""
    first = {"choices": [], "model": "", "object": "", "prompt_filter_results": [{"content": "x"}]}
    later = text("a", model="gpt-5-nano", system_fingerprint="fp")
    assert replay(first, later).calls == [("head", "gpt-5-nano", "fp", None), ("text", "a")]


def test_a_provider_that_does_not_name_its_model() -> None:
    assert replay({"choices": [{"delta": {"content": "a"}}]}).calls == [
        ("head", "", None, None),
        ("text", "a"),
    ]


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_under_either_name(key: str) -> None:
    other = {"reasoning_content": "reasoning"}.get(key, "reasoning_content")
    events = [chunk({"content": None, key: text_, other: None}) for text_ in ("흠", "아", "")]
    assert calls_of([*events, text("답")]) == [
        ("reasoning", "흠"),
        ("reasoning", "아"),
        ("text", "답"),
    ]


def test_reasoning_under_both_names_is_said_once() -> None:
    assert calls_of([chunk({"reasoning_content": "흠", "reasoning": "흠"})]) == [
        ("reasoning", "흠")
    ]


def test_one_event_may_end_the_reasoning_and_begin_the_answer() -> None:
    assert calls_of([chunk({"content": "답", "reasoning_content": "흠"})]) == [
        ("reasoning", "흠"),
        ("text", "답"),
    ]


def test_a_content_that_is_a_list() -> None:
    """Mistral's reasoning models; parts of a kind that came later are passed over."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "흠"}, {"type": "x"}]}
    parts = [thinking, {"type": "text", "text": "답"}, {"type": "reference", "reference_ids": [1]}]
    assert calls_of([text(parts), text([{"type": "thinking", "thinking": "음"}]), text([])]) == [
        ("reasoning", "흠"),
        ("text", "답"),
        ("reasoning", "음"),
    ]


def test_other_choices_come_as_deltas() -> None:
    events = [text("가"), text("나", index=1), chunk({"reasoning": "음"}, index=2)]
    assert calls_of([*events, chunk(index=1, reason="length"), chunk(index=2, reason="stop")]) == [
        ("text", "가"),
        ("delta", 1, {"content": "나"}),
        ("delta", 2, {"reasoning": "음"}),
        ("finish", 1, "length"),
        ("finish", 2, "stop"),
    ]


def test_several_choices_in_one_event() -> None:
    choices = [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]
    recorder = replay(START | {"choices": choices})
    assert recorder.calls[1:] == [("delta", 1, {"content": "b"}), ("text", "a")]


def test_what_else_a_delta_may_say() -> None:
    extra = {
        "refusal": "안 돼요",
        "function_call": {"name": "f", "arguments": "{}"},
        "annotations": [{"type": "url_citation", "url_citation": {"title": "제목"}}],
        "audio": {"id": "a", "data": "AA=="},
        "reasoning_details": [{"type": "reasoning.text", "text": "흠"}],
        "images": [{"type": "image_url", "image_url": {"url": "data:x"}}],
    }
    for key, value in extra.items():
        assert calls_of([chunk({key: value})]) == [("delta", 0, {key: value})]
    assert calls_of([chunk({"content": "c"} | extra)]) == [("delta", 0, {"content": "c"} | extra)]


@pytest.mark.parametrize(
    "delta",
    [
        {"refusal": None, "tool_calls": None, "function_call": None, "audio": None},
        {"refusal": "", "tool_calls": [], "annotations": [], "images": [], "audio": {}},
        {"a_key_that_came_later": {"content": "x"}, "role": "assistant"},
    ],
)
def test_what_says_nothing_makes_no_delta(delta: Any) -> None:
    assert calls_of([chunk(delta)]) == []
    assert calls_of([chunk(delta | {"content": "a"})]) == [("text", "a")]


def test_logprobs() -> None:
    logprobs = {"content": [{"token": "안", "logprob": -0.25, "bytes": [236]}], "refusal": None}
    events = [
        text("안", choice={"logprobs": logprobs}),
        text("", choice={"logprobs": logprobs}),
        text("녕", choice={"logprobs": None}),
        text("!", choice={"logprobs": []}),
        text("?", choice={"logprobs": {}}),
    ]
    assert calls_of(events) == [
        ("delta", 0, {"content": "안"}, logprobs),
        ("delta", 0, {}, logprobs),
        ("text", "녕"),
        ("text", "!"),
        ("text", "?"),
    ]


def test_what_is_passed_on_is_one_line_of_valid_utf8() -> None:
    """A server-sent event is one line, and a WebSocket's text is UTF-8."""
    pretty = json.dumps(text("a", choice={"logprobs": {"content": [{"token": "a"}]}}), indent=1)
    assert calls_of([pretty.encode()]) == [
        ("delta", 0, {"content": "a"}, {"content": [{"token": "a"}]})
    ]
    broken = raw(chunk({"annotations": [{"title": "TITLE"}]})).replace(b"TITLE", b"a\xffb")
    assert calls_of([broken]) == [("delta", 0, {"annotations": [{"title": "a\ufffdb"}]})]


def test_what_has_another_type_than_clients_expect_is_dropped() -> None:
    delta = {"annotations": {"a": 1}, "audio": ["x"], "function_call": "x", "images": 5}
    assert calls_of([chunk(delta)]) == []
    assert calls_of([chunk(delta | {"reasoning_details": "x", "content": "a"})]) == [
        ("delta", 0, {"content": "a"})
    ]


# Tool calls; their indexes have tests of their own.


def function(arguments: Any = "", **more: Any) -> dict[str, Any]:
    return {"function": {"arguments": arguments} | more}


def test_a_tool_call() -> None:
    events = [
        {"tool_calls": [{"index": 0, "id": "c", **function("", name="날씨")}], "content": None},
        {"tool_calls": [{"index": 0, **function('{"a":')}]},
        {"tool_calls": [{"index": 0, "type": "function", **function("1}")}], "content": ""},
    ]
    assert calls_of([chunk(event) for event in events]) == [
        (
            "delta",
            0,
            {
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "c",
                        "type": "function",
                        "function": {"name": "날씨", "arguments": ""},
                    }
                ]
            },
        ),
        ("delta", 0, {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]}),
        (
            "delta",
            0,
            {"tool_calls": [{"index": 0, "type": "function", "function": {"arguments": "1}"}}]},
        ),
    ]


def test_tool_calls_of_two_choices_do_not_mix() -> None:
    recorder = replay(
        chunk({"tool_calls": [{"id": "a", **function("1", name="f")}]}),
        chunk({"tool_calls": [{"id": "b", **function("2", name="g")}]}, index=1),
        chunk({"tool_calls": [function("3")]}),
    )
    assert recorder.tool_calls(0) == [{"id": "a", "name": "f", "arguments": "13"}]
    assert recorder.tool_calls(1) == [{"id": "b", "name": "g", "arguments": "2"}]


def test_text_beside_a_tool_call() -> None:
    event = chunk({"content": "잠시만", "tool_calls": [{"id": "a", **function("", name="f")}]})
    ((_, _, delta),) = calls_of([event])
    assert delta["content"] == "잠시만"
    assert delta["tool_calls"][0]["id"] == "a"


# Finish reasons.


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("function_call", "function_call"),
        ("model_length", "length"),
        ("max_tokens", "length"),
        ("eos", "stop"),
        ("eos_token", "stop"),
        ("stop_sequence", "stop"),
        ("sensitive", "content_filter"),
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("Length", "length"),
        ("SAFETY", "content_filter"),
        ("refusal", "content_filter"),
        ("end_turn", "stop"),
        ("tool_use", "tool_calls"),
        ("model_context_window_exceeded", "length"),
        ("came_later", "stop"),
    ],
)
def test_finish_reasons(reason: str, expected: str) -> None:
    recorder = replay(text("a"), chunk(reason=reason), DONE)
    assert recorder.calls[-2:] == [("finish", 0, expected), ("end",)]


@pytest.mark.parametrize("no_reason", [None, "", "null"])
def test_no_reason_in_any_of_its_spellings(no_reason: str | None) -> None:
    """Ollama, SGLang and others send an empty string with every chunk."""
    events = [text(value, reason=no_reason) for value in ("가", "나", "다")]
    assert replay(*events).of("finish", "end") == []
    assert calls_of(events) == [("text", "가"), ("text", "나"), ("text", "다")]
    cut = replay(*events, DONE)
    assert isinstance(cut.error, ProviderCutOff)


def test_a_reason_beside_the_last_text() -> None:
    recorder = replay(text("끝", reason="length"), DONE)
    assert recorder.calls[1:] == [("text", "끝"), ("finish", 0, "length"), ("end",)]


def test_a_repeated_reason_counts_once() -> None:
    """OpenRouter repeats it in the chunk with the usage."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    recorder = replay(STOP, chunk(reason="length", usage=usage), STOP, DONE)
    assert recorder.of("finish") == [("finish", 0, "stop")]
    assert recorder.of("usage") == [("usage", Usage(1, 1))]


def test_running_out_of_resources_is_no_completion() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    last = chunk(reason="insufficient_system_resource", usage=usage)
    recorder = replay(text("반"), last, DONE)
    assert recorder.names() == ["head", "text", "usage", "fail"]
    assert isinstance(recorder.error, ProviderRejected)
    assert recorder.error.code == "insufficient_system_resource"
    assert (recorder.error.http_status, recorder.error.retryable) == (503, True)


@pytest.mark.parametrize("reason", ["abort", "network_error", "ABORT"])
def test_an_answer_that_its_provider_broke_off_is_no_completion(reason: str) -> None:
    """As vLLM, SGLang and Z.ai say it, with [DONE] after it as if nothing had happened."""
    recorder = replay(text("반"), chunk(reason=reason), DONE)
    assert recorder.names() == ["head", "text", "fail"]
    assert isinstance(recorder.error, ProviderRejected)
    assert (recorder.error.http_status, recorder.error.code) == (503, reason.lower())


# Ends.


def test_an_end_without_a_reason_is_a_cut() -> None:
    for events in ([], [text("a")], [text("a"), DONE], [DONE]):
        feed = Feed()
        feed(*events)
        recorder = feed.eof()
        assert recorder.names()[-1] == "fail"
        assert isinstance(recorder.error, ProviderCutOff)


def test_every_choice_must_have_its_reason() -> None:
    events = [text("a"), text("b", index=1), STOP]
    assert isinstance(replay(*events, DONE).error, ProviderCutOff)
    assert replay(*events, chunk(index=1, reason="stop"), DONE).names()[-1] == "end"


@pytest.mark.parametrize("done", [b"[DONE]", b"[DONE] ", b"[DONE]\n"])
def test_done_in_any_spelling(done: bytes) -> None:
    assert replay(STOP, done).calls[-1] == ("end",)


def test_a_stream_may_end_without_done() -> None:
    feed = Feed()
    feed(STOP)
    assert feed.eof().calls[-1] == ("end",)


@pytest.mark.parametrize(
    "last", [[STOP, DONE], [DONE], [{"error": {"message": "x"}}], [chunk(reason="error")]]
)
def test_after_the_end_nothing_is_heard(last: list[Any]) -> None:
    """The sink may serve another provider's answer by then."""
    feed = Feed()
    before = list(feed(text("a"), text("b"), *last).calls)
    feed(text("c"), STOP, {"error": "x"}, b"no json", DONE)
    assert feed.eof().calls == before


# Errors inside an answer.


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            {"error": {"message": "과부하", "type": "t", "param": "p", "code": "c"}},
            ("과부하", 502, "c", "t", "p"),
        ),
        ({"error": {"message": "m", "code": 429}}, ("m", 429, "429", "provider_error", None)),
        ({"error": {"message": "m", "code": "503"}}, ("m", 503, "503", "provider_error", None)),
        ({"error": {"message": "m", "code": 399}}, ("m", 502, "399", "provider_error", None)),
        ({"error": {"message": "m", "code": 400}}, ("m", 400, "400", "provider_error", None)),
        ({"error": {"message": "m", "code": 599}}, ("m", 599, "599", "provider_error", None)),
        ({"error": {"message": "m", "code": 600}}, ("m", 502, "600", "provider_error", None)),
        ({"error": {"message": "m", "code": "²²²"}}, ("m", 502, "²²²", "provider_error", None)),
        ({"error": {"message": "m", "code": 4290}}, ("m", 502, "4290", "provider_error", None)),
        ({"error": "words"}, ("words", 502, "provider_error", "provider_error", None)),
        (
            {"object": "error", "message": "vLLM", "code": 400, "type": "x"},
            ("vLLM", 400, "400", "provider_error", None),
        ),
        (
            {"object": "error", "message": "vLLM", "error": None},
            ("vLLM", 502, "provider_error", "provider_error", None),
        ),
    ],
)
def test_an_error_in_mid_stream(event: Any, expected: Any) -> None:
    recorder = replay(text("반"), event, DONE)
    assert recorder.names() == ["head", "text", "fail"]
    error = recorder.error
    assert isinstance(error, ProviderRejected)
    assert (error.message, error.http_status, error.code, error.type, error.param) == expected


def test_an_error_without_words_gets_some() -> None:
    for event in ({"error": {"code": 500}}, {"object": "error"}, chunk(reason="error")):
        error = replay(text("반"), event).error
        assert isinstance(error, ProviderRejected)
        assert "in the middle of the answer" in error.message


def test_an_error_of_an_unknown_form_is_quoted() -> None:
    error = replay(text("반"), {"error": {"message": {"deep": "말"}}}).error
    assert isinstance(error, ProviderRejected)
    assert "deep" in error.message


def test_openrouters_errors() -> None:
    said = {"message": "Provider disconnected", "code": 502}
    beside = chunk({"content": ""}, reason="error", error=said)
    inside = chunk({"content": ""}, reason="error", choice={"error": said})
    for event in (beside, inside):
        recorder = replay(text("반"), event, DONE)
        assert recorder.names() == ["head", "text", "fail"]
        assert recorder.error is not None
        assert recorder.error.message == "Provider disconnected"


@pytest.mark.parametrize("nothing", [None, "", {}, [], False])
def test_an_empty_error_is_none(nothing: Any) -> None:
    assert calls_of([text("가", error=nothing), text("나", error=nothing)]) == [
        ("text", "가"),
        ("text", "나"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"<html>",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"choices":5}',
        b'{"choices":["x"]}',
        b'{"choices":[{"delta":"x"}]}',
        b'{"choices":[{"delta":{"content":5}}]}',
        b'{"choices":[{"finish_reason":5}]}',
        b'{"usage":"much"}',
        b'{"x":NaN,"choices":7}',
        b'{"choices":[{"delta":{"content":"\xff"}}]}',
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_garbage_is_the_providers_fault(data: bytes) -> None:
    for events in ([], [text("a"), text("b")]):
        feed = Feed()
        feed(*events)
        with pytest.raises(ProviderInvalidResponse) as caught:
            feed(data)
        assert len(caught.value.message) < 1000
        caught.value.message.encode()


# Usage.


def counted(usage: Any, **more: Any) -> Usage | None:
    calls = replay(START | {"choices": [], "usage": usage} | more).of("usage")
    return calls[-1][1] if calls else None


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, Usage(3, 2)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, Usage(0, 0)),
        ({"prompt_tokens": 3, "completion_tokens": 0}, Usage(3, 0)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 8,
                "total_tokens": 18,
                "prompt_tokens_details": {
                    "cached_tokens": 4, "cache_write_tokens": 3, "audio_tokens": 2, "new": 1,
                },
                "completion_tokens_details": {
                    "reasoning_tokens": 5, "audio_tokens": 1,
                    "accepted_prediction_tokens": 2, "rejected_prediction_tokens": 3,
                },
            },
            Usage(10, 8, 4, 3, 5, 2, 1, 2, 3),
        ),
        (
            {
                "prompt_tokens": 1, "completion_tokens": 2,
                "prompt_tokens_details": None, "completion_tokens_details": None,
            },
            Usage(1, 2),
        ),
        (
            {
                "prompt_tokens": 1, "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": None, "audio_tokens": None},
                "completion_tokens_details": {"reasoning_tokens": None},
            },
            Usage(1, 2),
        ),
        # DeepSeek's own name, which gives way to OpenAI's
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 6},
            Usage(9, 1, cached_tokens=6),
        ),
        (
            {
                "prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 6,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
            Usage(9, 1, cached_tokens=0),
        ),
        # xAI counts reasoning beside the completion
        (
            {
                "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 35,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(10, 25, reasoning_tokens=20),
        ),
        (
            {
                "prompt_tokens": 10, "completion_tokens": 25, "total_tokens": 35,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(10, 25, reasoning_tokens=20),
        ),
        (
            {
                "prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 30,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(10, 20, reasoning_tokens=20),
        ),
        # numbers of another type
        ({"prompt_tokens": 3.0, "completion_tokens": "2"}, Usage(3, 2)),
        # what says too little
        (None, None),
        ({}, None),
        ({"prompt_tokens": 3}, None),
        ({"completion_tokens": 3}, None),
        ({"prompt_tokens": None, "completion_tokens": None}, None),
    ],
)  # fmt: skip
def test_usage(usage: Any, expected: Usage | None) -> None:
    assert counted(usage) == expected


def test_groqs_own_place_for_usage() -> None:
    own = {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    assert counted(None, x_groq=own) == Usage(3, 2)
    assert counted({"prompt_tokens": 5, "completion_tokens": 4}, x_groq=own) == Usage(5, 4)
    assert counted(None, x_groq={"id": "req_1"}) is None
    assert counted(None, x_groq=None) is None


def test_continuous_usage_is_passed_on_and_the_last_counts() -> None:
    """vLLM's continuous_usage_stats."""
    events = [
        text(value, usage={"prompt_tokens": 3, "completion_tokens": count})
        for count, value in enumerate("가나다", 1)
    ]
    assert calls_of(events) == [
        ("text", "가"), ("usage", Usage(3, 1)),
        ("text", "나"), ("usage", Usage(3, 2)),
        ("text", "다"), ("usage", Usage(3, 3)),
    ]  # fmt: skip


# Whole answers.


def body(*choices: Any, **more: Any) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion", "model": "모델", "choices": choices} | more


def choice(message: Any, index: int = 0, reason: Any = "stop", **more: Any) -> dict[str, Any]:
    said = {"role": "assistant"} | message
    return {"index": index, "message": said, "finish_reason": reason, "logprobs": None} | more


def test_a_whole_answer() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    message = {"content": "안녕 😀", "refusal": None, "annotations": []}
    recorder = whole(body(choice(message), usage=usage, service_tier="default"))
    assert recorder.calls == [
        ("head", "모델", None, "default"),
        ("text", "안녕 😀"),
        ("finish", 0, "stop"),
        ("usage", Usage(3, 2)),
        ("end",),
    ]


def test_a_whole_answer_with_everything() -> None:
    logprobs = {"content": [{"token": "a", "logprob": -1e-7}], "refusal": None}
    call = {"id": "a", "type": "function", **function("{}", name="f")}
    recorder = whole(
        body(
            choice({"content": "둘", "reasoning_content": "흠"}, 1, "length"),
            choice({"content": None, "tool_calls": [call, call | {"id": "b"}]}, 0, "tool_calls"),
            choice({"content": "셋"}, 2, logprobs=logprobs),
        )
    )
    assert recorder.joined("content", 1) == "둘"
    assert recorder.joined("reasoning", 1) == "흠"
    assert [found["id"] for found in recorder.tool_calls()] == ["a", "b"]
    assert recorder.of("delta")[-1] == ("delta", 2, {"content": "셋"}, logprobs)
    assert recorder.of("finish", "end") == [
        ("finish", 1, "length"),
        ("finish", 0, "tool_calls"),
        ("finish", 2, "stop"),
        ("end",),
    ]


def test_whole_tool_calls_without_ids_are_calls_of_their_own() -> None:
    calls = [function('{"a":1}', name="f"), function({"b": "둘"}, name="f"), function(name="g")]
    recorder = whole(body(choice({"content": None, "tool_calls": calls}, reason="tool_calls")))
    assert recorder.tool_calls() == [
        {"id": "", "name": "f", "arguments": '{"a":1}'},
        {"id": "", "name": "f", "arguments": '{"b":"둘"}'},
        {"id": "", "name": "g", "arguments": ""},
    ]


def test_a_pretty_printed_answer() -> None:
    answer = body(choice({"content": "a", "annotations": [{"x": 1}]}))
    recorder = whole(json.dumps(answer, indent=2).encode())
    assert recorder.of("delta") == [("delta", 0, {"content": "a", "annotations": [{"x": 1}]})]


@pytest.mark.parametrize(
    ("answer", "message", "status"),
    [
        ({"error": {"message": "과부하", "code": 503}}, "과부하", 503),
        ({"error": "words"}, "words", 502),
        ({"object": "error", "message": "m", "code": 404}, "m", 404),
        (body(error={"message": "m", "code": 429}), "m", 429),
    ],
)
def test_an_error_with_status_200(answer: Any, message: str, status: int) -> None:
    recorder = whole(answer)
    assert recorder.names() == ["fail"]
    assert isinstance(recorder.error, ProviderRejected)
    assert (recorder.error.message, recorder.error.http_status) == (message, status)


@pytest.mark.parametrize("answer", [{}, body(), {"choices": None}, {"message": "hm"}])
def test_a_whole_answer_without_choices(answer: Any) -> None:
    with pytest.raises(ProviderInvalidResponse, match="no choices"):
        whole(answer)


@pytest.mark.parametrize("data", [b"", b"garbage", b"[]", b"<html>", b'{"choices":[{}'])
def test_a_whole_answer_that_is_none(data: bytes) -> None:
    with pytest.raises(ProviderInvalidResponse):
        whole(data)


def test_a_whole_answer_without_a_reason_is_a_cut() -> None:
    assert isinstance(whole(body(choice({"content": "a"}, reason=None))).error, ProviderCutOff)


def test_a_whole_answer_with_halves() -> None:
    message = {"content": f"a{HIGH}", "reasoning": LOW, "annotations": [{"t": f"b{HIGH}"}]}
    recorder = whole(body(choice(message, logprobs={"content": [{"token": LOW}]})))
    assert recorder.joined("content") == "a\ufffd"
    assert recorder.joined("reasoning") == "\ufffd"
    assert recorder.of("delta")[0][2]["annotations"] == [{"t": "b\ufffd"}]
    assert recorder.of("delta")[0][3] == {"content": [{"token": "\ufffd"}]}


# Halves of surrogate pairs, as escapes in two events.


def test_halves_are_joined_across_events() -> None:
    events = [text("웃음"), text(f" {HIGH}"), text(""), text(f"{LOW}!"), text("끝")]
    events = [event | {"usage": None} for event in events]
    for event in events:
        event["choices"][0]["logprobs"] = None  # as OpenAI writes it
    assert "".join(call[1] for call in calls_of(events)) == "웃음 😀!끝"


def test_a_half_that_stays_alone_is_replaced_before_the_finish() -> None:
    recorder = replay(text(f"a{HIGH}"), STOP, DONE)
    assert recorder.joined("content") == "a\ufffd"
    assert recorder.names()[-2:] == ["finish", "end"]


def test_a_half_beside_the_reason() -> None:
    recorder = replay(text(f"a{HIGH}", reason="length"), DONE)
    assert recorder.calls[1:] == [
        ("text", "a"),
        ("delta", 0, {"content": "\ufffd"}),
        ("finish", 0, "length"),
        ("end",),
    ]


def test_a_half_after_the_reason_is_not_lost() -> None:
    assert replay(text("a"), STOP, text(f"b{HIGH}"), DONE).joined("content") == "ab\ufffd"


def test_texts_are_joined_each_for_itself() -> None:
    recorder = replay(
        chunk({"content": HIGH, "reasoning": HIGH, "refusal": HIGH}),
        text(HIGH, index=1),
        chunk({"tool_calls": [{"index": 0, "id": "a", **function(f'"{HIGH}', name="f")}]}),
        chunk({"tool_calls": [{"index": 1, "id": "b", **function(HIGH, name="g")}]}),
        chunk({"reasoning": f"{LOW}r", "content": f"{LOW}c", "refusal": f"{LOW}f"}),
        text(f"{LOW}1", index=1),
        chunk({"tool_calls": [{"index": 0, **function(f'{LOW}"')}]}),
        STOP,
        chunk(index=1, reason="stop"),
        DONE,
    )
    assert [recorder.joined(key) for key in ("content", "reasoning", "refusal")] == [
        "😀c",
        "😀r",
        "😀f",
    ]
    assert recorder.joined("content", 1) == "😀1"
    assert [call["arguments"] for call in recorder.tool_calls()] == ['"😀"', "\ufffd"]
    assert recorder.names()[-1] == "end"


def test_halves_in_what_no_joiner_takes_are_replaced() -> None:
    call = {"id": f"i{HIGH}", "type": LOW, **function("", name=f"n{HIGH}")}
    recorder = replay(
        chunk(
            {
                "tool_calls": [call | {"extra_content": {"k": [HIGH]}}],
                "annotations": [{"title": f"{HIGH}{LOW}{HIGH}"}],
                "audio": {"transcript": LOW},
            },
            choice={"logprobs": {"content": [{"token": HIGH}]}},
            model=f"m{LOW}",
            system_fingerprint=HIGH,
        )
    )
    head, (_, _, delta, logprobs) = recorder.calls
    assert head == ("head", "m\ufffd", "\ufffd", None)
    assert logprobs == {"content": [{"token": "\ufffd"}]}
    assert delta["annotations"] == [{"title": "😀\ufffd"}]
    assert delta["audio"] == {"transcript": "\ufffd"}
    (found,) = delta["tool_calls"]
    assert (found["id"], found["type"]) == ("i\ufffd", "\ufffd")
    assert found["function"] == {"name": "n\ufffd", "arguments": ""}
    assert found["extra_content"] == {"k": ["\ufffd"]}


def test_halves_in_an_error_are_replaced() -> None:
    for event in ({"error": {"message": HIGH}}, {"object": "error", "message": HIGH}):
        assert replay(text("a"), event).of("fail")[0][2] == "\ufffd"
    beside = chunk(reason="error", choice={"error": {"message": LOW}})
    assert replay(text("a"), beside).of("fail")[0][2] == "\ufffd"


def test_a_number_of_another_type_does_no_harm() -> None:
    events = [text("가"), text("나", usage={"prompt_tokens": 3.0, "completion_tokens": 1.0})]
    assert calls_of([*events, text("null"), text("다")]) == [
        ("text", "가"),
        ("text", "나"),
        ("usage", Usage(3, 1)),
        ("text", "null"),
        ("text", "다"),
    ]


def test_the_head_is_said_once_also_when_it_is_read_leniently() -> None:
    recorder = replay(text(f"a{HIGH}"), text(LOW), text(f"b{HIGH}", model="other"))
    assert recorder.of("head") == [("head", "모델", None, None)]


# Recordings, against a reading that shares no code with ours.


def replay_lines(recording: Transcript, *, templates: bool = True) -> Recorder:
    lines = [line.encode("utf-8", "surrogatepass") for line in recording.events]
    return replay(*lines, DONE, templates=templates)


@each_recording
def test_recordings(recording: Transcript) -> None:
    recorder, reading = replay_lines(recording), recording.reading
    assert recorder.joined("content") == reading.text
    assert recorder.joined("reasoning") == reading.reasoning
    assert [
        (call["id"], call["name"], json.loads(call["arguments"])) for call in recorder.tool_calls()
    ] == list(reading.tool_calls)
    assert recorder.of("finish", "end") == [("finish", 0, reading.finish_reason), ("end",)]
    usage = recorder.of("usage")[-1][1]
    assert (usage.prompt_tokens, usage.completion_tokens) == (
        reading.usage.prompt,
        reading.usage.completion,
    )
    assert (usage.total_tokens, usage.cached_tokens, usage.reasoning_tokens) == (
        reading.usage.total,
        reading.usage.cached,
        reading.usage.reasoning,
    )
    named = [event for event in map(json.loads, recording.events) if event["choices"]]
    fingerprint = named[0].get("system_fingerprint")
    assert recorder.calls[0][:3] == ("head", named[0]["model"], fingerprint)


@each_recording
def test_templates_change_nothing_in_a_recording(recording: Transcript) -> None:
    fast = replay_lines(recording)
    assert fast.calls == replay_lines(recording, templates=False).calls


@each_recording
def test_a_recording_cut_before_its_reason_is_never_complete(recording: Transcript) -> None:
    events = [json.loads(line) for line in recording.events]
    last = next(
        index
        for index, event in enumerate(events)
        if event["choices"] and event["choices"][0]["finish_reason"]
    )
    for cut in {0, 1, last // 2, last}:
        feed = Feed()
        feed(*[line.encode("utf-8", "surrogatepass") for line in recording.events[:cut]])
        assert isinstance(feed.eof().error, ProviderCutOff)
