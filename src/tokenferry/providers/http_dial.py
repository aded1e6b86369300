"""Opening a connection to a provider: name lookup, TCP, the proxy's tunnel, TLS, in one time limit.

Source: RFC 9110, 4.3.4 "https Certificate Verification" and 9.3.6 "CONNECT".
Weakness: an address that accepts connections, but fails in TLS, is not left for another one.
"""

import asyncio
import logging
import os
import socket
import ssl
from dataclasses import dataclass

from tokenferry.errors import ProviderError, ProviderTimeout, ProviderUnreachable
from tokenferry.providers.http_proxy import Proxy, join_address, open_tunnel
from tokenferry.providers.http_socket import connect

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where connections lead.

    Attributes:
        provider: The provider's configured name, for messages.
        host: Name or address, IPv6 without brackets; also the name that a certificate must bear.
        port: TCP port.
        tls: The TLS context, or None for plain HTTP.
        proxy: The proxy to go through, or None.
        connect_timeout_s: For everything until the connection can carry a request.
    """

    provider: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    proxy: Proxy | None
    connect_timeout_s: float

    def __str__(self) -> str:
        """Return what messages call it, without any credential."""
        through = f" through the proxy {self.proxy.address}" if self.proxy else ""
        return f"{join_address(self.host, self.port)}{through}"


def make_tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that verifies certificates and host names.

    Args:
        ca_file: PEM file with certificate authorities to trust besides the system's, or None.

    Raises:
        ValueError: If the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as exc:
            raise ValueError(
                f"The CA file {ca_file} cannot be used: {exc.strerror or exc}."
            ) from None
    return context


async def dial(destination: Destination, protocol: asyncio.Protocol) -> ProviderError | None:
    """Connect `protocol` to a destination; an expected failure is the return value.

    After None, `connection_made` was called with a transport that can carry a request.
    """
    limit = asyncio.timeout(destination.connect_timeout_s)
    try:
        async with limit:
            await _establish(destination, protocol)
    except (OSError, UnicodeError) as exc:  # UnicodeError: a name that IDNA cannot encode
        if limit.expired():
            return ProviderTimeout(
                f"{destination.provider}: no connection to {destination} within "
                f"{destination.connect_timeout_s:g} s."
            )
        return ProviderUnreachable(
            f"{destination.provider}: no connection to {destination}: {_reason(exc)}."
        )
    except Exception:
        _logger.exception("Connecting to %s failed in an unexpected way.", destination)
        return ProviderUnreachable(f"{destination.provider}: no connection to {destination}.")
    return None


async def _establish(to: Destination, protocol: asyncio.Protocol) -> None:
    loop = asyncio.get_running_loop()
    if to.proxy is None:
        await loop.create_connection(
            lambda: protocol,
            sock=await connect(to.host, to.port),
            ssl=to.tls,
            server_hostname=to.host if to.tls else None,
        )
    elif to.tls is None:
        # Plain HTTP goes to a proxy without a tunnel; the request itself names its target.
        sock = await connect(to.proxy.host, to.proxy.port)
        await loop.create_connection(lambda: protocol, sock=sock)
    else:
        tunnel = await open_tunnel(to.proxy, to.host, to.port)
        try:
            transport = await loop.start_tls(tunnel, protocol, to.tls, server_hostname=to.host)
        except BaseException:
            tunnel.abort()
            raise
        if transport is None:
            raise ConnectionResetError("the tunnel was closed")
        protocol.connection_made(transport)


def _reason(exc: OSError | UnicodeError) -> str:
    """Return what went wrong in words, without addresses that the message already names."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {exc.verify_message}"
    if isinstance(exc, ssl.SSLError):
        return f"TLS failed: {exc.reason or exc}"
    if isinstance(exc, socket.gaierror):
        return f"its name cannot be resolved: {exc.strerror}"
    if isinstance(exc, OSError) and exc.errno:
        return os.strerror(exc.errno)
    return str(exc) or type(exc).__name__
