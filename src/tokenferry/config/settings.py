"""All settings together, and those of providers and aliases: names, defaults, ranges, meaning."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tokenferry.config.account_settings import AccountSettings, MailSettings
from tokenferry.config.billing_settings import BillingSettings
from tokenferry.config.limit_settings import LimitSettings
from tokenferry.config.payment_settings import (
    PaymentSettings,
    PortOneSettings,
    StripeSettings,
    TossSettings,
)
from tokenferry.config.queue_settings import QueueSettings
from tokenferry.config.request_log_settings import RequestLogSettings
from tokenferry.config.routing_rules import Integers
from tokenferry.config.routing_settings import RoutingSettings
from tokenferry.config.rules import Choice, Flag, Integer, Name, Names, PathTo, Seconds
from tokenferry.config.server_settings import ServerSettings
from tokenferry.config.spec import spec
from tokenferry.config.telemetry_settings import TelemetrySettings
from tokenferry.config.web_rules import BaseUrl, Credential, Credentials, Headers, ProxyUrl, Secret
from tokenferry.domain.routing import Catalog
from tokenferry.engine.admission import Rates

PROVIDERS_MAX = 100
ALIASES_MAX = 1_000
# The largest aggregators list some 600 models.
MODELS_PER_PROVIDER_MAX = 1_000
CANDIDATES_MAX = 16
KEYS_MAX = 16
WEIGHT_MAX = 1_000
NAME_CHARACTERS_MAX = 64
MODEL_CHARACTERS_MAX = 200

# The name of the built-in provider, of its kind, and of its model.
DEMO = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """One table of `[[providers]]`."""

    name: str = field(
        metadata=spec(
            Name(NAME_CHARACTERS_MAX, without="/"),
            "Any name; clients may ask for `name/model`. Some names bring their defaults along: "
            "openai, anthropic, gemini, deepseek.",
            in_words="required",
        )
    )
    kind: str = field(
        metadata=spec(
            Choice("openai", "anthropic", "gemini"),
            "The wire format. `openai` is chat completions, as DeepSeek, Groq, Mistral, xAI, "
            "OpenRouter, vLLM, Ollama and many others speak it.",
            in_words="by the name, else required",
        )
    )
    base_url: str = field(
        metadata=spec(
            BaseUrl(),
            "Where its API is. `openai`: up to and including `/v1`; `anthropic` and `gemini`: "
            "without a version.",
            in_words="by the name, or by the kind for anthropic and gemini, else required",
        )
    )
    api_key: Secret = field(
        default=Secret(""),
        metadata=spec(
            Credential(),
            "The provider's key. Local servers often need none.",
            in_words='"env:OPENAI_API_KEY" and the like by the name, else ""',
        ),
    )
    api_keys: tuple[Secret, ...] = field(
        default=(),
        metadata=spec(
            Credentials(KEYS_MAX),
            "Several keys in place of one, or beside it. A key that is at its limit, or is "
            "refused, rests while the others serve; the one whose last limit is the longest ago "
            "is next.",
        ),
    )
    models: tuple[str, ...] = field(
        metadata=spec(
            Names(Name(MODEL_CHARACTERS_MAX, spaces=True), 1, MODELS_PER_PROVIDER_MAX),
            "The models to offer, by the provider's own names.",
            in_words="required",
        )
    )
    connect_timeout_s: float = field(
        default=10,
        metadata=spec(Seconds(0.1, 300), "How long a connection may take, TLS included."),
    )
    first_byte_timeout_s: float = field(
        default=600,
        metadata=spec(
            Seconds(0.1, 3_600),
            "How long an answer may take to begin. DeepSeek keeps requests waiting for up to ten "
            "minutes.",
        ),
    )
    idle_timeout_s: float = field(
        default=300,
        metadata=spec(Seconds(0.1, 3_600), "How long an answer that has begun may pause."),
    )
    on_cancel: str = field(
        default="auto",
        metadata=spec(
            Choice("auto", "close", "drain"),
            "What happens at the provider when a client cancels: `close` the connection, which "
            "stops the answer, or `drain` it, for providers that charge the whole answer in "
            "either case. `auto` drains at Google, Groq and Mistral and closes elsewhere.",
        ),
    )
    streams_max: int = field(
        default=0,
        metadata=spec(
            Integer(0, 100_000),
            "Answers of this provider under way at once, all of its models together; 0 is no "
            "limit. Who comes then waits for a turn, see docs/queue.md.",
        ),
    )
    requests_per_minute: int = field(
        default=0,
        metadata=spec(
            Integer(0, 10_000_000), "Calls of this provider a minute; 0 is no limit, as above."
        ),
    )
    tokens_per_minute: int = field(
        default=0,
        metadata=spec(
            Integer(0, 10_000_000_000),
            "Tokens of prompts and answers a minute; 0 is no limit, as above. A call takes its "
            "prompt and its `max_tokens`, and what it did not use is given back.",
        ),
    )
    adaptive: bool = field(
        default=True,
        metadata=spec(
            Flag(),
            "Whether fewer are sent at once after the provider has refused for being too many "
            "(429), a model waits as long as it was told, and no call is begun with a key of "
            "which its answers say that nothing is left.",
        ),
    )
    connections_max: int = field(
        default=1_024, metadata=spec(Integer(1, 100_000), "Connections to this provider.")
    )
    proxy: str | None = field(
        default="env",
        repr=False,
        metadata=spec(
            ProxyUrl(), "The HTTP proxy on the way to it; its password is shown nowhere."
        ),
    )
    ca_file: Path | None = field(
        default=None,
        metadata=spec(
            PathTo(must_be_file=True),
            "Certificates to trust, PEM, in place of the system's: for servers with a private CA.",
        ),
    )
    include_usage: bool = field(
        default=True,
        metadata=spec(
            Flag(),
            "Whether to ask for usage with `stream_options`. Turn it off for servers that refuse "
            "that field; their tokens are then estimated.",
        ),
    )
    prefill: str = field(
        default="none",
        metadata=spec(
            Choice("none", "prefix", "prefix_repeated", "continue_final_message"),
            "Of `openai`: how it is asked to go on from an answer's beginning, for streams that "
            'outlive the server with `recovery: "continue"`. `prefix`: DeepSeek below `/beta`. '
            "`prefix_repeated`: Mistral, which says the beginning again. "
            "`continue_final_message`: vLLM and SGLang. `none`: not at all.",
        ),
    )
    output_limit: str = field(
        default="auto",
        metadata=spec(
            Choice("auto", "as_sent", "max_tokens"),
            "Of `openai`: by which name it is told the output limit. DeepSeek and Ollama ignore "
            "`max_completion_tokens`, and would answer at a length that no credit was held for; "
            "OpenAI's newest models refuse `max_tokens`. `as_sent`: by the client's. "
            "`max_tokens`: by that. `auto` is `as_sent` at OpenAI and Azure, `max_tokens` "
            "elsewhere.",
        ),
    )
    headers: tuple[tuple[str, Secret], ...] = field(
        default=(),
        metadata=spec(Headers(32), "Headers to add to every request. A value may be `env:NAME`."),
    )

    @property
    def keys(self) -> tuple[Secret, ...]:
        """Return the provider's keys, each once; one that is empty if it has none."""
        keys = (self.api_key, *self.api_keys)
        return tuple(dict.fromkeys(key for key in keys if key)) or (Secret(""),)

    @property
    def drains(self) -> bool:
        """Return whether a cancelled answer is read to its end."""
        if self.on_cancel != "auto":
            return self.on_cancel == "drain"
        return self._is_at(_BILLING_ON)

    @property
    def takes_max_tokens(self) -> bool:
        """Return whether the output limit goes by its older name, whatever the client calls it."""
        if self.output_limit != "auto":
            return self.output_limit == "max_tokens"
        return not self._is_at(_TAKING_NEWER)

    def extra_headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers to add, with their values revealed."""
        return tuple((name, value.reveal()) for name, value in self.headers)

    def _is_at(self, domains: Collection[str]) -> bool:
        host = urlsplit(self.base_url).hostname or ""
        return any(host == domain or host.endswith(f".{domain}") for domain in domains)


# They go on generating, and charge for it, when the connection closes.
# Source: OpenRouter's list of providers that stop on cancel, November 2026.
_BILLING_ON = ("googleapis.com", "groq.com", "mistral.ai")
# Their newest models take no `max_tokens`.
_TAKING_NEWER = ("openai.com", "azure.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasSettings:
    """One table of `[[models]]`."""

    name: str = field(
        metadata=spec(
            Name(MODEL_CHARACTERS_MAX, spaces=True),
            "What clients ask for; not the name of a model.",
            in_words="required",
        )
    )
    candidates: tuple[str, ...] = field(
        metadata=spec(
            Names(
                Name(NAME_CHARACTERS_MAX + 1 + MODEL_CHARACTERS_MAX, spaces=True), 1, CANDIDATES_MAX
            ),
            "What serves it, as `provider/model`, in order of preference.",
            in_words="required",
        )
    )
    strategy: str = field(
        default="ordered",
        metadata=spec(
            Choice("ordered", "weighted", "least_loaded", "lowest_latency"),
            "Which candidate is tried first. `ordered`: the first one. `weighted`: by lot, as "
            "often as its weight says. `least_loaded`: the one with the fewest answers under way "
            "for its weight. `lowest_latency`: the one whose latest first tokens came soonest. "
            "The others follow when it fails before its first token.",
        ),
    )
    weights: tuple[int, ...] = field(
        default=(),
        metadata=spec(
            Integers(Integer(0, WEIGHT_MAX), CANDIDATES_MAX),
            "For `weighted` and `least_loaded`: a weight for each candidate, in their order. 0 is "
            "for when nothing else is left. Without it, all weigh the same.",
        ),
    )

    hedge: bool = field(
        default=False,
        metadata=spec(
            Flag(),
            "Whether the second candidate is called as well when the first token is later than 95 "
            "of 100 of the first one's were; who shows something first, serves. The other one is "
            "cancelled; what its provider charges for that is the operator's.",
        ),
    )

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield (provider, model) for each candidate; a model's own name may have slashes."""
        for candidate in self.candidates:
            provider, _, model = candidate.partition("/")
            yield provider, model


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be configured.

    Attributes:
        server: The server itself.
        providers: In the order of the file; then those of the environment; then `demo`.
        models: Aliases, in the order of the file.
        billing: Money.
        accounts: Who may sign up.
        mail: How mails are sent.
        payments: What is sold.
        toss: Toss Payments.
        portone: PortOne.
        stripe: Stripe.
        routing: Retries, and when a candidate is left alone.
        limits: What keys, accounts and models may have.
        queue: The lines before providers.
        telemetry: Traces.
        request_log: What is recorded of requests, and the status page.
    """

    server: ServerSettings = field(default_factory=ServerSettings)
    providers: tuple[ProviderSettings, ...] = ()
    models: tuple[AliasSettings, ...] = ()
    billing: BillingSettings = field(default_factory=BillingSettings)
    accounts: AccountSettings = field(default_factory=AccountSettings)
    mail: MailSettings = field(default_factory=MailSettings)
    payments: PaymentSettings = field(default_factory=PaymentSettings)
    toss: TossSettings = field(default_factory=TossSettings)
    portone: PortOneSettings = field(default_factory=PortOneSettings)
    stripe: StripeSettings = field(default_factory=StripeSettings)
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    queue: QueueSettings = field(default_factory=QueueSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    request_log: RequestLogSettings = field(default_factory=RequestLogSettings)

    def catalog(self) -> Catalog:
        """Return what clients can ask for."""
        return Catalog(
            [(provider.name, model) for provider in self.providers for model in provider.models],
            [(alias.name, tuple(alias.pairs())) for alias in self.models],
        )

    def rates(self) -> Rates:
        """Return the rate limits."""
        limits = self.limits
        return Rates(
            limits.key_allowance(),
            limits.account_allowance(),
            dict(limits.models),
            limits.reads_per_minute,
        )

    def secrets(self) -> list[str]:
        """Return every text that must not appear in a log."""
        found = [
            secret.reveal()
            for secret in (
                self.mail.password,
                self.toss.secret_key,
                self.portone.api_secret,
                self.portone.webhook_secret,
                self.stripe.secret_key,
                self.stripe.webhook_secret,
            )
        ]
        for provider in self.providers:
            found.extend(key.reveal() for key in provider.keys)
            found.extend(value.reveal() for _, value in provider.headers)
            if provider.proxy:
                found.append(urlsplit(provider.proxy).password or "")
        return [secret for secret in found if secret]
