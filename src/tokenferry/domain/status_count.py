"""What finished requests add to the counts of the status page."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tokenferry.domain.request_record import RequestRecord, is_available
from tokenferry.domain.service_status import (
    MS_PER_DAY,
    MS_PER_HOUR,
    FirstTokens,
    HourCount,
    bucket_of,
)


class Counts(NamedTuple):
    """What some requests add."""

    hours: Sequence[HourCount]
    first_tokens: Sequence[FirstTokens]


def counted(records: Iterable[RequestRecord]) -> Counts:
    """Return what requests add to the counts; those that speak for neither side add nothing.

    A first token counts if its request was served: that of an answer which broke off later would
    speak well of a model that failed.
    """
    served: Counter[tuple[int, str]] = Counter()
    failed: Counter[tuple[int, str]] = Counter()
    first_tokens: Counter[tuple[int, str, int]] = Counter()
    for record in records:
        available = is_available(record)
        if available is None:
            continue
        charge = record.charge
        hour = (charge.ended_ms // MS_PER_HOUR, charge.model)
        (served if available else failed)[hour] += 1
        if available and charge.first_token_ms is not None:
            day = charge.ended_ms // MS_PER_DAY
            first_tokens[day, charge.model, bucket_of(charge.first_token_ms)] += 1
    return Counts(
        [HourCount(*hour, served[hour], failed[hour]) for hour in served.keys() | failed.keys()],
        [FirstTokens(*key, count) for key, count in first_tokens.items()],
    )
