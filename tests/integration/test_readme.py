"""The examples of the READMEs, run as they stand but for the address and the key."""

import asyncio
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.gateway import ROOT, SERVER, Gateway, environment

pytestmark = pytest.mark.asyncio(loop_scope="module")

BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
NAMES = ("README.md", "README.ko.md")
NODE_MODULES = ROOT / "tests" / "node" / "node_modules"
TIMEOUT_S = 60
# The answer of the demo to a greeting is some hundreds of characters long.
ANSWER_CHARACTERS_MIN = 100


@pytest.fixture(scope="module")
def gateway_options() -> dict[str, Any]:
    return {"server": SERVER}


def examples(name: str, language: str) -> list[str]:
    text = (ROOT / name).read_text("utf-8")
    return [block["code"] for block in BLOCK.finditer(text) if block["language"] == language]


async def run(gateway: Gateway, *command: str, code: str) -> str:
    """Run an example, which must end well and say nothing on stderr; return what it printed."""
    code = code.replace("127.0.0.1:8000", f"127.0.0.1:{gateway.port}")
    code = code.replace("YOUR_KEY", gateway.key)
    process = await asyncio.create_subprocess_exec(
        *command,
        code,
        env=environment(NODE_PATH=str(NODE_MODULES)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    assert not err, err.decode()
    return out.decode()


# The demo answers at a reader's pace, so that examples run side by side.


async def test_python_examples(gateway: Gateway) -> None:
    codes = [code for name in NAMES for code in examples(name, "python")]
    assert len(codes) == 4
    answers = await asyncio.gather(
        *(run(gateway, sys.executable, "-c", code=code) for code in codes)
    )
    assert answers[0] == answers[1]
    assert answers[2] == answers[3]
    assert min(map(len, answers)) >= ANSWER_CHARACTERS_MIN


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is missing")
async def test_curl_examples(gateway: Gateway) -> None:
    shell = [code for name in NAMES for code in examples(name, "sh")]
    codes = [code for code in shell if code.startswith("curl -N ")]
    assert len(codes) == 2
    # Into a pipe, curl shows its progress on stderr unless it is silent.
    silent = [code.replace("curl", "curl -sS", 1) for code in codes]
    answers = await asyncio.gather(*(run(gateway, "sh", "-c", code=code) for code in silent))
    for events in answers:
        assert events.startswith("data: {")
        assert "\ndata: [DONE]\n" in events


@pytest.mark.needs("node")
async def test_node_examples(gateway: Gateway) -> None:
    codes = [code for name in NAMES for code in examples(name, "js")]
    assert len(codes) == 2
    answers = await asyncio.gather(*(run(gateway, "node", "-e", code=code) for code in codes))
    assert min(map(len, answers)) >= ANSWER_CHARACTERS_MIN


@pytest.mark.parametrize("name", NAMES)
async def test_the_configuration_is_one(tmp_path: Path, name: str) -> None:
    (toml,) = examples(name, "toml")
    file = tmp_path / "tokenferry.toml"
    file.write_text(toml, "utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tokenferry", "config", "check", "--config", str(file),
        env=environment(OPENAI_API_KEY="sk-example-0123456789"), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert out.startswith(b"OK\n"), out.decode()
    assert b"alias fast: openai/gpt-6-luna, local/qwen3:8b" in out
