import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    start,
    tool,
)
from tokenferry.errors import ProviderInvalidResponse, ProviderRejected
from tokenferry.providers.anthropic_events import read_block, reread_event


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


def test_an_error_of_another_form() -> None:
    recorder = replay(message(), b'{"error":{"message":"x","type":"rate_limit_error"}}')
    assert isinstance(recorder.error, ProviderRejected)
    assert (recorder.error.http_status, recorder.error.message) == (429, "x")
    assert recorder.names() == ["head", "usage", "fail"]


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


@pytest.mark.parametrize("kind", [["text"], {"text": 1}, None, 1])
def test_a_block_whose_type_is_no_name_is_of_no_known_type(kind: Any) -> None:
    assert read_block({"type": kind}) is None


def test_half_a_character_where_no_text_stands_is_the_providers_fault() -> None:
    delta = {"type": "text_delta", "text": "a"}
    event = {"type": "content_block_delta", "index": "\ud83d", "delta": delta}
    with pytest.raises(ProviderInvalidResponse):
        reread_event(json.dumps(event).encode())
