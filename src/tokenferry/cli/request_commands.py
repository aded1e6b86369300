"""The commands that look at requests beside the running server: `requests list` and `show`."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tokenferry.cli.main import EXIT_FAULT, EXIT_OK, EXIT_USAGE, print_fault
from tokenferry.cli.terminal import existing_database, explained, table
from tokenferry.config.server_settings import REQUESTS_NAME
from tokenferry.domain.ledger import Charge
from tokenferry.domain.money import format_dollars
from tokenferry.domain.request_page import Wanted, merged
from tokenferry.domain.request_record import RequestRecord, status_of
from tokenferry.domain.routing import Try
from tokenferry.engine.request_log import RequestStore
from tokenferry.engine.statement import Booked, Statements
from tokenferry.stores.memory_requests import MemoryRequests
from tokenferry.stores.sqlite_requests import SqliteRequests
from tokenferry.stores.sqlite_statements import SqliteStatements

LIMIT_MAX = 10_000
UNKNOWN = "-"
_HEADER = (
    "TIME", "STREAM", "ACCOUNT", "KEY", "MODEL", "STATUS", "TOKENS", "COST", "FIRST MS", "MS",
)  # fmt: skip


def list_requests(arguments: argparse.Namespace) -> int:
    """Print requests, the latest first."""
    if not 0 < arguments.limit <= LIMIT_MAX:
        print_fault(f"--limit is 1 to {LIMIT_MAX}")
        return EXIT_USAGE
    wanted = Wanted(
        arguments.limit, arguments.account, arguments.model, arguments.key, arguments.status
    )
    with explained(), _opened(arguments) as (statements, store):
        rows: list[Sequence[str]] = [_HEADER]
        while True:
            page = merged((statements.charges(wanted), store.refused(wanted)), wanted.limit)
            rows += map(_row, page.rows)
            left = arguments.limit - len(rows) + 1
            if page.reached is None or left <= 0:
                break
            # A page may be short: so much was looked through.
            wanted = wanted._replace(before=page.reached, limit=left)
        sys.stdout.write(table(rows))
        return EXIT_OK
    return EXIT_FAULT


def show_request(arguments: argparse.Namespace) -> int:
    """Print the story of one request, from its arrival to its charge."""
    with explained(), _opened(arguments) as (statements, store):
        booked = statements.booked(arguments.stream_id, None)
        record = store.find(arguments.stream_id, None)
        charge = booked.charge
        if charge is None and record is not None and not record.is_charged:
            charge = record.charge
        if charge is None:
            print_fault("there is no request of this stream that has ended")
            return EXIT_FAULT
        sys.stdout.write(table(list(_story(charge, booked, record))))
        return EXIT_OK
    return EXIT_FAULT


@contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[tuple[Statements, RequestStore]]:
    path = existing_database(arguments, "are no books")
    with closing(SqliteStatements(path)) as statements, closing(_log_of(path)) as store:
        yield statements, store


def _log_of(path: Path) -> RequestStore:
    """Return the request log beside a database; an empty one where none is kept."""
    beside = path.with_name(REQUESTS_NAME)
    return SqliteRequests(beside) if beside.exists() else MemoryRequests()


def _row(charge: Charge) -> Sequence[str]:
    return (
        _time(charge.created_ms),
        charge.stream_id,
        charge.account_id,
        charge.key_id,
        charge.model,
        charge.error_code or status_of(charge.finish),
        str(charge.prompt_tokens + charge.completion_tokens),
        _dollars(charge.cost_nanos),
        _number(charge.first_token_ms),
        str(charge.duration_ms),
    )


def _story(
    charge: Charge, booked: Booked, record: RequestRecord | None
) -> Iterator[tuple[str, str]]:
    """Yield the steps of a request, as UX has them: from its arrival to the ledger."""
    yield "stream", charge.stream_id
    yield "accepted", _time(charge.created_ms)
    if record is not None:
        yield "transport", f"{record.transport} {record.request_id}".rstrip()
    yield "key", f"{charge.key_id} of {charge.account_id}"
    yield "model", charge.model
    if booked.reserved is not None:
        amount_nanos, state = booked.reserved
        yield "held", f"{format_dollars(amount_nanos)} USD, {state}"
    if record is not None:
        yield "queued", f"{_number(record.queued_ms)} ms"
    tries = msgspec.json.decode(charge.tries, type=list[Try]) if charge.tries else []
    for each in tries:
        what = f"{each.provider}/{each.model}: {each.outcome} after {each.duration_ms} ms"
        yield "attempt", what
    yield "first token", f"{_number(charge.first_token_ms)} ms"
    if record is not None:
        yield "chunks", str(record.chunks)
        yield "reader", f"{_number(record.drops)} lost, {_number(record.resumes)} came back"
    yield "ended", f"{charge.error_code or charge.finish} after {charge.duration_ms} ms"
    if record is not None:
        yield "ended by", record.ended_by
    yield "tokens in", f"{charge.prompt_tokens}, {charge.cached_tokens} of them cached"
    estimated = " (estimated)" if charge.estimated else ""
    yield (
        "tokens out",
        f"{charge.completion_tokens}, {charge.reasoning_tokens} of them reasoning{estimated}",
    )
    yield "cost", f"{_dollars(charge.cost_nanos)} USD" if booked.charge else "not charged"
    for number, transfer in booked.transfers:
        yield "transfer", f"{number} {transfer.kind} {format_dollars(transfer.amount_nanos)} USD"
    if record is None:
        yield "log", "no record any more: only what the books have"


def _dollars(nanos: int | None) -> str:
    return UNKNOWN if nanos is None else format_dollars(nanos)


def _number(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)


def _time(moment_ms: int) -> str:
    return f"{datetime.fromtimestamp(moment_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
