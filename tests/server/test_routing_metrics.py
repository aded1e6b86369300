from prometheus_client import CollectorRegistry, generate_latest

from engine.virtual import VirtualTimers
from server.test_metrics import OUTCOME
from tokenferry.domain.breaker import BreakerTerms
from tokenferry.domain.capacity_headers import Capacity, Left
from tokenferry.domain.routing import Try
from tokenferry.engine.router import Router, RoutingRules
from tokenferry.server.routing_metrics import RoutingMetrics


def test_calls_are_counted_by_outcome_and_by_why_they_were_made() -> None:
    registry = CollectorRegistry()
    metrics = RoutingMetrics(registry)
    calls = (
        Try("a", "m", "provider_http_503", 9),
        Try("a", "m", "provider_timeout", 9),
        Try("b", "m", "ok", 9),
    )
    for _ in range(2):
        metrics.count(OUTCOME._replace(provider="b", model="m", tries=calls))
    metrics.count(OUTCOME._replace(provider="b", model="m", tries=(), call_first_token_s=0.3))
    metrics.count(OUTCOME._replace(provider="b", model="m", tries=(), chunk_gap_s=0.04))
    metrics.refresh()
    text = generate_latest(registry).decode()
    for outcome, name in (("provider_http_503", "a"), ("provider_timeout", "a"), ("ok", "b")):
        labels = f'model="m",outcome="{outcome}",provider="{name}"'
        assert f"tokenferry_provider_calls_total{{{labels}}} 2.0" in text
    assert 'tokenferry_retries_total{model="m",provider="a"} 2.0' in text
    assert 'tokenferry_fallbacks_total{model="m",provider="b"} 2.0' in text
    assert 'tokenferry_fallbacks_total{model="m",provider="a"}' not in text
    labels = 'model="m",provider="b"'
    assert f"tokenferry_provider_first_token_seconds_sum{{{labels}}} 0.3" in text
    gaps = "tokenferry_provider_chunk_gap_seconds"
    assert f"{gaps}_sum{{{labels}}} 0.04" in text
    assert f'{gaps}_bucket{{le="0.03",{labels}}} 0.0' in text
    assert f'{gaps}_bucket{{le="0.05",{labels}}} 1.0' in text


def test_breakers_and_keys_are_shown_as_they_are_when_asked() -> None:
    registry, timers = CollectorRegistry(), VirtualTimers()
    router = Router(
        RoutingRules(breaker=BreakerTerms(calls_min=1), keys={"a": 2}), timers, lambda: 0.5
    )
    metrics = RoutingMetrics(registry)
    metrics.watch(router)
    health = router.health("a", "m")
    ticket, _ = health.begin(timers.now_s)
    metrics.refresh()
    text = generate_latest(registry).decode()
    assert 'tokenferry_breaker_state{model="m",provider="a",state="closed"} 1.0' in text
    assert 'tokenferry_provider_calls_under_way{model="m",provider="a"} 1.0' in text
    health.failed(ticket, 0, "passing", timers.now_s, "provider_http_500", None)
    health.provision.ring.limited(1, "m", timers.now_s, 7)
    metrics.refresh()
    text = generate_latest(registry).decode()
    assert 'tokenferry_breaker_state{model="m",provider="a",state="closed"} 0.0' in text
    assert 'tokenferry_breaker_state{model="m",provider="a",state="open"} 1.0' in text
    assert 'tokenferry_provider_key_rest_seconds{position="1",provider="a"} 0.0' in text
    assert 'tokenferry_provider_key_rest_seconds{position="2",provider="a"} 7.0' in text


def test_what_is_left_is_shown_until_it_is_whole_again() -> None:
    registry, timers = CollectorRegistry(), VirtualTimers()
    router = Router(RoutingRules(keys={"a": 2}), timers, lambda: 0.5)
    metrics = RoutingMetrics(registry)
    router.health("a", "m")
    metrics.watch(router)
    router.heard("a", "m", 1, Capacity(Left(60, 0, 60_000), Left(0, 9, 500)))
    metrics.refresh()
    text = generate_latest(registry).decode()
    requests = 'kind="requests",model="m",position="2",provider="a"'
    tokens = 'kind="tokens",model="m",position="2",provider="a"'
    assert f"tokenferry_provider_limit{{{requests}}} 60.0" in text
    assert f"tokenferry_provider_limit{{{tokens}}}" not in text
    assert f"tokenferry_provider_limit_remaining{{{requests}}} 0.0" in text
    assert f"tokenferry_provider_limit_remaining{{{tokens}}} 9.0" in text
    assert f"tokenferry_provider_limit_hold_seconds{{{requests}}} 1.0" in text
    timers.advance(60)
    metrics.refresh()
    assert "provider_limit_remaining{" not in generate_latest(registry).decode()
