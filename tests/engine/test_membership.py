"""Signing up, logging in and out, and passwords, with everything but the database made up."""

import asyncio
import itertools
import unicodedata
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from tokenferry.domain.account import token_from_random
from tokenferry.engine import membership
from tokenferry.engine.links import MAILS_PER_ADDRESS_PER_HOUR, RESET_MS, Letter, World
from tokenferry.engine.membership import Membership, Policy
from tokenferry.engine.throttle import HOUR_NS
from tokenferry.engine.workers import Workers
from tokenferry.errors import (
    AccountSuspended,
    EmailNotVerified,
    EmailTaken,
    InvalidLink,
    InvalidRequest,
    LoginRequired,
    RateLimited,
    SignupClosed,
    WrongCredentials,
)
from tokenferry.stores.sqlite_accounts import SqliteAccounts

EMAIL = "chulsoo@example.com"
PASSWORD = "correct horse"
NEW = "another horse"
POLICY = Policy(
    signup_open=True,
    session_ms=1_000,
    signup_credit_nanos=7,
    signups_per_hour=100,
    signups_per_network_per_hour=50,
)


class PlainPasswords:
    """Hashes that can be read, and the work that was done."""

    def __init__(self) -> None:
        self.work: list[str] = []
        self.version = 1

    async def hash(self, password: str) -> str:
        self.work.append("hash")
        return f"{self.version}:{password}"

    async def verify(self, password_hash: str | None, password: str) -> bool:
        self.work.append("verify")
        return password_hash is not None and password_hash.partition(":")[2] == password

    def is_weak(self, password_hash: str) -> bool:
        return not password_hash.startswith(f"{self.version}:")


class Site:
    """A membership, and what a test may turn."""

    def __init__(self, path: Path, *, mail: bool = False, policy: Policy = POLICY) -> None:
        self.now_ms = 1_000_000
        self.letters: list[Letter] = []
        self.passwords = PlainPasswords()
        self.store = SqliteAccounts(path)
        self.disk = Workers("test", 1, 100)
        numbers = itertools.count(1)
        world = World(
            lambda: self.now_ms,
            lambda: self.now_ms * 1_000_000,
            lambda size: next(numbers).to_bytes(size),
        )
        mailer = self if mail else None
        self.members = Membership(self.store, self.disk, self.passwords, mailer, policy, world)

    def send(self, letter: Letter) -> None:
        self.letters.append(letter)

    async def sign_up(self, email: str = EMAIL, password: str = PASSWORD) -> str:
        return await self.members.sign_up(email, password, "ko", "1.2.3.4")

    async def log_in(self, password: str = PASSWORD, email: str = EMAIL) -> str:
        token, _ = await self.members.log_in(email, password, "1.2.3.4")
        return token

    async def ask_reset(self, email: str = EMAIL, network: str = "1.2.3.4") -> None:
        await self.members.ask_reset(email, network)
        await self.members.close()

    def account(self, email: str = EMAIL):
        found = self.store.find_by_email(email)
        assert found is not None
        return found


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A gateway without mail."""
    made = Site(tmp_path / "tokenferry.db")
    with closing(made.store), closing(made.disk):
        yield made


@pytest_asyncio.fixture
async def mailing(tmp_path: Path) -> AsyncIterator[Site]:
    """A gateway with mail."""
    made = Site(tmp_path / "tokenferry.db", mail=True)
    with closing(made.store), closing(made.disk):
        yield made


class TestWithoutMail:
    async def test_an_account_is_active_at_once_with_its_credit(self, site: Site) -> None:
        assert await site.sign_up("  Chulsoo@EXAMPLE.com ") == "active"
        assert site.account().language == "ko"
        assert site.account().role == "member"
        assert site.store.balance_nanos(site.account().account_id) == 7
        assert await site.log_in()

    async def test_a_taken_address_is_told(self, site: Site) -> None:
        await site.sign_up()
        with pytest.raises(EmailTaken):
            await site.sign_up("CHULSOO@example.com", NEW)
        assert await site.log_in()

    async def test_of_many_at_once_one_gets_the_address(self, site: Site) -> None:
        results = await asyncio.gather(
            *(site.sign_up(password=f"password {n} x") for n in range(5)), return_exceptions=True
        )
        assert [r for r in results if r == "active"] == ["active"]
        assert sum(isinstance(r, EmailTaken) for r in results) == 4
        assert site.store.balance_nanos(site.account().account_id) == 7

    async def test_a_reset_is_taken_and_nothing_happens(self, site: Site) -> None:
        await site.sign_up()
        await site.ask_reset()

    @pytest.mark.parametrize(
        ("email", "password", "param"),
        [("nobody", PASSWORD, "email"), (EMAIL, "short", "password"), (EMAIL, EMAIL, "password")],
    )
    async def test_what_is_refused(self, site: Site, email: str, password: str, param: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            await site.sign_up(email, password)
        assert refused.value.param == param
        assert site.passwords.work == []


async def test_nobody_signs_up_where_it_is_closed(tmp_path: Path) -> None:
    made = Site(tmp_path / "tokenferry.db", policy=replace(POLICY, signup_open=False))
    with closing(made.store), closing(made.disk), pytest.raises(SignupClosed):
        await made.sign_up()


async def test_sign_ups_are_limited(tmp_path: Path) -> None:
    policy = replace(POLICY, signups_per_hour=3, signups_per_network_per_hour=2)
    made = Site(tmp_path / "tokenferry.db", policy=policy)
    with closing(made.store), closing(made.disk):
        outcomes = []
        for number, network in enumerate("aaabb"):
            try:
                await made.members.sign_up(f"{number}@b.kr", PASSWORD, "en", network)
                outcomes.append("ok")
            except RateLimited:
                outcomes.append("wait")
        assert outcomes == ["ok", "ok", "wait", "ok", "wait"]
        # Who is refused costs no hashing.
        assert made.passwords.work == ["hash"] * 3


class TestWithMail:
    async def test_an_account_is_opened_by_the_link(self, mailing: Site) -> None:
        assert await mailing.sign_up() == "unverified"
        (letter,) = mailing.letters
        assert (letter.kind, letter.to, letter.language) == ("verify", EMAIL, "ko")
        with pytest.raises(EmailNotVerified):
            await mailing.log_in()
        with pytest.raises(WrongCredentials):
            await mailing.log_in("wrong horse")
        account = await mailing.members.verify(letter.token, PASSWORD)
        assert account.state == "active"
        assert mailing.store.balance_nanos(account.account_id) == 7
        assert await mailing.log_in()
        with pytest.raises(InvalidLink):
            await mailing.members.verify(letter.token, PASSWORD)
        assert mailing.store.balance_nanos(account.account_id) == 7

    async def test_a_known_address_has_the_same_answer_and_the_same_work(
        self, mailing: Site
    ) -> None:
        await mailing.sign_up()
        await mailing.members.verify(mailing.letters[0].token, PASSWORD)
        work = list(mailing.passwords.work)
        assert await mailing.sign_up(password=NEW) == "unverified"
        assert mailing.passwords.work == [*work, "hash"]  # as the first one did
        assert mailing.letters[1].kind == "known"
        # Nothing has changed, but its owner is offered a new password.
        assert await mailing.log_in()
        await mailing.members.confirm_reset(mailing.letters[1].token, NEW)
        assert await mailing.log_in(NEW)

    @pytest.mark.parametrize("attacker_is_first", [True, False])
    async def test_only_who_has_the_link_has_the_password(
        self, mailing: Site, *, attacker_is_first: bool
    ) -> None:
        """Whoever signs up with somebody else's address waits for its owner in vain."""
        passwords = ["an attacker's", PASSWORD]
        for password in passwords if attacker_is_first else reversed(passwords):
            await mailing.sign_up(password=password)
        first, second = mailing.letters
        with pytest.raises(InvalidLink):
            await mailing.members.verify(first.token, PASSWORD)
        with pytest.raises(InvalidRequest):
            await mailing.members.verify(second.token, "short")
        await mailing.members.verify(second.token, NEW)
        for password in passwords:
            with pytest.raises(WrongCredentials):
                await mailing.log_in(password)
        assert await mailing.log_in(NEW)

    async def test_a_link_expires(self, mailing: Site) -> None:
        await mailing.sign_up()
        mailing.now_ms += 48 * 3_600_000
        with pytest.raises(InvalidLink):
            await mailing.members.verify(mailing.letters[0].token, PASSWORD)

    async def test_one_address_is_not_flooded(self, mailing: Site) -> None:
        for _ in range(MAILS_PER_ADDRESS_PER_HOUR + 2):
            await mailing.sign_up()
        assert len(mailing.letters) == MAILS_PER_ADDRESS_PER_HOUR
        mailing.now_ms += HOUR_NS // 1_000_000
        await mailing.sign_up()
        assert len(mailing.letters) == MAILS_PER_ADDRESS_PER_HOUR + 1

    async def test_many_sign_ups_of_one_address_at_once(self, mailing: Site) -> None:
        results = await asyncio.gather(*(mailing.sign_up() for _ in range(4)))
        assert results == ["unverified"] * 4
        await mailing.members.verify(mailing.letters[-1].token, PASSWORD)
        assert mailing.store.balance_nanos(mailing.account().account_id) == 7


class TestLogins:
    async def test_a_login_lasts_until_it_expires(self, site: Site) -> None:
        await site.sign_up()
        token = await site.log_in()
        assert token.startswith("ts_")
        session = await site.members.session(token)
        assert session.account == site.account()
        site.now_ms += 999
        assert await site.members.session(token) == session
        site.now_ms += 1
        with pytest.raises(LoginRequired):
            await site.members.session(token)

    async def test_the_token_is_kept_nowhere(self, site: Site, tmp_path: Path) -> None:
        await site.sign_up()
        token = await site.log_in()
        site.store.close()
        for path in tmp_path.iterdir():
            assert token.encode() not in path.read_bytes()

    @pytest.mark.parametrize(
        "token", ["", "ts_", "nonsense", token_from_random("tr_", bytes(32)), "ts_" + "A" * 43]
    )
    async def test_what_is_no_login(self, site: Site, token: str) -> None:
        with pytest.raises(LoginRequired):
            await site.members.session(token)

    async def test_logging_out(self, site: Site) -> None:
        await site.sign_up()
        one, other = await site.log_in(), await site.log_in()
        await site.members.log_out(await site.members.session(one))
        with pytest.raises(LoginRequired):
            await site.members.session(one)
        assert await site.members.session(other)

    async def test_all_wrong_logins_do_the_same_work(self, site: Site) -> None:
        await site.sign_up()
        for email, password in (
            (EMAIL, "wrong horse"),
            ("nobody@example.com", PASSWORD),
            ("no address", PASSWORD),
        ):
            site.passwords.work.clear()
            with pytest.raises(WrongCredentials) as refused:
                await site.log_in(password, email)
            assert site.passwords.work == ["verify"]
            assert refused.value.message == "The e-mail address or the password is wrong."

    async def test_guessing_takes_longer_and_longer(self, site: Site) -> None:
        await site.sign_up()
        for _ in range(6):
            with pytest.raises(WrongCredentials):
                await site.log_in("wrong horse")
        site.passwords.work.clear()
        with pytest.raises(RateLimited) as refused:
            await site.log_in()
        assert refused.value.retry_after_ms == 1_000
        assert site.passwords.work == []
        site.now_ms += 1_000
        assert await site.log_in()
        for _ in range(5):
            with pytest.raises(WrongCredentials):
                await site.log_in("wrong horse")

    async def test_guessing_many_at_once_does_not_help(self, site: Site) -> None:
        await site.sign_up()
        tries = [site.log_in(f"wrong horse {n}") for n in range(20)]
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(result, WrongCredentials) for result in results) == 6
        assert sum(isinstance(result, RateLimited) for result in results) == 14

    async def test_hangul_may_come_in_pieces(self, site: Site) -> None:
        await site.sign_up(password="가나다라마바사아자차")
        assert await site.log_in(unicodedata.normalize("NFD", "가나다라마바사아자차"))

    async def test_a_password_that_is_far_too_long_is_not_hashed(self, site: Site) -> None:
        await site.sign_up()
        site.passwords.work.clear()
        with pytest.raises(WrongCredentials):
            await site.log_in("x" * 10_000)
        assert site.passwords.work == []

    async def test_a_weak_hash_is_made_anew(self, site: Site) -> None:
        await site.sign_up()
        site.passwords.version = 2
        await site.log_in()
        assert site.store.password_hash(site.account().account_id) == f"2:{PASSWORD}"
        assert await site.log_in()

    async def test_an_account_without_a_password_lets_nobody_in(self, site: Site) -> None:
        await site.sign_up()
        account = replace(site.account(), account_id="acc_x", email="x@b.kr")
        site.store.create(account, None, 0)
        with pytest.raises(WrongCredentials):
            await site.log_in("", "x@b.kr")

    async def test_suspension_shuts_out(self, site: Site) -> None:
        await site.sign_up()
        token = await site.log_in()
        site.store.suspend(site.account().account_id, "")
        with pytest.raises(AccountSuspended):
            await site.members.session(token)
        with pytest.raises(AccountSuspended):
            await site.log_in()
        with pytest.raises(WrongCredentials):
            await site.log_in("wrong horse")
        site.store.unsuspend(site.account().account_id)
        assert await site.members.session(token)


class TestPasswords:
    async def test_a_change_ends_the_other_logins(self, site: Site) -> None:
        await site.sign_up()
        own, other = await site.log_in(), await site.log_in()
        session = await site.members.session(own)
        await site.members.change_password(session, PASSWORD, NEW)
        assert await site.members.session(own)
        with pytest.raises(LoginRequired):
            await site.members.session(other)
        with pytest.raises(WrongCredentials):
            await site.log_in()
        assert await site.log_in(NEW)

    async def test_a_change_takes_the_old_one(self, site: Site) -> None:
        await site.sign_up()
        session = await site.members.session(await site.log_in())
        for old, new, error in (
            ("wrong horse", NEW, WrongCredentials),
            (PASSWORD, "short", InvalidRequest),
            (PASSWORD, EMAIL, InvalidRequest),
        ):
            with pytest.raises(error):
                await site.members.change_password(session, old, new)
        assert await site.log_in()

    async def test_the_old_one_cannot_be_guessed_either(self, site: Site) -> None:
        await site.sign_up()
        session = await site.members.session(await site.log_in())
        for _ in range(6):
            with pytest.raises(WrongCredentials):
                await site.members.change_password(session, "wrong horse", NEW)
        with pytest.raises(RateLimited):
            await site.members.change_password(session, PASSWORD, NEW)

    async def test_a_reset(self, mailing: Site) -> None:
        await mailing.sign_up()
        await mailing.members.verify(mailing.letters.pop().token, PASSWORD)
        token = await mailing.log_in()
        await mailing.ask_reset("CHULSOO@example.com")
        (letter,) = mailing.letters
        assert letter.kind == "reset"
        with pytest.raises(InvalidRequest):
            await mailing.members.confirm_reset(letter.token, "short")
        await mailing.members.confirm_reset(letter.token, NEW)
        with pytest.raises(InvalidLink):
            await mailing.members.confirm_reset(letter.token, "a third horse")
        with pytest.raises(LoginRequired):
            await mailing.members.session(token)
        assert await mailing.log_in(NEW)

    async def test_a_reset_expires(self, mailing: Site) -> None:
        await mailing.sign_up()
        await mailing.members.verify(mailing.letters.pop().token, PASSWORD)
        await mailing.ask_reset()
        mailing.now_ms += RESET_MS
        with pytest.raises(InvalidLink):
            await mailing.members.confirm_reset(mailing.letters[0].token, NEW)

    async def test_an_unknown_link_costs_no_hashing(self, mailing: Site) -> None:
        """Anybody can make links up, and hashing takes a core for some 20 ms."""
        made_up = bytes(range(32))
        for prefix, use in (
            ("tv_", mailing.members.verify),
            ("tr_", mailing.members.confirm_reset),
        ):
            with pytest.raises(InvalidLink):
                await use(token_from_random(prefix, made_up), NEW)
        assert mailing.passwords.work == []

    async def test_a_link_is_for_its_purpose(self, mailing: Site) -> None:
        await mailing.sign_up()
        with pytest.raises(InvalidLink):
            await mailing.members.confirm_reset(mailing.letters[0].token, NEW)
        await mailing.members.verify(mailing.letters[0].token, PASSWORD)

    async def test_nobody_is_written_to_who_has_no_account(self, mailing: Site) -> None:
        for email in ("nobody@example.com", "no address", ""):
            await mailing.ask_reset(email)
        assert mailing.letters == []

    async def test_who_has_not_proven_the_address_is_asked_to(self, mailing: Site) -> None:
        await mailing.sign_up()
        await mailing.ask_reset()
        assert [letter.kind for letter in mailing.letters] == ["verify", "verify"]
        await mailing.members.verify(mailing.letters[1].token, PASSWORD)

    async def test_one_network_does_not_write_to_everybody(self, mailing: Site) -> None:
        limit = membership.RESETS_PER_NETWORK_PER_HOUR
        for number in range(limit + 1):
            await mailing.members.sign_up(f"{number}@b.kr", PASSWORD, "en", f"{number}")
        mailing.letters.clear()
        for number in range(limit + 1):
            await mailing.ask_reset(f"{number}@b.kr")
        assert len(mailing.letters) == limit
