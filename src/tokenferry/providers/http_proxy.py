"""HTTP proxies on the way to a provider: which one to use, and the opening of a tunnel through it.

Source: RFC 9110, 9.3.6 "CONNECT", and 11.7 for the proxy's credentials; `NO_PROXY` has no
standard, and is read as curl and Go read it. Weakness: only proxies that are themselves spoken to
over plain HTTP; SOCKS and `https://` proxies are refused when the configuration is read.
"""

import asyncio
import ipaddress
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from tokenferry.providers.http_socket import connect

# As much as common servers allow for a whole head; a tunnel's answer is a few lines.
TUNNEL_HEAD_BYTES_MAX = 16 * 1024
_HEAD_END = b"\r\n\r\n"
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (?P<status>\d{3})[ \r]")
_ADVICE = "a proxy's address must be http://[user:password@]host[:port]"


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        host: Name or address, IPv6 without brackets.
        port: TCP port.
        authorization: The value of `proxy-authorization`; a secret, kept out of messages.
    """

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Return host and port, for messages."""
        return join_address(self.host, self.port)


class TunnelRefused(OSError):
    """The proxy did not open a tunnel; the text says why."""


def join_address(host: str, port: int) -> str:
    """Return `host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_proxy(url: str) -> Proxy:
    """Read a proxy's URL; `host:port` without a scheme is taken as `http://`.

    Raises:
        ValueError: If it is no such URL. The message never quotes it: it may hold a password.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{_ADVICE}.") from None
    if parts.scheme != "http":
        raise ValueError(f"{_ADVICE}; {parts.scheme}:// proxies are not supported.")
    if not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"{_ADVICE}.")
    if parts.username is None:
        return Proxy(host, port or 80)
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(host, port or 80, f"Basic {b64encode(pair.encode()).decode()}")


def choose_proxy(
    proxy_url: str | None, *, scheme: str, host: str, port: int, environ: Mapping[str, str]
) -> Proxy | None:
    """Return the proxy to reach an origin through, or None to go there directly.

    Args:
        proxy_url: A proxy's URL, None for no proxy, or `env` to look into `environ`.
        scheme: `http` or `https`, of the origin.
        host: The origin's host.
        port: The origin's port.
        environ: Where `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` are looked up, in
            lower and upper case, lower case first, as curl does.

    Raises:
        ValueError: If the proxy's URL is no URL of an HTTP proxy.
    """
    if proxy_url is None:
        return None
    if proxy_url != "env":
        return parse_proxy(proxy_url)
    url = _lookup(environ, f"{scheme}_proxy") or _lookup(environ, "all_proxy")
    if not url or is_bypassed(_lookup(environ, "no_proxy"), host, port):
        return None
    return parse_proxy(url)


def _lookup(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def is_bypassed(no_proxy: str, host: str, port: int) -> bool:
    """Return whether `NO_PROXY` rules exempt an origin.

    Args:
        no_proxy: Rules, separated by commas or spaces: `*`, a host (its subdomains included), a
            `.suffix`, an IP address or network, each but `*` with an optional `:port`.
        host: The origin's host, IPv6 without brackets.
        port: The origin's port.
    """
    host = host.lower().rstrip(".")
    return any(_matches(rule, host, port) for rule in re.split(r"[\s,]+", no_proxy.lower()) if rule)


def _matches(rule: str, host: str, port: int) -> bool:
    if rule == "*":
        return True
    if rule.startswith("["):
        name, _, rest = rule[1:].partition("]")
        rule_port = rest.removeprefix(":")
    elif rule.count(":") == 1:
        name, _, rule_port = rule.partition(":")
    else:
        name, rule_port = rule, ""
    if rule_port and rule_port != str(port):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        suffix = name.removeprefix("*").removeprefix(".")
        return bool(suffix) and (host == suffix or host.endswith(f".{suffix}"))
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False


class _TunnelAnswer(asyncio.Protocol):
    """Reads the answer to CONNECT; `refusal` gets None for an open tunnel, or the reason."""

    __slots__ = ("_head", "refusal")

    def __init__(self, refusal: "asyncio.Future[str | None]") -> None:
        self.refusal = refusal
        self._head = bytearray()

    def data_received(self, data: bytes) -> None:
        self._head += data
        end = self._head.find(_HEAD_END)
        if end >= 0:
            self._settle(self._read(end))
        elif len(self._head) > TUNNEL_HEAD_BYTES_MAX:
            self._settle(f"its answer has no end within {TUNNEL_HEAD_BYTES_MAX} bytes")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's
        self._settle("it closed the connection")

    def _read(self, end: int) -> str | None:
        match = _STATUS_LINE.match(self._head)
        if not match:
            return "its answer is not HTTP"
        if not match["status"].startswith(b"2"):
            return f"it answered HTTP {match['status'].decode()}"
        # In TLS the client speaks first, so these bytes cannot be the provider's.
        surplus = len(self._head) > end + len(_HEAD_END)
        return "it sent data ahead of the tunnel" if surplus else None

    def _settle(self, refusal: str | None) -> None:
        if not self.refusal.done():
            self.refusal.set_result(refusal)


async def open_tunnel(proxy: Proxy, host: str, port: int) -> asyncio.Transport:
    """Return a transport that is a tunnel to `host:port`; its protocol is to be replaced.

    Raises:
        TunnelRefused: If the proxy answered, but not with a tunnel.
        OSError: If the proxy cannot be reached.
    """
    loop = asyncio.get_running_loop()
    refusal: asyncio.Future[str | None] = loop.create_future()
    sock = await connect(proxy.host, proxy.port)
    transport, _ = await loop.create_connection(lambda: _TunnelAnswer(refusal), sock=sock)
    try:
        target = join_address(host, port)
        lines = [f"CONNECT {target} HTTP/1.1", f"host: {target}"]
        if proxy.authorization:
            lines.append(f"proxy-authorization: {proxy.authorization}")
        transport.write("\r\n".join([*lines, "", ""]).encode())
        if (reason := await refusal) is not None:
            raise TunnelRefused(f"the proxy refused the tunnel: {reason}")  # noqa: TRY301 -- closes
    except BaseException:
        transport.abort()
        raise
    return transport
