"""Tokens a minute: what a request may use is taken up front, and what it did not use given back.

A limit is a queue that empties at a fixed rate; a request adds what it may use (its cost) to the
queue's end. To give a part of that back later is to say that less was added then. It can only
shorten what has been waiting ever since: if the queue was once nearly empty meanwhile, the part
that was not used has made room already, and would be given twice. The least length that the queue
had since each request is therefore remembered.

The result is the state that would be there if every request had cost what it is counted with in
the end, which is never less than what it used.

Source: GCRA, see `rate_limit`. Weakness: of more than `LOWS_MAX` lows the oldest are remembered too
low, so that less is given back for requests that began long ago; never more.
"""

from bisect import bisect_right

from tokenferry.domain.rate_limit import Limit, Refused, check

# A low is kept only while all later ones are higher: few, as a rule.
LOWS_MAX = 32


class TokenRate:
    """The state of one limit.

    Attributes:
        arrival_ns: As in `rate_limit.check`; in arrears, it is beyond what the burst allows.
    """

    __slots__ = ("_lows_ns", "_numbers", "_taken", "arrival_ns")

    def __init__(self) -> None:
        self.arrival_ns = 0
        self._taken = 0
        # Both grow. A low is a backlog that the request of this number has found, and no later one
        # has found less.
        self._numbers: list[int] = []
        self._lows_ns: list[int] = []

    def wait_ns(self, limit: Limit, cost: int, now_ns: int) -> int:
        """Return how long so many tokens have to wait; 0 if they may be taken now."""
        decision = check(limit, arrival_ns=self.arrival_ns, now_ns=now_ns, cost=cost)
        return decision.retry_after_ns if isinstance(decision, Refused) else 0

    def take(self, cost_ns: int, now_ns: int) -> int:
        """Add a request to the queue, whether or not there is room; return its number.

        Args:
            cost_ns: Its tokens times the limit's interval.
            now_ns: The time; it never goes back.
        """
        backlog_ns = max(0, self.arrival_ns - now_ns)
        self._taken += 1
        self._remember(self._taken, backlog_ns)
        self.arrival_ns = now_ns + backlog_ns + cost_ns
        return self._taken

    def give_back(self, number: int, unused_ns: int, now_ns: int) -> int:
        """Take back what a request has not used; return how much that was worth.

        Args:
            number: From `take`; each may be given once.
            unused_ns: At most what it took.
            now_ns: The time.
        """
        later = bisect_right(self._numbers, number)
        low_ns = max(0, self.arrival_ns - now_ns)
        if later < len(self._lows_ns):
            low_ns = min(low_ns, self._lows_ns[later])
        worth_ns = min(unused_ns, low_ns)
        if worth_ns:
            self.arrival_ns -= worth_ns
            self._lows_ns[later:] = [low - worth_ns for low in self._lows_ns[later:]]
            self._drop_higher(later)
        return worth_ns

    def _remember(self, number: int, backlog_ns: int) -> None:
        numbers, lows_ns = self._numbers, self._lows_ns
        while lows_ns and lows_ns[-1] >= backlog_ns:
            lows_ns.pop()
            numbers.pop()
        numbers.append(number)
        lows_ns.append(backlog_ns)
        if len(numbers) > LOWS_MAX:
            # The second is said to be as low as the first: too little is given back, not too much.
            del numbers[0], lows_ns[1]

    def _drop_higher(self, later: int) -> None:
        """Drop lows before an index that are no longer lower than the one at it."""
        if later >= len(self._lows_ns):
            return
        first = later
        while first and self._lows_ns[first - 1] >= self._lows_ns[later]:
            first -= 1
        del self._numbers[first:later], self._lows_ns[first:later]
