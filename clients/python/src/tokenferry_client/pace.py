"""The client's own line: who may ask now, once the gateway has said that the key is at a limit.

As long as nothing is refused, everybody goes at once. After a refusal the requests stand in a line
in the order in which they came, the refused ones where they stood; when the wait is over the first
one goes, and the next one when that one has got through. So a line costs one refusal a wait, and
not one for each of its requests.

Source: spec/PROTOCOL.md, section 7.1: a refused request is not counted, and the wait that comes
with it is exact. Weakness: it knows of this client's requests only; others with the same key are
seen when they have taken the place.
"""

import bisect
from dataclasses import dataclass, field
from typing import Final

MINUTE_MS: Final = 60_000


@dataclass(order=True, slots=True)
class _Turn:
    number: int
    ref: str = field(compare=False)
    since_ms: int = field(compare=False)
    refusals: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done now.

    Attributes:
        go: Who may ask.
        late: Who has waited as long as one may.
        in_ms: When to look again; None when nobody waits for a time to come.
    """

    go: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    in_ms: int | None = None


class Pace:
    """Who may ask now.

    Args:
        refusals_max: How often one request may be refused and wait again; 0: nobody ever waits.
        line_max: How many may wait.
        wait_ms_max: How long one may wait in all.
    """

    def __init__(self, refusals_max: int, line_max: int, wait_ms_max: int) -> None:
        self._refusals_max = refusals_max
        self._line_max = line_max
        self._wait_ms_max = wait_ms_max
        self._line: list[_Turn] = []
        self._asking: dict[str, _Turn] = {}
        self._probe: str | None = None
        self._open_ms = 0
        self._numbers = 0
        self.code = "rate_limit_exceeded"

    @property
    def full(self) -> bool:
        """Whether nobody more may wait."""
        return len(self._line) >= self._line_max

    def must_wait(self, now_ms: int) -> bool:
        """Say whether somebody who came now would have to wait."""
        if self._refusals_max == 0:
            return False
        return bool(self._line) or self._probe is not None or now_ms < self._open_ms

    def come(self, ref: str, now_ms: int) -> bool:
        """Take a new request; return whether it may ask at once, or else is in line."""
        self._numbers += 1
        turn = _Turn(self._numbers, ref, now_ms)
        if self.must_wait(now_ms):
            bisect.insort(self._line, turn)
            return False
        self._asking[ref] = turn
        return True

    def refused(self, ref: str, code: str, wait_ms: int, now_ms: int) -> bool:
        """Take a refusal; return whether the request waits, and else has to be given up."""
        turn = self._asking.pop(ref, None)
        self._let_next(ref)
        if turn is None:
            return False
        turn.refusals += 1
        if self._refusals_max:
            self._open_ms = max(self._open_ms, now_ms + wait_ms)
            self.code = code
        if turn.refusals > self._refusals_max or self.full or self._too_late(turn):
            return False
        bisect.insort(self._line, turn)
        return True

    def refusals(self, ref: str) -> int:
        """Return how often a request that is under way was refused."""
        turn = self._asking.get(ref)
        return 0 if turn is None else turn.refusals

    def through(self, ref: str) -> None:
        """Take note that a request got through, or failed for another reason."""
        self._asking.pop(ref, None)
        self._let_next(ref)

    def leave(self, ref: str) -> None:
        """Forget a request that nobody wants any more."""
        self._line = [turn for turn in self._line if turn.ref != ref]
        self.through(ref)

    def clear(self) -> None:
        """Forget all requests; what is known of the limits stays."""
        self._line = []
        self._asking = {}
        self._probe = None

    def spent(self, limit: int, reset_ms: int, now_ms: int) -> None:
        """Take note that nothing is left of a limit of so many a minute.

        `reset_ms` is when all of it is free again; the first place is free that much earlier.
        """
        if self._refusals_max and limit > 0:
            first_ms = reset_ms - (limit - 1) * MINUTE_MS // limit
            self._open_ms = max(self._open_ms, now_ms + max(0, first_ms))

    def place(self, ref: str, now_ms: int) -> tuple[int, int] | None:
        """Return how many are in front and how long the first of them waits; None: not in line."""
        for position, turn in enumerate(self._line):
            if turn.ref == ref:
                return position, max(0, self._open_ms - now_ms)
        return None

    def due(self, now_ms: int) -> Due:
        """Return what is to be done now; who may go is taken out of the line."""
        late = tuple(t.ref for t in self._line if now_ms - t.since_ms >= self._wait_ms_max)
        if late:
            self._line = [turn for turn in self._line if turn.ref not in late]
        go: tuple[str, ...] = ()
        if self._line and self._probe is None and now_ms >= self._open_ms:
            turn = self._line.pop(0)
            self._asking[turn.ref] = turn
            self._probe = turn.ref
            go = (turn.ref,)
        return Due(go, late, self._in_ms(now_ms))

    def _in_ms(self, now_ms: int) -> int | None:
        if not self._line:
            return None
        at_ms = min(turn.since_ms for turn in self._line) + self._wait_ms_max
        if self._probe is None:
            at_ms = min(at_ms, self._open_ms)
        return max(0, at_ms - now_ms)

    def _too_late(self, turn: _Turn) -> bool:
        return self._open_ms - turn.since_ms > self._wait_ms_max

    def _let_next(self, ref: str) -> None:
        if self._probe == ref:
            self._probe = None
