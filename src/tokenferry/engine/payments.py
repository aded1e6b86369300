"""The ports of buying credit: who takes the money, and where orders are kept.

Source: docs/decisions/0011-payments.md.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from tokenferry.domain.topup import Currency, Order, Payment, Settled
from tokenferry.engine.audit_trail import AuditEntry


class ProviderUnsure(Exception):
    """The provider has not answered, or not so that it is known what it did. Ask again later.

    Its text says what happened, for the log.
    """


class ProviderRefuses(Exception):
    """The provider will not do it; its text is the provider's reason, without anything secret."""


class WebhookForged(Exception):
    """A notice does not come from the provider; its text says what is wrong with it."""


class Urls(NamedTuple):
    """Where the provider sends the buyer afterwards.

    Attributes:
        success: After paying.
        failure: After giving up, or when it failed.
    """

    success: str
    failure: str


class Buyer(NamedTuple):
    """Who buys, as far as a provider's page needs to know.

    Attributes:
        account_id: Names them.
        email: Their address; None for none.
        language: Of the provider's page.
    """

    account_id: str
    email: str | None
    language: Literal["en", "ko"]


class Redirect(NamedTuple):
    """A page of the provider where the buyer pays.

    Attributes:
        url: The page.
        payment_ref: The provider's name for the payment; it is stored before anybody goes there.
    """

    url: str
    payment_ref: str | None


class Widget(NamedTuple):
    """A script of the provider, which our page runs, and which leads to the provider's page.

    Attributes:
        kind: Which of our scripts knows how to call it: the provider's name.
        script_url: Where the provider's script is.
        options: What our script hands to it; JSON.
        asks_buyer: Whether our page asks for the buyer's name and phone number, and hands them to
            it as well.
    """

    kind: str
    script_url: str
    options: Mapping[str, Any]
    asks_buyer: bool = False


class Hint(NamedTuple):
    """What a notice is about. What it says of the payment is not believed: the provider is asked.

    Attributes:
        order_id: The order.
        secret: What the notice says is the payment's secret; None if it says none.
    """

    order_id: str
    secret: str | None = None


class PaymentProvider(Protocol):
    """Takes money: a small adapter of a payment provider's API. It keeps no state.

    Attributes:
        name: `toss`, `portone`, `stripe`: in orders, in the books, in the address of its webhook.
        live: Whether its credentials are for real money.
        currencies: What can be paid in.
    """

    name: str
    live: bool
    currencies: frozenset[Currency]

    async def begin(self, order: Order, urls: Urls, buyer: Buyer) -> Redirect | Widget:
        """Return how an order is paid. It may be called again and leads to the same payment.

        Where that payment is over, and nothing was paid, it leads to a new one, with another name.

        Raises:
            ProviderUnsure: If the provider does not answer.
            ProviderRefuses: If it wants no such payment.
        """

    async def look_up(self, order: Order) -> Payment:
        """Ask the provider for the state of an order's payment; never guess one.

        Where the money moves only after the merchant has confirmed the payment, and
        `order.payment_ref` says that the buyer has agreed to it, it is confirmed first, so that a
        confirmation that was lost is found out or repeated by the next look-up.

        Raises:
            ProviderUnsure: If the provider does not answer, with something that is not understood,
                or with a status that is not known.
        """

    async def refund(self, order: Order) -> None:
        """Give `order.pending_minor` back. For the same `order.refunds` it is given back once.

        Raises:
            ProviderUnsure: If it is not known whether it was done.
            ProviderRefuses: If it was not done and will not be.
        """

    async def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Hint | None:
        """Return what a notice is about; None if nothing of ours.

        Args:
            headers: Of the request, their names in lower case.
            body: Its bytes as they came.

        Raises:
            WebhookForged: If it does not come from the provider, or cannot be read.
            ProviderUnsure: If the provider had to be asked what it is about, and does not answer.
        """

    async def changed_since(self, since_ms: int) -> Sequence[str]:
        """Return the ids of all orders whose payments may have changed since a time.

        Ids that are not of ours may be among them. At most what the provider keeps.

        Raises:
            ProviderUnsure: If the provider does not answer.
        """

    async def close(self) -> None:
        """Let go of connections; idempotent."""


# From an order and what is free of the account's credit to what becomes of it.
Change = Callable[[Order, int | None], Settled]


class OrderFilter(NamedTuple):
    """Which orders are listed.

    Attributes:
        account_id: Whose; None for all.
        before: Only those older than this one; an order's id.
        limit: At most so many.
    """

    account_id: str | None
    before: str | None
    limit: int


class TopUpStore(Protocol):
    """Where orders are kept, beside the books. Any thread may call it.

    Every method may raise `StoreUnusable`; then nothing was changed. What was written outlasts a
    power cut.
    """

    def add(self, order: Order, open_max: int) -> bool:
        """Store a new order; return False if its account has as many open ones already."""

    def find(self, order_id: str) -> Order | None:
        """Return an order, or None."""

    def listing(self, wanted: OrderFilter) -> list[Order]:
        """Return orders, newest first."""

    def agree(self, order_id: str, payment_ref: str) -> Order | None:
        """Store the provider's name for the payment of an order that is not credited yet.

        One that had failed is open again, and due: somebody tries once more.

        Returns:
            The order as it is then; None if there is none.
        """

    def agree_instead(self, order_id: str, payment_ref: str, before: str | None) -> Order | None:
        """Do so only if the name that is stored is the one that was there before.

        Returns:
            The order as it is then, with the name that is stored; None if there is none.
        """

    def change(
        self,
        order_id: str,
        revision: int | None,
        change: Change,
        entry: AuditEntry | None = None,
    ) -> Order | None:
        """Change an order and book its transfers, in one transaction.

        An account that a bank took credit from that was spent is suspended in the same.

        Args:
            order_id: The order.
            revision: What the order must not have changed since; None for whatever it is.
            change: Called with the order as it is; it may raise, and then nothing is changed.
            entry: What the audit trail is to say of it; written in the same transaction.

        Returns:
            The order as it is then; None if it has changed since, or if there is none.
        """

    def due(self, provider: str, now_ms: int, latest_ms: int, limit: int) -> list[str]:
        """Return the ids of orders that a provider is to be asked for, the longest due first.

        Args:
            provider: Which one.
            now_ms: Unix time.
            latest_ms: Until when anything can have been planned; what is later is due, too.
            limit: At most so many.
        """

    def looked_at(
        self, order_id: str, next_look_ms: int | None, revision: int | None = None
    ) -> None:
        """Store when an order is due again; None for never.

        Args:
            order_id: The order.
            next_look_ms: Unix time.
            revision: What it must not have changed since, or it stays as due as it is; None for
                whatever it is.
        """

    def watermark(self, provider: str) -> int | None:
        """Return until when a provider's list was gone through, Unix time; None for never."""

    def set_watermark(self, provider: str, listed_until_ms: int) -> None:
        """Store until when a provider's list was gone through."""

    def close(self) -> None:
        """Let go of the store; idempotent."""
