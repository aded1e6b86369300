"""What a provider has said is left of its limits, and how long calls are held back for it.

Nothing is held back while something is left. When a key is told that nothing is, no call is begun
with it until there is room again: that is not the reset, at which the limit is whole, but the part
of that time in which room for this one call comes back (both OpenAI and Anthropic refill all the
time). Where the limit itself is not said, it is the reset. What a newer answer says counts instead.

Source: GCRA, see `rate_limit`; docs/decisions/0014-queue.md.
Weakness: what other programs take of the same limit shows with the next answer only; a limit that
is filled up all at once is tried a little too early, and says so.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from tokenferry.domain.capacity_headers import Capacity, Left
from tokenferry.domain.rate_limit import MINUTE_NS, NS_PER_MS, Limit, Refused, check

# Limits of a minute are whole again after one. Whoever speaks of a day is asked all the same.
HOLD_MAX_NS: Final = MINUTE_NS

Kind = Literal["requests", "tokens"]
KINDS: Final[tuple[Kind, ...]] = ("requests", "tokens")


class LearnedState(NamedTuple):
    """One limit as the operator sees it.

    Attributes:
        position: Of which of the provider's keys, from 1.
        model: At which model.
        kind: What is counted.
        limit: How many there are; 0 if that is not known.
        remaining: How many were left by the latest answer.
        reset_ms: Until when it is whole again.
        hold_ms: For how long no call is begun with this key for it.
    """

    position: int
    model: str
    kind: Kind
    limit: int
    remaining: int
    reset_ms: int
    hold_ms: int


@dataclass(slots=True)
class _Known:
    """The latest word on one limit.

    Attributes:
        left: What was said.
        reset_ns: When it is whole again.
        until_ns: Until when it may hold anything back; 0 if something is left.
        rate: How it is refilled; None if that is not known.
        arrival_ns: As in `rate_limit.check`.
    """

    left: Left
    reset_ns: int
    until_ns: int
    rate: Limit | None
    arrival_ns: int

    def wait_ns(self, cost: int, now_ns: int) -> int:
        """Return for how long a call is held back."""
        if now_ns >= self.until_ns:
            return 0
        rate, rest_ns = self.rate, self.until_ns - now_ns
        if rate is None:
            return rest_ns
        # What costs more than there is when it is whole would wait for ever.
        cost = min(cost, rate.burst)
        decision = check(rate, arrival_ns=self.arrival_ns, now_ns=now_ns, cost=cost)
        return min(rest_ns, decision.retry_after_ns) if isinstance(decision, Refused) else 0

    def take(self, cost: int, now_ns: int) -> None:
        """Take note of a call that is begun while the limit is refilled."""
        if self.rate is not None and now_ns < self.until_ns:
            cost_ns = min(cost, self.rate.burst) * self.rate.interval_ns
            self.arrival_ns = max(self.arrival_ns, now_ns) + cost_ns


def _known(left: Left, now_ns: int) -> _Known:
    whole_ns = left.reset_ms * NS_PER_MS
    reset_ns = now_ns + whole_ns
    if left.remaining or not whole_ns:
        return _Known(left, reset_ns, 0, None, 0)
    rate = Limit(-(-whole_ns // left.limit), left.limit) if left.limit else None
    return _Known(left, reset_ns, now_ns + min(whole_ns, HOLD_MAX_NS), rate, reset_ns)


class LearnedLimits:
    """The limits of one provider. All times are nanoseconds of one clock.

    Args:
        keys: How many keys it has; each has limits of its own.
    """

    __slots__ = ("_held", "_keys", "_known")

    def __init__(self, keys: int = 1) -> None:
        self._keys = keys
        # As many as there are keys and models in the configuration, at most, times two.
        self._known: dict[tuple[int, str], dict[Kind, _Known]] = {}
        # Of these, model -> the positions of keys for which something is used up.
        self._held: dict[str, set[int]] = {}

    @property
    def is_holding(self) -> bool:
        """Whether anything may be held back."""
        return bool(self._held)

    def heard(self, position: int, model: str, capacity: Capacity, now_ns: int) -> None:
        """Take what an answer says of a key, by its position from 0, at a model."""
        known = self._known.setdefault((position, model), {})
        for kind, left in zip(KINDS, capacity, strict=True):
            if left is not None:
                known[kind] = _known(left, now_ns)
        if any(one.until_ns > now_ns for one in known.values()):
            self._held.setdefault(model, set()).add(position)
        else:
            self._release(position, model)

    def spent(self, model: str, now_ns: int) -> set[int]:
        """Return the keys with which no call should be begun, if there is another one."""
        if model not in self._held:
            return set()
        return {p for p in self._held[model].copy() if self._key_wait_ns(p, model, 1, now_ns) > 0}

    def wait_ns(self, model: str, tokens: int, now_ns: int) -> int:
        """Return for how long a call is held back: until the first key has room for it."""
        held = self._held.get(model)
        if held is None or len(held) < self._keys:
            return 0
        return min(self._key_wait_ns(position, model, tokens, now_ns) for position in held.copy())

    def took(self, position: int, model: str, tokens: int, now_ns: int) -> None:
        """Take note of a call that is begun."""
        if position in self._held.get(model, ()):
            for kind, one in self._known[position, model].items():
                one.take(tokens if kind == "tokens" else 1, now_ns)

    def states(self, now_ns: int) -> list[LearnedState]:
        """Return everything that holds still; what is whole again is known no longer."""
        return [
            LearnedState(
                position + 1,
                model,
                kind,
                one.left.limit,
                one.left.remaining,
                -(-(one.reset_ns - now_ns) // NS_PER_MS),
                -(-one.wait_ns(1, now_ns) // NS_PER_MS),
            )
            for (position, model), known in sorted(self._known.items())
            for kind, one in known.items()
            if one.reset_ns > now_ns
        ]

    def _key_wait_ns(self, position: int, model: str, tokens: int, now_ns: int) -> int:
        known = self._known[position, model]
        if all(one.until_ns <= now_ns for one in known.values()):
            self._release(position, model)
            return 0
        return max(
            one.wait_ns(tokens if kind == "tokens" else 1, now_ns) for kind, one in known.items()
        )

    def _release(self, position: int, model: str) -> None:
        held = self._held.get(model)
        if held is not None:
            held.discard(position)
            if not held:
                del self._held[model]
