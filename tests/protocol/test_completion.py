import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain import journal
from tokenferry.protocol.completion import Completion, WholeRenderer
from tokenferry.protocol.frames import Head, Terminal, WireError, encode

CREATED = 1_790_000_000
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
ERROR = WireError("천천히", "rate_limit_error", None, "slow_down", retryable=True)


def head(*fields: str, **more: Any) -> bytes:
    record = Head("모델", CREATED, [*fields] or ["reasoning_content"], **more)
    return journal.pack(journal.HEAD, encode(record))


def text(value: str) -> bytes:
    return journal.pack(journal.TEXT, encode(value))


def reasoning(value: str) -> bytes:
    return journal.pack(journal.REASONING, encode(value))


def delta(index: int = 0, logprobs: Any = None, **fields: Any) -> bytes:
    packed = b"" if logprobs is None else encode(logprobs)
    return journal.pack_delta(index, encode(fields), packed, has_content="content" in fields)


def finish(*reasons: str, **more: Any) -> bytes:
    return journal.pack(journal.FINISH, encode(Terminal([*reasons], **more)))


def error(**more: Any) -> bytes:
    return journal.pack(journal.ERROR, encode(Terminal(error=ERROR, **more)))


def fold(*records: bytes) -> Completion:
    completion = Completion("strm_1")
    for record in records:
        completion.add(record)
    return completion


def body(*records: bytes) -> Any:
    """Return the body as a client reads it."""
    return json.loads(encode(fold(*records).body()))


def message(*records: bytes) -> Any:
    return body(head(), *records, finish("stop"))["choices"][0]["message"]


def call(index: int | None = None, call_id: str | None = None, **function: Any) -> dict[str, Any]:
    fragment: dict[str, Any] = {} if index is None else {"index": index}
    if call_id is not None:
        fragment |= {"id": call_id, "type": "function"}
    return fragment | ({"function": function} if function else {})


def test_a_whole_body() -> None:
    assert body(head(), text("안녕"), text(" 😀"), finish("stop", usage=USAGE)) == {
        "id": "chatcmpl-strm_1",
        "object": "chat.completion",
        "created": CREATED,
        "model": "모델",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "안녕 😀",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }


def test_what_the_head_says() -> None:
    whole = body(head(system_fingerprint="fp", service_tier="flex"), finish("stop"))
    assert (whole["system_fingerprint"], whole["service_tier"]) == ("fp", "flex")
    assert whole["usage"] is None


def test_nothing_is_folded_yet() -> None:
    whole = body()
    assert (whole["model"], whole["usage"]) == ("", None)
    assert whole["choices"][0]["finish_reason"] is None
    assert whole["choices"][0]["message"]["content"] == ""


@pytest.mark.parametrize(
    "fields", [["reasoning_content"], ["reasoning"], ["reasoning_content", "reasoning"]]
)
def test_reasoning_under_the_heads_names(fields: list[str]) -> None:
    mixed = dict.fromkeys(fields, "음, ")
    records = [head(*fields), reasoning("흠"), delta(content="", **mixed), reasoning("아")]
    answer = body(*records, text("답"), finish("stop"))["choices"][0]["message"]
    assert answer["content"] == "답"
    assert {key: answer[key] for key in answer if key.startswith("reasoning")} == dict.fromkeys(
        fields, "흠음, 아"
    )


def test_a_message_without_reasoning_has_no_key_for_it() -> None:
    assert "reasoning_content" not in message(text("a"))


def test_a_tool_call_in_fragments() -> None:
    answer = message(
        delta(tool_calls=[call(0, "c1", name="날씨", arguments="")]),
        delta(tool_calls=[call(0, arguments='{"도시":')]),
        delta(tool_calls=[call(0, arguments='"서울"}')]),
    )
    assert answer["tool_calls"] == [
        {
            "id": "c1",
            "type": "function",
            "function": {"name": "날씨", "arguments": '{"도시":"서울"}'},
        }
    ]
    assert answer["content"] is None


def test_parallel_tool_calls_out_of_order() -> None:
    answer = message(
        text("잠시만요"),
        delta(tool_calls=[call(2, "c", name="h"), call(0, "a", name="f", arguments="1")]),
        delta(tool_calls=[call(1, "b", name="g", arguments="2")]),
        delta(tool_calls=[call(0, arguments="0"), call(2, arguments="3")]),
        delta(tool_calls=[call(1), call(1, arguments="5")]),
    )
    calls = answer["tool_calls"]
    assert [found["id"] for found in calls] == ["a", "b", "c"]
    assert [found["function"] for found in calls] == [
        {"name": "f", "arguments": "10"},
        {"name": "g", "arguments": "25"},
        {"name": "h", "arguments": "3"},
    ]
    assert answer["content"] == "잠시만요"


def test_tool_calls_keep_what_their_provider_wants_back() -> None:
    signed = {"google": {"thought_signature": "c2ln"}}
    answer = message(
        delta(tool_calls=[call(0, "a", name="f", arguments="{}") | {"extra_content": signed}]),
        delta(tool_calls=[call(0) | {"type": "custom"}]),
    )
    assert answer["tool_calls"][0]["extra_content"] == signed
    assert answer["tool_calls"][0]["type"] == "custom"


def test_a_custom_tools_call_in_fragments() -> None:
    def custom(**fields: str) -> dict[str, Any]:
        return {"index": 0, "custom": fields}

    records = [
        delta(tool_calls=[custom(name="shell", input="") | {"id": "a", "type": "custom"}]),
        delta(tool_calls=[custom(input="echo ")]),
        delta(tool_calls=[custom(input="안녕")]),
    ]
    assert message(*records)["tool_calls"] == [
        {"id": "a", "type": "custom", "custom": {"name": "shell", "input": "echo 안녕"}}
    ]
    assert fold(head(), *records).output_text() == "shellecho 안녕"


def test_a_refusal() -> None:
    answer = message(delta(refusal="그건 "), delta(refusal="안 됩니다."))
    assert (answer["refusal"], answer["content"]) == ("그건 안 됩니다.", None)


def test_a_function_call_in_fragments() -> None:
    answer = message(
        delta(function_call={"name": "f", "arguments": ""}),
        delta(function_call={"arguments": '{"a"'}),
        delta(function_call={"name": None, "arguments": ":1}", "other": 1}),
        delta(function_call={"name": 5, "arguments": ["x"]}),
    )
    assert answer["function_call"] == {"name": "f", "arguments": '{"a":1}'}
    assert answer["content"] is None


def test_lists_are_joined() -> None:
    answer = message(
        delta(annotations=[{"n": 1}], images=[{"i": 1}]),
        delta(annotations=[{"n": 2}, {"n": 3}], reasoning_details=[{"d": 1}]),
        delta(images=[{"i": 2}], reasoning_details=[]),
    )
    assert answer["annotations"] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert answer["images"] == [{"i": 1}, {"i": 2}]
    assert answer["reasoning_details"] == [{"d": 1}]


def test_audio_in_fragments() -> None:
    answer = message(
        delta(audio={"id": "au", "data": None, "transcript": "안"}),
        delta(audio={"data": "AAA=", "transcript": "녕"}),
        delta(audio={"data": "BBB=", "expires_at": 1}),
    )
    assert answer["audio"] == {
        "id": "au",
        "data": "AAA=BBB=",
        "transcript": "안녕",
        "expires_at": 1,
    }
    assert answer["content"] is None


def test_logprobs_are_joined() -> None:
    whole = body(
        head(),
        delta(content="a", logprobs={"content": [{"token": "a"}], "refusal": None}),
        delta(logprobs={"content": [{"token": "b"}, {"token": "c"}]}),
        delta(logprobs={"refusal": [{"token": "d"}], "content": None}),
        delta(logprobs={"content": {"of": "another type"}, "refusal": "x"}),
        finish("stop"),
    )
    assert whole["choices"][0]["logprobs"] == {
        "content": [{"token": "a"}, {"token": "b"}, {"token": "c"}],
        "refusal": [{"token": "d"}],
    }


def test_several_choices() -> None:
    records = [head(), text("하"), delta(1, content="두"), text("나"), delta(1, content="울")]
    choices = body(*records, finish("stop", "length", "stop"))["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert [choice["message"]["content"] for choice in choices] == ["하나", "두울", ""]
    assert [choice["finish_reason"] for choice in choices] == ["stop", "length", "stop"]


def test_output_text_is_all_that_was_delivered() -> None:
    completion = fold(
        head(),
        reasoning("생각"),
        text("글"),
        delta(refusal="거절"),
        delta(tool_calls=[call(0, "c", name="f", arguments="{}")]),
        delta(function_call={"name": "g", "arguments": "[]"}),
        delta(1, content="둘"),
    )
    assert completion.output_text() == "생각글거절f{}g[]둘"
    assert fold(head()).output_text() == ""


@given(st.lists(st.tuples(st.booleans(), st.text(st.characters(exclude_categories=["Cs"])))))
def test_text_and_reasoning_fold_to_their_concatenations(parts: list[tuple[bool, str]]) -> None:
    records = [text(part) if is_text else reasoning(part) for is_text, part in parts]
    answer = message(*records)
    assert answer["content"] == "".join(part for is_text, part in parts if is_text)
    thoughts = "".join(part for is_text, part in parts if not is_text)
    assert answer.get("reasoning_content", "") == thoughts
    assert fold(head(), *records).output_text() == thoughts + answer["content"]


# One frame for `stream: false`.


def render(*records: bytes, aware: bool = False) -> Any:
    """Render all records, of which only the last may give a frame, and return that frame."""
    renderer = WholeRenderer("strm_1", 1, aware=aware)
    *before, last = [renderer.render(seq, record) for seq, record in enumerate(records, 1)]
    assert before == [b""] * (len(records) - 1)
    assert last[0] == 0x81
    assert not renderer.merges
    return json.loads(last[4 if last[1] == 126 else 2 :])


def choice(content: str | None, reason: str, **more: Any) -> Any:
    answer = {"role": "assistant", "content": content, "refusal": None, "annotations": []} | more
    return {
        "index": 0,
        "message": answer,
        "logprobs": None,
        "finish_reason": reason,
        "delta": answer | {"content": content or ""},
    }


LAST = {"stream_id": "strm_1", "epoch": 1, "seq": 3, "cost": None, "done": True}
START = {
    "id": "chatcmpl-strm_1",
    "object": "chat.completion",
    "created": CREATED,
    "model": "모델",
}


def test_a_plain_whole_frame() -> None:
    frame = render(head(), text("안녕"), finish("stop", usage=USAGE, cost="0.1"))
    answer = START | {"choices": [choice("안녕", "stop")], "usage": USAGE}
    assert frame == answer | LAST | {"cost": "0.1"}


def test_an_aware_whole_frame() -> None:
    frame = render(head(), text("안녕"), finish("stop"), aware=True)
    answer = START | {"choices": [choice("안녕", "stop")], "usage": None}
    assert frame == answer | LAST | {"type": "done", "finish_reason": "stop"}


def test_a_whole_frame_whose_message_has_no_content() -> None:
    frame = render(head(), delta(tool_calls=[call(0, "c", name="f")]), finish("tool_calls"))
    (only,) = frame["choices"]
    assert only["message"]["content"] is None
    assert only["delta"]["content"] == ""
    assert only["delta"]["tool_calls"] == only["message"]["tool_calls"]


@pytest.mark.parametrize("aware", [False, True])
def test_a_whole_frame_that_ends_in_an_error(*, aware: bool) -> None:
    frame = render(head(), text("반쯤"), error(usage=USAGE), aware=aware)
    more = {"type": "error", "finish_reason": "error"} if aware else {}
    answer = START | {"choices": [choice("반쯤", "error")], "usage": USAGE}
    wire = {
        "message": "천천히",
        "type": "rate_limit_error",
        "param": None,
        "code": "slow_down",
        "retryable": True,
    }
    assert frame == answer | LAST | more | {"error": wire}


def test_a_whole_frame_for_an_error_before_the_head() -> None:
    frame = render(error())
    assert (frame["done"], frame["choices"][0]["finish_reason"]) == (True, "error")
    assert frame["error"]["code"] == "slow_down"


def test_a_plain_whole_frame_has_one_choice_and_an_aware_one_has_all() -> None:
    records = [head(), delta(1, content="둘"), finish("stop", "length")]
    assert [found["index"] for found in render(*records)["choices"]] == [0]
    frame = render(*records, aware=True)
    assert [found["delta"]["content"] for found in frame["choices"]] == ["", "둘"]


def test_a_renderer_that_has_the_head_already() -> None:
    renderer = WholeRenderer("strm_1", 1, aware=False)
    renderer.open(head())
    renderer.render(2, text("안녕"))
    late = renderer.render(3, finish("stop"))
    assert json.loads(late[4:]) == render(head(), text("안녕"), finish("stop"))


def test_a_whole_renderer_is_never_asked_to_merge() -> None:
    with pytest.raises(NotImplementedError):
        WholeRenderer("strm_1", 1, aware=False).merge(1, 2, [])
