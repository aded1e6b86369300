import zlib
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.protocol.segment import (
    MAGIC,
    Opening,
    commit_bytes,
    dropping_bytes,
    opening_bytes,
    run_parts,
)
from tokenferry.stores import segment_index
from tokenferry.stores.segment_index import Contents, StreamPart, Survey, decode, encode, load

CONTENTS = Contents(
    100, 7, 3, [1], [StreamPart(2, "st_한", b"\xff", ((1, 1), (2, 3)), 0, 4, 9, b"1234", b"5678")]
)


def commit(*parts: bytes, wall_ms: int) -> bytes:
    return commit_bytes(parts, sum(map(len, parts)), wall_ms)


def opening(number: int, head: int = 0, *, epochs: int = 1) -> bytes:
    owners = tuple((each, each) for each in range(1, epochs + 1))
    return opening_bytes(Opening(number, head, owners, f"s{number}", b"m%d" % epochs))


def run(number: int, first: int, count: int) -> bytes:
    return b"".join(run_parts(number, first, [b"t"] * count))


def survey(tmp_path: Path, *commits: bytes) -> Contents:
    path = tmp_path / "1.seg"
    path.write_bytes(MAGIC + b"".join(commits))
    return Survey().read(path)


def test_what_was_encoded_is_decoded() -> None:
    assert decode(encode(CONTENTS)) == CONTENTS


def test_no_changed_bit_is_believed() -> None:
    data = encode(CONTENTS)
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert decode(bytes(changed)) is None
    for length in range(len(data)):
        assert decode(data[:length]) is None


@given(st.binary(max_size=40))
def test_no_bytes_raise(body: bytes) -> None:
    assert decode(body) is None
    assert decode(segment_index.MAGIC + zlib.crc32(body).to_bytes(4) + body) is None


def test_a_survey_tells_what_the_segment_holds(tmp_path: Path) -> None:
    first = commit(opening(5), run(5, 1, 2), wall_ms=1)
    second = commit(opening(6, 10), run(5, 3, 1), run(6, 11, 1), wall_ms=2)
    third = commit(opening(5, 3, epochs=2), wall_ms=3)
    contents = survey(tmp_path, first, second, third)
    data = MAGIC + first + second + third
    assert (contents.length, contents.crc) == (len(data), zlib.crc32(data))
    assert contents.number_max == 6
    assert contents.dropped == []
    five, six = contents.parts
    assert (five.number, five.stream_id, five.meta, five.epochs) == (
        5,
        "s5",
        b"m2",
        ((1, 1), (2, 2)),
    )
    assert (five.before, five.head, five.written_ms) == (0, 3, 3)
    assert list(array("I", five.firsts)) == [1, 3]
    head = len(opening(5)) + 8 + 16
    assert array("I", five.offsets)[0] == head
    assert (six.before, six.head, six.written_ms) == (10, 11, 2)


def test_a_survey_leaves_out_what_was_dropped(tmp_path: Path) -> None:
    contents = survey(
        tmp_path,
        commit(opening(5), run(5, 1, 2), opening(6), wall_ms=1),
        commit(dropping_bytes(5), dropping_bytes(9), run(5, 3, 1), wall_ms=2),
    )
    assert contents.dropped == [5, 9]
    assert contents.number_max == 9
    assert [part.number for part in contents.parts] == [6]


def test_a_survey_leaves_out_what_does_not_follow(tmp_path: Path) -> None:
    contents = survey(
        tmp_path,
        commit(opening(5), run(5, 1, 2), run(5, 4, 1), run(5, 2, 1), run(7, 1, 1), wall_ms=1),
    )
    (five,) = contents.parts
    assert five.head == 2
    assert list(array("I", five.firsts)) == [1]


def test_a_survey_goes_by_the_head_of_the_latest_opening(tmp_path: Path) -> None:
    contents = survey(
        tmp_path, commit(opening(5), run(5, 1, 3), opening(5, 1), run(5, 2, 1), wall_ms=1)
    )
    (five,) = contents.parts
    assert (five.before, five.head) == (1, 2)


def test_an_index_is_of_one_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_index, "CHUNK_BYTES", 7)
    path, index = tmp_path / "1.seg", tmp_path / "1.idx"
    contents = survey(tmp_path, commit(opening(5), run(5, 1, 2), wall_ms=1))
    assert load(path, index) is None
    index.write_bytes(encode(contents))
    assert load(path, index) == contents
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"x")
    assert load(path, index) is None
    path.write_bytes(data + b"x")
    assert load(path, index) is None


def test_an_index_over_its_limit_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, index = tmp_path / "1.seg", tmp_path / "1.idx"
    contents = survey(tmp_path, commit(opening(5), wall_ms=1))
    index.write_bytes(encode(contents))
    size = index.stat().st_size
    for limit, found in ((size, True), (size - 1, False)):
        monkeypatch.setattr(segment_index, "INDEX_BYTES_MAX", limit)
        assert (load(path, index) is not None) is found
