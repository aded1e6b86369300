"""The relay: commits what a tick of the event loop produced, then lets the readers have it.

However many providers' sockets were readable in one tick, there is one journal commit for all of
them, and one write for each client connection. Where a commit must outlast a power cut, it is
synced before it is readable; what comes meanwhile is the next commit.

Weakness: while the journal takes nothing, tokens wait in memory, as far as a stream's limit
allows; after `GIVE_UP_S` their streams are given up.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tokenferry.engine.ports import Journal, JournalUnavailable, TimerHandle, Timers
from tokenferry.engine.stream import TURN_RECORDS, Outlet, Stream

log = logging.getLogger(__name__)

# How often a journal that takes nothing is tried again, and for how long before its streams end.
RETRY_S = 0.25
GIVE_UP_S = 10.0

Synced = Callable[[JournalUnavailable | None], None]


@dataclass(frozen=True, slots=True)
class Durability:
    """How a commit is made to last.

    Attributes:
        journal: Where records are committed before anybody sees them.
        sync: Makes what was committed outlast a power cut, and calls back in the loop's thread;
            None where outlasting the process is enough.
    """

    journal: Journal
    sync: Callable[[Synced], None] | None = None


class Relay:
    """Between the producers' streams and the clients' outlets.

    Args:
        durability: The journal and its way to the disk.
        timers: To run something at the end of this tick, or later.
        on_done: Called after a terminal record was committed and offered to its readers.
        on_stuck: Called with the streams that cannot be committed and were tried long enough.

    Attributes:
        on_failing: Called each time that something cannot be committed.
    """

    __slots__ = (
        "_dirty",
        "_failing_since_s",
        "_is_syncing",
        "_journal",
        "_on_done",
        "_on_stuck",
        "_retry",
        "_sync",
        "_timers",
        "_waiting",
        "on_failing",
    )

    def __init__(
        self,
        durability: Durability,
        timers: Timers,
        on_done: Callable[[Stream], None],
        on_stuck: Callable[[Sequence[Stream]], None],
    ) -> None:
        self._journal = durability.journal
        self._sync = durability.sync
        self._timers = timers
        self._on_done = on_done
        self._on_stuck = on_stuck
        self.on_failing: Callable[[JournalUnavailable], None] = _ignore
        self._dirty: list[Stream] = []
        # Whom the next sync will let go on; see `open`.
        self._waiting: list[Callable[[], None]] = []
        self._is_syncing = False
        self._failing_since_s: float | None = None
        self._retry: TimerHandle | None = None

    def open(self, stream: Stream, meta: bytes, then: Callable[[], None]) -> None:
        """Commit that a stream exists, or has a new owner; `then` follows when it will last.

        Raises:
            JournalUnavailable: If nothing can be committed now.
        """
        self._journal.open(stream.id, stream.epoch, meta)
        if self._sync is None:
            then()
        else:
            if not self._dirty and not self._waiting:
                self._timers.call_soon(self.flush)
            self._waiting.append(then)

    def mark(self, stream: Stream) -> None:
        """Take note that a stream is about to have its first pending record of this tick."""
        if not self._dirty:
            self._timers.call_soon(self.flush)
        self._dirty.append(stream)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for the journal."""
        return not (self._dirty or self._waiting or self._is_syncing)

    def flush(self) -> None:
        """Commit everything pending and let its readers have it."""
        streams = self._dirty
        if self._is_syncing or not (streams or self._waiting):
            return
        self._dirty = []
        if streams:
            streams = self._commit(streams)
            if not streams:
                return
        if self._sync is None:
            self._deliver(streams)
            return
        for stream in streams:
            stream.in_flight, stream.pending = stream.pending, []
        waiting, self._waiting = self._waiting, []
        self._is_syncing = True
        self._sync(lambda exc: self._synced(streams, waiting, exc))

    def _commit(self, streams: list[Stream]) -> list[Stream]:
        """Commit what is pending; return the streams whose records the journal has now."""
        batches = [streams]
        if self._failing_since_s is not None:
            # What has gathered meanwhile may be more than one commit takes, for ever.
            batches = [[stream] for stream in streams]
        committed: list[Stream] = []
        for batch in batches:
            try:
                # Commit before send: a seq that a client has seen is never used again.
                self._journal.append(batch)
            except JournalUnavailable as exc:
                self._dirty = streams[len(committed) :]
                self._try_again(self._dirty, exc)
                return committed
            committed += batch
        self._failing_since_s = None
        return committed

    def _synced(
        self,
        streams: Sequence[Stream],
        waiting: Sequence[Callable[[], None]],
        exc: JournalUnavailable | None,
    ) -> None:
        """Go on after a sync. One that failed is no reason to hold back what is written.

        The disk has lost what it was given, and would lie about the next sync (fsync(2)); what a
        client has seen may be gone after a power cut. The next owner's epoch tells it so.
        """
        self._is_syncing = False
        if exc is not None:
            log.error("the journal's disk does not take what it is given: %s", exc)
        self._deliver(streams)
        for then in waiting:
            then()
        if self._dirty or self._waiting:
            self.flush()

    def _try_again(self, streams: Sequence[Stream], exc: JournalUnavailable) -> None:
        now_s = self._timers.time()
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        self.on_failing(exc)
        if self._retry is not None:
            self._retry.cancel()  # whoever asks for a flush in between begins no second round
        self._retry = self._timers.call_later(RETRY_S, self.flush)
        if now_s - self._failing_since_s >= GIVE_UP_S:
            self._on_stuck(streams)

    def _deliver(self, streams: Sequence[Stream]) -> None:  # noqa: C901, PLR0912 -- the token path, in one piece
        outlets: list[Outlet] = []
        ended: list[Stream] = []
        for stream in streams:
            before = stream.head
            records = stream.commit()
            is_alone = len(records) == 1
            lines_up = len(records) > TURN_RECORDS
            if stream.done:
                lines_up = True
                ended.append(stream)
            for subscription in stream.subscriptions:
                outlet = subscription.outlet
                try:
                    if lines_up or subscription.after != before or outlet.lines_up:
                        outlet.enqueue(subscription)
                    else:
                        # At the head: what was committed is what this reader would read.
                        seq, render = before, subscription.render
                        if is_alone:
                            seq += 1
                            data = render(seq, records[0])
                        else:
                            rendered = []
                            for record in records:
                                seq += 1
                                rendered.append(render(seq, record))
                            data = b"".join(rendered)
                        subscription.after = seq
                        if outlet.lanes == 1:
                            write = outlet.write  # loaded first: see `HttpCall.received`
                            write(data)
                            continue
                        # Other streams of this tick may go to the same client: one write for all.
                        outlet.out.append(data)
                except Exception as exc:  # noqa: BLE001 -- it must not stop the others' tokens
                    _cut(outlet, exc)
                if not outlet.queued:
                    outlet.queued = True
                    outlets.append(outlet)
        for outlet in outlets:
            try:
                outlet.pump()
            except Exception as exc:  # noqa: BLE001 -- as above
                _cut(outlet, exc)
        for stream in ended:
            self._on_done(stream)


def _ignore(exc: JournalUnavailable) -> None:
    """Take note of nothing."""


def _cut(outlet: Outlet, exc: Exception) -> None:
    log.error("writing to a client failed; its connection is cut", exc_info=exc)
    outlet.cut()
