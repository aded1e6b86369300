"""The request log: what became of each request, written by another thread, many at a time.

A finished request costs an append to a list; what gathers for a quarter of a second is written
together. Prompts and answers are kept only where the operator has said so.

The log is no ledger: while its store takes nothing, records wait in memory up to a limit, beyond
which they are dropped and counted. Nothing of money depends on it.

Source: docs/decisions/0015-request-log.md.
Weakness: what was not written when the process was killed is found again with its stream in the
journal, without the queue, the drops and the resumes, which nobody has kept.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from tokenferry.domain.ledger import Charge
from tokenferry.domain.request_page import Part, Wanted
from tokenferry.domain.request_record import Content, RequestRecord, ended_by
from tokenferry.domain.service_status import DayCount, FirstTokens, HourCount
from tokenferry.engine.book import Entry
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.outage import Outage
from tokenferry.engine.ports import JournalUnavailable, Outcome, Timers
from tokenferry.protocol.chat import ChatRequest
from tokenferry.protocol.completion import folded
from tokenferry.protocol.frames import encode

log = logging.getLogger(__name__)

MS_PER_S = 1000
WRITE_DELAY_S = 0.25
RETRY_S = 2.0
# A batch that the store refuses so often is given up: it may be the batch.
TRIES_MAX = 3
# About a kilobyte each; a busy gateway finishes some hundreds a second. A recovery offers at once
# what the book keeps of finished streams, 10,000.
WAITING_MAX = 20_000
# Of prompts and answers that wait, all together.
WAITING_BYTES_MAX = 32 * 1024 * 1024  # and as much again in the batch that is being written
# The head record and the terminal one.
_FRAME_RECORDS = 2

Written = Callable[[StoreUnusable | None], None]
# Writes elsewhere, and calls back in the loop's thread.
Write = Callable[[Sequence["Draft"], Written], None]
Counted = Callable[[Literal["written", "dropped"], int], None]


class Draft(NamedTuple):
    """A record that is to be written, and what its content is made of.

    Attributes:
        record: What became of the request.
        request: What was asked; None where it is not kept, or not known.
        answer: The first records of the answer; empty where they are not kept.
        content_bytes_max: How much is kept of either.
        is_partial: Whether more records follow.
    """

    record: RequestRecord
    request: ChatRequest | None = None
    answer: Sequence[bytes] = ()
    content_bytes_max: int = 0
    is_partial: bool = False

    def content(self) -> Content | None:
        """Return what was asked and answered, as it is kept; None if nothing is.

        It takes milliseconds for a long answer: for the writer's thread.
        """
        if self.request is None and not self.answer:
            return None
        prompt = b"" if self.request is None else encode(self.request.fields)
        answer = b""
        if self.answer:
            answer = encode(folded(self.record.charge.stream_id, self.answer).body())
        limit = self.content_bytes_max
        is_cut = self.is_partial or max(len(prompt), len(answer)) > limit
        return Content(_cut(prompt, limit), _cut(answer, limit), is_cut)


class Periods(NamedTuple):
    """How long what is kept, counted from a request's end, in milliseconds."""

    record_ms: int
    content_ms: int
    status_ms: int


class RequestStore(Protocol):
    """Where records are kept.

    Any thread may call it. Every method may raise `StoreUnusable`.
    """

    def write(self, drafts: Sequence[Draft]) -> None:
        """Store records and count them, all or none; one that is there already changes nothing."""

    def refused(self, wanted: Wanted) -> Part:
        """Return what was never charged, the latest first, in the form of a charge."""

    def find(self, stream_id: str, account_id: str | None) -> RequestRecord | None:
        """Return a record, of any account if that is None; None if there is none."""

    def content(self, stream_id: str) -> Content | None:
        """Return what was asked and answered; None if it is not kept."""

    def days(self, from_day: int) -> Sequence[DayCount]:
        """Return what was counted from a day on, day by day."""

    def hours(self, from_hour: int, every_from: int) -> Sequence[HourCount]:
        """Return what was counted from an hour on, hour by hour.

        Args:
            from_hour: Hours with `FAILED_MIN` failures and more, from this one on.
            every_from: From this one on, all.
        """

    def first_tokens(self, from_day: int) -> Sequence[FirstTokens]:
        """Return which first tokens were counted from a day on."""

    def expire(self, now_ms: int, periods: Periods) -> bool:
        """Give up some of what is older than it is kept; return whether there may be more."""

    def close(self) -> None:
        """Let go of the store; idempotent."""


class Requests(Protocol):
    """What takes finished requests."""

    def ended(self, entry: Entry, outcome: Outcome, request: ChatRequest) -> None:
        """Take a request that has just ended."""

    def found(self, entry: Entry, charge: Charge) -> None:
        """Take one that an earlier process has left; perhaps it is recorded already."""


class NotRecorded:
    """Takes finished requests where no log is kept."""

    def ended(self, entry: Entry, outcome: Outcome, request: ChatRequest) -> None:
        """Do nothing."""

    def found(self, entry: Entry, charge: Charge) -> None:
        """Do nothing."""


NOT_RECORDED = NotRecorded()


class RequestLog:
    """Records finished requests.

    Args:
        write: Writes elsewhere.
        timers: Clock and timers.
        content_bytes_max: How much is kept of a prompt and of an answer; 0 keeps neither.

    Attributes:
        counted: Told how many records were written or dropped.
    """

    def __init__(self, write: Write, timers: Timers, content_bytes_max: int = 0) -> None:
        self._write = write
        self._timers = timers
        self._outage = Outage("the request log", timers.time)
        self.counted: Counted = _ignore
        self._content_bytes_max = content_bytes_max
        self._waiting: list[Draft] = []
        self._bytes = 0
        # What is being written, and how often that was tried.
        self._batch: list[Draft] = []
        self._tries = 0
        self._is_due = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return not (self._waiting or self._batch)

    def ended(self, entry: Entry, outcome: Outcome, request: ChatRequest) -> None:
        """Take a request that has just ended."""
        stream = entry.stream
        charge = outcome.charge
        # A reader whose stream nobody reads any more was the last one to be lost.
        was_left = bool(stream.drops) and not stream.followed
        count = stream.head + len(stream.in_flight) + len(stream.pending)
        record = RequestRecord(
            charge=charge or _uncharged(entry, outcome),
            is_charged=charge is not None,
            transport=entry.meta.transport,
            request_id=entry.meta.request_id,
            ended_by=ended_by(outcome.finish, outcome.error_code, was_left=was_left),
            chunks=max(0, count - _FRAME_RECORDS),
            queued_ms=None if outcome.queued_s is None else round(outcome.queued_s * MS_PER_S),
            drops=stream.drops,
            resumes=stream.resumes,
        )
        if self._content_bytes_max and record.is_charged:
            self._take(self._with_content(record, entry, request))
        else:
            self._take(Draft(record))

    def found(self, entry: Entry, charge: Charge) -> None:
        """Take one that an earlier process has left; its content is not kept."""
        stream, meta = entry.stream, entry.meta
        record = RequestRecord(
            charge=charge,
            is_charged=True,
            transport=meta.transport,
            request_id=meta.request_id,
            ended_by=ended_by(charge.finish, charge.error_code, was_left=False),
            chunks=max(0, stream.head + len(stream.pending) - _FRAME_RECORDS),
            queued_ms=None,
            drops=None,
            resumes=None,
        )
        self._take(Draft(record))

    def flush(self) -> None:
        """Have written what waits, now."""
        self._is_due = False
        if self._batch or not self._waiting:
            return
        self._batch, self._waiting, self._bytes = self._waiting, [], 0
        self._tries = 0
        self._send()

    def _take(self, draft: Draft) -> None:
        if len(self._waiting) + len(self._batch) >= WAITING_MAX:
            self.counted("dropped", 1)
            return
        self._waiting.append(draft)
        self._flush_later(WRITE_DELAY_S)

    def _with_content(self, record: RequestRecord, entry: Entry, request: ChatRequest) -> Draft:
        """Return a record with its content; without it where too much waits already."""
        limit = self._content_bytes_max
        answer: list[bytes] = []
        answer_bytes = 0
        is_partial = False
        try:
            for each in entry.stream.all_records():
                # A longer answer is cut in any case; the rest need not be read.
                if is_partial := answer_bytes > limit:
                    break
                answer.append(each)
                answer_bytes += len(each)
        except JournalUnavailable as exc:
            log.warning("an answer cannot be read for the request log: %s", exc)
            return Draft(record)
        size = answer_bytes + sum(len(bytes(value)) for value in request.fields.values())
        if self._bytes + size > WAITING_BYTES_MAX:
            return Draft(record)
        self._bytes += size
        return Draft(record, request, answer, limit, is_partial)

    def _flush_later(self, delay_s: float) -> None:
        if not self._is_due and not self._batch:
            self._is_due = True
            self._timers.call_later(delay_s, self.flush)

    def _send(self) -> None:
        self._tries += 1
        self._write(self._batch, self._done)

    def _done(self, error: StoreUnusable | None) -> None:
        if error is not None and self._tries < TRIES_MAX:
            self._outage.failed(str(error))
            self._timers.call_later(RETRY_S, self._send)
            return
        if error is None:
            self._outage.ended()
        else:
            self._outage.failed(str(error))
        count, self._batch = len(self._batch), []
        self.counted("written" if error is None else "dropped", count)
        if self._waiting:
            self._flush_later(WRITE_DELAY_S)


def _ignore(*_: object) -> None:
    """Count nothing."""


def _uncharged(entry: Entry, outcome: Outcome) -> Charge:
    """Return what was refused before it began, in the form of a charge."""
    meta, duration_ms = entry.meta, round(outcome.duration_s * MS_PER_S)
    return Charge(
        stream_id=outcome.stream_id,
        account_id=meta.account,
        key_id=outcome.owner,
        model=meta.model,
        provider=outcome.provider,
        provider_model=outcome.model,
        created_ms=meta.created_ms,
        ended_ms=meta.created_ms + duration_ms,
        prompt_tokens=0,
        cached_tokens=0,
        cache_write_tokens=0,
        completion_tokens=0,
        reasoning_tokens=0,
        estimated=False,
        cost_nanos=0,
        list_nanos=0,
        cache_saved_nanos=0,
        finish=outcome.finish,
        error_code=outcome.error_code,
        # Nobody was called.
        attempts=0,
        first_token_ms=None,
        duration_ms=duration_ms,
    )


def _cut(data: bytes, limit: int) -> str:
    # A character may be cut in two.
    return data[:limit].decode("utf-8", "ignore")
