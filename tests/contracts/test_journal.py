"""The behaviour of every journal."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tokenferry.engine.ports import Fenced, Gap, Journal
from tokenferry.stores.memory import MemoryJournal


@dataclass(slots=True)
class Append:
    """What a stream shows the journal."""

    id: str
    epoch: int
    head: int
    pending: list[bytes]


JOURNALS: dict[str, Callable[[], Journal]] = {"memory": lambda: MemoryJournal(1 << 20)}


@pytest.fixture(params=JOURNALS)
def journal(request: pytest.FixtureRequest) -> Journal:
    return JOURNALS[request.param]()


def test_what_was_appended_is_read_back_in_order(journal: Journal) -> None:
    journal.append([Append("s", 1, 0, [b"ta", b"tb"])])
    journal.append([Append("s", 1, 2, [b"tc"]), Append("o", 1, 0, [b"tz"])])
    assert list(journal.read("s", 0, 10)) == [b"ta", b"tb", b"tc"]
    assert list(journal.read("s", 1, 1)) == [b"tb"]
    assert list(journal.read("s", 3, 10)) == []
    assert list(journal.read("o", 0, 10)) == [b"tz"]
    assert list(journal.read("unknown", 0, 10)) == []


@pytest.mark.parametrize("head", [-1, 0, 1, 3, 4])
def test_a_hole_or_an_overwrite_is_refused_and_nothing_is_written(
    journal: Journal, head: int
) -> None:
    journal.append([Append("s", 1, 0, [b"ta", b"tb"])])
    with pytest.raises(Gap):
        journal.append([Append("o", 1, 0, [b"t"]), Append("s", 1, head, [b"tx"])])
    assert list(journal.read("s", 0, 10)) == [b"ta", b"tb"]
    assert list(journal.read("o", 0, 10)) == []


def test_an_older_owner_is_fenced_off(journal: Journal) -> None:
    journal.append([Append("s", 1, 0, [b"ta"])])
    journal.append([Append("s", 2, 1, [b"tb"])])
    with pytest.raises(Fenced):
        journal.append([Append("s", 1, 2, [b"tc"])])
    assert list(journal.read("s", 0, 10)) == [b"ta", b"tb"]


def test_a_closed_stream_is_kept_and_a_dropped_one_is_not(journal: Journal) -> None:
    journal.append([Append("s", 1, 0, [b"ta"])])
    journal.close("s")
    journal.close("s")
    assert list(journal.read("s", 0, 10)) == [b"ta"]
    journal.drop("s")
    journal.drop("s")
    assert list(journal.read("s", 0, 10)) == []
