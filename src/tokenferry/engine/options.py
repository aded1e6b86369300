"""What a client wants of a stream beyond the answer, and the limits of the engine and its gates."""

from dataclasses import dataclass
from typing import NamedTuple

from tokenferry.engine.admission import UNLIMITED, Rates
from tokenferry.engine.traces import Arrival


@dataclass(frozen=True, slots=True)
class Limits:
    """The engine's limits.

    Attributes:
        stream_bytes_max: Bytes of records a stream may have.
        followers_max: Followers a stream may have.
        rates: What keys, accounts and models may have.
    """

    stream_bytes_max: int
    followers_max: int = 64
    rates: Rates = UNLIMITED


class Options(NamedTuple):
    """What a client wants of the stream beyond the answer.

    Attributes:
        on_disconnect_cancel: Whether losing the last follower cancels it at once.
        orphan_timeout_s: How long it goes on without a follower otherwise.
        idempotency_key: A repeated create with it returns the first one's stream.
        recovery: "fail" or "continue": what becomes of it when the process dies.
        arrival: How it was asked for; None where no traces are sent.
        request_id: Id of the HTTP request; empty over a WebSocket.
    """

    on_disconnect_cancel: bool
    orphan_timeout_s: float
    idempotency_key: str | None = None
    recovery: str = "fail"
    arrival: Arrival | None = None
    request_id: str = ""


class GateTerms(NamedTuple):
    """What the operator says of a provider; 0 is no limit.

    Attributes:
        streams_max: Answers under way at once.
        requests_per_minute: Calls a minute.
        tokens_per_minute: Tokens of prompts and answers a minute.
        is_adaptive: Whether fewer are sent after it has refused for being too many.
        line_max: How many may wait.
        wait_max_s: How long one waits.
    """

    streams_max: int = 0
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    is_adaptive: bool = True
    line_max: int = 1_000
    wait_max_s: float = 60.0
