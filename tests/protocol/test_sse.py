from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.protocol.sse import TEXT_BYTES_MAX, EventTooLarge, Parser

LINES = [
    b"data: a",
    b"data:",
    b"data",
    b"id: 7",
    b"event: ping",
    b": note",
    b"x",
    b'{"a": 1}',
    "data: 한😀".encode(),
]
BREAKS = [b"\n", b"\r", b"\r\n", b"\n\n"]
ODDITIES = [b"\xef\xbb\xbf", b"\xff"]

pieces = st.sampled_from(BREAKS) | st.sampled_from(LINES) | st.sampled_from(ODDITIES)
streams = st.lists(pieces, max_size=20).map(b"".join)


def parse(*chunks: bytes, event_bytes_max: int = 1 << 20) -> list[bytes] | None:
    """Return the events of a stream and what else was in it; None if it is refused as too large."""
    parser = Parser(event_bytes_max=event_bytes_max)
    try:
        return [*(event for chunk in chunks for event in parser.feed(chunk)), parser.end()]
    except EventTooLarge:
        return None


@given(streams, st.integers(1, 60), st.data())
def test_result_does_not_depend_on_where_the_stream_is_cut(
    stream: bytes, event_bytes_max: int, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]
    whole = parse(stream, event_bytes_max=event_bytes_max)
    assert parse(*chunks, event_bytes_max=event_bytes_max) == whole


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\n\n\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\ndata: b\r\n\r\n", [b"a\nb"]),
        (b"data: a\rdata: b\r\r", [b"a\nb"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [b"a"]),
        (b"data\n\n", [b""]),
        (b"data:\ndata:\n\n", [b"\n"]),
        (b"event: ping\n\ndata: a\n\n", [b"a"]),
        (b"event: x\ndata:a\n\n", [b"a"]),
        (b"data:  two spaces\n\n", [b" two spaces"]),
        (b": keep-alive\n\n: note\nretry: 10\nfoo: bar\ndata: a\nfoo: {\n\n", [b"a"]),
        (b"database: x\n\n", []),
        (b"data: a\n", []),
        (b"", []),
    ],
)
def test_specification_vectors(stream: bytes, expected: list[bytes]) -> None:
    for chunks in ([stream], [stream[i : i + 1] for i in range(len(stream))]):
        parsed = parse(*chunks)
        assert parsed is not None
        assert parsed[:-1] == expected


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"", [b""]),
        (b": note\nid: 7\nid\nretry\nevent: x\nevent\n\n", [b""]),
        (b"data: a\n\ndata: b", [b"a", b""]),
        # JSON without `data:` is an event: at an empty line, and at the end without one.
        (b'{"a": 1}', [b'{"a": 1}']),
        (b'\xef\xbb\xbf{"a": 1}', [b'{"a": 1}']),
        (b'\n\n{"a": 1}\n', [b'{"a": 1}']),
        (b'{"a": 1}\n\n', [b'{"a": 1}', b""]),
        (b'[{\r\n  "a": 1\r\n}]', [b'[{\n  "a": 1\n}]']),
        (b'data: a\n\n{\n"a": 1\n}\n', [b"a", b'{\n"a": 1\n}']),
        (b'{"a": 1}\n\ndata: [DONE]\n\n', [b'{"a": 1}', b"[DONE]", b""]),
        (b'event: error\n{"a": 1}\n\n', [b'{"a": 1}', b""]),
        # Of a block that is an event, nothing else is.
        (b'data: a\n{"a": 1}\n\n', [b"a", b""]),
        (b'{"a":\ndata: b\n\n', [b'{"a":\nb', b""]),
        # Other text is none.
        (b"overloaded", [b"overloaded"]),
        (b"error: overloaded\n\nevents: none\n", [b"error: overloaded\nevents: none"]),
        (b"<html>\n{}\n</html>\n", [b"<html>\n{}\n</html>"]),
        (b"data: a\n\nfoo: bar\n\n", [b"a", b"foo: bar"]),
    ],
)
def test_what_is_no_event_stream(stream: bytes, expected: list[bytes]) -> None:
    assert parse(stream) == expected
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == expected


@pytest.mark.parametrize("surplus", [-1, 0, 1])
def test_of_other_text_the_beginning_is_kept(surplus: int) -> None:
    words = b"a" * (TEXT_BYTES_MAX + surplus)
    assert parse(words + b"\n") == [words[:TEXT_BYTES_MAX]]
    assert parse(words + b"\nb\n") == [(words + b"\nb")[:TEXT_BYTES_MAX]]
    many = parse(b"a\n\n" * 2 * TEXT_BYTES_MAX)
    assert many is not None
    assert len(many[0]) <= TEXT_BYTES_MAX


@pytest.mark.parametrize(("bytes_max", "fits"), [(9, True), (10, True), (8, False)])
def test_the_limit_counts_lines_with_their_ends(bytes_max: int, fits: bool) -> None:  # noqa: FBT001
    assert (parse(b"data: a\n\n", event_bytes_max=bytes_max) == [b"a", b""]) is fits


def test_an_endless_event_is_refused() -> None:
    with pytest.raises(EventTooLarge, match="over 16 bytes"):
        Parser(event_bytes_max=16).feed(b"data: " + b"a" * 64)


def test_the_size_limit_is_per_event() -> None:
    assert parse(b"data: a\n\n" * 3, event_bytes_max=9) == [*[b"a"] * 3, b""]
