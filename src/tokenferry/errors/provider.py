"""A provider's faults."""

from tokenferry.errors.root import TokenferryError


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
