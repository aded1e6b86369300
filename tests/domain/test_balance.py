import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.balance import SAMPLES_MAX, SAMPLES_MIN, Facts, FirstTokens, arrange

STRATEGIES = ["ordered", "weighted", "least_loaded", "lowest_latency"]


def facts(*rows: tuple[int, int, float | None, float]) -> list[Facts]:
    return [Facts(*row) for row in rows]


def test_ordered_is_the_order_of_the_configuration() -> None:
    assert arrange("ordered", facts((1, 9, 9.0, 0.9), (1, 0, 0.1, 0.1), (9, 0, 0.1, 0.1))) == [
        0,
        1,
        2,
    ]


def test_weighted_is_first_as_often_as_the_weight_says() -> None:
    dice = random.Random(7)  # noqa: S311
    firsts = [0, 0, 0]
    for _ in range(10_000):
        rows = [Facts(weight, 0, None, dice.random()) for weight in (6, 3, 1)]
        firsts[arrange("weighted", rows)[0]] += 1
    assert [round(count / 1000) for count in firsts] == [6, 3, 1]


def test_a_weight_of_nothing_is_for_when_nothing_else_is_left() -> None:
    for dice in (0.0, 0.5, 0.999):
        assert arrange("weighted", facts((0, 0, None, 0.999), (1, 0, None, dice))) == [1, 0]
        assert arrange("least_loaded", facts((0, 0, None, dice), (1, 99, None, dice))) == [1, 0]


@pytest.mark.parametrize(
    ("loads", "weights", "order"),
    [
        ((0, 0), (1, 1), [0, 1]),
        ((1, 0), (1, 1), [1, 0]),
        ((3, 2), (2, 1), [0, 1]),
        ((5, 1), (2, 1), [1, 0]),
    ],
)
def test_least_loaded_is_the_fewest_for_its_weight(loads, weights, order) -> None:
    rows = [Facts(w, load, None, 0.5) for w, load in zip(weights, loads, strict=True)]
    assert arrange("least_loaded", rows) == order


def test_lowest_latency_is_the_soonest_and_the_unknown_are_measured_first() -> None:
    assert arrange("lowest_latency", facts((1, 0, 0.5, 0.5), (1, 0, 0.2, 0.5))) == [1, 0]
    assert arrange("lowest_latency", facts((1, 0, 0.2, 0.5), (1, 0, None, 0.5))) == [1, 0]
    # One of twenty goes by lot.
    assert arrange("lowest_latency", facts((1, 0, 0.2, 0.04), (1, 0, 0.9, 0.01))) == [1, 0]


@given(
    st.sampled_from(STRATEGIES),
    st.lists(
        st.builds(
            Facts,
            st.integers(0, 1000),
            st.integers(0, 1000),
            st.none() | st.floats(0, 600),
            st.floats(0, 1, exclude_max=True),
        ),
        min_size=1,
        max_size=16,
    ),
)
def test_every_candidate_is_in_the_order_once(strategy, rows) -> None:
    assert sorted(arrange(strategy, rows)) == list(range(len(rows)))


def test_few_first_tokens_say_nothing() -> None:
    times = FirstTokens()
    for _ in range(SAMPLES_MIN - 1):
        times.add(1.0)
    assert (times.median_s, times.p95_s) == (None, None)
    times.add(3.0)
    assert (times.median_s, times.p95_s) == (1.0, 3.0)


def test_of_many_first_tokens_the_latest_count() -> None:
    times = FirstTokens()
    for number in range(1, SAMPLES_MAX + 1):
        times.add(number)
    assert (times.median_s, times.p95_s) == (50, 95)
    for _ in range(SAMPLES_MAX):
        times.add(7)
    assert (times.median_s, times.p95_s) == (7, 7)


@given(st.lists(st.floats(0, 600), min_size=SAMPLES_MIN, max_size=300))
def test_quantiles_are_of_the_latest_hundred(samples: list[float]) -> None:
    times = FirstTokens()
    for sample in samples:
        times.add(sample)
    latest = sorted(samples[-SAMPLES_MAX:])
    median_s, p95_s = times.median_s, times.p95_s
    assert median_s is not None
    assert p95_s is not None
    assert sum(sample <= median_s for sample in latest) * 2 >= len(latest)
    assert sum(sample <= p95_s for sample in latest) * 100 >= len(latest) * 95
    assert median_s <= p95_s <= latest[-1]
