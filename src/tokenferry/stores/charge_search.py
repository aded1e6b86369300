"""Looks for charges, or for rows of their form, by filters; so many are looked through at most.

Weakness: a filter other than the account's and the time's has no index. The rows of the account, or
of all, are looked through one after the other, the latest first, `SCANNED_MAX` a page.
"""

import sqlite3

from tokenferry.domain.ledger import Charge
from tokenferry.domain.request_page import Part, Position, Wanted, position
from tokenferry.domain.request_record import CANCELLED, ERROR, Status

# Some 20 ms of one thread.
SCANNED_MAX = 5_000

_COLUMNS = ", ".join(Charge._fields)
_STATUSES: dict[Status, str] = {
    "ok": f"finish NOT IN ('{ERROR}', '{CANCELLED}')",
    "failed": f"finish = '{ERROR}'",
    "stopped": f"finish = '{CANCELLED}'",
}
_LATEST = "ORDER BY ended_ms DESC, stream_id DESC"
_FIRST: Position = (2**62, "")


def search(
    connection: sqlite3.Connection, table: str, wanted: Wanted, condition: str = "1"
) -> Part:
    """Return the rows of a table that are wanted, the latest first.

    Args:
        connection: Where the table is.
        table: Its name; it has the columns of a charge.
        wanted: Which rows.
        condition: What else holds of all of them, in SQL.
    """
    span = [condition, "(ended_ms, stream_id) < (?, ?)"]
    values: list[object] = [*(wanted.before or _FIRST)]
    for clause, value in (
        ("account_id = ?", wanted.account_id),
        ("ended_ms >= ?", wanted.from_ms),
        ("ended_ms < ?", wanted.until_ms),
    ):
        if value is not None:
            span.append(clause)
            values.append(value)
    filters: list[str] = []
    filter_values: list[object] = []
    for clause, value in (("model = ?", wanted.model), ("key_id = ?", wanted.key_id)):
        if value is not None:
            filters.append(clause)
            filter_values.append(value)
    if wanted.status is not None:
        filters.append(_STATUSES[wanted.status])
    last = None
    if filters:
        # How far it looks: an index alone tells.
        last = connection.execute(
            f"SELECT ended_ms, stream_id FROM {table} WHERE {' AND '.join(span)} "  # noqa: S608 -- clauses are constants
            f"{_LATEST} LIMIT 1 OFFSET ?",
            (*values, SCANNED_MAX - 1),
        ).fetchone()
        if last is not None:
            filters.append("(ended_ms, stream_id) >= (?, ?)")
            filter_values += last
    rows = [
        Charge(*row)
        for row in connection.execute(
            f"SELECT {_COLUMNS} FROM {table} WHERE {' AND '.join(span + filters)} "  # noqa: S608 -- as above
            f"{_LATEST} LIMIT ?",
            (*values, *filter_values, wanted.limit),
        )
    ]
    return Part(rows, position(rows[-1]) if len(rows) == wanted.limit else last)
