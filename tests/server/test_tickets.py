from itertools import count

import pytest

from tokenferry.engine.keys import Key
from tokenferry.errors import InvalidTicket, Overloaded
from tokenferry.server import tickets as tickets_module
from tokenferry.server.tickets import LIFETIME_S, Tickets

KEY = Key("abc", "이름")


class Clock:
    now_s = 100.0


def make() -> tuple[Tickets, Clock]:
    clock, numbers = Clock(), count(1)
    return Tickets(lambda: f"t{next(numbers)}", lambda: clock.now_s), clock


def test_a_ticket_is_good_once() -> None:
    tickets, _ = make()
    ticket = tickets.issue(KEY, "https://a")
    assert tickets.redeem(ticket, "https://a") == (KEY, None)
    with pytest.raises(InvalidTicket):
        tickets.redeem(ticket, "https://a")


def test_a_ticket_says_which_login_it_does_not_outlive() -> None:
    tickets, _ = make()
    assert tickets.redeem(tickets.issue(KEY, None, b"login"), None) == (KEY, b"login")


@pytest.mark.parametrize("origin", [None, "https://b"])
def test_a_ticket_is_bound_to_its_origin(origin: str | None) -> None:
    tickets, _ = make()
    ticket = tickets.issue(KEY, "https://a")
    with pytest.raises(InvalidTicket):
        tickets.redeem(ticket, origin)


def test_a_ticket_expires() -> None:
    tickets, clock = make()
    early, late = tickets.issue(KEY, None), tickets.issue(KEY, None)
    clock.now_s += LIFETIME_S - 0.001
    assert tickets.redeem(early, None).key == KEY
    clock.now_s += 0.001
    with pytest.raises(InvalidTicket):
        tickets.redeem(late, None)


def test_unknown_tickets_are_refused() -> None:
    tickets, _ = make()
    with pytest.raises(InvalidTicket):
        tickets.redeem("", None)


def test_outstanding_tickets_are_limited_and_expired_ones_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tickets_module, "OUTSTANDING_MAX", 2)
    tickets, clock = make()
    tickets.issue(KEY, None)
    clock.now_s += 1
    tickets.issue(KEY, None)
    with pytest.raises(Overloaded):
        tickets.issue(KEY, None)
    clock.now_s += LIFETIME_S - 1
    tickets.issue(KEY, None)
    with pytest.raises(Overloaded):
        tickets.issue(KEY, None)
