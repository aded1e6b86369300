"""Starts, measures and stops the benchmark's processes, each by its own id.

Source: proc(5), clock_getcpuclockid(3). Weakness: Linux only; CPU time of a grandchild that ended
between two readings is missed.
"""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

STOP_WAIT_S = 10.0
POLL_S = 0.01
QUIET_SAMPLE_S = 0.2
BUSY_SHARE_MAX = 0.15
CPUCLOCK_SCHED = 2  # the scheduler's own nanosecond account, what utime + stime are rounded from


def raise_fd_limit() -> int:
    """Raise the limit of open files to the hard limit, for this process and its children."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cores() -> tuple[set[int], set[int]]:
    """Return the cores for what is measured and for what measures; the same one if need be."""
    usable = sorted(os.sched_getaffinity(0))
    return {usable[0]}, {usable[-1]}


def place(pids: Iterable[int], on: set[int]) -> None:
    """Move running processes, with all their threads, to these cores."""
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # it ended
                os.sched_setaffinity(int(thread.name), on)


@contextlib.contextmanager
def pinned(to: set[int]) -> Iterator[None]:
    """Start children on these cores: affinity is inherited."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, to)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def family(pid: int) -> list[int]:
    """Return the process and all its descendants that are alive."""
    found = [pid]
    for member in found:
        for listing in Path(f"/proc/{member}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # it ended while we looked
                found += [int(child) for child in listing.read_text().split()]
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """Return the CPU seconds, user and system, that these processes have used so far.

    The same account as utime + stime of /proc/<pid>/stat, without its rounding to 10 ms.
    """
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):  # it ended
            total += time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)
    return total


def machine_s() -> tuple[float, float]:
    """Return the seconds that all cores spent idle and in programs (proc(5), /proc/stat).

    What a hypervisor gave to others counts as programs; interrupts count as neither.
    """
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, idle, waiting, _irq, _softirq, stolen = map(int, words[:8])
    ticks = os.sysconf("SC_CLK_TCK")
    return (idle + waiting) / ticks, (user + nice + system + stolen) / ticks


def wait_for_quiet(within_s: float) -> float:
    """Wait until the cores are nearly idle, or the time is up; return the seconds waited."""
    started_s = time.monotonic()
    idle, busy = machine_s()
    while (waited := time.monotonic() - started_s) < within_s:
        time.sleep(QUIET_SAMPLE_S)
        idle_before, busy_before = idle, busy
        idle, busy = machine_s()
        if busy - busy_before < BUSY_SHARE_MAX * (idle - idle_before):
            break
    return waited


def rss_kib(pids: Iterable[int]) -> int:
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # it ended
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
    return total


class Process:
    """A child process on the given cores, in the directory of its log; stopped by its id."""

    def __init__(self, argv: list[str], log: Path, to: set[int], env: dict | None = None):
        self.log = log
        self.started_s = time.monotonic()
        with pinned(to), log.open("ab") as sink:
            self.popen = subprocess.Popen(
                argv,
                cwd=log.parent,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )

    def pids(self) -> list[int]:
        return family(self.popen.pid)

    def wait_until(self, ready: Callable[[], bool], within_s: float) -> float:
        """Wait until `ready()`; return the seconds since the process was started."""
        while not ready():
            if self.popen.poll() is not None:
                raise RuntimeError(f"{self.popen.args} ended:\n{self.tail()}")
            if time.monotonic() - self.started_s > within_s:
                raise RuntimeError(f"{self.popen.args} is not ready:\n{self.tail()}")
            time.sleep(POLL_S)
        return time.monotonic() - self.started_s

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        descendants = family(self.popen.pid)[1:]
        self.popen.terminate()
        try:
            self.popen.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        for pid in descendants:  # reparented ones; the ids are ours, seen a moment ago
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
