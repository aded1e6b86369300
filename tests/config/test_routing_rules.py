import pytest

from tokenferry.config.routing_rules import Integers
from tokenferry.config.rules import Integer, Refused


def refusal(value: object) -> str:
    with pytest.raises(Refused) as caught:
        RULE.accept(value)
    return f"{caught.value.problem} -> {caught.value.remedy}"


RULE = Integers(Integer(0, 9), 3)


def test_a_list_within_the_limits() -> None:
    assert RULE.accept([0, 9, 3]) == (0, 9, 3)
    assert RULE.accept([]) == ()
    assert RULE.range() == "at most 3 of: 0..9"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (3, "is an integer, not an array -> write it as [3, 1]"),
        ([1, 2, 3, 4], "has 4 items -> write at most 3"),
        ([1, 10], "has an item that is 10, out of range"),
        ([True], "has an item that is a boolean"),
    ],
)
def test_what_is_none(value: object, problem: str) -> None:
    assert problem in refusal(value)
