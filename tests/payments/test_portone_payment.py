"""What PortOne says of a payment, read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.topup import Payment
from tokenferry.engine.payments import ProviderRefuses, ProviderUnsure
from tokenferry.payments.portone_payment import payment_of, was_cancelled

TAG = "(order tu_a refund 1)"


def found(status: str, cancelled: int = 0, **fields: Any) -> dict[str, Any]:
    shown = {
        "status": status,
        "id": "tu_a",
        "transactionId": "t-1",
        "channel": {"type": "LIVE"},
        "amount": {"total": 1_000, "cancelled": cancelled},
        "currency": "KRW",
        "paidAt": "2026-11-20T00:00:00Z",
    }
    shown |= fields
    return {name: value for name, value in shown.items() if value is not None}


def cancellation(status: str, amount: int = 1_000, **fields: Any) -> dict[str, Any]:
    return {"status": status, "totalAmount": amount, "reason": f"x {TAG}"} | fields


def paid(refunded: int = 0, disputed: int = 0) -> Payment:
    return Payment("paid", "KRW", 1_000, refunded, disputed, payment_ref="t-1")


@pytest.mark.parametrize(
    ("said", "payment"),
    [
        (found("READY"), Payment("open")),
        (found("PAY_PENDING"), Payment("waiting", payment_ref="t-1")),
        (found("FAILED"), Payment("open")),
        (found("FAILED", failure={"reason": "no"}), Payment("open", detail="no")),
        (found("FAILED", failure={"pgMessage": "nein"}), Payment("open", detail="nein")),
        (found("FAILED", failure="no"), Payment("open")),
        # A channel is not chosen before a payment was begun.
        (found("READY", channel=None, transactionId=None, amount=None), Payment("open")),
        (found("VIRTUAL_ACCOUNT_ISSUED"), Payment("waiting", payment_ref="t-1")),
        (found("CANCELLED", 1_000, paidAt=None), Payment("waiting", payment_ref="t-1")),
        (found("CANCELLED", 0, paidAt=None), Payment("waiting", payment_ref="t-1")),
        (found("PAID"), paid()),
        (found("PAID", paidAt=None), paid()),
        (found("PAID", disputes=[]), paid()),
        (found("PAID", disputes=[{"status": "RESOLVED"}]), paid()),
        (found("PAID", disputes=[{"status": "UNRESOLVED"}]), paid(0, 1_000)),
        (found("PARTIAL_CANCELLED", 300), paid(300)),
        (found("PARTIAL_CANCELLED", 300, paidAt=None), paid(300)),
        (found("PARTIAL_CANCELLED", 300, disputes=[{"status": "UNRESOLVED"}]), paid(300, 700)),
        (found("CANCELLED", 1_000), paid(1_000)),
        # A tenth was a discount.
        (found("CANCELLED", 900), paid(1_000)),
        (
            found(
                "PARTIAL_CANCELLED",
                500,
                cancellations=[
                    cancellation("SUCCEEDED", 300, trigger="CONSOLE"),
                    cancellation("SUCCEEDED", 200, trigger="CHARGEBACK"),
                    cancellation("FAILED", 400, trigger="CHARGEBACK"),
                    cancellation("REQUESTED", 400, trigger="CHARGEBACK"),
                ],
            ),
            paid(300, 200),
        ),
    ],
)
def test_what_stands(said: dict[str, Any], payment: Payment) -> None:
    assert payment_of(said) == payment


@pytest.mark.parametrize(
    "said",
    [
        found("PENDING"),
        found("paid"),
        found("PAID", 1_001),
        found("PAID", cancellations=[cancellation("SUCCEEDED", 1, trigger="CHARGEBACK")]),
        found("PAID", cancellations=[{"status": "SUCCEEDED", "trigger": "CHARGEBACK"}]),
        found("PAID", cancellations=[cancellation("SUCCEEDED", -1, trigger="CHARGEBACK")]),
        found("PAID", channel="LIVE"),
        found("VIRTUAL_ACCOUNT_ISSUED", channel=None),
    ],
)
def test_what_does_not_add_up(said: dict[str, Any]) -> None:
    with pytest.raises(ProviderUnsure):
        payment_of(said)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
FIELDS = ("status", "channel", "amount", "currency", "disputes", "cancellations", "failure")


@given(
    st.sampled_from(
        ("READY", "FAILED", "VIRTUAL_ACCOUNT_ISSUED", "PAID", "PARTIAL_CANCELLED", "CANCELLED")
    ),
    st.sampled_from(FIELDS),
    JSON,
)
def test_anything_is_understood_or_unsure(status: str, name: str, value: Any) -> None:
    said = found(status) | {name: value}
    try:
        payment = payment_of(said)
    except ProviderUnsure:
        return
    assert 0 <= payment.refunded_minor + payment.disputed_minor <= payment.amount_minor


class TestWasCancelled:
    def test_nothing_of_ours(self) -> None:
        assert not was_cancelled(found("PAID"), TAG)
        others = [
            cancellation("SUCCEEDED", reason="(order tu_a refund 11)"),
            cancellation("SUCCEEDED", reason="(order tu_ab refund 1)"),
            cancellation("SUCCEEDED", reason=None),
        ]
        assert not was_cancelled(found("PARTIAL_CANCELLED", cancellations=others), TAG)

    @pytest.mark.parametrize("other", ["SUCCEEDED", "REQUESTED", "FAILED"])
    def test_done(self, other: str) -> None:
        ours = [cancellation(other), cancellation("SUCCEEDED")]
        assert was_cancelled(found("PARTIAL_CANCELLED", cancellations=ours), TAG)

    def test_under_way(self) -> None:
        ours = [cancellation("FAILED"), cancellation("REQUESTED")]
        with pytest.raises(ProviderUnsure):
            was_cancelled(found("PAID", cancellations=ours), TAG)

    def test_failed(self) -> None:
        with pytest.raises(ProviderRefuses):
            was_cancelled(found("PAID", cancellations=[cancellation("FAILED")]), TAG)
