"""The commands that administer accounts beside the running server."""

import argparse
import getpass
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import wraps

from tokenferry.cli.admin import local_time, now_ms
from tokenferry.cli.main import EXIT_FAULT, EXIT_OK, EXIT_USAGE, print_fault
from tokenferry.cli.terminal import database, table
from tokenferry.domain import ledger
from tokenferry.domain.account import (
    ID_BYTES,
    REASON_CHARACTERS_MAX,
    Account,
    clean_reason,
    id_from_random,
)
from tokenferry.domain.email_address import normalise_email
from tokenferry.domain.money import format_dollars, parse_dollars
from tokenferry.domain.password import normalise_password, password_fault
from tokenferry.engine.accounts import LISTED_MAX, EmailExists
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.ledger import Overdrawn
from tokenferry.server.passwords import hasher
from tokenferry.stores.sqlite_accounts import SqliteAccounts

_REFERENCE_BYTES = 12
# A password is one line; this is more than any has.
_STDIN_CHARACTERS_MAX = 10_000
_ROLES = {"admin": "an administrator", "member": "no administrator"}


class Refusal(Exception):
    """A command that cannot be carried out.

    Args:
        message: Why.
        code: The exit code.
    """

    def __init__(self, message: str, code: int = EXIT_FAULT) -> None:
        super().__init__(message)
        self.code = code


Command = Callable[[argparse.Namespace], None]


def _told(command: Command) -> Callable[[argparse.Namespace], int]:
    """Make a command return its exit code, and print why it could not be carried out."""

    @wraps(command)
    def telling(arguments: argparse.Namespace) -> int:
        try:
            command(arguments)
        except Refusal as exc:
            print_fault(str(exc))
            return exc.code
        except StoreUnusable as exc:
            print_fault(str(exc))
            return EXIT_FAULT
        return EXIT_OK

    return telling


@_told
def create_account(arguments: argparse.Namespace) -> None:
    """Create an account and print its id alone on standard output."""
    email = _address(arguments.email)
    credit_nanos = 0 if arguments.credit is None else _amount(arguments.credit)
    if credit_nanos < 0:
        raise Refusal("a new account's credit is not below zero", EXIT_USAGE)
    password_hash = hasher().hash(_password(email)) if arguments.password_stdin else None
    account = Account(
        id_from_random(secrets.token_bytes(ID_BYTES)),
        email,
        "admin" if arguments.admin else "member",
        "active",
        arguments.language,
        now_ms(),
    )
    with closing(SqliteAccounts(database(arguments))) as store:
        try:
            store.create(account, password_hash, credit_nanos)
        except EmailExists:
            raise Refusal(f"there is an account {email} already") from None
    sys.stdout.write(f"{account.account_id}\n")


@_told
def list_accounts(arguments: argparse.Namespace) -> None:
    """Print every account."""
    rows = [("ACCOUNT ID", "EMAIL", "ROLE", "CREATED", "BALANCE", "STATE")]
    with _opened(arguments) as store:
        after = ""
        while accounts := store.all(LISTED_MAX, after):
            after = accounts[-1].account_id
            rows += [_row(account, store) for account in accounts if account.email]
    sys.stdout.write(table(rows))


@_told
def suspend_account(arguments: argparse.Namespace) -> None:
    """Suspend an account: its keys and logins stop working at once."""
    reason = _reason(arguments.reason)
    with _opened(arguments) as store:
        account = _account(store, arguments.email)
        store.suspend(account.account_id, reason)
    sys.stdout.write(f"{account.email} is suspended\n")


@_told
def unsuspend_account(arguments: argparse.Namespace) -> None:
    """End a suspension."""
    with _opened(arguments) as store:
        account = _account(store, arguments.email)
        store.unsuspend(account.account_id)
    sys.stdout.write(f"{account.email} is not suspended\n")


@_told
def set_role(arguments: argparse.Namespace) -> None:
    """Make an account an administrator's, or a member's again."""
    with _opened(arguments) as store:
        account = _account(store, arguments.email)
        store.set_role(account.account_id, arguments.role)
    sys.stdout.write(f"{account.email} is {_ROLES[arguments.role]}\n")


@_told
def set_password(arguments: argparse.Namespace) -> None:
    """Set an account's password from standard input, and end its logins."""
    with _opened(arguments) as store:
        account = _account(store, arguments.email)
        password_hash = hasher().hash(_password(account.email or ""))
        store.set_password(account.account_id, password_hash, None)
    sys.stdout.write(f"{account.email} has a new password\n")


@_told
def grant(arguments: argparse.Namespace) -> None:
    """Give an account credit, or take some back, and print the balance alone."""
    amount_nanos, reason = _amount(arguments.amount), _reason(arguments.reason)
    if not amount_nanos:
        raise Refusal("nothing is granted by 0", EXIT_USAGE)
    with _opened(arguments) as store:
        account = _account(store, arguments.email)
        reference = secrets.token_hex(_REFERENCE_BYTES)
        try:
            store.book(ledger.grant(account.account_id, amount_nanos, reference, now_ms(), reason))
        except Overdrawn:
            balance = format_dollars(store.balance_nanos(account.account_id))
            raise Refusal(
                f"{account.email} has {balance}, and not that much of it is free"
            ) from None
        sys.stdout.write(f"{format_dollars(store.balance_nanos(account.account_id))}\n")


@_told
def show_balance(arguments: argparse.Namespace) -> None:
    """Print an account's balance alone on standard output."""
    with _opened(arguments) as store:
        account = _account(store, arguments.email)
        sys.stdout.write(f"{format_dollars(store.balance_nanos(account.account_id))}\n")


@contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[SqliteAccounts]:
    path = database(arguments)
    if not path.exists():
        raise Refusal(
            f"there are no accounts in {path.parent}; name the server's directory with "
            "--data-dir, or create an account with `tokenferry accounts create EMAIL`"
        )
    with closing(SqliteAccounts(path)) as store:
        yield store


def _account(store: SqliteAccounts, email: str) -> Account:
    account = store.find_by_email(_address(email))
    if account is None:
        raise Refusal("no account has that address; `tokenferry accounts list` shows all")
    return account


def _address(text: str) -> str:
    address = normalise_email(text)
    if address is None:
        raise Refusal("that is no e-mail address; write name@example.com", EXIT_USAGE)
    return address


def _amount(text: str) -> int:
    nanos = parse_dollars(text)
    if nanos is None:
        raise Refusal("that is no amount; write USD such as 5.00", EXIT_USAGE)
    return nanos


def _reason(text: str | None) -> str:
    reason = clean_reason(text or "")
    if reason is None:
        raise Refusal(
            f"a reason has {REASON_CHARACTERS_MAX} printable characters at most", EXIT_USAGE
        )
    return reason


def _password(email: str) -> str:
    """Read a password: the first line of standard input; at a terminal it is not shown."""
    if sys.stdin.isatty():
        try:
            line = getpass.getpass("Password: ", sys.stderr)[:_STDIN_CHARACTERS_MAX]
        except EOFError:  # Ctrl-D
            line = ""
    else:
        line = sys.stdin.readline(_STDIN_CHARACTERS_MAX)
    password = normalise_password(line.rstrip("\r\n"))
    if fault := password_fault(password, email):
        raise Refusal(fault, EXIT_USAGE)
    return password


def _row(account: Account, store: SqliteAccounts) -> tuple[str, str, str, str, str, str]:
    state: str = account.state
    if account.suspended_reason:
        state = f"{state}: {account.suspended_reason}"
    return (
        account.account_id,
        account.email or "",
        account.role,
        local_time(account.created_ms),
        format_dollars(store.balance_nanos(account.account_id)),
        state,
    )
