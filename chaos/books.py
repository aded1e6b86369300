"""Money in the run: everybody pays from one account, and at the end its books must be right."""

import contextlib
import sqlite3
from pathlib import Path

from chaos.lifecycle import Lives
from tokenferry.stores.sqlite_audit import SqliteAudit

EMAIL = "chaos@example.com"
# A thousandth of a dollar a token: no run uses it up, and no charge is lost in rounding.
PRICE = ("--input", "1000", "--output", "1000", "--output-max", "1000")
CREDIT = "900000000"
DATABASE = "tokenferry.db"


def open_account(lives: Lives) -> str:
    """Set a price, give an account its credit, and return a key of it."""
    where = ("--data-dir", str(lives.data))
    lives.run_once("prices", "set", "chaos", *PRICE, *where)
    lives.run_once("accounts", "create", EMAIL, "--credit", CREDIT, *where)
    return lives.run_once("keys", "create", "chaos", "--account", EMAIL, *where)


def audited(data: Path, completed: dict[str, int]) -> tuple[dict[str, int], list[str]]:
    """Return the counts that must be zero, and what there is to complain of.

    Args:
        data: The data directory; no server runs on it.
        completed: The output tokens of each stream that a client saw completed.
    """
    with contextlib.closing(SqliteAudit(data / DATABASE)) as store:
        audit = store.verify()
    with contextlib.closing(sqlite3.connect(data / DATABASE)) as connection:
        charged = dict(
            connection.execute(
                "SELECT stream_id, completion_tokens FROM charge WHERE cost_nanos > 0"
            )
        )
    wrong = [name for name, tokens in completed.items() if charged.get(name) != tokens]
    complaints = [f"the books: {difference}" for difference in audit.differences[:5]]
    complaints += [
        f"the books: {name} used {completed[name]}, charged {charged.get(name)}"
        for name in wrong[:5]
    ]
    return {
        "book differences": len(audit.differences),
        "open reservations": audit.open_reservations,
        "wrong charges": len(wrong),
        "streams charged": len(charged),
    }, complaints
