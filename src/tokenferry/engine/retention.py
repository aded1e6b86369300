"""Retention: finished streams go from the journal to the archive, and in time from there.

A summary is saved before the chunks are given up, so that at no moment a stream is in neither.

Weakness: under pressure (`crowded`) streams go before their time, the oldest first; chunks of
running streams and of those that somebody is reading never do.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tokenferry.engine.archive import Archive, Summary
from tokenferry.engine.book import Book, Entry
from tokenferry.engine.guests import is_guest
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.outage import Outage
from tokenferry.engine.ports import Journal, JournalUnavailable
from tokenferry.engine.summary import SLICE_RECORDS, Folding

log = logging.getLogger(__name__)

ROUND_INTERVAL_S = 1.0
# What is saved in one transaction, which others that write to the database have to wait for.
BATCH_STREAMS = 128
BATCH_CHARACTERS = 4 << 20
EXPIRY_INTERVAL_S = 600.0
MS_PER_S = 1000


@dataclass(frozen=True, slots=True)
class Periods:
    """How long what is kept.

    Attributes:
        chunks_s: A stream's records, after its end.
        message_s: Its final text.
        tombstone_s: That it was, how it ended and what it used.
        journal_bytes_max: Room for all records; beyond it the oldest finished streams go first.
    """

    chunks_s: float
    message_s: float
    tombstone_s: float
    journal_bytes_max: int


class Retention:
    """Moves finished streams on.

    Args:
        book: The streams whose chunks are kept.
        journal: Where the chunks are.
        archive: Where summaries go.
        periods: How long what is kept.
    """

    def __init__(self, book: Book, journal: Journal, archive: Archive, periods: Periods) -> None:
        self._book = book
        self._journal = journal
        self._archive = archive
        self._periods = periods
        self._outage = Outage("the archive", time.monotonic)
        # Whether the last batch left something that was due.
        self._has_more = False

    async def run(self, wall_ms: Callable[[], int]) -> None:
        """Look each second, until cancelled.

        Args:
            wall_ms: The wall clock, Unix time.
        """
        until_expiry_s = 0.0
        while True:
            await self.archive_due()
            while self._has_more:
                await asyncio.sleep(0)
                await self.archive_due()
            if until_expiry_s <= 0:
                until_expiry_s = EXPIRY_INTERVAL_S
                await asyncio.to_thread(self._expire, wall_ms())
            until_expiry_s -= ROUND_INTERVAL_S
            await asyncio.sleep(ROUND_INTERVAL_S)

    async def archive_due(self) -> int:
        """Move one batch of streams to the archive; return how many went."""
        periods = self._periods
        self._has_more = False
        entries = self._book.due(
            periods.chunks_s,
            at_most=BATCH_STREAMS,
            crowded=self._journal.bytes > periods.journal_bytes_max,
        )
        if not entries:
            return 0
        summaries = await self._summaries(entries)
        # Of a stream whose end the journal has lost, as memory may, nothing is worth keeping.
        ended = [each for each in summaries.values() if each.state != "generating"]
        try:
            if ended:
                await asyncio.to_thread(self._archive.save, ended)
        except StoreUnusable as exc:
            self._outage.failed(f"{exc} Finished streams stay in the journal.")
            return 0
        self._outage.ended()
        gone = 0
        for entry in entries:
            if entry.stream.id in summaries and self._book.strike(entry):
                self._journal.drop(entry.stream.id)
                gone += 1
        # What became due meanwhile is the next round's: a transaction for a few would be dear.
        self._has_more = 0 < gone < len(entries) or gone == BATCH_STREAMS
        return gone

    async def _summaries(self, entries: Sequence[Entry]) -> dict[str, Summary]:
        """Return the summaries of a batch, as many as are saved at once, by stream."""
        summaries: dict[str, Summary] = {}
        waiting = [Folding(entry) for entry in reversed(entries)]
        characters = 0
        while True:
            # Finished one after the other, they stand beside each other in the journal.
            with self._journal.reading():
                for summary in self._folded(waiting):
                    summaries[summary.stream_id] = summary
                    characters += len(summary.message or "")
                    if characters >= BATCH_CHARACTERS:
                        return summaries
            if not waiting:
                return summaries
            await asyncio.sleep(0)

    def _folded(self, waiting: list[Folding]) -> Iterator[Summary]:
        """Take a slice of what waits, from the end, and yield what is ready with it."""
        room = SLICE_RECORDS
        while room > 0 and waiting:
            try:
                taken = waiting[-1].step(room)
            except JournalUnavailable as exc:
                # It alone: the others are not to fill the disk meanwhile.
                log.error("a finished stream cannot be archived, and stays: %s", exc)  # noqa: TRY400 -- the message says all
                waiting.pop()
                continue
            if taken < room:
                yield self._kept(waiting.pop().summary())
            room -= taken + 1  # one that has no records takes its time as well

    def _kept(self, summary: Summary) -> Summary:
        # Not even until the next expiry: whoever sets 0 wants no text in the database. And what
        # guests have asked a simulator is not worth the disk that anybody could fill with it.
        if self._periods.message_s and not is_guest(summary.owner):
            return summary
        return replace(summary, message=None)

    def _expire(self, now_ms: int) -> None:
        periods = self._periods
        try:
            self._archive.expire(
                now_ms, round(periods.message_s * MS_PER_S), round(periods.tombstone_s * MS_PER_S)
            )
        except StoreUnusable as exc:
            log.error("the archive cannot be cleared: %s", exc)  # noqa: TRY400 -- the message says all
