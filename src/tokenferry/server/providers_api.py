"""How the providers are: which candidates are left alone, which keys rest, and what is left.

    GET /v1/providers          for the operator's own API keys
    GET /api/admin/providers   for administrators

A key is named by its position alone.
"""

from typing import Any

from msgspec import Struct

from tokenferry.domain.fair_queue import ServiceClass
from tokenferry.domain.learned_limits import Kind, LearnedState
from tokenferry.engine.gate import Gate
from tokenferry.engine.router import CandidateState, Router
from tokenferry.server.api_routes import Call, Route

MS_PER_S = 1000


class KeyFacts(Struct):
    """One of a provider's keys: `ready`, `limited` or `refused`; for how long it rests."""

    position: int
    state: str
    rests_ms: int


class CandidateFacts(Struct):
    """One model of a provider.

    `state` is `closed` (it is called), `open` (it is left alone, for `opens_ms`) or `half_open`
    (it is being probed). `calls` and `failures` are those of the breaker's window,
    `first_token_ms` is the median of the latest answers, null as long as there are few.
    """

    model: str
    state: str
    opens_ms: int
    calls: int
    failures: int
    under_way: int
    first_token_ms: int | None
    last_error: str | None


class LimitFacts(Struct):
    """What a provider's latest answer has said of a limit of one key at one model.

    `kind` is `requests` or `tokens`; `limit` is null if it was not said; it is whole again in
    `reset_ms`. While nothing is left, no call is begun with this key for `hold_ms`.
    """

    position: int
    model: str
    kind: Kind
    limit: int | None
    remaining: int
    reset_ms: int
    hold_ms: int


class LineFacts(Struct):
    """Who is under way at a provider, of how many at once (0: any number), and who waits."""

    running: int
    streams_max: int
    waiting: dict[ServiceClass, int]


class ProviderFacts(Struct):
    """One provider."""

    name: str
    keys: list[KeyFacts]
    line: LineFacts
    limits: list[LimitFacts]
    models: list[CandidateFacts]


class ProviderList(Struct):
    """All providers, by name."""

    data: list[ProviderFacts]


def provider_list(router: Router) -> ProviderList:
    """Return how all providers are."""
    gates, limits = router.gates(), router.limits()
    providers = {
        name: ProviderFacts(
            name,
            [KeyFacts(k.position, k.state, round(k.rests_s * MS_PER_S)) for k in keys],
            _line_facts(gates[name]),
            [_limit_facts(state) for state in limits[name]],
            [],
        )
        for name, keys in router.keys().items()
    }
    for state in router.candidates():
        providers[state.provider].models.append(_candidate_facts(state))
    return ProviderList(list(providers.values()))


def provider_routes(router: Router) -> list[Route]:
    """Return the routes of administrators."""

    async def show(call: Call[Any]) -> ProviderList:  # noqa: ARG001 -- as all handlers
        return provider_list(router)

    return [
        Route("GET", "/api/admin/providers", show, "Show how the providers are",
              answer=ProviderList, access="admin"),
    ]  # fmt: skip


def _line_facts(gate: Gate) -> LineFacts:
    state = gate.state()
    return LineFacts(state.running, state.limit, state.waiting)


def _limit_facts(state: LearnedState) -> LimitFacts:
    return LimitFacts(
        state.position,
        state.model,
        state.kind,
        state.limit or None,
        state.remaining,
        state.reset_ms,
        state.hold_ms,
    )


def _candidate_facts(state: CandidateState) -> CandidateFacts:
    first_token_s = state.first_token_s
    return CandidateFacts(
        state.model,
        state.state,
        round(state.opens_s * MS_PER_S),
        state.calls,
        state.failures,
        state.under_way,
        None if first_token_s is None else round(first_token_s * MS_PER_S),
        state.last_error or None,
    )
