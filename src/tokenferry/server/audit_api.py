"""What administrators have changed, for administrators.

GET /api/admin/audit   the latest first, by account, action and days, page by page

Days are those of UTC.
"""

from collections.abc import Callable
from typing import Annotated, Any

from msgspec import Meta, Struct

from tokenferry.engine.audit_trail import AuditFilter, AuditTrail
from tokenferry.engine.workers import Workers
from tokenferry.server.api_routes import Body, Call, Route
from tokenferry.server.audit_facts import AuditEntryFacts, entry_facts
from tokenferry.server.cursors import number_of
from tokenferry.server.usage_api import DAYS_MAX, Cursor, Day, Limit, moments

Id = Annotated[str, Meta(max_length=100)]


class AuditPage(Body, rename={"from_": "from"}):
    """Which entries; without days, all. `account` is whom they are about, or by."""

    limit: Limit = 50
    before: Cursor = ""
    account: Id | None = None
    action: Id | None = None
    from_: Day | None = None
    to: Day | None = None


class AuditEntryList(Struct):
    """Entries, the newest first; `next` asks for those before, null at the end."""

    data: list[AuditEntryFacts]
    next: str | None


class AuditApi:
    """The route of the audit trail.

    Args:
        trail: Where it is kept.
        disk: The thread that reads it.
        wall_ms: The wall clock, Unix time.
    """

    def __init__(self, trail: AuditTrail, disk: Workers, wall_ms: Callable[[], int]) -> None:
        self._trail = trail
        self._disk = disk
        self._wall_ms = wall_ms

    def routes(self) -> list[Route]:
        """Return the route."""
        return [
            Route("GET", "/api/admin/audit", self._list, "List what administrators have changed",
                  query=AuditPage, answer=AuditEntryList, access="admin"),
        ]  # fmt: skip

    async def _list(self, call: Call[Any]) -> AuditEntryList:
        page: AuditPage = call.query
        from_ms = until_ms = None
        if page.from_ is not None or page.to is not None:
            from_ms, until_ms = moments(page.from_, page.to, self._wall_ms(), days=DAYS_MAX)
        before = number_of(page.before) if page.before else None
        wanted = AuditFilter(page.limit, page.account, page.action, from_ms, until_ms, before)
        rows = await self._disk.run(lambda: self._trail.entries(wanted))
        more = str(rows[-1][0]) if len(rows) == page.limit else None
        return AuditEntryList([entry_facts(*row) for row in rows], more)
