"""A page of requests that are listed from two places: the books, and the log of what was refused.

Both are ordered by (end, stream), the latest first. A place looks through so many rows at most, so
that a rare filter over a long history costs no more than any other; it says how far it got.

Weakness: a page may be short, even empty, though more follows; `next` alone tells.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tokenferry.domain.ledger import Charge
from tokenferry.domain.request_record import Status

# (end in Unix milliseconds, stream): where a row stands.
Position = tuple[int, str]


class Wanted(NamedTuple):
    """Which requests; what is None is not asked about.

    Attributes:
        limit: How many at most.
        account_id: Of which account.
        model: Asked for by this name.
        key_id: Of the key with this public id.
        status: How it ended.
        from_ms: Ended at this moment or later.
        until_ms: Ended before this moment.
        before: Only those that stand behind this one, and are therefore older.
    """

    limit: int
    account_id: str | None = None
    model: str | None = None
    key_id: str | None = None
    status: Status | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    before: Position | None = None


class Part(NamedTuple):
    """What one place has.

    Attributes:
        rows: The rows that are wanted, the latest first.
        reached: Down to where the rows are all there are, that one included; None to the end.
    """

    rows: Sequence[Charge]
    reached: Position | None


def position(row: Charge) -> Position:
    """Return where a row stands."""
    return (row.ended_ms, row.stream_id)


def merged(parts: Iterable[Part], limit: int) -> Part:
    """Return one page of the rows of several places.

    A row that stands behind what another place has looked through waits for the next page: there
    may be others before it.
    """
    every = list(parts)
    reached = max((part.reached for part in every if part.reached is not None), default=None)
    rows = sorted((row for part in every for row in part.rows), key=position, reverse=True)
    if reached is not None:
        rows = [row for row in rows if position(row) >= reached]
    if len(rows) >= limit:
        rows = rows[:limit]
        reached = position(rows[-1]) if rows else reached
    return Part(rows, reached)
