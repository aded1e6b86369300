"""The rules of the books: transfers, reservations, charges, and when a reservation is refused.

Double entry: a transfer debits one book and credits another. `account:ID` is what the gateway owes
to an account; it is credited when credit is given or paid for, and debited when it is used.

Source: docs/decisions/0010-money.md; the two-phase transfers of TigerBeetle's documentation
(pending, then post or void or expire), November 2026.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

OPERATOR = "operator"
REVENUE = "revenue"
SHORTFALL = "shortfall"
ISSUED_SIGNUP = "issued:signup"
ISSUED_GRANT = "issued:grant"
ISSUED_VOUCHER = "issued:voucher"
# Of one side of a book: what SQLite adds beyond 64 bits is a float. Some 4.6 billion dollars.
BOOK_NANOS_MAX = 2**62

TransferKind = Literal[
    "signup",
    "grant",
    "withdrawal",
    "voucher",
    "topup",
    "refund",
    "chargeback",
    "usage",
    "shortfall",
]


def account_book(account_id: str) -> str:
    """Return the name of an account's book."""
    return f"account:{account_id}"


def paid_book(provider: str) -> str:
    """Return the name of the book of what came through a payment provider."""
    return f"paid:{provider}"


def may_be_overdrawn(book: str) -> bool:
    """Return whether a book may be below zero: the gateway's own ones, and the operator's."""
    return not book.startswith("account:") or book == account_book(OPERATOR)


class Transfer(NamedTuple):
    """One entry.

    Attributes:
        kind: What for.
        reference: Which one of its kind; it is booked once.
        debit: The book that loses.
        credit: The book that gains.
        amount_nanos: How much; above zero.
        created_ms: Unix time.
        note: For people.
    """

    kind: TransferKind
    reference: str
    debit: str
    credit: str
    amount_nanos: int
    created_ms: int
    note: str = ""


def grant(account_id: str, nanos: int, reference: str, now_ms: int, reason: str) -> Transfer:
    """Return the entry for credit that the operator gives, or, below zero, takes back.

    Args:
        account_id: Whose it is.
        nanos: How much; not zero.
        reference: Nobody else's.
        now_ms: Unix time.
        reason: For the books.
    """
    book = account_book(account_id)
    if nanos > 0:
        return Transfer("grant", reference, ISSUED_GRANT, book, nanos, now_ms, reason)
    return Transfer("withdrawal", reference, book, ISSUED_GRANT, -nanos, now_ms, reason)


class Funds(NamedTuple):
    """What a reservation is decided on.

    Attributes:
        free_nanos: The account's balance less what is held of it; None where nothing limits it.
        budget_free_nanos: What is left of the key's month; None without a budget.
    """

    free_nanos: int | None
    budget_free_nanos: int | None


class Refusal(NamedTuple):
    """Why nothing is reserved.

    Attributes:
        reason: Which limit stands in the way.
        needed_nanos: The least that would do.
        free_nanos: What there is.
    """

    reason: Literal["budget_exceeded", "insufficient_credit"]
    needed_nanos: int
    free_nanos: int


def reserve(funds: Funds, wanted_nanos: int, least_nanos: int) -> int | Refusal:
    """Return how much is reserved: what is wanted, or what there is, if that is at least `least`.

    In this order: the key's budget, then the account's credit. The budget comes first since
    topping up would not help.

    Args:
        funds: What there is.
        wanted_nanos: The most that the stream may cost.
        least_nanos: The least that is worth beginning with; at most `wanted_nanos`.
    """
    limits = [wanted_nanos]
    if funds.budget_free_nanos is not None:
        limits.append(max(0, funds.budget_free_nanos))
        if limits[-1] < least_nanos:
            return Refusal("budget_exceeded", least_nanos, limits[-1])
    if funds.free_nanos is not None:
        limits.append(max(0, funds.free_nanos))
        if limits[-1] < least_nanos:
            return Refusal("insufficient_credit", least_nanos, limits[-1])
    return min(limits)


class Split(NamedTuple):
    """Where the amount of a charge comes from.

    Attributes:
        paid_nanos: What the account pays.
        shortfall_nanos: What it has no credit for.
    """

    paid_nanos: int
    shortfall_nanos: int


def split(cost_nanos: int, held_nanos: int, free_nanos: int | None) -> Split:
    """Return what an account pays of a cost: from the reservation, then from its free credit.

    Args:
        cost_nanos: The cost.
        held_nanos: The stream's reservation, which is free again with the charge.
        free_nanos: The balance less everything held; None where nothing limits it.
    """
    if free_nanos is None:
        return Split(cost_nanos, 0)
    paid = min(cost_nanos, held_nanos + max(0, free_nanos))
    return Split(paid, cost_nanos - paid)


def usage_transfers(
    stream_id: str, account_id: str, cost_split: Split, now_ms: int
) -> Sequence[Transfer]:
    """Return the entries of a charge: none if it cost nothing."""
    transfers = []
    if cost_split.paid_nanos:
        transfers.append(
            Transfer(
                "usage",
                stream_id,
                account_book(account_id),
                REVENUE,
                cost_split.paid_nanos,
                now_ms,
            )
        )
    if cost_split.shortfall_nanos:
        note = account_book(account_id)
        transfers.append(
            Transfer(
                "shortfall",
                stream_id,
                SHORTFALL,
                REVENUE,
                cost_split.shortfall_nanos,
                now_ms,
                note,
            )
        )
    return transfers


class Charge(NamedTuple):
    """What one stream used and costs: one row of the bill. It is booked once for its stream.

    Attributes:
        stream_id: The stream.
        account_id: Who pays.
        key_id: Public id of the key that asked.
        model: What the client asked for.
        provider: Who served it.
        provider_model: The provider's own name for the model.
        created_ms: Unix time of the request.
        ended_ms: Unix time of its end.
        prompt_tokens: See `Usage`; so are the next four.
        cached_tokens: See `Usage`.
        cache_write_tokens: See `Usage`.
        completion_tokens: See `Usage`.
        reasoning_tokens: See `Usage`.
        estimated: Whether we counted ourselves.
        cost_nanos: What it costs; None where no price is known.
        list_nanos: The same at the list price.
        cache_saved_nanos: How much more it were without the provider's cache.
        finish: How it ended.
        error_code: The error's kind, when it ended in one.
        attempts: Providers that were called.
        first_token_ms: From the request to the first token; None when there was none.
        duration_ms: From the request to the end.
        tries: The calls that were made, a JSON array of `Try`s; empty if it is not known.
    """

    stream_id: str
    account_id: str
    key_id: str
    model: str
    provider: str
    provider_model: str
    created_ms: int
    ended_ms: int
    prompt_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    estimated: bool
    cost_nanos: int | None
    list_nanos: int | None
    cache_saved_nanos: int
    finish: str
    error_code: str | None
    attempts: int
    first_token_ms: int | None
    duration_ms: int
    tries: str = ""
