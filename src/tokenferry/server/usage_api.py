"""What an account has, what it used, and what was booked.

    GET /api/balance    its credit
    GET /api/usage      what it used, by day, model or key, and what the same costs elsewhere
    GET /api/ledger     its transfers, one by one

Amounts are decimal USD. Days are those of UTC.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from msgspec import Meta, Struct

from tokenferry.domain.ledger import Transfer, account_book
from tokenferry.domain.money import format_dollars
from tokenferry.engine.links import World
from tokenferry.engine.statement import Balance, Grouping, Only, Statements, Used
from tokenferry.engine.workers import Workers
from tokenferry.errors import InvalidRequest
from tokenferry.server.api_routes import Body, Call, Route
from tokenferry.server.cursors import number_of

PAGE_MAX = 500
DAYS_MAX = 3_660
DAYS_DEFAULT = 30
MS_PER_S = 1000
# Before it there was nothing, and spans may begin years before their last day.
_FIRST_DAY = "2000-01-01"

Day = Annotated[
    str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="Such as 2026-11-27.")
]
# No name of a model or key is longer.
Name = Annotated[str, Meta(max_length=300)]
Limit = Annotated[int, Meta(ge=1, le=PAGE_MAX)]
Cursor = Annotated[str, Meta(max_length=100, description="The `next` of the page before.")]


class Span(Body, rename={"from_": "from"}):
    """Which days, both included, how they are summed up, and of which model and key."""

    from_: Day | None = None
    to: Day | None = None
    by: Grouping = "day"
    model: Name | None = None
    key: Name | None = None


class Page(Body):
    """Which part of a list."""

    limit: Limit = 50
    before: Cursor = ""


class BalanceFacts(Struct):
    """What an account has: `available` is the balance less what is held for running streams."""

    balance: str
    held: str
    available: str
    currency: str = "USD"


class UsageFacts(Struct):
    """What one group used; `list_cost` is what the same costs at the providers' own prices.

    `failed` of the requests ended in an error; `unpriced` have no known price, and are in no sum.
    """

    group: str
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost: str
    list_cost: str
    cache_saved: str
    failed: int
    unpriced: int


class UsageList(Struct):
    """What was used, group by group."""

    by: Grouping
    data: list[UsageFacts]


class TransferFacts(Struct):
    """One entry: above zero what the account was given, below what it used."""

    number: int
    kind: str
    reference: str
    amount: str
    created: int
    note: str


class TransferList(Struct):
    """Entries, the newest first; `next` asks for those before, null at the end."""

    data: list[TransferFacts]
    next: str | None


class UsageApi:
    """The routes of an account's statement.

    Args:
        statements: Reads the books.
        disk: The thread that uses them.
        world: The clock.
    """

    def __init__(self, statements: Statements, disk: Workers, world: World) -> None:
        self._statements = statements
        self._disk = disk
        self._world = world

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("GET", "/api/balance", self._balance, "Show the credit", answer=BalanceFacts),
            Route("GET", "/api/usage", self._usage, "Show what was used",
                  query=Span, answer=UsageList),
            Route("GET", "/api/ledger", self._transfers, "List transfers",
                  query=Page, answer=TransferList),
        ]  # fmt: skip

    async def _balance(self, call: Call[Any]) -> BalanceFacts:
        account_id = call.account.account_id
        return balance_facts(await self._disk.run(lambda: self._statements.balance(account_id)))

    async def _usage(self, call: Call[Any]) -> UsageList:
        span: Span = call.query
        account_id = call.account.account_id
        from_ms, until_ms = moments(span.from_, span.to, self._world.wall_ms())
        only = Only(span.model, span.key)
        rows = await self._disk.run(
            lambda: self._statements.used(account_id, from_ms, until_ms, span.by, only)
        )
        return UsageList(span.by, [_usage_facts(row) for row in rows])

    async def _transfers(self, call: Call[Any]) -> TransferList:
        account_id = call.account.account_id
        return await transfer_page(self._statements, self._disk, account_id, call.query)


def balance_facts(found: Balance) -> BalanceFacts:
    """Return a balance as it is shown."""
    balance, held = found
    return BalanceFacts(
        format_dollars(balance), format_dollars(held), format_dollars(balance - held)
    )


async def transfer_page(
    statements: Statements, disk: Workers, account_id: str, page: Page
) -> TransferList:
    """Return one page of an account's transfers.

    Args:
        statements: Reads the books.
        disk: The thread that uses them.
        account_id: Whose.
        page: Which page.
    """
    before = number_of(page.before) if page.before else None
    rows = await disk.run(lambda: statements.transfers(account_id, page.limit, before))
    more = str(rows[-1][0]) if len(rows) == page.limit else None
    book = account_book(account_id)
    return TransferList([transfer_facts(*row, book) for row in rows], more)


def moments(
    from_: str | None, to: str | None, now_ms: int, *, days: int = DAYS_DEFAULT
) -> tuple[int, int]:
    """Return the first moment of a span of days, and the first one after it.

    Args:
        from_: The first day; None for so many up to the last.
        to: The last day; None for today.
        now_ms: Unix time.
        days: How many there are without a first one.

    Raises:
        InvalidRequest: If one is no day, or they are no span.
    """
    today = datetime.fromtimestamp(now_ms // MS_PER_S, UTC).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    last = _day(to, "to") if to else today
    first = _day(from_, "from") if from_ else last - timedelta(days=days - 1)
    if not 0 <= (last - first).days < DAYS_MAX:
        raise InvalidRequest(
            f"`from` must be a day before `to`, {DAYS_MAX} days at most.", param="from"
        )
    after = last + timedelta(days=1)
    return round(first.timestamp()) * MS_PER_S, round(after.timestamp()) * MS_PER_S


def _day(text: str, name: str) -> datetime:
    try:
        if text < _FIRST_DAY:
            raise ValueError(text)  # noqa: TRY301 -- one refusal for both
        # The last day of all would have none after it.
        return min(datetime.fromisoformat(text), datetime(9999, 12, 30)).replace(tzinfo=UTC)  # noqa: DTZ001 -- compared with one that has none either
    except ValueError:
        raise InvalidRequest(f"`{name}` is no day; write 2026-11-27.", param=name) from None


def _usage_facts(used: Used) -> UsageFacts:
    return UsageFacts(
        *used[:5],
        cost=format_dollars(used.cost_nanos),
        list_cost=format_dollars(used.list_nanos),
        cache_saved=format_dollars(used.cache_saved_nanos),
        failed=used.failed,
        unpriced=used.unpriced,
    )


def transfer_facts(number: int, transfer: Transfer, book: str) -> TransferFacts:
    """Return an entry as one book sees it."""
    sign = 1 if transfer.credit == book else -1
    return TransferFacts(
        number,
        transfer.kind,
        transfer.reference,
        format_dollars(sign * transfer.amount_nanos),
        transfer.created_ms // MS_PER_S,
        transfer.note,
    )
