"""docs/known-failures.md: each failure of others that this project claims not to have has tests."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "known-failures.md"
# The entries that the first release answers for.
REQUIRED = (
    [f"A{number}" for number in range(1, 10)]
    + ["B10", "B11", "B12", "B13", "B14", "C15", "C16", "C17", "C18"]
    + [f"D{number}" for number in range(19, 24)]
    + [f"F{number}" for number in range(25, 31)]
)
ENTRY = re.compile(r"^## (?P<name>[A-F]\d+)\. ", re.MULTILINE)
TEST = re.compile(r"`(?P<path>tests/[\w/]+\.py)::(?P<name>\w+(?:::\w+)?)`")
# A proof that is no pytest test: a step of CI, named by its file and a line that must be there.
STEP = re.compile(r"`(?P<path>\.ci/run|Makefile): (?P<line>[^`]+)`")


def entries() -> dict[str, str]:
    """Return the text of each entry by its name."""
    parts = ENTRY.split(DOCUMENT.read_text("utf-8"))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the tests of a file, as `name` or `Class::name`."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    found = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        for member in members:
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(prefix + member.name)
    return frozenset(name for name in found if name.rpartition("::")[2].startswith("test_"))


def test_every_required_entry_is_there_once() -> None:
    names = ENTRY.findall(DOCUMENT.read_text("utf-8"))
    assert len(names) == len(set(names))
    assert set(REQUIRED) <= set(names)


@pytest.mark.parametrize("name", sorted(entries()))
def test_an_entry_names_tests_that_exist(name: str) -> None:
    text = entries()[name]
    tests = [(match["path"], match["name"]) for match in TEST.finditer(text)]
    steps = [(match["path"], match["line"]) for match in STEP.finditer(text)]
    assert tests or steps, "the entry names no test"
    for path, test in tests:
        assert test in names_in(path), f"there is no {path}::{test}"
    for path, line in steps:
        assert line in (ROOT / path).read_text("utf-8"), f"{path} has no line {line!r}"


def test_a_missing_test_would_be_noticed() -> None:
    here = "tests/test_known_failures.py"
    assert "test_a_missing_test_would_be_noticed" in names_in(here)
    assert "entries" not in names_in(here)
    assert not names_in("tests/test_nowhere.py")
