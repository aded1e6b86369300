"""The examples and commands of the quick start and the guides, run as they stand there.

They ask for the model `demo`, whose pace is a reader's: here a scripted provider serves it at once.
"""

import asyncio
import contextlib
import io
import json
import shlex
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness.dialects import closing, opening, token
from harness.gateway import ROOT, SERVER, Gateway, environment, provider_entry
from harness.providers import ScriptedProvider, replay, scripted_provider
from integration.test_readme import NODE_MODULES, TIMEOUT_S, examples
from tokenferry.cli.main import main
from tokenferry.config.loading import load

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLES = ROOT / "docs" / "examples"
# Reads programs, runs each, and prints what each has printed.
RUN_EACH = """
import contextlib, io, json, sys
answers = []
for code in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, "example", "exec"), {"__name__": "__main__"})
    answers.append(out.getvalue())
print(json.dumps(answers))
"""
TEXTS = ("안녕하세요, ", "반갑습니다", " 🙂")
ANSWER = "".join(TEXTS)
GUIDES = sorted(path for path in (ROOT / "docs" / "guides").glob("*.md"))
CONFIGURED = [
    path.relative_to(ROOT)
    for path in (ROOT / "docs" / "quick-start.md", *GUIDES)
    if "```toml" in path.read_text("utf-8") and not path.name.endswith(".ko.md")
]
# What the files of the guides refer to.
NAMES = (
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "OPENAI_KEY_A",
    "OPENAI_KEY_B",
    "OPENROUTER_API_KEY",
)
VARIABLES = {name: f"sk-example-0123456789-{name}" for name in NAMES}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with scripted_provider() as running:
        yield running


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    return {
        "server": {**SERVER, "demo": False},
        "providers": [provider_entry("openai", provider.url)],
        "aliases": {"demo": ["openai/m-openai"]},
    }


async def run(gateway: Gateway, *command: str, typed: str = "") -> str:
    """Run a program in the gateway's directory; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment(NODE_PATH=str(NODE_MODULES)),
        cwd=gateway.directory,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            out, err = await process.communicate(typed.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    return out.decode()


def example(
    gateway: Gateway, provider: ScriptedProvider, name: str, *, whole: bool = True, key: str = ""
) -> str:
    """Return an example, but for its address, key and question; its answer is to be whole."""
    script = [*opening("openai"), *(token("openai", text) for text in TEXTS)]
    script += closing("openai", len(TEXTS)) if whole else []
    code = (EXAMPLES / name).read_text("utf-8")
    values = {
        "127.0.0.1:8000": f"127.0.0.1:{gateway.port}",
        "YOUR_KEY": key or gateway.key,
        "Hello!": provider.play(replay(script)),
    }
    for old, new in values.items():
        assert old in code, old
        code = code.replace(old, new)
    return code


async def run_python(gateway: Gateway, codes: list[str]) -> list[str]:
    """Run programs one after the other, in one process: the openai package is slow to import."""
    answers = await run(gateway, sys.executable, "-c", RUN_EACH, typed=json.dumps(codes))
    return list(json.loads(answers))


async def test_every_python_example(gateway: Gateway, provider: ScriptedProvider) -> None:
    names = sorted(path.name for path in (EXAMPLES / "python").iterdir())
    assert names == ["after_a_failure.py", "openai_stream.py", "websocket_stream.py"]
    failing = "python/after_a_failure.py"
    codes = [example(gateway, provider, f"python/{name}") for name in names]
    codes += [
        example(gateway, provider, failing, key="sk-provider"),
        example(gateway, provider, failing, whole=False),
    ]
    *answers, no_key, broken = await run_python(gateway, codes)
    assert [answer.removesuffix("\n") for answer in answers] == [ANSWER] * len(names)
    assert no_key.startswith("The key: ")
    assert broken.startswith("The answer broke off: provider_cut_off ")


@pytest.mark.needs("node")
async def test_every_node_example(gateway: Gateway, provider: ScriptedProvider) -> None:
    names = sorted(path.name for path in (EXAMPLES / "node").iterdir())
    assert names == ["openai_stream.mjs", "websocket_stream.mjs"]
    # Modules are looked up beside the file that imports them.
    (gateway.directory / "node_modules").symlink_to(NODE_MODULES)
    for name in names:
        (gateway.directory / name).write_text(example(gateway, provider, f"node/{name}"), "utf-8")
    answers = await asyncio.gather(*(run(gateway, "node", name) for name in names))
    assert answers == [ANSWER] * len(names)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is missing")
async def test_the_curl_example(gateway: Gateway, provider: ScriptedProvider) -> None:
    events = await run(gateway, "sh", "-c", example(gateway, provider, "curl/stream.sh"))
    assert all(f'"{text}"' in events for text in TEXTS)
    assert "\ndata: [DONE]\n" in events


@pytest.mark.parametrize("name", CONFIGURED, ids=str)
async def test_the_configurations_have_no_fault(tmp_path: Path, name: Path) -> None:
    blocks = examples(str(name), "toml")
    assert blocks
    for block in blocks:
        file = tmp_path / "tokenferry.toml"
        file.write_text(block, "utf-8")
        load(file, VARIABLES)


Commands = Callable[[str, str], list[str]]


@pytest.fixture
def commands(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Run a page's block of commands that begins so; give what they printed, by line."""
    # Where the gateway's own tokenferry.toml is.
    monkeypatch.chdir(gateway.directory)
    return partial(run_commands, gateway)


def run_commands(gateway: Gateway, page: str, beginning: str) -> list[str]:
    (block,) = (code for code in examples(page, "sh") if code.startswith(beginning))
    out = io.StringIO()
    for line in block.splitlines():
        program, *arguments = shlex.split(line)
        assert program in ("tokenferry", ".venv/bin/tokenferry")
        with contextlib.redirect_stdout(out):
            assert main([*arguments, "--data-dir", str(gateway.data_dir)]) == 0
    return out.getvalue().splitlines()


async def test_a_key_for_a_colleague_is_for_one_model(gateway: Gateway, commands: Commands) -> None:
    key, *listed = commands("docs/quick-start.md", ".venv/bin/tokenferry keys create")
    assert any("Kim, notebook" in line and key.split("_")[1] in line for line in listed)
    models = (await gateway.get("/v1/models", key)).json["data"]
    assert [model["id"] for model in models] == ["demo"]


async def test_what_users_of_one_api_have_left_is_credited(
    gateway: Gateway, commands: Commands
) -> None:
    page = "docs/guides/migrate-from-one-api.md"
    commands(page, "tokenferry prices set")
    account, key = commands(page, "tokenferry accounts create")
    assert account
    assert key.startswith("tf_")
    balance = await gateway.administer("accounts", "balance", "kim@example.com")
    assert "3.25" in balance
