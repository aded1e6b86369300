"""The calls that are made for one stream, until one shows something or nothing is left to try.

One call after another; where an alias is hedged, a second one beside the first when that is late.
Everything here happens before the first token, or once a stream: the tokens themselves go from
the provider's adapter to the generation.

Every call is released exactly once, whoever ends it: it gives back what it took of its candidate.

Weakness: what a provider charges for a call that failed is not known, and nobody pays it.
"""

import logging
from collections.abc import Sequence

from tokenferry.domain.retry import BLAMED, Again, Fault, Standing, Verdict, decide, fault_of
from tokenferry.domain.routing import Try
from tokenferry.engine.attempt import NOBODY, Attempt, AttemptSink, Host, RivalSink
from tokenferry.engine.gate import Ask, Place
from tokenferry.engine.live_call import LiveCall
from tokenferry.engine.ports import TimerHandle  # noqa: TC001 -- no import for one name
from tokenferry.engine.router import Health, Router
from tokenferry.errors import InternalError, QueueFull, TokenferryError

log = logging.getLogger(__name__)

MS_PER_S = 1000
SERVED = "ok"
SLOWER = "slower"
CANCELLED = "cancelled"


class Pursuit:
    """The calls of one stream.

    Args:
        host: What they are made for.
        router: What is known of the candidates; it has the clock and timers, too.
        first: A candidate; it is said to serve until one is called.

    Attributes:
        serving: The candidate that is called, or was called last.
        calls: How many calls were made.
        first_token_s: Seconds from the call that served to its first token.
        queued_s: Seconds that it has stood in lines.
        waiting: Its place in a line, and who is to be called then; None while it has none.
        tries: What became of each; the one under way is not among them.
    """

    __slots__ = (
        "_ask",
        "_deferred",
        "_hedge_timer",
        "_host",
        "_is_over",
        "_left",
        "_lined_up_s",
        "_live",
        "_name",
        "_retries",
        "_rival",
        "_rotations",
        "_router",
        "_since_s",
        "_takes_any",
        "_timer",
        "_timers",
        "calls",
        "first_token_s",
        "queued_s",
        "serving",
        "tries",
        "waiting",
    )

    def __init__(self, host: Host, router: Router, first: Attempt) -> None:
        self._host = host
        self._router = router
        self._timers = router.timers
        self._left: list[Attempt] = []
        self._live: LiveCall | None = None
        # Who it is for, to the gates; and the place in a line, with who is to be called then.
        self._ask = Ask("", "default", "", 1)
        self.waiting: tuple[Attempt, Place] | None = None
        self._lined_up_s = self.queued_s = 0.0
        # The second call, while neither has shown anything; and when it begins.
        self._rival: LiveCall | None = None
        self._hedge_timer: TimerHandle | None = None
        self._timer: TimerHandle | None = None
        self._name = ""
        self._since_s = 0.0
        # Further calls of this candidate: after a wait, and with another key.
        self._retries = self._rotations = 0
        # A candidate at its limit, and when that is over: the soonest of those passed over.
        self._deferred: tuple[float, Attempt] | None = None
        self._takes_any = False
        self._is_over = False
        self.serving = first
        self.calls = 0
        self.first_token_s: float | None = None
        self.tries: list[Try] = []

    def start(
        self,
        name: str,
        attempts: Sequence[Attempt],
        ask: Ask,
        since_s: float,
        *,
        takes_any: bool,
    ) -> None:
        """Call the first candidate, or line up for it.

        Args:
            name: What the client asked for.
            attempts: Who can serve it, as configured.
            ask: Who it is for, to the candidates' gates.
            since_s: When the request came in, monotonic seconds.
            takes_any: Whether another candidate may take what one refuses of the request.
        """
        self._name = name
        self._ask = ask
        self._since_s = since_s
        self._takes_any = takes_any
        self._left = self._router.order(name, attempts, ask.tokens)
        self._left.reverse()
        self._call_next()

    def failed(self, error: TokenferryError) -> bool:
        """Take the failure of a call that has shown nothing; say whether another one follows."""
        live = self._live
        if live is None or self._is_over:
            return False
        now_s = self._timers.time()
        fault, retry_after_s = fault_of(error), _wait_s(error)
        live.failed(fault, now_s, error.kind, retry_after_s)
        self.tries.append(live.release(error.kind, now_s, 0))
        self._live = None
        if (rival := self._rival) is not None:
            # The other one is on its way already.
            live.silence()
            self._rival_won()
            rival.promote()
            return True
        self._end_race(SLOWER)
        verdict = self._decide(live, fault, now_s, retry_after_s)
        again = live.attempt
        if verdict == "next" and fault == "limited":
            self._defer(live.attempt, now_s, retry_after_s)
        if verdict == "stop" and fault not in ("client", "own"):
            again, verdict = self._deferred_call(again, now_s)
        if verdict == "stop":
            return False
        # What is left of it must not speak for the next one.
        live.silence()
        self._host.forget()
        if isinstance(verdict, Again):
            self._call_again(again, verdict)
        else:
            self._call_next()
        return True

    def _defer(self, attempt: Attempt, now_s: float, retry_after_s: float | None) -> None:
        """Keep a candidate that has a limit in mind, for when the others have failed as well."""
        terms = self._router.rules.retry
        ready_s = now_s + (terms.backoff_s if retry_after_s is None else retry_after_s)
        if terms.retries and (self._deferred is None or ready_s < self._deferred[0]):
            self._deferred = (ready_s, attempt)

    def _deferred_call(self, failed: Attempt, now_s: float) -> tuple[Attempt, Verdict]:
        """Return the candidate that was kept in mind, and its wait, if that is not too long."""
        if self._deferred is None:
            return failed, "stop"
        (ready_s, attempt), self._deferred = self._deferred, None
        terms, wait_s = self._router.rules.retry, max(0.0, ready_s - now_s)
        in_time = now_s + wait_s - self._since_s <= terms.deadline_s
        budget = self._router.health(attempt.provider, attempt.model).provision.budget
        if wait_s > terms.wait_max_s or not in_time or not budget.spend():
            return failed, "stop"
        # It was called before, and is called this once.
        self._retries = terms.retries
        return attempt, Again(wait_s)

    def _decide(
        self, live: LiveCall, fault: Fault, now_s: float, retry_after_s: float | None
    ) -> Verdict:
        """Return what follows a failure; what it costs is paid then."""
        terms, health = self._router.rules.retry, live.health
        ring, budget = health.provision.ring, health.provision.budget
        # Whoever has just been given up, or is being probed, is not pressed any further.
        is_trusted = health.breaker.state(now_s) == "closed"
        standing = Standing(
            self._retries if is_trusted else terms.retries,
            bool(self._left),
            self._rotations < ring.count - 1 and ring.is_free(health.model, now_s),
            now_s - self._since_s,
            retry_after_s,
            self._takes_any,
        )
        verdict = decide(terms, fault, standing, self._router.dice())
        if isinstance(verdict, Again) and not (verdict.is_free or budget.spend()):
            return "next" if self._left else "stop"
        return verdict

    def shown(self) -> None:
        """Take note of the first token: from now on there is no other candidate."""
        self._end_race(SLOWER)
        if self._live is not None:
            self.first_token_s = self._live.shown(self._timers.time())

    def broke(self, error: TokenferryError) -> None:
        """Take note that the answer ended in its middle."""
        if self._live is not None and fault_of(error) in BLAMED:
            self._live.health.broke(self._timers.time(), error.kind)

    def stop(self) -> bool:
        """Stop what is under way; return whether the provider's own end is still to come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._leave_line()
        self._end_race(CANCELLED)
        return self._live is not None and self._live.cancel()

    def end(self, used_tokens: int | None = None) -> None:
        """Let go of everything: the stream has ended and is settled. Idempotent.

        Args:
            used_tokens: What was used; None if nobody knows.
        """
        self._is_over = True
        self._left = []
        self._leave_line()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._end_race(CANCELLED)
        if self._live is not None:
            self.tries.append(self._live.release(SERVED, self._timers.time(), used_tokens))
            self._live = None
        self._host = NOBODY  # a cycle, which would keep the whole request for the collector

    def tried(self, outcome: str) -> tuple[Try, ...]:
        """Return all calls, the one under way with this outcome."""
        now_s = self._timers.time()
        under_way = [live.record(outcome, now_s) for live in (self._live, self._rival) if live]
        return (*self.tries, *under_way)

    def _call_again(self, attempt: Attempt, verdict: Again) -> None:
        if verdict.is_free:
            self._rotations += 1
            self._call(attempt)
            return
        self._retries += 1
        self._timer = self._timers.call_later(verdict.wait_s, self._waited, attempt)

    def _waited(self, attempt: Attempt) -> None:
        self._timer = None
        if not self._is_over:
            self._call(attempt)

    def _call_next(self) -> None:
        self._retries = self._rotations = 0
        attempt = self._left.pop()
        health = self._router.health(attempt.provider, attempt.model)
        health.provision.budget.earn()
        self._call(attempt, health)

    def _call(self, attempt: Attempt, health: Health | None = None) -> None:
        self.serving = attempt
        health = health or self._router.health(attempt.provider, attempt.model)
        try:
            place = health.provision.gate.enter(self._ask, attempt.model, self)
        except QueueFull as error:
            # Not from within: whoever begins a stream has not got it yet.
            self._timers.call_soon(self.refused, error)
            return
        if place.is_in:
            self._begin(attempt, place, health)
        else:
            self.waiting = (attempt, place)
            self._lined_up_s = self._timers.time()

    def _begin(self, attempt: Attempt, place: Place, health: Health) -> None:
        self._live = live = LiveCall(attempt, health, place, self._timers.time())
        self._start(live, AttemptSink(self._host))
        if not self._takes_any and self.calls == 1:
            self._arm()

    # -- the line at a gate ----------------------------------------------------------------------

    def go(self) -> None:
        """Call whom this has lined up for: it is its turn."""
        if (waiting := self._step_out()) is not None:
            attempt, place = waiting
            self._begin(attempt, place, self._router.health(attempt.provider, attempt.model))

    def stands(self, position: int, eta_s: float | None) -> None:
        """Pass on where it stands."""
        self._host.waits(position, eta_s)

    def refused(self, error: TokenferryError) -> None:
        """Go to the next candidate, if there is one: this one has no place for us."""
        self._step_out()
        serving = self.serving
        if self._is_over or self._live is not None:
            return
        self.tries.append(Try(serving.provider, serving.model, error.kind, 0))
        if self._left:
            self._call_next()
        else:
            self._host.abort(error)

    def _leave_line(self) -> None:
        if (waiting := self._step_out()) is not None:
            waiting[1].leave()

    def _step_out(self) -> tuple[Attempt, Place] | None:
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            self.queued_s += self._timers.time() - self._lined_up_s
        return waiting

    def _start(self, live: LiveCall, sink: AttemptSink) -> None:
        self.calls += 1
        try:
            live.start(sink)
        except Exception:
            # An adapter's defect. Nobody above would hear of it when this is a timer's call.
            log.exception("the adapter of %s failed to start", live.attempt.provider)
            self._host.abort(InternalError("The gateway could not send the request on."))

    # -- the second call beside a first one that is late -----------------------------------------

    def _arm(self) -> None:
        """Have a second candidate called when the first is later than it is 95 times of 100."""
        live = self._live
        if live is None or not self._left or not self._router.is_hedged(self._name):
            return
        p95_s = live.health.first_tokens.p95_s
        # What nobody has measured is late for nobody.
        if p95_s is not None:
            self._hedge_timer = self._timers.call_later(p95_s, self._hedge)

    def _hedge(self) -> None:
        self._hedge_timer = None
        now_s = self._timers.time()
        if self._is_over or self._live is None or not self._left:
            return
        attempt = self._left[-1]
        health = self._router.health(attempt.provider, attempt.model)
        gate = health.provision.gate
        # When all of a sudden every answer is late, the second candidate is not to drown as well;
        # and nobody lines up for a second call.
        if not health.is_available(now_s) or gate.is_full(attempt.model, self._ask.tokens):
            return
        if not health.provision.budget.spend():
            return
        self._left.pop()
        place = gate.enter(self._ask, attempt.model, self)
        self._rival = rival = LiveCall(attempt, health, place, now_s)
        self._start(rival, RivalSink(self._host, self._rival_won, self._rival_failed))

    def _rival_won(self) -> None:
        """Let the second call take the place of the first: it has shown something."""
        live, rival = self._live, self._rival
        if rival is None:
            return
        self._rival = None
        if live is not None:
            live.silence()
            self.tries.append(live.release(SLOWER, self._timers.time()))
        self._host.forget()
        self._live, self.serving = rival, rival.attempt

    def _rival_failed(self, error: TokenferryError) -> None:
        """Take the failure of the second call, while the first may still serve."""
        rival, self._rival = self._rival, None
        if rival is not None:
            now_s = self._timers.time()
            rival.failed(fault_of(error), now_s, error.kind, _wait_s(error))
            rival.silence()
            self.tries.append(rival.release(error.kind, now_s, 0))

    def _end_race(self, outcome: str) -> None:
        """Let go of the second call, or never begin it."""
        if self._hedge_timer is not None:
            self._hedge_timer.cancel()
            self._hedge_timer = None
        rival, self._rival = self._rival, None
        if rival is not None:
            rival.silence()
            self.tries.append(rival.release(outcome, self._timers.time()))


def _wait_s(error: TokenferryError) -> float | None:
    """Return what a provider asks for, in seconds."""
    return None if error.retry_after_ms is None else error.retry_after_ms / MS_PER_S
