"""Which streams a journal has, and which segments they keep.

The book is made from what is in the segments, one after the other, and follows what is written
afterwards. It deletes nothing itself.

Weakness: a stream that was dropped is forgotten for good only when all its segments are deleted.
Until then some segment must say that it was dropped, and the book must know which.
"""

import logging
from array import array

from tokenferry.engine.keys import StoreUnusable
from tokenferry.protocol.segment import MAGIC, MAGIC_NAME
from tokenferry.stores.segment_files import SegmentFiles
from tokenferry.stores.segment_index import Contents, StreamPart, Survey, encode, load
from tokenferry.stores.segment_log import Part, StreamLog

log = logging.getLogger(__name__)


class Book:
    """The streams of a journal.

    Attributes:
        logs: The streams that are kept, by name.
        kept: Of each segment, the streams that are kept and have a part in it, by number.
        unsaid: Numbers of dropped streams that would come back, since no segment says that they
            were dropped. The next commit says it.
    """

    def __init__(self) -> None:
        self.logs: dict[str, StreamLog] = {}
        self.kept: dict[int, dict[int, StreamLog]] = {}
        self.unsaid: list[int] = []
        self._next_number = 1
        # Dropped streams of which a segment still has records, by number: the segment that says
        # that they were dropped, or 0 when they are unsaid; and those that have the records.
        self._dropped: dict[int, tuple[int, list[int]]] = {}

    def new_log(self, stream_id: str) -> StreamLog:
        """Return a stream that is not in the book yet. Its number is not given again."""
        number = self._next_number
        self._next_number += 1
        return StreamLog(stream_id, number)

    def enter(self, known: StreamLog, segment: int) -> None:
        """Take note that a segment has a part of a stream."""
        known.enter(segment)
        self.kept[segment][known.number] = known

    def forget(self, known: StreamLog) -> None:
        """Take note that a stream was dropped, which no segment says yet."""
        self._drop(known, 0)
        self.unsaid.append(known.number)

    def said(self, segment: int) -> None:
        """Take note that a segment says now what was unsaid."""
        for number in self.unsaid:
            self._dropped[number] = (segment, self._dropped[number][1])
        self.unsaid = []

    def said_only_by(self, segment: int) -> list[int]:
        """Return the dropped streams that would come back if a segment were deleted."""
        return [
            number
            for number, (holder, segments) in self._dropped.items()
            if holder == segment and any(each != segment and each in self.kept for each in segments)
        ]

    def delete(self, segment: int) -> None:
        """Take note that a segment is deleted; what only it said is unsaid again."""
        for number in self.said_only_by(segment):
            self._dropped[number] = (0, self._dropped[number][1])
            self.unsaid.append(number)
        del self.kept[segment]
        for number, (_, segments) in [*self._dropped.items()]:
            if not any(each in self.kept for each in segments):
                del self._dropped[number]
        self.unsaid = [number for number in self.unsaid if number in self._dropped]

    def contents(self, segment: int, length: int, crc: int) -> Contents:
        """Return what is in the segment that was written last."""
        dropped = [number for number, (holder, _) in self._dropped.items() if holder == segment]
        parts = [_part_of(known) for known in self.kept[segment].values()]
        return Contents(length, crc, self._next_number - 1, dropped, parts)

    def add(self, segment: int, contents: Contents) -> None:
        """Take what is in the next segment."""
        self.kept[segment] = {}
        self._next_number = max(self._next_number, contents.number_max + 1)
        if contents.dropped:
            dropped = set(contents.dropped)
            for each in [each for each in self.logs.values() if each.number in dropped]:
                self._drop(each, segment)
        for part in contents.parts:
            if (known := self._successor(part, segment)) is not None:
                firsts, offsets = array("I"), array("I")
                firsts.frombytes(part.firsts)
                offsets.frombytes(part.offsets)
                known.own(part.epochs, part.meta)
                known.add(Part(segment, part.before, firsts, offsets))
                known.head = part.head
                known.written_ms = part.written_ms
                self.kept[segment][known.number] = known

    def _drop(self, known: StreamLog, holder: int) -> None:
        del self.logs[known.id]
        segments = known.segments()
        for segment in segments:
            self.kept[segment].pop(known.number, None)
        self._dropped[known.number] = (holder, segments)

    def _successor(self, part: StreamPart, segment: int) -> StreamLog | None:
        """Return the stream whose records a part continues; None if it continues none."""
        known = self.logs.get(part.stream_id)
        if not part.before and known is not None and known.number != part.number:
            # Dropped, and created anew under the same name.
            self._drop(known, segment)
            known = None
        if known is None and not part.before:
            known = self.logs[part.stream_id] = StreamLog(part.stream_id, part.number)
        if known is None or known.number != part.number:
            # What was dropped and has lost its beginning already, or whose beginning is damaged.
            return None
        if part.before > known.head:
            log.warning("%s: records after %d are missing", known.id, known.head)
            return None
        if part.before < known.head:
            for left in known.cut(part.before):
                self.kept[left].pop(known.number, None)
        return known


def load_book(files: SegmentFiles) -> Book:
    """Return the book of what is in a directory, and count its segments.

    Raises:
        OSError: If a file cannot be read, or the latest one's invalid end not be cut off.
        StoreUnusable: If a newer release wrote a segment.
    """
    book = Book()
    numbers = files.found()
    for number in numbers:
        contents = _contents(files, number, latest=number == numbers[-1])
        if contents is not None:
            files.keep(number)
            book.add(number, contents)
    return book


def _contents(files: SegmentFiles, number: int, *, latest: bool) -> Contents | None:
    """Return what is in a segment; None if it is no segment."""
    path, index_path = files.segment_path(number), files.index_path(number)
    contents = load(path, index_path)
    if contents is not None:
        return contents
    survey = Survey()
    contents = survey.read(path)
    end, length = survey.scanner.end, path.stat().st_size
    if not end and length >= len(MAGIC):
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
        if magic.startswith(MAGIC_NAME) and magic > MAGIC:
            raise StoreUnusable(
                f"{path} was written by a newer Tokenferry. Start that release, or name another "
                "data directory."
            )
        log.warning("%s is no journal segment; it is set aside as .damaged", path)
        files.set_aside(number)
        return None
    if end < length:
        log.warning("%s: %d bytes at its end are not valid", path, length - end)
        if latest:
            with path.open("r+b") as file:
                file.truncate(end)
    if contents.parts and (latest or end == length):
        files.write_index(number, encode(contents))
    return contents


def _part_of(known: StreamLog) -> StreamPart:
    segment_part = known.parts[-1]
    return StreamPart(
        known.number,
        known.id,
        known.meta,
        known.epochs,
        segment_part.before,
        known.head,
        known.written_ms,
        segment_part.firsts.tobytes(),
        segment_part.offsets.tobytes(),
    )
