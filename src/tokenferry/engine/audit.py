"""The check of the books on demand: what it finds, and the one that runs.

A check reads every transfer, in a thread of its own; whoever asks for one while it runs gets that
one. It is stopped at its time limit, and when the server stops.

Weakness: while it runs, SQLite's write-ahead log cannot be cut back, so that the file grows by what
is booked meanwhile. The result is this process's alone.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from tokenferry.engine.keys import StoreUnusable

log = logging.getLogger(__name__)

# A million charged streams take some fourteen seconds of one core.
RUN_MAX_S = 300.0
MS_PER_S = 1000


class AuditStopped(Exception):
    """The check was stopped before its end, and says nothing."""


class BookCheck(NamedTuple):
    """One of the ledger's books, or those of all accounts but the operator's together.

    Attributes:
        book: Its name; `accounts` for those of all accounts.
        books: How many books it stands for.
        kept_nanos: The balance as it is kept.
        booked_nanos: The balance that the transfers say.
        difference_nanos: By how much they differ, each book's without its sign.
    """

    book: str
    books: int
    kept_nanos: int
    booked_nanos: int
    difference_nanos: int


class Audit(NamedTuple):
    """What was found.

    Attributes:
        differences: One sentence each, of each kind the first few; none if the books are right.
        found: How many there are.
        transfers: How many there are.
        charges: How many streams were charged.
        open_reservations: How many streams are under way.
        books: Every book of the ledger.
    """

    differences: list[str]
    found: int
    transfers: int
    charges: int
    open_reservations: int
    books: list[BookCheck]


class Check(NamedTuple):
    """A check that has ended.

    Attributes:
        audit: What it found; None if it came to no end.
        fault: Why not, for people; empty if it did.
        began_ms: Unix time.
        duration_ms: How long it took.
        by: Who asked for it.
    """

    audit: Audit | None
    fault: str
    began_ms: int
    duration_ms: int
    by: str


# Computes everything anew; its argument says whether to stop.
Verify = Callable[[Callable[[], bool]], Audit]


class LedgerCheck:
    """Runs checks, one at a time.

    Args:
        verify: Does it, in a thread; raises `AuditStopped` or `StoreUnusable`.
        wall_ms: Unix time.
        clock_s: A monotonic clock.

    Attributes:
        last: The check that ended last; None before the first.
        running_since_ms: When the one that runs has begun; None while none does.
    """

    def __init__(
        self, verify: Verify, wall_ms: Callable[[], int], clock_s: Callable[[], float]
    ) -> None:
        self._verify = verify
        self._wall_ms = wall_ms
        self._clock_s = clock_s
        self._executor = ThreadPoolExecutor(1, "ledger-check")
        self._stopping = threading.Event()
        self.last: Check | None = None
        self.running_since_ms: int | None = None

    def start(self, by: str) -> bool:
        """Have the books checked; return False if that is being done already.

        Args:
            by: Who asks.
        """
        if self.running_since_ms is not None:
            return False
        self.running_since_ms = self._wall_ms()
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._executor, self._check, self.running_since_ms, by)
        future.add_done_callback(self._ended)
        return True

    def close(self) -> None:
        """Stop what runs, and wait for its end."""
        self._stopping.set()
        self._executor.shutdown()

    def _check(self, began_ms: int, by: str) -> Check:
        """Check the books; in the thread."""
        began_s = self._clock_s()

        def is_over() -> bool:
            return self._stopping.is_set() or self._clock_s() - began_s > RUN_MAX_S

        audit, fault = None, ""
        try:
            audit = self._verify(is_over)
        except AuditStopped:
            fault = (
                f"The check was stopped after {RUN_MAX_S:g} seconds. Run `tokenferry ledger verify`"
                " beside the server, which takes the time it needs."
            )
        except StoreUnusable as exc:
            fault = str(exc)
        except Exception:
            log.exception("the check of the books failed")
            fault = "The check failed; the server's log says why."
        return Check(audit, fault, began_ms, round((self._clock_s() - began_s) * MS_PER_S), by)

    def _ended(self, future: asyncio.Future[Check]) -> None:
        self.running_since_ms = None
        self.last = check = future.result()
        if check.audit is not None and check.audit.found:
            log.error("differences in the books: %d", check.audit.found)
