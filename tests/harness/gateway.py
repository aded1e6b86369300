"""Runs a real gateway process: `python -m tokenferry serve` on a free port, with a data directory.

Weakness: the free port is found by binding it for a moment, so that another process could take
it before the gateway does; `start` then fails with the gateway's own message.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.http_client import ConnectionFailed, Response, fetch

ROOT = Path(__file__).parents[2]
# Generous against a loaded machine: a start takes well under a second when it is idle.
START_TIMEOUT_S = 20
# The default drain lets streams finish for 30 s; tests configure less.
STOP_TIMEOUT_S = 15
COMMAND_TIMEOUT_S = 20
READY_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """One `[[providers]]` table; `extra` holds its further keys."""

    name: str
    kind: str
    base_url: str
    models: Sequence[str]
    api_key: str = "provider-secret-1234567890"
    extra: Mapping[str, Any] = field(default_factory=dict)


# An alias: its candidates, or all keys of its table but the name.
Alias = Sequence[str] | Mapping[str, Any]

# No test waits for a long drain.
SERVER: Mapping[str, Any] = {"drain_timeout_s": 1}
# Tests of one module share one key, so it has no limit, unless they are about that.
LIMITS: Mapping[str, Any] = {"requests_per_minute": 0, "reads_per_minute": 0}


def provider_entry(kind: str, root: str, name: str = "", **extra: Any) -> ProviderEntry:
    """Return a provider of this kind, named like it unless told otherwise; its model is m-NAME."""
    name = name or kind
    base_url = f"{root}/v1" if kind == "openai" else root
    return ProviderEntry(name, kind, base_url, [f"m-{name}"], extra=extra)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return str(value)


def _toml_table(header: str, values: Mapping[str, Any]) -> str:
    lines = [header, *(f"{key} = {_toml_value(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n\n"


def to_toml(
    server: Mapping[str, Any],
    providers: Sequence[ProviderEntry],
    aliases: Mapping[str, Alias],
    tables: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """Return a configuration file's text."""
    text = _toml_table("[server]", server)
    for name, values in (tables or {}).items():
        text += _toml_table(f"[{name}]", values)
    for entry in providers:
        own = {
            "name": entry.name,
            "kind": entry.kind,
            "base_url": entry.base_url,
            "api_key": entry.api_key,
            "models": entry.models,
        }
        text += _toml_table("[[providers]]", {**own, **entry.extra})
    for name, candidates in aliases.items():
        own = candidates if isinstance(candidates, Mapping) else {"candidates": candidates}
        text += _toml_table("[[models]]", {"name": name, **own})
    return text


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without provider keys, proxies and settings of ours."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith("_API_KEY")
        and not name.lower().endswith("_proxy")
        and not name.startswith(("TOKENFERRY", "OTEL_"))
    }
    source = str(ROOT / "src")
    return {**kept, "PYTHONPATH": source, "PYTHONUTF8": "1", **changes}


class Gateway:
    """A gateway process and what a test needs to know of it.

    Args:
        directory: Where configuration, data and log go.
        server: Keys of the `[server]` table.
        providers: The `[[providers]]` tables.
        aliases: The `[[models]]` tables: name -> candidates, or all other keys.
        tables: Further tables: name -> its keys.
        variables: Environment variables that the process gets.
    """

    def __init__(
        self,
        directory: Path,
        *,
        server: Mapping[str, Any] | None = None,
        providers: Sequence[ProviderEntry] = (),
        aliases: Mapping[str, Alias] | None = None,
        tables: Mapping[str, Mapping[str, Any]] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.data_dir = directory / "data"
        self.config = directory / "tokenferry.toml"
        tables = {"limits": LIMITS, **(tables or {})}
        text = to_toml(server or {}, providers, aliases or {}, tables)
        self.config.write_text(text, encoding="utf-8")
        self.log_path = directory / "gateway.log"
        self.variables = dict(variables or {})
        self.port = free_port()
        self.key = ""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/stream"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def log(self) -> str:
        """Return everything that the process printed."""
        return self.log_path.read_text(encoding="utf-8") if self.log_path.exists() else ""

    async def command(
        self, *arguments: str, typed: str = "", **variables: str
    ) -> tuple[int, str, str]:
        """Run `tokenferry ARGUMENTS…` and return its exit status, stdout and stderr."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tokenferry",
            *arguments,
            env=environment(**variables),
            cwd=self.directory,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                out, err = await process.communicate(typed.encode())
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def create_key(self, name: str = "test", *options: str) -> str:
        """Create a key through the command line, which prints the key alone on stdout."""
        return (await self.administer("keys", "create", name, *options)).removesuffix("\n")

    async def administer(self, *arguments: str, typed: str = "") -> str:
        """Run a command on the data directory, and return what it printed."""
        where = ("--data-dir", str(self.data_dir))
        status, out, err = await self.command(*arguments, *where, typed=typed)
        assert status == 0, err
        return out

    async def revoke_key(self, key: str) -> None:
        """Revoke a key through the command line."""
        public_id = key.split("_")[1]
        status, _, err = await self.command(
            "keys", "revoke", public_id, "--data-dir", str(self.data_dir)
        )
        assert status == 0, err

    async def start(self) -> "Gateway":
        """Start the process, wait until it says that it is ready, and create a first key."""
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tokenferry",
                "serve",
                "--config",
                str(self.config),
                "--port",
                str(self.port),
                "--data-dir",
                str(self.data_dir),
                env=environment(**self.variables),
                cwd=self.directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await self._until_ready()
        self.key = await self.create_key()
        return self

    async def _until_ready(self) -> None:
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self._is_ready():
                    assert self.running, f"the gateway did not start:\n{self.log()}"
                    await asyncio.sleep(READY_POLL_S)
        except TimeoutError:
            await self.kill()
            raise AssertionError(f"the gateway was not ready in time:\n{self.log()}") from None

    async def _is_ready(self) -> bool:
        try:
            return (await self.get("/readyz")).status == 200
        except ConnectionFailed:
            return False

    async def get(self, path: str, key: str | None = None) -> Response:
        """Send a GET request."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return await fetch(self.port, "GET", path, headers=headers)

    async def post(
        self, path: str, body: bytes, key: str | None = None, **headers: str
    ) -> Response:
        """Send a POST request with a JSON body."""
        headers = {"Content-Type": "application/json", **headers}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        return await fetch(self.port, "POST", path, headers=headers, body=body)

    async def is_up(self) -> bool:
        """Say whether the process runs and answers."""
        return self.running and (await self.get("/healthz")).status == 200

    def rss_bytes(self) -> int:
        """Return the process's resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def terminate(self) -> None:
        """Ask the process to stop."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    async def exit_status(self) -> int:
        """Wait for the process to end by itself."""
        assert self._process is not None
        async with asyncio.timeout(STOP_TIMEOUT_S):
            return await self._process.wait()

    async def kill(self) -> None:
        """End the process without asking."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        """Stop the process as an operator would, and check that it left cleanly."""
        if not self.running:
            raise AssertionError(f"the gateway had died before its time:\n{self.log()}")
        self.terminate()
        try:
            status = await self.exit_status()
        except TimeoutError:
            await self.kill()
            raise AssertionError(f"the gateway ignored SIGTERM:\n{self.log()}") from None
        log = self.log()
        assert status == 0, f"exit status {status}:\n{log}"
        failures = [line for line in log.split("\n") if "Traceback" in line]
        assert not failures, f"{len(failures)} tracebacks, such as:\n{_readable(failures[0])}"
        assert self.key not in log, "the log holds an API key"


def _readable(line: str) -> str:
    """Return a log entry with its line ends as such."""
    return line.replace("\\n", "\n")
