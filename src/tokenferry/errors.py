"""Every error that Tokenferry raises or reports, and how each reads on the wire.

TokenferryError
├── RequestError               the client's fault; the request was not sent on
│   ├── InvalidJSON
│   ├── InvalidRequest         a field has a wrong type or value
│   ├── MissingParameter
│   ├── UnsupportedParameter   the chosen provider cannot serve it
│   ├── PayloadTooLarge
│   ├── ModelNotFound
│   ├── StreamNotFound
│   ├── StreamExpired          it was there, but its chunks are no longer kept
│   ├── PositionAhead
│   ├── IdempotencyKeyReused   with another request than the first time
│   ├── InvalidFrame           a WebSocket frame that is no message of the protocol
│   └── UnsupportedVersion
├── AuthenticationError        who is asking?
│   ├── MissingKey
│   ├── MalformedKey           not the form of a key
│   ├── InvalidKey             unknown or revoked; which of the two is not told
│   ├── InvalidTicket
│   ├── AuthenticationTimeout
│   └── OriginRefused
├── LimitError                 well formed and allowed, but too much of it
│   ├── RateLimited
│   ├── TooManyStreams
│   ├── TooManyFollowers
│   └── TooManyConnections
├── GatewayError               our own fault or state
│   ├── InternalError
│   ├── Draining
│   ├── Overloaded
│   ├── StorageUnavailable     nothing can be committed, so that nothing may be begun
│   └── UpstreamLost           the process died that was reading the provider's answer
└── ProviderError              the provider's fault
    ├── ProviderRejected       an HTTP error or an error event, with the provider's own words
    ├── ProviderAuthFailed     the operator's credential was refused
    ├── ProviderUnreachable
    ├── ProviderTimeout
    ├── ProviderCutOff         the answer ended before it was complete
    └── ProviderInvalidResponse

Each class states `code` (stable, for programs), `type` (OpenAI's family name), `http_status`,
`close_code` (WebSocket; None when the connection stays open) and `retryable`.
"""

from typing import ClassVar


class TokenferryError(Exception):
    """The root of the tree.

    Args:
        message: One sentence that says what is wrong and what to do. Shown to the client.
        param: The request field at fault, as a path such as `messages[0].role`.
        retry_after_ms: How long the client should wait, when that is known.

    Attributes:
        details: Further facts, sent beside the error.
    """

    code: str = "internal_error"
    type: str = "server_error"
    http_status: int = 500
    close_code: ClassVar[int | None] = None
    retryable: bool = False

    def __init__(
        self, message: str, *, param: str | None = None, retry_after_ms: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_ms = retry_after_ms
        self.details: dict[str, object] = {}

    @property
    def kind(self) -> str:
        """A word for metrics and logs: of a bounded number, and never in a provider's own words."""
        return self.code


class RequestError(TokenferryError):
    """The client's request is at fault; it was not sent to a provider."""

    code = "invalid_request"
    type = "invalid_request_error"
    http_status = 400


class InvalidJSON(RequestError):
    """The body or frame is not JSON, or not an object."""

    code = "invalid_json"


class InvalidRequest(RequestError):
    """A field has a wrong type or an impossible value."""

    code = "invalid_value"


class MissingParameter(RequestError):
    """A required field is absent."""

    code = "missing_required_parameter"


class UnsupportedParameter(RequestError):
    """The provider that serves this model has no counterpart for the field."""

    code = "unsupported_parameter"


class PayloadTooLarge(RequestError):
    """The body or frame is over the configured limit."""

    code = "payload_too_large"
    http_status = 413
    close_code = 1009


class ModelNotFound(RequestError):
    """No configured provider serves the model, or the key may not use it."""

    code = "model_not_found"
    http_status = 404


class StreamNotFound(RequestError):
    """No such stream, or another tenant's: the two cannot be told apart."""

    code = "stream_not_found"
    http_status = 404


class StreamExpired(RequestError):
    """The stream is known, but its chunks are no longer kept."""

    code = "expired"
    http_status = 410


class PositionAhead(RequestError):
    """A client asks to go on from a position that the stream has not reached."""

    code = "position_ahead"


class IdempotencyKeyReused(RequestError):
    """An idempotency key came again with another request."""

    code = "idempotency_key_reused"
    http_status = 422


class InvalidFrame(RequestError):
    """A WebSocket frame is not a message of the protocol."""

    code = "invalid_frame"
    close_code = 4000  # only after ten in a row


class UnsupportedVersion(RequestError):
    """The client asks for a protocol version that this server does not speak."""

    code = "unsupported_version"
    close_code = 4004


class AuthenticationError(TokenferryError):
    """The client has not shown who it is."""

    code = "invalid_api_key"
    type = "authentication_error"
    http_status = 401
    close_code = 4001


class MissingKey(AuthenticationError):
    """No `Authorization: Bearer` header came with the request."""

    code = "missing_api_key"


class MalformedKey(AuthenticationError):
    """The key does not have the form of a Tokenferry key."""

    code = "invalid_api_key_format"


class InvalidKey(AuthenticationError):
    """The key is well formed, but unknown or revoked."""


class InvalidTicket(AuthenticationError):
    """The WebSocket ticket is unknown, used, expired, or bound to another origin."""

    code = "invalid_ticket"


class AuthenticationTimeout(AuthenticationError):
    """No authentication came within the time allowed."""

    code = "authentication_timeout"
    close_code = 4008


class OriginRefused(AuthenticationError):
    """The browser's Origin is not on the allow-list."""

    code = "origin_not_allowed"
    http_status = 403
    close_code = 4003


class LimitError(TokenferryError):
    """The request is fine, but a limit stands in its way."""

    code = "rate_limit_exceeded"
    type = "rate_limit_error"
    http_status = 429
    retryable = True


class RateLimited(LimitError):
    """Too many requests in too short a time."""


class TooManyStreams(LimitError):
    """The connection already has as many live streams as it may."""

    code = "too_many_streams"


class TooManyFollowers(LimitError):
    """The stream already has as many followers as it may."""

    code = "too_many_followers"


class TooManyConnections(LimitError):
    """The key already has as many connections as it may."""

    code = "too_many_connections"
    close_code = 4029


class GatewayError(TokenferryError):
    """The gateway itself cannot serve the request."""


class InternalError(GatewayError):
    """A defect of ours; the request id leads to the log entry."""

    close_code = 1011


class Draining(GatewayError):
    """The server is about to stop and takes no new work."""

    code = "server_draining"
    http_status = 503
    close_code = 1012
    retryable = True


class Overloaded(GatewayError):
    """The server is at one of its own limits."""

    code = "server_overloaded"
    http_status = 503
    close_code = 4100
    retryable = True


class StorageUnavailable(GatewayError):
    """The disk takes nothing: what cannot be committed may not be begun."""

    code = "storage_unavailable"
    http_status = 503
    close_code = 4100
    retryable = True


class UpstreamLost(GatewayError):
    """The server process died while it was reading the provider's answer."""

    code = "upstream_lost"
    http_status = 502
    retryable = True


class ProviderError(TokenferryError):
    """The provider failed; nothing is wrong with the client's request or key."""

    code = "provider_error"
    type = "provider_error"
    http_status = 502
    retryable = True


class ProviderRejected(ProviderError):
    """The provider answered with an error, passed on in its own words.

    Args:
        message: The provider's message.
        status: The provider's HTTP status, 400-599, passed on as ours.
        code: The provider's error code, when it gave one.
        type: The provider's error type, when it gave one.
        param: The field that the provider blames.
        retry_after_ms: From the provider's `retry-after-ms` or `retry-after` header.
    """

    code = "provider_error"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        type: str | None = None,  # noqa: A002 -- the wire's own name for it
        param: str | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message, param=param, retry_after_ms=retry_after_ms)
        self.http_status = status
        self.code = code or self.code
        self.type = type or self.type
        self._kind = f"provider_http_{status}"
        # As the official SDKs decide: conflicts, waits and server faults are worth another try.
        self.retryable = status in (408, 409, 429) or status >= 500  # noqa: PLR2004

    @property
    def kind(self) -> str:
        """The status: a provider's codes are as many as it likes."""
        return self._kind


class ProviderAuthFailed(ProviderError):
    """The provider refused the operator's credential; the client's own key is fine."""

    code = "provider_auth_failed"
    retryable = False


class ProviderUnreachable(ProviderError):
    """No connection to the provider could be made."""

    code = "provider_unreachable"


class ProviderTimeout(ProviderError):
    """The provider was silent for longer than the phase's limit."""

    code = "provider_timeout"
    http_status = 504


class ProviderCutOff(ProviderError):
    """The provider's answer ended before it was complete."""

    code = "provider_cut_off"


class ProviderInvalidResponse(ProviderError):
    """The provider sent something that is not its own protocol."""

    code = "provider_invalid_response"
