"""How many answers a provider bears at once, learned from its refusals.

Additive increase, multiplicative decrease: a refusal for being too many takes a third off, each
answer that is served gives back its share of one. What the operator has said is the most; without a
word of the operator's there is no limit until the provider refuses, and none again once it has
served for a while without refusing.

Source: D.-M. Chiu and R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion
Avoidance in Computer Networks", 1989.
Weakness: what other programs use of the same account is taken for the provider's own.
"""

from typing import Final

# One refusal is news; those of the same moment are the same news.
NEWS_S: Final = 1.0
# Without a refusal for so long, nothing is limited any more that the operator has not limited.
QUIET_S: Final = 60.0


class Concurrency:
    """The limit of one provider. All times are monotonic seconds.

    Args:
        most: What the operator has said; 0 for nothing.
        is_adaptive: Whether anything is learned.
    """

    __slots__ = ("_is_adaptive", "_learned", "_most", "_refused_s")

    def __init__(self, most: int, *, is_adaptive: bool) -> None:
        self._most = most
        self._is_adaptive = is_adaptive
        # What is learned; None while nothing is.
        self._learned: float | None = None
        self._refused_s = 0.0

    @property
    def limit(self) -> int:
        """How many may be under way; 0 for any number."""
        if self._learned is None:
            return self._most
        learned = max(1, int(self._learned))
        return min(learned, self._most) if self._most else learned

    def refused(self, running: int, now_s: float) -> None:
        """Take note of a refusal for being too many.

        Args:
            running: How many were under way, this one among them.
            now_s: The time.
        """
        if not self._is_adaptive:
            return
        if self._learned is not None and now_s - self._refused_s < NEWS_S:
            return
        before = running if self._learned is None else min(self._learned, running)
        self._learned = max(1.0, before * 2 / 3)
        self._refused_s = now_s

    def served(self, now_s: float) -> None:
        """Take note of an answer."""
        if self._learned is None:
            return
        self._learned += 1 / self._learned
        is_over = self._most and self._learned >= self._most
        if is_over or now_s - self._refused_s >= QUIET_S:
            self._learned = None
