"""What the simulation can break: a journal whose disk refuses, and a disk that syncs when told."""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from tokenferry.engine.ports import JournalUnavailable
from tokenferry.engine.relay import Synced
from tokenferry.stores.segment_journal import SegmentJournal

SEGMENT_BYTES = 1500


class FaultyJournal(SegmentJournal):
    """The real journal; while `failing`, nothing more gets into its files."""

    def __init__(self, path: Path, *, disk: bool, now_ms: list[int]) -> None:
        super().__init__(
            path,
            segment_bytes=SEGMENT_BYTES,
            wall_ms=lambda: now_ms[0],
            durability="disk" if disk else "process",
        )
        self.failing = False
        self._write = self._files.write
        self._files.write = self.write_or_fail  # type: ignore[method-assign]

    def write_or_fail(self, data: bytes) -> None:
        if self.failing:
            # As a full disk does: a part gets in, and is taken back.
            os.write(self._files._fd, data[: len(data) // 2])
            self._files._take_back()
            raise JournalUnavailable("The disk is full.")
        self._write(data)

    def heads(self) -> dict[str, int]:
        return {each.id: each.head for each in self._logs.values()}

    def kept(self) -> set[str]:
        return set(self._logs)

    def abandon(self) -> None:
        """Let go of the files as a kill does: nothing more is said or sealed."""
        self._files.retire()
        for fd in self._files._retired:
            os.close(fd)
        self._files._retired = []
        self._files._lock.close()


class Disk:
    """A disk that takes its time: a sync is under way until it is told to answer.

    Attributes:
        synced: Bytes of each segment that outlast a power cut.
        answered: Of each stream, the head at the last sync that was answered.
        is_honest: Whether no sync has failed; after that, nothing is promised.
    """

    def __init__(self) -> None:
        self.journal: FaultyJournal | None = None
        self.synced: dict[int, int] = {}
        self.answered: dict[str, int] = {}
        self.is_honest = True
        self._waiting: tuple[Synced, dict[str, int], dict[int, int]] | None = None

    def begin(self, path: Path, now_ms: list[int]) -> FaultyJournal:
        """Open the next process's journal, and watch what it syncs of what it finds."""

        def fdatasync(fd: int) -> None:
            found = Path(f"/proc/self/fd/{fd}").readlink()
            self.synced[int(found.stem)] = found.stat().st_size

        with mock.patch("os.fdatasync", fdatasync):
            journal = self.journal = FaultyJournal(path, disk=True, now_ms=now_ms)
        self.answered |= journal.heads()
        return journal

    def sync(self, synced: Synced) -> None:
        assert self._waiting is None, "two syncs at once"
        assert self.journal is not None
        self._waiting = (synced, self.journal.heads(), {**self.journal._files.sizes})

    @property
    def is_busy(self) -> bool:
        return self._waiting is not None

    def answer(self, *, well: bool) -> None:
        if self._waiting is None or self.journal is None:
            return
        (synced, heads, sizes), self._waiting = self._waiting, None
        self.answered |= heads
        if well:
            self.journal.sync()
            self.synced |= sizes
            synced(None)
        else:
            self.is_honest = False
            synced(JournalUnavailable("The disk did not take it."))

    def forget(self) -> None:
        """Drop the sync that is under way: the process that waits for it is gone."""
        self._waiting = None

    def cut_power(self, path: Path, dice: random.Random) -> None:
        """Lose of each segment any part of what was not synced."""
        for segment in sorted(path.glob("*.seg")):
            size = segment.stat().st_size
            kept = dice.randint(min(self.synced.get(int(segment.stem), 0), size), size)
            os.truncate(segment, kept)


class Pause:
    """An awaitable that gives the simulation its turn."""

    def __await__(self) -> Iterator[None]:
        yield


async def to_thread(function, *args):
    """Take the place of `asyncio.to_thread`: what it does comes when the simulation lets it."""
    await Pause()
    return function(*args)
