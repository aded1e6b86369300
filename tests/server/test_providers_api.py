from msgspec.structs import astuple

from engine.virtual import VirtualTimers
from tokenferry.domain.breaker import BreakerTerms
from tokenferry.domain.capacity_headers import Capacity, Left
from tokenferry.engine.router import Router, RoutingRules
from tokenferry.protocol.frames import encode
from tokenferry.server.providers_api import provider_list, provider_routes


def test_every_provider_with_its_models_and_keys() -> None:
    timers = VirtualTimers()
    rules = RoutingRules(breaker=BreakerTerms(calls_min=1, open_s=5), keys={"a": 2})
    router = Router(rules, timers, lambda: 0.5)
    for provider, model in (("b", "n"), ("a", "m"), ("a", "l")):
        router.health(provider, model)
    health = router.health("a", "m")
    ticket, _ = health.begin(timers.now_s)
    health.failed(ticket, 1, "passing", timers.now_s, "provider_http_500", None)
    health.provision.ring.limited(1, "m", timers.now_s, 7.25)
    router.heard("a", "l", 1, Capacity(Left(60, 0, 60_000), Left(0, 9, 500)))
    one, other = provider_list(router).data
    assert (one.name, other.name) == ("a", "b")
    assert [(key.position, key.state, key.rests_ms) for key in one.keys] == [
        (1, "ready", 0),
        (2, "limited", 7_250),
    ]
    assert [(model.model, model.state, model.opens_ms) for model in one.models] == [
        ("l", "closed", 0),
        ("m", "open", 5_000),
    ]
    assert [astuple(limit) for limit in one.limits] == [
        (2, "l", "requests", 60, 0, 60_000, 1_000),
        (2, "l", "tokens", None, 9, 500, 0),
    ]
    assert other.limits == []
    assert one.models[1].last_error == "provider_http_500"
    assert other.models[0].first_token_ms is None
    assert encode(provider_list(router)).startswith(b'{"data":[{"name":"a","keys":[{"position":1,')


def test_the_route_is_for_administrators() -> None:
    (route,) = provider_routes(Router(RoutingRules(), VirtualTimers(), lambda: 0.5))
    assert (route.method, route.path, route.access) == ("GET", "/api/admin/providers", "admin")
