"""The settings of the request log and of the status page that is made from it."""

from dataclasses import dataclass, field

from tokenferry.config.rules import Flag, Integer
from tokenferry.config.spec import spec

KIB = 1024
MIB = 1024 * KIB
DAYS_MAX = 3_650


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLogSettings:
    """The table `[request_log]`."""

    enabled: bool = field(
        default=True,
        metadata=spec(
            Flag(),
            "Whether each finished request is recorded: who asked for which model, what was "
            "tried, how long it took, how it ended. Not what was asked and answered.",
        ),
    )
    retention_days: int = field(
        default=90,
        metadata=spec(
            Integer(1, DAYS_MAX), "How long a record is kept. Charges stay in the books."
        ),
    )
    content: bool = field(
        default=False,
        metadata=spec(
            Flag(),
            "Whether prompts and answers are kept as well, readable for the account and for "
            "administrators. Tell your users before you turn it on.",
        ),
    )
    content_retention_days: int = field(
        default=7,
        metadata=spec(
            Integer(1, DAYS_MAX), "How long they are kept; no longer than the record in any case."
        ),
    )
    content_bytes_max: int = field(
        default=64 * KIB,
        metadata=spec(
            Integer(KIB, 4 * MIB),
            "How much is kept of a prompt, and of an answer; what is longer is cut.",
        ),
    )
    status_page: bool = field(
        default=True,
        metadata=spec(
            Flag(),
            "Whether anybody may see at `/status` how each model was served in the last 90 days. "
            "Needs `enabled`.",
        ),
    )
