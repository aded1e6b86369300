"""A TCP connection to a host of several addresses, of which some may be dead.

Source: RFC 8305, "Happy Eyeballs". Weakness: names are looked up for both families at once, so that
the slower answer is waited for.
"""

import asyncio
import socket
from functools import partial
from typing import Any

from aiohappyeyeballs import start_connection

# RFC 8305, 8: how long an address has before the next one is tried beside it.
ATTEMPT_DELAY_S = 0.25

_Name = tuple[asyncio.AbstractEventLoop, str, int]
_Lookup = asyncio.Task[list[Any]]
_lookups: dict[_Name, _Lookup] = {}


async def connect(host: str, port: int) -> socket.socket:
    """Return a socket that is connected to whichever address answers first.

    An event loop would try one address after the other: a dead one uses up the whole time limit,
    though the next would have answered.

    Raises:
        OSError: If the name has no address, or none can be reached.
    """
    addresses = await _addresses(host, port)
    return await start_connection(addresses, happy_eyeballs_delay=ATTEMPT_DELAY_S)


async def _addresses(host: str, port: int) -> list[Any]:
    """Look a name up, once for all who ask at the same time.

    The system has a few threads for all names, and nothing ends a lookup under way: with one for
    each request, a name whose servers are dead would take all of them from the other providers.
    """
    loop = asyncio.get_running_loop()
    name = (loop, host, port)
    if (lookup := _lookups.get(name)) is None:
        asked = loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        lookup = _lookups[name] = loop.create_task(asked)
        lookup.add_done_callback(partial(_answered, name))
    return await asyncio.shield(lookup)  # it goes on for the others when one is cancelled


def _answered(name: _Name, lookup: _Lookup) -> None:
    del _lookups[name]
    if not lookup.cancelled():
        lookup.exception()  # or it is said to be never retrieved, where nobody waits any more
