"""The demo simulator as the engine sees it: the calls of its sink, and tools from end to end."""

import asyncio
import json
from typing import Any

import pytest

from tokenferry.domain.usage import Usage
from tokenferry.errors import InvalidRequest, ProviderError, UnsupportedParameter
from tokenferry.protocol.chat import ChatRequest, parse_request
from tokenferry.providers.demo import DemoProvider
from tokenferry.providers.demo.script import Script, write
from tokenferry.providers.demo.texts import TEXTS


class Recorder:
    """A sink that keeps every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.choices: dict[int, str] = {}
        self.thoughts: dict[int, str] = {}
        self.tool_calls: dict[int, dict[str, Any]] = {}
        self.finished: dict[int, str] = {}
        self.reported: list[Usage] = []

    def head(self, model: str, fingerprint: str | None, service_tier: str | None) -> None:
        self.calls.append(("head", model))
        assert (fingerprint, service_tier) == (None, None)

    def text(self, text: str) -> None:
        self.calls.append(("text", text))
        self.choices[0] = self.choices.get(0, "") + text

    def reasoning(self, text: str) -> None:
        self.calls.append(("reasoning", text))
        self.thoughts[0] = self.thoughts.get(0, "") + text

    def delta(self, index, delta, logprobs=None) -> None:
        self.calls.append(("delta", str(index)))
        if delta.content is not None:
            self.choices[index] = self.choices.get(index, "") + delta.content
        if delta.reasoning is not None:
            self.thoughts[index] = self.thoughts.get(index, "") + delta.reasoning
        for call in delta.tool_calls or ():
            if call.id is not None:
                assert call.index not in self.tool_calls
                assert call.type == "function"
                self.tool_calls[call.index] = {
                    "id": call.id,
                    "name": call.function.name,
                    "arguments": "",
                }
            self.tool_calls[call.index]["arguments"] += call.function.arguments

    def finish(self, index: int, reason: str) -> None:
        self.calls.append(("finish", reason))
        assert index not in self.finished
        self.finished[index] = reason

    def usage(self, usage: Usage) -> None:
        self.calls.append(("usage",))
        self.reported.append(usage)

    def end(self) -> None:
        self.calls.append(("end",))

    def fail(self, error: ProviderError) -> None:
        raise AssertionError(error)


def ask(text: str | None = "Hello", **fields: Any) -> ChatRequest:
    messages = fields.pop("messages", [{"role": "user", "content": text}])
    return parse_request(
        json.dumps({"model": "demo", "messages": messages, **fields}, ensure_ascii=False).encode()
    )


def spoken(script: Script) -> str:
    return "".join(step.text for step in script.steps if step.kind == "text")


async def play(request: ChatRequest) -> Recorder:
    sink = Recorder()
    DemoProvider(first_token_ms=0, token_interval_ms=0).prepare(request, "demo").start(sink)
    assert sink.calls == []
    for _ in range(10_000):
        if sink.calls and sink.calls[-1] == ("end",):
            return sink
        await asyncio.sleep(0)
    raise AssertionError("the answer never ended")


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 1},
            },
            "required": ["city", "unit", "days"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time"}}


class TestSequence:
    async def test_order_of_calls(self):
        sink = await play(ask("안녕하세요"))
        kinds = [call[0] for call in sink.calls]
        assert kinds[0] == "head"
        assert sink.calls[0] == ("head", "demo")
        assert kinds[-3:] == ["finish", "usage", "end"]
        assert set(kinds[1:-3]) == {"text"}
        assert sink.finished == {0: "stop"}

    async def test_every_piece_is_one_call_and_one_token(self):
        sink = await play(ask("Hello", reasoning_effort="low"))
        (usage,) = sink.reported
        texts = [call for call in sink.calls if call[0] == "text"]
        thoughts = [call for call in sink.calls if call[0] == "reasoning"]
        assert usage.completion_tokens == len(texts) + len(thoughts)
        assert usage.reasoning_tokens == len(thoughts) > 0
        assert usage.prompt_tokens == 1
        assert not usage.estimated

    async def test_the_same_request_gets_the_same_answer(self):
        first, second = await play(ask("몇 시입니까?")), await play(ask("몇 시입니까?"))
        assert first.calls == second.calls

    async def test_prepared_may_be_started_twice(self):
        prepared = DemoProvider(first_token_ms=0, token_interval_ms=0).prepare(ask(), "demo")
        sinks = Recorder(), Recorder()
        for sink in sinks:
            prepared.start(sink)
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert sinks[0].calls == sinks[1].calls
        assert sinks[0].calls[-1] == ("end",)

    async def test_choices_are_all_served(self):
        sink = await play(ask("Hello", n=3, reasoning_effort="high"))
        assert set(sink.choices) == {0, 1, 2}
        assert len(set(sink.choices.values())) == 1
        assert len(set(sink.thoughts.values())) == 1
        assert sink.finished == dict.fromkeys(range(3), "stop")
        single = (await play(ask("Hello", reasoning_effort="high"))).reported[0]
        assert sink.reported[0].completion_tokens == 3 * single.completion_tokens
        assert sink.reported[0].reasoning_tokens == 3 * single.reasoning_tokens

    @pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
    @pytest.mark.parametrize("limit", [1, 5])
    async def test_output_limit(self, field, limit):
        sink = await play(ask("안녕하세요", **{field: limit}))
        assert sink.finished == {0: "length"}
        assert sink.reported[0].completion_tokens == limit
        assert sum(call[0] == "text" for call in sink.calls) == limit

    async def test_an_empty_answer_still_ends(self):
        sink = await play(ask(stop="This"))
        assert [call[0] for call in sink.calls] == ["head", "finish", "usage", "end"]


class TestTools:
    async def test_a_named_tool_is_called_in_fragments(self):
        sink = await play(ask("get_weather를 호출해 주세요", tools=[CLOCK, WEATHER]))
        call = sink.tool_calls[0]
        assert call["name"] == "get_weather"
        assert json.loads(call["arguments"]) == {"city": "demo", "unit": "celsius", "days": 1}
        assert sum(entry[0] == "delta" for entry in sink.calls) > 3
        assert sink.finished == {0: "tool_calls"}
        assert sink.choices == {}

    @pytest.mark.parametrize(
        "question", ["What's the weather?", "get_weather_now", "my-get_weather", "forget_weather"]
    )
    def test_no_call_without_the_exact_name(self, question):
        assert write(ask(question, tools=[WEATHER])).finish_reason == "stop"

    async def test_several_at_once_unless_forbidden(self):
        question = "Call get_time and get_weather"
        sink = await play(ask(question, tools=[CLOCK, WEATHER]))
        assert [call["name"] for call in sink.tool_calls.values()] == ["get_time", "get_weather"]
        assert len({call["id"] for call in sink.tool_calls.values()}) == 2
        assert sink.tool_calls[0]["arguments"] == "{}"
        sink = await play(ask(question, tools=[CLOCK, WEATHER], parallel_tool_calls=False))
        assert [call["name"] for call in sink.tool_calls.values()] == ["get_time"]

    @pytest.mark.parametrize(
        ("choice", "name"),
        [
            ("required", "get_time"),
            ({"type": "function", "function": {"name": "get_weather"}}, "get_weather"),
        ],
    )
    async def test_forced_choice(self, choice, name):
        sink = await play(ask("Hello", tools=[CLOCK, WEATHER], tool_choice=choice))
        assert [call["name"] for call in sink.tool_calls.values()] == [name]

    def test_choice_none(self):
        assert write(ask("get_time", tools=[CLOCK], tool_choice="none")).finish_reason == "stop"

    @pytest.mark.parametrize(
        "fields",
        [
            {"tool_choice": "required"},
            {"tool_choice": "sometimes", "tools": [CLOCK]},
            {
                "tool_choice": {"type": "function", "function": {"name": "absent"}},
                "tools": [CLOCK],
            },
        ],
    )
    def test_impossible_choices_are_refused(self, fields):
        with pytest.raises(InvalidRequest) as caught:
            write(ask("Hello", **fields))
        assert caught.value.param == "tool_choice"

    def test_a_result_is_quoted_and_nothing_called_again(self):
        messages = [
            {"role": "user", "content": "get_weather로 서울 날씨를 알려 주세요"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "function": {"name": "get_weather", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": '{"하늘": "맑음"}'},
        ]
        script = write(ask(messages=messages, tools=[WEATHER], tool_choice="required"))
        assert script.finish_reason == "stop"
        assert "`get_weather`" in spoken(script)
        assert '> {"하늘": "맑음"}' in spoken(script)
        assert TEXTS["ko"].tool_note in spoken(script)

    def test_results_without_a_known_call(self):
        messages = [
            {"role": "user", "content": "Hello"},
            {"role": "function", "name": "old_style", "content": "one"},
            {"role": "tool", "tool_call_id": "c9", "content": "two"},
        ]
        answer = spoken(write(ask(messages=messages)))
        assert answer.index("`old_style`") < answer.index("> one") < answer.index("`c9`")

    def test_ids_differ_from_turn_to_turn(self):
        first = write(ask("get_time", tools=[CLOCK])).steps[0].call_id
        messages = [{"role": "user", "content": text} for text in ("a", "get_time")]
        second = write(ask(messages=messages, tools=[CLOCK])).steps[0].call_id
        assert first != second

    def test_a_limit_cuts_a_call(self):
        script = write(ask("get_weather", tools=[WEATHER], max_tokens=2))
        assert script.finish_reason == "length"
        assert script.usage.completion_tokens == 2

    def test_unbuildable_parameters_are_refused(self):
        tool = {
            "type": "function",
            "function": {
                "name": "loop",
                "parameters": {
                    "properties": {"x": {"$ref": "#"}},
                    "required": ["x"],
                },
            },
        }
        with pytest.raises(UnsupportedParameter, match="loop"):
            write(ask("loop", tools=[tool]))
