"""The rules of buying credit: what an order is worth, and what of it stands.

An order is settled from what its provider says of the payment *now*, never from what has happened
since: of the payment's state follows how much of the order's credit should stand, and the
difference to what stands is booked. It does not matter, therefore, which notices came, how often
and in which order; and a refund, a dispute and a dispute that was won need no rules of their own.

What is taken back of credit that was spent already is the gateway's loss (`shortfall`). It is made
good first when something is given back.

Source: docs/decisions/0011-payments.md.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from tokenferry.domain.ledger import SHORTFALL, Transfer, account_book, paid_book

Currency = Literal["USD", "KRW"]
# Letters and digits alone: KCP, KPN and Smartro, which stand behind PortOne, refuse others.
# Orders of earlier versions begin with `tu_`.
ID_PREFIX = "tu"
ID_BYTES = 12

# `open`: nobody has paid. `waiting`: an account to pay into was given. `paid`: it was paid, what
# became of it later is in the amounts. `failed`, `expired`: nothing came, nobody asks any more.
# `review`: something was paid that is not what was ordered; a person has to look. `closed`: a
# person has looked, and settled it elsewhere.
Status = Literal["open", "waiting", "paid", "failed", "expired", "review", "closed"]
# The same with what became of the money, for people.
State = Literal[
    "open",
    "waiting",
    "paid",
    "failed",
    "expired",
    "review",
    "closed",
    "refunding",
    "partly_refunded",
    "refunded",
    "disputed",
]


class Order(NamedTuple):
    """Somebody wants to buy credit. What is agreed on is written before anybody can pay.

    Attributes:
        order_id: Names it, also at the provider.
        account_id: Who gets the credit.
        provider: Who takes the money; nobody else can settle the order.
        currency: What is paid in.
        amount_minor: What is paid, in the currency's smallest unit.
        credit_nanos: What it is worth; above zero.
        live: Whether it is about real money.
        note: The rate, for the books.
        created_ms: Unix time.
        expires_ms: Until when the provider takes the payment; one that comes later counts, too.
        status: See `Status`.
        detail: Why it failed, or what is wrong with it; for people.
        payment_ref: The provider's name for the payment, once it is known.
        secret: What the provider's notices must say; None where it gave none.
        refunded_minor: How much the provider has given back.
        disputed_minor: How much is taken back by banks.
        pending_minor: How much the provider is being asked to give back: it is taken already.
        refunds: How many times it was asked; the number of the pending one.
        refund_account: Where the pending refund goes, if not whence the payment came: a JSON
            object with `bank`, `number`, `holder`; empty otherwise.
        taken_nanos: How much of the credit does not stand any more.
        short_nanos: The part of that which the account had spent.
        moves: How many transfers were booked for it.
        revision: Grows with every change.
        paid_currency: What was paid in, where that is not what was ordered; empty otherwise.
        paid_minor: How much of it; zero for test money.
        accepted_nanos: What a person gives for it; None while nobody has said so.
        pending_ms: When the pending refund was asked for, Unix time.
        given_up_minor: How much was asked to be given back, and is not waited for any more.
        given_up_ms: When that was said last, Unix time.
        late_minor: How much of it the provider has given back all the same.
    """

    order_id: str
    account_id: str
    provider: str
    currency: Currency
    amount_minor: int
    credit_nanos: int
    live: bool
    note: str
    created_ms: int
    expires_ms: int
    status: Status = "open"
    detail: str = ""
    payment_ref: str | None = None
    secret: str | None = None
    refunded_minor: int = 0
    disputed_minor: int = 0
    pending_minor: int = 0
    refunds: int = 0
    refund_account: str = ""
    taken_nanos: int = 0
    short_nanos: int = 0
    moves: int = 0
    revision: int = 0
    paid_currency: str = ""
    paid_minor: int = 0
    accepted_nanos: int | None = None
    pending_ms: int = 0
    given_up_minor: int = 0
    given_up_ms: int = 0
    late_minor: int = 0

    @property
    def real_currency(self) -> str:
        """What was paid in, or is to be."""
        return self.paid_currency or self.currency

    @property
    def real_minor(self) -> int:
        """What was paid, or is to be."""
        return self.paid_minor if self.paid_currency else self.amount_minor

    @property
    def left_minor(self) -> int:
        """What is left of the payment at the operator."""
        return max(0, self.real_minor - self.refunded_minor - self.disputed_minor)

    @property
    def worth_nanos(self) -> int:
        """What the whole payment is worth."""
        return self.credit_nanos if self.accepted_nanos is None else self.accepted_nanos

    @property
    def was_credited(self) -> bool:
        """Whether its credit was booked once; `taken_nanos` says what was taken back."""
        return self.moves > 0

    @property
    def standing_nanos(self) -> int:
        """How much of the credit stands."""
        return self.worth_nanos - self.taken_nanos if self.was_credited else 0


class Payment(NamedTuple):
    """What a provider says of an order's payment.

    Attributes:
        status: `open`: nobody has paid yet. `waiting`: an account to pay into was given, and
            nothing has come, or went back. `paid`: it was; see the amounts. `failed`: it was not,
            and will not be.
        currency: In capitals; empty unless paid.
        amount_minor: What was paid in all.
        refunded_minor: What of it was given back.
        disputed_minor: What of it banks took back, and have not given back.
        live: Whether it is real money.
        payment_ref: The provider's name for it; None if it is not known.
        secret: What the provider's notices will say; None where it gives none.
        detail: Why it failed, for people.
    """

    status: Literal["open", "waiting", "paid", "failed"]
    currency: str = ""
    amount_minor: int = 0
    refunded_minor: int = 0
    disputed_minor: int = 0
    live: bool = True
    payment_ref: str | None = None
    secret: str | None = None
    detail: str = ""


class Settled(NamedTuple):
    """What an order becomes, and what is booked for it.

    Attributes:
        order: The order, its revision grown if anything changed.
        transfers: The entries.
        lost_to_bank: Whether a bank took back credit that was spent already.
    """

    order: Order
    transfers: Sequence[Transfer]
    lost_to_bank: bool


def state_of(order: Order) -> State:
    """Return an order's state for people."""
    if order.status not in ("paid", "review"):
        return order.status
    if order.disputed_minor and order.status == "paid":
        return "disputed"
    if order.pending_minor:
        return "refunding"
    if order.refunded_minor >= order.real_minor > 0:
        return "refunded"
    if order.status == "review":
        return "review"
    return "partly_refunded" if order.refunded_minor else "paid"


def settle(
    order: Order, payment: Payment, free_nanos: int | None, now_ms: int, made_minor: int = 0
) -> Settled:
    """Return what becomes of an order, from what its provider says of the payment now.

    Args:
        order: The order, as it is stored.
        payment: What the provider says, asked after the order was read.
        free_nanos: What of the account's credit is not held; None where nothing limits it.
        now_ms: Unix time.
        made_minor: What the provider has just been found to have given back as it was asked to.
    """
    known = order._replace(
        payment_ref=payment.payment_ref or order.payment_ref, secret=payment.secret or order.secret
    )
    books = Books(known, free_nanos, now_ms)
    if order.status == "closed":
        _see_closed(books, payment)
    elif payment.status == "paid":
        _settle_paid(books, payment, made_minor)
    elif payment.status == "waiting":
        # What was deposited can go back to whom it came from: then nothing was paid after all.
        books.change(status="waiting", detail="")
        _forget_paid(books)
        books.reach(0, "refund")
    elif not order.was_credited and order.status not in ("review", "expired"):
        # Of what was paid, a provider that says so later is wrong; and what it says of an order
        # that is over already is nothing new.
        books.change(status=payment.status, detail=payment.detail)
    if books.order.status == "paid":
        books.reach(target(books.order), "refund")
    return books.settled(order)


def expire(order: Order) -> Order:
    """Return an order that nobody asks the provider for any more; a payment still counts."""
    if order.status not in ("open", "waiting") or order.was_credited:
        return order
    return order._replace(status="expired", revision=order.revision + 1)


def _settle_paid(books: "Books", payment: Payment, made_minor: int) -> None:
    problem = _mismatch(books.order, payment)
    if problem:
        # What was credited stays so until a person has looked; a later answer may be better.
        if not books.order.was_credited:
            books.change(
                status="review",
                paid_currency=payment.currency,
                # Test money is none.
                paid_minor=payment.amount_minor if payment.live or not books.order.live else 0,
                disputed_minor=payment.disputed_minor,
            )
            _see_refunds(books, payment, made_minor)
        books.change(detail=problem)
        return
    books.change(status="paid", detail="")
    _forget_paid(books)
    _see_refunds(books, payment, made_minor)
    books.reach(target(books.order), "refund")
    books.change(disputed_minor=payment.disputed_minor)
    books.reach(target(books.order), "chargeback")


def _forget_paid(books: "Books") -> None:
    if books.order.accepted_nanos is None:
        books.change(paid_currency="", paid_minor=0)


def _see_refunds(books: "Books", payment: Payment, made_minor: int) -> None:
    """Take over how much was given back; what nobody waits for any more is counted."""
    order = books.order
    unasked = payment.refunded_minor - order.refunded_minor - made_minor
    late = min(order.given_up_minor, max(0, unasked))
    books.change(
        refunded_minor=payment.refunded_minor,
        given_up_minor=order.given_up_minor - late,
        late_minor=order.late_minor + late,
    )


def _see_closed(books: "Books", payment: Payment) -> None:
    """Note what a provider says of an order that was settled elsewhere; nothing is booked."""
    if payment.status != "paid":
        return
    order = books.order
    said = (payment.currency, payment.amount_minor if payment.live or not order.live else 0)
    if not order.paid_currency:
        # It was closed before anybody knew how much was paid.
        books.change(paid_currency=said[0], paid_minor=said[1])
    elif said != (order.paid_currency, order.paid_minor):
        books.change(detail=f"after it was closed, the provider says: paid {said[1]} {said[0]}")
    _see_refunds(books, payment, 0)
    books.change(disputed_minor=payment.disputed_minor)


def _mismatch(order: Order, payment: Payment) -> str:
    wanted = order.real_minor, order.real_currency
    if order.accepted_nanos is None:
        wanted = order.amount_minor, order.currency
    minor, currency = wanted
    if payment.currency != currency:
        return f"paid in {payment.currency}, not in {currency}"
    if payment.amount_minor != minor:
        return f"paid {payment.amount_minor}, not {minor} {currency}"
    if order.live and not payment.live:
        return "paid with test money"
    return ""


def target(order: Order) -> int:
    """Return how much of a paid order's credit should stand."""
    left = max(0, order.left_minor - order.pending_minor)
    return order.worth_nanos * left // order.real_minor


class Books:
    """An order while it is settled, and the entries for it."""

    def __init__(self, order: Order, free_nanos: int | None, now_ms: int) -> None:
        self.order = order
        self._free = free_nanos
        self._now_ms = now_ms
        self._transfers: list[Transfer] = []
        self._lost_to_bank = False

    def change(self, **columns: object) -> None:
        """Change columns of the order."""
        self.order = self.order._replace(**columns)  # type: ignore[arg-type]

    def reach(self, wanted: int, kind: Literal["refund", "chargeback"]) -> None:
        """Book what is between what stands and what should; `kind` is why anything is taken."""
        order = self.order
        standing = order.standing_nanos
        paid, account = paid_book(order.provider), account_book(order.account_id)
        if wanted > standing:
            to_short = min(order.short_nanos, wanted - standing)
            # In this order, so that the account is never credited with what it owes.
            self._book("topup", paid, SHORTFALL, to_short)
            self._book("topup", paid, account, wanted - standing - to_short)
            if self._free is not None:
                self._free += wanted - standing - to_short
            self.change(
                taken_nanos=order.worth_nanos - wanted, short_nanos=order.short_nanos - to_short
            )
        elif wanted < standing:
            taken = standing - wanted
            from_account = taken if self._free is None else min(taken, max(0, self._free))
            self._book(kind, account, paid, from_account)
            self._book(kind, SHORTFALL, paid, taken - from_account)
            if self._free is not None:
                self._free -= from_account
            self._lost_to_bank |= kind == "chargeback" and from_account < taken
            self.change(
                taken_nanos=order.worth_nanos - wanted,
                short_nanos=order.short_nanos + taken - from_account,
            )

    def settled(self, before: Order) -> Settled:
        """Return what it has come to."""
        if self.order != before:
            self.change(revision=before.revision + 1)
        return Settled(self.order, self._transfers, self._lost_to_bank)

    def _book(
        self, kind: Literal["topup", "refund", "chargeback"], debit: str, credit: str, nanos: int
    ) -> None:
        if not nanos:
            return
        order = self.order
        self._transfers.append(
            Transfer(
                kind,
                f"{order.provider}:{order.order_id}:{order.moves}",
                debit,
                credit,
                nanos,
                self._now_ms,
                order.note,
            )
        )
        self.change(moves=order.moves + 1)
