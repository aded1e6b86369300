"""The commands that administer a gateway beside the running server: configuration and keys."""

import argparse
import os
import secrets
import sys
import time
from contextlib import closing
from datetime import datetime

from tokenferry.cli.main import EXIT_FAULT, EXIT_OK, EXIT_USAGE, print_fault
from tokenferry.cli.terminal import database, explained, table
from tokenferry.config import ConfigError, ProviderSettings, load
from tokenferry.config.reference import hints, settings_page
from tokenferry.domain import api_key
from tokenferry.domain.api_key import KeyRecord
from tokenferry.engine import keys
from tokenferry.stores.sqlite import SqliteKeys


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
    with explained(), closing(SqliteKeys(database(arguments))) as store:
        key = keys.create_key(store, name, _now_ms(), secrets.token_bytes)
        sys.stdout.write(f"{key}\n")
        if sys.stdout.isatty():
            sys.stderr.write("Store it now: it is not shown again.\n")
        return EXIT_OK
    return EXIT_FAULT


def list_keys(arguments: argparse.Namespace) -> int:
    """Print every key, oldest first."""
    with explained(), closing(_existing(arguments)) as store:
        rows = [_row(record) for record in store.all()]
        sys.stdout.write(table([("PUBLIC ID", "NAME", "CREATED", "STATE"), *rows]))
        return EXIT_OK
    return EXIT_FAULT


def revoke_key(arguments: argparse.Namespace) -> int:
    """Revoke a key."""
    with explained(), closing(_existing(arguments)) as store:
        # Whoever has the whole key at hand, because it leaked, may give that.
        parsed = api_key.parse_key(arguments.public_id)
        public_id = parsed.public_id if parsed else arguments.public_id
        if store.revoke(public_id, _now_ms()):
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


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _summary(provider: ProviderSettings) -> str:
    where = f" at {provider.base_url}" if provider.base_url else ""
    return f"provider {provider.name} ({provider.kind}{where}): {', '.join(provider.models)}"


def _row(record: KeyRecord) -> tuple[str, str, str, str]:
    state = "active"
    if record.revoked_at_ms is not None:
        state = f"revoked {_local_time(record.revoked_at_ms)}"
    return record.public_id, record.name, _local_time(record.created_at_ms), state


def _local_time(moment_ms: int) -> str:
    return f"{datetime.fromtimestamp(moment_ms / 1000).astimezone():%Y-%m-%d %H:%M}"
