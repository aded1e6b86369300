"""The commands that administer a gateway beside the running server: configuration and keys."""

import argparse
import os
import secrets
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokenferry.cli.main import EXIT_FAULT, EXIT_OK, EXIT_USAGE, print_fault
from tokenferry.cli.terminal import database, explained, table
from tokenferry.config import ConfigError, ProviderSettings, load
from tokenferry.config.reference import hints, settings_page
from tokenferry.domain import api_key
from tokenferry.domain.account import Account
from tokenferry.domain.allowance import (
    NO_OWN_LIMITS,
    REQUESTS_PER_MINUTE_MAX,
    STREAMS_MAX,
    TOKENS_PER_MINUTE_MAX,
    KeyLimits,
)
from tokenferry.domain.api_key import KeyRecord, KeyTerms
from tokenferry.domain.email_address import normalise_email
from tokenferry.domain.ledger import OPERATOR
from tokenferry.domain.money import format_dollars, parse_dollars
from tokenferry.engine import keys
from tokenferry.stores.sqlite import SqliteKeys
from tokenferry.stores.sqlite_accounts import SqliteAccounts

# Of the year 9999 in UTC a day less: east of it, as in Korea, the year 10000 has begun then, which
# `datetime` does not know.
_LAST_MS = 253_402_214_400_000


def check_config(arguments: argparse.Namespace) -> int:
    """Print what the configuration says, or everything that is wrong with it."""
    try:
        settings = load(arguments.config, os.environ)
    except ConfigError as exc:
        sys.stdout.write("\n".join([*exc.lines(), ""]))
        return EXIT_FAULT
    lines = ["OK"]
    lines.extend(_summary(provider) for provider in settings.providers)
    lines.extend(f"alias {alias.name}: {', '.join(alias.candidates)}" for alias in settings.models)
    lines.extend(f"hint: {hint}" for hint in hints(settings, os.environ))
    sys.stdout.write("\n".join([*lines, ""]))
    return EXIT_OK


def print_reference(arguments: argparse.Namespace) -> int:
    """Print the page of all settings."""
    del arguments
    sys.stdout.write(settings_page())
    return EXIT_OK


def create_key(arguments: argparse.Namespace) -> int:
    """Create a key and print it alone on standard output."""
    name = api_key.clean_name(arguments.name)
    if name is None:
        print_fault(
            f"a key's name has 1..{api_key.NAME_CHARACTERS_MAX} printable characters; "
            "choose another one"
        )
        return EXIT_USAGE
    try:
        limits = _limits(arguments)
    except ValueError as exc:
        print_fault(str(exc))
        return EXIT_USAGE
    path = database(arguments)
    with explained():
        account_id = _account_id(path, arguments.account)
        with closing(SqliteKeys(path)) as store:
            terms = replace(limits, account_id=account_id)
            key = keys.create_key(store, name, now_ms(), secrets.token_bytes, terms)
        sys.stdout.write(f"{key}\n")
        if sys.stdout.isatty():
            sys.stderr.write("Store it now: it is not shown again.\n")
        return EXIT_OK
    return EXIT_FAULT


def _limits(arguments: argparse.Namespace) -> KeyTerms:
    """Return the terms of a new key, but for its account.

    Raises:
        ValueError: If an option's value cannot be; the message says why.
    """
    budget_nanos = models = expires_at_ms = None
    if arguments.budget is not None:
        budget_nanos = parse_dollars(arguments.budget)
        if budget_nanos is None or budget_nanos < 0:
            raise ValueError("a budget is an amount of USD such as 10.00")
    if arguments.models is not None:
        models = api_key.clean_models([name for name in arguments.models.split(",") if name])
        if models is None:
            raise ValueError("models are names with commas between them: --models a,b")
    if arguments.expires is not None:
        expires_at_ms = _moment_ms(arguments.expires)
        if expires_at_ms <= now_ms():
            raise ValueError("a key expires in the future; name a later day")
    return KeyTerms(OPERATOR, models, budget_nanos, expires_at_ms, _rates(arguments, NO_OWN_LIMITS))


def _rates(arguments: argparse.Namespace, so_far: KeyLimits) -> KeyLimits:
    """Return a key's limits with those of the operator's that options name; they may be any.

    Raises:
        ValueError: If an option's value cannot be; the message says why.
    """
    given: dict[str, Any] = {
        name: _rate(option, text, high)
        for option, name, high in (
            ("rpm", "requests_per_minute", REQUESTS_PER_MINUTE_MAX),
            ("tpm", "tokens_per_minute", TOKENS_PER_MINUTE_MAX),
            ("streams", "streams_max", STREAMS_MAX),
        )
        if (text := getattr(arguments, option)) is not None
    }
    limits = replace(so_far, operator=replace(so_far.operator, **given))
    return (
        limits if arguments.priority is None else replace(limits, has_priority=arguments.priority)
    )


def _rate(option: str, text: str, high: int) -> int | None:
    if text == "default":
        return None
    if not text.isascii() or not text.isdigit() or int(text) > high:
        raise ValueError(f"--{option} is a number 0..{high}, or `default`; 0 is no limit")
    return int(text)


def _moment_ms(text: str) -> int:
    """Return when a day or a time begins, here unless it says otherwise."""
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise ValueError("a key expires at a day or time such as 2027-01-01") from None


def _account_id(path: Path, email: str | None) -> str:
    """Return whose a new key is.

    Raises:
        StoreUnusable: If there is no such account.
    """
    if email is None:
        return OPERATOR
    address = normalise_email(email)
    found = None
    if address is not None and path.exists():
        with closing(SqliteAccounts(path)) as accounts:
            found = accounts.find_by_email(address)
    if found is None:
        raise keys.StoreUnusable(
            "no account has that address; `tokenferry accounts list` shows all"
        )
    return found.account_id


def list_keys(arguments: argparse.Namespace) -> int:
    """Print every key, oldest first."""
    with explained(), closing(_existing(arguments)) as store:
        records = store.all()
        with closing(SqliteAccounts(store.path)) as accounts:
            owners = {
                account_id: _owner(accounts.find(account_id))
                for account_id in {record.terms.account_id for record in records}
            }
        rows = [_row(record, owners[record.terms.account_id]) for record in records]
        header = ("PUBLIC ID", "NAME", "ACCOUNT", "CREATED", "STATE")
        sys.stdout.write(table([header, *rows]))
        return EXIT_OK
    return EXIT_FAULT


def limit_key(arguments: argparse.Namespace) -> int:
    """Change what a key may have a minute and at a time."""
    with explained(), closing(_existing(arguments)) as store:
        try:
            changed = store.limit(
                arguments.public_id,
                lambda record: keys.LimitChange(_rates(arguments, record.terms.limits)),
            )
        except ValueError as exc:
            print_fault(str(exc))
            return EXIT_USAGE
        record = store.find(arguments.public_id)
        if changed is None or record is None:
            print_fault("no key has that public id; `tokenferry keys list` shows all")
            return EXIT_FAULT
        words = _rates_in_words(record.terms)
        sys.stdout.write(f"{record.public_id}: {words or 'as other keys'}\n")
        return EXIT_OK
    return EXIT_FAULT


def _rates_in_words(terms: KeyTerms) -> str:
    """Return what a key was given, and by whom where two may have.

    `600 requests/min, no limit of streams`, or
    `600 requests/min set by the operator, 60 requests/min set by its owner`.
    """
    limits, is_shared = terms.limits, terms.account_id != OPERATOR
    words = []
    for name, what in (
        ("requests_per_minute", "requests/min"),
        ("tokens_per_minute", "tokens/min"),
        ("streams_max", "streams"),
    ):
        for given, whose in ((limits.operator, "the operator"), (limits.owner, "its owner")):
            if (count := getattr(given, name)) is not None:
                number = f"{count} {what}" if count else f"no limit of {what}"
                words.append(f"{number} set by {whose}" if is_shared else number)
    return ", ".join([*words, "priority"] if limits.has_priority else words)


def revoke_key(arguments: argparse.Namespace) -> int:
    """Revoke a key."""
    with explained(), closing(_existing(arguments)) as store:
        # Whoever has the whole key at hand, because it leaked, may give that.
        parsed = api_key.parse_key(arguments.public_id)
        public_id = parsed.public_id if parsed else arguments.public_id
        if store.revoke(public_id, now_ms()) is not None:
            sys.stdout.write(f"{public_id} is revoked\n")
            return EXIT_OK
        print_fault("no key has that public id; `tokenferry keys list` shows all")
    return EXIT_FAULT


def _existing(arguments: argparse.Namespace) -> SqliteKeys:
    path = database(arguments)
    if not path.exists():
        raise keys.StoreUnusable(
            f"there are no keys in {path.parent}; name the server's directory with --data-dir, or "
            "create a key with `tokenferry keys create NAME`"
        )
    return SqliteKeys(path)


def now_ms() -> int:
    """Return Unix time."""
    return time.time_ns() // 1_000_000


def _summary(provider: ProviderSettings) -> str:
    where = f" at {provider.base_url}" if provider.base_url else ""
    return f"provider {provider.name} ({provider.kind}{where}): {', '.join(provider.models)}"


def _owner(account: Account | None) -> str:
    return OPERATOR if account is None or account.email is None else account.email


def _row(record: KeyRecord, owner: str) -> tuple[str, str, str, str, str]:
    terms = record.terms
    state = "active"
    if record.revoked_at_ms is not None:
        state = f"revoked {local_time(record.revoked_at_ms)}"
    elif record.suspended:
        state = "suspended"
    elif terms.expires_at_ms is not None:
        word = "expired" if terms.expires_at_ms <= now_ms() else "until"
        state = f"{word} {local_time(terms.expires_at_ms)}"
    if terms.budget_nanos is not None:
        state += f", {format_dollars(terms.budget_nanos)} a month"
    if terms.models is not None:
        state += f", for {', '.join(terms.models)}"
    if rates := _rates_in_words(terms):
        state += f", {rates}"
    return record.public_id, record.name, owner, local_time(record.created_at_ms), state


def local_time(moment_ms: int) -> str:
    """Return a moment as people here write it; the last hours of the year 9999 are one here."""
    # Through UTC: straight to local time, Python 3.12 and later look a day further, and fail there.
    moment = datetime.fromtimestamp(min(moment_ms, _LAST_MS) / 1000, UTC).astimezone()
    return f"{moment:%Y-%m-%d %H:%M}"
