"""Where a gateway is: one base URL, however it is written, and the addresses that follow from it.

Weakness: whether the scheme is the right one only a connection shows.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from tokenferry_client.errors import InvalidAddressError

DEFAULT: Final = "http://127.0.0.1:8000"
_TLS: Final = {"http": False, "https": True, "ws": False, "wss": True}
_PORTS: Final = {False: 80, True: 443}
# What people copy along from examples; the longer one first.
_TAILS: Final = ("/v1/stream", "/v1")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a gateway is.

    Attributes:
        path: What stands before `/v1`, for gateways behind a proxy; often empty.
    """

    host: str
    port: int
    tls: bool
    path: str = ""

    @property
    def websocket_url(self) -> str:
        """The address of the streams."""
        return f"{'wss' if self.tls else 'ws'}://{self._authority}{self.path}/v1/stream"

    @property
    def http_url(self) -> str:
        """The address that the paths of the HTTP API follow."""
        return f"{'https' if self.tls else 'http'}://{self._authority}{self.path}"

    @property
    def other_scheme(self) -> str:
        """What to write in place of the base URL, if its scheme is the wrong one."""
        return f"{'http' if self.tls else 'https'}://{self._authority}{self.path}"

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.tls] else f"{host}:{self.port}"


def parse(base_url: str) -> Address:
    """Return the address that a base URL stands for.

    Args:
        base_url: With http, https, ws or wss; with or without `/v1` or `/v1/stream` at its end.

    Raises:
        InvalidAddressError: If it is none.
    """
    try:
        parts = urlsplit(base_url.strip())
        port = parts.port
    except ValueError as exc:
        raise InvalidAddressError(f"{base_url!r} is no address of a gateway: {exc}.") from exc
    if parts.scheme not in _TLS or not parts.hostname:
        example = base_url.strip().rpartition("//")[2] or "gateway.example"
        raise InvalidAddressError(
            f"{base_url!r} is no address of a gateway. Write http:// or https:// and the host: "
            f"http://{example}"
        )
    try:
        # As whoever looks the name up would write it.
        parts.hostname.encode("idna")
    except UnicodeError as exc:
        said = f"{base_url!r} is no address of a gateway: no host can have this name."
        raise InvalidAddressError(said) from exc
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidAddressError(
            "The address of a gateway has no user name, `?` or `#`. The API key is `api_key`."
        )
    tls = _TLS[parts.scheme]
    path = parts.path.rstrip("/")
    tail = next((tail for tail in _TAILS if path.endswith(tail)), "")
    return Address(parts.hostname, port or _PORTS[tls], tls, path.removesuffix(tail).rstrip("/"))
