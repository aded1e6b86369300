"""An account's requests, one by one, and the story of each; for administrators, everybody's.

    GET /api/requests               the latest first, by filters, page by page
    GET /api/requests.csv           the same as a file
    GET /api/requests/{stream_id}   one request from its arrival to its charge
    GET /api/admin/requests, /api/admin/requests.csv, /api/admin/requests/{stream_id}

What was charged comes from the books, so that a request is listed for as long as its charge is
kept, whatever the request log has. From the log comes what was refused before it began, and the
part of a story that money has no use for.

Amounts are decimal USD. Days are those of UTC.
"""

from collections.abc import Callable
from typing import Annotated, Any

from aiohttp import web
from msgspec import Meta

from tokenferry.domain.request_page import Part, Wanted, merged
from tokenferry.domain.request_record import Content, RequestRecord, Status
from tokenferry.engine.request_log import RequestStore
from tokenferry.engine.statement import Booked, Statements
from tokenferry.engine.workers import Workers
from tokenferry.errors import StreamNotFound
from tokenferry.server.api_routes import Body, Call, Route
from tokenferry.server.cursors import cursor_of, moment_of
from tokenferry.server.request_facts import (
    BYTE_ORDER_MARK,
    COLUMNS,
    RequestList,
    RequestStory,
    csv_cells,
    csv_lines,
    request_facts,
    story,
)
from tokenferry.server.usage_api import (
    DAYS_MAX,
    PAGE_MAX,
    Cursor,
    Day,
    Limit,
    moments,
)

CSV_ROWS_MAX = 100_000
# A rare filter over a long history finds little a page: at most so many are looked at.
CSV_PAGES_MAX = 1_000
# What no name of a model or alias exceeds, with a provider's name before it.
NAME_CHARACTERS_MAX = 300

Name = Annotated[str, Meta(max_length=NAME_CHARACTERS_MAX)]
Id = Annotated[str, Meta(max_length=100)]


class RequestFilter(Body, rename={"from_": "from"}):
    """Which requests; without days, all."""

    limit: Limit = 50
    before: Cursor = ""
    model: Name | None = None
    key: Id | None = None
    status: Status | None = None
    from_: Day | None = None
    to: Day | None = None


class AnyRequestFilter(RequestFilter, rename={"from_": "from"}):
    """Which requests of all accounts, or of one."""

    account: Id | None = None


class RequestsApi:
    """The routes of requests.

    Args:
        statements: Reads the books.
        store: The request log.
        disk: The thread that uses both.
        wall_ms: The wall clock, Unix time.
    """

    def __init__(
        self,
        statements: Statements,
        store: RequestStore,
        disk: Workers,
        wall_ms: Callable[[], int],
    ) -> None:
        self._statements = statements
        self._store = store
        self._disk = disk
        self._wall_ms = wall_ms

    def routes(self) -> list[Route]:
        """Return the routes."""
        own, every = "/api/requests", "/api/admin/requests"
        return [
            Route("GET", own, self._list, "List requests",
                  query=RequestFilter, answer=RequestList),
            Route("GET", f"{own}.csv", self._file, "Export requests as CSV",
                  query=RequestFilter),
            Route("GET", f"{own}/{{stream_id}}", self._show, "Tell the story of a request",
                  answer=RequestStory),
            Route("GET", every, self._list, "List requests of all accounts",
                  query=AnyRequestFilter, answer=RequestList, access="admin"),
            Route("GET", f"{every}.csv", self._file, "Export requests of all accounts as CSV",
                  query=AnyRequestFilter, access="admin"),
            Route("GET", f"{every}/{{stream_id}}", self._show_any,
                  "Tell the story of anybody's request", answer=RequestStory, access="admin"),
        ]  # fmt: skip

    async def _list(self, call: Call[Any]) -> RequestList:
        page = await self._page(self._wanted(call))
        more = None if page.reached is None else cursor_of(*page.reached)
        return RequestList([request_facts(row) for row in page.rows], more)

    async def _file(self, call: Call[Any]) -> web.StreamResponse:
        wanted = self._wanted(call)._replace(limit=PAGE_MAX)
        # The first page before the headers: what fails there is an error that can be told.
        page = await self._page(wanted)
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/csv; charset=utf-8",
                "Content-Disposition": 'attachment; filename="requests.csv"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            }
        )
        await response.prepare(call.request)
        await response.write(csv_lines([COLUMNS], BYTE_ORDER_MARK))
        count = 0
        for _ in range(CSV_PAGES_MAX):
            if page.rows:
                await response.write(csv_lines(map(csv_cells, page.rows)))
            count += len(page.rows)
            if page.reached is None or count >= CSV_ROWS_MAX:
                break
            page = await self._page(wanted._replace(before=page.reached))
        await response.write_eof()
        return response

    async def _show(self, call: Call[Any]) -> RequestStory:
        return await self._story(call.request.match_info["stream_id"], call.account.account_id)

    async def _show_any(self, call: Call[Any]) -> RequestStory:
        return await self._story(call.request.match_info["stream_id"], None)

    def _wanted(self, call: Call[Any]) -> Wanted:
        wish: RequestFilter = call.query
        account_id: str | None = call.account.account_id
        if isinstance(wish, AnyRequestFilter):
            account_id = wish.account
        from_ms = until_ms = None
        if wish.from_ is not None or wish.to is not None:
            from_ms, until_ms = moments(wish.from_, wish.to, self._wall_ms(), days=DAYS_MAX)
        return Wanted(
            wish.limit,
            account_id,
            wish.model,
            wish.key,
            wish.status,
            from_ms,
            until_ms,
            moment_of(wish.before),
        )

    async def _page(self, wanted: Wanted) -> Part:
        def look() -> Part:
            parts = (self._statements.charges(wanted), self._store.refused(wanted))
            return merged(parts, wanted.limit)

        return await self._disk.run(look)

    async def _story(self, stream_id: str, account_id: str | None) -> RequestStory:
        def look() -> tuple[Booked, RequestRecord | None, Content | None]:
            record = self._store.find(stream_id, account_id)
            content = None if record is None else self._store.content(stream_id)
            return self._statements.booked(stream_id, account_id), record, content

        booked, record, content = await self._disk.run(look)
        charge = booked.charge
        if charge is None and record is not None and not record.is_charged:
            charge = record.charge
        if charge is None:
            raise StreamNotFound(
                f"There is no request {stream_id[:100]!r} that has ended. GET /v1/streams lists "
                "what runs."
            )
        return story(charge, booked, record, content)
