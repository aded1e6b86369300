"""The gate of one provider: how much may be under way there, and the line of those who wait.

Everything is a plain call in the event loop: `enter` lets a call go at once or lines it up; then it
is told where it stands, and at last to go, or why it cannot. A place is given back by `leave`,
once, whoever calls it and wherever the call stands: that alone lets the next one go.

Source: docs/decisions/0014-queue.md.
Weakness: what is learned and who waits is this process's alone.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from tokenferry.domain.capacity_headers import Capacity
from tokenferry.domain.concurrency import Concurrency
from tokenferry.domain.fair_queue import CLASSES, Entry, FairQueue, ServiceClass
from tokenferry.domain.rate_limit import MINUTE_NS, per_minute
from tokenferry.domain.token_rate import TokenRate
from tokenferry.engine.options import GateTerms
from tokenferry.engine.ports import TimerHandle, Timers
from tokenferry.engine.rests import NS_PER_S, Rests
from tokenferry.engine.traces import RequestTrace
from tokenferry.errors import QueueFull, QueueTimeout, TokenferryError

MS_PER_S: Final = 1_000
# How often those who wait are told where they stand.
NEWS_S: Final = 1.0
# Of the latest that went, for the rate at which the line moves.
PACE_SAMPLES: Final = 32
# Nobody knows how long a line takes that has not moved yet.
RETRY_MS_UNKNOWN: Final = 5_000
RETRY_MS_MAX: Final = 600_000


class Ask(NamedTuple):
    """Who wants to go.

    Attributes:
        stream_id: The stream.
        service_class: Its class.
        account: Whose turn it takes.
        tokens: What it may use; at least 1.
        trace: Its trace, if it has one.
    """

    stream_id: str
    service_class: ServiceClass
    account: str
    tokens: int
    trace: RequestTrace | None = None


class Waiter(Protocol):
    """Somebody in the line. Nothing of it is called from within `enter`."""

    def go(self) -> None:
        """The place is taken: go."""

    def stands(self, position: int, eta_s: float | None) -> None:
        """Take note of how many are in front, and for how long they may be, if that is known."""

    def refused(self, error: TokenferryError) -> None:
        """The wait is over without a place."""


class Place:
    """A place at a provider, or in the line for one.

    Attributes:
        is_in: Whether the call may go, or has gone.
    """

    __slots__ = ("_gate", "_number", "_tokens", "ask", "entry_id", "is_in", "model", "waiter")

    def __init__(self, gate: "Gate", ask: Ask, model: str, waiter: Waiter, entry_id: str) -> None:
        self._gate: Gate | None = gate
        self.ask = ask
        self.model = model
        self.waiter = waiter
        self.entry_id = entry_id
        self.is_in = False
        # What was taken of the tokens, by its number.
        self._number = 0
        self._tokens = 0

    def took(self, number: int, tokens: int) -> None:
        """Take note of tokens that were taken."""
        self._number, self._tokens = number, tokens

    def leave(self, used_tokens: int | None = None) -> None:
        """Give the place back, or leave the line; idempotent.

        Args:
            used_tokens: What was used; None if it is not known: what was taken counts then.
        """
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.left(self, self._number, self._tokens, used_tokens)


class GateState(NamedTuple):
    """A gate as the operator sees it.

    Attributes:
        running: Calls under way.
        limit: How many may be; 0 for any number.
        waiting: How many wait, by class.
    """

    running: int
    limit: int
    waiting: dict[ServiceClass, int]


# A class, and how long somebody of it has waited in seconds; why somebody was turned away.
OnWaited = Callable[[ServiceClass, float], None]
OnTurnedAway = Callable[[str], None]


def _ignore(*_: object) -> None:
    """Take note of nothing."""


class Gate:
    """The gate of one provider. See the module's docstring.

    Args:
        terms: What the operator says.
        timers: Clock and timers.
        keys: How many keys the provider has.

    Attributes:
        line: Who waits.
        running: Calls under way.
        rests: Which of its models are asked nothing now.
        on_waited: Called for each that went after a wait.
        on_turned_away: Called for each that did not.
    """

    __slots__ = (
        "_concurrency",
        "_is_pumping",
        "_made",
        "_news_timer",
        "_places",
        "_pump_timer",
        "_requests",
        "_timers",
        "_tokens",
        "_went_ns",
        "line",
        "on_turned_away",
        "on_waited",
        "rests",
        "running",
        "terms",
    )

    def __init__(self, terms: GateTerms, timers: Timers, keys: int = 1) -> None:
        self.terms = terms
        self._timers = timers
        self._concurrency = Concurrency(terms.streams_max, is_adaptive=terms.is_adaptive)
        self.line = FairQueue()
        # Those who wait, by their entries.
        self._places: dict[str, Place] = {}
        self._made = 0
        self._requests, self._tokens = TokenRate(), TokenRate()
        self.rests = Rests(keys, is_adaptive=terms.is_adaptive)
        # When the latest went, for the pace of the line.
        self._went_ns: deque[int] = deque(maxlen=PACE_SAMPLES)
        self._is_pumping = False
        # When to look again, and when to tell those who wait.
        self._pump_timer: TimerHandle | None = None
        self._news_timer: TimerHandle | None = None
        self.running = 0
        self.on_waited: OnWaited = _ignore
        self.on_turned_away: OnTurnedAway = _ignore

    def is_full(self, model: str, tokens: int = 1) -> bool:
        """Say whether a call that may use so many tokens would have to wait."""
        return bool(self._places) or self._wait_ns(model, tokens, self._now_ns()) > 0

    def enter(self, ask: Ask, model: str, waiter: Waiter) -> Place:
        """Let a call go, or line it up.

        Raises:
            QueueFull: If too many wait already, and none of them for an account with many more.
        """
        now_ns = self._now_ns()
        if not self._places and self._wait_ns(model, ask.tokens, now_ns) == 0:
            place = Place(self, ask, model, waiter, "")
            self._admit(place, now_ns)
            return place
        if len(self._places) >= self.terms.line_max and not self._made_room(ask):
            raise self._full()
        self._made += 1
        place = Place(self, ask, model, waiter, f"{ask.stream_id}/{self._made}")
        until_ns = now_ns + round(self.terms.wait_max_s * NS_PER_S)
        entry = Entry(place.entry_id, ask.account, max(1, ask.tokens), now_ns, until_ns)
        self.line.push(ask.service_class, entry)
        self._places[place.entry_id] = place
        self._pump_soon()
        if self._news_timer is None:
            self._news_timer = self._timers.call_later(0.0, self._tell)
        return place

    def left(self, place: Place, number: int, taken: int, used: int | None) -> None:
        """Take a place back; `Place.leave` calls it once."""
        now_ns = self._now_ns()
        if not place.is_in:
            self.line.remove(place.entry_id)
            del self._places[place.entry_id]
            self._pump_soon()  # it may have been what the others waited behind
            return
        self.running -= 1
        if number and used is not None and used != taken:
            interval_ns = per_minute(self.terms.tokens_per_minute).interval_ns
            if used < taken:
                self._tokens.give_back(number, (taken - used) * interval_ns, now_ns)
            else:
                self._tokens.take((used - taken) * interval_ns, now_ns)
        self._pump_soon()

    def served(self) -> None:
        """Take note that a call was answered."""
        self._concurrency.served(self._timers.time())
        self._pump_soon()

    def limited(self, model: str, until_s: float) -> None:
        """Take note that the provider refused for being too many.

        Args:
            model: Of which model.
            until_s: Until when none of its keys serves that; what is past is no rest.
        """
        now_s = self._timers.time()
        self._concurrency.refused(self.running, now_s)
        self.rests.refused(model, until_s, now_s)

    def heard(self, key: int, model: str, capacity: Capacity) -> None:
        """Take what an answer says is left of a key's limits at a model."""
        self.rests.heard(key, model, capacity, self._now_ns())
        self._pump_soon()

    def state(self) -> GateState:
        """Return how it stands."""
        waiting = {name: self.line.length(name) for name in CLASSES}
        return GateState(self.running, self._concurrency.limit, waiting)

    def _made_room(self, ask: Ask) -> bool:
        """In a full line, turn away the latest of who has most of it, if others have fewer."""
        entry = self.line.surplus(ask.service_class, ask.account)
        if entry is None:
            return False
        place = self._places[entry.entry_id]
        place.leave()
        self._timers.call_soon(place.waiter.refused, self._full())
        return True

    def _full(self) -> QueueFull:
        self.on_turned_away("full")
        return QueueFull(
            f"{self.terms.line_max} requests wait for this provider already. Try again later, or "
            "ask for another model.",
            retry_after_ms=self._retry_ms(self.terms.line_max),
        )

    # -- inside ----------------------------------------------------------------------------------

    def _admit(self, place: Place, now_ns: int) -> None:
        """Take the place."""
        terms = self.terms
        place.is_in = True
        self.running += 1
        self._went_ns.append(now_ns)
        if terms.requests_per_minute:
            self._requests.take(per_minute(terms.requests_per_minute).interval_ns, now_ns)
        if terms.tokens_per_minute:
            tokens = self._fitting(place.ask.tokens)
            cost_ns = tokens * per_minute(terms.tokens_per_minute).interval_ns
            place.took(self._tokens.take(cost_ns, now_ns), tokens)

    def _wait_ns(self, model: str, tokens: int, now_ns: int) -> int:
        """Return for how long a call may not go; a minute while a place is missing."""
        limit = self._concurrency.limit
        if limit and self.running >= limit:
            return MINUTE_NS
        terms = self.terms
        wait_ns = self.rests.wait_ns(model, tokens, now_ns)
        if terms.requests_per_minute:
            rate = per_minute(terms.requests_per_minute)
            wait_ns = max(wait_ns, self._requests.wait_ns(rate, 1, now_ns))
        if terms.tokens_per_minute:
            rate = per_minute(terms.tokens_per_minute)
            wait_ns = max(wait_ns, self._tokens.wait_ns(rate, self._fitting(tokens), now_ns))
        return wait_ns

    def _fitting(self, tokens: int) -> int:
        """Return what a call takes: what is more than a minute's tokens would wait for ever."""
        return min(max(1, tokens), self.terms.tokens_per_minute)

    def _pump_soon(self) -> None:
        """Let go who may, in a moment: not from within whatever gave the place back."""
        if self._places and not self._is_pumping:
            self._is_pumping = True
            self._timers.call_soon(self._pump)

    def _pump(self) -> None:
        self._is_pumping = False
        if self._pump_timer is not None:
            self._pump_timer.cancel()
            self._pump_timer = None
        now_ns = self._now_ns()
        self._turn_away(now_ns)
        while (head := self.line.peek(now_ns, self._is_awake(now_ns))) is not None:
            place = self._places[head.entry_id]
            if self._wait_ns(place.model, place.ask.tokens, now_ns):
                break
            self.line.pop(now_ns, self._is_awake(now_ns))
            del self._places[head.entry_id]
            self._admit(place, now_ns)
            self.on_waited(place.ask.service_class, (now_ns - head.since_ns) / NS_PER_S)
            place.waiter.go()
        if self._places:
            self._wake(now_ns)

    def _turn_away(self, now_ns: int) -> None:
        for entry in self.line.expired(now_ns):
            place = self._places[entry.entry_id]
            place.leave()
            self.on_turned_away("timeout")
            place.waiter.refused(
                QueueTimeout(
                    f"The request waited {self.terms.wait_max_s:g} seconds for its turn at the "
                    "provider. Try again later, or ask for another model.",
                    retry_after_ms=self._retry_ms(len(self._places)),
                )
            )

    def _is_awake(self, now_ns: int) -> Callable[[Entry], bool]:
        """Return what says whether somebody's model does not rest."""
        wait_ns, places = self.rests.wait_ns, self._places

        def is_awake(entry: Entry) -> bool:
            place = places[entry.entry_id]
            return wait_ns(place.model, place.ask.tokens, now_ns) == 0

        return is_awake

    def _wake(self, now_ns: int) -> None:
        """Have a look again when something can have changed by itself."""
        head = self.line.peek(now_ns, self._is_awake(now_ns))
        if head is None:
            # All rest; the first one to wake up may go.
            places = self._places.values()
            wait_ns = self.rests.soonest_ns({(p.model, p.ask.tokens) for p in places}, now_ns)
        else:
            place = self._places[head.entry_id]
            wait_ns = self._wait_ns(place.model, place.ask.tokens, now_ns)
        first_ns = self.line.first_until_ns()
        if first_ns is not None:
            wait_ns = min(wait_ns, first_ns - now_ns)
        # Rounded up: a moment too early would be for nothing.
        self._pump_timer = self._timers.call_later(max(0.0, wait_ns / NS_PER_S) + 0.001, self._pump)

    # -- news ------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Tell those who wait where they stand, and again in a moment while anybody waits."""
        self._news_timer = None
        if not self._places:
            return
        pace_s = self.pace_s()
        for position, entry_id in enumerate(self.line.in_order()):
            eta_s = None if pace_s is None else (position + 1) * pace_s
            self._places[entry_id].waiter.stands(position, eta_s)
        self._news_timer = self._timers.call_later(NEWS_S, self._tell)

    def pace_s(self) -> float | None:
        """Return the seconds between two that go; None if nothing is known."""
        went = self._went_ns
        if len(went) < 2:  # noqa: PLR2004 -- a pace takes two
            return None
        # Up to now: a line that has stood still for long is not said to be fast.
        return (self._now_ns() - went[0]) / (len(went) * NS_PER_S)

    def _retry_ms(self, ahead: int) -> int:
        if (pace_s := self.pace_s()) is None:
            return RETRY_MS_UNKNOWN
        return min(RETRY_MS_MAX, max(1, round(ahead * pace_s * MS_PER_S)))

    def _now_ns(self) -> int:
        return round(self._timers.time() * NS_PER_S)
