"""Runs load against targets so that the machine's noise cancels: each beside the floor.

A case's figure is set against the mean of the floor's runs right before and right after it, and
the median over the repetitions counts. Weakness: a disturbance shorter than a run still shows in
that repetition.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.meter import Summary
from bench.processes import cores, pinned, place, wait_for_quiet
from bench.targets import ROOT, Target

LOAD_WAIT_S = 600.0
ATTEMPTS_MAX = 2
DISTURBED_SHARE = 0.05
CORES_USED = 2


@dataclass(frozen=True)
class Load:
    """One kind of load.

    Attributes:
        spread: Whether all processes may use all cores; otherwise what is measured has its own.
        options: Further options of bench.load.
    """

    mode: str
    kind: str
    model: str
    streams: int
    rounds: int
    timeout_s: float = 60.0
    spread: bool = False
    options: tuple[str, ...] = ()

    def argv(self, target: Target) -> list[str]:
        words = [sys.executable, "-m", "bench.load", self.mode, "--kind", self.kind]
        words += ["--port", str(target.port), "--key", target.key, "--model", self.model]
        words += ["--streams", str(self.streams), "--rounds", str(self.rounds)]
        words += ["--timeout-s", str(self.timeout_s), *self.options]
        return [*words, "--pids", *map(str, target.pids)]


@dataclass
class Losses:
    """The check of the whole run: what was promised, what came, what went wrong."""

    expected: int = 0
    received: int = 0
    errors: int = 0
    disorder: int = 0
    complaints: list[str] = field(default_factory=list)

    def add(self, label: str, summary: Summary) -> None:
        self.expected += summary.expected
        self.received += summary.received
        self.errors += summary.errors
        self.disorder += summary.disorder
        self.complaints += [f"{label}: {complaint}" for complaint in summary.complaints]

    @property
    def none(self) -> bool:
        return self.expected == self.received and not self.errors and not self.disorder


@dataclass
class Patience:
    """For how long a run may wait, all in all, until other programs leave the cores alone."""

    left_s: float

    @property
    def any(self) -> bool:
        return self.left_s > 0

    def wait(self) -> None:
        self.left_s -= wait_for_quiet(self.left_s)


@dataclass
class Case:
    """A load on a target, with what came out in each repetition."""

    label: str
    target: Target
    load: Load
    losses: Losses
    patience: Patience
    runs: list[Summary] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    def run(self) -> Summary:
        """Run the load; while others get in the way, again, and the quietest run counts."""
        attempts = []
        for _ in range(ATTEMPTS_MAX):
            self.patience.wait()
            attempts.append(run(self.label, self.target, self.load))
            self.losses.add(self.label, attempts[-1])
            if disturbance(attempts[-1]) < DISTURBED_SHARE or not self.patience.any:
                break
        best = min(attempts, key=disturbance)
        self.runs.append(best)
        return best

    def median(self, name: str) -> float:
        return statistics.median(getattr(summary, name) for summary in self.runs)

    @property
    def cpu_us(self) -> float:
        """CPU microseconds per token or request."""
        return statistics.median(map(unit_cpu_us, self.runs))

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios) if self.ratios else 1.0


def unit_cpu_us(summary: Summary) -> float:
    return summary.cpu_s / max(summary.received, 1) * 1e6


def disturbance(summary: Summary) -> float:
    """Return the share of the cores' time that went to programs outside the benchmark."""
    return summary.others_s / (summary.wall_s * CORES_USED)


def load_output(target: Target, load: Load) -> dict:
    """Run the load client, everybody on the right cores, and return what it printed."""
    measured, measuring = cores()
    if load.spread:
        measured = measuring = measured | measuring
    place(target.pids, measured)
    place(target.provider_pids, measuring)
    with pinned(measuring):
        made = subprocess.run(
            load.argv(target),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LOAD_WAIT_S,
            check=False,
        )
    if made.returncode:
        raise RuntimeError(f"the load client failed:\n{made.stderr[-3000:]}")
    return json.loads(made.stdout)


def run(label: str, target: Target, load: Load) -> Summary:
    summary = Summary(**load_output(target, load))
    print(
        f"  {label}: {unit_cpu_us(summary):.1f} us, {summary.received} of {summary.expected}"
        f" in {summary.wall_s:.1f} s, {summary.errors} errors,"
        f" others took {disturbance(summary):.0%}",
        file=sys.stderr,
        flush=True,
    )
    return summary


def interleave(floor: Case, cases: Sequence[Case], repetitions: int) -> None:
    """Run floor, case, floor, case, …, floor, as often as asked."""
    for _ in range(repetitions):
        before = unit_cpu_us(floor.run())
        for case in cases:
            mine = unit_cpu_us(case.run())
            after = unit_cpu_us(floor.run())
            case.ratios.append(mine / statistics.mean((before, after)))
            before = after
