"""Reads the configuration: the file, then the environment over it, then the command line."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from tokenferry.config.account_settings import MailSettings
from tokenferry.config.limit_settings import LimitSettings
from tokenferry.config.payment_checks import check_payments
from tokenferry.config.presets import demo_provider, providers_from_environment
from tokenferry.config.report import ConfigError, Fault, Report, did_you_mean
from tokenferry.config.rules import Refused, Surroundings
from tokenferry.config.server_settings import ServerSettings
from tokenferry.config.settings import AliasSettings, Settings
from tokenferry.config.spec import Spec, spec_of
from tokenferry.config.tables import (
    Offer,
    Reader,
    check_top_level,
    read_aliases,
    read_providers,
    read_sections,
    read_server,
)
from tokenferry.config.toml_lines import Lines

DEFAULT_FILE = Path("tokenferry.toml")
# A thousand providers fit; a device or a wrong file does not.
FILE_BYTES_MAX = 4 * 1024 * 1024
VARIABLE_PREFIX = "TOKENFERRY_"

_AT_LINE = re.compile(r"^(?P<what>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")
_TWICE = re.compile(r"^Cannot declare \((?P<keys>.*)\) twice")


def load(
    path: Path | None,
    environ: Mapping[str, str],
    options: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings.

    Args:
        path: The file; None takes ./tokenferry.toml, and does without if there is none.
        environ: TOKENFERRY_PORT and the like, providers' keys, and what `env:NAME` refers to.
        options: Settings of `[server]` from the command line, by name, as text.

    Raises:
        ConfigError: With every fault, if there is one.
    """
    file = _read_file(path)
    report = Report(Lines(file.source))
    reader = Reader(report, Surroundings(environ, file.directory))
    check_top_level(file.document, report)
    server = read_server(file.document, reader) | _overrides(environ, options or {}, report)
    _check_server(server, report)
    settings = ServerSettings(**server)
    offer = read_providers(file.document, reader)
    if settings.environment_providers:
        for provider in providers_from_environment(offer.models.keys(), report, reader.around):
            offer.add(provider)
    if settings.demo:
        offer.add(demo_provider())
    aliases = read_aliases(file.document, offer, reader)
    sections = read_sections(file.document, reader)
    _check_mail(sections["mail"], settings, report)
    _check_limits(sections["limits"], offer, aliases, report)
    check_payments(sections, settings, report)
    if faults := report.faults():
        raise ConfigError(faults, file.path)
    return Settings(
        server=settings, providers=tuple(offer.providers), models=tuple(aliases), **sections
    )


def load_data_dir(
    path: Path | None,
    environ: Mapping[str, str],
    options: Mapping[str, str] | None = None,
) -> Path:
    """Return the data directory alone; faults in other settings do not matter.

    Key commands run in shells that have none of the providers' keys.

    Raises:
        ConfigError: If the file cannot be read, or the setting is wrong.
    """
    overrides = {name: text for name, text in (options or {}).items() if name == "data_dir"}
    variable = f"{VARIABLE_PREFIX}DATA_DIR"
    wanted = {variable: environ[variable]} if variable in environ else {}
    report = Report(Lines())
    server = _overrides(wanted, overrides, report)
    file = None
    if not server and not report.faults():
        file = _read_file(path)
        report = Report(Lines(file.source))
        table = file.document.get("server", {})
        if isinstance(table, dict):
            table = {key: value for key, value in table.items() if key == "data_dir"}
        around = Surroundings(environ, file.directory)
        server = read_server({"server": table}, Reader(report, around))
    if faults := report.faults():
        raise ConfigError(faults, file.path if file else None)
    return ServerSettings(**server).data_dir


class _File(NamedTuple):
    path: Path | None
    source: str
    document: dict[str, Any]
    directory: Path


def _read_file(path: Path | None) -> _File:
    if path is None:
        path = DEFAULT_FILE
        if not path.exists():
            return _File(None, "", {}, Path())
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as exc:
        message = f"{path} cannot be read: {exc.strerror}"
        raise ConfigError([Fault(None, message, "name a file with --config")], path) from None
    if len(raw) > FILE_BYTES_MAX:
        message = f"{path} is longer than {FILE_BYTES_MAX} bytes"
        raise ConfigError([Fault(None, message, "name another file with --config")], path)
    try:
        # Windows editors put a byte order mark at the front, which TOML does not know.
        source = raw.decode("utf-8-sig").replace("\r\n", "\n")
        document = tomllib.loads(source)
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        fault = Fault(line, "the file is not UTF-8", "save it as UTF-8")
        raise ConfigError([fault], path) from None
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError([_syntax_fault(str(exc), source)], path) from None
    except RecursionError:
        fault = Fault(1, "arrays or tables are nested too deeply", "take them apart")
        raise ConfigError([fault], path) from None
    return _File(path, source, document, path.parent)


def _syntax_fault(text: str, source: str) -> Fault:
    match = _AT_LINE.match(text)
    what, line = (match["what"], match["line"]) if match else (text, None)
    number = int(line) if line else source.rstrip("\n").count("\n") + 1
    if table := _TWICE.match(what):
        name = ".".join(re.findall(r"'([^']*)'", table["keys"]))
        return Fault(number, f"[{name}] is there twice", "put the lines of both below one of them")
    if what.startswith("Cannot overwrite a value"):
        return Fault(number, "this key is there twice", "keep one of the two lines")
    return Fault(
        number,
        f"this is not TOML: {what[:1].lower()}{what[1:]}",
        'correct the line; texts are quoted, as in name = "openai"',
    )


class _Override(NamedTuple):
    setting: str
    subject: str
    text: str


def _overrides(
    environ: Mapping[str, str], options: Mapping[str, str], report: Report
) -> dict[str, Any]:
    """Return the settings of `[server]` that come from outside the file; options win."""
    specs = {setting.name: spec_of(setting) for setting in fields(ServerSettings)}
    around = Surroundings(environ)
    values: dict[str, Any] = {}
    for setting, subject, text in _given(specs, environ, options):
        rule = specs[setting].rule
        try:
            values[setting] = rule.read(rule.parse(text), around)
        except Refused as exc:
            report.refused(subject, exc, None)
    return values


def _given(
    specs: Mapping[str, Spec], environ: Mapping[str, str], options: Mapping[str, str]
) -> Iterator[_Override]:
    for setting in specs:
        variable = f"{VARIABLE_PREFIX}{setting.upper()}"
        text = environ.get(variable, "")
        # Kubernetes sets TOKENFERRY_PORT=tcp://… beside a service called tokenferry.
        if text and not text.startswith("tcp://"):
            yield _Override(setting, f"the environment variable {variable}", text)
    for setting, text in options.items():
        yield _Override(setting, f"--{setting.replace('_', '-')}", text)


def _check_server(server: Mapping[str, Any], report: Report) -> None:
    """Report settings that contradict each other."""
    for one, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
        if one in server and other not in server:
            message = f"`{one}` is set without a usable `{other}`"
            report.add_setting(("server", one), message, f"set `{other}` as well")
    defaults = ServerSettings()
    journal = server.get("journal_bytes_max", defaults.journal_bytes_max)
    stream = server.get("stream_bytes_max", defaults.stream_bytes_max)
    if stream > journal:
        message = f"`stream_bytes_max` ({stream}) is above `journal_bytes_max` ({journal})"
        remedy = "lower the first or raise the second"
        report.add_setting(("server", "stream_bytes_max"), message, remedy)


def _check_mail(mail: MailSettings, server: ServerSettings, report: Report) -> None:
    """Report what mails cannot be sent without."""
    if not mail.smtp_host:
        return
    place = ("mail", "smtp_host")
    if not mail.sender:
        report.add(place, "[mail] has no `sender`", 'add sender = "gateway@example.com"')
    if not server.public_url:
        message = "[mail] is set without `public_url`, which links in mails begin with"
        report.add(place, message, 'add public_url = "https://…" to [server]')
    if bool(mail.username) != bool(mail.password):
        message = "[mail] has one of `username` and `password`"
        report.add(place, message, "set both, or neither")


def _check_limits(
    limits: LimitSettings, offer: Offer, aliases: Sequence[AliasSettings], report: Report
) -> None:
    """Report limits of models that are not there."""
    names = [alias.name for alias in aliases]
    for provider, models in offer.models.items():
        if models is None:
            return  # what is wrong there has been reported
        names += [*models, *(f"{provider}/{model}" for model in models)]
    for name, _ in limits.models:
        if name not in names:
            remedy = did_you_mean(name, names, "name a model of [[providers]] or an alias")
            report.add(("limits", "models", name), f"[limits] has no model {name!r}", remedy)
