"""Wires payments together: the part of the composition root behind top-ups.

Beside `app` and `account_site`, this is the only module of the server that names adapters.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from tokenferry.config.money_rules import minor_units
from tokenferry.config.payment_settings import PortOneSettings, StripeSettings, TossSettings
from tokenferry.config.settings import Settings
from tokenferry.domain.money import format_dollars
from tokenferry.domain.topup import Currency
from tokenferry.domain.topup_rate import credit_for
from tokenferry.engine.accounts import AccountStore
from tokenferry.engine.links import World
from tokenferry.engine.payments import PaymentProvider
from tokenferry.engine.reconciler import Reconciler
from tokenferry.engine.shop import Package, Shop
from tokenferry.engine.topup_rulings import TopUpRulings
from tokenferry.engine.topups import TopUps
from tokenferry.engine.workers import Workers
from tokenferry.server.api_routes import Route
from tokenferry.server.payment_pages import PaymentPages, pay_urls
from tokenferry.server.topup_rulings_api import TopUpRulingsApi
from tokenferry.server.topups_api import TopUpsApi
from tokenferry.stores.sqlite_topups import SqliteTopUps

log = logging.getLogger(__name__)

# A change waits for the disk, some milliseconds; who would wait for a second is turned away.
WAITING_MAX = 200
_DIGITS: Mapping[Currency, int] = {"USD": 2, "KRW": 0}


@dataclass(frozen=True, slots=True)
class PaymentSite:
    """What there is for payments.

    Attributes:
        routes: The routes of the API.
        pages: The pages.
        reconciler: What finds out what notices have missed; None without a provider.
    """

    routes: list[Route]
    pages: PaymentPages
    reconciler: Reconciler | None

    async def reconcile(self) -> None:
        """Find out what notices have missed, until cancelled."""
        if self.reconciler is not None:
            await self.reconciler.run()


@contextlib.asynccontextmanager
async def payment_site(
    settings: Settings, accounts: AccountStore, world: World
) -> AsyncIterator[PaymentSite]:
    """Open what payments need; at the end it is let go.

    Raises:
        StoreUnusable: If the database cannot be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        store = stack.enter_context(contextlib.closing(SqliteTopUps(settings.server.database)))
        disk = stack.enter_context(contextlib.closing(Workers("payments", 1, WAITING_MAX)))
        providers = _providers(settings)
        for provider in providers.values():
            stack.push_async_callback(provider.close)
            if not provider.live:
                log.warning("%s is a test: credit is had for no money", provider.name)
        pay_url, urls = pay_urls(settings.server.public_url)
        topups = TopUps(store, disk, Shop(_packages(settings), providers, urls), world)
        reconciler = Reconciler(topups, store, disk, world.wall_ms) if providers else None
        pages = PaymentPages(topups, accounts, disk)
        stack.push_async_callback(pages.close)
        rulings = TopUpRulings(topups, store, disk, world.wall_ms)
        yield PaymentSite(
            [
                *TopUpsApi(topups, pay_url, world.wall_ms).routes(),
                *TopUpRulingsApi(rulings, topups, world.wall_ms).routes(),
            ],
            pages,
            reconciler,
        )


def _packages(settings: Settings) -> dict[str, Package]:
    payments = settings.payments
    won = f"1 USD = {_decimal(payments.krw_per_usd)} KRW ({payments.krw_rate_date})"
    packages = {}
    priced: tuple[tuple[Currency, tuple[str, ...], str], ...] = (
        ("USD", payments.packages_usd, ""),
        ("KRW", payments.packages_krw, won),
    )
    for currency, amounts, note in priced:
        for amount in amounts:
            minor = minor_units(amount, _DIGITS[currency])
            credit = credit_for(currency, minor, payments.krw_per_usd)
            package_id = f"{currency}-{minor}"
            packages[package_id] = Package(package_id, currency, minor, credit, note)
    return packages


def _decimal(millionths: int) -> str:
    # The same digits as dollars have, three fewer.
    return format_dollars(millionths * 1_000)


def _providers(settings: Settings) -> dict[str, PaymentProvider]:
    """Return the adapters of the providers that are configured.

    They are imported here: the SDKs take 30 MB and half a second, which nobody else should pay.
    """
    providers: list[PaymentProvider] = []
    if settings.toss.secret_key:
        providers.append(_toss(settings.toss))
    if settings.portone.api_secret:
        providers.append(_portone(settings.portone))
    if settings.stripe.secret_key:
        providers.append(_stripe(settings.stripe))
    return {provider.name: provider for provider in providers}


def _toss(settings: TossSettings) -> PaymentProvider:
    from tokenferry.payments.toss import Toss  # noqa: PLC0415 -- see `_providers`

    return Toss(
        secret_key=settings.secret_key.reveal(),
        client_key=settings.client_key,
        api_url=settings.api_url,
        script_url=settings.script_url,
    )


def _portone(settings: PortOneSettings) -> PaymentProvider:
    from tokenferry.payments.portone import PortOne  # noqa: PLC0415 -- see `_providers`

    return PortOne(
        api_secret=settings.api_secret.reveal(),
        webhook_secret=settings.webhook_secret.reveal(),
        store_id=settings.store_id,
        channel_key=settings.channel_key,
        live=not settings.test,
        ask_buyer=settings.ask_buyer,
        api_url=settings.api_url,
        script_url=settings.script_url,
    )


def _stripe(settings: StripeSettings) -> PaymentProvider:
    from tokenferry.payments.stripe_checkout import (  # noqa: PLC0415 -- see `_providers`
        StripeCheckout,
    )

    return StripeCheckout(
        secret_key=settings.secret_key.reveal(),
        webhook_secret=settings.webhook_secret.reveal(),
        api_url=settings.api_url,
    )
