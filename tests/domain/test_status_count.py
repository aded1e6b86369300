from domain.test_request_record import HOUR_MS, record
from tokenferry.domain.service_status import FirstTokens, HourCount
from tokenferry.domain.status_count import counted


def test_requests_are_counted_by_hour_and_model():
    counts = counted(
        [
            record("1", 10),
            record("2", HOUR_MS - 1, first_token_ms=50),
            record("3", HOUR_MS, first_token_ms=None),
            record("4", 20, finish="error", error_code="provider_timeout"),
            record("5", 20, model="n", finish="error", error_code="upstream_lost"),
        ]
    )
    assert sorted(counts.hours) == [
        HourCount(0, "m", 2, 1),
        HourCount(0, "n", 0, 1),
        HourCount(1, "m", 1, 0),
    ]
    assert sorted(counts.first_tokens) == [FirstTokens(0, "m", 0, 1), FirstTokens(0, "m", 3, 1)]


def test_what_the_client_is_to_blame_for_is_not_counted():
    counts = counted(
        [
            record("1", finish="cancelled"),
            record("2", finish="error", error_code="provider_http_400"),
            record("3", finish="error", error_code="insufficient_credit", is_charged=False),
        ]
    )
    assert counts == ([], [])


def test_a_first_token_of_what_failed_later_is_not_counted():
    counts = counted([record(finish="error", error_code="provider_cut_off", first_token_ms=1)])
    assert (len(counts.hours), counts.first_tokens) == (1, [])
