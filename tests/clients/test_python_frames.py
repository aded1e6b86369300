"""The edges of what is read; what is refused is in the vectors."""

from typing import Any

import pytest

from tokenferry_client import frames
from tokenferry_client.events import RateLimit
from tokenferry_client.frames import UnreadableFrame


@pytest.mark.parametrize("number", [0, 2**53 - 1])
def test_the_smallest_and_the_largest_number(number: int) -> None:
    assert frames.integer({"seq": number}, "seq") == number


@pytest.mark.parametrize("number", [-1, 2**53])
def test_no_number_beyond_them(number: int) -> None:
    with pytest.raises(UnreadableFrame, match="seq"):
        frames.integer({"seq": number}, "seq")


def test_a_server_that_invents_limits_costs_no_more_than_sixteen() -> None:
    limits: list[dict[str, Any]] = [
        {"name": f"limit {number}", "limit": 2, "remaining": 1, "reset_ms": 0}
        for number in range(17)
    ]
    read = frames.rate_limits({"rate_limits": limits})
    assert len(read) == 16
    assert read[-1] == RateLimit("limit 15", 2, 1, 0)


@pytest.mark.parametrize("frame", [{}, {"finish_reasons": None}])
def test_an_answer_of_one_choice_has_no_list_of_reasons(frame: dict[str, Any]) -> None:
    assert frames.reasons(frame) == ()
