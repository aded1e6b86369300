"""Holds off who signs up too often, or guesses passwords.

Weakness: the state is in memory. A restart forgets it, and each of several servers has its own.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from tokenferry.domain import login_delay
from tokenferry.domain.login_delay import Failures, Patience
from tokenferry.domain.rate_limit import Allowed, Limit, check
from tokenferry.errors import RateLimited

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
HOUR_NS = 3_600 * NS_PER_S
# About 200 bytes each; whoever was not seen for longest is forgotten first.
SUBJECTS_MAX = 50_000

# Typing errors are free. The owner of an account that is under attack waits a minute at most.
ACCOUNT_PATIENCE = Patience(5, 1 * NS_PER_S, 60 * NS_PER_S, 24 * HOUR_NS)
# Behind one address there may be a whole office.
NETWORK_PATIENCE = Patience(20, 1 * NS_PER_S, 900 * NS_PER_S, 24 * HOUR_NS)

S = TypeVar("S")


class Remembered(Generic[S]):
    """States by subject, as many as fit."""

    def __init__(self, none: S) -> None:
        self._none = none
        self._states: OrderedDict[str, S] = OrderedDict()

    def __getitem__(self, subject: str) -> S:
        """Return a subject's state."""
        return self._states.get(subject, self._none)

    def __setitem__(self, subject: str, state: S) -> None:
        """Remember a subject's state."""
        self._states[subject] = state
        self._states.move_to_end(subject)
        if len(self._states) > SUBJECTS_MAX:
            self._states.popitem(last=False)

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._states)


class HourlyLimit:
    """So many an hour and subject, all of them at once if need be.

    Args:
        per_hour: How many; 0 for no limit.
        clock_ns: A monotonic clock.
    """

    def __init__(self, per_hour: int, clock_ns: Callable[[], int]) -> None:
        self._limit = Limit(HOUR_NS // per_hour, per_hour) if per_hour else None
        self._clock_ns = clock_ns
        self._arrivals_ns = Remembered(0)

    def wait_ns(self, subject: str) -> int:
        """Return how long a subject has to wait, and nothing is counted; 0 counts as one."""
        if self._limit is None:
            return 0
        now_ns = self._clock_ns()
        arrival_ns = self._arrivals_ns[subject]
        decision = check(self._limit, arrival_ns=arrival_ns, now_ns=now_ns)
        if isinstance(decision, Allowed):
            self._arrivals_ns[subject] = decision.arrival_ns
            return 0
        return decision.retry_after_ns


class LoginAttempts:
    """Who has failed to log in how often.

    Whoever fails on purpose makes an account's owner wait as well, but not where the owner has
    logged in before: there, only failures of the same network count.

    Args:
        clock_ns: A monotonic clock.
    """

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._known = Remembered(none=False)
        self._states: Remembered[Failures] = Remembered(login_delay.NONE)

    def begin(self, email: str, network: str) -> None:
        """Count an attempt, before it is known how it ends.

        Raises:
            RateLimited: If it comes too soon; it is not counted.
        """
        now_ns = self._clock_ns()
        subjects = self._subjects(email, network)
        wait_ns = max(login_delay.wait_ns(self._states[name], now_ns) for name, _ in subjects)
        if wait_ns:
            raise too_soon("There were too many failed logins.", wait_ns)
        for name, patience in subjects:
            self._states[name] = login_delay.failed(self._states[name], patience, now_ns)

    def succeeded(self, email: str, network: str) -> None:
        """Take an attempt back that turned out well; the account's failures are forgotten."""
        now_ns = self._clock_ns()
        (account, _), (address, _) = self._subjects(email, network)
        self._known[f"{email} {network}"] = True
        self._states[account] = login_delay.NONE
        self._states[address] = login_delay.succeeded(self._states[address], now_ns)

    def _subjects(
        self, email: str, network: str
    ) -> tuple[tuple[str, Patience], tuple[str, Patience]]:
        account = f"account {email}"
        if self._known[f"{email} {network}"]:
            account += f" from {network}"
        return (account, ACCOUNT_PATIENCE), (f"network {network}", NETWORK_PATIENCE)


def too_soon(what: str, wait_ns: int) -> RateLimited:
    """Return the error for who has to wait."""
    wait_ms = -(-wait_ns // NS_PER_MS)
    return RateLimited(
        f"{what} Try again in {-(-wait_ms // 1_000)} seconds.", retry_after_ms=wait_ms
    )
