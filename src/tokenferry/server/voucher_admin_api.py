"""Vouchers, for administrators.

GET  /api/admin/vouchers   which there are, without their codes
POST /api/admin/vouchers   make some; the answer alone has their codes

A day begins in UTC.
"""

from datetime import date
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from tokenferry.config.prices import day_ms
from tokenferry.domain.money import format_dollars
from tokenferry.engine.links import World
from tokenferry.engine.vouchers import (
    BATCH_CHARACTERS_MAX,
    NewVoucher,
    VoucherRow,
    VoucherStore,
    new_vouchers,
    wanted_voucher,
)
from tokenferry.engine.workers import Workers
from tokenferry.errors import InvalidRequest
from tokenferry.server import audit_log
from tokenferry.server.api_routes import Body, Call, Route
from tokenferry.server.cursors import cursor_of, moment_of

PAGE_MAX = 500
# Of one request: what a page can show, and some ten milliseconds of the disk's thread.
MADE_MAX = 1_000
MS_PER_S = 1000

Batch = Annotated[str, Meta(min_length=1, max_length=BATCH_CHARACTERS_MAX)]


class NewVouchers(Body):
    """Vouchers to be made: what each is worth in USD, how many, for what, until which day."""

    amount: Annotated[str, Meta(max_length=30)]
    batch: Batch
    count: Annotated[int, Meta(ge=1, le=MADE_MAX)] = 1
    expires: (
        Annotated[
            str,
            Meta(
                pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
                description="The first day, in UTC, on which they are worth nothing.",
            ),
        ]
        | None
    ) = None


class MadeVouchers(Struct):
    """The codes of new vouchers. They are shown this once."""

    codes: list[str]
    amount: str
    batch: str
    expires: int | None


class VoucherFacts(Struct):
    """A voucher, without its code; `account` has redeemed it."""

    id: str
    batch: str
    amount: str
    state: Literal["good", "redeemed", "expired"]
    created: int
    expires: int | None
    redeemed: int | None
    account: str | None


class VoucherPage(Body):
    """Which part of the list, and of which batch."""

    batch: Annotated[str, Meta(max_length=BATCH_CHARACTERS_MAX)] | None = None
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = 100
    before: Annotated[str, Meta(max_length=100, description="The `next` of the page before.")] = ""


class VoucherList(Struct):
    """Vouchers, the newest first; `next` asks for those before, null at the end."""

    data: list[VoucherFacts]
    next: str | None


class VoucherAdminApi:
    """The routes of vouchers for administrators.

    Args:
        store: Where they are.
        disk: The thread that uses it.
        world: Clock and dice.
    """

    def __init__(self, store: VoucherStore, disk: Workers, world: World) -> None:
        self._store = store
        self._disk = disk
        self._world = world

    def routes(self) -> list[Route]:
        """Return the routes."""
        path = "/api/admin/vouchers"
        return [
            Route("GET", path, self._list, "List vouchers",
                  query=VoucherPage, answer=VoucherList, access="admin"),
            Route("POST", path, self._make, "Make vouchers",
                  body=NewVouchers, answer=MadeVouchers, status=201, access="admin"),
        ]  # fmt: skip

    async def _list(self, call: Call[Any]) -> VoucherList:
        page: VoucherPage = call.query
        before = moment_of(page.before)
        rows = await self._disk.run(
            lambda: self._store.latest(page.batch or None, page.limit, before)
        )
        now_ms = self._world.wall_ms()
        last = rows[-1] if len(rows) == page.limit else None
        return VoucherList(
            [_facts(row, now_ms) for row in rows],
            None if last is None else cursor_of(last.created_ms, last.voucher_id),
        )

    async def _make(self, call: Call[NewVouchers]) -> MadeVouchers:
        body = call.body
        now_ms = self._world.wall_ms()
        wanted = _wanted(body, now_ms)
        amount = format_dollars(wanted.amount_nanos)
        entry = audit_log.entry_of(
            call, now_ms, "vouchers.make", wanted.batch, count=body.count, amount=amount
        )
        codes = await self._disk.run(
            lambda: new_vouchers(self._store, wanted, body.count, self._world.random, entry)
        )
        audit_log.tell(entry)
        return MadeVouchers(codes, amount, wanted.batch, _seconds(wanted.expires_ms))


def _wanted(body: NewVouchers, now_ms: int) -> NewVoucher:
    try:
        expires_ms = None if body.expires is None else day_ms(date.fromisoformat(body.expires))
    except ValueError:
        raise InvalidRequest("`expires` is no day; write 2027-01-01.", param="expires") from None
    try:
        return wanted_voucher(body.amount, body.batch, now_ms, expires_ms)
    except ValueError as exc:
        field, reason = exc.args
        raise InvalidRequest(f"`{field}`: {reason}.", param=field) from None


def _seconds(moment_ms: int | None) -> int | None:
    return None if moment_ms is None else moment_ms // MS_PER_S


def _facts(row: VoucherRow, now_ms: int) -> VoucherFacts:
    state: Literal["good", "redeemed", "expired"] = "good"
    if row.redeemed_ms is not None:
        state = "redeemed"
    elif row.expires_ms is not None and row.expires_ms <= now_ms:
        state = "expired"
    return VoucherFacts(
        row.voucher_id,
        row.batch,
        format_dollars(row.amount_nanos),
        state,
        row.created_ms // MS_PER_S,
        _seconds(row.expires_ms),
        _seconds(row.redeemed_ms),
        row.account_id,
    )
