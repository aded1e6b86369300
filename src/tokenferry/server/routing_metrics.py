"""Prometheus metrics of routing: calls and what became of them, breakers, keys.

Counters are of what has ended; breakers and keys are read when somebody asks.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge

from tokenferry.engine.ports import Outcome
from tokenferry.engine.router import Router
from tokenferry.server.line_metrics import LineMetrics
from tokenferry.server.tally import CounterTally, HistogramTally

_CANDIDATE = ("provider", "model")
_STATES = ("closed", "half_open", "open")
# From a fast model's chunks to those of one that can hardly be read along with.
_GAP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5)
_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600)


class RoutingMetrics:
    """The part of /metrics that tells how providers are.

    Args:
        registry: Where they are kept.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._router: Router | None = None
        self._calls = CounterTally(
            "tokenferry_provider_calls",
            "Calls of providers that have ended, by what became of them.",
            (*_CANDIDATE, "outcome"),
            registry,
        )
        self._retries = Counter(
            "tokenferry_retries",
            "Calls of a candidate that had failed just before.",
            _CANDIDATE,
            registry=registry,
        )
        self._fallbacks = Counter(
            "tokenferry_fallbacks",
            "Calls of a candidate after another one had failed.",
            _CANDIDATE,
            registry=registry,
        )
        self._first_token = HistogramTally(
            "tokenferry_provider_first_token_seconds",
            "From the call of a provider to its first token.",
            _CANDIDATE,
            _SECONDS,
            registry,
        )
        self._chunk_gap = HistogramTally(
            "tokenferry_provider_chunk_gap_seconds",
            "The mean time between the chunks of an answer, once for each answer: from its first "
            "chunk to the finish reason, divided by the chunks after the first.",
            _CANDIDATE,
            _GAP_SECONDS,
            registry,
        )
        self._breaker = Gauge(
            "tokenferry_breaker_state",
            "1 for the state that a candidate's circuit breaker is in.",
            (*_CANDIDATE, "state"),
            registry=registry,
        )
        self._under_way = Gauge(
            "tokenferry_provider_calls_under_way",
            "Answers under way at a candidate.",
            _CANDIDATE,
            registry=registry,
        )
        self._key_rests = Gauge(
            "tokenferry_provider_key_rest_seconds",
            "For how long a key, by its position, is left alone.",
            ("provider", "position"),
            registry=registry,
        )
        self._line = LineMetrics(registry)

    def watch(self, router: Router) -> None:
        """Show the breakers, keys and lines of a router."""
        self._router = router
        self._line.watch(router)

    def count(self, outcome: Outcome) -> None:
        """Count the calls of a stream that has ended."""
        before: tuple[str, str] | None = None
        for call in outcome.tries:
            candidate = (call.provider, call.model)
            self._calls.add((*candidate, call.outcome))
            if before is not None:
                counter = self._retries if before == candidate else self._fallbacks
                counter.labels(*candidate).inc()
            before = candidate
        candidate = (outcome.provider, outcome.model)
        if outcome.call_first_token_s is not None:
            self._first_token.observe(candidate, outcome.call_first_token_s)
        if outcome.chunk_gap_s is not None:
            self._chunk_gap.observe(candidate, outcome.chunk_gap_s)

    def refresh(self) -> None:
        """Read the breakers and keys."""
        if self._router is None:
            return
        for state in self._router.candidates():
            candidate = (state.provider, state.model)
            self._under_way.labels(*candidate).set(state.under_way)
            for name in _STATES:
                self._breaker.labels(*candidate, name).set(name == state.state)
        for provider, keys in self._router.keys().items():
            for key in keys:
                self._key_rests.labels(provider, str(key.position)).set(key.rests_s)
        self._line.refresh()
