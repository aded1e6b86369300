"""Counters and histograms of what every request adds to.

Adding is an addition: Prometheus' own children lock, check and look up for each, which was a
twentieth of all calls that a request makes. They get Prometheus' form when somebody asks.

Weakness: they belong to one thread.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

Labels = tuple[str, ...]


class CounterTally(Collector):
    """A counter.

    Args:
        name: Without `_total`.
        documentation: What it counts.
        labels: The names of its labels.
        registry: What shows it.
    """

    def __init__(
        self, name: str, documentation: str, labels: Labels, registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._counts: dict[Labels, int] = {}
        registry.register(self)

    def add(self, values: Labels, count: int = 1) -> None:
        """Add to what is counted under these values of its labels."""
        counts = self._counts
        counts[values] = counts.get(values, 0) + count

    def describe(self) -> Iterator[CounterMetricFamily]:
        """Yield its name, by which a registry refuses a second one."""
        yield CounterMetricFamily(self._name, self._documentation, labels=self._labels)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield what it has counted."""
        for family in self.describe():
            for values, count in self._counts.items():
                family.add_metric(values, count)
            yield family


class HistogramTally(Collector):
    """A histogram.

    Args:
        name: With its unit.
        documentation: What it measures.
        labels: The names of its labels.
        bounds: The upper bounds of its buckets, ascending, without infinity.
        registry: What shows it.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Labels,
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._bounds = bounds
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        if not labels:
            self._begin(())  # it is there from the beginning, as Prometheus' own is
        registry.register(self)

    def observe(self, values: Labels, measured: float) -> None:
        """Add what was measured under these values of its labels."""
        counts = self._counts.get(values) or self._begin(values)
        counts[bisect_left(self._bounds, measured)] += 1
        self._sums[values] += measured

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """Yield its name, by which a registry refuses a second one."""
        yield HistogramMetricFamily(self._name, self._documentation, labels=self._labels)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield what it has measured."""
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        for family in self.describe():
            for values, counts in self._counts.items():
                total, buckets = 0, []
                for name, count in zip(names, counts, strict=True):
                    total += count
                    buckets.append((name, total))
                family.add_metric(values, buckets, self._sums[values])
            yield family

    def _begin(self, values: Labels) -> list[int]:
        self._sums[values] = 0.0
        counts = self._counts[values] = [0] * (len(self._bounds) + 1)
        return counts
