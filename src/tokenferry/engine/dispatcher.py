"""The dispatcher: from an authenticated request to a running stream, and the book of all streams.

It resolves the model, has the request translated, starts the generation, and decides what becomes
of a stream that nobody follows any more.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tokenferry.domain.rate_limit import Allowed, Limit, check
from tokenferry.domain.routing import Catalog
from tokenferry.engine.attempt import Attempt, Plan
from tokenferry.engine.generation import Generation
from tokenferry.engine.ports import Journal, Meter, Provider, TimerHandle, Timers
from tokenferry.engine.relay import Relay
from tokenferry.engine.stream import Stream, Subscription
from tokenferry.errors import (
    Draining,
    InternalError,
    RateLimited,
    RequestError,
    StreamNotFound,
    TokenferryError,
)
from tokenferry.protocol.chat import ChatRequest

log = logging.getLogger(__name__)

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
# Finished streams that can still be asked for; beyond it the oldest are forgotten first.
FINISHED_STREAMS_MAX = 10_000
# Keys whose rate is remembered; more keys than this at once begin with a fresh burst.
RATES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The engine's limits.

    Attributes:
        creates_per_minute: Streams a key may create a minute; 0 for no limit.
        stream_bytes_max: Bytes of records a stream may have.
        retention_s: How long a finished stream can be asked for.
    """

    creates_per_minute: int
    stream_bytes_max: int
    retention_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a client wants of the stream beyond the answer.

    Attributes:
        resumable: Whether anybody can come back to it.
        on_disconnect_cancel: Whether losing the last follower cancels it at once.
        orphan_timeout_s: How long it goes on without a follower otherwise.
        idempotency_key: A repeated create with it returns the first one's stream.
    """

    resumable: bool
    on_disconnect_cancel: bool
    orphan_timeout_s: float
    idempotency_key: str | None = None


@dataclass(slots=True)
class _Entry:
    stream: Stream
    options: Options
    generation: Generation | None
    orphan_timer: TimerHandle | None = None
    expires_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Engine:
    """What the dispatcher works with.

    Attributes:
        catalog: Which model is served by whom.
        providers: Adapters by name.
        journal: Where the logs are.
        timers: Clock and timers.
        meter: Where outcomes are reported.
        wall_s: The wall clock, in seconds since the epoch.
        new_id: Makes unguessable stream ids.
        reasoning_fields: Delta keys that reasoning text is sent under.
    """

    catalog: Catalog
    providers: Mapping[str, Provider]
    journal: Journal
    timers: Timers
    meter: Meter
    wall_s: Callable[[], int]
    new_id: Callable[[], str]
    reasoning_fields: list[str]


class Dispatcher:
    """Starts streams and keeps the book of them.

    Args:
        engine: What it works with.
        limits: The engine's limits.
    """

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits
        self._relay = Relay(engine.journal, engine.timers.call_soon)
        self._entries: dict[str, _Entry] = {}
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._idempotent: dict[tuple[str, str], str] = {}
        self._arrivals_ns: OrderedDict[str, int] = OrderedDict()
        self._rate = None
        if limits.creates_per_minute:
            interval_ns = 60 * NS_PER_S // limits.creates_per_minute
            self._rate = Limit(interval_ns, limits.creates_per_minute)
        self.live_count = 0
        self.draining = False

    def create(
        self, owner: str, request: ChatRequest, options: Options, *, arrived_s: float
    ) -> Stream:
        """Start a generation; subscribe to the stream in the same tick to miss nothing.

        Raises:
            Draining: If the server is about to stop.
            RateLimited: If the key creates streams too fast.
            RequestError: If no provider can serve the request.
        """
        idempotency = None
        if options.idempotency_key is not None:
            idempotency = (owner, options.idempotency_key)
            if (known := self._idempotent.get(idempotency)) is not None:
                return self._entries[known].stream
        if self.draining:
            raise Draining("The server is about to restart; try again in a moment.")
        self._check_rate(owner)
        engine = self._engine
        plan = Plan(
            request,
            self._attempts(request),
            engine.reasoning_fields,
            self._limits.stream_bytes_max,
            engine.wall_s(),
            arrived_s,
        )
        stream = Stream(engine.new_id(), owner, 1, engine.journal)
        generation = Generation(
            stream, plan, self._relay, engine.timers, engine.meter, self._on_settled
        )
        self._entries[stream.id] = _Entry(stream, options, generation)
        if idempotency is not None:
            self._idempotent[idempotency] = stream.id
        self.live_count += 1
        try:
            generation.start()
        except Exception:
            log.exception("a provider's adapter failed to start")
            generation.abort(InternalError("The gateway could not send the request on."))
        return stream

    def find(self, owner: str, stream_id: str) -> Stream:
        """Return a stream of this key.

        Raises:
            StreamNotFound: If there is none, or it is another key's.
        """
        return self._entry(owner, stream_id).stream

    def cancel(self, owner: str, stream_id: str) -> None:
        """End a stream as cancelled; nothing happens to one that has ended.

        Raises:
            StreamNotFound: If there is none, or it is another key's.
        """
        generation = self._entry(owner, stream_id).generation
        if generation is not None:
            generation.cancel()

    def abort_owned(self, owner: str, error: TokenferryError) -> None:
        """End every running stream of a key with an error, as when it was revoked."""
        for entry in list(self._entries.values()):
            if entry.stream.owner == owner and entry.generation is not None:
                entry.generation.abort(error)

    def abort_all(self, error: TokenferryError) -> None:
        """End every running stream with an error, as when the time to drain is up."""
        for entry in list(self._entries.values()):
            if entry.generation is not None:
                entry.generation.abort(error)
        self._relay.flush()

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
        subscription.close()
        stream = subscription.stream
        entry = self._entries.get(stream.id)
        if entry is None or stream.followed:
            return
        if entry.generation is None:
            self._retire(entry)
            return
        if not lost:
            return
        if entry.options.on_disconnect_cancel or entry.options.orphan_timeout_s <= 0:
            entry.generation.cancel()
        elif entry.orphan_timer is None:
            entry.orphan_timer = self._engine.timers.call_later(
                entry.options.orphan_timeout_s, entry.generation.cancel
            )

    def _entry(self, owner: str, stream_id: str) -> _Entry:
        entry = self._entries.get(stream_id)
        if entry is None or entry.stream.owner != owner or not entry.options.resumable:
            raise StreamNotFound(
                f"There is no stream {stream_id!r} for this key, or it is no longer kept."
            )
        return entry

    def _attempts(self, request: ChatRequest) -> list[Attempt]:
        """Return the candidates that can serve the request, in order.

        Raises:
            RequestError: The first candidate's refusal, when no candidate can.
        """
        attempts = []
        refusal: RequestError | None = None
        for provider, model in self._engine.catalog.resolve(request.model):
            try:
                prepared = self._engine.providers[provider].prepare(request, model)
            except RequestError as exc:
                refusal = refusal or exc
            else:
                attempts.append(Attempt(provider, model, prepared))
        if not attempts and refusal is not None:
            raise refusal
        return attempts

    def _check_rate(self, owner: str) -> None:
        if self._rate is None:
            return
        now_ns = int(self._engine.timers.time() * NS_PER_S)
        arrivals = self._arrivals_ns
        decision = check(self._rate, arrival_ns=arrivals.get(owner, 0), now_ns=now_ns)
        if not isinstance(decision, Allowed):
            wait_ms = -(-decision.retry_after_ns // NS_PER_MS)
            raise RateLimited(
                f"This key may create {self._limits.creates_per_minute} streams a minute. "
                f"Try again in {wait_ms} ms.",
                retry_after_ms=wait_ms,
            )
        arrivals[owner] = decision.arrival_ns
        arrivals.move_to_end(owner)
        if len(arrivals) > RATES_MAX:
            arrivals.popitem(last=False)

    def _on_settled(self, generation: Generation) -> None:
        stream = generation.stream
        self.live_count -= 1
        entry = self._entries[stream.id]
        entry.generation = None
        if entry.orphan_timer is not None:
            entry.orphan_timer.cancel()
        # The terminal record is pending still; what follows runs after its commit.
        self._engine.timers.call_soon(self._retire, entry)

    def _retire(self, entry: _Entry) -> None:
        """Keep a settled stream for those who may come back, or forget it after its last reader."""
        stream = entry.stream
        if not stream.done or stream.followed or stream.id not in self._entries:
            return
        if not entry.options.resumable:
            self._engine.journal.drop(stream.id)
            del self._entries[stream.id]
            return
        stream.release()
        if stream.id in self._finished:
            return
        now_s = self._engine.timers.time()
        entry.expires_s = now_s + self._limits.retention_s
        self._finished[entry.stream.id] = None
        while self._finished:
            oldest = self._entries[next(iter(self._finished))]
            if len(self._finished) <= FINISHED_STREAMS_MAX and oldest.expires_s > now_s:
                break
            self._forget(oldest)

    def _forget(self, entry: _Entry) -> None:
        del self._finished[entry.stream.id]
        del self._entries[entry.stream.id]
        self._engine.journal.drop(entry.stream.id)
        key = entry.options.idempotency_key
        if key is not None:
            self._idempotent.pop((entry.stream.owner, key), None)
