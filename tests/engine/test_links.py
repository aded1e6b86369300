"""Links: what is sent, and what is taken back. How they are used is in test_membership.py."""

import logging
from contextlib import closing
from pathlib import Path

import pytest

from tokenferry.domain.account import Account
from tokenferry.engine.links import RESET_MS, VERIFY_MS, Letter, Links, World, link_hash
from tokenferry.engine.workers import Workers
from tokenferry.errors import InvalidLink
from tokenferry.stores.sqlite_accounts import SqliteAccounts

ACCOUNT = Account("acc_1", "a@b.kr", "member", "active", "ko", 1)
WORLD = World(lambda: 1_000, lambda: 1, bytes)


class Letters(list[Letter]):
    send = list.append


async def test_the_token_of_a_letter_is_what_is_stored(tmp_path: Path) -> None:
    letters = Letters()
    with (
        closing(SqliteAccounts(tmp_path / "tokenferry.db")) as store,
        closing(Workers("test", 1, 1)) as disk,
    ):
        store.create(ACCOUNT, None, 0)
        links = Links(store, disk, letters, WORLD)
        for kind, life_ms in (("verify", VERIFY_MS), ("reset", RESET_MS), ("known", RESET_MS)):
            await links.send(kind, ACCOUNT)
            letter = letters[-1]
            assert letter == Letter(kind, "a@b.kr", "ko", letter.token)
            last_ms = 1_000 + life_ms - 1
            if kind == "verify":
                found = store.redeem_verification(
                    link_hash(letter.token, "verify"), "hash", last_ms, 0
                )
            else:
                found = store.redeem_reset(link_hash(letter.token, "reset"), "hash", last_ms)
            assert found == ACCOUNT


async def test_without_mail_nothing_is_stored(tmp_path: Path) -> None:
    with (
        closing(SqliteAccounts(tmp_path / "tokenferry.db")) as store,
        closing(Workers("test", 1, 1)) as disk,
    ):
        links = Links(store, disk, None, WORLD)
        assert not links.has_mail
        await links.send("reset", ACCOUNT)
        count = store._connection.execute("SELECT COUNT(*) FROM mail_token").fetchone()
        assert count == (0,)


async def test_a_store_that_fails_is_told_to_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteAccounts(tmp_path / "tokenferry.db")
    store.close()
    with closing(Workers("test", 1, 1)) as disk, caplog.at_level(logging.ERROR):
        links = Links(store, disk, Letters(), WORLD)
        links.send_reset("a@b.kr")
        await links.close()
    assert "a link could not be sent" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("token", ["", "tv_", "tr_" + "A" * 43, "tv_" + "A" * 42 + "!"])
def test_what_has_not_the_form_of_a_link(token: str) -> None:
    with pytest.raises(InvalidLink):
        link_hash(token, "verify")
