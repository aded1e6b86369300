"""What a setting's value may be, continued: credentials, headers and addresses.

A secret is wrapped as soon as it is read, and no refusal repeats one.

Source: RFC 9110 section 5.6.2 for header names, RFC 6454 for origins.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit

from tokenferry.config.rules import (
    PlainRule,
    Refused,
    Rule,
    Surroundings,
    refuse_all,
    shown,
    type_of,
)
from tokenferry.domain.email_address import normalise_email

# RFC 9110, 5.6.2: what a field name is made of.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The connection's own business, which an extra header would break.
_OWN_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# `$NAME`, `${NAME}`, and a bare `OPENAI_API_KEY`: meant as a variable, but read as the key itself.
_MEANT_AS_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?|([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)")


class Secret:
    """A text that is shown to nobody by accident.

    Args:
        text: The secret.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text; keep it out of messages and logs."""
        return self._text

    def __bool__(self) -> bool:
        """Return whether there is one."""
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        """Compare the texts."""
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self._text)

    def __repr__(self) -> str:
        """Hide the text, not whether there is one."""
        return "Secret('***')" if self._text else "Secret('')"

    def __reduce__(self) -> str:
        """Refuse to be pickled or copied into a file."""
        raise TypeError("a secret is not serialised")


@dataclass(frozen=True)
class Credential(Rule):
    """A key: `env:NAME`, the key itself, or nothing."""

    kind = "string"

    def read(self, value: object, around: Surroundings) -> Secret:
        """Accept what can stand in a header; the refusal never repeats it."""
        if not isinstance(value, str):
            raise Refused(f"is {type_of(value)}, not a string", "write it in quotes")
        text = value
        if value.startswith("env:"):
            text = _variable(value.removeprefix("env:"), around.environ)
        elif meant := _MEANT_AS_VARIABLE.fullmatch(value):
            name = meant[1] or meant[2]
            raise Refused("reads like the name of a variable", f'write "env:{name}"')
        # A key that was read from a file often brings its line break along.
        text = text.strip()
        if not text.isascii() or not text.isprintable() or " " in text:
            raise Refused("has a space or a character that no key has", "copy the key again")
        return Secret(text)

    def range(self) -> str:
        """Return the three forms."""
        return '"env:NAME", the key itself, or "" for none'


@dataclass(frozen=True)
class Credentials(Rule):
    """Several different keys."""

    high: int
    kind = "array of strings"

    def read(self, value: object, around: Surroundings) -> tuple[Secret, ...]:
        """Accept a list of keys; refusals name them by position."""
        if not isinstance(value, list):
            raise Refused(f"is {type_of(value)}, not an array", 'write it as ["env:A", "env:B"]')
        if len(value) > self.high:
            raise Refused(f"has {len(value)} keys", f"write at most {self.high}")
        keys: list[Secret] = []
        refusals: list[Refused] = []
        for index, item in enumerate(value):
            try:
                key = Credential().read(item, around)
            except Refused as exc:
                remedy = exc.remedy
                refusals.append(Refused(f"has an item that {exc.problem}", remedy, (index,)))
                continue
            if not key:
                refusals.append(Refused("has an item that is empty", "remove it", (index,)))
            elif key in keys:
                refusals.append(Refused("has a key twice", "remove one of them", (index,)))
            keys.append(key)
        refuse_all(refusals)
        return tuple(keys)

    def range(self) -> str:
        """Return the forms."""
        return f'at most {self.high}, each "env:NAME" or the key itself'


@dataclass(frozen=True)
class Headers(Rule):
    """Extra headers of a request; a value may be `env:NAME`."""

    high: int
    kind = "table"

    def read(self, value: object, around: Surroundings) -> tuple[tuple[str, Secret], ...]:
        """Accept a table of header names and values."""
        if not isinstance(value, dict):
            raise Refused(f"is {type_of(value)}, not a table", 'write { name = "value" }')
        if len(value) > self.high:
            raise Refused(f"has {len(value)} headers", f"write at most {self.high}")
        headers: list[tuple[str, Secret]] = []
        refusals: list[Refused] = []
        for name, text in value.items():
            try:
                headers.append((_header_name(name), _header_value(name, text, around)))
            except Refused as exc:
                exc.inside = (name,)
                refusals.append(exc)
        refuse_all(refusals)
        return tuple(headers)

    def range(self) -> str:
        """Return the limit."""
        return f"at most {self.high}, none of the connection's own"


@dataclass(frozen=True)
class BaseUrl(PlainRule):
    """The address that a provider's paths are joined to."""

    kind = "string"
    credential_remedy: ClassVar[str] = "write the credential as `api_key`"

    def accept(self, value: object) -> str:
        """Accept an http(s) URL; slashes at its end are dropped."""
        parts = _split(value, ("http", "https"))
        if parts.username is not None:
            # It would show up in logs and in `config check`.
            raise Refused("has a user name in it", self.credential_remedy)
        if parts.query or parts.fragment:
            raise Refused("has a query or a fragment", "end it with the path")
        return parts.geturl().rstrip("/")

    def range(self) -> str:
        """Return the form."""
        return "an http:// or https:// URL"


@dataclass(frozen=True)
class PublicUrl(BaseUrl):
    """Where people reach the server, or nothing."""

    def accept(self, value: object) -> str:
        """Accept what `BaseUrl` does, or an empty text."""
        return "" if value == "" else super().accept(value)

    def range(self) -> str:
        """Return the forms."""
        return f'{super().range()}, or ""'


@dataclass(frozen=True)
class CollectorUrl(PublicUrl):
    """Where traces are sent, or nothing."""

    credential_remedy: ClassVar[str] = "set OTEL_EXPORTER_OTLP_HEADERS to what the collector wants"


@dataclass(frozen=True)
class Address(PlainRule):
    """An e-mail address, or nothing."""

    kind = "string"

    def accept(self, value: object) -> str:
        """Accept an address in any spelling."""
        if not isinstance(value, str):
            raise Refused(f"is {type_of(value)}, not a string", "write it in quotes")
        address = normalise_email(value) if value else ""
        if address is None:
            raise Refused(f"is {shown(value)}, no e-mail address", "write name@example.com")
        return address

    def range(self) -> str:
        """Return the form."""
        return "name@example.com"


@dataclass(frozen=True)
class ProxyUrl(PlainRule):
    """A proxy: `env`, nothing, or its URL."""

    kind = "string"

    def accept(self, value: object) -> str | None:
        """Accept `env`, an http URL with or without a password, or nothing, which gives None."""
        if value in ("env", ""):
            return "env" if value else None
        parts = _split(value, ("http",))
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise Refused("has more than a host and a port", "write http://[user:password@]host")
        return parts.geturl()

    def range(self) -> str:
        """Return the three forms."""
        return '"env" for HTTPS_PROXY and NO_PROXY, "" for none, http://[user:password@]host:port'


@dataclass(frozen=True)
class Origin(PlainRule):
    """A browser's origin."""

    kind = "string"

    def accept(self, value: object) -> str:
        """Accept `*` and scheme://host[:port], as browsers send it."""
        if value == "*":
            return "*"
        parts = _split(value, ("http", "https"))
        if parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment:
            raise Refused(f"is {shown(value)}", "write scheme://host[:port] and nothing more")
        default_port = {"http": 80, "https": 443}[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        port = f":{parts.port}" if parts.port not in (None, default_port) else ""
        return f"{parts.scheme}://{host}{port}"

    def range(self) -> str:
        """Return the forms."""
        return 'scheme://host[:port], or "*" for any'


def _split(value: object, schemes: tuple[str, ...]) -> SplitResult:
    """Split a URL. A refusal does not repeat it: there may be a password in it."""
    remedy = f"write {' or '.join(f'{scheme}://' for scheme in schemes)} and a host"
    if not isinstance(value, str):
        raise Refused(f"is {type_of(value)}, not a string", "write it in quotes")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise Refused("has a character that no URL has", "copy the URL again")
    try:
        parts = urlsplit(value)
        usable = parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.scheme not in schemes:
        raise Refused("is no URL of that kind", remedy)
    return parts


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise Refused(f"has {name!r}, which is no header name", "use letters, digits and -")
    if name.lower() in _OWN_HEADERS:
        raise Refused(f"has {name!r}, which the gateway sets itself", "remove it")
    return name.lower()


def _header_value(name: str, value: object, around: Surroundings) -> Secret:
    if not isinstance(value, str):
        raise Refused(f"has {name!r}, whose value is {type_of(value)}", "write it in quotes")
    if value.startswith("env:"):
        value = _variable(value.removeprefix("env:"), around.environ).strip()
    if not value.isascii() or not value.isprintable():
        raise Refused(f"has {name!r}, whose value is not printable ASCII", "encode the value")
    return Secret(value)


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if not _VARIABLE.fullmatch(name):
        raise Refused("has `env:` without a variable's name", 'write "env:NAME"')
    value = environ.get(name, "").strip()
    if not value:
        raise Refused(
            f"names the environment variable {name}, which is not set",
            f"set {name} where tokenferry is started",
        )
    return value
