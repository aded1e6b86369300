"""Holds off networks that send one wrong key after the other.

Weakness: the state is in memory. A restart forgets it, and each of several servers has its own.
"""

from collections.abc import Callable

from tokenferry.domain.rate_limit import Allowed, Refused, check, per_minute, whole_ms
from tokenferry.engine.throttle import Remembered
from tokenferry.errors import TooManyBadKeys

NS_PER_S = 1_000_000_000
MS_PER_S = 1_000


class BadKeys:
    """How many wrong keys came from which network.

    Args:
        per_minute_max: How many may come; 0 for no limit.
        clock: Monotonic seconds.
    """

    def __init__(self, per_minute_max: int, clock: Callable[[], float]) -> None:
        self._limit = per_minute(per_minute_max) if per_minute_max else None
        self._clock = clock
        self._arrivals_ns = Remembered(0)

    def check(self, network: str) -> None:
        """Make sure that another key may be tried.

        Raises:
            TooManyBadKeys: If too many were wrong.
        """
        decision = self._decision(network)
        if isinstance(decision, Refused):
            wait_ms = whole_ms(decision.retry_after_ns)
            raise TooManyBadKeys(
                "Too many wrong API keys came from your network. Mend the one that is configured, "
                f"and try again in {wait_ms / MS_PER_S:g} seconds.",
                retry_after_ms=wait_ms,
            )

    def count(self, network: str) -> None:
        """Count a wrong key."""
        decision = self._decision(network)
        if isinstance(decision, Allowed):
            self._arrivals_ns[network] = decision.arrival_ns

    def _decision(self, network: str) -> Allowed | Refused | None:
        if self._limit is None:
            return None
        now_ns = round(self._clock() * NS_PER_S)
        return check(self._limit, arrival_ns=self._arrivals_ns[network], now_ns=now_ns)
