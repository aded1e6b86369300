import asyncio
import logging
from collections.abc import Callable, Sequence

import pytest

from engine.virtual import KEY, Bench
from tokenferry.engine.archive import Summary
from tokenferry.engine.guests import SECRET_BYTES, Guests
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.options import Options
from tokenferry.engine.ports import JournalUnavailable
from tokenferry.engine.retention import (
    BATCH_STREAMS,
    EXPIRY_INTERVAL_S,
    ROUND_INTERVAL_S,
    Periods,
    Retention,
)
from tokenferry.engine.stream import Stream
from tokenferry.errors import StreamNotFound
from tokenferry.stores.memory import MemoryJournal
from tokenferry.stores.memory_archive import MemoryArchive

PERIODS = Periods(600, 86_400, 2_592_000, 1 << 30)


def retention(bench: Bench, periods: Periods = PERIODS) -> Retention:
    return Retention(bench.dispatcher.book, bench.journal, bench.archive, periods)


def finish(bench: Bench, options: Options | None = None, text: str = "안녕 🙂") -> Stream:
    stream = bench.create(options) if options else bench.create()
    bench.sink.text(text)
    bench.sink.finish(0, "stop")
    bench.sink.end()
    bench.timers.tick()
    return stream


async def test_a_finished_stream_goes_to_the_archive_with_its_text() -> None:
    bench = Bench()
    stream = finish(bench)
    bench.timers.advance(601)
    assert await retention(bench).archive_due() == 1
    found = bench.dispatcher.find("k", stream.id)
    assert isinstance(found, Summary)
    assert (found.state, found.finish_reason, found.head) == ("done", "stop", 3)
    assert found.message is not None
    assert "안녕 🙂" in found.message
    assert list(bench.journal.read(stream.id, 0, 10)) == []
    with pytest.raises(StreamNotFound):
        bench.dispatcher.find("other", stream.id)


async def test_where_no_text_is_kept_none_is_written() -> None:
    bench = Bench()
    stream = finish(bench)
    bench.timers.advance(601)
    assert await retention(bench, Periods(600, 0, 2_592_000, 1 << 30)).archive_due() == 1
    found = bench.dispatcher.find("k", stream.id)
    assert isinstance(found, Summary)
    assert (found.state, found.message) == ("done", None)


async def test_of_what_guests_were_answered_no_text_is_kept() -> None:
    """Anybody may be any number of guests, and would fill the disk."""
    bench = Bench()
    _, guest = Guests("m", 0, lambda: bench.timers.now_s).newcomer(bytes(SECRET_BYTES))
    stream = bench.create(owner=guest)
    bench.sink.text("안녕 🙂")
    bench.sink.finish(0, "stop")
    bench.sink.end()
    bench.timers.advance(601)
    assert await retention(bench).archive_due() == 1
    found = bench.dispatcher.find(guest.public_id, stream.id)
    assert isinstance(found, Summary)
    assert (found.state, found.message) == ("done", None)


async def test_nothing_goes_before_its_time() -> None:
    bench = Bench()
    finish(bench)
    bench.timers.advance(599)
    assert await retention(bench).archive_due() == 0


async def test_where_the_journal_is_too_large_the_oldest_go_at_once() -> None:
    bench = Bench()
    finish(bench)
    small = Periods(600, 86_400, 2_592_000, 1)
    assert await retention(bench, small).archive_due() == 1


async def test_so_many_at_once() -> None:
    bench = Bench()
    for _ in range(BATCH_STREAMS + 1):
        finish(bench)
    bench.timers.advance(601)
    keeper = retention(bench)
    assert [await keeper.archive_due() for _ in range(3)] == [BATCH_STREAMS, 1, 0]


async def test_a_batch_is_no_larger_than_others_may_have_to_wait_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tokenferry.engine.retention.BATCH_CHARACTERS", 1000)
    bench = Bench()
    for _ in range(5):
        finish(bench, text="a" * 400)
    bench.timers.advance(601)
    keeper = retention(bench)
    assert [await keeper.archive_due() for _ in range(4)] == [2, 2, 1, 0]


async def test_others_have_their_turn_while_long_streams_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tokenferry.engine.retention.SLICE_RECORDS", 10)
    bench = Bench()
    for _ in range(3):
        bench.create()
        for _ in range(38):
            bench.sink.text("a")
        bench.sink.finish(0, "stop")
        bench.sink.end()
        bench.timers.tick()
    bench.timers.advance(601)
    turns = 0
    archiving = asyncio.ensure_future(retention(bench).archive_due())
    while not archiving.done():
        turns += 1
        await asyncio.sleep(0)
    assert archiving.result() == 3
    assert turns >= 3 * 40 / 10
    assert bench.dispatcher.book.stream_ids() == []


class Damaged(MemoryJournal):
    """A journal of which one stream cannot be read."""

    damaged = ""

    def read(self, stream_id: str, after: int, limit: int) -> Sequence[bytes]:
        if stream_id == self.damaged:
            raise JournalUnavailable("a sector is bad")
        return super().read(stream_id, after, limit)


async def test_a_stream_that_cannot_be_read_does_not_keep_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal = Damaged(1 << 20)
    bench = Bench(journal=journal)
    bad, good = finish(bench), finish(bench)
    journal.damaged = bad.id
    bench.timers.advance(601)
    assert await retention(bench).archive_due() == 1
    assert await retention(bench).archive_due() == 0
    assert bench.found(bad.id) is bad
    assert isinstance(bench.dispatcher.find("k", good.id), Summary)
    assert "a sector is bad" in caplog.text


class Rounds:
    """Takes the place of `asyncio` in the module: time passes at once, and ends at last."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.slept_s: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        if seconds:
            self.rounds -= 1
        if not self.rounds:
            raise asyncio.CancelledError

    async def to_thread(self, function: Callable[..., object], *args: object) -> None:
        function(*args)


async def test_what_is_due_goes_in_one_round_with_others_turns_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    for _ in range(2 * BATCH_STREAMS + 1):
        finish(bench)
    bench.timers.advance(601)
    rounds = Rounds(1)
    monkeypatch.setattr("tokenferry.engine.retention.asyncio", rounds)
    with pytest.raises(asyncio.CancelledError):
        await retention(bench).run(lambda: 0)
    assert rounds.slept_s == [0, 0, ROUND_INTERVAL_S]
    assert bench.dispatcher.book.due(600, at_most=1, crowded=False) == []


async def test_what_is_due_a_moment_later_waits_for_the_next_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saves: list[int] = []

    class Saving(MemoryArchive):
        def save(self, summaries: Sequence[Summary]) -> None:
            super().save(summaries)
            saves.append(len(summaries))
            bench.timers.advance(601)  # by now, another one is due

    bench = Bench(archive=Saving())
    finish(bench)
    bench.timers.advance(601)
    finish(bench)
    rounds = Rounds(1)
    monkeypatch.setattr("tokenferry.engine.retention.asyncio", rounds)
    with pytest.raises(asyncio.CancelledError):
        await retention(bench).run(lambda: 0)
    assert (saves, rounds.slept_s) == ([1], [ROUND_INTERVAL_S])


async def test_the_archive_is_cleared_at_the_start_and_each_ten_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cleared: list[tuple[int, int, int]] = []

    class Clearing(MemoryArchive):
        def expire(self, now_ms: int, message_ms: int, tombstone_ms: int) -> None:
            cleared.append((now_ms, message_ms, tombstone_ms))

    bench = Bench(archive=Clearing())
    rounds = Rounds(2 * int(EXPIRY_INTERVAL_S) + 1)
    monkeypatch.setattr("tokenferry.engine.retention.asyncio", rounds)
    with pytest.raises(asyncio.CancelledError):
        await retention(bench).run(lambda: 1000 * sum(each > 0 for each in rounds.slept_s))
    periods = (86_400_000, 2_592_000_000)
    assert cleared == [(0, *periods), (600_000, *periods), (1_200_000, *periods)]


async def test_what_cannot_be_cleared_is_said_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(MemoryArchive):
        def expire(self, now_ms: int, message_ms: int, tombstone_ms: int) -> None:
            raise StoreUnusable("the disk is gone")

    rounds = Rounds(int(EXPIRY_INTERVAL_S) + 1)
    monkeypatch.setattr("tokenferry.engine.retention.asyncio", rounds)
    with pytest.raises(asyncio.CancelledError):
        await retention(Bench(archive=Stuck())).run(lambda: 0)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "the disk is gone" in caplog.text


async def test_an_idle_server_leaves_the_archive_alone() -> None:
    saved: list[Sequence[Summary]] = []

    class Watched(MemoryArchive):
        def save(self, summaries: Sequence[Summary]) -> None:
            saved.append(summaries)

    bench = Bench(archive=Watched())
    finish(bench)
    assert await retention(bench).archive_due() == 0
    assert saved == []


async def test_exactly_as_large_as_it_may_be_is_not_too_large() -> None:
    bench = Bench()
    finish(bench)
    full = Periods(600, 86_400, 2_592_000, bench.journal.bytes)
    assert await retention(bench, full).archive_due() == 0


async def test_a_repeated_create_is_answered_from_the_archive() -> None:
    bench = Bench()
    options = Options(on_disconnect_cancel=False, orphan_timeout_s=60, idempotency_key="i")
    stream = finish(bench, options)
    bench.timers.advance(601)
    await retention(bench).archive_due()
    again = bench.dispatcher.create(KEY, bench.request(), options, arrived_s=0)
    assert isinstance(again, Summary)
    assert again.stream_id == stream.id
    assert len(bench.provider.calls) == 1


class BrokenArchive(MemoryArchive):
    def save(self, summaries: Sequence[Summary]) -> None:
        raise StoreUnusable("the disk is gone")


async def test_what_cannot_be_archived_stays(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(archive=BrokenArchive())
    stream = finish(bench)
    bench.timers.advance(601)
    with caplog.at_level(logging.ERROR):
        assert await retention(bench).archive_due() == 0
    assert bench.found(stream.id) is stream
    assert "the disk is gone" in caplog.text


async def test_a_stream_whose_end_the_journal_has_lost_is_not_archived_as_running() -> None:
    bench = Bench()
    stream = finish(bench)
    bench.journal.drop(stream.id)
    bench.timers.advance(601)
    assert await retention(bench).archive_due() == 1
    with pytest.raises(StreamNotFound):
        bench.dispatcher.find("k", stream.id)
