"""Where the records of a stream are: the index of the segments, in memory.

It has one entry for each commit that a stream was in, in arrays of four-byte integers, and no
object for a record.

Weakness: eight bytes a commit and stream stay in memory for as long as the stream is kept.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from tokenferry.protocol.segment import Epochs, Opening


class Part(NamedTuple):
    """What one segment holds of a stream.

    Attributes:
        segment: The segment.
        before: The stream's head when it reached the segment.
        firsts: The first seq of each run of records.
        offsets: Where in the segment each run begins.
    """

    segment: int
    before: int
    firsts: "array[int]"
    offsets: "array[int]"


class Place(NamedTuple):
    """Where a run of records is, and which seqs of it count."""

    segment: int
    offset: int
    first: int
    last: int


class StreamLog:
    """One stream.

    Attributes:
        id: Its name.
        number: What stands for it in the segments.
        meta: What its owner gave.
        epochs: Each owner's epoch and first seq.
        epoch: The latest owner's.
        head: Seq of the last committed record.
        written_ms: Unix time of the last commit.
        parts: What the segments hold of it, oldest first.
        segment: The segment of the latest part; 0 when there is none.
        firsts: The latest part's, kept here for the hot path.
        offsets: Likewise.
    """

    __slots__ = (
        "epoch",
        "epochs",
        "firsts",
        "head",
        "id",
        "meta",
        "number",
        "offsets",
        "parts",
        "segment",
        "written_ms",
    )

    def __init__(self, stream_id: str, number: int) -> None:
        self.id = stream_id
        self.number = number
        self.meta = b""
        self.epochs: Epochs = ()
        self.epoch = 0
        self.head = 0
        self.written_ms = 0
        self.parts: list[Part] = []
        self.segment = 0
        self.firsts: array[int] = array("I")
        self.offsets: array[int] = array("I")

    def own(self, epochs: Epochs, meta: bytes) -> None:
        """Take note of the owners so far, the latest of whom gave `meta`."""
        self.epochs = epochs
        self.epoch = epochs[-1][0]
        self.meta = meta

    def opening(self) -> Opening:
        """Return what a segment must say of the stream before its first record there."""
        return Opening(self.number, self.head, self.epochs, self.id, self.meta)

    def enter(self, segment: int) -> None:
        """Begin a part in a segment, unless it is there already."""
        if segment != self.segment:
            self.add(Part(segment, self.head, array("I"), array("I")))

    def add(self, part: Part) -> None:
        """Take a part that begins at the head."""
        self.parts.append(part)
        self.segment, _, self.firsts, self.offsets = part

    def cut(self, head: int) -> list[int]:
        """Give up everything beyond a seq, and return the segments that it has left."""
        self.head = head
        left = []
        while len(self.parts) > 1 and self.parts[-1].before >= head:
            left.append(self.parts.pop().segment)
        self.segment, _, self.firsts, self.offsets = self.parts[-1]
        kept = bisect_right(self.firsts, head)
        del self.firsts[kept:], self.offsets[kept:]
        return left

    def segments(self) -> list[int]:
        """Return the segments in which it is."""
        return [part.segment for part in self.parts]

    def places(self, after: int) -> Iterator[Place]:
        """Yield where the records with seq > `after`, which is below the head, are, in order."""
        parts = self.parts
        end = self.head
        index = len(parts) - 1
        while index > 0 and parts[index].before > after:
            end = parts[index].before
            index -= 1
        while True:
            segment, _, firsts, offsets = parts[index]
            run = max(bisect_right(firsts, after + 1) - 1, 0)
            for at in range(run, len(firsts)):
                last = firsts[at + 1] - 1 if at + 1 < len(firsts) else end
                yield Place(segment, offsets[at], firsts[at], last)
            index += 1
            if index == len(parts):
                return
            after = parts[index].before
            end = parts[index + 1].before if index + 1 < len(parts) else self.head
