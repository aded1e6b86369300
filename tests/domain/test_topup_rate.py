"""Nobody gets more credit than was paid for."""

from hypothesis import given
from hypothesis import strategies as st

from domain.test_topup import DOLLAR
from tokenferry.domain.topup_rate import credit_for, won_for_dollars


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
