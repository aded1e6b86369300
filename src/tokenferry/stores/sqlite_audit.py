"""Reads the books from outside: are they right, and what is in them.

Everything is computed anew from transfers, reservations and charges, and compared with the balances
that are kept for speed. It reads one state of the database, also while a server writes.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from tokenferry.engine.audit import Audit, AuditStopped, BookCheck
from tokenferry.stores.sqlite_database import Database, explained

# What is compared: (what it says, a query whose every row is a difference). Columns are texts.
_CHECKS = (
    (
        "the balance of {0} is kept as debits {1}, credits {2}; its transfers say {3}, {4}",
        """
        SELECT book, b.debits_nanos, b.credits_nanos, COALESCE(d.sum, 0), COALESCE(c.sum, 0)
        FROM (SELECT book FROM ledger_book UNION SELECT debit FROM ledger_transfer UNION SELECT
        credit FROM ledger_transfer) LEFT JOIN ledger_book b USING (book) LEFT JOIN (SELECT
        debit AS book, SUM(amount_nanos) AS sum FROM ledger_transfer GROUP BY debit) d USING
        (book) LEFT JOIN (SELECT credit AS book, SUM(amount_nanos) AS sum FROM ledger_transfer
        GROUP BY credit) c USING (book) WHERE b.debits_nanos IS NOT COALESCE(d.sum, 0) OR
        b.credits_nanos IS NOT COALESCE(c.sum, 0)
        """,
    ),
    (
        "{0} is below zero: {1}",
        """
        SELECT book, credits_nanos - debits_nanos - held_nanos FROM ledger_book WHERE NOT
        overdraft AND credits_nanos - debits_nanos - held_nanos < 0
        """,
    ),
    (
        "{0} may be overdrawn: {1}, against the rules",
        """
        SELECT book, IIF(overdraft, 'yes', 'no') FROM ledger_book WHERE overdraft <> (book =
        'account:operator' OR substr(book, 1, 8) <> 'account:')
        """,
    ),
    (
        "{0} holds {1}; its open reservations are {2}",
        """
        SELECT book, SUM(held) AS held, SUM(reserved) AS reserved FROM (SELECT book, held_nanos
        AS held, 0 AS reserved FROM ledger_book UNION ALL SELECT 'account:' || account_id, 0,
        amount_nanos FROM ledger_reservation WHERE state = 'open') GROUP BY book HAVING
        SUM(held) <> SUM(reserved)
        """,
    ),
    (
        "stream {0} cost {1}; booked for it are {2}",
        """
        SELECT stream_id, COALESCE(cost_nanos, 0), COALESCE(t.sum, 0) FROM charge LEFT JOIN
        (SELECT reference AS stream_id, SUM(amount_nanos) AS sum FROM ledger_transfer WHERE kind
        IN ('usage', 'shortfall') AND credit = 'revenue' GROUP BY reference) t USING (stream_id)
        WHERE COALESCE(cost_nanos, 0) <> COALESCE(t.sum, 0)
        """,
    ),
    (
        "for {1} of what stream {0} cost there was no credit; booked on shortfall are {2}",
        """
        SELECT stream_id, SUM(short) AS short, SUM(booked) AS booked FROM (SELECT stream_id,
        shortfall_nanos AS short, 0 AS booked FROM charge WHERE shortfall_nanos UNION ALL SELECT
        reference, 0, amount_nanos FROM ledger_transfer WHERE kind = 'shortfall') GROUP BY
        stream_id HAVING SUM(short) <> SUM(booked)
        """,
    ),
    (
        "{0} was paid for stream {1}, which has no charge of that account",
        """
        SELECT debit, reference FROM ledger_transfer t WHERE kind = 'usage' AND NOT EXISTS
        (SELECT 1 FROM charge WHERE stream_id = t.reference AND 'account:' || account_id =
        t.debit)
        """,
    ),
    (
        "stream {0} has a charge, and a reservation that is still open",
        """
        SELECT stream_id FROM ledger_reservation JOIN charge USING (stream_id) WHERE state =
        'open'
        """,
    ),
    (
        "key {0} is said to have spent {2} in {1}; its charges are {3}",
        """
        SELECT key_id, month, SUM(spent) AS said, SUM(charged) AS charged FROM (SELECT key_id,
        month, spent_nanos AS spent, 0 AS charged FROM key_month UNION ALL SELECT charge.key_id,
        COALESCE(r.month, CAST(strftime('%Y%m', charge.created_ms / 1000, 'unixepoch') AS
        INTEGER)), 0, COALESCE(cost_nanos, 0) FROM charge LEFT JOIN ledger_reservation r USING
        (stream_id)) GROUP BY key_id, month HAVING SUM(spent) <> SUM(charged)
        """,
    ),
    (
        "key {0} is said to hold {2} in {1}; its open reservations are {3}",
        """
        SELECT key_id, month, SUM(held) AS held, SUM(reserved) AS reserved FROM (SELECT key_id,
        month, held_nanos AS held, 0 AS reserved FROM key_month UNION ALL SELECT key_id, month,
        0, amount_nanos FROM ledger_reservation WHERE state = 'open') GROUP BY key_id, month
        HAVING SUM(held) <> SUM(reserved)
        """,
    ),
    (
        "of top-up {0} {1} stand, {2} of the rest had been spent; its {3} entries say {4}, {5}",
        """
        SELECT order_id, SUM(standing), SUM(short), SUM(entries) || ' of ' || SUM(moves),
        SUM(booked), SUM(booked_short) FROM (SELECT order_id, IIF(moves > 0,
        COALESCE(accepted_nanos, credit_nanos) - taken_nanos, 0) AS standing,
        short_nanos AS short, moves, 0 AS booked, 0 AS booked_short, 0 AS entries FROM
        topup_order UNION ALL SELECT substr(name, 1, instr(name, ':') - 1), 0, 0, 0,
        IIF(kind = 'topup', amount_nanos, -amount_nanos), IIF(debit = 'shortfall',
        amount_nanos, 0) - IIF(credit = 'shortfall', amount_nanos, 0), 1 FROM (SELECT *,
        substr(reference, instr(reference, ':') + 1) AS name FROM ledger_transfer WHERE
        kind IN ('topup', 'refund', 'chargeback'))) GROUP BY order_id HAVING
        SUM(standing)
        <> SUM(booked) OR SUM(short) <> SUM(booked_short) OR SUM(moves) <> SUM(entries)
        """,
    ),
    (
        "voucher {0} says that {1} has {2} of it; {3} has {4} by the books",
        """
        SELECT voucher_id, MAX(who), SUM(said), MAX(whom), SUM(booked) FROM (SELECT voucher_id,
        'account:' || account_id AS who, amount_nanos AS said, NULL AS whom, 0 AS booked FROM
        voucher WHERE redeemed_ms IS NOT NULL UNION ALL SELECT reference, NULL, 0, credit,
        amount_nanos FROM ledger_transfer WHERE kind = 'voucher') GROUP BY voucher_id HAVING
        SUM(said) <> SUM(booked) OR MAX(who) IS NOT MAX(whom)
        """,
    ),
    (
        "{0} {1} is of no top-up of that account",
        """
        SELECT kind, reference FROM (SELECT *, substr(name, 1, instr(name, ':') - 1) AS order_id
        FROM (SELECT *, substr(reference, instr(reference, ':') + 1) AS name FROM
        ledger_transfer WHERE kind IN ('topup', 'refund', 'chargeback'))) t WHERE NOT EXISTS
        (SELECT 1 FROM topup_order o WHERE o.order_id = t.order_id AND reference = provider ||
        ':' || name AND IIF(kind = 'topup', debit, credit) = 'paid:' || provider AND IIF(kind =
        'topup', credit, debit) IN ('shortfall', 'account:' || account_id))
        """,
    ),
)
# What each book is kept as, and what its transfers say.
_BOOKS = """
    WITH both AS (SELECT book, SUM(kept) AS kept, SUM(booked) AS booked FROM (SELECT book,
    credits_nanos - debits_nanos AS kept, 0 AS booked FROM ledger_book UNION ALL SELECT credit, 0,
    amount_nanos FROM ledger_transfer UNION ALL SELECT debit, 0, -amount_nanos FROM
    ledger_transfer) GROUP BY book) SELECT IIF(book LIKE 'account:%' AND book <>
    'account:operator', 'accounts', book) AS name, kept, booked FROM both ORDER BY name
    """
_ENTRIES = (
    "SELECT transfer_id, kind, reference, debit, credit, amount_nanos, created_ms, note "
    "FROM ledger_transfer"
)
# Differences that are shown of each kind.
_SHOWN_MAX = 20
# Between two looks at whether to go on; some milliseconds' work.
_STEPS_PER_LOOK = 100_000


class Entry(NamedTuple):
    """A transfer as it is exported.

    Attributes:
        number: Its place in the books.
        kind: What for.
        reference: Which one of its kind.
        debit: The book that loses.
        credit: The book that gains.
        amount_nanos: How much.
        created_ms: Unix time.
        note: For people.
    """

    number: int
    kind: str
    reference: str
    debit: str
    credit: str
    amount_nanos: int
    created_ms: int
    note: str


class SqliteAudit(Database):
    """The books in an SQLite file, as a reader."""

    @explained
    def verify(self, is_over: Callable[[], bool] = lambda: False) -> Audit:
        """Compute everything anew.

        Args:
            is_over: Asked now and then whether to stop.

        Raises:
            AuditStopped: If it was told to stop.
            StoreUnusable: If the file cannot be read.
        """
        self._connection.set_progress_handler(is_over, _STEPS_PER_LOOK)
        try:
            with self._transaction("DEFERRED"):
                return self._audit()
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise AuditStopped from exc
            raise
        finally:
            self._connection.set_progress_handler(None, 0)

    def _audit(self) -> Audit:
        differences: list[str] = []
        found = 0
        for sentence, query in _CHECKS:
            for shown, row in enumerate(self._connection.execute(query)):
                found += 1
                if shown < _SHOWN_MAX:
                    differences.append(sentence.format(*row))
        books = [
            _together(name, rows)
            for name, rows in groupby(self._connection.execute(_BOOKS), key=itemgetter(0))
        ]
        return Audit(
            differences,
            found,
            self._count("ledger_transfer"),
            self._count("charge"),
            self._count("ledger_reservation WHERE state = 'open'"),
            books,
        )

    def _count(self, rows: str) -> int:
        query = f"SELECT COUNT(*) FROM {rows}"  # noqa: S608 -- constants only
        return int(self._connection.execute(query).fetchone()[0])

    @contextmanager
    def entries(self, *, by_time: bool = False) -> Iterator[Iterator[Entry]]:
        """Read all transfers, one state of them.

        Args:
            by_time: Whether they come in the order of their times, and not in that in which they
                were booked: a stream's charge can be booked after what happened later.

        Raises:
            StoreUnusable: If the file cannot be read.
        """
        order = "created_ms, transfer_id" if by_time else "transfer_id"
        with self._transaction("DEFERRED"):
            rows = self._connection.execute(f"{_ENTRIES} ORDER BY {order}")
            yield (Entry(*row) for row in rows)


def _together(name: str, rows: Iterable[tuple[str, int, int]]) -> BookCheck:
    """Return books as one; their sum may be more than SQLite counts to."""
    count = kept_sum = booked_sum = difference = 0
    for _, kept, booked in rows:
        count += 1
        kept_sum += kept
        booked_sum += booked
        difference += abs(kept - booked)
    return BookCheck(name, count, kept_sum, booked_sum, difference)
