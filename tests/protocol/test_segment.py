import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenferry.protocol import segment
from tokenferry.protocol.segment import (
    COMMIT_BYTES_MAX,
    COMMIT_OVERHEAD_BYTES,
    EPOCHS_MAX,
    ID_BYTES_MAX,
    MAGIC,
    META_BYTES_MAX,
    RECORD,
    RUN_HEADER_BYTES,
    Commit,
    Dropping,
    Opening,
    Run,
    Scanner,
    commit_bytes,
    dropping_bytes,
    opening_bytes,
    pack_record,
    run_bytes,
    run_parts,
    run_records,
)

OPENING = Opening(7, 2, ((1, 1), (3, 3)), "st_한", b"\x00{}")
# Each entry as somebody who reads the module's docstring would write it.
OPENING_HEX = (
    "01 07000000 02000000 0200 0600 03000000"
    "01000000 01000000 03000000 03000000 73745f ed959c 007b7d"
)
RECORD_HEX = "02 07000000 03000000 02000000 7461"
RECORDS_HEX = "03 07000000 04000000 03000000 03000000 01000000 00000000 02000000 61 6263"
DROP_HEX = "04 09000000"


def record(number: int, seq: int, payload: bytes) -> bytes:
    return pack_record(RECORD, number, seq, len(payload)) + payload


def commit(*parts: bytes, wall_ms: int = 1) -> bytes:
    return commit_bytes(parts, sum(map(len, parts)), wall_ms)


def sealed(body: bytes, length: int | None = None) -> bytes:
    """Return a commit of any body, with its CRC right."""
    covered = struct.pack("<IQ", len(body) if length is None else length, 1) + body
    return struct.pack("<I", zlib.crc32(covered)) + covered


def scan(data: bytes, step: int = 1 << 20) -> tuple[list[Commit], Scanner]:
    scanner = Scanner()
    commits = []
    for at in range(0, len(data), step):
        commits += scanner.feed(data[at : at + step])
    return commits, scanner


def records_of(data: bytes, run: Run) -> list[bytes]:
    return run_records(data, run.offset, 0, run.records)


# -- vectors ---------------------------------------------------------------------------------


def test_the_entries_are_as_documented() -> None:
    assert opening_bytes(OPENING) == bytes.fromhex(OPENING_HEX)
    assert record(7, 3, b"ta") == bytes.fromhex(RECORD_HEX)
    assert b"".join(run_parts(7, 4, [b"a", b"", b"bc"])) == bytes.fromhex(RECORDS_HEX)
    assert dropping_bytes(9) == bytes.fromhex(DROP_HEX)


def test_a_file_is_as_documented() -> None:
    body = bytes.fromhex(OPENING_HEX + RECORD_HEX + RECORDS_HEX + DROP_HEX)
    data = bytes.fromhex("54465259534547 01") + commit(body, wall_ms=0x0102030405060708)
    assert data[8:24] == zlib.crc32(data[12:]).to_bytes(4, "little") + bytes.fromhex(
        "5e000000 0807060504030201"
    )
    assert scan(data)[0] == [
        Commit(
            len(data),
            0x0102030405060708,
            [OPENING, Run(7, 3, 1, 66), Run(7, 4, 3, 81), Dropping(9)],
        )
    ]


def test_one_commit_in_full() -> None:
    assert (MAGIC + commit(dropping_bytes(9), wall_ms=1)).hex(" ") == (
        "54 46 52 59 53 45 47 01 fe 2d 5f 68 05 00 00 00 01 00 00 00 00 00 00 00 04 09 00 00 00"
    )


def test_the_limits_are_as_documented() -> None:
    assert COMMIT_BYTES_MAX == 64 * 1024 * 1024
    assert META_BYTES_MAX == 1024 * 1024
    assert (ID_BYTES_MAX, EPOCHS_MAX, COMMIT_OVERHEAD_BYTES) == (255, 65535, 16)


# -- what is not valid -----------------------------------------------------------------------

FILE_PARTS = [
    MAGIC,
    commit(opening_bytes(OPENING), record(7, 3, b"ta")),
    commit(*run_parts(7, 4, [b"tb", b"tc"]), record(7, 6, b"td")),
    commit(dropping_bytes(7)),
]
FILE = b"".join(FILE_PARTS)
ENDS = [sum(map(len, FILE_PARTS[:count])) for count in range(1, 5)]


@pytest.mark.parametrize("length", range(len(FILE) + 1))
def test_cut_anywhere_the_longest_valid_prefix_is_read(length: int) -> None:
    commits, scanner = scan(FILE[:length])
    assert scanner.end == max([end for end in ENDS if end <= length], default=0)
    assert [each.end for each in commits] == [end for end in ENDS[1:] if end <= length]
    assert not scanner.damaged


def test_no_flipped_bit_gives_anything_that_was_not_written() -> None:
    whole = scan(FILE)[0]
    for bit in range(len(FILE) * 8):
        flipped = bytearray(FILE)
        flipped[bit // 8] ^= 1 << bit % 8
        commits, scanner = scan(bytes(flipped))
        before = [each for each in whole if each.end <= bit // 8]
        assert commits == before, bit
        assert scanner.end == max([end for end in ENDS if end <= bit // 8], default=0)


@pytest.mark.parametrize("junk", [bytes(64), b"\xff" * 64, FILE, b"\x00"])
def test_what_follows_the_valid_part_does_not_count(junk: bytes) -> None:
    commits, scanner = scan(FILE + junk)
    assert commits == scan(FILE)[0]
    assert scanner.end == len(FILE)


@pytest.mark.parametrize(
    "body",
    [
        b"\x05\x01\x00\x00\x00",
        b"\x00",
        bytes.fromhex(RECORD_HEX)[:-1],
        bytes.fromhex(RECORD_HEX) + b"\x02",
        bytes.fromhex(RECORDS_HEX)[:-1],
        bytes.fromhex(RECORDS_HEX)[:20],
        bytes.fromhex("03 07000000 04000000 01000000 02000000 01000000 6162"),
        bytes.fromhex("03 07000000 04000000 00000000 00000000"),
        bytes.fromhex("03 07000000 04000000 ffffffff 00000000"),
        bytes.fromhex(DROP_HEX)[:-1],
        bytes.fromhex(OPENING_HEX)[:-1],
        bytes.fromhex(OPENING_HEX)[:12],
        bytes.fromhex("01 07000000 00000000 0000 0100 00000000 73"),
        bytes.fromhex("01 07000000 00000000 0100 0100 00000000 01000000 01000000 ff"),
        bytes.fromhex("01 07000000 00000000 0100 0001 00000000 01000000 01000000") + b"s" * 256,
        bytes.fromhex("01 07000000 00000000 0100 0100 01001000 01000000 01000000")
        + b"s"
        + bytes(META_BYTES_MAX + 1),
    ],
)
def test_entries_that_do_not_fill_their_commit_are_not_valid(body: bytes) -> None:
    # What follows must not lend them its bytes.
    commits, scanner = scan(MAGIC + sealed(body) + commit(dropping_bytes(1)) + bytes(100))
    assert commits == []
    assert scanner.end == len(MAGIC)
    assert scanner.damaged


@pytest.mark.parametrize("magic", [b"TFRYSEG\x02", b"TFRYSEX\x01", b"SQLite f", b"x"])
def test_another_file_is_not_valid(magic: bytes) -> None:
    commits, scanner = scan(magic + FILE[8:])
    assert (commits, scanner.end, scanner.damaged) == ([], 0, True)


def test_an_empty_commit_is_not_valid() -> None:
    assert scan(MAGIC + sealed(b""))[1].damaged


@pytest.mark.parametrize(("length", "damaged"), [(COMMIT_BYTES_MAX, False), (1 << 26 | 1, True)])
def test_a_length_over_the_limit_is_not_waited_for(length: int, damaged: bool) -> None:  # noqa: FBT001 -- a parameter
    assert scan(MAGIC + sealed(b"\x04", length))[1].damaged is damaged


def test_a_commit_may_be_as_large_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(record(1, 1, b"t" * 100))
    data = MAGIC + commit(record(1, 1, b"t" * 100))
    for limit, count in ((size, 1), (size - 1, 0)):
        monkeypatch.setattr(segment, "COMMIT_BYTES_MAX", limit)
        assert len(scan(data)[0]) == count


def test_after_damage_nothing_is_read_any_more() -> None:
    scanner = Scanner()
    scanner.feed(MAGIC + sealed(b"\x09"))
    assert scanner.feed(commit(dropping_bytes(1))) == []
    assert scanner.end == len(MAGIC)


def test_an_opening_over_its_limits_is_refused() -> None:
    opening_bytes(OPENING._replace(stream_id="s" * ID_BYTES_MAX, meta=bytes(META_BYTES_MAX)))
    opening_bytes(OPENING._replace(epochs=((1, 1),) * EPOCHS_MAX))
    for over in (
        OPENING._replace(stream_id="s" * (ID_BYTES_MAX + 1)),
        OPENING._replace(stream_id="한" * 86),
        OPENING._replace(meta=bytes(META_BYTES_MAX + 1)),
        OPENING._replace(epochs=()),
        OPENING._replace(epochs=((1, 1),) * (EPOCHS_MAX + 1)),
    ):
        with pytest.raises(ValueError, match="limit"):
            opening_bytes(over)


# -- runs ------------------------------------------------------------------------------------


def test_a_run_says_how_long_it_is() -> None:
    for entry in (record(1, 1, b"tab"), b"".join(run_parts(1, 1, [b"ta", b"tb"]))):
        data = b"xx" + entry + b"more"
        assert run_bytes(data, 2) == len(entry)
        # Its header is enough.
        assert run_bytes(data[: 2 + RUN_HEADER_BYTES], 2) == len(entry)


def test_a_run_of_nothing_is_as_long_as_its_header() -> None:
    assert run_bytes(record(1, 1, b""), 0) == 13


def test_an_opening_at_its_limits_is_read() -> None:
    opening = OPENING._replace(stream_id="s" * ID_BYTES_MAX, meta=bytes(META_BYTES_MAX))
    assert scan(MAGIC + commit(opening_bytes(opening)))[0][0].entries == [opening]


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x03" + bytes(15), b"\x01" + bytes(20)])
def test_what_is_no_run_has_no_length(data: bytes) -> None:
    assert run_bytes(data, 0) == 0


@pytest.mark.parametrize("skip", range(5))
@pytest.mark.parametrize("limit", range(5))
def test_a_part_of_a_run(skip: int, limit: int) -> None:
    records = [b"a", b"", b"ccc", b"dd"]
    data = b"x" + b"".join(run_parts(1, 1, records)) + b"x"
    assert run_records(data, 1, skip, limit) == records[skip : skip + limit]
    data = b"x" + record(1, 1, b"abc") + b"x"
    assert run_records(data, 1, skip, limit) == [b"abc"][skip : skip + limit]


# -- properties ------------------------------------------------------------------------------

u32 = st.integers(0, 2**32 - 1)
openings = st.builds(
    Opening,
    u32,
    u32,
    st.lists(st.tuples(u32, u32), min_size=1, max_size=4).map(tuple),
    st.text(st.characters(codec="utf-8"), max_size=60),
    st.binary(max_size=40),
)
runs = st.tuples(u32, u32, st.lists(st.binary(max_size=20), min_size=1, max_size=5))
entries = st.one_of(openings, runs, st.builds(Dropping, u32))
files = st.lists(
    st.tuples(st.integers(0, 2**64 - 1), st.lists(entries, min_size=1, max_size=5)), max_size=5
)


def written(entry: object) -> bytes:
    if isinstance(entry, Opening):
        return opening_bytes(entry)
    if isinstance(entry, Dropping):
        return dropping_bytes(entry.number)
    number, first, records = entry  # type: ignore[misc]
    if len(records) == 1:
        return record(number, first, records[0])
    return b"".join(run_parts(number, first, records))


@given(files, st.integers(1, 200))
@settings(max_examples=200)
def test_what_was_written_is_read_however_it_comes(
    commits: list[tuple[int, list[object]]], step: int
) -> None:
    data = MAGIC + b"".join(
        commit(*map(written, content), wall_ms=wall_ms) for wall_ms, content in commits
    )
    found, scanner = scan(data, step)
    assert scanner.end == len(data)
    read = [
        (
            each.wall_ms,
            [
                (entry.number, entry.first, records_of(data, entry))
                if isinstance(entry, Run)
                else entry
                for entry in each.entries
            ],
        )
        for each in found
    ]
    assert read == commits


@given(st.binary(max_size=200), st.integers(1, 50), st.booleans())
@settings(max_examples=300)
def test_no_bytes_raise(junk: bytes, step: int, valid: bool) -> None:  # noqa: FBT001 -- a parameter
    body = sealed(junk) if valid and junk else junk
    _, scanner = scan(MAGIC + body, step)
    assert scanner.end <= len(MAGIC) + len(body)
    assert COMMIT_OVERHEAD_BYTES == 16
