"""Storage that takes nothing: since when, what was refused for it, and when it is over.

The log has a line when that begins, one a minute at most while it lasts, and one at its end,
however many requests come. Whether the journal takes something again is tried, and not only seen:
no request comes any more where a load balancer has gone elsewhere.

Weakness: storage that takes a little now and then, on a disk that is all but full, has an end and
a beginning each time.
"""

import asyncio
import logging
from collections.abc import Callable

from tokenferry.engine.ports import Journal, JournalUnavailable

log = logging.getLogger(__name__)

# How often the log says that it lasts.
SAY_AGAIN_S = 60.0
# How often a journal is tried that takes nothing, and one that is asked about, at most.
TRY_S = 1.0


class Outage:
    """What is said of one store.

    Args:
        store: Its name in the log.
        clock: Monotonic seconds.

    Attributes:
        why: Why it takes nothing; None while it does.
        refused: How many requests were refused for it since it began.
    """

    __slots__ = ("_clock", "_said_s", "_since_s", "_store", "refused", "why")

    def __init__(self, store: str, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._since_s = self._said_s = 0.0
        self.why: str | None = None
        self.refused = 0

    def failed(self, why: str, refused: int = 0) -> None:
        """Take note that something could not be written, and so many requests were refused."""
        now_s = self._clock()
        is_new = self.why is None
        self.why = why
        self.refused += refused
        if is_new:
            self._since_s = self._said_s = now_s
            log.error("%s takes nothing: %s", self._store, why)
        elif now_s - self._said_s >= SAY_AGAIN_S:
            self._said_s = now_s
            log.error("%s still takes nothing (%s): %s", self._store, self._so_far(now_s), why)

    def ended(self) -> None:
        """Take note that something could be written."""
        if self.why is None:
            return
        so_far = self._so_far(self._clock())
        log.warning("%s takes what it is given again (%s)", self._store, so_far)
        self.why = None
        self.refused = 0

    def _so_far(self, now_s: float) -> str:
        so_far = f"after {now_s - self._since_s:.0f} s"
        return f"{so_far}, requests refused: {self.refused}" if self.refused else so_far


class JournalWatch:
    """Whether the journal takes something.

    Args:
        journal: The journal.
        clock: Monotonic seconds.
    """

    __slots__ = ("_clock", "_journal", "_outage", "_tried_s")

    def __init__(self, journal: Journal, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self._outage = Outage("the journal", clock)
        self._tried_s = clock() - TRY_S

    def failed(self, exc: JournalUnavailable, refused: int = 0) -> None:
        """Take note that something could not be committed, and so many requests were refused."""
        self._outage.failed(str(exc), refused)

    @property
    def is_failing(self) -> bool:
        """Whether it takes nothing; it is tried, unless that was done a moment ago."""
        if self._clock() - self._tried_s >= TRY_S:
            self._try()
        return self._outage.why is not None

    async def run(self) -> None:
        """Look for the end of what has begun, until cancelled."""
        while True:
            await asyncio.sleep(TRY_S)
            if self._outage.why is not None:
                self._try()

    def _try(self) -> None:
        self._tried_s = self._clock()
        try:
            self._journal.try_commit()
        except JournalUnavailable as exc:
            self._outage.failed(str(exc))
        else:
            self._outage.ended()
