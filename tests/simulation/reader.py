"""A client of the simulation, and what every record that was ever seen must stay."""

import json
from collections.abc import Sequence
from typing import Any

from engine.virtual import RecordingOutlet, frames_of
from simulation.faults import Disk
from tokenferry.domain.journal import TEXT, is_terminal
from tokenferry.engine.book import Book
from tokenferry.engine.credit import CreditedSubscription, Credits
from tokenferry.engine.ports import Journal
from tokenferry.engine.stream import Stream, Subscription
from tokenferry.protocol.frames import FrameRenderer


class Truth:
    """What was seen from outside, over all processes.

    Attributes:
        records: Each record that any client has seen, by stream and seq.
        frames: Each unmerged frame, by stream, epoch and seq.
        ended: Streams of which a client or a later process has seen the terminal record.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], bytes] = {}
        self.frames: dict[tuple[str, int, int], bytes] = {}
        self.ended: dict[str, int] = {}

    def check_record(self, stream_id: str, seq: int, record: bytes) -> None:
        """Hold a record against what was seen under its seq, in whichever epoch."""
        assert self.records.setdefault((stream_id, seq), record) == record
        end = self.ended.get(stream_id)
        assert end is None or seq <= end, "a record after the terminal one"
        if is_terminal(record):
            assert self.ended.setdefault(stream_id, seq) == seq, "a second terminal record"


class Reader(RecordingOutlet):
    """One connection that follows one stream, and checks each frame while it is written.

    Attributes:
        stream_id: What it reads.
        epoch: Of its position.
        last: Seq of the last record that it has.
        ended: Whether it has the terminal record.
        lost: Whether its connection is gone.
        credit: Of a client that counts what it is sent.
        is_free: Whether it is sent the rest without credit.
    """

    def __init__(
        self,
        truth: Truth,
        journal: Journal,
        disk: Disk | None,
        book: Book,
        window_bytes: int | None = None,
    ) -> None:
        super().__init__()
        self.credit = None if window_bytes is None else Credits(window_bytes)
        self.given = self.given_to_stream = self.spent = 0
        if self.credit is not None:
            self.count()
            self.given = self.credit.window_bytes
            self.given_to_stream = self.credit.stream_window_bytes
        self.is_free = False
        self._truth, self._journal, self._disk, self._book = truth, journal, disk, book
        self.stream_id, self.epoch, self.last = "", 0, 0
        self.ended = self.lost = False
        self.subscription: Subscription | None = None

    def follow(self, log: Stream, after: int, *, resumes: bool, merges: bool) -> None:
        """Read a stream from a position on."""
        self.stream_id, self.epoch, self.last = log.id, log.epoch, after
        renderer = FrameRenderer(log.id, log.epoch, aware=True, merges=merges)
        self.subscription = (
            Subscription(log, self, renderer, after=after, resumes=resumes)
            if self.credit is None
            else CreditedSubscription(
                log, self, renderer, self.credit, after=after, resumes=resumes
            )
        )
        self._book.follow(self.subscription)
        self.pump()

    def record(self, data: bytes) -> None:
        assert not self.lost, "written to a lost connection"
        super().record(data)
        for frame, payload in frames_of(data):
            said = json.loads(payload)
            if not said["done"]:
                self._spend(len(payload))
            self._take(said, frame)

    def _spend(self, count: int) -> None:
        if self.credit is not None and not self.is_free:
            given = min(self.given, self.given_to_stream)
            assert self.spent < given, "sent beyond the credit"
            self.spent += count

    def give(self, count: int, to_stream: int) -> None:
        """Give credit to the connection and to the stream."""
        if self.credit is None or self.lost:
            return
        assert self.credit.add(count)
        assert self.credit.add(to_stream, self.subscription)
        self.given += count
        self.given_to_stream += to_stream
        self.pump()

    def free(self) -> None:
        """Have sent what is left: this client has cancelled."""
        if isinstance(self.subscription, CreditedSubscription) and not self.lost:
            self.is_free = True
            self.subscription.free()
            self.pump()

    def _take(self, said: dict[str, Any], frame: bytes) -> None:
        assert (said["stream_id"], said["epoch"]) == (self.stream_id, self.epoch)
        first, last = said.get("from", said["seq"]), said["seq"]
        assert first == self.last + 1, "a gap, or a record twice"
        assert not self.ended, "a record after the terminal one"
        # Commit before send: what is written to a client is in the files by now.
        records = self._journal.read(self.stream_id, first - 1, last - first + 1)
        assert len(records) == last - first + 1, "sent before it was committed"
        if self._disk is not None:
            assert self._disk.answered.get(self.stream_id, 0) >= last, "sent before its sync"
        for seq, record in enumerate(records, first):
            self._truth.check_record(self.stream_id, seq, record)
        is_run = "from" in said
        assert self._rendered(first, records, is_run=is_run) == frame
        if not is_run:
            key = (self.stream_id, self.epoch, last)
            assert self._truth.frames.setdefault(key, frame) == frame
        self.last = last
        self.ended = is_terminal(records[-1])
        assert said["done"] is self.ended

    def _rendered(self, first: int, records: Sequence[bytes], *, is_run: bool) -> bytes:
        """Return what anybody else would be sent for these records."""
        renderer = FrameRenderer(self.stream_id, self.epoch, aware=True, merges=True)
        head = self._journal.read(self.stream_id, 0, 1)[0]
        if head[:1] == b"h":
            renderer.open(head)
        if not is_run:
            return renderer.render(first, records[0])
        assert all(record[0] == TEXT for record in records), "only text is merged"
        return renderer.merge(first, first + len(records) - 1, records)

    def delivered(self, subscription: Subscription) -> None:
        assert self.ended, "told of the end before the terminal record"
        self.done.append(subscription.stream.id)
        self._book.leave(subscription, lost=False)
        self.lost = True

    def gone(self, subscription: Subscription) -> None:
        raise AssertionError("what somebody reads is kept")

    def cut(self) -> None:
        self.was_cut = True
        self.leave(lost=True)

    def leave(self, *, lost: bool) -> None:
        if not self.lost and self.subscription is not None:
            self._book.leave(self.subscription, lost=lost)
        self.lost = True


def check_log(log: Stream, journal: Journal) -> None:
    """Check what must hold of a log between any two events."""
    head = journal.read(log.id, max(log.head - 1, 0), 1) if log.head else ()
    assert not log.head or head, "readable, but not in the journal"
    if log.done:
        assert is_terminal(head[0])
        assert not log.pending
    elif log.head:
        assert not is_terminal(head[0])
    if log.sealed:
        rest = [*log.in_flight, *log.pending]
        assert sum(map(is_terminal, rest)) == (not log.done)
        assert log.done or is_terminal(rest[-1])
