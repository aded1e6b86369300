"""Where in a TOML source each key, table and array element stands.

`tomllib` gives values without positions; this reads the same text a second time, only to find
the lines. It expects text that `tomllib` has accepted, and checks nothing. Where it loses its way
all the same, it stops, and what follows has the line of the part above it.

Source: TOML 1.0.0, https://toml.io/en/v1.0.0.
Weakness: a place that is made by a dotted key has the line where it is first mentioned.
"""

import re
import tomllib
from bisect import bisect_left
from contextlib import suppress

# ("providers", 1, "models", 0): the first model of the second provider.
Place = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
# A date and its time may have a space between them.
_OTHER_VALUE = re.compile(r"[^,\]}#\n]+")
_REST_OF_LINE = re.compile(r"[^\n]*")


class Lines:
    """The lines of a TOML source, by place.

    Args:
        source: Text that `tomllib.loads` has accepted.
    """

    def __init__(self, source: str = "") -> None:
        self._found = _Scanner(source).scan()

    def __contains__(self, place: Place) -> bool:
        """Return whether the place itself is there."""
        return place in self._found

    def of(self, place: Place) -> int:
        """Return the line, from 1, of a place, or of the nearest part above it that is there."""
        while place and place not in self._found:
            place = place[:-1]
        return self._found.get(place, 1)


class _Lost(Exception):
    """Something else stands here than TOML allows."""


class _Scanner:
    def __init__(self, source: str) -> None:
        self._text = source
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", source)]
        self._found: dict[Place, int] = {}
        # How many tables each array of tables has so far.
        self._tables: dict[Place, int] = {}

    def scan(self) -> dict[Place, int]:
        with suppress(_Lost, IndexError, RecursionError, tomllib.TOMLDecodeError):
            self._statements()
        return self._found

    def _statements(self) -> None:
        table: Place = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_REST_OF_LINE)
            self._skip(_BLANK)

    def _header(self) -> Place:
        start = self._at
        is_array = self._text.startswith("[[", start)
        self._at += 2 if is_array else 1
        place: Place = ()
        *above, last = self._key()
        for name in above:
            self._note((*place, name), start)
            place = self._newest((*place, name))
        place = (*place, last)
        if is_array:
            self._note(place, start)
            self._tables[place] = self._tables.get(place, 0) + 1
            place = self._newest(place)
        self._note(place, start)
        return place

    def _newest(self, place: Place) -> Place:
        """Add the index of the table that a header below an array of tables belongs to."""
        count = self._tables.get(place)
        return place if count is None else (*place, count - 1)

    def _pair(self, table: Place) -> None:
        start = self._at
        place = table
        for name in self._key():
            place = (*place, name)
            self._note(place, start)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(place)

    def _key(self) -> list[str]:
        names = []
        while True:
            self._skip(_SPACE)
            if self._text[self._at] in "\"'":
                names.append(tomllib.loads(f"key = {self._skip(_STRING)}")["key"])
            else:
                names.append(self._skip(_BARE_KEY))
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return names
            self._at += 1

    def _value(self, place: Place) -> None:
        match self._text[self._at]:
            case "[":
                index = 0
                while self._next_item("]"):
                    self._note((*place, index), self._at)
                    self._value((*place, index))
                    index += 1
            case "{":
                while self._next_item("}"):
                    self._pair(place)
            case '"' | "'":
                self._skip(_STRING)
            case _:
                self._skip(_OTHER_VALUE)

    def _next_item(self, closing: str) -> bool:
        """Step over the opening bracket or a comma, and say whether an item follows."""
        self._skip(_BLANK)
        if self._text[self._at] in "[{,":
            self._at += 1
            self._skip(_BLANK)
        if self._text[self._at] == closing:
            self._at += 1
            return False
        return True

    def _note(self, place: Place, offset: int) -> None:
        self._found.setdefault(place, bisect_left(self._newlines, offset) + 1)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise _Lost
        self._at = match.end()
        return match.group()
