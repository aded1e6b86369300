"""Which parts of a text that is still coming in are finished."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.cli.chat_blocks import Blocks

LINES = [
    "",
    "글",
    "- a",
    "1. b",
    "  - c",
    "    d",
    "```",
    "```py",
    "~~~",
    "~~~~",
    "``` a `b",
    "# h",
]


def split(text: str) -> list[str]:
    blocks = Blocks()
    return [*blocks.feed(text), blocks.tail]


@pytest.mark.parametrize(
    "blocks",
    [
        ["하나\n둘\n\n", "셋\n\n\n", "넷\n"],
        ["# 제목\n\n", "글\n"],
        ["- a\n- b\n\n  더\n\n- c\n\n", "글\n"],
        ["1. a\n\n2. b\n\n", "글\n"],
        ["글\n\n", "- a\n"],
        ["```py\na\n\n\nb\n```\n\n", "글\n"],
        ["~~~\n```\n\n~~~\n\n", "글\n"],
        ["````\n```\n\n````\n\n", "글\n"],
        ["- a\n\n  ```\n  b\n\n  c\n  ```\n\n", "글\n"],
        ["``` a `b\n\n", "글\n"],
        ["글\n\n    코드\n\n    코드\n\n", "글\n"],
        ["| a | b |\n|---|---|\n| 1 | 2 |\n\n", "글\n"],
        ["\n\n", "글\n\n", "글\n"],
        ["글\n\n"],
        ["글\n\n다음 줄은 아직"],
        [""],
    ],
)
def test_blocks(blocks: list[str]) -> None:
    assert split("".join(blocks)) == blocks


@given(st.lists(st.sampled_from(LINES), max_size=12), st.data())
def test_nothing_is_lost_and_cuts_do_not_matter(lines: list[str], data: st.DataObject) -> None:
    text = "\n".join(lines)
    blocks = Blocks()
    done: list[str] = []
    left = text
    while left:
        size = data.draw(st.integers(1, len(left)))
        done += blocks.feed(left[:size])
        left = left[size:]
    assert "".join(done) + blocks.tail == text
    assert [*done, blocks.tail] == split(text)
