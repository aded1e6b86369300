"""Every stream's calls: what follows a failure, and that everything taken is given back."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.virtual import Bench, RecordingOutlet, ScriptedProvider
from tokenferry.domain.balance import Policy
from tokenferry.domain.breaker import BreakerTerms
from tokenferry.domain.key_ring import REFUSED_S
from tokenferry.domain.retry import BUDGET_BURST, RetryTerms
from tokenferry.domain.usage import Usage
from tokenferry.engine.gate import Ask
from tokenferry.engine.options import GateTerms
from tokenferry.engine.router import RoutingRules
from tokenferry.engine.stream import Stream
from tokenferry.errors import (
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
    TokenferryError,
)

BACKOFF_S = 0.2
RULES = RoutingRules(
    RetryTerms(retries=1, backoff_s=BACKOFF_S, wait_max_s=2.0, deadline_s=10.0),
    BreakerTerms(calls_min=4, failures_percent=50, open_s=5, probes=1),
)
USAGE = Usage(5, 7)


def bench_of(*names: str, rules: RoutingRules = RULES, **options: Any) -> Bench:
    return Bench([ScriptedProvider(name) for name in names], rules=rules, **options)


def refused() -> ProviderUnreachable:
    return ProviderUnreachable("refused")


def limited(retry_after_ms: int | None = None) -> ProviderRejected:
    return ProviderRejected("slow down", status=429, retry_after_ms=retry_after_ms)


def follow(bench: Bench) -> tuple[Stream, RecordingOutlet]:
    stream = bench.create()
    outlet, _ = bench.follow(stream)
    return stream, outlet


def answer(provider: ScriptedProvider, text: str) -> None:
    provider.sink.text(text)
    provider.sink.finish(0, "stop")
    provider.sink.usage(USAGE)
    provider.sink.end()


class Waiting:
    """Somebody else at a gate."""

    def go(self) -> None:
        """Go."""

    def stands(self, position: int, eta_s: float | None) -> None:
        """Stand."""

    def refused(self, error: TokenferryError) -> None:
        """Leave."""


def calls(bench: Bench) -> list[int]:
    return [len(provider.calls) for provider in bench.providers]


def outcomes(bench: Bench) -> list[tuple[str, str]]:
    (outcome,) = bench.meter.outcomes
    return [(t.provider, t.outcome) for t in outcome.tries]


def assert_nothing_is_held(bench: Bench) -> None:
    for state in bench.router.candidates():
        assert state.under_way == 0
        assert bench.router.health(state.provider, state.model).breaker._probing == 0


def test_a_fault_that_may_pass_is_tried_again_after_a_random_wait_and_then_elsewhere() -> None:
    bench = bench_of("a", "b")
    stream, outlet = follow(bench)
    first, second = bench.providers
    first.sink.fail(refused())
    bench.timers.advance(BACKOFF_S / 2 - 0.01)
    assert calls(bench) == [1, 0]
    bench.timers.advance(0.02)
    assert calls(bench) == [2, 0]
    first.sink.fail(refused())
    bench.timers.tick()
    assert calls(bench) == [2, 1]
    answer(second, "안녕")
    bench.timers.tick()
    assert outlet.text() == "안녕"
    assert stream.calls == 3
    assert outcomes(bench) == [
        ("a", "provider_unreachable"),
        ("a", "provider_unreachable"),
        ("b", "ok"),
    ]
    assert bench.meter.outcomes[0].call_first_token_s == 0
    assert_nothing_is_held(bench)


def test_the_second_call_of_a_candidate_may_serve() -> None:
    bench = bench_of("a", "b")
    _, outlet = follow(bench)
    bench.provider.sink.head("gone", None, None)
    bench.provider.sink.usage(Usage(99, 99))
    bench.provider.sink.fail(ProviderCutOff("cut"))
    bench.timers.advance(BACKOFF_S)
    answer(bench.provider, "다시")
    bench.timers.tick()
    assert outlet.text() == "다시"
    assert {frame["model"] for frame in outlet.frames()} == {"m"}
    assert bench.meter.outcomes[0].usage == USAGE
    assert calls(bench) == [2, 0]


def test_what_is_left_of_a_call_does_not_speak_for_the_next_of_the_same_candidate() -> None:
    bench = bench_of("a")
    _, outlet = follow(bench)
    left = bench.sink
    left.fail(ProviderRejected("an error event", status=503))
    assert bench.provider.calls[0].cancelled == 1
    left.text("late")
    left.end()
    left.fail(refused())
    bench.timers.advance(BACKOFF_S)
    left.text("late")
    answer(bench.provider, "now")
    bench.timers.tick()
    assert outlet.text() == "now"
    assert calls(bench) == [2]


def test_nothing_is_tried_after_the_first_token() -> None:
    bench = bench_of("a", "b")
    _, outlet = follow(bench)
    bench.sink.text("보이는 ")
    bench.sink.fail(refused())
    state = bench.router.candidates()[0]
    assert (state.failures, state.last_error) == (1, "provider_unreachable")
    bench.timers.advance(60)
    assert calls(bench) == [1, 0]
    assert outlet.frames()[-1]["error"]["code"] == "provider_unreachable"
    assert_nothing_is_held(bench)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_the_clients_own_fault_is_told_at_once_and_held_against_nobody(status: int) -> None:
    bench = bench_of("a", "b")
    stream, _ = follow(bench)
    bench.sink.fail(ProviderRejected("yours", status=status))
    bench.timers.advance(60)
    assert calls(bench) == [1, 0]
    assert stream.error is not None
    assert stream.error.http_status == status
    assert {(s.calls, s.failures, s.last_error) for s in bench.router.candidates()} == {(0, 0, "")}
    assert_nothing_is_held(bench)


def test_a_silence_is_not_waited_for_twice_where_there_is_a_choice() -> None:
    bench = bench_of("a", "b")
    follow(bench)
    bench.timers.advance(300)
    bench.sink.fail(ProviderTimeout("silent"))
    assert calls(bench) == [1, 1]


def test_a_limit_goes_to_another_key_then_another_candidate_and_a_short_wait_is_kept() -> None:
    rules = RoutingRules(RULES.retry, RULES.breaker, keys={"a": 2})
    bench = bench_of("a", "b", rules=rules)
    follow(bench)
    first, second = bench.providers
    first.sink.fail(limited(60_000))
    assert first.keys == [0, 1]
    first.sink.fail(limited(60_000))
    assert calls(bench) == [2, 1]
    second.sink.fail(limited(1_500))
    bench.timers.advance(1.49)
    assert calls(bench) == [2, 1]
    bench.timers.advance(0.02)
    assert calls(bench) == [2, 2]
    answer(second, "x")
    bench.timers.tick()
    # The one whose keys rest is not the first any more.
    follow(bench)
    assert calls(bench) == [2, 3]


def test_a_candidate_passed_over_for_its_limit_has_another_chance_when_the_others_fail() -> None:
    bench = bench_of("a", "b", "c")
    follow(bench)
    first, second, third = bench.providers
    first.sink.fail(limited(1_500))
    second.sink.fail(limited(60_000))
    third.sink.fail(ProviderAuthFailed("no"))
    bench.timers.advance(1.49)
    assert calls(bench) == [1, 1, 1]
    bench.timers.advance(0.02)
    assert calls(bench) == [2, 1, 1]
    # This once: nobody turns in circles.
    first.sink.fail(limited(100))
    bench.timers.advance(60)
    assert calls(bench) == [2, 1, 1]
    assert bench.meter.outcomes[0].error_code == "provider_http_429"


def test_nobody_waits_for_a_limit_that_lasts() -> None:
    bench = bench_of("a", "b")
    follow(bench)
    bench.providers[0].sink.fail(limited(2_001))
    bench.providers[1].sink.fail(ProviderAuthFailed("no"))
    bench.timers.advance(60)
    assert calls(bench) == [1, 1]


def test_a_limit_whose_wait_is_long_is_told_at_once_with_its_wait() -> None:
    bench = bench_of("a")
    stream, _ = follow(bench)
    bench.sink.fail(limited(7_000))
    bench.timers.tick()
    assert calls(bench) == [1]
    assert stream.error is not None
    assert (stream.error.http_status, stream.error.retry_after_ms) == (429, 7_000)


def test_a_limit_of_no_time_at_all_does_not_turn_in_circles() -> None:
    rules = RoutingRules(RULES.retry, RULES.breaker, keys={"a": 3})
    bench = bench_of("a", rules=rules)
    follow(bench)
    while not bench.meter.outcomes:
        bench.sink.fail(limited(0))
        bench.timers.advance(0.3)
    assert calls(bench)[0] <= 4


def test_a_refused_key_is_passed_over_until_its_rest_is_over() -> None:
    rules = RoutingRules(RULES.retry, RULES.breaker, keys={"a": 2})
    bench = bench_of("a", rules=rules)
    for _ in range(2):
        follow(bench)
        if len(bench.provider.keys) == 1:
            bench.sink.fail(ProviderAuthFailed("no"))
        answer(bench.provider, "x")
        bench.timers.tick()
    assert bench.provider.keys == [0, 1, 1]
    bench.timers.advance(REFUSED_S)
    follow(bench)
    assert bench.provider.keys[-1] == 0


@pytest.mark.parametrize(
    "error",
    [ProviderAuthFailed("no"), ProviderRejected("no such model", status=404)],
    ids=["401", "404"],
)
def test_what_the_operator_has_to_mend_goes_to_the_next_candidate(error: ProviderError) -> None:
    bench = bench_of("a", "b")
    _, outlet = follow(bench)
    bench.sink.fail(error)
    assert calls(bench) == [1, 1]
    answer(bench.providers[1], "대신")
    bench.timers.tick()
    assert outlet.text() == "대신"
    assert bench.router.candidates()[0].last_error == error.kind


def test_a_candidate_that_fails_is_left_alone_and_probed_in_time() -> None:
    bench = bench_of("a", "b")
    first, second = bench.providers
    for _ in range(4):
        follow(bench)
        if len(first.calls) < 4:
            first.sink.fail(refused())
            bench.timers.advance(BACKOFF_S)
            first.sink.fail(refused())
        answer(second, "x")
        bench.timers.tick()
    assert bench.router.candidates()[0].state == "open"
    assert len(first.calls) == 4
    bench.timers.advance(5)
    # One probe at a time.
    streams = [follow(bench)[0] for _ in range(3)]
    assert len(first.calls) == 5
    # Whoever cancels it has found out nothing, and its place is free again.
    bench.dispatcher.cancel("k", streams[0].id)
    follow(bench)
    assert len(first.calls) == 6
    answer(first, "again")
    assert bench.router.candidates()[0].state == "closed"


def test_a_probe_that_fails_is_not_tried_again() -> None:
    bench = bench_of("a")
    for _ in range(2):
        follow(bench)
        for _ in range(2):
            bench.sink.fail(refused())
            bench.timers.advance(BACKOFF_S)
    assert bench.router.candidates()[0].state == "open"
    before = len(bench.provider.calls)
    follow(bench)
    bench.sink.fail(refused())
    bench.timers.advance(BACKOFF_S)
    assert len(bench.provider.calls) == before + 1


def test_a_client_that_leaves_while_a_retry_waits_gets_no_further_call() -> None:
    bench = bench_of("a", "b")
    stream, outlet = follow(bench)
    bench.sink.fail(refused())
    bench.dispatcher.cancel("k", stream.id)
    bench.timers.advance(60)
    assert calls(bench) == [1, 0]
    assert outlet.frames()[-1]["choices"][0]["finish_reason"] == "cancelled"
    assert outcomes(bench) == [("a", "provider_unreachable")]
    assert bench.meter.outcomes[0].usage is None
    assert_nothing_is_held(bench)


def test_a_cancel_is_no_failure() -> None:
    bench = bench_of("a")
    for _ in range(20):
        stream, _ = follow(bench)
        bench.dispatcher.cancel("k", stream.id)
    assert bench.router.candidates()[0][2:6] == ("closed", 0.0, 0, 0)
    assert_nothing_is_held(bench)


def test_an_adapter_that_breaks_on_the_second_call_ends_the_stream() -> None:
    bench = bench_of("a", "b")
    stream, _ = follow(bench)
    bench.sink.fail(refused())
    bench.provider.failure = RuntimeError("a defect")
    bench.timers.advance(BACKOFF_S)
    assert stream.error is not None
    assert stream.error.code == "internal_error"
    assert len(bench.meter.outcomes) == 1
    assert_nothing_is_held(bench)


def test_retries_do_not_multiply() -> None:
    rules = RoutingRules(RULES.retry, BreakerTerms(calls_min=100_000), retry_percent=20)
    bench = bench_of("a", rules=rules)
    requests = 200
    for _ in range(requests):
        follow(bench)
        before = len(bench.meter.outcomes)
        while len(bench.meter.outcomes) == before:
            bench.sink.fail(refused())
            bench.timers.advance(BACKOFF_S)
    assert requests < calls(bench)[0] <= requests * 1.2 + BUDGET_BURST


def test_what_was_tried_is_in_the_charge() -> None:
    bench = bench_of("a", "b")
    follow(bench)
    bench.sink.fail(ProviderRejected("no such model", status=404))
    answer(bench.providers[1], "x")
    bench.timers.advance(1)
    (outcome,) = bench.meter.outcomes
    generation_bill = json.loads(bench.charges[0].tries)
    assert generation_bill == [["a", "m", "provider_http_404", 0], ["b", "m", "ok", 0]]
    assert (bench.charges[0].attempts, outcome.attempts) == (2, 2)
    assert bench.charges[0].provider == "b"


# -- hedging ---------------------------------------------------------------------------------


def hedged(*names: str) -> Bench:
    """Return an engine whose first candidate shows its first token after a second, as a rule."""
    rules = RoutingRules(RULES.retry, RULES.breaker, policies={"m": Policy(hedge=True)})
    bench = bench_of(*names, rules=rules)
    for _ in range(5):
        follow(bench)
        bench.timers.advance(1)
        answer(bench.provider, "x")
        bench.timers.advance(1)
    bench.meter.outcomes.clear()
    bench.charges.clear()
    return bench


def test_a_first_call_that_is_late_gets_a_rival_and_the_quicker_one_serves() -> None:
    bench = hedged("a", "b")
    first, second = bench.providers
    _, outlet = follow(bench)
    first.sink.head("of a", None, None)
    bench.timers.advance(0.99)
    assert len(second.calls) == 0
    bench.timers.advance(0.02)
    assert len(second.calls) == 1
    assert first.calls[-1].cancelled == 0
    left = first.sink
    second.sink.head("of b", None, None)
    second.sink.usage(USAGE)
    second.sink.text("안")
    assert first.calls[-1].cancelled == 1
    left.text("late")
    left.fail(refused())
    second.sink.text("녕")
    second.sink.finish(0, "stop")
    second.sink.end()
    bench.timers.advance(1)
    assert outlet.text() == "안녕"
    assert {frame["model"] for frame in outlet.frames()} == {"of b"}
    assert outcomes(bench) == [("a", "slower"), ("b", "ok")]
    (charge,) = bench.charges
    # What it has reported, and what came after that.
    assert (charge.provider, charge.completion_tokens) == ("b", 9)
    assert bench.router.candidates()[0].failures == 0
    assert_nothing_is_held(bench)


def test_a_first_call_that_is_quicker_after_all_serves() -> None:
    bench = hedged("a", "b")
    first, second = bench.providers
    _, outlet = follow(bench)
    bench.timers.advance(1.1)
    rival = second.sink
    rival.usage(Usage(99, 99))
    answer(first, "x")
    assert second.calls[-1].cancelled == 1
    rival.text("late")
    bench.timers.advance(1)
    assert outlet.text() == "x"
    assert outcomes(bench) == [("b", "slower"), ("a", "ok")]
    assert bench.meter.outcomes[0].usage == USAGE
    assert_nothing_is_held(bench)


def test_a_rival_goes_on_when_the_first_call_fails_and_the_other_way_round() -> None:
    bench = hedged("a", "b")
    first, second = bench.providers
    _, outlet = follow(bench)
    bench.timers.advance(1.1)
    second.sink.head("of b", None, None)
    first.sink.fail(refused())
    answer(second, "b")
    bench.timers.advance(1)
    assert outlet.text() == "b"
    assert {frame["model"] for frame in outlet.frames()} == {"of b"}
    _, outlet = follow(bench)
    bench.timers.advance(1.1)
    second.sink.fail(refused())
    answer(first, "a")
    bench.timers.advance(1)
    assert outlet.text() == "a"
    assert len(bench.charges) == 2
    assert_nothing_is_held(bench)


def test_a_rival_that_has_taken_over_may_fail_and_be_followed() -> None:
    bench = hedged("a", "b", "c")
    _, outlet = follow(bench)
    bench.timers.advance(1.1)
    bench.providers[0].sink.fail(refused())
    bench.providers[1].sink.fail(ProviderAuthFailed("no"))
    answer(bench.providers[2], "c")
    bench.timers.advance(1)
    assert outlet.text() == "c"
    assert_nothing_is_held(bench)


def test_a_client_that_leaves_a_race_ends_both_calls() -> None:
    bench = hedged("a", "b")
    stream, _ = follow(bench)
    bench.timers.advance(1.1)
    bench.dispatcher.cancel("k", stream.id)
    bench.timers.advance(60)
    assert [provider.calls[-1].cancelled for provider in bench.providers] == [1, 1]
    assert len(bench.charges) == 1
    assert bench.charges[0].cost_nanos is None
    assert_nothing_is_held(bench)


def test_a_rival_whose_tokens_are_used_up_is_kept_for_when_the_first_call_fails() -> None:
    rules = RoutingRules(
        RetryTerms(retries=0),
        policies={"m": Policy(hedge=True)},
        gates={"b": GateTerms(tokens_per_minute=600, line_max=0)},
    )
    bench = bench_of("a", "b", rules=rules)
    for _ in range(5):
        bench.router.health("a", "m").first_tokens.add(1.0)
    gate = bench.router.health("b", "m").provision.gate
    other = gate.enter(Ask("other", "default", "x", 599), "m", Waiting())
    stream = bench.create(max_tokens=100)
    outlet, _ = bench.follow(stream)
    bench.timers.advance(1.1)
    assert calls(bench) == [1, 0]
    other.leave(0)
    bench.providers[0].sink.fail(refused())
    bench.timers.tick()
    answer(bench.providers[1], "b")
    bench.timers.advance(1)
    assert outlet.text() == "b"
    assert_nothing_is_held(bench)


def test_a_candidate_whose_tokens_are_used_up_comes_after_one_that_has_room() -> None:
    rules = RoutingRules(RULES.retry, gates={"a": GateTerms(tokens_per_minute=600)})
    bench = bench_of("a", "b", rules=rules)
    gate = bench.router.health("a", "m").provision.gate
    gate.enter(Ask("other", "default", "x", 599), "m", Waiting())
    bench.create(max_tokens=100)
    bench.timers.tick()
    assert calls(bench) == [0, 1]


def test_rivals_are_a_share_of_the_requests() -> None:
    bench = hedged("a", "b")
    for _ in range(100):
        stream, _ = follow(bench)
        bench.timers.advance(1.1)
        bench.dispatcher.cancel("k", stream.id)
    assert 0 < len(bench.providers[1].calls) <= BUDGET_BURST + 1


ACTS = st.lists(
    st.sampled_from(["create", "fail", "limit", "reject", "auth", "text", "end", "cancel", "wait"]),
    max_size=120,
)


@given(acts=ACTS, seed=st.integers(0, 1 << 30), is_hedged=st.booleans())
def test_whatever_happens_everything_is_given_back_and_each_stream_is_charged_once(
    *, acts: list[str], seed: int, is_hedged: bool
) -> None:
    dice = random.Random(seed)  # noqa: S311
    policies = {"m": Policy(hedge=is_hedged)}
    rules = RoutingRules(RULES.retry, RULES.breaker, policies=policies, keys={"a": 2})
    bench = bench_of("a", "b", "c", rules=rules)
    for _ in range(5):
        bench.router.health("a", "m").first_tokens.add(0.4)
    streams: list[Stream] = []
    for act in acts:
        if act == "create":
            streams.append(bench.create())
        elif act == "wait":
            bench.timers.advance(dice.choice((0.05, 0.5, 6)))
        elif act == "cancel" and streams:
            bench.dispatcher.cancel("k", dice.choice(streams).id)
        else:
            said = [call for provider in bench.providers for call in provider.calls]
            if said:
                say(dice.choice(said).sink, act)
        under_way = sum(state.under_way for state in bench.router.candidates())
        assert under_way <= (1 + is_hedged) * sum(not stream.done for stream in streams)
    for stream in streams:
        bench.dispatcher.cancel("k", stream.id)
    bench.timers.advance(60)
    assert_nothing_is_held(bench)
    assert len(bench.meter.outcomes) == len(streams)
    assert sorted(charge.stream_id for charge in bench.charges) == sorted(s.id for s in streams)
    assert all(stream.sealed for stream in streams)


def say(sink: Any, act: str) -> None:
    errors: dict[str, ProviderError] = {
        "fail": refused(),
        "limit": limited(500),
        "reject": ProviderRejected("yours", status=400),
        "auth": ProviderAuthFailed("no"),
    }
    if act in errors:
        sink.fail(errors[act])
    elif act == "text":
        sink.text("가")
    elif act == "end":
        sink.finish(0, "stop")
        sink.end()
