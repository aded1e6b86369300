from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.protocol.sse import EventTooLarge, Parser

LINES = [
    b"data: a",
    b"data:",
    b"data",
    b"id: 7",
    b"event: ping",
    b": note",
    b"x",
    "data: 한😀".encode(),
]
BREAKS = [b"\n", b"\r", b"\r\n", b"\n\n"]
ODDITIES = [b"\xef\xbb\xbf", b"\xff"]

pieces = st.sampled_from(BREAKS) | st.sampled_from(LINES) | st.sampled_from(ODDITIES)
streams = st.lists(pieces, max_size=20).map(b"".join)


def parse(*chunks: bytes, event_bytes_max: int = 1 << 20) -> list[bytes] | None:
    """Return the events of a stream, or None if it is refused as too large."""
    parser = Parser(event_bytes_max=event_bytes_max)
    try:
        return [event for chunk in chunks for event in parser.feed(chunk)]
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
        (b": keep-alive\n\n: note\nretry: 10\nfoo: bar\ndata: a\n\n", [b"a"]),
        (b"database: x\n\n", []),
        (b"data: a\n", []),
        (b"", []),
    ],
)
def test_specification_vectors(stream: bytes, expected: list[bytes]) -> None:
    assert parse(stream) == expected
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == expected


@pytest.mark.parametrize(("bytes_max", "fits"), [(9, True), (10, True), (8, False)])
def test_the_limit_counts_lines_with_their_ends(bytes_max: int, fits: bool) -> None:  # noqa: FBT001
    assert (parse(b"data: a\n\n", event_bytes_max=bytes_max) == [b"a"]) is fits


def test_an_endless_event_is_refused() -> None:
    with pytest.raises(EventTooLarge, match="over 16 bytes"):
        Parser(event_bytes_max=16).feed(b"data: " + b"a" * 64)


def test_the_size_limit_is_per_event() -> None:
    assert parse(b"data: a\n\n" * 3, event_bytes_max=9) == [b"a"] * 3
