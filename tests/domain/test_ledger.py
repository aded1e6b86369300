import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.ledger import (
    REVENUE,
    SHORTFALL,
    Funds,
    Refusal,
    Split,
    grant,
    may_be_overdrawn,
    reserve,
    split,
    usage_transfers,
)


@pytest.mark.parametrize(
    ("funds", "wanted", "least", "decision"),
    [
        (Funds(None, None), 10, 10, 10),
        (Funds(10, None), 10, 10, 10),
        (Funds(9, None), 10, 10, Refusal("insufficient_credit", 10, 9)),
        (Funds(9, None), 10, 3, 9),
        (Funds(2, None), 10, 3, Refusal("insufficient_credit", 3, 2)),
        (Funds(-5, None), 10, 3, Refusal("insufficient_credit", 3, 0)),
        (Funds(100, 5), 10, 3, 5),
        (Funds(None, 2), 10, 3, Refusal("budget_exceeded", 3, 2)),
        (Funds(4, 6), 10, 3, 4),
        (Funds(0, 0), 0, 0, 0),
        # Both stand in the way: topping up would not help, so the budget is named.
        (Funds(0, 0), 10, 3, Refusal("budget_exceeded", 3, 0)),
    ],
)
def test_reservations_and_their_refusals_in_order(funds, wanted, least, decision):
    assert reserve(funds, wanted, least) == decision


amounts = st.integers(0, 100)


@given(st.none() | st.integers(-100, 100), st.none() | st.integers(-100, 100), amounts, amounts)
def test_nothing_is_reserved_that_is_not_there(free, budget, one, other):
    least, wanted = sorted((one, other))
    decision = reserve(Funds(free, budget), wanted, least)
    if isinstance(decision, Refusal):
        assert decision.free_nanos < decision.needed_nanos == least
    else:
        assert least <= decision <= wanted
        assert all(limit is None or decision <= max(0, limit) for limit in (free, budget))


@pytest.mark.parametrize(
    ("cost", "held", "free", "expected"),
    [
        (5, 10, 0, Split(5, 0)),
        (10, 10, 0, Split(10, 0)),
        (12, 10, 1, Split(11, 1)),
        (12, 10, 2, Split(12, 0)),
        (12, 10, -3, Split(10, 2)),
        (12, 0, None, Split(12, 0)),
    ],
)
def test_a_cost_is_paid_from_the_reservation_then_from_free_credit(cost, held, free, expected):
    assert split(cost, held, free) == expected


@given(amounts, amounts, st.integers(-100, 100))
def test_a_charge_never_takes_more_than_there_is(cost, held, free):
    paid, shortfall = split(cost, held, free)
    assert paid + shortfall == cost
    assert 0 <= paid <= held + max(0, free)
    assert shortfall == 0 or paid == held + max(0, free)


def test_what_a_charge_books():
    paid, lacking = usage_transfers("st_1", "a", Split(7, 2), 5)
    assert paid[:6] == ("usage", "st_1", "account:a", REVENUE, 7, 5)
    assert lacking == ("shortfall", "st_1", SHORTFALL, REVENUE, 2, 5, "account:a")
    assert usage_transfers("st_1", "a", Split(0, 0), 5) == []


def test_what_the_operator_gives_and_takes_back():
    assert grant("a", 5, "r", 1, "thanks") == (
        "grant", "r", "issued:grant", "account:a", 5, 1, "thanks"
    )  # fmt: skip
    assert grant("a", -5, "r", 1, "wrong") == (
        "withdrawal", "r", "account:a", "issued:grant", 5, 1, "wrong"
    )  # fmt: skip


def test_only_customers_are_never_overdrawn():
    books = ["account:operator", "revenue", "paid:toss", "issued:signup", "shortfall", "account:x"]
    assert [may_be_overdrawn(book) for book in books] == [True] * 5 + [False]
