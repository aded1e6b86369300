"""What a generation is to do, and the sink that one candidate speaks to.

A candidate that has failed may still have something to say: its connection closes, or is drained.
None of it may reach the stream that the next candidate writes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, Protocol

from tokenferry.domain.fair_queue import class_of
from tokenferry.domain.ledger import OPERATOR
from tokenferry.domain.usage import Usage
from tokenferry.engine.admission import OUTPUT_TOKENS_USUAL
from tokenferry.engine.bill import Bill
from tokenferry.engine.gate import Ask
from tokenferry.engine.ports import Prepared, Sink
from tokenferry.engine.traces import RequestTrace
from tokenferry.errors import ProviderError, TokenferryError
from tokenferry.protocol.chat import ChatRequest


class Attempt(NamedTuple):
    """One candidate for a request, translated and ready to be sent."""

    provider: str
    model: str
    prepared: Prepared

    @property
    def output_tokens_max(self) -> int | None:
        """See `Prepared`."""
        return self.prepared.output_tokens_max

    def all_output_tokens_max(self, request: ChatRequest) -> int | None:
        """Return the most that all answers may have together; None if the request has no limit."""
        limit = request.output_tokens_max
        return limit and max(limit, self.output_tokens_max or 0) * request.choice_count


@dataclass(frozen=True, slots=True)
class Beginning:
    """What earlier processes have left of an answer that is to be gone on with.

    Attributes:
        text: The text; empty if nothing was shown but the head.
        head: Seq of the last record.
        record_bytes: How much room the records take.
        usage: The estimate of what those processes consumed.
    """

    text: str
    head: int
    record_bytes: int
    usage: Usage


class Plan(NamedTuple):
    """What a generation is to do.

    Attributes:
        request: The client's request.
        attempts: Candidates in order; the next is tried when one fails before its first token.
        reasoning_fields: Delta keys that reasoning text is sent under.
        stream_bytes_max: Bytes of records at which the stream is stopped.
        created_s: Wall-clock seconds, for `created`.
        arrived_s: Monotonic seconds at which the request came in.
        prompt_tokens: Our estimate of the prompt.
        bill: The money of it.
        beginning: What is there already; None for an answer from its first record on.
        trace: Its trace, if it has one.
    """

    request: ChatRequest
    attempts: Sequence[Attempt]
    reasoning_fields: list[str]
    stream_bytes_max: int
    created_s: int
    arrived_s: float
    prompt_tokens: int
    bill: Bill
    beginning: Beginning | None = None
    trace: RequestTrace | None = None

    def ask(self, stream_id: str) -> Ask:
        """Return who a stream is, to the gates of providers."""
        request, bill = self.request, self.bill
        limit = request.output_tokens_max or OUTPUT_TOKENS_USUAL
        # The operator's keys are as many accounts.
        account = bill.key_id if bill.account_id == OPERATOR else bill.account_id
        tokens = max(1, self.prompt_tokens + limit * request.choice_count)
        return Ask(stream_id, class_of(request.service_tier), account, tokens, self.trace)


class AttemptSink:
    """The generation as one candidate sees it, until the candidate has failed.

    Args:
        generation: Where everything goes until `close`.
    """

    __slots__ = ("delta", "end", "fail", "finish", "head", "reasoning", "text", "usage")

    def __init__(self, generation: Sink) -> None:
        self.head = generation.head
        self.text = generation.text
        self.reasoning = generation.reasoning
        self.delta = generation.delta
        self.finish = generation.finish
        self.usage = generation.usage
        self.end = generation.end
        self.fail = generation.fail

    def close(self) -> None:
        """Ignore whatever still comes."""
        for name in self.__slots__:
            setattr(self, name, _ignore)


class RivalSink(AttemptSink):
    """The generation as a second call sees it: what it shows first decides which one serves.

    What it says before that is kept, and is passed on when it has won.

    Args:
        generation: Where everything goes from then on.
        won: Called when it has shown something, before that is passed on.
        lost: Called with the error when it has failed before.
    """

    __slots__ = ("_generation", "_kept", "_lost", "_won")

    def __init__(
        self, generation: Sink, won: Callable[[], None], lost: Callable[[ProviderError], None]
    ) -> None:
        self._generation = generation
        self._won = won
        self._kept: dict[str, tuple[object, ...]] = {}
        self.head = partial(self._keep, "head")
        self.usage = partial(self._keep, "usage")
        self.text = partial(self._show, "text")
        self.reasoning = partial(self._show, "reasoning")
        self.delta = partial(self._show, "delta")
        self.finish = partial(self._show, "finish")
        self.end = partial(self._show, "end")
        self.fail = self._lose
        self._lost = lost

    def promote(self) -> None:
        """Pass on what was kept, and everything from now on."""
        for name in AttemptSink.__slots__:
            setattr(self, name, getattr(self._generation, name))
        kept, self._kept = self._kept, {}
        for name, said in kept.items():
            getattr(self, name)(*said)

    def close(self) -> None:
        """Ignore whatever still comes, also by a way that the adapter has kept."""
        for name in AttemptSink.__slots__:
            setattr(self, name, _ignore)
        self._won = _ignore

    def _lose(self, error: ProviderError) -> None:
        self._lost(error)

    def _keep(self, name: str, *said: object) -> None:
        self._kept[name] = said

    def _show(self, name: str, *said: object) -> None:
        # An adapter may have kept this method: it comes here with every token then.
        if getattr(getattr(self, name), "func", None) is not None:
            self._won()
            self.promote()
        getattr(self, name)(*said)


def _ignore(*_: object) -> None:
    """Take the place of a sink whose candidate has failed."""


class Host(Sink, Protocol):
    """What the calls are made for: the generation."""

    def forget(self) -> None:
        """Forget what a call that has failed said before it showed anything."""

    def abort(self, error: TokenferryError) -> None:
        """End the stream with an error of ours."""

    def waits(self, position: int, eta_s: float | None) -> None:
        """Tell who reads that so many are in front, and for how long they may be."""


class _Nobody:
    """Takes the place of a generation that is settled."""

    head = text = reasoning = delta = finish = usage = staticmethod(_ignore)
    end = fail = forget = abort = waits = staticmethod(_ignore)


NOBODY: Final[Host] = _Nobody()
