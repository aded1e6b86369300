"""Ids that nobody can guess, from random bytes that are fetched many at a time.

The kernel's generator is asked once for some hundred ids: the two that a request needs would
otherwise take three per cent of its time.

Weakness: bytes that are still to be used lie in the process's memory. Nothing that is a secret for
longer than a stream lives, such as a key, a ticket or a cookie, is made of them; and a process that
forked would have the same ids as its parent, which the server never does.
"""

import os
from collections.abc import Callable
from typing import Final

POOL_BYTES: Final = 4_096


class RandomIds:
    """Makes ids.

    Args:
        urandom: Returns that many random bytes.
    """

    def __init__(self, urandom: Callable[[int], bytes] = os.urandom) -> None:
        self._urandom = urandom
        self._pool = ""
        self._used = 0

    def hex(self, size: int) -> str:
        """Return `size` random bytes, at most `POOL_BYTES`, in two lower-case characters each."""
        begin, end = self._used, self._used + 2 * size
        if end > len(self._pool):
            self._pool = self._urandom(POOL_BYTES).hex()
            begin, end = 0, 2 * size
        self._used = end
        return self._pool[begin:end]


# The process's own.
random_hex = RandomIds().hex


def stream_id(wall_ms: int) -> str:
    """Return a new stream's id: eight digits of the time, in seconds, and sixteen random ones.

    What is written together so stands together in every table and index that has it for a key.
    With the random digits alone, each new row changed pages of its own, the more the larger the
    tables were. Whose stream it is is checked besides, so that 64 bits are enough.

    Args:
        wall_ms: Unix time.
    """
    return f"st_{wall_ms // 1000:08x}{random_hex(8)}"
