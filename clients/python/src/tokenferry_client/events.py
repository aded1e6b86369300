"""What the user of a stream is told.

Source: spec/PROTOCOL.md, sections 3.3 and 5. Every event names its stream by `ref`, the client's
own id for it.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, Self

# The numbers have as many digits as JSON readers agree on: below 2^53.
_POSITION: Final = re.compile(r"([^@\s]{1,128})@([0-9]{1,15})-([0-9]{1,15})")
# OpenAI's own limit of tools is 128; it bounds what a faulty index can cost.
TOOL_CALLS_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An error, the server's or the client's own.

    The client's own codes are `connection_lost` (it gave up), `connection_closed` (the server
    closed with a code that says not to come back), `client_closed` and `already_followed`.

    Attributes:
        request_id: What the operator finds it by, where it came with an HTTP answer.
        retry_after_ms: How long to wait before another try, where that was said.
    """

    code: str
    message: str = ""
    type: str = ""
    param: str | None = None
    retryable: bool = False
    request_id: str | None = None
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """How much of a stream a client has; enough to go on with it from anywhere."""

    stream_id: str
    epoch: int = 1
    seq: int = 0

    def __str__(self) -> str:
        """Return it as text, `STREAM@EPOCH-SEQ`, which `parse` reads."""
        return f"{self.stream_id}@{self.epoch}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the position that a text stands for.

        Raises:
            ValueError: If it is none.
        """
        match = _POSITION.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no position; one looks like st_x@1-42")
        return cls(match[1], int(match[2]), int(match[3]))


@dataclass(frozen=True, slots=True)
class Started:
    """The stream exists; with these three it can be followed from anywhere."""

    ref: str
    stream_id: str
    epoch: int


def _word(values: dict[str, Any], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of one call of a tool.

    Attributes:
        index: Which of the answer's calls.
        id: Its id, in its first piece; else empty.
        name: The tool's name, in the first piece; else empty.
        arguments: What it adds to the arguments, which are JSON once they are whole; of a custom
            tool, to its input, which is any text.
        is_custom: Whether the tool is one of OpenAI's custom tools, and not a function.
    """

    index: int
    id: str
    name: str
    arguments: str
    is_custom: bool = False

    @classmethod
    def of(cls, call: dict[str, Any], place: int) -> Self:
        """Return the piece that an object of the wire stands for; what is no text is left out."""
        custom, function = call.get("custom"), call.get("function")
        is_custom = isinstance(custom, dict)
        found = custom if is_custom else function
        tool = found if isinstance(found, dict) else {}
        index = call.get("index")
        if not isinstance(index, int) or not 0 <= index < TOOL_CALLS_MAX:
            index = place
        return cls(
            index,
            _word(call, "id"),
            _word(tool, "name"),
            _word(tool, "input" if is_custom else "arguments"),
            is_custom,
        )


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the answer.

    Attributes:
        text: What it adds to the text of its choice; may be empty.
        delta: The whole delta: role, reasoning, tool calls.
        index: The choice.
        epoch: With `seq`, the position to go on from.
        seq: The last record that this piece holds.
        replaces: Whether `text` stands in place of everything that was shown of the choice. It
            comes when the server has lost what it had sent, and when only the final text is kept.
    """

    ref: str
    text: str
    delta: dict[str, Any]
    index: int
    epoch: int
    seq: int
    replaces: bool = False

    @property
    def reasoning(self) -> str:
        """What it adds to the reasoning."""
        return _word(self.delta, "reasoning_content") or _word(self.delta, "reasoning")

    @property
    def refusal(self) -> str:
        """What it adds to the refusal."""
        return _word(self.delta, "refusal")

    @property
    def tool_calls(self) -> tuple[ToolCallDelta, ...]:
        """What it adds to calls of tools."""
        found = self.delta.get("tool_calls")
        calls = found if isinstance(found, list) else []
        return tuple(
            ToolCallDelta.of(call, place)
            for place, call in enumerate(calls)
            if isinstance(call, dict)
        )


@dataclass(frozen=True, slots=True)
class Rewind:
    """The server has lost what came after `keep_through`: drop it; another rest follows.

    Attributes:
        keep_through: The last record that stands.
        texts: What stands, of the text that this client was told since it began to follow: one
            for each choice.
        reason: The server's word for why.
    """

    ref: str
    epoch: int
    keep_through: int
    texts: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole answer, in place of everything before; `Done` comes next.

    Attributes:
        message: Of the first choice.
        messages: Of all choices where there are several; else empty.
    """

    ref: str
    epoch: int
    through: int
    message: dict[str, Any]
    messages: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """The stream has ended well, or was cancelled; nothing follows."""

    ref: str
    finish_reason: str
    finish_reasons: tuple[str, ...] = ()
    usage: dict[str, Any] | None = None
    cost: str | None = None
    epoch: int = 0
    seq: int = 0
    balance: str | None = None
    notice: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The stream has ended badly, or cannot be followed any further; nothing follows.

    Attributes:
        error: What happened.
        stream_id: The stream, if there is one; (`epoch`, `seq`) is how far the client got in it.
        state: Of an expired stream: how it ended.
        retry_after_ms: How long to wait before another try, when the server said so.
    """

    ref: str
    error: ErrorInfo
    stream_id: str | None = None
    epoch: int = 0
    seq: int = 0
    usage: dict[str, Any] | None = None
    cost: str | None = None
    state: str | None = None
    retry_after_ms: int | None = None
    limit: dict[str, Any] | None = None
    balance: str | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One limit of the key: what a minute has, what is left now, and when all of it is free."""

    name: str
    limit: int
    remaining: int
    reset_ms: int


@dataclass(frozen=True, slots=True)
class RateLimits:
    """How the key stands with its limits, this request taken off."""

    ref: str
    limits: tuple[RateLimit, ...]


@dataclass(frozen=True, slots=True)
class Queued:
    """The stream waits in the gateway's line for its provider.

    Attributes:
        position: How many are in front.
        eta_s: How long that may take, if the server can say.
    """

    ref: str
    position: int
    eta_s: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The request waits in the client's own line, because the key is at a limit.

    Attributes:
        code: What it waits for: the code of the refusal, or `rate_limit_exceeded`.
        wait_ms: How long until the first of the line may go.
        position: How many requests of this client are in front.
    """

    ref: str
    code: str
    wait_ms: int
    position: int


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """The connection is lost; the stream goes on at the server, and here with the next one.

    Attributes:
        attempt: From 1, since things went well.
        delay_ms: How long until it is made.
        cause: Why the last one ended, for people.
    """

    ref: str
    attempt: int
    delay_ms: int
    cause: str


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """What was missed has been received; what follows is live."""

    ref: str
    seq: int


Notice = RateLimits | Queued | Waiting | Reconnecting | CaughtUp
Event = Started | Chunk | Rewind | Snapshot | Done | Failed | Notice
