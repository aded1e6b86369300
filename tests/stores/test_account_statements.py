"""Suspending within a transaction of somebody else's."""

from contextlib import closing
from pathlib import Path

from tokenferry.domain.account import Account
from tokenferry.stores.account_statements import suspend, unsuspend
from tokenferry.stores.sqlite_accounts import SqliteAccounts


def test_what_is_rolled_back_was_never_suspended(tmp_path: Path) -> None:
    account = Account("acc_1", "a@b.kr", "member", "active", "en", 1)
    with closing(SqliteAccounts(tmp_path / "tokenferry.db")) as store:
        store.create(account, None, 0)
        connection = store._connection
        connection.execute("BEGIN IMMEDIATE")
        assert suspend(connection, "acc_1", "a chargeback")
        assert not suspend(connection, "acc_1", "again")
        connection.execute("ROLLBACK")
        assert store.find("acc_1") == account
        connection.execute("BEGIN IMMEDIATE")
        assert not unsuspend(connection, "acc_1")
        assert suspend(connection, "acc_1", "a chargeback")
        assert unsuspend(connection, "acc_1")
        connection.execute("COMMIT")
        assert store.find("acc_1") == account
