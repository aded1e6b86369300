"""Prometheus metrics of the lines before providers: who waits, for how long, and what for."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tokenferry.engine.router import Router

MS_PER_S = 1000
_LIMIT = ("provider", "position", "model", "kind")
_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)


class LineMetrics:
    """The part of /metrics that tells who waits for a turn.

    Args:
        registry: Where they are kept.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._router: Router | None = None
        self._waiting = Gauge(
            "tokenferry_queue_waiting",
            "Requests that wait for a turn at a provider.",
            ("provider", "service_class"),
            registry=registry,
        )
        self._wait = Histogram(
            "tokenferry_queue_wait_seconds",
            "How long those who had to wait for a turn at a provider have waited.",
            ("provider", "service_class"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._turned_away = Counter(
            "tokenferry_queue_turned_away",
            "Requests that found the line full, or waited too long.",
            ("provider", "reason"),
            registry=registry,
        )
        self._running = Gauge(
            "tokenferry_provider_running",
            "Calls under way at a provider.",
            ("provider",),
            registry=registry,
        )
        self._places = Gauge(
            "tokenferry_provider_places",
            "How many calls may be under way at a provider; 0 for any number.",
            ("provider",),
            registry=registry,
        )

        self._limit = Gauge(
            "tokenferry_provider_limit",
            "A limit of a provider's key, by its position, at a model, as its answers say.",
            _LIMIT,
            registry=registry,
        )
        self._left = Gauge(
            "tokenferry_provider_limit_remaining",
            "What was left of it by the latest answer; gone once it is whole again.",
            _LIMIT,
            registry=registry,
        )
        self._hold = Gauge(
            "tokenferry_provider_limit_hold_seconds",
            "For how long no call is begun with the key, since nothing is left.",
            _LIMIT,
            registry=registry,
        )

    def watch(self, router: Router) -> None:
        """Show the lines of a router."""
        self._router = router
        for provider, gate in router.gates().items():
            gate.on_waited = partial(self._count_wait, provider)
            gate.on_turned_away = partial(self._count_turned_away, provider)

    def refresh(self) -> None:
        """Read how long the lines are, and what is known of limits."""
        if self._router is None:
            return
        for provider, gate in self._router.gates().items():
            state = gate.state()
            self._running.labels(provider).set(state.running)
            self._places.labels(provider).set(state.limit)
            for name, count in state.waiting.items():
                self._waiting.labels(provider, name).set(count)

        for gauge in (self._limit, self._left, self._hold):
            gauge.clear()
        for provider, limits in self._router.limits().items():
            for learned in limits:
                labels = (provider, str(learned.position), learned.model, learned.kind)
                if learned.limit:
                    self._limit.labels(*labels).set(learned.limit)
                self._left.labels(*labels).set(learned.remaining)
                self._hold.labels(*labels).set(learned.hold_ms / MS_PER_S)

    def _count_wait(self, provider: str, service_class: str, seconds: float) -> None:
        self._wait.labels(provider, service_class).observe(seconds)

    def _count_turned_away(self, provider: str, reason: str) -> None:
        self._turned_away.labels(provider, reason).inc()
