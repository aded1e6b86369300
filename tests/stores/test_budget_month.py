import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.stores.budget_month import budget_month

# The end of the year 9999.
MOMENT_MS_MAX = 253_402_300_799_999


@pytest.mark.parametrize(
    ("moment_ms", "month"),
    [
        (0, 197001),
        (1_796_083_199_999, 202611),
        (1_796_083_200_000, 202612),
        (1_798_761_600_000, 202701),
    ],
)
def test_the_month_is_that_of_utc(moment_ms, month):
    assert budget_month(moment_ms) == month


@given(st.integers(0, MOMENT_MS_MAX), st.integers(0, MOMENT_MS_MAX))
def test_months_are_in_the_order_of_their_moments(one, other):
    first, second = sorted((one, other))
    assert 197001 <= budget_month(first) <= budget_month(second) <= 999912
    assert 1 <= budget_month(first) % 100 <= 12
