"""Single-use tickets, with which browsers open a WebSocket without putting a key in a URL.

Weakness: tickets live in this process's memory; with several nodes the upgrade must reach the
node that issued the ticket.
"""

from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from typing import NamedTuple

from tokenferry.domain.ledger import OPERATOR
from tokenferry.engine.keys import Key
from tokenferry.errors import InvalidTicket, Overloaded, RateLimited

LIFETIME_S = 30
MS_PER_S = 1000
OUTSTANDING_MAX = 10_000
# Of one account or guest: as many as a key may have connections by default.
OUTSTANDING_EACH_MAX = 1_000


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
        self._of_owner: dict[str, OrderedDict[str, None]] = {}

    def issue(self, key: Key, origin: str | None, login: bytes | None = None) -> str:
        """Return a ticket for a key, bound to the page's origin if there is one.

        Args:
            key: The key.
            origin: The page's origin.
            login: See `Bearer`.

        Raises:
            RateLimited: If too many of the key's account are outstanding, or of the guest.
            Overloaded: If too many tickets are outstanding.
        """
        now_s = self._time_s()
        self._expire(now_s)
        owner = _owner(key)
        own = self._of_owner.get(owner)
        if owner and own is not None and len(own) >= OUTSTANDING_EACH_MAX:
            wait_s = self._outstanding[next(iter(own))].expires_s - now_s
            raise RateLimited(
                f"{len(own)} tickets of yours are outstanding. Open connections with them, or try "
                f"again in {wait_s:.1f} seconds, when the first of them expires.",
                retry_after_ms=ceil(wait_s * MS_PER_S),
            )
        if len(self._outstanding) >= OUTSTANDING_MAX:
            raise Overloaded("Too many tickets are outstanding; try again in a moment.")
        ticket = self._new_ticket()
        self._outstanding[ticket] = _Ticket(Bearer(key, login), origin, now_s + LIFETIME_S)
        self._of_owner.setdefault(owner, OrderedDict())[ticket] = None
        return ticket

    def redeem(self, ticket: str, origin: str | None) -> Bearer:
        """Return whose a ticket is, which is used up by that.

        Raises:
            InvalidTicket: If it is unknown, used, expired, or for another origin.
        """
        found = self._take(ticket)
        if found is None or found.expires_s <= self._time_s() or found.origin != origin:
            raise InvalidTicket(
                "The ticket is unknown, used, expired, or for another origin. "
                "Get a new one from POST /v1/stream/tickets."
            )
        return found.bearer

    def _expire(self, now_s: float) -> None:
        while self._outstanding:
            ticket = next(iter(self._outstanding))
            if self._outstanding[ticket].expires_s > now_s:
                return
            self._take(ticket)

    def _take(self, ticket: str) -> _Ticket | None:
        found = self._outstanding.pop(ticket, None)
        if found is not None:
            owner = _owner(found.bearer.key)
            own = self._of_owner[owner]
            del own[ticket]
            if not own:
                del self._of_owner[owner]
        return found


def _owner(key: Key) -> str:
    """Return whose tickets are counted together; nothing for the operator, who trusts himself."""
    if key.is_guest:
        return key.public_id
    return "" if key.account_id == OPERATOR else key.account_id
