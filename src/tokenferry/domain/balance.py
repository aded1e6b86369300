"""In which order candidates are tried: the strategies of an alias.

ordered         as configured
weighted        by lot: a candidate is first as often as its weight says
least_loaded    the fewest answers under way for its weight
lowest_latency  the shortest time to the first token, of the latest answers

Source: P. Efraimidis and P. Spirakis, "Weighted random sampling with a reservoir", 2006, for a
drawing of all without replacement.
Weakness: times to the first token depend on the prompt as well; the median of many is compared.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

Strategy = Literal["ordered", "weighted", "least_loaded", "lowest_latency"]

# How many times to a first token are remembered of a candidate; below the least, none is known.
SAMPLES_MAX = 100
SAMPLES_MIN = 5
# One request of this many goes to some candidate by lot, so that a time of long ago is renewed.
EXPLORED_ONE_IN = 20


class Policy(NamedTuple):
    """How an alias chooses.

    Attributes:
        strategy: Which of the four.
        weights: Of candidates, as (provider, model); 1 for those that are not there.
        hedge: Whether a second candidate is started when the first is late.
    """

    strategy: Strategy = "ordered"
    weights: Mapping[tuple[str, str], int] = MappingProxyType({})
    hedge: bool = False


class Facts(NamedTuple):
    """What is known of one candidate.

    Attributes:
        weight: Its weight; 0 is for use when nothing else is left.
        under_way: Answers under way.
        first_token_s: Its median time to the first token; None if it is not known.
        dice: A random number, 0 ≤ dice < 1.
    """

    weight: int
    under_way: int
    first_token_s: float | None
    dice: float


def arrange(strategy: Strategy, facts: Sequence[Facts]) -> list[int]:
    """Return the positions of candidates in the order in which they are tried."""
    positions = list(range(len(facts)))
    if strategy == "ordered" or len(positions) == 1:
        return positions
    if strategy == "weighted":
        return sorted(positions, key=lambda i: _lot(facts[i]), reverse=True)
    if strategy == "least_loaded":
        return sorted(positions, key=lambda i: _load(facts[i]))
    if facts[0].dice * EXPLORED_ONE_IN < 1:
        return sorted(positions, key=lambda i: facts[i].dice)
    # Who is not known yet goes first: there is no other way to know.
    return sorted(positions, key=lambda i: facts[i].first_token_s or 0.0)


def _lot(facts: Facts) -> float:
    return facts.dice ** (1 / facts.weight) if facts.weight else -1.0


def _load(facts: Facts) -> float:
    return (facts.under_way + 1) / facts.weight if facts.weight else float("inf")


class FirstTokens:
    """The latest times to a first token of one candidate, in seconds."""

    __slots__ = ("_median_s", "_next", "_p95_s", "_samples_s")

    def __init__(self) -> None:
        self._samples_s: list[float] = []
        self._next = 0
        self._median_s: float | None = None
        self._p95_s: float | None = None

    def add(self, seconds: float) -> None:
        """Take a time; of more than a hundred, the latest are kept."""
        if len(self._samples_s) < SAMPLES_MAX:
            self._samples_s.append(seconds)
        else:
            self._samples_s[self._next] = seconds
            self._next = (self._next + 1) % SAMPLES_MAX
        self._median_s = self._p95_s = None

    @property
    def median_s(self) -> float | None:
        """The median; None if too few are known."""
        if self._median_s is None:
            self._median_s = self._quantile(50)
        return self._median_s

    @property
    def p95_s(self) -> float | None:
        """What 95 of 100 are not above; None if too few are known."""
        if self._p95_s is None:
            self._p95_s = self._quantile(95)
        return self._p95_s

    def _quantile(self, percent: int) -> float | None:
        count = len(self._samples_s)
        if count < SAMPLES_MIN:
            return None
        return sorted(self._samples_s)[-(-count * percent // 100) - 1]
