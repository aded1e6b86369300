"""The tallies say what Prometheus' own counters and histograms would say."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from tokenferry.server.tally import CounterTally, HistogramTally

BOUNDS = (0.0001, 0.25, 1, 2.5, 30)
LABELS = st.tuples(st.sampled_from(["a", '"가\n\\']), st.sampled_from(["m", "n"]))


def said(registry: CollectorRegistry) -> list[str]:
    # When a child was made is what nobody reads, and the server switches it off for all.
    lines = generate_latest(registry).decode().splitlines()
    return sorted(line for line in lines if not re.search(r"_created\b", line))


@given(st.lists(st.tuples(LABELS, st.integers(1, 10**12))))
def test_a_counter_counts_as_prometheus_does(added: list[tuple[tuple[str, str], int]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = CounterTally("things", "What is counted.", ("provider", "model"), ours)
    counter = Counter("things", "What is counted.", ("provider", "model"), registry=theirs)
    for values, count in added:
        tally.add(values, count)
        counter.labels(*values).inc(count)
    assert said(ours) == said(theirs)


@given(st.lists(st.tuples(LABELS, st.one_of(st.sampled_from(BOUNDS), st.floats(0, 100, width=16)))))
def test_a_histogram_measures_as_prometheus_does(
    measured: list[tuple[tuple[str, str], float]],
) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = HistogramTally("took_seconds", "How long.", ("provider", "model"), BOUNDS, ours)
    histogram = Histogram(
        "took_seconds", "How long.", ("provider", "model"), buckets=BOUNDS, registry=theirs
    )
    for values, seconds in measured:
        tally.observe(values, seconds)
        histogram.labels(*values).observe(seconds)
    assert said(ours) == said(theirs)


def test_what_has_no_labels_is_there_from_the_beginning() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    HistogramTally("took_seconds", "How long.", (), BOUNDS, ours)
    Histogram("took_seconds", "How long.", buckets=BOUNDS, registry=theirs)
    assert said(ours) == said(theirs)
    assert len(said(ours)) == len(BOUNDS) + 5


def test_a_name_is_given_once() -> None:
    registry = CollectorRegistry()
    CounterTally("things", "What is counted.", (), registry)
    with pytest.raises(ValueError, match="Duplicated"):
        Counter("things", "The same again.", registry=registry)
