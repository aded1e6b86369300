"""What the load is put on: each target is a process with a port, and a key if it asks for one."""

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import Process, cores, free_port, listens

ROOT = Path(__file__).parent.parent
MODELS = (
    "mock-100-20",
    "mock-50-20",
    "mock-50-40",
    "mock-2000-0",
    "mock-1-0",
    # Of clients that come back: streams that still run, that are far ahead, that are kept.
    "mock-60-500",
    "mock-12000-0",
    "mock-20-0",
)
# What most of what people relay costs, in USD for a million tokens.
PRICE = ("--input", "0.10", "--output", "0.40", "--output-max", "4096")
START_WAIT_S = 20.0
PROVIDER_ENV = re.compile(r".*_API_KEY|(https?|all|no)_proxy|TOKENFERRY_.*", re.IGNORECASE)

GATEWAY_CONFIG = """
[server]
durability = "{durability}"
connections_per_key_max = 20000
streams_per_connection_max = 1000
creates_per_minute = 0

[[providers]]
name = "mock"
kind = "openai"
base_url = "http://127.0.0.1:{provider_port}/v1"
api_key = "sk-mock"
models = {models}
"""


class Missing(Exception):
    """Something the benchmark needs is not installed; the message says what to do."""


@dataclass
class Target:
    """Something that relays, running."""

    name: str
    port: int
    process: Process
    key: str = "none"
    start_s: float = 0.0
    pids: list[int] = field(default_factory=list)
    provider_pids: list[int] = field(default_factory=list)


def clean_environment() -> dict[str, str]:
    """Return the environment without provider keys and proxies, which would change the path."""
    return {name: text for name, text in os.environ.items() if not PROVIDER_ENV.fullmatch(name)}


@contextlib.contextmanager
def running(target: Target) -> Iterator[Target]:
    try:
        yield target
    finally:
        target.process.stop()


def start_provider(work: Path) -> Target:
    port = free_port()
    argv = [sys.executable, "-m", "bench.provider", str(port)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    process = Process(argv, work / "provider.log", cores()[1], env)
    process.wait_until(lambda: listens(port), START_WAIT_S)
    return Target("mock provider", port, process, pids=process.pids())


class Gateway:
    """Tokenferry, as it is installed here: configured once, started as often as needed."""

    name = "Tokenferry"

    def __init__(self, work: Path, provider: Target):
        self.work = work
        self.provider = provider
        self.env = clean_environment()
        self.command = [sys.executable, "-m", "tokenferry"]
        self.key = self.administer("keys", "create", "bench")
        self.prepaid_key = self._prepaid()

    def administer(self, *words: str) -> str:
        argv = [*self.command, *words, "--data-dir", str(self.work / "data")]
        made = subprocess.run(argv, env=self.env, capture_output=True, text=True, check=False)
        if made.returncode:
            raise RuntimeError(f"{argv} failed:\n{made.stderr[-3000:]}")
        return made.stdout.strip()

    def _prepaid(self) -> str:
        """Make an account with credit, and a price, so that each request is held and charged."""
        buyer = "buyer@example.com"
        self.administer("accounts", "create", buyer, "--credit", "1000.00")
        for model in MODELS:
            self.administer("prices", "set", f"mock/{model}", *PRICE)
        return self.administer("keys", "create", "prepaid", "--account", buyer)

    def start(self, durability: str = "process") -> Target:
        port = free_port()
        config = self.work / f"{durability}.toml"
        models = json.dumps(MODELS)
        config.write_text(
            GATEWAY_CONFIG.format(
                provider_port=self.provider.port, models=models, durability=durability
            )
        )
        argv = [*self.command, "serve", "--config", str(config), "--port", str(port)]
        argv += ["--data-dir", str(self.work / "data")]
        process = Process(argv, self.work / "tokenferry.log", cores()[0], self.env)
        target = Target(self.name, port, process, self.key, provider_pids=self.provider.pids)
        return ready(target, "/healthz", START_WAIT_S)


def ready(target: Target, health_path: str, within_s: float) -> Target:
    """Wait for the first answered request; `start_s` is the time since the process was started."""
    try:
        target.process.wait_until(lambda: healthy(target, health_path), within_s)
        target.start_s = target.process.wait_until(lambda: answers(target), within_s)
    except BaseException:
        target.process.stop()
        raise
    target.pids = target.process.pids()
    return target


def healthy(target: Target, path: str) -> bool:
    return exchange(target, "GET", path, None)[0] == 200


def answers(target: Target) -> bool:
    message = {"role": "user", "content": "hello"}
    body = json.dumps({"model": "mock-1-0", "messages": [message]})
    status, answer = exchange(target, "POST", "/v1/chat/completions", body)
    if 400 <= status < 500:
        raise RuntimeError(f"{target.name} refuses: {status} {answer.decode(errors='replace')}")
    return status == 200


def exchange(target: Target, method: str, path: str, body: str | None) -> tuple[int, bytes]:
    """Return status and body of one request; (0, b"") while nobody listens."""
    headers = {"Authorization": f"Bearer {target.key}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
