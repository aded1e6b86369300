"""What the guides say that clients say when something fails, compared with what they do say.

Real clients against a real gateway; only numbers (addresses, waits) may differ.
"""

import asyncio
import json
import re
import shutil
import traceback
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import openai
import pytest
import pytest_asyncio
import websockets

from harness.gateway import ROOT, SERVER, Gateway, environment, free_port
from tokenferry.domain.api_key import PUBLIC_ID_CHARACTERS, SECRET_CHARACTERS, format_key

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMEOUT_S = 60
# Enough of an answer for a client to have seen tokens.
CUT_AFTER_BYTES = 2_000
REQUEST: Mapping[str, Any] = {
    "model": "demo",
    "messages": [{"role": "user", "content": "A long answer, please."}],
}
# Well formed, and no gateway's.
UNKNOWN_KEY = format_key("0" * PUBLIC_ID_CHARACTERS, "0" * SECRET_CHARACTERS)


@dataclass(frozen=True, slots=True)
class Case:
    """One way to fail: the guide that tells of it, and what leads there."""

    guide: str
    host: str
    key: str


@pytest.fixture(scope="module")
def gateway_options() -> dict[str, Any]:
    return {"server": SERVER}


async def cut_answers(
    gateway: Gateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Relay one connection, and close it in the middle of its answer."""
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", gateway.port)

    async def up() -> None:
        while data := await reader.read(65_536):
            far_writer.write(data)

    sending = asyncio.create_task(up())
    seen = 0
    while seen < CUT_AFTER_BYTES and (data := await far_reader.read(65_536)):
        writer.write(data)
        seen += len(data)
    sending.cancel()
    far_writer.close()
    writer.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cases(gateway: Gateway) -> AsyncIterator[dict[str, Case]]:
    host = f"127.0.0.1:{gateway.port}"
    limited = await gateway.create_key("limited", "--rpm", "1")
    spend = json.dumps({**REQUEST, "stream": False, "max_tokens": 1}).encode()
    assert (await gateway.post("/v1/chat/completions", spend, limited)).status == 200
    server = await asyncio.start_server(
        lambda reader, writer: cut_answers(gateway, reader, writer), "127.0.0.1", 0
    )
    cutting = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield {
        "refused": Case("cannot-connect", f"127.0.0.1:{free_port()}", gateway.key),
        "form": Case("unauthorized", host, "sk-proj-0123456789"),
        "unknown": Case("unauthorized", host, UNKNOWN_KEY),
        "cut": Case("dropped-stream", cutting, gateway.key),
        "limit": Case("too-many-requests", host, limited),
    }
    server.close()
    await server.wait_closed()


def last_line(error: BaseException) -> str:
    """Return what stands at the end of a traceback."""
    return traceback.format_exception_only(error)[-1].strip()


async def over_http(case: Case) -> str | None:
    url = f"http://{case.host}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=case.key, max_retries=0) as client:
        try:
            async for _ in await client.chat.completions.create(**REQUEST, stream=True):
                pass
        except Exception as error:  # noqa: BLE001 -- which one it is, is what is asked
            return last_line(error)
    return None


async def over_websocket(case: Case) -> str | None:
    headers = {"Authorization": f"Bearer {case.key}"}
    url = f"ws://{case.host}/v1/stream"
    try:
        async with websockets.connect(url, additional_headers=headers) as socket:
            await socket.send(json.dumps(REQUEST))
            async for frame in socket:
                message = json.loads(frame)
                if message.get("error"):
                    return str(message["error"]["message"])
    except Exception as error:  # noqa: BLE001 -- as above
        return last_line(error)
    return None


async def printed(*command: str) -> tuple[str, str]:
    """Run a program and return its stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *command, env=environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(TIMEOUT_S):
        out, err = await process.communicate()
    return out.decode(), err.decode()


async def with_curl(case: Case) -> str | None:
    out, err = await printed(
        "curl", "-sSN", f"http://{case.host}/v1/chat/completions",
        "-H", f"Authorization: Bearer {case.key}", "-H", "Content-Type: application/json",
        "-d", json.dumps({**REQUEST, "stream": True}),
    )  # fmt: skip
    if err:
        return err.strip()
    body = json.loads(out)
    return str(body["error"]["message"])


def normal(text: str) -> str:
    """Return a text in which all numbers are alike."""
    return re.sub(r"\d+(?:\.\d+)?", "0", text)


def check(said: Mapping[str, str | None], cases: Mapping[str, Case]) -> None:
    for name, message in said.items():
        assert message, name
        for language in ("", ".ko"):
            path = f"docs/guides/{cases[name].guide}{language}.md"
            guide = (ROOT / path).read_text("utf-8")
            assert normal(message) in normal(guide), f"{path} lacks: {message}"


async def test_the_openai_package_says_so(cases: dict[str, Case]) -> None:
    check({name: await over_http(case) for name, case in cases.items()}, cases)


async def test_the_websockets_package_says_so(cases: dict[str, Case]) -> None:
    check({name: await over_websocket(case) for name, case in cases.items()}, cases)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is missing")
async def test_curl_says_so(cases: dict[str, Case]) -> None:
    said = {name: await with_curl(case) for name, case in cases.items()}
    # Newer versions end this one in other words.
    assert said["refused"]
    said["refused"] = said["refused"].rpartition(":")[0]
    check(said, cases)


@pytest.mark.needs("node")
async def test_the_packages_of_node_say_so(cases: dict[str, Case]) -> None:
    given = [{"name": name, "host": case.host, "key": case.key} for name, case in cases.items()]
    script = str(ROOT / "tests" / "node" / "failures.mjs")
    out, err = await printed("node", script, json.dumps(given))
    assert out, err
    said = json.loads(out)
    for client in ("openai", "ws"):
        check({name: said[name][client] for name in cases}, cases)
