"""Opens a socket to a gateway, and says exactly why it could not.

Source: the `websockets` documentation, "asyncio client" and "exceptions"; OpenSSL's reasons as
Python's `ssl` names them. Weakness: a server that closes without a word may be of the other scheme
or broken; one TLS handshake more finds out which.
"""

import asyncio
import contextlib
import errno
import json
import re
import socket
import ssl
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, InvalidURI, WebSocketException
from websockets.http11 import Response
from websockets.typing import Subprotocol

from tokenferry_client import closing, errors, frames
from tokenferry_client.address import Address
from tokenferry_client.events import ErrorInfo
from tokenferry_client.frames import UnreadableFrame

SUBPROTOCOL: Final = Subprotocol("tokenferry.v1")
# A peer that does not answer a close frame is not waited for longer.
CLOSE_TIMEOUT_S: Final = 2.0
# A merged backlog is much smaller; a snapshot of one stream's log (4 MiB) escapes to less.
FRAME_BYTES_MAX: Final = 32 * 2**20
# For the handshake that finds out whether a server speaks TLS; it is local, or near.
PROBE_TIMEOUT_S: Final = 3.0
ABNORMAL: Final = 1006
# The other side answered a TLS handshake with what is none: an HTTP response, mostly.
_NO_TLS: Final = frozenset(
    ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
)
# What a proxy answers that speaks TLS on the port, and was spoken to in plain HTTP.
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404
_TOO_MANY_REQUESTS: Final = 429
_REDIRECTS: Final = range(300, 400)
_NOT_RETRIED: Final = (
    errors.HOST_NOT_FOUND,
    errors.WRONG_SCHEME,
    errors.CERTIFICATE,
    errors.NO_GATEWAY,
)


class DialFailed(Exception):
    """There is no socket.

    Attributes:
        info: Why.
        code: The close code that stands for it.
        hopeless: Whether the next attempt would find the same.
    """

    def __init__(self, info: ErrorInfo, code: int = ABNORMAL) -> None:
        super().__init__(info.message)
        self.info = info
        self.code = code

    @property
    def hopeless(self) -> bool:
        """Whether the next attempt would find the same."""
        return self.info.code in _NOT_RETRIED


async def dial(
    address: Address, key: str, *, timeout_s: float, tls: ssl.SSLContext | None = None
) -> ClientConnection:
    """Return an open socket.

    Args:
        address: Where the gateway is.
        key: The API key.
        timeout_s: How long it may take, the handshakes included.
        tls: Whom to trust; None: whom the system trusts.

    Raises:
        DialFailed: If there is none.
    """
    # Without `ssl`, websockets takes the system's; for a plain address it must not be given.
    further: dict[str, Any] = {"ssl": tls} if address.tls and tls is not None else {}
    try:
        return await connect(
            address.websocket_url,
            additional_headers={"Authorization": f"Bearer {key}"},
            subprotocols=[SUBPROTOCOL],
            compression=None,
            open_timeout=timeout_s,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,  # the link sends its own
            max_size=FRAME_BYTES_MAX,
            **further,
        )
    except InvalidStatus as exc:
        raise await _of_response(address, exc.response) from exc
    except InvalidURI as exc:
        # Our own address is none of these: this one stood in a redirect, which says `https:`.
        raise DialFailed(_elsewhere(address, exc.uri)) from exc
    except (OSError, EOFError, WebSocketException) as exc:
        raise DialFailed(await explain(address, exc, timeout_s)) from exc
    except ValueError as exc:
        raise DialFailed(_nowhere(address)) from exc


async def explain(address: Address, exc: Exception, timeout_s: float) -> ErrorInfo:
    """Return why a gateway could not be reached, and what to do about it."""
    if isinstance(exc, ssl.SSLError):
        return _of_tls(address, exc)
    if isinstance(exc, TimeoutError):
        said = f"{address.http_url} did not answer within {timeout_s:g} s."
        return ErrorInfo(errors.CONNECT_TIMEOUT, said, retryable=True)
    if isinstance(exc, socket.gaierror):
        said = f"The host {address.host!r} is not known. Look for a typing error in the address."
        return ErrorInfo(errors.HOST_NOT_FOUND, said)
    if isinstance(exc, OSError) and _is_refusal(exc):
        said = (
            f"Nothing listens at {address.http_url}. Start the gateway (`tokenferry serve`), or "
            "give its address."
        )
        return ErrorInfo(errors.CONNECTION_REFUSED, said, retryable=True)
    if not address.tls and await _speaks_tls(address):
        return _say_https(address)
    said = f"{address.http_url} cannot be reached: {exc or type(exc).__name__}."
    return ErrorInfo(errors.UNREACHABLE, said, retryable=True)


def _is_refusal(exc: OSError) -> bool:
    # Of several addresses that were tried, asyncio gives one error, without a number.
    return exc.errno == errno.ECONNREFUSED or f"[Errno {errno.ECONNREFUSED}]" in str(exc)


def _of_tls(address: Address, exc: ssl.SSLError) -> ErrorInfo:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return _certificate(address, exc)
    if exc.reason in _NO_TLS:
        said = (
            f"The server at {address.host}:{address.port} does not speak TLS. "
            f"Write {address.other_scheme} in place of {address.http_url}."
        )
        return ErrorInfo(errors.WRONG_SCHEME, said)
    said = f"TLS with {address.http_url} failed: {exc.reason or exc}."
    return ErrorInfo(errors.UNREACHABLE, said, retryable=True)


def _certificate(address: Address, exc: ssl.SSLCertVerificationError) -> ErrorInfo:
    said = (
        f"The certificate of {address.http_url} is not trusted: {exc.verify_message}. If it is one "
        "of your own, name its authority's file in the variable SSL_CERT_FILE, or pass `ssl`."
    )
    return ErrorInfo(errors.CERTIFICATE, said)


def _say_https(address: Address) -> ErrorInfo:
    said = (
        f"The server at {address.host}:{address.port} speaks TLS. "
        f"Write {address.other_scheme} in place of {address.http_url}."
    )
    return ErrorInfo(errors.WRONG_SCHEME, said)


async def _speaks_tls(address: Address) -> bool:
    """Find out whether a TLS handshake gets through, whoever the server is; nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            _, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
    except (OSError, EOFError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError, EOFError, TimeoutError):
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await writer.wait_closed()
    return True


async def _of_response(address: Address, response: Response) -> DialFailed:
    """Return what an HTTP answer in place of the upgrade says."""
    status = response.status_code
    location = response.headers.get("location")
    if status in _REDIRECTS and location:
        return DialFailed(_elsewhere(address, location))
    # A gateway has the page; whoever has not, is another server, or another path of it.
    info = None if status == _NOT_FOUND else _read(status, response)
    if info is None:
        if status == _BAD_REQUEST and not address.tls and await _speaks_tls(address):
            return DialFailed(_say_https(address))
        if status < _BAD_REQUEST or status == _NOT_FOUND:
            said = (
                f"{address.http_url} answers with HTTP {status} and not as a Tokenferry gateway "
                "does. Look at the address, and at the proxy before it."
            )
            return DialFailed(ErrorInfo(errors.NO_GATEWAY, said))
        info = _foreign(address, status, response)
    return DialFailed(info, closing.code_of_status(status))


def _elsewhere(address: Address, location: str) -> ErrorInfo:
    """Return the error for an address that leads to another, as proxies do from http to https."""
    try:
        to = urljoin(address.http_url, location).removesuffix("/").removesuffix("/v1/stream")
        parts = urlsplit(to)
    except ValueError:
        return _nowhere(address)
    said = f"{address.http_url} leads to {to}: that may be what the address should be."
    other = parts.hostname == address.host and parts.scheme.endswith("s") != address.tls
    return ErrorInfo(errors.WRONG_SCHEME if other else errors.NO_GATEWAY, said)


def _nowhere(address: Address) -> ErrorInfo:
    return ErrorInfo(errors.NO_GATEWAY, f"{address.http_url} leads to what is no address.")


def _foreign(address: Address, status: int, response: Response) -> ErrorInfo:
    """Return the error for what is not the gateway's own answer."""
    said = f"{address.http_url} refused the connection with HTTP {status}."
    if status == _TOO_MANY_REQUESTS:
        said = (
            f"{address.http_url} takes no connection for now: HTTP 429, and not from the gateway "
            "itself."
        )
    return ErrorInfo(
        f"http_{status}",
        said,
        errors.type_of_status(status),
        retryable=not closing.is_final(closing.code_of_status(status)),
        retry_after_ms=_retry_after_ms(response),
    )


def _read(status: int, response: Response) -> ErrorInfo | None:
    """Return the gateway's own error; None when the answer is somebody else's."""
    try:
        body = json.loads(response.body or b"")
        info = frames.error_info(body) if isinstance(body, dict) else None
    except (ValueError, RecursionError, UnreadableFrame):
        return None
    if info is None:
        return None
    return ErrorInfo(
        info.code,
        info.message,
        info.type or errors.type_of_status(status),
        info.param,
        info.retryable,
        request_id=response.headers.get("x-request-id"),
        retry_after_ms=_retry_after_ms(response),
    )


def _retry_after_ms(response: Response) -> int | None:
    """Return when to come back, in milliseconds or seconds; a date is not read."""
    for name, unit_ms in (("retry-after-ms", 1), ("retry-after", 1000)):
        # More digits than any wait has are no number.
        if re.fullmatch(r"[0-9]{1,12}", wait := response.headers.get(name, "").strip()):
            return int(wait) * unit_ms
    return None
