"""The gateway's lives: starts it, kills it, deploys it, on one port and one data directory.

Weakness: the port is found by binding it for a moment; between two lives another process could take
it.
"""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from chaos.server import ENVIRONMENT

ROOT = Path(__file__).parent.parent
READY_WAIT_S = 30.0
STOP_WAIT_S = 20.0
POLL_S = 0.01
JOURNAL = "journal"  # docs/decisions/0009-streams-survive.md, "The files"
# A name that says what else than our own settings would change the path.
FOREIGN = re.compile(r".*_API_KEY|(https?|all|no)_proxy|TOKENFERRY_.*", re.IGNORECASE)
# What a line of the log looks like when something went wrong in the server itself.
ERROR_LINE = re.compile(r'"level": ?"(?:error|critical)"|Traceback', re.IGNORECASE)

CONFIG = """
[server]
connections_per_key_max = 20000
drain_timeout_s = {drain_s}
log_level = "warning"
log_format = "json"
demo = false
environment_providers = false
{brief}

[limits]
requests_per_minute = 0

[[providers]]
name = "chaos"
kind = "openai"
base_url = "http://127.0.0.1:{provider_port}/v1"
api_key = "sk-chaos-chaos-chaos"
models = ["chaos"]
"""
DRAIN_S = 0.5
# So short that streams are moved to the archive within the run.
BRIEF = {"retention_s": "12"}
SYNC_POINTS = "journal.sync"
DISK_SHARE = 0.3  # of the lives that sync what they write
POINT_SHARE = 0.75  # of the kills; the others come at random
LIFE_S = (0.15, 1.5)  # from the first answer to a random kill


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment() -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not FOREIGN.fullmatch(name)}
    return kept | {"PYTHONPATH": str(ROOT)}


async def listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False


@dataclass
class Ends:
    """How the lives ended."""

    kills: int = 0
    deploys: int = 0
    starts: int = 0
    failed_starts: int = 0
    bad_exits: int = 0
    points: Counter[str] = field(default_factory=Counter)
    tries: Counter[str] = field(default_factory=Counter)
    start_s: float = 0.0


class Provider:
    """The provider's process, which lives through the whole run."""

    def __init__(self, work: Path):
        self.port = free_port()
        self._log = (work / "provider.log").open("ab")
        self._popen: subprocess.Popen | None = None

    async def start(self) -> None:
        argv = [sys.executable, "-m", "chaos.provider", str(self.port)]
        self._popen = subprocess.Popen(
            argv, env=environment(), cwd=ROOT, stdout=self._log, stderr=self._log
        )
        async with asyncio.timeout(READY_WAIT_S):
            while not await listens(self.port):
                await asyncio.sleep(POLL_S)

    def stop(self) -> None:
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
        self._log.close()


class Lives:
    """The gateway, one process after another.

    Args:
        work: Where configuration, data and log are.
        provider_port: Where its provider listens.
        dice: Draws how each life ends.
    """

    def __init__(self, work: Path, provider_port: int, dice: random.Random):
        self.work = work
        self.dice = dice
        self.port = free_port()
        self.ends = Ends()
        self.log = work / "gateway.log"
        self.data = work / "data"
        self._provider_port = provider_port
        self._configs: list[Path] = []
        self._process: asyncio.subprocess.Process | None = None
        self._points: dict[str, int] = {}

    def run_once(self, *words: str) -> str:
        """Run a command of the launcher to its end, and return what it prints."""
        argv = [sys.executable, "-m", "chaos.server", *words]
        made = subprocess.run(
            argv, env=environment(), cwd=ROOT, capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise RuntimeError(f"{argv} failed:\n{made.stderr[-3000:]}")
        return made.stdout.strip()

    def prepare(self) -> None:
        """Learn what this version has, and write its configurations."""
        reference = self.run_once("config", "reference")
        for durability in ("process", "disk"):
            wanted = BRIEF | {"durability": f'"{durability}"'}
            known = [f"{name} = {text}" for name, text in wanted.items() if name in reference]
            path = self.work / f"{durability}.toml"
            ours = {"provider_port": self._provider_port, "drain_s": DRAIN_S}
            path.write_text(CONFIG.format(brief="\n".join(known), **ours))
            self._configs.append(path)
        lines = self.run_once("--points").splitlines()
        self._points = {name: int(hits) for name, hits in map(str.split, lines)}

    @property
    def durable(self) -> bool:
        """Whether streams are kept in files."""
        return (self.data / JOURNAL).is_dir()

    async def start(self, fail: str = "") -> bool:
        """Start a process; False if it died before it answered.

        Raises:
            RuntimeError: If it neither died nor answered.
        """
        began_s = time.monotonic()
        argv = [sys.executable, "-m", "chaos.server", "serve"]
        # Only a journal that syncs comes to the points of a sync.
        on_disk = self.dice.random() < DISK_SHARE or fail.startswith(SYNC_POINTS)
        argv += ["--config", str(self._configs[on_disk])]
        argv += ["--port", str(self.port), "--data-dir", str(self.data)]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *argv,
                env=environment() | ({ENVIRONMENT: fail} if fail else {}),
                cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.ends.starts += 1
        while not await listens(self.port):
            if self._process.returncode is not None:
                return False
            if time.monotonic() - began_s > READY_WAIT_S:
                raise RuntimeError(f"the gateway does not answer:\n{self.tail()}")
            await asyncio.sleep(POLL_S)
        self.ends.start_s += time.monotonic() - began_s
        return True

    async def live_and_die(self) -> None:
        """Run one life from its start to a violent end, at a point or a time."""
        dice = self.dice
        name = self._next_point() if dice.random() < POINT_SHARE else ""
        hits = round(self._points.get(name, 1) ** dice.random())
        fail = f"{name}:{hits}:{dice.random():.3f}" if name else ""
        alive = await self.start(fail)
        if alive and name.startswith("drain"):
            await asyncio.sleep(dice.uniform(0.1, 0.6))
            await self._signal(signal.SIGTERM)
            alive = not await self.ended(STOP_WAIT_S)
        elif alive:
            alive = not await self.ended(dice.uniform(*LIFE_S))
        if alive:
            await self._signal(signal.SIGKILL)
            name = "at random"
        self._died(await self.wait(), name)

    def _next_point(self) -> str:
        """Return one of the points that were tried least."""
        tries = self.ends.tries
        least = min((tries[name] for name in self._points), default=0)
        name = self.dice.choice([each for each in self._points if tries[each] == least] or [""])
        tries[name] += 1
        return name

    @property
    def never_reached(self) -> list[str]:
        """Return the points that were tried and at which no process died."""
        return sorted(name for name in self.ends.tries if not self.ends.points[name])

    async def deploy(self) -> None:
        """Run one life that ends as a deploy ends it."""
        if not await self.start():
            self._died(await self.wait(), "")
            return
        await asyncio.sleep(self.dice.uniform(0.3, 1.5))
        await self.stop()

    async def stop(self) -> None:
        """End the process with SIGTERM; it must leave cleanly and in time."""
        await self._signal(signal.SIGTERM)
        if not await self.ended(STOP_WAIT_S):
            await self._signal(signal.SIGKILL)
        if await self.wait() == 0:
            self.ends.deploys += 1
        else:
            self.ends.bad_exits += 1

    async def ended(self, within_s: float) -> bool:
        """Wait for the end, so long at most; say whether it came."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self.wait()
            return True
        return False

    async def wait(self) -> int:
        if self._process is None:
            return 0
        return await self._process.wait()

    async def abandon(self) -> None:
        """Make sure that no process is left."""
        if self._process is not None and self._process.returncode is None:
            await self._signal(signal.SIGKILL)
            await self.wait()

    async def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _died(self, status: int, name: str) -> None:
        if status == -signal.SIGKILL:
            self.ends.kills += 1
            self.ends.points[name] += 1
        elif status == 0:
            self.ends.deploys += 1  # it got through its drain before the point was reached
        elif name:
            self.ends.bad_exits += 1
        else:
            self.ends.failed_starts += 1

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def errors(self) -> list[str]:
        """Return the lines of the log that tell of a failure of the server's own."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if ERROR_LINE.search(line)]
