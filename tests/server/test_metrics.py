import logging
from collections.abc import Callable

import pytest

from tokenferry.domain.routing import Try
from tokenferry.domain.usage import Usage
from tokenferry.engine.ports import Outcome
from tokenferry.errors import InvalidKey, RateLimited, TooManyBadKeys
from tokenferry.server.log import CLEAN
from tokenferry.server.metrics import Metrics

OUTCOME = Outcome(
    stream_id="st_1",
    owner="abc",
    provider="openai",
    model="gpt",
    finish="stop",
    error_code=None,
    usage=Usage(10, 20, cached_tokens=4, reasoning_tokens=5),
    tries=(Try("openai", "gpt", "ok", 1_400),),
    first_token_s=0.25,
    duration_s=1.5,
)


def ignore(_: Callable[[], None]) -> None:
    """Do it never."""


def value(metrics: Metrics, name: str) -> float:
    lines = metrics.exposition().decode().splitlines()
    (line,) = [line for line in lines if line.startswith(name + " ")]
    return float(line.rpartition(" ")[2])


def test_a_stream_is_counted_from_its_start_to_its_end() -> None:
    metrics = Metrics(ignore)
    metrics.started()
    metrics.sent(0.0003)
    assert value(metrics, "tokenferry_open_streams") == 1
    metrics.settled(OUTCOME)
    assert value(metrics, "tokenferry_open_streams") == 0
    labels = 'model="gpt",provider="openai"'
    assert value(metrics, f'tokenferry_requests_total{{finish="stop",{labels}}}') == 1
    for kind, count in (("prompt", 10), ("completion", 20), ("cached", 4), ("reasoning", 5)):
        assert value(metrics, f'tokenferry_tokens_total{{kind="{kind}",{labels}}}') == count
    assert value(metrics, f"tokenferry_time_to_first_token_seconds_sum{{{labels}}}") == 0.25
    assert value(metrics, f"tokenferry_request_duration_seconds_sum{{{labels}}}") == 1.5
    assert value(metrics, "tokenferry_gateway_overhead_seconds_sum") == 0.0003


def test_errors_are_counted_by_code_wherever_they_arise() -> None:
    metrics = Metrics(ignore)
    metrics.refused(InvalidKey("no"))
    metrics.started()
    metrics.settled(OUTCOME._replace(finish="error", error_code="provider_timeout", usage=None))
    assert value(metrics, 'tokenferry_errors_total{code="invalid_api_key"}') == 1
    assert value(metrics, 'tokenferry_errors_total{code="provider_timeout"}') == 1
    assert b"tokens_total{" not in metrics.exposition()


def test_what_a_limit_refuses_is_counted_by_limit() -> None:
    metrics = Metrics(ignore)
    error = RateLimited("wait")
    metrics.refused(error)  # of a login, say, which is another matter
    assert b"tokenferry_limited_total{" not in metrics.exposition()
    error.limit = "key_requests"
    metrics.refused(error)
    metrics.refused(TooManyBadKeys("wait"))
    assert value(metrics, 'tokenferry_limited_total{limit="key_requests"}') == 1
    assert value(metrics, 'tokenferry_limited_total{limit="bad_keys"}') == 1
    assert value(metrics, 'tokenferry_errors_total{code="rate_limit_exceeded"}') == 2


def test_a_stream_that_never_had_a_token_has_no_time_to_it() -> None:
    metrics = Metrics(ignore)
    metrics.settled(OUTCOME._replace(first_token_s=None))
    assert b"first_token_seconds_count{" not in metrics.exposition()


def test_settled_streams_are_a_log_line_each_and_one_record_together(
    caplog: pytest.LogCaptureFixture,
) -> None:
    later: list[Callable[[], None]] = []
    metrics = Metrics(later.append)
    with caplog.at_level(logging.INFO, "tokenferry.streams"):
        metrics.settled(OUTCOME)
        metrics.settled(OUTCOME._replace(stream_id="st_2"))
        assert not caplog.records
        (write,) = later
        write()
        metrics.settled(OUTCOME._replace(stream_id="st_3"))
        later[1]()
    first, second = ([*record.__dict__[CLEAN]] for record in caplog.records)
    assert [fields["stream_id"] for fields in first + second] == ["st_1", "st_2", "st_3"]
    fields = first[0]
    assert (fields["completion_tokens"], fields["first_token_ms"]) == (20, 250)
    plain = [value for value in fields.values() if value is not None]
    assert all(isinstance(value, str | int | bool) for value in plain)


def test_records_of_requests_are_counted_by_what_became_of_them() -> None:
    metrics = Metrics(ignore)
    metrics.recorded("written", 12)
    metrics.recorded("dropped", 1)
    metrics.recorded("written", 3)
    assert value(metrics, 'tokenferry_request_log_total{result="written"}') == 15
    assert value(metrics, 'tokenferry_request_log_total{result="dropped"}') == 1


def test_registries_are_apart() -> None:
    one, other = Metrics(ignore), Metrics(ignore)
    one.connected(1)
    assert value(one, "tokenferry_open_connections") == 1
    assert value(other, "tokenferry_open_connections") == 0
