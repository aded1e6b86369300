"""What can go wrong, one class a kind.

    TokenferryError
    ├── InvalidKeyError              the key's form; nothing was sent
    ├── InvalidAddressError          the base URL
    ├── InvalidRequestError          a request that is no JSON; nothing was sent
    ├── ClientClosedError            the client was closed under a stream, or before it
    ├── GatewayConnectionError       no connection, or none that held
    │   ├── ConnectionRefusedByHostError, HostNotFoundError, ConnectTimeoutError
    │   ├── WrongSchemeError         http for https, or the other way round
    │   ├── CertificateError         TLS, and nobody vouches for the server
    │   └── ConnectionLostError      all attempts to come back have failed
    └── GatewayError                 the gateway said no
        ├── BadRequestError 400      └── PositionAhead
        ├── AuthenticationError 401, InsufficientCreditError 402, PermissionDeniedError 403
        ├── NotFoundError 404, StreamExpired 410, RateLimitError 429
        ├── ServerError 500
        └── UpstreamError 502        the provider's side

Source: docs/errors.md has all codes. Weakness: an error of a stream comes without an HTTP status;
`status` then is that of its class.
"""

from dataclasses import replace
from typing import Any, ClassVar, Final

from tokenferry_client.events import ErrorInfo, Failed, Position


class TokenferryError(Exception):
    """The root of the tree.

    Attributes:
        message: What is wrong, and what to do.
        code: For programs; stable.
        retryable: Whether the same request may succeed later.
        request_id: What the operator finds the log's entry by; None if the gateway never saw it.
    """

    code: str = "client_error"
    retryable: bool = False
    request_id: str | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidKeyError(TokenferryError, ValueError):
    """The API key cannot be one; nothing was sent."""

    code = "invalid_api_key_format"


class InvalidAddressError(TokenferryError, ValueError):
    """The base URL is no address of a gateway."""

    code = "invalid_address"


class InvalidRequestError(TokenferryError, ValueError):
    """The request cannot be sent: it is no JSON. Nothing was sent."""

    code = "invalid_request"


class ClientClosedError(TokenferryError):
    """The client was closed; the stream goes on at the server, and can be resumed."""

    code = "client_closed"


class _OfStream(TokenferryError):
    """An error that a stream may have ended with.

    Attributes:
        position: How much of the stream was received; `client.resume` takes it. None if there is
            no stream.
        usage: What was used, if the stream has ended.
        cost: What it costs, in decimal USD.
        retry_after_ms: How long to wait, if the server said so.
        limit: Of a RateLimitError: which limit it was.
        param: The request's field at fault.
        state: Of an expired stream: how it ended.
    """

    def __init__(self, failed: Failed, request_id: str | None = None) -> None:
        error = failed.error
        super().__init__(error.message or error.code)
        self.code = error.code
        self.retryable = error.retryable
        self.request_id = error.request_id or failed.stream_id or request_id
        self.position = (
            None
            if failed.stream_id is None
            else Position(failed.stream_id, failed.epoch or 1, failed.seq)
        )
        self.param = error.param
        self.usage: dict[str, Any] | None = failed.usage
        self.cost = failed.cost
        self.balance = failed.balance
        self.limit: dict[str, Any] | None = failed.limit
        self.state = failed.state
        self.retry_after_ms = failed.retry_after_ms


class GatewayConnectionError(_OfStream):
    """There is no connection to the gateway."""


class ConnectionRefusedByHostError(GatewayConnectionError):
    """The host is there, and nothing listens on the port."""


class HostNotFoundError(GatewayConnectionError):
    """The name service does not know the host."""


class ConnectTimeoutError(GatewayConnectionError):
    """Nothing answered in time."""


class WrongSchemeError(GatewayConnectionError):
    """The server speaks TLS and the address does not say so, or the other way round."""


class CertificateError(GatewayConnectionError):
    """The server's certificate is not trusted."""


class ConnectionLostError(GatewayConnectionError):
    """The connection was lost, and did not come back in the time allowed."""


class GatewayError(_OfStream):
    """The gateway refused a request, or a stream ended with an error."""

    status: ClassVar[int] = 500


class BadRequestError(GatewayError):
    """Something about the request is wrong; `param` says what."""

    status = 400


class PositionAhead(BadRequestError):
    """The position to resume from is beyond what the stream has."""


class AuthenticationError(GatewayError):
    """The key is unknown, revoked or expired."""

    status = 401


class InsufficientCreditError(GatewayError):
    """The account's credit, or the key's budget, does not cover the request."""

    status = 402


class PermissionDeniedError(GatewayError):
    """The key may not do this."""

    status = 403


class NotFoundError(GatewayError):
    """There is no such model or stream, or it is another key's."""

    status = 404


class StreamExpired(GatewayError):
    """The stream is known, and its content is no longer kept."""

    status = 410


class UnprocessableEntityError(GatewayError):
    """An idempotency key was used before, for another request."""

    status = 422


class RateLimitError(GatewayError):
    """A limit is reached, and waiting was not wanted or would take too long."""

    status = 429


class ServerError(GatewayError):
    """The gateway failed, or is at a limit of its own."""


class UpstreamError(GatewayError):
    """The provider failed, or the gateway lost it."""

    status = 502


# The client's own codes, of connections. `dial` makes them.
CONNECTION_REFUSED: Final = "connection_refused"
HOST_NOT_FOUND: Final = "host_not_found"
CONNECT_TIMEOUT: Final = "connect_timeout"
WRONG_SCHEME: Final = "wrong_scheme"
CERTIFICATE: Final = "certificate_not_trusted"
NO_GATEWAY: Final = "no_gateway"
UNREACHABLE: Final = "unreachable"
# The link's.
CONNECTION_LOST: Final = "connection_lost"
CLIENT_CLOSED: Final = "client_closed"
CLIENT_DEFECT: Final = "client_defect"
# A stream's.
DETACHED: Final = "detached"

_BY_CODE: Final[dict[str, type[_OfStream]]] = {
    CONNECTION_REFUSED: ConnectionRefusedByHostError,
    HOST_NOT_FOUND: HostNotFoundError,
    CONNECT_TIMEOUT: ConnectTimeoutError,
    WRONG_SCHEME: WrongSchemeError,
    CERTIFICATE: CertificateError,
    NO_GATEWAY: GatewayConnectionError,
    UNREACHABLE: GatewayConnectionError,
    CONNECTION_LOST: ConnectionLostError,
    "connection_closed": ConnectionLostError,
    "already_followed": BadRequestError,
    "expired": StreamExpired,
    "position_ahead": PositionAhead,
    "origin_not_allowed": PermissionDeniedError,
    "upstream_lost": UpstreamError,
    "model_retired": NotFoundError,
    "idempotency_key_reused": UnprocessableEntityError,
    **dict.fromkeys(("stream_not_found", "model_not_found", "not_found"), NotFoundError),
}
_BY_TYPE: Final[dict[str, type[_OfStream]]] = {
    "authentication_error": AuthenticationError,
    "payment_error": InsufficientCreditError,
    "permission_error": PermissionDeniedError,
    "rate_limit_error": RateLimitError,
    "invalid_request_error": BadRequestError,
    "server_error": ServerError,
}
_TYPE_BY_STATUS: Final = {
    401: "authentication_error",
    402: "payment_error",
    403: "permission_error",
    429: "rate_limit_error",
}
_SERVER_ERRORS: Final = 500


def of(failed: Failed, request_id: str | None = None) -> TokenferryError:
    """Return the exception that an end of a stream is raised as."""
    error = failed.error
    if error.code == CLIENT_CLOSED:
        return ClientClosedError(error.message)
    if error.code == CLIENT_DEFECT:
        defect = TokenferryError(error.message)
        defect.code = error.code
        return defect
    # A type that is none of the gateway's own is a provider's.
    kind = _BY_CODE.get(error.code) or _BY_TYPE.get(error.type, UpstreamError)
    return kind(failed, request_id)


def detached() -> TokenferryError:
    """Return what is said of an answer that is not whole, since its stream was left."""
    left = TokenferryError(
        "The stream was left before its end: `client.resume(stream.position)` reads the rest."
    )
    left.code = DETACHED
    return left


def type_of_status(status: int) -> str:
    """Return the type of error that an HTTP status stands for, where nothing else is said."""
    if status >= _SERVER_ERRORS:
        return "server_error"
    return _TYPE_BY_STATUS.get(status, "invalid_request_error")


def at_limit(code: str, said: str) -> ErrorInfo:
    """Return what the client's own limits say, as the gateway would."""
    return ErrorInfo(code, said, "rate_limit_error", retryable=True)


def explained(failed: Failed, cause: ErrorInfo | None) -> Failed:
    """Say why no connection held, and not only that none did."""
    if failed.error.code != CONNECTION_LOST or cause is None:
        return failed
    said = f"{failed.error.message} The last one failed: {cause.message}"
    return replace(failed, error=replace(failed.error, message=said))


def of_info(info: ErrorInfo) -> TokenferryError:
    """Return the exception for an error that belongs to no stream."""
    return of(Failed("", info))
