"""What a provider is asked, in bytes: its settings, its address, and the head of a request. No I/O.

Source: RFC 9112, 3.2 "Request Target"; RFC 9110, 5.5 "Field Values" and 7.2 "Host".
Weakness: a body is always sent whole, with its length, and never compressed.
"""

import re
from dataclasses import KW_ONLY, dataclass
from typing import Literal
from urllib.parse import urlsplit

from tokenferry import __version__
from tokenferry.errors import InvalidRequest
from tokenferry.providers.http_proxy import Proxy
from tokenferry.providers.wire import WireRequest

# Four requests waiting for each connection in use; whoever comes later is told so at once.
LINE_MAX = 4096

_DEFAULT_PORTS = {"http": 80, "https": 443}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TARGET = re.compile(r'/[!"$-~]*')  # a fragment is no part of a request target
# These belong to the connection, or say what form of answer can be read.
_HEADERS_RESERVED = frozenset(
    (
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


_ABOVE_ZERO = (
    "connect_timeout_s",
    "first_byte_timeout_s",
    "idle_timeout_s",
    "place_timeout_s",
    "drain_timeout_s",
    "body_bytes_max",
    "connections_max",
)


@dataclass(frozen=True, slots=True)
class HttpProviderSettings:
    """How to reach a provider, and the limits of patience with it.

    Attributes:
        name: The configured name; it stands in front of messages.
        base_url: `http://` or `https://`, with a path prefix if there is one.
        connect_timeout_s: Until a connection can carry a request.
        first_byte_timeout_s: From the written request to the head of the response.
        idle_timeout_s: Between two reads of the body.
        place_timeout_s: In the line, while `connections_max` connections are in use.
        on_cancel: `close` the connection, or `drain` it where the provider bills on regardless;
            what has not begun to answer is closed in any case.
        drain_timeout_s: How long an answer is drained.
        drain_bytes_max: How many bytes of the body are drained.
        body_bytes_max: Of an answer that is not streamed, of any that came compressed, and of one
            event, which may be a picture.
        connections_max: In use, idle and being opened, together.
        line_max: Requests that may wait for a place.
        proxy_url: `http://[user:password@]host:port`, `env` for HTTP_PROXY, HTTPS_PROXY, ALL_PROXY
            and NO_PROXY, or None for no proxy.
        ca_file: PEM file of certificate authorities to trust besides the system's.
        extra_headers: Sent with every request; they replace headers of the same name.

    Raises:
        ValueError: If a value is impossible.
    """

    name: str
    base_url: str
    _: KW_ONLY
    connect_timeout_s: float = 10
    first_byte_timeout_s: float = 600
    idle_timeout_s: float = 300
    place_timeout_s: float = 60
    on_cancel: Literal["close", "drain"] = "close"
    drain_timeout_s: float = 120
    drain_bytes_max: int = 16 << 20
    body_bytes_max: int = 64 << 20
    connections_max: int = 1024
    line_max: int = LINE_MAX
    proxy_url: str | None = None
    ca_file: str | None = None
    extra_headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        parse_base_url(self.base_url)
        if self.on_cancel not in ("close", "drain"):
            raise ValueError(f"on_cancel must be close or drain, not {self.on_cancel!r}.")
        for name in _ABOVE_ZERO:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above zero.")
        for name in ("drain_bytes_max", "line_max"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be below zero.")
        for name, value in self.extra_headers:
            if name.lower() in _HEADERS_RESERVED:
                raise ValueError(f"extra_headers: {name} is not yours to set.")
            _header_line(name, value)


@dataclass(frozen=True, slots=True)
class Origin:
    """A base URL, taken apart.

    Attributes:
        scheme: `http` or `https`.
        host: Name in ASCII or address, IPv6 without brackets.
        port: TCP port.
        prefix: Path in front of every request's path, without a slash at its end.
    """

    scheme: str
    host: str
    port: int
    prefix: str

    @property
    def authority(self) -> str:
        """Return the value of the `host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_base_url(url: str) -> Origin:
    """Take a provider's base URL apart.

    Raises:
        ValueError: If it is no plain `http://` or `https://` URL. A password is not quoted.
    """
    advice = "base_url must be http(s)://host[:port][/path]"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{advice}.") from None
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise ValueError(f"{advice}.")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"{advice}, without user, query or fragment.")
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            raise ValueError(f"{advice}; its host is no valid name.") from None
    prefix = parts.path.rstrip("/")
    if prefix and not _TARGET.fullmatch(prefix):
        raise ValueError(f"{advice}; its path must be percent-encoded.")
    return Origin(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], prefix)


class RequestWriter:
    """Writes requests to one provider; what they have in common is written once.

    Args:
        origin: Where requests go.
        extra_headers: The operator's own; they replace others of the same name.
        proxy: The proxy on the way, or None.
    """

    __slots__ = ("_extra_headers", "_headers", "_lines", "_origin", "_prefix", "_proxy")

    def __init__(
        self, origin: Origin, extra_headers: tuple[tuple[str, str], ...], proxy: Proxy | None
    ) -> None:
        # A proxy without a tunnel learns from the request where it goes: absolute-form.
        self._proxy = proxy if origin.scheme == "http" else None
        absolute = f"http://{origin.authority}" if self._proxy else ""
        self._prefix = absolute + origin.prefix
        self._origin = origin
        self._extra_headers = extra_headers
        self._headers: tuple[tuple[str, str], ...] | None = None
        self._lines = b""

    def write(self, request: WireRequest) -> bytes:
        """Return the whole request.

        Raises:
            InvalidRequest: If the path, which may hold the model's name, is no path.
            ValueError: If a header of the wire format cannot be one.
        """
        if not _TARGET.fullmatch(request.path):
            raise InvalidRequest(
                "The model's name cannot stand in the provider's address; check its spelling.",
                param="model",
            )
        if request.headers != self._headers:  # a wire format's headers hardly ever change
            self._lines = self._write_lines(request.headers)
            self._headers = request.headers
        start = f"POST {self._prefix}{request.path} HTTP/1.1\r\n".encode()
        length = b"content-length: %d\r\n\r\n" % len(request.body)
        return b"".join((start, self._lines, length, request.body))

    def _write_lines(self, headers: tuple[tuple[str, str], ...]) -> bytes:
        lines = {
            "host": self._origin.authority,
            "user-agent": f"tokenferry/{__version__}",
            "accept": "application/json, text/event-stream",
            "accept-encoding": "identity",
            "content-type": "application/json",
        }
        if self._proxy and self._proxy.authorization:
            lines["proxy-authorization"] = self._proxy.authorization
        for name, value in (*headers, *self._extra_headers):
            lines[name.lower()] = value
        return b"".join(_header_line(name, value) for name, value in lines.items())


def _header_line(name: str, value: str) -> bytes:
    """Return a header in bytes; the message of a failure does not quote the value, a secret."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header.")
    if _CONTROL.search(value):
        raise ValueError(f"The header {name} has a line end or another control character in it.")
    return f"{name}: {value}\r\n".encode()
