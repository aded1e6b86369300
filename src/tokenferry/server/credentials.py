"""Whose an HTTP request is, and where it comes from."""

from urllib.parse import urlsplit

from aiohttp import web

from tokenferry.domain.api_key import bearer_token
from tokenferry.domain.client_address import client_address, network_of
from tokenferry.engine.keys import Key
from tokenferry.errors import RateLimited
from tokenferry.server.hub import Hub
from tokenferry.server.responses import STANDINGS


def authenticate(request: web.Request, hub: Hub) -> Key:
    """Return the key that a request brings.

    Raises:
        AuthenticationError: If it brings none that is good.
        AccountSuspended: If its account is suspended.
        TooManyBadKeys: If too many wrong ones came from this network.
    """
    token = bearer_token(request.headers.get("Authorization"))
    proxies = hub.trusted_proxies
    return hub.shared.authenticator.authenticate(token, lambda: network(request, proxies))


def reader(request: web.Request, hub: Hub, reads: int = 1) -> Key:
    """Return the key that a request brings for what is no answer, counted as so many reads.

    Raises:
        TokenferryError: As `authenticate` and `count_reads` do.
    """
    key = authenticate(request, hub)
    count_reads(request, hub, key, reads)
    return key


def count_reads(request: web.Request, hub: Hub, key: Key, reads: int) -> None:
    """Count so many reads of a key.

    Raises:
        RateLimited: If it had too many.
    """
    limit = hub.shared.dispatcher.admissions.reads
    try:
        limit.count(key, reads)
    except RateLimited:
        request[STANDINGS] = limit.standings(key)
        raise


def network(request: web.Request, proxies: int) -> str:
    """Return what a limit counts a request by: its client's address, or IPv6 network.

    Args:
        request: The request.
        proxies: How many proxies of one's own are in front.
    """
    forwarded = request.headers.getall("X-Forwarded-For", ())
    return network_of(client_address(request.remote or "", forwarded, proxies))


def is_own(origin: str, request: web.Request) -> bool:
    """Say whether an Origin is the host that a request asks for.

    Behind a proxy that ends TLS the scheme differs; host and port must not.
    """
    try:
        return urlsplit(origin).netloc == request.host
    except ValueError:
        return False  # no browser sends what is no URL


def is_secure(request: web.Request) -> bool:
    """Say whether a browser has sent a request by TLS, be it to a proxy that ends it.

    The Origin of a page says so, whatever proxies are between; nobody can give it another one.
    """
    return request.secure or request.headers.get("Origin", "").startswith("https:")
