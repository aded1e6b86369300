"""A process dies, and the next one finds its streams: on the journal that survives."""

from pathlib import Path

import pytest

from engine.virtual import Bench, RecordingOutlet
from tokenferry.engine.dispatcher import Options
from tokenferry.engine.recovery import recover
from tokenferry.engine.resume import Replay, plan_resume
from tokenferry.protocol.cursor import Position
from tokenferry.stores.memory import MemoryJournal
from tokenferry.stores.segment_journal import SegmentJournal


class Site:
    """A data directory, and one process after the other on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal: SegmentJournal | None = None

    def start(self) -> Bench:
        """Start a process; the one before it is gone, with all that was not committed."""
        if self.journal is not None:
            self.journal.close_files()
        self.journal = SegmentJournal(self.path, wall_ms=lambda: 1_790_000_000_000)
        bench = Bench(journal=self.journal)  # type: ignore[arg-type] -- another adapter of the port
        self.ended = recover(bench.dispatcher, self.journal.recovered())
        bench.timers.tick()
        return bench


@pytest.fixture
def site(tmp_path: Path):
    site = Site(tmp_path / "journal")
    yield site
    if site.journal is not None:
        site.journal.close_files()


def resumed(bench: Bench, stream_id: str, epoch: int, after: int) -> tuple[Replay, RecordingOutlet]:
    plan = plan_resume(bench.dispatcher.find("k", stream_id), Position(epoch, after))
    assert isinstance(plan, Replay)
    outlet, _ = bench.follow(plan.entry.stream, after=plan.after, resumes=True)
    return plan, outlet


def test_a_stream_that_was_done_is_there_byte_for_byte(site: Site) -> None:
    bench = site.start()
    stream = bench.create()
    before, _ = bench.follow(stream)
    for text in ("안녕", "하세요", "🙂"):
        bench.sink.text(text)
        bench.timers.tick()
    bench.sink.finish(0, "stop")
    bench.sink.end()
    bench.timers.tick()
    bench = site.start()
    assert site.ended == 0
    plan, after = resumed(bench, stream.id, 1, 0)
    assert not plan.is_reset
    assert b"".join(after.written) == b"".join(before.written)
    assert after.done == [stream.id]
    assert bench.meter.outcomes == []


def test_a_stream_that_was_generating_ends_as_lost_and_is_billed_for_what_was_saved(
    site: Site,
) -> None:
    bench = site.start()
    stream = bench.create()
    seen, _ = bench.follow(stream)
    bench.sink.text("하나")
    bench.sink.text("둘")
    bench.timers.tick()
    bench.sink.text("never committed")
    bench = site.start()
    assert site.ended == 1
    plan, outlet = resumed(bench, stream.id, 1, seen.seqs()[-1])
    assert (plan.is_reset, plan.after, plan.entry.stream.epoch) == (True, 3, 2)
    (last,) = outlet.frames()
    assert last["error"]["code"] == "upstream_lost"
    assert (last["epoch"], last["seq"], last["done"]) == (2, 4, True)
    assert last["usage"]["completion_tokens"] == 3
    assert last["usage"]["estimated"] is True
    (outcome,) = bench.meter.outcomes
    assert (outcome.stream_id, outcome.finish, outcome.error_code) == (
        stream.id,
        "error",
        "upstream_lost",
    )
    assert outcome.usage is not None
    assert outcome.usage.completion_tokens == 3


def test_a_stream_without_a_token_ends_without_usage(site: Site) -> None:
    stream = site.start().create()
    bench = site.start()
    _, outlet = resumed(bench, stream.id, 1, 0)
    (last,) = outlet.frames()
    assert (last["error"]["code"], last["usage"]) == ("upstream_lost", None)


def test_it_ends_once_however_often_the_server_dies(site: Site) -> None:
    stream = site.start().create()
    site.start()
    bench = site.start()
    assert site.ended == 0
    assert bench.meter.outcomes == []
    plan, outlet = resumed(bench, stream.id, 1, 0)
    assert plan.entry.stream.epoch == 2
    assert len(outlet.frames()) == 1


def test_a_death_between_takeover_and_end_is_taken_over_again(site: Site) -> None:
    stream = site.start().create()
    assert site.journal is not None
    found = site.journal
    found.close_files()
    halfway = SegmentJournal(site.path, wall_ms=lambda: 1_790_000_000_000)
    halfway.open(stream.id, 2, halfway.recovered()[0].meta)
    halfway.close_files()
    site.journal = None
    bench = site.start()
    assert site.ended == 1
    plan, _ = resumed(bench, stream.id, 2, 0)
    assert plan.entry.stream.epochs == ((1, 1), (2, 1), (3, 1))


def test_a_repeated_create_finds_the_stream_of_the_dead_process(site: Site) -> None:
    options = Options(on_disconnect_cancel=False, orphan_timeout_s=60, idempotency_key="i")
    first = site.start().create(options)
    bench = site.start()
    again = bench.create(options)
    assert (again.id, again.done) == (first.id, True)
    assert bench.provider.calls == []


def test_an_unreadable_stream_is_dropped_and_the_others_stay(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    bench = site.start()
    stream = bench.create()
    bench.journal.open("st_alien", 1, b"not JSON")
    bench = site.start()
    assert "st_alien" in caplog.text
    assert bench.dispatcher.book.get("k", stream.id) is not None
    assert site.start().dispatcher.book.get("k", stream.id) is not None
    assert site.ended == 0


def test_nothing_is_recovered_from_memory() -> None:
    bench = Bench(journal=MemoryJournal(1 << 20))
    bench.create()
    assert recover(bench.dispatcher, bench.journal.recovered()) == 0


def test_every_stream_has_its_end_before_anybody_is_served(site: Site) -> None:
    stream = site.start().create()
    assert site.journal is not None
    site.journal.close_files()
    site.journal = SegmentJournal(site.path, wall_ms=lambda: 1_790_000_002_500)
    bench = Bench(journal=site.journal)  # type: ignore[arg-type] -- another adapter of the port
    recover(bench.dispatcher, site.journal.recovered())
    assert bench.found(stream.id).done
    assert bench.dispatcher.relay.is_idle


def test_how_long_a_lost_stream_took_is_the_time_to_its_last_commit(tmp_path: Path) -> None:
    now_ms = [1_790_000_000_000]
    path = tmp_path / "journal"
    journal = SegmentJournal(path, wall_ms=lambda: now_ms[0])
    bench = Bench(journal=journal)  # type: ignore[arg-type] -- another adapter of the port
    bench.create()
    now_ms[0] += 2500
    bench.sink.text("x")
    bench.timers.tick()
    journal.close_files()
    journal = SegmentJournal(path, wall_ms=lambda: now_ms[0])
    bench = Bench(journal=journal)  # type: ignore[arg-type] -- another adapter of the port
    recover(bench.dispatcher, journal.recovered())
    journal.close_files()
    (outcome,) = bench.meter.outcomes
    assert outcome.duration_s == 2.5
