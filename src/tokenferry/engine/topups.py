"""Buying credit: orders, and the one way in which they are settled.

A notice, the buyer's return, the reconciler and an operator all end in `settle`: the provider is
asked for the state of the payment, and the order follows it. Whatever is lost on the way is made
up for by the next one.

Source: docs/decisions/0011-payments.md.
Weakness: limits are counted in memory; a restart forgets them.
"""

import hmac
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tokenferry.domain.topup import ID_BYTES, ID_PREFIX, Order, Payment, Settled, settle
from tokenferry.domain.topup_refund import RefundRefusal, ask_refund, end_refund
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.engine.links import World
from tokenferry.engine.payments import (
    Buyer,
    OrderFilter,
    PaymentProvider,
    ProviderRefuses,
    ProviderUnsure,
    Redirect,
    TopUpStore,
    WebhookForged,
    Widget,
)
from tokenferry.engine.shop import Shop
from tokenferry.engine.throttle import HourlyLimit, too_soon
from tokenferry.engine.topup_words import RETRY_AFTER_MS, refund_refused, tell, uncertain
from tokenferry.engine.workers import Workers
from tokenferry.errors import (
    Overloaded,
    PaymentDeclined,
    PaymentsOff,
    PaymentUncertain,
    TooManyTopUps,
    TopUpNotFound,
    WebhookRefused,
)

log = logging.getLogger(__name__)

# Half an hour on the provider's page, and ten minutes for whoever is slow to return.
ORDER_MS: Final = 40 * 60_000
ORDERS_OPEN_MAX: Final = 10
ORDERS_PER_HOUR: Final = 30
# Each has the provider asked; an order has a handful of notices in its life.
LOOKS_PER_HOUR: Final = 240
# Another notice was settled between our question and our answer; that cannot go on for long.
TRIES_MAX: Final = 5


class TopUps:
    """Buys credit for accounts.

    Args:
        store: Where orders are.
        disk: The threads that use it.
        shop: What is sold.
        world: Clocks and dice.
    """

    def __init__(self, store: TopUpStore, disk: Workers, shop: Shop, world: World) -> None:
        self._store = store
        self._disk = disk
        self.shop = shop
        self._world = world
        self._orders = HourlyLimit(ORDERS_PER_HOUR, world.clock_ns)
        self._looks = HourlyLimit(LOOKS_PER_HOUR, world.clock_ns)

    # -- buying --------------------------------------------------------------------------------

    async def create(
        self, buyer: Buyer, provider_name: str, package_id: str
    ) -> tuple[Order, Redirect | Widget]:
        """Write an order down and return how it is paid.

        Raises:
            PaymentsOff: If there is no such provider or package, or it does not take its currency.
            RateLimited: If the account has ordered too often.
            TooManyTopUps: If too many of its orders are unpaid.
            PaymentDeclined: If the provider wants no such payment.
            PaymentUncertain: If it does not answer.
            StoreUnusable: If the store fails; there is no order then.
        """
        provider = self.provider(provider_name)
        package = self.shop.packages.get(package_id)
        if package is None or package.currency not in provider.currencies:
            raise PaymentsOff(
                f"{provider_name!r} does not sell {package_id!r}. GET /api/topups/options lists "
                "what is sold.",
                param="package",
            )
        if wait_ns := self._orders.wait_ns(buyer.account_id):
            raise too_soon("There were too many orders.", wait_ns)
        now_ms = self._world.wall_ms()
        order = Order(
            order_id=ID_PREFIX + self._world.random(ID_BYTES).hex(),
            account_id=buyer.account_id,
            provider=provider.name,
            currency=package.currency,
            amount_minor=package.amount_minor,
            credit_nanos=package.credit_nanos,
            live=provider.live,
            note=package.note,
            created_ms=now_ms,
            expires_ms=now_ms + ORDER_MS,
        )
        if not await self._disk.run(lambda: self._store.add(order, ORDERS_OPEN_MAX)):
            raise TooManyTopUps(
                f"{ORDERS_OPEN_MAX} orders of yours are unpaid. Pay one of them, or wait until "
                "they have expired."
            )
        return order, await self._begin(order, buyer)

    async def begin(self, order_id: str, buyer: Buyer) -> tuple[Order, Redirect | Widget]:
        """Return how an order is paid, once more.

        Raises:
            TopUpNotFound: If there is no such order.
            PaymentsOff: If its provider is not configured any more.
            PaymentDeclined: If the order has expired, or the provider wants no such payment.
            PaymentUncertain: If it does not answer.
            StoreUnusable: If the store fails.
        """
        order = await self.find(order_id)
        if self.is_over(order):
            raise PaymentDeclined("The order has expired. Make a new one, at the rate of today.")
        return order, await self._begin(order, buyer)

    def is_over(self, order: Order) -> bool:
        """Return whether nobody can begin to pay an order any more: its rate is an old one."""
        return self._world.wall_ms() >= order.expires_ms

    async def _begin(self, order: Order, buyer: Buyer) -> Redirect | Widget:
        provider, urls = self.provider(order.provider), self.shop.urls(order.order_id)
        for _ in range(TRIES_MAX):
            try:
                begun = await provider.begin(order, urls, buyer)
            except ProviderUnsure as exc:
                raise uncertain(order, exc) from exc
            except ProviderRefuses as exc:
                raise PaymentDeclined(f"The payment provider refuses: {exc}") from exc
            payment_ref = begun.payment_ref if isinstance(begun, Redirect) else None
            if payment_ref is None or payment_ref == order.payment_ref:
                return begun
            # Before the buyer can have gone there: who pays where nobody looks loses the money.
            stored = await self._named(order, payment_ref)
            if stored.payment_ref == payment_ref:
                return begun
            order = stored
        raise Overloaded("The payment changes all the time.", retry_after_ms=RETRY_AFTER_MS)

    async def _named(self, order: Order, payment_ref: str) -> Order:
        order_id, before = order.order_id, order.payment_ref
        stored = await self._disk.run(
            lambda: self._store.agree_instead(order_id, payment_ref, before)
        )
        return order if stored is None else stored

    async def find(self, order_id: str) -> Order:
        """Return an order.

        Raises:
            TopUpNotFound: If there is none.
            StoreUnusable: If the store fails.
        """
        order = await self._disk.run(lambda: self._store.find(order_id))
        if order is None:
            raise TopUpNotFound("There is no such top-up. GET /api/topups lists yours.")
        return order

    async def listing(self, wanted: OrderFilter) -> Sequence[Order]:
        """Return orders, newest first.

        Raises:
            StoreUnusable: If the store fails.
        """
        return await self._disk.run(lambda: self._store.listing(wanted))

    # -- settling ------------------------------------------------------------------------------

    async def returned(self, provider_name: str, order_id: str, payment_ref: str | None) -> Order:
        """Settle the order of a buyer who comes back from the provider's page.

        Args:
            provider_name: Which provider's page.
            order_id: The order.
            payment_ref: The provider's name for the payment, where the page says one. It is
                written before the payment is confirmed. It is the buyer's word only.

        Raises:
            TopUpNotFound: If this provider has no such order.
            RateLimited: If it was asked for too often.
            PaymentUncertain: If the provider does not answer.
            StoreUnusable: If the store fails.
        """
        order = await self.find(order_id)
        if order.provider != provider_name:
            raise TopUpNotFound("There is no such top-up.")
        self._count_look(order_id)
        # Who had begun in time may be slow. A payment that is not confirmed moves no money.
        if payment_ref is not None and self._world.wall_ms() < order.expires_ms + ORDER_MS:
            agreed = payment_ref
            await self._disk.run(lambda: self._store.agree(order_id, agreed))
        return await self.settle(order_id)

    async def notice(self, provider_name: str, headers: Mapping[str, str], body: bytes) -> None:
        """Settle what a provider's notice is about. After an error it has to be sent again.

        Raises:
            PaymentsOff: If the provider is not configured.
            WebhookRefused: If the notice is not the provider's.
            RateLimited: If there were too many of this order.
            PaymentUncertain: If the provider does not answer when it is asked.
            StoreUnusable: If the store fails.
        """
        provider = self.provider(provider_name)
        try:
            hint = await provider.read_webhook(headers, body)
        except WebhookForged as exc:
            log.warning("a notice that is not from %s was refused: %s", provider_name, exc)
            raise WebhookRefused(f"This is no notice of {provider_name}.") from exc
        except ProviderUnsure as exc:
            log.warning("%s cannot be asked about its notice: %s", provider_name, exc)
            raise PaymentUncertain("The provider cannot be asked now; send it again.") from exc
        if hint is None:
            return
        order = await self._disk.run(lambda: self._store.find(hint.order_id))
        if order is None or order.provider != provider.name:
            # Of another shop with the same merchant, say: sending it again would not help.
            log.info("a notice of %s is about no order of ours", provider_name)
            return
        if hint.secret and order.secret and not _same(hint.secret, order.secret):
            log.warning("a notice about %s has a wrong secret", order.order_id)
            raise WebhookRefused(f"This is no notice of {provider_name}.")
        self._count_look(order.order_id)
        await self.settle(order.order_id)

    async def settle(self, order_id: str) -> Order:
        """Ask the provider what has become of a payment, and book what follows.

        Raises:
            TopUpNotFound: If there is no such order.
            PaymentsOff: If its provider is not configured any more.
            PaymentUncertain: If the provider does not answer.
            Overloaded: If others settle it all the time.
            StoreUnusable: If the store fails.
        """
        settled, _ = await self._settle(order_id)
        return settled

    async def _settle(self, order_id: str) -> tuple[Order, str | None]:
        """Settle; return the order, and why its pending refund was refused, if it was."""
        refusal = None
        for _ in range(TRIES_MAX):
            order = await self.find(order_id)
            provider = self.provider(order.provider)
            try:
                if order.pending_minor:
                    refusal = await _give_back(provider, order)
                payment = await provider.look_up(order)
            except ProviderUnsure as exc:
                raise uncertain(order, exc) from exc
            settled = await self._apply(order, payment, is_made=refusal is None)
            if settled is not None:
                return settled, refusal
        raise Overloaded("The payment changes all the time.", retry_after_ms=RETRY_AFTER_MS)

    async def _apply(self, order: Order, payment: Payment, *, is_made: bool) -> Order | None:
        now_ms = self._world.wall_ms()

        def change(current: Order, free_nanos: int | None) -> Settled:
            if current.pending_minor:
                return end_refund(current, payment, free_nanos, now_ms, is_made=is_made)
            return settle(current, payment, free_nanos, now_ms)

        settled = await self._disk.run(
            lambda: self._store.change(order.order_id, order.revision, change)
        )
        if settled is not None:
            tell(order, settled)
        return settled

    # -- giving back ---------------------------------------------------------------------------

    async def refund(
        self,
        order_id: str,
        minor: int,
        account: str,
        entry: AuditEntry | None = None,
        on_asked: Callable[[], None] = lambda: None,
    ) -> Order:
        """Give money back, as far as the credit is unspent; the credit goes first.

        Of an order that a person has to look at, what was paid is given back.

        Args:
            order_id: The order.
            minor: How much, in the currency's smallest unit; above zero.
            account: See `Order.refund_account`.
            entry: What the audit trail is to say of it; it is written with what takes the credit.
            on_asked: Called then, before the provider is asked, whose answer may be an error.

        Raises:
            TopUpNotFound: If there is no such order.
            PaymentsOff: If its provider is not configured any more.
            RefundRefused: If there is not so much to give back; nothing was changed.
            PaymentDeclined: If the provider refuses; the credit is there again.
            PaymentUncertain: If the provider does not answer; it will be asked again.
            StoreUnusable: If the store fails.
        """
        order = await self.find(order_id)
        self.provider(order.provider)
        if order.status == "review":
            # How much was paid may be known better by now.
            await self.settle(order_id)
        now_ms = self._world.wall_ms()

        def change(current: Order, free_nanos: int | None) -> Settled:
            asked = ask_refund(current, minor, account, free_nanos, now_ms)
            if isinstance(asked, RefundRefusal):
                raise refund_refused(current, asked)
            return asked

        await self._disk.run(lambda: self._store.change(order_id, None, change, entry))
        on_asked()
        settled, refusal = await self._settle(order_id)
        if refusal is not None:
            raise PaymentDeclined(f"The payment provider refuses: {refusal}")
        return settled

    # ------------------------------------------------------------------------------------------

    def provider(self, name: str) -> PaymentProvider:
        """Return who takes the money of an order.

        Raises:
            PaymentsOff: If it is not configured any more.
        """
        provider = self.shop.providers.get(name)
        if provider is None:
            raise PaymentsOff(f"This gateway takes no payments by {name!r}.", param="provider")
        return provider

    def _count_look(self, order_id: str) -> None:
        if wait_ns := self._looks.wait_ns(order_id):
            raise too_soon("There were too many questions about this payment.", wait_ns)


async def _give_back(provider: PaymentProvider, order: Order) -> str | None:
    """Have the provider give the pending refund back; return why not, if it refuses.

    Raises:
        ProviderUnsure: If it is not known what it did.
    """
    try:
        await provider.refund(order)
    except ProviderRefuses as exc:
        log.warning("%s refuses the refund of %s: %s", provider.name, order.order_id, exc)
        return str(exc) or "no reason was given"
    return None


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
