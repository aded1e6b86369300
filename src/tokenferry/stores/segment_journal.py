"""The journal in segment files: streams outlive the process.

A call of `append` is one write to the active segment, however many streams it is for. A segment
that has reached its size is followed by another, is never changed again, and is deleted when no
stream in it is kept. Each process begins segments of its own.

Source: docs/decisions/0009-streams-survive.md; the format is in `protocol.segment`.
Weakness: one long stream keeps whole segments, also the dropped streams' share of them. At the end
of a segment its index is written in the caller's thread: some 10 ms for 16 MiB of short commits. A
power cut, or a kill before the next commit, may bring back a stream that was just dropped.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

from tokenferry.domain.journal import is_terminal
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.ports import Append, Fenced, Gap, JournalUnavailable, Recovered
from tokenferry.protocol.segment import (
    COMMIT_BYTES_MAX,
    COMMIT_OVERHEAD_BYTES,
    RECORD,
    RECORD_OVERHEAD_BYTES,
    Opening,
    commit_bytes,
    dropping_bytes,
    opening_bytes,
    pack_record,
    run_parts,
    run_records,
)
from tokenferry.stores.segment_book import load_book
from tokenferry.stores.segment_files import BlockReader, SegmentFiles, explain
from tokenferry.stores.segment_index import encode
from tokenferry.stores.segment_log import StreamLog

log = logging.getLogger(__name__)

# Its index is written within some 10 ms, and read within as many.
SEGMENT_BYTES = 16 << 20
# So that every offset in a segment, with the last commit that goes beyond, fits into four bytes.
SEGMENT_BYTES_MAX = 1 << 30
# Times three entries of a list: 24 KiB, which stay in a processor's cache.
UNFILED_MAX = 3 * 1024


class SegmentJournal:
    """A journal in the segment files of a directory; it belongs to the thread that opened it.

    Args:
        directory: It is created, for its owner alone.
        segment_bytes: Where a segment is followed by another; 1 to SEGMENT_BYTES_MAX.
        wall_ms: Returns the Unix time.
        durability: "process": what was committed outlives the process. "disk": what was synced
            outlives a power cut.

    Raises:
        StoreUnusable: If the directory cannot be used, another process uses it, or a newer release
            wrote it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        wall_ms: Callable[[], int],
        durability: Literal["process", "disk"] = "process",
    ) -> None:
        if not 0 < segment_bytes <= SEGMENT_BYTES_MAX:
            raise ValueError(f"segment_bytes is not in 1..{SEGMENT_BYTES_MAX}")
        self._segment_bytes = segment_bytes
        self._wall_ms = wall_ms
        self._committed_ms = 0
        # Runs that are in no index yet, flat: a stream, its run's first seq, and where that begins.
        self._unfiled: list[Any] = []
        self._files = SegmentFiles(directory, disk=durability == "disk")
        self._reader: BlockReader | None = None
        try:
            self._book = load_book(self._files)
            self._files.sync_kept()
            self._logs = self._book.logs
            for segment in [*self._book.kept]:
                self._delete_if_empty(segment)
            self._recovered = [self._recover(each) for each in self._logs.values()]
        except (OSError, JournalUnavailable) as exc:
            self._files.close()
            why = explain(directory, exc) if isinstance(exc, OSError) else str(exc)
            raise StoreUnusable(why) from exc
        except BaseException:
            self._files.close()
            raise

    # -- the port ----------------------------------------------------------------------------

    def open(self, stream_id: str, epoch: int, meta: bytes) -> None:
        """Commit that a stream exists, or that a new owner takes it over; see `Journal`."""
        known = self._logs.get(stream_id)
        if epoch <= (known.epoch if known else 0):
            raise Fenced(f"{stream_id}: epoch {epoch} is not newer than that of its owner")
        opened = known or self._book.new_log(stream_id)
        epochs = (*opened.epochs, (epoch, opened.head + 1))
        opening = opening_bytes(Opening(opened.number, opened.head, epochs, stream_id, meta))
        self._ready()
        self._commit([opening], len(opening))
        opened.own(epochs, meta)
        opened.written_ms = self._committed_ms
        self._logs[stream_id] = opened
        self._book.enter(opened, self._files.active)

    def append(self, batch: Sequence[Append]) -> None:  # noqa: C901, PLR0912, PLR0915 -- the token path, in one piece
        """Commit a batch, all or nothing; see `Journal`."""
        files = self._files
        if not files.active or files.size >= self._segment_bytes:
            self._ready()
        active = files.active
        parts: list[bytes] = []
        # Each stream with where its records begin, from the beginning of the commit's body.
        places: list[tuple[StreamLog, int, int]] = []
        size = 0
        for append in batch:
            known = append.log
            if known is None:
                known = append.log = self._logs.get(append.id)
            head = append.head
            if known is None or append.epoch != known.epoch or head != known.head:
                raise _refusal(append, known)
            if known.segment != active:
                opening = opening_bytes(known.opening())
                parts.append(opening)
                size += len(opening)
            pending = append.pending
            places.append((known, len(pending), size))
            if len(pending) == 1:
                record = pending[0]
                length = len(record)
                parts += (pack_record(RECORD, known.number, head + 1, length), record)
                size += RECORD_OVERHEAD_BYTES + length
            else:
                run = b"".join(run_parts(known.number, head + 1, pending))
                parts.append(run)
                size += len(run)
        if not parts:
            return
        begin = self._commit(parts, size)
        now_ms = self._committed_ms
        unfiled = self._unfiled
        for known, count, offset in places:
            if known.segment != active:
                self._book.enter(known, active)
            head = known.head
            unfiled += (known, head + 1, begin + offset)
            known.head = head + count
            known.written_ms = now_ms
        if len(unfiled) >= UNFILED_MAX:
            self._file()

    def _file(self) -> None:
        """Enter into each stream's index what was committed since the last time.

        Many at once: an index is two arrays, and touching those of another stream for each record
        costs more than all else that an append does in memory.
        """
        unfiled, self._unfiled = iter(self._unfiled), []
        for known, first, offset in zip(unfiled, unfiled, unfiled, strict=True):
            known.firsts.append(first)
            known.offsets.append(offset)

    def sync(self) -> None:
        """Make what was committed before the call outlast a power cut; see `Journal`."""
        self._files.sync()

    def try_commit(self) -> None:
        """Try whether a commit could be written; see `Journal`."""
        self._ready()
        self._files.try_write()

    def read(self, stream_id: str, after: int, limit: int) -> Sequence[bytes]:
        """Return up to `limit` records with seq > `after`; see `Journal`."""
        self._file()
        known = self._logs.get(stream_id)
        records: list[bytes] = []
        if known is None or after >= known.head or limit <= 0:
            return records
        with self.reading() as reader:
            for segment, offset, first, last in known.places(after):
                skip = max(after + 1 - first, 0)
                take = min(last - first + 1 - skip, limit - len(records))
                records += run_records(*reader.run(segment, offset), skip, take)
                if len(records) >= limit:
                    break
        return records

    @contextmanager
    def reading(self) -> Iterator[BlockReader]:
        """Let the reads of a block share what is fetched for them; see `Journal`."""
        if self._reader is not None:
            yield self._reader
            return
        with closing(BlockReader(self._files)) as reader:
            self._reader = reader
            try:
                yield reader
            finally:
                self._reader = None

    def close(self, stream_id: str) -> None:
        """Do nothing: the terminal record says it all, and when it was written."""

    def drop(self, stream_id: str) -> None:
        """Forget a stream, and delete the segments in which nothing is kept any more."""
        self._file()
        known = self._logs.get(stream_id)
        if known is None:
            return
        known.epoch = 0  # whoever has it still cannot write to it
        self._book.forget(known)
        for segment in known.segments():
            self._delete_if_empty(segment)

    def recovered(self) -> list[Recovered]:
        """Return the streams that were there when the journal was opened, oldest first."""
        return self._recovered

    def close_files(self) -> None:
        """Sync what is to be synced and let go of the directory; idempotent."""
        for step in (self._say_unsaid, self._seal, self._files.close):
            try:
                step()
            except JournalUnavailable as exc:
                log.warning("%s", exc)
        self._book.unsaid = []

    # -- writing -----------------------------------------------------------------------------

    def _ready(self) -> None:
        """Make sure that there is an active segment with room."""
        files = self._files
        if files.active and files.size < self._segment_bytes:
            return
        self._seal()
        files.create()
        self._book.kept[files.active] = {}
        for segment in [*self._book.kept]:
            self._delete_if_empty(segment)

    def _commit(self, parts: list[bytes], size: int) -> int:
        """Write a commit and return where in the file the given parts of its body begin."""
        files = self._files
        begin = files.size + COMMIT_OVERHEAD_BYTES
        unsaid = self._book.unsaid
        if unsaid:
            said = b"".join(map(dropping_bytes, unsaid))
            parts = [said, *parts]
            size += len(said)
            begin += len(said)
        if not size:
            # What was to be said was said when the segment began.
            return begin
        if size > COMMIT_BYTES_MAX:
            raise JournalUnavailable(f"A commit of {size} bytes is over {COMMIT_BYTES_MAX}.")
        self._committed_ms = now_ms = self._wall_ms()
        files.write(commit_bytes(parts, size, now_ms))
        if unsaid:
            self._book.said(files.active)
        return begin

    def _say_unsaid(self) -> None:
        """Commit which streams were dropped; without this they would come back."""
        if self._book.unsaid:
            self._ready()
            self._commit([], 0)

    def _seal(self) -> None:
        """Write the active segment, if there is one, no more."""
        self._file()
        files = self._files
        if sealed := files.active:
            contents = self._book.contents(sealed, files.size, files.crc)
            files.retire()
            if contents.parts:
                files.write_index(sealed, encode(contents))

    def _delete_if_empty(self, segment: int) -> None:
        """Delete a segment in which nothing is kept."""
        files, book = self._files, self._book
        if segment == files.active or book.kept.get(segment, True):
            return
        said_only_here = book.said_only_by(segment)
        if said_only_here and not files.active:
            # It is deleted when there is another segment that can say it.
            return
        book.delete(segment)
        if said_only_here:
            try:
                self._commit([], 0)
            except JournalUnavailable as exc:
                # The disk may be full, and deleting makes room; the next commit says it.
                log.warning("%s", exc)
        files.unlink(segment)

    def _recover(self, known: StreamLog) -> Recovered:
        last = self.read(known.id, known.head - 1, 1)
        terminal = last[0] if last and last[0] and is_terminal(last[0]) else None
        return Recovered(known.id, known.meta, known.epochs, known.head, terminal, known.written_ms)

    # The last one: below it `bytes` is no type any more.
    @property
    def bytes(self) -> int:
        """Return the bytes of all segments."""
        return sum(self._files.sizes.values())


def _refusal(append: Append, known: StreamLog | None) -> Exception:
    if known is None:
        return Gap(f"{append.id} is not open")
    if append.epoch < known.epoch:
        return Fenced(f"{append.id}: epoch {append.epoch} is older than {known.epoch}")
    if append.epoch > known.epoch:
        return Gap(f"{append.id} is not open for epoch {append.epoch}")
    return Gap(f"{append.id}: records for {append.head}, the log is at {known.head}")
