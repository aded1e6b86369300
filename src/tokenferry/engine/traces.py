"""The port of traces: what is told of a request and of the calls that are made for it.

Nothing of it is called where no traces are sent: then there is no tracer, and a request has no
trace. Nothing of it is called for a token. No method may raise, wait, or be given a text of a
client or of a provider's answer.

Source: docs/decisions/0016-telemetry.md.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from tokenferry.engine.ports import Outcome
from tokenferry.errors import TokenferryError
from tokenferry.protocol.chat import ChatRequest


class Arrival(NamedTuple):
    """How a request came in.

    Attributes:
        name: Of what it is, for people.
        facts: What is said of it: attributes of OpenTelemetry's conventions.
        context: The headers in which the client says of which trace it is a part.
    """

    name: str
    facts: Mapping[str, str]
    context: Mapping[str, str]


class Question(NamedTuple):
    """What was asked for, as far as a trace may say it.

    Attributes:
        key_id: Public id of the key.
        streams: Whether the answer is streamed.
        choices: How many answers there are to be.
        output_tokens_max: The output limit; None if there is none.
        arrived_s: When it came, monotonic seconds.
    """

    key_id: str
    streams: bool
    choices: int
    output_tokens_max: int | None
    arrived_s: float


class End(NamedTuple):
    """How a stream ended.

    Attributes:
        outcome: What is metered.
        error: What it ended in, if it is an error.
        model: What the client asked for; a name that is known.
        resumes: How often a client came back to it.
    """

    outcome: Outcome
    error: TokenferryError | None
    model: str
    resumes: int


class CallTrace(Protocol):
    """The trace of one call of a candidate."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What is passed on to the provider, so that its own trace is a part of this one."""

    def shown(self, first_token_s: float) -> None:
        """Take note of the first token."""

    def ended(self, outcome: str) -> None:
        """Take note of the end, once: `ok` of what served, whatever its stream then ended in."""


class RequestTrace(Protocol):
    """The trace of one request."""

    def call(self, provider: str, model: str) -> CallTrace:
        """Return the trace of a call that begins now."""

    def refused(self, error: TokenferryError) -> None:
        """Take note that no stream was begun."""

    def settled(self, end: End) -> None:
        """Take note of the end; nothing follows."""


class Tracer(Protocol):
    """Where traces go."""

    def begin(self, arrival: Arrival, question: Question) -> RequestTrace:
        """Return the trace of a request."""


def begun(
    tracer: Tracer | None,
    arrival: Arrival | None,
    key_id: str,
    request: ChatRequest,
    arrived_s: float,
) -> RequestTrace | None:
    """Return the trace of a request that begins; None where no traces are sent."""
    if tracer is None or arrival is None:
        return None
    streams, limit = request.stream is True, request.output_tokens_max
    return tracer.begin(arrival, Question(key_id, streams, request.choice_count, limit, arrived_s))
