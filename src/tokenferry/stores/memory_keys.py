"""The in-memory store of API keys, for tests of whatever needs a `KeyStore`."""

from dataclasses import replace

from tokenferry.domain.api_key import KeyRecord
from tokenferry.engine.keys import KeyExists


class MemoryKeys:
    """Keys that live as long as the process."""

    def __init__(self) -> None:
        self._records: dict[str, KeyRecord] = {}
        self._versions: dict[str, int] = {}
        self._version = 0

    def create(self, name: str, public_id: str, secret_hash: bytes, created_at_ms: int) -> None:
        """Store a new key; see `KeyStore`."""
        if public_id in self._records:
            raise KeyExists(public_id)
        self._write(KeyRecord(public_id, name, secret_hash, created_at_ms))

    def find(self, public_id: str) -> KeyRecord | None:
        """Return one key, revoked or not, or None."""
        return self._records.get(public_id)

    def all(self) -> list[KeyRecord]:
        """Return every key, oldest first."""
        return sorted(self._records.values(), key=lambda key: (key.created_at_ms, key.public_id))

    def revoke(self, public_id: str, now_ms: int) -> bool:
        """Revoke a key and return whether it exists; see `KeyStore`."""
        record = self._records.get(public_id)
        if record is not None and record.revoked_at_ms is None:
            self._write(replace(record, revoked_at_ms=now_ms))
        return record is not None

    def is_empty(self) -> bool:
        """Return whether no key was ever created."""
        return not self._records

    def data_version(self) -> int:
        """Return the number of writes so far."""
        return self._version

    def revoked_after(self, version: int) -> list[str]:
        """Return the public ids that were revoked by writes later than `version`."""
        return [
            public_id
            for public_id, written in sorted(self._versions.items(), key=lambda item: item[1])
            if written > version and self._records[public_id].revoked_at_ms is not None
        ]

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _write(self, record: KeyRecord) -> None:
        self._version += 1
        self._records[record.public_id] = record
        self._versions[record.public_id] = self._version
