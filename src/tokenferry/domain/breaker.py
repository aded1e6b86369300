"""A circuit breaker: when a candidate fails so often that it is left alone for a while.

    closed ──(enough calls in the window, and too many of them failed)──▶ open
    open ──(its time is over)──▶ half-open ──(every probe succeeded)──▶ closed
    half-open ──(a probe failed)──▶ open, for twice as long

Only what happened in the present state counts: a call that began before the breaker opened says
nothing about the time after it.

Source: M. Nygard, "Release It!", 2nd edition, "Circuit Breaker"; Envoy's outlier detection
(ejection time that grows with each ejection), documentation of November 2026.
Weakness: the window is two halves, so that it spans between half of its length and the whole.
"""

from typing import Literal, NamedTuple

State = Literal["closed", "open", "half_open"]


class BreakerTerms(NamedTuple):
    """When a breaker opens, and for how long.

    Attributes:
        window_s: What is looked back on.
        calls_min: Calls in the window below which nothing is concluded.
        failures_percent: Of them, the share at which it opens.
        open_s: How long it is open the first time; each further time twice as long.
        open_max_s: The longest.
        probes: Calls that a half-open breaker lets through at once, and that must succeed.
    """

    window_s: float = 30.0
    calls_min: int = 10
    failures_percent: int = 50
    open_s: float = 5.0
    open_max_s: float = 120.0
    probes: int = 2


class Ticket(NamedTuple):
    """A call that has begun.

    Attributes:
        turn: The breaker's turn in which it did.
        is_probe: Whether it takes one of a half-open breaker's places.
    """

    turn: int
    is_probe: bool


class Breaker:
    """The breaker of one candidate. All times are monotonic seconds.

    Args:
        terms: When it opens.

    Attributes:
        opened_s: When it opened last; 0 if it never did.
        until_s: Until when it is open; 0 while it is closed.
    """

    __slots__ = (
        "_calls",
        "_calls_before",
        "_failures",
        "_failures_before",
        "_half_s",
        "_openings",
        "_probing",
        "_proven",
        "_terms",
        "_turn",
        "opened_s",
        "until_s",
    )

    def __init__(self, terms: BreakerTerms) -> None:
        self._terms = terms
        self.opened_s = 0.0
        self.until_s = 0.0
        # Openings since it was closed last; the turn changes with each opening and closing.
        self._openings = 0
        self._turn = 0
        self._probing = 0
        self._proven = 0
        # The window: the half that `_half_s` begins, and the one before it.
        self._half_s = 0.0
        self._calls = self._failures = self._calls_before = self._failures_before = 0

    def state(self, now_s: float) -> State:
        """Return which of the three states it is in."""
        if not self._openings:
            return "closed"
        return "open" if now_s < self.until_s else "half_open"

    def counts(self, now_s: float) -> tuple[int, int]:
        """Return calls and failures in the window."""
        self._turn_window(now_s)
        return self._calls + self._calls_before, self._failures + self._failures_before

    def admits(self, now_s: float) -> bool:
        """Say whether a call may begin."""
        if not self._openings:
            return True
        return now_s >= self.until_s and self._probing + self._proven < self._terms.probes

    def begin(self, now_s: float) -> Ticket:
        """Take note of a call; one that it does not admit is a probe nobody counts on."""
        is_probe = self._openings > 0 and self.admits(now_s)
        self._probing += is_probe
        return Ticket(self._turn, is_probe)

    def succeeded(self, ticket: Ticket, now_s: float) -> None:
        """Take note that a call gave an answer."""
        if ticket.turn != self._turn:
            return
        self._probing -= ticket.is_probe
        if not self._openings:
            self._count(now_s, failures=0)
            return
        self._proven += 1
        # Who was called although the breaker was open, and has answered, is there again.
        if not ticket.is_probe or self._proven >= self._terms.probes:
            self._openings = 0
            self.until_s = 0.0
            self._next_turn()

    def failed(self, ticket: Ticket, now_s: float) -> None:
        """Take note that a call failed by the candidate's fault."""
        if ticket.turn != self._turn:
            return
        self._probing -= ticket.is_probe
        if self._openings:
            if ticket.is_probe:
                self._open(now_s)
            return
        self._count(now_s, failures=1)
        calls, failures = self._calls + self._calls_before, self._failures + self._failures_before
        terms = self._terms
        if calls >= terms.calls_min and failures * 100 >= calls * terms.failures_percent:
            self._open(now_s)

    def abandoned(self, ticket: Ticket) -> None:
        """Take note that a call ended without saying anything about the candidate."""
        if ticket.turn == self._turn:
            self._probing -= ticket.is_probe

    def _open(self, now_s: float) -> None:
        terms = self._terms
        # Bounded, so that nothing grows beyond what a float can hold.
        open_s = min(terms.open_s * 2.0 ** min(self._openings, 30), terms.open_max_s)
        self._openings += 1
        self.opened_s, self.until_s = now_s, now_s + open_s
        self._next_turn()

    def _next_turn(self) -> None:
        self._turn += 1
        self._probing = self._proven = 0
        self._calls = self._failures = self._calls_before = self._failures_before = 0

    def _count(self, now_s: float, *, failures: int) -> None:
        self._turn_window(now_s)
        self._calls += 1
        self._failures += failures

    def _turn_window(self, now_s: float) -> None:
        half_s = self._terms.window_s / 2
        age_s = now_s - self._half_s
        if age_s < half_s:
            return
        is_next = age_s < 2 * half_s
        self._calls_before = self._calls if is_next else 0
        self._failures_before = self._failures if is_next else 0
        self._calls = self._failures = 0
        self._half_s = self._half_s + half_s if is_next else now_s
