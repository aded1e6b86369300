import pytest

from stores.test_sqlite_ledger import charge, grant, hold
from tokenferry.domain.ledger import BOOK_NANOS_MAX, Transfer
from tokenferry.engine.audit import AuditStopped
from tokenferry.stores.ledger_statements import post
from tokenferry.stores.sqlite_audit import SqliteAudit
from tokenferry.stores.sqlite_ledger import SqliteLedger


@pytest.fixture
def books(tmp_path):
    """The books of a lively day, and who audits them."""
    ledger = SqliteLedger(tmp_path / "t.db")
    grant(ledger, 100)
    ledger.commit([hold("s1", 60), hold("s2", 30, budget=100)])
    ledger.commit([charge("s1", 90), charge("op", 7, "operator"), charge("free", 0, "operator")])
    audit = SqliteAudit(tmp_path / "t.db")
    yield ledger, audit
    audit.close()
    ledger.close()


def test_right_books_have_no_difference(books):
    _, audit = books
    assert audit.verify()[:5] == ([], 0, 4, 3, 1)


def test_the_transfers_come_in_their_order(books):
    _, audit = books
    with audit.entries() as entries:
        found = [(entry.kind, entry.reference, entry.amount_nanos) for entry in entries]
    assert found == [
        ("grant", "1", 100),
        ("usage", "s1", 70),
        ("shortfall", "s1", 20),
        ("usage", "op", 7),
    ]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("UPDATE ledger_book SET credits_nanos = 101 WHERE book = 'account:a'", "balance of acc"),
        ("DELETE FROM ledger_book WHERE book = 'revenue'", "the balance of revenue"),
        ("UPDATE ledger_book SET held_nanos = 29 WHERE book = 'account:a'", "holds 29"),
        ("UPDATE charge SET cost_nanos = 91 WHERE stream_id = 's1'", "stream s1 cost 91"),
        ("DELETE FROM charge WHERE stream_id = 's1'", "which has no charge"),
        ("UPDATE charge SET account_id = 'b' WHERE stream_id = 's1'", "no charge of that account"),
        ("UPDATE ledger_reservation SET state = 'expired' WHERE stream_id = 's2'", "holds 30"),
        ("UPDATE key_month SET spent_nanos = 1", "have spent 1"),
        ("DELETE FROM key_month", "have spent 0"),
        ("UPDATE key_month SET held_nanos = 1", "said to hold 1"),
        ("UPDATE ledger_book SET overdraft = 1 WHERE book = 'account:a'", "be overdrawn: yes"),
        ("UPDATE charge SET shortfall_nanos = 0 WHERE stream_id = 's1'", "there was no credit"),
        (
            """INSERT INTO ledger_transfer (kind, reference, debit, credit, amount_nanos,
            created_ms) VALUES ('shortfall', 's9', 'shortfall', 'revenue', 5, 1)""",
            "for 0 of what stream s9 cost",
        ),
        (
            """INSERT INTO ledger_reservation (stream_id, account_id, key_id, month, amount_nanos,
            created_ms) VALUES ('s9', 'b', 'k9', 202611, 5, 1)""",
            "account:b holds 0; its open reservations are 5",
        ),
        (
            """INSERT INTO ledger_reservation (stream_id, account_id, key_id, month, amount_nanos,
            created_ms) VALUES ('s9', 'b', 'k9', 202611, 5, 1)""",
            "key k9 is said to hold 0 in 202611; its open reservations are 5",
        ),
        (
            """INSERT INTO charge SELECT 's2', account_id, key_id, model, provider, provider_model,
            created_ms, ended_ms, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, finish, NULL, 1, NULL, 1, ''
            FROM charge WHERE stream_id = 'op'""",
            "still open",
        ),
    ],
)
def test_each_harm_is_told(books, harm, told):
    ledger, audit = books
    assert ledger._connection.execute(harm).rowcount > 0
    assert any(told in difference for difference in audit.verify().differences)


def test_an_overdrawn_account_is_told(books):
    ledger, audit = books
    ledger._connection.execute("PRAGMA ignore_check_constraints = ON")
    ledger._connection.execute("UPDATE ledger_book SET debits_nanos = 99 WHERE book = 'account:a'")
    assert any("below zero" in difference for difference in audit.verify().differences)


def test_every_book_is_shown_and_accounts_together(books):
    _, audit = books
    assert [tuple(book) for book in audit.verify().books] == [
        ("account:operator", 1, -7, -7, 0),
        ("accounts", 1, 30, 30, 0),
        ("issued:grant", 1, -100, -100, 0),
        ("revenue", 1, 97, 97, 0),
        ("shortfall", 1, -20, -20, 0),
    ]
    assert sum(book.kept_nanos for book in audit.verify().books) == 0


def test_accounts_together_may_have_more_than_a_book_holds(books):
    ledger, audit = books
    for name in ("signup", "voucher"):
        with ledger._transaction("IMMEDIATE"):
            much = Transfer("grant", name, f"issued:{name}", f"account:{name}", BOOK_NANOS_MAX, 1)
            post(ledger._connection, much)
    (accounts,) = [book for book in audit.verify().books if book.book == "accounts"]
    assert accounts.kept_nanos == accounts.booked_nanos > 2 * BOOK_NANOS_MAX - 100


def test_differences_of_two_accounts_do_not_make_up_for_each_other(books):
    ledger, audit = books
    grant(ledger, 50, "b", "2")
    for change, account in ((1, "a"), (-1, "b")):
        ledger._connection.execute(
            "UPDATE ledger_book SET credits_nanos = credits_nanos + ? WHERE book = ?",
            (change, f"account:{account}"),
        )
    (accounts,) = [book for book in audit.verify().books if book.book == "accounts"]
    assert accounts == ("accounts", 2, 80, 80, 2)


def test_of_many_differences_the_first_are_shown_and_all_are_counted(books):
    ledger, audit = books
    ledger._connection.executemany(
        "INSERT INTO key_month (key_id, month, spent_nanos) VALUES (?, 202611, 1)",
        [(f"k{number}",) for number in range(21)],
    )
    found = audit.verify()
    assert (found.found, len(found.differences)) == (21, 20)


def test_it_stops_when_it_is_told_to_and_can_be_run_again(books):
    ledger, audit = books
    # Enough work for a look.
    ledger._connection.executemany(
        "INSERT INTO key_month (key_id, month, spent_nanos) VALUES (?, 202611, 1)",
        [(f"k{number}",) for number in range(6_000)],
    )
    with pytest.raises(AuditStopped):
        audit.verify(lambda: True)
    assert audit.verify().found == 6_000
