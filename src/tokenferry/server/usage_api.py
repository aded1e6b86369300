"""What an account has, what it used, and what was booked.

    GET /api/balance    its credit
    GET /api/usage      what it used, by day, model or key, and what the same costs elsewhere
    GET /api/requests   its requests, one by one
    GET /api/ledger     its transfers, one by one
    POST /api/admin/accounts/{id}/grants   credit from the operator, with a reason

Amounts are decimal USD. Days are those of UTC.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from tokenferry.domain.account import REASON_CHARACTERS_MAX, clean_reason
from tokenferry.domain.ledger import Charge, Transfer, account_book, grant
from tokenferry.domain.money import format_dollars, parse_dollars
from tokenferry.domain.routing import Try
from tokenferry.engine.accounts import AccountStore
from tokenferry.engine.ledger import Overdrawn
from tokenferry.engine.links import World
from tokenferry.engine.statement import Grouping, Only, Statements, Used
from tokenferry.engine.workers import Workers
from tokenferry.errors import AccountNotFound, InvalidRequest
from tokenferry.server.api_routes import Body, Call, Route

log = logging.getLogger(__name__)

PAGE_MAX = 500
DAYS_MAX = 3_660
DAYS_DEFAULT = 30
MS_PER_S = 1000
_REFERENCE_BYTES = 12

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


class TryFacts(Struct):
    """One call of a provider.

    `outcome` is `ok`, `cancelled`, `slower` (another call was first) or an error's kind.
    """

    provider: str
    model: str
    outcome: str
    duration_ms: int


class RequestFacts(Struct):
    """One request; `cost` is null where no price is known.

    `tries` are the calls that it took, in order; none for a request of before they were kept.
    """

    stream_id: str
    key: str
    model: str
    provider: str
    created: int
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


class RequestList(Struct):
    """Requests, the newest first; `next` asks for those before, null at the end."""

    data: list[RequestFacts]
    next: str | None


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
            Route("GET", "/api/requests", self._requests, "List requests",
                  query=Page, answer=RequestList),
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
        from_ms, until_ms = _moments(span, self._world.wall_ms())
        only = Only(span.model, span.key)
        rows = await self._disk.run(
            lambda: self._statements.used(account_id, from_ms, until_ms, span.by, only)
        )
        return UsageList(span.by, [_usage_facts(row) for row in rows])

    async def _requests(self, call: Call[Any]) -> RequestList:
        page: Page = call.query
        account_id = call.account.account_id
        before = _before_charge(page.before)
        rows = await self._disk.run(
            lambda: self._statements.charges(account_id, page.limit, before)
        )
        more = f"{rows[-1].ended_ms}.{rows[-1].stream_id}" if len(rows) == page.limit else None
        return RequestList([_request_facts(row) for row in rows], more)

    async def _transfers(self, call: Call[Any]) -> TransferList:
        page: Page = call.query
        account_id = call.account.account_id
        before = _number(page.before) if page.before else None
        rows = await self._disk.run(
            lambda: self._statements.transfers(account_id, page.limit, before)
        )
        more = str(rows[-1][0]) if len(rows) == page.limit else None
        book = account_book(account_id)
        return TransferList([_transfer_facts(*row, book) for row in rows], more)

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


def _moments(span: Span, now_ms: int) -> tuple[int, int]:
    """Return the first moment of a span, and the first one after it."""
    today = datetime.fromtimestamp(now_ms // MS_PER_S, UTC).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    last = _day(span.to, "to") if span.to else today
    first = _day(span.from_, "from") if span.from_ else last - timedelta(days=DAYS_DEFAULT - 1)
    if not 0 <= (last - first).days < DAYS_MAX:
        raise InvalidRequest(
            f"`from` must be a day before `to`, {DAYS_MAX} days at most.", param="from"
        )
    after = last + timedelta(days=1)
    return round(first.timestamp()) * MS_PER_S, round(after.timestamp()) * MS_PER_S


def _day(text: str, name: str) -> datetime:
    try:
        # The last day of all would have none after it.
        return min(datetime.fromisoformat(text), datetime(9999, 12, 30)).replace(tzinfo=UTC)  # noqa: DTZ001 -- compared with one that has none either
    except ValueError:
        raise InvalidRequest(f"`{name}` is no day; write 2026-11-27.", param=name) from None


def _before_charge(cursor: str) -> tuple[int, str] | None:
    if not cursor:
        return None
    moment, _, stream_id = cursor.partition(".")
    return _number(moment), stream_id


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:  # noqa: PLR2004 -- what fits 64 bits
        raise InvalidRequest("`before` must be the `next` of the page before.", param="before")
    return int(text)


def _usage_facts(used: Used) -> UsageFacts:
    return UsageFacts(
        *used[:5],
        cost=format_dollars(used.cost_nanos),
        list_cost=format_dollars(used.list_nanos),
        cache_saved=format_dollars(used.cache_saved_nanos),
        failed=used.failed,
        unpriced=used.unpriced,
    )


def _request_facts(charge: Charge) -> RequestFacts:
    return RequestFacts(
        stream_id=charge.stream_id,
        key=charge.key_id,
        model=charge.model,
        provider=charge.provider,
        created=charge.created_ms // MS_PER_S,
        finish_reason=charge.finish,
        error_code=charge.error_code,
        prompt_tokens=charge.prompt_tokens,
        cached_tokens=charge.cached_tokens,
        completion_tokens=charge.completion_tokens,
        reasoning_tokens=charge.reasoning_tokens,
        estimated=bool(charge.estimated),
        cost=None if charge.cost_nanos is None else format_dollars(charge.cost_nanos),
        list_cost=None if charge.list_nanos is None else format_dollars(charge.list_nanos),
        first_token_ms=charge.first_token_ms,
        duration_ms=charge.duration_ms,
        attempts=charge.attempts,
        tries=[TryFacts(*call) for call in _tries(charge)],
    )


def _tries(charge: Charge) -> list[Try]:
    return msgspec.json.decode(charge.tries, type=list[Try]) if charge.tries else []


def _transfer_facts(number: int, transfer: Transfer, book: str) -> TransferFacts:
    sign = 1 if transfer.credit == book else -1
    return TransferFacts(
        number,
        transfer.kind,
        transfer.reference,
        format_dollars(sign * transfer.amount_nanos),
        transfer.created_ms // MS_PER_S,
        transfer.note,
    )
