"""What is particular to the journal in files: reopening, damage, kills, full disks, deletion."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from contracts.test_journal import Append
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.ports import Fenced, Gap, JournalUnavailable, Recovered
from tokenferry.protocol import segment
from tokenferry.protocol.segment import MAGIC, META_BYTES_MAX, STREAM_BYTES_MAX
from tokenferry.stores import segment_files, segment_journal
from tokenferry.stores.memory import MemoryJournal
from tokenferry.stores.segment_journal import SEGMENT_BYTES_MAX, SegmentJournal

SOURCE = Path(segment_journal.__file__).parents[2]


class Clock:
    now_ms = 0

    def __call__(self) -> int:
        self.now_ms += 1
        return self.now_ms


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., SegmentJournal]]:
    """Return what opens a journal in the test's directory, letting go of the one before."""
    journals: list[SegmentJournal] = []

    def open_(directory: Path = tmp_path, segment_bytes: int = 1 << 20) -> SegmentJournal:
        close()
        journals.append(SegmentJournal(directory, segment_bytes=segment_bytes, wall_ms=Clock()))
        return journals[-1]

    def close() -> None:
        while journals:
            journals.pop().close_files()

    yield open_
    close()


Opener = Callable[..., SegmentJournal]


def test_the_longest_log_of_one_stream_fits_into_one_commit(opened: Opener) -> None:
    """As it must where the journal took nothing for a while, or a whole answer came at once."""
    journal = opened()
    journal.open("st_a", 1, b"m" * META_BYTES_MAX)
    journal.open("st_b", 1, b"")
    journal.append([Append("st_b", 1, 0, [b"x" * (1 << 20)])])  # the next one begins a segment
    pieces = [b"p" * 1000] * (STREAM_BYTES_MAX // 1000)
    for seq, records in enumerate(([b"w" * STREAM_BYTES_MAX, b"end"], [*pieces, b"end"])):
        journal.append([Append("st_a", 1, 2 * seq, records)])
    assert journal.read("st_a", 0, 2)[1] == b"end"
    assert journal.read("st_a", len(pieces) + 2, 2) == [b"end"]


def test_neighbours_that_are_read_in_one_block_cost_one_read_of_the_file(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[int] = []

    def pread(fd: int, length: int, offset: int) -> bytes:
        fetched.append(offset)
        return real(fd, length, offset)

    journal, names, real = opened(), [f"s{number}" for number in range(20)], os.pread
    for name in names:
        journal.open(name, 1, b"")
        journal.append([Append(name, 1, 0, [b"t" + name.encode()])])
    monkeypatch.setattr(segment_files.os, "pread", pread)
    with journal.reading():
        assert [journal.read(name, 0, 9) for name in names] == [[f"t{n}".encode()] for n in names]
    assert len(fetched) == 1
    for name in names:
        journal.read(name, 0, 9)
    assert len(fetched) == 1 + len(names)


def fill(journal: SegmentJournal) -> None:
    """Put two streams into a journal, one of them complete."""
    journal.open("s", 1, b"meta s")
    journal.open("o", 1, b"meta o")
    journal.append([Append("s", 1, 0, [b"h{}"]), Append("o", 1, 0, [b"h{}", b"ta"])])
    journal.append([Append("s", 1, 1, [b"tb", b"tc"])])
    journal.append([Append("o", 1, 2, [b"f{}"])])
    journal.append([Append("s", 1, 3, [b"td"])])


FILLED = {"s": [b"h{}", b"tb", b"tc", b"td"], "o": [b"h{}", b"ta", b"f{}"]}


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.seg"))


def abandon(journal: SegmentJournal) -> None:
    """Let go of the lock as a killed process does: nothing more is written."""
    journal._files.retire()
    journal.close_files()


def is_prefix(journal: SegmentJournal) -> bool:
    return all(
        journal.read(name, 0, 99) == records[: len(journal.read(name, 0, 99))]
        for name, records in FILLED.items()
    )


# -- reopening -------------------------------------------------------------------------------


@pytest.mark.parametrize("segment_bytes", [1, 100, 200, 1 << 20])
@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("indexed", [True, False])
def test_streams_outlive_the_process(
    opened: Opener,
    tmp_path: Path,
    segment_bytes: int,
    killed: bool,  # noqa: FBT001 -- a parameter of the test
    indexed: bool,  # noqa: FBT001 -- likewise
) -> None:
    journal = opened(segment_bytes=segment_bytes)
    fill(journal)
    if killed:
        abandon(journal)
    else:
        journal.close_files()
    if not indexed:
        for path in tmp_path.glob("*.idx"):
            path.unlink()
    again = opened(segment_bytes=segment_bytes)
    assert again.recovered() == [
        Recovered("s", b"meta s", ((1, 1),), 4, None, 6),
        Recovered("o", b"meta o", ((1, 1),), 3, b"f{}", 5),
    ]
    for name, records in FILLED.items():
        for after in range(5):
            for limit in range(5):
                assert again.read(name, after, limit) == records[after : after + limit]
    again.append([Append("s", 1, 4, [b"f{}"])])
    assert again.read("s", 3, 9) == [b"td", b"f{}"]


def test_a_new_owner_is_remembered(opened: Opener) -> None:
    journal = opened()
    fill(journal)
    journal = opened()
    journal.open("s", 2, b"new")
    journal.append([Append("s", 2, 4, [b"te"])])
    journal.open("s", 5, b"newer")
    journal = opened()
    (s, _) = journal.recovered()
    assert (s.meta, s.epochs, s.head) == (b"newer", ((1, 1), (2, 5), (5, 6)), 5)
    with pytest.raises(Fenced):
        journal.append([Append("s", 2, 5, [b"tf"])])
    with pytest.raises(Fenced):
        journal.open("s", 5, b"")


def test_a_stream_is_carried_over_into_every_segment_it_reaches(
    opened: Opener, tmp_path: Path
) -> None:
    journal = opened(segment_bytes=1)
    fill(journal)
    journal.close_files()
    for path in segments(tmp_path):
        scanner = segment.Scanner()
        known = set()
        for commit in scanner.feed(path.read_bytes()):
            for entry in commit.entries:
                if isinstance(entry, segment.Opening):
                    known.add(entry.number)
                    assert entry.epochs == ((1, 1),)
                    assert entry.meta in (b"meta s", b"meta o")
                assert entry.number in known
        assert scanner.end == path.stat().st_size


def test_a_read_is_as_long_as_it_must_be(opened: Opener) -> None:
    journal = opened(segment_bytes=400_000)
    journal.open("s", 1, b"")
    records = [b"t" + bytes([n]) * 30_000 for n in range(40)]
    for at in range(0, 40, 4):
        journal.append([Append("s", 1, at, records[at : at + 4])])
    long = [b"x" * 200_000]
    journal.append([Append("s", 1, 40, long)])
    assert journal.read("s", 0, 99) == records + long
    assert journal.read("s", 17, 5) == records[17:22]


# -- damage ----------------------------------------------------------------------------------


@pytest.mark.parametrize("segment_bytes", [1, 200, 1 << 20])
def test_cut_at_any_byte_a_valid_prefix_is_left(
    opened: Opener, tmp_path: Path, segment_bytes: int
) -> None:
    source = tmp_path / "source"
    journal = opened(source, segment_bytes)
    fill(journal)
    abandon(journal)
    for path in segments(source):
        content = path.read_bytes()
        heads = -1
        for length in range(len(content)):
            copy = tmp_path / "copy"
            shutil.copytree(source, copy)
            (copy / path.name).write_bytes(content[:length])
            # The seal of an earlier segment must not hide what happened to it.
            journal = opened(copy, segment_bytes)
            assert is_prefix(journal)
            total = sum(len(journal.read(name, 0, 99)) for name in FILLED)
            assert total >= heads
            heads = total
            for each in journal.recovered():
                journal.open(each.stream_id, 2, b"")
                journal.append([Append(each.stream_id, 2, each.head, [b"e{}"])])
            expected = {each.stream_id: each.head + 1 for each in journal.recovered()}
            journal = opened(copy, segment_bytes)
            assert {each.stream_id: each.head for each in journal.recovered()} == expected
            assert all(each.terminal == b"e{}" for each in journal.recovered())
            journal.close_files()
            shutil.rmtree(copy)
        assert heads <= 7


@pytest.mark.parametrize("which", range(3))
def test_no_flipped_bit_gives_a_wrong_record(opened: Opener, tmp_path: Path, which: int) -> None:
    source = tmp_path / "source"
    journal = opened(source, 100)
    fill(journal)
    journal.close_files()
    path = segments(source)[which]
    content = path.read_bytes()
    for at in range(len(content)):
        if at == len(MAGIC) - 1:
            continue  # a newer version is refused, see below
        copy = tmp_path / "copy"
        shutil.copytree(source, copy)
        damaged = bytearray(content)
        damaged[at] ^= 1 << at % 8
        (copy / path.name).write_bytes(damaged)
        assert is_prefix(opened(copy, 100))
        opened(tmp_path / "none")
        shutil.rmtree(copy)


def test_an_index_that_is_damaged_is_made_anew(opened: Opener, tmp_path: Path) -> None:
    journal = opened()
    fill(journal)
    journal.close_files()
    (index,) = tmp_path.glob("*.idx")
    content = index.read_bytes()
    for damaged in (b"", content[:-1], content[:20] + b"\xff" + content[21:], b"\0" * 99):
        index.write_bytes(damaged)
        journal = opened()
        assert {name: journal.read(name, 0, 99) for name in FILLED} == FILLED
        assert index.read_bytes() == content


def test_another_segment_s_index_is_not_believed(opened: Opener, tmp_path: Path) -> None:
    journal = opened()
    fill(journal)
    journal.close_files()
    (path,) = segments(tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # the last record's last byte; the length is the same
    path.write_bytes(content)
    assert opened().read("s", 0, 99) == FILLED["s"][:3]


def test_the_end_of_the_latest_segment_is_cut_off(
    opened: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = opened()
    fill(journal)
    abandon(journal)
    (path,) = segments(tmp_path)
    valid = path.read_bytes()
    path.write_bytes(valid + b"\x01\x02\x03")
    opened()
    assert path.read_bytes() == valid
    assert "3 bytes at its end are not valid" in caplog.text


def test_a_stream_ends_at_a_gap_until_it_has_a_new_owner(
    opened: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = opened(segment_bytes=1)
    journal.open("s", 1, b"")
    for head in range(4):
        journal.append([Append("s", 1, head, [b"t%d" % head])])
    abandon(journal)
    damaged = segments(tmp_path)[2]
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + b"x")
    journal = opened(segment_bytes=1)
    assert "s: records after 1 are missing" in caplog.text
    assert journal.read("s", 0, 9) == [b"t0"]
    # Nothing in it is of use any more, nor in those after it.
    assert numbers(tmp_path) == [1, 2]
    with pytest.raises(Gap):
        journal.append([Append("s", 1, 4, [b"t4"])])
    journal.open("s", 2, b"")
    journal.append([Append("s", 2, 1, [b"tx"])])
    journal = opened(segment_bytes=1)
    assert journal.read("s", 0, 9) == [b"t0", b"tx"]
    assert journal.recovered()[0].epochs == ((1, 1), (2, 2))


def test_an_earlier_segment_keeps_its_valid_prefix(opened: Opener, tmp_path: Path) -> None:
    journal = opened(segment_bytes=230)
    fill(journal)
    abandon(journal)
    path = segments(tmp_path)[0]
    content = path.read_bytes()
    damaged = content[:-1] + b"x"
    path.write_bytes(damaged)
    for _ in range(2):
        journal = opened()
        # The damage is in the commit of o's end; s goes on in the next segment.
        assert journal.read("s", 0, 9) == FILLED["s"]
        assert journal.read("o", 0, 9) == FILLED["o"][:2]
        assert path.read_bytes() == damaged


def test_what_a_later_segment_does_not_count_is_given_up(opened: Opener, tmp_path: Path) -> None:
    """A write that was told to have failed was there all the same."""
    part = segment.commit_bytes
    opening = segment.Opening(1, 0, ((1, 1),), "s", b"")
    first = segment.opening_bytes(opening)
    run = b"".join(segment.run_parts(1, 1, [b"t1", b"t2", b"t3"]))
    body = first + run
    second = segment.opening_bytes(opening._replace(head=2))
    run = b"".join(segment.run_parts(1, 3, [b"tx"]))
    tmp_path.joinpath("00000001.seg").write_bytes(MAGIC + part([body], len(body), 1))
    body = second + run
    tmp_path.joinpath("00000002.seg").write_bytes(MAGIC + part([body], len(body), 2))
    journal = opened()
    assert journal.read("s", 0, 9) == [b"t1", b"t2", b"tx"]
    assert journal.recovered()[0].head == 3


def test_a_file_that_is_no_segment_is_set_aside(
    opened: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "00000007.seg").write_bytes(b"something else")
    journal = opened()
    journal.open("s", 1, b"")
    assert (tmp_path / "00000007.damaged").read_bytes() == b"something else"
    assert [path.name for path in segments(tmp_path)] == ["00000008.seg"]
    assert "is no journal segment" in caplog.text


@pytest.mark.parametrize("content", [b"", MAGIC[:3], MAGIC])
def test_a_segment_that_was_only_begun_is_deleted(
    opened: Opener, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "00000001.seg").write_bytes(content)
    opened()
    assert segments(tmp_path) == []


def test_a_newer_format_is_refused_and_left_alone(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "00000001.seg").write_bytes(b"TFRYSEG\x02 and the rest")
    with pytest.raises(StoreUnusable, match="newer Tokenferry"):
        opened()
    assert (tmp_path / "00000001.seg").read_bytes() == b"TFRYSEG\x02 and the rest"
    (tmp_path / "00000001.seg").unlink()
    opened()  # the lock was let go of


# -- the directory ---------------------------------------------------------------------------


def test_only_the_owner_can_read_it(opened: Opener, tmp_path: Path) -> None:
    directory = tmp_path / "data" / "journal"
    journal = opened(directory, segment_bytes=1)
    fill(journal)
    assert directory.stat().st_mode & 0o777 == 0o700
    files = list(directory.iterdir())
    assert {path.suffix for path in files} == {"", ".seg", ".idx"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_second_process_is_refused(opened: Opener, tmp_path: Path) -> None:
    opened()
    code = (
        "import sys; from pathlib import Path\n"
        "from tokenferry.engine.keys import StoreUnusable\n"
        "from tokenferry.stores.segment_journal import SegmentJournal\n"
        "try: SegmentJournal(Path(sys.argv[1]), wall_ms=lambda: 0)\n"
        "except StoreUnusable as exc: print(exc)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(SOURCE)}, capture_output=True, check=True, timeout=60
    )
    assert done.stdout.decode().startswith(f"Another Tokenferry uses {tmp_path}.")


def test_a_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file")
    with pytest.raises(StoreUnusable, match=r"Cannot use .*File exists"):
        SegmentJournal(tmp_path / "journal", wall_ms=Clock())


@pytest.mark.parametrize("segment_bytes", [0, SEGMENT_BYTES_MAX + 1])
def test_a_segment_has_its_limits(tmp_path: Path, segment_bytes: int) -> None:
    with pytest.raises(ValueError, match="segment_bytes"):
        SegmentJournal(tmp_path, segment_bytes=segment_bytes, wall_ms=Clock())


# -- failing writes --------------------------------------------------------------------------


@pytest.fixture
def file_bytes_max() -> Iterator[Callable[[int], None]]:
    """Return what makes every file longer than so many bytes fail; Python ignores SIGXFSZ."""
    assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_trial_fails_where_commits_do_and_leaves_nothing(
    opened: Opener, tmp_path: Path, file_bytes_max: Callable[[int], None]
) -> None:
    journal = opened()
    fill(journal)
    (path,) = segments(tmp_path)
    before = path.read_bytes()
    journal.try_commit()
    assert path.read_bytes() == before
    file_bytes_max(len(before) + 100)
    with pytest.raises(JournalUnavailable, match=r"File too large\. Make room"):
        journal.try_commit()
    assert path.read_bytes() == before
    file_bytes_max(resource.RLIM_INFINITY)
    journal.try_commit()
    journal.append([Append("s", 1, 4, [b"te"])])
    journal = opened()
    assert journal.read("s", 3, 9) == [b"td", b"te"]


@pytest.mark.parametrize("room", range(0, 60, 7))
def test_a_write_that_fails_leaves_nothing(
    opened: Opener, tmp_path: Path, file_bytes_max: Callable[[int], None], room: int
) -> None:
    journal = opened()
    fill(journal)
    (path,) = segments(tmp_path)
    before = path.read_bytes()
    batch = [Append("s", 1, 4, [b"t" * 60])]
    file_bytes_max(len(before) + room)
    for _ in range(2):
        with pytest.raises(JournalUnavailable, match=r"File too large\. Make room"):
            journal.append(batch)
        with pytest.raises(JournalUnavailable):
            journal.open("n", 1, b"m" * 60)
        assert path.read_bytes() == before
        assert {name: journal.read(name, 0, 99) for name in FILLED} == FILLED
    file_bytes_max(resource.RLIM_INFINITY)
    journal.append(batch)
    journal.open("n", 1, b"")
    assert journal.read("s", 3, 9) == [b"td", b"t" * 60]
    journal = opened()
    assert journal.read("s", 3, 9) == [b"td", b"t" * 60]
    assert [each.stream_id for each in journal.recovered()] == ["s", "o", "n"]


def test_what_cannot_be_taken_back_is_left_behind(
    opened: Opener,
    tmp_path: Path,
    file_bytes_max: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = opened()
    fill(journal)
    (path,) = segments(tmp_path)

    def fail(fd: int, length: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("os.ftruncate", fail)
        size = path.stat().st_size
        file_bytes_max(size + 20)
        with pytest.raises(JournalUnavailable):
            journal.append([Append("s", 1, 4, [b"te"])])
        file_bytes_max(resource.RLIM_INFINITY)
    assert path.stat().st_size == size + 20
    journal.append([Append("s", 1, 4, [b"te"])])
    assert len(segments(tmp_path)) == 2
    assert journal.read("s", 3, 9) == [b"td", b"te"]
    assert opened().read("s", 0, 9) == [*FILLED["s"], b"te"]


def test_a_segment_that_cannot_be_begun_leaves_nothing(
    opened: Opener, tmp_path: Path, file_bytes_max: Callable[[int], None]
) -> None:
    journal = opened(segment_bytes=1)
    fill(journal)
    before = segments(tmp_path)
    file_bytes_max(3)
    with pytest.raises(JournalUnavailable):
        journal.append([Append("s", 1, 4, [b"te"])])
    file_bytes_max(resource.RLIM_INFINITY)
    assert segments(tmp_path) == before
    journal.append([Append("s", 1, 4, [b"te"])])
    assert opened().read("s", 0, 9) == [*FILLED["s"], b"te"]


def test_a_commit_over_the_limit_is_refused(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened()
    fill(journal)
    monkeypatch.setattr(segment_journal, "COMMIT_BYTES_MAX", 13 + 20)
    with pytest.raises(JournalUnavailable, match="34 bytes is over 33"):
        journal.append([Append("s", 1, 4, [b"t" * 21])])
    journal.append([Append("s", 1, 4, [b"t" * 20])])
    assert journal.read("s", 3, 9) == [b"td", b"t" * 20]


def test_a_meta_over_the_limit_is_refused(opened: Opener) -> None:
    journal = opened()
    with pytest.raises(ValueError, match="over its limit"):
        journal.open("s", 1, bytes(META_BYTES_MAX + 1))
    journal.open("s", 1, bytes(META_BYTES_MAX))
    (s,) = opened().recovered()
    assert s.meta == bytes(META_BYTES_MAX)


def test_a_segment_that_vanished_is_told(opened: Opener, tmp_path: Path) -> None:
    journal = opened(segment_bytes=1)
    fill(journal)
    segments(tmp_path)[2].unlink()
    with pytest.raises(JournalUnavailable, match="No such file"):
        journal.read("s", 0, 9)


def test_a_segment_that_was_cut_meanwhile_is_told(opened: Opener, tmp_path: Path) -> None:
    journal = opened()
    fill(journal)
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    assert journal.read("s", 0, 3) == FILLED["s"][:3]
    with pytest.raises(JournalUnavailable, match="is damaged"):
        journal.read("s", 0, 9)


# -- deletion --------------------------------------------------------------------------------


def numbers(directory: Path) -> list[int]:
    return [int(path.stem) for path in segments(directory)]


def test_a_segment_goes_with_its_last_stream(opened: Opener, tmp_path: Path) -> None:
    journal = opened(segment_bytes=1)
    fill(journal)  # s is in 1, 3, 4 and 6; o in 2, 3 and 5
    assert numbers(tmp_path) == [1, 2, 3, 4, 5, 6]
    journal.drop("o")
    assert numbers(tmp_path) == [1, 3, 4, 6]
    assert {path.stem for path in tmp_path.glob("*.idx")} == {"00000001", "00000003", "00000004"}
    assert journal.read("s", 0, 9) == FILLED["s"]
    assert journal.bytes == sum(path.stat().st_size for path in segments(tmp_path))
    journal.drop("s")
    # The one that is written stays, and goes when another follows.
    assert numbers(tmp_path) == [6]
    journal.open("n", 1, b"")
    assert numbers(tmp_path) == [7]
    assert journal.bytes == sum(path.stat().st_size for path in segments(tmp_path))


def test_what_was_dropped_does_not_come_back(opened: Opener, tmp_path: Path) -> None:
    for segment_bytes in (1, 200, 1 << 20):
        directory = tmp_path / str(segment_bytes)
        journal = opened(directory, segment_bytes)
        fill(journal)
        journal.drop("o")
        journal.append([Append("s", 1, 4, [b"te"])])
        abandon(journal)
        for _ in range(2):
            journal = opened(directory, segment_bytes)
            assert [each.stream_id for each in journal.recovered()] == ["s"]
            assert journal.read("o", 0, 9) == []


def test_a_stream_stays_dropped_when_the_segment_that_says_so_goes(
    opened: Opener, tmp_path: Path
) -> None:
    journal = opened(segment_bytes=200)
    journal.open("long", 1, b"")
    journal.open("s", 1, b"")
    journal.append([Append("long", 1, 0, [b"t1"]), Append("s", 1, 0, [b"t1"])])
    for number in range(20):
        # Each of these makes a segment that says of the one before that it was dropped.
        name = f"n{number}"
        journal.open(name, 1, b"m" * 150)
        if number == 0:
            journal.drop("s")
        journal.append([Append(name, 1, 0, [b"t" * 100])])
        journal.drop(name)
        files = len(segments(tmp_path))
        assert files <= 3
        copy = tmp_path / f"copy{number}"
        shutil.copytree(tmp_path, copy, ignore=shutil.ignore_patterns("copy*"))
        left = SegmentJournal(copy, wall_ms=Clock())
        names = {each.stream_id for each in left.recovered()}
        # The latest drop is said by the next commit only.
        assert names <= {"long", name}
        assert "long" in names
        left.close_files()
    assert opened(segment_bytes=200).recovered()[0].stream_id == "long"


def test_what_is_said_when_a_segment_begins_is_not_said_again(
    opened: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = opened(segment_bytes=1)
    journal.open("long", 1, b"")
    journal.open("s", 1, b"")
    journal.append([Append("long", 1, 0, [b"t1"]), Append("s", 1, 0, [b"t1"])])
    journal.drop("s")
    journal.open("n", 1, b"")
    journal.drop("n")
    # Begins a segment, which says in place of the one before that s was dropped; and no more.
    journal.close_files()
    assert numbers(tmp_path) == [1, 3, 5]
    assert [each.stream_id for each in opened().recovered()] == ["long"]
    assert caplog.text == ""


def test_a_name_that_was_dropped_can_be_used_again(opened: Opener, tmp_path: Path) -> None:
    journal = opened(segment_bytes=1)
    fill(journal)
    journal.drop("s")
    journal.open("s", 1, b"again")
    journal.append([Append("s", 1, 0, [b"tz"])])
    for killed in (True, False):
        if killed:
            abandon(journal)
        journal = opened(segment_bytes=1)
        assert journal.read("s", 0, 9) == [b"tz"]
        assert journal.read("o", 0, 9) == FILLED["o"]


def test_a_full_disk_does_not_hinder_deletion(
    opened: Opener, tmp_path: Path, file_bytes_max: Callable[[int], None]
) -> None:
    journal = opened(segment_bytes=1)
    fill(journal)
    journal.drop("o")
    file_bytes_max(0)
    with pytest.raises(JournalUnavailable):
        journal.append([Append("s", 1, 4, [b"te"])])
    journal.drop("s")
    file_bytes_max(resource.RLIM_INFINITY)
    assert numbers(tmp_path) in ([], [6])
    journal.open("n", 1, b"")
    assert [each.stream_id for each in opened().recovered()] == ["n"]


# -- beside other processes and threads ------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from tokenferry.stores.segment_journal import SegmentJournal
class Append:
    def __init__(self, id): self.id, self.epoch, self.head, self.log = id, 1, 0, None
journal = SegmentJournal(Path(sys.argv[1]), segment_bytes=20_000, wall_ms=lambda: 1)
streams = [Append("a"), Append("b")]
for stream in streams: journal.open(stream.id, 1, b"meta")
while True:
    for stream in streams: stream.pending = [b"t%d" % (stream.head + 1), b"t%d" % (stream.head + 2)]
    journal.append(streams)
    for stream in streams: stream.head += 2
    print(streams[0].head, flush=True)
"""


def is_counted(journal: SegmentJournal, name: str) -> int:
    """Return the head of a stream of the writer's, having read it all."""
    records = journal.read(name, 0, 1 << 30)
    assert records == [b"t%d" % (number + 1) for number in range(len(records))]
    return len(records)


@pytest.mark.parametrize("lines", [1, 2, 700, 1500])
def test_a_kill_loses_nothing_that_was_committed(
    opened: Opener, tmp_path: Path, lines: int
) -> None:
    directory = tmp_path / "journal"
    command = [sys.executable, "-c", WRITER, str(directory)]
    with subprocess.Popen(
        command, env={"PYTHONPATH": str(SOURCE)}, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout
        for _ in range(lines):
            writer.stdout.readline()
        # Copied while it goes on, and then killed in whatever it does.
        shutil.copytree(directory, tmp_path / "copy")
        writer.kill()
        printed = int(writer.stdout.read().split(b"\n")[-2:][0] or 2 * lines)
    journal = opened(directory)
    for name in ("a", "b"):
        assert is_counted(journal, name) >= printed
    journal = opened(tmp_path / "copy")
    for name in ("a", "b"):
        assert is_counted(journal, name) >= 2 * lines


def test_syncing_in_another_thread_does_not_mind_rotation(tmp_path: Path) -> None:
    journal = SegmentJournal(tmp_path, segment_bytes=300, wall_ms=Clock(), durability="disk")
    journal.open("s", 1, b"")
    stop = threading.Event()
    failures: list[Exception] = []

    def sync() -> None:
        while not stop.is_set():
            try:
                journal.sync()
            except Exception as exc:  # noqa: BLE001 -- reported below
                failures.append(exc)

    thread = threading.Thread(target=sync)
    thread.start()
    for head in range(500):
        journal.append([Append("s", 1, head, [b"t%d" % (head + 1)])])
    stop.set()
    thread.join()
    journal.sync()
    assert failures == []
    assert journal._files._retired == []
    assert is_counted(journal, "s") == 500
    journal.close_files()


# -- any sequence ----------------------------------------------------------------------------

names = st.sampled_from("abc")


class Machine(RuleBasedStateMachine):
    """The journal in files does what the one in memory does, also when it is reopened."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.directory = tempfile.TemporaryDirectory()
        self.model = MemoryJournal(1 << 30)
        self.metas: dict[str, tuple[bytes, int]] = {}
        self.journal = self.opened()
        self.unsaid = False

    def opened(self) -> SegmentJournal:
        return SegmentJournal(Path(self.directory.name), segment_bytes=150, wall_ms=Clock())

    def both(self, call: Callable[[SegmentJournal | MemoryJournal], None]) -> bool:
        outcomes = []
        for journal in (self.model, self.journal):
            try:
                call(journal)
                outcomes.append(None)
            except (Gap, Fenced) as exc:
                outcomes.append(type(exc))
        assert outcomes[0] == outcomes[1]
        return outcomes[0] is None

    @rule(name=names, epoch=st.integers(0, 4), meta=st.binary(max_size=30))
    def open(self, name: str, epoch: int, meta: bytes) -> None:
        if self.both(lambda journal: journal.open(name, epoch, meta)):
            self.metas[name] = (meta, epoch)
            self.unsaid = False

    @rule(
        appends=st.dictionaries(
            names,
            st.tuples(
                st.integers(1, 2),
                st.sampled_from([0, 0, 0, 0, -1, 1]),
                st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=4),
            ),
            max_size=3,
        )
    )
    def append(self, appends: dict[str, tuple[int, int, list[bytes]]]) -> None:
        batch = [
            Append(
                name,
                self.metas.get(name, (b"", epoch))[1] if epoch == 1 else epoch,
                len(self.model.read(name, 0, 1 << 20)) + off,
                records,
            )
            for name, (epoch, off, records) in appends.items()
        ]
        if self.both(lambda journal: journal.append(batch)) and batch:
            self.unsaid = False

    @rule(name=names)
    def drop(self, name: str) -> None:
        self.both(lambda journal: journal.drop(name))
        if self.metas.pop(name, None):
            self.unsaid = True

    @rule()
    def close(self) -> None:
        self.journal.close_files()
        self.check_files()
        self.journal = self.opened()
        self.check_recovered()

    @precondition(lambda self: not self.unsaid)
    @rule(indexed=st.booleans())
    def kill(self, indexed: bool) -> None:  # noqa: FBT001 -- a parameter of the test
        abandon(self.journal)
        if not indexed:
            for path in Path(self.directory.name).glob("*.idx"):
                path.unlink()
        self.journal = self.opened()
        self.check_recovered()

    def check_recovered(self) -> None:
        self.check_files()
        found = {
            each.stream_id: (each.meta, each.epochs[-1][0], each.head)
            for each in self.journal.recovered()
        }
        assert found == {
            name: (meta, epoch, len(self.model.read(name, 0, 1 << 20)))
            for name, (meta, epoch) in self.metas.items()
        }

    def check_files(self) -> None:
        for path in segments(Path(self.directory.name)):
            scanner = segment.Scanner()
            scanner.feed(path.read_bytes())
            assert scanner.end == path.stat().st_size

    @rule(name=names, after=st.integers(0, 12), limit=st.integers(0, 12))
    def read(self, name: str, after: int, limit: int) -> None:
        assert self.journal.read(name, after, limit) == self.model.read(name, after, limit)

    @invariant()
    def has_the_same_records(self) -> None:
        for name in "abc":
            assert self.journal.read(name, 0, 1 << 20) == self.model.read(name, 0, 1 << 20)

    @invariant()
    def counts_its_bytes(self) -> None:
        paths = segments(Path(self.directory.name))
        assert self.journal.bytes == sum(path.stat().st_size for path in paths)

    def teardown(self) -> None:
        self.journal.close_files()
        self.directory.cleanup()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
