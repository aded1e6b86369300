"""What becomes of the streams that an earlier process left: done ones stay, others get an end.

A stream that was generating has lost its provider's answer with the process that read it. Its new
owner raises the epoch, since what clients were sent may, after a power cut, be more than what was
saved, and goes on with it where that was asked for and is possible; otherwise it ends as
`upstream_lost`, with usage estimated from what was saved.

It runs before the server accepts anybody, so that no stream is ever seen without an owner.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from tokenferry.domain import journal
from tokenferry.domain.routing import Candidate
from tokenferry.domain.usage import Usage, estimate
from tokenferry.engine.attempt import Plan
from tokenferry.engine.bill import Bill, End
from tokenferry.engine.billing import Offered
from tokenferry.engine.book import Entry, StreamMeta
from tokenferry.engine.continuation import may_continue, read_beginning
from tokenferry.engine.dispatcher import Dispatcher
from tokenferry.engine.generation import Generation
from tokenferry.engine.ports import Outcome, Recovered
from tokenferry.engine.stream import Stream
from tokenferry.errors import RequestError, TokenferryError, UpstreamLost
from tokenferry.protocol.chat import parse_request
from tokenferry.protocol.completion import folded
from tokenferry.protocol.frames import (
    Terminal,
    encode,
    head_decoder,
    terminal_decoder,
    wire_error,
    wire_usage,
)

log = logging.getLogger(__name__)

MS_PER_S = 1000

_meta_decoder = msgspec.json.Decoder(StreamMeta)


@dataclass(frozen=True, slots=True)
class Takeover:
    """What became of the streams that an earlier process left unfinished.

    Attributes:
        ended: How many got an end.
        continued: Those that are gone on with; nothing is asked of a provider before `start`.
    """

    ended: int
    continued: Sequence[Generation]


def recover(dispatcher: Dispatcher, streams: Iterable[Recovered]) -> Takeover:
    """Enter what the journal has into the book; return what became of the unfinished.

    Raises:
        JournalUnavailable: If the journal takes or gives nothing.
    """
    ended = 0
    continued: list[Generation] = []
    for found in streams:
        try:
            meta = _meta_decoder.decode(found.meta)
        except msgspec.MsgspecError as exc:
            # Another release wrote it; nobody could say whose it is.
            log.error("stream %s cannot be read and is dropped: %s", found.stream_id, exc)  # noqa: TRY400 -- the message says all
            dispatcher.engine.journal.drop(found.stream_id)
            continue
        if found.terminal is not None:
            _keep(dispatcher, found, meta, found.terminal)
            continue
        stream = _owned(dispatcher, found, meta)
        plan = _plan(dispatcher, found, meta, stream)
        if plan is None:
            _end(dispatcher, found, meta, stream)
            ended += 1
        else:
            continued.append(_go_on(dispatcher, stream, meta, plan))
    if continued:
        # A provider is called only after it is certain that the next process will count this one.
        dispatcher.engine.journal.sync()
    dispatcher.relay.flush()
    return Takeover(ended, continued)


def start(dispatcher: Dispatcher, takeover: Takeover, check_key: Callable[[str], object]) -> None:
    """Have providers called for the streams that are gone on with.

    Apart from `recover`, so that a server that cannot listen costs nothing.

    Args:
        dispatcher: Whose streams they are.
        takeover: What `recover` returned.
        check_key: Raises a `TokenferryError` for the public id of a key that is no longer good.
    """
    for generation in takeover.continued:
        try:
            check_key(generation.stream.owner)
        except TokenferryError as exc:
            generation.abort(exc)
        else:
            dispatcher.start(generation)


def _keep(dispatcher: Dispatcher, found: Recovered, meta: StreamMeta, terminal: bytes) -> None:
    stream = _stream(dispatcher, found, meta, found.epochs)
    stream.sealed = stream.done = True
    entry = Entry(stream, meta)
    dispatcher.book.add(entry)
    end = terminal_decoder.decode(terminal[1:])
    if end.charge is not None:
        # Perhaps it was not booked yet; if it was, this changes nothing.
        dispatcher.engine.billing.charge(end.charge)
        dispatcher.engine.requests.found(entry, end.charge)
    elif end.error is not None:
        dispatcher.book.release(entry)
    dispatcher.book.retire(entry, found.written_ms)


def _owned(dispatcher: Dispatcher, found: Recovered, meta: StreamMeta) -> Stream:
    """Take a stream over."""
    epochs = (*found.epochs, (found.epochs[-1][0] + 1, found.head + 1))
    stream = _stream(dispatcher, found, meta, epochs)
    dispatcher.engine.journal.open(stream.id, stream.epoch, found.meta)
    return stream


def _plan(
    dispatcher: Dispatcher, found: Recovered, meta: StreamMeta, stream: Stream
) -> Plan | None:
    """Return how to go on with a stream; None if it is not wanted, or nobody can."""
    if not may_continue(found, meta):
        return None
    try:
        request = parse_request(bytes(meta.request))
        beginning = None
        if found.head:
            beginning = read_beginning(found, meta, request, stream.committed())
            if beginning is None:
                return None
        attempts = dispatcher.attempts(request, beginning.text if beginning else "")
    except RequestError as exc:
        # The configuration may have changed as well.
        log.info("stream %s cannot be gone on with: %s", found.stream_id, exc)
        return None
    now_s = dispatcher.engine.timers.time()
    bill = _bill(dispatcher, meta, attempts)
    return dispatcher.plan(request, attempts, meta, bill, now_s, beginning)


def _go_on(dispatcher: Dispatcher, stream: Stream, meta: StreamMeta, plan: Plan) -> Generation:
    """Enter a stream that is generated further; until somebody resumes, it is an orphan."""
    plan.bill.admission = dispatcher.admissions.adopt(meta.owner, meta.account, meta.model)
    entry = Entry(stream, meta)
    entry.generation = generation = dispatcher.generation(stream, plan)
    dispatcher.book.add(entry)
    dispatcher.engine.meter.started()
    dispatcher.book.orphan(entry)
    return generation


def _end(dispatcher: Dispatcher, found: Recovered, meta: StreamMeta, stream: Stream) -> None:
    """Give a stream that was taken over its terminal record."""
    engine = dispatcher.engine
    usage = _estimated(stream, meta) if found.head else None
    error = UpstreamLost("The server restarted before the answer was complete; ask again.")
    terminal = Terminal(usage=None if usage is None else wire_usage(usage), error=wire_error(error))
    candidate, service_tier = _served_by(stream, meta)
    bill = _bill(dispatcher, meta, [candidate])
    duration_s = max(0, found.written_ms - meta.created_ms) / MS_PER_S
    charge = bill.charge(
        stream.id, usage, End("error", error.kind, (), *candidate, service_tier, None, duration_s)
    )
    bill.complete(terminal, charge)
    bill.settle(charge)
    stream.error = error
    entry = Entry(stream, meta)
    dispatcher.book.add(entry)
    dispatcher.relay.mark(stream)
    stream.pending.append(journal.pack(journal.ERROR, encode(terminal)))
    stream.sealed = True
    engine.meter.started()
    engine.meter.settled(
        Outcome(
            stream_id=stream.id,
            owner=meta.owner,
            provider=candidate.provider,
            model=candidate.model,
            finish="error",
            error_code=error.kind,
            usage=usage,
            tries=(),
            first_token_s=None,
            duration_s=duration_s,
            charge=charge,
        )
    )
    if charge is not None:
        engine.requests.found(entry, charge)


def _bill(dispatcher: Dispatcher, meta: StreamMeta, attempts: Sequence[Offered]) -> Bill:
    return dispatcher.engine.billing.restored(
        meta.owner, meta.account, meta.model, meta.created_ms, attempts
    )


def _served_by(stream: Stream, meta: StreamMeta) -> tuple[Candidate, str | None]:
    """Return who served a stream, as far as it got, and in which service tier."""
    first = Candidate(meta.provider, meta.provider_model)
    if stream.head_record is None:
        return first, None
    head = head_decoder.decode(stream.head_record[1:])
    return Candidate(*head.candidate) if head.candidate else first, head.service_tier


def _stream(
    dispatcher: Dispatcher, found: Recovered, meta: StreamMeta, epochs: tuple[tuple[int, int], ...]
) -> Stream:
    return Stream(found.stream_id, meta.owner, epochs, dispatcher.engine.journal, head=found.head)


def _estimated(stream: Stream, meta: StreamMeta) -> Usage:
    return estimate(
        meta.prompt_tokens,
        folded(stream.id, stream.committed()).output_text(),
        output_tokens_max=meta.output_tokens_max,
    )
