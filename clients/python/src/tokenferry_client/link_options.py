"""How a link behaves: what may be chosen, and the numbers that may not.

Source: spec/PROTOCOL.md, section 6.
"""

from dataclasses import dataclass
from typing import Final

STREAMS_MAX: Final = 1024
# Section 6: the server's own default, until `ready` says otherwise.
HEARTBEAT_MS: Final = 15_000
HEARTBEAT_MS_MIN: Final = 100
HEARTBEAT_MS_MAX: Final = 3_600_000
# For the way there and back, and a busy machine at either end.
GRACE_MS: Final = 5_000
# A connection that lived this long was a good one, even if no record came: what ends it then is a
# new fault, not the old one again.
STABLE_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How a link behaves.

    Attributes:
        token: The key, to be sent in the first message; None when it is in a header or a ticket.
        ticket: Whether to authenticate with a ticket, got anew for each connection.
        pings: Whether to send `ping` after silence; else to ask for the server's `hb`.
        notices: Whether to tell the user what is no part of the answer: the place in a line, the
            limits that are left, the end of a replay.
        attempts_max: Connections that may fail in a row before the link gives up.
        outage_ms_max: How long things may go wrong before the link gives up.
        retries_max: How often what has not begun is tried again, as long as no connection has
            held; None for no bound.
        wait_ms_max: How long it may wait because the server says when to come back; None for no
            bound.
    """

    token: str | None = None
    ticket: bool = False
    pings: bool = True
    notices: bool = False
    attempts_max: int = 30
    outage_ms_max: int = 300_000
    retries_max: int | None = None
    wait_ms_max: int | None = None
