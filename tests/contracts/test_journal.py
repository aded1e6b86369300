"""The behaviour of every journal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tokenferry.engine.ports import Fenced, Gap, Journal
from tokenferry.protocol.segment import MAGIC
from tokenferry.stores.memory import MemoryJournal
from tokenferry.stores.segment_journal import SegmentJournal


@dataclass(slots=True)
class Append:
    """What a stream shows the journal."""

    id: str
    epoch: int
    head: int
    pending: list[bytes]
    log: object = None


JOURNALS: dict[str, Callable[[Path], Journal]] = {
    "memory": lambda _: MemoryJournal(1 << 20),
    "segments": lambda path: SegmentJournal(path / "journal", wall_ms=lambda: 1),
    "tiny segments on disk": lambda path: SegmentJournal(
        path / "journal", segment_bytes=1, wall_ms=lambda: 1, durability="disk"
    ),
}


@pytest.fixture(params=JOURNALS)
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    journal = JOURNALS[request.param](tmp_path)
    yield journal
    journal.close_files()


def test_what_was_appended_is_read_back_in_order(journal: Journal) -> None:
    journal.open("s", 1, b"")
    journal.open("o", 1, b"")
    journal.append([Append("s", 1, 0, [b"ta", b"tb"])])
    journal.append([Append("s", 1, 2, [b"tc"]), Append("o", 1, 0, [b"tz"])])
    journal.sync()
    assert list(journal.read("s", 0, 10)) == [b"ta", b"tb", b"tc"]
    assert list(journal.read("s", 1, 1)) == [b"tb"]
    assert list(journal.read("s", 1, 2)) == [b"tb", b"tc"]
    assert list(journal.read("s", 1, 0)) == []
    assert list(journal.read("s", 3, 10)) == []
    assert list(journal.read("s", 4, 10)) == []
    assert list(journal.read("o", 0, 10)) == [b"tz"]
    assert list(journal.read("unknown", 0, 10)) == []


def test_reads_within_a_block_see_the_same_as_others(journal: Journal) -> None:
    for name in ("a", "b", "c"):
        journal.open(name, 1, b"")
    for head in (0, 1):
        journal.append([Append(name, 1, head, [f"t{name}{head}".encode()]) for name in "abc"])
    for _ in range(2):
        with journal.reading():
            for name in ("b", "a", "c", "a"):
                wanted = [f"t{name}{head}".encode() for head in (0, 1)]
                assert list(journal.read(name, 0, 2)) == wanted
            with journal.reading():
                assert list(journal.read("c", 1, 9)) == [b"tc1"]
            assert list(journal.read("a", 1, 1)) == [b"ta1"]
        # What is written between two blocks is there in the next one.
        journal.append([Append("a", 1, journal_head(journal), [b"tx"])])
        assert list(journal.read("a", 2, 1)) == [b"tx"]


def journal_head(journal: Journal) -> int:
    return len(journal.read("a", 0, 99))


def test_an_open_stream_is_empty(journal: Journal) -> None:
    journal.open("s", 1, b"meta")
    assert list(journal.read("s", 0, 10)) == []
    assert journal.recovered() == []


def test_an_empty_batch_is_nothing(journal: Journal) -> None:
    before = journal.bytes
    journal.append([])
    journal.open("s", 1, b"")
    assert before == 0
    assert list(journal.read("s", 0, 10)) == []


@pytest.mark.parametrize("head", [-1, 0, 1, 3, 4])
def test_a_hole_or_an_overwrite_is_refused_and_nothing_is_written(
    journal: Journal, head: int
) -> None:
    journal.open("s", 1, b"")
    journal.open("o", 1, b"")
    journal.append([Append("s", 1, 0, [b"ta", b"tb"])])
    with pytest.raises(Gap):
        journal.append([Append("o", 1, 0, [b"t"]), Append("s", 1, head, [b"tx"])])
    assert list(journal.read("s", 0, 10)) == [b"ta", b"tb"]
    assert list(journal.read("o", 0, 10)) == []


def test_a_stream_must_be_open_for_the_epoch(journal: Journal) -> None:
    with pytest.raises(Gap):
        journal.append([Append("s", 1, 0, [b"t"])])
    journal.open("s", 1, b"")
    with pytest.raises(Gap):
        journal.append([Append("s", 2, 0, [b"t"])])
    assert list(journal.read("s", 0, 10)) == []


def test_an_older_owner_is_fenced_off(journal: Journal) -> None:
    journal.open("s", 1, b"")
    journal.append([Append("s", 1, 0, [b"ta"])])
    journal.open("s", 3, b"")
    journal.append([Append("s", 3, 1, [b"tb"])])
    for epoch in (1, 2):
        with pytest.raises(Fenced):
            journal.append([Append("s", epoch, 2, [b"tc"])])
    assert list(journal.read("s", 0, 10)) == [b"ta", b"tb"]


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_only_a_newer_owner_takes_over(journal: Journal, epoch: int) -> None:
    journal.open("s", 2, b"")
    with pytest.raises(Fenced):
        journal.open("s", epoch, b"")
    journal.append([Append("s", 2, 0, [b"ta"])])
    assert list(journal.read("s", 0, 10)) == [b"ta"]


def test_a_closed_stream_is_kept_and_a_dropped_one_is_not(journal: Journal) -> None:
    journal.open("s", 1, b"")
    journal.append([Append("s", 1, 0, [b"ta"])])
    journal.close("s")
    journal.close("s")
    assert list(journal.read("s", 0, 10)) == [b"ta"]
    journal.drop("s")
    journal.drop("s")
    assert list(journal.read("s", 0, 10)) == []


def test_a_dropped_stream_may_be_opened_anew(journal: Journal) -> None:
    journal.open("s", 5, b"")
    journal.append([Append("s", 5, 0, [b"ta"])])
    journal.drop("s")
    journal.open("s", 1, b"")
    journal.append([Append("s", 1, 0, [b"tb"])])
    assert list(journal.read("s", 0, 10)) == [b"tb"]


def test_files_can_be_let_go_of_twice(journal: Journal) -> None:
    journal.open("s", 1, b"")
    journal.close_files()
    journal.close_files()


def test_what_is_only_tried_changes_nothing(journal: Journal) -> None:
    journal.try_commit()
    journal.open("s", 1, b"")
    journal.append([Append("s", 1, 0, [b"ta"])])
    journal.try_commit()
    journal.append([Append("s", 1, 1, [b"tb"])])
    size = journal.bytes
    journal.try_commit()
    assert journal.bytes <= size + len(MAGIC)
    assert list(journal.read("s", 0, 10)) == [b"ta", b"tb"]
