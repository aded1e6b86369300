"""Faults of a configuration, collected so that all of them are reported at once."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tokenferry.config.rules import Refused
from tokenferry.config.toml_lines import Lines, Place


class Fault(NamedTuple):
    """One thing that is wrong.

    Attributes:
        line: Where in the file, from 1; None for what does not stand in the file.
        message: What is wrong, naming the setting, variable or option.
        remedy: What to do.
    """

    line: int | None
    message: str
    remedy: str


class ConfigError(Exception):
    """The configuration cannot be used.

    Args:
        faults: All that is wrong with it, at least one.
        path: The file, when there is one.
    """

    def __init__(self, faults: Sequence[Fault], path: Path | None = None) -> None:
        self.faults = tuple(faults)
        self.path = path
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """Return each fault as a line of text: `file:line: message -> remedy`."""
        return [
            f"{'' if line is None else f'{self.path}:{line}: '}{message} -> {remedy}"
            for line, message, remedy in self.faults
        ]


class Report:
    """Collects faults.

    Args:
        lines: Where things stand in the file.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._faults: list[Fault] = []

    def add(self, place: Place, message: str, remedy: str) -> None:
        """Report a fault at a place in the file."""
        self._faults.append(Fault(self._lines.of(place), message, remedy))

    def add_setting(self, place: Place, message: str, remedy: str) -> None:
        """Report a fault of a setting that stands in the file, or came from elsewhere."""
        if place in self._lines:
            self.add(place, message, remedy)
        else:
            self.add_outside(message, remedy)

    def add_outside(self, message: str, remedy: str) -> None:
        """Report a fault that does not stand in the file."""
        self._faults.append(Fault(None, message, remedy))

    def refused(self, subject: str, refused: Refused, place: Place | None) -> None:
        """Report what a rule refused; `subject` begins the sentence, place None is outside."""
        for one in (refused, *refused.also):
            message = f"{subject} {one.problem}"
            if place is None:
                self.add_outside(message, one.remedy)
            else:
                self.add((*place, *one.inside), message, one.remedy)

    def faults(self) -> list[Fault]:
        """Return all faults: those of the file in its order, then the others."""
        return sorted(self._faults, key=lambda fault: (fault.line is None, fault.line or 0))


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return a remedy for an unknown word: the known one that is nearest, or another text."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else otherwise
