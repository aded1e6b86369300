"""A stream: one generation's log, and the cursors of those who read it.

The producer puts records into `pending`; the relay commits them to the journal and only then do
they become readable. Every reader, live or late, is a cursor over the same log.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from tokenferry.domain import journal
from tokenferry.engine.ports import Journal, JournalUnavailable
from tokenferry.errors import TokenferryError  # noqa: TC001 -- no import of its own for one name
from tokenferry.protocol.frames import Renderer, merged

log = logging.getLogger(__name__)

# Records kept in memory for readers at or near the head; whoever is further behind reads the
# journal. Twice this many are held at most, so that trimming is rare.
RING_RECORDS = 2048
# Written to a connection before it is asked for room: what fills the transport's own buffer.
ROUND_BYTES = 64 * 1024
# Records that one subscription takes in a row before it is the next one's turn.
TURN_RECORDS = 64


class Stream:
    """One generation's log.

    Args:
        stream_id: Its public name.
        owner: Public id of the key that created it.
        epochs: Its owners so far, each with the first seq that was its own; the last one writes.
        log: Where its records are.
        head: Seq of the last committed record of a stream that the journal has already.

    Attributes:
        id: Public name, unguessable.
        owner: Public id of the key that created it; nobody else may see it.
        epoch: The writing owner's epoch; a seq means something only together with it.
        epochs: See above.
        head: Seq of the last committed record; 0 before the first.
        head_record: The head record, once it is committed.
        pending: Records that are not committed yet.
        in_flight: Records that are written and wait for the disk.
        log: The journal's own.
        done: Whether the terminal record is committed.
        error: What the stream ended in, if it is an error.
        drops: How often a reader was lost before the end.
        resumes: How often one came back.
        finished_s: When the provider gave its finish reason, monotonic seconds.
        sealed: Whether the terminal record is at least pending; nothing may follow it.
    """

    __slots__ = (
        "_before",
        "_floor",
        "_journal",
        "_ring",
        "calls",
        "done",
        "drops",
        "epoch",
        "epochs",
        "error",
        "finished_s",
        "head",
        "head_record",
        "id",
        "in_flight",
        "log",
        "owner",
        "pending",
        "resumes",
        "sealed",
        "subscriptions",
    )

    def __init__(
        self,
        stream_id: str,
        owner: str,
        epochs: Sequence[tuple[int, int]],
        log: Journal,
        *,
        head: int = 0,
    ) -> None:
        self.id = stream_id
        self.owner = owner
        self.epochs = tuple(epochs)
        self.epoch = self.epochs[-1][0]
        self.head = head
        self.head_record: bytes | None = None
        self.pending: list[bytes] = []
        self.in_flight: Sequence[bytes] = ()
        self.log: object = None
        self.done = False
        self.sealed = False
        self.error: TokenferryError | None = None
        self.calls = 0
        self.drops = self.resumes = 0
        self.finished_s: float | None = None
        # Records that are no chunks of this generation: the head record, or an earlier owner's.
        self._before = max(1, head)
        self.subscriptions: list[Subscription] = []
        self._journal = log
        self._ring: list[bytes] = []
        self._floor = head
        if head:
            first = log.read(stream_id, 0, 1)
            if first and first[0][0] == journal.HEAD:
                self.head_record = first[0]

    def commit(self) -> Sequence[bytes]:
        """Make what the journal has committed readable, and return it."""
        records = self.in_flight
        if records:
            self.in_flight = ()
        else:
            records = self.pending
            self.pending = []
        if self.head_record is None and records[0][0] == journal.HEAD:
            self.head_record = records[0]
        ring = self._ring
        ring += records
        self.head += len(records)
        if len(ring) > 2 * RING_RECORDS:
            del ring[:-RING_RECORDS]
            self._floor = self.head - RING_RECORDS
        # A terminal record is the last one; what is in flight may be followed by it.
        self.done = self.sealed and not self.pending
        return records

    def read(self, after: int, limit: int) -> Sequence[bytes]:
        """Return up to `limit` records with seq > `after`."""
        if after >= self._floor:
            start = after - self._floor
            return self._ring[start : start + limit]
        # The journal has what is in flight, too, which no reader may have before the disk does.
        return self._journal.read(self.id, after, min(limit, self.head - after))

    def committed(self) -> Iterable[bytes]:
        """Return every record that is committed."""
        return self._from_journal() if self._floor else [*self._ring]

    def _from_journal(self) -> Iterator[bytes]:
        after = 0
        while records := self.read(after, RING_RECORDS):
            after += len(records)
            yield from records

    def all_records(self) -> Iterator[bytes]:
        """Yield every record, those that are not committed yet too."""
        yield from self.committed()
        yield from (*self.in_flight, *self.pending)

    def records_after(self, after: int) -> Iterator[bytes]:
        """Yield every record with seq > `after`, those that are not committed yet too.

        What the journal cannot give is left out: a stream must end whatever the disk does.
        """
        while True:
            try:
                records = self.read(after, RING_RECORDS)
            except JournalUnavailable as exc:
                log.error("the beginning of %s cannot be read: %s", self.id, exc)  # noqa: TRY400 -- the message says all
                after = self._floor
                continue
            if not records:
                yield from [*self.in_flight, *self.pending][max(0, after - self.head) :]
                return
            after += len(records)
            yield from records

    @property
    def record_count(self) -> int:
        """How many records there are, all told."""
        return self.head + len(self.in_flight) + len(self.pending)

    @property
    def chunk_count(self) -> int:
        """How many chunks of this generation a stream has that is sealed."""
        return self.record_count - self._before - 1  # the last one is the terminal record

    def release(self) -> None:
        """Give up the ring of a stream that is done; who comes late reads the journal."""
        self._ring = []
        self._floor = self.head

    @property
    def followed(self) -> bool:
        """Whether anybody is reading."""
        return bool(self.subscriptions)


class Subscription:
    """A cursor over one stream for one outlet.

    Attributes:
        stream: What is read.
        outlet: Where it goes.
        after: Seq of the last record that was handed to the outlet.
        queued: Whether the outlet has it in line.
        render: Turns a seq and its record into wire bytes.
        replays: Whether the client is to hear when it has reached the head for the first time.
    """

    __slots__ = ("_renderer", "after", "outlet", "queued", "render", "replays", "stream")

    def __init__(
        self,
        stream: Stream,
        outlet: "Outlet",
        renderer: Renderer,
        *,
        after: int = 0,
        resumes: bool = False,
    ) -> None:
        self.stream = stream
        self.outlet = outlet
        self.after = after
        self.queued = False
        self.replays = resumes
        stream.resumes += resumes
        self._renderer = renderer
        self.render = renderer.render
        if after and stream.head_record is not None:
            renderer.open(stream.head_record)
        stream.subscriptions.append(self)
        outlet.lanes += 1
        if after < stream.head or resumes:
            outlet.enqueue(self)

    def close(self) -> None:
        """Stop reading; idempotent."""
        if self in self.stream.subscriptions:
            self.stream.subscriptions.remove(self)
            self.outlet.lanes -= 1
        if self in self.outlet.line:
            # Its backlog is not for a client that has left the stream, or reads it anew.
            self.outlet.line.remove(self)

    def take_turn(self, out: list[bytes], *, merging: bool) -> bool:
        """Append the wire bytes of the next records to `out`; return whether more are waiting."""
        seq = self.after
        records = self.next_records()
        if merging and self._renderer.merges and len(records) > 1:
            out += merged(self._renderer, seq, records)
            seq += len(records)
        else:
            render = self.render
            for record in records:
                seq += 1
                out.append(render(seq, record))
        self.after = seq
        return bool(records) and seq < self.stream.head

    def next_records(self) -> Sequence[bytes]:
        """Return the records of one turn; none, also where the outlet is cut or closed for that."""
        stream = self.stream
        try:
            records = stream.read(self.after, TURN_RECORDS)
        except JournalUnavailable:
            log.exception("the journal cannot be read; the reader is cut off, and may come back")
            self.outlet.cut()
            return ()
        if not records and self.after < stream.head:
            self.outlet.gone(self)
        return records


def discard(data: bytes) -> None:
    """Take the place of a transport that nothing may be written to any more."""


class Outlet:
    """One client connection: walks its subscriptions in turn, as far as the transport has room.

    It holds no queue of data. A client that does not read is a cursor that stands still.
    Subclasses say what to do when a stream has been delivered.

    Attributes:
        write: Writes to the client; the transport's own method, while there is one.
        lanes: How many subscriptions it has.
        line: Subscriptions that wait for their turn.
        out: Wire bytes of this tick, for the one write at its end.
        lines_up: Whether each of them waits for its turn with whatever is new: the transport is
            full, or its client counts bytes (`engine.credit`).
        queued: Whether the relay will pump it in this tick.
    """

    __slots__ = (
        "_behind",
        "_counts",
        "_paused",
        "lanes",
        "line",
        "lines_up",
        "out",
        "queued",
        "write",
    )

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.write = write
        self.lanes = 0
        self.line: list[Subscription] = []
        # Between a pause and the end of the backlog, text is merged.
        self._behind = False
        self.out: list[bytes] = []
        self._paused = self._counts = self.lines_up = False
        self.queued = False

    @property
    def paused(self) -> bool:
        """Whether the transport is full."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = paused
        self.lines_up = paused or self._counts

    def count(self) -> None:
        """Send everything in turns from now on: some subscriptions look at each byte."""
        self._counts = self.lines_up = True

    def delivered(self, subscription: Subscription) -> None:
        """Take note that the client has been sent everything of a stream that is done."""
        raise NotImplementedError

    def caught_up(self, subscription: Subscription) -> None:
        """Take note that a replay has reached the head of the time it began."""
        raise NotImplementedError

    def waits(self, subscription: Subscription, position: int, eta_s: float | None) -> None:
        """Take note that a stream waits for its provider, behind so many, for about so long."""

    def gone(self, subscription: Subscription) -> None:
        """Take note that what the client has still to read is no longer kept."""
        raise NotImplementedError

    def cut(self) -> None:
        """Cut the connection off, after a failure that leaves it in an unknown state."""
        raise NotImplementedError

    def enqueue(self, subscription: Subscription) -> None:
        """Put a subscription with something to read in line."""
        if not subscription.queued:
            subscription.queued = True
            self.line.append(subscription)

    def resume(self) -> None:
        """Go on after the transport has room again."""
        self.paused = False
        self.pump()

    def pump(self) -> None:
        """Write what there is, in turns, until the transport is full or nothing is left."""
        self.queued = False
        out = self.out
        if out:
            self.out = []
            self.write(out[0] if len(out) == 1 else b"".join(out))
        if self.line:
            self._pump_line()

    def _pump_line(self) -> None:
        while self.line and not self._paused:
            line = self.line
            self.line = []
            out: list[bytes] = []
            delivered: list[Subscription] = []
            room = ROUND_BYTES
            for turn, subscription in enumerate(line, 1):
                taken = len(out)
                subscription.queued = False
                more = subscription.take_turn(out, merging=self._behind)
                if more:
                    self.enqueue(subscription)
                elif subscription.replays or subscription.stream.done:
                    delivered.append(subscription)
                room -= sum(map(len, out[taken:]))
                if room < 0:
                    # Whoever has not had a turn is first when there is room again.
                    self.line = line[turn:] + self.line
                    break
            if out:
                self.write(out[0] if len(out) == 1 else b"".join(out))
            for subscription in delivered:
                self._reached_head(subscription)
        self._behind = bool(self.line)

    def _reached_head(self, subscription: Subscription) -> None:
        if subscription.after < subscription.stream.head:
            return  # it waits for credit, or what it has to read is gone
        if subscription.replays:
            subscription.replays = False
            self.caught_up(subscription)
        if subscription.stream.done:
            self.delivered(subscription)
