"""The examples of docs/streams.md, run as they stand but for the address and the key."""

import asyncio
import shutil
import sys
from typing import Any

import pytest

from harness.gateway import SERVER, Gateway, environment
from integration.test_readme import NODE_MODULES, TIMEOUT_S, examples

pytestmark = pytest.mark.asyncio(loop_scope="module")

# One language's examples are run: the other one's are the same but for the greeting.
ENGLISH, KOREAN = "docs/streams.md", "docs/streams.ko.md"
ANSWER_CHARACTERS_MIN = 100


@pytest.fixture(scope="module")
def gateway_options() -> dict[str, Any]:
    return {"server": SERVER}


async def run(gateway: Gateway, *command: str, code: str, name: str) -> str:
    """Run an example, which must end well and say nothing on stderr; return what it printed."""
    code = code.replace("127.0.0.1:8000", f"127.0.0.1:{gateway.port}")
    code = code.replace("YOUR_KEY", gateway.key).replace("order-4711", name)
    process = await asyncio.create_subprocess_exec(
        *command,
        code,
        env=environment(NODE_PATH=str(NODE_MODULES)),
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
    assert (process.returncode, err.decode()) == (0, "")
    return out.decode()


async def test_python_goes_on_where_it_was_cut(gateway: Gateway) -> None:
    (code,) = examples(KOREAN, "python")
    answer = await run(gateway, sys.executable, "-c", code=code, name="guide")
    streams = (await gateway.get("/v1/streams?limit=1", gateway.key)).json["data"]
    shown = (await gateway.get(f"/v1/streams/{streams[0]['id']}", gateway.key)).json
    assert answer.removesuffix("\n") == shown["completion"]["choices"][0]["message"]["content"]
    assert len(answer) >= ANSWER_CHARACTERS_MIN


@pytest.mark.needs("node")
async def test_node_goes_on_where_it_was_cut(gateway: Gateway) -> None:
    (code,) = examples(KOREAN, "js")
    answer = await run(gateway, "node", "-e", code=code, name="guide")
    streams = (await gateway.get("/v1/streams?limit=1", gateway.key)).json["data"]
    shown = (await gateway.get(f"/v1/streams/{streams[0]['id']}", gateway.key)).json
    assert answer.removesuffix("\n") == shown["completion"]["choices"][0]["message"]["content"]


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is missing")
async def test_curl_gets_the_rest(gateway: Gateway) -> None:
    (code,) = examples(KOREAN, "sh")
    rest = await run(gateway, "sh", "-c", code=code, name="guide")
    whole = (gateway.directory / "all.txt").read_text("utf-8")
    _, _, after = whole.partition("\nid: 1-5\n\n")
    assert rest == f": keep-alive\n\n{after}"
    assert after.endswith("\n\n")


async def test_both_languages_have_the_same_code() -> None:
    for language in ("python", "js", "sh"):
        english, korean = (examples(name, language) for name in (ENGLISH, KOREAN))
        assert [code.replace("안녕하세요!", "Hello!") for code in korean] == english
