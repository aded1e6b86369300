"""Whose fault an end is, and what speaks for a model's availability."""

import pytest

from tokenferry.domain.ledger import Charge
from tokenferry.domain.request_record import (
    RequestRecord,
    attempt_status,
    ended_by,
    is_available,
    side_of,
    status_of,
)
from tokenferry.errors import GatewayError, ProviderError, ProviderRejected, TokenferryError
from tokenferry.protocol.sse import EventTooLarge

HOUR_MS = 3_600_000


def charge(stream_id="st_1", ended_ms=500, **fields) -> Charge:
    plain = Charge(
        stream_id=stream_id,
        account_id="a",
        key_id="k",
        model="m",
        provider="p",
        provider_model="pm",
        created_ms=ended_ms - 500,
        ended_ms=ended_ms,
        prompt_tokens=3,
        cached_tokens=1,
        cache_write_tokens=0,
        completion_tokens=4,
        reasoning_tokens=2,
        estimated=False,
        cost_nanos=12_000,
        list_nanos=10_000,
        cache_saved_nanos=0,
        finish="stop",
        error_code=None,
        attempts=1,
        first_token_ms=200,
        duration_ms=500,
        tries='[["p","pm","ok",480]]',
    )
    return plain._replace(**fields)


def record(stream_id="st_1", ended_ms=500, *, is_charged=True, **fields) -> RequestRecord:
    """Return a record; `fields` are those of its charge."""
    own = charge(stream_id, ended_ms, **fields)
    return RequestRecord(
        charge=own,
        is_charged=is_charged,
        transport="sse",
        request_id="req_1",
        ended_by=ended_by(own.finish, own.error_code, was_left=False),
        chunks=4,
        queued_ms=7,
        drops=1,
        resumes=1,
    )


@pytest.mark.parametrize(
    ("code", "side"),
    [
        ("provider_http_500", "provider"),
        ("provider_http_529", "provider"),
        ("provider_http_429", "provider"),
        ("provider_http_401", "provider"),
        ("provider_http_402", "provider"),
        ("provider_http_404", "provider"),
        ("provider_http_400", "client"),
        ("provider_http_413", "client"),
        ("provider_http_422", "client"),
        ("provider_http_", "provider"),
        ("provider_http_4²0", "provider"),
        ("provider_timeout", "provider"),
        ("provider_cut_off", "provider"),
        ("upstream_lost", "gateway"),
        ("queue_full", "gateway"),
        ("server_draining", "gateway"),
        ("stream_too_large", "gateway"),
        ("insufficient_credit", "client"),
        ("budget_exceeded", "client"),
        ("credit_used_up", "client"),
        ("invalid_api_key", "client"),
        ("rate_limit_exceeded", "client"),
        ("a code of a later release", "client"),
    ],
)
def test_whose_fault_an_error_is(code, side):
    assert side_of(code) == side


def every(family: type[TokenferryError]):
    yield family
    for kind in family.__subclasses__():
        yield from every(kind)


def test_every_error_of_a_provider_and_of_the_gateway_is_theirs():
    # One that is no part of the tree's own package.
    assert EventTooLarge in every(ProviderError)
    for kind in every(ProviderError):
        if kind is not ProviderRejected:
            assert side_of(kind("x").kind) == "provider", kind
    for kind in every(GatewayError):
        assert side_of(kind("x").kind) == "gateway", kind


@pytest.mark.parametrize(
    ("finish", "code", "was_left", "who"),
    [
        ("stop", None, False, "provider"),
        ("length", None, True, "provider"),
        ("cancelled", None, False, "client"),
        ("cancelled", None, True, "disconnect"),
        ("error", "upstream_lost", False, "gateway"),
        ("error", "provider_timeout", True, "provider"),
        ("error", "provider_http_400", False, "client"),
    ],
)
def test_who_ended_it(finish, code, was_left, who):
    assert ended_by(finish, code, was_left=was_left) == who


@pytest.mark.parametrize(
    ("finish", "code", "available"),
    [
        ("stop", None, True),
        ("tool_calls", None, True),
        ("cancelled", None, None),
        ("error", "insufficient_credit", None),
        ("error", "provider_http_400", None),
        ("error", "provider_http_503", False),
        ("error", "upstream_lost", False),
    ],
)
def test_what_speaks_for_availability(finish, code, available):
    assert is_available(record(finish=finish, error_code=code)) is available


def test_a_status_is_one_of_three():
    assert [status_of(each) for each in ("stop", "length", "error", "cancelled")] == [
        "ok",
        "ok",
        "failed",
        "stopped",
    ]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("ok", 200), ("provider_http_503", 503), ("provider_timeout", None), ("slower", None)],
)
def test_the_status_of_an_attempt(outcome, status):
    assert attempt_status(outcome) == status
