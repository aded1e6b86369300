"""What Stripe's answers may be taken for, without Stripe."""

from typing import Any

import pytest
import stripe

from tokenferry.engine.payments import ProviderRefuses, ProviderUnsure
from tokenferry.payments.stripe_answer import (
    WORDS_MAX,
    belongs,
    broken_off,
    count,
    fault,
    flag,
    given_back,
    judge_refund,
    part,
    taken_back,
    text,
)


@pytest.mark.parametrize(
    ("read", "good"),
    [(text, ["a", "1"]), (count, [0, 1, 2**60]), (flag, [True, False]), (part, [{}, {"a": 1}])],
)
def test_fields(read: Any, good: list[Any]) -> None:
    values: list[Any] = ["a", "", 0, 1, -1, 2**60, 1.0, "1", True, False, None, [], {}, {"a": 1}]
    for value in values:
        if any(type(value) is type(one) and value == one for one in good):
            assert read({"x": value}, "x") == value
        else:
            with pytest.raises(ProviderUnsure, match="no x"):
                read({"x": value}, "x")
    with pytest.raises(ProviderUnsure, match="no x"):
        read({}, "x")


def test_a_session_belongs_to_its_order_only() -> None:
    belongs({"client_reference_id": "tu_1"}, "tu_1")
    for other in ("tu_10", "", None):
        with pytest.raises(ProviderUnsure):
            belongs({"client_reference_id": other}, "tu_1")


@pytest.mark.parametrize(
    ("status", "error", "why"),
    [
        ("processing", None, None),
        ("succeeded", None, None),
        ("requires_action", {"message": "an older attempt"}, None),
        ("requires_payment_method", None, None),
        ("requires_payment_method", {"message": "No funds."}, "No funds."),
        ("requires_payment_method", {}, "the payment failed"),
        ("requires_payment_method", {"message": "x" * 999}, "x" * WORDS_MAX),
        ("canceled", None, "the payment was canceled"),
    ],
)
def test_payments_under_way(status: str, error: object, why: str | None) -> None:
    assert broken_off({"status": status, "last_payment_error": error}) == why


REFUNDS = {
    "succeeded": 7, "pending": 7, "requires_action": 7, "failed": 0, "canceled": 0,
}  # fmt: skip


@pytest.mark.parametrize(("status", "minor"), REFUNDS.items())
def test_refunds(status: str, minor: int) -> None:
    refund = {"status": status, "amount": 7, "currency": "usd"}
    assert given_back(refund, "usd") == minor
    if minor:
        judge_refund(refund)
        with pytest.raises(ProviderUnsure, match="currencies"):
            given_back(refund, "krw")
    else:
        with pytest.raises(ProviderRefuses, match=f"{status}: unknown"):
            judge_refund({**refund, "failure_reason": "unknown"})


@pytest.mark.parametrize("status", ["", "paid", "SUCCEEDED", None])
def test_refunds_with_another_status(status: object) -> None:
    refund = {"status": status, "amount": 7, "currency": "usd"}
    for judge in (judge_refund, lambda refund: given_back(refund, "usd")):
        with pytest.raises(ProviderUnsure):
            judge(refund)


def test_knows_every_status_of_a_dispute_that_the_sdk_knows() -> None:
    """A status that is new in the SDK fails here, and not in production."""
    note = stripe.Dispute.__annotations__["status"]
    known = str(note).split("Literal[")[1].split("]")[0]
    statuses = [word.strip(" '\"\n") for word in known.split(",") if word.strip()]
    assert "needs_response" in statuses
    dispute = {"amount": 7, "currency": "usd", "balance_transactions": []}
    taken = {status for status in statuses if taken_back({**dispute, "status": status}, "usd", 9)}
    assert taken == {"needs_response", "under_review", "lost"}


@pytest.mark.parametrize(
    ("moves", "minor"), [([], 0), ([-7], 7), ([-9, 9], 0), ([-9, 9, -9], 7), ([5], 0)]
)
def test_what_moved_decides_over_prevented_disputes(moves: list[int], minor: int) -> None:
    dispute = {
        "status": "prevented",
        "amount": 7,
        "currency": "usd",
        "balance_transactions": [{"amount": moved} for moved in moves],
    }
    assert taken_back(dispute, "usd", 9) == minor


def test_a_bank_that_counts_in_the_buyers_currency_has_taken_all() -> None:
    dispute = {"status": "lost", "amount": 7, "currency": "eur"}
    assert taken_back(dispute, "usd", 9) == 9
    assert taken_back({**dispute, "status": "won"}, "usd", 9) == 0


def test_faults_name_no_secret() -> None:
    body = {"error": {"type": "card_error", "message": "The key s3cret is bad"}}
    error = stripe.CardError("s3cret", None, None, None, 402, body)
    assert str(fault("refund", error, ["s3cret"])) == "The key … is bad"
    hidden = stripe.AuthenticationError("s3cret", None, 401)
    assert "s3cret" not in str(fault("refund", hidden, []))
    page = stripe.APIError("<html>s3cret", None, 502, {"date": "a header"})
    assert str(fault("refund", page, [])) == "refund: HTTP 502"
