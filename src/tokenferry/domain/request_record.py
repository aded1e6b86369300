"""One finished request as it is kept in the request log, and whose fault its end was.

The money in it is a copy: what counts is the charge in the books. What only the log has is the
way: over which transport, how long it waited, how often its reader was lost and came back.

Weakness: whether a reader left or asked to stop is told by the readers at the end. Who cancels
over another connection, after the reader was lost, counts as lost.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tokenferry.domain.ledger import Charge
from tokenferry.errors import GatewayError, ProviderError, TokenferryError

Transport = Literal["sse", "http", "websocket", "unknown"]
Status = Literal["ok", "failed", "stopped"]
# Who ended it: `disconnect` is a client that left without a word.
EndedBy = Literal["provider", "gateway", "client", "disconnect"]
Side = Literal["provider", "gateway", "client"]

STATUSES: tuple[Status, ...] = ("ok", "failed", "stopped")
ERROR = "error"
CANCELLED = "cancelled"
_REJECTED = "provider_http_"
# Of the statuses below 500, those that say something of the operator's set-up or of the provider's
# state: no credit or a refused key, an unknown model, too late, too many.
_STATUSES_BLAMED = frozenset((401, 402, 403, 404, 408, 409, 425, 429))
_SERVER_FAULT = 500


class RequestRecord(NamedTuple):
    """One finished request.

    Attributes:
        charge: What it used, what it cost, and how it ended.
        is_charged: Whether that is in the books; not if it was refused before it began.
        transport: How the client asked: for events, for the whole answer, or over a WebSocket.
        request_id: Id of the HTTP request; empty over a WebSocket.
        ended_by: Who ended it.
        chunks: Records of the answer, its head and its end left out.
        queued_ms: How long it waited for places at providers; None if that is not known.
        drops: How often a reader was lost while it ran; None if that is not known.
        resumes: How often one came back; None if that is not known.
    """

    charge: Charge
    is_charged: bool
    transport: Transport
    request_id: str
    ended_by: EndedBy
    chunks: int
    queued_ms: int | None
    drops: int | None
    resumes: int | None


class Content(NamedTuple):
    """What was asked and answered, as far as it is kept.

    Attributes:
        prompt: The request's body, JSON; cut where it was too long, empty if it is not known.
        answer: The answer as HTTP gives it whole, JSON; cut likewise.
        is_cut: Whether something is missing of either.
    """

    prompt: str
    answer: str
    is_cut: bool


def status_of(finish: str) -> Status:
    """Return how a request ended, in one word."""
    if finish == ERROR:
        return "failed"
    return "stopped" if finish == CANCELLED else "ok"


def side_of(error_code: str) -> Side:
    """Return whose fault an error is, by its kind.

    What the client asked wrongly, may not ask, or has no credit for is the client's; so is a
    provider's refusal of the request itself. The operator's key at a provider is the provider's
    side: the client can do nothing about it.
    """
    if error_code.startswith(_REJECTED):
        number = error_code.removeprefix(_REJECTED)
        status = int(number) if number.isdecimal() else _SERVER_FAULT
        return "provider" if status >= _SERVER_FAULT or status in _STATUSES_BLAMED else "client"
    # Asked of the classes each time: modules that read a wire have kinds of their own.
    if error_code in _codes(ProviderError):
        return "provider"
    return "gateway" if error_code in _codes(GatewayError) else "client"


def ended_by(finish: str, error_code: str | None, *, was_left: bool) -> EndedBy:
    """Return who ended a request.

    Args:
        finish: The finish reason.
        error_code: The error's kind.
        was_left: Whether its last reader was lost.
    """
    if finish == CANCELLED:
        return "disconnect" if was_left else "client"
    return "provider" if error_code is None else side_of(error_code)


def is_available(record: RequestRecord) -> bool | None:
    """Return whether a request speaks for its model's availability, or against it.

    None for what speaks for neither: whatever the client stopped, or is to blame for.
    """
    status = status_of(record.charge.finish)
    if status == "ok":
        return True
    if status == "stopped" or record.ended_by not in ("provider", "gateway"):
        return None
    return False


def attempt_status(outcome: str) -> int | None:
    """Return the HTTP status that a call's outcome tells of; None if it tells of none."""
    if outcome == "ok":
        return 200
    number = outcome.removeprefix(_REJECTED)
    return int(number) if number != outcome and number.isdecimal() else None


def _codes(family: type[TokenferryError]) -> Iterator[str]:
    yield family.code
    for kind in family.__subclasses__():
        yield from _codes(kind)
