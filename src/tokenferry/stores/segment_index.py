"""What is in a segment, stream by stream: found by reading it, or kept in a file beside it.

The file is a cache. It holds the segment's length and CRC, and where they are not the segment's, or
it is missing or damaged, the segment itself is read. To take the CRC of a segment is many times as
fast as to read its commits.

Weakness: the file is as large as a tenth of the segment where every commit has one short record.
"""

import logging
import sys
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tokenferry.protocol.segment import (
    Commit,
    Dropping,
    Epochs,
    Opening,
    Run,
    Scanner,
)

log = logging.getLogger(__name__)

# The arrays are written as they are in memory; another machine's index is read anew.
MAGIC = b"TFRYIX\x01" + sys.byteorder[:1].encode()
CHUNK_BYTES = 1 << 20
# Eight bytes a run and a run at least 30 in the segment, which may be 1 GiB; and the metas.
INDEX_BYTES_MAX = 1 << 30
_CRC_BYTES = 4


class StreamPart(msgspec.Struct, array_like=True):
    """What a segment holds of a stream.

    Attributes:
        number: What stands for it in all segments.
        stream_id: Its name.
        meta: What its latest owner gave.
        epochs: Each owner's epoch and first seq.
        before: Its head when it reached the segment.
        head: Its head when it left it.
        written_ms: Unix time of its last commit here.
        firsts: The first seq of each run, an array of four-byte integers.
        offsets: Where each run begins, likewise.
    """

    number: int
    stream_id: str
    meta: bytes
    epochs: Epochs
    before: int
    head: int
    written_ms: int
    firsts: bytes
    offsets: bytes


class Contents(msgspec.Struct, array_like=True):
    """What is in a segment.

    Attributes:
        length: Bytes of the segment that are valid.
        crc: CRC-32 of these bytes.
        number_max: The highest stream number in it.
        dropped: The streams that were dropped while it was written, by number.
        parts: What it holds of those that were not.
    """

    length: int
    crc: int
    number_max: int
    dropped: list[int]
    parts: list[StreamPart]


def encode(contents: Contents) -> bytes:
    """Return the index file of a segment."""
    body = msgspec.msgpack.encode(contents)
    return MAGIC + zlib.crc32(body).to_bytes(_CRC_BYTES) + body


def decode(data: bytes) -> Contents | None:
    """Return what an index file says, or None if it is none of ours or damaged."""
    start = len(MAGIC) + _CRC_BYTES
    body = data[start:]
    if data[:start] != MAGIC + zlib.crc32(body).to_bytes(_CRC_BYTES):
        return None
    try:
        return msgspec.msgpack.decode(body, type=Contents)
    except msgspec.DecodeError:
        return None


def chunks(path: Path) -> Iterator[bytes]:
    """Yield a file in pieces."""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def load(segment: Path, index: Path) -> Contents | None:
    """Return what the index beside a segment says, if it is that segment's.

    Raises:
        OSError: If one of the files is there and cannot be read.
    """
    try:
        if index.stat().st_size > INDEX_BYTES_MAX:
            return None
        contents = decode(index.read_bytes())
    except FileNotFoundError:
        return None
    if contents is None or contents.length != segment.stat().st_size:
        return None
    crc = 0
    for chunk in chunks(segment):
        crc = zlib.crc32(chunk, crc)
    return contents if crc == contents.crc else None


class Survey:
    """Reads a segment's commits and tells what is in it.

    Attributes:
        scanner: What read it; its `end` says how far the segment is valid.
    """

    def __init__(self) -> None:
        self.scanner = Scanner()
        self._crc = 0
        self._number_max = 0
        self._dropped: list[int] = []
        self._parts: dict[int, _Gathered] = {}

    def read(self, path: Path) -> Contents:
        """Return what is in a segment's valid prefix.

        Raises:
            OSError: If it cannot be read.
        """
        for chunk in chunks(path):
            for commit in self.scanner.feed(chunk):
                self._take(commit)
        left = length = self.scanner.end
        for chunk in chunks(path):
            self._crc = zlib.crc32(chunk[:left], self._crc)
            left -= min(left, len(chunk))
        parts = [gathered.part() for gathered in self._parts.values()]
        return Contents(length, self._crc, self._number_max, self._dropped, parts)

    def _take(self, commit: Commit) -> None:
        parts = self._parts
        for entry in commit.entries:
            if type(entry) is Run:
                gathered = parts.get(entry.number)
                # Of a stream that was dropped meanwhile, or none of which was said before.
                if gathered is None or entry.first != gathered.head + 1:
                    continue
                gathered.head += entry.records
                gathered.firsts.append(entry.first)
                gathered.offsets.append(entry.offset)
                gathered.written_ms = commit.wall_ms
                continue
            self._number_max = max(self._number_max, entry.number)
            if isinstance(entry, Dropping):
                parts.pop(entry.number, None)
                self._dropped.append(entry.number)
            elif isinstance(entry, Opening):
                gathered = parts.get(entry.number)
                if gathered is None or gathered.head != entry.head:
                    gathered = parts[entry.number] = _Gathered(entry)
                gathered.opening = entry
                gathered.written_ms = commit.wall_ms


class _Gathered:
    """A part while the segment is read."""

    __slots__ = ("before", "firsts", "head", "offsets", "opening", "written_ms")

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.before = self.head = opening.head
        self.written_ms = 0
        self.firsts: array[int] = array("I")
        self.offsets: array[int] = array("I")

    def part(self) -> StreamPart:
        number, _, epochs, stream_id, meta = self.opening
        return StreamPart(
            number,
            stream_id,
            meta,
            epochs,
            self.before,
            self.head,
            self.written_ms,
            self.firsts.tobytes(),
            self.offsets.tobytes(),
        )
