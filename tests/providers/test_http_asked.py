"""What a response's headers say of limits reaches who asked, and costs nobody who did not."""

from providers.http_fakes import RecordingSink, asked
from tokenferry.domain.capacity_headers import Capacity, Left

SPENT = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "1m0s",
}


def test_what_is_said_of_limits_is_passed_on() -> None:
    heard: list[Capacity] = []
    answer = asked(RecordingSink(), heard=heard.append)
    answer.hear(SPENT)
    assert heard == [Capacity(Left(60, 0, 60_000), None)]
    answer.hear({"content-type": "application/json"})
    answer.hear(SPENT | {"x-ratelimit-reset-requests": "tomorrow"})
    assert len(heard) == 1


def test_a_moment_is_compared_with_the_wall_clock() -> None:
    heard: list[Capacity] = []
    asked(RecordingSink(), heard=heard.append).hear(
        {
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": "2999-01-01T00:00:00Z",
        }
    )
    assert heard == [Capacity(Left(0, 0, 24 * 60 * 60 * 1000), None)]


def test_where_nobody_asks_nothing_is_read() -> None:
    asked(RecordingSink()).hear(SPENT)
