"""What the link asks of whoever owns the socket and the clock.

Weakness: order matters. Actions are to be carried out one after the other, as they stand.
"""

from dataclasses import dataclass
from typing import Any

from tokenferry_client.events import Event


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a socket, after a delay.

    `opened` or `closed` is to be reported; a failure to connect is a `closed` with 1006, or with
    the code that stands for the HTTP status.

    Attributes:
        delay_ms: How long to wait before.
        ticket: Whether to get a ticket first, and to offer it as a subprotocol.
    """

    delay_ms: int
    ticket: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message as one text frame."""

    message: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket, and report nothing of it any more: not even that it has closed."""

    code: int


@dataclass(frozen=True, slots=True)
class Timer:
    """Report `fired` after a while, in place of what the timer was set to before; None: never."""

    in_ms: int | None


@dataclass(frozen=True, slots=True)
class Deliver:
    """Tell the user."""

    event: Event


Action = Connect | Send | Close | Timer | Deliver
