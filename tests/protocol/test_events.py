"""Positions and framing of events; what they say is tested beside the frames, in test_frames."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain import journal
from tokenferry.protocol.completion import folded
from tokenferry.protocol.events import EventRenderer, framed, kept_events, notice
from tokenferry.protocol.frames import Head, Terminal, encode

HEAD = journal.pack(journal.HEAD, encode(Head("모델", 7, ["reasoning_content"])))
FINISH = journal.pack(journal.FINISH, encode(Terminal(["stop"], {"total_tokens": 1})))
RECORDS = [
    HEAD,
    journal.pack(journal.TEXT, encode("안녕 🙂\n")),
    journal.pack(journal.REASONING, encode("흠")),
    journal.pack_delta(1, b'{"content":"b"}', b"", has_content=True),
    FINISH,
]
TEXTS = RECORDS[1:2] * 3


def opened(*, chunked: bool, include_usage: bool = False) -> EventRenderer:
    renderer = EventRenderer("st_1", 4, include_usage=include_usage, chunked=chunked)
    renderer.open(HEAD)
    return renderer


def unchunked(data: bytes) -> bytes:
    """Read one chunk as RFC 9112, 7.1 has it, in its shortest form."""
    size, rest = data.split(b"\r\n", 1)
    assert size == b"%x" % int(size, 16)
    assert len(rest) == int(size, 16) + 2
    assert rest.endswith(b"\r\n")
    return rest[:-2]


def ids(data: bytes) -> list[str]:
    return [line[4:] for line in data.decode().split("\n") if line.startswith("id: ")]


@pytest.mark.parametrize("include_usage", [False, True])
@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("seq", [1, 9, 10, 99_999, 2**31])
def test_a_chunk_frames_the_very_same_event(
    record: bytes, seq: int, *, include_usage: bool
) -> None:
    plain = opened(chunked=False, include_usage=include_usage).render(seq, record)
    in_chunk = opened(chunked=True, include_usage=include_usage).render(seq, record)
    assert unchunked(in_chunk) == plain


@given(st.text(max_size=400), st.integers(1, 2**40))
def test_any_text_in_a_chunk(text: str, seq: int) -> None:
    text = text.encode("utf-8", "ignore").decode()
    record = journal.pack(journal.TEXT, encode(text))
    event = unchunked(opened(chunked=True).render(seq, record)).decode()
    data, where = event.removesuffix("\n\n").split("\n")
    assert json.loads(data[6:])["choices"][0]["delta"] == {"content": text}
    assert where == f"id: 4-{seq}"


def test_a_merged_run_has_its_last_position() -> None:
    assert ids(opened(chunked=False).merge(5, 7, TEXTS)) == ["4-7"]
    assert unchunked(opened(chunked=True).merge(5, 7, TEXTS)) == opened(chunked=False).merge(
        5, 7, TEXTS
    )


@pytest.mark.parametrize("include_usage", [False, True])
def test_who_has_not_read_done_has_not_the_end(*, include_usage: bool) -> None:
    *before, last = ids(opened(chunked=False, include_usage=include_usage).render(9, FINISH))
    assert last == "4-9"
    assert set(before) == {"4-8"}


def test_positions_never_go_back() -> None:
    renderer = opened(chunked=False)
    data = b"".join(renderer.render(seq, record) for seq, record in enumerate(RECORDS, 1))
    seqs = [int(name.split("-")[1]) for name in ids(data)]
    assert all(a <= b for a, b in pairwise(seqs))
    assert seqs[-1] == len(RECORDS)


@pytest.mark.parametrize(
    ("data", "chunk"),
    [
        (b"", b"0\r\n\r\n"),
        (b": a\n\n", b"5\r\n: a\n\n\r\n"),
        (b"x" * 16, b"10\r\n" + b"x" * 16 + b"\r\n"),
    ],
)
def test_framing_vectors(data: bytes, chunk: bytes) -> None:
    assert framed(data, chunked=True) == chunk
    assert framed(data, chunked=False) == data


def test_a_whole_answer_as_events() -> None:
    completion = encode(folded("st_1", RECORDS).body())
    lines = kept_events(completion, include_usage=True).decode().split("\n\n")
    assert [line[:6] for line in lines[:2]] == ["data: "] * 2
    first, usage = (json.loads(line[6:]) for line in lines[:2])
    assert lines[2:] == ["data: [DONE]", ""]
    assert first["choices"][0]["delta"]["content"] == "안녕 🙂\n"
    assert first["choices"][0]["finish_reason"] == "stop"
    assert (first["model"], first["object"]) == ("모델", "chat.completion.chunk")
    assert (usage["choices"], usage["usage"]) == ([], {"total_tokens": 1})


def test_a_whole_answer_as_events_says_no_usage_to_who_has_not_asked() -> None:
    completion = encode(folded("st_1", RECORDS).body())
    first, *rest = kept_events(completion, include_usage=False).decode().split("\n\n")
    assert "안녕" in first
    assert rest == ["data: [DONE]", ""]


def test_tool_calls_of_a_whole_answer_have_their_index() -> None:
    calls = [{"id": "a", "type": "function"}, {"id": "b", "type": "function"}]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    completion = encode({"id": "c", "created": 1, "model": "m", "choices": [choice]})
    event = kept_events(completion, include_usage=False).decode().split("\n\n")[0]
    delta = json.loads(event[6:])["choices"][0]["delta"]
    assert delta["tool_calls"] == [calls[0] | {"index": 0}, calls[1] | {"index": 1}]


def test_a_notice_is_one_event_and_moves_the_client_if_it_says_so() -> None:
    data = notice("reset", {"text": "줄\n바꿈"}, position="2-57")
    assert data.decode() == 'event: reset\ndata: {"text":"줄\\n바꿈"}\nid: 2-57\n\n'
    assert ids(notice("snapshot", {})) == []
