"""The SQLite store of accounts, their logins, and the links in mails; and what they are given.

A suspension writes to all keys of the account, so that a running server, which watches the keys,
notices it.

Weakness: that of `sqlite_database`; one connection, so one call at a time, each of which waits for
the disk and belongs into a worker thread. A search that finds nothing looks at every account, a
microsecond each.
"""

import sqlite3
import threading
from pathlib import Path

from tokenferry.domain.account import Account, Language, Purpose, Role
from tokenferry.domain.email_address import email_part
from tokenferry.domain.ledger import ISSUED_SIGNUP, Transfer, account_book
from tokenferry.engine.accounts import (
    SESSIONS_MAX,
    AccountFilter,
    AccountRow,
    EmailExists,
    LoginSession,
)
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.stores import account_statements, audit_statements
from tokenferry.stores.ledger_statements import post
from tokenferry.stores.sqlite_database import Database, explained

# Rows of one clean-up beside another write.
EXPIRED_ROWS_MAX = 100

_FIELDS = ("account_id", "email", "role", "state", "language", "created_ms", "suspended_reason")
_COLUMNS = ", ".join(_FIELDS)
_SELECT = f"SELECT {_COLUMNS} FROM account"  # noqa: S608 -- constants only
_SESSION = (
    f"SELECT {', '.join(f'a.{name}' for name in _FIELDS)}, s.token_hash, s.expires_ms "  # noqa: S608 -- constants only
    "FROM login_session s JOIN account a ON a.account_id = s.account_id "
    "WHERE s.token_hash = ? AND s.expires_ms > ?"
)
# The page first, so that only its accounts' books and charges are looked up.
_LISTING = f"""
    WITH page AS MATERIALIZED (SELECT {_COLUMNS} FROM account WHERE (:account_id IS NULL OR
    account_id = :account_id) AND (:state IS NULL OR state = :state) AND (:search = '' OR
    account_id = :search OR instr(email, :part) OR account_id IN (SELECT account_id FROM api_key
    WHERE public_id = :search)) AND (created_ms, account_id) < (:moment, :id) ORDER BY created_ms
    DESC, account_id DESC LIMIT :limit) SELECT page.*, COALESCE(credits_nanos - debits_nanos, 0),
    COALESCE(held_nanos, 0), (SELECT MAX(ended_ms) FROM charge WHERE charge.account_id =
    page.account_id) FROM page LEFT JOIN ledger_book ON book = 'account:' || page.account_id ORDER
    BY created_ms DESC, page.account_id DESC
    """  # noqa: S608 -- constants only
_REDEEM = (
    "DELETE FROM mail_token WHERE token_hash = ? AND purpose = ? AND expires_ms > ? "
    "RETURNING account_id"
)


class SqliteAccounts(Database):
    """Accounts in an SQLite file; any thread may use it. See `AccountStore`.

    Args:
        path: The database file, see `Database`.

    Raises:
        StoreUnusable: If the file cannot be used, see `Database`.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        super().__init__(path, any_thread=True)

    def close(self) -> None:
        """Let go of the file; idempotent."""
        with self._lock:
            super().close()

    # -- accounts ------------------------------------------------------------------------------

    @explained
    def create(self, account: Account, password_hash: str | None, credit_nanos: int) -> None:
        """Store a new account, with its sign-up credit if it is active."""
        row = [getattr(account, name) for name in _FIELDS]
        with self._lock, self._transaction("IMMEDIATE"):
            try:
                self._connection.execute(
                    f"INSERT INTO account ({_COLUMNS}, password_hash) "  # noqa: S608 -- constants only
                    f"VALUES ({', '.join('?' * len(row))}, ?)",
                    (*row, password_hash),
                )
            except sqlite3.IntegrityError as exc:
                if self.find_by_email(account.email or "") is None:
                    raise
                raise EmailExists(account.email) from exc
            if account.state == "active":
                self._give_signup_credit(account.account_id, credit_nanos, account.created_ms)

    @explained
    def find(self, account_id: str) -> Account | None:
        """Return an account, or None."""
        return self._one("WHERE account_id = ?", account_id)

    @explained
    def find_by_email(self, email: str) -> Account | None:
        """Return the account with this e-mail address, or None."""
        return self._one("WHERE email = ?", email)

    @explained
    def all(self, limit: int, after: str = "") -> list[Account]:
        """Return accounts by their ids, those after a given id."""
        rest = "WHERE account_id > ? ORDER BY account_id LIMIT ?"
        with self._lock:
            rows = self._connection.execute(f"{_SELECT} {rest}", (after, limit))
            return [Account(*row) for row in rows]

    @explained
    def listing(self, wanted: AccountFilter) -> list[AccountRow]:
        """Return accounts with what they have, the newest first."""
        moment_ms, account_id = wanted.before or (2**62, "")
        values = {
            "search": wanted.search,
            "part": email_part(wanted.search),
            "state": wanted.state,
            "account_id": wanted.account_id,
            "moment": moment_ms,
            "id": account_id,
            "limit": wanted.limit,
        }
        with self._lock:
            rows = self._connection.execute(_LISTING, values)
            return [AccountRow(Account(*row[:-3]), *row[-3:]) for row in rows]

    @explained
    def set_role(self, account_id: str, role: Role) -> bool:
        """Set what an account may do, and return whether it exists; not the operator's own."""
        with self._lock:
            changed = self._connection.execute(
                "UPDATE account SET role = ? WHERE account_id = ? AND email IS NOT NULL",
                (role, account_id),
            )
            return bool(changed.rowcount)

    @explained
    def password_hash(self, account_id: str) -> str | None:
        """Return an account's password hash; None if there is none."""
        with self._lock:
            row = self._connection.execute(
                "SELECT password_hash FROM account WHERE account_id = ?", (account_id,)
            ).fetchone()
        return row[0] if row else None

    @explained
    def set_password(self, account_id: str, password_hash: str, keep: bytes | None) -> None:
        """Set a password, and end all logins but one."""
        with self._lock, self._transaction("IMMEDIATE"):
            self._set_password(account_id, password_hash, keep)

    @explained
    def rehash_password(self, account_id: str, old: str, new: str) -> None:
        """Store a better hash of the same password, unless it was changed meanwhile."""
        with self._lock:
            self._connection.execute(
                "UPDATE account SET password_hash = ? WHERE account_id = ? AND password_hash = ?",
                (new, account_id, old),
            )

    @explained
    def set_language(self, account_id: str, language: Language) -> None:
        """Set the language of an account's mails."""
        with self._lock:
            self._connection.execute(
                "UPDATE account SET language = ? WHERE account_id = ?", (language, account_id)
            )

    @explained
    def suspend(self, account_id: str, reason: str, entry: AuditEntry | None = None) -> bool | None:
        """Suspend an account; see `AccountStore`."""
        with self._lock, self._transaction("IMMEDIATE"):
            changed = account_statements.suspend(self._connection, account_id, reason)
            if changed:
                audit_statements.append(self._connection, entry)
            found = self.find(account_id)
        return None if found is None or found.email is None else changed

    @explained
    def unsuspend(self, account_id: str, entry: AuditEntry | None = None) -> bool | None:
        """End a suspension; see `AccountStore`."""
        with self._lock, self._transaction("IMMEDIATE"):
            changed = account_statements.unsuspend(self._connection, account_id)
            if changed:
                audit_statements.append(self._connection, entry)
            return None if self.find(account_id) is None else changed

    # -- logins --------------------------------------------------------------------------------

    @explained
    def open_session(
        self, account_id: str, token_hash: bytes, created_ms: int, expires_ms: int
    ) -> None:
        """Store a login; at the limit the oldest one ends."""
        with self._lock, self._transaction("IMMEDIATE"):
            self._clean_up(created_ms)
            self._connection.execute(
                "DELETE FROM login_session WHERE token_hash IN ("
                "SELECT token_hash FROM login_session WHERE account_id = ? "
                "ORDER BY created_ms DESC LIMIT -1 OFFSET ?)",
                (account_id, SESSIONS_MAX - 1),
            )
            self._connection.execute(
                "INSERT INTO login_session (token_hash, account_id, created_ms, expires_ms) "
                "VALUES (?, ?, ?, ?)",
                (token_hash, account_id, created_ms, expires_ms),
            )

    @explained
    def session(self, token_hash: bytes, now_ms: int) -> LoginSession | None:
        """Return a login that has not expired, or None."""
        with self._lock:
            row = self._connection.execute(_SESSION, (token_hash, now_ms)).fetchone()
        return LoginSession(Account(*row[:-2]), row[-2], row[-1]) if row else None

    @explained
    def end_session(self, token_hash: bytes) -> None:
        """End a login."""
        with self._lock:
            self._connection.execute(
                "DELETE FROM login_session WHERE token_hash = ?", (token_hash,)
            )

    # -- links in mails ------------------------------------------------------------------------

    @explained
    def add_mail_token(
        self, account_id: str, purpose: Purpose, token_hash: bytes, expires_ms: int
    ) -> None:
        """Store a link; older ones of the account for the same purpose hold no more."""
        with self._lock, self._transaction("IMMEDIATE"):
            self._connection.execute(
                "DELETE FROM mail_token WHERE account_id = ? AND purpose = ?",
                (account_id, purpose),
            )
            self._connection.execute(
                "INSERT INTO mail_token (token_hash, account_id, purpose, expires_ms) "
                "VALUES (?, ?, ?, ?)",
                (token_hash, account_id, purpose, expires_ms),
            )

    @explained
    def has_mail_token(self, token_hash: bytes, purpose: Purpose, now_ms: int) -> bool:
        """Return whether a link is good; it stays so."""
        with self._lock:
            found = self._connection.execute(
                "SELECT 1 FROM mail_token WHERE token_hash = ? AND purpose = ? AND expires_ms > ?",
                (token_hash, purpose, now_ms),
            )
            return found.fetchone() is not None

    @explained
    def redeem_verification(
        self, token_hash: bytes, password_hash: str, now_ms: int, credit_nanos: int
    ) -> Account | None:
        """Use up a link, make its account active, and book its sign-up credit."""
        with self._lock, self._transaction("IMMEDIATE"):
            row = self._connection.execute(_REDEEM, (token_hash, "verify", now_ms)).fetchone()
            if row is None:
                return None
            verified = self._connection.execute(
                "UPDATE account SET state = 'active', password_hash = ? "
                "WHERE account_id = ? AND state = 'unverified'",
                (password_hash, *row),
            ).rowcount
            if verified:
                self._give_signup_credit(row[0], credit_nanos, now_ms)
            return self.find(row[0])

    @explained
    def redeem_reset(self, token_hash: bytes, password_hash: str, now_ms: int) -> Account | None:
        """Use up a link, set its account's password, and end all logins."""
        with self._lock, self._transaction("IMMEDIATE"):
            row = self._connection.execute(_REDEEM, (token_hash, "reset", now_ms)).fetchone()
            if row is None:
                return None
            self._set_password(row[0], password_hash, None)
            return self.find(row[0])

    # -- money ---------------------------------------------------------------------------------

    @explained
    def book(self, transfer: Transfer, entry: AuditEntry | None = None) -> bool:
        """Book a transfer, with its entry; return False if it was booked before.

        Raises:
            Overdrawn: If the debited book has not that much; nothing was booked.
            ReferenceReused: If the reference stands for another transfer.
        """
        with self._lock, self._transaction("IMMEDIATE"):
            is_new = post(self._connection, transfer)
            if is_new:
                audit_statements.append(self._connection, entry)
            return is_new

    @explained
    def balance_nanos(self, account_id: str) -> int:
        """Return what an account has, what is held of it included."""
        with self._lock:
            row = self._connection.execute(
                "SELECT credits_nanos - debits_nanos FROM ledger_book WHERE book = ?",
                (account_book(account_id),),
            ).fetchone()
        return int(row[0]) if row else 0

    # ------------------------------------------------------------------------------------------

    def _one(self, rest: str, value: str) -> Account | None:
        with self._lock:
            row = self._connection.execute(f"{_SELECT} {rest}", (value,)).fetchone()
        return Account(*row) if row else None

    def _set_password(self, account_id: str, password_hash: str, keep: bytes | None) -> None:
        self._connection.execute(
            "UPDATE account SET password_hash = ? WHERE account_id = ?", (password_hash, account_id)
        )
        self._connection.execute(
            "DELETE FROM login_session WHERE account_id = ? AND token_hash IS NOT ?",
            (account_id, keep),
        )
        # A link that somebody asked for before would open the account again.
        self._connection.execute(
            "DELETE FROM mail_token WHERE account_id = ? AND purpose = 'reset'", (account_id,)
        )

    def _give_signup_credit(self, account_id: str, credit_nanos: int, now_ms: int) -> None:
        if credit_nanos:
            book = account_book(account_id)
            transfer = Transfer("signup", account_id, ISSUED_SIGNUP, book, credit_nanos, now_ms)
            post(self._connection, transfer)

    def _clean_up(self, now_ms: int) -> None:
        for table in ("login_session", "mail_token"):
            self._connection.execute(
                f"DELETE FROM {table} WHERE token_hash IN (SELECT token_hash FROM {table} "  # noqa: S608 -- constants only
                "WHERE expires_ms <= ? LIMIT ?)",
                (now_ms, EXPIRED_ROWS_MAX),
            )
