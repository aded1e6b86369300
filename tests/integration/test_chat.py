"""`tokenferry chat` on a real terminal, and in a pipe, against a real gateway."""

import asyncio
import re
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness import dialects
from harness.gateway import ROOT, SERVER, Gateway, environment, free_port, provider_entry
from harness.providers import ScriptedProvider, replay
from harness.relay import Steps, relay_before
from harness.terminal import CTRL_C, CTRL_D, ENTER, TAB, Terminal, on_terminal

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENT = ROOT / "clients" / "python" / "src"
MODEL = "m-openai"
FOOT = r"total [0-9.]+ s"
MARKDOWN = (
    "# 제목\n\n문단 하나, **굵게**.\n\n- 가\n- 나\n\n```python\nprint('안녕')\n\nprint(2)\n```\n\n"
    "[여기](http://example.com/x) 끝 👩‍👩‍👧\n"
)


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    return {"server": SERVER, "providers": [provider_entry("openai", provider.url)]}


def variables(gateway: Gateway, state: Path, **more: str) -> dict[str, str]:
    found = environment(
        TOKENFERRY_API_KEY=gateway.key,
        TOKENFERRY_BASE_URL=gateway.url,
        XDG_STATE_HOME=str(state),
        LANG="en_US.UTF-8",
        **more,
    )
    return {**found, "PYTHONPATH": f"{found['PYTHONPATH']}:{CLIENT}"}


@asynccontextmanager
async def chatting(
    gateway: Gateway, directory: Path, *options: str, rows: int = 24, columns: int = 80, **more: str
) -> AsyncIterator[Terminal]:
    command = ("-m", "tokenferry", "chat", "--model", MODEL, *options)
    shown = variables(gateway, directory, **more)
    async with on_terminal(command, shown, directory, rows=rows, columns=columns) as terminal:
        await terminal.prompted(1)
        yield terminal


async def piped(
    gateway: Gateway, directory: Path, *options: str, typed: str = "", **more: str
) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tokenferry", "chat", *options,
        env=variables(gateway, directory, **more), cwd=directory,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, err = await process.communicate(typed.encode())
    return process.returncode or 0, out.decode(), err.decode()


def answering(provider: ScriptedProvider, text: str, size: int = 7) -> str:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return provider.play(replay(dialects.whole("openai", pieces)))


class TestTerminal:
    async def test_an_evening(
        self, gateway: Gateway, provider: ScriptedProvider, tmp_path: Path
    ) -> None:
        """Markdown in wide letters, commands, completion, history, and the way out."""
        prompt = answering(provider, MARKDOWN)
        async with chatting(gateway, tmp_path, columns=40) as terminal:
            terminal.type(f"{prompt} 안녕?{ENTER}")
            await terminal.until(FOOT)
            shown = terminal.screen.everything
            for said in ("제목", "문단 하나, 굵게.", "print('안녕')", "print(2)", "👩‍👩‍👧"):
                assert shown.count(said) == 1, shown
            assert "http://example.com/x" in shown
            assert "**" not in shown
            assert "```" not in shown
            assert re.search(r"[0-9]+ \+ [0-9]+ tokens · no price · first token", shown)

            for count, (typed, said) in enumerate(
                (
                    (f"/model de{TAB}", "The model is demo"),
                    ("안녕하세요", "시뮬레이터"),
                    ("/save 기록.md", "Saved to"),
                    ("/cost", "2 answers"),
                    ("/nonsense", "no command /nonsense"),
                )
            ):
                await terminal.prompted(count + 2)
                terminal.type(f"{typed}{ENTER}")
                await terminal.until(said)
                terminal.type(CTRL_C if said == "시뮬레이터" else "")
            await terminal.prompted(7)
            terminal.type(f"/quit{ENTER}")
            assert await terminal.ended() == 0
        saved = (tmp_path / "기록.md").read_text("utf-8")
        assert MARKDOWN.strip() in saved
        history = tmp_path / "tokenferry" / "chat-history"
        assert stat.S_IMODE(history.stat().st_mode) == 0o600
        assert "/nonsense" in history.read_text("utf-8")
        assert prompt in history.read_text("utf-8")

    async def test_what_is_pasted_stays_together_and_is_told_to_the_model(
        self, gateway: Gateway, provider: ScriptedProvider, tmp_path: Path
    ) -> None:
        first, second = answering(provider, "하나"), answering(provider, "둘")
        async with chatting(gateway, tmp_path, "--system", "짧게") as terminal:
            terminal.paste(f"{first}\n두 번째 줄\n\tdef f():")
            terminal.type(ENTER)
            await terminal.until(FOOT)
            await terminal.prompted(2)
            terminal.type(f"{second} 이어\\{ENTER}서{ENTER}")
            await terminal.until(FOOT, 2)
            await terminal.prompted(4)
            terminal.type(CTRL_D)
            assert await terminal.ended() == 0
        sent = (await provider.exchange(first)).request.json["messages"]
        assert sent[0] == {"role": "system", "content": "짧게"}
        assert sent[1]["content"].split("\n")[:2] == [first, "두 번째 줄"]
        (asked,) = [x for x in provider.exchanges(first) if len(x.request.json["messages"]) > 2]
        later = asked.request.json["messages"]
        assert [turn["role"] for turn in later] == ["system", "user", "assistant", "user"]
        assert later[2]["content"] == "하나"
        assert later[3]["content"] == f"{second} 이어\n서"

    async def test_ctrl_c_stops_the_answer_and_then_leaves(
        self, gateway: Gateway, provider: ScriptedProvider, tmp_path: Path
    ) -> None:
        steps = Steps(["하나 ", "둘 ", "셋 "])
        prompt = provider.play(steps)
        async with chatting(gateway, tmp_path, LC_ALL="ko_KR.UTF-8") as terminal:
            terminal.type(f"{prompt}{ENTER}")
            await terminal.until("첫 토큰을 기다리고")
            steps.give(2)
            await terminal.until("둘")
            terminal.type(CTRL_C)
            await terminal.until("중지함")
            await (await provider.exchange(prompt)).until_gone()
            assert re.search(r"토큰 [0-9]+ \+ [0-9]+", terminal.screen.everything)
            assert terminal.screen.everything.count("하나 둘") == 1
            await terminal.prompted(2)
            await terminal.interrupt(lambda: terminal.until("한 번 더"))
            await terminal.prompted(3)
            await terminal.interrupt(terminal.ended)
            assert await terminal.ended() == 0

    async def test_ctrl_c_gives_up_a_command_that_waits_and_not_the_chat(
        self, gateway: Gateway, tmp_path: Path
    ) -> None:
        asked = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            asked.set()
            await reader.read()  # until whoever asks has gone
            writer.close()

        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with chatting(gateway, tmp_path, "--url", url) as terminal:
                terminal.type(f"/models{ENTER}")
                await asyncio.wait_for(asked.wait(), 10)
                terminal.type(CTRL_C)
                await terminal.prompted(2)
                terminal.type(f"/model 다른{ENTER}")
                await terminal.until("The model is 다른")
                await terminal.prompted(3)
                terminal.type(CTRL_D)
                assert await terminal.ended() == 0

    async def test_long_answers_scroll_by_once(
        self, gateway: Gateway, provider: ScriptedProvider, tmp_path: Path
    ) -> None:
        """Paragraphs, and a code block that is longer than the screen: each line once, in order."""
        words = [f"문단{number:03}" for number in range(40)]
        code = [f"줄_{number:03} = {number}" for number in range(40)]
        text = "\n\n".join(words) + "\n\n```python\n" + "\n".join(code) + "\n```\n\n끝입니다.\n"
        async with chatting(gateway, tmp_path, rows=10) as terminal:
            terminal.type(f"{answering(provider, text, 40)}{ENTER}")
            await terminal.until(FOOT)
            shown = terminal.screen.everything
        found = re.findall(r"문단[0-9]{3}|줄_[0-9]{3}|끝입니다", shown)
        assert found == [*words, *(line.split()[0] for line in code), "끝입니다"]

    async def test_a_model_gives_the_terminal_no_orders(
        self, gateway: Gateway, provider: ScriptedProvider, tmp_path: Path
    ) -> None:
        evil = "앞 \x1b[2J\x1b]0;제목\x07 \x9b31m \u202e뒤\r덮어쓰기\x08\n"
        prompt = answering(provider, evil, 1)
        async with chatting(gateway, tmp_path) as terminal:
            terminal.type(f"{prompt}{ENTER}")
            await terminal.until(FOOT)
        assert "␛[2J" in terminal.raw
        for order in ("\x1b[2J", "\x1b]0", "\x07", "\x9b", "\u202e"):
            assert order not in terminal.raw
        status, out, _ = await piped(
            gateway, tmp_path, "--model", MODEL, answering(provider, evil, 1)
        )
        assert status == 0
        assert "\x1b" not in out
        assert "␛[2J" in out

    async def test_a_lost_connection_is_told_and_mended(
        self, gateway: Gateway, provider: ScriptedProvider, tmp_path: Path
    ) -> None:
        steps = Steps(["하나 ", "둘 ", "셋"])
        async with (
            relay_before(gateway) as relay,
            chatting(gateway, tmp_path, "--url", relay.url) as terminal,
        ):
            terminal.type(f"{provider.play(steps)}{ENTER}")
            steps.give(2)
            await terminal.until("둘")
            relay.cut()
            await terminal.until("trying again")
            steps.give(1)
            await terminal.until(FOOT)
            assert terminal.screen.everything.count("하나 둘 셋") == 1


class TestPipe:
    async def test_a_question_and_a_text(
        self, gateway: Gateway, provider: ScriptedProvider, tmp_path: Path
    ) -> None:
        prompt = answering(provider, MARKDOWN)
        options = ("--model", MODEL, "이", "글을:")
        result = await piped(gateway, tmp_path, *options, typed=f"안녕 👋\n{prompt}\n")
        assert result == (0, MARKDOWN, "")
        sent = (await provider.exchange(prompt)).request.json["messages"]
        assert sent == [{"role": "user", "content": f"이 글을:\n\n안녕 👋\n{prompt}"}]

    @pytest.mark.parametrize(
        ("options", "more", "status", "said"),
        [
            (["?"], {"TOKENFERRY_API_KEY": "sk-1"}, 1, "begin with `tf_`"),
            (["--url", "http://127.0.0.1:{port}", "?"], {"LC_ALL": "ko_KR.UTF-8"}, 1, "시작하거나"),
            (["--model", "none", "?"], {}, 1, "/models lists"),
            ([], {}, 2, "there is no question"),
        ],
    )
    async def test_what_goes_wrong(
        self,
        gateway: Gateway,
        tmp_path: Path,
        options: list[str],
        more: dict[str, str],
        status: int,
        said: str,
    ) -> None:
        port = free_port()
        given = [option.format(port=port) for option in options]
        shown = {**variables(gateway, tmp_path), **more}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tokenferry", "chat", *given,
            env=shown, cwd=tmp_path, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert (process.returncode, out) == (status, b"")
        assert said in err.decode()
