"""What the gateway knows of its candidates, for all streams together: who works, who is next.

A candidate is left alone while its breaker is open, and is the last one while all its provider's
keys rest. Where that leaves nobody, the one that is soonest back is asked after all: an error of
the provider's own says more than ours could, and an answer ends the trouble sooner than any clock.

Weakness: what is known is this process's alone, and is forgotten with it.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tokenferry.domain.balance import Facts, FirstTokens, Policy, arrange
from tokenferry.domain.breaker import Breaker, BreakerTerms, State, Ticket
from tokenferry.domain.capacity_headers import Capacity
from tokenferry.domain.key_ring import KeyRing, KeyState
from tokenferry.domain.learned_limits import LearnedState
from tokenferry.domain.retry import BLAMED, Fault, RetryBudget, RetryTerms
from tokenferry.engine.attempt import Attempt
from tokenferry.engine.gate import Gate
from tokenferry.engine.options import GateTerms
from tokenferry.engine.ports import Timers

log = logging.getLogger(__name__)

_PLAIN = Policy()
_OPEN = GateTerms()


@dataclass(frozen=True, slots=True)
class RoutingRules:
    """What the operator has decided.

    Attributes:
        retry: How patient the gateway is with a candidate.
        breaker: When a candidate is left alone.
        retry_percent: Retries at one provider, as a share of its requests.
        policies: How aliases choose; what is not there is tried in order.
        keys: How many keys a provider has; what is not there has one.
        gates: How much may be under way at a provider; what is not there has no limit.
    """

    retry: RetryTerms = field(default_factory=RetryTerms)
    breaker: BreakerTerms = field(default_factory=BreakerTerms)
    retry_percent: int = 20
    policies: Mapping[str, Policy] = field(default_factory=dict)
    keys: Mapping[str, int] = field(default_factory=dict)
    gates: Mapping[str, GateTerms] = field(default_factory=dict)


class CandidateState(NamedTuple):
    """A candidate as the operator sees it.

    Attributes:
        provider: The provider's configured name.
        model: Its own name for the model.
        state: Of its breaker.
        opens_s: Seconds until it is tried again; 0 unless it is open.
        calls: Calls in the breaker's window.
        failures: Of them, how many failed.
        under_way: Answers under way.
        first_token_s: Median time to the first token; None if too few are known.
        last_error: What its latest failure was, as in metrics; empty if there was none.
    """

    provider: str
    model: str
    state: State
    opens_s: float
    calls: int
    failures: int
    under_way: int
    first_token_s: float | None
    last_error: str


class Provision:
    """What all candidates of one provider share.

    Attributes:
        ring: Its keys.
        budget: What its retries are paid from.
        gate: How much may be under way there.
    """

    __slots__ = ("budget", "gate", "ring")

    def __init__(self, keys: int, retry_percent: int, gate: Gate) -> None:
        self.ring = KeyRing(keys)
        self.budget = RetryBudget(retry_percent)
        self.gate = gate


class Health:
    """What is known of one candidate.

    Attributes:
        breaker: Whether it is left alone.
        first_tokens: How long its first tokens took.
        provision: What it shares.
        under_way: Answers under way.
        last_error: The kind of its latest failure.
    """

    __slots__ = (
        "breaker",
        "first_tokens",
        "last_error",
        "model",
        "provider",
        "provision",
        "under_way",
    )

    def __init__(
        self, provider: str, model: str, provision: Provision, terms: BreakerTerms
    ) -> None:
        self.provider = provider
        self.model = model
        self.provision = provision
        self.breaker = Breaker(terms)
        self.first_tokens = FirstTokens()
        self.under_way = 0
        self.last_error = ""

    def is_available(self, now_s: float) -> bool:
        """Say whether it is not left alone."""
        return self.breaker.admits(now_s) and self.provision.ring.is_free(self.model, now_s)

    def back_s(self) -> float:
        """Return from when on it is not left alone."""
        return max(self.breaker.until_s, self.provision.ring.free_s(self.model))

    def begin(self, now_s: float, tokens: int = 1) -> tuple[Ticket, int]:
        """Take note of a call; return its ticket and the position of the key to use."""
        self.under_way += 1
        ring, rests = self.provision.ring, self.provision.gate.rests
        if not rests.is_learned:
            return self.breaker.begin(now_s), ring.choose(self.model, now_s)
        key = ring.choose(self.model, now_s, rests.spent(self.model, now_s))
        rests.took(key, self.model, tokens, now_s)
        return self.breaker.begin(now_s), key

    def shown(self, ticket: Ticket, key: int, first_token_s: float, now_s: float) -> None:
        """Take note of a call's first token."""
        self.breaker.succeeded(ticket, now_s)
        self.provision.ring.served(key, self.model)
        self.provision.gate.served()
        self.first_tokens.add(first_token_s)

    def broke(self, now_s: float, kind: str) -> None:
        """Take note that an answer ended in its middle by the candidate's fault."""
        self.last_error = kind
        breaker = self.breaker
        if breaker.state(now_s) == "closed":
            breaker.failed(breaker.begin(now_s), now_s)

    def failed(self, ticket: Ticket, key: int, fault: Fault, now_s: float, kind: str,
               retry_after_s: float | None) -> None:  # fmt: skip
        """Take note of a call that ended without a token."""
        if fault in BLAMED:
            self.breaker.failed(ticket, now_s)
        else:
            self.breaker.abandoned(ticket)
        if fault in ("client", "own"):
            return
        is_news = self.last_error != kind
        self.last_error = kind
        ring = self.provision.ring
        if fault == "limited":
            ring.limited(key, self.model, now_s, retry_after_s)
            self.provision.gate.limited(self.model, ring.free_s(self.model))
        elif fault == "credential":
            if ring.refused(key, now_s):
                log.error("%s refuses key %d of its keys: %s", self.provider, key + 1, kind)
        elif fault == "unknown" and is_news:
            log.error("%s does not know the model %s", self.provider, self.model)


class Router:
    """Knows all candidates.

    Args:
        rules: What the operator has decided.
        timers: Clock and timers.
        dice: Random numbers, 0 ≤ dice < 1.
    """

    def __init__(self, rules: RoutingRules, timers: Timers, dice: Callable[[], float]) -> None:
        self.rules = rules
        self.timers = timers
        self.dice = dice
        self._provisions: dict[str, Provision] = {}
        # As many as are configured.
        self._healths: dict[tuple[str, str], Health] = {}

    def health(self, provider: str, model: str) -> Health:
        """Return what is known of a candidate."""
        found = self._healths.get((provider, model))
        return self._new(provider, model) if found is None else found

    def order(self, name: str, attempts: Sequence[Attempt], tokens: int = 1) -> list[Attempt]:
        """Return the candidates to try, in order; at least one.

        Args:
            name: What the client asked for.
            attempts: All candidates, as configured.
            tokens: What the request may use.
        """
        policy = self.rules.policies.get(name, _PLAIN)
        if len(attempts) == 1:
            return [*attempts]
        now_s = self.timers.time()
        healths = [self.health(attempt.provider, attempt.model) for attempt in attempts]
        if policy.strategy == "ordered":
            positions = list(range(len(attempts)))
        else:
            positions = arrange(policy.strategy, self._facts(policy, attempts, healths))
        called = [i for i in positions if healths[i].breaker.admits(now_s)]
        resting = [i for i in called if not healths[i].is_available(now_s)]
        if resting:
            # They refuse at once, which costs nobody any time: after all others.
            resting.sort(key=lambda i: healths[i].back_s())
            called = [i for i in called if i not in resting] + resting
        full = [i for i in called if healths[i].provision.gate.is_full(attempts[i].model, tokens)]
        if full and len(full) < len(called):
            # Who would have to wait comes after those where nobody has to.
            called = [i for i in called if i not in full] + full
        if not called:
            called = [min(positions, key=lambda i: healths[i].back_s())]
        return [attempts[i] for i in called]

    def is_hedged(self, name: str) -> bool:
        """Say whether a second candidate is started when the first is late."""
        return self.rules.policies.get(name, _PLAIN).hedge

    def candidates(self) -> list[CandidateState]:
        """Return all candidates that are known, as the operator sees them."""
        now_s = self.timers.time()
        states = []
        for (provider, model), health in sorted(self._healths.items()):
            breaker = health.breaker
            state = breaker.state(now_s)
            opens_s = breaker.until_s - now_s if state == "open" else 0.0
            counts = breaker.counts(now_s)
            states.append(
                CandidateState(
                    provider,
                    model,
                    state,
                    opens_s,
                    *counts,
                    health.under_way,
                    health.first_tokens.median_s,
                    health.last_error,
                )
            )
        return states

    def heard(self, provider: str, model: str, key: int, capacity: Capacity) -> None:
        """Take what an answer of a candidate says is left of a key's limits."""
        self.health(provider, model).provision.gate.heard(key, model, capacity)

    def limits(self) -> dict[str, list[LearnedState]]:
        """Return what each provider that is known has said of its limits."""
        now_s = self.timers.time()
        return {name: gate.rests.states(now_s) for name, gate in self.gates().items()}

    def gates(self) -> dict[str, Gate]:
        """Return the gate of each provider that is known."""
        return {name: provision.gate for name, provision in sorted(self._provisions.items())}

    def keys(self) -> dict[str, list[KeyState]]:
        """Return the keys of each provider that is known, by position."""
        now_s = self.timers.time()
        return {
            name: provision.ring.states(now_s)
            for name, provision in sorted(self._provisions.items())
        }

    def _new(self, provider: str, model: str) -> Health:
        provision = self._provisions.get(provider)
        if provision is None:
            rules = self.rules
            keys = rules.keys.get(provider, 1)
            gate = Gate(rules.gates.get(provider, _OPEN), self.timers, keys)
            provision = Provision(keys, rules.retry_percent, gate)
            self._provisions[provider] = provision
        health = Health(provider, model, provision, self.rules.breaker)
        self._healths[provider, model] = health
        return health

    def _facts(
        self, policy: Policy, attempts: Sequence[Attempt], healths: Sequence[Health]
    ) -> list[Facts]:
        return [
            Facts(
                self._weight(policy, attempt),
                health.under_way,
                health.first_tokens.median_s,
                self.dice(),
            )
            for attempt, health in zip(attempts, healths, strict=True)
        ]

    @staticmethod
    def _weight(policy: Policy, attempt: Attempt) -> int:
        return policy.weights.get((attempt.provider, attempt.model), 1)
