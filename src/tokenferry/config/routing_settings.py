"""The settings of routing: retries, and when a candidate is left alone."""

from dataclasses import dataclass, field

from tokenferry.config.rules import Integer, Seconds
from tokenferry.config.spec import spec


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingSettings:
    """The table `[routing]`."""

    retries: int = field(
        default=1,
        metadata=spec(
            Integer(0, 5),
            "How often a candidate is called again when a call failed before its first token by a "
            "fault that may pass: a 5xx, a 429, a connection that failed. 0 goes to the next "
            "candidate at once.",
        ),
    )
    backoff_s: float = field(
        default=0.2,
        metadata=spec(
            Seconds(0, 60),
            "The most that the first retry waits, a random part of it; the most of each further "
            "one is twice as long.",
        ),
    )
    retry_wait_max_s: float = field(
        default=2,
        metadata=spec(
            Seconds(0, 60),
            "The longest wait before a retry. A provider that asks for a longer one "
            "(`retry-after`) is not waited for: the next candidate is called, or the client is "
            "told.",
        ),
    )
    retry_deadline_s: float = field(
        default=10,
        metadata=spec(
            Seconds(0, 600),
            "How long after the request a retry may begin. Further candidates are tried after it "
            "as well.",
        ),
    )
    retry_percent: int = field(
        default=20,
        metadata=spec(
            Integer(0, 100),
            "Retries at one provider, in percent of its requests; ten more may come at once. So "
            "that retries do not multiply what a failing provider has to bear.",
        ),
    )
    breaker_window_s: float = field(
        default=30,
        metadata=spec(
            Seconds(1, 3_600), "The time over which the failures of a candidate are counted."
        ),
    )
    breaker_calls_min: int = field(
        default=10,
        metadata=spec(Integer(1, 100_000), "Calls in that time below which nothing is concluded."),
    )
    breaker_failures_percent: int = field(
        default=50,
        metadata=spec(
            Integer(1, 100), "Of them, the share of failures at which a candidate is left alone."
        ),
    )
    breaker_open_s: float = field(
        default=5,
        metadata=spec(
            Seconds(0.1, 3_600),
            "For how long, the first time; then two calls probe it, and when one fails it is left "
            "alone for twice as long.",
        ),
    )
    breaker_open_max_s: float = field(
        default=120, metadata=spec(Seconds(0.1, 86_400), "For how long at most.")
    )
