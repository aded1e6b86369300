"""What every store that suspends an account does within its own transaction.

Its keys are written to as well, so that a running server, which watches them, notices at once.
"""

import sqlite3

_TOUCH_KEY = (
    "UPDATE api_key SET version = (SELECT MAX(version) + 1 FROM api_key) WHERE public_id = ?"
)
# The operator's own account has no address, and is never suspended.
_SUSPEND = (
    "UPDATE account SET state_before = state, state = 'suspended', suspended_reason = ? "
    "WHERE account_id = ? AND email IS NOT NULL AND state <> 'suspended'"
)
_UNSUSPEND = (
    "UPDATE account SET state = state_before, state_before = NULL, suspended_reason = NULL "
    "WHERE account_id = ? AND state = 'suspended'"
)


def suspend(connection: sqlite3.Connection, account_id: str, reason: str) -> bool:
    """Suspend an account in the open transaction; return False if nothing was to be done."""
    changed = connection.execute(_SUSPEND, (reason, account_id)).rowcount
    if changed:
        _touch_keys(connection, account_id)
    return bool(changed)


def unsuspend(connection: sqlite3.Connection, account_id: str) -> bool:
    """End a suspension in the open transaction; return False if nothing was to be done."""
    changed = connection.execute(_UNSUSPEND, (account_id,)).rowcount
    if changed:
        _touch_keys(connection, account_id)
    return bool(changed)


def _touch_keys(connection: sqlite3.Connection, account_id: str) -> None:
    """Write to an account's keys, each with a version of its own."""
    keys = connection.execute(
        "SELECT public_id FROM api_key WHERE account_id = ? AND revoked_at_ms IS NULL",
        (account_id,),
    ).fetchall()
    connection.executemany(_TOUCH_KEY, keys)
