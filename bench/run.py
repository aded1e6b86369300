"""The driver: starts everything on loopback, measures, prints one table, stops everything.

    python -m bench.run            the figures; writes bench/RESULTS.md
    python -m bench.run --short    under a minute, for CI; writes nothing
    python -m bench.run --peers    with LiteLLM beside Tokenferry; writes bench/RESULTS.md

Exit status: 0 done, whatever the figures are; 1 a token was lost or an error occurred; 2 something
that it needs is not installed.
"""

import argparse
import contextlib
import signal
import statistics
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import report
from bench.measure import Case, Load, Losses, Patience, interleave, load_output
from bench.meter import Summary
from bench.nginx import start_nginx
from bench.peers import LiteLLM
from bench.processes import cores, raise_fd_limit, rss_kib
from bench.report import LIMITS, Row
from bench.targets import ROOT, Gateway, Missing, Target, running, start_provider

RESULTS = ROOT / "bench" / "RESULTS.md"
FDS_SPARE = 2000
COMEBACK_CHECKS = 3  # errors, disorder, complaints: all that is there when no figure is
STREAMS = 200
MEMORY_STREAMS = 400
FLOOD_STREAMS = 4
CONCURRENT = 100


@dataclass(frozen=True)
class Plan:
    """How much is run."""

    repetitions: int = 3
    peer_repetitions: int = 2
    brief_repetitions: int = 5  # flood and requests: short runs, and the floor's own spread is wide
    steady: str = "mock-100-20"
    steady_rounds: int = 2
    flood_rounds: int = 25
    request_rounds: int = 100
    starts: int = 5
    idle_steps: tuple[int, ...] = (1000, 5000)
    storms: int = 3
    storm_streams: int = 1000
    resumes: int = 200  # 0: no figures of clients that come back but the storm
    resumable_streams: int = 10_000
    patience_s: float = 180.0


SHORT = Plan(1, 1, 1, "mock-50-20", 1, 5, 20, 3, (500,), 1, 100, 0, 0, 0.0)
WARM_UP_STREAMS = 50
WARM_UP_ROUNDS = 2
PEER_TIMEOUT_S = 300.0


@dataclass
class Bench:
    """One run: its plan, its targets, its losses and its rows so far."""

    plan: Plan
    nginx: Target
    gateway: Gateway
    peer: LiteLLM | None
    patience: Patience
    losses: Losses = field(default_factory=Losses)
    memory: list[Row] = field(default_factory=list)
    runs: list[Summary] = field(default_factory=list)

    def rows(self) -> list[Row]:
        """Measure everything; memory and start-up first, on processes that did nothing else."""
        self.fresh_processes()
        self.comebacks()
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(running(self.gateway.start()))
            steady, flood, requests = (
                self.compare(kind, target) for kind in ("steady", "flood", "requests")
            )
            after_kib = rss_kib(target.pids)
        durable = {
            durability: self.other_durability(durability) for durability in ("memory", "disk")
        }
        if self.peer:
            with running(self.peer.start()) as peer:
                for cases, kind in (
                    (steady, "steady"),
                    (flood, "flood"),
                    (requests, "requests"),
                ):
                    cases["peer"] = self.compare(kind, peer)["sse"]
        rows = self.cpu_rows(steady, flood, requests)
        for durability, cases in durable.items():
            limit = LIMITS["memory"] if durability == "memory" else None
            for manner in ("sse", "ws"):
                figure = f"{cases[manner].label}, {STREAMS} streams at 50 tokens/s"
                rows.append(report.cpu_row(figure, cases[manner], "token", limit))
        rows += report.latency_rows(list(steady.values()))
        self.memory.append(Row("Memory, Tokenferry after the whole run", absolute=mb(after_kib)))
        checks = [report.noise_row(self.runs), report.check_row(self.losses)]
        return [*rows, *self.memory, *checks]

    def other_durability(self, durability: str) -> dict[str, Case]:
        """Measure the steady load with a journal that outlasts less, or more, than by default."""
        with running(self.gateway.start(durability)) as target:
            return self.compare("steady", target, f", journal: {durability}")

    def loads(self, kind: str, target: Target) -> dict[str, tuple[str, Load]]:
        """Return the loads of one comparison: by manner, with the label of the row."""
        plan, streams, limit_s = self.plan, STREAMS, 60.0
        slow = self.peer is not None and target.name == self.peer.name
        if kind == "requests":
            rounds = max(1, plan.request_rounds // 10) if slow else plan.request_rounds
            load = Load("requests", "sse", "mock-1-0", CONCURRENT, rounds, PEER_TIMEOUT_S)
            return {"sse": (f"{target.name}, not streamed", load)}
        model, rounds, spread = plan.steady, plan.steady_rounds, False
        if kind == "flood":
            model, rounds, streams = "mock-2000-0", plan.flood_rounds, FLOOD_STREAMS
            spread = True
        if slow:
            rounds, limit_s = 1, PEER_TIMEOUT_S
        manners = {"sse": f"{target.name} SSE"}
        if target.name == Gateway.name:
            manners["ws"] = f"{target.name} WebSocket"
            if kind == "steady":
                manners["lanes"] = f"{target.name} WebSocket, 50 lanes a connection"
        return {
            manner: (label, Load("stream", manner, model, streams, rounds, limit_s, spread))
            for manner, label in manners.items()
        }

    def compare(self, kind: str, target: Target, note: str = "") -> dict[str, Case]:
        """Measure a target in all its manners between runs of nginx."""
        floor = self.case(*self.floor(kind))
        cases = {
            manner: self.case(label + note, target, load)
            for manner, (label, load) in self.loads(kind, target).items()
            if not note or manner != "lanes"
        }
        if kind == "requests" and target.name == Gateway.name:
            prepaid = replace(target, key=self.gateway.prepaid_key)
            label = f"{target.name}, not streamed, a prepaid account"
            cases["prepaid"] = self.case(label, prepaid, cases["sse"].load)
        print(f"{kind}{note}:", file=sys.stderr, flush=True)
        for case in (floor, *cases.values()):
            self.warm_up(case)
        plan = self.plan
        repetitions = plan.repetitions if kind == "steady" else plan.brief_repetitions
        if self.peer and target.name == self.peer.name:
            repetitions = plan.peer_repetitions
        interleave(floor, list(cases.values()), repetitions)
        self.runs += [summary for case in (floor, *cases.values()) for summary in case.runs]
        return {"nginx": floor} | cases

    def case(self, label: str, target: Target, load: Load) -> Case:
        return Case(label, target, load, self.losses, self.patience)

    def warm_up(self, case: Case) -> None:
        """Run the same load in small, so that caches, pools and code paths are warm."""
        load = case.load
        streams, rounds = min(load.streams, WARM_UP_STREAMS), min(load.rounds, WARM_UP_ROUNDS)
        brief = replace(load, streams=streams, rounds=rounds)
        Case(f"warm-up, {case.label}", case.target, brief, self.losses, Patience(0)).run()

    def floor(self, kind: str) -> tuple[str, Target, Load]:
        ((label, load),) = self.loads(kind, self.nginx).values()
        return label, self.nginx, load

    def cpu_rows(self, steady: dict, flood: dict, requests: dict) -> list[Row]:
        per_second = f"{STREAMS} streams at 50 tokens/s"
        bursts = f"{FLOOD_STREAMS} streams, 2,000 tokens at once"
        together = f"{CONCURRENT} at a time"
        rows = []
        for cases, what, unit, limit in (
            (steady, per_second, "token", LIMITS["steady"]),
            (flood, bursts, "token", LIMITS["flood"]),
            (requests, together, "request", LIMITS["requests"]),
        ):
            for case in cases.values():
                ours = case.target.name == Gateway.name
                figure = f"{case.label}, {what}"
                rows.append(report.cpu_row(figure, case, unit, limit if ours else None))
            if "lanes" in cases:
                rows.append(report.lanes_row(cases["lanes"], cases["ws"]))
            if "prepaid" in cases:
                rows.append(report.prepaid_row(cases["prepaid"], cases["sse"]))
            if "peer" in cases:
                rows += self.peer_rows(cases, what)
        return rows

    def peer_rows(self, cases: dict, what: str) -> list[Row]:
        limit = LIMITS["requests_peer" if "ws" not in cases else "steady_peer"]
        return [
            report.peer_row(f"{cases[manner].label}, {what}", cases[manner], cases["peer"], limit)
            for manner in ("sse", "ws")
            if manner in cases
        ]

    def fresh_processes(self) -> None:
        """Start the gateway again and again; each process does one of the memory errands."""
        print("start-up and memory:", file=sys.stderr, flush=True)
        self.memory_row(self.nginx, rss_kib(self.nginx.pids), "sse")
        seconds = []
        for number in range(self.plan.starts):
            with running(self.gateway.start()) as target:
                seconds.append(target.start_s)
                if number == 0:
                    self.idle_sockets(target)
                elif number <= 2:
                    self.memory_row(target, rss_kib(target.pids), ("sse", "ws")[number - 1])
        self.memory.append(
            report.limit_row(
                f"Start to the first answered request, Tokenferry, median of {len(seconds)}",
                statistics.median(seconds),
                "s",
                LIMITS["start_s"],
            )
        )
        if self.peer:
            with running(self.peer.start()) as target:
                figure = "Start to the first answered request, LiteLLM"
                self.memory.append(Row(figure, absolute=f"{target.start_s:.1f} s"))
                self.memory_row(target, rss_kib(target.pids), "sse")

    def memory_row(self, target: Target, idle_kib: int, manner: str) -> None:
        load = Load("stream", manner, "mock-50-40", MEMORY_STREAMS, 1, 120.0, options=("--rss",))
        summary = Case(
            f"{target.name}, {manner}, memory", target, load, self.losses, Patience(0)
        ).run()
        figure = f"Memory, {target.name}, idle → with {MEMORY_STREAMS} streams, {manner.upper()}"
        self.memory.append(
            Row(figure, absolute=f"{mb(idle_kib)} → {mb(summary.rss_peak_kib)}"),
        )

    def idle_sockets(self, target: Target) -> None:
        """Measure the idle process, then what each idle socket adds to it."""
        idle_mb = rss_kib(target.pids) * 1024 / 1e6
        self.memory.append(
            report.limit_row("Memory, Tokenferry, idle process", idle_mb, "MB", LIMITS["idle_mb"])
        )
        fds_max = raise_fd_limit() - FDS_SPARE
        counts = [str(count) for count in self.plan.idle_steps if count <= fds_max]
        load = Load("idle", "ws", "none", 0, 0, options=("--steps", "20", *counts))
        outcome = load_output(target, load)
        self.losses.errors += outcome["errors"]
        self.losses.complaints += outcome["complaints"]
        first, *steps = outcome["steps"]
        for step in steps:
            added = step["sockets"] - first["sockets"]
            each_kib = (step["rss_kib"] - first["rss_kib"]) / added
            figure = f"Memory of an idle WebSocket, {step['sockets']:,} authenticated ones"
            self.memory.append(report.limit_row(figure, each_kib, "KiB", LIMITS["socket_kib"]))

    def comebacks(self) -> None:
        """Measure clients that come back, each kind on a process that did nothing else."""
        print("clients that come back:", file=sys.stderr, flush=True)
        plan = self.plan
        with running(self.gateway.start()) as target:
            storms = [
                self.comeback(target, Load("storm", "ws", "mock-60-500", plan.storm_streams, 1))
                for _ in range(plan.storms)
            ]
            self.memory.append(report.storm_row(storms))
        if not plan.resumes:
            return
        room = min(plan.resumable_streams, raise_fd_limit() - FDS_SPARE)
        for row, load in (
            (report.resume_row, Load("resume", "ws", "mock-2000-0", 1, plan.resumes)),
            (report.behind_row, Load("behind", "ws", "mock-12000-0", 1, 1)),
            (report.resumable_row, Load("resumable", "ws", "mock-20-0", room, 1, 120.0)),
        ):
            with running(self.gateway.start()) as target:
                self.memory.append(row(self.comeback(target, load)))

    def comeback(self, target: Target, load: Load) -> dict:
        """Run a load of clients that come back, and return what it printed.

        Raises:
            RuntimeError: If it did not get as far as a figure.
        """
        self.patience.wait()
        outcome = load_output(target, load)
        self.losses.errors += outcome["errors"]
        self.losses.disorder += outcome["disorder"]
        self.losses.complaints += [f"{load.mode}: {each}" for each in outcome["complaints"]]
        if len(outcome) == COMEBACK_CHECKS:
            raise RuntimeError(f"{load.mode} gave no figure: {outcome['complaints']}")
        print(f"  {load.mode}: {outcome}", file=sys.stderr, flush=True)
        return outcome


def mb(kib: int) -> str:
    return f"{kib * 1024 / 1e6:.0f} MB"


def measured(plan: Plan, *, with_peers: bool) -> tuple[list[Row], Losses, dict[str, str]]:
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tokenferry-bench-")))
        provider = stack.enter_context(running(start_provider(work)))
        nginx = stack.enter_context(running(start_nginx(work, provider)))
        peer = LiteLLM(work, provider) if with_peers else None
        bench = Bench(plan, nginx, Gateway(work, provider), peer, Patience(plan.patience_s))
        rows = bench.rows()
        return rows, bench.losses, {"LiteLLM": peer.version()} if peer else {}


def leave(*_signal: object) -> None:
    raise SystemExit(143)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.run", description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="one brief repetition, for CI")
    parser.add_argument("--peers", action="store_true", help="measure LiteLLM as well")
    parser.add_argument(
        "--patience",
        type=float,
        metavar="SECONDS",
        help="how long to wait, all in all, for other programs to leave the cores alone",
    )
    args = parser.parse_args()
    plan = SHORT if args.short else Plan()
    if args.patience is not None:
        plan = replace(plan, patience_s=args.patience)
    signal.signal(signal.SIGTERM, leave)
    raise_fd_limit()
    gateway_cores, load_cores = cores()
    print(f"gateways on core {gateway_cores}, load and provider on {load_cores}", file=sys.stderr)
    try:
        rows, losses, extra = measured(plan, with_peers=args.peers)
    except Missing as missing:
        print(f"bench: {missing}", file=sys.stderr)
        return 2
    print(report.table(rows))
    for complaint in losses.complaints[:10]:
        print(f"bench: {complaint}", file=sys.stderr)
    if not args.short and losses.none:
        command = "make bench-peers" if args.peers else "make bench"
        RESULTS.write_text(report.document(rows, command, extra))
    return 0 if losses.none else 1


if __name__ == "__main__":
    sys.exit(main())
