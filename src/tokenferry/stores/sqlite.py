"""The SQLite store of API keys.

Source: https://sqlite.org/pragma.html#pragma_data_version (2026-11).
Weakness: that of `sqlite_database`; each write is made in the event loop's thread.
"""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenferry.domain.allowance import NO_OWN_LIMITS, GivenLimits, KeyLimits
from tokenferry.domain.api_key import UNLIMITED, KeyRecord, KeyTerms
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.engine.keys import KeyExists, LimitChange, StoreUnusable
from tokenferry.stores import audit_statements
from tokenferry.stores.sqlite_database import Database, explain, explained

_SELECT = (
    "SELECT public_id, name, secret_hash, created_at_ms, revoked_at_ms, k.account_id, models, "
    "budget_nanos, expires_at_ms, owner_requests_per_minute, owner_tokens_per_minute, "
    "owner_streams_max, requests_per_minute, tokens_per_minute, streams_max, has_priority, "
    "COALESCE(state = 'suspended', 0) "
    "FROM api_key k LEFT JOIN account a ON a.account_id = k.account_id"
)
_NEXT_VERSION = "(SELECT COALESCE(MAX(version), 0) + 1 FROM api_key)"


class SqliteKeys(Database):
    """Keys in an SQLite file. It belongs to the thread that opened it, unless told otherwise.

    Args:
        path: The database file; it is created, readable by its owner alone, and so is its
            directory. What already exists keeps its mode.
        any_thread: Whether others may use it, one at a time.

    Raises:
        StoreUnusable: If the file cannot be opened, is no database of ours, or was written by a
            newer release.
    """

    def __init__(self, path: Path, *, any_thread: bool = False) -> None:
        self._write_version = 0
        self._file_version = -1
        super().__init__(path, any_thread=any_thread)

    @explained
    def create(
        self,
        name: str,
        public_id: str,
        secret_hash: bytes,
        created_at_ms: int,
        terms: KeyTerms = UNLIMITED,
    ) -> None:
        """Store a new key; see `KeyStore`."""
        insert = (
            "INSERT INTO api_key (public_id, name, secret_hash, created_at_ms, account_id, models, "  # noqa: S608 -- constants only
            "budget_nanos, expires_at_ms, owner_requests_per_minute, owner_tokens_per_minute, "
            "owner_streams_max, requests_per_minute, tokens_per_minute, streams_max, "
            "has_priority, version) "
            f"VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {_NEXT_VERSION})"
        )
        limits = terms.limits
        row = (public_id, name, secret_hash, created_at_ms, terms.account_id, *_owned(terms),
               *_numbers(limits.operator), limits.has_priority)  # fmt: skip
        try:
            self._connection.execute(insert, row)
        except sqlite3.IntegrityError as exc:
            if self.find(public_id) is None:
                raise
            raise KeyExists(public_id) from exc
        self._file_version = -1

    @explained
    def find(self, public_id: str) -> KeyRecord | None:
        """Return one key, revoked or not, or None."""
        found = self._select("WHERE public_id = ?", public_id)
        return found[0] if found else None

    @explained
    def all(self) -> list[KeyRecord]:
        """Return every key, oldest first."""
        return self._select("ORDER BY created_at_ms, public_id")

    @explained
    def of_account(self, account_id: str) -> list[KeyRecord]:
        """Return every key of an account, oldest first."""
        return self._select("WHERE k.account_id = ? ORDER BY created_at_ms, public_id", account_id)

    @explained
    def change(self, public_id: str, name: str, terms: KeyTerms) -> bool:
        """Give a key another name and other terms; see `KeyStore`."""
        changed = self._connection.execute(
            "UPDATE api_key SET name = ?, models = ?, budget_nanos = ?, expires_at_ms = ?, "  # noqa: S608 -- constants only
            "owner_requests_per_minute = ?, owner_tokens_per_minute = ?, owner_streams_max = ?, "
            f"version = {_NEXT_VERSION} WHERE public_id = ?",
            (name, *_owned(terms), public_id),
        )
        self._file_version = -1
        return changed.rowcount > 0

    @explained
    def limit(
        self, public_id: str, change: Callable[[KeyRecord], LimitChange]
    ) -> LimitChange | None:
        """Give a key other limits of the operator's; see `KeyStore`."""
        with self._transaction("IMMEDIATE"):
            record = self.find(public_id)
            if record is None:
                return None
            changed = change(record)
            if changed.limits != record.terms.limits:
                self._connection.execute(
                    "UPDATE api_key SET requests_per_minute = ?, tokens_per_minute = ?, "  # noqa: S608 -- constants only
                    f"streams_max = ?, has_priority = ?, version = {_NEXT_VERSION} "
                    "WHERE public_id = ?",
                    (*_numbers(changed.limits.operator), changed.limits.has_priority, public_id),
                )
                audit_statements.append(self._connection, changed.entry)
        self._file_version = -1
        return changed

    @explained
    def revoke(self, public_id: str, now_ms: int, entry: AuditEntry | None = None) -> bool | None:
        """Revoke a key; see `KeyStore`."""
        with self._transaction("IMMEDIATE"):
            revoked = self._connection.execute(
                f"UPDATE api_key SET revoked_at_ms = ?, version = {_NEXT_VERSION} "  # noqa: S608 -- constants only
                "WHERE public_id = ? AND revoked_at_ms IS NULL",
                (now_ms, public_id),
            ).rowcount
            if revoked:
                audit_statements.append(self._connection, entry)
            found = self.find(public_id)
        self._file_version = -1
        return None if found is None else revoked > 0

    @explained
    def is_empty(self) -> bool:
        """Return whether no key was ever created."""
        row = self._connection.execute("SELECT NOT EXISTS (SELECT 1 FROM api_key)").fetchone()
        return bool(row[0])

    def data_version(self) -> int:
        """Return the number of writes to the keys; see `KeyStore`.

        SQLite's own data_version changes when another connection has written anything to the
        file; only then, or after a write of ours, is the table asked. Not decorated: it is called
        for every request.
        """
        try:
            (file_version,) = self._connection.execute("PRAGMA data_version").fetchone()
            if file_version != self._file_version:
                self._write_version = self._read_version()
                self._file_version = file_version
        except sqlite3.Error as exc:
            raise StoreUnusable(explain(self.path, exc)) from exc
        return self._write_version

    @explained
    def changed_after(self, version: int) -> list[str]:
        """Return the public ids of what was written later than `version`."""
        rows = self._connection.execute(
            "SELECT public_id FROM api_key WHERE version > ? ORDER BY version", (version,)
        )
        return [public_id for (public_id,) in rows]

    @explained
    def expired_between(self, after_ms: int, until_ms: int) -> list[str]:
        """Return the public ids of the keys that expire after the first, until the second."""
        rows = self._connection.execute(
            "SELECT public_id FROM api_key WHERE expires_at_ms > ? AND expires_at_ms <= ? "
            "ORDER BY created_at_ms, public_id",
            (after_ms, until_ms),
        )
        return [public_id for (public_id,) in rows]

    def _select(self, rest: str, *values: object) -> list[KeyRecord]:
        return [_record(row) for row in self._connection.execute(f"{_SELECT} {rest}", values)]

    def _read_version(self) -> int:
        row = self._connection.execute("SELECT COALESCE(MAX(version), 0) FROM api_key").fetchone()
        return int(row[0])


def _record(row: tuple[Any, ...]) -> KeyRecord:
    public_id, name, secret_hash, created_at_ms, revoked_at_ms, account_id, models, *rest = row
    budget_nanos, expires_at_ms, *numbers, priority, suspended = rest
    allowed = None if models is None else tuple(json.loads(models))
    limits = KeyLimits(GivenLimits(*numbers[3:]), GivenLimits(*numbers[:3]), bool(priority))
    return KeyRecord(
        public_id,
        name,
        secret_hash,
        created_at_ms,
        revoked_at_ms,
        KeyTerms(
            account_id,
            allowed,
            budget_nanos,
            expires_at_ms,
            NO_OWN_LIMITS if limits == NO_OWN_LIMITS else limits,
        ),
        bool(suspended),
    )


def _owned(terms: KeyTerms) -> tuple[str | int | None, ...]:
    """Return the part of the terms that is the owner's to say."""
    models = None if terms.models is None else json.dumps(terms.models, ensure_ascii=False)
    return models, terms.budget_nanos, terms.expires_at_ms, *_numbers(terms.limits.owner)


def _numbers(given: GivenLimits) -> tuple[int | None, ...]:
    return given.requests_per_minute, given.tokens_per_minute, given.streams_max
