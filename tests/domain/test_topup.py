"""What is booked for an order, whatever its provider says, in whichever order."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tokenferry.domain.ledger import SHORTFALL, account_book, paid_book
from tokenferry.domain.topup import (
    Order,
    Payment,
    RefundRefusal,
    Settled,
    ask_refund,
    credit_for,
    end_refund,
    expire,
    settle,
    state_of,
    won_for_dollars,
)

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


class TestRefunds:
    order = told(ORDER, PAID)[0]

    def test_the_credit_goes_first(self):
        asked = ask_refund(self.order, 4_000, "", 7 * DOLLAR, 6)
        assert isinstance(asked, Settled)
        [entry] = asked.transfers
        assert entry[:5] == ("refund", "toss:tu_1:1", ACCOUNT, PAID_BOOK, 2_800_000_000)
        order = asked.order
        assert (state_of(order), order.pending_minor, order.refunds) == ("refunding", 4_000, 1)
        # Done: nothing more is to be booked. Refused: it is there again.
        done = end_refund(order, PAID._replace(refunded_minor=4_000), 0, 7)
        assert (done.transfers, state_of(done.order)) == ([], "partly_refunded")
        refused = end_refund(order, PAID, 0, 7)
        assert balance(refused.transfers) == 2_800_000_000
        assert refused.order.revision == order.revision + 1
        assert state_of(refused.order) == "paid"

    def test_one_at_the_providers_console_meanwhile_frees_nothing(self):
        order = ask_refund(self.order, 4_000, "", 7 * DOLLAR, 6).order
        seen = settle(order, PAID._replace(refunded_minor=4_000), 10 * DOLLAR, 7)
        assert seen.order.standing_nanos == 7 * DOLLAR * 2_000 // 10_000
        assert seen.order.pending_minor == 4_000

    def test_the_next_one_has_a_number_of_its_own(self):
        order = ask_refund(self.order, 4_000, "", 7 * DOLLAR, 6).order
        order = end_refund(order, PAID, 0, 7).order
        again = ask_refund(order, 4_000, "", 7 * DOLLAR, 8)
        assert isinstance(again, Settled)
        assert again.order.refunds == 2

    def test_where_it_goes_is_forgotten_at_its_end(self):
        order = ask_refund(self.order, 4_000, '{"bank":"88"}', 7 * DOLLAR, 6).order
        assert order.refund_account
        assert not end_refund(order, PAID, 0, 7).order.refund_account

    @pytest.mark.parametrize(
        ("order", "minor", "free", "refusal"),
        [
            (ORDER, 1, DOLLAR, RefundRefusal("not_paid", 0)),
            (order._replace(pending_minor=5), 1, 7 * DOLLAR, RefundRefusal("pending", 0)),
            (order, 10_001, 7 * DOLLAR, RefundRefusal("too_much", 10_000)),
            (order, 10_001, 0, RefundRefusal("too_much", 0)),
            (order, 1, 0, RefundRefusal("spent", 0)),
            (order, 5_001, 3_500_000_000, RefundRefusal("spent", 5_000)),
            (order, 1, -5, RefundRefusal("spent", 0)),
        ],
    )
    def test_no_more_is_given_back_than_there_is(self, order, minor, free, refusal):
        assert ask_refund(order, minor, "", free, 6) == refusal

    @given(st.integers(1, 10_000), st.integers(0, 9 * DOLLAR))
    def test_what_may_be_asked_for_is_covered_to_the_last_nano(self, minor, free):
        asked = ask_refund(self.order, minor, "", free, 6)
        if isinstance(asked, RefundRefusal):
            assert asked.reason == "spent"
            assert asked.most_minor < minor
            if asked.most_minor:
                most = ask_refund(self.order, asked.most_minor, "", free, 6)
                assert isinstance(most, Settled)
        else:
            assert asked.order.short_nanos == 0
            assert -balance(asked.transfers) <= free


class TestRates:
    def test_vectors(self):
        assert credit_for("USD", 500, 0) == 5 * DOLLAR
        assert credit_for("KRW", 1_450, 1_450_000_000) == DOLLAR
        assert credit_for("KRW", 10_000, 1_450_000_000) == 6_896_551_724
        assert won_for_dollars(DOLLAR, 1_450_000_000) == 1_450
        assert won_for_dollars(1, 1_450_000_000) == 1

    @given(st.integers(1, 10**9), st.integers(1, 10**12))
    def test_nobody_gets_more_than_was_paid_for(self, won, rate):
        credit = credit_for("KRW", won, rate)
        assert credit * rate <= won * DOLLAR * 10**6 < (credit + 1) * rate
        assert won_for_dollars(credit, rate) <= won


@dataclass
class World:
    """An account with other credit, and a provider that does what it likes."""

    order: Order
    free: int
    entries: list = field(default_factory=list)
    refunded: int = 0
    disputed: int = 0
    state: str = "open"


class Anything(RuleBasedStateMachine):
    """Whatever happens at the provider and is told in whichever order, the books are right."""

    @initialize(amount=st.integers(1, 50), credit=st.integers(1, 10**4), other=st.integers(0, 99))
    def begin(self, amount, credit, other):
        self.amount = amount
        order = ORDER._replace(amount_minor=amount, credit_nanos=credit)
        self.world = World(order, other)
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
        return Payment("paid", "KRW", self.amount, world.refunded, world.disputed)

    @rule(state=st.sampled_from(["open", "waiting", "paid", "failed"]))
    def moves(self, state):
        self.world.state = state

    @rule(part=st.integers(0, 50))
    def is_refunded_at_the_console(self, part):
        self.world.refunded = min(part, self.amount)

    @rule(part=st.integers(0, 50))
    def is_disputed_or_won(self, part):
        self.world.disputed = min(part, self.amount)

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
            world.refunded = min(self.amount, world.refunded + world.order.pending_minor)
        self.take(end_refund(world.order, self.payment, world.free, 5))
        assert not world.order.pending_minor
        self.is_told()

    @rule()
    def is_told(self):
        world = self.world
        self.take(settle(world.order, self.payment, world.free, 5))
        again = settle(world.order, self.payment, world.free, 5)
        assert again == Settled(world.order, [], lost_to_bank=False)
        if world.state == "paid":
            gone = world.refunded + world.disputed + world.order.pending_minor
            left = max(0, self.amount - gone)
            assert world.order.standing_nanos == world.order.credit_nanos * left // self.amount
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
