"""The history's file, and lines that go on."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tokenferry.cli import chat_input
from tokenferry.cli.chat_input import ENTRIES_MAX, History, LineInput, state_directory


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Type these lines at the prompts that come."""

    def type_lines(*lines: str) -> None:
        waiting: Iterator[str] = iter(lines)
        monkeypatch.setattr("builtins.input", lambda _: next(waiting))

    monkeypatch.setattr(chat_input, "_readline", lambda: None)
    return type_lines


class TestHistory:
    def test_keeps_entries_whole_and_private(self, tmp_path: Path) -> None:
        history = History(tmp_path / "state")
        assert history.read() == []
        for entry in ("하나", "여러\n줄", '"quoted" \\'):
            history.add(entry)
        assert history.read() == ["하나", "여러\n줄", '"quoted" \\']
        assert stat.S_IMODE(history.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(history.path.parent.stat().st_mode) == 0o700

    def test_makes_a_file_private_that_was_not(self, tmp_path: Path) -> None:
        history = History(tmp_path)
        history.path.write_text('"a"\n')
        history.path.chmod(0o644)
        history.add("b")
        assert stat.S_IMODE(history.path.stat().st_mode) == 0o600

    def test_reads_over_what_is_broken(self, tmp_path: Path) -> None:
        history = History(tmp_path)
        history.path.write_bytes(b'"a"\n{"no": 1}\n"cut\n\xff\n""\n"b"\n')
        assert history.read() == ["a", "b"]

    @pytest.mark.parametrize(("count", "kept"), [(ENTRIES_MAX - 1, ENTRIES_MAX - 1),
                                                 (ENTRIES_MAX, ENTRIES_MAX // 2)])  # fmt: skip
    def test_is_cut_when_it_has_grown(self, tmp_path: Path, count: int, kept: int) -> None:
        history = History(tmp_path)
        history.path.write_text("".join(f'"{number}"\n' for number in range(count)))
        history.trim()
        assert history.read() == [str(number) for number in range(count - kept, count)]
        assert [path.name for path in tmp_path.iterdir()] == ["chat-history"]

    def test_one_that_cannot_be_written_stops_nobody(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        history = History(tmp_path / "file")
        history.add("a")
        history.trim()
        assert history.read() == []


class TestLines:
    @pytest.mark.parametrize(
        ("lines", "entry"),
        [
            (["  안녕 "], "안녕"),
            (["a\\", "b\\", "c"], "a\nb\nc"),
            (["붙여\n넣기"], "붙여\n넣기"),
            ([""], ""),
        ],
    )
    def test_entries(
        self, tmp_path: Path, typed: Callable[..., None], lines: list[str], entry: str
    ) -> None:
        typed(*lines)
        history = History(tmp_path)
        assert LineInput(history, lambda _: ()).read() == entry
        assert history.read() == ([entry] if entry else [])


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"XDG_STATE_HOME": "/state"}, Path("/state/tokenferry")),
        ({"XDG_STATE_HOME": "relative"}, Path.home() / ".local/state/tokenferry"),
        ({}, Path.home() / ".local/state/tokenferry"),
    ],
)
def test_the_state_directory(environment: dict[str, str], path: Path) -> None:
    assert state_directory(environment) == path
