"""The examples and commands of the quick start and the guides, run as they stand there.

They ask for the model `demo`, whose pace is a reader's: here a scripted provider serves it at once.
"""

import asyncio
import re
import shlex
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness.dialects import closing, opening, token
from harness.gateway import ROOT, SERVER, Gateway, environment, provider_entry
from harness.providers import ScriptedProvider, replay, scripted_provider
from integration.test_readme import NODE_MODULES, TIMEOUT_S, examples
from tokenferry.config.loading import load

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLES = ROOT / "docs" / "examples"
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
QUICK_START = "docs/quick-start.md"


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


async def run(gateway: Gateway, *command: str) -> str:
    """Run a program in the gateway's directory; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment(NODE_PATH=str(NODE_MODULES), TOKENFERRY_DATA_DIR=str(gateway.data_dir)),
        cwd=gateway.directory,
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
    return out.decode()


async def example(gateway: Gateway, provider: ScriptedProvider, name: str, *command: str) -> str:
    """Run an example but for its address, key and question; return what it printed."""
    script = [*opening("openai"), *(token("openai", text) for text in TEXTS), *closing("openai", 3)]
    source = EXAMPLES / name
    code = source.read_text("utf-8")
    values = {
        "127.0.0.1:8000": f"127.0.0.1:{gateway.port}",
        "YOUR_KEY": gateway.key,
        "Hello!": provider.play(replay(script)),
    }
    for old, new in values.items():
        assert old in code, old
        code = code.replace(old, new)
    file = gateway.directory / source.name
    file.write_text(code, "utf-8")
    return await run(gateway, *command, str(file))


async def test_every_python_example(gateway: Gateway, provider: ScriptedProvider) -> None:
    names = sorted(path.name for path in (EXAMPLES / "python").iterdir())
    assert names == ["after_a_failure.py", "openai_stream.py", "websocket_stream.py"]
    answers = await asyncio.gather(
        *(example(gateway, provider, f"python/{name}", sys.executable) for name in names)
    )
    assert [answer.removesuffix("\n") for answer in answers] == [ANSWER] * len(names)


@pytest.mark.needs("node")
async def test_every_node_example(gateway: Gateway, provider: ScriptedProvider) -> None:
    names = sorted(path.name for path in (EXAMPLES / "node").iterdir())
    assert names == ["openai_stream.mjs", "websocket_stream.mjs"]
    # Modules are looked up beside the file that imports them.
    (gateway.directory / "node_modules").symlink_to(NODE_MODULES)
    answers = await asyncio.gather(
        *(example(gateway, provider, f"node/{name}", "node") for name in names)
    )
    assert answers == [ANSWER] * len(names)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is missing")
async def test_the_curl_example(gateway: Gateway, provider: ScriptedProvider) -> None:
    events = await example(gateway, provider, "curl/stream.sh", "sh")
    assert all(f'"{text}"' in events for text in TEXTS)
    assert "\ndata: [DONE]\n" in events


async def test_a_failure_is_told_apart_as_the_guide_says(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    code = (EXAMPLES / "python" / "after_a_failure.py").read_text("utf-8")
    code = code.replace("127.0.0.1:8000", f"127.0.0.1:{gateway.port}")
    broken = provider.play(replay([*opening("openai"), token("openai", TEXTS[0])]))
    good = code.replace("YOUR_KEY", gateway.key).replace("Hello!", broken)
    said = await asyncio.gather(*(run(gateway, sys.executable, "-c", one) for one in (code, good)))
    assert said[0].startswith("The key: ")
    assert said[1].startswith("The answer broke off: provider_cut_off ")


@pytest.mark.parametrize("name", CONFIGURED, ids=str)
async def test_the_configurations_have_no_fault(tmp_path: Path, name: Path) -> None:
    blocks = examples(str(name), "toml")
    assert blocks
    for block in blocks:
        file = tmp_path / "tokenferry.toml"
        file.write_text(block, "utf-8")
        load(file, VARIABLES)


async def commands(gateway: Gateway, page: str, beginning: str) -> list[str]:
    """Run a page's block of commands that begins so, and return what they printed, by line."""
    (block,) = (code for code in examples(page, "sh") if code.startswith(beginning))
    program = f"{shlex.quote(sys.executable)} -m tokenferry "
    script = re.sub(r"^(?:\.venv/bin/)?tokenferry ", program, block, flags=re.MULTILINE)
    assert program in script
    return (await run(gateway, "sh", "-ec", script)).splitlines()


async def test_a_key_for_a_colleague_is_for_one_model(gateway: Gateway) -> None:
    key, *listed = await commands(
        gateway, "docs/quick-start.md", ".venv/bin/tokenferry keys create"
    )
    assert any("Kim, notebook" in line and key.split("_")[1] in line for line in listed)
    models = (await gateway.get("/v1/models", key)).json["data"]
    assert [model["id"] for model in models] == ["demo"]


async def test_what_users_of_one_api_have_left_is_credited(gateway: Gateway) -> None:
    page = "docs/guides/migrate-from-one-api.md"
    assert await commands(gateway, page, "tokenferry prices set") is not None
    account, key = await commands(gateway, page, "tokenferry accounts create")
    assert account
    assert key.startswith("tf_")
    balance = await gateway.administer("accounts", "balance", "kim@example.com")
    assert "3.25" in balance
