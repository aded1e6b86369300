"""Reads the tables of a configuration into settings, and reports what is wrong with them."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from tokenferry.config.account_settings import AccountSettings, MailSettings
from tokenferry.config.billing_settings import BillingSettings
from tokenferry.config.limit_settings import LimitSettings
from tokenferry.config.payment_settings import (
    PaymentSettings,
    PortOneSettings,
    StripeSettings,
    TossSettings,
)
from tokenferry.config.presets import KEY_VARIABLES, KIND_URLS, PRESETS, preset_url
from tokenferry.config.queue_settings import QueueSettings
from tokenferry.config.report import Report, did_you_mean
from tokenferry.config.request_log_settings import RequestLogSettings
from tokenferry.config.routing_settings import RoutingSettings
from tokenferry.config.rules import Refused, Surroundings, type_of
from tokenferry.config.server_settings import ServerSettings
from tokenferry.config.settings import (
    ALIASES_MAX,
    DEMO,
    PROVIDERS_MAX,
    AliasSettings,
    ProviderSettings,
)
from tokenferry.config.spec import spec_of
from tokenferry.config.telemetry_settings import TelemetrySettings
from tokenferry.config.toml_lines import Place
from tokenferry.config.web_rules import Credential

# The tables of which there is one each, beside [server]: the field of `Settings` and its class.
SECTIONS: dict[str, type[Any]] = {
    "billing": BillingSettings,
    "accounts": AccountSettings,
    "mail": MailSettings,
    "payments": PaymentSettings,
    "toss": TossSettings,
    "portone": PortOneSettings,
    "stripe": StripeSettings,
    "routing": RoutingSettings,
    "limits": LimitSettings,
    "queue": QueueSettings,
    "telemetry": TelemetrySettings,
    "request_log": RequestLogSettings,
}
# What stood elsewhere in a version that some have tried.
_MOVED = {"creates_per_minute": "write requests_per_minute below a line [limits]"}
TABLES = ("server", "providers", "models", *SECTIONS)
_NEEDED = ("name", "kind", "base_url", "models")
_SERVER_KEYS = frozenset(setting.name for setting in fields(ServerSettings))


class Reader(NamedTuple):
    """What reading needs: where faults go, and what values may refer to."""

    report: Report
    around: Surroundings


def check_top_level(document: Mapping[str, Any], report: Report) -> None:
    """Report every top-level name that means nothing."""
    for name in document:
        if name in TABLES:
            continue
        if name in _SERVER_KEYS:
            remedy = "put it below a line [server]"
        else:
            remedy = did_you_mean(name, TABLES, f"remove it; there are {', '.join(TABLES)}")
        report.add((name,), f"`{name}` means nothing at the top level", remedy)


def read_server(document: Mapping[str, Any], reader: Reader) -> dict[str, Any]:
    """Return the values of `[server]` that could be read."""
    return _read_section(document, "server", ServerSettings, reader)


def read_sections(document: Mapping[str, Any], reader: Reader) -> dict[str, Any]:
    """Return the settings of every table in `SECTIONS`, those that could not be read left out."""
    return {
        name: kind(**_read_section(document, name, kind, reader)) for name, kind in SECTIONS.items()
    }


def _read_section(
    document: Mapping[str, Any], name: str, kind: type[Any], reader: Reader
) -> dict[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        message = f"`{name}` is {type_of(table)}, not a table"
        if isinstance(table, list):
            message = f"`{name}` is an array of tables"
        reader.report.add((name,), message, f"write [{name}], with single brackets")
        return {}
    return _read_table(kind, table, (name,), f"[{name}]", reader)


class Offer:
    """What the providers offer, as far as it could be read.

    Attributes:
        providers: Those that are complete.
        models: Provider's name -> its models, None if these could not be read.
    """

    def __init__(self) -> None:
        self.providers: list[ProviderSettings] = []
        self.models: dict[str, tuple[str, ...] | None] = {}

    def add(self, provider: ProviderSettings) -> None:
        """Add a complete provider."""
        self.providers.append(provider)
        self.models[provider.name] = provider.models

    def serving(self, model: str) -> list[str]:
        """Return the providers that offer a model."""
        return [name for name, models in self.models.items() if models and model in models]


def read_providers(document: Mapping[str, Any], reader: Reader) -> Offer:
    """Return what the tables `[[providers]]` offer."""
    offer = Offer()
    for index, table in enumerate(_tables(document, "providers", PROVIDERS_MAX, reader.report)):
        place = ("providers", index)
        label = f"provider {table['name']!r}" if _is_text(table.get("name")) else "[[providers]]"
        values = _read_table(ProviderSettings, table, place, label, reader)
        _apply_presets(values, table, (place, label), reader)
        # Without its kind, there is no telling whether a provider needs an address.
        needed = [key for key in _NEEDED if key != "base_url" or "kind" in values]
        _require(table, values, needed, (place, label), reader)
        name = values.get("name")
        if name == DEMO:
            reader.report.add(
                (*place, "name"), f"`{DEMO}` is the built-in provider", "choose another name"
            )
        elif name in offer.models:
            reader.report.add(
                (*place, "name"), f"there are two providers {name!r}", "choose another name"
            )
        elif values.keys() >= set(_NEEDED):
            offer.add(ProviderSettings(**values))
        elif name is not None:
            offer.models[name] = values.get("models")
    return offer


def read_aliases(document: Mapping[str, Any], offer: Offer, reader: Reader) -> list[AliasSettings]:
    """Return the tables `[[models]]`; `offer` has every provider, also those not of the file."""
    aliases: list[AliasSettings] = []
    taken: set[str] = set()
    for index, table in enumerate(_tables(document, "models", ALIASES_MAX, reader.report)):
        place = ("models", index)
        label = f"alias {table['name']!r}" if _is_text(table.get("name")) else "[[models]]"
        values = _read_table(AliasSettings, table, place, label, reader)
        _require(table, values, ("name", "candidates"), (place, label), reader)
        name = values.get("name")
        if name in taken:
            reader.report.add((*place, "name"), f"there are two aliases {name!r}", "join them")
        elif name is not None:
            taken.add(name)
            _check_alias_name(name, (*place, "name"), offer, reader.report)
        for number, candidate in enumerate(values.get("candidates", ())):
            where = (*place, "candidates", number)
            _check_candidate(candidate, (where, label), offer, reader.report)
        _check_weights(values, (place, label), reader.report)
        if values.keys() >= {"name", "candidates"}:
            aliases.append(AliasSettings(**values))
    return aliases


def _tables(
    document: Mapping[str, Any], name: str, count_max: int, report: Report
) -> list[dict[str, Any]]:
    tables = document.get(name, [])
    remedy = f"write [[{name}]], with double brackets"
    if not isinstance(tables, list):
        report.add((name,), f"`{name}` is {type_of(tables)}, not an array of tables", remedy)
        return []
    if len(tables) > count_max:
        report.add((name, count_max), f"there are {len(tables)} [[{name}]]", f"keep {count_max}")
    for index, table in enumerate(tables):
        if not isinstance(table, dict):
            report.add((name, index), f"`{name}` has an item that is {type_of(table)}", remedy)
    # An item that is no table leaves an empty one behind, so that the others keep their places.
    return [table if isinstance(table, dict) else {} for table in tables[:count_max]]


def _read_table(
    kind: type[Any], table: Mapping[str, Any], place: Place, label: str, reader: Reader
) -> dict[str, Any]:
    """Return the values of a table that could be read; report the others and unknown keys."""
    specs = {setting.name: spec_of(setting) for setting in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in specs:
            reader.report.add(
                (*place, key),
                f"`{key}` is no setting of {label}",
                _MOVED.get(key)
                or did_you_mean(key, specs, "remove it; docs/reference/settings.md lists all"),
            )
            continue
        try:
            values[key] = specs[key].rule.read(value, reader.around)
        except Refused as exc:
            reader.report.refused(f"`{key}` of {label}", exc, (*place, key))
    return values


def _apply_presets(
    values: dict[str, Any], table: Mapping[str, Any], where: tuple[Place, str], reader: Reader
) -> None:
    """Fill in what the name or the kind of a provider says by itself."""
    preset = PRESETS.get(values.get("name", ""))
    if preset is None:
        url = KIND_URLS.get(values.get("kind", ""))
        if url is not None and "base_url" not in table:
            values["base_url"] = url
    elif "kind" not in table:
        values["kind"] = preset.kind
    by_name = None
    # A known name with another wire format is another server: DeepSeek's second one, say.
    if preset is not None and preset.kind == values.get("kind") and "base_url" not in table:
        by_name = preset.key_variable
        try:
            values["base_url"] = preset_url(preset, reader.around)
        except Refused as exc:
            reader.report.refused(f"the environment variable {preset.url_variable}", exc, None)
    if not table.get("api_key") and not table.get("api_keys"):
        _apply_key(values, by_name if "api_key" not in table else None, where, reader)


def _apply_key(
    values: dict[str, Any], variable: str | None, where: tuple[Place, str], reader: Reader
) -> None:
    """Take the key from the variable that goes with the name, or see whether one is needed."""
    place, label = where
    if variable and reader.around.environ.get(variable, "").strip():
        try:
            values["api_key"] = Credential().read(f"env:{variable}", reader.around)
        except Refused as exc:
            reader.report.refused(f"the environment variable {variable}", exc, None)
        return
    needed = KEY_VARIABLES.get(values.get("base_url", ""))
    # A header may hold the credential.
    if needed and not values.get("headers"):
        hint = f"set {variable}, or " if variable else ""
        reader.report.add(place, f"{label} has no key", f'{hint}add api_key = "env:{needed}"')


def _require(
    table: Mapping[str, Any],
    values: Mapping[str, Any],
    keys: Iterable[str],
    where: tuple[Place, str],
    reader: Reader,
) -> None:
    place, label = where
    for key in keys:
        # What is there but wrong has been reported.
        if key not in table and key not in values:
            reader.report.add(place, f"{label} has no `{key}`", f"add {_EXAMPLES[key]}")


_EXAMPLES = {
    "name": 'name = "…"',
    "kind": 'kind = "openai", "anthropic" or "gemini"',
    "base_url": 'base_url = "https://…/v1"',
    "models": 'models = ["…"]',
    "candidates": 'candidates = ["provider/model"]',
}


def _check_alias_name(name: str, place: Place, offer: Offer, report: Report) -> None:
    provider, _, model = name.partition("/")
    if offer.serving(name) or model in (offer.models.get(provider) or ()):
        report.add(place, f"the alias {name!r} is the name of a model", "choose another name")


def _check_candidate(
    candidate: str, where: tuple[Place, str], offer: Offer, report: Report
) -> None:
    place, label = where
    provider, slash, model = candidate.partition("/")
    if provider in offer.models and slash:
        models = offer.models[provider]
        if models is None or model in models:
            return
        remedy = did_you_mean(model, models, f"add it to the `models` of {provider!r}")
        report.add(place, f"{label}: provider {provider!r} has no model {model!r}", remedy)
        return
    serving = offer.serving(candidate)
    if serving:
        remedy = f'write "{serving[0]}/{candidate}"'
    elif not slash:
        remedy = 'write "provider/model"'
    elif provider in PRESETS:
        remedy = f"set {PRESETS[provider].key_variable}, or add it as [[providers]]"
    else:
        remedy = did_you_mean(provider, [*offer.models, *PRESETS], "add it as [[providers]]")
    problem = f"no provider is called {provider!r}" if slash else f"{candidate!r} names no provider"
    report.add(place, f"{label}: {problem}", remedy)


def _check_weights(values: Mapping[str, Any], where: tuple[Place, str], report: Report) -> None:
    place, label = where
    weights, candidates = values.get("weights", ()), values.get("candidates")
    if not weights or candidates is None:
        return
    strategy = values.get("strategy", "ordered")
    if strategy not in _WEIGHING:
        problem = f"{label} has weights, and its strategy {strategy!r} does not weigh"
        report.add((*place, "weights"), problem, f"write strategy = {_WEIGHING[0]!r}")
    elif len(weights) != len(candidates):
        problem = f"{label} has {len(weights)} weights for {len(candidates)} candidates"
        report.add((*place, "weights"), problem, "write one for each, in their order")
    elif not any(weights):
        report.add((*place, "weights"), f"{label} has no weight above 0", "write one")


_WEIGHING = ("weighted", "least_loaded")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()
