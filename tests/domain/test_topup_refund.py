"""Money is given back, refused, or not waited for any more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.test_topup import ACCOUNT, DOLLAR, ORDER, PAID, PAID_BOOK, balance, told
from tokenferry.domain.topup import Settled, settle, state_of
from tokenferry.domain.topup_refund import RefundRefusal, ask_refund, end_refund, give_up_refund


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


class TestGivingUp:
    order = ask_refund(told(ORDER, PAID)[0], 4_000, '{"bank":"88"}', 7 * DOLLAR, 6).order

    @pytest.mark.parametrize("payment", [PAID, None])
    def test_the_credit_stands_again(self, payment):
        given_up = give_up_refund(self.order, payment, 0, 8)
        assert isinstance(given_up, Settled)
        order = given_up.order
        assert balance(given_up.transfers) == 2_800_000_000
        assert (order.pending_minor, order.refund_account) == (0, "")
        assert (order.given_up_minor, order.given_up_ms) == (4_000, 8)
        assert order.revision > self.order.revision
        assert give_up_refund(order, payment, 0, 9) == RefundRefusal("none", 0)

    def test_one_that_is_made_all_the_same_takes_the_credit_and_is_counted_once(self):
        order = give_up_refund(self.order, PAID, 0, 8).order
        late = PAID._replace(refunded_minor=4_000)
        after, entries = told(order, late, late, free=DOLLAR)
        # What was spent meanwhile is the gateway's loss.
        assert (balance(entries), after.short_nanos) == (-DOLLAR, 1_800_000_000)
        assert (after.given_up_minor, after.late_minor) == (0, 4_000)

    def test_one_that_was_just_made_books_nothing(self):
        given_up = give_up_refund(self.order, PAID._replace(refunded_minor=4_000), 0, 8)
        assert (given_up.transfers, given_up.order.late_minor) == ([], 4_000)

    def test_another_refund_after_it_is_not_taken_for_it(self):
        order = give_up_refund(self.order, PAID, 0, 8).order
        asked = ask_refund(order, 4_000, "", 9 * DOLLAR, 9).order
        assert (asked.refunds, asked.pending_ms) == (2, 9)
        done = end_refund(asked, PAID._replace(refunded_minor=4_000), 0, 10).order
        assert (done.given_up_minor, done.late_minor) == (4_000, 0)
        late = settle(done, PAID._replace(refunded_minor=8_000), 9 * DOLLAR, 11).order
        assert (late.given_up_minor, late.late_minor) == (0, 4_000)
