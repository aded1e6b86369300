"""The commands that look at the books: `ledger verify` and `ledger export`."""

import argparse
import csv
import re
import sys
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime

from tokenferry.cli.main import EXIT_FAULT, EXIT_OK
from tokenferry.cli.terminal import existing_database, explained
from tokenferry.domain.csv_cell import harmless
from tokenferry.domain.ledger import OPERATOR, account_book
from tokenferry.domain.money import format_dollars
from tokenferry.stores.sqlite_audit import Entry, SqliteAudit

_COLUMNS = ("number", "time", "kind", "reference", "debit", "credit", "amount_usd", "note")


def verify_ledger(arguments: argparse.Namespace) -> int:
    """Compute the books anew and print every difference; the exit code is 1 if there is one."""
    with explained(), closing(_audit(arguments)) as store:
        audit = store.verify()
        for difference in audit.differences:
            sys.stdout.write(f"{difference}\n")
        sys.stdout.write(
            f"{'DIFFERENT' if audit.found else 'OK'}: {audit.transfers} transfers, "
            f"{audit.charges} charges, {audit.open_reservations} open reservations, "
            f"{audit.found} differences\n"
        )
        return EXIT_FAULT if audit.found else EXIT_OK
    return EXIT_FAULT


def export_ledger(arguments: argparse.Namespace) -> int:
    """Print all transfers, as CSV or for Beancount."""
    # To Beancount a book is unknown before the day on which it was opened.
    by_time = arguments.format == "beancount"
    with (
        explained(),
        closing(_audit(arguments)) as store,
        store.entries(by_time=by_time) as entries,
    ):
        if by_time:
            _write_beancount(entries)
        else:
            _write_csv(entries)
        return EXIT_OK
    return EXIT_FAULT


def _audit(arguments: argparse.Namespace) -> SqliteAudit:
    return SqliteAudit(existing_database(arguments, "are no books"))


def _write_csv(entries: Iterable[Entry]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for entry in entries:
        amount = format_dollars(entry.amount_nanos)
        cells = (entry.kind, entry.reference, entry.debit, entry.credit, amount, entry.note)
        writer.writerow((entry.number, _time(entry), *map(harmless, cells)))


def _write_beancount(entries: Iterable[Entry]) -> None:
    opened: set[str] = set()
    for entry in entries:
        day = _time(entry)[:10]
        for book in (entry.debit, entry.credit):
            if book not in opened:
                opened.add(book)
                sys.stdout.write(f"{day} open {_beancount_account(book)} USD\n")
        amount = format_dollars(entry.amount_nanos)
        sys.stdout.write(
            f"{day} * {_quoted(entry.kind)} {_quoted(f'{entry.reference} {entry.note}'.strip())}\n"
            f"  {_beancount_account(entry.debit)}  {amount} USD\n"
            f"  {_beancount_account(entry.credit)}  -{amount} USD\n"
        )


def _beancount_account(book: str) -> str:
    """Return a book's name in Beancount: components of letters, digits and dashes."""
    if book == account_book(OPERATOR):
        # Own use: as a liability it would read as a debt that somebody is to pay.
        return "Expenses:Operator"
    family, _, name = book.partition(":")
    named = re.sub(r"[^A-Za-z0-9-]", "-", name)
    match family:
        case "account":
            return f"Liabilities:Accounts:A-{named}"
        case "paid":
            return f"Assets:Paid:{named.capitalize()}"
        case "issued":
            return f"Expenses:Issued:{named.capitalize()}"
        case "revenue":
            return "Income:Usage"
        case _:
            return f"Expenses:{family.capitalize()}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _time(entry: Entry) -> str:
    moment = datetime.fromtimestamp(entry.created_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
