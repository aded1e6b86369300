"""Threads for what would hold the event loop up: hashing passwords, waiting for the disk, mail.

How much may wait is limited: beyond that a request is refused at once, in place of all requests
being served too late.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tokenferry.errors import Overloaded

RETRY_AFTER_MS = 1_000

T = TypeVar("T")


class Workers:
    """A few threads and a bounded queue before them.

    Args:
        name: For the names of the threads.
        threads: How many.
        waiting_max: How much may wait for them.
    """

    def __init__(self, name: str, threads: int, waiting_max: int) -> None:
        self._executor = ThreadPoolExecutor(threads, name)
        self._max = threads + waiting_max
        self._count = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Return what the work returns, once a thread has done it.

        Whoever gives up waiting does not stop the work.

        Raises:
            Overloaded: If too much waits already.
        """
        if self._count >= self._max:
            raise Overloaded(
                "The server has too much to do; try again in a moment.",
                retry_after_ms=RETRY_AFTER_MS,
            )
        self._count += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def close(self) -> None:
        """Wait for what runs, and drop what waits."""
        self._executor.shutdown(cancel_futures=True)

    def _done(self, future: asyncio.Future[Any]) -> None:
        self._count -= 1
        if not future.cancelled():
            future.exception()  # whoever waits gets it; if nobody does, nobody needs it
