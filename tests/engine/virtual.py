"""A virtual clock, a scripted provider and recording doubles for the engine's tests."""

import heapq
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

from tokenferry.domain.ledger import Charge
from tokenferry.domain.pricing import PriceBook
from tokenferry.domain.retry import RetryTerms
from tokenferry.domain.routing import Catalog
from tokenferry.engine.billing import Billing, Rules
from tokenferry.engine.book import Entry
from tokenferry.engine.dispatcher import Dispatcher, Engine
from tokenferry.engine.keys import Key
from tokenferry.engine.ledger import Charged, Held, Hold, Work
from tokenferry.engine.options import Limits, Options
from tokenferry.engine.ports import Outcome, Sink
from tokenferry.engine.prices import Prices
from tokenferry.engine.relay import Durability, Synced
from tokenferry.engine.router import Router, RoutingRules
from tokenferry.engine.settlement import Commit, Committed, Settlement
from tokenferry.engine.stream import Outlet, Stream, Subscription
from tokenferry.engine.traces import Tracer
from tokenferry.errors import RequestError  # noqa: TC001 -- no import of its own for one name
from tokenferry.protocol.chat import ChatRequest, parse_request
from tokenferry.protocol.frames import FrameRenderer
from tokenferry.stores.memory import MemoryJournal
from tokenferry.stores.memory_archive import MemoryArchive


class Timer:
    def __init__(self, callback: Callable[..., object], args: tuple[object, ...]) -> None:
        self.callback, self.args, self.cancelled = callback, args, False

    def cancel(self) -> None:
        self.cancelled = True
        # As asyncio's: who has cancelled a timer is not kept by it.
        self.callback, self.args = bool, ()


class VirtualTimers:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._soon: deque[Timer] = deque()
        self._later: list[tuple[float, int, Timer]] = []
        self._order = count()

    def time(self) -> float:
        return self.now_s

    def call_soon(self, callback: Callable[..., object], *args: object) -> Timer:
        self._soon.append(timer := Timer(callback, args))
        return timer

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> Timer:
        timer = Timer(callback, args)
        heapq.heappush(self._later, (self.now_s + delay, next(self._order), timer))
        return timer

    def tick(self) -> None:
        """Run what is due now."""
        while self._soon:
            timer = self._soon.popleft()
            if not timer.cancelled:
                timer.callback(*timer.args)

    def advance(self, seconds: float) -> None:
        """Let time pass, running what falls due on the way."""
        self.tick()
        until_s = self.now_s + seconds
        while self._later and self._later[0][0] <= until_s:
            self.now_s, _, timer = heapq.heappop(self._later)
            if not timer.cancelled:
                timer.callback(*timer.args)
                self.tick()
        self.now_s = until_s


class ScriptedCall:
    def __init__(self, sink: Sink, *, drains: bool) -> None:
        self.sink = sink
        self.drains = drains
        self.cancelled = 0

    def cancel(self) -> bool:
        self.cancelled += 1
        return self.drains


class ScriptedProvider:
    """A provider that says what the test makes it say."""

    output_tokens_max: int | None = None

    def __init__(self, name: str = "p", *, drains: bool = False) -> None:
        self.name = name
        self.drains = drains
        self.refusal: RequestError | None = None
        self.failure: Exception | None = None
        # What a continuation is refused with.
        self.no_continuation: RequestError | None = None
        self.beginnings: list[str] = []
        self.prepared: list[ChatRequest] = []
        self.calls: list[ScriptedCall] = []
        # With which key each call was made, and with which headers beyond its own.
        self.keys: list[int] = []
        self.headers: list[Sequence[tuple[str, str]]] = []

    def prepare(self, request: ChatRequest, model: str) -> "ScriptedProvider":
        if self.refusal is not None:
            raise self.refusal
        self.prepared.append(request)
        return self

    def prepare_continuation(
        self, request: ChatRequest, model: str, text: str
    ) -> "ScriptedProvider":
        if self.no_continuation is not None:
            raise self.no_continuation
        self.beginnings.append(text)
        return self.prepare(request, model)

    def start(
        self, sink: Sink, key: int = 0, headers: Sequence[tuple[str, str]] = ()
    ) -> ScriptedCall:
        if self.failure is not None:
            raise self.failure
        self.headers.append(headers)
        self.keys.append(key)
        self.calls.append(call := ScriptedCall(sink, drains=self.drains))
        return call

    @property
    def sink(self) -> Sink:
        return self.calls[-1].sink


class RecordingMeter:
    def __init__(self) -> None:
        self.begun = 0
        self.overheads_s: list[float] = []
        self.outcomes: list[Outcome] = []

    def started(self) -> None:
        self.begun += 1

    def sent(self, overhead_s: float) -> None:
        self.overheads_s.append(overhead_s)

    def settled(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class RecordingOutlet(Outlet):
    """A client; with `room` messages of room before it must be told to go on."""

    def __init__(self, room: int | None = None) -> None:
        super().__init__(self.record)
        self.room = room
        self.written: list[bytes] = []
        self.done: list[str] = []
        self.caught: list[int] = []
        self.gone_from: list[str] = []
        self.was_cut = False

    def record(self, data: bytes) -> None:
        self.written.append(data)
        if self.room is not None:
            self.room -= 1
            self.paused = self.room <= 0

    def delivered(self, subscription: Subscription) -> None:
        self.done.append(subscription.stream.id)
        subscription.close()

    def caught_up(self, subscription: Subscription) -> None:
        self.caught.append(subscription.after)

    def gone(self, subscription: Subscription) -> None:
        self.gone_from.append(subscription.stream.id)

    def cut(self) -> None:
        self.was_cut = True

    def frames(self) -> list[dict[str, Any]]:
        return list(read_frames(b"".join(self.written)))

    def seqs(self) -> list[int]:
        return [frame["seq"] for frame in self.frames()]

    def text(self) -> str:
        return "".join(f["choices"][0]["delta"]["content"] for f in self.frames() if "choices" in f)


def frames_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Split unmasked text frames; yield each with its payload."""
    while data:
        assert data[0] == 0x81
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(data[2:10], "big"), 10
        end = start + length
        yield data[:end], data[start:end]
        data = data[end:]


def read_frames(data: bytes) -> list[dict[str, Any]]:
    """Read unmasked text frames."""
    return [json.loads(payload) for _, payload in frames_of(data)]


def book_anything(work: Sequence[Work], committed: Committed) -> None:
    """Take the place of the books of somebody who has all the credit in the world."""
    committed([Held(w.wanted_nanos, 0) if isinstance(w, Hold) else Charged(0, 0) for w in work])


# Fail-over is seen at once where nothing is tried twice.
NO_RETRIES = RoutingRules(RetryTerms(retries=0))
# No two engines make the same id, as no two processes do.
IDS = count(1)
KEY = Key("k", "k")
OPTIONS = Options(on_disconnect_cancel=False, orphan_timeout_s=60.0)


def request(**fields: Any) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "안녕"}], "stream": True}
    return parse_request(json.dumps(body | fields).encode())


class Bench:
    """An engine with one client's view of it."""

    def __init__(
        self,
        providers: list[ScriptedProvider] | None = None,
        *,
        limits: Limits | None = None,
        journal: MemoryJournal | None = None,
        archive: MemoryArchive | None = None,
        sync: Callable[[Synced], None] | None = None,
        prices: Prices | None = None,
        ledger: Commit | None = None,
        rules: RoutingRules = NO_RETRIES,
        tracer: Tracer | None = None,
    ) -> None:
        self.providers = providers or [ScriptedProvider()]
        self.timers = VirtualTimers()
        self.meter = RecordingMeter()
        self.journal = journal or MemoryJournal(1 << 20)
        self.archive = archive or MemoryArchive()
        self.wall_ms = 1_790_000_000_000
        prices = prices or PriceBook([])
        # What was booked; nothing where a test has books of its own.
        self.charges: list[Charge] = []
        self.settlement = Settlement(ledger or self._book, self.timers)
        self.dice = 0.5
        self.router = Router(rules, self.timers, lambda: self.dice)
        engine = Engine(
            catalog=Catalog([(p.name, "m") for p in self.providers]),
            providers={p.name: p for p in self.providers},
            durability=Durability(self.journal, sync),
            archive=self.archive,
            timers=self.timers,
            meter=self.meter,
            wall_ms=lambda: self.wall_ms,
            new_id=lambda _: f"st_{next(IDS)}",
            reasoning_fields=["reasoning_content"],
            prices=prices,
            billing=Billing(prices, self.settlement, Rules(), lambda: self.wall_ms),
            router=self.router,
            tracer=tracer,
        )
        self.dispatcher = Dispatcher(engine, limits or Limits(stream_bytes_max=1 << 20))

    def _book(self, work: Sequence[Work], committed: Committed) -> None:
        self.charges += [item for item in work if isinstance(item, Charge)]
        book_anything(work, committed)

    @property
    def provider(self) -> ScriptedProvider:
        return self.providers[0]

    @property
    def sink(self) -> Sink:
        return self.provider.sink

    def create(self, options: Options = OPTIONS, owner: str | Key = "k", **fields: Any) -> Stream:
        now_s = self.timers.now_s
        key = Key(owner, owner) if isinstance(owner, str) else owner
        created = self.dispatcher.create(key, request(**fields), options, arrived_s=now_s)
        assert isinstance(created, Stream)
        return created

    def request(self) -> ChatRequest:
        return request()

    def found(self, stream_id: str, owner: str = "k") -> Stream:
        entry = self.dispatcher.find(owner, stream_id)
        assert isinstance(entry, Entry)
        return entry.stream

    def follow(
        self,
        stream: Stream,
        outlet: RecordingOutlet | None = None,
        *,
        after: int = 0,
        resumes: bool = False,
        merges: bool = False,
    ) -> tuple[RecordingOutlet, Subscription]:
        outlet = outlet or RecordingOutlet()
        renderer = FrameRenderer(stream.id, stream.epoch, aware=False, merges=merges)
        subscription = Subscription(stream, outlet, renderer, after=after, resumes=resumes)
        self.dispatcher.book.follow(subscription)
        outlet.pump()
        return outlet, subscription
