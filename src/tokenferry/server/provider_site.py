"""Wires providers: the part of the composition root that names their adapters."""

import random
from collections.abc import Mapping
from typing import cast

from tokenferry.config.queue_settings import QueueSettings
from tokenferry.config.settings import AliasSettings, ProviderSettings, Settings
from tokenferry.config.web_rules import Secret
from tokenferry.domain.balance import Policy, Strategy
from tokenferry.domain.breaker import BreakerTerms
from tokenferry.domain.retry import RetryTerms
from tokenferry.engine.options import GateTerms
from tokenferry.engine.ports import Provider, Timers
from tokenferry.engine.router import Router, RoutingRules
from tokenferry.providers.anthropic import AnthropicFormat
from tokenferry.providers.chat_completions import ChatCompletionsFormat
from tokenferry.providers.demo import DemoProvider
from tokenferry.providers.gemini import GeminiFormat
from tokenferry.providers.http_pool import ConnectionPool
from tokenferry.providers.http_request import HttpProviderSettings
from tokenferry.providers.http_stream import Heard, HttpProvider
from tokenferry.providers.wire import WireFormat


def providers(
    settings: Settings, pool: ConnectionPool, heard: Heard | None = None
) -> Mapping[str, Provider]:
    """Return the adapters of all providers that are configured, by name.

    Args:
        settings: The configuration.
        pool: Where their connections live.
        heard: Told what their answers say is left of their limits.

    Raises:
        ValueError: If a CA file or a proxy's URL cannot be used.
    """
    found: dict[str, Provider] = {}
    for provider in settings.providers:
        if provider.kind == "demo":
            found[provider.name] = DemoProvider()
        else:
            found[provider.name] = HttpProvider(
                _http(provider), [_wire(provider, key) for key in provider.keys], pool, heard
            )
    return found


def router(settings: Settings, timers: Timers) -> Router:
    """Return what will know of all candidates, and knows that they are configured."""
    routing = settings.routing
    rules = RoutingRules(
        RetryTerms(
            routing.retries,
            routing.backoff_s,
            routing.retry_wait_max_s,
            routing.retry_deadline_s,
        ),
        BreakerTerms(
            routing.breaker_window_s,
            routing.breaker_calls_min,
            routing.breaker_failures_percent,
            routing.breaker_open_s,
            max(routing.breaker_open_s, routing.breaker_open_max_s),
        ),
        routing.retry_percent,
        {alias.name: _policy(alias) for alias in settings.models},
        {provider.name: len(provider.keys) for provider in settings.providers},
        {provider.name: _gate(provider, settings.queue) for provider in settings.providers},
    )
    # Nothing here is a secret: waits, and who is first.
    found = Router(rules, timers, random.random)
    for provider in settings.providers:
        for model in provider.models:
            found.health(provider.name, model)
    return found


def _gate(provider: ProviderSettings, queue: QueueSettings) -> GateTerms:
    return GateTerms(
        provider.streams_max,
        provider.requests_per_minute,
        provider.tokens_per_minute,
        provider.adaptive,
        queue.length_max,
        queue.wait_max_s,
    )


def _policy(alias: AliasSettings) -> Policy:
    weights = zip(alias.pairs(), alias.weights, strict=False)
    return Policy(cast("Strategy", alias.strategy), dict(weights), alias.hedge)


def _wire(provider: ProviderSettings, secret: Secret) -> WireFormat:
    key = secret.reveal()
    if provider.kind == "anthropic":
        return AnthropicFormat(key)
    if provider.kind == "gemini":
        return GeminiFormat(key)
    return ChatCompletionsFormat(
        key,
        include_usage=provider.include_usage,
        prefill=provider.prefill,
        takes_max_tokens=provider.takes_max_tokens,
    )


def _http(provider: ProviderSettings) -> HttpProviderSettings:
    return HttpProviderSettings(
        name=provider.name,
        base_url=provider.base_url,
        connect_timeout_s=provider.connect_timeout_s,
        first_byte_timeout_s=provider.first_byte_timeout_s,
        idle_timeout_s=provider.idle_timeout_s,
        on_cancel="drain" if provider.drains else "close",
        connections_max=provider.connections_max,
        proxy_url=provider.proxy,
        ca_file=None if provider.ca_file is None else str(provider.ca_file),
        extra_headers=provider.extra_headers(),
    )
