"""What an account has, what it used, and what was booked.

    GET /api/balance    its credit
    GET /api/usage      what it used, by day, model or key, and what the same costs elsewhere
    GET /api/ledger     its transfers, one by one
    POST /api/admin/accounts/{id}/grants   credit from the operator, with a reason

Amounts are decimal USD. Days are those of UTC.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from msgspec import Meta, Struct

from tokenferry.domain.account import REASON_CHARACTERS_MAX, clean_reason
from tokenferry.domain.ledger import Transfer, account_book, grant
from tokenferry.domain.money import format_dollars, parse_dollars
from tokenferry.engine.accounts import AccountStore
from tokenferry.engine.ledger import Overdrawn
from tokenferry.engine.links import World
from tokenferry.engine.statement import Grouping, Statements, Used
from tokenferry.engine.workers import Workers
from tokenferry.errors import AccountNotFound, InvalidRequest
from tokenferry.server.api_routes import Body, Call, Route

log = logging.getLogger(__name__)

PAGE_MAX = 500
DAYS_MAX = 3_660
DAYS_DEFAULT = 30
MS_PER_S = 1000
# Before it there was nothing, and spans may begin years before their last day.
_FIRST_DAY = "2000-01-01"
_REFERENCE_BYTES = 12

Day = Annotated[
    str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="Such as 2026-11-27.")
]
Limit = Annotated[int, Meta(ge=1, le=PAGE_MAX)]
Cursor = Annotated[str, Meta(max_length=100, description="The `next` of the page before.")]


class Span(Body, rename={"from_": "from"}):
    """Which days, both included, and how they are summed up."""

    from_: Day | None = None
    to: Day | None = None
    by: Grouping = "day"


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
    """What one group used; `list_cost` is what the same costs at the providers' own prices."""

    group: str
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost: str
    list_cost: str
    cache_saved: str


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


class Grant(Body):
    """Credit from the operator; below zero it is taken back, as far as it is there."""

    amount: Annotated[str, Meta(max_length=30)]
    reason: Annotated[str, Meta(min_length=1, max_length=4 * REASON_CHARACTERS_MAX)]


class UsageApi:
    """The routes of an account's statement.

    Args:
        statements: Reads the books.
        accounts: Where accounts are.
        book: Books a transfer; raises `Overdrawn` if there is not that much.
        disk: The thread that uses all three.
        world: Clock and randomness.
    """

    def __init__(
        self,
        statements: Statements,
        accounts: AccountStore,
        book: Callable[[Transfer], bool],
        disk: Workers,
        world: World,
    ) -> None:
        self._statements = statements
        self._book = book
        self._accounts = accounts
        self._disk = disk
        self._world = world

    def routes(self) -> list[Route]:
        """Return the routes."""
        grants = "/api/admin/accounts/{id}/grants"
        return [
            Route("GET", "/api/balance", self._balance, "Show the credit", answer=BalanceFacts),
            Route("GET", "/api/usage", self._usage, "Show what was used",
                  query=Span, answer=UsageList),
            Route("GET", "/api/ledger", self._transfers, "List transfers",
                  query=Page, answer=TransferList),
            Route("POST", grants, self._grant, "Give credit",
                  body=Grant, answer=BalanceFacts, access="admin"),
        ]  # fmt: skip

    async def _balance(self, call: Call[Any]) -> BalanceFacts:
        return await self._shown(call.account.account_id)

    async def _shown(self, account_id: str) -> BalanceFacts:
        balance, held = await self._disk.run(lambda: self._statements.balance(account_id))
        return BalanceFacts(
            format_dollars(balance), format_dollars(held), format_dollars(balance - held)
        )

    async def _usage(self, call: Call[Any]) -> UsageList:
        span: Span = call.query
        account_id = call.account.account_id
        from_ms, until_ms = moments(span.from_, span.to, self._world.wall_ms())
        rows = await self._disk.run(
            lambda: self._statements.used(account_id, from_ms, until_ms, span.by)
        )
        return UsageList(span.by, [_usage_facts(row) for row in rows])

    async def _transfers(self, call: Call[Any]) -> TransferList:
        page: Page = call.query
        account_id = call.account.account_id
        before = cursor_number(page.before) if page.before else None
        rows = await self._disk.run(
            lambda: self._statements.transfers(account_id, page.limit, before)
        )
        more = str(rows[-1][0]) if len(rows) == page.limit else None
        book = account_book(account_id)
        return TransferList([transfer_facts(*row, book) for row in rows], more)

    async def _grant(self, call: Call[Grant]) -> BalanceFacts:
        nanos, reason = parse_dollars(call.body.amount), clean_reason(call.body.reason)
        if not nanos:
            raise InvalidRequest("`amount` is USD such as `5.00`, and not zero.", param="amount")
        if not reason:
            raise InvalidRequest(
                f"`reason` must have 1 to {REASON_CHARACTERS_MAX} printable characters.",
                param="reason",
            )
        account_id = call.request.match_info["id"]
        if await self._disk.run(lambda: self._accounts.find(account_id)) is None:
            raise AccountNotFound("No account has this id; GET /api/admin/accounts lists all.")
        reference, now_ms = self._world.random(_REFERENCE_BYTES).hex(), self._world.wall_ms()
        transfer = grant(account_id, nanos, reference, now_ms, reason)
        try:
            await self._disk.run(lambda: self._book(transfer))
        except Overdrawn:
            raise InvalidRequest(
                "The account has not that much to take back.", param="amount"
            ) from None
        log.info(
            "account %s was granted %d nanos by %s", account_id, nanos, call.account.account_id
        )
        return await self._shown(account_id)


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


def cursor_number(text: str) -> int:
    """Return what the first part of a cursor says.

    Raises:
        InvalidRequest: If that is no number.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 18:  # noqa: PLR2004 -- what fits 64 bits
        raise InvalidRequest("`before` must be the `next` of the page before.", param="before")
    return int(text)


def _usage_facts(used: Used) -> UsageFacts:
    return UsageFacts(
        *used[:5],
        cost=format_dollars(used.cost_nanos),
        list_cost=format_dollars(used.list_nanos),
        cache_saved=format_dollars(used.cache_saved_nanos),
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
