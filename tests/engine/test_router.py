import logging

import pytest

from engine.virtual import ScriptedProvider, VirtualTimers, request
from tokenferry.domain.balance import Policy
from tokenferry.domain.breaker import BreakerTerms
from tokenferry.domain.capacity_headers import Capacity, Left
from tokenferry.engine.attempt import Attempt
from tokenferry.engine.router import Health, Router, RoutingRules

TERMS = BreakerTerms(calls_min=2, failures_percent=50, open_s=5)
DICE = 0.5


def attempts(*names: str) -> list[Attempt]:
    return [Attempt(name, "m", ScriptedProvider(name).prepare(request(), "m")) for name in names]


def router(**rules: object) -> tuple[Router, VirtualTimers]:
    timers = VirtualTimers()
    return Router(RoutingRules(breaker=TERMS, **rules), timers, lambda: DICE), timers  # type: ignore[arg-type]


def names(found: list[Attempt]) -> list[str]:
    return [attempt.provider for attempt in found]


def fail(health: Health, now_s: float, times: int = 2) -> None:
    for _ in range(times):
        ticket, key = health.begin(now_s)
        health.failed(ticket, key, "passing", now_s, "provider_http_500", None)
        health.under_way -= 1


def test_who_is_left_alone_is_not_tried() -> None:
    knows, timers = router()
    three = attempts("a", "b", "c")
    assert names(knows.order("m", three)) == ["a", "b", "c"]
    fail(knows.health("a", "m"), timers.now_s)
    assert names(knows.order("m", three)) == ["b", "c"]
    timers.advance(5)
    assert names(knows.order("m", three)) == ["a", "b", "c"]  # as a probe


def test_where_all_are_left_alone_the_soonest_back_is_asked() -> None:
    knows, timers = router()
    two = attempts("a", "b")
    fail(knows.health("b", "m"), timers.now_s)
    timers.advance(1)
    fail(knows.health("a", "m"), timers.now_s)
    assert names(knows.order("m", two)) == ["b"]


def test_a_sole_candidate_is_asked_whatever_is_known_of_it() -> None:
    knows, timers = router()
    fail(knows.health("a", "m"), timers.now_s)
    assert names(knows.order("m", attempts("a"))) == ["a"]


def test_whose_keys_rest_comes_last_and_the_soonest_of_those_first() -> None:
    knows, timers = router()
    for name, wait_s in (("a", 30.0), ("b", 10.0)):
        health = knows.health(name, "m")
        ticket, key = health.begin(timers.now_s)
        health.failed(ticket, key, "limited", timers.now_s, "provider_http_429", wait_s)
    assert names(knows.order("m", attempts("a", "b", "c"))) == ["c", "b", "a"]
    # A limit is no failure of the candidate.
    assert {state.state for state in knows.candidates()} == {"closed"}
    assert {state.failures for state in knows.candidates()} == {0}


def test_an_alias_chooses_by_its_strategy_and_weights() -> None:
    policies = {
        "loads": Policy("least_loaded", {("a", "m"): 1, ("b", "m"): 4}),
        "lots": Policy("weighted", {("a", "m"): 0}),
        "quick": Policy("lowest_latency"),
    }
    knows, timers = router(policies=policies)
    two = attempts("a", "b")
    assert names(knows.order("loads", two)) == ["b", "a"]
    assert names(knows.order("lots", two)) == ["b", "a"]
    assert names(knows.order("anything", two)) == ["a", "b"]
    for name, seconds in (("a", 0.9), ("b", 0.1)):
        for _ in range(5):
            ticket, key = knows.health(name, "m").begin(timers.now_s)
            knows.health(name, "m").shown(ticket, key, seconds, timers.now_s)
    assert names(knows.order("quick", two)) == ["b", "a"]


def test_a_provider_shares_its_keys_and_not_its_breakers() -> None:
    knows, timers = router(keys={"a": 2})
    one, other = knows.health("a", "m"), knows.health("a", "n")
    assert one.provision is other.provision
    assert one.provision.ring.count == 2
    fail(one, timers.now_s)
    assert one.breaker.state(timers.now_s) == "open"
    assert other.breaker.state(timers.now_s) == "closed"


def test_what_the_operator_has_to_mend_is_told_without_the_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    knows, timers = router(keys={"a": 2})
    health = knows.health("a", "m")
    ticket, _ = health.begin(timers.now_s)
    with caplog.at_level(logging.ERROR):
        health.failed(ticket, 1, "credential", timers.now_s, "provider_auth_failed", None)
        health.failed(ticket, 0, "unknown", timers.now_s, "provider_http_404", None)
    assert "key 2" in caplog.text
    assert "a does not know the model m" in caplog.text
    assert [key.state for key in knows.keys()["a"]] == ["ready", "refused"]
    (state,) = knows.candidates()
    assert state.last_error == "provider_http_404"


def test_a_fault_of_the_request_says_nothing_of_the_candidate() -> None:
    knows, timers = router()
    health = knows.health("a", "m")
    for _ in range(9):
        ticket, key = health.begin(timers.now_s)
        health.failed(ticket, key, "client", timers.now_s, "provider_http_400", None)
    (state,) = knows.candidates()
    assert (state.state, state.calls, state.last_error) == ("closed", 0, "")


def test_answers_that_break_in_the_middle_count_beside_their_beginnings() -> None:
    knows, timers = router()
    health = knows.health("a", "m")
    ticket, key = health.begin(timers.now_s)
    health.shown(ticket, key, 0.1, timers.now_s)
    assert knows.candidates()[0].calls == 1
    health.broke(timers.now_s, "provider_cut_off")
    assert knows.candidates()[0].state == "open"
    health.broke(timers.now_s, "provider_cut_off")  # nothing more to be found out
    assert knows.candidates()[0].last_error == "provider_cut_off"


def test_what_a_key_has_left_decides_who_is_asked_and_with_which_key() -> None:
    knows, timers = router(keys={"a": 2})
    two = attempts("a", "b")
    spent = Capacity(Left(0, 0, 3_000), None)
    knows.heard("a", "m", 0, spent)
    health = knows.health("a", "m")
    assert names(knows.order("m", two)) == ["a", "b"]
    assert health.begin(timers.now_s, 7)[1] == 1
    # Nothing is left of either: who would have to wait comes last.
    knows.heard("a", "m", 1, spent)
    assert names(knows.order("m", two)) == ["b", "a"]
    assert [state.position for state in knows.limits()["a"]] == [1, 2]
    timers.advance(3)
    assert names(knows.order("m", two)) == ["a", "b"]
    assert health.begin(timers.now_s)[1] == 0


def test_a_call_takes_its_tokens_of_what_is_refilled() -> None:
    knows, timers = router()
    knows.heard("a", "m", 0, Capacity(None, Left(600, 0, 60_000)))
    gate = knows.health("a", "m").provision.gate
    assert gate.is_full("m")
    timers.advance(1)
    assert not gate.is_full("m")
    knows.health("a", "m").begin(timers.now_s, 10)
    assert gate.is_full("m")
