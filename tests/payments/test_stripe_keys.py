"""Keys change, but never while a request with the key before may be under way."""

import pytest

from tokenferry.domain.topup import Order
from tokenferry.engine.payments import ProviderUnsure
from tokenferry.payments.stripe_keys import QUIET_MS, TRY_MS, refund_key, session_key

ASKED_MS = 1_000_000
ORDER = Order("tu1", "acc_1", "stripe", "USD", 500, 5, True, "", 0, 9)._replace(
    refunds=2, pending_minor=500, pending_ms=ASKED_MS
)


@pytest.mark.parametrize(
    ("after_ms", "key"),
    [
        (0, "tu1:refund:2"),
        (TRY_MS - 1, "tu1:refund:2"),
        (TRY_MS, None),
        (TRY_MS + QUIET_MS - 1, None),
        (TRY_MS + QUIET_MS, "tu1:refund:2:1"),
        (2 * TRY_MS - 1, "tu1:refund:2:1"),
        (2 * TRY_MS, None),
        (25 * TRY_MS + QUIET_MS, "tu1:refund:2:25"),
        # A clock that was ahead when it was asked for.
        (-5_000, "tu1:refund:2"),
    ],
)
def test_of_a_refund(after_ms: int, key: str | None) -> None:
    if key is None:
        with pytest.raises(ProviderUnsure, match="under way"):
            refund_key(ORDER, ASKED_MS + after_ms)
    else:
        assert refund_key(ORDER, ASKED_MS + after_ms) == key


def test_of_a_session() -> None:
    assert session_key(ORDER, 119) == "tu1:begin:1"
    assert session_key(ORDER._replace(payment_ref="cs_1"), 120) == "tu1:begin:cs_1:2"
