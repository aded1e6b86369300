"""Turns measurements into the one table, and the table into bench/RESULTS.md.

Ratios come first: they travel between machines. Absolutes are those of the machine named above
the table.
"""

import os
import platform
import re
import statistics
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.measure import Case, Losses, disturbance, unit_cpu_us
from bench.meter import Summary
from bench.nginx import nginx_binary

HEADS = ("Figure", "Ratio", "Target", "Met", "On this machine")
NONE = DASH = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"
PACKAGES = ("tokenferry", "aiohttp", "uvloop", "msgspec", "httptools")
LIMITS = {  # at most; where they come from is in bench/README.md
    "steady": 2.2,
    "memory": 2.0,
    "flood": 6.0,
    "requests": 20.0,
    "reserve_us": 150.0,
    "lanes": 1.0,
    "socket_kib": 16.0,
    "idle_mb": 80.0,
    "start_s": 1.5,
    "storm_ms": 500.0,
    "resume_ms": 20.0,
    "resumable_mb": 200.0,
    "noise": 0.05,
    "steady_peer": 1 / 20,
    "requests_peer": 1 / 25,
}


@dataclass(frozen=True)
class Row:
    """One line of the table; `met` is None where nothing is promised."""

    figure: str
    ratio: str = NONE
    target: str = NONE
    met: bool | None = None
    absolute: str = NONE

    def cells(self) -> tuple[str, ...]:
        met = NONE if self.met is None else "yes" if self.met else "NO"
        return self.figure, self.ratio, self.target, met, self.absolute


def cpu_row(figure: str, case: Case, unit: str, limit: float | None = None) -> Row:
    """Return the row of a CPU figure, as a multiple of nginx in the same run."""
    if not case.ratios:
        return Row(f"CPU, {figure}", "1 (floor)", absolute=f"{case.cpu_us:.1f} µs/{unit}")
    spread = f"{min(case.ratios):.2f}{DASH}{max(case.ratios):.2f}"
    ratio = f"{case.ratio:.2f} {TIMES} nginx" + (f" ({spread})" if len(case.ratios) > 1 else "")
    absolute = f"{case.cpu_us:.1f} µs/{unit}"
    if limit is None:
        return Row(f"CPU, {figure}", ratio, absolute=absolute)
    return Row(f"CPU, {figure}", ratio, f"≤ {limit:g} {TIMES} nginx", case.ratio <= limit, absolute)


def lanes_row(lanes: Case, alone: Case) -> Row:
    pairs = zip(lanes.ratios, alone.ratios, strict=True)
    ratio = statistics.median(mine / single for mine, single in pairs)
    limit = LIMITS["lanes"]
    figure = "CPU, 50 lanes a connection against one stream a connection"
    return Row(figure, f"{ratio:.2f} {TIMES} one", f"≤ {limit:g} {TIMES} one", ratio <= limit)


def prepaid_row(prepaid: Case, operator: Case) -> Row:
    """Return the row of what it costs to hold credit for a request, and to charge an account.

    The operator's requests are charged as well, without a hold.
    """
    pairs = zip(prepaid.runs, operator.runs, strict=True)
    more_us = statistics.median(unit_cpu_us(one) - unit_cpu_us(other) for one, other in pairs)
    limit = LIMITS["reserve_us"]
    per_second = statistics.median(run.received / run.wall_s for run in prepaid.runs)
    return Row(
        "CPU, what a request of a prepaid account costs beyond the operator's: reserve and settle",
        target=f"≤ {limit:g} µs",
        met=more_us <= limit,
        absolute=f"{more_us:.0f} µs; {per_second:.0f} requests/s",
    )


def peer_row(figure: str, mine: Case, peer: Case, limit: float) -> Row:
    """Return the row of a CPU figure against a peer: both as multiples of nginx beside them."""
    share = mine.ratio / peer.ratio
    return Row(
        f"CPU, {figure}, against {peer.target.name}",
        f"1/{1 / share:.0f}",
        f"≤ 1/{1 / limit:.0f}",
        share <= limit,
        f"{mine.cpu_us:.1f} against {peer.cpu_us:.0f} µs",
    )


def latency_rows(cases: list[Case]) -> list[Row]:
    rows = []
    for name, figure in (("latency", "Added latency"), ("first", "Time to first token")):
        floor = cases[0]
        for case in cases:
            middle, late = case.median(f"{name}_p50_ms"), case.median(f"{name}_p99_ms")
            beside = f"{middle / floor.median(f'{name}_p50_ms'):.1f} {TIMES} nginx (p50)"
            rows.append(
                Row(
                    f"{figure} p50 / p99, {case.label}",
                    beside if case is not floor else "1 (floor)",
                    absolute=f"{middle:.2f} / {late:.2f} ms",
                )
            )
    return rows


def limit_row(figure: str, value: float, unit: str, limit: float) -> Row:
    digits = 2 if unit == "s" else 1
    return Row(figure, NONE, f"≤ {limit:g} {unit}", value <= limit, f"{value:.{digits}f} {unit}")


def storm_row(storms: list[dict]) -> Row:
    """Return the row of connections that were all dropped and all came back; the median storm."""
    storm = sorted(storms, key=lambda each: each["p99_ms"])[len(storms) // 2]
    limit, late = LIMITS["storm_ms"], storm["p99_ms"]
    return Row(
        f"All of {storm['streams']:,} connections dropped at once, from reconnecting to caught"
        f" up p50 / p99; CPU, median of {len(storms)}",
        target=f"p99 ≤ {limit:g} ms",
        met=late <= limit,
        absolute=f"{storm['p50_ms']:.0f} / {late:.0f} ms; {storm['cpu_s']:.2f} s",
    )


def resume_row(outcome: dict) -> Row:
    limit, late = LIMITS["resume_ms"], outcome["p99_ms"]
    return Row(
        f"Resume with {outcome['missed']:,} missed chunks until caught up p50 / p99, without the"
        " network's round trip",
        target=f"p99 ≤ {limit:g} ms",
        met=late <= limit,
        absolute=f"{outcome['p50_ms']:.2f} / {late:.2f} ms",
    )


def behind_row(outcome: dict) -> Row:
    steps = (outcome[f"{when}_kib"] * 1024 / 1e6 for when in ("before", "while", "after"))
    return Row(
        f"Memory, a reader {outcome['behind']:,} chunks behind: before, while, after",
        absolute=" → ".join(f"{step:.0f}" for step in steps) + " MB",
    )


def resumable_row(outcome: dict) -> Row:
    after_mb = outcome["after_kib"] * 1024 / 1e6
    return limit_row(
        f"Memory that {outcome['streams']:,} idle connections add, each with a finished stream to"
        f" resume (the whole process: {after_mb:.0f} MB)",
        after_mb - outcome["before_kib"] * 1024 / 1e6,
        "MB",
        LIMITS["resumable_mb"],
    )


def noise_row(runs: list[Summary]) -> Row:
    """Return how much other programs took; `met` says whether the table can be quoted."""
    shares = sorted(map(disturbance, runs))
    middle, limit = statistics.median(shares), LIMITS["noise"]
    return Row(
        "Noise: share of the cores' time that other programs took, median and worst run",
        target=f"≤ {limit:.0%}, else do not quote",
        met=middle <= limit,
        absolute=f"{middle:.1%}, {shares[-1]:.1%}",
    )


def check_row(losses: Losses) -> Row:
    return Row(
        "Check: every token and answer arrived, once and in order",
        NONE,
        "no loss, no error",
        losses.none,
        f"{losses.received:,} of {losses.expected:,}; {losses.errors} errors;"
        f" {losses.disorder} out of order",
    )


def table(rows: list[Row]) -> str:
    """Return the table in Markdown, aligned so that it reads as plain text, too."""
    lines = [HEADS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    cells = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    return "\n".join([cells[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *cells[1:]])


def machine() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    return (
        f"{found[1] if found else platform.machine()}, {os.cpu_count()} cores,"
        f" {memory_kib / 2**20:.0f} GiB, {platform.system()} {platform.release()}"
    )


def versions(extra: dict[str, str]) -> str:
    shown = subprocess.run([nginx_binary(), "-v"], capture_output=True, text=True, check=True)
    # Without profile-guided optimisation Python takes longer for its own part.
    configured = sysconfig.get_config_var("CONFIG_ARGS") or ""
    is_optimised = sys.base_prefix == "/usr" or "--enable-optimizations" in configured
    build = "optimised" if is_optimised else "not optimised"
    found = {"Python": f"{platform.python_version()} ({build})"}
    found |= {package: version(package) for package in PACKAGES}
    found["nginx"] = shown.stderr.strip().rpartition("/")[2]
    return ", ".join(f"{name} {number}" for name, number in (found | extra).items())


def document(rows: list[Row], manner: str, extra: dict[str, str]) -> str:
    """Return the text of RESULTS.md."""
    return f"""# Results of the benchmark

Written by `{manner}`; what is measured, and how, is in [README.md](README.md).
Ratios are taken within one run and are what to compare. The last column holds the absolute
figures of this machine on this day, and means nothing elsewhere.

- Date: {datetime.now(UTC):%Y-%m-%d}
- Machine: {machine()}
- Versions: {versions(extra)}
- Switched on: authentication, metering, the journal, metrics

{table(rows)}
"""
