"""Messages as contents."""

import itertools
import json
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.errors import InvalidRequest, MissingParameter, RequestError, UnsupportedParameter
from tokenferry.protocol.chat import parse_request
from tokenferry.providers.gemini_contents import SIGNATURE_UNKNOWN, Conversation, model_version

PIXEL = "iVBORw0KGgo="
FLASH_25 = "gemini-2.5-flash"
FLASH_36 = "gemini-3.6-flash"


def converse(messages: list[dict[str, Any]], model: str = FLASH_25) -> tuple[list[Any], list[Any]]:
    body = json.dumps({"model": "any", "messages": messages}).encode()
    conversation = Conversation(model_version(model))
    for index, message in enumerate(parse_request(body).messages):
        conversation.add(index, message)
    read = msgspec.json.decode(
        msgspec.json.encode([conversation.system, conversation.contents]), type=tuple
    )
    return read[0], read[1]


def contents(messages: list[dict[str, Any]], model: str = FLASH_25) -> list[Any]:
    return converse(messages, model)[1]


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def call(
    call_id: str = "c1", name: str = "weather", arguments: str = '{"city":"서울"}', **more: Any
) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function, **more}


def assistant(*calls: dict[str, Any], content: Any = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(content: Any, call_id: str = "c1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def refused(messages: list[dict[str, Any]], model: str = FLASH_25) -> RequestError:
    with pytest.raises(RequestError) as caught:
        converse(messages, model)
    assert caught.value.param is not None
    assert caught.value.param in caught.value.message
    return caught.value


class TestRoles:
    def test_system_and_developer_leave_the_turns_in_order(self):
        system, turns = converse(
            [
                {"role": "system", "content": "하나"},
                {"role": "user", "content": "질문"},
                {"role": "developer", "content": [{"type": "text", "text": "둘"}]},
                {"role": "assistant", "content": "답"},
                {"role": "system", "content": ""},
            ]
        )
        assert system == [{"text": "하나"}, {"text": "둘"}]
        assert turns == [
            {"role": "user", "parts": [{"text": "질문"}]},
            {"role": "model", "parts": [{"text": "답"}]},
        ]

    def test_system_holds_text_only(self):
        image = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
        error = refused([{"role": "system", "content": [image]}])
        assert error.param == "messages[0].content[0].type"

    def test_consecutive_messages_of_one_role_become_one_turn(self):
        assert contents(
            [
                {"role": "user", "content": "a"},
                {"role": "system", "content": "between"},
                {"role": "user", "content": "b"},
                {"role": "assistant", "content": "c"},
                {"role": "assistant", "content": "d"},
            ]
        ) == [
            {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
            {"role": "model", "parts": [{"text": "c"}, {"text": "d"}]},
        ]

    def test_empty_content_is_dropped(self):
        assert contents(
            [
                {"role": "user", "content": ""},
                user({"type": "text", "text": ""}, {"type": "text", "text": "a"}),
                {"role": "assistant", "content": None},
                user(),
            ]
        ) == [{"role": "user", "parts": [{"text": "a"}]}]

    def test_a_refusal_is_what_the_model_said(self):
        assert contents(
            [
                {"role": "assistant", "content": None, "refusal": "싫어요"},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]},
            ]
        ) == [{"role": "model", "parts": [{"text": "싫어요"}, {"text": "No"}]}]

    def test_function_role_is_refused(self):
        error = refused([{"role": "function", "name": "f", "content": "1"}])
        assert isinstance(error, UnsupportedParameter)
        assert error.param == "messages[0].role"

    def test_cache_marks_and_names_are_ignored(self):
        mark = {"cache_control": {"type": "ephemeral"}}
        message = {
            "role": "user",
            "name": "kim",
            "content": [{"type": "text", "text": "a", **mark}],
        }
        assert contents([{**message, **mark}]) == [{"role": "user", "parts": [{"text": "a"}]}]


class TestMedia:
    @pytest.mark.parametrize(
        ("url", "mime_type"),
        [
            (f"data:image/png;base64,{PIXEL}", "image/png"),
            (f"DATA:Image/PNG;charset=x;Base64,{PIXEL}", "image/png"),
            (f"data:image/jpg;base64,{PIXEL}", "image/jpeg"),
        ],
    )
    def test_data_url_goes_inline(self, url: str, mime_type: str):
        [turn] = contents([user({"type": "image_url", "image_url": {"url": url}})])
        assert turn["parts"] == [{"inlineData": {"mimeType": mime_type, "data": PIXEL}}]

    @pytest.mark.parametrize(
        ("url", "mime_type"),
        [
            ("https://example.com/a.png", "image/png"),
            ("HTTPS://example.com/a.JPG?size=1.webp#x", "image/jpeg"),
            ("https://example.com/a.webp", "image/webp"),
            ("https://example.com/a.b/c", "image/jpeg"),
            ("https://example.com", "image/jpeg"),
        ],
    )
    def test_https_url_is_fetched_by_google(self, url: str, mime_type: str):
        [turn] = contents([user({"type": "image_url", "image_url": {"url": url}})])
        assert turn["parts"] == [{"fileData": {"mimeType": mime_type, "fileUri": url}}]

    def test_a_url_without_an_object_around_it(self):
        part = {"type": "image_url", "image_url": f"data:image/png;base64,{PIXEL}"}
        [turn] = contents([user(part)])
        assert turn["parts"] == [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}]

    @pytest.mark.parametrize("model", ["gemini-2.0-flash", "gemini-1.5-pro", "gemma-3-27b-it"])
    def test_models_that_do_not_fetch_urls(self, model: str):
        part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
        error = refused([user({"type": "text", "text": "a"}, part)], model)
        assert error.param == "messages[0].content[1].image_url.url"
        assert "data URL" in error.message

    @pytest.mark.parametrize(
        "url",
        [
            "http://example.com/a.png",
            "gs://bucket/a.png",
            "a.png",
            "",
            "data:",
            "data:image/png,abc",
            "data:image/png;base64",
            "data:image/png;base64,",
            "data:;base64,abc",
        ],
    )
    def test_other_urls_are_refused(self, url: str):
        error = refused([user({"type": "image_url", "image_url": {"url": url}})])
        assert isinstance(error, InvalidRequest)
        assert error.param == "messages[0].content[0].image_url.url"
        assert "data:<media type>;base64,<data>" in error.message

    @pytest.mark.parametrize("name", ["wav", "mp3"])
    def test_audio(self, name: str):
        part = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": name}}
        [turn] = contents([user(part)])
        assert turn["parts"] == [{"inlineData": {"mimeType": f"audio/{name}", "data": "AAAA"}}]

    def test_audio_of_an_unknown_format(self):
        part = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "midi"}}
        assert refused([user(part)]).param == "messages[0].content[0].input_audio.format"

    def test_file(self):
        file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}
        [turn] = contents([user({"type": "file", "file": file})])
        assert turn["parts"] == [{"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}}]

    @pytest.mark.parametrize("file", [{"file_id": "file-1"}, {"file_data": "AAAA"}, {}])
    def test_other_files_are_refused(self, file: dict[str, str]):
        error = refused([user({"type": "file", "file": file})])
        assert error.param == "messages[0].content[0].file.file_data"

    @pytest.mark.parametrize("kind", ["image_url", "input_audio"])
    def test_a_part_without_its_content(self, kind: str):
        error = refused([user({"type": kind})])
        assert isinstance(error, MissingParameter)
        assert error.param == f"messages[0].content[0].{kind}"

    def test_unknown_part(self):
        error = refused([{"role": "user", "content": "a"}, user({"type": "video_url"})])
        assert isinstance(error, InvalidRequest)
        assert error.param == "messages[1].content[0].type"


class TestCalls:
    def test_a_call_and_its_result(self):
        turns = contents(
            [
                {"role": "user", "content": "날씨"},
                assistant(call(), content="볼게요"),
                result('{ "temp" : 21 }'),
            ]
        )
        assert turns[1:] == [
            {
                "role": "model",
                "parts": [
                    {"text": "볼게요"},
                    {"functionCall": {"name": "weather", "args": {"city": "서울"}, "id": "c1"}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "name": "weather",
                            "response": {"temp": 21},
                            "id": "c1",
                        }
                    }
                ],
            },
        ]

    def test_results_of_one_turn_share_a_content_apart_from_the_users_words(self):
        turns = contents(
            [
                assistant(call("a", "f"), call("b", "g")),
                result("1", "b"),
                result("2", "a"),
                {"role": "user", "content": "and?"},
            ]
        )
        assert [
            (part["functionResponse"]["id"], part["functionResponse"]["name"])
            for part in turns[1]["parts"]
        ] == [("b", "g"), ("a", "f")]
        assert turns[2] == {"role": "user", "parts": [{"text": "and?"}]}
        assert len(turns) == 3

    @pytest.mark.parametrize(
        ("content", "response"),
        [
            ('{"a":{"b":[1,2]}}', {"a": {"b": [1, 2]}}),
            ("맑음", {"result": "맑음"}),
            ("[1,2]", {"result": "[1,2]"}),
            ("42", {"result": "42"}),
            ('{"a":', {"result": '{"a":'}),
            ("", {"result": ""}),
            (None, {"result": ""}),
            ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], {"result": "ab"}),
        ],
    )
    def test_result_forms(self, content: Any, response: dict[str, Any]):
        turns = contents([assistant(call()), result(content)])
        assert turns[1]["parts"][0]["functionResponse"]["response"] == response

    def test_numbers_of_a_result_are_not_touched(self):
        big = '{"id":123456789012345678901234567890,"x":1.10}'
        conversation = Conversation(model_version(FLASH_25))
        messages = [assistant(call()), result(big)]
        body = json.dumps({"model": "any", "messages": messages}).encode()
        for index, message in enumerate(parse_request(body).messages):
            conversation.add(index, message)
        assert big.encode() in msgspec.json.encode(conversation.contents)

    @pytest.mark.parametrize(
        ("arguments", "args"), [("", {}), ("  ", {}), ("{}", {}), ('{"a":null}', {"a": None})]
    )
    def test_arguments(self, arguments: str, args: dict[str, Any]):
        [turn] = contents([assistant(call(arguments=arguments))])
        assert turn["parts"][0]["functionCall"]["args"] == args

    @pytest.mark.parametrize("arguments", ["{", "[]", "1", '"a"', "null"])
    def test_arguments_that_are_no_object(self, arguments: str):
        error = refused([assistant(call("a"), call("b", arguments=arguments))])
        assert isinstance(error, InvalidRequest)
        assert error.param == "messages[0].tool_calls[1].function.arguments"

    def test_a_call_of_a_custom_tool(self):
        custom = {"id": "c1", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
        error = refused([user({"type": "text", "text": "가"}), assistant(custom), result("가")])
        assert error.param == "messages[1].tool_calls[0].type"

    def test_a_result_for_an_unknown_call(self):
        error = refused([assistant(call("a")), result("1", "zzz")])
        assert isinstance(error, InvalidRequest)
        assert error.param == "messages[1].tool_call_id"
        assert "zzz" in error.message

    def test_a_result_before_its_call(self):
        assert refused([result("1", "a"), assistant(call("a"))]).param == "messages[0].tool_call_id"

    def test_a_result_without_an_id(self):
        error = refused([assistant(call()), {"role": "tool", "content": "1"}])
        assert isinstance(error, MissingParameter)
        assert error.param == "messages[1].tool_call_id"

    def test_a_result_holds_text_only(self):
        image = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
        error = refused([assistant(call()), result([image])])
        assert error.param == "messages[1].content[0].type"


class TestSignatures:
    SIGNED: ClassVar[dict[str, Any]] = {"extra_content": {"google": {"thought_signature": "c2ln"}}}

    def signatures(self, model: str, *calls: dict[str, Any]) -> list[str | None]:
        [turn] = contents([assistant(*calls)], model)
        return [part.get("thoughtSignature") for part in turn["parts"]]

    @pytest.mark.parametrize("model", [FLASH_25, FLASH_36])
    def test_a_signature_goes_back_on_its_part(self, model: str):
        assert self.signatures(model, call("a", **self.SIGNED), call("b")) == ["c2ln", None]

    @pytest.mark.parametrize("model", [FLASH_36, "gemini-3-pro-preview", "gemini-flash-latest"])
    def test_a_lost_signature_is_replaced_on_the_first_call(self, model: str):
        assert self.signatures(model, call("a"), call("b")) == [SIGNATURE_UNKNOWN, None]

    @pytest.mark.parametrize("model", [FLASH_25, "gemma-3-27b-it"])
    def test_earlier_models_need_none(self, model: str):
        assert self.signatures(model, call("a")) == [None]

    def test_every_step_is_looked_at(self):
        turns = contents(
            [
                assistant(call("a", **self.SIGNED)),
                result("1", "a"),
                assistant(call("b")),
                result("2", "b"),
            ],
            FLASH_36,
        )
        assert turns[0]["parts"][0]["thoughtSignature"] == "c2ln"
        assert turns[2]["parts"][0]["thoughtSignature"] == SIGNATURE_UNKNOWN

    @pytest.mark.parametrize(
        "extra",
        [
            None,
            {},
            {"google": None},
            {"google": {"thought_signature": 1}},
            {"google": {}},
            {"x": 1},
        ],
    )
    def test_other_extra_content_counts_as_none(self, extra: Any):
        assert self.signatures(FLASH_36, call("a", extra_content=extra)) == [SIGNATURE_UNKNOWN]


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("gemini-2.5-flash", (2, 5)),
        ("gemini-2.5-flash-preview-09-2025", (2, 5)),
        ("gemini-3-pro-preview", (3, 0)),
        ("gemini-3.1-pro-preview", (3, 1)),
        ("gemini-robotics-er-1.6-preview", (1, 6)),
        ("gemma-3-27b-it", (0, 0)),
        ("mine", (0, 0)),
    ],
)
def test_model_version(model: str, version: tuple[int, int]):
    assert model_version(model) == version


def test_an_alias_is_the_newest():
    assert model_version("gemini-flash-latest") > (100, 0)


_text = st.text(max_size=8)
_messages = st.lists(
    st.one_of(
        st.builds(
            lambda role, text: {"role": role, "content": text},
            st.sampled_from(["system", "developer", "user", "assistant"]),
            _text,
        ),
        st.builds(
            lambda texts: user(*({"type": "text", "text": text} for text in texts)),
            st.lists(_text, max_size=3),
        ),
        # A whole step: calls and their results.
        st.lists(_text, min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=8,
)


@given(_messages)
def test_no_text_is_lost_and_no_turn_is_malformed(drawn: list[Any]):
    messages: list[dict[str, Any]] = []
    for step, item in enumerate(drawn):
        if isinstance(item, list):
            messages.append(assistant(*(call(f"{step}-{n}") for n in range(len(item)))))
            messages.extend(result(text, f"{step}-{n}") for n, text in enumerate(item))
        else:
            messages.append(item)
    system, turns = converse(messages, FLASH_36)

    def texts(*roles: str) -> str:
        found = ""
        for message in messages:
            if message["role"] in roles:
                content = message["content"] or ""
                found += (
                    content
                    if isinstance(content, str)
                    else "".join(part["text"] for part in content)
                )
        return found

    def said(role: str) -> str:
        return "".join(
            part.get("text", "") for turn in turns if turn["role"] == role for part in turn["parts"]
        )

    assert "".join(part["text"] for part in system) == texts("system", "developer")
    assert said("user") == texts("user")
    assert said("model") == texts("assistant")
    kinds = []
    for turn in turns:
        assert turn["parts"]
        answers = {"functionResponse" in part for part in turn["parts"]}
        assert len(answers) == 1
        kinds.append((turn["role"], answers.pop()))
    assert all(a != b for a, b in itertools.pairwise(kinds))
    for before, turn in itertools.pairwise(turns):
        ids = [
            part["functionResponse"]["id"] for part in turn["parts"] if "functionResponse" in part
        ]
        if ids:
            calls = [
                part["functionCall"]["id"] for part in before["parts"] if "functionCall" in part
            ]
            assert calls == ids
