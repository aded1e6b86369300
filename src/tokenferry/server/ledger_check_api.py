"""The check of the books, for administrators.

GET  /api/admin/ledger/check   what the last one found, and whether one runs
POST /api/admin/ledger/check   begin one; it is the one that runs, if one does

Amounts are decimal USD.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from tokenferry.domain.money import format_dollars
from tokenferry.engine.audit import Audit, Check, LedgerCheck
from tokenferry.server import audit_log
from tokenferry.server.api_routes import Call, NoBody, Route
from tokenferry.server.live_api import Keep

MS_PER_S = 1000


class BookFacts(Struct):
    """One of the ledger's books; `accounts` are those of all accounts but the operator's.

    `difference` is by how much the balance that is kept differs from what the transfers say; for
    several books, the differences of each added up without their signs.
    """

    book: str
    books: int
    kept: str
    booked: str
    difference: str


class AuditFacts(Struct):
    """What a check found: `sum` is that of all books, and `differences` how many, both to be 0."""

    differences: int
    sentences: list[str]
    sum: str
    books: list[BookFacts]
    transfers: int
    charges: int
    open_reservations: int


class CheckFacts(Struct):
    """A check that has ended; `audit` is null if it came to no end, and `fault` says why."""

    began: int
    duration_ms: int
    by: str
    fault: str | None
    audit: AuditFacts | None


class CheckStatus(Struct):
    """The check that ended last since the server's start, and when the one began that runs."""

    running_since: int | None
    last: CheckFacts | None


class LedgerCheckApi:
    """The routes of the check.

    Args:
        check: Runs it.
        keep: Writes an entry of the audit trail.
        wall_ms: The wall clock, Unix time.
    """

    def __init__(self, check: LedgerCheck, keep: Keep, wall_ms: Callable[[], int]) -> None:
        self._check = check
        self._keep = keep
        self._wall_ms = wall_ms

    def routes(self) -> list[Route]:
        """Return the routes."""
        path = "/api/admin/ledger/check"
        return [
            Route("GET", path, self._show, "Show what the last check of the books found",
                  answer=CheckStatus, access="admin"),
            Route("POST", path, self._start, "Begin a check of the books",
                  body=NoBody, answer=CheckStatus, status=202, access="admin"),
        ]  # fmt: skip

    async def _show(self, _: Call[Any]) -> CheckStatus:
        return self._status()

    async def _start(self, call: Call[NoBody]) -> CheckStatus:
        if self._check.start(call.account.email or call.account.account_id):
            # Afterwards: of a check that the process did not outlive nothing is left either.
            entry = audit_log.entry_of(call, self._wall_ms(), "ledger.check", "ledger")
            await self._keep(entry)
            audit_log.tell(entry)
        return self._status()

    def _status(self) -> CheckStatus:
        since_ms, last = self._check.running_since_ms, self._check.last
        return CheckStatus(
            None if since_ms is None else since_ms // MS_PER_S,
            None if last is None else _check_facts(last),
        )


def _check_facts(check: Check) -> CheckFacts:
    return CheckFacts(
        check.began_ms // MS_PER_S,
        check.duration_ms,
        check.by,
        check.fault or None,
        None if check.audit is None else _audit_facts(check.audit),
    )


def _audit_facts(audit: Audit) -> AuditFacts:
    return AuditFacts(
        audit.found,
        audit.differences,
        format_dollars(sum(book.kept_nanos for book in audit.books)),
        [
            BookFacts(
                book.book,
                book.books,
                format_dollars(book.kept_nanos),
                format_dollars(book.booked_nanos),
                format_dollars(book.difference_nanos),
            )
            for book in audit.books
        ],
        audit.transfers,
        audit.charges,
        audit.open_reservations,
    )
