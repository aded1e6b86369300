"""Wires providers: the part of the composition root that names their adapters."""

from collections.abc import Mapping

from tokenferry.config.settings import ProviderSettings, Settings
from tokenferry.engine.ports import Provider
from tokenferry.providers.anthropic import AnthropicFormat
from tokenferry.providers.chat_completions import ChatCompletionsFormat
from tokenferry.providers.demo import DemoProvider
from tokenferry.providers.gemini import GeminiFormat
from tokenferry.providers.http_pool import ConnectionPool
from tokenferry.providers.http_request import HttpProviderSettings
from tokenferry.providers.http_stream import HttpProvider
from tokenferry.providers.wire import WireFormat


def providers(settings: Settings, pool: ConnectionPool) -> Mapping[str, Provider]:
    """Return the adapters of all providers that are configured, by name.

    Raises:
        ValueError: If a CA file or a proxy's URL cannot be used.
    """
    found: dict[str, Provider] = {}
    for provider in settings.providers:
        if provider.kind == "demo":
            found[provider.name] = DemoProvider()
        else:
            found[provider.name] = HttpProvider(_http(provider), _wire(provider), pool)
    return found


def _wire(provider: ProviderSettings) -> WireFormat:
    key = provider.api_key.reveal()
    if provider.kind == "anthropic":
        return AnthropicFormat(key)
    if provider.kind == "gemini":
        return GeminiFormat(key)
    return ChatCompletionsFormat(
        key, include_usage=provider.include_usage, prefill=provider.prefill
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
