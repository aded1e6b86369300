"""The settings of the server itself: names, defaults, ranges and meaning.

Units are in the names.
"""

from dataclasses import dataclass, field
from pathlib import Path

from tokenferry.config.rules import Choice, Flag, Integer, Name, Names, PathTo, Seconds
from tokenferry.config.spec import spec
from tokenferry.config.web_rules import Origin, PublicUrl
from tokenferry.protocol.segment import STREAM_BYTES_MAX

MIB = 1024 * 1024
DATABASE_NAME = "tokenferry.db"
REQUESTS_NAME = "requests.db"
JOURNAL_NAME = "journal"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The table `[server]`."""

    host: str = field(
        default="127.0.0.1",
        metadata=spec(
            Name(255),
            "The address to listen on. Only this machine reaches the default; `0.0.0.0` is every "
            "IPv4 address, `::` every address.",
        ),
    )
    port: int = field(
        default=8000, metadata=spec(Integer(0, 65_535), "The TCP port; 0 takes any free one.")
    )
    data_dir: Path = field(
        default=Path("tokenferry-data"),
        metadata=spec(
            PathTo(must_be_file=False),
            "Where the database and the journal are kept. It is created when it is not there. "
            "A relative path in the file starts at the file's directory, elsewhere at the current "
            "one.",
        ),
    )
    tls_cert: Path | None = field(
        default=None,
        metadata=spec(
            PathTo(must_be_file=True),
            "The certificate chain, PEM. Goes with `tls_key`; without both, the server speaks "
            "plain HTTP. SIGHUP has both files read again.",
        ),
    )
    tls_key: Path | None = field(
        default=None,
        metadata=spec(
            PathTo(must_be_file=True), "The certificate's private key, PEM, without a passphrase."
        ),
    )
    origins: tuple[str, ...] = field(
        default=(),
        metadata=spec(
            Names(Origin(), 0, 1_000),
            "The browser origins that may use the API, by WebSocket and by CORS, besides the "
            "server's own. An asterisk allows every one.",
        ),
    )
    public_url: str = field(
        default="",
        metadata=spec(
            PublicUrl(),
            "Where people reach the server, for links in mails and for payment providers: "
            "`https://gateway.example.com`. Required with `[mail]`.",
        ),
    )
    frame_bytes_max: int = field(
        default=MIB,
        metadata=spec(
            Integer(1024, 16 * MIB),
            "The longest WebSocket frame that a client may send. Images as data URLs need more "
            "than the default.",
        ),
    )
    body_bytes_max: int = field(
        default=8 * MIB,
        metadata=spec(Integer(1024, 64 * MIB), "The longest HTTP body that a client may send."),
    )
    streams_per_connection_max: int = field(
        default=32, metadata=spec(Integer(1, 10_000), "Live streams on one WebSocket connection.")
    )
    connections_max: int = field(
        default=20_000,
        metadata=spec(
            Integer(1, 1_000_000),
            "Open client connections. The process needs as many file descriptors, and one more for "
            "each connection to a provider.",
        ),
    )
    connections_per_key_max: int = field(
        default=1_000,
        metadata=spec(Integer(1, 1_000_000), "Open WebSocket connections of one key."),
    )
    orphan_timeout_s: float = field(
        default=60,
        metadata=spec(Seconds(0, 86_400), "How long a stream goes on after its client has left."),
    )
    auth_timeout_s: float = field(
        default=10,
        metadata=spec(
            Seconds(0.1, 600), "How long a new WebSocket connection may take to authenticate."
        ),
    )
    heartbeat_s: float = field(
        default=15,
        metadata=spec(
            Seconds(1, 600),
            "Silence after which a waiting client gets a sign of life: an SSE comment, or an `hb` "
            "message.",
        ),
    )
    ping_interval_s: float = field(
        default=20,
        metadata=spec(Seconds(1, 600), "Time between the WebSocket pings of an idle connection."),
    )
    ping_timeout_s: float = field(
        default=20,
        metadata=spec(Seconds(1, 600), "How long the answer to a WebSocket ping may take."),
    )
    keepalive_timeout_s: float = field(
        default=75,
        metadata=spec(
            Seconds(1, 3_600),
            "How long an HTTP connection may wait for its next request. More than any load "
            "balancer in front keeps it: what that sends while it is being closed is lost.",
        ),
    )
    drain_timeout_s: float = field(
        default=30,
        metadata=spec(Seconds(0, 3_600), "How long running streams may go on after SIGTERM."),
    )
    durability: str = field(
        default="process",
        metadata=spec(
            Choice("memory", "process", "disk"),
            "What a token that a client has seen outlives: `memory`, its connection; `process`, "
            "also the death of the server; `disk`, also a power cut, at the cost of a sync of the "
            "disk before each token is sent.",
        ),
    )
    retention_s: float = field(
        default=600,
        metadata=spec(
            Seconds(0, 86_400),
            "How long the chunks of a finished stream are kept for those who come back to it.",
        ),
    )
    text_retention_s: float = field(
        default=86_400,
        metadata=spec(
            Seconds(0, 31_536_000),
            "How long the final text of a stream is kept after its chunks; 0 keeps none.",
        ),
    )
    tombstone_retention_s: float = field(
        default=2_592_000,
        metadata=spec(
            Seconds(0, 315_360_000),
            "How long it is known that a stream was, how it ended and what it used.",
        ),
    )
    followers_per_stream_max: int = field(
        default=64, metadata=spec(Integer(1, 10_000), "Connections that follow one stream.")
    )
    http_on_disconnect: str = field(
        default="cancel",
        metadata=spec(
            Choice("cancel", "continue"),
            "What becomes of a stream whose HTTP client is lost: it is cancelled, or goes on for "
            "`orphan_timeout_s`. A request says otherwise by `x-tokenferry-on-disconnect`; one "
            "with an `Idempotency-Key` goes on.",
        ),
    )
    journal_bytes_max: int = field(
        default=1024 * MIB,
        metadata=spec(
            Integer(MIB, 1024 * 1024 * MIB),
            'Room for the journal, on the disk or, with `durability = "memory"`, in memory. Beyond '
            "it the oldest finished streams lose their chunks before their time.",
        ),
    )
    stream_bytes_max: int = field(
        default=4 * MIB,
        metadata=spec(
            Integer(64 * 1024, STREAM_BYTES_MAX),
            "The journal of one stream. A stream that outgrows it ends with an error. The most is "
            "what the journal takes at once.",
        ),
    )
    reasoning_field: str = field(
        default="reasoning_content",
        metadata=spec(
            Choice("reasoning_content", "reasoning", "both"),
            "What the text of a model's reasoning is called in answers. DeepSeek's clients read "
            "the first, OpenRouter's and newer vLLM's the second.",
        ),
    )
    metrics_public: bool = field(
        default=True,
        metadata=spec(
            Flag(),
            "Whether `/metrics` answers without a key. If not, it takes one of the operator's own. "
            "It shows models, providers and counts, no key and no text.",
        ),
    )
    log_level: str = field(
        default="info",
        metadata=spec(
            Choice("debug", "info", "warning", "error"), "The least severe entries to log."
        ),
    )
    log_format: str = field(
        default="auto",
        metadata=spec(
            Choice("auto", "text", "json"),
            "`text` for people, `json` for programs, one object a line; `auto` is text on a "
            "terminal and JSON elsewhere.",
        ),
    )
    demo: bool = field(
        default=True,
        metadata=spec(
            Flag(),
            "Whether the built-in model `demo` is served: a simulator that needs no provider.",
        ),
    )
    guest_demo: bool = field(
        default=True,
        metadata=spec(
            Flag(),
            "Whether the chat page may use the built-in model `demo`, and nothing else, without a "
            "key and without a login. It calls no provider and costs nobody anything.",
        ),
    )
    environment_providers: bool = field(
        default=True,
        metadata=spec(
            Flag(),
            "Whether OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY and DEEPSEEK_API_KEY add "
            "their providers, with a list of their usual models, unless the file has one of the "
            "same name.",
        ),
    )

    @property
    def journal(self) -> Path:
        """Return the path of the journal's directory."""
        return self.data_dir / JOURNAL_NAME

    @property
    def database(self) -> Path:
        """Return the path of the database file."""
        return self.data_dir / DATABASE_NAME

    @property
    def requests_database(self) -> Path:
        """Return the path of the request log's file."""
        return self.data_dir / REQUESTS_NAME
