"""What was paid instead of what was ordered is accepted, given back, or settled elsewhere."""

import pytest

from domain.test_topup import ACCOUNT, DOLLAR, ORDER, PAID, PAID_BOOK, balance, told
from tokenferry.domain.topup import Payment, Settled, state_of
from tokenferry.domain.topup_rate import worth_of_paid
from tokenferry.domain.topup_refund import RefundRefusal, ask_refund, end_refund
from tokenferry.domain.topup_review import Seen, accept, close


class TestReview:
    LESS = PAID._replace(amount_minor=5_000)
    order = told(ORDER, LESS)[0]
    seen = Seen("KRW", 5_000)

    def test_what_was_paid_instead_is_credited_once_at_the_orders_rate(self):
        assert worth_of_paid(self.order) == 3_500_000_000
        taken = accept(self.order, self.seen, 3_500_000_000, 0, 6)
        assert isinstance(taken, Settled)
        [entry] = taken.transfers
        assert entry[:5] == ("topup", "toss:tu_1:0", PAID_BOOK, ACCOUNT, 3_500_000_000)
        order = taken.order
        assert (state_of(order), order.revision) == ("paid", self.order.revision + 1)
        assert told(order, self.LESS, self.LESS) == (order, [])
        assert accept(order, self.seen, 3_500_000_000, 0, 6) == "not_in_review"

    def test_later_refunds_and_disputes_count_from_what_was_paid(self):
        order = accept(self.order, self.seen, 3_500_000_000, 0, 6).order
        after, entries = told(order, self.LESS._replace(refunded_minor=2_500), free=4 * DOLLAR)
        assert (state_of(after), balance(entries)) == ("partly_refunded", -1_750_000_000)
        whole = self.LESS._replace(refunded_minor=5_000)
        after, entries = told(order, whole, free=4 * DOLLAR)
        assert (state_of(after), balance(entries)) == ("refunded", -3_500_000_000)
        # Something else again: it is said, and what was credited stays.
        after, entries = told(order, PAID)
        assert (after.status, after.detail, entries) == ("paid", "paid 10000, not 5000 KRW", [])

    @pytest.mark.parametrize(
        ("order", "seen", "refusal"),
        [
            (ORDER, seen, "not_in_review"),
            (order, Seen("KRW", 10_000), "changed"),
            (order, Seen("USD", 5_000), "changed"),
            (told(ORDER, PAID._replace(live=False))[0], Seen("KRW", 0), "nothing"),
            (told(ORDER, LESS._replace(refunded_minor=5_000))[0], seen, "not_in_review"),
            (told(ORDER, LESS._replace(disputed_minor=5_000))[0], seen, "nothing"),
            (order._replace(pending_minor=1), seen, "not_in_review"),
        ],
    )
    def test_what_cannot_be_accepted(self, order, seen, refusal):
        assert accept(order, seen, DOLLAR, 0, 6) == refusal

    def test_money_of_another_kind_has_a_worth_where_there_is_a_rate(self):
        dollars = told(ORDER, Payment("paid", "USD", 700))[0]
        assert worth_of_paid(dollars) == 7 * DOLLAR
        assert worth_of_paid(told(ORDER, Payment("paid", "EUR", 700))[0]) is None

    def test_all_that_was_paid_can_be_given_back(self):
        assert ask_refund(self.order, 5_001, "", 0, 6) == RefundRefusal("too_much", 5_000)
        asked = ask_refund(self.order, 5_000, "", 0, 6)
        assert isinstance(asked, Settled)
        assert (asked.transfers, state_of(asked.order)) == ([], "refunding")
        done = end_refund(asked.order, self.LESS._replace(refunded_minor=5_000), 0, 7)
        assert (done.transfers, state_of(done.order)) == ([], "refunded")
        refused = end_refund(asked.order, self.LESS, 0, 7, is_made=False)
        assert state_of(refused.order) == "review"

    def test_one_that_was_given_back_at_the_console_needs_nobody_any_more(self):
        after, entries = told(self.order, self.LESS._replace(refunded_minor=5_000))
        assert (state_of(after), entries) == ("refunded", [])

    def test_a_closed_one_stays_closed_whatever_the_provider_says(self):
        closed = close(self.order, "by bank transfer")
        assert isinstance(closed, Settled)
        assert (state_of(closed.order), closed.order.detail) == ("closed", "by bank transfer")
        assert close(closed.order, "twice") == "not_in_review"
        assert accept(closed.order, self.seen, 1, 0, 6) == "not_in_review"
        assert told(closed.order, self.LESS) == (closed.order, [])
        for payment in (Payment("waiting"), Payment("failed"), Payment("open")):
            assert told(closed.order, payment)[0].status == "closed"
        after, entries = told(closed.order, PAID)
        assert (after.status, entries) == ("closed", [])
        assert after.detail == "after it was closed, the provider says: paid 10000 KRW"
        after, entries = told(closed.order, self.LESS._replace(refunded_minor=5_000))
        assert (after.refunded_minor, entries) == (5_000, [])

    def test_what_was_paid_for_a_closed_one_is_noted_where_it_was_not_known(self):
        """As of orders that were in review before it was kept."""
        closed = close(ORDER._replace(status="review"), "by bank transfer").order
        after, _ = told(closed, self.LESS, self.LESS)
        assert (after.detail, after.paid_minor) == ("by bank transfer", 5_000)
