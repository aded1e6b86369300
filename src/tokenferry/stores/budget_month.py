"""The calendar month that a key's budget is for: that of UTC.

Source: docs/decisions/0010-money.md.
"""

from datetime import UTC, datetime


def budget_month(moment_ms: int) -> int:
    """Return the month of a moment, Unix time, as 202611."""
    moment = datetime.fromtimestamp(moment_ms // 1000, UTC)
    return moment.year * 100 + moment.month
