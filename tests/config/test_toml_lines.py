"""Where things stand in a TOML source."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.config.toml_lines import Lines, Place

SOURCE = '''\
# 설정
title = "x"           # 2

[server]
port = 1
"quoted key" = 2
'literal' = """
several [lines] = 1
\\""" still inside """
after = \'\'\'
"""\'\'\'
dates = [1979-05-27 07:32:00, 2, # comment ]
  [3, 4],
  { a = 5, "b" = [6,
  7] },
]
empty = []
quotes = [""""a"""",
  "b"]
nested.deep.key = true
when = 1979-05-27 07:32:00
last = {}

[[providers]]
name = "one"
[providers.headers]
x = "1"

[[providers]]   # the second
name = "둘"
models = [
  "a",

  "b",
]
[[providers.regions]]
r = 1
[[providers.regions]]
r = 2
[ a . "b c" ]
d = 1
'''

PLACES: list[tuple[Place, int]] = [
    (("title",), 2),
    (("server",), 4),
    (("server", "port"), 5),
    (("server", "quoted key"), 6),
    (("server", "literal"), 7),
    (("server", "after"), 10),
    (("server", "dates"), 12),
    (("server", "dates", 0), 12),
    (("server", "dates", 1), 12),
    (("server", "dates", 2), 13),
    (("server", "dates", 2, 1), 13),
    (("server", "dates", 3), 14),
    (("server", "dates", 3, "a"), 14),
    (("server", "dates", 3, "b", 1), 15),
    (("server", "empty"), 17),
    (("server", "quotes", 1), 19),
    (("server", "nested"), 20),
    (("server", "nested", "deep", "key"), 20),
    (("server", "when"), 21),
    (("server", "last"), 22),
    (("providers",), 24),
    (("providers", 0), 24),
    (("providers", 0, "name"), 25),
    (("providers", 0, "headers"), 26),
    (("providers", 0, "headers", "x"), 27),
    (("providers", 1), 29),
    (("providers", 1, "name"), 30),
    (("providers", 1, "models", 0), 32),
    (("providers", 1, "models", 1), 34),
    (("providers", 1, "regions", 0, "r"), 37),
    (("providers", 1, "regions", 1, "r"), 39),
    (("a", "b c"), 40),
    (("a", "b c", "d"), 41),
]


@pytest.mark.parametrize(("place", "line"), PLACES)
def test_places(place: Place, line: int) -> None:
    lines = Lines(SOURCE)
    assert place in lines
    assert lines.of(place) == line


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("server", "nope"), 4),
        (("providers", 0, "models", 3), 24),
        (("providers", 1, "models", 9), 31),
        (("providers", 7), 24),
        (("nope",), 1),
        ((), 1),
    ],
)
def test_what_is_not_there_has_the_line_above_it(place: Place, line: int) -> None:
    assert place not in Lines(SOURCE)
    assert Lines(SOURCE).of(place) == line


def test_an_empty_source_has_one_line() -> None:
    assert Lines().of(("server", "port")) == 1
    assert Lines("# only a comment").of(("a",)) == 1


def test_the_source_above_is_valid() -> None:
    found = Lines(SOURCE)
    missing = [place for place in _places(tomllib.loads(SOURCE)) if place not in found]
    assert missing == []


@given(st.text(st.sampled_from("[]{}\"'\\,=.#\n ab1"), max_size=40))
def test_what_is_no_toml_ends_as_well(source: str) -> None:
    assert Lines(source).of(("a", 0, "b")) <= source.count("\n") + 1


def test_what_follows_a_line_that_makes_no_sense_has_the_line_above_it() -> None:
    lines = Lines("[a]\nb = 1\n@ = 2\nc = 3")
    assert lines.of(("a", "b")) == 2
    assert lines.of(("a", "c")) == 1


def _places(value: Any, place: Place = ()) -> Iterator[Place]:
    if place:
        yield place
    match value:
        case dict():
            for name, item in value.items():
                yield from _places(item, (*place, name))
        case list():
            for index, item in enumerate(value):
                yield from _places(item, (*place, index))


# A key's line is written down as its value, so that the source tells what the answer must be.
blanks = st.sampled_from(["", "\n", "# [a] = 1\n", "\n\n  # '''\n"])
values = st.sampled_from(
    [
        '"]"',
        "'['",
        '"""\n[x]\ny = 1\n"""',
        "'''\n'''",
        '"\\"]"',
        "[1,\n 2, # ]\n]",
        "{ a = '}', b = [1] }",
        "1979-05-27 07:32:00",
        '""""quoted""""',
        '[""""a"""", """b""""", 1]',
        "[''''a'''', 1]",
        "[[], [\n[]]]",
        "1.5",
    ]
)
keys = st.sampled_from(["a", '"b.c"', "'d e'", "f.g", '"\\u0041"', "h-i_j"])


@given(st.lists(st.tuples(blanks, st.booleans(), keys, values), max_size=12))
def test_every_key_has_its_line(items: list[tuple[str, bool, str, str]]) -> None:
    source = ""
    expected = {}
    for number, (blank, is_table, key, value) in enumerate(items):
        source += blank
        line = source.count("\n") + 1
        if is_table:
            source += f"[[t{number}.{key}]]\n  v = {value}\n"
            name = tomllib.loads(f"{key} = 1")
            place = (f"t{number}", *_names(name), 0)
            expected[place] = line
            expected[(*place, "v")] = line + 1
        else:
            source += f"[k{number}]\nv.{key} = {value} # comment\n"
            place = (f"k{number}", "v", *_names(tomllib.loads(f"{key} = 1")))
            expected[place] = line + 1
    tomllib.loads(source)
    lines = Lines(source)
    assert {place: lines.of(place) for place in expected} == expected
    assert all(place in lines for place in _places(tomllib.loads(source)))


def _names(document: dict[str, Any]) -> list[str]:
    names = []
    value: Any = document
    while isinstance(value, dict):
        (name,) = value
        names.append(name)
        value = value[name]
    return names
