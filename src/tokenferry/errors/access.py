"""Who asks, what they may, what they have credit for, and how much of it at once."""

from tokenferry.errors.root import TokenferryError


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


class KeyExpired(AuthenticationError):
    """The key was good until a day that has passed."""

    code = "expired_api_key"


class LoginRequired(AuthenticationError):
    """No login came with the request, or it is unknown, ended or expired."""

    code = "login_required"


class WrongCredentials(AuthenticationError):
    """The e-mail address or the password is wrong; which of the two is not told."""

    code = "wrong_credentials"


class PermissionRefused(TokenferryError):
    """The client is known, and may not do this."""

    code = "permission_denied"
    type = "permission_error"
    http_status = 403


class AccountSuspended(PermissionRefused):
    """The account was suspended by the operator."""

    code = "account_suspended"
    close_code = 4003


class SignupClosed(PermissionRefused):
    """This gateway's operator makes the accounts."""

    code = "signup_closed"


class EmailNotVerified(PermissionRefused):
    """The link in the mail that came after the sign-up has not been followed yet."""

    code = "email_not_verified"


class AdminOnly(PermissionRefused):
    """The account is not the operator's."""

    code = "admin_only"


class ModelNotAllowed(PermissionRefused):
    """The key may not ask for this model."""

    code = "model_not_allowed"


class ServiceTierNotAllowed(PermissionRefused):
    """The key may not ask for this service tier."""

    code = "service_tier_not_allowed"


class ModelNotPriced(PermissionRefused):
    """No price is known for the model, so that nobody can be charged for it."""

    code = "model_not_priced"


class PaymentRequired(TokenferryError):
    """Money stands in the way. `details` say what is needed, what there is, where to top up."""

    code = "payment_required"
    type = "payment_error"
    http_status = 402


class InsufficientCredit(PaymentRequired):
    """The account's free credit does not cover the least that the request may cost."""

    code = "insufficient_credit"


class BudgetExceeded(PaymentRequired):
    """The key's budget for this month does not cover the request."""

    code = "budget_exceeded"


class CreditUsedUp(PaymentRequired):
    """The reservation of a running stream is used up; what was generated is charged."""

    code = "credit_used_up"


class LimitError(TokenferryError):
    """The request is fine, but a limit stands in its way.

    Attributes:
        limit: Which one, in a word for metrics; None for those that are not counted apart.
    """

    limit: str | None = None

    code = "rate_limit_exceeded"
    type = "rate_limit_error"
    http_status = 429
    retryable = True


class RateLimited(LimitError):
    """Too many requests in too short a time."""


class TooManyBadKeys(LimitError):
    """Too many wrong keys came from the client's network."""

    code = "too_many_bad_keys"
    close_code = 4100
    limit = "bad_keys"


class TooManyStreams(LimitError):
    """The connection, key, account or model already has as many live streams as it may."""

    code = "too_many_streams"


class TooManyFollowers(LimitError):
    """The stream already has as many followers as it may."""

    code = "too_many_followers"


class TooManyConnections(LimitError):
    """The key already has as many connections as it may."""

    code = "too_many_connections"
    close_code = 4029
