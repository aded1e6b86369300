"""Wires accounts together: the part of the composition root behind /api.

Beside `app` and the other sites, this is the only module of the server that names the stores.
"""

import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from tokenferry.config.settings import Settings
from tokenferry.engine.accounts import AccountStore
from tokenferry.engine.keys import KeyStore
from tokenferry.engine.links import World
from tokenferry.engine.membership import Membership, Policy
from tokenferry.engine.request_log import RequestStore
from tokenferry.engine.vouchers import Redeemer
from tokenferry.engine.workers import Workers
from tokenferry.server.accounts_api import AccountsApi
from tokenferry.server.admin_api import AdminApi
from tokenferry.server.api_routes import Route
from tokenferry.server.grants_api import GrantsApi
from tokenferry.server.key_admin_api import KeyAdminApi
from tokenferry.server.keys_api import KeysApi
from tokenferry.server.mail import SmtpMailer
from tokenferry.server.passwords import Argon2Passwords
from tokenferry.server.payment_site import PaymentSite, payment_site
from tokenferry.server.requests_api import RequestsApi
from tokenferry.server.usage_api import UsageApi
from tokenferry.server.voucher_admin_api import VoucherAdminApi
from tokenferry.server.vouchers_api import VouchersApi
from tokenferry.stores.sqlite import SqliteKeys
from tokenferry.stores.sqlite_accounts import SqliteAccounts
from tokenferry.stores.sqlite_statements import SqliteStatements
from tokenferry.stores.sqlite_vouchers import SqliteVouchers

NS_PER_MS = 1_000_000
MS_PER_DAY = 86_400_000
# A write waits for the disk, some milliseconds; who would wait for a second is turned away.
WAITING_MAX = 200


@dataclass(frozen=True, slots=True)
class AccountSite:
    """What there is for accounts.

    Attributes:
        routes: The routes of the API.
        membership: Tells whose a login is.
        store: The accounts.
        disk: The thread that uses it.
        origins: The browser origins that may use the API.
        payments: What there is for payments.
        keys: The accounts' keys; used by `disk` alone.
        world: Clocks and dice.
        secure: Whether people reach the server by HTTPS.
    """

    routes: list[Route]
    membership: Membership
    store: AccountStore
    disk: Workers
    origins: tuple[str, ...]
    payments: PaymentSite
    keys: KeyStore
    world: World
    secure: bool


@contextlib.asynccontextmanager
async def account_site(settings: Settings, requests: RequestStore) -> AsyncIterator[AccountSite]:
    """Open what accounts need; at the end it is let go.

    Args:
        settings: The configuration.
        requests: The request log.

    Raises:
        StoreUnusable: If the database cannot be used.
    """
    server = settings.server
    world = World(lambda: time.time_ns() // NS_PER_MS, time.monotonic_ns, secrets.token_bytes)
    async with contextlib.AsyncExitStack() as stack:
        # Connections of their own: the event loop's need not wait while they write.
        store = stack.enter_context(contextlib.closing(SqliteAccounts(server.database)))
        keys = stack.enter_context(contextlib.closing(SqliteKeys(server.database, any_thread=True)))
        disk = stack.enter_context(contextlib.closing(Workers("accounts", 1, WAITING_MAX)))
        statements = stack.enter_context(contextlib.closing(SqliteStatements(server.database)))
        vouchers = stack.enter_context(contextlib.closing(SqliteVouchers(server.database)))
        passwords = stack.enter_context(contextlib.closing(Argon2Passwords()))
        mailer = None
        if settings.mail.smtp_host:
            mailer = SmtpMailer(settings.mail, server.public_url)
            stack.push_async_callback(mailer.close)
        membership = Membership(store, disk, passwords, mailer, _policy(settings), world)
        stack.push_async_callback(membership.close)
        secure = server.tls_cert is not None or server.public_url.startswith("https:")
        own = AccountsApi(membership, proxies=settings.accounts.trusted_proxies, secure=secure)
        payments = await stack.enter_async_context(payment_site(settings, store, world))
        usual = settings.limits.key_allowance()
        routes = [
            *own.routes(),
            *KeysApi(keys, statements, disk, world, usual).routes(),
            *AdminApi(store, keys, statements, disk, world, usual).routes(),
            *KeyAdminApi(keys, statements, disk, world, usual).routes(),
            *GrantsApi(statements, store, store.book, disk, world).routes(),
            *VoucherAdminApi(vouchers, disk, world).routes(),
            *VouchersApi(
                Redeemer(vouchers, disk, world.wall_ms, world.clock_ns), statements, disk
            ).routes(),
            *UsageApi(statements, disk, world).routes(),
            *RequestsApi(statements, requests, disk, world.wall_ms).routes(),
            *payments.routes,
        ]
        origins = _origins(settings)
        yield AccountSite(routes, membership, store, disk, origins, payments, keys, world, secure)


def _policy(settings: Settings) -> Policy:
    accounts = settings.accounts
    return Policy(
        signup_open=accounts.signup == "open",
        session_ms=accounts.session_days * MS_PER_DAY,
        signup_credit_nanos=settings.billing.signup_credit,
        signups_per_hour=accounts.signups_per_hour,
        signups_per_network_per_hour=accounts.signups_per_ip_per_hour,
    )


def _origins(settings: Settings) -> tuple[str, ...]:
    """Return the origins that are named, and the one by which people reach the server."""
    origins = settings.server.origins
    if settings.server.public_url:
        parts = urlsplit(settings.server.public_url)
        origins += (f"{parts.scheme}://{parts.netloc}",)
    return origins
