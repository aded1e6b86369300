"""The time and the dice, which what is pure is told."""

import random
import time
from typing import Final

from tokenferry_client import closing

# Some three hundred years.
FOR_EVER_S: Final = 1e10


def milliseconds(seconds: float) -> int:
    """Return a time in milliseconds; infinity is a long one."""
    return int(min(seconds, FOR_EVER_S) * 1000)


def now_ms() -> int:
    """Return a time that never goes back."""
    return time.monotonic_ns() // 1_000_000


def random_bits() -> int:
    """Return what a delay is drawn with."""
    return random.getrandbits(closing.RANDOM_BITS)
