"""A rate limit as arithmetic on one integer.

The state of a limit is the moment at which a caller who keeps exactly to the rate would come
next. Whoever asks brings the clock and keeps the state.

Source: generic cell rate algorithm, ITU-T I.371. Weakness: the state must live as long as the
burst takes to refill, or a caller gets a fresh burst.
"""

from dataclasses import dataclass
from typing import NamedTuple

MINUTE_NS = 60_000_000_000
NS_PER_MS = 1_000_000
MS_PER_S = 1_000
S_PER_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Limit:
    """A sustained rate with room for a burst.

    Attributes:
        interval_ns: Nanoseconds that one request, or token, uses up; at least 1.
        burst: How many an idle caller may have at once; at least 1.
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


class Standing(NamedTuple):
    """How a caller stands with a limit.

    Attributes:
        name: What is counted: "requests" or "tokens".
        limit: How many a minute.
        remaining: How many there are room for now.
        reset_ms: Milliseconds until there is room for the whole burst, rounded up.
    """

    name: str
    limit: int
    remaining: int
    reset_ms: int


def per_minute(count: int) -> Limit:
    """Return the limit of so many a minute, all of them at once if need be.

    The interval is rounded up, so that the rate is never more than was said; at a billion a minute
    it would be 2 % less in the worst case.
    """
    return Limit(-(-MINUTE_NS // count), count)


def check(limit: Limit, *, arrival_ns: int, now_ns: int, cost: int = 1) -> Allowed | Refused:
    """Decide on one request.

    Args:
        limit: What the caller is held to.
        arrival_ns: The state that the last `Allowed` gave; 0 for a new caller.
        now_ns: The time, on the clock that the state was made with.
        cost: How many it is; what costs more than the burst is refused however long it waits.
    """
    # Time that passed unused is credit for the burst and no more, hence the max().
    next_ns = max(arrival_ns, now_ns) + cost * limit.interval_ns
    wait_ns = next_ns - limit.burst * limit.interval_ns - now_ns
    return Refused(wait_ns) if wait_ns > 0 else Allowed(next_ns)


def standing(name: str, limit: Limit, *, arrival_ns: int, now_ns: int) -> Standing:
    """Return how a caller stands with a limit of so many a minute."""
    backlog_ns = max(0, arrival_ns - now_ns)
    room_ns = limit.burst * limit.interval_ns - backlog_ns
    remaining = max(0, room_ns // limit.interval_ns)
    return Standing(name, limit.burst, remaining, whole_ms(backlog_ns))


def whole_ms(time_ns: int) -> int:
    """Return a time in milliseconds, rounded up: who waits that long has waited long enough."""
    return -(-time_ns // NS_PER_MS)


def duration(time_ms: int) -> str:
    """Return a time as the `x-ratelimit-reset-…` headers have it: `12ms`, `1s`, `1.5s`, `6m0s`.

    Source: the form of Go's time.Duration, in which OpenAI writes them (2026-11).
    """
    if 0 < time_ms < MS_PER_S:
        return f"{time_ms}ms"
    whole_s, rest_ms = divmod(time_ms, MS_PER_S)
    minutes, seconds = divmod(whole_s, S_PER_MINUTE)
    hours, minutes = divmod(minutes, S_PER_MINUTE)
    fraction = f".{rest_ms:03d}".rstrip("0") if rest_ms else ""
    text = f"{seconds}{fraction}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text
