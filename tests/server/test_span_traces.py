"""What spans say; the SDK hands them to the test in place of a collector."""

import time
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from server.test_metrics import OUTCOME
from tokenferry.domain.usage import Usage
from tokenferry.engine.traces import Arrival, End, Question
from tokenferry.errors import ModelNotFound, ProviderCutOff
from tokenferry.server.span_traces import SpanTracer, Target

ARRIVAL = Arrival("POST /v1/chat/completions", {"http.route": "/v1/chat/completions"}, {})
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Bench:
    def __init__(self, *, propagate: bool = False) -> None:
        self._spans = InMemorySpanExporter()
        sdk = TracerProvider(shutdown_on_exit=False)
        sdk.add_span_processor(SimpleSpanProcessor(self._spans))
        targets = {
            "p": Target("openai", "chat", "api.openai.com", 443),
            "demo": Target("d", "chat"),
        }
        self.tracer = SpanTracer(sdk, targets, propagate=propagate)

    def begin(self, arrival: Arrival = ARRIVAL, **changes: Any) -> Any:
        question = Question("k", True, 1, None, time.monotonic())
        return self.tracer.begin(arrival, question._replace(**changes))

    def spans(self) -> list[ReadableSpan]:
        """Return the spans that have ended, in that order."""
        return list(self._spans.get_finished_spans())


def end(**changes: Any) -> End:
    outcome = OUTCOME._replace(**{"usage": Usage(5, 7), "finish_reasons": ("stop",)} | changes)
    return End(outcome, None, "alias", 0)


def test_a_request_begins_when_it_came() -> None:
    bench = Bench()
    bench.begin(arrived_s=time.monotonic() - 5).settled(end())
    [span] = bench.spans()
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time >= 5_000_000_000


def test_providers_are_told_of_the_trace_only_where_that_is_wanted() -> None:
    arrival = ARRIVAL._replace(context={"traceparent": PARENT})
    assert Bench().begin(arrival).call("p", "m").headers == ()
    call = Bench(propagate=True).begin(arrival).call("p", "m")
    [(name, value)] = call.headers
    assert name == "traceparent"
    assert value.startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert value != PARENT


def test_tokens_are_counted_as_the_conventions_count_them() -> None:
    bench = Bench()
    trace = bench.begin(choices=3, output_tokens_max=9)
    call = trace.call("p", "m")
    call.shown(0.25)
    call.ended("ok")
    usage = Usage(50, 20, cached_tokens=30, cache_write_tokens=4, reasoning_tokens=6)
    trace.settled(end(usage=usage, answered_as="m-2026", finish_reasons=("stop", "length")))
    one, request = bench.spans()
    assert one.kind is SpanKind.CLIENT
    assert one.attributes is not None
    assert dict(one.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": True,
        "gen_ai.request.choice.count": 3,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.response.model": "m-2026",
        "gen_ai.response.finish_reasons": ("stop", "length", "error"),
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 50,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 30,
        "gen_ai.usage.cache_write.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 6,
        "server.address": "api.openai.com",
        "server.port": 443,
        "tokenferry.provider": "p",
        "tokenferry.outcome": "stop",
    }
    assert request.kind is SpanKind.SERVER
    assert one.parent is not None
    assert one.parent.span_id == request.get_span_context().span_id


def test_an_answer_that_is_not_streamed_has_no_first_chunk() -> None:
    bench = Bench()
    call = bench.begin(streams=False).call("demo", "m")
    call.shown(0.25)
    call.ended("provider_timeout")
    [one] = bench.spans()
    assert one.kind is SpanKind.INTERNAL
    assert one.attributes is not None
    assert "gen_ai.response.time_to_first_chunk" not in one.attributes
    assert "gen_ai.request.stream" not in one.attributes
    assert one.attributes["error.type"] == "provider_timeout"


@pytest.mark.parametrize("outcome", ["slower", "cancelled"])
def test_a_call_that_was_not_needed_is_no_error(outcome: str) -> None:
    bench = Bench()
    bench.begin().call("p", "m").ended(outcome)
    [one] = bench.spans()
    assert one.attributes is not None
    assert one.attributes["tokenferry.outcome"] == outcome
    assert "error.type" not in one.attributes
    assert one.status.is_unset


def test_whose_fault_it_was_decides_whether_the_request_failed() -> None:
    bench = Bench()
    bench.begin().refused(ModelNotFound("There is no such model."))
    bench.begin().settled(
        end(finish="error", queued_s=1.5)._replace(error=ProviderCutOff("gone"), resumes=2)
    )
    refused, failed = bench.spans()
    assert refused.attributes is not None
    assert failed.attributes is not None
    assert refused.status.is_unset
    assert refused.attributes["http.response.status_code"] == 404
    assert not failed.status.is_ok
    assert not failed.status.is_unset
    assert failed.attributes["error.type"] == "provider_cut_off"
    assert failed.attributes["tokenferry.resumes"] == 2
    assert failed.attributes["tokenferry.queue.wait"] == 1.5
