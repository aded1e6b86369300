"""What is booked for an order, whatever its provider says, in whichever order."""

from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tokenferry.domain.ledger import SHORTFALL, account_book, paid_book
from tokenferry.domain.topup import (
    Order,
    Payment,
    Settled,
    expire,
    settle,
    state_of,
)
from tokenferry.domain.topup_refund import ask_refund, end_refund, give_up_refund
from tokenferry.domain.topup_review import Seen, accept, close

DOLLAR = 10**9
ORDER = Order("tu_1", "acc_1", "toss", "KRW", 10_000, 7 * DOLLAR, True, "1 USD = 1450 KRW", 0, 9)
PAID = Payment("paid", "KRW", 10_000)
ACCOUNT, PAID_BOOK = account_book("acc_1"), paid_book("toss")


def told(order: Order, *payments: Payment, free: int | None = 0) -> tuple[Order, list]:
    """Return an order after all that was said, and the entries; what is credited stays free."""
    entries = []
    for payment in payments:
        settled = settle(order, payment, free, 5)
        order, entries = settled.order, [*entries, *settled.transfers]
        if free is not None:
            free += balance(settled.transfers)
    return order, entries


def balance(entries, book: str = ACCOUNT) -> int:
    return sum(
        entry.amount_nanos * ((entry.credit == book) - (entry.debit == book)) for entry in entries
    )


class TestSettling:
    def test_a_payment_is_credited_once(self):
        order, entries = told(ORDER, PAID, PAID, PAID)
        [entry] = entries
        assert entry == (
            "topup", "toss:tu_1:0", PAID_BOOK, ACCOUNT, 7 * DOLLAR, 5, "1 USD = 1450 KRW",
        )  # fmt: skip
        assert (order.status, order.standing_nanos, order.revision) == ("paid", 7 * DOLLAR, 1)

    @pytest.mark.parametrize(
        ("payment", "detail"),
        [
            (PAID._replace(amount_minor=9_999), "paid 9999, not 10000 KRW"),
            (PAID._replace(amount_minor=10_001), "paid 10001, not 10000 KRW"),
            (PAID._replace(currency="USD"), "paid in USD, not in KRW"),
            (PAID._replace(live=False), "paid with test money"),
        ],
    )
    def test_what_was_not_ordered_is_for_a_person_to_look_at(self, payment, detail):
        order, entries = told(ORDER, payment)
        assert (order.status, order.detail, entries) == ("review", detail, [])
        # The provider's answer may get better: the order is still settled then.
        assert told(order, PAID)[0].standing_nanos == 7 * DOLLAR

    def test_an_order_of_a_test_takes_test_money(self):
        order, _ = told(ORDER._replace(live=False), PAID._replace(live=False))
        assert order.standing_nanos == 7 * DOLLAR

    @pytest.mark.parametrize("status", ["open", "failed"])
    def test_of_what_was_paid_nothing_else_is_believed(self, status):
        order, entries = told(ORDER, PAID, Payment(status))
        assert (order.status, order.standing_nanos, len(entries)) == ("paid", 7 * DOLLAR, 1)

    @pytest.mark.parametrize("before", ["open", "failed", "expired"])
    def test_a_payment_that_comes_late_counts(self, before):
        order, _ = told(ORDER._replace(status=before), PAID)
        assert (order.status, order.standing_nanos) == ("paid", 7 * DOLLAR)

    def test_a_failure_says_why(self):
        order, _ = told(ORDER, Payment("failed", detail="카드 한도 초과"))
        assert (state_of(order), order.detail) == ("failed", "카드 한도 초과")

    def test_a_deposit_that_goes_back_takes_the_credit_with_it_and_may_come_again(self):
        waiting = Payment("waiting", secret="s", payment_ref="pk")
        order, entries = told(ORDER, waiting, PAID, waiting, PAID)
        kinds = [(entry.kind, entry.amount_nanos) for entry in entries]
        assert kinds == [("topup", 7 * DOLLAR), ("refund", 7 * DOLLAR), ("topup", 7 * DOLLAR)]
        assert (order.secret, order.payment_ref) == ("s", "pk")
        assert len({entry.reference for entry in entries}) == 3

    def test_a_payment_whose_refund_is_seen_with_it_is_credited_in_part(self):
        order, entries = told(ORDER, PAID._replace(refunded_minor=5_000))
        assert [entry.amount_nanos for entry in entries] == [3_500_000_000]
        assert state_of(order) == "partly_refunded"

    def test_what_was_spent_is_the_gateways_loss(self):
        order, _ = told(ORDER, PAID)
        settled = settle(order, PAID._replace(disputed_minor=10_000), 2 * DOLLAR, 6)
        assert [entry[:5] for entry in settled.transfers] == [
            ("chargeback", "toss:tu_1:1", ACCOUNT, PAID_BOOK, 2 * DOLLAR),
            ("chargeback", "toss:tu_1:2", SHORTFALL, PAID_BOOK, 5 * DOLLAR),
        ]
        assert settled.lost_to_bank
        assert (state_of(settled.order), settled.order.short_nanos) == ("disputed", 5 * DOLLAR)

    def test_a_dispute_that_was_won_makes_the_loss_good_first(self):
        order, _ = told(ORDER, PAID)
        order = settle(order, PAID._replace(disputed_minor=10_000), 2 * DOLLAR, 6).order
        won = settle(order, PAID, 0, 7)
        assert [entry[2:5] for entry in won.transfers] == [
            (PAID_BOOK, SHORTFALL, 5 * DOLLAR),
            (PAID_BOOK, ACCOUNT, 2 * DOLLAR),
        ]
        assert (won.order.short_nanos, state_of(won.order)) == (0, "paid")

    def test_a_refund_by_the_operators_own_hand_is_no_loss_to_a_bank(self):
        order, _ = told(ORDER, PAID)
        settled = settle(order, PAID._replace(refunded_minor=10_000), 0, 6)
        assert not settled.lost_to_bank
        assert settled.order.short_nanos == 7 * DOLLAR

    def test_a_dispute_that_is_won_after_a_refund_gives_back_what_was_not_refunded(self):
        half = PAID._replace(refunded_minor=5_000)
        order, entries = told(ORDER, PAID, half, half._replace(disputed_minor=5_000), half)
        assert (order.standing_nanos, balance(entries)) == (3_500_000_000, 3_500_000_000)

    def test_an_operator_is_limited_by_nothing(self):
        order, _ = told(ORDER, PAID, PAID._replace(refunded_minor=10_000), free=None)
        assert (order.short_nanos, order.standing_nanos) == (0, 0)

    def test_an_expired_order_is_one_that_nobody_paid(self):
        assert expire(ORDER).status == "expired"
        paid = told(ORDER, PAID)[0]
        assert expire(paid) == paid


@dataclass
class World:
    """An account with other credit, and a provider that does what it likes."""

    order: Order
    free: int
    entries: list = field(default_factory=list)
    refunded: int = 0
    disputed: int = 0
    state: str = "open"
    paid: int = 0


class Anything(RuleBasedStateMachine):
    """Whatever happens at the provider and is told in whichever order, the books are right."""

    @initialize(amount=st.integers(1, 50), credit=st.integers(1, 10**4), other=st.integers(0, 99))
    def begin(self, amount, credit, other):
        self.amount = amount
        order = ORDER._replace(amount_minor=amount, credit_nanos=credit)
        self.world = World(order, other, paid=amount)
        self.other = other
        self.spent = 0

    def take(self, settled: Settled):
        world = self.world
        world.order = settled.order
        world.entries += settled.transfers
        world.free += balance(settled.transfers)

    @property
    def payment(self) -> Payment:
        world = self.world
        if world.state != "paid":
            return Payment(world.state)
        return Payment("paid", "KRW", world.paid, world.refunded, world.disputed)

    @rule(state=st.sampled_from(["open", "waiting", "paid", "failed"]))
    def moves(self, state):
        self.world.state = state

    @rule(paid=st.integers(1, 50))
    def is_paid_otherwise(self, paid):
        if not self.world.order.was_credited:
            self.world.paid = paid
            self.world.refunded = self.world.disputed = 0

    @rule(worth=st.integers(1, 10**4))
    def is_accepted(self, worth):
        order = self.world.order
        seen = Seen(order.paid_currency, order.paid_minor)
        ruled = accept(order, seen, worth, self.world.free, 5)
        if isinstance(ruled, Settled):
            self.take(ruled)
            assert self.world.order.was_credited
            assert accept(self.world.order, seen, worth, self.world.free, 5) == "not_in_review"

    @rule()
    def is_closed(self):
        ruled = close(self.world.order, "elsewhere")
        if isinstance(ruled, Settled):
            self.take(ruled)
            assert not ruled.order.was_credited

    @rule(is_known=st.booleans())
    def refund_is_given_up(self, is_known):
        payment = self.payment if is_known else None
        ruled = give_up_refund(self.world.order, payment, self.world.free, 5)
        if isinstance(ruled, Settled):
            self.take(ruled)
            assert not self.world.order.pending_minor

    @rule(part=st.integers(0, 50))
    def is_refunded_at_the_console(self, part):
        self.world.refunded = min(part, self.world.paid)

    @rule(part=st.integers(0, 50))
    def is_disputed_or_won(self, part):
        self.world.disputed = min(part, self.world.paid)

    @rule(part=st.integers(0, 10**4))
    def spends(self, part):
        part = min(part, self.world.free)
        self.world.free -= part
        self.spent += part

    @rule(part=st.integers(1, 50))
    def refund_is_asked_for(self, part):
        asked = ask_refund(self.world.order, part, "", self.world.free, 5)
        if isinstance(asked, Settled):
            before = self.world.order.short_nanos
            self.take(asked)
            assert self.world.order.short_nanos == before

    @rule(is_done=st.booleans())
    def refund_ends(self, is_done):
        world = self.world
        if not world.order.pending_minor:
            return
        if is_done:
            world.refunded = min(world.paid, world.refunded + world.order.pending_minor)
        self.take(end_refund(world.order, self.payment, world.free, 5))
        assert not world.order.pending_minor
        self.is_told()

    @rule()
    def is_told(self):
        world = self.world
        self.take(settle(world.order, self.payment, world.free, 5))
        again = settle(world.order, self.payment, world.free, 5)
        assert again == Settled(world.order, [], lost_to_bank=False)
        order = world.order
        if order.status == "closed":
            assert order.standing_nanos == 0
        elif world.state == "paid" and world.paid == order.real_minor and order.status == "paid":
            gone = world.refunded + world.disputed + order.pending_minor
            left = max(0, world.paid - gone)
            assert order.standing_nanos == order.worth_nanos * left // world.paid
        elif order.status == "review":
            assert order.standing_nanos == 0
        elif world.state == "waiting":
            assert world.order.standing_nanos == 0

    @invariant()
    def books_are_right(self):
        if not hasattr(self, "world"):
            return
        order, entries = self.world.order, self.world.entries
        assert self.world.free >= 0
        assert -balance(entries, PAID_BOOK) == order.standing_nanos
        assert -balance(entries, SHORTFALL) == order.short_nanos >= 0
        assert balance(entries) + self.other - self.spent == self.world.free
        references = [entry.reference for entry in entries]
        assert len(set(references)) == len(references) == order.moves


TestAnything = Anything.TestCase
