import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from harness.chat_completions_stream import chunk, replay, whole
from tokenferry.protocol.chat import ToolCallDelta
from tokenferry.providers.chat_completions_calls import ToolCallIndex, repair
from tokenferry.providers.chat_completions_chunks import ChunkToolCall


def fragment(
    arguments: Any = "", *, index: Any = UNSET, own: str | None = None, name: str | None = None
) -> dict[str, Any]:
    """Return a fragment as a server writes it; what is UNSET or None is left out."""
    function = {"arguments": arguments} | ({"name": name} if name is not None else {})
    written: dict[str, Any] = {"function": function}
    if index is not UNSET:
        written["index"] = index
    return written if own is None else written | {"id": own}


def joined(*events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return id, name and arguments of the calls that a client joins by index."""
    recorder = replay(*[chunk({"tool_calls": event}) for event in events])
    return [(call["id"], call["name"], call["arguments"]) for call in recorder.tool_calls()]


def f(own: str | None, arguments: str = "", index: Any = UNSET) -> dict[str, Any]:
    """Return the first fragment of a call of function f."""
    return fragment(arguments, index=index, own=own, name="f")


def more(arguments: str, index: Any = UNSET, own: str | None = None) -> dict[str, Any]:
    return fragment(arguments, index=index, own=own)


@pytest.mark.parametrize(
    ("events", "calls"),
    [
        # as OpenAI does it
        (
            [[f("a", index=0)], [more("1", 0)], [f("b", index=1)], [more("2", 1)], [more("3", 1)]],
            [("a", "f", "1"), ("b", "f", "23")],
        ),
        # interleaved
        (
            [[f("a", index=0), f("b", index=1)], [more("1", 0)], [more("2", 1)], [more("3", 0)]],
            [("a", "f", "13"), ("b", "f", "2")],
        ),
        # the id with every fragment
        (
            [[f("a", "1", 0)], [more("2", 0, "a")], [f("b", "3", 1)], [more("4", 1, "b")]],
            [("a", "f", "12"), ("b", "f", "34")],
        ),
        # id and name with every fragment (Fireworks)
        (
            [[f("a", "1", 0)], [f("a", "2", 0)], [f("b", "3", 1)], [f("b", "4", 1)]],
            [("a", "f", "12"), ("b", "f", "34")],
        ),
        # another id with every fragment, and no name: one call (Poolside)
        (
            [[f("a", "1", 0)], [more("2", 0, "x")], [more("3", 0, "y")], [f("b", "4", 1)]],
            [("a", "f", "123"), ("b", "f", "4")],
        ),
        # a name in pieces
        (
            [[f("a", "", 0)], [fragment("", index=0, name="_g")], [more("1", 0)]],
            [("a", "f_g", "1")],
        ),
        # every index 0, a new id begins a call (vLLM)
        (
            [[f("a", "1", 0)], [more("2", 0)], [f("b", "3", 0)], [more("4", 0)]],
            [("a", "f", "12"), ("b", "f", "34")],
        ),
        # every index 0, two calls in one event
        ([[f("a", "1", 0), f("b", "2", 0)]], [("a", "f", "1"), ("b", "f", "2")]),
        # every index 0, interleaved by id
        (
            [[f("a", "1", 0)], [f("b", "2", 0)], [more("3", 0, "a")], [more("4", 0, "b")]],
            [("a", "f", "13"), ("b", "f", "24")],
        ),
        # no index
        (
            [[f("a", "1")], [more("2")], [f("b", "3")], [more("4")]],
            [("a", "f", "12"), ("b", "f", "34")],
        ),
        # an index of null, or of another type, is none
        (
            [[f("a", "1", None)], [more("2", None)], [f("b", "3", "0")], [more("4", 1.5)]],
            [("a", "f", "12"), ("b", "f", "34")],
        ),
        # no index, the id with every fragment
        (
            [[f("a", "1")], [f("b", "2")], [more("3", own="a")], [more("4", own="b")]],
            [("a", "f", "13"), ("b", "f", "24")],
        ),
        # no index, two calls in one event
        ([[f("a", "1"), f("b", "2")], [more("3")]], [("a", "f", "1"), ("b", "f", "23")]),
        # no ids: a name begins a call where there is no index to go by (Google)
        ([[f(None, "1")], [f(None, "2")]], [("", "f", "1"), ("", "f", "2")]),
        ([[f("", "1")], [more("2")], [f("", "3")]], [("", "f", "12"), ("", "f", "3")]),
        # no ids, index 0, two calls in one event
        ([[f("", "1", 0), f("", "2", 0)], [more("3", 0)]], [("", "f", "1"), ("", "f", "23")]),
        # no ids, but an index: the name with every fragment is no new call
        ([[f(None, "1", 0)], [fragment("2", index=0, name="")]], [("", "f", "12")]),
        # the name in one entry of an event and the arguments in the next
        ([[f("a", index=0), more("1", 0)], [more("2", 0)]], [("a", "f", "12")]),
        # the id after the name
        ([[f(None, index=0)], [more("1", 0, "a")], [more("2", 0)]], [("a", "f", "12")]),
        ([[f(None)], [more("1", own="a")], [more("2")]], [("a", "f", "12")]),
        # one id for two calls, told apart by the index
        ([[f("x", "1", 0)], [f("x", "2", 1)], [more("3", 0)]], [("x", "f", "13"), ("x", "f", "2")]),
        # indexes from 1, and with a gap
        (
            [[f("a", "1", 1)], [f("b", "2", 7)], [more("3", 1)], [more("4", 7)]],
            [("a", "f", "13"), ("b", "f", "24")],
        ),
        # arguments before anything else
        ([[more("1")], [more("2")]], [("", "", "12")]),
        # calls without arguments
        ([[f("a", "", 0)], [f("b", "", 1)]], [("a", "f", ""), ("b", "f", "")]),
    ],
)
def test_calls(events: list[Any], calls: list[tuple[str, str, str]]) -> None:
    assert joined(*events) == calls


calls_drawn = st.lists(st.lists(st.text("ab{}", max_size=3), max_size=4), min_size=1, max_size=4)


@given(calls_drawn, st.sampled_from(["index", "zero", "none"]), st.randoms(use_true_random=False))
def test_any_order_that_a_servers_manner_allows(
    arguments: list[list[str]], manner: str, random: Any
) -> None:
    """With a good index fragments may interleave; with none or always 0 the calls follow."""
    queue: list[tuple[int, dict[str, Any]]] = []
    for number, parts in enumerate(arguments):
        index = {"index": number, "zero": 0, "none": UNSET}[manner]
        queue.append((number, f(f"id{number}", index=index)))
        queue += [(number, more(part, index)) for part in parts]
    if manner == "index":
        lanes = [[entry for n, entry in queue if n == number] for number in range(len(arguments))]
        starts = [lane.pop(0) for lane in lanes]
        rest = []
        while any(lanes):
            rest.append(random.choice([lane for lane in lanes if lane]).pop(0))
        fragments = starts + rest
    else:
        fragments = [entry for _, entry in queue]
    assert joined(*[[entry] for entry in fragments]) == [
        (f"id{number}", "f", "".join(parts)) for number, parts in enumerate(arguments)
    ]


def test_clients_that_join_every_string_get_each_identity_once() -> None:
    """As OpenAI's own SDK for Python does: what is repeated would be there twice."""
    again = f("a", "2", 0) | {"type": "function"}
    recorder = replay(chunk({"tool_calls": [f("a", "1", 0)]}), chunk({"tool_calls": [again]}))
    (first,), (second,) = list[Any](recorder.fragments("tool_calls"))
    assert first == {
        "index": 0,
        "id": "a",
        "type": "function",
        "function": {"name": "f", "arguments": "1"},
    }
    assert second == {"index": 0, "function": {"arguments": "2"}}


def test_a_name_is_new_only_within_its_event() -> None:
    positions = ToolCallIndex()
    call = msgspec.convert(f(None, index=5), ChunkToolCall)
    positions.begin_event()
    assert [positions.of(call), positions.of(call)] == [0, 1]
    positions.begin_event()
    assert positions.of(call) == 1


# Custom tools: no function, and an input that is no JSON.


def custom(input_: Any, *, own: str | None = None, name: str | None = None) -> dict[str, Any]:
    said = {"input": input_} | ({"name": name} if name is not None else {})
    written = {"index": 0, "custom": said}
    return written if own is None else written | {"id": own, "type": "custom"}


def test_a_custom_tools_call() -> None:
    events = [custom("", own="a", name="shell"), custom("echo "), custom("안녕")]
    recorder = replay(*[chunk({"tool_calls": [event]}) for event in events])
    assert recorder.fragments("tool_calls") == [[event] for event in events]


def test_a_custom_tools_call_in_a_whole_answer() -> None:
    call = {"id": "a", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    recorder = whole({"model": "m", "choices": [choice]})
    assert recorder.fragments("tool_calls") == [[{"index": 0} | call]]


def test_custom_calls_that_all_say_index_0_and_repeat_themselves() -> None:
    events = [
        [custom("1", own="a", name="f")],
        [custom("2", own="a", name="f")],
        [custom("3", own="b", name="f")],
    ]
    recorder = replay(*[chunk({"tool_calls": event}) for event in events])
    first, second, third = [
        fragments[0] for fragments in list[Any](recorder.fragments("tool_calls"))
    ]
    assert first == events[0][0]
    assert second == {"index": 0, "custom": {"input": "2"}}
    assert third == events[2][0] | {"index": 1}


@pytest.mark.parametrize(("written", "passed_on"), [(None, {}), ("\ud83d", {"input": "\ufffd"})])
def test_strange_input_of_a_custom_tool(written: Any, passed_on: Any) -> None:
    recorder = replay(chunk({"tool_calls": [custom(written, own="a", name="f")]}))
    ((call,),) = list[Any](recorder.fragments("tool_calls"))
    assert call["custom"] == {"name": "f"} | passed_on


# Repair.


def repaired(written: Any) -> Any:
    call = msgspec.convert(written, ChunkToolCall)
    repair(call)
    assert isinstance(call, ToolCallDelta)
    return json.loads(msgspec.json.encode(call))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"index": 0}, {"index": 0}),
        ({"index": 0, "id": "a"}, {"index": 0, "id": "a", "type": "function"}),
        ({"index": 0, "id": "a", "type": "custom"}, {"index": 0, "id": "a", "type": "custom"}),
        ({"index": 0, "id": ""}, {"index": 0, "id": ""}),
        ({"index": 0, "function": {}}, {"index": 0, "function": {}}),
        (
            {"index": 0, "function": {"name": "f", "arguments": ""}},
            {"index": 0, "function": {"name": "f", "arguments": ""}},
        ),
        # DeepInfra and others begin with null
        (
            {"index": 0, "function": {"name": "f", "arguments": None}},
            {"index": 0, "function": {"name": "f"}},
        ),
        (
            {"index": 0, "function": {"arguments": {"도시": ["서울"]}}},
            {"index": 0, "function": {"arguments": '{"도시":["서울"]}'}},
        ),
        (
            {"index": 0, "function": {"arguments": {}}},
            {"index": 0, "function": {"arguments": "{}"}},
        ),
        (
            {"index": 0, "extra_content": {"google": {"thought_signature": "x"}}},
            {"index": 0, "extra_content": {"google": {"thought_signature": "x"}}},
        ),
        (
            {"index": 0, "id": "\ud83d", "type": "\ude00", "function": {"name": "a\ud83d"}},
            {"index": 0, "id": "\ufffd", "type": "\ufffd", "function": {"name": "a\ufffd"}},
        ),
        (
            {"index": 0, "id": "안녕", "extra_content": {"\ud83d": ["\ude00"]}},
            {
                "index": 0,
                "id": "안녕",
                "type": "function",
                "extra_content": {"\ufffd": ["\ufffd"]},
            },
        ),
    ],
)
def test_repair(written: Any, expected: Any) -> None:
    assert repaired(written) == expected


def test_arguments_are_left_to_their_joiner() -> None:
    call = msgspec.convert({"function": {"arguments": "\ud83d"}}, ChunkToolCall)
    repair(call)
    assert call.function is not None
    assert call.function.arguments == "\ud83d"


@pytest.mark.parametrize("arguments", [None, {"도시": "서울"}, ""])
def test_strange_arguments_in_a_stream(arguments: Any) -> None:
    expected = {"도시": "서울"} if arguments else None
    ((own, name, args),) = joined([fragment(arguments, index=0, own="a", name="f")])
    assert (own, name) == ("a", "f")
    assert (json.loads(args) if args else None) == expected
