"""The settings of the lines before providers."""

from dataclasses import dataclass, field

from tokenferry.config.rules import Integer, Seconds
from tokenferry.config.spec import spec


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """The table `[queue]`."""

    length_max: int = field(
        default=1_000,
        metadata=spec(
            Integer(0, 100_000),
            "How many may wait for one provider; whoever comes then is refused with 503 "
            "`queue_full`. 0 lets nobody wait.",
        ),
    )
    wait_max_s: float = field(
        default=60,
        metadata=spec(
            Seconds(0.1, 3600),
            "How long one waits; then the next candidate is tried, or it is refused with 503 "
            "`queue_timeout`.",
        ),
    )
