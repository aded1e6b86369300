"""What the demo simulator says, and where it stops."""

import json
from typing import Any

import pytest
from pydantic import BaseModel, Field

from tokenferry.errors import InvalidRequest, UnsupportedParameter
from tokenferry.protocol.chat import ChatRequest, parse_request
from tokenferry.providers.demo import DemoProvider
from tokenferry.providers.demo.script import Script, language_of, rest_of, write
from tokenferry.providers.demo.texts import TEXTS


def ask(text: str | None = "Hello", **fields: Any) -> ChatRequest:
    messages = fields.pop("messages", [{"role": "user", "content": text}])
    return parse_request(
        json.dumps({"model": "demo", "messages": messages, **fields}, ensure_ascii=False).encode()
    )


def spoken(script: Script) -> str:
    return "".join(step.text for step in script.steps if step.kind == "text")


class TestAnswer:
    @pytest.mark.parametrize(
        ("text", "language"),
        [
            ("Hello", "en"),
            ("안녕하세요", "ko"),
            ("Python에서 WebSocket streaming 예제를 보여 주세요", "ko"),
            ("What does 사랑 mean in English?", "en"),
            ("こんにちは、お元気ですか", "ja"),
            ("Python で WebSocket を使う例", "ja"),
            ("你好,请介绍一下", "zh"),
            ("韓國에 대해 알려 주세요", "ko"),
            ("Bonjour", "en"),
            ("👋", "en"),
            ("", "en"),
        ],
    )
    def test_language(self, text, language):
        assert language_of(text) == language

    @pytest.mark.parametrize(
        ("question", "words"),
        [
            ("Hi there", "demo simulator"),
            ("반갑습니다", "데모 시뮬레이터"),
            ("はじめまして", "デモ用シミュレーター"),
            ("你好吗", "演示模拟器"),
        ],
    )
    def test_it_says_what_it_is_and_repeats_and_shows_the_remedy(self, question, words):
        answer = spoken(write(ask(question)))
        assert words in answer.split("\n")[0]
        assert f"> {question}" in answer
        assert "```sh\nexport OPENAI_API_KEY=" in answer
        assert "\n- " in answer

    def test_the_language_is_that_of_the_last_question_with_text(self):
        messages = [
            {"role": "user", "content": "안녕하세요"},
            {"role": "assistant", "content": "Hello, how are you?"},
            {"role": "user", "content": "  "},
        ]
        assert spoken(write(ask(messages=messages))).startswith(TEXTS["ko"].introduction)

    def test_no_user_message_at_all(self):
        answer = spoken(write(ask(messages=[{"role": "system", "content": "한국어로 답하세요"}])))
        assert "> 한국어로 답하세요" in answer

    def test_null_content(self):
        answer = spoken(write(ask(None)))
        assert TEXTS["en"].wrote not in answer
        assert answer.startswith(TEXTS["en"].introduction)

    @pytest.mark.parametrize(
        "question",
        ["Give me a long answer", "긴 답변을 부탁합니다", "길게 설명해 주세요", "長い話をして"],
    )
    def test_a_long_answer_on_request(self, question):
        assert 250 <= len(write(ask(question)).steps) <= 900
        assert "\n9. " in spoken(write(ask(question)))

    @pytest.mark.parametrize("question", ["긴급한 일입니다", "Do I belong here?", "Hello"])
    def test_no_long_answer_otherwise(self, question):
        assert "\n9. " not in spoken(write(ask(question)))

    def test_a_long_question_is_quoted_in_part(self):
        answer = spoken(write(ask("가나다라 " * 10_000)))
        quoted = next(line for line in answer.split("\n") if line.startswith("> "))
        assert quoted.endswith("…")
        assert 230 <= len(quoted) <= 245

    def test_every_line_of_the_question_stays_in_the_quotation(self):
        answer = spoken(write(ask("one\n\n# two\r\n```\nthree")))
        assert "> one\n>\n> # two\n> ```\n> three\n" in answer

    def test_images_are_not_pretended_to_be_seen(self):
        content = [
            {"type": "text", "text": "무엇이 보입니까?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ]
        answer = spoken(write(ask(messages=[{"role": "user", "content": content}])))
        assert TEXTS["ko"].attachments in answer
        assert TEXTS["ko"].attachments not in spoken(write(ask("무엇이 보입니까?")))

    def test_reasoning_only_when_asked_for(self):
        kinds = {step.kind for step in write(ask(reasoning_effort="none")).steps}
        assert kinds == {"text"}
        script = write(ask("안녕", reasoning_effort="minimal"))
        assert script.steps[0].kind == "reasoning"
        assert script.usage.reasoning_tokens > 5

    @pytest.mark.parametrize(
        ("fields", "param"),
        [({"logprobs": True}, "logprobs"), ({"modalities": ["text", "audio"]}, "modalities")],
    )
    def test_what_a_simulator_cannot_do_is_refused(self, fields, param):
        with pytest.raises(UnsupportedParameter) as caught:
            DemoProvider().prepare(ask(**fields), "demo")
        assert caught.value.param == param

    def test_text_modality_is_served(self):
        assert spoken(write(ask(modalities=["text"], logprobs=False)))


class TestLimits:
    @pytest.mark.parametrize(("off", "reason"), [(-1, "length"), (0, "stop"), (1, "stop")])
    def test_at_the_very_length(self, off, reason):
        whole = write(ask())
        script = write(ask(max_tokens=len(whole.steps) + off))
        assert script.finish_reason == reason
        assert len(script.steps) == len(whole.steps) + min(off, 0)

    def test_reasoning_counts_against_the_limit(self):
        script = write(ask(max_tokens=3, reasoning_effort="low"))
        assert [step.kind for step in script.steps] == ["reasoning"] * 3
        assert script.usage.reasoning_tokens == 3
        assert script.finish_reason == "length"

    @pytest.mark.parametrize("stop", ["language", ["no such words", "", "offline", "language"]])
    def test_stop_sequence(self, stop):
        script = write(ask(stop=stop))
        assert script.finish_reason == "stop"
        assert spoken(script).endswith("not a ")
        assert "language" not in spoken(script)

    def test_stop_inside_a_piece_and_at_the_start(self):
        assert spoken(write(ask("안녕", stop="뮬레"))).endswith("데모 시")
        script = write(ask(stop="This"))
        assert script.steps == ()
        assert script.usage.completion_tokens == 0

    def test_stop_that_never_comes(self):
        assert spoken(write(ask(stop="존재하지 않는 말"))) == spoken(write(ask()))

    def test_stop_does_not_apply_to_reasoning(self):
        script = write(ask(stop=["Simulated"], reasoning_effort="low"))
        assert any(step.text == "Simulated" for step in script.steps)


class City(BaseModel):
    name: str
    population: int = Field(ge=1, le=10)
    capital: bool
    twin: "City | None"
    tags: list[str] = Field(min_length=2)


class TestStructured:
    @pytest.mark.parametrize(("question", "note"), [("Hello", "demo simulator"), ("안녕", "데모")])
    def test_json_object(self, question, note):
        answer = json.loads(spoken(write(ask(question, response_format={"type": "json_object"}))))
        assert note in answer["note"]
        assert answer["message"] == question

    def test_json_schema_of_a_model(self):
        form = {
            "type": "json_schema",
            "json_schema": {"name": "city", "schema": City.model_json_schema(), "strict": True},
        }
        city = City.model_validate_json(spoken(write(ask(response_format=form))))
        assert city.name == "Tokenferry demo simulator"
        assert city.twin is None or city.twin.name

    def test_schema_that_is_absent_is_an_object(self):
        form = {"type": "json_schema", "json_schema": {"name": "anything"}}
        assert json.loads(spoken(write(ask(response_format=form))))["simulator"]

    def test_text_is_text(self):
        form = {"type": "text"}
        assert spoken(write(ask(response_format=form))) == spoken(write(ask()))

    def test_unknown_form(self):
        with pytest.raises(InvalidRequest) as caught:
            write(ask(response_format={"type": "yaml"}))
        assert caught.value.param == "response_format.type"

    def test_endless_schema(self):
        form = {
            "type": "json_schema",
            "json_schema": {
                "name": "endless",
                "schema": {"properties": {"more": {"$ref": "#"}}, "required": ["more"]},
            },
        }
        with pytest.raises(UnsupportedParameter) as caught:
            write(ask(response_format=form))
        assert caught.value.param == "response_format.json_schema.schema"


@pytest.mark.parametrize("limit", [None, 30])
def test_the_rest_of_an_answer_is_what_follows_anywhere(limit: int | None) -> None:
    script = write(ask("긴 답변", max_tokens=limit))
    whole = spoken(script)
    for cut in range(1, len(whole) + 1):
        rest = rest_of(script, whole[:cut])
        assert rest is not None
        assert whole[:cut] + spoken(rest) == whole
        assert rest.finish_reason == script.finish_reason
        assert rest.usage.completion_tokens == len(rest.steps)


def test_another_answer_has_no_rest_here() -> None:
    script = write(ask("hello"))
    assert rest_of(script, "Something else") is None
    assert rest_of(script, spoken(script) + "!") is None
