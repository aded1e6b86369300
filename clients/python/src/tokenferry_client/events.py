"""What the user of a stream is told.

Source: spec/PROTOCOL.md, sections 3.3 and 5. Every event names its stream by `ref`, the client's
own id for it.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An error, the server's or the client's own.

    The client's own codes are `connection_lost` (it gave up), `connection_closed` (the server
    closed with a code that says not to come back), `client_closed` and `already_followed`.
    """

    code: str
    message: str = ""
    type: str = ""
    param: str | None = None
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """The stream exists; with these three it can be followed from anywhere."""

    ref: str
    stream_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the answer.

    Attributes:
        text: What it adds to the text of its choice; may be empty.
        delta: The whole delta: role, reasoning, tool calls.
        index: The choice.
        epoch: With `seq`, the position to go on from.
        seq: The last record that this piece holds.
    """

    ref: str
    text: str
    delta: dict[str, Any]
    index: int
    epoch: int
    seq: int


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
    """The whole answer, in place of everything before; `Done` comes next."""

    ref: str
    epoch: int
    through: int
    message: dict[str, Any]

    @property
    def text(self) -> str:
        """The answer's text."""
        content = self.message.get("content")
        return content if isinstance(content, str) else ""


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


Event = Started | Chunk | Rewind | Snapshot | Done | Failed
