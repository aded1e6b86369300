"""The books in SQLite: reservations and charges, many in one transaction.

The transaction has the database's write lock from its start (BEGIN IMMEDIATE), so that what it
reads holds until it commits. Books are read once a transaction and written once at its end; that no
account is overdrawn is the rules' business (`domain.ledger`), and the tables' CHECK beside it.

Weakness: that of `sqlite_database`. With `synced=False` a commit outlasts the process and not a
power cut.
"""

import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

from tokenferry.domain.ledger import (
    Charge,
    Funds,
    Refusal,
    Split,
    Transfer,
    account_book,
    may_be_overdrawn,
    reserve,
    split,
    usage_transfers,
)
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.ledger import Charged, Held, Hold, Result, Unbookable, Work
from tokenferry.stores.budget_month import budget_month
from tokenferry.stores.sqlite_database import Database, explain, explained

_INSERT_RESERVATION = (
    "INSERT INTO ledger_reservation "
    "(stream_id, account_id, key_id, month, amount_nanos, created_ms) VALUES (?, ?, ?, ?, ?, ?)"
)
_INSERT_TRANSFER = (
    "INSERT INTO ledger_transfer (kind, reference, debit, credit, amount_nanos, created_ms, note) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_CHARGE_COLUMNS = ", ".join((*Charge._fields, "shortfall_nanos"))
_CHARGE_MARKS = ", ".join("?" * (len(Charge._fields) + 1))
_INSERT_CHARGE = (
    f"INSERT INTO charge ({_CHARGE_COLUMNS}) VALUES ({_CHARGE_MARKS}) "  # noqa: S608 -- constants only
    "ON CONFLICT (stream_id) DO NOTHING"
)
_END_RESERVATION = "UPDATE ledger_reservation SET state = ? WHERE stream_id = ?"


class SqliteLedger(Database):
    """The books in an SQLite file.

    Args:
        path: The database file; see `Database`.
        synced: Whether a commit is to outlast a power cut.

    Raises:
        StoreUnusable: As `Database` does.
    """

    def __init__(self, path: Path, *, synced: bool = True) -> None:
        super().__init__(path, any_thread=True)
        if not synced:
            self._connection.execute("PRAGMA synchronous = NORMAL")

    def commit(self, work: Sequence[Work]) -> list[Result]:
        """Do all of it or none; see `Ledger`."""
        try:
            with self._transaction("IMMEDIATE"):
                if not work:
                    # Written to the disk, and changes nothing.
                    version = self._pragma("user_version")
                    self._connection.execute(f"PRAGMA user_version = {version}")
                batch = _Batch(self._connection)
                results = [
                    batch.hold(item) if isinstance(item, Hold) else batch.charge(item)
                    for item in work
                ]
                batch.write()
        except (sqlite3.IntegrityError, OverflowError, UnicodeError) as exc:
            # The rules and the tables disagree, or a number or a text is none that SQLite takes: a
            # defect, of which nothing was booked.
            raise Unbookable(f"The ledger refuses a booking: {exc}.") from exc
        except sqlite3.Error as exc:
            raise StoreUnusable(explain(self.path, exc)) from exc
        return results

    @explained
    def void_others(self, stream_ids: Collection[str]) -> int:
        """Void the open reservations of all streams but these; see `Ledger`."""
        kept = set(stream_ids)
        with self._transaction("IMMEDIATE"):
            batch = _Batch(self._connection)
            rows = self._connection.execute(
                "SELECT stream_id, account_id, key_id, month, amount_nanos "
                "FROM ledger_reservation WHERE state = 'open'"
            ).fetchall()
            lost = [row for row in rows if row[0] not in kept]
            for stream_id, account_id, key_id, month, amount in lost:
                batch.release(stream_id, account_id, (key_id, month), amount, "voided")
            batch.write()
        return len(lost)


class _Book:
    """One book within a transaction."""

    __slots__ = ("credits", "debits", "held", "is_new", "overdraft")

    def __init__(self, row: tuple[int, int, int, int] | None, *, overdraft: bool) -> None:
        self.is_new = row is None
        self.debits, self.credits, self.held, self.overdraft = row or (0, 0, 0, int(overdraft))

    @property
    def free(self) -> int | None:
        return None if self.overdraft else self.credits - self.debits - self.held


class _Batch:
    """What one transaction has read, and has still to write."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._books: dict[str, _Book] = {}
        # (key, month) -> [spent, held]
        self._months: dict[tuple[str, int], list[int]] = {}
        self._transfers: list[Transfer] = []

    def hold(self, hold: Hold) -> Held | Refusal:
        """Reserve for a stream."""
        stream_id, account_id, key_id, wanted, least, budget, now_ms = hold
        book = self._book(account_book(account_id))
        balance = book.credits - book.debits
        known = self._connection.execute(
            "SELECT amount_nanos FROM ledger_reservation WHERE stream_id = ?", (stream_id,)
        ).fetchone()
        if known is not None:
            return Held(known[0], balance)
        month = budget_month(now_ms)
        spent_held = self._month(key_id, month)
        budget_free = None if budget is None else budget - sum(spent_held)
        amount = reserve(Funds(book.free, budget_free), wanted, least)
        if isinstance(amount, Refusal):
            return amount
        row = (stream_id, account_id, key_id, month, amount, now_ms)
        self._connection.execute(_INSERT_RESERVATION, row)
        book.held += amount
        spent_held[1] += amount
        return Held(amount, balance)

    def charge(self, charge: Charge) -> Charged:
        """Book what a stream cost, and end its reservation."""
        book = self._book(account_book(charge.account_id))
        reservation = self._connection.execute(
            "SELECT key_id, month, amount_nanos FROM ledger_reservation "
            "WHERE stream_id = ? AND state = 'open'",
            (charge.stream_id,),
        ).fetchone()
        held = reservation[2] if reservation else 0
        cost = charge.cost_nanos or 0
        cost_split = split(cost, held, book.free)
        inserted = self._connection.execute(_INSERT_CHARGE, (*charge, cost_split.shortfall_nanos))
        if not inserted.rowcount:
            return Charged(book.credits - book.debits, 0)
        month_of = (charge.key_id, budget_month(charge.created_ms))
        if reservation is not None:
            month_of = (reservation[0], reservation[1])
            state = "posted" if cost else "voided"
            self.release(charge.stream_id, charge.account_id, month_of, held, state)
        if cost:
            self._month(*month_of)[0] += cost
            self._transfer(charge, cost_split)
        return Charged(book.credits - book.debits, cost_split.shortfall_nanos)

    def release(
        self, stream_id: str, account_id: str, month_of: tuple[str, int], held: int, state: str
    ) -> None:
        """End a reservation."""
        self._connection.execute(_END_RESERVATION, (state, stream_id))
        self._book(account_book(account_id)).held -= held
        self._month(*month_of)[1] -= held

    def write(self) -> None:
        """Write what was only counted so far."""
        connection = self._connection
        connection.executemany(_INSERT_TRANSFER, self._transfers_as_rows())
        for name, book in self._books.items():
            row = (book.debits, book.credits, book.held, name)
            if book.is_new:
                connection.execute(
                    "INSERT INTO ledger_book "
                    "(debits_nanos, credits_nanos, held_nanos, book, overdraft) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (*row, book.overdraft),
                )
            else:
                connection.execute(
                    "UPDATE ledger_book SET debits_nanos = ?, credits_nanos = ?, held_nanos = ? "
                    "WHERE book = ?",
                    row,
                )
        connection.executemany(
            "INSERT INTO key_month (key_id, month, spent_nanos, held_nanos) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (key_id, month) DO UPDATE SET "
            "spent_nanos = excluded.spent_nanos, held_nanos = excluded.held_nanos",
            [(*key_month, *spent_held) for key_month, spent_held in self._months.items()],
        )

    def _transfers_as_rows(self) -> list[tuple[str | int, ...]]:
        return [(t.kind, t.reference, t.debit, t.credit, *t[4:]) for t in self._transfers]

    def _transfer(self, charge: Charge, cost_split: Split) -> None:
        for transfer in usage_transfers(
            charge.stream_id, charge.account_id, cost_split, charge.ended_ms
        ):
            self._transfers.append(transfer)
            self._book(transfer.debit).debits += transfer.amount_nanos
            self._book(transfer.credit).credits += transfer.amount_nanos

    def _book(self, name: str) -> _Book:
        book = self._books.get(name)
        if book is None:
            row = self._connection.execute(
                "SELECT debits_nanos, credits_nanos, held_nanos, overdraft FROM ledger_book "
                "WHERE book = ?",
                (name,),
            ).fetchone()
            self._books[name] = book = _Book(row, overdraft=may_be_overdrawn(name))
        return book

    def _month(self, key_id: str, month: int) -> list[int]:
        spent_held = self._months.get((key_id, month))
        if spent_held is None:
            row = self._connection.execute(
                "SELECT spent_nanos, held_nanos FROM key_month WHERE key_id = ? AND month = ?",
                (key_id, month),
            ).fetchone()
            self._months[key_id, month] = spent_held = [0, 0] if row is None else list(row)
        return spent_held
