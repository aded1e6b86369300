import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.providers.wire import RETRY_AFTER_MS_MAX, WireRequest, retry_after_ms

DAY_S = 24 * 60 * 60


@pytest.mark.parametrize(
    ("headers", "expected_ms"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7000),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 1.5 "}, 1500),
        ({"retry-after": "0.0004"}, 0),
        ({"retry-after-ms": "250"}, 250),
        ({"retry-after-ms": "250.4"}, 250),
        ({"retry-after-ms": "250", "retry-after": "7"}, 250),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7000),
        ({"retry-after-ms": "", "retry-after": "7"}, 7000),
        ({"retry-after": "Mon, 23 Nov 2026 10:00:00 GMT"}, None),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after-ms": "inf", "retry-after": "1"}, 1000),
        ({"Retry-After": "7"}, None),  # names come in lower case
    ],
)
def test_retry_after(headers: dict[str, str], expected_ms: int | None) -> None:
    assert retry_after_ms(headers) == expected_ms


@pytest.mark.parametrize(
    ("seconds", "expected_ms"),
    [(DAY_S - 1, 86_399_000), (DAY_S, 86_400_000), (DAY_S + 1, 86_400_000), (1e300, 86_400_000)],
)
def test_nobody_waits_longer_than_a_day(seconds: float, expected_ms: int) -> None:
    assert RETRY_AFTER_MS_MAX == 86_400_000
    assert retry_after_ms({"retry-after": str(seconds)}) == expected_ms


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text(max_size=12)))
def test_any_header_is_a_wait_or_nothing(headers: dict[str, str]) -> None:
    wait_ms = retry_after_ms(headers)
    assert wait_ms is None or 0 <= wait_ms <= RETRY_AFTER_MS_MAX


def test_a_request_has_no_headers_of_its_own_by_default() -> None:
    assert WireRequest("/x", b"{}") == ("/x", b"{}", (), None)
