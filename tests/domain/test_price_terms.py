import pytest

from tokenferry.domain.price_terms import (
    EVERY_DAY,
    RATE_NAMES,
    Rates,
    Scale,
    Terms,
    Tier,
    Window,
    complete_rates,
)

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
THURSDAY = 0  # the first of January 1970


def flat(nanos: int) -> Scale:
    return Scale(complete_rates({"input": nanos, "output": nanos}))


def test_what_is_left_out_and_what_is_dearest():
    rates = complete_rates({"input": 5, "output": 7})
    assert rates == Rates(5, 5, 5, 5, 5, 7, 7, 7)
    assert rates.given() == {"input": 5, "output": 7}
    assert (rates.input_max, rates.output_max) == (5, 7)
    assert complete_rates({"input": 5, "output": 7, "cache_write": 6}).cache_write_1h == 6
    with pytest.raises(KeyError):
        complete_rates({"input": 5})


@pytest.mark.parametrize("name", RATE_NAMES)
def test_each_rate_may_be_the_dearest_of_its_side(name):
    rates = complete_rates({"input": 5, "output": 7, name: 9})
    assert rates.given()[name] == 9
    sides = (rates.input_max, rates.output_max)
    is_output = name in ("output", "reasoning", "audio_output")
    assert sides == ((5, 9) if is_output else (9, 7))


def test_a_tier_begins_above_its_threshold():
    low, middle, high = (flat(n).rates for n in (1, 2, 3))
    scale = Scale(low, (Tier(10, middle), Tier(20, high)))
    assert [scale.rates_for(n).input for n in (0, 10, 11, 20, 21)] == [1, 1, 2, 2, 3]
    assert [rates.input for rates in scale.all_rates()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("window", "moment_ms", "holds"),
    [
        ((60, 240, EVERY_DAY), THURSDAY + HOUR - 1, False),
        ((60, 240, EVERY_DAY), THURSDAY + HOUR, True),
        ((60, 240, EVERY_DAY), THURSDAY + 4 * HOUR - 1, True),
        ((60, 240, EVERY_DAY), THURSDAY + 4 * HOUR, False),
        # Saturday the third and Monday the fifth.
        ((60, 240, frozenset(range(5))), 1 * DAY + 2 * HOUR, True),
        ((60, 240, frozenset(range(5))), 2 * DAY + 2 * HOUR, False),
        ((60, 240, frozenset(range(5))), 3 * DAY + 2 * HOUR, False),
        ((60, 240, frozenset(range(5))), 4 * DAY + 2 * HOUR, True),
        # Over midnight: the day on which it begins counts.
        ((1380, 60, EVERY_DAY), 23 * HOUR - 1, False),
        ((1380, 60, EVERY_DAY), 23 * HOUR, True),
        ((1380, 60, EVERY_DAY), DAY, True),
        ((1380, 60, EVERY_DAY), DAY + HOUR - 1, True),
        ((1380, 60, EVERY_DAY), DAY + HOUR, False),
        ((1380, 60, frozenset({4})), DAY + 23 * HOUR, True),
        ((1380, 60, frozenset({4})), 2 * DAY, True),
        ((1380, 60, frozenset({4})), DAY, False),
        ((1380, 60, frozenset({4})), 2 * DAY + 23 * HOUR, False),
        # A whole day.
        ((0, 0, EVERY_DAY), 12 * HOUR, True),
    ],
)
def test_windows_hold_at_their_hours(window, moment_ms, holds):
    assert Window(*window, flat(1)).holds_at(moment_ms) is holds


def test_the_first_window_that_holds_counts():
    terms = Terms(
        flat(1), (Window(0, 120, EVERY_DAY, flat(2)), Window(60, 180, EVERY_DAY, flat(3)))
    )
    found = [terms.scale_at(hour * HOUR).rates.input for hour in range(4)]
    assert found == [2, 2, 3, 1]
