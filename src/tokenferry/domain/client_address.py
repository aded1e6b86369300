"""From where a request comes, when there are proxies between, and which limit it falls under.

Each proxy adds the address that it was called from to the end of X-Forwarded-For. Whoever calls
may send a header of their own, so that only the entries of one's own proxies can be believed,
counted from the end.

Source: RFC 7239, section 5.2, for what the older header means; RFC 6177: a customer gets a /64 or
more of IPv6.
"""

import ipaddress
from collections.abc import Sequence

_IPV6_PREFIX = 64


def client_address(peer: str, forwarded: Sequence[str], proxies: int) -> str:
    """Return the address of the client.

    Args:
        peer: Who made the connection.
        forwarded: The X-Forwarded-For headers, in order.
        proxies: How many proxies of one's own there are in front.
    """
    entries = [entry.strip() for line in forwarded for entry in line.split(",") if entry.strip()]
    if not proxies or len(entries) < proxies:
        return peer
    return entries[-proxies]


def network_of(address: str) -> str:
    """Return what a limit counts by: the IPv4 address, or the network of the IPv6 one."""
    host = address.partition("%")[0]
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        # A port behind an IPv4 address, as some proxies write it; or nonsense, under one limit.
        before, _, _ = host.rpartition(":")
        try:
            parsed = ipaddress.ip_address(before)
        except ValueError:
            return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
    return str(parsed)
