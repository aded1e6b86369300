"""Accounts, logins and links in SQLite: what happens once, whoever else tries at the same time."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stores.test_sqlite_ledger import NOW_MS, charge, hold
from tokenferry.domain.account import Account
from tokenferry.domain.api_key import KeyTerms
from tokenferry.domain.ledger import ISSUED_GRANT, Transfer
from tokenferry.engine.accounts import SESSIONS_MAX, AccountFilter, EmailExists, LoginSession
from tokenferry.engine.ledger import Overdrawn
from tokenferry.stores import sqlite_accounts, sqlite_database
from tokenferry.stores.sqlite import SqliteKeys
from tokenferry.stores.sqlite_accounts import SqliteAccounts
from tokenferry.stores.sqlite_ledger import SqliteLedger

ONE = Account("acc_1", "철수@example.com", "member", "active", "ko", 1_000)
NEW = Account("acc_2", "new@example.com", "member", "unverified", "en", 2_000)


def token(number: int) -> bytes:
    return bytes([number]) * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokenferry.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteAccounts]:
    with closing(SqliteAccounts(path)) as store:
        yield store


def rows(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


TRANSFERS = "SELECT kind, reference, debit, credit, amount_nanos FROM ledger_transfer"


def at_once(count: int, work: Callable[[int], object]) -> list[object]:
    """Run something in threads that begin together; return what each one returned or raised."""
    barrier, results = threading.Barrier(count), [None] * count

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = work(number)
        except Exception as exc:  # noqa: BLE001 -- whatever it is, the test looks at it
            results[number] = exc

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class TestAccounts:
    def test_there_is_the_operator_s_own(self, store: SqliteAccounts) -> None:
        found = store.find("operator")
        assert found is not None
        assert (found.email, found.role, found.state) == (None, "admin", "active")
        assert store.all(10) == [found]

    def test_an_account_is_found_by_id_and_by_address(self, store: SqliteAccounts) -> None:
        store.create(ONE, "hash", 0)
        assert store.find("acc_1") == store.find_by_email("철수@example.com") == ONE
        assert store.password_hash("acc_1") == "hash"
        assert store.find("acc_9") is store.find_by_email("x@example.com") is None
        assert store.password_hash("acc_9") is None

    def test_pages(self, store: SqliteAccounts) -> None:
        store.create(ONE, None, 0)
        store.create(NEW, None, 0)
        assert [each.account_id for each in store.all(2)] == ["acc_1", "acc_2"]
        assert [each.account_id for each in store.all(2, "acc_2")] == ["operator"]

    def test_an_active_account_gets_its_credit_with_it(
        self, store: SqliteAccounts, path: Path
    ) -> None:
        store.create(ONE, "hash", 10**9)
        assert rows(path, TRANSFERS) == [
            ("signup", "acc_1", "issued:signup", "account:acc_1", 10**9)
        ]
        assert store.balance_nanos("acc_1") == 10**9
        assert store.balance_nanos("acc_9") == 0

    def test_a_taken_address_changes_nothing(self, store: SqliteAccounts, path: Path) -> None:
        store.create(ONE, "hash", 10**9)
        with pytest.raises(EmailExists):
            store.create(Account("acc_3", ONE.email, "admin", "active", "en", 5), "other", 10**9)
        assert store.password_hash("acc_1") == "hash"
        assert store.find("acc_3") is None
        assert len(rows(path, TRANSFERS)) == 1

    def test_an_account_and_its_credit_are_one(
        self, store: SqliteAccounts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def failing(*_: object) -> bool:
            raise sqlite3.OperationalError("disk full")

        monkeypatch.setattr(sqlite_accounts, "post", failing)
        with pytest.raises(sqlite_database.StoreUnusable):
            store.create(ONE, "hash", 10**9)
        assert store.find("acc_1") is None

    def test_one_address_is_signed_up_once_by_many_connections(self, path: Path) -> None:
        stores = [SqliteAccounts(path) for _ in range(4)]

        def sign_up(number: int) -> None:
            account = Account(f"acc_{number}", "a@b.kr", "member", "active", "en", 1)
            stores[number].create(account, f"hash {number}", 10**9)

        results = at_once(4, sign_up)
        assert sorted(type(result).__name__ for result in results) == [
            "EmailExists", "EmailExists", "EmailExists", "NoneType",
        ]  # fmt: skip
        winner = results.index(None)
        assert rows(path, TRANSFERS) == [
            ("signup", f"acc_{winner}", "issued:signup", f"account:acc_{winner}", 10**9)
        ]
        for store in stores:
            store.close()

    def test_a_better_hash_does_not_undo_a_new_password(self, store: SqliteAccounts) -> None:
        store.create(ONE, "old", 0)
        store.rehash_password("acc_1", "old", "better")
        assert store.password_hash("acc_1") == "better"
        store.set_password("acc_1", "new", None)
        store.rehash_password("acc_1", "better", "best")
        assert store.password_hash("acc_1") == "new"

    def test_the_language(self, store: SqliteAccounts) -> None:
        store.create(ONE, None, 0)
        store.set_language("acc_1", "en")
        found = store.find("acc_1")
        assert found is not None
        assert found.language == "en"


class TestSuspension:
    def test_it_is_told_and_ends(self, store: SqliteAccounts) -> None:
        store.create(ONE, None, 0)
        assert store.suspend("acc_1", "도용") is True
        found = store.find("acc_1")
        assert found is not None
        assert (found.state, found.suspended_reason) == ("suspended", "도용")
        # Again it changes nothing, not even the reason.
        assert store.suspend("acc_1", "other") is False
        assert store.find("acc_1") == found
        assert store.unsuspend("acc_1") is True
        assert store.find("acc_1") == ONE
        assert store.unsuspend("acc_1") is False

    def test_an_unverified_account_does_not_get_verified_by_it(self, store: SqliteAccounts) -> None:
        store.create(NEW, None, 0)
        store.suspend("acc_2", "")
        store.unsuspend("acc_2")
        assert store.find("acc_2") == NEW

    def test_who_cannot_be(self, store: SqliteAccounts) -> None:
        assert store.suspend("acc_9", "") is None
        assert store.unsuspend("acc_9") is None
        assert store.suspend("operator", "") is None
        found = store.find("operator")
        assert found is not None
        assert found.state == "active"

    def test_a_running_server_notices_it_at_each_key(
        self, store: SqliteAccounts, path: Path
    ) -> None:
        store.create(ONE, None, 0)
        with closing(SqliteKeys(path)) as keys:
            for name in ("a", "b", "c"):
                keys.create("n", name, bytes(32), 1, KeyTerms("acc_1"))
            keys.create("n", "other", bytes(32), 1)
            keys.revoke("c", 2)
            version = keys.data_version()
            store.suspend("acc_1", "")
            assert keys.changed_after(version) == ["a", "b"]
            assert [record.suspended for record in keys.all()] == [True, True, True, False]
            version = keys.data_version()
            store.unsuspend("acc_1")
            assert keys.changed_after(version) == ["a", "b"]
            assert not any(record.suspended for record in keys.all())


class TestLogins:
    @pytest.fixture(autouse=True)
    def _account(self, store: SqliteAccounts) -> None:
        store.create(ONE, "hash", 0)

    def test_a_login_is_found_until_it_expires_or_ends(self, store: SqliteAccounts) -> None:
        store.open_session("acc_1", token(1), 10, 20)
        assert store.session(token(1), 19) == LoginSession(ONE, token(1), 20)
        assert store.session(token(1), 20) is None
        assert store.session(token(2), 19) is None
        store.end_session(token(1))
        assert store.session(token(1), 19) is None

    def test_the_oldest_makes_room(self, store: SqliteAccounts) -> None:
        for number in range(SESSIONS_MAX + 1):
            store.open_session("acc_1", token(number), 10 + number, 1_000)
            assert (store.session(token(0), 20) is not None) == (number < SESSIONS_MAX)
        assert store.session(token(1), 20) is not None

    def test_what_has_expired_is_cleared_away(self, store: SqliteAccounts, path: Path) -> None:
        store.open_session("acc_1", token(1), 10, 20)
        store.add_mail_token("acc_1", "reset", token(2), 20)
        store.open_session("acc_1", token(3), 20, 30)
        assert rows(path, "SELECT token_hash FROM login_session") == [(token(3),)]
        assert rows(path, "SELECT * FROM mail_token") == []

    def test_a_new_password_ends_all_others(self, store: SqliteAccounts) -> None:
        for number in (1, 2, 3):
            store.open_session("acc_1", token(number), 10, 20)
        store.add_mail_token("acc_1", "reset", token(9), 20)
        store.set_password("acc_1", "new", token(2))
        assert [store.session(token(number), 11) is not None for number in (1, 2, 3)] == [
            False,
            True,
            False,
        ]
        assert store.redeem_reset(token(9), "stolen", 11) is None
        store.set_password("acc_1", "newer", None)
        assert store.session(token(2), 11) is None


class TestLinks:
    @pytest.fixture(autouse=True)
    def _accounts(self, store: SqliteAccounts) -> None:
        store.create(ONE, "hash", 0)
        store.create(NEW, "hash", 7)

    def test_an_unverified_account_has_no_credit(self, store: SqliteAccounts) -> None:
        assert store.balance_nanos("acc_2") == 0

    def test_verifying(self, store: SqliteAccounts) -> None:
        store.add_mail_token("acc_2", "verify", token(1), 100)
        found = store.redeem_verification(token(1), "chosen", 99, 7)
        assert found is not None
        assert (found.account_id, found.state) == ("acc_2", "active")
        assert store.password_hash("acc_2") == "chosen"
        assert store.balance_nanos("acc_2") == 7
        assert store.redeem_verification(token(1), "chosen", 99, 7) is None
        # A second link, of an account that is active, gives nothing more.
        store.add_mail_token("acc_2", "verify", token(2), 100)
        assert store.redeem_verification(token(2), "chosen", 99, 7) is not None
        assert store.balance_nanos("acc_2") == 7

    def test_what_is_no_link(self, store: SqliteAccounts) -> None:
        store.add_mail_token("acc_2", "verify", token(1), 100)
        assert store.redeem_verification(token(1), "chosen", 100, 7) is None
        assert store.redeem_verification(token(2), "chosen", 1, 7) is None
        assert store.redeem_reset(token(1), "stolen", 1) is None
        assert store.redeem_verification(token(1), "chosen", 1, 7) is not None

    def test_a_newer_link_replaces_the_older_one(self, store: SqliteAccounts) -> None:
        store.add_mail_token("acc_1", "reset", token(1), 100)
        store.add_mail_token("acc_1", "verify", token(2), 100)
        store.add_mail_token("acc_1", "reset", token(3), 100)
        assert store.redeem_reset(token(1), "x", 1) is None
        assert store.redeem_reset(token(3), "new", 1) == ONE
        assert store.password_hash("acc_1") == "new"

    def test_a_reset_ends_all_logins(self, store: SqliteAccounts) -> None:
        store.open_session("acc_1", token(1), 1, 100)
        store.add_mail_token("acc_1", "reset", token(2), 100)
        store.redeem_reset(token(2), "new", 2)
        assert store.session(token(1), 2) is None

    def test_a_suspended_account_stays_so(self, store: SqliteAccounts) -> None:
        store.add_mail_token("acc_2", "verify", token(1), 100)
        store.suspend("acc_2", "")
        found = store.redeem_verification(token(1), "chosen", 1, 7)
        assert found is not None
        assert found.state == "suspended"
        assert store.balance_nanos("acc_2") == 0

    def test_a_link_is_good_for_one_of_many_connections(
        self, store: SqliteAccounts, path: Path
    ) -> None:
        stores = [SqliteAccounts(path) for _ in range(4)]
        for round_number in range(5):
            store.add_mail_token("acc_1", "reset", token(round_number), 100)
            link = token(round_number)
            results = at_once(4, partial(self.reset, stores, link))
            (winner,) = [number for number, result in enumerate(results) if result == ONE]
            assert results.count(None) == 3
            assert store.password_hash("acc_1") == f"{winner}"
        store.add_mail_token("acc_2", "verify", token(99), 100)
        results = at_once(
            4, lambda number: stores[number].redeem_verification(token(99), "chosen", 1, 7)
        )
        assert results.count(None) == 3
        assert store.balance_nanos("acc_2") == 7
        for each in stores:
            each.close()

    @staticmethod
    def reset(stores: list[SqliteAccounts], link: bytes, number: int) -> Account | None:
        return stores[number].redeem_reset(link, f"{number}", 1)

    def test_a_link_is_good_for_one_of_several_processes(
        self, store: SqliteAccounts, path: Path
    ) -> None:
        store.add_mail_token("acc_2", "verify", token(1), 100)
        code = (
            "import sys; from pathlib import Path;"
            "from tokenferry.stores.sqlite_accounts import SqliteAccounts;"
            "store = SqliteAccounts(Path(sys.argv[1])); sys.stdin.readline();"
            "print(store.redeem_verification(bytes([1]) * 32, chr(120), 1, 7) is not None)"
        )
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(path)],
                env={"PYTHONPATH": str(Path(sqlite_database.__file__).parents[2])},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        outcomes = [process.communicate(timeout=60)[0].strip() for process in processes]
        assert sorted(outcomes) == ["False", "False", "True"]
        assert store.balance_nanos("acc_2") == 7


def test_more_than_there_is_cannot_be_taken(store: SqliteAccounts) -> None:
    store.create(ONE, None, 5)
    assert store.book(Transfer("grant", "r1", ISSUED_GRANT, "account:acc_1", 5, 1))
    with pytest.raises(Overdrawn):
        store.book(Transfer("withdrawal", "r2", "account:acc_1", ISSUED_GRANT, 11, 1))
    assert store.balance_nanos("acc_1") == 10
    assert store.book(Transfer("withdrawal", "r3", "account:acc_1", ISSUED_GRANT, 10, 1))
    assert store.balance_nanos("acc_1") == 0


class TestAdministration:
    """What administrators ask for."""

    def names(self, store: SqliteAccounts, **wanted: Any) -> list[str]:
        return [row.account.account_id for row in store.listing(AccountFilter(**wanted))]

    @pytest.fixture
    def many(self, store: SqliteAccounts, path: Path) -> SqliteAccounts:
        for number in range(1, 6):
            # Two of each moment, so that the id decides.
            account = Account(
                f"acc_{number}", f"user{number}@예시.kr", "member", "active", "ko", number // 2
            )
            store.create(account, None, 10**9)
        store.suspend("acc_3", "")
        with closing(SqliteKeys(path)) as keys:
            keys.create("k", "PublicId0001", bytes(32), 0, KeyTerms("acc_2"))
        return store

    def test_the_newest_first_page_by_page(self, many: SqliteAccounts) -> None:
        found: list[str] = []
        before = None
        while page := many.listing(AccountFilter(limit=2, before=before)):
            found += [row.account.account_id for row in page]
            before = page[-1].account.created_ms, page[-1].account.account_id
        assert found == ["acc_5", "acc_4", "acc_3", "acc_2", "operator", "acc_1"]

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({"search": "user4"}, ["acc_4"]),
            ({"search": "USER4@예"}, ["acc_4"]),
            ({"search": "예시"}, ["acc_5", "acc_4", "acc_3", "acc_2", "acc_1"]),
            ({"search": "acc_2"}, ["acc_2"]),
            ({"search": "acc"}, []),
            ({"search": "PublicId0001"}, ["acc_2"]),
            ({"search": "publicid0001"}, []),
            ({"search": "%"}, []),
            ({"state": "suspended"}, ["acc_3"]),
            ({"search": "예시", "state": "unverified"}, []),
            ({"account_id": "operator"}, ["operator"]),
            ({"account_id": ""}, []),
            ({"before": (1, "acc_3")}, ["acc_2", "operator", "acc_1"]),
        ],
    )
    def test_those_who_are_wanted(
        self, many: SqliteAccounts, wanted: dict[str, Any], found: list[str]
    ) -> None:
        assert self.names(many, **wanted) == found

    def test_what_they_have_and_when_they_were_here_last(
        self, many: SqliteAccounts, path: Path
    ) -> None:
        with closing(SqliteLedger(path)) as ledger:
            ledger.commit([charge("s1", 10, "acc_1"), hold("s2", 50, account="acc_1")])
        (row,) = many.listing(AccountFilter(account_id="acc_1"))
        assert row[1:] == (10**9 - 10, 50, NOW_MS + 5)
        (row,) = many.listing(AccountFilter(account_id="acc_2"))
        assert row[1:] == (10**9, 0, None)

    def test_a_role_is_given_and_taken_but_not_the_operator_s(self, many: SqliteAccounts) -> None:
        assert many.set_role("acc_1", "admin")
        assert many.find("acc_1") == Account("acc_1", "user1@예시.kr", "admin", "active", "ko", 0)
        assert many.set_role("acc_1", "member")
        assert not many.set_role("operator", "member")
        assert not many.set_role("nobody", "admin")
