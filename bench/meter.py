"""Counts what a load client received: tokens, order, latency, time to first token.

The stamps are found by one regular expression over the bytes of the body, wherever reads cut it
and however many tokens a frame holds. Weakness: a stamp that a framing cuts (an HTTP chunk's
border) must be made whole by the caller.
"""

import re
from dataclasses import dataclass, field

STAMPS = re.compile(rb'"content": ?"((?:\d{10,20} )+)"')
COMPLAINTS_MAX = 5
COMPLAINT_CHARS_MAX = 500


@dataclass
class Summary:
    """What a run gave; times in the units of their names."""

    expected: int
    received: int
    errors: int
    disorder: int
    complaints: list[str]
    wall_s: float
    cpu_s: float
    others_s: float
    latency_p50_ms: float
    latency_p99_ms: float
    first_p50_ms: float
    first_p99_ms: float
    rss_peak_kib: int


@dataclass
class Tally:
    """Counts of one run."""

    expected: int = 0
    received: int = 0
    errors: int = 0
    disorder: int = 0
    rss_peak_kib: int = 0
    complaints: list[str] = field(default_factory=list)
    latencies_ns: list[int] = field(default_factory=list)
    firsts_ns: list[int] = field(default_factory=list)

    def fail(self, complaint: str) -> None:
        self.errors += 1
        if len(self.complaints) < COMPLAINTS_MAX:
            self.complaints.append(complaint[:COMPLAINT_CHARS_MAX])

    def summary(self, wall_s: float, used_s: float, others_s: float) -> Summary:
        return Summary(
            expected=self.expected,
            received=self.received,
            errors=self.errors,
            disorder=self.disorder,
            complaints=self.complaints,
            wall_s=wall_s,
            cpu_s=used_s,
            others_s=others_s,
            latency_p50_ms=quantile_ms(self.latencies_ns, 0.5),
            latency_p99_ms=quantile_ms(self.latencies_ns, 0.99),
            first_p50_ms=quantile_ms(self.firsts_ns, 0.5),
            first_p99_ms=quantile_ms(self.firsts_ns, 0.99),
            rss_peak_kib=self.rss_peak_kib,
        )


def quantile_ms(values_ns: list[int], share: float) -> float:
    if not values_ns:
        return 0.0
    ordered = sorted(values_ns)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1e6


class Meter:
    """Finds the stamps of one stream in pieces of bytes, and checks number and order."""

    __slots__ = ("first_at", "last", "rest", "seen", "started_ns", "tally")

    def __init__(self, tally: Tally, started_ns: int):
        self.tally = tally
        self.started_ns = started_ns
        self.rest = b""
        self.seen = 0
        self.last = 0

    def feed(self, data: bytes, now_ns: int) -> bytes:
        """Count what is whole in `data`; return the bytes since the last whole stamp."""
        data = self.rest + data
        end = 0
        for match in STAMPS.finditer(data):
            end = match.end()
            for digits in match[1].split():
                stamp = int(digits)
                self.tally.latencies_ns.append(now_ns - stamp)
                if stamp <= self.last:
                    self.tally.disorder += 1
                self.last = stamp
                if not self.seen:
                    self.tally.firsts_ns.append(now_ns - self.started_ns)
                self.seen += 1
        self.rest = data[end:]
        return self.rest

    def close(self, expected: int) -> None:
        self.tally.received += self.seen
        if self.seen != expected:
            self.tally.fail(f"{self.seen} tokens of {expected}")
