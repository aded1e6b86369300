"""What is done about a call that failed before it showed anything: again, the next one, or the end.

A fault that may pass is worth another try at the same candidate, after a random wait; a fault of
the operator's set-up is not, but another candidate may do; a fault of the client's request would
be the same everywhere. Retries cost the provider work when it can bear the least, so that they
are a share of the requests at most, whatever happens.

Source: M. Brooker, "Exponential Backoff And Jitter" (full jitter), AWS Architecture Blog, 2015;
Google, "Site Reliability Engineering", chapter 21, "Retry budgets".
Weakness: a status says little. A 500 that the request itself provokes is tried again as well.
"""

from typing import Literal, NamedTuple

from tokenferry.errors import (
    ProviderAuthFailed,
    ProviderError,
    ProviderInvalidResponse,
    ProviderRejected,
    ProviderTimeout,
    TokenferryError,
)

# What a call died of.
#   passing     may be over in a moment: 5xx, 408, 409, a connection that failed or broke
#   silent      nothing came in time: whoever waited once for that is not to wait again
#   limited     429
#   credential  the operator's key is refused, or has no credit left
#   unknown     the provider knows no such model
#   broken      what came is not its protocol: the address is wrong, say
#   client      the request is at fault
#   own         the gateway is
Fault = Literal["passing", "silent", "limited", "credential", "unknown", "broken", "client", "own"]

_SERVER_FAULT = 500
_TOO_MANY = 429
_NOT_FOUND = 404
_PASSING = (408, 409)
# What the wire formats make of a provider's 402.
_NO_CREDIT = "provider_quota_exhausted"
_UNKNOWN_MODEL = "model_not_found"
# The exponent goes no further: the longest wait is long reached.
_DOUBLINGS_MAX = 30
# Full tokens of a budget; one retry takes as many.
_RETRY_COST = 100
# Retries that may come at once, after a quiet time.
BUDGET_BURST = 10


def fault_of(error: TokenferryError) -> Fault:
    """Return what a failure is, as far as another try is concerned."""
    if isinstance(error, ProviderRejected):
        return _fault_of_rejection(error)
    if isinstance(error, ProviderAuthFailed):
        return "credential"
    if isinstance(error, ProviderTimeout):
        return "silent"
    if isinstance(error, ProviderInvalidResponse):
        return "broken"
    return "passing" if isinstance(error, ProviderError) else "own"


def _fault_of_rejection(error: ProviderRejected) -> Fault:
    status = error.http_status
    if error.code == _NO_CREDIT:
        return "credential"
    if status == _TOO_MANY:
        return "limited"
    if status == _NOT_FOUND or error.code == _UNKNOWN_MODEL:
        return "unknown"
    return "passing" if status >= _SERVER_FAULT or status in _PASSING else "client"


# Faults that say of the candidate that it does not work now.
BLAMED = frozenset(("passing", "silent", "unknown", "broken"))


class RetryTerms(NamedTuple):
    """How patient the gateway is with a candidate. All times in seconds.

    Attributes:
        retries: Further calls of one candidate.
        backoff_s: The most that the first one waits; the next one's most is twice that.
        wait_max_s: The longest wait; a provider that asks for more is not waited for.
        deadline_s: Since the request came in; what would begin later is no retry any more.
    """

    retries: int = 1
    backoff_s: float = 0.2
    wait_max_s: float = 2.0
    deadline_s: float = 10.0


class Standing(NamedTuple):
    """Where a request stands when a call has failed.

    Attributes:
        retries: Calls of this candidate after its first.
        has_other: Whether another candidate is left.
        has_key: Whether another key of the provider is free.
        age_s: Seconds since the request came in.
        retry_after_s: What the provider asks for; None if it says nothing.
        takes_any: Whether another candidate may take what this one refuses of the request.
    """

    retries: int
    has_other: bool
    has_key: bool
    age_s: float
    retry_after_s: float | None = None
    takes_any: bool = False


class Again(NamedTuple):
    """Call the same candidate again.

    Attributes:
        wait_s: After this time.
        is_free: Whether it is another key's turn: that is no load on the one that failed.
    """

    wait_s: float
    is_free: bool = False


Verdict = Again | Literal["next", "stop"]


def decide(terms: RetryTerms, fault: Fault, standing: Standing, dice: float) -> Verdict:
    """Return what is done next.

    Args:
        terms: How patient the gateway is.
        fault: What the call died of.
        standing: Where the request stands.
        dice: A random number, 0 ≤ dice < 1.
    """
    onward: Verdict = "next" if standing.has_other else "stop"
    if fault in ("client", "own"):
        return onward if standing.takes_any else "stop"
    if fault in ("limited", "credential") and standing.has_key:
        return Again(0.0, is_free=True)
    if fault in ("credential", "unknown", "broken"):
        return onward
    # A limit and a silence are known to last; another candidate costs the client no wait.
    if fault in ("limited", "silent") and standing.has_other:
        return onward
    wait_s = backoff_s(terms, standing.retries, dice)
    if standing.retry_after_s is not None:
        wait_s = max(wait_s, standing.retry_after_s)
    if (
        standing.retries >= terms.retries
        or wait_s > terms.wait_max_s
        or standing.age_s + wait_s > terms.deadline_s
    ):
        return onward
    return Again(wait_s)


def backoff_s(terms: RetryTerms, retries: int, dice: float) -> float:
    """Return a random wait: at most `backoff_s`, doubled for each retry so far, and the longest."""
    most_s = min(terms.wait_max_s, terms.backoff_s * 2.0 ** min(retries, _DOUBLINGS_MAX))
    return dice * most_s


class RetryBudget:
    """What a provider's retries are paid from: each request pays in a share of one.

    In any span of n requests there are at most `BUDGET_BURST` + share * n retries.

    Args:
        percent: The share.
    """

    __slots__ = ("_percent", "_tokens")

    def __init__(self, percent: int) -> None:
        self._percent = percent
        self._tokens = BUDGET_BURST * _RETRY_COST if percent else 0

    def earn(self) -> None:
        """Take note of a request."""
        self._tokens = min(BUDGET_BURST * _RETRY_COST, self._tokens + self._percent)

    def spend(self) -> bool:
        """Take a retry out; False if there is none."""
        if self._tokens < _RETRY_COST:
            return False
        self._tokens -= _RETRY_COST
        return True
