"""Cuts Markdown that is still coming in into blocks that are finished, and a tail that is not.

A finished block can be shown for good: nothing that follows changes how it looks. Blocks end at an
empty line, except inside of a fenced block, before what is indented, and between items of a list.

Source: CommonMark 0.31, "Fenced code blocks" and "Lists". Weakness: a definition of a link at the
end does not reach the blocks before it.
"""

import re
from typing import Final

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM: Final = re.compile(r" {0,3}(?:[-*+]|[0-9]{1,9}[.)])(?:[ \t]|$)")


class Blocks:
    """The text so far, as far as it is not finished.

    Attributes:
        tail: What has not been given as a block yet.
    """

    def __init__(self) -> None:
        self.tail = ""
        self._read = 0
        self._fence: str | None = None
        self._blank = False
        self._is_list = False

    def feed(self, piece: str) -> list[str]:
        """Take the next piece, and return the blocks that are finished by it."""
        self.tail += piece
        done = []
        while (end := self.tail.find("\n", self._read)) >= 0:
            start, self._read = self._read, end + 1
            if self._begins_block(self.tail[start:end], start):
                done.append(self.tail[:start])
                self.tail = self.tail[start:]
                self._read -= start
        return done

    def _begins_block(self, line: str, start: int) -> bool:
        """Take a whole line, and say whether everything before it is finished."""
        if self._fence is not None:
            if _closes(line, self._fence):
                self._fence = None
            return False
        if not line.strip():
            self._blank = True
            return False
        item = _ITEM.match(line) is not None
        indented = line.startswith((" ", "\t")) and not item
        begins = self._blank and start > 0 and not indented and not (self._is_list and item)
        if begins or start == 0:
            self._is_list = item
        self._blank = False
        fence = _FENCE.match(line)
        # A line with backticks behind the opening ones is a code span of its own.
        if fence is not None and not (fence[1][0] == "`" and "`" in line[fence.end() :]):
            self._fence = fence[1]
        return begins


def _closes(line: str, fence: str) -> bool:
    mark = line.strip()
    return len(mark) >= len(fence) and set(mark) == {fence[0]} and not line.startswith("    ")
