"""What values may be, at each limit and one beyond."""

import math
from pathlib import Path
from typing import Any

import pytest

from tokenferry.config.rules import (
    SHOWN_CHARACTERS_MAX,
    Choice,
    Flag,
    Integer,
    Name,
    Names,
    PathTo,
    Refused,
    Rule,
    Seconds,
    Surroundings,
)

AROUND = Surroundings({}, Path())


def refusal(rule: Rule, value: object, around: Surroundings = AROUND) -> str:
    with pytest.raises(Refused) as caught:
        rule.read(value, around)
    return f"{caught.value.problem} -> {caught.value.remedy}"


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (Integer(1, 10), 1),
        (Integer(1, 10), 10),
        (Seconds(0.5, 2), 0.5),
        (Seconds(0.5, 2), 2),
        (Flag(), True),
        (Flag(), False),
        (Choice("a", "b"), "b"),
        (Name(3), "가나다"),
        (Name(3, spaces=True), "a b"),
    ],
)
def test_what_is_allowed_stays_as_it_is(rule: Rule, value: object) -> None:
    stored = rule.read(value, AROUND)
    assert (stored, type(stored)) == (value, type(value))


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        (Integer(1, 10), 0, "is 0, out of range -> write an integer within 1..10"),
        (Integer(1, 10), 11, "is 11, out of range -> write an integer within 1..10"),
        (Integer(1, 10), "5", "is a string, not an integer -> write an integer within 1..10"),
        (Integer(1, 10), 5.0, "is a number, not an integer -> write an integer within 1..10"),
        (Integer(1, 10), True, "is a boolean, not an integer -> write an integer within 1..10"),
        (Seconds(0.5, 2), 0.4, "is 0.4, out of range -> write a number of seconds within 0.5..2"),
        (Seconds(0.5, 2), 2.1, "is 2.1, out of range -> write a number of seconds within 0.5..2"),
        (
            Seconds(0, 2),
            math.nan,
            "is nan, out of range -> write a number of seconds within 0..2",
        ),
        (Seconds(0, 2), False, "is a boolean, not a number -> write a number of seconds"),
        (Seconds(0, 2), "1", "is a string, not a number -> write a number of seconds"),
        (Flag(), "true", "is a string, not a boolean -> write true or false, without quotes"),
        (Flag(), 1, "is an integer, not a boolean -> write true or false, without quotes"),
        (Choice("a", "b"), "c", 'is \'c\' -> write one of "a", "b"'),
        (Choice("a", "b"), ["a"], 'is an array -> write one of "a", "b"'),
        (Name(3), "", "is '' -> write 1..3 printable characters, no spaces"),
        (Name(3), "abcd", "is 'abcd' -> write 1..3 printable characters, no spaces"),
        (Name(3), "a b", "is 'a b' -> write 1..3 printable characters, no spaces"),
        (Name(3, spaces=True), "a\nb", "is 'a\\nb' -> write 1..3 printable characters"),
        (Name(3, without="/"), "a/b", "is 'a/b' -> write it without `/`"),
        (Name(3), 5, "is an integer, not a string -> write it in quotes"),
        (Name(3), "x" * 999, f"is '{'x' * SHOWN_CHARACTERS_MAX}'… -> write"),
    ],
)
def test_what_is_refused_says_what_to_write(rule: Rule, value: object, expected: str) -> None:
    assert refusal(rule, value).startswith(expected)


@pytest.mark.parametrize(
    ("rule", "text", "value"),
    [
        (Integer(0, 9), "7", 7),
        (Seconds(0, 9), "1.5", 1.5),
        (Seconds(0, 9), "2", 2.0),
        (Flag(), "true", True),
        (Flag(), "ON", True),
        (Flag(), "1", True),
        (Flag(), "no", False),
        (Flag(), " False ", False),
        (Choice("a", "b"), "a", "a"),
        (Names(Name(9), 0, 3), "a, b,,c", ("a", "b", "c")),
        (Names(Name(9), 0, 3), "", ()),
        (PathTo(must_be_file=False), "data", Path("data")),
    ],
)
def test_text_from_outside_the_file(rule: Rule, text: str, value: object) -> None:
    assert rule.read(rule.parse(text), AROUND) == value


@pytest.mark.parametrize(
    ("rule", "text", "problem"),
    [
        (Integer(0, 9), "7.5", "is '7.5', not an integer"),
        (Seconds(0, 9), "soon", "is 'soon', not a number"),
        (Flag(), "maybe", "is 'maybe', not a boolean"),
        (Integer(0, 9), "9" * 5000, "is '9999"),
    ],
)
def test_text_that_stands_for_no_value(rule: Rule, text: str, problem: str) -> None:
    with pytest.raises(Refused) as caught:
        rule.parse(text)
    assert caught.value.problem.startswith(problem)


class TestNames:
    rule = Names(Name(3), 1, 3)

    @pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]])
    def test_a_list_within_the_limits(self, names: list[str]) -> None:
        assert self.rule.read(names, AROUND) == tuple(names)

    @pytest.mark.parametrize("names", [[], ["a", "b", "c", "d"]])
    def test_too_few_or_too_many(self, names: list[str]) -> None:
        assert refusal(self.rule, names) == f"has {len(names)} items -> write 1..3 of them"

    def test_a_single_text_is_no_list(self) -> None:
        assert refusal(self.rule, "a") == 'is a string, not an array -> write it as ["…", "…"]'

    def test_all_wrong_items_are_reported_with_their_places(self) -> None:
        with pytest.raises(Refused) as caught:
            self.rule.read(["long name", "a", "a"], AROUND)
        first, second = caught.value, caught.value.also[0]
        assert (first.inside, second.inside) == ((0,), (2,))
        assert first.problem == "has an item that is 'long name'"
        assert (second.problem, second.remedy) == ("has 'a' twice", "remove one of them")


class TestPathTo:
    def test_a_relative_path_starts_at_the_directory(self, tmp_path: Path) -> None:
        around = Surroundings({}, tmp_path)
        assert PathTo(must_be_file=False).read("data", around) == tmp_path / "data"
        assert PathTo(must_be_file=False).read("/data", around) == Path("/data")

    def test_home_is_expanded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/kim")
        assert PathTo(must_be_file=False).read("~/data", AROUND) == Path("/home/kim/data")

    def test_a_file_must_be_there(self, tmp_path: Path) -> None:
        file = tmp_path / "cert.pem"
        rule = PathTo(must_be_file=True)
        assert "which is no file" in refusal(rule, str(file))
        assert "which is no file" in refusal(rule, str(tmp_path))
        file.write_text("x")
        assert rule.read(str(file), AROUND) == file

    def test_a_directory_must_not_be_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_text("x")
        assert "which is no directory" in refusal(PathTo(must_be_file=False), str(file))

    @pytest.mark.parametrize("value", ["", 5, "a\0b", ["a"]])
    def test_what_is_no_path(self, value: Any) -> None:
        assert "not a path" in refusal(PathTo(must_be_file=False), value)

    def test_an_unknown_user(self) -> None:
        assert "no such user" in refusal(PathTo(must_be_file=False), "~no-such-user/x")

    def test_an_unreadable_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "key.pem"
        file.write_text("x")
        # Root may read everything, so that the mode alone proves nothing here.
        monkeypatch.setattr("os.access", lambda *_: False)
        assert "cannot be read" in refusal(PathTo(must_be_file=True), str(file))
