"""The SQLite store of the operator's own prices.

Source: https://sqlite.org/pragma.html#pragma_data_version (2026-11).
Weakness: that of `sqlite_database`. Reading thousands of prices takes the caller 20 microseconds
for each that has changed.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from tokenferry.domain.price_form import (
    TermsUnusable,
    read_terms,
    write_terms,
)
from tokenferry.domain.price_terms import Terms
from tokenferry.domain.pricing import Price
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.engine.keys import StoreUnusable
from tokenferry.stores import audit_statements
from tokenferry.stores.sqlite_database import Database, explained


class SqlitePrices(Database):
    """Prices in an SQLite file. It belongs to the thread that opened it, unless told otherwise.

    Args:
        path: The database file; see `Database`.
        any_thread: Whether others may use it, one at a time.

    Raises:
        StoreUnusable: If the file cannot be opened, is no database of ours, or was written by a
            newer release.
    """

    def __init__(self, path: Path, *, any_thread: bool = False) -> None:
        self._file_version = -1
        self._write_version = (0, 0)
        # What was read before, by its text: of thousands that were imported few change at once.
        self._read = dict[str, Terms]()
        super().__init__(path, any_thread=any_thread)

    @explained
    def put(self, prices: Sequence[Price], now_ms: int, entry: AuditEntry | None = None) -> None:
        """Store prices, all or none; see `PriceStore`."""
        with self._transaction("IMMEDIATE"):
            # Above all others, whatever the clock says, so that every write is seen.
            _, latest_ms = self._read_version()
            written_ms = max(now_ms, latest_ms + 1)
            self._connection.executemany(
                "INSERT OR REPLACE INTO price (model, valid_from_ms, terms, source, written_ms) "
                "VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        price.model,
                        price.valid_from_ms,
                        json.dumps(write_terms(price.terms), separators=(",", ":")),
                        price.source,
                        written_ms,
                    )
                    for price in prices
                ],
            )
            audit_statements.append(self._connection, entry)
        self._file_version = -1

    @explained
    def remove(
        self, model: str, valid_from_ms: int | None = None, entry: AuditEntry | None = None
    ) -> int:
        """Remove a model's price, or all that it has; see `PriceStore`."""
        with self._transaction("IMMEDIATE"):
            removed = self._connection.execute(
                "DELETE FROM price WHERE model = ? AND (valid_from_ms = ? OR ? IS NULL)",
                (model, valid_from_ms, valid_from_ms),
            ).rowcount
            if removed:
                audit_statements.append(self._connection, entry)
        self._file_version = -1
        return removed

    @explained
    def all(self) -> list[Price]:
        """Return every price, by model and moment."""
        rows = self._connection.execute(
            "SELECT model, valid_from_ms, terms, source FROM price ORDER BY model, valid_from_ms"
        )
        found = [self._price(*row) for row in rows]
        self._read = {text: price.terms for text, price in found}
        return [price for _, price in found]

    @explained
    def data_version(self) -> tuple[int, int]:
        """Return how many prices there are, and when the last one was written.

        SQLite's own data_version changes when another connection has written anything to the
        file; only then, or after a write of ours, is the table asked.
        """
        (file_version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if file_version != self._file_version:
            self._write_version = self._read_version()
            self._file_version = file_version
        return self._write_version

    def _read_version(self) -> tuple[int, int]:
        row = self._connection.execute(
            "SELECT COUNT(*), COALESCE(MAX(written_ms), 0) FROM price"
        ).fetchone()
        return int(row[0]), int(row[1])

    def _price(self, model: str, valid_from_ms: int, text: str, source: str) -> tuple[str, Price]:
        try:
            terms = self._read.get(text) or read_terms(json.loads(text))
        except (ValueError, TermsUnusable) as exc:
            raise StoreUnusable(
                f"{self.path}: the price of {model} cannot be read: {exc}. Set it anew with "
                "`tokenferry prices set`."
            ) from exc
        return text, Price(model, valid_from_ms, terms, source)
