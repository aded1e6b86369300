"""The authenticator: who may come in, and how soon a revocation holds."""

from collections.abc import Callable
from itertools import count

import pytest

from tokenferry.domain.allowance import GivenLimits, KeyLimits
from tokenferry.domain.api_key import RANDOM_BYTES, KeyTerms, format_key, hash_secret, parse_key
from tokenferry.engine import keys
from tokenferry.engine.bad_keys import BadKeys
from tokenferry.engine.guests import SECRET_BYTES, Guests
from tokenferry.engine.keys import (
    FIRST_KEY_NAME,
    Authenticator,
    Key,
    LimitChange,
    StoreUnusable,
    create_key,
    ensure_first_key,
)
from tokenferry.errors import AccountSuspended, InvalidKey, KeyExpired, MalformedKey, TooManyBadKeys
from tokenferry.stores.memory_keys import MemoryKeys


class CountingKeys(MemoryKeys):
    """A store that counts its reads, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.finds = 0
        self.polls = 0
        self.failing = False

    def find(self, public_id: str) -> keys.KeyRecord | None:
        self.finds += 1
        return super().find(public_id)

    def changed_after(self, version: int) -> list[str]:
        self.polls += 1
        if self.failing:
            raise StoreUnusable("the disk is gone")
        return super().changed_after(version)


def each_call_later() -> Callable[[], float]:
    """Return a clock by which so much time passes between two calls that nothing is fresh."""
    return count().__next__


@pytest.fixture
def store() -> CountingKeys:
    return CountingKeys()


def make(store: MemoryKeys, number: int = 1) -> str:
    return create_key(store, "김철수", 1, lambda count: bytes([number]) * count)


def lost(authenticator: Authenticator) -> list[str]:
    return [public_id for public_id, _ in authenticator.lost_since_last_poll()]


def public_id(token: str) -> str:
    parsed = parse_key(token)
    assert parsed is not None
    return parsed.public_id


def test_a_key_that_was_created_comes_in(store: CountingKeys) -> None:
    token = make(store)
    assert Authenticator(store, each_call_later()).authenticate(token) == Key(
        public_id(token), "김철수"
    )


def test_only_the_hash_of_the_secret_is_stored(store: CountingKeys) -> None:
    token = make(store)
    parsed = parse_key(token)
    assert parsed is not None
    record = store.find(parsed.public_id)
    assert record is not None
    assert record.secret_hash == hash_secret(parsed.secret)
    assert parsed.secret not in repr(record)


def test_a_wrong_form_is_not_looked_up(store: CountingKeys) -> None:
    authenticator = Authenticator(store, each_call_later())
    for token in ("", "sk-abc", make(store)[:-1], "undefined"):
        with pytest.raises(MalformedKey):
            authenticator.authenticate(token)
    assert store.finds == 0


def test_unknown_revoked_and_wrong_secret_read_the_same(store: CountingKeys) -> None:
    authenticator = Authenticator(store, each_call_later())
    revoked, good = make(store, 1), make(store, 2)
    store.revoke(public_id(revoked), 5)
    unknown = format_key("A" * 12, "b" * 32)
    wrong_secret = format_key(public_id(good), "b" * 32)
    messages = set()
    for token in (unknown, revoked, wrong_secret):
        with pytest.raises(InvalidKey) as caught:
            authenticator.authenticate(token)
        messages.add(caught.value.message)
    assert len(messages) == 1
    assert "unknown or revoked" in messages.pop()
    assert authenticator.authenticate(good).public_id == public_id(good)


def test_the_store_is_read_once_a_key(store: CountingKeys) -> None:
    authenticator = Authenticator(store, each_call_later())
    token = make(store)
    for _ in range(3):
        authenticator.authenticate(token)
        authenticator.check(public_id(token))
    assert store.finds == 1


def test_unknown_keys_are_not_remembered(store: CountingKeys) -> None:
    authenticator = Authenticator(store, each_call_later())
    for _ in range(3):
        with pytest.raises(InvalidKey):
            authenticator.authenticate(format_key("A" * 12, "b" * 32))
    assert store.finds == 3
    assert authenticator._cache == {}


def test_a_revocation_holds_from_the_next_call_on(store: CountingKeys) -> None:
    authenticator = Authenticator(store, each_call_later())
    token = make(store)
    authenticator.authenticate(token)
    store.revoke(public_id(token), 5)
    with pytest.raises(InvalidKey):
        authenticator.check(public_id(token))
    with pytest.raises(InvalidKey):
        authenticator.authenticate(token)


def test_a_key_that_was_created_later_comes_in(store: CountingKeys) -> None:
    authenticator = Authenticator(store, each_call_later())
    token = make(store)
    assert authenticator.authenticate(token).name == "김철수"


def test_check_refuses_an_unknown_id(store: CountingKeys) -> None:
    with pytest.raises(InvalidKey):
        Authenticator(store, each_call_later()).check("nobody")


@pytest.mark.parametrize(("more", "left"), [(-1, 2), (0, 3), (1, 1)])
def test_the_memory_has_a_limit(
    store: CountingKeys, monkeypatch: pytest.MonkeyPatch, more: int, left: int
) -> None:
    monkeypatch.setattr(keys, "CACHED_KEYS_MAX", 3)
    authenticator = Authenticator(store, each_call_later())
    for token in [make(store, number) for number in range(3 + more)]:
        authenticator.authenticate(token)
    assert len(authenticator._cache) == left


def test_each_revocation_is_reported_once(store: CountingKeys) -> None:
    tokens = [make(store, number) for number in range(3)]
    store.revoke(public_id(tokens[0]), 2)
    authenticator = Authenticator(store, each_call_later())
    # What was revoked before the start has no live socket.
    assert lost(authenticator) == []
    store.revoke(public_id(tokens[2]), 3)
    store.revoke(public_id(tokens[1]), 3)
    expected = [public_id(tokens[2]), public_id(tokens[1])]
    assert lost(authenticator) == expected
    assert lost(authenticator) == []


def test_authenticating_does_not_use_up_the_report(store: CountingKeys) -> None:
    authenticator = Authenticator(store, each_call_later())
    token = make(store)
    authenticator.authenticate(token)
    store.revoke(public_id(token), 2)
    with pytest.raises(InvalidKey):
        authenticator.check(public_id(token))
    assert lost(authenticator) == [public_id(token)]


def test_a_poll_without_writes_reads_nothing(store: CountingKeys) -> None:
    authenticator = Authenticator(store, each_call_later())
    for _ in range(5):
        authenticator.lost_since_last_poll()
    assert store.polls == 0


def test_a_failed_poll_loses_nothing(store: CountingKeys) -> None:
    authenticator = Authenticator(store, each_call_later())
    token = make(store)
    store.revoke(public_id(token), 2)
    store.failing = True
    with pytest.raises(StoreUnusable):
        authenticator.lost_since_last_poll()
    store.failing = False
    assert lost(authenticator) == [public_id(token)]


def test_the_first_key_is_created_once() -> None:
    store = MemoryKeys()
    asked: list[int] = []

    def token_source(count: int) -> bytes:
        asked.append(count)
        return bytes(count)

    token = ensure_first_key(store, 7, token_source)
    assert token is not None
    assert asked == [RANDOM_BYTES]
    record = store.find(public_id(token))
    assert record is not None
    assert (record.name, record.created_at_ms) == (FIRST_KEY_NAME, 7)
    assert Authenticator(store, each_call_later()).authenticate(token).name == FIRST_KEY_NAME
    assert ensure_first_key(store, 8, token_source) is None
    store.revoke(public_id(token), 9)
    assert ensure_first_key(store, 10, token_source) is None
    assert len(store.all()) == 1


@pytest.mark.parametrize("token", ["열쇠", "\udcff\udcfe", "tf_\udc80", ""])
def test_a_token_of_any_bytes_is_malformed_and_no_crash(token: str) -> None:
    store = MemoryKeys()
    with pytest.raises(MalformedKey):
        Authenticator(store, each_call_later()).authenticate(token)


def test_what_was_read_a_moment_ago_is_not_read_again(store: CountingKeys) -> None:
    token = create_key(store, "a", 0, bytes)
    now_s = 100.0
    authenticator = Authenticator(store, lambda: now_s)
    now_s += 2 * keys.FRESH_S
    authenticator.authenticate(token)
    store.revoke(public_id(token), 1)
    now_s += keys.FRESH_S / 2
    authenticator.authenticate(token)
    now_s += keys.FRESH_S
    with pytest.raises(InvalidKey):
        authenticator.authenticate(token)


class TestTerms:
    TERMS = KeyTerms("acc_1", ("a", "b"), 5, 1_000)

    def site(
        self, store: MemoryKeys, terms: KeyTerms = TERMS, now_ms: int = 0
    ) -> tuple[Authenticator, str, list[int]]:
        """Return an authenticator, a token, and the wall clock, which can be set."""
        wall = [now_ms]
        token = create_key(store, "n", 1, bytes, terms)
        return Authenticator(store, each_call_later(), lambda: wall[0]), token, wall

    def test_the_key_has_them(self, store: CountingKeys) -> None:
        authenticator, token, _ = self.site(store)
        key = authenticator.authenticate(token)
        assert key == Key(public_id(token), "n", "acc_1", frozenset("ab"), 5)
        assert authenticator.check(key.public_id) == key
        assert [key.may_ask_for(model) for model in ("a", "b", "c")] == [True, True, False]
        assert key.is_limited

    def test_changed_terms_hold_from_the_next_call_on(self, store: CountingKeys) -> None:
        authenticator, token, _ = self.site(store)
        authenticator.authenticate(token)
        store.change(public_id(token), "m", KeyTerms(budget_nanos=7))
        expected = Key(public_id(token), "m", "acc_1", None, 7)
        assert authenticator.authenticate(token) == expected
        assert authenticator.check(public_id(token)) == expected
        assert lost(authenticator) == []

    def test_a_key_expires_while_it_is_remembered(self, store: CountingKeys) -> None:
        authenticator, token, wall = self.site(store, now_ms=999)
        reads = [authenticator.authenticate(token) and store.finds for _ in range(2)]
        assert reads == [1, 1]
        assert lost(authenticator) == []
        wall[0] = 1_000
        with pytest.raises(KeyExpired):
            authenticator.authenticate(token)
        with pytest.raises(KeyExpired):
            authenticator.check(public_id(token))
        (found,) = authenticator.lost_since_last_poll()
        assert found.public_id == public_id(token)
        assert isinstance(found.error, KeyExpired)
        assert lost(authenticator) == []

    def test_an_expiry_that_is_moved_into_the_past_is_reported(self, store: CountingKeys) -> None:
        authenticator, token, _ = self.site(store, KeyTerms(), now_ms=500)
        store.change(public_id(token), "n", KeyTerms(expires_at_ms=499))
        assert lost(authenticator) == [public_id(token)]

    def test_an_expiry_that_is_put_off_in_time_is_not_reported(self, store: CountingKeys) -> None:
        authenticator, token, wall = self.site(store)
        store.change(public_id(token), "n", KeyTerms(expires_at_ms=2_000))
        wall[0] = 1_500
        assert lost(authenticator) == []
        assert authenticator.authenticate(token)

    def test_a_suspension_and_its_end(self, store: CountingKeys) -> None:
        authenticator, token, _ = self.site(store)
        authenticator.authenticate(token)
        store.suspend("acc_1", suspended=True)
        with pytest.raises(AccountSuspended):
            authenticator.authenticate(token)
        with pytest.raises(AccountSuspended):
            authenticator.check(public_id(token))
        (found,) = authenticator.lost_since_last_poll()
        assert isinstance(found.error, AccountSuspended)
        store.suspend("acc_1", suspended=False)
        assert authenticator.authenticate(token)
        assert lost(authenticator) == []

    def test_a_wrong_secret_is_told_nothing(self, store: CountingKeys) -> None:
        authenticator, token, _ = self.site(store)
        store.suspend("acc_1", suspended=True)
        with pytest.raises(InvalidKey):
            authenticator.authenticate(format_key(public_id(token), "b" * 32))

    def test_a_revoked_key_of_a_suspended_account_is_revoked(self, store: CountingKeys) -> None:
        authenticator, token, _ = self.site(store)
        store.suspend("acc_1", suspended=True)
        store.revoke(public_id(token), 2)
        with pytest.raises(InvalidKey):
            authenticator.authenticate(token)


class TestFloods:
    """Wrong keys, one after the other."""

    def authenticator(self, store: MemoryKeys, per_minute: int = 2) -> Authenticator:
        # For the limit no time passes; the store is looked into each time.
        return Authenticator(store, each_call_later(), bad_keys=BadKeys(per_minute, lambda: 500.0))

    def test_a_malformed_key_is_looked_up_nowhere_and_not_counted(
        self, store: CountingKeys
    ) -> None:
        authenticator = self.authenticator(store)
        for _ in range(10):
            with pytest.raises(MalformedKey):
                authenticator.authenticate("sk-1", lambda: "net")
        assert store.finds == 0
        authenticator.authenticate(make(store), lambda: "net")

    def test_after_too_many_unknown_ones_none_is_looked_up(self, store: CountingKeys) -> None:
        authenticator = self.authenticator(store)
        for number in range(1, 3):
            unknown = make(MemoryKeys(), number)
            with pytest.raises(InvalidKey):
                authenticator.authenticate(unknown, lambda: "net")
        finds = store.finds
        for number in range(3, 9):
            unknown = make(MemoryKeys(), number)
            with pytest.raises(TooManyBadKeys):
                authenticator.authenticate(unknown, lambda: "net")
        assert store.finds == finds
        with pytest.raises(InvalidKey):
            authenticator.authenticate(unknown, lambda: "another")

    def test_a_good_key_beside_them_is_served_also_after_a_change_of_keys(
        self, store: CountingKeys
    ) -> None:
        authenticator = self.authenticator(store)
        token = make(store, 7)
        authenticator.authenticate(token, lambda: "net")
        for number in range(1, 3):
            with pytest.raises(InvalidKey):
                authenticator.authenticate(make(MemoryKeys(), number), lambda: "net")
        authenticator.authenticate(token, lambda: "net")
        late = make(store, 8)  # everything that is kept in memory is read anew
        authenticator.authenticate(token, lambda: "net")
        # One that was never here waits as the others do.
        with pytest.raises(TooManyBadKeys):
            authenticator.authenticate(late, lambda: "net")
        authenticator.authenticate(late, lambda: "another")
        authenticator.authenticate(late, lambda: "net")

    def test_a_key_that_is_at_hand_asks_nobody_where_it_comes_from(
        self, store: CountingKeys
    ) -> None:
        authenticator = self.authenticator(store)
        token = make(store)
        authenticator.authenticate(token, lambda: "net")

        def never() -> str:
            raise AssertionError

        authenticator.authenticate(token, never)

    def test_a_revoked_key_counts_as_a_wrong_one(self, store: CountingKeys) -> None:
        authenticator = self.authenticator(store)
        token = make(store)
        store.revoke(public_id(token), 1)
        for _ in range(2):
            with pytest.raises(InvalidKey):
                authenticator.authenticate(token, lambda: "net")
        with pytest.raises(TooManyBadKeys):
            authenticator.authenticate(token, lambda: "net")


def test_a_key_has_its_own_limits_as_they_are_now(store: CountingKeys) -> None:
    limits = KeyLimits(GivenLimits(5, None, 2))
    token = create_key(store, "n", 1, lambda count: bytes([1]) * count, KeyTerms(limits=limits))
    authenticator = Authenticator(store, each_call_later())
    assert authenticator.authenticate(token).limits == limits
    own = KeyLimits(owner=GivenLimits(6))
    store.change(public_id(token), "n", KeyTerms(limits=own))
    assert authenticator.check(public_id(token)).limits == KeyLimits(limits.operator, own.owner)
    given = KeyLimits(has_priority=True)
    store.limit(public_id(token), lambda _: LimitChange(given))
    changed = authenticator.check(public_id(token)).limits
    assert changed == KeyLimits(owner=own.owner, has_priority=True)
    # One object until the next write, by which admissions know that nothing has changed.
    assert authenticator.check(public_id(token)).limits is changed


def test_a_guest_is_checked_without_the_store(store: CountingKeys) -> None:
    guests = Guests("demo", 0, each_call_later())
    _, guest = guests.newcomer(bytes(SECRET_BYTES))
    authenticator = Authenticator(store, each_call_later(), guests=guests)
    assert authenticator.check(guest.public_id) == guest
    assert store.finds == 0
    # Where the operator lets nobody in, whoever was a guest is nobody.
    with pytest.raises(InvalidKey):
        Authenticator(store, each_call_later()).check(guest.public_id)


def test_a_guest_s_text_is_no_key(store: CountingKeys) -> None:
    guests = Guests("demo", 0, each_call_later())
    secret, guest = guests.newcomer(bytes(SECRET_BYTES))
    authenticator = Authenticator(store, each_call_later(), guests=guests)
    for token in (secret, guest.public_id):
        with pytest.raises(MalformedKey):
            authenticator.authenticate(token)
