import sqlite3

import pytest

from tokenferry.domain.ledger import BOOK_NANOS_MAX, Transfer
from tokenferry.engine.ledger import BookFull, Overdrawn, ReferenceReused
from tokenferry.stores.ledger_statements import post
from tokenferry.stores.sqlite_database import Database


@pytest.fixture
def connection(tmp_path):
    database = Database(tmp_path / "t.db")
    yield database._connection
    database.close()


def balances(connection):
    rows = connection.execute("SELECT book, credits_nanos - debits_nanos FROM ledger_book")
    return {book: balance for book, balance in rows if balance}


GRANT = Transfer("grant", "1", "issued:grant", "account:a", 100, 1, "for tests")


def test_a_transfer_moves_an_amount_once(connection):
    assert post(connection, GRANT)
    assert not post(connection, GRANT)
    assert balances(connection) == {"issued:grant": -100, "account:a": 100}


def test_a_reference_stands_for_one_transfer(connection):
    post(connection, GRANT)
    with pytest.raises(ReferenceReused):
        post(connection, GRANT._replace(amount_nanos=101))


@pytest.mark.parametrize(("amount", "fits"), [(99, True), (100, True), (101, False)])
def test_an_account_is_never_overdrawn(connection, amount, fits):
    post(connection, GRANT)
    usage = Transfer("usage", "st", "account:a", "revenue", amount, 2)
    if fits:
        assert post(connection, usage)
    else:
        with pytest.raises(Overdrawn):
            post(connection, usage)


def test_a_book_that_is_full_takes_no_more_and_stays_exact(connection):
    """What SQLite adds up beyond 64 bits is a float, and every balance after it a guess."""
    most = Transfer("grant", "most", "issued:grant", "account:a", BOOK_NANOS_MAX, 1)
    assert post(connection, most)
    for other in (
        most._replace(reference="2", credit="account:b", amount_nanos=1),
        most._replace(reference="3", debit="issued:voucher", amount_nanos=1),
    ):
        with pytest.raises(BookFull, match=r"4611686018.427387904 USD"):
            post(connection, other)
    sides = connection.execute("SELECT debits_nanos, credits_nanos FROM ledger_book").fetchall()
    assert all(isinstance(side, int) for row in sides for side in row)


def test_an_unknown_account_has_nothing(connection):
    with pytest.raises(Overdrawn):
        post(connection, Transfer("usage", "st", "account:b", "revenue", 1, 2))


@pytest.mark.parametrize(
    "statement", ["UPDATE ledger_transfer SET amount_nanos = 1", "DELETE FROM ledger_transfer"]
)
def test_what_is_booked_stays(connection, statement):
    post(connection, GRANT)
    with pytest.raises(sqlite3.IntegrityError, match="never"):
        connection.execute(statement)
