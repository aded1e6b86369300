"""The dispatcher: from an authenticated request to a running stream.

It resolves the model, has the request translated, commits that the stream exists, and starts the
generation. What becomes of the stream after that is in the book.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tokenferry.domain.routing import Catalog
from tokenferry.domain.usage import estimate_tokens
from tokenferry.engine.admission import Admissions, Tokens
from tokenferry.engine.archive import Archive, Summary
from tokenferry.engine.attempt import Attempt, Beginning, Plan
from tokenferry.engine.bill import Bill
from tokenferry.engine.billing import Billing, beside_text
from tokenferry.engine.book import Book, Entry, StreamMeta, not_found
from tokenferry.engine.generation import Generation
from tokenferry.engine.keys import Key
from tokenferry.engine.meta import fingerprint, stream_meta
from tokenferry.engine.options import Limits, Options
from tokenferry.engine.outage import JournalWatch
from tokenferry.engine.ports import (
    Journal,
    JournalUnavailable,
    Meter,
    Outcome,
    Provider,
    Timers,
)
from tokenferry.engine.prices import Prices, serving
from tokenferry.engine.relay import Durability, Relay
from tokenferry.engine.request_log import NOT_RECORDED, Requests
from tokenferry.engine.router import Router
from tokenferry.engine.stream import Stream
from tokenferry.engine.traces import End, RequestTrace, Tracer, begun
from tokenferry.errors import (
    Draining,
    IdempotencyKeyReused,
    InternalError,
    PayloadTooLarge,
    RequestError,
    StorageUnavailable,
    TokenferryError,
)
from tokenferry.protocol.chat import ChatRequest
from tokenferry.protocol.segment import META_BYTES_MAX

log = logging.getLogger(__name__)

MS_PER_S = 1000

encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Engine:
    """What the dispatcher works with.

    Attributes:
        catalog: Which model is served by whom.
        providers: Adapters by name.
        durability: Where the logs are, and how a commit is made to last.
        archive: What is kept of streams after their chunks.
        timers: Clock and timers.
        meter: Where outcomes are reported.
        wall_ms: The wall clock, Unix time.
        new_id: Makes unguessable stream ids, of streams that begin at that Unix time, in ms.
        reasoning_fields: Delta keys that reasoning text is sent under.
        prices: What models cost, and which ones their providers serve no more.
        billing: Puts money before and after streams.
        router: What is known of the candidates.
        tracer: Where traces go; None where they are off.
        requests: Where finished requests are recorded.
    """

    catalog: Catalog
    providers: Mapping[str, Provider]
    durability: Durability
    archive: Archive
    timers: Timers
    meter: Meter
    wall_ms: Callable[[], int]
    new_id: Callable[[int], str]
    reasoning_fields: list[str]
    prices: Prices
    billing: Billing
    router: Router
    tracer: Tracer | None = None
    requests: Requests = NOT_RECORDED

    @property
    def journal(self) -> Journal:
        """Where the logs are."""
        return self.durability.journal


class Dispatcher:
    """Starts streams.

    Args:
        engine: What it works with.
        limits: The engine's limits.

    Attributes:
        book: All streams that can be asked for.
        relay: What commits their records.
        journal_watch: Whether the journal takes them.
        admissions: Who may begin a stream.
        draining: Whether no stream is started any more.
    """

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self.engine = engine
        self.limits = limits
        self.book = Book(engine.timers, engine.wall_ms, limits.followers_max)
        self.relay = Relay(engine.durability, engine.timers, self._on_done, self._on_stuck)
        self.journal_watch = JournalWatch(engine.journal, engine.timers.time)
        self.relay.on_failing = self.journal_watch.failed
        self.draining = False
        self.admissions = Admissions(limits.rates, engine.catalog, engine.timers)

    def create(
        self, key: Key, request: ChatRequest, options: Options, *, arrived_s: float
    ) -> Stream | Summary:
        """Start a generation; subscribe to the stream in the same tick to miss nothing.

        Returns:
            The new stream; with an idempotency key that is known, the stream that it has made, or
            what is kept of it.

        Raises:
            Draining: If the server is about to stop.
            LimitError: If the key, its account or the model has no room for it now.
            RequestError: If no provider can serve the request, the idempotency key was used for
                another one, or the request is too large to be kept for a recovery.
            StorageUnavailable: If nothing can be committed.
        """
        owner, request_hash = key.public_id, None
        if options.idempotency_key is not None:
            request_hash = fingerprint(request)
            known = self._repeated(owner, options.idempotency_key, request_hash)
            if known is not None:
                return known
        trace = begun(self.engine.tracer, options.arrival, key.public_id, request, arrived_s)
        try:
            return self._create(key, request, options, request_hash, arrived_s, trace)
        except TokenferryError as error:
            if trace is not None:
                trace.refused(error)
            raise

    def _create(
        self,
        key: Key,
        request: ChatRequest,
        options: Options,
        request_hash: bytes | None,
        arrived_s: float,
        trace: RequestTrace | None,
    ) -> Stream:
        if self.draining:
            raise Draining("The server is about to restart; try again in a moment.")
        tokens = _tokens(request)
        admission = self.admissions.admit(key, request.model, tokens)
        try:
            attempts = self.attempts(request)
            bill = self.engine.billing.bill(key, request, attempts)
            bill.admission = admission
            prompt = tokens.prompt + beside_text(request)
            meta = stream_meta(bill, request, options, request_hash, attempts[0], prompt)
            plan = self.plan(request, attempts, meta, bill, arrived_s)
            return self._begin(meta, plan if trace is None else plan._replace(trace=trace))
        except BaseException:
            # From the beginning on, the settlement does it.
            admission.close(0)
            raise

    def _begin(self, meta: StreamMeta, plan: Plan) -> Stream:
        """Commit that a stream exists, and have it generated."""
        written = encode(meta)
        if len(written) > META_BYTES_MAX:
            raise PayloadTooLarge(
                f"A request that is to be continued after a crash may have {META_BYTES_MAX} bytes. "
                "Send less, or ask without `recovery`."
            )
        stream = Stream(
            self.engine.new_id(meta.created_ms), meta.owner, ((1, 1),), self.engine.journal
        )
        entry = Entry(stream, meta)
        entry.generation = generation = self.generation(stream, plan)
        self.book.add(entry)
        try:
            # From here on a later process knows of it; before, no provider does.
            self.relay.open(stream, written, lambda: self._reserve(entry, plan.request, generation))
        except JournalUnavailable as exc:
            self.book.strike(entry)
            self.journal_watch.failed(exc, refused=1)
            raise StorageUnavailable(
                "The server cannot save anything now, and so begins nothing. Try again later."
            ) from exc
        self.engine.meter.started()
        return stream

    def _reserve(self, entry: Entry, request: ChatRequest, generation: Generation) -> None:
        """Have credit held, where that is needed, and then the provider called."""
        bill = generation.plan.bill
        if entry.stream.sealed:
            return  # cancelled while the disk was busy; its charge is booked, and ends no hold

        def reserved(refusal: TokenferryError | None) -> None:
            if refusal is not None:
                # Nothing was begun: the same request may come again, after a top-up say.
                self.book.release(entry)
                generation.abort(refusal)
                return
            limit = bill.output_tokens_max
            if limit is not None and not request.output_tokens_max:
                limited = request.with_output_limit(limit)
                try:
                    attempts = self.attempts(limited)
                except TokenferryError as exc:
                    # Whoever takes the request takes no limit, or has just been retired.
                    generation.abort(exc)
                    return
                generation.limit(limited, attempts)
            self.start(generation)

        if bill.needs_hold:
            self.engine.billing.reserve(entry.stream.id, bill, reserved)
        else:
            self.start(generation)

    def plan(
        self,
        request: ChatRequest,
        attempts: Sequence[Attempt],
        meta: StreamMeta,
        bill: Bill,
        arrived_s: float,
        beginning: Beginning | None = None,
    ) -> Plan:
        """Return what a generation is to do."""
        return Plan(
            request,
            attempts,
            self.engine.reasoning_fields,
            self.limits.stream_bytes_max,
            meta.created_ms // MS_PER_S,
            arrived_s,
            meta.prompt_tokens,
            bill,
            beginning,
        )

    def generation(self, stream: Stream, plan: Plan) -> Generation:
        """Return what fills a stream; `start` sets it to work."""
        engine = self.engine
        return Generation(stream, plan, self.relay, engine.router, engine.meter, self._settled)

    def _settled(self, generation: Generation, outcome: Outcome) -> None:
        entry = self.book.settled(generation)
        plan, stream = generation.plan, generation.stream
        self.engine.requests.ended(entry, outcome, plan.request)
        if plan.trace is not None:
            plan.trace.settled(End(outcome, stream.error, plan.request.model, stream.resumes))

    def start(self, generation: Generation) -> None:
        """Have the provider called."""
        if generation.stream.sealed:
            return  # cancelled while the disk was busy
        try:
            generation.start()
        except Exception:
            log.exception("a provider's adapter failed to start")
            generation.abort(InternalError("The gateway could not send the request on."))

    @property
    def storage_fault(self) -> str | None:
        """Which store takes nothing, so that requests are refused; None if none does."""
        if self.journal_watch.is_failing:
            return "the journal"
        return "the ledger" if self.engine.billing.is_failing else None

    def find(self, owner: str, stream_id: str) -> Entry | Summary:
        """Return a stream of this key, or what is kept of it.

        Raises:
            StreamNotFound: If there is none, or it is another key's.
        """
        found = self.book.get(owner, stream_id) or self.engine.archive.find(owner, stream_id)
        if found is None:
            raise not_found(stream_id)
        return found

    def cancel(self, owner: str, stream_id: str) -> None:
        """End a stream as cancelled; nothing happens to one that has ended.

        Raises:
            StreamNotFound: If there is none, or it is another key's.
        """
        found = self.find(owner, stream_id)
        if isinstance(found, Entry) and found.generation is not None:
            found.generation.cancel()

    def abort_owned(self, owner: str, error: TokenferryError) -> None:
        """End every running stream of a key with an error, as when it was revoked."""
        for entry in self.book.running():
            if entry.stream.owner == owner and entry.generation is not None:
                entry.generation.abort(error)

    def abort_all(self, error: TokenferryError) -> None:
        """End every running stream with an error, as when the time to drain is up."""
        for entry in self.book.running():
            if entry.generation is not None:
                entry.generation.abort(error)
        self.relay.flush()

    def _repeated(self, owner: str, key: str, request_hash: bytes) -> Stream | Summary | None:
        """Return what a create with this idempotency key has made already."""
        known_hash: bytes | None
        known: Stream | Summary
        entry = self.book.repeated(owner, key)
        if entry is not None:
            known_hash, known = entry.meta.request_hash, entry.stream
        else:
            summary = self.engine.archive.find_idempotent(owner, key)
            if summary is None:
                return None
            known_hash, known = summary.request_hash, summary
        if known_hash != request_hash:
            raise IdempotencyKeyReused(
                "This idempotency key was used for another request. Use a new one for each "
                "request, and the same one only to repeat it.",
                param="idempotency_key",
            )
        return known

    def attempts(self, request: ChatRequest, text: str = "") -> list[Attempt]:
        """Return who can serve a request, or, with a `text`, go on from it; at least one.

        Args:
            request: What is asked for.
            text: The beginning of the answer.

        Raises:
            RequestError: If nobody can.
        """
        attempts = []
        refusal: RequestError | None = None
        engine = self.engine
        candidates, gone = serving(
            engine.catalog, engine.prices, engine.providers, request.model, engine.wall_ms()
        )
        for name, model in candidates:
            provider = engine.providers[name]
            try:
                if text:
                    prepared = provider.prepare_continuation(request, model, text)
                else:
                    prepared = provider.prepare(request, model)
            except RequestError as exc:
                refusal = refusal or exc
            else:
                attempts.append(Attempt(name, model, prepared))
        # Who could be asked, but for something else, says more than who is no longer there.
        if not attempts and (fault := refusal or gone) is not None:
            raise fault
        return attempts

    def _on_done(self, stream: Stream) -> None:
        self.engine.journal.close(stream.id)
        self.book.finished(stream)

    def _on_stuck(self, streams: Sequence[Stream]) -> None:
        """Stop what cannot be committed: nobody may be told how it ends, so nobody waits for it.

        The next process finds the streams unfinished, and says so.
        """
        error = StorageUnavailable("The server could not save the answer. Ask again later.")
        for stream in streams:
            entry = self.book.get(stream.owner, stream.id)
            if entry is not None and entry.generation is not None:
                entry.generation.abort(error)
            for subscription in list(stream.subscriptions):
                subscription.outlet.cut()


def _tokens(request: ChatRequest) -> Tokens:
    """Return what a request may use: each of its choices may be as long as it says."""
    limit = request.output_tokens_max
    output = None if limit is None else limit * request.choice_count
    return Tokens(estimate_tokens(request.prompt_text()), output)
