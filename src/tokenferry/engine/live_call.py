"""One call of a candidate while it is under way: what it has taken, until it gives it back.

It takes a place under way, one at the provider's gate, and perhaps one of a half-open breaker's.
`release` gives all of them back;
the breaker hears of a call once: that it has shown something, failed, or ended saying nothing.
"""

from collections.abc import Callable

from tokenferry.domain.retry import Fault
from tokenferry.domain.routing import Try
from tokenferry.engine.attempt import Attempt, AttemptSink, RivalSink
from tokenferry.engine.gate import Place
from tokenferry.engine.router import Health

MS_PER_S = 1000

Cancel = Callable[[], bool]


class LiveCall:
    """A call under way. All times are monotonic seconds.

    Args:
        attempt: The candidate.
        health: What is known of it.
        place: Its place at the gate.
        now_s: The time.
    """

    __slots__ = (
        "_drop",
        "_is_told",
        "_key",
        "_place",
        "_sink",
        "_started_s",
        "_ticket",
        "_trace",
        "attempt",
        "health",
    )

    def __init__(self, attempt: Attempt, health: Health, place: Place, now_s: float) -> None:
        self._place = place
        self.attempt = attempt
        self.health = health
        self._started_s = now_s
        self._ticket, self._key = health.begin(now_s, place.ask.tokens)
        self._sink: AttemptSink | None = None
        self._drop: Cancel | None = None
        trace = place.ask.trace
        self._trace = None if trace is None else trace.call(attempt.provider, attempt.model)
        # Whether the breaker has heard of it.
        self._is_told = False

    def start(self, sink: AttemptSink) -> None:
        """Send the request."""
        self._sink = sink
        headers = () if self._trace is None else self._trace.headers
        if headers:
            self._drop = self.attempt.prepared.start(sink, self._key, headers).cancel
        else:
            self._drop = self.attempt.prepared.start(sink, self._key).cancel

    def shown(self, now_s: float) -> float | None:
        """Take note of a token; return the seconds to it, or None if it is not the first."""
        if self._is_told:
            return None
        self._is_told = True
        first_token_s = now_s - self._started_s
        self.health.shown(self._ticket, self._key, first_token_s, now_s)
        if self._trace is not None:
            self._trace.shown(first_token_s)
        return first_token_s

    def failed(self, fault: Fault, now_s: float, kind: str, retry_after_s: float | None) -> None:
        """Take note that it failed before its first token."""
        self._is_told = True
        self.health.failed(self._ticket, self._key, fault, now_s, kind, retry_after_s)

    def cancel(self) -> bool:
        """Stop it; return whether the provider's own end is still to come."""
        return self._drop is not None and self._drop()

    def promote(self) -> None:
        """Let it speak for the stream, though it has shown nothing yet."""
        if isinstance(self._sink, RivalSink):
            self._sink.promote()

    def silence(self) -> None:
        """Stop it, and let nothing of it be heard any more."""
        if self._sink is not None:
            self._sink.close()
        self.cancel()

    def release(self, outcome: str, now_s: float, used_tokens: int | None = None) -> Try:
        """Give back what it took, once; return what is recorded of it.

        Args:
            outcome: What became of it.
            now_s: The time.
            used_tokens: What it has used; None if nobody knows.
        """
        self.health.under_way -= 1
        self._place.leave(used_tokens)
        if self._trace is not None:
            self._trace.ended(outcome)
        if not self._is_told:
            self._is_told = True
            self.health.breaker.abandoned(self._ticket)
        return self.record(outcome, now_s)

    def record(self, outcome: str, now_s: float) -> Try:
        """Return what is recorded of it if it ends now."""
        duration_ms = round((now_s - self._started_s) * MS_PER_S)
        return Try(self.attempt.provider, self.attempt.model, outcome, duration_ms)
