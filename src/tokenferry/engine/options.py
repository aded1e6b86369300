"""What a client wants of a stream beyond the answer, and the engine's limits."""

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Options:
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
