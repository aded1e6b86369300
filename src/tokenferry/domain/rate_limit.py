"""A rate limit as arithmetic on one integer.

The state of a limit is the moment at which a caller who keeps exactly to the rate would come
next. Whoever asks brings the clock and keeps the state.

Source: generic cell rate algorithm, ITU-T I.371. Weakness: the state must live as long as the
burst takes to refill, or a caller gets a fresh burst.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """A sustained rate with room for a burst.

    Attributes:
        interval_ns: Nanoseconds that one request uses up; at least 1.
        burst: Requests that an idle caller may make at once; at least 1.
    """

    interval_ns: int
    burst: int

    def __post_init__(self) -> None:
        """Refuse limits that would let nothing or everything through."""
        if self.interval_ns < 1 or self.burst < 1:
            raise ValueError(f"interval_ns and burst must be at least 1: {self}")


@dataclass(frozen=True, slots=True)
class Allowed:
    """The request may go on; `arrival_ns` is the new state."""

    arrival_ns: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The request must wait; the state stays as it was."""

    retry_after_ns: int


def check(limit: Limit, *, arrival_ns: int, now_ns: int) -> Allowed | Refused:
    """Decide on one request.

    Args:
        limit: What the caller is held to.
        arrival_ns: The state that the last `Allowed` gave; 0 for a new caller.
        now_ns: The time, on the clock that the state was made with.
    """
    # Time that passed unused is credit for the burst and no more, hence the max().
    next_ns = max(arrival_ns, now_ns) + limit.interval_ns
    wait_ns = next_ns - limit.burst * limit.interval_ns - now_ns
    return Refused(wait_ns) if wait_ns > 0 else Allowed(next_ns)
