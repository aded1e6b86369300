import pytest

from tokenferry.config.money_rules import Dollars, Percent
from tokenferry.config.rules import Refused


@pytest.mark.parametrize(("text", "nanos"), [("0", 0), ("1.00", 10**9), ("2.5", 2_500_000_000)])
def test_dollars_become_nano_dollars(text, nanos):
    assert Dollars(0, 3).accept(text) == nanos


@pytest.mark.parametrize("value", [1, 1.5, True, "1e3", "3.000000001", "-0.01", "one", ""])
def test_other_amounts_are_refused(value):
    with pytest.raises(Refused, match="is "):
        Dollars(0, 3).accept(value)


@pytest.mark.parametrize(
    ("text", "ppm"), [("0", 0), ("12.5", 125_000), ("-100", -1_000_000), ("0.0001", 1)]
)
def test_percentages_become_parts_per_million(text, ppm):
    assert Percent(-100, 100).accept(text) == ppm


@pytest.mark.parametrize("value", [10, "100.0001", "-101", "10%", "1.00001", "\u0665"])
def test_other_percentages_are_refused(value):
    with pytest.raises(Refused, match="is "):
        Percent(-100, 100).accept(value)
