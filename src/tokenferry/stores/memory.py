"""The journal in memory: the reference adapter, and what streams that need no resume use.

Weakness: it dies with the process. It holds at most `bytes_max` of finished streams, the oldest
go first; streams that still run are never dropped, each has its own limit.
"""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from tokenferry.engine.ports import Append, Fenced, Gap, Recovered

# A bytes object's header and its place in the list (CPython 3.11, 64 bits).
RECORD_OVERHEAD_BYTES = 41


class _Log:
    __slots__ = ("epoch", "records")

    def __init__(self) -> None:
        self.epoch = 0
        self.records: list[bytes] = []


class MemoryJournal:
    """A journal that keeps records in lists.

    Args:
        bytes_max: Bytes of finished streams to keep.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._logs: dict[str, _Log] = {}
        self._finished: OrderedDict[str, int] = OrderedDict()
        self._finished_bytes = 0

    def open(self, stream_id: str, epoch: int, meta: bytes) -> None:  # noqa: ARG002 -- nobody recovers it
        """Take note of a stream or its new owner; see `Journal`."""
        log = self._logs.get(stream_id)
        if epoch <= (log.epoch if log else 0):
            raise Fenced(f"{stream_id}: epoch {epoch} is not newer than that of its owner")
        if log is None:
            log = self._logs[stream_id] = _Log()
        log.epoch = epoch

    def append(self, batch: Sequence[Append]) -> None:
        """Commit a batch, all or nothing; see `Journal`."""
        logs = self._logs
        for append in batch:
            log = logs.get(append.id)
            if log is None or append.epoch > log.epoch:
                raise Gap(f"{append.id} is not open for epoch {append.epoch}")
            if append.epoch < log.epoch:
                raise Fenced(f"{append.id}: epoch {append.epoch} is older than {log.epoch}")
            if append.head != len(log.records):
                raise Gap(
                    f"{append.id}: records for {append.head}, the log is at {len(log.records)}"
                )
        for append in batch:
            logs[append.id].records += append.pending

    def sync(self) -> None:
        """Do nothing: no power cut is outlasted."""

    def try_commit(self) -> None:
        """Do nothing: memory takes what it is given."""

    def read(self, stream_id: str, after: int, limit: int) -> Sequence[bytes]:
        """Return up to `limit` records with seq > `after`; none for an unknown stream."""
        log = self._logs.get(stream_id)
        return [] if log is None else log.records[after : after + limit]

    def reading(self) -> AbstractContextManager[object]:
        """Do nothing: there is nothing to fetch."""
        return nullcontext()

    def close(self, stream_id: str) -> None:
        """Count the stream among the finished ones, and drop the oldest over the limit."""
        log = self._logs.get(stream_id)
        if log is None or stream_id in self._finished:
            return
        size = sum(map(len, log.records)) + len(log.records) * RECORD_OVERHEAD_BYTES
        self._finished[stream_id] = size
        self._finished_bytes += size
        while self._finished_bytes > self._bytes_max:
            oldest, oldest_size = self._finished.popitem(last=False)
            self._finished_bytes -= oldest_size
            del self._logs[oldest]

    def drop(self, stream_id: str) -> None:
        """Forget a stream at once."""
        self._finished_bytes -= self._finished.pop(stream_id, 0)
        self._logs.pop(stream_id, None)

    def recovered(self) -> list[Recovered]:
        """Return nothing: no process left anything."""
        return []

    def close_files(self) -> None:
        """Do nothing: there is nothing to let go of."""

    @property
    def bytes(self) -> int:
        """Return the bytes of the finished streams."""
        return self._finished_bytes
