import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.money import AMOUNT_NANOS_MAX, format_dollars, parse_dollars


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("5", 5_000_000_000),
        ("5.00", 5_000_000_000),
        ("0.000000001", 1),
        ("-0.5", -500_000_000),
        ("1000000000", AMOUNT_NANOS_MAX),
    ],
)
def test_decimals_are_read_exactly(text: str, nanos: int) -> None:
    assert parse_dollars(text) == nanos


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5.",
        ".5",
        "+5",
        "1e3",
        "1,000",
        "0.0000000001",
        "1000000000.1",
        "\u0665",
        "5 ",
        "NaN",
        "--1",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    assert parse_dollars(text) is None


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "0.00"),
        (5_000_000_000, "5.00"),
        (1, "0.000000001"),
        (-1_500_000_000, "-1.50"),
        (12_300_000, "0.0123"),
    ],
)
def test_amounts_are_shown_exactly(nanos: int, text: str) -> None:
    assert format_dollars(nanos) == text


@given(st.integers(-AMOUNT_NANOS_MAX, AMOUNT_NANOS_MAX))
def test_what_is_shown_is_read_back(nanos: int) -> None:
    assert parse_dollars(format_dollars(nanos)) == nanos
