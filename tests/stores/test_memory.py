from contracts.test_journal import Append
from tokenferry.stores.memory import RECORD_OVERHEAD_BYTES, MemoryJournal


def test_the_oldest_finished_streams_go_first_and_running_ones_never() -> None:
    size = 10 + RECORD_OVERHEAD_BYTES
    journal = MemoryJournal(2 * size)
    for name in ("running", "a", "b", "c"):
        journal.open(name, 1, b"")
        journal.append([Append(name, 1, 0, [b"t123456789"])])
        if name != "running":
            journal.close(name)
    assert list(journal.read("a", 0, 1)) == []
    assert list(journal.read("b", 0, 1)) == [b"t123456789"]
    assert list(journal.read("c", 0, 1)) == [b"t123456789"]
    assert list(journal.read("running", 0, 1)) == [b"t123456789"]


def test_the_limit_is_inclusive() -> None:
    size = 10 + RECORD_OVERHEAD_BYTES
    for bytes_max, kept in ((size, True), (size - 1, False)):
        journal = MemoryJournal(bytes_max)
        journal.open("a", 1, b"")
        journal.append([Append("a", 1, 0, [b"t123456789"])])
        journal.close("a")
        assert bool(journal.read("a", 0, 1)) is kept


def test_dropping_makes_room() -> None:
    size = 10 + RECORD_OVERHEAD_BYTES
    journal = MemoryJournal(size)
    journal.open("a", 1, b"")
    journal.append([Append("a", 1, 0, [b"t123456789"])])
    journal.close("a")
    journal.drop("a")
    journal.open("b", 1, b"")
    journal.append([Append("b", 1, 0, [b"t123456789"])])
    journal.close("b")
    assert list(journal.read("b", 0, 1)) == [b"t123456789"]
