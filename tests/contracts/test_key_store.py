"""What every store of keys does, whatever it is made of."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stores.test_sqlite_audit_trail import ENTRY
from tokenferry.domain.allowance import GivenLimits, KeyLimits
from tokenferry.domain.api_key import KeyRecord, KeyTerms
from tokenferry.engine.audit_trail import AuditEntry, AuditFilter
from tokenferry.engine.keys import KeyExists, KeyStore, LimitChange
from tokenferry.stores.memory_keys import MemoryKeys
from tokenferry.stores.sqlite import SqliteKeys
from tokenferry.stores.sqlite_audit_trail import SqliteAuditTrail

HASH = bytes(range(32))
STORES: dict[str, Callable[[Path], KeyStore]] = {
    "memory": lambda _: MemoryKeys(),
    "sqlite": lambda directory: SqliteKeys(directory / "keys.db"),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyStore]:
    store = STORES[request.param](tmp_path)
    yield store
    store.close()


def given_by_operator(
    given: GivenLimits, *, has_priority: bool = False, entry: AuditEntry | None = None
) -> Callable[[KeyRecord], LimitChange]:
    """Return a change of all that the operator has given a key."""
    return lambda record: LimitChange(
        replace(record.terms.limits, operator=given, has_priority=has_priority), entry
    )


def kept(store: KeyStore) -> list[AuditEntry]:
    """Return what the audit trail says, the oldest first."""
    if isinstance(store, MemoryKeys):
        return store.entries
    assert isinstance(store, SqliteKeys)
    with closing(SqliteAuditTrail(store.path)) as trail:
        return [entry for _, entry in reversed(trail.entries(AuditFilter(99)))]


def test_a_new_store_is_empty(store: KeyStore) -> None:
    assert store.is_empty()
    assert store.all() == []
    assert store.find("id") is None
    assert store.changed_after(0) == []


def test_a_created_key_is_found(store: KeyStore) -> None:
    store.create("김철수", "id-1", HASH, 1_700_000_000_000)
    record = KeyRecord("id-1", "김철수", HASH, 1_700_000_000_000, None)
    assert store.find("id-1") == record
    assert store.find("id-2") is None
    assert store.find("ID-1") is None
    assert store.all() == [record]
    assert not store.is_empty()


@pytest.mark.parametrize(
    "limits",
    [
        KeyLimits(),
        KeyLimits(GivenLimits(600, None, 0)),
        KeyLimits(owner=GivenLimits(None, 1_000_000_000, 3)),
        KeyLimits(GivenLimits(0, 0, 0), GivenLimits(1, 2, 3)),
        KeyLimits(GivenLimits(4, 5, 6), GivenLimits(7, None, 9), has_priority=True),
    ],
)
def test_a_keys_limits_are_kept_and_changed(store: KeyStore, limits: KeyLimits) -> None:
    def limits_of(public_id: str) -> KeyLimits:
        record = store.find(public_id)
        assert record is not None
        return record.terms.limits

    store.create("n", "new", HASH, 1, KeyTerms(limits=limits))
    store.create("n", "old", HASH, 1)
    assert limits_of("new") == limits
    assert store.change("old", "n", KeyTerms(limits=limits))
    # Whatever its owner says, and for whom: the operator's are not his to change.
    assert limits_of("old") == KeyLimits(owner=limits.owner)
    change = given_by_operator(limits.operator, has_priority=limits.has_priority)
    assert store.limit("old", change) == LimitChange(limits)
    assert limits_of("old") == limits
    assert store.change("old", "n", KeyTerms())
    assert limits_of("old") == KeyLimits(limits.operator, has_priority=limits.has_priority)
    assert store.limit("new", given_by_operator(GivenLimits()))
    assert limits_of("new") == KeyLimits(owner=limits.owner)


def test_what_the_operator_gives_is_a_write_and_leaves_the_rest(store: KeyStore) -> None:
    store.create("n", "id", HASH, 1, TERMS)
    version = store.data_version()
    given = GivenLimits(1, 2, 3)
    assert store.limit("id", given_by_operator(given)) == LimitChange(KeyLimits(given))
    terms = replace(TERMS, limits=KeyLimits(given))
    assert store.find("id") == KeyRecord("id", "n", HASH, 1, None, terms)
    assert store.changed_after(version) == ["id"]
    version = store.data_version()
    assert store.limit("nobody", given_by_operator(given)) is None
    # The same again is no write.
    assert store.limit("id", given_by_operator(given)) == LimitChange(KeyLimits(given))
    assert store.data_version() == version


def test_limits_that_cannot_be_are_not_written(store: KeyStore) -> None:
    def refused(record: KeyRecord) -> LimitChange:
        raise ValueError(record.public_id)

    store.create("n", "id", HASH, 1, TERMS)
    version = store.data_version()
    with pytest.raises(ValueError, match="id"):
        store.limit("id", refused)
    assert store.data_version() == version
    assert store.limit("id", given_by_operator(GivenLimits(1)))


def test_keys_are_listed_oldest_first(store: KeyStore) -> None:
    for public_id, created_at_ms in (("b", 2), ("c", 1), ("a", 2)):
        store.create("n", public_id, HASH, created_at_ms)
    assert [record.public_id for record in store.all()] == ["c", "a", "b"]


def test_a_public_id_is_given_once(store: KeyStore) -> None:
    store.create("first", "id", HASH, 1)
    version = store.data_version()
    with pytest.raises(KeyExists):
        store.create("second", "id", bytes(32), 2)
    assert store.find("id") == KeyRecord("id", "first", HASH, 1)
    assert store.data_version() == version


def test_revoking_holds_and_keeps_its_first_time(store: KeyStore) -> None:
    store.create("n", "id", HASH, 1)
    assert store.revoke("id", 5) is True
    assert store.revoke("id", 6) is False
    assert store.find("id") == KeyRecord("id", "n", HASH, 1, 5)
    assert not store.is_empty()


def test_revoking_an_unknown_key_does_nothing(store: KeyStore) -> None:
    store.create("n", "id", HASH, 1)
    version = store.data_version()
    assert store.revoke("other", 5) is None
    assert store.data_version() == version


def test_the_version_grows_with_each_write_and_not_with_reads(store: KeyStore) -> None:
    versions = [store.data_version()]
    for write in (
        lambda: store.create("n", "a", HASH, 1),
        lambda: store.create("n", "b", HASH, 1),
        lambda: store.revoke("a", 2),
    ):
        write()
        versions.append(store.data_version())
        store.find("a")
        store.all()
        assert store.data_version() == versions[-1]
    assert versions == sorted(set(versions))
    store.revoke("a", 3)
    assert store.data_version() == versions[-1]


def test_changed_after_tells_the_writes_since(store: KeyStore) -> None:
    for public_id in ("a", "b", "c"):
        store.create("n", public_id, HASH, 1)
    before = store.data_version()
    assert store.changed_after(before) == []
    store.revoke("c", 2)
    between = store.data_version()
    store.revoke("a", 2)
    assert store.changed_after(before) == ["c", "a"]
    assert store.changed_after(between) == ["a"]
    store.create("n", "d", HASH, 3)
    store.change("c", "m", KeyTerms())
    assert store.changed_after(between) == ["a", "d", "c"]
    assert store.changed_after(store.data_version()) == []


TERMS = KeyTerms("acc_1", ("gpt-4.1", "한국/모델"), 10**10, 1_800_000_000_000)


def test_terms_are_kept(store: KeyStore) -> None:
    store.create("n", "id", HASH, 1, TERMS)
    store.create("n", "other", HASH, 2)
    assert store.find("id") == KeyRecord("id", "n", HASH, 1, None, TERMS)
    assert [record.public_id for record in store.of_account("acc_1")] == ["id"]
    assert [record.public_id for record in store.of_account("operator")] == ["other"]
    assert store.of_account("nobody") == []


def test_terms_change_and_the_account_does_not(store: KeyStore) -> None:
    store.create("n", "id", HASH, 1, TERMS)
    assert store.change("id", "새 이름", KeyTerms("somebody else", budget_nanos=0))
    changed = KeyTerms("acc_1", budget_nanos=0)
    assert store.find("id") == KeyRecord("id", "새 이름", HASH, 1, None, changed)
    version = store.data_version()
    assert not store.change("nobody", "n", TERMS)
    assert store.data_version() == version


def test_changing_a_revoked_key_does_not_bring_it_back(store: KeyStore) -> None:
    store.create("n", "id", HASH, 1)
    store.revoke("id", 2)
    assert store.change("id", "n", TERMS)
    found = store.find("id")
    assert found is not None
    assert found.revoked_at_ms == 2


def test_expiries_between_two_moments(store: KeyStore) -> None:
    for public_id, expires_at_ms in (("a", 10), ("b", 20), ("c", None), ("d", 21)):
        store.create("n", public_id, HASH, 1, KeyTerms(expires_at_ms=expires_at_ms))
    assert store.expired_between(0, 9) == []
    assert store.expired_between(9, 10) == ["a"]
    assert store.expired_between(10, 20) == ["b"]
    assert store.expired_between(0, 100) == ["a", "b", "d"]


def test_closing_twice_is_allowed(store: KeyStore) -> None:
    store.close()
    store.close()


steps = st.lists(
    st.tuples(
        st.sampled_from(["create", "revoke", "change", "limit"]),
        st.sampled_from("abcd"),
        st.integers(0, 9),
    ),
    max_size=12,
)


@given(steps=steps)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_all_stores_agree(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]]
) -> None:
    directory = tmp_path_factory.mktemp("keys")
    stores = [make(directory) for make in STORES.values()]
    try:
        for kind, public_id, now_ms in steps:
            assert len({_do(store, kind, public_id, now_ms) for store in stores}) == 1
        assert len({tuple(store.all()) for store in stores}) == 1
        for version in range(len(steps) + 1):
            assert len({tuple(store.changed_after(version)) for store in stores}) == 1
        assert len({tuple(store.expired_between(2, 7)) for store in stores}) == 1
    finally:
        for store in stores:
            store.close()


def _do(store: KeyStore, kind: str, public_id: str, now_ms: int) -> tuple[object, int]:
    result: object
    if kind == "revoke":
        result = store.revoke(public_id, now_ms)
    elif kind == "change":
        limits = KeyLimits(owner=GivenLimits(None, now_ms or None))
        terms = KeyTerms(budget_nanos=now_ms, limits=limits)
        result = store.change(public_id, f"n{now_ms}", terms)
    elif kind == "limit":
        given = GivenLimits(now_ms, None, 9 - now_ms)
        result = store.limit(public_id, given_by_operator(given, has_priority=now_ms % 2 == 1))
    else:
        try:
            terms = KeyTerms(expires_at_ms=now_ms, models=("m",) * (now_ms % 2) or None)
            result = store.create("n", public_id, HASH, now_ms, terms)
        except KeyExists:
            result = "exists"
    return result, store.data_version()


def test_an_entry_is_written_with_what_was_changed(store: KeyStore) -> None:
    store.create("n", "id", HASH, 1)
    change = given_by_operator(GivenLimits(), has_priority=True, entry=ENTRY)
    assert store.limit("nobody", change) is None
    assert store.revoke("nobody", 2, ENTRY) is None
    for _ in range(2):
        store.limit("id", change)
    for _ in range(2):
        store.revoke("id", 2, ENTRY._replace(action="key.revoke"))
    assert [entry.action for entry in kept(store)] == ["account.grant", "key.revoke"]
