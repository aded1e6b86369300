"""What every store that books something does within its own transaction."""

import sqlite3

from tokenferry.domain.ledger import BOOK_NANOS_MAX, Transfer, may_be_overdrawn
from tokenferry.domain.money import format_dollars
from tokenferry.engine.ledger import BookFull, Overdrawn, ReferenceReused

_INSERT = (
    "INSERT INTO ledger_transfer (kind, reference, debit, credit, amount_nanos, created_ms, note) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, reference) DO NOTHING"
)


def post(connection: sqlite3.Connection, transfer: Transfer) -> bool:
    """Book a transfer in the open transaction; return False if it was booked before.

    Raises:
        BookFull: If a book cannot count so much; the transaction is to be rolled back.
        Overdrawn: If the debited book has not that much; likewise.
        ReferenceReused: If the reference stands for another transfer.
    """
    kind, reference, debit, credit, amount, created_ms, note = transfer
    row = (kind, reference, debit, credit, amount, created_ms, note)
    if not connection.execute(_INSERT, row).rowcount:
        booked = connection.execute(
            "SELECT debit, credit, amount_nanos FROM ledger_transfer "
            "WHERE kind = ? AND reference = ?",
            (kind, reference),
        ).fetchone()
        if booked != (debit, credit, amount):
            raise ReferenceReused(f"{kind} {reference}")
        return False
    try:
        _move(connection, debit, "debits_nanos", amount)
        _move(connection, credit, "credits_nanos", amount)
    except sqlite3.IntegrityError as exc:
        raise Overdrawn(debit) from exc
    return True


def _move(connection: sqlite3.Connection, book: str, side: str, amount: int) -> None:
    # Not an upsert: its row to insert would have to pass the CHECK of a balance by itself.
    changed = connection.execute(
        f"UPDATE ledger_book SET {side} = {side} + ? WHERE book = ? AND {side} <= ?",  # noqa: S608 -- constants only
        (amount, book, BOOK_NANOS_MAX - amount),
    )
    if not changed.rowcount:
        if connection.execute("SELECT 1 FROM ledger_book WHERE book = ?", (book,)).fetchone():
            most = format_dollars(BOOK_NANOS_MAX)
            raise BookFull(f"The ledger's book {book} counts to {most} USD. Book a lesser amount.")
        connection.execute(
            f"INSERT INTO ledger_book (book, {side}, overdraft) VALUES (?, ?, ?)",  # noqa: S608 -- constants only
            (book, amount, may_be_overdrawn(book)),
        )
