"""Signing up, proving an e-mail address, logging in, and getting a forgotten password replaced.

Nothing that anybody can ask tells whether an address has an account: a wrong login does the same
work and has the same answer either way, a reset is always taken, and with mail a sign-up is, too.
Without mail a sign-up has to say that the address is taken.

Source: OWASP Authentication and Forgot Password Cheat Sheets, November 2026.
Weakness: what is written for a known address differs from what is for a new one, so that time
tells them apart to whoever can measure a write of the disk from afar.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tokenferry.domain.account import (
    ID_BYTES,
    RANDOM_BYTES,
    SESSION_PREFIX,
    Account,
    Language,
    Purpose,
    State,
    id_from_random,
    token_from_random,
    token_hash,
)
from tokenferry.domain.email_address import normalise_email
from tokenferry.domain.password import CHARACTERS_MAX, normalise_password, password_fault
from tokenferry.engine.accounts import AccountStore, EmailExists, LoginSession
from tokenferry.engine.links import Kind, Links, Mailer, World, invalid_link, link_hash
from tokenferry.engine.throttle import HourlyLimit, LoginAttempts, too_soon
from tokenferry.engine.workers import Workers
from tokenferry.errors import (
    AccountSuspended,
    EmailNotVerified,
    EmailTaken,
    InvalidRequest,
    LoginRequired,
    SignupClosed,
    WrongCredentials,
)

# One network cannot have more people written to.
RESETS_PER_NETWORK_PER_HOUR = 20

_SUSPENDED = "The account is suspended. Ask the operator of this gateway why."

T = TypeVar("T")


class Passwords(Protocol):
    """The hashing of passwords. Both methods may raise `Overloaded`."""

    async def hash(self, password: str) -> str:
        """Return the hash of a (normalised) password."""

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether a password is the hashed one; without a hash, False, as slowly."""

    def is_weak(self, password_hash: str) -> bool:
        """Return whether a hash was made with less effort than one is today."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator has decided.

    Attributes:
        signup_open: Whether anybody may sign up.
        session_ms: How long a login lasts.
        signup_credit_nanos: What a new account is given.
        signups_per_hour: By all together; 0 for no limit.
        signups_per_network_per_hour: By one network; 0 for no limit.
    """

    signup_open: bool
    session_ms: int
    signup_credit_nanos: int
    signups_per_hour: int
    signups_per_network_per_hour: int


class Membership:
    """What people do with their accounts.

    Args:
        store: Where accounts are kept.
        disk: The thread that uses it.
        passwords: The hashing.
        mailer: Where mails go; None where there is no mail, and addresses are not verified.
        policy: What the operator has decided.
        world: Clocks and dice.
    """

    def __init__(
        self,
        store: AccountStore,
        disk: Workers,
        passwords: Passwords,
        mailer: Mailer | None,
        policy: Policy,
        world: World,
    ) -> None:
        self._store = store
        self._disk = disk
        self._passwords = passwords
        self._links = Links(store, disk, mailer, world)
        self.policy = policy
        self._world = world
        clock_ns = world.clock_ns
        self._attempts = LoginAttempts(clock_ns)
        self._signups = HourlyLimit(policy.signups_per_hour, clock_ns)
        self._signups_of = HourlyLimit(policy.signups_per_network_per_hour, clock_ns)
        self._resets_of = HourlyLimit(RESETS_PER_NETWORK_PER_HOUR, clock_ns)

    # -- signing up ----------------------------------------------------------------------------

    async def sign_up(self, email: str, password: str, language: Language, network: str) -> State:
        """Make an account, or begin to; return what state it has for all that may be told.

        Raises:
            SignupClosed: If the operator makes the accounts.
            InvalidRequest: If the address or the password cannot be one.
            RateLimited: If there were too many sign-ups.
            EmailTaken: If there is such an account, and no mail that could be sent to it.
            Overloaded: If too many passwords are being hashed.
        """
        if not self.policy.signup_open:
            raise SignupClosed("Nobody can sign up here; ask the operator for an account.")
        address = required_address(email)
        new = self._new_password(password, address)
        self._check_signups(network)
        password_hash = await self._passwords.hash(new)
        if not self._links.has_mail:
            await self._create(address, password_hash, language, "active")
            return "active"
        known = await self._on_disk(lambda: self._store.find_by_email(address))
        if known is None:
            try:
                known = await self._create(address, password_hash, language, "unverified")
            except EmailTaken:
                # Somebody was faster, and has the mail.
                return "unverified"
        kind: Kind = "verify" if known.state == "unverified" else "known"
        await self._links.send(kind, known)
        return "unverified"

    async def verify(self, token: str, password: str) -> Account:
        """Use a mail's link up, make its account active, and set its password.

        The one of the sign-up does not count: anybody could have signed up with this address, and
        would wait for its owner to follow the link.

        Raises:
            InvalidLink: If it is not good.
            InvalidRequest: If the password cannot be one; the link stays good.
        """
        hashed = link_hash(token, "verify")
        password_hash = await self._hash_for_link(hashed, "verify", password)
        credit, now_ms = self.policy.signup_credit_nanos, self._world.wall_ms()
        account = await self._on_disk(
            lambda: self._store.redeem_verification(hashed, password_hash, now_ms, credit)
        )
        if account is None:
            raise invalid_link()
        return account

    # -- logging in ----------------------------------------------------------------------------

    async def log_in(self, email: str, password: str, network: str) -> tuple[str, LoginSession]:
        """Return a new login's token, and the login.

        Raises:
            WrongCredentials: If the address or the password is wrong.
            RateLimited: If there were too many failures.
            EmailNotVerified: If the address is not proven yet.
            AccountSuspended: If the account is suspended.
            Overloaded: If too many passwords are being hashed.
        """
        address = normalise_email(email) or ""
        self._attempts.begin(address, network)
        account = await self._on_disk(lambda: self._store.find_by_email(address))
        if not await self._is_right(account, password):
            raise WrongCredentials("The e-mail address or the password is wrong.")
        self._attempts.succeeded(address, network)
        if account is None:
            raise TypeError("nobody's password was right")
        if account.state == "unverified":
            raise EmailNotVerified(
                "Follow the link in the mail that came after the sign-up; sign up again for "
                "another one."
            )
        _check_suspension(account)
        token = token_from_random(SESSION_PREFIX, self._world.random(RANDOM_BYTES))
        hashed = token_hash(token, SESSION_PREFIX) or b""
        now_ms = self._world.wall_ms()
        session = LoginSession(account, hashed, now_ms + self.policy.session_ms)
        await self._on_disk(
            lambda: self._store.open_session(account.account_id, hashed, now_ms, session.expires_ms)
        )
        return token, session

    async def session(self, token: str) -> LoginSession:
        """Return the login that a token stands for; see `SessionSource` of the API.

        Raises:
            LoginRequired: If it stands for none.
            AccountSuspended: If the account is suspended.
        """
        hashed = token_hash(token, SESSION_PREFIX)
        now_ms = self._world.wall_ms()
        session = None
        if hashed is not None:
            session = await self._on_disk(lambda: self._store.session(hashed, now_ms))
        if session is None:
            raise LoginRequired("The login is unknown, ended or expired. Log in again.")
        _check_suspension(session.account)
        return session

    async def lasting(self, hashes: Collection[bytes]) -> Collection[bytes]:
        """Return those of some logins that have not ended."""
        now_ms = self._world.wall_ms()
        return await self._on_disk(
            lambda: {each for each in hashes if self._store.session(each, now_ms) is not None}
        )

    async def log_out(self, session: LoginSession) -> None:
        """End a login."""
        await self._on_disk(lambda: self._store.end_session(session.token_hash))

    # -- passwords -----------------------------------------------------------------------------

    async def ask_reset(self, email: str, network: str) -> None:
        """Send a link to who has an account; say nothing about whether anybody does."""
        address = normalise_email(email)
        if not self._links.has_mail or address is None or self._resets_of.wait_ns(network):
            return
        self._links.send_reset(address)

    async def confirm_reset(self, token: str, password: str) -> None:
        """Use a mail's link up, set a new password, and end all logins.

        Raises:
            InvalidLink: If the link is not good.
            InvalidRequest: If the password cannot be one; the link stays good.
        """
        hashed = link_hash(token, "reset")
        password_hash = await self._hash_for_link(hashed, "reset", password)
        now_ms = self._world.wall_ms()
        account = await self._on_disk(
            lambda: self._store.redeem_reset(hashed, password_hash, now_ms)
        )
        if account is None:
            raise invalid_link()

    async def change_password(self, session: LoginSession, old: str, new: str) -> None:
        """Set a new password, and end all other logins.

        Raises:
            WrongCredentials: If the old one is wrong.
            InvalidRequest: If the new one cannot be one.
            RateLimited: If there were too many failures.
        """
        account = session.account
        address = account.email or ""
        normalised = self._new_password(new, address)
        network = f"session {session.token_hash.hex()}"
        self._attempts.begin(address, network)
        if not await self._is_right(account, old):
            raise WrongCredentials("The password is wrong.")
        self._attempts.succeeded(address, network)
        password_hash = await self._passwords.hash(normalised)
        await self._on_disk(
            lambda: self._store.set_password(account.account_id, password_hash, session.token_hash)
        )

    async def set_language(self, account: Account, language: Language) -> None:
        """Set the language of an account's mails."""
        await self._on_disk(lambda: self._store.set_language(account.account_id, language))

    async def close(self) -> None:
        """Wait for what was begun, a second at most."""
        await self._links.close()

    # ------------------------------------------------------------------------------------------

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await self._disk.run(work)

    def _new_password(self, text: str, address: str) -> str:
        password = normalise_password(text)
        if fault := password_fault(password, address):
            raise InvalidRequest(fault, param="password")
        return password

    async def _hash_for_link(self, hashed: bytes, purpose: Purpose, text: str) -> str:
        """Return the hash of a password that is chosen by a link; the link stays good.

        Raises:
            InvalidLink: If it is not good. Anybody can make links up, and hashing is dear.
            InvalidRequest: If the password cannot be one.
        """
        # Whose it is, is not known before the link is used up: there is no address to compare with.
        password, now_ms = self._new_password(text, ""), self._world.wall_ms()
        if not await self._on_disk(lambda: self._store.has_mail_token(hashed, purpose, now_ms)):
            raise invalid_link()
        return await self._passwords.hash(password)

    def _check_signups(self, network: str) -> None:
        for limit, subject in ((self._signups_of, network), (self._signups, "all")):
            if wait_ns := limit.wait_ns(subject):
                raise too_soon("There were too many sign-ups.", wait_ns)

    async def _create(
        self, address: str, password_hash: str, language: Language, state: State
    ) -> Account:
        world = self._world
        account = Account(
            id_from_random(world.random(ID_BYTES)),
            address,
            "member",
            state,
            language,
            world.wall_ms(),
        )
        credit = self.policy.signup_credit_nanos
        try:
            await self._on_disk(lambda: self._store.create(account, password_hash, credit))
        except EmailExists:
            raise EmailTaken("There is an account with this address; log in.") from None
        return account

    async def _is_right(self, account: Account | None, text: str) -> bool:
        password = normalise_password(text)
        if len(password) > CHARACTERS_MAX:
            return False
        known = None
        if account is not None:
            account_id = account.account_id
            known = await self._on_disk(lambda: self._store.password_hash(account_id))
        if not await self._passwords.verify(known, password) or known is None:
            return False
        if self._passwords.is_weak(known):
            better = await self._passwords.hash(password)
            await self._on_disk(lambda: self._store.rehash_password(account_id, known, better))
        return True


def required_address(text: str) -> str:
    """Return a normalised address.

    Raises:
        InvalidRequest: If it is none.
    """
    address = normalise_email(text)
    if address is None:
        raise InvalidRequest("`email` is no e-mail address.", param="email")
    return address


def _check_suspension(account: Account) -> None:
    if account.state == "suspended":
        raise AccountSuspended(_SUSPENDED)
