"""What headers say is left, and that none of them can do any harm."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.capacity_headers import (
    RESET_MS_MAX,
    Capacity,
    Left,
    duration_ms,
    is_told,
    read_capacity,
    unix_ms,
)
from tokenferry.domain.rate_limit import duration

NOW_MS = 1_795_770_000_000  # 2026-11-27T09:00:00Z
OPENAI = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-tokens": "6m0s",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "0",
    "anthropic-ratelimit-requests-reset": "2026-11-27T09:00:12Z",
    "anthropic-ratelimit-tokens-limit": "80000",
    "anthropic-ratelimit-tokens-remaining": "70000",
    "anthropic-ratelimit-tokens-reset": "2026-11-27T09:00:08Z",
    "anthropic-ratelimit-input-tokens-limit": "60000",
    "anthropic-ratelimit-input-tokens-remaining": "0",
    "anthropic-ratelimit-input-tokens-reset": "2026-11-27T18:00:30.250+09:00",
    "anthropic-ratelimit-output-tokens-limit": "20000",
    "anthropic-ratelimit-output-tokens-remaining": "0",
    "anthropic-ratelimit-output-tokens-reset": "2026-11-27T09:00:20Z",
}


def test_openais_form() -> None:
    assert is_told(OPENAI)
    assert read_capacity(OPENAI, NOW_MS) == Capacity(
        Left(60, 59, 1_000), Left(150_000, 149_984, 360_000)
    )


def test_anthropics_form_and_of_its_tokens_the_tightest() -> None:
    assert is_told(ANTHROPIC)
    # Of two kinds of which nothing is left, the one that is whole again last.
    assert read_capacity(ANTHROPIC, NOW_MS) == Capacity(
        Left(50, 0, 12_000), Left(60_000, 0, 30_250)
    )


def test_a_moment_that_has_passed_is_now() -> None:
    headers = {
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2026-11-27T08:59:59Z",
    }
    assert read_capacity(headers, NOW_MS) == Capacity(Left(0, 0, 0), None)


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, Left(60, 59, 1_000)),
        # The limit may be missing, or be nonsense; both of the others must be there.
        ({"limit": None}, Left(0, 59, 1_000)),
        ({"limit": "many"}, Left(0, 59, 1_000)),
        ({"limit": "-1"}, Left(0, 59, 1_000)),
        ({"remaining": None}, None),
        ({"reset": None}, None),
        ({"remaining": ""}, None),
        ({"remaining": "-1"}, None),
        ({"remaining": "1.5"}, None),
        ({"remaining": "0x3c"}, None),
        ({"remaining": "\u0663"}, None),
        ({"remaining": "9" * 16}, None),
        ({"remaining": "59, 58"}, None),
        ({"reset": "soon"}, None),
        ({"reset": "-1s"}, None),
        ({"reset": "1s, 2s"}, None),
        ({"reset": "9" * 400 + "s"}, None),
        # Nonsense that can be read is cut.
        ({"reset": "9999h"}, Left(60, 59, RESET_MS_MAX)),
        ({"reset": "1795770060"}, Left(60, 59, RESET_MS_MAX)),
        ({"reset": "9999-12-31T23:59:59Z"}, Left(60, 59, RESET_MS_MAX)),
    ],
)
def test_what_cannot_be_read_says_nothing(
    changes: dict[str, str | None], left: Left | None
) -> None:
    told = {"limit": "60", "remaining": "59", "reset": "1s"} | changes
    headers = {f"x-ratelimit-{part}-requests": text for part, text in told.items() if text}
    found = read_capacity(headers, NOW_MS)
    assert found == (None if left is None else Capacity(left, None))


def test_other_headers_say_nothing() -> None:
    headers = {"content-type": "text/event-stream", "x-ratelimit-limit-requests": "60"}
    assert not is_told(headers)
    assert read_capacity(headers, NOW_MS) is None


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1s", 1_000), ("6m0s", 360_000), ("17ms", 17), ("1h2m3.5s", 3_723_500), ("0s", 0),
        ("7.66s", 7_660), ("2m59.56s", 179_560), ("1m", 60_000), ("1.5ms", 2), ("12us", 1),
        ("12µs", 1), ("12\xc2\xb5s", 1), ("1ns", 0), ("20", 20_000), ("0.25", 250), ("0.1001", 101),
    ],
)  # fmt: skip
def test_durations(text: str, milliseconds: int) -> None:
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "s", "1", "1d", "1 s", "+1s", "1s ", "1.s", ".5s", "1e3s"])
def test_no_durations(text: str) -> None:
    assert duration_ms(text) == (1_000 if text == "1" else None)


@given(st.integers(0, RESET_MS_MAX))
def test_what_we_write_ourselves_is_read_as_it_was(milliseconds: int) -> None:
    assert duration_ms(duration(milliseconds)) == milliseconds


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-27T09:00:00Z", NOW_MS),
        ("2026-11-27t09:00:00z", NOW_MS),
        ("2026-11-27 18:00:00+09:00", NOW_MS),
        ("2026-11-27T04:30:00.5-04:30", NOW_MS + 500),
        ("2028-02-29T00:00:00.123456789Z", 1_835_395_200_123),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
    ],
)
def test_moments(text: str, milliseconds: int) -> None:
    assert unix_ms(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-11-27", "2026-11-27T09:00Z", "2026-11-27T09:00:00", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-11-31T00:00:00Z", "2027-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z", "2026-11-00T00:00:00Z", "2026-11-27T24:00:00Z",
        "2026-11-27T09:60:00Z", "2026-11-27T09:00:61Z", "2026-11-27T09:00:00+24:00",
        "2026-11-27T09:00:00+09:60", "2026-11-27T09:00:00.Z", "\u0662\u066026-11-27T09:00:00Z",
    ],
)  # fmt: skip
def test_no_moments(text: str) -> None:
    assert unix_ms(text) is None


MOMENTS = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001 -- Hypothesis wants them without a zone
    datetime(2500, 1, 1),  # noqa: DTZ001
    timezones=st.integers(-23 * 60, 23 * 60).map(lambda m: timezone(timedelta(minutes=m))),
)  # fmt: skip


@given(MOMENTS)
def test_a_moment_is_the_one_of_the_calendar(moment: datetime) -> None:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert unix_ms(moment.isoformat()) == since // timedelta(milliseconds=1)


@given(st.dictionaries(st.sampled_from([*OPENAI, *ANTHROPIC]), st.text(max_size=30)))
def test_nothing_that_is_sent_is_an_error(headers: dict[str, str]) -> None:
    found = read_capacity(headers, NOW_MS)
    for left in found or ():
        assert left is None or (left.limit >= 0 and left.remaining >= 0)
        assert left is None or 0 <= left.reset_ms <= RESET_MS_MAX
    assert found is None or is_told(headers)
