"""Clients that exist already, as processes of their own, unchanged but for URL and key."""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness.components import missing_components
from harness.dialects import KINDS, whole
from harness.gateway import ROOT, SERVER, Gateway, environment, provider_entry
from harness.providers import ScriptedProvider, replay

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS = ROOT / ".." / "shared" / "compat"
OWN = ROOT / "tests" / "compat"
NODE_MODULES = ROOT / "tests" / "node" / "node_modules"
WEBSOCKETS_13 = ROOT / "build" / "websockets13"
TIMEOUT_S = 60
PROMPTS = {
    "english": "Show a WebSocket streaming example",
    "korean": "웹소켓 스트리밍 예제를 보여 주세요 🙂",
}
PIECES = ["안녕", "하세요! ", "🙂👩‍👩‍👧‍👦 ", "끝."]

shared = pytest.mark.needs("shared")
each_python = pytest.mark.parametrize(
    "websockets",
    ["newest", pytest.param("13", marks=pytest.mark.needs("websockets13"))],
)


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    return {
        "server": SERVER,
        "providers": [provider_entry(kind, provider.url) for kind in KINDS],
    }


@dataclass(frozen=True, slots=True)
class Run:
    """What a client did."""

    status: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.out.rstrip("\n").rpartition("\n")[2]


async def run(command: Sequence[str | Path], **variables: str) -> Run:
    """Run a client and wait for its end."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        env=environment(**variables),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Run(process.returncode, out.decode(), err.decode())


async def run_python(script: Path, *arguments: str, websockets: str = "newest") -> Run:
    # The path has nothing of ours on it: a client finds websockets, and no tokenferry.
    path = str(WEBSOCKETS_13) if websockets == "13" else ""
    return await run([sys.executable, script, *arguments], PYTHONPATH=path)


async def run_node(script: Path, *arguments: str) -> Run:
    return await run(["node", script, *arguments], NODE_PATH=str(NODE_MODULES))


def check(result: Run) -> None:
    """Check that the client came to an answer: exit 0 and `chars=N` with N above 0."""
    assert result.status == 0, result
    assert (match := re.fullmatch(r"chars=(\d+)", result.last_line)), result
    assert int(match[1]) > 0, result
    assert not result.err, result


# -- the users' clients, with the built-in model --------------------------------------------------


@dataclass(frozen=True, slots=True)
class DemoCase:
    """A client, the library that it finds, and what it asks the demo model."""

    client: str
    library: str
    language: str

    @property
    def name(self) -> str:
        return f"{self.client}-{self.library}-{self.language}"

    async def run(self, gateway: Gateway) -> Run:
        arguments = (gateway.ws_url, gateway.key, "demo", PROMPTS[self.language])
        if self.library == "ws":
            return await run_node(CLIENTS / self.client, *arguments)
        return await run_python(CLIENTS / self.client, *arguments, websockets=self.library)


NEEDED = {"ws": "node", "13": "websockets13"}
DEMO_CASES = [
    DemoCase(client, library, language)
    for language in PROMPTS
    for client, library in (
        ("stream_chat.py", "newest"),
        ("stream_chat.py", "13"),
        ("robust_stream_chat.py", "newest"),
        ("robust_stream_chat.py", "13"),
        ("stream_chat.js", "ws"),
    )
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo_runs(
    gateway: Gateway, request: pytest.FixtureRequest
) -> AsyncIterator[dict[str, asyncio.Task[Run]]]:
    """Run the wanted clients side by side: the demo model answers at a human pace."""
    wanted = [
        item.callspec.params["case"]
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.originalname == "test_a_client_as_it_is_with_the_demo_model"
        and not missing_components(item)
    ]
    tasks = {case.name: asyncio.create_task(case.run(gateway)) for case in wanted}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            id=case.name,
            marks=pytest.mark.needs("shared", *filter(None, [NEEDED.get(case.library)])),
        )
        for case in DEMO_CASES
    ],
)
async def test_a_client_as_it_is_with_the_demo_model(
    demo_runs: dict[str, asyncio.Task[Run]], case: DemoCase
) -> None:
    check(await demo_runs[case.name])


@shared
@pytest.mark.needs("node")
@pytest.mark.parametrize("client", ["stream_chat.py", "robust_stream_chat.py", "stream_chat.js"])
@pytest.mark.parametrize("kind", KINDS)
async def test_every_character_of_a_provider_s_answer_arrives(
    gateway: Gateway, provider: ScriptedProvider, kind: str, client: str
) -> None:
    prompt = provider.play(replay(whole(kind, PIECES)))
    runs = run_node if client.endswith(".js") else run_python
    result = await runs(CLIENTS / client, gateway.ws_url, gateway.key, f"m-{kind}", prompt)
    check(result)
    text = "".join(PIECES)
    assert result.out.startswith(text + "\n")
    units = len(text.encode("utf-16-le")) // 2 if client.endswith(".js") else len(text)
    assert result.last_line == f"chars={units}"


# -- a client that asks again ---------------------------------------------------------------------


@contextlib.asynccontextmanager
async def dropping_proxy(port: int, *, after_bytes: int) -> AsyncIterator[int]:
    """Give a port that leads to `port`, but drops the first connection after so many bytes."""
    tasks: set[asyncio.Task[None]] = set()
    count = 0

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bytes_max: int | None
    ) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := await reader.read(512):
                passed += len(data)
                if bytes_max is not None and passed > bytes_max:
                    break
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        limit = after_bytes if count == 1 else None
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        for pumping in (pump(reader, there_writer, None), pump(there_reader, writer, limit)):
            task = asyncio.create_task(pumping)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@shared
async def test_the_robust_client_gets_its_answer_after_a_drop(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    prompt = provider.play(replay(whole("openai", PIECES * 20)))
    async with dropping_proxy(gateway.port, after_bytes=2500) as port:
        url = f"ws://127.0.0.1:{port}/v1/stream"
        script = CLIENTS / "robust_stream_chat.py"
        result = await run_python(script, url, gateway.key, "m-openai", prompt)
    check(result)
    assert "connection lost (attempt 1/3)" in result.out
    assert result.last_line == f"chars={len(''.join(PIECES)) * 20}"
    # It knows nothing of resuming: it asked twice.
    assert len(provider.exchanges(prompt)) == 2


# -- the usual shortcuts --------------------------------------------------------------------------


def scripted_answers(provider: ScriptedProvider) -> tuple[list[str], str]:
    """Register one answer of each kind; return the prompts and what a client must print."""
    texts = [[f"{number}번 ", *PIECES] for number in range(3)]
    prompts = [provider.play(replay(whole("openai", pieces))) for pieces in texts]
    return prompts, "".join(f"{''.join(pieces)}\n" for pieces in texts) + "answers=3\n"


@each_python
@pytest.mark.parametrize(
    "shortcut", ["until_done", "until_finish_reason", "until_stop", "as_generator", "with_usage"]
)
async def test_python_shortcuts(
    gateway: Gateway, provider: ScriptedProvider, shortcut: str, websockets: str
) -> None:
    prompts, printed = scripted_answers(provider)
    arguments = (gateway.ws_url, gateway.key, "m-openai", shortcut, *prompts)
    result = await run_python(OWN / "shortcuts.py", *arguments, websockets=websockets)
    assert result == Run(0, printed, "")


@pytest.mark.needs("node")
@pytest.mark.parametrize("shortcut", ["done", "finishReason", "destructured", "usage"])
async def test_node_shortcuts(gateway: Gateway, provider: ScriptedProvider, shortcut: str) -> None:
    prompts, printed = scripted_answers(provider)
    result = await run_node(
        OWN / "shortcuts.js", gateway.ws_url, gateway.key, "m-openai", shortcut, *prompts
    )
    assert result == Run(0, printed, "")


@pytest.mark.parametrize("shortcut", ["until_done", "until_finish_reason", "as_generator"])
async def test_a_shortcut_survives_an_error(gateway: Gateway, shortcut: str) -> None:
    # The error is an empty answer that ends as answers do, twice on one connection.
    prompts = ["안녕", "다시"]
    arguments = (gateway.ws_url, gateway.key, "no-such-model", shortcut, *prompts)
    result = await run_python(OWN / "shortcuts.py", *arguments)
    assert result == Run(0, "\n\nanswers=2\n", "")
