"""What waits for the books: reservations and charges, committed together, off the event loop.

Somebody waits for a reservation, so it is committed at once; what gathers meanwhile is the next
commit. Nobody waits for a charge: the journal has it with the terminal record, so that it outlives
the process, and it goes with the next reservation or a moment later, with others. A reservation
that cannot be committed is refused; a charge is tried again until it is booked. One that no book
can ever hold is looked for and set aside, so that it stops nobody; the log has it, and the journal.

Weakness: while the books take nothing, charges wait in memory, a few hundred bytes each. What is
held for a stream whose charge was set aside stays so until the journal has given up the stream.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import cast

from tokenferry.domain.ledger import Charge, Refusal
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.ledger import Charged, Held, Hold, Result, Unbookable, Work
from tokenferry.engine.outage import Outage
from tokenferry.engine.ports import Timers

log = logging.getLogger(__name__)

RETRY_S = 1.0
# A commit by itself costs some 0.2 ms of CPU; with others it is a tenth of that.
CHARGE_DELAY_S = 0.1
# Some 20 ms of the database's time; what came first is not to wait for all that came later.
BATCH_MAX = 500
# Accounts whose balance is remembered, the latest ones.
BALANCES_MAX = 10_000

Committed = Callable[[Sequence[Result] | StoreUnusable], None]
# Commits elsewhere, and calls back in the loop's thread.
Commit = Callable[[Sequence[Work], Committed], None]
OnHeld = Callable[[Held | Refusal | StoreUnusable], None]
# Account, its balance before and after a charge.
OnCharged = Callable[[str, int, int], None]


def _ignore(*_: object) -> None:
    """Take note of nothing."""


class Settlement:
    """The queue in front of the books.

    Args:
        commit: Commits work elsewhere.
        timers: Clock and timers.
        on_charged: Called after each charge that cost something.
    """

    def __init__(self, commit: Commit, timers: Timers, on_charged: OnCharged = _ignore) -> None:
        self._commit = commit
        self._timers = timers
        self.on_charged = on_charged
        self._waiting: list[tuple[Work, OnHeld | None]] = []
        self._is_busy = False
        # Why the books take nothing; None while they do.
        self._fault: StoreUnusable | None = None
        self._outage = Outage("the ledger", timers.time)
        # Whether a flush is coming, and how many reservations wait.
        self._is_due = False
        self._holds_waiting = 0
        # How many of those that wait, the first ones, are tried one by one.
        self._suspects = 0
        # What was committed last, less what is decided since.
        self._balances: OrderedDict[str, int] = OrderedDict()
        self._undecided: dict[str, int] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return not (self._waiting or self._is_busy)

    @property
    def is_refusing(self) -> bool:
        """Whether the books take nothing, and somebody was refused for that."""
        return self._outage.why is not None and self._outage.refused > 0

    def reserve(self, hold: Hold, then: OnHeld) -> None:
        """Reserve for a stream; `then` follows, never before this has returned."""
        if self._fault is not None:
            # Nobody is to wait until the charges before have been tried one by one.
            self._outage.failed(str(self._fault), refused=1)
            self._timers.call_soon(then, self._fault)
            return
        self._waiting.append((hold, then))
        self._holds_waiting += 1
        if self._holds_waiting == 1 and not self._is_busy:
            self._timers.call_soon(self._flush)

    def charge(self, charge: Charge) -> None:
        """Book what a stream cost; nothing else need be done for it."""
        if cost := charge.cost_nanos:
            self._undecided[charge.account_id] = self._undecided.get(charge.account_id, 0) + cost
        self._waiting.append((charge, None))
        self._flush_later(CHARGE_DELAY_S)

    def balance(self, account_id: str) -> int | None:
        """Return an account's balance after all charges so far; None if it is not known here."""
        balance = self._balances.get(account_id)
        return None if balance is None else balance - self._undecided.get(account_id, 0)

    def _flush_later(self, delay_s: float) -> None:
        if not self._is_due:
            self._is_due = True
            self._timers.call_later(delay_s, self._flush_due)

    def _flush_due(self) -> None:
        self._is_due = False
        if self._fault is None or self._waiting:
            self._flush()
        elif not self._is_busy:
            # Nothing is to be booked, so it is tried whether it could be.
            self._is_busy = True
            self._commit([], lambda results: self._committed([], results))

    def _flush(self) -> None:
        if self._is_busy or not self._waiting:
            return
        # One that can never be booked must not keep the others from it.
        count = BATCH_MAX if self._fault is None and not self._suspects else 1
        self._suspects = max(0, self._suspects - 1)
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._holds_waiting -= sum(then is not None for _, then in batch)
        self._is_busy = True
        self._commit([work for work, _ in batch], lambda results: self._committed(batch, results))

    def _committed(
        self,
        batch: Sequence[tuple[Work, OnHeld | None]],
        results: Sequence[Result] | StoreUnusable,
    ) -> None:
        self._is_busy = False
        if isinstance(results, Unbookable):
            self._unbookable(batch, results)
            return
        if isinstance(results, StoreUnusable):
            self._failed(batch, results)
            return
        self._fault = None
        self._outage.ended()
        # All of them first: whom `then` calls may ask for a balance.
        pairs = list(zip(batch, results, strict=True))
        for (work, _), result in pairs:
            if not isinstance(result, Refusal):
                self._remember(work, result)
        for (_, then), result in pairs:
            if then is not None:
                _tell(then, cast("Held | Refusal", result))
        self._go_on()

    def _go_on(self) -> None:
        if self._holds_waiting or self._suspects:
            self._flush()
        elif self._waiting:
            self._flush_later(CHARGE_DELAY_S)

    def _remember(self, work: Work, result: Held | Charged) -> None:
        account_id = work.account_id
        self._balances[account_id] = result.balance_nanos
        self._balances.move_to_end(account_id)
        if len(self._balances) > BALANCES_MAX:
            self._balances.popitem(last=False)
        if isinstance(work, Hold):
            return
        if cost := self._decided(work):
            self.on_charged(account_id, result.balance_nanos + cost, result.balance_nanos)

    def _decided(self, charge: Charge) -> int:
        """Count a charge no longer as one that is to be booked; return what it costs."""
        cost = charge.cost_nanos or 0
        if cost:
            left = self._undecided[charge.account_id] - cost
            if left:
                self._undecided[charge.account_id] = left
            else:
                del self._undecided[charge.account_id]
        return cost

    def _unbookable(self, batch: Sequence[tuple[Work, OnHeld | None]], error: Unbookable) -> None:
        """Look for what cannot be booked, and set it aside."""
        self._fault = None
        self._outage.ended()
        if len(batch) > 1:
            self._waiting = [*batch, *self._waiting]
            self._holds_waiting += sum(then is not None for _, then in batch)
            self._suspects = len(batch)
        else:
            ((work, then),) = batch
            if isinstance(work, Charge):
                log.error("the charge of %s cannot be booked: %s", work.stream_id, error)
                self._decided(work)
            if then is not None:
                _tell(then, error)
        self._go_on()

    def _failed(self, batch: Sequence[tuple[Work, OnHeld | None]], error: StoreUnusable) -> None:
        self._fault = error
        self._suspects = 0
        # To the end of the line, so that others get their turn.
        undone = [*self._waiting, *batch]
        self._waiting = [(work, then) for work, then in undone if then is None]
        self._holds_waiting = 0
        self._outage.failed(str(error), refused=len(undone) - len(self._waiting))
        self._flush_later(RETRY_S)
        for _, then in undone:
            if then is not None:
                _tell(then, error)


def _tell(then: OnHeld, result: Held | Refusal | StoreUnusable) -> None:
    try:
        then(result)
    except Exception:
        # One stream's defect is not to keep the others from their answers.
        log.exception("what follows a reservation failed")
