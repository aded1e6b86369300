"""Buying credit: what is sold, orders, the notices of payment providers, refunds.

GET  /api/topups/options              what is sold, and who takes the money
POST /api/topups                      order; the answer says where to pay
GET  /api/topups                      one's orders
GET  /api/topups/{id}                 one of them
POST /api/topups/{id}/check           have the provider asked what has become of it
POST /api/webhooks/{provider}         a provider's notice
GET  /api/admin/topups                everybody's orders
POST /api/admin/topups/{id}/check     have the provider asked
POST /api/admin/topups/{id}/refund    give money back
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from tokenferry.domain.money import format_dollars
from tokenferry.domain.topup import Order, state_of
from tokenferry.domain.topup_rate import worth_of_paid
from tokenferry.engine.payments import Buyer, OrderFilter, Redirect
from tokenferry.engine.topups import TopUps
from tokenferry.errors import InvalidRequest, TopUpNotFound
from tokenferry.server import audit_log
from tokenferry.server.api_routes import Body, Call, Route
from tokenferry.server.request_body import read_body

# Stripe's largest events have some 100 kB.
NOTICE_BYTES_MAX = 512 * 1024
LISTED_MAX = 200
# ISO 4217; all that is sold here, and what else somebody may have paid in.
_NO_DIGITS = frozenset(
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split()  # noqa: SIM905 -- a table
)


class PackageFacts(Struct):
    """What can be bought at once: its price, and the credit in USD."""

    id: str
    currency: str
    amount: str
    credit: str


class SellerFacts(Struct):
    """Who takes the money, in which currencies; not `live` is a test."""

    name: str
    currencies: list[str]
    live: bool


class Options(Struct):
    """What is sold."""

    providers: list[SellerFacts]
    packages: list[PackageFacts]


class OrderWish(Body):
    """Which package, by whom."""

    provider: Annotated[str, Meta(max_length=64)]
    package: Annotated[str, Meta(max_length=64)]


class TopUpFacts(Struct):
    """An order. `credited` is what of its credit stands; minor units are the smallest there are."""

    id: str
    provider: str
    state: str
    currency: str
    amount: str
    amount_minor: int
    credit: str
    credited: str
    refunded_minor: int
    detail: str
    live: bool
    created: int
    expires: int


class NewTopUp(TopUpFacts, kw_only=True):
    """A new order, and where it is paid."""

    pay_url: str


class PaidFacts(Struct):
    """What was paid instead of what was ordered; `credit` is its worth at the order's rate."""

    currency: str
    amount: str
    amount_minor: int
    credit: str | None


class AnyTopUp(TopUpFacts, kw_only=True):
    """An order as administrators see it: whose, and how much of what was taken had been spent.

    `paid` is what was paid, where that is not what was ordered. `pending_minor` is being given
    back; `given_up_minor` was to be, and is not waited for any more; `late_minor` of it came
    all the same.
    """

    account: str
    payment: str | None
    disputed_minor: int
    lost: str
    paid: PaidFacts | None
    pending_minor: int
    given_up_minor: int
    late_minor: int


class TopUpPage(Body):
    """Which page of the list."""

    before: str | None = None
    limit: Annotated[int, Meta(ge=1, le=LISTED_MAX)] = 50


class AnyTopUpPage(TopUpPage):
    """Which page of the list, and whose."""

    account: str | None = None


class TopUpList(Struct):
    """Orders, newest first."""

    data: list[TopUpFacts]


class AnyTopUpList(Struct):
    """Everybody's orders, newest first; `next` asks for those before, null at the end."""

    data: list[AnyTopUp]
    next: str | None


class RefundAccount(Body):
    """A bank account, for payments that came from one."""

    bank: Annotated[str, Meta(min_length=1, max_length=64)]
    number: Annotated[str, Meta(min_length=1, max_length=64)]
    holder: Annotated[str, Meta(min_length=1, max_length=64)]


class Refund(Body):
    """How much is given back, in the currency's smallest unit, and, if need be, where to."""

    amount_minor: Annotated[int, Meta(ge=1)]
    account: RefundAccount | None = None


class Nothing(Body):
    """An empty object."""


class NoticeTaken(Struct):
    """That a notice need not be sent again."""

    status: str


class TopUpsApi:
    """The routes for buying credit.

    Args:
        topups: What does the work.
        pay_url: From an order's id to the page where it is paid.
        wall_ms: The wall clock, Unix time.
    """

    def __init__(
        self, topups: TopUps, pay_url: Callable[[str], str], wall_ms: Callable[[], int]
    ) -> None:
        self._topups = topups
        self._pay_url = pay_url
        self._wall_ms = wall_ms

    def routes(self) -> list[Route]:
        """Return the routes."""
        one, any_one = "/api/topups/{id}", "/api/admin/topups/{id}"
        return [
            Route("GET", "/api/topups/options", self._options, "What is sold",
                  answer=Options, access="anyone"),
            Route("POST", "/api/topups", self._create, "Order credit",
                  body=OrderWish, answer=NewTopUp, status=201),
            Route("GET", "/api/topups", self._list, "List one's orders",
                  query=TopUpPage, answer=TopUpList),
            Route("GET", one, self._show, "Show an order", answer=TopUpFacts),
            Route("POST", f"{one}/check", self._check, "Have the provider asked about an order",
                  body=Nothing, answer=TopUpFacts),
            Route("POST", "/api/webhooks/{provider}", self._notice, "Take a provider's notice",
                  answer=NoticeTaken, access="anyone"),
            Route("GET", "/api/admin/topups", self._list_any, "List everybody's orders",
                  query=AnyTopUpPage, answer=AnyTopUpList, access="admin"),
            Route("POST", f"{any_one}/check", self._check_any,
                  "Have the provider asked about any order",
                  body=Nothing, answer=AnyTopUp, access="admin"),
            Route("POST", f"{any_one}/refund", self._refund, "Give money back",
                  body=Refund, answer=AnyTopUp, access="admin"),
        ]  # fmt: skip

    async def _options(self, _: Call[Any]) -> Options:
        shop = self._topups.shop
        return Options(
            [
                SellerFacts(seller.name, sorted(seller.currencies), seller.live)
                for seller in shop.providers.values()
            ],
            [
                PackageFacts(
                    package.package_id,
                    package.currency,
                    format_minor(package.currency, package.amount_minor),
                    format_dollars(package.credit_nanos),
                )
                for package in shop.packages.values()
            ],
        )

    async def _create(self, call: Call[OrderWish]) -> NewTopUp:
        account = call.account
        buyer = Buyer(account.account_id, account.email, account.language)
        order, begun = await self._topups.create(buyer, call.body.provider, call.body.package)
        url = begun.url if isinstance(begun, Redirect) else self._pay_url(order.order_id)
        return NewTopUp(**_facts(order), pay_url=url)

    async def _list(self, call: Call[Any]) -> TopUpList:
        page: TopUpPage = call.query
        wanted = OrderFilter(call.account.account_id, page.before, page.limit)
        return TopUpList([TopUpFacts(**_facts(o)) for o in await self._topups.listing(wanted)])

    async def _show(self, call: Call[Any]) -> TopUpFacts:
        return TopUpFacts(**_facts(await self._own(call)))

    async def _check(self, call: Call[Nothing]) -> TopUpFacts:
        order = await self._own(call)
        settled = await self._topups.returned(order.provider, order.order_id, None)
        return TopUpFacts(**_facts(settled))

    async def _own(self, call: Call[Any]) -> Order:
        order = await self._topups.find(call.request.match_info["id"])
        if order.account_id != call.account.account_id:
            raise TopUpNotFound("There is no such top-up. GET /api/topups lists yours.")
        return order

    async def _notice(self, call: Call[Any]) -> NoticeTaken:
        request = call.request
        headers = {name.lower(): value for name, value in request.headers.items()}
        await self._topups.notice(request.match_info["provider"], headers, await _read(request))
        # With 200 and nothing else: after another 2xx, Toss sends it again.
        return NoticeTaken("taken")

    async def _list_any(self, call: Call[Any]) -> AnyTopUpList:
        page: AnyTopUpPage = call.query
        wanted = OrderFilter(page.account, page.before, page.limit)
        orders = await self._topups.listing(wanted)
        more = orders[-1].order_id if len(orders) == page.limit else None
        return AnyTopUpList([any_topup(order) for order in orders], more)

    async def _check_any(self, call: Call[Nothing]) -> AnyTopUp:
        return any_topup(await self._topups.settle(call.request.match_info["id"]))

    async def _refund(self, call: Call[Refund]) -> AnyTopUp:
        body, order_id = call.body, call.request.match_info["id"]
        account = "" if body.account is None else msgspec.json.encode(body.account).decode()
        order = await self._topups.find(order_id)
        entry = audit_log.entry_of(
            call,
            self._wall_ms(),
            "topup.refund",
            order_id,
            account=order.account_id,
            amount_minor=body.amount_minor,
            currency=order.real_currency,
        )
        refunded = await self._topups.refund(
            order_id, body.amount_minor, account, entry, lambda: audit_log.tell(entry)
        )
        return any_topup(refunded)


def format_minor(currency: str, minor: int) -> str:
    """Return an amount as a decimal text in its currency."""
    digits = 0 if currency in _NO_DIGITS else 2
    whole, fraction = divmod(minor, 10**digits)
    return f"{whole}.{fraction:0{digits}d}" if digits else str(whole)


async def _read(request: web.Request) -> bytes:
    """Read a notice.

    Raises:
        InvalidRequest: If it is compressed, so that its signature could not be checked.
        PayloadTooLarge: If it is too long.
        RequestTooSlow: If it does not come in time.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise InvalidRequest("Send the notice as it was signed.", param="Content-Encoding")
    return await read_body(request, NOTICE_BYTES_MAX, ".")


def _facts(order: Order) -> dict[str, Any]:
    # Until somebody accepts what was paid instead, an order is about what was ordered.
    is_accepted = order.accepted_nanos is not None
    currency = order.real_currency if is_accepted else order.currency
    minor = order.real_minor if is_accepted else order.amount_minor
    return {
        "id": order.order_id,
        "provider": order.provider,
        "state": state_of(order),
        "currency": currency,
        "amount": format_minor(currency, minor),
        "amount_minor": minor,
        "credit": format_dollars(order.worth_nanos),
        "credited": format_dollars(order.standing_nanos),
        "refunded_minor": order.refunded_minor,
        "detail": order.detail,
        "live": order.live,
        "created": order.created_ms // 1000,
        "expires": order.expires_ms // 1000,
    }


def any_topup(order: Order) -> AnyTopUp:
    """Return an order as administrators see it."""
    return AnyTopUp(
        **_facts(order),
        account=order.account_id,
        payment=order.payment_ref,
        disputed_minor=order.disputed_minor,
        lost=format_dollars(order.short_nanos),
        paid=_paid(order) if order.paid_currency else None,
        pending_minor=order.pending_minor,
        given_up_minor=order.given_up_minor,
        late_minor=order.late_minor,
    )


def _paid(order: Order) -> PaidFacts:
    worth = worth_of_paid(order)
    return PaidFacts(
        order.paid_currency,
        format_minor(order.paid_currency, order.paid_minor),
        order.paid_minor,
        None if worth is None else format_dollars(worth),
    )
