"""Every error that Tokenferry raises or reports, and how each reads on the wire.

TokenferryError
├── RequestError               the client's fault; the request was not sent on
│   ├── InvalidJSON
│   ├── InvalidRequest         a field has a wrong type or value
│   ├── MissingParameter
│   ├── UnsupportedParameter   the chosen provider cannot serve it
│   ├── PayloadTooLarge
│   ├── RequestTooSlow         its body did not come
│   ├── TokensOverLimit        more at once than a minute has: waiting would not help
│   ├── ModelNotFound
│   │   └── ModelRetired       its provider serves it no more; the successor is named
│   ├── StreamNotFound
│   ├── StreamExpired          it was there, but its chunks are no longer kept
│   ├── PositionAhead
│   ├── IdempotencyKeyReused   with another request than the first time
│   ├── EmailTaken
│   ├── InvalidLink            of a mail
│   ├── KeyNotFound
│   ├── TooManyKeys
│   ├── AccountNotFound
│   ├── InvalidFrame           a WebSocket frame that is no message of the protocol
│   ├── UnsupportedVersion
│   ├── PriceNotFound
│   ├── VoucherNotFound
│   ├── VoucherRedeemed
│   └── VoucherExpired
├── AuthenticationError        who is asking?
│   ├── MissingKey
│   ├── MalformedKey           not the form of a key
│   ├── InvalidKey             unknown or revoked; which of the two is not told
│   ├── InvalidTicket
│   ├── AuthenticationTimeout
│   ├── OriginRefused
│   ├── KeyExpired
│   ├── LoginRequired
│   └── WrongCredentials
├── PermissionRefused          we know who asks, and they may not
│   ├── AccountSuspended
│   ├── SignupClosed           the operator makes the accounts
│   ├── EmailNotVerified
│   ├── AdminOnly
│   ├── ModelNotAllowed        the key is for other models
│   ├── ServiceTierNotAllowed  the key waits its turn like others
│   └── ModelNotPriced         nobody could say what it costs
├── PaymentRequired            money stands in the way; never 429, which SDKs would retry
│   ├── InsufficientCredit
│   ├── BudgetExceeded         the key's own, for this month
│   └── CreditUsedUp           in the middle of an answer
├── LimitError                 well formed and allowed, but too much of it
│   ├── RateLimited
│   ├── TooManyBadKeys         from one network
│   ├── TooManyStreams
│   ├── TooManyFollowers
│   └── TooManyConnections
├── PaymentError               buying credit, or getting money back
│   ├── PaymentsOff            not here, not by this provider, not of this amount
│   ├── TopUpNotFound
│   ├── TooManyTopUps
│   ├── PaymentDeclined        by the payment provider, with its reason
│   ├── RefundRefused          more than there is to give back
│   ├── ReviewRefused          the order waits for no such decision
│   ├── PaymentUncertain       the payment provider does not answer
│   └── WebhookRefused         it does not come from the payment provider
├── GatewayError               our own fault or state
│   ├── InternalError
│   ├── Draining
│   ├── Overloaded
│   │   └── StreamTooLarge
│   ├── QueueFull              too many wait for the provider
│   ├── QueueTimeout           waited for it too long
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

from tokenferry.errors.access import (
    AccountSuspended,
    AdminOnly,
    AuthenticationError,
    AuthenticationTimeout,
    BudgetExceeded,
    CreditUsedUp,
    EmailNotVerified,
    InsufficientCredit,
    InvalidKey,
    InvalidTicket,
    KeyExpired,
    LimitError,
    LoginRequired,
    MalformedKey,
    MissingKey,
    ModelNotAllowed,
    ModelNotPriced,
    OriginRefused,
    PaymentRequired,
    PermissionRefused,
    RateLimited,
    ServiceTierNotAllowed,
    SignupClosed,
    TooManyBadKeys,
    TooManyConnections,
    TooManyFollowers,
    TooManyStreams,
    WrongCredentials,
)
from tokenferry.errors.gateway import (
    Draining,
    GatewayError,
    InternalError,
    Overloaded,
    QueueFull,
    QueueTimeout,
    StorageUnavailable,
    StreamTooLarge,
    UpstreamLost,
)
from tokenferry.errors.payment import (
    PaymentDeclined,
    PaymentError,
    PaymentsOff,
    PaymentUncertain,
    RefundRefused,
    ReviewRefused,
    TooManyTopUps,
    TopUpNotFound,
    WebhookRefused,
)
from tokenferry.errors.provider import (
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderError,
    ProviderInvalidResponse,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
)
from tokenferry.errors.request import (
    AccountNotFound,
    EmailTaken,
    IdempotencyKeyReused,
    InvalidFrame,
    InvalidJSON,
    InvalidLink,
    InvalidRequest,
    KeyNotFound,
    MissingParameter,
    ModelNotFound,
    ModelRetired,
    PayloadTooLarge,
    PositionAhead,
    PriceNotFound,
    RequestError,
    RequestTooSlow,
    StreamExpired,
    StreamNotFound,
    TokensOverLimit,
    TooManyKeys,
    UnsupportedParameter,
    UnsupportedVersion,
    VoucherExpired,
    VoucherNotFound,
    VoucherRedeemed,
)
from tokenferry.errors.root import (
    TokenferryError,
)

__all__ = [
    "AccountNotFound",
    "AccountSuspended",
    "AdminOnly",
    "AuthenticationError",
    "AuthenticationTimeout",
    "BudgetExceeded",
    "CreditUsedUp",
    "Draining",
    "EmailNotVerified",
    "EmailTaken",
    "GatewayError",
    "IdempotencyKeyReused",
    "InsufficientCredit",
    "InternalError",
    "InvalidFrame",
    "InvalidJSON",
    "InvalidKey",
    "InvalidLink",
    "InvalidRequest",
    "InvalidTicket",
    "KeyExpired",
    "KeyNotFound",
    "LimitError",
    "LoginRequired",
    "MalformedKey",
    "MissingKey",
    "MissingParameter",
    "ModelNotAllowed",
    "ModelNotFound",
    "ModelNotPriced",
    "ModelRetired",
    "OriginRefused",
    "Overloaded",
    "PayloadTooLarge",
    "PaymentDeclined",
    "PaymentError",
    "PaymentRequired",
    "PaymentUncertain",
    "PaymentsOff",
    "PermissionRefused",
    "PositionAhead",
    "PriceNotFound",
    "ProviderAuthFailed",
    "ProviderCutOff",
    "ProviderError",
    "ProviderInvalidResponse",
    "ProviderRejected",
    "ProviderTimeout",
    "ProviderUnreachable",
    "QueueFull",
    "QueueTimeout",
    "RateLimited",
    "RefundRefused",
    "RequestError",
    "RequestTooSlow",
    "ReviewRefused",
    "ServiceTierNotAllowed",
    "SignupClosed",
    "StorageUnavailable",
    "StreamExpired",
    "StreamNotFound",
    "StreamTooLarge",
    "TokenferryError",
    "TokensOverLimit",
    "TooManyBadKeys",
    "TooManyConnections",
    "TooManyFollowers",
    "TooManyKeys",
    "TooManyStreams",
    "TooManyTopUps",
    "TopUpNotFound",
    "UnsupportedParameter",
    "UnsupportedVersion",
    "UpstreamLost",
    "VoucherExpired",
    "VoucherNotFound",
    "VoucherRedeemed",
    "WebhookRefused",
    "WrongCredentials",
]
