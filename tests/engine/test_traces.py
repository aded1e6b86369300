"""What a trace is told: each request and each call once, whatever becomes of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.virtual import OPTIONS, Bench, ScriptedProvider
from tokenferry.domain.balance import Policy
from tokenferry.domain.retry import RetryTerms
from tokenferry.domain.usage import Usage
from tokenferry.engine.options import GateTerms
from tokenferry.engine.router import RoutingRules
from tokenferry.engine.traces import Arrival, End, Question
from tokenferry.errors import ModelNotFound, ProviderCutOff, ProviderUnreachable, TokenferryError

ARRIVAL = Arrival("POST /x", {"http.route": "/x"}, {"traceparent": "00-1"})
TRACED = OPTIONS._replace(arrival=ARRIVAL)


class Call:
    def __init__(self, provider: str, model: str, headers: tuple[tuple[str, str], ...]) -> None:
        self.name = f"{provider}/{model}"
        self.headers = headers
        self.first_token_s: float | None = None
        self.ends: list[str] = []

    def shown(self, first_token_s: float) -> None:
        assert self.first_token_s is None
        self.first_token_s = first_token_s

    def ended(self, outcome: str) -> None:
        self.ends.append(outcome)


class Request:
    def __init__(self, question: Question, headers: tuple[tuple[str, str], ...]) -> None:
        self.question = question
        self._headers = headers
        self.calls: list[Call] = []
        self.ends: list[End | TokenferryError] = []

    def call(self, provider: str, model: str) -> Call:
        assert not self.ends
        self.calls.append(call := Call(provider, model, self._headers))
        return call

    def refused(self, error: TokenferryError) -> None:
        self.ends.append(error)

    def settled(self, end: End) -> None:
        # Whatever was begun has ended before.
        assert all(call.ends for call in self.calls)
        self.ends.append(end)


class Recording:
    """Implements the port of traces."""

    def __init__(self, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self._headers = headers
        self.requests: list[Request] = []

    def begin(self, arrival: Arrival, question: Question) -> Request:
        assert arrival is ARRIVAL
        self.requests.append(request := Request(question, self._headers))
        return request


def bench_of(*names: str, headers: tuple[tuple[str, str], ...] = (), **options: Any) -> Any:
    tracer = Recording(headers)
    return Bench([ScriptedProvider(name) for name in names], tracer=tracer, **options), tracer


def answer(provider: ScriptedProvider) -> None:
    provider.sink.head("m-2026", None, None)
    provider.sink.text("네")
    provider.sink.finish(0, "stop")
    provider.sink.usage(Usage(5, 7))
    provider.sink.end()


def test_a_request_and_its_call() -> None:
    bench, tracer = bench_of("p")
    stream = bench.create(TRACED, max_tokens=9)
    bench.follow(stream)
    bench.timers.advance(2)
    answer(bench.provider)
    [request] = tracer.requests
    assert request.question == Question("k", True, 1, 9, 1000.0)
    [call] = request.calls
    assert (call.name, call.first_token_s, call.ends) == ("p/m", 2.0, ["ok"])
    [end] = request.ends
    assert (end.error, end.model, end.resumes) == (None, "m", 0)
    assert (end.outcome.stream_id, end.outcome.answered_as) == (stream.id, "m-2026")
    assert (end.outcome.finish_reasons, end.outcome.queued_s) == (("stop",), 0.0)


def test_headers_go_with_every_call_and_only_with_those() -> None:
    told = (("traceparent", "00-2"),)
    bench, _ = bench_of("a", "b", headers=told)
    bench.create(TRACED)
    bench.providers[0].sink.fail(ProviderUnreachable("no"))
    bench.create()
    assert [provider.headers for provider in bench.providers] == [[told, ()], [told]]


def test_where_traces_are_off_or_nobody_says_how_it_came_there_is_none() -> None:
    off = Bench()
    off.create(TRACED)
    answer(off.provider)
    bench, tracer = bench_of("p")
    bench.create()
    answer(bench.provider)
    assert tracer.requests == []
    assert bench.provider.headers == [()]


def test_what_begins_no_stream_is_refused_and_a_repeated_request_is_no_request() -> None:
    bench, tracer = bench_of("p")
    with pytest.raises(ModelNotFound):
        bench.create(TRACED, model="nobody")
    [request] = tracer.requests
    assert isinstance(request.ends[0], ModelNotFound)
    known = TRACED._replace(idempotency_key="once")
    assert bench.create(known) is bench.create(known)
    assert len(tracer.requests) == 2


def test_a_wait_and_a_client_that_comes_back_are_told_at_the_end() -> None:
    bench, tracer = bench_of("p", rules=RoutingRules(gates={"p": GateTerms(streams_max=1)}))
    bench.create(TRACED)
    waiting = bench.create(TRACED)
    bench.timers.advance(3)
    assert tracer.requests[1].calls == []
    answer(bench.provider)
    bench.timers.tick()
    bench.follow(waiting, resumes=True)
    answer(bench.provider)
    [end] = tracer.requests[1].ends
    assert (end.outcome.queued_s, end.resumes) == (3.0, 1)


def test_an_answer_that_breaks_off_names_its_error() -> None:
    bench, tracer = bench_of("p")
    bench.create(TRACED)
    bench.sink.text("네")
    bench.sink.fail(ProviderCutOff("gone"))
    [request] = tracer.requests
    assert request.calls[0].ends == ["ok"]
    assert isinstance(request.ends[0].error, ProviderCutOff)
    assert request.ends[0].outcome.error_code == "provider_cut_off"


STEPS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["text", "fail", "answer", "cancel", "wait"])),
    max_size=12,
)


@given(steps=STEPS, hedged=st.booleans())
def test_every_request_and_every_call_ends_once(
    *, steps: list[tuple[int, str]], hedged: bool
) -> None:
    rules = RoutingRules(
        RetryTerms(retries=1),
        policies={"m": Policy(hedge=hedged)},
        gates={"a": GateTerms(streams_max=1, wait_max_s=5)},
    )
    bench, tracer = bench_of("a", "b", rules=rules)
    for _ in range(9):
        # So that it is known what is late.
        bench.router.health("a", "m").first_tokens.add(0.1)
    streams = [bench.create(TRACED) for _ in range(2)]
    for which, step in steps:
        provider = bench.providers[which]
        if step == "wait":
            bench.timers.advance(1)
        elif step == "cancel":
            bench.dispatcher.cancel("k", streams[which].id)
        elif provider.calls and step == "answer":
            answer(provider)
        elif provider.calls:
            sink = provider.sink
            sink.text("네") if step == "text" else sink.fail(ProviderUnreachable("no"))
        bench.timers.tick()
    for stream in streams:
        bench.dispatcher.cancel("k", stream.id)
    bench.timers.advance(60)
    assert len(tracer.requests) == 2
    for request in tracer.requests:
        assert len(request.ends) == 1
        assert [len(call.ends) for call in request.calls] == [1] * len(request.calls)
