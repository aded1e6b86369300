"""Which models of one provider are asked nothing now: refused ones, and those with nothing left.

A model that was refused rests for as long as it was told; one of whose limits nothing is left, by
what the provider's answers say, until there is room again.

Source: docs/decisions/0014-queue.md.
"""

from collections.abc import Iterable
from typing import Final

from tokenferry.domain.capacity_headers import Capacity
from tokenferry.domain.learned_limits import LearnedLimits, LearnedState

NS_PER_S: Final = 1_000_000_000
# A model that is to rest for longer is asked all the same.
REST_MAX_S: Final = 5.0
# A limit of thousands a minute has room every few milliseconds; to look at a long line costs some.
WAKE_MIN_NS: Final = 20_000_000


class Rests:
    """The rests of one provider's models. All times are monotonic nanoseconds.

    Args:
        keys: How many keys the provider has.
        is_adaptive: Whether anything is learned.
    """

    __slots__ = ("_is_adaptive", "_learned", "_until_ns")

    def __init__(self, keys: int, *, is_adaptive: bool) -> None:
        self._is_adaptive = is_adaptive
        self._learned = LearnedLimits(keys)
        # Until when a model rests that was refused.
        self._until_ns: dict[str, int] = {}

    def refused(self, model: str, until_s: float, now_s: float) -> None:
        """Let a model rest that was refused for being asked too often, unless that is for long.

        For longer nobody is kept waiting: the provider's own refusal says when to come back.
        """
        if self._is_adaptive and until_s - now_s <= REST_MAX_S:
            self._until_ns[model] = round(until_s * NS_PER_S)

    def heard(self, key: int, model: str, capacity: Capacity, now_ns: int) -> None:
        """Take what an answer says is left of a key's limits."""
        if self._is_adaptive:
            self._learned.heard(key, model, capacity, now_ns)

    def wait_ns(self, model: str, tokens: int, now_ns: int) -> int:
        """Return for how long a call that may use so many tokens is not begun."""
        refused_ns = max(0, self._until_ns.get(model, 0) - now_ns)
        return max(refused_ns, self._learned.wait_ns(model, tokens, now_ns))

    def soonest_ns(self, asked: Iterable[tuple[str, int]], now_ns: int) -> int:
        """Return when to look again after calls that all have to wait, each a model and tokens."""
        return max(WAKE_MIN_NS, min(self.wait_ns(*each, now_ns) for each in asked))

    @property
    def is_learned(self) -> bool:
        """Whether anything is held back for what an answer has said."""
        return self._learned.is_holding

    def spent(self, model: str, now_s: float) -> set[int]:
        """Return the keys of which nothing is left, by position."""
        return self._learned.spent(model, round(now_s * NS_PER_S))

    def took(self, key: int, model: str, tokens: int, now_s: float) -> None:
        """Take note of a call that is begun with a key."""
        self._learned.took(key, model, tokens, round(now_s * NS_PER_S))

    def states(self, now_s: float) -> list[LearnedState]:
        """Return what is known of the provider's limits."""
        return self._learned.states(round(now_s * NS_PER_S))
