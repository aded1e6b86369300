"""What the administration commands share: where the database is, what it could not do, tables."""

import argparse
import os
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tokenferry.cli.main import print_fault
from tokenferry.config import ServerSettings, load, load_data_dir
from tokenferry.engine.keys import StoreUnusable

_WIDE = frozenset("WF")


@contextmanager
def explained() -> Iterator[None]:
    """Print what the store could not do, in place of a traceback."""
    try:
        yield
    except StoreUnusable as exc:
        print_fault(str(exc))


def database(arguments: argparse.Namespace) -> Path:
    """Return the database file that `--config` and `--data-dir` stand for.

    Raises:
        ConfigError: If they stand for none.
    """
    options = {} if arguments.data_dir is None else {"data_dir": arguments.data_dir}
    data_dir = load_data_dir(arguments.config, os.environ, options)
    return ServerSettings(data_dir=data_dir).database


def existing_database(arguments: argparse.Namespace, missing: str) -> Path:
    """Return the same file, of which there has to be one.

    Args:
        arguments: See `database`.
        missing: What is said where there is none: `are no books`.

    Raises:
        ConfigError: See `database`.
        StoreUnusable: If there is none.
    """
    path = database(arguments)
    if not path.exists():
        raise StoreUnusable(f"there {missing} in {path.parent}; name the server's --data-dir")
    return path


def server_url(config: Path | None) -> str:
    """Return the address of the server that a configuration is of.

    Raises:
        ConfigError: If the configuration has faults.
    """
    server = load(config, os.environ).server
    scheme = "https" if server.tls_cert else "http"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # noqa: S104 -- compared, not bound
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.port}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns that are as wide as their widest cell."""
    widths = [max(map(_columns, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell + " " * (width - _columns(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def _columns(text: str) -> int:
    """Return how many columns of a terminal a text takes; a Hangul syllable takes two."""
    return sum(
        0
        if unicodedata.combining(character)
        else 1 + (unicodedata.east_asian_width(character) in _WIDE)
        for character in text
    )
