"""What a session is made of, and above all when it ends."""

import pytest

from tokenferry.domain.topup import Order
from tokenferry.engine.payments import Buyer, Urls
from tokenferry.payments.stripe_session import session_params

URLS = Urls("https://shop.example/a", "https://shop.example/b")
MADE_S = 1_800_000_000
MINUTE, HOUR = 60, 3600


def params(expires_in_s: int, now_in_s: int = 0, email: str | None = None) -> dict[str, object]:
    order = Order(
        "tu_1", "ac_1", "stripe", "KRW", 13_900, 10_000_000_000, live=True, note="",
        created_ms=MADE_S * 1000, expires_ms=(MADE_S + expires_in_s) * 1000,
    )  # fmt: skip
    buyer = Buyer("ac_1", email, "ko")
    return dict(session_params(order, URLS, buyer, "Ferry credit", MADE_S + now_in_s))


@pytest.mark.parametrize(
    ("expires_in_s", "ends_in_s"),
    [
        (0, 35 * MINUTE),
        (35 * MINUTE - 1, 35 * MINUTE),
        (35 * MINUTE, 35 * MINUTE),
        (35 * MINUTE + 1, 35 * MINUTE + 1),
        (24 * HOUR - 5 * MINUTE - 1, 24 * HOUR - 5 * MINUTE - 1),
        (24 * HOUR - 5 * MINUTE, 24 * HOUR - 5 * MINUTE),
        (24 * HOUR - 5 * MINUTE + 1, 24 * HOUR - 5 * MINUTE),
        (9_000 * HOUR, 24 * HOUR - 5 * MINUTE),
    ],
)
def test_ends_when_the_order_does_within_what_stripe_allows(
    expires_in_s: int, ends_in_s: int
) -> None:
    assert params(expires_in_s)["expires_at"] == MADE_S + ends_in_s


@pytest.mark.parametrize(
    ("now_in_s", "ends_in_s"), [(0, 3600), (1739, 3600), (1740, 3660), (1799, 3660), (1800, 3720)]
)
def test_ends_at_the_same_time_whoever_asks_again(now_in_s: int, ends_in_s: int) -> None:
    assert params(HOUR, now_in_s)["expires_at"] == MADE_S + ends_in_s


def test_says_all_of_it() -> None:
    assert params(HOUR) == {
        "mode": "payment",
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": "krw",
                    "unit_amount": 13_900,
                    "product_data": {"name": "Ferry credit"},
                },
            }
        ],
        "client_reference_id": "tu_1",
        "metadata": {"order_id": "tu_1"},
        "payment_intent_data": {"metadata": {"order_id": "tu_1"}},
        "success_url": URLS.success,
        "cancel_url": URLS.failure,
        "expires_at": MADE_S + HOUR,
        "locale": "ko",
    }
    assert params(HOUR, email="a@b.example")["customer_email"] == "a@b.example"
