"""The in-memory store of API keys, for tests of whatever needs a `KeyStore`."""

from collections.abc import Callable
from dataclasses import replace

from tokenferry.domain.api_key import UNLIMITED, KeyRecord, KeyTerms
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.engine.keys import KeyExists, LimitChange


class MemoryKeys:
    """Keys that live as long as the process.

    Attributes:
        entries: What was written of the audit trail.
    """

    def __init__(self) -> None:
        self._records: dict[str, KeyRecord] = {}
        self._versions: dict[str, int] = {}
        self._version = 0
        self.entries: list[AuditEntry] = []

    def create(
        self,
        name: str,
        public_id: str,
        secret_hash: bytes,
        created_at_ms: int,
        terms: KeyTerms = UNLIMITED,
    ) -> None:
        """Store a new key; see `KeyStore`."""
        if public_id in self._records:
            raise KeyExists(public_id)
        self._write(KeyRecord(public_id, name, secret_hash, created_at_ms, None, terms))

    def find(self, public_id: str) -> KeyRecord | None:
        """Return one key, revoked or not, or None."""
        return self._records.get(public_id)

    def all(self) -> list[KeyRecord]:
        """Return every key, oldest first."""
        return sorted(self._records.values(), key=lambda key: (key.created_at_ms, key.public_id))

    def of_account(self, account_id: str) -> list[KeyRecord]:
        """Return every key of an account, oldest first."""
        return [record for record in self.all() if record.terms.account_id == account_id]

    def change(self, public_id: str, name: str, terms: KeyTerms) -> bool:
        """Give a key another name and other terms; see `KeyStore`."""
        record = self._records.get(public_id)
        if record is not None:
            before = record.terms
            limits = replace(before.limits, owner=terms.limits.owner)
            kept = replace(terms, account_id=before.account_id, limits=limits)
            self._write(replace(record, name=name, terms=kept))
        return record is not None

    def limit(
        self, public_id: str, change: Callable[[KeyRecord], LimitChange]
    ) -> LimitChange | None:
        """Give a key other limits of the operator's; see `KeyStore`."""
        record = self._records.get(public_id)
        if record is None:
            return None
        changed = change(record)
        if changed.limits != record.terms.limits:
            limits = replace(changed.limits, owner=record.terms.limits.owner)
            terms = replace(record.terms, limits=limits)
            self._write(replace(record, terms=terms), changed.entry)
        return changed

    def suspend(self, account_id: str, *, suspended: bool) -> None:
        """Mark an account's keys, as the store of accounts does in a database."""
        for record in self.of_account(account_id):
            self._write(replace(record, suspended=suspended))

    def revoke(self, public_id: str, now_ms: int, entry: AuditEntry | None = None) -> bool | None:
        """Revoke a key; see `KeyStore`."""
        record = self._records.get(public_id)
        if record is None:
            return None
        is_good = record.revoked_at_ms is None
        if is_good:
            self._write(replace(record, revoked_at_ms=now_ms), entry)
        return is_good

    def is_empty(self) -> bool:
        """Return whether no key was ever created."""
        return not self._records

    def data_version(self) -> int:
        """Return the number of writes so far."""
        return self._version

    def changed_after(self, version: int) -> list[str]:
        """Return the public ids of what was written later than `version`."""
        written = sorted(self._versions.items(), key=lambda item: item[1])
        return [public_id for public_id, number in written if number > version]

    def expired_between(self, after_ms: int, until_ms: int) -> list[str]:
        """Return the public ids of the keys that expire after the first, until the second."""
        return [
            record.public_id
            for record in self.all()
            if record.terms.expires_at_ms is not None
            and after_ms < record.terms.expires_at_ms <= until_ms
        ]

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _write(self, record: KeyRecord, entry: AuditEntry | None = None) -> None:
        self._version += 1
        self.entries += [] if entry is None else [entry]
        self._records[record.public_id] = record
        self._versions[record.public_id] = self._version
