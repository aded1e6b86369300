import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from tokenferry.domain import journal
from tokenferry.domain.usage import Usage
from tokenferry.errors import ModelNotFound, ProviderRejected, RateLimited
from tokenferry.protocol.events import EventRenderer
from tokenferry.protocol.frames import (
    FrameRenderer,
    Head,
    Renderer,
    Terminal,
    WireError,
    encode,
    head_decoder,
    terminal_decoder,
    text_frame,
    wire_error,
    wire_usage,
)

STREAM = "strm_1"
EPOCH = 3
CREATED = 1_790_000_000
IDENTITY = {"stream_id": STREAM, "epoch": EPOCH}
START = {
    "id": "chatcmpl-strm_1",
    "object": "chat.completion.chunk",
    "created": CREATED,
    "model": "모델-1",
}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
ERROR = WireError("천천히", "rate_limit_error", None, "slow_down", True)
ERROR_JSON = {
    "message": "천천히",
    "type": "rate_limit_error",
    "param": None,
    "code": "slow_down",
    "retryable": True,
}


def head_record(**more: Any) -> bytes:
    head = Head("모델-1", CREATED, more.pop("reasoning_fields", ["reasoning_content"]), **more)
    return journal.pack(journal.HEAD, encode(head))


def text_record(text: str) -> bytes:
    return journal.pack(journal.TEXT, encode(text))


def reasoning_record(text: str) -> bytes:
    return journal.pack(journal.REASONING, encode(text))


def delta_record(index: int, delta: Any, logprobs: Any = None) -> bytes:
    packed = b"" if logprobs is None else encode(logprobs)
    return journal.pack_delta(index, encode(delta), packed, has_content="content" in delta)


def finish_record(*reasons: str, **more: Any) -> bytes:
    return journal.pack(journal.FINISH, encode(Terminal([*reasons], **more)))


def error_record(**more: Any) -> bytes:
    return journal.pack(journal.ERROR, encode(Terminal(error=ERROR, **more)))


HEAD = head_record()
CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
LOGPROBS = {"content": [{"token": "안", "logprob": -0.5, "bytes": [236], "top_logprobs": []}]}
# One of every kind and form.
RECORDS = [
    HEAD,
    text_record("안녕"),
    text_record('"\\\n\u2028😀'),
    reasoning_record("생각"),
    delta_record(0, {"tool_calls": [CALL]}),
    delta_record(1, {"content": "둘"}),
    delta_record(0, {"content": "a"}, LOGPROBS),
    delta_record(0, {}, LOGPROBS),
    delta_record(0, {"refusal": "안 됩니다"}),
    finish_record("stop", usage=USAGE),
    finish_record("stop", "length"),
    error_record(),
    error_record(usage=USAGE, cost="0.5"),
]


def frames(*, aware: bool = False, merges: bool = True, opened: bytes | None = HEAD) -> Renderer:
    renderer = FrameRenderer(STREAM, EPOCH, aware=aware, merges=merges)
    if opened is not None:
        renderer.open(opened)
    return renderer


def events(*, include_usage: bool = False, opened: bytes | None = HEAD) -> Renderer:
    renderer = EventRenderer(STREAM, EPOCH, include_usage=include_usage)
    if opened is not None:
        renderer.open(opened)
    return renderer


def unframe(data: bytes) -> bytes:
    """Read one frame as RFC 6455, 5.2 has it, and insist that it is the shortest form."""
    assert data[0] == 0x81  # final, no extension, text
    assert data[1] < 0x80  # a server does not mask
    length, start = data[1], 2
    if length == 126:
        length, start = int.from_bytes(data[2:4], "big"), 4
        assert length > 125
    elif length == 127:
        length, start = int.from_bytes(data[2:10], "big"), 10
        assert 65535 < length < 2**63
    assert len(data) == start + length
    return data[start:]


def frame_json(data: bytes) -> Any:
    return json.loads(unframe(data))


def event_json(events: bytes) -> list[Any]:
    """Read events: JSON of each, and "[DONE]" as it is."""
    text = events.decode()
    assert text.endswith("\n\n")
    read = []
    for event in text[:-2].split("\n\n"):
        assert event.startswith("data: ")
        assert "\r" not in event
        data, *rest = event.split("\n")
        assert all(re.fullmatch(r"id: \d+-\d+", line) for line in rest)
        read.append(data[6:] if data == "data: [DONE]" else json.loads(data[6:]))
    return read


def chunk(seq: int, delta: Any, *, index: int = 0, logprobs: Any = None, **more: Any) -> Any:
    """Return a frame with content, as a plain client gets it."""
    choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}
    return START | {"choices": [choice]} | IDENTITY | {"seq": seq, "done": False} | more


def event(delta: Any, *, index: int = 0, logprobs: Any = None, reason: str | None = None) -> Any:
    choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
    return START | {"choices": [choice]}


# The frame header.


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, b"\x81\x00"),
        (1, b"\x81\x01"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (255, b"\x81\x7e\x00\xff"),
        (256, b"\x81\x7e\x01\x00"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        (16_777_216, b"\x81\x7f\x00\x00\x00\x00\x01\x00\x00\x00"),
    ],
)
def test_frame_header(length: int, header: bytes) -> None:
    payload = b"x" * length
    assert text_frame(payload) == header + payload


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_an_independent_client_reads_the_frames(length: int) -> None:
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN)
    payload = b"x" * length
    client.receive_data(text_frame(payload) + text_frame(b"next"))
    assert client.events_received() == [Frame(Opcode.TEXT, payload), Frame(Opcode.TEXT, b"next")]


@pytest.mark.parametrize("target", [65534, 65535, 65536, 65537])
def test_the_token_path_and_text_frame_agree_where_the_header_grows(target: int) -> None:
    renderer = frames()
    room = target - len(unframe(renderer.render(7, text_record(""))))
    record = text_record("x" * room)
    frame = renderer.render(7, record)
    assert len(unframe(frame)) == target
    assert frame == text_frame(unframe(frame))
    assert frame_json(frame)["choices"][0]["delta"] == {"content": "x" * room}


# Frames, plain and aware.

# Seq, record, and what a plain client gets.
PLAIN = [
    (1, HEAD, chunk(1, {"content": "", "role": "assistant"})),
    (2, text_record("안녕 😀"), chunk(2, {"content": "안녕 😀"})),
    (2, text_record('a"b\\c\nd\u0000'), chunk(2, {"content": 'a"b\\c\nd\u0000'})),
    (3, reasoning_record("흠"), chunk(3, {"content": "", "reasoning_content": "흠"})),
    (4, delta_record(0, {"tool_calls": [CALL]}), chunk(4, {"content": "", "tool_calls": [CALL]})),
    (5, delta_record(1, {"content": "b"}), chunk(5, {"content": "b"}, index=1)),
    (6, delta_record(0, {"refusal": "no"}), chunk(6, {"content": "", "refusal": "no"})),
    (7, delta_record(0, {"content": "a"}, LOGPROBS), chunk(7, {"content": "a"}, logprobs=LOGPROBS)),
    (8, delta_record(0, {}, LOGPROBS), chunk(8, {"content": ""}, logprobs=LOGPROBS)),
    (9, delta_record(2, {}), chunk(9, {"content": ""}, index=2)),
]


@pytest.mark.parametrize(("seq", "record", "expected"), PLAIN)
def test_plain_chunks(seq: int, record: bytes, expected: Any) -> None:
    assert frame_json(frames().render(seq, record)) == expected


@pytest.mark.parametrize(("seq", "record", "expected"), PLAIN)
def test_aware_chunks_are_the_same_with_a_type_first(
    seq: int, record: bytes, expected: Any
) -> None:
    payload = unframe(frames(aware=True).render(seq, record))
    assert payload.startswith(b'{"type":"chunk",')
    assert json.loads(payload) == {"type": "chunk"} | expected


def terminal(seq: int, reason: str, **more: Any) -> Any:
    choice = {"index": 0, "delta": {"content": ""}, "logprobs": None, "finish_reason": reason}
    last = IDENTITY | {"seq": seq, "usage": None, "cost": None, "done": True}
    return START | {"choices": [choice]} | last | more


def test_the_plain_last_frame() -> None:
    frame = frames().render(9, finish_record("stop", usage=USAGE, cost="0.000012"))
    assert frame_json(frame) == terminal(9, "stop", usage=USAGE, cost="0.000012")


def test_the_plain_last_frame_of_several_choices() -> None:
    frame = frames().render(9, finish_record("stop", "length"))
    assert frame_json(frame) == terminal(9, "stop", finish_reasons=["stop", "length"])


def test_the_plain_error_frame() -> None:
    frame = frames().render(9, error_record(usage=USAGE))
    assert frame_json(frame) == terminal(9, "error", usage=USAGE, error=ERROR_JSON)


def test_an_error_before_any_head() -> None:
    frame = frame_json(frames(opened=None).render(1, error_record()))
    expected = terminal(1, "error", error=ERROR_JSON)
    del expected["created"], expected["model"]
    assert frame == expected


def aware_terminal(kind: str, reason: str, **more: Any) -> Any:
    last = {"seq": 9, "usage": None, "cost": None, "done": True}
    return {"type": kind, "finish_reason": reason} | IDENTITY | last | more


def test_the_aware_last_frame() -> None:
    frame = frames(aware=True).render(9, finish_record("tool_calls", usage=USAGE, cost="1"))
    assert frame_json(frame) == aware_terminal("done", "tool_calls", usage=USAGE, cost="1")


def test_the_aware_last_frame_of_several_choices() -> None:
    frame = frames(aware=True).render(9, finish_record("stop", "length"))
    assert frame_json(frame) == aware_terminal("done", "stop", finish_reasons=["stop", "length"])


def test_the_aware_error_frame() -> None:
    frame = frames(aware=True).render(9, error_record())
    assert frame_json(frame) == aware_terminal("error", "error", error=ERROR_JSON)
    assert frame == frames(aware=True, opened=None).render(9, error_record())


def test_what_the_head_says_is_in_every_chunk() -> None:
    opened = head_record(system_fingerprint="fp_1", service_tier="default")
    more = {"system_fingerprint": "fp_1", "service_tier": "default"}
    for record in RECORDS[1:]:
        assert frame_json(frames(opened=opened).render(2, record)).items() >= more.items()
        for read in event_json(events(opened=opened).render(2, record)):
            if isinstance(read, dict) and "error" not in read:
                assert read.items() >= more.items()


def test_reasoning_under_several_names() -> None:
    opened = head_record(reasoning_fields=["reasoning_content", "reasoning"])
    expected = {"reasoning_content": '흠"', "reasoning": '흠"'}
    record = reasoning_record('흠"')
    plain = frame_json(frames(opened=opened).render(2, record))
    assert plain["choices"][0]["delta"] == {"content": ""} | expected
    (read,) = event_json(events(opened=opened).render(2, record))
    assert read["choices"][0]["delta"] == expected


@pytest.mark.parametrize("record", RECORDS)
def test_the_rules_for_plain_frames(record: bytes) -> None:
    frame = frame_json(frames().render(4, record))
    (choice,) = frame["choices"]
    assert isinstance(choice["delta"]["content"], str)
    assert "finish_reason" in choice
    assert frame["done"] is journal.is_terminal(record)
    assert (frame["stream_id"], frame["epoch"], frame["seq"]) == (STREAM, EPOCH, 4)
    assert "type" not in frame
    assert (choice["finish_reason"] is not None) is frame["done"]
    assert ("error" in frame) is (record[0] == journal.ERROR)


@pytest.mark.parametrize("seq", [1, 9, 10, 99, 100, 12_345, 999_999, 2**31, 2**53 - 1])
@pytest.mark.parametrize("record", RECORDS)
def test_a_seq_of_any_length(seq: int, record: bytes) -> None:
    for aware in (False, True):
        renderer = frames(aware=aware)
        frame = renderer.render(seq, record)
        assert frame_json(frame)["seq"] == seq
        assert frame == text_frame(unframe(frame))


@pytest.mark.parametrize("stream", ["s", "strm_" + "x" * 40, '스트림"\\'])
def test_a_stream_id_of_any_form(stream: str) -> None:
    renderer = FrameRenderer(stream, 1, aware=False, merges=False)
    for record in RECORDS:
        frame = renderer.render(1, record)
        assert frame == text_frame(unframe(frame))
        assert frame_json(frame)["stream_id"] == stream
    (read,) = event_json(EventRenderer(stream, 1, include_usage=False).render(1, HEAD))
    assert read["id"] == f"chatcmpl-{stream}"


# Events.

EVENTS = [
    (HEAD, event({"role": "assistant", "content": ""})),
    (text_record("안녕 😀"), event({"content": "안녕 😀"})),
    (text_record('"\n\r\u2028'), event({"content": '"\n\r\u2028'})),
    (reasoning_record("흠"), event({"reasoning_content": "흠"})),
    (delta_record(0, {"tool_calls": [CALL]}), event({"tool_calls": [CALL]})),
    (delta_record(1, {"content": "b"}), event({"content": "b"}, index=1)),
    (delta_record(0, {"content": "a"}, LOGPROBS), event({"content": "a"}, logprobs=LOGPROBS)),
    (delta_record(0, {}, LOGPROBS), event({}, logprobs=LOGPROBS)),
]


@pytest.mark.parametrize(("record", "expected"), EVENTS)
def test_events(record: bytes, expected: Any) -> None:
    assert event_json(events().render(5, record)) == [expected]


@pytest.mark.parametrize(("record", "expected"), EVENTS)
def test_with_include_usage_every_event_has_none_yet(record: bytes, expected: Any) -> None:
    read = event_json(events(include_usage=True).render(5, record))
    assert read == [expected | {"usage": None}]


def test_the_last_events() -> None:
    data = events().render(9, finish_record("stop", usage=USAGE))
    assert event_json(data) == [event({}, reason="stop"), "[DONE]"]


def test_the_last_events_of_several_choices() -> None:
    data = events().render(9, finish_record("stop", "length", usage=USAGE))
    assert event_json(data) == [
        event({}, reason="stop"),
        event({}, index=1, reason="length"),
        "[DONE]",
    ]


@pytest.mark.parametrize("usage", [USAGE, None])
def test_the_last_events_with_usage(usage: Any) -> None:
    data = events(include_usage=True).render(9, finish_record("stop", usage=usage))
    assert event_json(data) == [
        event({}, reason="stop") | {"usage": None},
        START | {"choices": [], "usage": usage},
        "[DONE]",
    ]


@pytest.mark.parametrize("include_usage", [False, True])
def test_the_error_event(*, include_usage: bool) -> None:
    for opened in (HEAD, None):
        data = events(include_usage=include_usage, opened=opened).render(9, error_record())
        assert event_json(data) == [{"error": ERROR_JSON}, "[DONE]"]


# The same bytes for ever.


MAKERS = [
    frames,
    lambda **opened: frames(aware=True, **opened),
    events,
    lambda **opened: events(include_usage=True, **opened),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_always_the_same_bytes(record: bytes, make: Callable[..., Renderer]) -> None:
    """Once and again, from a renderer that was sent all, and from one that came in later."""
    whole, late = make(opened=None), make(opened=HEAD)
    whole.render(1, HEAD)
    for other in RECORDS:
        whole.render(7, other)
        assert whole.render(8, record) == whole.render(8, record) == late.render(8, record)


# Runs of text in one message.

characters = st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\n\u0000한😀/')
texts = st.lists(st.text(characters, max_size=9), min_size=1, max_size=9)


def merged(renderer: Renderer, run: Sequence[str], first: int = 5) -> bytes:
    return renderer.merge(first, first + len(run) - 1, [text_record(text) for text in run])


@given(texts)
def test_a_merged_run_is_its_concatenation(run: list[str]) -> None:
    expected = chunk(4 + len(run), {"content": "".join(run)}, **{"from": 5})
    assert frame_json(merged(frames(), run)) == expected
    assert frame_json(merged(frames(aware=True), run)) == {"type": "chunk"} | expected
    assert event_json(merged(events(), run)) == [event({"content": "".join(run)})]
    assert merged(events(), run) == events().render(4 + len(run), text_record("".join(run)))


def test_merged_vectors() -> None:
    run = ['say "', '\\"', "안", "녕😀", "", "\n"]
    frame = frame_json(merged(frames(), run))
    assert frame["choices"][0]["delta"]["content"] == 'say "\\"안녕😀\n'
    assert (frame["from"], frame["seq"], frame["done"]) == (5, 10, False)


def test_a_merged_run_may_be_long() -> None:
    frame = merged(frames(), ["가" * 100] * 300)
    assert len(unframe(frame)) > 65535
    assert len(frame_json(frame)["choices"][0]["delta"]["content"]) == 30_000


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50), st.integers(1, 10**9))
def test_any_text_is_the_same_by_frame_and_by_event(text: str, seq: int) -> None:
    frame = frames().render(seq, text_record(text))
    assert frame == text_frame(unframe(frame))
    assert frame_json(frame) == chunk(seq, {"content": text})
    assert event_json(events().render(seq, text_record(text))) == [event({"content": text})]


def test_who_merges() -> None:
    assert [frames(merges=merges).merges for merges in (False, True)] == [False, True]
    assert events().merges


# Errors and usage on the wire.


def test_wire_error() -> None:
    error = wire_error(ModelNotFound("모델이 없습니다.", param="model"))
    assert json.loads(encode(error)) == {
        "message": "모델이 없습니다.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
        "retryable": False,
    }
    assert wire_error(RateLimited("x")).retryable
    assert wire_error(ProviderRejected("x", status=400, code="c", type="t")) == WireError(
        "x", "t", None, "c", retryable=False
    )


def test_wire_usage() -> None:
    usage = wire_usage(Usage(1, 2, 3, 4, 5, 6, 7, 8, 9))
    assert usage == {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 4, "audio_tokens": 6},
        "completion_tokens_details": {
            "reasoning_tokens": 5,
            "audio_tokens": 7,
            "accepted_prediction_tokens": 8,
            "rejected_prediction_tokens": 9,
        },
    }
    assert "estimated" not in usage
    assert wire_usage(Usage(1, 2, estimated=True))["estimated"] is True


def test_heads_and_terminals_come_back() -> None:
    head = Head("m", 1, ["reasoning"], "fp", "flex")
    assert head_decoder.decode(encode(head)) == head
    end = Terminal(["stop"], USAGE, "0.1", ERROR)
    assert terminal_decoder.decode(encode(end)) == end
    assert encode(Terminal(["stop"])) == b'{"finish_reasons":["stop"]}'


def test_a_charge_of_before_its_calls_were_kept_can_be_read() -> None:
    charge = [
        "st_1", "a", "k", "m", "p", "pm", 1, 2, 3, 0, 0, 4, 0, False, 5, 5, 0, "stop", None, 1, 7, 9
    ]  # fmt: skip
    end = terminal_decoder.decode(json.dumps({"charge": charge}))
    assert end.charge is not None
    assert (end.charge.duration_ms, end.charge.tries) == (9, "")
