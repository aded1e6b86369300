"""How counts become states, bars, percentiles and incidents."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenferry.domain.service_status import (
    DAYS_SHOWN,
    FIRST_TOKEN_MS,
    MS_PER_HOUR,
    DayCount,
    FirstTokens,
    HourCount,
    Incident,
    bucket_of,
    percentile,
    report,
    state_of,
    worst,
)

DAY = 20_000
# Noon of that day.
HOUR = DAY * 24 + 12
NOW_MS = HOUR * MS_PER_HOUR + 1


def made(*hours, models=("m",), first_tokens=(), now_ms=NOW_MS):
    """Return the report of what some hours have counted: whole days, and the hours themselves."""
    days = [DayCount(hour // 24, *rest) for hour, *rest in hours]
    return report(models, days, [HourCount(*each) for each in hours], first_tokens, now_ms)


@pytest.mark.parametrize(
    ("served", "failed", "state"),
    [
        (0, 0, "unknown"),
        (1, 0, "operational"),
        (99, 1, "operational"),
        (98, 1, "degraded"),
        (0, 1, "degraded"),
        (0, 2, "degraded"),
        (0, 3, "outage"),
        (3, 3, "degraded"),
        (3, 4, "outage"),
    ],
)
def test_states(served, failed, state):
    assert state_of(served, failed) == state


def test_the_worst_of_what_is_known():
    assert worst([]) == "unknown"
    assert worst(["unknown", "operational"]) == "operational"
    assert worst(["degraded", "outage", "operational"]) == "outage"


@pytest.mark.parametrize(
    ("ms", "bucket"),
    [(0, 0), (50, 0), (51, 1), (600_000, len(FIRST_TOKEN_MS) - 1), (600_001, len(FIRST_TOKEN_MS))],
)
def test_buckets_end_at_their_bound(ms, bucket):
    assert bucket_of(ms) == bucket


def test_percentiles():
    assert percentile({}, 50) is None
    # Ten between 200 and 300: the fifth of them is in the middle.
    assert percentile({4: 10}, 50) == 250
    assert percentile({0: 95, 6: 5}, 95) == 50
    assert percentile({0: 94, 6: 6}, 95) == 400 + 100 // 6
    assert percentile({len(FIRST_TOKEN_MS): 1}, 50) == FIRST_TOKEN_MS[-1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 700_000), min_size=1, max_size=60), st.integers(1, 100))
def test_a_percentile_is_within_the_bucket_of_the_real_one(times, percent):
    counts = {}
    for ms in times:
        counts[bucket_of(ms)] = counts.get(bucket_of(ms), 0) + 1
    real = sorted(times)[-(-len(times) * percent // 100) - 1]
    found = percentile(counts, percent)
    bucket = bucket_of(real)
    lower = FIRST_TOKEN_MS[bucket - 1] if bucket else 0
    upper = FIRST_TOKEN_MS[bucket] if bucket < len(FIRST_TOKEN_MS) else lower
    assert lower <= found <= upper


def test_nothing_known_is_nothing_said():
    found = made()
    (model,) = found.models
    assert (found.state, model.state, model.served_ppm) == ("unknown", "unknown", None)
    assert (model.p50_ms, model.p95_ms, found.incidents) == (None, None, [])
    assert len(model.days) == DAYS_SHOWN
    assert {(day.state, day.served_ppm) for day in model.days} == {("unknown", None)}
    assert (model.days[0].day, model.days[-1].day) == (DAY - DAYS_SHOWN + 1, DAY)


def test_days_are_summed_and_what_is_older_is_left_out():
    oldest = (DAY - DAYS_SHOWN + 1) * 24
    found = made(
        (oldest - 1, "m", 0, 50),
        (oldest, "m", 10, 0),
        (oldest + 23, "m", 9, 1),
        (HOUR, "other", 0, 50),
    )
    (model,) = found.models
    assert (model.days[0].state, model.days[0].served_ppm) == ("degraded", 950_000)
    assert (model.served_ppm, found.incidents) == (950_000, [])


def test_a_day_is_no_better_than_its_worst_hour():
    (model,) = made((HOUR - 3, "m", 0, 5), *((HOUR - n, "m", 10_000, 0) for n in range(3))).models
    assert model.days[-1].state == "outage"
    assert model.days[-1].served_ppm == 999_833
    assert model.state == "operational"


@pytest.mark.parametrize(("ago", "state"), [(0, "outage"), (23, "outage"), (24, "unknown")])
def test_the_state_of_now_is_that_of_the_latest_hours(ago, state):
    assert made((HOUR - ago, "m", 0, 3)).models[0].state == state


def test_the_state_of_now_forgets_what_was_before():
    hours = [(HOUR - 2, "m", 0, 100), (HOUR - 1, "m", 50, 0), (HOUR, "m", 50, 0)]
    assert made(*hours).models[0].state == "operational"


def test_the_service_is_as_well_as_its_worst_model():
    found = made((HOUR, "a", 5, 0), (HOUR, "b", 5, 4), models=("a", "b", "c"))
    assert [model.state for model in found.models] == ["operational", "degraded", "unknown"]
    assert found.state == "degraded"


def test_names_that_stand_for_one_model_are_summed():
    found = made((HOUR, "m", 1, 0), (HOUR, "m", 0, 1))
    assert found.models[0].served_ppm == 500_000


def test_first_tokens_of_all_days():
    found = made(first_tokens=[FirstTokens(DAY, "m", 0, 1), FirstTokens(DAY - 1, "m", 4, 9)])
    assert found.models[0].p50_ms == 200 + 100 * 4 // 9


class TestIncidents:
    def test_a_run_of_bad_hours_is_one(self):
        hours = [(HOUR - 5, "m", 9, 0), (HOUR - 4, "m", 1, 3), (HOUR - 3, "m", 7, 3),
                 (HOUR - 2, "m", 9, 0)]  # fmt: skip
        expected = Incident("m", HOUR - 4, HOUR - 3, "outage", 6_000_000 // 14, is_over=True)
        assert made(*hours).incidents == [expected]

    @pytest.mark.parametrize("between", [(), ((HOUR - 3, "m", 9, 0),)])
    def test_an_hour_between_bad_ones_does_not_part_them(self, between):
        near = made((HOUR - 4, "m", 0, 3), *between, (HOUR - 2, "m", 0, 3)).incidents
        assert [(each.first_hour, each.last_hour) for each in near] == [(HOUR - 4, HOUR - 2)]
        far = made((HOUR - 5, "m", 0, 3), (HOUR - 2, "m", 0, 3)).incidents
        assert [each.first_hour for each in far] == [HOUR - 2, HOUR - 5]

    def test_two_failures_are_none(self):
        assert made((HOUR, "m", 0, 2)).incidents == []

    def test_one_is_over_when_something_good_was_seen_since(self):
        (incident,) = made((HOUR - 1, "m", 0, 3), (HOUR, "m", 1, 0)).incidents
        assert incident.is_over

    @pytest.mark.parametrize(("ago", "is_over"), [(0, False), (23, False), (24, True)])
    def test_one_that_nobody_has_seen_end(self, ago, is_over):
        (incident,) = made((HOUR - ago, "m", 0, 9)).incidents
        assert incident.is_over is is_over

    def test_the_latest_come_first_and_are_not_too_many(self):
        hours = [(HOUR - 10 * n, name, 0, 3) for n in range(15) for name in ("a", "b")]
        found = made(*hours, models=("a", "b")).incidents
        assert len(found) == 20
        assert [each.last_hour for each in found] == sorted(
            (each.last_hour for each in found), reverse=True
        )
