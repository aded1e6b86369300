"""The command that lists what administrators have changed, beside the running server: `audit`."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime

import msgspec

from tokenferry.cli.main import EXIT_FAULT, EXIT_OK, EXIT_USAGE, print_fault
from tokenferry.cli.terminal import existing_database, explained, table
from tokenferry.engine.audit_trail import ACTIONS, AuditEntry, AuditFilter, AuditTrail
from tokenferry.server.audit_facts import entry_facts
from tokenferry.stores.sqlite_audit_trail import SqliteAuditTrail

LIMIT_MAX = 10_000
_HEADER = ("TIME", "ACTION", "TARGET", "BY", "DETAILS")


def list_audit(arguments: argparse.Namespace) -> int:
    """Print what administrators have changed, the latest first."""
    if not 0 < arguments.limit <= LIMIT_MAX:
        print_fault(f"--limit is 1 to {LIMIT_MAX}")
        return EXIT_USAGE
    try:
        since_ms = None if arguments.since is None else _moment_ms(arguments.since)
    except ValueError:
        print_fault("--since is a day such as 2026-11-28, or a moment: 2026-11-28T07:00:00Z")
        return EXIT_USAGE
    if arguments.action not in (None, *ACTIONS):
        # Not an empty list: it would read as if nothing had been changed.
        print_fault(f"--action is one of {', '.join(ACTIONS)}")
        return EXIT_USAGE
    wanted = AuditFilter(arguments.limit, arguments.account, arguments.action, since_ms)
    with explained(), closing(_trail(arguments)) as trail:
        entries = trail.entries(wanted)
        lines = _json_lines(entries) if arguments.json else [table(list(_rows(entries)))]
        sys.stdout.writelines(lines)
        return EXIT_OK
    return EXIT_FAULT


def _trail(arguments: argparse.Namespace) -> AuditTrail:
    return SqliteAuditTrail(existing_database(arguments, "is nothing"))


def _moment_ms(text: str) -> int:
    """Return a day's beginning or a moment, Unix time; in UTC, as it is printed, unless it says.

    Raises:
        ValueError: If it is neither.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _json_lines(entries: Sequence[tuple[int, AuditEntry]]) -> Iterator[str]:
    """Yield each entry as the API gives it, a line for each."""
    for number, entry in entries:
        yield msgspec.json.encode(entry_facts(number, entry)).decode() + "\n"


def _rows(entries: Sequence[tuple[int, AuditEntry]]) -> Iterator[Sequence[str]]:
    yield _HEADER
    for _, entry in entries:
        yield (
            f"{datetime.fromtimestamp(entry.moment_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
            entry.action,
            _shown(entry.target),
            _shown(entry.by_email or entry.by_account),
            " ".join(f"{name}={_value(value)}" for name, value in _details(entry)),
        )


def _details(entry: AuditEntry) -> Iterator[tuple[str, object]]:
    """Yield what an entry has besides its columns."""
    if entry.account_id not in (None, entry.target):
        yield "account", entry.account_id
    yield from json.loads(entry.details).items()


def _value(value: object) -> str:
    """Return a value: a word as it is, everything else as JSON."""
    if isinstance(value, str) and value and value.isprintable() and not set(' "=') & set(value):
        return value
    return _shown(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _shown(text: str) -> str:
    """Return a text of which nothing moves the terminal's cursor."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
