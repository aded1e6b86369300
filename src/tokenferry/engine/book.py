"""The book of all streams that can be asked for: who may see them, who follows, how long they stay.

A stream is entered when it is created or found in the journal, and is struck out when its chunks
are given up; what is kept after that is in the archive.

Weakness: it is in memory, some two kilobytes a stream, and knows the streams of this process only.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from msgspec import Raw, Struct

from tokenferry.domain.ledger import OPERATOR
from tokenferry.domain.request_record import Transport
from tokenferry.engine.generation import Generation
from tokenferry.engine.ports import TimerHandle, Timers
from tokenferry.engine.stream import Stream, Subscription
from tokenferry.errors import StreamNotFound, TooManyFollowers

# Finished streams whose chunks are kept; beyond it the oldest go to the archive first.
FINISHED_STREAMS_MAX = 10_000
MS_PER_S = 1000
NO_REQUEST = Raw(b"null")


class StreamMeta(Struct, omit_defaults=True):
    """What a later process must know of a stream; committed before a provider is called.

    Attributes:
        owner: Public id of the key that created it.
        model: What the client asked for.
        provider: The first candidate's.
        provider_model: The first candidate's name for the model.
        created_ms: Unix time.
        orphan_timeout_s: How long it goes on without a follower.
        on_disconnect_cancel: Whether losing the last follower cancels it at once.
        include_usage: Whether its events have the usage chunk.
        prompt_tokens: Our estimate of the prompt, for a stream whose provider cannot report.
        output_tokens_max: The most that all its answers may have together.
        idempotency_key: A repeated create with it gets this stream.
        request_hash: What the request with that key was.
        recovery: "fail" or "continue": what a later process does with a stream it finds unfinished.
        request: The request, where recovery needs it; else null.
        account: Who pays.
        transport: How the client asked for it.
        request_id: Id of the HTTP request.
    """

    owner: str
    model: str
    provider: str
    provider_model: str
    created_ms: int
    orphan_timeout_s: float
    on_disconnect_cancel: bool = False
    include_usage: bool = False
    prompt_tokens: int = 0
    output_tokens_max: int | None = None
    idempotency_key: str | None = None
    request_hash: bytes | None = None
    recovery: str = "fail"
    # No union: msgspec reads `Raw | None` as None alone.
    request: Raw = NO_REQUEST
    account: str = OPERATOR
    transport: Transport = "unknown"
    request_id: str = ""


@dataclass(slots=True, eq=False)
class Entry:
    """One stream in the book.

    Attributes:
        stream: The log.
        meta: See there.
        generation: What fills the log; None from the settlement on.
        orphan_timer: Runs while nobody follows a running stream.
        ended_s: When it ended, by the timers' clock.
        ended_ms: The same in Unix time; 0 before.
    """

    stream: Stream
    meta: StreamMeta
    generation: Generation | None = None
    orphan_timer: TimerHandle | None = None
    ended_s: float = 0.0
    ended_ms: int = 0


class Book:
    """All streams whose chunks are kept.

    Args:
        timers: Clock and timers.
        wall_ms: The wall clock, Unix time.
        followers_max: Followers that one stream may have.
    """

    def __init__(self, timers: Timers, wall_ms: Callable[[], int], followers_max: int) -> None:
        self._timers = timers
        self._wall_ms = wall_ms
        self._followers_max = followers_max
        self._entries: dict[str, Entry] = {}
        self._idempotent: dict[tuple[str, str], Entry] = {}
        # Streams that are done, in the order of their ends.
        self._finished: OrderedDict[str, Entry] = OrderedDict()
        self.live_count = 0

    def add(self, entry: Entry) -> None:
        """Enter a stream; one that is generated counts as live until it is settled."""
        self._entries[entry.stream.id] = entry
        key = entry.meta.idempotency_key
        if key is not None:
            self._idempotent[entry.meta.owner, key] = entry
        if entry.generation is not None:
            self.live_count += 1

    def get(self, owner: str, stream_id: str) -> Entry | None:
        """Return a stream of this key, or None if it is not here or another key's."""
        entry = self._entries.get(stream_id)
        return entry if entry is not None and entry.stream.owner == owner else None

    def find(self, stream_id: str) -> Entry | None:
        """Return a stream, whosever it is: for the operator alone."""
        return self._entries.get(stream_id)

    def repeated(self, owner: str, idempotency_key: str) -> Entry | None:
        """Return the stream that a create with this idempotency key has made."""
        return self._idempotent.get((owner, idempotency_key))

    def release(self, entry: Entry) -> None:
        """Forget a stream's idempotency key: nothing was begun, and the next one is to try anew."""
        key, entry.meta.idempotency_key = entry.meta.idempotency_key, None
        if key is not None:
            self._idempotent.pop((entry.meta.owner, key), None)

    def owned(self, owner: str) -> Iterator[Entry]:
        """Yield the streams of a key, the newest first."""
        for entry in reversed(self._entries.values()):
            if entry.stream.owner == owner:
                yield entry

    def stream_ids(self) -> list[str]:
        """Return the names of all streams."""
        return list(self._entries)

    def running(self) -> list[Entry]:
        """Return the streams that are not settled."""
        return [entry for entry in self._entries.values() if entry.generation is not None]

    # -- followers -----------------------------------------------------------------------------

    def check_room(self, stream: Stream) -> None:
        """Make sure that one more may follow.

        Raises:
            TooManyFollowers: If the stream has as many as it may.
        """
        if len(stream.subscriptions) >= self._followers_max:
            raise TooManyFollowers(f"This stream has its {self._followers_max} followers.")

    def follow(self, subscription: Subscription) -> None:
        """Take note that somebody reads a stream: it is no orphan."""
        entry = self._entries.get(subscription.stream.id)
        if entry is not None and entry.orphan_timer is not None:
            entry.orphan_timer.cancel()
            entry.orphan_timer = None

    def leave(self, subscription: Subscription, *, lost: bool) -> None:
        """End a subscription.

        Args:
            subscription: Whose reader is gone.
            lost: Whether the connection was lost, as against a client that asked to detach.
        """
        stream = subscription.stream
        stream.drops += lost and not stream.done and subscription in stream.subscriptions
        subscription.close()
        entry = self._entries.get(stream.id)
        if entry is None or stream.followed:
            return
        if entry.generation is None:
            self.retire(entry)
        elif lost:
            self.orphan(entry)

    def orphan(self, entry: Entry) -> None:
        """Start the orphan time of a running stream that nobody follows."""
        generation = entry.generation
        if generation is None or entry.stream.followed:
            return
        if entry.meta.on_disconnect_cancel or entry.meta.orphan_timeout_s <= 0:
            generation.cancel()
        elif entry.orphan_timer is None:
            entry.orphan_timer = self._timers.call_later(
                entry.meta.orphan_timeout_s, generation.cancel
            )

    # -- the end -------------------------------------------------------------------------------

    def settled(self, generation: Generation) -> Entry:
        """Take note that a generation has reported its outcome; return whose it is."""
        entry = self._entries[generation.stream.id]
        self.live_count -= 1
        entry.generation = None
        if entry.orphan_timer is not None:
            entry.orphan_timer.cancel()
            entry.orphan_timer = None
        # If the terminal record is pending still, `finished` comes after its commit.
        if entry.stream.done:
            self.retire(entry)
        return entry

    def finished(self, stream: Stream) -> None:
        """Take note that a terminal record was committed, and offered to the readers."""
        if stream.subscriptions:
            return  # its last reader's leaving comes after
        entry = self._entries.get(stream.id)
        if entry is not None:
            self.retire(entry)

    def retire(self, entry: Entry, ended_ms: int | None = None) -> None:
        """Begin the retention of a stream that is done and that nobody is reading.

        Args:
            entry: The stream.
            ended_ms: When it ended, if that was in an earlier process.
        """
        stream = entry.stream
        if not stream.done or stream.followed or entry.generation is not None:
            return  # comes again with the last of the three
        stream.release()
        if stream.id not in self._finished and stream.id in self._entries:
            now_ms = self._wall_ms()
            entry.ended_ms = now_ms if ended_ms is None else min(ended_ms, now_ms)
            entry.ended_s = self._timers.time() - (now_ms - entry.ended_ms) / MS_PER_S
            self._finished[stream.id] = entry

    def due(self, retention_s: float, *, at_most: int, crowded: bool) -> list[Entry]:
        """Return streams whose chunks may be given up, the oldest first.

        Args:
            retention_s: How long chunks are kept after the end.
            at_most: How many to return.
            crowded: Whether some must go before their time.
        """
        found: list[Entry] = []
        until_s = self._timers.time() - retention_s
        surplus = len(self._finished) - FINISHED_STREAMS_MAX
        for entry in self._finished.values():
            is_due = entry.ended_s <= until_s or surplus > 0 or crowded
            if not is_due or len(found) >= at_most:
                break
            surplus -= 1
            if not entry.stream.followed:
                found.append(entry)
        return found

    def strike(self, entry: Entry) -> bool:
        """Forget a stream, unless somebody has begun to read it; return whether it is gone."""
        stream = entry.stream
        if stream.followed:
            return False
        if entry.generation is not None:
            self.live_count -= 1
        self._finished.pop(stream.id, None)
        self._entries.pop(stream.id, None)
        key = entry.meta.idempotency_key
        if key is not None:
            self._idempotent.pop((entry.meta.owner, key), None)
        return True


def not_found(stream_id: str) -> StreamNotFound:
    """Return the one error for a stream that is not there and for another key's."""
    return StreamNotFound(f"There is no stream {stream_id[:100]!r} for this key.")
