"""The settings of payments: what is sold, and who takes the money."""

from dataclasses import dataclass, field

from tokenferry.config.money_rules import Amount, Day, Rate
from tokenferry.config.rules import Flag, Name, Names
from tokenferry.config.spec import spec
from tokenferry.config.web_rules import BaseUrl, Credential, Secret

PACKAGES_MAX = 20
_SECRET = Secret("")
_NONE = '`""`'


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSettings:
    """The table `[payments]`."""

    packages_usd: tuple[str, ...] = field(
        default=(),
        metadata=spec(
            Names(Amount(2, 100_000), 0, PACKAGES_MAX),
            "What can be bought at once for US dollars: the price, which is the credit as well.",
        ),
    )
    packages_krw: tuple[str, ...] = field(
        default=(),
        metadata=spec(
            Names(Amount(0, 100_000_000), 0, PACKAGES_MAX),
            "What can be bought at once for won: the price. The credit follows from the rate.",
        ),
    )
    krw_per_usd: int = field(
        default=0,
        metadata=spec(
            Rate(),
            "Won for a dollar of credit, as a decimal text. It is yours to set, and goes with "
            "`packages_krw`. Orders keep the rate that they were made at.",
            in_words=_NONE,
        ),
    )
    krw_rate_date: str = field(
        default="",
        metadata=spec(
            Day(), "The day of that rate, as `2026-11-27`; it is in the books of every payment."
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TossSettings:
    """The table `[toss]`: Toss Payments. It is used once it has a secret key."""

    secret_key: Secret = field(
        default=_SECRET,
        metadata=spec(
            Credential(), "The secret key of the API: `test_sk_…` or `live_sk_…`.", in_words=_NONE
        ),
    )
    client_key: str = field(
        default="",
        metadata=spec(
            Name(200, optional=True), "The client key that goes with it; browsers get to see it."
        ),
    )
    api_url: str = field(
        default="https://api.tosspayments.com", metadata=spec(BaseUrl(), "Where the API is.")
    )
    script_url: str = field(
        default="https://js.tosspayments.com/v2/standard",
        metadata=spec(BaseUrl(), "Where the script is that opens the payment window."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PortOneSettings:
    """The table `[portone]`: PortOne V2. It is used once it has an API secret."""

    api_secret: Secret = field(
        default=_SECRET, metadata=spec(Credential(), "The V2 API secret.", in_words=_NONE)
    )
    webhook_secret: Secret = field(
        default=_SECRET,
        metadata=spec(
            Credential(), "What its notices are signed with: `whsec_…`. Required.", in_words=_NONE
        ),
    )
    store_id: str = field(
        default="", metadata=spec(Name(200, optional=True), "The store: `store-…`. Required.")
    )
    channel_key: str = field(
        default="",
        metadata=spec(Name(200, optional=True), "The channel: `channel-key-…`. Required."),
    )
    test: bool = field(
        default=False,
        metadata=spec(
            Flag(), "Whether the channel is a test channel. If not, test payments are refused."
        ),
    )
    ask_buyer: bool = field(
        default=False,
        metadata=spec(
            Flag(),
            "Whether the pay page asks for the buyer's name and phone number, without which KG "
            "Inicis, Welcome, KPN, KSNET and Smartro open no window. They go to PortOne only.",
        ),
    )
    api_url: str = field(
        default="https://api.portone.io", metadata=spec(BaseUrl(), "Where the API is.")
    )
    script_url: str = field(
        default="https://cdn.portone.io/v2/browser-sdk.js",
        metadata=spec(BaseUrl(), "Where the script is that opens the payment window."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeSettings:
    """The table `[stripe]`: Stripe Checkout. It is used once it has a secret key."""

    secret_key: Secret = field(
        default=_SECRET,
        metadata=spec(
            Credential(),
            "The secret or restricted key of the API: `sk_test_…` or `sk_live_…`.",
            in_words=_NONE,
        ),
    )
    webhook_secret: Secret = field(
        default=_SECRET,
        metadata=spec(
            Credential(), "What its notices are signed with: `whsec_…`. Required.", in_words=_NONE
        ),
    )
    api_url: str = field(
        default="https://api.stripe.com", metadata=spec(BaseUrl(), "Where the API is.")
    )
