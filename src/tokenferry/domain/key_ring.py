"""Which of a provider's several keys is next: the one whose last limit is the longest ago.

A limit is a key's at one model; a refused key is refused for all. Each rests until the provider's
own `retry-after`, or for a time that doubles while nothing else is heard of it.

Weakness: a key's quota that is shared with another key (two keys of one organisation) is found out
by being limited twice.
"""

from collections.abc import Collection
from typing import NamedTuple

# Without a word from the provider: a minute's quota may be free in a second or in sixty.
LIMITED_S = 1.0
LIMITED_MAX_S = 60.0
# Who says "at once" is limited all the same.
REST_MIN_S = 0.1
# A refused key is most often wrong for good; a provider's own trouble may refuse it for a minute.
REFUSED_S = 60.0
_DOUBLINGS_MAX = 10


class KeyState(NamedTuple):
    """A key as the operator sees it.

    Attributes:
        position: Which one, from 1.
        state: What it is.
        rests_s: For how long it is left alone.
    """

    position: int
    state: str
    rests_s: float


class KeyRing:
    """The keys of one provider, by position from 0. All times are monotonic seconds.

    Args:
        count: How many; at least one. A provider without a key counts as one.
    """

    __slots__ = ("_limited", "_refused_until_s", "count")

    def __init__(self, count: int) -> None:
        self.count = count
        self._refused_until_s = [0.0] * count
        # (position, model) -> until when it rests, when it was limited last, how often in a row.
        self._limited: dict[tuple[int, str], tuple[float, float, int]] = {}

    def choose(self, model: str, now_s: float, spent: Collection[int] = ()) -> int:
        """Return the position of the key to use; where all rest, that of the soonest free.

        Args:
            model: For which model.
            now_s: The time.
            spent: Keys that are used only if all others rest.
        """
        if self.count == 1:
            return 0

        def rank(position: int) -> tuple[float, bool, float]:
            rests_s, limited_s = self._rank(position, model, now_s)
            return rests_s, position in spent, limited_s

        return min(range(self.count), key=rank)

    def is_free(self, model: str, now_s: float) -> bool:
        """Say whether some key does not rest."""
        if not self._limited and not any(self._refused_until_s):
            return True
        return any(self._until_s(p, model) <= now_s for p in range(self.count))

    def free_s(self, model: str) -> float:
        """Return from when on some key does not rest; 0 if none ever did."""
        return min(self._until_s(position, model) for position in range(self.count))

    def limited(self, position: int, model: str, now_s: float, retry_after_s: float | None) -> None:
        """Take note that a key is at its limit."""
        _, _, times = self._limited.get((position, model), (0.0, 0.0, 0))
        rest_s = min(LIMITED_MAX_S, LIMITED_S * 2 ** min(times, _DOUBLINGS_MAX))
        if retry_after_s is not None:
            rest_s = max(retry_after_s, REST_MIN_S)
        self._limited[position, model] = (now_s + rest_s, now_s, times + 1)

    def refused(self, position: int, now_s: float) -> bool:
        """Take note that a key is no good; say whether that is news."""
        is_news = self._refused_until_s[position] <= now_s
        self._refused_until_s[position] = now_s + REFUSED_S
        return is_news

    def served(self, position: int, model: str) -> None:
        """Take note that a key has served."""
        if self._refused_until_s[position]:
            self._refused_until_s[position] = 0.0
        found = self._limited.get((position, model))
        if found is not None and found[2]:
            self._limited[position, model] = (found[0], found[1], 0)

    def states(self, now_s: float) -> list[KeyState]:
        """Return all keys as the operator sees them: the longest rest at any model."""
        states = []
        for position in range(self.count):
            refused_s = self._refused_until_s[position] - now_s
            limited_s = max(
                (until_s for (p, _), (until_s, _, _) in self._limited.items() if p == position),
                default=0.0,
            )
            rests_s = max(refused_s, limited_s - now_s, 0.0)
            state = "refused" if refused_s > 0 else "limited" if rests_s else "ready"
            states.append(KeyState(position + 1, state, rests_s))
        return states

    def _until_s(self, position: int, model: str) -> float:
        found = self._limited.get((position, model))
        return max(self._refused_until_s[position], found[0] if found else 0.0)

    def _rank(self, position: int, model: str, now_s: float) -> tuple[float, float]:
        found = self._limited.get((position, model))
        until_s = self._until_s(position, model)
        # Those that rest come after all others, the soonest free first.
        return (until_s if until_s > now_s else 0.0, found[1] if found else 0.0)
