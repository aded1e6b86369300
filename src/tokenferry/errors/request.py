"""The client's request is at fault."""

from tokenferry.errors.root import TokenferryError


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


class RequestTooSlow(RequestError):
    """The body did not come in the time that bodies of its length have."""

    code = "request_too_slow"
    http_status = 408


class TokensOverLimit(RequestError):
    """The request alone may use more tokens than a minute has; waiting would not help.

    Attributes:
        limit: As of `LimitError`.
    """

    code = "tokens_over_limit"
    limit: str | None = None


class ModelNotFound(RequestError):
    """No configured provider serves the model, or the key may not use it."""

    code = "model_not_found"
    http_status = 404


class ModelRetired(ModelNotFound):
    """The provider has shut the model down; the message and `details` name its successor."""

    code = "model_retired"


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


class EmailTaken(RequestError):
    """There is an account with this e-mail address."""

    code = "email_taken"
    http_status = 409


class InvalidLink(RequestError):
    """The link of a mail is unknown, used, replaced by a newer one, or expired."""

    code = "invalid_link"


class KeyNotFound(RequestError):
    """No such key, or another account's: the two cannot be told apart."""

    code = "key_not_found"
    http_status = 404


class TooManyKeys(RequestError):
    """The account has as many keys as it may."""

    code = "too_many_keys"
    http_status = 409


class AccountNotFound(RequestError):
    """No account has this id."""

    code = "account_not_found"
    http_status = 404


class PriceNotFound(RequestError):
    """The operator has set no such price."""

    code = "price_not_found"
    http_status = 404


class VoucherNotFound(RequestError):
    """There is no voucher with this code."""

    code = "voucher_not_found"
    http_status = 404


class VoucherRedeemed(RequestError):
    """The voucher was redeemed before, by whomever."""

    code = "voucher_redeemed"
    http_status = 409


class VoucherExpired(RequestError):
    """The voucher is too old."""

    code = "voucher_expired"
    http_status = 410
