"""The files of a journal: one that is written, others that are only read, a lock, and syncing.

`DIRECTORY/NNNNNNNN.seg` are the segments, `NNNNNNNN.idx` what is in them (a cache), `lock` is held
by the one process that uses the directory. A segment that does not begin as one is renamed to
`NNNNNNNN.damaged` and left to the operator.

Source: flock(2), fdatasync(2), fsync(2) on directories (Linux man-pages 6.9).
Weakness: flock does not hold on some network file systems. A disk that fails a sync may have lost
what was written before and say nothing of it the next time: whoever is told must not rely on it.
"""

import errno
import fcntl
import logging
import os
import threading
import zlib
from pathlib import Path

from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.ports import JournalUnavailable
from tokenferry.protocol.segment import (
    COMMIT_BYTES_MAX,
    COMMIT_OVERHEAD_BYTES,
    MAGIC,
    RUN_HEADER_BYTES,
    run_bytes,
)

log = logging.getLogger(__name__)

# Enough for the turns of a reader that is far behind; longer runs are read in one piece.
BLOCK_BYTES = 64 << 10
# A request takes some 500 bytes as it begins; its answer takes more.
TRIAL_BYTES = 64 << 10


class DirectoryLock:
    """A directory that belongs to one process until it lets go, or ends.

    Args:
        directory: It is created, for its owner alone.

    Raises:
        StoreUnusable: If the directory cannot be used, or another process uses it.
    """

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise StoreUnusable(explain(directory, exc)) from exc
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._fd)
            if exc.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise StoreUnusable(explain(directory, exc)) from exc
            raise StoreUnusable(
                f"Another Tokenferry uses {directory}. End it, or name another data directory."
            ) from exc

    def close(self) -> None:
        """Let go; idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class SegmentFiles:
    """The files in a journal's directory.

    Args:
        directory: It is created, for its owner alone.
        disk: Whether `sync` reaches the disk.

    Attributes:
        sizes: Bytes of each segment, by number.
        active: Number of the segment that is written; 0 when there is none.
        size: Its bytes.
        crc: Its CRC-32.

    Raises:
        StoreUnusable: If the directory cannot be used, or another process uses it.
    """

    def __init__(self, directory: Path, *, disk: bool) -> None:
        self.directory = directory
        self.sizes: dict[int, int] = {}
        self.active = 0
        self.size = 0
        self.crc = 0
        self._disk = disk
        self._fd = -1
        self._number_max = 0
        # Written, not synced, and written no more. Syncing takes them from another thread.
        self._retired: list[int] = []
        self._directory_changed = False
        self._state = threading.Lock()
        self._syncing = threading.Lock()
        self._lock = DirectoryLock(directory)

    def segment_path(self, number: int) -> Path:
        """Return where a segment is."""
        return self.directory / f"{number:08d}.seg"

    def index_path(self, number: int) -> Path:
        """Return where a segment's index is."""
        return self.directory / f"{number:08d}.idx"

    def found(self) -> list[int]:
        """Return the numbers of the segments that are there, oldest first.

        Raises:
            OSError: If the directory cannot be read.
        """
        numbers = []
        for path in self.directory.iterdir():
            if path.stem.isdecimal():
                # Also one that only an index or a damaged file has is not given again.
                self._number_max = max(self._number_max, int(path.stem))
                if path.suffix == ".seg":
                    numbers.append(int(path.stem))
        return sorted(numbers)

    def keep(self, number: int) -> None:
        """Count a segment that was found."""
        self.sizes[number] = self.segment_path(number).stat().st_size

    def sync_kept(self) -> None:
        """Make the segments that were found outlast a power cut: their writer may have died before.

        Raises:
            OSError: If the disk does not take it.
        """
        if not self._disk:
            return
        for number in self.sizes:
            fd = os.open(self.segment_path(number), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)
        self._sync_directory()

    def set_aside(self, number: int) -> None:
        """Rename a segment that cannot be read at all."""
        path = self.segment_path(number)
        path.rename(path.with_suffix(".damaged"))

    def create(self) -> None:
        """Begin a new segment; the one that was written is written no more.

        Raises:
            JournalUnavailable: If it cannot be created; nothing is being written then.
        """
        self.retire()
        number = self._number_max + 1
        path = self.segment_path(number)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o600)
        except OSError as exc:
            raise JournalUnavailable(explain(path, exc)) from exc
        self._number_max = number
        with self._state:
            self._fd = fd
            self._directory_changed = True
        self.active, self.size, self.crc = number, 0, 0
        try:
            self.write(MAGIC)
        except JournalUnavailable:
            self.retire()
            self.unlink(number)
            raise

    def write(self, data: bytes) -> None:
        """Append to the active segment, wholly or not at all.

        Raises:
            JournalUnavailable: If it cannot be written. When what was written in part cannot be
                taken back either, the segment is written no more.
        """
        try:
            written = os.write(self._fd, data)
            while written < len(data):
                # The disk is full, and says so only now.
                written += os.write(self._fd, memoryview(data)[written:])
        except OSError as exc:
            path = self.segment_path(self.active)
            self._take_back()
            raise JournalUnavailable(explain(path, exc)) from exc
        self.size += written
        self.crc = zlib.crc32(data, self.crc)
        self.sizes[self.active] = self.size

    def try_write(self) -> None:
        """Append to the active segment what a few requests would, and take it back.

        Raises:
            JournalUnavailable: If it cannot be written.
        """
        size, crc = self.size, self.crc
        # Nothing that a file system could make smaller.
        self.write(os.urandom(TRIAL_BYTES))
        self.size, self.crc = size, crc
        self.sizes[self.active] = size
        self._take_back()

    def retire(self) -> None:
        """Write the active segment no more; what is not synced of it will be, by `sync`."""
        with self._state:
            fd, self._fd = self._fd, -1
            self.active = 0
            if fd >= 0 and self._disk:
                self._retired.append(fd)
                return
        if fd >= 0:
            os.close(fd)

    def write_index(self, number: int, data: bytes) -> None:
        """Put the index beside a segment; without it the segment is read in its place."""
        path = self.index_path(number)
        try:
            # What is cut short has a wrong CRC, so there is no need for a rename.
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as to:
                to.write(data)
        except OSError as exc:
            log.warning("%s", explain(path, exc))

    def unlink(self, number: int) -> None:
        """Delete a segment and its index."""
        self.sizes.pop(number, None)
        # The index last: without its segment it is nothing, and its number is not given again.
        for path in (self.segment_path(number), self.index_path(number)):
            try:
                path.unlink(missing_ok=True)
            except OSError as exc:
                log.warning("%s", explain(path, exc))

    def sync(self) -> None:
        """Make everything that was written before the call outlast a power cut; any thread.

        Raises:
            JournalUnavailable: If the disk does not take it.
        """
        if not self._disk:
            return
        with self._syncing:
            with self._state:
                # The other thread may retire the active file meanwhile; it does not close it.
                retired, self._retired = self._retired, []
                active = self._fd
                directory_changed, self._directory_changed = self._directory_changed, False
            try:
                for fd in retired:
                    os.fdatasync(fd)
                if active >= 0:
                    os.fdatasync(active)
                if directory_changed:
                    self._sync_directory()
            except OSError as exc:
                with self._state:
                    self._directory_changed |= directory_changed
                raise JournalUnavailable(explain(self.directory, exc)) from exc
            finally:
                for fd in retired:
                    os.close(fd)

    def close(self) -> None:
        """Sync what is to be synced and let go of everything; idempotent."""
        self.retire()
        try:
            self.sync()
        finally:
            self._lock.close()

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._fd, self.size)
        except OSError as exc:
            log.warning("%s", explain(self.segment_path(self.active), exc))
            self.retire()

    def _sync_directory(self) -> None:
        fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class BlockReader:
    """Reads runs of records, of which neighbours come from one read of the file.

    Args:
        files: The files.
    """

    def __init__(self, files: SegmentFiles) -> None:
        self._files = files
        self._segment = 0
        self._fd = -1
        self._begin = 0
        self._block = b""

    def run(self, segment: int, offset: int) -> tuple[bytes, int]:
        """Return bytes, and where in them the run begins that is at `offset` of the segment.

        Raises:
            JournalUnavailable: If it cannot be read.
        """
        try:
            if segment != self._segment:
                self.close()
                self._fd = os.open(self._files.segment_path(segment), os.O_RDONLY | os.O_CLOEXEC)
                self._segment, self._block = segment, b""
            at = offset - self._begin
            if not 0 <= at <= len(self._block) - RUN_HEADER_BYTES:
                at = self._fetch(offset, BLOCK_BYTES)
            length = run_bytes(self._block, at)
            if at + length > len(self._block):
                at = self._fetch(offset, min(length, COMMIT_BYTES_MAX + COMMIT_OVERHEAD_BYTES))
        except OSError as exc:
            raise JournalUnavailable(explain(self._files.segment_path(segment), exc)) from exc
        if not length or at + length > len(self._block):
            path = self._files.segment_path(segment)
            raise JournalUnavailable(f"{path} has changed since it was opened: it is damaged.")
        return self._block, at

    def close(self) -> None:
        """Let go of the file; idempotent."""
        fd, self._fd, self._segment = self._fd, -1, 0
        if fd >= 0:
            os.close(fd)

    def _fetch(self, offset: int, length: int) -> int:
        self._begin = offset
        self._block = os.pread(self._fd, length, offset)
        return 0


def explain(path: Path, exc: OSError) -> str:
    """Return a sentence that says what is wrong with a file and what to do."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"Cannot write {path}: {exc.strerror}. Make room on its disk, or raise its limit."
    return f"Cannot use {path}: {exc.strerror}. Check the disk, and who owns the file."
