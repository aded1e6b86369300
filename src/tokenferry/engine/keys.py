"""Who is asking: the store of API keys as a port, and the authenticator in front of it.

The authenticator keeps what it read in memory and asks the store whether anything was written
since, unless it did so a moment ago. A key that another process revokes is therefore refused
within `FRESH_S`.

Weakness: the question goes to the store in the caller's thread. With SQLite it takes about five
microseconds; a store on the network needs a notification in its place.
"""

import hmac
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from tokenferry.domain.allowance import NO_OWN_LIMITS, KeyLimits
from tokenferry.domain.api_key import (
    RANDOM_BYTES,
    UNLIMITED,
    KeyRecord,
    KeyTerms,
    format_key,
    hash_secret,
    key_from_random,
    require_key,
)
from tokenferry.domain.ledger import OPERATOR
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.engine.bad_keys import BadKeys
from tokenferry.errors import AccountSuspended, InvalidKey, KeyExpired, TokenferryError

# About 300 bytes each. At the limit the memory is emptied and fills again from the store.
CACHED_KEYS_MAX = 10_000
FIRST_KEY_NAME = "first"
# An upgrade and the first request on it come closer together than anybody can revoke a key.
FRESH_S = 0.01

_INVALID = (
    "The API key is not valid here: it is unknown or revoked. "
    "Ask the operator of this gateway for another one."
)
_SUSPENDED = "The account is suspended. Ask the operator of this gateway why."
_EXPIRED = "The API key was good until a day that has passed. Make another one."
_NS_PER_MS = 1_000_000
# Compared with in place of an unknown key's hash, so that both refusals do the same work.
_NO_HASH = bytes(32)


class StoreUnusable(Exception):
    """The store of keys cannot be read or written; the message says why and what to do."""


class KeyExists(Exception):
    """The public id is taken."""


class LimitChange(NamedTuple):
    """What a key's limits are to be.

    Attributes:
        limits: All of them; those of its owner are not written.
        entry: What an administrator's change leaves in the audit trail.
    """

    limits: KeyLimits
    entry: AuditEntry | None = None


class KeyStore(Protocol):
    """Where keys are kept. Every method may raise `StoreUnusable`."""

    def create(
        self,
        name: str,
        public_id: str,
        secret_hash: bytes,
        created_at_ms: int,
        terms: KeyTerms = UNLIMITED,
    ) -> None:
        """Store a new key; it is durable on return.

        Raises:
            KeyExists: If the public id is taken.
        """

    def find(self, public_id: str) -> KeyRecord | None:
        """Return one key, revoked or not, or None."""

    def all(self) -> list[KeyRecord]:
        """Return every key, oldest first."""

    def of_account(self, account_id: str) -> list[KeyRecord]:
        """Return every key of an account, oldest first."""

    def change(self, public_id: str, name: str, terms: KeyTerms) -> bool:
        """Give a key another name and other terms, durably, and return whether it exists.

        Its account and what the operator has given it stay the same, whatever the terms say: this
        is what owners do.
        """

    def limit(
        self, public_id: str, change: Callable[[KeyRecord], LimitChange]
    ) -> LimitChange | None:
        """Give a key other limits of the operator's, durably; return them, None if there is no key.

        `change` is called with the key as it is, and nobody else's change comes between that and
        the write. Limits of the owner's stay the same, whatever it says. Its entry is written with
        the limits; when they are as they were, nothing is written.
        """

    def revoke(self, public_id: str, now_ms: int, entry: AuditEntry | None = None) -> bool | None:
        """Revoke a key, durably and with the entry; return whether it was good until now.

        Revoking it again changes nothing, not even the time, and writes no entry. None if there is
        no such key.
        """

    def is_empty(self) -> bool:
        """Return whether no key was ever created."""

    def data_version(self) -> int:
        """Return a number that grows with every write to the keys, by whichever process."""

    def changed_after(self, version: int) -> list[str]:
        """Return the public ids of what was written later than `version`, oldest write first.

        A suspension of an account, and its end, is a write to all of its keys.
        """

    def expired_between(self, after_ms: int, until_ms: int) -> list[str]:
        """Return the public ids of the keys that expire after the first, until the second."""

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
        limits: What it may have a minute and at a time, apart from what keys have as a rule.
        is_guest: Whether it is none, but stands for a browser without one.
    """

    public_id: str
    name: str
    account_id: str = OPERATOR
    models: frozenset[str] | None = None
    budget_nanos: int | None = None
    limits: KeyLimits = NO_OWN_LIMITS
    is_guest: bool = False

    def may_ask_for(self, model: str) -> bool:
        """Return whether it may ask for a model by this name."""
        return self.models is None or model in self.models

    @property
    def is_limited(self) -> bool:
        """Whether what it asks for must be covered by credit."""
        return self.account_id != OPERATOR

    @property
    def has_priority(self) -> bool:
        """Whether it may ask for the service tier `priority`."""
        return self.limits.has_priority or not (self.is_limited or self.is_guest)


class GuestBook(Protocol):
    """Who is there without a key; see `engine.guests`."""

    def known(self, public_id: str) -> Key | None:
        """Return the guest of this public id; None if it is the id of a key."""


class Lost(NamedTuple):
    """A key that is good no longer, and why."""

    public_id: str
    error: TokenferryError


def _wall_ms() -> int:
    return time.time_ns() // _NS_PER_MS


class Authenticator:
    """Tells who is asking.

    Args:
        store: Where the keys are kept.
        clock: Monotonic seconds.
        wall_ms: Unix time.
        bad_keys: Who sends wrong ones; None for no limit.
        guests: Who is there without one; None if nobody may be.
    """

    def __init__(
        self,
        store: KeyStore,
        clock: Callable[[], float],
        wall_ms: Callable[[], int] = _wall_ms,
        bad_keys: BadKeys | None = None,
        guests: GuestBook | None = None,
    ) -> None:
        self._guests = guests
        self._store = store
        self._clock = clock
        self._wall_ms = wall_ms
        self._refreshed_s = clock()
        self._cached_version = store.data_version()
        self._polled_version = self._cached_version
        self._polled_ms = wall_ms()
        self._cache: dict[str, KeyRecord] = {}
        # Tokens whose secret was found right, by their hash: most callers come again and again.
        self._good: dict[bytes, str] = {}
        # Those that were ever good: what others of their network send does not shut them out.
        self._known: set[bytes] = set()
        self._bad_keys = bad_keys or BadKeys(0, clock)

    def authenticate(self, token: str, network: Callable[[], str] | None = None) -> Key:
        """Return the key that the token is.

        Args:
            token: What the client sent.
            network: Returns where it came from; asked only if the token is not at hand.

        Raises:
            MalformedKey: If the token does not have the form of a key.
            InvalidKey: If the key is unknown, revoked, or its secret wrong.
            KeyExpired: If it was good until a day that has passed.
            AccountSuspended: If its account is suspended.
            TooManyBadKeys: If too many wrong ones came from this network; it is not looked up.
            StoreUnusable: If the store fails.
        """
        self._refresh()
        # A header may hold bytes that no hash takes as text; no key has any but ASCII.
        token_hash = hash_secret(token) if token.isascii() else b""
        if (known := self._good.get(token_hash)) is not None:
            return self._usable(self._find(known))
        parsed = require_key(token)
        origin = "" if network is None else network()
        if origin and token_hash not in self._known:
            self._bad_keys.check(origin)
        record = self._find(parsed.public_id)
        known_hash = record.secret_hash if record else _NO_HASH
        same = hmac.compare_digest(hash_secret(parsed.secret), known_hash)
        try:
            key = self._usable(record if same else None)
        except InvalidKey:
            if origin:
                self._bad_keys.count(origin)
            raise
        for cache in (self._good, self._known):
            if len(cache) >= CACHED_KEYS_MAX:
                cache.clear()
        self._good[token_hash] = key.public_id
        self._known.add(token_hash)
        return key

    def check(self, public_id: str) -> Key:
        """Return a key that once authenticated as it is now: its terms may have changed.

        Raises:
            InvalidKey: If it has been revoked.
            KeyExpired: If it has expired.
            AccountSuspended: If its account is suspended.
            StoreUnusable: If the store fails.
        """
        guest = self._guests and self._guests.known(public_id)
        if guest:
            return guest
        self._refresh()
        return self._usable(self._find(public_id))

    def lost_since_last_poll(self) -> list[Lost]:
        """Return the keys that were revoked, suspended or expired since the last call.

        Raises:
            StoreUnusable: If the store fails; the next call reports what this one could not.
        """
        version, now_ms = self._store.data_version(), self._wall_ms()
        ids: list[str] = []
        if version != self._polled_version:
            self._forget(version)
            ids += self._store.changed_after(self._polled_version)
        ids += self._store.expired_between(self._polled_ms, now_ms)
        lost = []
        for public_id in dict.fromkeys(ids):
            try:
                self._usable(self._find(public_id))
            except TokenferryError as exc:
                lost.append(Lost(public_id, exc))
        self._polled_version, self._polled_ms = version, now_ms
        return lost

    def _usable(self, record: KeyRecord | None) -> Key:
        if record is None or record.revoked_at_ms is not None:
            raise InvalidKey(_INVALID)
        terms = record.terms
        if record.suspended:
            raise AccountSuspended(_SUSPENDED)
        if terms.expires_at_ms is not None and self._wall_ms() >= terms.expires_at_ms:
            raise KeyExpired(_EXPIRED)
        models = None if terms.models is None else frozenset(terms.models)
        return Key(
            record.public_id,
            record.name,
            terms.account_id,
            models,
            terms.budget_nanos,
            terms.limits,
        )

    def _forget(self, version: int) -> None:
        self._cache.clear()
        self._good.clear()
        self._cached_version = version

    def _refresh(self) -> None:
        """Forget everything if anything was written since."""
        now_s = self._clock()
        if now_s - self._refreshed_s < FRESH_S:
            return
        self._refreshed_s = now_s
        version = self._store.data_version()
        if version != self._cached_version:
            self._forget(version)

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
    store: KeyStore,
    name: str,
    now_ms: int,
    token_source: Callable[[int], bytes],
    terms: KeyTerms = UNLIMITED,
) -> str:
    """Create a key and return its text, which cannot be had again.

    Args:
        store: Where it is kept.
        name: From `clean_name`.
        now_ms: Unix time.
        token_source: Returns that many random bytes, as `secrets.token_bytes` does.
        terms: What it may do.

    Raises:
        KeyExists: If the random bytes were not so random; nothing was changed.
        StoreUnusable: If the store fails.
    """
    key = key_from_random(token_source(RANDOM_BYTES))
    store.create(name, key.public_id, hash_secret(key.secret), now_ms, terms)
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
