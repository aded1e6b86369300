"""A TCP connection to a host of several addresses, of which some may be dead.

Source: RFC 8305, "Happy Eyeballs". Weakness: names are looked up for both families at once, so that
the slower answer is waited for.
"""

import asyncio
import socket

from aiohappyeyeballs import start_connection

# RFC 8305, 8: how long an address has before the next one is tried beside it.
ATTEMPT_DELAY_S = 0.25


async def connect(host: str, port: int) -> socket.socket:
    """Return a socket that is connected to whichever address answers first.

    An event loop would try one address after the other: a dead one uses up the whole time limit,
    though the next would have answered.

    Raises:
        OSError: If the name has no address, or none can be reached.
    """
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return await start_connection(addresses, happy_eyeballs_delay=ATTEMPT_DELAY_S)
