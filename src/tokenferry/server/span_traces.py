"""Traces as OpenTelemetry's spans: one of the request, and one of each call of a provider.

Imported only where traces are sent; nothing else imports OpenTelemetry. Spans are ended in the
event loop, which puts them into the SDK's queue; its thread sends them. A full queue drops.

Source: Semantic conventions for generative AI, "Client inference" (semantic-conventions-genai
v0.1.0, status development, 2026-11); HTTP server spans (semantic-conventions 1.44).
Weakness: the conventions have one span for all retries of a call; here each try has its own, since
a gateway's tries go to different providers.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tokenferry import __version__
from tokenferry.domain.usage import Usage
from tokenferry.engine.traces import Arrival, End, Question
from tokenferry.errors import TokenferryError

NS_PER_S = 1_000_000_000
SERVED = "ok"
# What no provider is to blame for: the client left, or another call was quicker.
NO_ERRORS = ("cancelled", "slower")
_SERVER_FAULTS = 500
_OK = 200
_ERROR = Status(StatusCode.ERROR)
_PROPAGATOR = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class Target:
    """A provider, in the conventions' words.

    Attributes:
        name: Who it is.
        operation: What is asked of it.
        address: Its host; empty for a model in this process.
        port: Its TCP port.
    """

    name: str
    operation: str
    address: str = ""
    port: int = 0


class SpanTracer:
    """Makes spans; implements the engine's `Tracer`.

    Args:
        spans: The SDK.
        targets: The providers, by their configured names.
        propagate: Whether providers are told of the trace.
    """

    def __init__(
        self, spans: TracerProvider, targets: Mapping[str, Target], *, propagate: bool
    ) -> None:
        self.tracer = spans.get_tracer("tokenferry", __version__)
        self.targets = targets
        self.propagate = propagate

    def begin(self, arrival: Arrival, question: Question) -> "RequestSpan":
        """Return the span of a request, a part of the client's trace if that has one."""
        parent = _PROPAGATOR.extract(arrival.context, Context())
        age_ns = max(0, round((time.monotonic() - question.arrived_s) * NS_PER_S))
        span = self.tracer.start_span(
            arrival.name,
            parent,
            SpanKind.SERVER,
            {**arrival.facts, "tokenferry.key_id": question.key_id},
            start_time=time.time_ns() - age_ns,
        )
        return RequestSpan(self, span, question)


class RequestSpan:
    """The span of a request; implements the engine's `RequestTrace`.

    Args:
        tracer: What makes the spans of its calls.
        span: Its span.
        question: What was asked for.
    """

    __slots__ = ("_serving", "_span", "question", "tracer")

    def __init__(self, tracer: SpanTracer, span: Span, question: Question) -> None:
        self.tracer = tracer
        self.question = question
        self._span = span
        self._serving: CallSpan | None = None

    def call(self, provider: str, model: str) -> "CallSpan":
        """Return the span of a call."""
        return CallSpan(self, set_span_in_context(self._span, Context()), provider, model)

    def served_by(self, call: "CallSpan") -> None:
        """Keep the span of the call that served: its end says what was used."""
        self._serving = call

    def refused(self, error: TokenferryError) -> None:
        """End with the error that the client got; the text of it is nobody else's."""
        self._span.set_attribute("http.response.status_code", error.http_status)
        self._end(error)

    def settled(self, end: End) -> None:
        """End, and end the call that served."""
        if self._serving is not None:
            self._serving.settled(end)
            self._serving = None
        outcome, span = end.outcome, self._span
        facts: dict[str, Any] = {
            "tokenferry.stream_id": outcome.stream_id,
            "tokenferry.model": end.model,
            "tokenferry.calls": len(outcome.tries),
            "tokenferry.finish": outcome.finish,
        }
        if outcome.first_token_s is not None:
            facts["tokenferry.time_to_first_token"] = outcome.first_token_s
        if outcome.queued_s:
            facts["tokenferry.queue.wait"] = outcome.queued_s
        if end.resumes:
            facts["tokenferry.resumes"] = end.resumes
        if end.error is None and outcome.finish not in NO_ERRORS:
            facts["http.response.status_code"] = _OK
        span.set_attributes(facts)
        self._end(end.error)

    def _end(self, error: TokenferryError | None) -> None:
        if error is not None:
            self._span.set_attribute("error.type", error.kind)
            # What the client did wrong is no error of a server's span.
            if error.http_status >= _SERVER_FAULTS:
                self._span.set_status(_ERROR)
        self._span.end()


class CallSpan:
    """The span of a call; implements the engine's `CallTrace`.

    Args:
        request: The span that it is a part of.
        parent: The same, for the SDK.
        provider: The provider's configured name.
        model: The provider's own name for the model.
    """

    __slots__ = ("_ended_ns", "_request", "_span")

    def __init__(self, request: RequestSpan, parent: Context, provider: str, model: str) -> None:
        self._request = request
        self._ended_ns = 0
        question = request.question
        target = request.tracer.targets.get(provider, Target(provider, "chat"))
        facts: dict[str, Any] = {
            "gen_ai.operation.name": target.operation,
            "gen_ai.provider.name": target.name,
            "gen_ai.request.model": model,
            "tokenferry.provider": provider,
        }
        if target.address:
            facts |= {"server.address": target.address, "server.port": target.port}
        if question.streams:
            facts["gen_ai.request.stream"] = True
        if question.choices != 1:
            facts["gen_ai.request.choice.count"] = question.choices
        if question.output_tokens_max is not None:
            facts["gen_ai.request.max_tokens"] = question.output_tokens_max
        kind = SpanKind.CLIENT if target.address else SpanKind.INTERNAL
        name = f"{target.operation} {model}"
        self._span = request.tracer.tracer.start_span(name, parent, kind, facts)

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What the provider is sent, if it is told of the trace."""
        if not self._request.tracer.propagate:
            return ()
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, set_span_in_context(self._span, Context()))
        return tuple(carrier.items())

    def shown(self, first_token_s: float) -> None:
        """Take note of the first chunk."""
        if self._request.question.streams:
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", first_token_s)

    def ended(self, outcome: str) -> None:
        """End with what became of it; what served is still to be settled."""
        if outcome == SERVED:
            self._ended_ns = time.time_ns()
            self._request.served_by(self)
            return
        self._span.set_attribute("tokenferry.outcome", outcome)
        if outcome not in NO_ERRORS:
            self._span.set_attribute("error.type", outcome)
            self._span.set_status(_ERROR)
        self._span.end()

    def settled(self, end: End) -> None:
        """End with what the whole answer came to."""
        outcome, span = end.outcome, self._span
        if outcome.answered_as:
            span.set_attribute("gen_ai.response.model", outcome.answered_as)
        # A choice that has ended without a reason ended by an error, say the conventions.
        missing = self._request.question.choices - len(outcome.finish_reasons)
        reasons = (*outcome.finish_reasons, *["error"] * missing)
        span.set_attribute("gen_ai.response.finish_reasons", reasons)
        span.set_attribute("tokenferry.outcome", outcome.error_code or outcome.finish)
        if outcome.usage is not None:
            span.set_attributes(_usage_facts(outcome.usage))
        if outcome.error_code is not None:
            span.set_attribute("error.type", outcome.error_code)
            span.set_status(_ERROR)
        span.end(self._ended_ns or None)


def _usage_facts(usage: Usage) -> dict[str, Any]:
    """Return the tokens: details are inside of the sums in both the conventions and ours."""
    facts: dict[str, Any] = {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
    }
    details = {
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.cache_write.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }
    facts |= {name: count for name, count in details.items() if count}
    if usage.estimated:
        facts["tokenferry.usage.estimated"] = True
    return facts
