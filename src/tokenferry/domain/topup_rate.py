"""What money buys: credit for an amount, and an amount for credit.

Source: docs/decisions/0011-payments.md.
"""

from tokenferry.domain.money import NANOS_PER_DOLLAR
from tokenferry.domain.topup import Currency, Order

# ISO 4217: dollars have two digits after the point, won none.
NANOS_PER_CENT = NANOS_PER_DOLLAR // 100


def won_for_dollars(nanos: int, micro_krw_per_usd: int) -> int:
    """Return the least whole number of won that an amount of dollars costs at a rate.

    Args:
        nanos: Nano-dollars.
        micro_krw_per_usd: Millionths of a won for a dollar.
    """
    return -(-nanos * micro_krw_per_usd // (NANOS_PER_DOLLAR * 1_000_000))


def credit_for(currency: Currency, amount_minor: int, micro_krw_per_usd: int) -> int:
    """Return the nano-dollars that an amount buys, rounded down once.

    Args:
        currency: What is paid in.
        amount_minor: How much of it, in its smallest unit.
        micro_krw_per_usd: Millionths of a won for a dollar; of no matter for dollars.
    """
    if currency == "USD":
        return amount_minor * NANOS_PER_CENT
    return amount_minor * NANOS_PER_DOLLAR * 1_000_000 // micro_krw_per_usd


def worth_of_paid(order: Order) -> int | None:
    """Return the nano-dollars that what was really paid for an order buys, at the order's rate.

    Rounded down once; None where the order has no rate for that currency.
    """
    if order.real_currency == order.currency:
        return order.credit_nanos * order.real_minor // order.amount_minor
    return order.real_minor * NANOS_PER_CENT if order.real_currency == "USD" else None
