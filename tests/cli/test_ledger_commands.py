"""The commands that look at the books."""

import csv
import io
import re
import sqlite3
from pathlib import Path

DATABASE = Path("tokenferry-data") / "tokenferry.db"


def lively(run) -> str:
    account = run("accounts", "create", "kim@example.kr", "--credit", "5.00").out.strip()
    run("accounts", "grant", "kim@example.kr", "1.5", "--reason", '=감사, "친구"')
    return account


def test_right_books(run) -> None:
    lively(run)
    result = run("ledger", "verify")
    assert (result.code, result.out) == (
        0,
        "OK: 2 transfers, 0 charges, 0 open reservations, 0 differences\n",
    )


def test_wrong_books(run) -> None:
    lively(run)
    with sqlite3.connect(DATABASE) as connection:
        connection.execute("UPDATE ledger_book SET credits_nanos = credits_nanos + 1")
    connection.close()
    result = run("ledger", "verify")
    assert result.code == 1
    assert "the balance of account:" in result.out
    assert "DIFFERENT" in result.out


def test_no_books(run) -> None:
    result = run("ledger", "verify")
    assert result.code == 1
    assert "--data-dir" in result.err


def test_csv_has_every_transfer_and_no_formula(run) -> None:
    account = lively(run)
    rows = list(csv.DictReader(io.StringIO(run("ledger", "export").out)))
    assert [row["amount_usd"] for row in rows] == ["5.00", "1.50"]
    assert {row["credit"] for row in rows} == {f"account:{account}"}
    assert rows[1]["note"] == '\'=감사, "친구"'


def test_beancount_has_every_transfer(run) -> None:
    account = lively(run)
    out = run("ledger", "export", "--format", "beancount").out
    name = f"Liabilities:Accounts:A-{account.replace('_', '-')}"
    assert out.count(f"  {name}  -") == 2
    assert out.count(f"open {name} USD") == 1
    assert "  Expenses:Issued:Grant  1.50 USD\n" in out
    assert '\\"친구\\"' in out


def test_beancount_opens_no_book_later_than_it_is_used(run) -> None:
    """The charge of a stream that ended yesterday is booked today, after a grant of today."""
    lively(run)
    with sqlite3.connect(DATABASE) as connection:
        connection.execute(
            "INSERT INTO ledger_transfer (kind, reference, debit, credit, amount_nanos, created_ms)"
            " VALUES ('usage', 'strm_1', 'account:operator', 'revenue', 5, 172800000),"
            " ('usage', 'strm_2', 'account:operator', 'revenue', 7, 86400000)"
        )
    connection.close()
    out = run("ledger", "export", "--format", "beancount").out
    assert "1970-01-02 open Income:Usage USD\n" in out
    dated = re.findall(r"^\d{4}-\d\d-\d\d", out, re.MULTILINE)
    assert dated == sorted(dated)
    numbers = [row["number"] for row in csv.DictReader(io.StringIO(run("ledger", "export").out))]
    assert numbers == sorted(numbers, key=int)


def test_what_the_operator_used_is_an_expense_and_no_debt(run) -> None:
    lively(run)
    with sqlite3.connect(DATABASE) as connection:
        connection.execute(
            "INSERT INTO ledger_transfer (kind, reference, debit, credit, amount_nanos, created_ms,"
            " note) VALUES ('usage', 'strm_1', 'account:operator', 'revenue', 250000000, 0, '')"
        )
    connection.close()
    out = run("ledger", "export", "--format", "beancount").out
    assert "  Expenses:Operator  0.25 USD\n  Income:Usage  -0.25 USD\n" in out
    assert "open Expenses:Operator USD\n" in out
    assert "A-operator" not in out
