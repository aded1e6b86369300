"""Reads the bodies of requests: within a time, and only as many at once as there is room for.

Nearly every body comes along with its head; then nothing of this costs anything. Of those that are
still arriving nobody knows whether they ever come to their end: each has a time, which grows with
what has come, and all that one account is sending may take a part of the memory only.

Source: Apache's mod_reqtimeout, whose default has the same form (20 seconds, and 500 bytes for
each further one).
Weakness: what has arrived is counted no longer, though the request may wait for a provider.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from aiohttp import StreamReader, web

from tokenferry.domain.ledger import OPERATOR
from tokenferry.errors import (
    Overloaded,
    PayloadTooLarge,
    RateLimited,
    RequestTooSlow,
)

# Half a minute for a connection that begins slowly; then what a bad mobile network carries.
START_S = 30.0
BYTES_PER_S_MIN = 8 * 1024
# In bodies of the largest size that is taken.
EACH_MAX = 8
ALL_MAX = 32
RETRY_MS = 1_000


class Room:
    """What bodies that are still arriving may take of the memory.

    Args:
        body_bytes_max: The largest body that is taken.

    Attributes:
        each_max: What one account may have.
    """

    def __init__(self, body_bytes_max: int) -> None:
        self.each_max = EACH_MAX * body_bytes_max
        self._all_max = ALL_MAX * body_bytes_max
        self._taken: Counter[str] = Counter()
        self._taken_by_all = 0

    def take(self, account_id: str, count: int) -> None:
        """Take room for some bytes.

        Raises:
            RateLimited: If the account has none left; the operator's own keys share the whole.
            Overloaded: If nobody has.
        """
        if account_id != OPERATOR and self._taken[account_id] + count > self.each_max:
            raise RateLimited(
                "Too many large requests of this account are arriving at once. Send fewer at a "
                "time, or smaller ones.",
                retry_after_ms=RETRY_MS,
            )
        if self._taken_by_all + count > self._all_max:
            raise Overloaded(
                "The server receives too many large requests at once; try again in a moment.",
                retry_after_ms=RETRY_MS,
            )
        self._taken[account_id] += count
        self._taken_by_all += count

    def give_back(self, account_id: str, count: int) -> None:
        """Give room back."""
        self._taken_by_all -= count
        self._taken[account_id] -= count
        if not self._taken[account_id]:
            del self._taken[account_id]


async def read_body(
    request: web.Request,
    bytes_max: int,
    advice: str,
    *,
    room: Room | None = None,
    account_id: str = OPERATOR,
) -> bytes:
    """Return a request's body.

    Args:
        request: The request.
        bytes_max: How long it may be.
        advice: How the sentence ends that says that one is longer.
        room: Where there must be room for it; None where bodies are short.
        account_id: Whose it is.

    Raises:
        PayloadTooLarge: If it is longer.
        RequestTooSlow: If it does not come in time.
        RequestPayloadError: If it is not what its headers say.
        RateLimited: If too much of the account's is arriving.
        Overloaded: If too much is arriving.
    """
    content = request.content
    if content.is_eof() and 0 < content.total_bytes <= bytes_max:
        # All of it is here, as it mostly is: nobody waits, and there is nothing to watch.
        return content.read_nowait()
    if (request.content_length or 0) <= bytes_max:
        data = await _gather_in_time(content, bytes_max, room, account_id)
        if len(data) <= bytes_max:
            return bytes(data)
    raise PayloadTooLarge(f"The body is larger than {bytes_max} bytes{advice}")


async def _gather_in_time(
    content: StreamReader, bytes_max: int, room: Room | None, account_id: str
) -> bytearray:
    started_s = asyncio.get_running_loop().time()
    came = 0
    try:
        async with asyncio.timeout(START_S) as limit:

            def heard(count: int) -> None:
                nonlocal came
                if room is not None:
                    room.take(account_id, count)
                came += count
                limit.reschedule(started_s + START_S + came / BYTES_PER_S_MIN)

            return await _gather(content, bytes_max, heard)
    except TimeoutError:
        raise RequestTooSlow(
            "The body did not come in time; send it again, or send less."
        ) from None
    finally:
        if room is not None:
            room.give_back(account_id, came)


async def _gather(content: StreamReader, bytes_max: int, heard: Callable[[int], None]) -> bytearray:
    """Return a body, or the beginning of one that is too long."""
    data, chunk = bytearray(), b""
    try:
        while len(data) <= bytes_max and (chunk := await content.readany()):
            heard(len(chunk))
            data += chunk
    except BaseException:
        # Of a client that leaves, the reader keeps the exception, which keeps this frame: a cycle.
        data.clear()
        chunk = b""
        raise
    return data
