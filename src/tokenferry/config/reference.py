"""Writes the settings down for people: docs/reference/settings.md, and hints for a given file."""

import difflib
import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tokenferry.config.loading import VARIABLE_PREFIX
from tokenferry.config.presets import PRESETS, is_own_key
from tokenferry.config.server_settings import ServerSettings
from tokenferry.config.settings import DEMO, AliasSettings, ProviderSettings, Settings
from tokenferry.config.spec import spec_of
from tokenferry.config.tables import SECTIONS


class Row(NamedTuple):
    """One setting, in words.

    Attributes:
        table: The table's header in the file.
        name: The setting's name.
        kind: The type of its value.
        default: The default as it would stand in the file, or in words.
        range: What it may be.
        doc: What it does.
    """

    table: str
    name: str
    kind: str
    default: str
    range: str
    doc: str


_TABLES: tuple[tuple[str, type[Any]], ...] = (
    ("[server]", ServerSettings),
    ("[[providers]]", ProviderSettings),
    ("[[models]]", AliasSettings),
    *((f"[{name}]", kind) for name, kind in SECTIONS.items()),
)
# How alike two variables of this length are when one letter is missing or two are swapped.
_TYPING_ERROR = 0.9
_INTRODUCTION = """\
# Settings

<!-- Made by `tokenferry config reference`; change the code, not this file. -->

Tokenferry reads `tokenferry.toml` in the current directory, or the file that `--config` names. It
needs none: every setting of `[server]` has a default. `tokenferry config check` reports all faults
at once, each with its line and what to do.

Each setting of `[server]` can also be given as an environment variable, `TOKENFERRY_` and its name
in capitals (`TOKENFERRY_PORT=8123`; commas between the items of a list), and a few as options of
`tokenferry serve`. Options win over variables, and variables over the file.
"""
_NOTES = {
    "[server]": "The server itself.\n",
    "[[providers]]": (
        "One table a provider. In the order of the file they are the candidates for a model that "
        "several of them\noffer.\n"
    ),
    "[[models]]": "One table an alias: another name for one or several models.\n",
    "[billing]": "Money; docs/billing.md tells how the books work.\n",
    "[accounts]": "Who may have an account; docs/accounts.md tells what accounts are for.\n",
    "[routing]": (
        "What happens when a provider fails before its first token; docs/routing.md tells how "
        "candidates are chosen.\n"
    ),
    "[queue]": "Who waits for a turn at a provider; docs/queue.md tells who is next.\n",
    "[request_log]": (
        "What is recorded of requests, and the status page; docs/requests.md tells what is kept.\n"
    ),
    "[limits]": "How much at once; docs/limits.md tells how it is counted.\n",
    "[telemetry]": "OpenTelemetry traces; docs/operations.md tells what is in them.\n",
    "[mail]": "How mails are sent, to prove an address and to replace a forgotten password.\n",
    "[payments]": "What accounts can buy; docs/payments.md tells how payments are set up.\n",
    "[toss]": "Toss Payments. It takes won.\n",
    "[portone]": "PortOne V2. It takes won and dollars.\n",
    "[stripe]": "Stripe Checkout. It takes dollars and won.\n",
}
_PRESETS_INTRODUCTION = """
## Providers known by name

With the variable set, the provider is there without any file. The models are those that it served
on 2026-11-23.

| name | kind | base_url | variable | models |
|---|---|---|---|---|
"""


def describe() -> Iterator[Row]:
    """Yield every setting, table by table."""
    for table, kind in _TABLES:
        for setting in fields(kind):
            spec = spec_of(setting)
            default = spec.default or _literal(_default(setting))
            yield Row(table, setting.name, spec.rule.kind, default, spec.rule.range(), spec.doc)


def settings_page() -> str:
    """Return the page docs/reference/settings.md."""
    parts = [_INTRODUCTION]
    table = None
    for row in describe():
        if row.table != table:
            table = row.table
            parts.append(f"\n## `{table}`\n\n{_NOTES[table]}")
            parts.append("\n| name | type | default | allowed | meaning |\n|---|---|---|---|---|\n")
        cells = (f"`{row.name}`", row.kind, row.default, row.range, row.doc)
        parts.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n")
    parts.append(_presets_section())
    return "".join(parts)


def hints(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Return what is allowed, but may not be meant; `environ` is what the settings came from."""
    found = []
    server = settings.server
    if server.tls_cert is None and not _is_private(server.host):
        found.append(
            f"keys travel unencrypted to {server.host}: set tls_cert and tls_key, unless a proxy "
            "in front of it speaks TLS"
        )
    for provider in settings.providers:
        found.extend(_provider_hints(provider))
    if server.environment_providers:
        found.extend(
            f"{preset.key_variable} is a key of Tokenferry, not of {name}: it was left out"
            for name, preset in PRESETS.items()
            if is_own_key(environ.get(preset.key_variable, "").strip())
        )
    found.extend(_variable_hints(environ))
    if all(provider.kind == DEMO for provider in settings.providers):
        found.append("there is no provider yet: set OPENAI_API_KEY, say, or add [[providers]]")
    return found


def _variable_hints(environ: Mapping[str, str]) -> Iterator[str]:
    known = [f"{VARIABLE_PREFIX}{setting.name.upper()}" for setting in fields(ServerSettings)]
    for name in environ:
        # Clients have variables of their own that begin alike: only what is nearly right counts.
        if name.startswith(VARIABLE_PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=_TYPING_ERROR)
            if near:
                yield f"{name} has no effect; did you mean {near[0]}?"


def _provider_hints(provider: ProviderSettings) -> Iterator[str]:
    parts = urlsplit(provider.base_url)
    name = f"provider {provider.name!r}"
    if provider.kind == "openai" and not parts.path:
        yield f"{name}: base_url has no path; most servers need /v1 at its end"
    if provider.kind in ("anthropic", "gemini") and parts.path.endswith(("/v1", "/v1beta")):
        yield f"{name}: base_url ends with a version, which is added again; leave it out"
    if parts.scheme == "http" and provider.api_key and not _is_private(parts.hostname or ""):
        yield f"{name}: its key travels unencrypted; use https://"


def _is_private(host: str) -> bool:
    """Return whether a host is this machine or one of a private network."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # A name without a dot is of the own network: a container's, as a rule.
        return "." not in host or host.endswith((".local", ".internal"))
    return address.is_private and not address.is_unspecified


def _presets_section() -> str:
    lines = [_PRESETS_INTRODUCTION]
    for name, preset in PRESETS.items():
        variables = f"`{preset.key_variable}`"
        if preset.url_variable:
            variables += f"; `{preset.url_variable}` for another address"
        models = ", ".join(f"`{model}`" for model in preset.models)
        lines.append(
            f"| `{name}` | {preset.kind} | `{preset.base_url}` | {variables} | {models} |\n"
        )
    return "".join(lines)


def _default(setting: Field[Any]) -> object:
    if setting.default is MISSING:
        raise ValueError(f"{setting.name} has no default and no words for it")
    return setting.default


def _literal(value: object) -> str:
    match value:
        case bool():
            return "`true`" if value else "`false`"
        case None | ():
            return "none"
        case str() | Path():
            return f'`"{value}"`'
        case _:
            return f"`{value}`"
