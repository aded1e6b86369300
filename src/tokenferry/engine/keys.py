"""Who is asking: the store of API keys as a port, and the authenticator in front of it.

The authenticator keeps what it read in memory and asks the store whether anything was written
since, unless it did so a moment ago. A key that another process revokes is therefore refused
within `FRESH_S`.

Weakness: the question goes to the store in the caller's thread. With SQLite it takes about five
microseconds; a store on the network needs a notification in its place.
"""

import hmac
from collections.abc import Callable
from typing import NamedTuple, Protocol

from tokenferry.domain.api_key import (
    RANDOM_BYTES,
    KeyRecord,
    format_key,
    hash_secret,
    key_from_random,
    require_key,
)
from tokenferry.domain.ledger import OPERATOR
from tokenferry.errors import InvalidKey

# About 300 bytes each. At the limit the memory is emptied and fills again from the store.
CACHED_KEYS_MAX = 10_000
FIRST_KEY_NAME = "first"
# An upgrade and the first request on it come closer together than anybody can revoke a key.
FRESH_S = 0.01

_INVALID = (
    "The API key is not valid here: it is unknown or revoked. "
    "Ask the operator of this gateway for another one."
)
# Compared with in place of an unknown key's hash, so that both refusals do the same work.
_NO_HASH = bytes(32)


class StoreUnusable(Exception):
    """The store of keys cannot be read or written; the message says why and what to do."""


class KeyExists(Exception):
    """The public id is taken."""


class KeyStore(Protocol):
    """Where keys are kept. Every method may raise `StoreUnusable`."""

    def create(self, name: str, public_id: str, secret_hash: bytes, created_at_ms: int) -> None:
        """Store a new key; it is durable on return.

        Raises:
            KeyExists: If the public id is taken.
        """

    def find(self, public_id: str) -> KeyRecord | None:
        """Return one key, revoked or not, or None."""

    def all(self) -> list[KeyRecord]:
        """Return every key, oldest first."""

    def revoke(self, public_id: str, now_ms: int) -> bool:
        """Revoke a key, durably, and return whether it exists.

        Revoking it again changes nothing, not even the time.
        """

    def is_empty(self) -> bool:
        """Return whether no key was ever created."""

    def data_version(self) -> int:
        """Return a number that grows with every write to the keys, by whichever process."""

    def revoked_after(self, version: int) -> list[str]:
        """Return the public ids that were revoked by writes later than `version`."""

    def close(self) -> None:
        """Let go of the store; idempotent."""


class Key(NamedTuple):
    """A key that has shown its secret.

    Attributes:
        public_id: Names it.
        name: What its owner calls it.
        account_id: Who pays.
        models: The only model names that it may ask for; None for all.
        budget_nanos: What it may spend in a calendar month, UTC; None for no limit.
    """

    public_id: str
    name: str
    account_id: str = OPERATOR
    models: frozenset[str] | None = None
    budget_nanos: int | None = None

    @property
    def is_limited(self) -> bool:
        """Whether what it asks for must be covered by credit."""
        return self.account_id != OPERATOR


class Authenticator:
    """Tells who is asking.

    Args:
        store: Where the keys are kept.
        clock: Monotonic seconds.
    """

    def __init__(self, store: KeyStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._refreshed_s = clock()
        self._cached_version = store.data_version()
        self._polled_version = self._cached_version
        self._cache: dict[str, KeyRecord] = {}
        # Tokens that were found good, by their hash: most callers come again and again.
        self._good: dict[bytes, Key] = {}

    def authenticate(self, token: str) -> Key:
        """Return the key that the token is.

        Raises:
            MalformedKey: If the token does not have the form of a key.
            InvalidKey: If the key is unknown, revoked, or its secret wrong.
            StoreUnusable: If the store fails.
        """
        self._refresh()
        # A header may hold bytes that no hash takes as text; no key has any but ASCII.
        token_hash = hash_secret(token) if token.isascii() else b""
        if (known := self._good.get(token_hash)) is not None:
            return known
        parsed = require_key(token)
        record = self._find(parsed.public_id)
        known_hash = record.secret_hash if record else _NO_HASH
        same = hmac.compare_digest(hash_secret(parsed.secret), known_hash)
        if record is None or not same or record.revoked_at_ms is not None:
            raise InvalidKey(_INVALID)
        if len(self._good) >= CACHED_KEYS_MAX:
            self._good.clear()
        self._good[token_hash] = key = Key(record.public_id, record.name)
        return key

    def check(self, public_id: str) -> None:
        """Make sure that a key that once authenticated is still good.

        Raises:
            InvalidKey: If it has been revoked.
            StoreUnusable: If the store fails.
        """
        self._refresh()
        record = self._find(public_id)
        if record is None or record.revoked_at_ms is not None:
            raise InvalidKey(_INVALID)

    def revoked_since_last_poll(self) -> list[str]:
        """Return the public ids that were revoked since the last call, by whichever process.

        Raises:
            StoreUnusable: If the store fails; the next call reports what this one could not.
        """
        version = self._store.data_version()
        if version == self._polled_version:
            return []
        revoked = self._store.revoked_after(self._polled_version)
        self._polled_version = version
        return revoked

    def _refresh(self) -> None:
        """Forget everything if anything was written since."""
        now_s = self._clock()
        if now_s - self._refreshed_s < FRESH_S:
            return
        self._refreshed_s = now_s
        version = self._store.data_version()
        if version != self._cached_version:
            self._cache.clear()
            self._good.clear()
            self._cached_version = version

    def _find(self, public_id: str) -> KeyRecord | None:
        record = self._cache.get(public_id)
        if record is None:
            record = self._store.find(public_id)
            # Unknown ids are not remembered: a guesser would fill the memory with them.
            if record is not None:
                if len(self._cache) >= CACHED_KEYS_MAX:
                    self._cache.clear()
                self._cache[public_id] = record
        return record


def create_key(
    store: KeyStore, name: str, now_ms: int, token_source: Callable[[int], bytes]
) -> str:
    """Create a key and return its text, which cannot be had again.

    Args:
        store: Where it is kept.
        name: From `clean_name`.
        now_ms: Unix time.
        token_source: Returns that many random bytes, as `secrets.token_bytes` does.

    Raises:
        KeyExists: If the random bytes were not so random; nothing was changed.
        StoreUnusable: If the store fails.
    """
    key = key_from_random(token_source(RANDOM_BYTES))
    store.create(name, key.public_id, hash_secret(key.secret), now_ms)
    return format_key(key.public_id, key.secret)


def ensure_first_key(
    store: KeyStore, now_ms: int, token_source: Callable[[int], bytes]
) -> str | None:
    """Create a key if there never was one, and return its text; otherwise return None.

    A store whose keys are all revoked is not empty: revoking the last key must not open the door.

    Raises:
        StoreUnusable: If the store fails.
    """
    if not store.is_empty():
        return None
    return create_key(store, FIRST_KEY_NAME, now_ms, token_source)
