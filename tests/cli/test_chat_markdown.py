"""Markdown on the terminal: all of its text is there."""

import io

import pytest
from rich.console import Console

from tokenferry.cli.chat_markdown import whole_markdown


def drawn(text: str, columns: int = 80) -> str:
    screen = io.StringIO()
    Console(file=screen, width=columns).print(whole_markdown(text, columns))
    return screen.getvalue()


def lines(screen: str) -> list[str]:
    return [line.rstrip() for line in screen.strip("\n").split("\n")]


def lists(depth: int, mark: str) -> str:
    indent = " " * (len(mark) + 1)
    items = [f"{indent * level}{mark} item{level}\n" for level in range(depth)]
    return "".join(items) + f"{indent * depth}{mark} 안녕하세요\n"


DEEP = {
    "quotations": lambda depth: ">" * depth + " 안녕하세요",
    "lists": lambda depth: lists(depth, "-"),
    "numbered lists": lambda depth: lists(depth, "1."),
    "lists in a line": lambda depth: "- " * depth + "안녕하세요",
    "lists of quotations": lambda depth: "- > " * depth + "안녕하세요",
    "code": lambda depth: "".join(
        f"{'>' * depth} {line}\n" for line in ("```", "안녕하세요", "```")
    ),
}


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
@pytest.mark.parametrize("kind", DEEP)
def test_text_of_any_depth_is_shown(kind: str, columns: int) -> None:
    for depth in [*range(30), 300]:
        answer = f"먼저\n\n{DEEP[kind](depth)}\n\n끝"
        shown = "".join(drawn(answer, columns).replace("▌", "").split())
        assert "안녕하세요" in shown, (depth, drawn(answer, columns))
        assert shown.startswith("먼저")
        assert shown.endswith("끝")


def test_what_is_too_deep_keeps_its_lines_and_marks() -> None:
    shown = lines(drawn(f"{'>' * 20} **one**\n{'>' * 20} two\n\nafter"))
    assert [line.replace("▌ ", "") for line in shown] == [">>> **one**", ">>> two", "", "after"]


def test_what_follows_the_deep_part_is_what_it_was() -> None:
    shown = lines(drawn(lists(12, "-") + "- **next**\n\n  its paragraph\n\n> end"))
    assert shown[-4:] == [" • next", "   its paragraph", "", "▌ end"]


def test_html_is_shown_as_it_is_written() -> None:
    text = "<div>\n안녕하세요\n</div>\n\nA <b>tag</b> &amp; more."
    assert "".join(drawn(text).split()) == "<div>안녕하세요</div>A<b>tag</b>&more."
