"""Holds off who asks without end for what begins no stream: streams, models, estimates.

Such a request is called a read here. It is cheap, so that many are let through; what is dear, as
a list, a long answer or a large body, counts as several, so that nobody keeps others from their
tokens by reading in a loop. All keys of an account count together: who has many has no more. The
operator's own keys count each by itself.

Weakness: the state is in memory. A restart forgets it, and each of several servers has its own.
"""

from collections.abc import Callable

from tokenferry.domain.rate_limit import (
    Refused,
    Standing,
    check,
    per_minute,
    standing,
    whole_ms,
)
from tokenferry.engine.keys import Key
from tokenferry.engine.throttle import Remembered
from tokenferry.errors import RateLimited

NS_PER_S = 1_000_000_000
MS_PER_S = 1_000
# What counts as one: records of an answer, some microseconds each, and bytes of a body, which is
# taken to pieces in one go, so that others wait for it.
RECORDS_PER_READ = 1_000
BODY_BYTES_PER_READ = 4 << 10
# A list walks through all streams, or computes the prices of all models.
LIST_READS = 10

_WHOSE = {
    "key": "This key may",
    "account": "The keys of this account may together",
}


class ReadLimit:
    """How many reads came from whom.

    Args:
        per_minute_max: How many may come; 0 for no limit.
        clock: Monotonic seconds.
    """

    def __init__(self, per_minute_max: int, clock: Callable[[], float]) -> None:
        self._limit = per_minute(per_minute_max) if per_minute_max else None
        self._clock = clock
        self._arrivals_ns = Remembered(0)

    def count(self, key: Key, reads: int) -> None:
        """Count what somebody asks for, as so many reads.

        Raises:
            RateLimited: If there were too many; then it is not counted.
        """
        limit = self._limit
        if limit is None or not reads:
            return
        scope, subject = _subject(key)
        now_ns = round(self._clock() * NS_PER_S)
        arrival_ns = self._arrivals_ns[subject]
        # What is more than all of a minute's takes all of them, so that it can be had at all.
        cost = min(reads, limit.burst)
        decision = check(limit, arrival_ns=arrival_ns, now_ns=now_ns, cost=cost)
        if not isinstance(decision, Refused):
            self._arrivals_ns[subject] = decision.arrival_ns
            return
        wait_ms = whole_ms(decision.retry_after_ns)
        error = RateLimited(
            f"{_WHOSE[scope]} read {limit.burst} times a minute; lists, long answers and large "
            f"bodies count as several. Try again in {wait_ms / MS_PER_S:g} seconds.",
            retry_after_ms=wait_ms,
        )
        error.limit = f"{scope}_reads"
        error.details["limit"] = {"scope": scope, "name": "reads_per_minute", "value": limit.burst}
        error.details["rate_limits"] = [found._asdict() for found in self.standings(key)]
        raise error

    def standings(self, key: Key) -> list[Standing]:
        """Return how a key stands with the limit, if there is one."""
        if self._limit is None:
            return []
        arrival_ns = self._arrivals_ns[_subject(key)[1]]
        now_ns = round(self._clock() * NS_PER_S)
        return [standing("reads", self._limit, arrival_ns=arrival_ns, now_ns=now_ns)]


def _subject(key: Key) -> tuple[str, str]:
    """Return who counts for a key: its account, or itself."""
    return ("account", key.account_id) if key.is_limited else ("key", key.public_id)
