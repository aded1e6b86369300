"""What is particular to the in-memory store: it is there for one owner, and only while it runs."""

from tokenferry.stores.memory_keys import MemoryKeys


def test_two_stores_share_nothing() -> None:
    one, other = MemoryKeys(), MemoryKeys()
    one.create("n", "id", bytes(32), 1)
    assert other.is_empty()
    assert (one.data_version(), other.data_version()) == (1, 0)


def test_a_list_that_was_given_out_does_not_change() -> None:
    store = MemoryKeys()
    store.create("n", "id", bytes(32), 1)
    before = store.all()
    store.revoke("id", 2)
    assert before[0].revoked_at_ms is None
    assert store.all()[0].revoked_at_ms == 2
