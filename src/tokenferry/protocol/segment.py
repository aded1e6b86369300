r"""The format of a journal segment: commits to bytes, and bytes to the longest valid prefix.

Integers are little-endian and unsigned. A file is `TFRYSEG\x01` (the last byte is the version of
the format), then commits without anything between them. A commit is

    crc     u32  CRC-32 (zlib) of the rest of the commit: length, clock and body
    length  u32  bytes of the body, 1 to COMMIT_BYTES_MAX
    clock   u64  Unix time of the commit in ms
    body         entries, one after the other; the last one ends where the body ends

An entry begins with its kind, a byte:

    1 OPEN     number u32, head u32, epochs u16, id bytes u16, meta bytes u32;
               for each epoch: epoch u32, its first seq u32; id in UTF-8; meta
    2 RECORD   number u32, seq u32, bytes u32; the record
    3 RECORDS  number u32, first seq u32, count u32, bytes u32; for each record its bytes u32;
               the records, in order of seq, `bytes` together
    4 DROP     number u32

A stream's number stands for it in all segments of a directory and is given once. OPEN says all that
there is to say of a stream: it is new (head 0), or taken over (one more epoch, whose first seq is
head + 1), or carried over into a segment where it was not yet. In every segment it stands before
the stream's first record, so that segments can be read, and deleted, one by one. Whoever reads
several goes by the head of OPEN: if it is what the segments before gave, the records follow on;
if it is more, records are missing and the stream ends before them; if it is less, what was read
beyond it does not count. DROP says that the stream of that number is to be forgotten.

Reading stops at the first commit that is not whole, whose CRC is wrong, or whose entries do not
fill it.

Source: the layout is our own; docs/decisions/0009-streams-survive.md says why there are segments.
Weakness: a CRC is no signature, and misses one in 2^32 of the damages of more than a few bits.
"""

import struct
import zlib
from collections.abc import Sequence
from itertools import starmap
from typing import NamedTuple

MAGIC_NAME = b"TFRYSEG"
MAGIC = MAGIC_NAME + b"\x01"
# One tick's records of all streams. A stream's whole log is 4 MiB at most by default; a length
# beyond this one is damage, and nobody should set aside memory for it.
COMMIT_BYTES_MAX = 64 << 20
# What a commit takes beside its body.
COMMIT_OVERHEAD_BYTES = 16
ID_BYTES_MAX = 255
# Repeated in every segment that the stream reaches.
META_BYTES_MAX = 1 << 20
# The records of one stream that one commit takes, whatever stands beside them: what the stream is,
# their lengths, its end. A longer log could wait for its commit for ever.
STREAM_BYTES_MAX = COMMIT_BYTES_MAX - META_BYTES_MAX - (1 << 20)
# As many owners as two bytes can count.
EPOCHS_MAX = 0xFFFF

OPEN = 1
RECORD = 2
RECORDS = 3
DROP = 4

_U32 = struct.Struct("<I")
_COVERED = struct.Struct("<IQ")
_COMMIT = struct.Struct("<IIQ")
_OPEN = struct.Struct("<BIIHHI")
_RECORD = struct.Struct("<BIII")
_RECORDS = struct.Struct("<BIIII")
_DROP = struct.Struct("<BI")
_EPOCH = struct.Struct("<II")

pack_record = _RECORD.pack
pack_records = _RECORDS.pack
RECORD_OVERHEAD_BYTES = _RECORD.size
# A reader that has this many bytes of a run can tell how many more there are.
RUN_HEADER_BYTES = _RECORDS.size

Epochs = tuple[tuple[int, int], ...]


class Opening(NamedTuple):
    """An OPEN entry: all that there is to say of a stream at that point."""

    number: int
    head: int
    epochs: Epochs
    stream_id: str
    meta: bytes


class Run(NamedTuple):
    """A RECORD or RECORDS entry: records of one stream with consecutive seqs.

    Attributes:
        number: The stream.
        first: Seq of the first record.
        records: How many they are.
        offset: Where in the file the entry begins.
    """

    number: int
    first: int
    records: int
    offset: int


class Dropping(NamedTuple):
    """A DROP entry."""

    number: int


Entry = Opening | Run | Dropping


class Commit(NamedTuple):
    """One commit: where it ends in the file, its Unix time, and its entries."""

    end: int
    wall_ms: int
    entries: list[Entry]


def opening_bytes(opening: Opening) -> bytes:
    """Return an OPEN entry.

    Raises:
        ValueError: If id, meta or the list of epochs is longer than its limit.
    """
    number, head, epochs, stream_id, meta = opening
    name = stream_id.encode()
    if not (
        len(name) <= ID_BYTES_MAX and len(meta) <= META_BYTES_MAX and 1 <= len(epochs) <= EPOCHS_MAX
    ):
        raise ValueError("The stream's id, meta or list of epochs is over its limit.")
    header = _OPEN.pack(OPEN, number, head, len(epochs), len(name), len(meta))
    return b"".join((header, *starmap(_EPOCH.pack, epochs), name, meta))


def run_parts(number: int, first: int, records: Sequence[bytes]) -> list[bytes]:
    """Return the pieces of a RECORDS entry."""
    lengths = [*map(len, records)]
    count = len(lengths)
    return [
        pack_records(RECORDS, number, first, count, sum(lengths)),
        struct.pack(f"<{count}I", *lengths),
        *records,
    ]


def dropping_bytes(number: int) -> bytes:
    """Return a DROP entry."""
    return _DROP.pack(DROP, number)


def commit_bytes(parts: Sequence[bytes], body_bytes: int, wall_ms: int) -> bytes:
    """Return a commit of entries.

    Args:
        parts: The pieces of its body.
        body_bytes: Their length together; 1 to COMMIT_BYTES_MAX, which the caller sees to.
        wall_ms: Unix time.
    """
    covered = b"".join((_COVERED.pack(body_bytes, wall_ms), *parts))
    return _U32.pack(zlib.crc32(covered)) + covered


def run_bytes(data: bytes, at: int) -> int:
    """Return how long the run is that begins at `at`, or 0 if there is none.

    Args:
        data: At least RUN_HEADER_BYTES from `at`, or all that the file has.
        at: Where the entry begins.
    """
    kind = data[at] if at < len(data) else 0
    if kind == RECORD and at + _RECORD.size <= len(data):
        return _RECORD.size + int(_RECORD.unpack_from(data, at)[3])
    if kind == RECORDS and at + _RECORDS.size <= len(data):
        count, size = _RECORDS.unpack_from(data, at)[3:]
        return _RECORDS.size + 4 * int(count) + int(size)
    return 0


def run_records(data: bytes, at: int, skip: int, limit: int) -> list[bytes]:
    """Return up to `limit` records of a run, without its first `skip`; `data` has the whole run."""
    if data[at] == RECORD:
        start = at + _RECORD.size
        record = data[start : start + _RECORD.unpack_from(data, at)[3]]
        return [record][skip : skip + limit]
    count = _RECORDS.unpack_from(data, at)[3]
    lengths = struct.unpack_from(f"<{count}I", data, at + _RECORDS.size)
    start = at + _RECORDS.size + 4 * count + sum(lengths[:skip])
    records = []
    for length in lengths[skip : skip + limit]:
        records.append(data[start : start + length])
        start += length
    return records


class Scanner:
    """Reads a segment from its beginning, as far as it is valid. No bytes make it raise.

    Attributes:
        end: How long the valid prefix is so far: 0, or to the end of magic or of a commit.
        damaged: Whether something invalid was met; more bytes change nothing then. What is
            merely cut short is not: it shows by `end` being less than the file's length.
    """

    def __init__(self) -> None:
        self.end = 0
        self.damaged = False
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[Commit]:
        """Take the file's next bytes and return the commits that they complete."""
        if self.damaged:
            return []
        self._rest += chunk
        with memoryview(self._rest) as view:
            begin = self.end
            commits = self._commits(view)
        if self.damaged:
            self._rest.clear()
        else:
            del self._rest[: self.end - begin]
        return commits

    def _commits(self, view: memoryview) -> list[Commit]:
        commits: list[Commit] = []
        at, base = 0, self.end
        if not base:
            if view[: len(MAGIC)] != MAGIC[: len(view)]:
                self.damaged = True
            if self.damaged or len(view) < len(MAGIC):
                return []
            at = self.end = len(MAGIC)
        while at + COMMIT_OVERHEAD_BYTES <= len(view):
            crc, length, wall_ms = _COMMIT.unpack_from(view, at)
            body = at + COMMIT_OVERHEAD_BYTES
            if not 0 < length <= COMMIT_BYTES_MAX:
                self.damaged = True
                break
            if body + length > len(view):
                break
            entries = None
            if zlib.crc32(view[at + 4 : body + length]) == crc:
                entries = _entries(view, body, body + length, base)
            if entries is None:
                self.damaged = True
                break
            at = body + length
            self.end = base + at
            commits.append(Commit(self.end, wall_ms, entries))
        return commits


def _entries(view: memoryview, at: int, end: int, base: int) -> list[Entry] | None:
    """Return the entries from `at` to `end`, or None if they do not fill it exactly."""
    entries: list[Entry] = []
    try:
        while at < end:
            kind = view[at]
            if kind == RECORD:
                _, number, seq, length = _RECORD.unpack_from(view, at)
                entries.append(Run(number, seq, 1, base + at))
                at += _RECORD.size + length
            else:
                entry, at = _entry(kind, view, at, base)
                entries.append(entry)
    except (struct.error, ValueError):
        return None
    return entries if at == end else None


def _entry(kind: int, view: memoryview, at: int, base: int) -> tuple[Entry, int]:
    """Return an entry of the rarer kinds, and where it ends."""
    if kind == RECORDS:
        _, number, first, count, size = _RECORDS.unpack_from(view, at)
        start = at + _RECORDS.size
        # Compared first: a count out of nowhere must not become a format of that length.
        if start + 4 * count > len(view):
            raise ValueError("cut short")
        if not count or sum(struct.unpack_from(f"<{count}I", view, start)) != size:
            raise ValueError("the lengths are not those of the whole")
        return Run(number, first, count, base + at), start + 4 * count + size
    if kind == DROP:
        return Dropping(_DROP.unpack_from(view, at)[1]), at + _DROP.size
    if kind != OPEN:
        raise ValueError("no kind of entry")
    _, number, head, count, id_bytes, meta_bytes = _OPEN.unpack_from(view, at)
    at += _OPEN.size
    flat = struct.unpack_from(f"<{2 * count}I", view, at)
    at += _EPOCH.size * count
    name = str(view[at : at + id_bytes], "utf-8")
    at += id_bytes
    meta = bytes(view[at : at + meta_bytes])
    if not count or id_bytes > ID_BYTES_MAX or meta_bytes > META_BYTES_MAX:
        raise ValueError("over a limit")
    epochs = tuple(zip(flat[::2], flat[1::2], strict=True))
    return Opening(number, head, epochs, name, meta), at + meta_bytes
