"""The journal in memory: the reference adapter, and what streams that need no resume use.

Weakness: it dies with the process. It holds at most `bytes_max` of finished streams, the oldest
go first; streams that still run are never dropped, each has its own limit.
"""

from collections import OrderedDict
from collections.abc import Sequence

from tokenferry.engine.ports import Append, Fenced, Gap

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

    def append(self, batch: Sequence[Append]) -> None:
        """Commit a batch, all or nothing.

        Raises:
            Fenced: If another owner has taken over one of the streams.
            Gap: If `head` is not the head of its stream.
        """
        logs = self._logs
        for append in batch:
            log = logs.get(append.id)
            if log is None:
                head = 0
            elif append.epoch < log.epoch:
                raise Fenced(f"{append.id}: epoch {append.epoch} is older than {log.epoch}")
            else:
                head = len(log.records)
            if append.head != head:
                raise Gap(f"{append.id}: records for {append.head}, the log is at {head}")
        for append in batch:
            log = logs.get(append.id)
            if log is None:
                log = logs[append.id] = _Log()
            log.epoch = append.epoch
            log.records += append.pending

    def read(self, stream_id: str, after: int, limit: int) -> Sequence[bytes]:
        """Return up to `limit` records with seq > `after`; none for an unknown stream."""
        log = self._logs.get(stream_id)
        return [] if log is None else log.records[after : after + limit]

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
