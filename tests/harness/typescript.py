"""The TypeScript client: built once for all tests, and driven line by line in a Node process."""

import asyncio
import contextlib
import hashlib
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from harness.components import ROOT, TYPESCRIPT

BUILD_TIMEOUT_S = 100
WAIT_TIMEOUT_S = 30
BUILDS = ROOT / "build" / "typescript"
DRIVER = ROOT / "tests" / "node" / "tokenferry.mjs"
# A line of a driver holds a whole answer at most.
LINE_BYTES_MAX = 32 * 1024 * 1024


def build(directory: Path) -> Path:
    """Put the compiled client into a directory of the test's own, and return that."""
    shutil.copytree(_built(), directory, dirs_exist_ok=True)
    return directory


def _built() -> Path:
    """Return the build of the sources as they are; what is not there yet is compiled."""
    digest = hashlib.sha256()
    for path in sorted([*TYPESCRIPT.glob("src/*.ts"), TYPESCRIPT / "tsconfig.json"]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    built = BUILDS / digest.hexdigest()[:16]
    if not built.is_dir():
        BUILDS.mkdir(parents=True, exist_ok=True)
        # Two processes may compile at once; the first to be ready puts its own in place.
        with tempfile.TemporaryDirectory(dir=BUILDS) as scratch:
            fresh = Path(scratch) / "dist"
            _compile(fresh)
            with contextlib.suppress(OSError):
                fresh.rename(built)
    return built


def _compile(directory: Path) -> None:
    done = subprocess.run(
        ["node", "node_modules/typescript/bin/tsc", "--outDir", str(directory)],
        cwd=TYPESCRIPT,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    # Without it, node would take the modules for CommonJS.
    (directory / "package.json").write_text('{"type": "module"}\n', "utf-8")


class Driver:
    """A Node process with any number of clients, commanded line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = itertools.count(1)
        self._told: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self.reader = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            event = json.loads(line)
            self._told[event["id"]].put_nowait(event)

    def send(self, command: str, **values: Any) -> "Told":
        """Give a command, and return what will come of it."""
        assert self._process.stdin is not None
        name = f"{command}-{next(self._ids)}"
        told = self._told[name] = asyncio.Queue()
        line = json.dumps({"id": name, "do": command, **values}, ensure_ascii=False)
        self._process.stdin.write(line.encode() + b"\n")
        return Told(name, told)


class Told:
    """What a driver says of one command.

    Attributes:
        id: Its name, by which other commands refer to it.
        seen: All that was taken so far.
    """

    def __init__(self, name: str, told: asyncio.Queue[dict[str, Any]]) -> None:
        self.id = name
        self.seen: list[dict[str, Any]] = []
        self._told = told

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_TIMEOUT_S):
            event = await self._told.get()
        self.seen.append(event)
        return event

    async def until(self, *types: str) -> dict[str, Any]:
        """Take events up to the next one of these types; an error that is none of them raises."""
        while (event := await self.next())["type"] not in types:
            assert event["type"] != "error", event
        return event

    async def chunks(self, count: int) -> None:
        """Take events until there are so many further chunks."""
        for _ in range(count):
            await self.until("chunk")

    def shown(self) -> list[dict[str, Any]]:
        """Return the chunks that were taken."""
        return [event for event in self.seen if event["type"] == "chunk"]


@contextlib.asynccontextmanager
async def driver(dist: Path) -> AsyncIterator[Driver]:
    """Run a driver; at the end it must leave by itself."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(DRIVER), str(dist)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES_MAX,
    )
    running = Driver(process)
    try:
        yield running
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(WAIT_TIMEOUT_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await running.reader
