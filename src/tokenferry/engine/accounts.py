"""The store of accounts as a port: accounts, their logins, and the links in mails.

Every method may raise `StoreUnusable`, and may be called by any thread.
"""

from typing import NamedTuple, Protocol

from tokenferry.domain.account import Account, Language, Purpose, Role, State
from tokenferry.engine.audit_trail import AuditEntry

# Of one account; the oldest login makes room.
SESSIONS_MAX = 100
LISTED_MAX = 1_000


class EmailExists(Exception):
    """There is an account with this e-mail address."""


class LoginSession(NamedTuple):
    """A login that is good.

    Attributes:
        account: Whose; suspended ones included.
        token_hash: Names it.
        expires_ms: Unix time.
    """

    account: Account
    token_hash: bytes
    expires_ms: int


class AccountFilter(NamedTuple):
    """Which accounts are wanted.

    Attributes:
        search: A part of the e-mail address, an account's whole id, or that of one of its keys;
            empty for all.
        state: Only those in this state; None for any.
        limit: How many at most.
        before: Only those from before this moment and id; None for the first page.
        account_id: Only this one; None for all.
    """

    search: str = ""
    state: State | None = None
    limit: int = 100
    before: tuple[int, str] | None = None
    account_id: str | None = None


class AccountRow(NamedTuple):
    """An account in an administrator's list.

    Attributes:
        account: The account.
        balance_nanos: What it has, what is held of it included.
        held_nanos: What is held for running streams.
        last_used_ms: When its latest stream ended, Unix time; None if it had none.
    """

    account: Account
    balance_nanos: int
    held_nanos: int
    last_used_ms: int | None


class AccountStore(Protocol):
    """Where accounts are kept. What was written is durable on return."""

    def create(self, account: Account, password_hash: str | None, credit_nanos: int) -> None:
        """Store a new account and, if it is active, book its sign-up credit with it.

        Raises:
            EmailExists: If the e-mail address is taken; nothing was changed.
        """

    def find(self, account_id: str) -> Account | None:
        """Return an account, or None."""

    def find_by_email(self, email: str) -> Account | None:
        """Return the account with this (normalised) e-mail address, or None."""

    def password_hash(self, account_id: str) -> str | None:
        """Return an account's password hash; None if there is none."""

    def all(self, limit: int, after: str = "") -> list[Account]:
        """Return accounts by their ids, those after a given id."""

    def listing(self, wanted: AccountFilter) -> list[AccountRow]:
        """Return accounts with what they have, the newest first."""

    def set_role(self, account_id: str, role: Role) -> bool:
        """Set what an account may do, and return whether it exists; not the operator's own."""

    def set_password(self, account_id: str, password_hash: str, keep: bytes | None) -> None:
        """Set a password, and end all logins but one."""

    def rehash_password(self, account_id: str, old: str, new: str) -> None:
        """Store a better hash of the same password, unless it was changed meanwhile."""

    def set_language(self, account_id: str, language: Language) -> None:
        """Set the language of an account's mails."""

    def suspend(self, account_id: str, reason: str, entry: AuditEntry | None = None) -> bool | None:
        """Suspend an account; an unverified one can be, too.

        Returns:
            Whether this suspended it, and wrote the entry; False if it was suspended already, and
            None if there is no such account.
        """

    def unsuspend(self, account_id: str, entry: AuditEntry | None = None) -> bool | None:
        """End a suspension.

        Returns:
            Whether this ended one, and wrote the entry; False if there was none, and None if there
            is no such account.
        """

    def open_session(
        self, account_id: str, token_hash: bytes, created_ms: int, expires_ms: int
    ) -> None:
        """Store a login; at `SESSIONS_MAX` the oldest one ends."""

    def session(self, token_hash: bytes, now_ms: int) -> LoginSession | None:
        """Return a login that has not expired, or None."""

    def end_session(self, token_hash: bytes) -> None:
        """End a login."""

    def add_mail_token(
        self, account_id: str, purpose: Purpose, token_hash: bytes, expires_ms: int
    ) -> None:
        """Store a link; older ones of the account for the same purpose hold no more."""

    def has_mail_token(self, token_hash: bytes, purpose: Purpose, now_ms: int) -> bool:
        """Return whether a link is good; it stays so."""

    def redeem_verification(
        self, token_hash: bytes, password_hash: str, now_ms: int, credit_nanos: int
    ) -> Account | None:
        """Use up a link, make its account active, and book its sign-up credit, all or nothing.

        The password is set with it: only who has the link can have chosen that.

        Returns:
            The account; None if the link is unknown, used or expired.
        """

    def redeem_reset(self, token_hash: bytes, password_hash: str, now_ms: int) -> Account | None:
        """Use up a link, set its account's password, and end all logins, all or nothing.

        Returns:
            The account; None if the link is unknown, used or expired.
        """
