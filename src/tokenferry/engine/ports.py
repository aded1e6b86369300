"""The ports of the engine: what it needs from adapters, and what adapters may call.

The token path is made of plain calls: a provider adapter calls its `Sink` for each event, in the
event loop's thread, and nothing on that path awaits.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from msgspec import Raw

from tokenferry.domain.ledger import Charge
from tokenferry.domain.routing import Try
from tokenferry.domain.usage import Usage
from tokenferry.errors import ProviderError
from tokenferry.protocol.chat import ChatRequest, Delta


class Sink(Protocol):
    """Where a provider adapter puts what it receives. All calls are synchronous and cheap.

    Order: `head` at most once and before the first delta; any number of deltas; `finish` once a
    choice; `usage` any number of times (the last one counts); then exactly one of `end` and
    `fail`. Calls after that, or after the stream was cancelled, are ignored.
    """

    def head(self, model: str, fingerprint: str | None, service_tier: str | None) -> None:
        """Say what the provider says of the whole answer."""

    def text(self, text: str) -> None:
        """Add answer text to choice 0: the common case, kept apart because it is hot."""

    def reasoning(self, text: str) -> None:
        """Add reasoning text to choice 0."""

    def delta(self, index: int, delta: Delta, logprobs: Raw | None = None) -> None:
        """Add anything else, or to another choice."""

    def finish(self, index: int, reason: str) -> None:
        """Say why a choice ended: stop, length, tool_calls, content_filter, function_call."""

    def usage(self, usage: Usage) -> None:
        """Report usage; cumulative, so that the last report counts."""

    def end(self) -> None:
        """Say that the provider's answer is complete."""

    def fail(self, error: ProviderError) -> None:
        """Say that the provider's answer will never be complete."""


class Call(Protocol):
    """One request under way at a provider."""

    def cancel(self) -> bool:
        """Stop it: close the provider's connection, or drain it where the provider bills on.

        Idempotent. Returns True when it drains: `end` or `fail` still comes. After False the sink
        is not called any more.
        """


class Provider(Protocol):
    """A configured provider."""

    name: str

    def prepare(self, request: ChatRequest, model: str) -> "Prepared":
        """Translate a request for `model` (the provider's own name for it).

        Raises:
            RequestError: If this provider cannot serve the request; nothing was sent.
        """

    def prepare_continuation(self, request: ChatRequest, model: str, text: str) -> "Prepared":
        """Translate a request for the rest of an answer; the sink gets the rest alone.

        Args:
            request: What the client asked for; its last message is not the assistant's.
            model: The provider's own name for it.
            text: What there is of the answer; not empty.

        Raises:
            RequestError: If this provider cannot go on from an answer's beginning; nothing was
                sent.
        """


class Prepared(Protocol):
    """A request that is translated and ready to be sent, any number of times."""

    @property
    def output_tokens_max(self) -> int | None:
        """What the provider is told that an answer may have, where that is not the request's word.

        It may be more: of the older limit of the two, Claude's thinking is no part.
        """

    def start(self, sink: Sink, key: int = 0, headers: Sequence[tuple[str, str]] = ()) -> Call:
        """Send it; what comes back goes to `sink`, also any failure.

        Never calls the sink before it has returned.

        Args:
            sink: Where the answer goes.
            key: Which of the provider's keys to use, by position.
            headers: What it is to carry beyond its own.
        """


class Append(Protocol):
    """Records for one stream, to be committed together; the engine's streams are this.

    Attributes:
        id: The stream.
        epoch: The owner's epoch; an older one is fenced off.
        head: Seq of the last committed record: the records follow it, the log is contiguous.
        pending: Encoded records, see `domain.journal`; at least one.
        log: Whatever the journal wants to find again without looking for it; None at first.
    """

    id: str
    epoch: int
    head: int
    pending: list[bytes]
    log: Any


@dataclass(frozen=True, slots=True)
class Recovered:
    """A stream that an earlier process left in the journal.

    Attributes:
        stream_id: The stream.
        meta: What its latest owner gave to `Journal.open`.
        epochs: Each owner's epoch and the first seq that is its own, oldest first.
        head: Seq of the last committed record; 0 if there is none.
        terminal: The last record, if it is a terminal one.
        written_ms: Unix time of its last commit.
    """

    stream_id: str
    meta: bytes
    epochs: tuple[tuple[int, int], ...]
    head: int
    terminal: bytes | None
    written_ms: int


class Journal(Protocol):
    """The log of every stream. A record is sent to clients only after it is committed."""

    def open(self, stream_id: str, epoch: int, meta: bytes) -> None:
        """Commit that a stream exists, or that a new owner takes it over.

        Args:
            stream_id: The stream.
            epoch: The owner's epoch, from 1.
            meta: What a later process needs to know of the stream; a store may have a limit, of
                1 MiB at least, over which it raises ValueError.

        Raises:
            Fenced: If the epoch is not higher than that of the stream's owner.
            JournalUnavailable: If it could not be committed; nothing has changed then.
        """

    def append(self, batch: Sequence[Append]) -> None:
        """Commit a batch, all or nothing, in order; each stream is in it once at most.

        Raises:
            Fenced: If another owner has taken over one of the streams.
            Gap: If `head` is not the head of its stream, or nobody opened it for this epoch.
            JournalUnavailable: If it could not be committed; nothing has changed then.
        """

    def sync(self) -> None:
        """Make what was committed before the call outlast a power cut, where that was asked for.

        The one method that another thread may call, beside those of the owner's thread.

        Raises:
            JournalUnavailable: If the disk did not take it; what was committed since the last
                sync may or may not outlast.
        """

    def try_commit(self) -> None:
        """Try whether a commit could be written; what the journal holds stays as it is.

        Raises:
            JournalUnavailable: If none could.
        """

    def read(self, stream_id: str, after: int, limit: int) -> Sequence[bytes]:
        """Return up to `limit` records with seq > `after`, in order; none of an unknown stream.

        Raises:
            JournalUnavailable: If they cannot be read.
        """

    def reading(self) -> AbstractContextManager[object]:
        """Let the reads of a block share what is fetched for them; nothing is written in it."""

    def close(self, stream_id: str) -> None:
        """Say that the stream is complete and its retention begins."""

    def drop(self, stream_id: str) -> None:
        """Forget a stream that nobody can come back to."""

    def recovered(self) -> list[Recovered]:
        """Return the streams that were in the journal when it was opened, oldest first."""

    def close_files(self) -> None:
        """Let go of what the journal holds open; idempotent, nothing may be called after it."""

    # The last one: below it `bytes` is no type any more.
    @property
    def bytes(self) -> int:
        """Return how much room the journal takes."""


class TimerHandle(Protocol):
    """A timer that can be called off."""

    def cancel(self) -> None:
        """Call it off; idempotent."""


class Timers(Protocol):
    """The engine's clock and timers: an asyncio event loop, or a virtual clock in simulations."""

    def time(self) -> float:
        """Return monotonic seconds."""

    def call_soon(self, callback: Callable[..., object], *args: object) -> object:
        """Run a callback at the end of this tick."""

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object
    ) -> TimerHandle:
        """Run a callback after `delay` seconds."""


class Outcome(NamedTuple):
    """How one generation ended: what is metered, and in time billed.

    Attributes:
        stream_id: The stream.
        owner: Public id of the key that pays.
        provider: Name of the provider that served it, of several tried the last.
        model: The provider's name for the model.
        finish: Finish reason; "cancelled" or "error" where no provider gave one.
        error_code: The error's kind, when it ended in one.
        usage: What was consumed; None when nothing was.
        tries: The calls that were made, in order.
        first_token_s: Seconds from arrival to the first token; None when there was none.
        duration_s: Seconds from arrival to the end.
        call_first_token_s: Seconds from the call that served to its first token.
        charge: What is booked; None if nothing was begun.
        queued_s: Seconds in lines before providers; None if that is not known.
        chunk_gap_s: The mean time between its chunks; None with fewer than two.
        finish_reasons: Those that the provider gave, in the order of the choices.
        answered_as: What the provider calls the model that has answered; empty if it does not say.
    """

    stream_id: str
    owner: str
    provider: str
    model: str
    finish: str
    error_code: str | None
    usage: Usage | None
    tries: tuple[Try, ...]
    first_token_s: float | None
    duration_s: float
    call_first_token_s: float | None = None
    charge: Charge | None = None
    queued_s: float | None = None
    chunk_gap_s: float | None = None
    finish_reasons: tuple[str, ...] = ()
    answered_as: str = ""

    @property
    def attempts(self) -> int:
        """Return how many calls were made; one, if it is not known."""
        return len(self.tries) or 1


class Meter(Protocol):
    """Where the engine reports what happened."""

    def started(self) -> None:
        """Count a stream that begins."""

    def sent(self, overhead_s: float) -> None:
        """Take the gateway's own share of the time before a request goes to the provider."""

    def settled(self, outcome: Outcome) -> None:
        """Take the one outcome of a stream that began."""


class Fenced(Exception):
    """Another owner has taken over the stream."""


class Gap(Exception):
    """An append would leave a hole in the log, or overwrite a part of it."""


class JournalUnavailable(Exception):
    """The journal's storage fails: the disk is full, or damaged. The message says which."""
