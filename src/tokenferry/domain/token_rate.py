"""Tokens a minute: what a request may use is taken up front, and what it did not use given back.

A limit is a queue that empties at a fixed rate; a request adds what it may use (its cost) to the
queue's end. To give a part of that back later is to say that less was added then. It can only
shorten what has been waiting ever since: if the queue was once nearly empty meanwhile, the part
that was not used has made room already, and would be given twice. The least length that the queue
had since each request is therefore remembered.

The result is the state that would be there if every request had cost what it is counted with in
the end, which is never less than what it used.

Source: GCRA, see `rate_limit`. Weakness: of more than `LOWS_MAX` lows some are remembered a little
too low, so that less may be given back; never more.
"""

from bisect import bisect_right

from tokenferry.domain.rate_limit import Limit, Refused, check

# A low is kept only while all later ones are higher: few, as a rule. A burst of hundreds at once
# has as many; they are thinned out, by joining what differs by a sixteenth, then by an eighth, …
LOWS_MAX = 256
NEARLY = 16


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
            self._thin_out()

    def _thin_out(self) -> None:
        """Join lows with those before them that are nearly as low, until there are half as many.

        They are then said to be as low as those: too little is given back, not too much.
        """
        nearly = NEARLY
        while len(self._numbers) > (LOWS_MAX + 1) // 2:
            numbers, lows_ns = self._numbers[:1], self._lows_ns[:1]
            for number, low_ns in zip(self._numbers[1:], self._lows_ns[1:], strict=True):
                if low_ns * nearly <= lows_ns[-1] * (nearly + 1):
                    numbers[-1] = number
                else:
                    numbers.append(number)
                    lows_ns.append(low_ns)
            self._numbers, self._lows_ns = numbers, lows_ns
            nearly //= 2

    def _drop_higher(self, later: int) -> None:
        """Drop lows before an index that are no longer lower than the one at it."""
        if later >= len(self._lows_ns):
            return
        first = later
        while first and self._lows_ns[first - 1] >= self._lows_ns[later]:
            first -= 1
        del self._numbers[first:later], self._lows_ns[first:later]
