"""What is told of a request: in a list, as its story, and as a line of a CSV file."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from tokenferry.domain.csv_cell import harmless
from tokenferry.domain.ledger import Charge, account_book
from tokenferry.domain.money import format_dollars
from tokenferry.domain.request_record import (
    Content,
    EndedBy,
    RequestRecord,
    Status,
    Transport,
    attempt_status,
    status_of,
)
from tokenferry.domain.routing import Try
from tokenferry.engine.statement import Booked, Reserved
from tokenferry.server.usage_api import TransferFacts, transfer_facts

MS_PER_S = 1000
# Excel reads UTF-8, and with it Korean, only behind this mark.
BYTE_ORDER_MARK = "\ufeff"
COLUMNS = (
    "time", "stream_id", "account", "key", "model", "provider", "status", "finish_reason",
    "error_code", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens",
    "estimated", "cost_usd", "list_cost_usd", "first_token_ms", "duration_ms", "attempts",
)  # fmt: skip


class TryFacts(Struct):
    """One call of a provider.

    `outcome` is `ok`, `cancelled`, `slower` (another call was first) or an error's kind; `status`
    is the provider's HTTP status, null where there was none.
    """

    provider: str
    model: str
    outcome: str
    duration_ms: int
    status: int | None


class RequestFacts(Struct):
    """One request; `cost` is null where no price is known.

    `tries` are the calls that it took, in order; none for a request of before they were kept.
    """

    stream_id: str
    key: str
    model: str
    provider: str
    created: int
    status: Status
    finish_reason: str
    error_code: str | None
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    estimated: bool
    cost: str | None
    list_cost: str | None
    first_token_ms: int | None
    duration_ms: int
    attempts: int
    tries: list[TryFacts]
    account: str


class RequestList(Struct):
    """Requests, the latest first; `next` asks for those before, null at the end.

    With filters a page may be short, even empty, while there is a `next`: each looks through so
    many requests at most.
    """

    data: list[RequestFacts]
    next: str | None


class HoldFacts(Struct):
    """What was held of the credit; `released` is what was given back of it."""

    amount: str
    state: str
    released: str | None


class ContentFacts(Struct):
    """What was asked and answered, as JSON texts; `cut` where something is missing of either."""

    prompt: str
    answer: str
    cut: bool


class RequestStory(Struct):
    """One request from its arrival to its charge.

    Moments are Unix milliseconds. What only the request log knows is null where it has no record:
    `transport`, `request_id`, `ended_by`, `queued_ms`, `chunks`, `drops` (a reader was lost) and
    `resumes` (one came back). `hold` is null where no credit was held.
    """

    request: RequestFacts
    recorded: bool
    accepted_ms: int
    ended_ms: int
    transport: Transport | None
    request_id: str | None
    ended_by: EndedBy | None
    queued_ms: int | None
    chunks: int | None
    tokens_per_second: float | None
    drops: int | None
    resumes: int | None
    charged: bool
    hold: HoldFacts | None
    shortfall: str
    entries: list[TransferFacts]
    content: ContentFacts | None


def request_facts(charge: Charge) -> RequestFacts:
    """Return one request as it is listed."""
    return RequestFacts(
        stream_id=charge.stream_id,
        key=charge.key_id,
        model=charge.model,
        provider=charge.provider,
        created=charge.created_ms // MS_PER_S,
        status=status_of(charge.finish),
        finish_reason=charge.finish,
        error_code=charge.error_code,
        prompt_tokens=charge.prompt_tokens,
        cached_tokens=charge.cached_tokens,
        completion_tokens=charge.completion_tokens,
        reasoning_tokens=charge.reasoning_tokens,
        estimated=bool(charge.estimated),
        cost=_dollars(charge.cost_nanos),
        list_cost=_dollars(charge.list_nanos),
        first_token_ms=charge.first_token_ms,
        duration_ms=charge.duration_ms,
        attempts=charge.attempts,
        tries=[TryFacts(*call, attempt_status(call.outcome)) for call in _tries(charge)],
        account=charge.account_id,
    )


def story(
    charge: Charge, booked: Booked, record: RequestRecord | None, content: Content | None
) -> RequestStory:
    """Return the story of a request.

    Args:
        charge: What it used, and how it ended.
        booked: What the books have of it.
        record: What the request log has.
        content: What was asked and answered, if that is kept.
    """
    book = account_book(charge.account_id)
    return RequestStory(
        request=request_facts(charge),
        recorded=record is not None,
        accepted_ms=charge.created_ms,
        ended_ms=charge.ended_ms,
        transport=None if record is None else record.transport,
        request_id=None if record is None else record.request_id or None,
        ended_by=None if record is None else record.ended_by,
        queued_ms=None if record is None else record.queued_ms,
        chunks=None if record is None else record.chunks,
        tokens_per_second=_pace(charge),
        drops=None if record is None else record.drops,
        resumes=None if record is None else record.resumes,
        charged=booked.charge is not None,
        hold=None if booked.reserved is None else _hold(booked.reserved, charge),
        shortfall=format_dollars(booked.shortfall_nanos),
        entries=[transfer_facts(*row, book) for row in booked.transfers],
        content=None if content is None else ContentFacts(*content),
    )


def _hold(reserved: Reserved, charge: Charge) -> HoldFacts:
    released = None
    if reserved.state != "open":
        released = format_dollars(max(0, reserved.amount_nanos - (charge.cost_nanos or 0)))
    return HoldFacts(format_dollars(reserved.amount_nanos), reserved.state, released)


def _pace(charge: Charge) -> float | None:
    """Return the tokens a second from the first one on; None where there is no such time."""
    if charge.first_token_ms is None or not charge.completion_tokens:
        return None
    answer_ms = charge.duration_ms - charge.first_token_ms
    return round(charge.completion_tokens * MS_PER_S / answer_ms, 1) if answer_ms > 0 else None


def _tries(charge: Charge) -> list[Try]:
    return msgspec.json.decode(charge.tries, type=list[Try]) if charge.tries else []


def _dollars(nanos: int | None) -> str | None:
    return None if nanos is None else format_dollars(nanos)


def csv_cells(charge: Charge) -> Sequence[object]:
    """Return the cells of one request."""
    moment = datetime.fromtimestamp(charge.created_ms // MS_PER_S, UTC)
    return (
        f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        charge.stream_id,
        charge.account_id,
        charge.key_id,
        harmless(charge.model),
        harmless(charge.provider),
        status_of(charge.finish),
        harmless(charge.finish),
        charge.error_code,
        charge.prompt_tokens,
        charge.cached_tokens,
        charge.completion_tokens,
        charge.reasoning_tokens,
        "true" if charge.estimated else "false",
        _dollars(charge.cost_nanos),
        _dollars(charge.list_nanos),
        charge.first_token_ms,
        charge.duration_ms,
        charge.attempts,
    )


def csv_lines(rows: Iterable[Sequence[object]], mark: str = "") -> bytes:
    """Return rows as lines of a CSV file, in UTF-8, behind a mark."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return (mark + out.getvalue()).encode()
