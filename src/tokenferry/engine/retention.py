"""Retention: finished streams go from the journal to the archive, and in time from there.

A summary is saved before the chunks are given up, so that at no moment a stream is in neither.

Weakness: under pressure (`crowded`) streams go before their time, the oldest first; chunks of
running streams and of those that somebody is reading never do.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from tokenferry.engine.archive import Archive
from tokenferry.engine.book import Book
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.ports import Journal, JournalUnavailable
from tokenferry.engine.summary import summarize

log = logging.getLogger(__name__)

ROUND_INTERVAL_S = 1.0
# A summary reads its stream's records: so many at once take the event loop a few milliseconds.
BATCH_STREAMS = 128
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

    async def run(self, wall_ms: Callable[[], int]) -> None:
        """Look each second, until cancelled.

        Args:
            wall_ms: The wall clock, Unix time.
        """
        until_expiry_s = 0.0
        while True:
            while await self.archive_due() == BATCH_STREAMS:  # noqa: ASYNC110 -- others' turn, no wait
                await asyncio.sleep(0)
            if until_expiry_s <= 0:
                until_expiry_s = EXPIRY_INTERVAL_S
                await asyncio.to_thread(self._expire, wall_ms())
            until_expiry_s -= ROUND_INTERVAL_S
            await asyncio.sleep(ROUND_INTERVAL_S)

    async def archive_due(self) -> int:
        """Move one batch of streams to the archive; return how many went."""
        periods = self._periods
        entries = self._book.due(
            periods.chunks_s,
            at_most=BATCH_STREAMS,
            crowded=self._journal.bytes > periods.journal_bytes_max,
        )
        if not entries:
            return 0
        try:
            # Finished one after the other, they stand beside each other in the journal.
            with self._journal.reading():
                summaries = [summarize(entry) for entry in entries]
            if not periods.message_s:
                # Not even until the next expiry: whoever sets 0 wants no text in the database.
                summaries = [replace(each, message=None) for each in summaries]
            # Of a stream whose end the journal has lost, as memory may, nothing is worth keeping.
            ended = [each for each in summaries if each.state != "generating"]
            await asyncio.to_thread(self._archive.save, ended)
        except (StoreUnusable, JournalUnavailable) as exc:
            log.error("finished streams cannot be archived, and stay: %s", exc)  # noqa: TRY400 -- the message says all
            return 0
        gone = 0
        for entry in entries:
            if self._book.strike(entry):
                self._journal.drop(entry.stream.id)
                gone += 1
        return gone

    def _expire(self, now_ms: int) -> None:
        periods = self._periods
        try:
            self._archive.expire(
                now_ms, round(periods.message_s * MS_PER_S), round(periods.tombstone_s * MS_PER_S)
            )
        except StoreUnusable as exc:
            log.error("the archive cannot be cleared: %s", exc)  # noqa: TRY400 -- the message says all
