"""How well models were served, from counts of days, hours and first tokens: states and incidents.

Hours and days are counted from the Unix epoch, UTC. A request speaks for availability if it was
served, and against it if a provider or the gateway failed it; see `request_record.is_available`.

Weakness: where nobody asks nothing is known. A percentile is interpolated within a bucket.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

State = Literal["operational", "degraded", "outage", "unknown"]

HOURS_A_DAY = 24
DAYS_SHOWN = 90
MS_PER_HOUR = 3_600_000
MS_PER_DAY = HOURS_A_DAY * MS_PER_HOUR
# More than one of a hundred failed: people notice. More than half: it does not work.
DEGRADED_PPM = 10_000
OUTAGE_PPM = 500_000
# One failure of one request says little; an hour is no incident before the third.
FAILED_MIN = 3
# The state of now is that of the latest hours in which somebody asked.
NOW_HOURS = 2
NOW_WITHIN_HOURS = 24
# Bad hours this near to each other are one incident, whatever was between.
INCIDENT_GAP_HOURS = 2
INCIDENTS_MAX = 20
PPM = 1_000_000

# Upper ends of the buckets of times to the first token, in milliseconds; one more is beyond.
FIRST_TOKEN_MS = (
    50, 100, 150, 200, 300, 400, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 7_500, 10_000,
    15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
)  # fmt: skip


class HourCount(NamedTuple):
    """What one model served within an hour."""

    hour: int
    model: str
    served: int
    failed: int


class DayCount(NamedTuple):
    """What one model served within a day."""

    day: int
    model: str
    served: int
    failed: int


class FirstTokens(NamedTuple):
    """How many first tokens of a model fell into one bucket within a day."""

    day: int
    model: str
    bucket: int
    tokens: int


class Day(NamedTuple):
    """One day of a model.

    Attributes:
        day: Which.
        state: How it was.
        served_ppm: The share of requests that were served; None if nobody asked.
    """

    day: int
    state: State
    served_ppm: int | None


class Incident(NamedTuple):
    """A run of bad hours of one model.

    Attributes:
        model: Which.
        first_hour: The first bad one.
        last_hour: The last bad one.
        state: The worst of them.
        failed_ppm: The share of requests that failed within it.
        is_over: Whether it has ended, as far as anybody knows.
    """

    model: str
    first_hour: int
    last_hour: int
    state: State
    failed_ppm: int
    is_over: bool


class ModelStatus(NamedTuple):
    """One model.

    Attributes:
        model: The name that clients ask for.
        state: How it is now.
        served_ppm: The share of requests that were served, over all days; None if nobody asked.
        days: Day by day, today last.
        p50_ms: Half of the first tokens came within this time; None if none came.
        p95_ms: 95 of 100 came within it.
    """

    model: str
    state: State
    served_ppm: int | None
    days: Sequence[Day]
    p50_ms: int | None
    p95_ms: int | None


class Report(NamedTuple):
    """The whole service.

    Attributes:
        state: The worst of what is known of the models now.
        models: In the order of the catalog.
        incidents: The latest first.
        now_ms: When it was made, Unix time.
    """

    state: State
    models: Sequence[ModelStatus]
    incidents: Sequence[Incident]
    now_ms: int


class _Counts:
    """Served and failed requests."""

    __slots__ = ("failed", "served")

    def __init__(self) -> None:
        self.served = self.failed = 0

    def add(self, served: int, failed: int) -> None:
        self.served += served
        self.failed += failed

    @property
    def state(self) -> State:
        return state_of(self.served, self.failed)

    @property
    def served_ppm(self) -> int | None:
        total = self.served + self.failed
        return self.served * PPM // total if total else None


def bucket_of(first_token_ms: int) -> int:
    """Return the bucket of a time to the first token."""
    return bisect_left(FIRST_TOKEN_MS, first_token_ms)


def state_of(served: int, failed: int) -> State:
    """Return how it went with so many served and failed requests."""
    total = served + failed
    if not total:
        return "unknown"
    if failed * PPM <= DEGRADED_PPM * total:
        return "operational"
    is_outage = failed >= FAILED_MIN and failed * PPM > OUTAGE_PPM * total
    return "outage" if is_outage else "degraded"


def worst(states: Iterable[State]) -> State:
    """Return the worst of what is known."""
    return max(states, key=_ORDER.index, default="unknown")


_ORDER: Sequence[State] = ("unknown", "operational", "degraded", "outage")


def percentile(counts: Mapping[int, int], percent: int) -> int | None:
    """Return the time in ms within which so many of a hundred first tokens came.

    Args:
        counts: How many fell into each bucket.
        percent: 1 to 100.
    """
    total = sum(counts.values())
    if not total:
        return None
    # The rank of the one that is asked for, counted from 1.
    rank = -(-total * percent // 100)
    before = 0
    for bucket in sorted(counts):
        count = counts[bucket]
        if before + count >= rank:
            lower = FIRST_TOKEN_MS[bucket - 1] if bucket else 0
            if bucket >= len(FIRST_TOKEN_MS):
                return lower
            return lower + (FIRST_TOKEN_MS[bucket] - lower) * (rank - before) // count
        before += count
    return None


def report(
    models: Sequence[str],
    days: Iterable[DayCount],
    hours: Iterable[HourCount],
    first_tokens: Iterable[FirstTokens],
    now_ms: int,
) -> Report:
    """Return how the models were served.

    Args:
        models: Their names; what is counted under other names is left out.
        days: Those that are shown, in any order; names may repeat within one.
        hours: Those of them that may be bad (`FAILED_MIN`), and all of the last 24; the same.
        first_tokens: The same.
        now_ms: Unix time.
    """
    of_days, of_hours = _by_model(models, days), _by_model(models, hours)
    buckets: dict[str, dict[int, int]] = {model: defaultdict(int) for model in models}
    for each in first_tokens:
        if each.model in buckets:
            buckets[each.model][each.bucket] += each.tokens
    statuses = [
        _model(name, of_days[name], of_hours[name], buckets[name], now_ms) for name in models
    ]
    incidents = sorted(
        (each for name in models for each in _incidents(name, of_hours[name], now_ms)),
        key=lambda incident: (incident.last_hour, incident.first_hour, incident.model),
        reverse=True,
    )
    return Report(
        worst(status.state for status in statuses), statuses, incidents[:INCIDENTS_MAX], now_ms
    )


def _by_model(
    models: Sequence[str], counted: Iterable[DayCount | HourCount]
) -> dict[str, dict[int, _Counts]]:
    by_model: dict[str, dict[int, _Counts]] = {model: defaultdict(_Counts) for model in models}
    for when, model, served, failed in counted:
        if model in by_model:
            by_model[model][when].add(served, failed)
    return by_model


def _model(
    name: str,
    days: Mapping[int, _Counts],
    hours: Mapping[int, _Counts],
    buckets: Mapping[int, int],
    now_ms: int,
) -> ModelStatus:
    today, whole, nothing = now_ms // MS_PER_DAY, _Counts(), _Counts()
    shown = range(today - DAYS_SHOWN + 1, today + 1)
    worst_hours: dict[int, State] = defaultdict(lambda: "unknown")
    for hour, counts in hours.items():
        if _is_bad(counts):
            day = hour // HOURS_A_DAY
            worst_hours[day] = worst((counts.state, worst_hours[day]))
    bars = []
    for day in shown:
        counts = days.get(day, nothing)
        whole.add(counts.served, counts.failed)
        # A day is no better than its worst hour: an outage is seen, however short it was.
        bars.append(Day(day, worst((counts.state, worst_hours[day])), counts.served_ppm))
    return ModelStatus(
        name,
        _state_now(hours, now_ms // MS_PER_HOUR),
        whole.served_ppm,
        bars,
        percentile(buckets, 50),
        percentile(buckets, 95),
    )


def _is_bad(counts: _Counts) -> bool:
    return counts.failed >= FAILED_MIN and counts.state != "operational"


def _state_now(hours: Mapping[int, _Counts], hour: int) -> State:
    """Return the state of the latest hours in which somebody asked."""
    latest = max((each for each in hours if each <= hour), default=None)
    if latest is None or latest <= hour - NOW_WITHIN_HOURS:
        return "unknown"
    counts = _Counts()
    for each in range(latest - NOW_HOURS + 1, latest + 1):
        if each in hours:
            counts.add(hours[each].served, hours[each].failed)
    return counts.state


def _incidents(name: str, hours: Mapping[int, _Counts], now_ms: int) -> Iterator[Incident]:
    now_hour = now_ms // MS_PER_HOUR
    oldest = (now_ms // MS_PER_DAY - DAYS_SHOWN + 1) * HOURS_A_DAY
    known = sorted(hour for hour in hours if oldest <= hour <= now_hour)
    run: list[int] = []
    for hour in (each for each in known if _is_bad(hours[each])):
        if run and hour - run[-1] > INCIDENT_GAP_HOURS:
            yield _incident(name, run, hours, is_over=True)
            run = []
        run.append(hour)
    if run:
        # Over once something good was seen since; after a while of silence nobody can say.
        is_over = known[-1] > run[-1] or now_hour - run[-1] >= NOW_WITHIN_HOURS
        yield _incident(name, run, hours, is_over=is_over)


def _incident(
    name: str, run: Sequence[int], hours: Mapping[int, _Counts], *, is_over: bool
) -> Incident:
    served = sum(hours[hour].served for hour in run)
    failed = sum(hours[hour].failed for hour in run)
    state = worst(hours[hour].state for hour in run)
    return Incident(name, run[0], run[-1], state, failed * PPM // (served + failed), is_over)
