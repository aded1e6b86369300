import logging
from collections.abc import Sequence

import pytest

from engine.virtual import Bench, RecordingOutlet
from tokenferry.engine.ports import Append, JournalUnavailable
from tokenferry.engine.relay import RETRY_S, Synced
from tokenferry.engine.stream import Subscription
from tokenferry.protocol.frames import FrameRenderer
from tokenferry.stores.memory import MemoryJournal


class BrokenOutlet(RecordingOutlet):
    def record(self, data: bytes) -> None:
        raise RuntimeError("broken")


def test_one_broken_client_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    stream = bench.create()
    broken, sound = BrokenOutlet(), RecordingOutlet()
    bench.follow(stream, broken)
    bench.follow(stream, sound)
    bench.sink.text("x")
    with caplog.at_level(logging.ERROR):
        bench.timers.tick()
    assert broken.was_cut
    assert sound.text() == "x"
    assert "cut" in caplog.text


def test_the_journal_has_a_record_before_any_client_does() -> None:
    bench = Bench()
    stream = bench.create()
    seen: list[int] = []

    class Checking(RecordingOutlet):
        def record(self, data: bytes) -> None:
            super().record(data)
            seen.append(len(bench.journal.read(stream.id, 0, 100)))

    outlet = Checking()
    bench.follow(stream, outlet)
    for text in "abc":
        bench.sink.text(text)
        bench.timers.tick()
        assert seen[-1] >= outlet.seqs()[-1]
    assert len(seen) == 3


def test_streams_of_one_tick_are_one_commit() -> None:
    bench = Bench()
    batches: list[int] = []
    append = bench.journal.append

    def counting(batch: list) -> None:
        batches.append(len(batch))
        append(batch)

    bench.journal.append = counting  # type: ignore[method-assign]
    for _ in range(4):
        bench.follow(bench.create())
    for call in bench.provider.calls:
        call.sink.text("x")
    bench.timers.tick()
    assert batches == [4]


class FailingJournal(MemoryJournal):
    """A journal that takes nothing while `fails`."""

    fails = False
    # What one commit takes, and which stream is refused.
    records_max = 1_000_000
    refused: str | None = None

    def append(self, batch: Sequence[Append]) -> None:
        if self.fails or sum(len(each.pending) for each in batch) > self.records_max:
            raise JournalUnavailable("full")
        if any(each.id == self.refused for each in batch):
            raise JournalUnavailable("refused")
        super().append(batch)


@pytest.fixture
def failing() -> tuple[Bench, FailingJournal]:
    journal = FailingJournal(1 << 20)
    return Bench(journal=journal), journal


def test_a_journal_that_takes_nothing_is_tried_again_after_a_quarter_of_a_second(
    failing: tuple[Bench, FailingJournal], caplog: pytest.LogCaptureFixture
) -> None:
    bench, journal = failing
    outlet, _ = bench.follow(bench.create())
    journal.fails = True
    bench.sink.text("x")
    bench.timers.advance(0.26)
    journal.fails = False
    bench.timers.advance(0.23)
    assert outlet.written == []
    bench.timers.advance(0.02)
    assert outlet.text() == "x"
    # Once, however often it is tried.
    assert [record.getMessage() for record in caplog.records] == ["the journal takes nothing: full"]


def test_who_asks_for_a_flush_meanwhile_does_not_multiply_the_tries(
    failing: tuple[Bench, FailingJournal],
) -> None:
    bench, journal = failing
    bench.create()
    journal.fails = True
    bench.sink.text("x")
    for _ in range(100):
        bench.dispatcher.relay.flush()
    tries = 0
    append = journal.append

    def counting(batch: Sequence[Append]) -> None:
        nonlocal tries
        tries += 1
        append(batch)

    journal.append = counting  # type: ignore[method-assign]
    bench.timers.advance(1.0)
    assert tries <= 1.0 / RETRY_S + 1


def test_a_stream_is_given_up_after_ten_seconds_and_not_before(
    failing: tuple[Bench, FailingJournal],
) -> None:
    bench, journal = failing
    stream = bench.create()
    outlet, _ = bench.follow(stream)
    journal.fails = True
    bench.sink.text("x")
    bench.timers.advance(9.75)
    assert not outlet.was_cut
    assert not stream.sealed
    bench.timers.advance(0.25)
    assert outlet.was_cut
    assert stream.sealed


def test_a_second_failure_has_its_ten_seconds_too(failing: tuple[Bench, FailingJournal]) -> None:
    bench, journal = failing
    stream = bench.create()
    for text in "xy":
        bench.sink.text(text)
        journal.fails = True
        bench.timers.advance(9.0)
        journal.fails = False
        bench.timers.advance(1.0)
    assert stream.head == 3
    assert not stream.sealed


def test_nothing_is_synced_where_nothing_was_written() -> None:
    asked: list[Synced] = []
    bench = Bench(sync=asked.append)
    bench.dispatcher.relay.flush()
    assert asked == []
    assert bench.dispatcher.relay.is_idle


def test_a_sync_that_went_well_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[Synced] = []
    bench = Bench(sync=asked.append)
    bench.create()
    bench.timers.tick()
    asked.pop()(None)
    assert caplog.text == ""


def test_it_is_idle_when_nothing_waits_for_the_journal_or_the_disk() -> None:
    asked: list[Synced] = []
    bench = Bench(sync=asked.append)
    relay = bench.dispatcher.relay
    bench.create()
    assert not relay.is_idle  # a create waits
    bench.timers.tick()
    assert not relay.is_idle  # the disk is busy
    asked.pop()(None)
    assert relay.is_idle
    bench.sink.text("x")
    assert not relay.is_idle  # a record waits


def test_only_a_stream_that_is_done_is_closed_in_the_journal() -> None:
    bench = Bench()
    closed: list[str] = []
    bench.journal.close = closed.append  # type: ignore[method-assign]
    stream = bench.create()
    bench.sink.text("x")
    bench.timers.tick()
    assert closed == []
    bench.sink.finish(0, "stop")
    bench.sink.end()
    bench.timers.tick()
    assert closed == [stream.id]


def test_what_gathered_while_the_journal_failed_may_be_more_than_one_commit_takes(
    failing: tuple[Bench, FailingJournal],
) -> None:
    bench, journal = failing
    streams = [bench.create() for _ in range(3)]
    journal.records_max = 4
    journal.fails = True
    for call in bench.provider.calls:
        call.sink.text("x")
        call.sink.text("y")
    bench.timers.advance(1.0)
    journal.fails = False
    bench.timers.advance(1.0)
    assert [stream.head for stream in streams] == [3, 3, 3]
    assert bench.dispatcher.relay.is_idle


def test_of_what_gathered_each_stream_is_committed_once(
    failing: tuple[Bench, FailingJournal],
) -> None:
    bench, journal = failing
    streams = [bench.create() for _ in range(3)]
    outlets = [bench.follow(stream)[0] for stream in streams]
    journal.fails = True
    for call in bench.provider.calls:
        call.sink.text("x")
    bench.timers.tick()
    journal.fails, journal.refused = False, streams[1].id
    bench.timers.advance(0.25)
    assert [outlet.seqs() for outlet in outlets] == [[1, 2], [], []]
    journal.refused = None
    bench.timers.advance(0.25)
    assert [outlet.seqs() for outlet in outlets] == [[1, 2]] * 3
    assert bench.dispatcher.relay.is_idle


def test_a_client_that_breaks_at_the_ticks_end_is_cut_too() -> None:
    bench = Bench()
    broken, sound = BrokenOutlet(), RecordingOutlet()
    streams = [bench.create() for _ in range(2)]
    for stream in streams:
        bench.follow(stream, broken)
        bench.follow(stream, sound)
    for call in bench.provider.calls:
        call.sink.text("x")
    bench.timers.tick()
    assert broken.was_cut
    assert sound.text() == "xx"


def test_who_has_something_to_read_still_is_not_given_the_newest_first() -> None:
    bench = Bench()
    stream = bench.create()
    bench.sink.text("x")
    bench.timers.tick()
    outlet = RecordingOutlet()
    renderer = FrameRenderer(stream.id, 1, aware=False, merges=False)
    Subscription(stream, outlet, renderer)  # in line, and its turn has not come
    bench.sink.text("y")
    bench.timers.tick()
    assert outlet.seqs() == [1, 2, 3]
