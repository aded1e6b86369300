"""Single-use tickets, with which browsers open a WebSocket without putting a key in a URL.

Weakness: tickets live in this process's memory; with several nodes the upgrade must reach the
node that issued the ticket.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from tokenferry.engine.keys import Key
from tokenferry.errors import InvalidTicket, Overloaded

LIFETIME_S = 30
OUTSTANDING_MAX = 10_000


class Bearer(NamedTuple):
    """Who has a ticket.

    Attributes:
        key: The key that it stands for.
        login: The hash of the login that it was asked for with, which it does not outlive; None
            for a key itself, and for guests.
    """

    key: Key
    login: bytes | None = None


class _Ticket(NamedTuple):
    bearer: Bearer
    origin: str | None
    expires_s: float


class Tickets:
    """Issues and redeems tickets.

    Args:
        new_ticket: Makes an unguessable text of characters that a subprotocol name may have.
        time_s: The monotonic clock.
    """

    def __init__(self, new_ticket: Callable[[], str], time_s: Callable[[], float]) -> None:
        self._new_ticket = new_ticket
        self._time_s = time_s
        self._outstanding: OrderedDict[str, _Ticket] = OrderedDict()

    def issue(self, key: Key, origin: str | None, login: bytes | None = None) -> str:
        """Return a ticket for a key, bound to the page's origin if there is one.

        Args:
            key: The key.
            origin: The page's origin.
            login: See `Bearer`.

        Raises:
            Overloaded: If too many tickets are outstanding.
        """
        now_s = self._time_s()
        while self._outstanding:
            ticket = next(iter(self._outstanding))
            if self._outstanding[ticket].expires_s > now_s:
                break
            del self._outstanding[ticket]
        if len(self._outstanding) >= OUTSTANDING_MAX:
            raise Overloaded("Too many tickets are outstanding; try again in a moment.")
        ticket = self._new_ticket()
        self._outstanding[ticket] = _Ticket(Bearer(key, login), origin, now_s + LIFETIME_S)
        return ticket

    def redeem(self, ticket: str, origin: str | None) -> Bearer:
        """Return whose a ticket is, which is used up by that.

        Raises:
            InvalidTicket: If it is unknown, used, expired, or for another origin.
        """
        found = self._outstanding.pop(ticket, None)
        if found is None or found.expires_s <= self._time_s() or found.origin != origin:
            raise InvalidTicket(
                "The ticket is unknown, used, expired, or for another origin. "
                "Get a new one from POST /v1/stream/tickets."
            )
        return found.bearer
