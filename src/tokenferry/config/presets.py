"""What is known of the usual providers, and the providers that the environment alone adds.

The models are those that their providers served on 2026-11-23; the list is a start, and a table
`[[providers]]` of the same name in the file replaces it.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from tokenferry.config.report import Report
from tokenferry.config.rules import Refused, Surroundings
from tokenferry.config.settings import DEMO, ProviderSettings
from tokenferry.config.web_rules import BaseUrl, Credential, Secret


class Preset(NamedTuple):
    """A provider that is known by name.

    Attributes:
        kind: Its wire format.
        base_url: Where its API is.
        key_variable: The environment variable that its own SDK takes the key from.
        url_variable: The one that its own SDK takes the address from, if there is one.
        models: What it serves.
    """

    kind: str
    base_url: str
    key_variable: str
    url_variable: str | None
    models: tuple[str, ...]


PRESETS: Mapping[str, Preset] = {
    "openai": Preset(
        "openai",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        # gpt-4.1 and gpt-4.1-mini until 2027-01-14.
        ("gpt-6.1-sol", "gpt-6.1-terra", "gpt-6-luna", "gpt-4.1", "gpt-4.1-mini"),
    ),
    "anthropic": Preset(
        "anthropic",
        "https://api.anthropic.com",
        "ANTHROPIC_API_KEY",
        None,
        # claude-sonnet-4-5 until 2026-11-30.
        ("claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-4-5", "claude-sonnet-4-5"),
    ),
    "gemini": Preset(
        "gemini",
        "https://generativelanguage.googleapis.com",
        "GEMINI_API_KEY",
        None,
        ("gemini-3.6-flash", "gemini-2.5-flash"),
    ),
    "deepseek": Preset(
        "openai",
        "https://api.deepseek.com/v1",
        "DEEPSEEK_API_KEY",
        None,
        ("deepseek-flash", "deepseek-v4-pro", "deepseek-v3.2"),
    ),
}
# Where a kind has one address only. Servers that speak `openai` are many.
KIND_URLS: Mapping[str, str] = {kind: PRESETS[kind].base_url for kind in ("anthropic", "gemini")}

# The providers' own servers do nothing without a key.
KEY_VARIABLES: Mapping[str, str] = {
    preset.base_url: preset.key_variable for preset in PRESETS.values()
}


def is_own_key(text: str) -> bool:
    """Return whether a provider's key is one of this gateway's own.

    Whoever points an SDK at the gateway sets OPENAI_API_KEY and OPENAI_BASE_URL to it. A server
    that is started in the same shell would take itself for its provider.
    """
    return text.startswith("tf_")


def preset_url(preset: Preset, around: Surroundings) -> str:
    """Return the address of a known provider.

    Raises:
        Refused: If the environment names one that is none.
    """
    override = around.environ.get(preset.url_variable or "", "").strip()
    return BaseUrl().accept(override) if override else preset.base_url


def providers_from_environment(
    present: Collection[str], report: Report, around: Surroundings
) -> list[ProviderSettings]:
    """Return the known providers whose key is in the environment and which are not `present`."""
    found = []
    for name, preset in PRESETS.items():
        key = around.environ.get(preset.key_variable, "").strip()
        if name in present or not key or is_own_key(key):
            continue
        variable = preset.key_variable
        try:
            secret = Credential().read(f"env:{variable}", around)
            variable = preset.url_variable or ""
            url = preset_url(preset, around)
        except Refused as exc:
            report.refused(f"the environment variable {variable}", exc, None)
            continue
        found.append(
            ProviderSettings(
                name=name, kind=preset.kind, base_url=url, api_key=secret, models=preset.models
            )
        )
    return found


def demo_provider() -> ProviderSettings:
    """Return the built-in provider."""
    return ProviderSettings(
        name=DEMO, kind=DEMO, base_url="", api_key=Secret(""), models=(DEMO,), proxy=None
    )
