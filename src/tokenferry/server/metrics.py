"""Prometheus metrics, and the one log line a stream.

Labels are configured names (provider, model) and fixed words, never what a client sent, so that
their number is bounded.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tokenferry.domain.routing import Try
from tokenferry.engine.ports import Outcome
from tokenferry.errors import LimitError, TokenferryError, TokensOverLimit
from tokenferry.server.log import CLEAN
from tokenferry.server.routing_metrics import RoutingMetrics
from tokenferry.server.tally import CounterTally, HistogramTally

log = logging.getLogger("tokenferry.streams")

CONTENT_TYPE = CONTENT_TYPE_LATEST

# Outcomes of some 300 bytes each.
UNCOUNTED_MAX = 256

_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600)
_OVERHEAD_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1)


class Metrics:
    """What /metrics shows; the engine's meter.

    Args:
        soon: Calls something when the event loop has done what it is at.

    Attributes:
        routing: What it shows of providers.

    Raises:
        ValueError: Never in practice; the registry is its own.
    """

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a third of all lines, and no dashboard reads them
        self._registry = registry = CollectorRegistry()
        self.routing = RoutingMetrics(registry)
        gauge = partial(Gauge, registry=registry)
        counter = partial(Counter, registry=registry)
        tally = partial(CounterTally, registry=registry)
        seconds = partial(HistogramTally, registry=registry)
        self._open = gauge("tokenferry_open_streams", "Streams that are generating.")
        self._open_count = 0
        # What has ended and is not counted yet, see `_count`, or not logged.
        self._outcomes: list[Outcome] = []
        self._overheads_s: list[float] = []
        self._unlogged: list[Outcome] = []
        self._soon = soon
        self._storage = gauge(
            "tokenferry_storage_available",
            "1 while storage takes what requests need; 0 while it does not and they are refused.",
        )
        self._connections = gauge("tokenferry_open_connections", "Open WebSocket connections.")
        self._requests = tally(
            "tokenferry_requests", "Finished requests.", ("provider", "model", "finish")
        )
        self._tokens = tally(
            "tokenferry_tokens",
            "Tokens; cached is a part of prompt, reasoning a part of completion.",
            ("provider", "model", "kind"),
        )
        self._errors = counter("tokenferry_errors", "Errors by code.", ("code",))
        self._limited = counter(
            "tokenferry_limited",
            "Requests refused by a rate limit: whose, and of what.",
            ("limit",),
        )
        self._recorded = counter(
            "tokenferry_request_log",
            "Records of finished requests, by what became of them: written or dropped.",
            ("result",),
        )
        self._first_token = seconds(
            "tokenferry_time_to_first_token_seconds",
            "From the request's arrival to its first token.",
            ("provider", "model"),
            _SECONDS,
        )
        self._duration = seconds(
            "tokenferry_request_duration_seconds",
            "From the request's arrival to its end.",
            ("provider", "model"),
            _SECONDS,
        )
        self._overhead = seconds(
            "tokenferry_gateway_overhead_seconds",
            "From the request's arrival until it is on its way to the provider.",
            (),
            _OVERHEAD_SECONDS,
        )

    def started(self) -> None:
        """Count a stream that begins."""
        self._open_count += 1

    def sent(self, overhead_s: float) -> None:
        """Take the gateway's own share of the time before a request goes out."""
        self._overheads_s.append(overhead_s)

    def settled(self, outcome: Outcome) -> None:
        """Count a stream that has ended, and write its log line."""
        self._open_count -= 1
        self._outcomes.append(outcome)
        if len(self._outcomes) >= UNCOUNTED_MAX:
            self._count()
        if log.isEnabledFor(logging.INFO):
            # Those that one commit has settled are logged together.
            if not self._unlogged:
                self._soon(self._log)
            self._unlogged.append(outcome)

    def _count(self) -> None:
        """Count what has ended since the last time: many at once cost less than each by itself."""
        outcomes, self._outcomes = self._outcomes, []
        overheads_s, self._overheads_s = self._overheads_s, []
        for overhead_s in overheads_s:
            self._overhead.observe((), overhead_s)
        for outcome in outcomes:
            self._count_outcome(outcome)

    def _count_outcome(self, outcome: Outcome) -> None:
        candidate = (outcome.provider, outcome.model)
        self.routing.count(outcome)
        self._requests.add((*candidate, outcome.finish))
        self._duration.observe(candidate, outcome.duration_s)
        if outcome.first_token_s is not None:
            self._first_token.observe(candidate, outcome.first_token_s)
        if outcome.error_code is not None:
            self._errors.labels(outcome.error_code).inc()
        usage = outcome.usage
        if usage is not None:
            for kind, count in (
                ("prompt", usage.prompt_tokens),
                ("completion", usage.completion_tokens),
                ("cached", usage.cached_tokens),
                ("reasoning", usage.reasoning_tokens),
            ):
                if count:
                    self._tokens.add((*candidate, kind), count)

    def refused(self, error: TokenferryError) -> None:
        """Count a request that never became a stream."""
        self._errors.labels(error.kind).inc()
        if isinstance(error, LimitError | TokensOverLimit) and error.limit is not None:
            self._limited.labels(error.limit).inc()

    def recorded(self, result: str, count: int) -> None:
        """Count records of the request log that were written or dropped."""
        self._recorded.labels(result).inc(count)

    def connected(self, change: int) -> None:
        """Count a WebSocket connection that opens (1) or closes (-1)."""
        self._connections.inc(change)

    def exposition(self, *, stores: bool = True) -> bytes:
        """Return everything in Prometheus' text form.

        Args:
            stores: Whether storage takes what requests need.
        """
        self._storage.set(stores)
        self._count()
        self.routing.refresh()
        self._open.set(self._open_count)
        return generate_latest(self._registry)

    def _log(self) -> None:
        outcomes, self._unlogged = self._unlogged, []
        log.info("stream settled", extra={CLEAN: [_fields(outcome) for outcome in outcomes]})


def _fields(outcome: Outcome) -> dict[str, object]:
    usage = outcome.usage
    return {
        "stream_id": outcome.stream_id,
        "key": outcome.owner,
        "provider": outcome.provider,
        "model": outcome.model,
        "finish": outcome.finish,
        "error_code": outcome.error_code,
        "attempts": outcome.attempts,
        "tries": _written(outcome.tries),
        "prompt_tokens": None if usage is None else usage.prompt_tokens,
        "completion_tokens": None if usage is None else usage.completion_tokens,
        "estimated": None if usage is None else usage.estimated,
        "first_token_ms": _milliseconds(outcome.first_token_s),
        "duration_ms": _milliseconds(outcome.duration_s),
    }


def _written(tries: Sequence[Try]) -> str | None:
    """Return what was tried, on one line; nothing where the first call served."""
    if len(tries) < 2:  # noqa: PLR2004 -- one call is no story
        return None
    return ", ".join(f"{t.provider}/{t.model} {t.outcome} {t.duration_ms} ms" for t in tries)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
