"""The blocking client from threads, around interrupts, forks and kills; its wheel; its examples."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from harness import dialects
from harness.answers import body
from harness.gateway import ROOT, SERVER, Gateway, environment, provider_entry
from harness.providers import Exchange, ScriptedProvider, replay
from harness.relay import Steps
from tokenferry_client import (
    AsyncTokenferry,
    ClientClosedError,
    ConnectionRefusedByHostError,
    Stream,
    Tokenferry,
    UpstreamError,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

PACKAGE = ROOT / "clients" / "python"
WEBSOCKETS_13 = ROOT / "build" / "websockets13"
PIECES = ["하나 ", "둘 ", "셋 ", "넷 ", "👩‍👩‍👧"]
TEXT = "".join(PIECES)
TIMEOUT_S = 30
T = TypeVar("T")
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    prefill = "continue_final_message"
    return {
        "server": SERVER,
        "providers": [
            provider_entry("openai", provider.url),
            provider_entry("openai", provider.url, "prefills", prefill=prefill),
        ],
    }


def client_of(gateway: Gateway, **options: Any) -> Tokenferry:
    return Tokenferry(api_key=gateway.key, base_url=gateway.url, **options)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "tokenferry" in thread.name]


async def in_thread(function: Callable[[], T]) -> T:
    async with asyncio.timeout(TIMEOUT_S):
        return await asyncio.to_thread(function)


class TestBlocking:
    async def test_an_answer_and_what_is_known_of_it(
        self, gateway: Gateway, provider: ScriptedProvider
    ) -> None:
        prompt = provider.play(replay(dialects.whole("openai", PIECES)))

        def run() -> None:
            with client_of(gateway) as client:
                with client.stream(**body("m-openai", prompt)) as stream:
                    assert "".join(chunk.text for chunk in stream) == TEXT
                    assert list(stream) == []
                assert stream.answer.text() == TEXT
                assert stream.usage is not None
                assert (stream.finish_reason, stream.ended) == ("stop", True)
                assert (stream.cost, stream.balance, stream.notice) == (None, None, None)
                assert client.follow(stream.id or "").text() == TEXT
                final = client.resume(f"{stream.id}@1-3").final()
                assert (final.text, final.stream_id) == ("".join(PIECES[2:]), stream.id)
                assert "demo" in [model.id for model in client.models.list()]
            client.close()
            with pytest.raises(ClientClosedError):
                client.stream(**body("m-openai", prompt))

        await in_thread(run)
        assert threads() == []

    async def test_many_threads_share_a_client(
        self, gateway: Gateway, provider: ScriptedProvider
    ) -> None:
        prompts = [
            provider.play(replay(dialects.whole("openai", [f"{number}번 ", *PIECES])))
            for number in range(24)
        ]

        def run() -> list[str]:
            with client_of(gateway) as client, ThreadPoolExecutor(8) as pool:
                requests = [body("m-openai", prompt) for prompt in prompts]
                return list(pool.map(lambda request: client.stream(**request).text(), requests))

        assert await in_thread(run) == [f"{number}번 {TEXT}" for number in range(24)]
        assert threads() == []

    async def test_leaving_cancels_and_detaching_does_not(
        self, gateway: Gateway, provider: ScriptedProvider
    ) -> None:
        both = [Steps(PIECES), Steps(PIECES)]
        left, kept = (provider.play(script) for script in both)
        for script in both:
            script.give(1)

        def run() -> Stream:
            with client_of(gateway) as client:
                with client.stream(**body("m-openai", left)) as stream:
                    next(stream)
                assert stream.finish_reason == "cancelled"
                detached = client.stream(**body("m-openai", kept))
                next(detached)
                detached.detach()
                assert list(detached) == []
                return detached

        stream = await in_thread(run)
        await (await provider.exchange(left)).until_gone()
        both[1].give(4)

        def rest() -> str:
            with client_of(gateway) as client:
                assert stream.position is not None
                return client.resume(stream.position).text()

        assert stream.answer.text() + await in_thread(rest) == TEXT

    async def test_errors_arrive_where_the_call_was(self) -> None:
        def run() -> None:
            key = "tf_AbCdEf012345_0123456789ABCDEFGHIJabcdefghijZx_4OoXhA"
            with Tokenferry(
                api_key=key, base_url="http://127.0.0.1:9", connect_attempts=1
            ) as client:
                with pytest.raises(ConnectionRefusedByHostError):
                    next(client.stream(model="demo", messages=[]))
                with pytest.raises(ConnectionRefusedByHostError):
                    client.models.list()

        await in_thread(run)

    async def test_interrupts_and_forks(
        self, gateway: Gateway, provider: ScriptedProvider, tmp_path: Path
    ) -> None:
        """Ctrl-C in the middle loses nothing; a child is told; the process ends by itself."""
        steps = Steps(PIECES)
        prompt = provider.play(steps)
        script = tmp_path / "script.py"
        script.write_text(_INTERRUPTED, "utf-8")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(script),
            prompt,
            env=variables(gateway, PACKAGE / "src"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(TIMEOUT_S):
            steps.give(1)
            assert (await process.stdout.readline()).decode() == "하나 \n"
            process.send_signal(signal.SIGINT)
            assert await process.stdout.readline() == b"interrupted\n"
            steps.give(4)
            out, _ = await process.communicate()
        assert out.decode().split("\n") == ["둘 ", "셋 ", "넷 ", "👩‍👩‍👧", "child: fork", "end", ""]
        assert process.returncode == 0


_INTERRUPTED = """
import os
import sys

from tokenferry_client import ClientClosedError, Tokenferry

client = Tokenferry()
stream = client.stream(
    model="m-openai", messages=[{"role": "user", "content": sys.argv[1]}]
)
while not stream.ended:
    try:
        for chunk in stream:
            if chunk.text:
                print(chunk.text, flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
if os.fork() == 0:
    try:
        client.follow(stream.id)
    except ClientClosedError as exc:
        print("child:", "fork" if "forked" in exc.message else exc, flush=True)
    os._exit(0)
os.wait()
print("end", flush=True)
"""


def variables(gateway: Gateway, *paths: Path) -> dict[str, str]:
    found = environment(TOKENFERRY_API_KEY=gateway.key, TOKENFERRY_BASE_URL=gateway.url)
    return {**found, "PYTHONPATH": os.pathsep.join(map(str, paths))}


class TestKills:
    @pytest_asyncio.fixture(loop_scope="module")
    async def mortal(
        self, tmp_path: Path, gateway_options: dict[str, Any]
    ) -> AsyncIterator[Gateway]:
        running = Gateway(tmp_path, **gateway_options)
        await running.start()
        try:
            yield running
        finally:
            await running.kill()

    async def test_the_gateway_is_killed_under_three_answers(
        self, mortal: Gateway, provider: ScriptedProvider
    ) -> None:
        """One is gone on with, one is lost with its words kept, one was complete but not read."""
        calls = 0

        async def half_then_rest(exchange: Exchange) -> None:
            nonlocal calls
            calls += 1
            exchange.head()
            pieces = PIECES[:3] if calls == 1 else PIECES[3:]
            for block in (*dialects.opening("openai"), *(_token(piece) for piece in pieces)):
                exchange.chunk(block)
            if calls == 1:
                await exchange.until_gone()
                return
            for block in dialects.closing("openai", len(pieces)):
                exchange.chunk(block)
            exchange.end()

        unfinished = Steps(PIECES)
        unfinished.give(2)
        long = [f"{number}번째 " for number in range(2_000)]
        prompts = [
            provider.play(script)
            for script in (half_then_rest, unfinished, replay(dialects.whole("openai", long)))
        ]
        async with AsyncTokenferry(api_key=mortal.key, base_url=mortal.url) as client:
            goes_on = client.stream(**body("m-prefills", prompts[0]), recovery="continue")
            lost = client.stream(**body("m-openai", prompts[1]))
            unread = client.stream(**body("m-openai", prompts[2]))
            async with asyncio.timeout(TIMEOUT_S):
                while goes_on.answer.text() != "".join(PIECES[:3]):
                    await anext(goes_on)
                while lost.answer.text() != "".join(PIECES[:2]):
                    await anext(lost)
                await anext(unread)
                summary = f"/v1/streams/{unread.id}"
                while (await mortal.get(summary, mortal.key)).json["state"] != "done":
                    await asyncio.sleep(0.02)
            await mortal.kill()
            await mortal.start()
            async with asyncio.timeout(TIMEOUT_S):
                assert await goes_on.text() == TEXT
                with pytest.raises(UpstreamError) as caught:
                    await lost.text()
                assert await unread.text() == "".join(long)
        assert caught.value.code == "upstream_lost"
        assert lost.answer.text() == "".join(PIECES[:2])
        assert [len(provider.exchanges(prompt)) for prompt in prompts] == [2, 1, 1]


def _token(text: str) -> bytes:
    return dialects.token("openai", text)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the wheel alone; return its Python."""
    directory = tmp_path_factory.mktemp("wheel")
    python = directory / "venv" / "bin" / "python"
    for command in (
        (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)),
        (sys.executable, "-m", "venv", "--without-pip", str(directory / "venv")),
    ):
        subprocess.run(command, cwd=PACKAGE, check=True, capture_output=True)
    (wheel,) = directory.glob("*.whl")
    install = ("install", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel))
    command = (sys.executable, "-m", "pip", "--python", str(python), *install)
    subprocess.run(command, check=True, capture_output=True)
    return python


def _short(code: str) -> str:
    """Return a program whose answers are short: the demo takes its time."""
    return code.replace("messages=messages)", "messages=messages, max_tokens=5)")


class TestPackage:
    """What users install, and what they are told to type."""

    @pytest.mark.needs("websockets13")
    async def test_the_readme_runs_with_the_wheel_and_the_oldest_websockets(
        self, gateway: Gateway, installed: Path, tmp_path: Path
    ) -> None:
        texts = [(PACKAGE / name).read_text("utf-8") for name in ("README.md", "README.ko.md")]
        blocks, korean = ([match[1] for match in CODE.finditer(text)] for text in texts)
        assert len(blocks) == len(korean) >= 3
        results = await asyncio.gather(
            *(
                self._run(installed, _short(code), gateway, tmp_path, WEBSOCKETS_13)
                for code in blocks
            )
        )
        assert all("This is Tokenferry" in result for result in results[:2])

    async def test_examples_run(self, gateway: Gateway, tmp_path: Path) -> None:
        names = ("ask", "many", "resume")
        codes = [(PACKAGE / "examples" / f"{name}.py").read_text("utf-8") for name in names]
        python, path = Path(sys.executable), PACKAGE / "src"
        outs = await asyncio.gather(
            *(self._run(python, _short(code), gateway, tmp_path, path) for code in codes)
        )
        for out, said in zip(outs, ("5 tokens", "셋? is done", "-- from st_"), strict=True):
            assert said in out

    async def _run(
        self, python: Path, code: str, gateway: Gateway, directory: Path, path: Path
    ) -> str:
        process = await asyncio.create_subprocess_exec(
            str(python),
            "-W",
            "error",
            "-c",
            code,
            env=variables(gateway, path),
            cwd=directory,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(TIMEOUT_S):
            out, err = await process.communicate()
        assert (process.returncode, err.decode()) == (0, "")
        return out.decode()
