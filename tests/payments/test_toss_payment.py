"""What Toss's objects say: vectors without HTTP, and what holds for any object."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.topup import Order, Payment
from tokenferry.engine.payments import Hint, ProviderRefuses, ProviderUnsure, WebhookForged
from tokenferry.payments.toss_payment import (
    find_cancel,
    foreign_terms,
    korean_time,
    likeliest,
    read_notice,
    read_payment,
    refund_account,
    status_of,
)

ORDER = Order(
    order_id="tu_0123456789abcdef",
    account_id="acc_1",
    provider="toss",
    currency="KRW",
    amount_minor=10_000,
    credit_nanos=7_000_000_000,
    live=True,
    note="",
    created_ms=0,
    expires_ms=0,
)
CREDITED = ORDER._replace(status="paid", moves=1)
PAID = {
    "paymentKey": "key_1",
    "orderId": ORDER.order_id,
    "status": "DONE",
    "currency": "KRW",
    "totalAmount": 10_000,
    "balanceAmount": 10_000,
    "approvedAt": "2026-11-27T12:00:00+09:00",
    "secret": "ps_1",
    "virtualAccount": None,
    "cancels": None,
    "failure": None,
}
CANCELED = {**PAID, "status": "CANCELED", "balanceAmount": 0}
NEVER_PAID = {**CANCELED, "approvedAt": None}


def read(order: Order = ORDER, **changes: Any) -> Payment:
    return read_payment({**PAID, **changes}, order, live=True)


class TestReadPayment:
    @pytest.mark.parametrize(
        ("status", "balance", "refunded"),
        [
            ("DONE", 10_000, 0),
            ("PARTIAL_CANCELED", 1, 9_999),
            ("PARTIAL_CANCELED", 0, 10_000),
            ("CANCELED", 0, 10_000),
        ],
    )
    def test_paid(self, status: str, balance: int, refunded: int) -> None:
        state = read(status=status, balanceAmount=balance)
        assert state == Payment("paid", "KRW", 10_000, refunded, 0, True, "key_1", "ps_1")

    @pytest.mark.parametrize("status", ["READY", "IN_PROGRESS"])
    def test_open_without_a_name(self, status: str) -> None:
        assert read(status=status) == Payment("open")

    def test_waiting(self) -> None:
        state = read(status="WAITING_FOR_DEPOSIT", approvedAt=None)
        assert state == Payment("waiting", payment_ref="key_1", secret="ps_1")

    @pytest.mark.parametrize("status", ["ABORTED", "EXPIRED"])
    def test_failed(self, status: str) -> None:
        assert read(status=status) == Payment("failed", detail=status)
        assert read(status=status, failure={"message": "그만"}).detail == "그만"

    def test_cancelled_and_never_paid(self) -> None:
        for account in (None, {}):
            payment = {**NEVER_PAID, "virtualAccount": account}
            assert read_payment(payment, ORDER, live=True) == Payment("failed", detail="CANCELED")

    def test_cancelled_after_it_was_seen_paid(self) -> None:
        """Whatever `approvedAt` says: credit that was given must not stay."""
        state = read_payment(NEVER_PAID, CREDITED, live=True)
        assert (state.status, state.amount_minor, state.refunded_minor) == ("paid", 10_000, 10_000)
        gone = {**NEVER_PAID, "virtualAccount": {}}
        assert read_payment(gone, CREDITED, live=True).status == "waiting"

    def test_an_account_that_expired_after_the_deposit_went_back(self) -> None:
        state = read(CREDITED, status="EXPIRED", virtualAccount={}, approvedAt=None)
        assert (state.status, state.payment_ref) == ("waiting", "key_1")

    def test_cancelled_without_saying_whether_it_was_approved(self) -> None:
        payment = {name: value for name, value in CANCELED.items() if name != "approvedAt"}
        with pytest.raises(ProviderUnsure):
            read_payment(payment, ORDER, live=True)

    @pytest.mark.parametrize(
        "changes",
        [
            {"status": "CANCELED", "balanceAmount": 1},
            {"status": "DONE", "balanceAmount": 0},
            {"totalAmount": float("nan")},
            {"totalAmount": float("inf")},
            {"totalAmount": 9_999.5},
            {"totalAmount": None},
            {"currency": "USD", "totalAmount": 1.001, "balanceAmount": 1.001},
        ],
    )
    def test_amounts_that_contradict(self, changes: dict[str, Any]) -> None:
        with pytest.raises(ProviderUnsure):
            read(**changes)

    @pytest.mark.parametrize(
        ("currency", "amount", "minor"),
        [("KRW", 10_000.0, 10_000), ("USD", 10, 1_000), ("USD", 10.1, 1_010), ("JPY", 7, 7)],
    )
    def test_units(self, currency: str, amount: float, minor: int) -> None:
        state = read(currency=currency, totalAmount=amount, balanceAmount=amount)
        assert (state.currency, state.amount_minor) == (currency, minor)

    def test_test_money(self) -> None:
        assert not read_payment(PAID, ORDER, live=False).live

    @given(
        st.dictionaries(
            st.sampled_from(sorted(PAID)),
            st.none()
            | st.booleans()
            | st.integers(-(10**20), 10**20)
            | st.floats()
            | st.text("aKRW", max_size=5)
            | st.sampled_from(["DONE", "CANCELED", "READY", "WAITING_FOR_DEPOSIT", "EXPIRED"])
            | st.lists(st.integers(), max_size=2)
            | st.dictionaries(st.sampled_from(["message"]), st.integers()),
        )
    )
    def test_anything_is_read_or_unsure(self, changes: dict[str, Any]) -> None:
        for order in (ORDER, CREDITED):
            try:
                state = read(order, **changes)
            except ProviderUnsure:
                continue
            assert 0 <= state.refunded_minor <= state.amount_minor
            assert (state.status == "paid") == bool(state.currency)

    @given(st.recursive(st.none() | st.integers() | st.text("DONE"), st.lists))
    def test_what_is_no_object_is_unsure(self, value: Any) -> None:
        with pytest.raises(ProviderUnsure):
            status_of(value)


def test_terms() -> None:
    assert foreign_terms(PAID, ORDER) == ""
    assert foreign_terms({**PAID, "totalAmount": 1}, ORDER) == "for 1, not for 10000 KRW"
    assert foreign_terms({**PAID, "currency": "JPY"}, ORDER) == "in JPY, not in KRW"
    with pytest.raises(ProviderUnsure):
        foreign_terms({}, ORDER)


def test_what_got_furthest_counts() -> None:
    paid, waiting, open_, failed = map(Payment, ("paid", "waiting", "open", "failed"))
    assert likeliest([failed, open_, waiting, paid]) is paid
    assert likeliest([waiting, open_]) is waiting
    assert likeliest([failed, open_]) is open_
    assert likeliest([failed]) is failed


class TestFindCancel:
    @pytest.mark.parametrize(
        ("cancel", "found"),
        [
            ({"cancelReason": "r", "cancelStatus": "DONE"}, "done"),
            ({"cancelReason": "r"}, "done"),
            ({"cancelReason": "r", "cancelStatus": "IN_PROGRESS"}, "pending"),
            ({"cancelReason": "r", "cancelStatus": "ABORTED"}, "failed"),
            ({"cancelReason": "r2", "cancelStatus": "DONE"}, None),
        ],
    )
    def test_by_its_reason(self, cancel: Any, found: str | None) -> None:
        other = {"cancelReason": "other", "cancelStatus": "WHO KNOWS"}
        assert find_cancel({"cancels": [other, cancel]}, "r") == found

    def test_none(self) -> None:
        assert find_cancel(PAID, "r") is None

    @pytest.mark.parametrize(
        "payment",
        [
            {},
            [],
            {"cancels": [7]},
            {"cancels": [{"cancelReason": "r", "cancelStatus": "WHO KNOWS"}]},
            {"cancels": [{"cancelReason": "r", "cancelStatus": []}]},
        ],
    )
    def test_not_understood(self, payment: Any) -> None:
        with pytest.raises(ProviderUnsure):
            find_cancel(payment, "r")


def test_the_account_of_a_refund() -> None:
    assert refund_account("") == {}
    account = json.dumps({"bank": "088", "number": "001", "holder": "김"})
    receiver = {"bank": "088", "accountNumber": "001", "holderName": "김"}
    assert refund_account(account) == {"refundReceiveAccount": receiver}
    with pytest.raises(ProviderRefuses):
        refund_account('{"bank": "088"}')


@pytest.mark.parametrize(
    ("unix_ms", "text"),
    [(0, "1970-01-01T09:00:00"), (1_795_791_599_999, "2026-11-27T23:59:59")],
)
def test_korean_time(unix_ms: int, text: str) -> None:
    assert korean_time(unix_ms) == text


@given(st.binary(max_size=60))
def test_any_body_is_a_hint_nothing_or_forged(body: bytes) -> None:
    try:
        hint = read_notice(body)
    except WebhookForged:
        return
    assert hint is None or isinstance(hint, Hint)
