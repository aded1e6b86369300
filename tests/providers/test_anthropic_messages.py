import base64
import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.errors import InvalidRequest, MissingParameter, RequestError, UnsupportedParameter
from tokenferry.protocol.chat import parse_request
from tokenferry.providers.anthropic_messages import Conversation, read_conversation

MARK = {"type": "ephemeral"}
PNG = "data:image/png;base64,iVBORw0KGgo="
USER = {"role": "user", "content": "안녕"}
USER_TURN = {"role": "user", "content": [{"type": "text", "text": "안녕"}]}


def read(*messages: Any) -> Conversation:
    body = json.dumps({"model": "m", "messages": messages}).encode()
    return read_conversation(parse_request(body).messages)


def turns(*messages: Any) -> Any:
    """Return the turns as they go over the wire."""
    return json.loads(msgspec.json.encode(read(*messages).turns))


def system(*messages: Any) -> Any:
    return json.loads(msgspec.json.encode(read(*messages).system))


def parts(*content: Any) -> Any:
    """Return the blocks of one user message."""
    (turn,) = turns({"role": "user", "content": content})
    return turn["content"]


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def calling(*calls: Any, content: Any = None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": calls, **more}


def refused(error: type[RequestError], *messages: Any) -> str | None:
    with pytest.raises(error) as caught:
        read(*messages)
    return caught.value.param


# System and developer messages.


def test_leading_instructions_go_to_the_top() -> None:
    messages = [
        {"role": "system", "content": "하나"},
        {"role": "developer", "content": [text("둘", cache_control=MARK), text("셋")]},
        USER,
    ]
    assert system(*messages) == [text("하나"), text("둘", cache_control=MARK), text("셋")]
    assert turns(*messages) == [USER_TURN]


def test_later_instructions_are_hoisted_in_order() -> None:
    messages = [
        {"role": "system", "content": "first"},
        USER,
        {"role": "assistant", "content": "네"},
        {"role": "developer", "content": "second"},
        {"role": "user", "content": "계속"},
        {"role": "system", "content": "third"},
    ]
    assert system(*messages) == [text("first"), text("second"), text("third")]
    assert [turn["role"] for turn in turns(*messages)] == ["user", "assistant", "user"]


def test_a_mark_on_the_whole_message_stands_on_its_last_block() -> None:
    messages = [{"role": "system", "content": "규칙", "cache_control": MARK}, USER]
    assert system(*messages) == [text("규칙", cache_control=MARK)]


def test_instructions_are_text() -> None:
    image = {"type": "image_url", "image_url": {"url": PNG}}
    message = {"role": "system", "content": [text("a"), image]}
    assert refused(InvalidRequest, message, USER) == "messages[0].content[1].type"


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "only"}],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": " \n"}],
        [{"role": "user", "content": None}],
        [{"role": "assistant", "content": ""}],
        [{"role": "system", "content": "s"}, {"role": "user", "content": []}],
    ],
)
def test_a_conversation_without_content_is_refused(messages: list[Any]) -> None:
    with pytest.raises(InvalidRequest, match="add a `user` message") as caught:
        read(*messages)
    assert caught.value.param == "messages"


@pytest.mark.parametrize("tail", [[], [{"role": "system", "content": "s"}]])
def test_an_empty_last_question_is_refused_and_not_made_a_prefill(tail: list[Any]) -> None:
    messages = [USER, {"role": "assistant", "content": "네"}, {"role": "user", "content": " "}]
    assert refused(InvalidRequest, *messages, *tail) == "messages[2].content"


# Turns.


def test_multi_turn() -> None:
    messages = [USER, {"role": "assistant", "content": "네"}, {"role": "user", "content": "왜?"}]
    assert turns(*messages) == [
        USER_TURN,
        {"role": "assistant", "content": [text("네")]},
        {"role": "user", "content": [text("왜?")]},
    ]


def test_messages_of_one_role_in_a_row_are_one_turn() -> None:
    messages = [
        USER,
        {"role": "user", "content": "또"},
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b"},
    ]
    assert turns(*messages) == [
        {"role": "user", "content": [text("안녕"), text("또")]},
        {"role": "assistant", "content": [text("a"), text("b")]},
    ]


def test_an_empty_message_between_two_of_one_role_leaves_one_turn() -> None:
    messages = [USER, {"role": "assistant", "content": ""}, {"role": "user", "content": "또"}]
    assert turns(*messages) == [{"role": "user", "content": [text("안녕"), text("또")]}]


def test_text_without_a_visible_character_is_left_out() -> None:
    assert parts(text(""), text("a"), text(" \n\t"), text(" b ")) == [text("a"), text(" b ")]


def test_the_end_of_a_prefill_is_trimmed_and_nothing_else_is() -> None:
    messages = [
        {"role": "user", "content": "q \n"},
        {"role": "assistant", "content": "mid \n"},
        {"role": "user", "content": "r"},
        {"role": "assistant", "content": " {\n "},
    ]
    assert [turn["content"][0]["text"] for turn in turns(*messages)] == [
        "q \n",
        "mid \n",
        "r",
        " {",
    ]


def test_a_name_is_dropped() -> None:
    assert turns({**USER, "name": "영희"}) == [USER_TURN]


# Parts.


@pytest.mark.parametrize(
    ("url", "source"),
    [
        (PNG, {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}),
        (
            "DATA:image/JPG;charset=x;BASE64,AAAA",
            {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"},
        ),
        (
            "data:image/webp;base64,AA,AA",
            {"type": "base64", "media_type": "image/webp", "data": "AA,AA"},
        ),
        ("https://ex.kr/a.png?b=c", {"type": "url", "url": "https://ex.kr/a.png?b=c"}),
        ("HTTPS://ex.kr/a.png", {"type": "url", "url": "HTTPS://ex.kr/a.png"}),
    ],
)
def test_images(url: str, source: dict[str, str]) -> None:
    part = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
    assert parts(part) == [{"type": "image", "source": source}]


@pytest.mark.parametrize(
    "url",
    [
        "http://ex.kr/a.png",
        "ftp://ex.kr/a.png",
        "/tmp/a.png",  # noqa: S108 -- a path that a client may send by mistake
        "",
        "data:image/png,AAAA",
        "data:image/png;base64,",
        "data:image/png;base64",
        "data:image/tiff;base64,AAAA",
        "data:;base64,AAAA",
        "data:application/pdf;base64,AAAA",
    ],
)
def test_images_that_anthropic_cannot_take(url: str) -> None:
    message = {
        "role": "user",
        "content": [text("a"), {"type": "image_url", "image_url": {"url": url}}],
    }
    assert refused(InvalidRequest, USER, message) == "messages[1].content[1].image_url.url"


def test_a_pdf() -> None:
    file = {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "보고서.pdf"}
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    assert parts({"type": "file", "file": file, "cache_control": MARK}) == [
        {"type": "document", "source": source, "title": "보고서.pdf", "cache_control": MARK}
    ]


def test_a_text_file() -> None:
    data = base64.b64encode("가나다".encode()).decode()
    source = {"type": "text", "media_type": "text/plain", "data": "가나다"}
    for head in ("data:text/plain", "data:text/plain;charset=utf-8"):
        file = {"file_data": f"{head};base64,{data}"}
        assert parts({"type": "file", "file": file}) == [{"type": "document", "source": source}]


@pytest.mark.parametrize(
    ("file", "error", "param"),
    [
        ({"file_id": "file-1"}, UnsupportedParameter, "file_id"),
        ({}, MissingParameter, "file_data"),
        ({"file_data": "JVBERi0="}, InvalidRequest, "file_data"),
        ({"file_data": "data:image/png;base64,AAAA"}, InvalidRequest, "file_data"),
        ({"file_data": "data:text/plain;base64,가"}, InvalidRequest, "file_data"),
        ({"file_data": "data:text/plain;base64,/w=="}, InvalidRequest, "file_data"),
    ],
)
def test_files_that_anthropic_cannot_take(
    file: dict[str, str], error: type[RequestError], param: str
) -> None:
    message = {"role": "user", "content": [{"type": "file", "file": file}]}
    assert refused(error, message) == f"messages[0].content[0].file.{param}"


def test_audio_is_refused() -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    message = {"role": "user", "content": [audio]}
    assert refused(UnsupportedParameter, message) == "messages[0].content[0].input_audio"


@pytest.mark.parametrize("kind", ["video_url", "refusal", "tool_use", ""])
def test_unknown_and_misplaced_parts_are_refused(kind: str) -> None:
    message = {"role": "user", "content": [{"type": kind, "refusal": "x"}]}
    assert refused(InvalidRequest, message) == "messages[0].content[0].type"


def test_an_image_without_an_object_around_its_url() -> None:
    bare = parts({"type": "image_url", "image_url": PNG})
    assert bare == parts({"type": "image_url", "image_url": {"url": PNG}})


@pytest.mark.parametrize("kind", ["text", "image_url", "file"])
def test_a_part_without_its_content_is_refused(kind: str) -> None:
    message = {"role": "user", "content": [{"type": kind}]}
    assert refused(MissingParameter, message) == f"messages[0].content[0].{kind}"


def test_marks_on_parts() -> None:
    image = {"type": "image_url", "image_url": {"url": PNG}, "cache_control": MARK}
    (first, second) = parts(image, text("a", cache_control={"type": "ephemeral", "ttl": "1h"}))
    assert first["cache_control"] == MARK
    assert second["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_a_mark_on_the_message_does_not_replace_one_on_the_part() -> None:
    content = [text("a"), text("b", cache_control={"type": "ephemeral", "ttl": "1h"})]
    (turn,) = turns({"role": "user", "content": content, "cache_control": MARK})
    assert turn["content"] == content


# Calls and results.


def test_calls_and_results() -> None:
    messages = [
        USER,
        calling(call("c1", "날씨", '{"도시": "서울"}'), call("c2", "시각", ""), content="잠시만요"),
        {"role": "tool", "tool_call_id": "c1", "content": "맑음"},
        {"role": "tool", "tool_call_id": "c2", "content": ""},
        {"role": "user", "content": "고마워"},
    ]
    assert turns(*messages)[1:] == [
        {
            "role": "assistant",
            "content": [
                text("잠시만요"),
                {"type": "tool_use", "id": "c1", "name": "날씨", "input": {"도시": "서울"}},
                {"type": "tool_use", "id": "c2", "name": "시각", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [text("맑음")]},
                {"type": "tool_result", "tool_use_id": "c2"},
                text("고마워"),
            ],
        },
    ]


def test_results_stand_first_in_their_turn() -> None:
    messages = [
        USER,
        calling(call("a", "f", "{}"), call("b", "f", "{}")),
        {"role": "user", "content": "and"},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
    ]
    blocks = turns(*messages)[2]["content"]
    assert [block.get("tool_use_id", block["type"]) for block in blocks] == ["a", "b", "text"]


def test_a_result_with_parts_carries_its_mark_itself() -> None:
    content = [text("그림:", cache_control=MARK), {"type": "image_url", "image_url": {"url": PNG}}]
    result = {"role": "tool", "tool_call_id": "c", "content": content}
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    assert turns(USER, calling(call("c", "f", "")), result)[2]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "c",
            "content": [text("그림:"), {"type": "image", "source": source}],
            "cache_control": MARK,
        }
    ]


def test_ids_of_other_providers_are_put_into_anthropics_alphabet() -> None:
    messages = [
        USER,
        calling(call("functions.날씨:0", "f", "{}")),
        {"role": "tool", "tool_call_id": "functions.날씨:0", "content": "x"},
    ]
    _, assistant, user = turns(*messages)
    assert assistant["content"][0]["id"] == "functions____0"
    assert user["content"][0]["tool_use_id"] == "functions____0"


@pytest.mark.parametrize(
    "arguments",
    ["{", "[]", "null", '"a"', "{'a': 1}", '{"a": tru}', "[" * 100_000, '{"a":"\\ud83d"}'],
)
def test_arguments_that_are_no_json_object_are_refused(arguments: str) -> None:
    message = calling(call("a", "f", "{}"), call("b", "f", arguments))
    expected = "messages[1].tool_calls[1].function.arguments"
    assert refused(InvalidRequest, USER, message) == expected


def test_other_kinds_of_calls_are_refused() -> None:
    custom = {"id": "a", "type": "custom", "custom": {"name": "f", "input": "가"}}
    param = refused(UnsupportedParameter, USER, calling(custom))
    assert param == "messages[1].tool_calls[0].type"


def test_a_result_names_its_call() -> None:
    message = {"role": "tool", "content": "x"}
    assert refused(MissingParameter, USER, message) == "messages[1].tool_call_id"


def test_the_older_function_role_is_refused() -> None:
    message = {"role": "function", "name": "f", "content": "x"}
    assert refused(UnsupportedParameter, USER, message) == "messages[1].role"


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "refusal": "못 합니다"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "못 합니다"}]},
    ],
)
def test_a_refusal_is_text_again(message: Any) -> None:
    expected = {"role": "assistant", "content": [text("못 합니다")]}
    assert turns(USER, message, {"role": "user", "content": "왜?"})[1] == expected


def test_an_image_is_not_the_assistants() -> None:
    image = {"type": "image_url", "image_url": {"url": PNG}}
    message = {"role": "assistant", "content": [image]}
    assert refused(InvalidRequest, USER, message) == "messages[1].content[0].type"


# Thinking.

SIGNED = {"type": "reasoning.text", "text": "음…", "signature": "c2ln"}
ENCRYPTED = {"type": "reasoning.encrypted", "data": "ZGF0YQ=="}


def test_signed_thinking_goes_back_first_and_in_its_order() -> None:
    message = calling(
        call("c", "f", ""),
        content="네",
        reasoning_details=[
            {**SIGNED, "format": "anthropic-claude-v1", "index": 0},
            ENCRYPTED,
            {"type": "reasoning.text", "signature": "only"},
        ],
    )
    assert turns(USER, message)[1]["content"] == [
        {"type": "thinking", "thinking": "음…", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        {"type": "thinking", "thinking": "", "signature": "only"},
        text("네"),
        {"type": "tool_use", "id": "c", "name": "f", "input": {}},
    ]


@pytest.mark.parametrize(
    "detail",
    [
        {"type": "reasoning.text", "text": "unsigned"},
        {"type": "reasoning.text", "text": "unsigned", "signature": None},
        {"type": "reasoning.summary", "summary": "s"},
        {**SIGNED, "format": "google-gemini-v1"},
        {**ENCRYPTED, "format": "openai-responses-v1"},
        {"type": "reasoning.encrypted", "data": None},
        {},
    ],
)
def test_thinking_that_anthropic_did_not_sign_is_left_out(detail: dict[str, Any]) -> None:
    message = {"role": "assistant", "content": "네", "reasoning_details": [detail]}
    assert turns(USER, message)[1]["content"] == [text("네")]


def test_thinking_alone_is_no_message() -> None:
    message = {"role": "assistant", "content": "", "reasoning_details": [SIGNED]}
    assert turns(USER, message) == [USER_TURN]


def test_a_mark_does_not_stand_on_thinking() -> None:
    message = {
        "role": "assistant",
        "content": "네",
        "reasoning_details": [SIGNED],
        "cache_control": MARK,
    }
    thinking, answer = turns(USER, message)[1]["content"]
    assert "cache_control" not in thinking
    assert answer["cache_control"] == MARK


@pytest.mark.parametrize(
    ("messages", "unsigned"),
    [
        ([USER], False),
        ([USER, {"role": "assistant", "content": "네"}], False),
        ([USER, calling(call("c", "f", ""))], True),
        ([USER, calling(call("c", "f", ""), reasoning_details=[SIGNED])], False),
        ([USER, calling(call("c", "f", ""), reasoning_details=[ENCRYPTED])], False),
        (
            [
                USER,
                calling(call("c", "f", "")),
                {"role": "tool", "tool_call_id": "c", "content": "x"},
            ],
            True,
        ),
        # The last assistant turn counts, not an earlier one.
        (
            [
                USER,
                calling(call("c", "f", "")),
                {"role": "tool", "tool_call_id": "c", "content": "x"},
                {"role": "assistant", "content": "네"},
                USER,
            ],
            False,
        ),
    ],
)
def test_unsigned_tool_turns(messages: list[Any], *, unsigned: bool) -> None:
    assert read(*messages).ends_in_unsigned_tool_turn is unsigned


message_lists = st.lists(
    st.one_of(
        st.builds(
            lambda role, content: {"role": role, "content": content},
            st.sampled_from(["system", "developer", "user", "assistant"]),
            st.text(st.sampled_from(" \n가a"), max_size=3),
        ),
        st.builds(
            lambda content: calling(call("c", "f", "{}"), content=content), st.text(max_size=2)
        ),
        st.builds(
            lambda content: {"role": "tool", "tool_call_id": "c", "content": content},
            st.text(max_size=2),
        ),
    ),
    min_size=1,
    max_size=8,
)


@given(message_lists)
def test_whatever_comes_in_what_goes_out_has_anthropics_form(messages: list[Any]) -> None:
    try:
        conversation = read(*messages)
    except InvalidRequest:
        visible = [m for m in messages if m["role"] in ("user", "assistant", "tool")]
        is_empty = not any(
            (m["content"] or "").strip() or m["role"] == "tool" or "tool_calls" in m
            for m in visible
        )
        assert is_empty or (visible[-1]["role"] == "user" and not visible[-1]["content"].strip())
        return
    roles = [turn.role for turn in conversation.turns]
    assert all(before != after for before, after in pairwise(roles))
    for turn in json.loads(msgspec.json.encode(conversation.turns)):
        kinds = [block["type"] for block in turn["content"]]
        assert kinds
        assert kinds == sorted(kinds, key=lambda kind: kind != "tool_result")
        assert all(block["text"].strip() for block in turn["content"] if block["type"] == "text")
    written = [m["content"].strip() for m in messages if m["content"] and m["content"].strip()]
    read_back = [
        *(block.text.strip() for block in conversation.system),
        *_texts(json.loads(msgspec.json.encode(conversation.turns))),
    ]
    assert sorted(written) == sorted(read_back)


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in _texts(item)]
    if value.get("type") == "text":
        return [value["text"].strip()]
    return _texts(value["content"]) if "content" in value else []
