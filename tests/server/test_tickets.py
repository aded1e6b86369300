from itertools import count

import pytest

from tokenferry.engine.keys import Key
from tokenferry.errors import InvalidTicket, Overloaded, RateLimited
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


MEMBERS = [Key("k1", "one", account_id="acc_1"), Key("k2", "two", account_id="acc_1")]
GUEST = Key("g1", "guest", is_guest=True)


@pytest.mark.parametrize("keys", [MEMBERS, [GUEST]], ids=["account", "guest"])
def test_one_account_or_guest_cannot_take_all_tickets_whatever_its_keys(
    monkeypatch: pytest.MonkeyPatch, keys: list[Key]
) -> None:
    monkeypatch.setattr(tickets_module, "OUTSTANDING_EACH_MAX", 3)
    tickets, clock = make()
    first = tickets.issue(keys[0], None)
    clock.now_s += 10
    last = [tickets.issue(key, None) for key in (keys * 2)[:2]][-1]
    with pytest.raises(RateLimited) as caught:
        tickets.issue(keys[-1], None)
    assert caught.value.retry_after_ms == (LIFETIME_S - 10) * 1000
    # Others are not concerned: another account, another guest, the operator.
    for other in (Key("k3", "x", account_id="acc_2"), Key("g2", "guest", is_guest=True), KEY):
        tickets.issue(other, None)
    # A ticket that is used makes room, and so does the first that expires.
    tickets.redeem(last, None)
    tickets.issue(keys[0], None)
    with pytest.raises(RateLimited):
        tickets.issue(keys[0], None)
    clock.now_s += LIFETIME_S - 10
    tickets.issue(keys[0], None)
    with pytest.raises(InvalidTicket):
        tickets.redeem(first, None)


def test_the_operator_has_all_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets_module, "OUTSTANDING_EACH_MAX", 1)
    monkeypatch.setattr(tickets_module, "OUTSTANDING_MAX", 3)
    tickets, _ = make()
    for _ in range(3):
        tickets.issue(KEY, None)
    with pytest.raises(Overloaded):
        tickets.issue(KEY, None)
