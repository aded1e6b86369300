"""What is sold, by whom."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tokenferry.domain.topup import Currency
from tokenferry.engine.payments import PaymentProvider, Urls


class Package(NamedTuple):
    """What can be bought at once.

    Attributes:
        package_id: Names it: `USD-500`, `KRW-10000`.
        currency: What is paid in.
        amount_minor: How much, in its smallest unit.
        credit_nanos: What it is worth.
        note: The rate, for the books; empty without one.
    """

    package_id: str
    currency: Currency
    amount_minor: int
    credit_nanos: int
    note: str


class Shop(NamedTuple):
    """What is sold, by whom, and where buyers come back to.

    Attributes:
        packages: By their ids.
        providers: By their names.
        urls: From an order's id to where its buyer comes back to.
    """

    packages: Mapping[str, Package]
    providers: Mapping[str, PaymentProvider]
    urls: Callable[[str], Urls]
