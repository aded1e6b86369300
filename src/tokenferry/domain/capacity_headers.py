"""What an answer's headers say is left of a provider's limits: for one key, at one model.

OpenAI's form has a duration until the limit is whole again: `x-ratelimit-remaining-requests: 59`,
`x-ratelimit-limit-requests: 60`, `x-ratelimit-reset-requests: 1s`; the same of `tokens`.
Anthropic's has the moment: `anthropic-ratelimit-requests-reset: 2026-11-27T09:00:00Z`, and three
kinds of tokens, of which the one counts that is used up first. A limit without both `remaining` and
`reset` says nothing, and neither does one that cannot be read: a header fails no answer.

Source: OpenAI, "Rate limits in headers"; Anthropic, "Rate limits: response headers" (2026-11).
Weakness: a moment is compared with this machine's clock; the use of what comes of it is bounded.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

MS_PER_S: Final = 1_000
# Nobody waits for longer, and no limit of a minute is whole again later: a day's, or a mistake.
RESET_MS_MAX: Final = 24 * 60 * 60 * MS_PER_S

# As Go writes a time.Duration, in which OpenAI has it: `6m0s`, `1.5s`, `17ms`. Header values are
# latin-1, in which the µ of UTF-8 is two characters.
_PARTS = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(h|ms|m|s|us|µs|\xc2\xb5s|ns)")
_UNITS_MS: Final = {"h": 3_600_000.0, "m": 60_000.0, "s": 1_000.0, "ms": 1.0, "ns": 1e-6}
_MICROSECOND_MS = 1e-3
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")
_COUNT_DIGITS_MAX = 15
# RFC 3339, 5.6.
_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_HOURS, _SIXTY = 24, 60
# From the first of March of the year 0 to the first day of 1970.
_EPOCH_DAYS = 719_468


class Left(NamedTuple):
    """What is left of one limit.

    Attributes:
        limit: How many there are of it when it is whole; 0 if that is not said.
        remaining: How many are left.
        reset_ms: Milliseconds until it is whole again, rounded up; 0 to a day.
    """

    limit: int
    remaining: int
    reset_ms: int


class Capacity(NamedTuple):
    """What is left of a key's limits at a model; None of what nothing is known of."""

    requests: Left | None
    tokens: Left | None


class _Names(NamedTuple):
    """The headers of one limit."""

    limit: str
    remaining: str
    reset: str


def _openai(kind: str) -> _Names:
    return _Names(*(f"x-ratelimit-{part}-{kind}" for part in ("limit", "remaining", "reset")))


def _anthropic(kind: str) -> _Names:
    return _Names(
        *(f"anthropic-ratelimit-{kind}-{part}" for part in ("limit", "remaining", "reset"))
    )


_REQUESTS: Final = (_openai("requests"), _anthropic("requests"))
_TOKENS: Final = (_openai("tokens"), *map(_anthropic, ("tokens", "input-tokens", "output-tokens")))
_REMAINING: Final = frozenset(names.remaining for names in (*_REQUESTS, *_TOKENS))


def is_told(headers: Mapping[str, str]) -> bool:
    """Say whether a response says anything of limits; this is asked of every response."""
    return not _REMAINING.isdisjoint(headers)


def read_capacity(headers: Mapping[str, str], wall_ms: int) -> Capacity | None:
    """Return what the headers say; None if it is nothing that can be read.

    Args:
        headers: With names in lower case.
        wall_ms: Unix time.
    """
    requests = _tightest(_REQUESTS, headers, wall_ms)
    tokens = _tightest(_TOKENS, headers, wall_ms)
    return None if requests is None and tokens is None else Capacity(requests, tokens)


def _tightest(
    all_names: tuple[_Names, ...], headers: Mapping[str, str], wall_ms: int
) -> Left | None:
    found = [left for names in all_names if (left := _left(names, headers, wall_ms)) is not None]
    if len(found) <= 1:
        return found[0] if found else None
    # Of those that are used up, the one that is back last.
    return min(found, key=lambda left: (left.remaining, -left.reset_ms))


def _left(names: _Names, headers: Mapping[str, str], wall_ms: int) -> Left | None:
    remaining = _count(headers.get(names.remaining, ""))
    if remaining is None:
        return None
    reset = headers.get(names.reset, "")
    reset_ms = duration_ms(reset)
    if reset_ms is None and (moment_ms := unix_ms(reset)) is not None:
        reset_ms = max(0, moment_ms - wall_ms)
    if reset_ms is None:
        return None
    return Left(_count(headers.get(names.limit, "")) or 0, remaining, min(reset_ms, RESET_MS_MAX))


def _count(text: str) -> int | None:
    is_count = text.isascii() and text.isdigit() and len(text) <= _COUNT_DIGITS_MAX
    return int(text) if is_count else None


def duration_ms(text: str) -> int | None:
    """Return a duration in milliseconds, rounded up; a number without a unit is in seconds."""
    parts = _PARTS.findall(text)
    # Nothing before, between and after them.
    if not parts or sum(len(number) + len(unit) for number, unit in parts) != len(text):
        return _up(float(text) * MS_PER_S) if _NUMBER.fullmatch(text) else None
    return _up(sum(float(n) * _UNITS_MS.get(unit, _MICROSECOND_MS) for n, unit in parts))


def _up(time_ms: float) -> int:
    # Not the last bit of a sum of fractions: 0.1 s and 0.2 s are 300 ms.
    return -int(-round(time_ms, 3) // 1)


def unix_ms(text: str) -> int | None:
    """Return a moment of RFC 3339 as Unix time in milliseconds, rounded down."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = match.groups()[6:]
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= len(_MONTH_DAYS):
        return None
    last = _MONTH_DAYS[month - 1] + (is_leap and month == 2)  # noqa: PLR2004 -- February
    # A leap second is the next minute's first.
    if not (1 <= day <= last and hour < _HOURS and minute < _SIXTY and second <= _SIXTY):
        return None
    offset_s = 0
    if sign:
        if int(offset_hours) >= _HOURS or int(offset_minutes) >= _SIXTY:
            return None
        offset_s = (int(offset_hours) * 60 + int(offset_minutes)) * 60 * (1 if sign == "+" else -1)
    seconds = _days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset_s
    return seconds * MS_PER_S + int((fraction or "0").ljust(9, "0")[:3])


def _days(year: int, month: int, day: int) -> int:
    """Return the days since 1970 of the Gregorian calendar.

    The year begins in March here, so that a leap day is its last.
    """
    year -= month <= 2  # noqa: PLR2004 -- January and February are the year's before
    month_days = (153 * ((month - 3) % 12) + 2) // 5
    leap_days = year // 4 - year // 100 + year // 400
    return 365 * year + leap_days + month_days + day - 1 - _EPOCH_DAYS
