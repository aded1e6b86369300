"""The command line itself: usage, help, exit codes."""

import argparse
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tokenferry import __version__
from tokenferry.cli import admin
from tokenferry.cli.main import PATHS, _parser

NO_TEXT = "키\udcff"  # as Python shows a program an argument with a byte that is no UTF-8
ROOT = Path(__file__).parents[2]


def test_the_version(run) -> None:
    result = run("--version")
    assert (result.code, result.out) == (0, f"tokenferry {__version__}\n")


@pytest.mark.parametrize("argv", [[], ["keys"], ["config"], ["prices"]])
def test_no_command_prints_the_commands(run, argv: list[str]) -> None:
    result = run(*argv)
    assert (result.code, result.out) == (2, "")
    assert "usage: tokenferry" in result.err
    assert "commands:" in result.err


@pytest.mark.parametrize(
    "argv",
    [["nonsense"], ["keys", "create"], ["keys", "revoke"], ["serve", "--nope"], ["--nope"]],
)
def test_a_wrong_command_line(run, argv: list[str]) -> None:
    result = run(*argv)
    assert (result.code, result.out) == (2, "")
    assert "usage: tokenferry" in result.err


def _text_arguments() -> Iterator[list[str]]:
    """Yield a command line for each argument of each command that is a text, with bytes in it."""
    for words, parser in _leaves(_parser(), []):
        actions = [action for action in parser._actions if action.nargs != 0]
        for tested in actions:
            if tested.type is None and tested.choices is None and tested.dest not in PATHS:
                yield [*words, *_typed(actions, tested)]


def _leaves(
    parser: argparse.ArgumentParser, words: list[str]
) -> Iterator[tuple[list[str], argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, command in action.choices.items():
                yield from _leaves(command, [*words, word])
            return
    yield words, parser


def _typed(actions: list[argparse.Action], tested: argparse.Action) -> Iterator[str]:
    for action in actions:
        if action is tested or action.required:
            yield from action.option_strings[-1:]
            yield NO_TEXT if action is tested else next(iter(action.choices or ["1"]))


@pytest.mark.parametrize("argv", [*_text_arguments()], ids=lambda argv: "-".join(argv[:-1]))
def test_an_argument_that_is_not_utf_8(run, argv: list[str]) -> None:
    result = run(*argv)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("tokenferry: an argument is not UTF-8: 키\\xff\n")


def test_a_file_s_name_may_be_any_bytes(run) -> None:
    assert run("keys", "create", "x", "--data-dir", NO_TEXT).code == 0
    assert "x" in run("keys", "list", "--data-dir", NO_TEXT).out
    missing = run("config", "check", "--config", f"{NO_TEXT}.toml")
    assert (missing.code, "UTF-8" in missing.err) == (1, False)


def test_help(run) -> None:
    result = run("serve", "--help")
    assert result.code == 0
    for option in ("--config", "--host", "--port", "--data-dir", "--tls-cert", "--tls-key"):
        assert option in result.out


def test_every_command_has_its_function() -> None:
    for module, function in _commands(_parser()):
        assert callable(getattr(importlib.import_module(module), function))


def _commands(parser: argparse.ArgumentParser) -> list[tuple[str, str]]:
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                found += _commands(command)
    if "function" in parser._defaults:
        found.append((parser._defaults["module"], parser._defaults["function"]))
    return found


def test_as_a_process_with_a_reader_that_leaves(tmp_path: Path) -> None:
    """`tokenferry config reference | head -1` ends quietly."""
    environ = {"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenferry", "config", "reference"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environ,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it stands for a full disk")
def test_as_a_process_whose_output_does_not_fit_on_the_disk(tmp_path: Path) -> None:
    environ = {"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"}
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "tokenferry", "config", "reference"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env=environ,
            timeout=60,
            check=False,
        )
    told = b"tokenferry: the output cannot be written: No space left on device\n"
    assert (result.returncode, result.stderr) == (1, told)


def test_keys_do_not_wait_for_the_server_s_libraries() -> None:
    code = "import sys, tokenferry.cli.admin; print('aiohttp' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert result.stdout == b"False\n"


def test_the_chat_without_its_client_says_what_is_missing(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("tokenferry.cli.chat")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tokenferry_client", None)
    result = run("chat", "안녕")
    assert (result.code, result.out) == (1, "")
    assert "pip install dist/tokenferry_client-*.whl" in result.err


def test_an_interrupted_command(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(admin, "list_keys", interrupted)
    assert run("keys", "list").code == 130
