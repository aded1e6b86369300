"""How long somebody waits who has failed to log in: longer each time, up to a limit.

An attempt counts as a failure when it begins, and no longer once it succeeds; otherwise a
thousand attempts at once would all find that none had failed yet.

Weakness: whoever fails on purpose makes an account's owner wait as well, where the owner has not
logged in before; which is why the longest wait of an account is short.
"""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Patience:
    """How failures are answered.

    Attributes:
        free: How many cost no wait.
        first_ns: The wait after the first one that does; it doubles with each further one.
        longest_ns: The longest wait.
        forgotten_ns: After how long without a failure all is forgotten.
    """

    free: int
    first_ns: int
    longest_ns: int
    forgotten_ns: int


class Failures(NamedTuple):
    """The state of one account or address.

    Attributes:
        times: How often it failed.
        until_ns: Until when it waits.
        last_ns: When it failed last.
    """

    times: int
    until_ns: int
    last_ns: int


NONE = Failures(0, 0, 0)


def wait_ns(failures: Failures, now_ns: int) -> int:
    """Return how long an attempt has to wait; 0 if it may be made."""
    return max(0, failures.until_ns - now_ns)


def failed(failures: Failures, patience: Patience, now_ns: int) -> Failures:
    """Return the state after one more failure."""
    count = failures.times + 1
    if failures.times and now_ns - failures.last_ns >= patience.forgotten_ns:
        count = 1
    steps = count - patience.free
    delay_ns = 0
    if steps > 0:
        # Beyond sixty doublings any limit is reached.
        delay_ns = min(patience.longest_ns, patience.first_ns << min(steps - 1, 60))
    return Failures(count, now_ns + delay_ns, now_ns)


def succeeded(failures: Failures, now_ns: int) -> Failures:
    """Return the state after an attempt that was counted has turned out well."""
    return Failures(max(0, failures.times - 1), now_ns, failures.last_ns)
