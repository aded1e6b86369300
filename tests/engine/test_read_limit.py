import pytest

from tokenferry.engine.keys import Key
from tokenferry.engine.read_limit import ReadLimit
from tokenferry.errors import RateLimited

OPERATORS = Key("k1", "n")
OPERATORS_OTHER = Key("k2", "n")
ACCOUNTS = Key("k3", "n", "a")
ACCOUNTS_OTHER = Key("k4", "n", "a")


def limit_of(count: int) -> tuple[ReadLimit, list[float]]:
    now_s = [100.0]
    return ReadLimit(count, lambda: now_s[0]), now_s


def test_so_many_are_let_through_and_then_one_as_each_has_its_time() -> None:
    limit, now_s = limit_of(60)
    for _ in range(60):
        limit.count(OPERATORS, 1)
    with pytest.raises(RateLimited) as caught:
        limit.count(OPERATORS, 1)
    error = caught.value
    assert error.retry_after_ms == 1_000
    assert error.limit == "key_reads"
    assert error.details == {
        "limit": {"scope": "key", "name": "reads_per_minute", "value": 60},
        "rate_limits": [{"name": "reads", "limit": 60, "remaining": 0, "reset_ms": 60_000}],
    }
    assert [each._asdict() for each in limit.standings(OPERATORS)] == error.details["rate_limits"]
    now_s[0] += 1
    limit.count(OPERATORS, 1)


def test_what_is_dear_counts_as_several_and_what_is_refused_as_none() -> None:
    limit, _ = limit_of(10)
    limit.count(OPERATORS, 8)
    with pytest.raises(RateLimited):
        limit.count(OPERATORS, 3)
    limit.count(OPERATORS, 2)
    limit.count(OPERATORS, 0)


def test_what_is_more_than_a_minutes_takes_a_minute() -> None:
    limit, now_s = limit_of(10)
    limit.count(OPERATORS, 1_000)
    now_s[0] += 59.9
    with pytest.raises(RateLimited):
        limit.count(OPERATORS, 1_000)
    now_s[0] += 0.2
    limit.count(OPERATORS, 1_000)


def test_keys_of_an_account_count_together_and_the_operators_each_by_itself() -> None:
    limit, _ = limit_of(1)
    limit.count(OPERATORS, 1)
    limit.count(OPERATORS_OTHER, 1)
    limit.count(ACCOUNTS, 1)
    with pytest.raises(RateLimited) as caught:
        limit.count(ACCOUNTS_OTHER, 1)
    assert caught.value.limit == "account_reads"
    assert "The keys of this account may together read 1 times a minute" in str(caught.value)


def test_without_a_limit_nothing_is_counted() -> None:
    limit, _ = limit_of(0)
    for _ in range(100):
        limit.count(OPERATORS, 1_000)
    assert limit.standings(OPERATORS) == []
