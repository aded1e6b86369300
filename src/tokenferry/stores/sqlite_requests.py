"""The request log in an SQLite file of its own, with the counts for the status page.

Source: docs/decisions/0015-request-log.md.
Weakness: one connection, so one call at a time. What has expired is overwritten in the file, but
may be in its write-ahead log until that is used again.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenferry.domain.ledger import Charge
from tokenferry.domain.request_page import Part, Wanted
from tokenferry.domain.request_record import Content, RequestRecord
from tokenferry.domain.service_status import (
    FAILED_MIN,
    HOURS_A_DAY,
    MS_PER_DAY,
    MS_PER_HOUR,
    DayCount,
    FirstTokens,
    HourCount,
)
from tokenferry.domain.status_count import Counts, counted
from tokenferry.engine.request_log import Draft, Periods
from tokenferry.stores.charge_search import search
from tokenferry.stores.sqlite_database import SharedDatabase, explained

# "tfrq": this is not the file of keys and money.
APPLICATION_ID = 0x74667271
# Rows of one step of `expire`: a few milliseconds, in which nothing is written or read.
EXPIRE_ROWS_MAX = 500

_CHARGE = ", ".join(Charge._fields)
_OWN = ", ".join(name for name in RequestRecord._fields if name != "charge")
_WIDTH = len(Charge._fields)
_MARKS = ", ".join("?" * (_WIDTH + len(RequestRecord._fields) - 1))
_INSERT = (
    f"INSERT INTO request ({_CHARGE}, {_OWN}) VALUES ({_MARKS}) "  # noqa: S608 -- constants only
    "ON CONFLICT (stream_id) DO NOTHING"
)
_INSERT_CONTENT = (
    "INSERT INTO request_content (stream_id, ended_ms, prompt, answer, is_cut) "
    "VALUES (?, ?, ?, ?, ?) ON CONFLICT (stream_id) DO NOTHING"
)
_COUNT_HOUR = (
    "INSERT INTO model_hour (hour, model, served, failed) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (hour, model) DO UPDATE SET "
    "served = served + excluded.served, failed = failed + excluded.failed"
)
_COUNT_FIRST = (
    "INSERT INTO model_day_first_token (day, model, bucket, count) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (day, model, bucket) DO UPDATE SET count = count + excluded.count"
)
_EXPIRE = {
    table: (
        f"DELETE FROM {table} WHERE rowid IN "  # noqa: S608 -- constants only
        f"(SELECT rowid FROM {table} WHERE ended_ms < ? ORDER BY ended_ms LIMIT ?)"
    )
    for table in ("request", "request_content")
}


class SqliteRequests(SharedDatabase):
    """The request log in an SQLite file; any thread may use it.

    Args:
        path: The file; see `Database`.

    Raises:
        StoreUnusable: If the file cannot be used, see `Database`.
    """

    migrations = ("requests_1.sql",)
    application_id = APPLICATION_ID

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        # A power cut may cost the last moments of the log, never the file.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        # Prompts that have expired are not to be found in free pages.
        self._connection.execute("PRAGMA secure_delete = ON")

    @explained
    def write(self, drafts: Sequence[Draft]) -> None:
        """Store records and count them; see `RequestStore`."""
        # Before the lock: it takes its time.
        contents = [draft.content() for draft in drafts]
        with self._lock, self._transaction("IMMEDIATE"):
            written = []
            for draft, content in zip(drafts, contents, strict=True):
                charge, *own = draft.record
                if not self._connection.execute(_INSERT, (*charge, *own)).rowcount:
                    continue
                written.append(draft.record)
                if content is not None:
                    row = (charge.stream_id, charge.ended_ms, *content)
                    self._connection.execute(_INSERT_CONTENT, row)
            self._count(counted(written))

    @explained
    def refused(self, wanted: Wanted) -> Part:
        """Return what was never charged; see `RequestStore`."""
        with self._lock:
            return search(self._connection, "request", wanted, "is_charged = 0")

    @explained
    def find(self, stream_id: str, account_id: str | None) -> RequestRecord | None:
        """Return a record; see `RequestStore`."""
        with self._lock:
            row = self._connection.execute(
                f"SELECT {_CHARGE}, {_OWN} FROM request "  # noqa: S608 -- constants only
                "WHERE stream_id = ? AND account_id = COALESCE(?, account_id)",
                (stream_id, account_id),
            ).fetchone()
        if row is None:
            return None
        is_charged, *rest = row[_WIDTH:]
        return RequestRecord(Charge(*row[:_WIDTH]), bool(is_charged), *rest)

    @explained
    def content(self, stream_id: str) -> Content | None:
        """Return what was asked and answered; see `RequestStore`."""
        with self._lock:
            row = self._connection.execute(
                "SELECT prompt, answer, is_cut FROM request_content WHERE stream_id = ?",
                (stream_id,),
            ).fetchone()
        return None if row is None else Content(row[0], row[1], bool(row[2]))

    @explained
    def days(self, from_day: int) -> Sequence[DayCount]:
        """Return what was counted from a day on, day by day."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT hour / ?, model, SUM(served), SUM(failed) FROM model_hour "
                "WHERE hour >= ? GROUP BY 1, 2",
                (HOURS_A_DAY, HOURS_A_DAY * from_day),
            ).fetchall()
        return [DayCount(*row) for row in rows]

    @explained
    def hours(self, from_hour: int, every_from: int) -> Sequence[HourCount]:
        """Return what was counted from an hour on, hour by hour; see `RequestStore`."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT hour, model, served, failed FROM model_hour "
                "WHERE hour >= ? AND (failed >= ? OR hour >= ?)",
                (from_hour, FAILED_MIN, every_from),
            ).fetchall()
        return [HourCount(*row) for row in rows]

    @explained
    def first_tokens(self, from_day: int) -> Sequence[FirstTokens]:
        """Return which first tokens were counted from a day on."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT day, model, bucket, count FROM model_day_first_token WHERE day >= ?",
                (from_day,),
            ).fetchall()
        return [FirstTokens(*row) for row in rows]

    @explained
    def expire(self, now_ms: int, periods: Periods) -> bool:
        """Give up some of what is older than it is kept; see `RequestStore`."""
        is_full = False
        for table, kept_ms in (
            ("request_content", periods.content_ms),
            # Content does not outlive its request, whatever is configured.
            ("request_content", periods.record_ms),
            ("request", periods.record_ms),
        ):
            with self._lock:
                cursor = self._connection.execute(
                    _EXPIRE[table], (now_ms - kept_ms, EXPIRE_ROWS_MAX)
                )
            is_full = is_full or cursor.rowcount == EXPIRE_ROWS_MAX
        oldest_ms = now_ms - periods.status_ms
        with self._lock:
            self._connection.execute(
                "DELETE FROM model_hour WHERE hour < ?", (oldest_ms // MS_PER_HOUR,)
            )
            self._connection.execute(
                "DELETE FROM model_day_first_token WHERE day < ?", (oldest_ms // MS_PER_DAY,)
            )
        return is_full

    def close(self) -> None:
        """Let go of the file; idempotent."""
        with self._lock:
            super().close()

    def _count(self, counts: Counts) -> None:
        self._many(_COUNT_HOUR, counts.hours)
        self._many(_COUNT_FIRST, counts.first_tokens)

    def _many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        self._connection.executemany(statement, rows)
