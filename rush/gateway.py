"""The gateway under the rush: one process, and what an operator and its clients ask of it."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

ROOT = Path(__file__).parent.parent
FOREIGN = re.compile(r".*_API_KEY|(https?|all|no)_proxy|TOKENFERRY_.*", re.IGNORECASE)
START_S = 20.0


@dataclass
class Answer:
    """What a client saw.

    Attributes:
        status: HTTP status; 0 if the connection broke.
        first_s: Seconds from the request to the first token; None without one.
        text: The text.
        finish: The finish reason; None without one.
        retry_after_ms: What an error says.
    """

    status: int = 0
    first_s: float | None = None
    text: str = ""
    finish: str | None = None
    retry_after_ms: int | None = None


@dataclass
class Gateway:
    """A gateway with a configuration of its own."""

    work: Path
    config: str
    key: str = ""
    url: str = ""
    process: subprocess.Popen[bytes] | None = None
    session: aiohttp.ClientSession | None = None
    prices: list[str] = field(default_factory=list)

    def command(self, *words: str) -> str:
        argv = [sys.executable, "-m", "tokenferry", *words, "--data-dir", str(self.work / "data")]
        made = subprocess.run(argv, env=_env(), capture_output=True, text=True, check=False)
        if made.returncode:
            raise RuntimeError(f"{words} failed: {made.stdout}{made.stderr}")
        return made.stdout.strip()

    async def __aenter__(self) -> Self:
        self.work.mkdir(parents=True, exist_ok=True)
        path = self.work / "tokenferry.toml"
        path.write_text(self.config, encoding="utf-8")
        self.key = self.command("keys", "create", "rush")
        for model in self.prices:
            price = ("--input", "1", "--output", "1", "--output-max", "100")
            self.command("prices", "set", model, *price)
        argv = [sys.executable, "-m", "tokenferry", "serve", "--config", str(path)]
        argv += ["--port", "0", "--data-dir", str(self.work / "data")]
        with (self.work / "gateway.log").open("wb") as log:
            self.process = subprocess.Popen(argv, env=_env(), stdout=log, stderr=log)
        connector = aiohttp.TCPConnector(limit=0)
        self.session = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(120)
        )
        until = time.monotonic() + START_S
        while not self.url:
            text = (self.work / "gateway.log").read_text(encoding="utf-8")
            if found := re.search(r"listens on (http://\S+)", text):
                self.url = found[1]
            elif time.monotonic() > until or self.process.poll() is not None:
                raise RuntimeError(f"the gateway did not start:\n{text}")
            await asyncio.sleep(0.05)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.session is not None:
            await self.session.close()
        if self.process is not None:
            self.process.terminate()
            await asyncio.to_thread(self.process.wait, 30)

    async def ask(self, model: str, text: str, key: str = "", **fields: Any) -> Answer:
        """Ask for a streamed answer and read it to its end."""
        assert self.session is not None
        answer, began_s = Answer(), time.monotonic()
        body = {"model": model, "stream": True, "messages": [{"role": "user", "content": text}]}
        headers = {"Authorization": f"Bearer {key or self.key}"}
        try:
            async with self.session.post(
                f"{self.url}/v1/chat/completions", json=body | fields, headers=headers
            ) as response:
                answer.status = response.status
                if response.status != 200:
                    wait = response.headers.get("retry-after-ms")
                    answer.retry_after_ms = None if wait is None else int(wait)
                    return answer
                async for line in response.content:
                    _read(answer, line, began_s)
        except aiohttp.ClientError:
            answer.status = 0
        return answer

    async def get(self, path: str) -> Any:
        assert self.session is not None
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.session.get(f"{self.url}{path}", headers=headers) as response:
            return json.loads(await response.read())


def _read(answer: Answer, line: bytes, began_s: float) -> None:
    if not line.startswith(b"data: {"):
        return
    chunk = json.loads(line[6:])
    for choice in chunk.get("choices") or ():
        if content := (choice.get("delta") or {}).get("content"):
            if answer.first_s is None:
                answer.first_s = time.monotonic() - began_s
            answer.text += content
        answer.finish = choice.get("finish_reason") or answer.finish


def _env() -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not FOREIGN.fullmatch(name)}
    return kept | {"PYTHONPATH": str(ROOT / "src"), "PYTHONUTF8": "1"}
