"""What a setting's value may be: one class a kind of value, each with its range in words.

A rule reads a value as TOML gives it, or first makes one from a text of the environment or the
command line, and returns it as it is stored. What it cannot accept it refuses with the problem
and the remedy, both of which end up in the same line of the report.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tokenferry.config.toml_lines import Place

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
# How much of a wrong value a message repeats: enough to recognise it.
SHOWN_CHARACTERS_MAX = 60


class Refused(Exception):
    """A value that is not allowed.

    Args:
        problem: Continues a sentence that begins with the setting's name: "is 0, below 1".
        remedy: What to write in its place.
        inside: Where in the value, when that is an array or a table.
    """

    def __init__(self, problem: str, remedy: str, inside: Place = ()) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.inside = inside
        self.also: Sequence[Refused] = ()


def refuse_all(refusals: Sequence[Refused]) -> None:
    """Raise the first refusal, if there is one, with the others at its side."""
    if refusals:
        refusals[0].also = refusals[1:]
        raise refusals[0]


class Surroundings(NamedTuple):
    """What a value may refer to.

    Attributes:
        environ: The environment, for `env:NAME`.
        directory: What a relative path is relative to.
    """

    environ: Mapping[str, str] = os.environ
    directory: Path = Path()


class Rule(ABC):
    """One kind of value."""

    kind: str
    """The type's name in the settings table."""

    @abstractmethod
    def read(self, value: object, around: Surroundings) -> Any:
        """Return a TOML value as it is stored.

        Raises:
            Refused: If it is not allowed.
        """

    def parse(self, text: str) -> object:
        """Return the TOML value that a text from the environment or the command line stands for.

        Raises:
            Refused: If it stands for none.
        """
        return text

    @abstractmethod
    def range(self) -> str:
        """Return the allowed values in words."""


class PlainRule(Rule):
    """A kind of value that refers to nothing around it."""

    def read(self, value: object, around: Surroundings) -> Any:
        """Return a TOML value as it is stored; see `Rule`."""
        del around
        return self.accept(value)

    @abstractmethod
    def accept(self, value: object) -> Any:
        """Return a TOML value as it is stored.

        Raises:
            Refused: If it is not allowed.
        """


@dataclass(frozen=True)
class Integer(PlainRule):
    """A whole number within limits, both included."""

    low: int
    high: int
    kind = "integer"

    def accept(self, value: object) -> int:
        """Accept an integer within the limits."""
        # In Python, true is an integer too.
        if not isinstance(value, int) or isinstance(value, bool):
            raise Refused(f"is {type_of(value)}, not an integer", self._remedy())
        if not self.low <= value <= self.high:
            raise Refused(f"is {value}, out of range", self._remedy())
        return value

    def parse(self, text: str) -> int:
        """Read decimal digits."""
        try:
            return int(text)
        except ValueError:
            raise Refused(f"is {shown(text)}, not an integer", self._remedy()) from None

    def range(self) -> str:
        """Return the limits."""
        return f"{self.low}..{self.high}"

    def _remedy(self) -> str:
        return f"write an integer within {self.range()}"


@dataclass(frozen=True)
class Seconds(PlainRule):
    """A time in seconds within limits, both included; fractions are allowed."""

    low: float
    high: float
    kind = "number"

    def accept(self, value: object) -> float:
        """Accept a number within the limits."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise Refused(f"is {type_of(value)}, not a number", self._remedy())
        # Written this way, it refuses NaN as well.
        if not self.low <= value <= self.high:
            raise Refused(f"is {value}, out of range", self._remedy())
        return value

    def parse(self, text: str) -> float:
        """Read a decimal number."""
        try:
            return float(text)
        except ValueError:
            raise Refused(f"is {shown(text)}, not a number", self._remedy()) from None

    def range(self) -> str:
        """Return the limits."""
        return f"{self.low:g}..{self.high:g}"

    def _remedy(self) -> str:
        return f"write a number of seconds within {self.range()}"


@dataclass(frozen=True)
class Flag(PlainRule):
    """True or false."""

    kind = "boolean"

    def accept(self, value: object) -> bool:
        """Accept a boolean."""
        if not isinstance(value, bool):
            raise Refused(
                f"is {type_of(value)}, not a boolean", "write true or false, without quotes"
            )
        return value

    def parse(self, text: str) -> bool:
        """Read the usual words for true and false."""
        word = text.strip().lower()
        if word not in _TRUE | _FALSE:
            raise Refused(f"is {shown(text)}, not a boolean", "write true or false")
        return word in _TRUE

    def range(self) -> str:
        """Return both values."""
        return "true, false"


class Choice(PlainRule):
    """One word of a few.

    Args:
        options: The words.
    """

    kind = "string"

    def __init__(self, *options: str) -> None:
        self.options = options

    def accept(self, value: object) -> str:
        """Accept one of the words."""
        if value not in self.options:
            raise Refused(f"is {shown(value)}", f"write one of {self.range()}")
        return str(value)

    def range(self) -> str:
        """Return the words."""
        return ", ".join(f'"{option}"' for option in self.options)


@dataclass(frozen=True)
class Name(PlainRule):
    """A short text on one line.

    Attributes:
        characters_max: Its length at most.
        without: A character that it must not have.
        spaces: Whether it may have spaces.
        optional: Whether it may be empty.
    """

    characters_max: int
    without: str = ""
    spaces: bool = False
    optional: bool = False
    kind = "string"

    def accept(self, value: object) -> str:
        """Accept printable text, Korean as well as any other."""
        if not isinstance(value, str):
            raise Refused(f"is {type_of(value)}, not a string", "write it in quotes")
        if not value and self.optional:
            return value
        bad = not value.isprintable() or (" " in value and not self.spaces)
        if not value or len(value) > self.characters_max or bad:
            raise Refused(f"is {shown(value)}", f"write {self.range()}")
        if self.without and self.without in value:
            raise Refused(f"is {shown(value)}", f"write it without `{self.without}`")
        return value

    def range(self) -> str:
        """Return the limits."""
        spaces = "" if self.spaces else ", no spaces"
        without = f", no `{self.without}`" if self.without else ""
        low = 0 if self.optional else 1
        return f"{low}..{self.characters_max} printable characters{spaces}{without}"


@dataclass(frozen=True)
class Names(PlainRule):
    """A list of different names.

    Attributes:
        item: The rule of each.
        low: How many at least.
        high: How many at most.
    """

    item: PlainRule
    low: int
    high: int
    kind = "array of strings"

    def accept(self, value: object) -> tuple[str, ...]:
        """Accept a list of names, none of them twice."""
        if not isinstance(value, list):
            raise Refused(f"is {type_of(value)}, not an array", 'write it as ["…", "…"]')
        if not self.low <= len(value) <= self.high:
            raise Refused(f"has {len(value)} items", f"write {self.low}..{self.high} of them")
        names: list[str] = []
        refusals: list[Refused] = []
        for index, item in enumerate(value):
            try:
                name = self.item.accept(item)
            except Refused as exc:
                refusals.append(Refused(f"has an item that {exc.problem}", exc.remedy, (index,)))
                continue
            if name in names:
                refusals.append(Refused(f"has {name!r} twice", "remove one of them", (index,)))
            names.append(name)
        refuse_all(refusals)
        return tuple(names)

    def parse(self, text: str) -> list[str]:
        """Read names with commas between them."""
        return [item.strip() for item in text.split(",") if item.strip()]

    def range(self) -> str:
        """Return the limits."""
        return f"{self.low}..{self.high} of: {self.item.range()}"


@dataclass(frozen=True)
class PathTo(Rule):
    """A path.

    Attributes:
        must_be_file: Whether there must be a readable file now.
    """

    must_be_file: bool
    kind = "path"

    def read(self, value: object, around: Surroundings) -> Path:
        """Accept a path; a relative one is taken from the configuration's directory."""
        if not isinstance(value, str) or not value or "\0" in value:
            raise Refused(f"is {shown(value)}, not a path", "write a path in quotes")
        try:
            path = around.directory / Path(value).expanduser()
        except RuntimeError:
            raise Refused(f"is {value!r}: no such user", "write the path in full") from None
        if not self.must_be_file and path.exists() and not path.is_dir():
            raise Refused(f"names {path}, which is no directory", "write the path of a directory")
        if self.must_be_file and not path.is_file():
            raise Refused(f"names {path}, which is no file", "write the path of a file")
        if self.must_be_file and not os.access(path, os.R_OK):
            raise Refused(f"names {path}, which cannot be read", "change the file's permissions")
        return path

    def range(self) -> str:
        """Return what must be there."""
        return "an existing file" if self.must_be_file else "a directory"


def type_of(value: object) -> str:
    """Return the type of a TOML value, with its article."""
    names = {
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "a table",
    }
    return names.get(type(value), "a date or time")


def shown(value: object) -> str:
    """Return a value for a message: a string quoted and cut, anything else by its type."""
    if not isinstance(value, str):
        return type_of(value)
    if len(value) > SHOWN_CHARACTERS_MAX:
        return f"{value[:SHOWN_CHARACTERS_MAX]!r}…"
    return repr(value)
