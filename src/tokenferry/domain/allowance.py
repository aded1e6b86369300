"""How much a key, an account or a model may have: requests and tokens a minute, and streams.

A key has the gateway's own numbers unless the operator has set others for it, which may be more or
less. Whoever owns the key may set numbers of his own beside them: of each, the stricter holds.
"""

from dataclasses import dataclass

REQUESTS_PER_MINUTE_MAX = 1_000_000
TOKENS_PER_MINUTE_MAX = 1_000_000_000
STREAMS_MAX = 1_000_000
LIMIT_NAMES = ("requests_per_minute", "tokens_per_minute", "streams_max")


@dataclass(frozen=True, slots=True)
class Allowance:
    """What somebody may have; 0 is no limit.

    Attributes:
        requests_per_minute: Requests for an answer.
        tokens_per_minute: Tokens of prompts and answers.
        streams_max: Answers that are generated at the same time.
    """

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    streams_max: int = 0

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return bool(self.requests_per_minute or self.tokens_per_minute or self.streams_max)


@dataclass(frozen=True, slots=True)
class GivenLimits:
    """What one party has set for a key; None where it has set nothing.

    Attributes:
        requests_per_minute: See `Allowance`.
        tokens_per_minute: See there.
        streams_max: See there.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    streams_max: int | None = None


NOTHING_GIVEN = GivenLimits()


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What one key was given, and by whom.

    Attributes:
        operator: In place of what keys have as a rule; 0 is no limit.
        owner: Beside that; it can only be stricter.
        has_priority: Whether it may ask for the service tier `priority`; only the operator says so.
    """

    operator: GivenLimits = NOTHING_GIVEN
    owner: GivenLimits = NOTHING_GIVEN
    has_priority: bool = False

    def within(self, usual: Allowance) -> Allowance:
        """Return what the key may have, where keys have `usual` as a rule."""
        if self is NO_OWN_LIMITS:
            return usual  # nearly all
        operator, owner = self.operator, self.owner
        return Allowance(
            _stricter(
                operator.requests_per_minute, owner.requests_per_minute, usual.requests_per_minute
            ),
            _stricter(operator.tokens_per_minute, owner.tokens_per_minute, usual.tokens_per_minute),
            _stricter(operator.streams_max, owner.streams_max, usual.streams_max),
        )


NO_OWN_LIMITS = KeyLimits()
EVERYTHING = Allowance()


def _stricter(operator: int | None, owner: int | None, usual: int) -> int:
    most = usual if operator is None else operator
    return min(owner, most) if owner and most else owner or most
