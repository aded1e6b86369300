"""The in-memory request log, for tests of whatever needs a `RequestStore`.

Weakness: it belongs to one thread, and asks every record.
"""

from collections import Counter
from collections.abc import Sequence

from tokenferry.domain.request_page import Part, Wanted, position
from tokenferry.domain.request_record import Content, RequestRecord, status_of
from tokenferry.domain.service_status import (
    FAILED_MIN,
    HOURS_A_DAY,
    MS_PER_DAY,
    MS_PER_HOUR,
    DayCount,
    FirstTokens,
    HourCount,
)
from tokenferry.domain.status_count import counted
from tokenferry.engine.request_log import Draft, Periods


class MemoryRequests:
    """Records that live as long as the process."""

    def __init__(self) -> None:
        self._records: dict[str, RequestRecord] = {}
        self._contents: dict[str, Content] = {}
        self._served: Counter[tuple[int, str]] = Counter()
        self._failed: Counter[tuple[int, str]] = Counter()
        self._first_tokens: Counter[tuple[int, str, int]] = Counter()

    def write(self, drafts: Sequence[Draft]) -> None:
        """Store records and count them; see `RequestStore`."""
        written = []
        for draft in drafts:
            stream_id = draft.record.charge.stream_id
            if stream_id in self._records:
                continue
            self._records[stream_id] = draft.record
            written.append(draft.record)
            if (content := draft.content()) is not None:
                self._contents[stream_id] = content
        counts = counted(written)
        for hour, model, served, failed in counts.hours:
            self._served[hour, model] += served
            self._failed[hour, model] += failed
        for day, model, bucket, count in counts.first_tokens:
            self._first_tokens[day, model, bucket] += count

    def refused(self, wanted: Wanted) -> Part:
        """Return what was never charged; see `RequestStore`."""
        rows = sorted(
            (
                record.charge
                for record in self._records.values()
                if not record.is_charged and _is_wanted(record, wanted)
            ),
            key=position,
            reverse=True,
        )[: wanted.limit]
        return Part(rows, position(rows[-1]) if len(rows) == wanted.limit else None)

    def find(self, stream_id: str, account_id: str | None) -> RequestRecord | None:
        """Return a record; see `RequestStore`."""
        record = self._records.get(stream_id)
        if record is None or account_id not in (None, record.charge.account_id):
            return None
        return record

    def content(self, stream_id: str) -> Content | None:
        """Return what was asked and answered; see `RequestStore`."""
        return self._contents.get(stream_id)

    def days(self, from_day: int) -> Sequence[DayCount]:
        """Return what was counted from a day on, day by day."""
        served: Counter[tuple[int, str]] = Counter()
        failed: Counter[tuple[int, str]] = Counter()
        for hour, model in self._served.keys() | self._failed.keys():
            if hour // HOURS_A_DAY >= from_day:
                served[hour // HOURS_A_DAY, model] += self._served[hour, model]
                failed[hour // HOURS_A_DAY, model] += self._failed[hour, model]
        return [DayCount(*key, served[key], failed[key]) for key in served]

    def hours(self, from_hour: int, every_from: int) -> Sequence[HourCount]:
        """Return what was counted from an hour on, hour by hour; see `RequestStore`."""
        return [
            HourCount(*key, self._served[key], self._failed[key])
            for key in self._served.keys() | self._failed.keys()
            if key[0] >= from_hour and (self._failed[key] >= FAILED_MIN or key[0] >= every_from)
        ]

    def first_tokens(self, from_day: int) -> Sequence[FirstTokens]:
        """Return which first tokens were counted from a day on."""
        return [
            FirstTokens(*key, count)
            for key, count in self._first_tokens.items()
            if key[0] >= from_day
        ]

    def expire(self, now_ms: int, periods: Periods) -> bool:
        """Give up what is older than it is kept; see `RequestStore`."""
        ended = {each.charge.stream_id: each.charge.ended_ms for each in self._records.values()}
        content_ms = min(periods.content_ms, periods.record_ms)
        self._contents = {
            stream_id: content
            for stream_id, content in self._contents.items()
            if ended[stream_id] >= now_ms - content_ms
        }
        self._records = {
            stream_id: record
            for stream_id, record in self._records.items()
            if ended[stream_id] >= now_ms - periods.record_ms
        }
        oldest_ms = now_ms - periods.status_ms
        for counter in (self._served, self._failed):
            for key in [key for key in counter if key[0] < oldest_ms // MS_PER_HOUR]:
                del counter[key]
        for of_day in [key for key in self._first_tokens if key[0] < oldest_ms // MS_PER_DAY]:
            del self._first_tokens[of_day]
        return False

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""


def _is_wanted(record: RequestRecord, wanted: Wanted) -> bool:
    charge = record.charge
    return (
        wanted.account_id in (None, charge.account_id)
        and wanted.model in (None, charge.model)
        and wanted.key_id in (None, charge.key_id)
        and wanted.status in (None, status_of(charge.finish))
        and (wanted.from_ms is None or charge.ended_ms >= wanted.from_ms)
        and (wanted.until_ms is None or charge.ended_ms < wanted.until_ms)
        and (wanted.before is None or position(charge) < wanted.before)
    )
