"""How much a key, an account or a model may have: requests and tokens a minute, and streams.

A key has the gateway's own numbers unless it was given some of its own. Whoever owns the key may
only lower them; the operator may set any.
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
class KeyLimits:
    """What one key was given; None where it has the gateway's own number.

    Attributes:
        requests_per_minute: See `Allowance`.
        tokens_per_minute: See there.
        streams_max: See there.
        is_granted: Whether the operator gave it, so that it may be more than others have.
        has_priority: Whether it may ask for the service tier `priority`; only the operator says so.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    streams_max: int | None = None
    is_granted: bool = False
    has_priority: bool = False

    def within(self, usual: Allowance) -> Allowance:
        """Return what the key may have, where keys have `usual` as a rule."""
        if self is NO_OWN_LIMITS:
            return usual  # nearly all
        return Allowance(
            self._of(self.requests_per_minute, usual.requests_per_minute),
            self._of(self.tokens_per_minute, usual.tokens_per_minute),
            self._of(self.streams_max, usual.streams_max),
        )

    def _of(self, own: int | None, usual: int) -> int:
        if own is None:
            return usual
        if self.is_granted or not usual:
            return own
        return min(own, usual) if own else usual


NO_OWN_LIMITS = KeyLimits()
EVERYTHING = Allowance()
