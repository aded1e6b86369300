"""A generation: the producer's side of a stream, from the provider's first byte to the one bill.

It is the `Sink` that adapters call: it encodes what they say as records, decides which one ends the
stream (of finish, failure and cancel the first), and reports the outcome once. It can go on with
an answer that an earlier process has begun.

Weakness: when a cancel drains, the outcome waits for the provider's end; its adapter bounds that.
"""

from collections.abc import Callable, Sequence

from msgspec import Raw

from tokenferry.domain import journal
from tokenferry.domain.chunk_gap import mean_gap_s
from tokenferry.domain.ledger import Charge
from tokenferry.domain.routing import Try
from tokenferry.domain.usage import Usage
from tokenferry.engine.attempt import Attempt, Plan
from tokenferry.engine.bill import End
from tokenferry.engine.consumption import Consumption
from tokenferry.engine.ports import Meter, Outcome, TimerHandle
from tokenferry.engine.pursuit import CANCELLED, SERVED, Pursuit
from tokenferry.engine.relay import Relay
from tokenferry.engine.router import Router
from tokenferry.engine.stream import Stream
from tokenferry.errors import ProviderCutOff, StreamTooLarge, TokenferryError, UpstreamLost
from tokenferry.protocol.chat import ChatRequest, Delta, named_reasoning
from tokenferry.protocol.frames import Head, Terminal, encode, wire_error, wire_usage

# How long a finish reason waits for the usage that should follow it.
USAGE_WAIT_S = 2.0


class Generation:
    """Produces one stream. See the module's docstring.

    Args:
        stream: The log to fill.
        plan: What to do.
        relay: Where to mark the stream when it has something pending.
        router: What is known of the candidates; it has the clock and timers, too.
        meter: Where the outcome goes.
        on_settled: Called once, after the outcome was reported.
    """

    __slots__ = (
        "_charged",
        "_consumption",
        "_finish_reasons",
        "_first_s",
        "_head_info",
        "_hold",
        "_meter",
        "_on_settled",
        "_opened",
        "_outcome",
        "_plan",
        "_relay",
        "_room_bytes",
        "_settled",
        "_timers",
        "pursuit",
        "stream",
    )

    def __init__(
        self,
        stream: Stream,
        plan: Plan,
        relay: Relay,
        router: Router,
        meter: Meter,
        on_settled: Callable[["Generation", Outcome], object],
    ) -> None:
        self.stream = stream
        self._plan = plan
        self._relay = relay
        self._timers = router.timers
        self._meter = meter
        self._on_settled = on_settled
        self.pursuit = Pursuit(self, router, plan.attempts[0])
        self._opened = False
        beginning = plan.beginning
        self._room_bytes = plan.stream_bytes_max - (beginning.record_bytes if beginning else 0)
        self._finish_reasons: dict[int, str] = {}
        self._first_s: float | None = None
        self._head_info: tuple[str, str | None, str | None] = ("", None, None)
        self._hold: TimerHandle | None = None
        self._consumption = Consumption(stream, plan)
        self._settled = False
        # The latest charge, with the usage and the end that it is for.
        self._charged: tuple[Usage | None, End, Charge | None] | None = None
        self._outcome: tuple[str, str | None] | None = None  # finish and error code, once decided

    def limit(self, request: ChatRequest, attempts: Sequence[Attempt]) -> None:
        """Take a request with an output limit, and its translations, before `start`."""
        self._plan = self._plan._replace(request=request, attempts=attempts)
        self.pursuit.serving = attempts[0]

    @property
    def plan(self) -> Plan:
        """What it does."""
        return self._plan

    def start(self) -> None:
        """Send the request to the first candidate."""
        plan = self._plan
        self.pursuit.start(
            plan.request.model,
            plan.attempts,
            plan.ask(self.stream.id),
            plan.arrived_s,
            # What one provider refuses of an answer's beginning, another may take.
            takes_any=plan.beginning is not None,
        )
        self._meter.sent(self._timers.time() - self._plan.arrived_s)

    # -- Sink: what the provider says -------------------------------------------------------

    def head(self, model: str, fingerprint: str | None, service_tier: str | None) -> None:
        """Keep what the head record will say."""
        if not self._opened:
            self._head_info = (model, fingerprint, service_tier)

    def text(self, text: str) -> None:
        """Add answer text to choice 0."""
        # The token path: `_append`, written out.
        stream = self.stream
        if stream.sealed:
            return
        if not self._opened:
            self._open()
        record = b"t" + encode(text)
        self._room_bytes -= len(record)
        if self._room_bytes < 0:
            self._overflow()
            return
        pending = stream.pending
        if not pending:
            self._relay.mark(stream)
        pending.append(record)

    def reasoning(self, text: str) -> None:
        """Add reasoning text to choice 0."""
        if self.stream.sealed:
            return
        if not self._opened:
            self._open()
        self._append(b"r" + encode(text))

    def delta(self, index: int, delta: Delta, logprobs: Raw | None = None) -> None:
        """Add anything else, or to another choice."""
        if self.stream.sealed:
            return
        if not self._opened:
            self._open()
        body = encode(delta)
        if delta.reasoning is not None:
            body = encode(named_reasoning(delta, self._plan.reasoning_fields))
        self._append(
            journal.pack_delta(
                index,
                body,
                b"" if logprobs is None else bytes(logprobs),
                has_content=delta.content is not None,
            )
        )

    def finish(self, index: int, reason: str) -> None:
        """Hold a choice's reason until all have one and usage has had its chance to come."""
        self._finish_reasons.setdefault(index, reason)
        left = self._plan.request.choice_count - len(self._finish_reasons)
        if left <= 0 and self._hold is None and not self.stream.sealed:
            self.stream.finished_s = self._timers.time()
            self._hold = self._timers.call_later(USAGE_WAIT_S, self._stop_waiting)

    def usage(self, usage: Usage) -> None:
        """Keep the newest report; an answer may go on after it."""
        self._consumption.report(usage)

    def end(self) -> None:
        """Complete the stream, or settle one that was cancelled and drained."""
        self._complete()
        self._settle()

    def fail(self, error: TokenferryError) -> None:
        """Go on with another call if nothing was shown yet; otherwise end with the error."""
        if not self.stream.sealed:
            if self._opened:
                self.pursuit.broke(error)
            elif self.pursuit.failed(error):
                return
            else:
                self.forget()  # what it has counted came to nothing
                if self._plan.beginning is not None:
                    # The client's request is fine; a provider that does not go on is our trouble.
                    error = UpstreamLost(
                        "The server restarted before the answer was complete, and the provider did "
                        f"not go on with it: {error.message}"
                    )
        self._terminate_with_error(error)
        self._settle()

    def forget(self) -> None:
        """Forget what a call that has failed said before it showed anything."""
        self._finish_reasons.clear()
        self._consumption.forget()
        self._head_info = ("", None, None)
        if self._hold is not None:
            self._hold.cancel()
            self._hold = None

    def waits(self, position: int, eta_s: float | None) -> None:
        """Tell who reads where the stream stands in the line."""
        for subscription in self.stream.subscriptions:
            subscription.outlet.waits(subscription, position, eta_s)

    # -- the gateway's own decisions --------------------------------------------------------

    def cancel(self) -> None:
        """End the stream as cancelled, unless it has ended; stop the provider."""
        if not self.stream.sealed:
            reasons = self._finish_reasons
            count = self._plan.request.choice_count
            reasons = {i: reasons.get(i, "cancelled") for i in range(count)}
            self._seal(journal.FINISH, reasons, "cancelled")
        self._stop_call()

    def abort(self, error: TokenferryError) -> None:
        """End the stream with an error of ours, unless it has ended; stop the provider."""
        self._terminate_with_error(error)
        self._stop_call()

    # -- inside -----------------------------------------------------------------------------

    def _open(self) -> None:
        """Put the head record before the first delta, not sooner: until then we may fail over."""
        self._opened = True
        self._first_s = self._timers.time()
        self.pursuit.shown()
        self.stream.calls = self.pursuit.calls
        plan = self._plan
        if plan.beginning is not None:
            return  # the stream has its head record
        model, fingerprint, tier = self._head_info
        attempt = self.pursuit.serving
        head = Head(
            model or attempt.model,
            plan.created_s,
            plan.reasoning_fields,
            fingerprint,
            tier,
            (attempt.provider, attempt.model) if attempt is not plan.attempts[0] else None,
        )
        self._append(journal.pack(journal.HEAD, encode(head)))

    def _append(self, record: bytes) -> None:
        self._room_bytes -= len(record)
        if self._room_bytes < 0:
            self._overflow()
            return
        stream = self.stream
        if not stream.pending:
            self._relay.mark(stream)
        stream.pending.append(record)

    def _overflow(self) -> None:
        """End the stream before the record that has no room: nothing may follow the end."""
        limit = self._plan.stream_bytes_max
        self.abort(StreamTooLarge(f"The answer passed the limit of {limit} bytes a stream."))

    def _stop_waiting(self) -> None:
        """Complete the stream without the usage that should have followed its finish reason."""
        self._complete()
        self._stop_call()

    def _complete(self) -> None:
        if self.stream.sealed:
            return
        if not self._finish_reasons:
            self._terminate_with_error(ProviderCutOff("The provider gave no finish reason."))
            return
        if not self._opened:
            self._open()  # an empty answer still says which model gave it
            if self.stream.sealed:
                return  # there was no room even for that
        reasons = self._finish_reasons
        self._seal(journal.FINISH, reasons, reasons.get(0, "stop"))

    def _terminate_with_error(self, error: TokenferryError) -> None:
        if not self.stream.sealed:
            self._seal(journal.ERROR, {}, "error", error)

    def _final_usage(self) -> Usage | None:
        return self._consumption.final(self._plan, self.pursuit.serving, opened=self._opened)

    def _seal(
        self, kind: int, reasons: dict[int, str], finish: str, error: TokenferryError | None = None
    ) -> None:
        """Append the terminal record: the one place where a stream ends."""
        stream = self.stream
        usage, said = self._final_usage(), [reasons[index] for index in sorted(reasons)]
        terminal = Terminal(finish_reasons=said, usage=None if usage is None else wire_usage(usage))
        if error is not None:
            terminal.error = wire_error(error)
        stream.sealed = True
        if self._hold is not None:
            self._hold.cancel()
        self._outcome = (finish, None if error is None else error.kind)
        self._plan.bill.complete(terminal, self._charge(usage, *self._outcome)[1])
        stream.error, stream.calls = error, self.pursuit.calls
        if not stream.pending:
            self._relay.mark(stream)
        stream.pending.append(journal.pack(kind, encode(terminal)))

    def _charge(
        self, usage: Usage | None, finish: str, error_code: str | None
    ) -> tuple[End, Charge | None]:
        """Return what is to be booked, and of what end; the same as before if nothing is new."""
        charged = self._charged
        if charged is not None and (usage is charged[0] or usage == charged[0]):
            return charged[1:]
        arrived_s, attempt = self._plan.arrived_s, self.pursuit.serving
        end = End(
            finish,
            error_code,
            self._tries(),
            attempt.provider,
            attempt.model,
            self._head_info[2],
            None if self._first_s is None else self._first_s - arrived_s,
            self._timers.time() - arrived_s,
        )
        charge = self._plan.bill.charge(self.stream.id, usage, end)
        self._charged = (usage, end, charge)
        return end, charge

    def _tries(self) -> tuple[Try, ...]:
        finish, error_code = self._outcome or ("", None)
        return self.pursuit.tried(error_code or (CANCELLED if finish == CANCELLED else SERVED))

    def _stop_call(self) -> None:
        if not self.pursuit.stop():
            # Nothing more will come from the provider: what we have is what there is.
            self._settle()

    def _settle(self) -> None:
        """Report the outcome, once: a call that was drained has said since what it used."""
        if self._outcome is None or self._settled:
            return
        self._settled = True
        stream = self.stream
        finish, error_code = self._outcome
        usage = self._final_usage()
        end, charge = self._charge(usage, finish, error_code)
        self._plan.bill.settle(charge)
        outcome = Outcome(
            stream_id=stream.id,
            owner=stream.owner,
            provider=end.provider,
            model=end.provider_model,
            finish=finish,
            error_code=error_code,
            usage=usage,
            tries=end.tries,
            first_token_s=end.first_token_s,
            duration_s=end.duration_s,
            call_first_token_s=self.pursuit.first_token_s,
            charge=charge,
            queued_s=self.pursuit.queued_s,
            chunk_gap_s=mean_gap_s(stream.chunk_count, self._first_s, stream.finished_s),
            finish_reasons=tuple(reason for _, reason in sorted(self._finish_reasons.items())),
            answered_as=self._head_info[0],
        )
        self._meter.settled(outcome)
        self.pursuit.end(None if usage is None else usage.total_tokens)
        self._on_settled(self, outcome)
