import msgspec
import pytest

from engine.virtual import Bench, RecordingOutlet, ScriptedProvider, Timer
from tokenferry.domain.usage import Usage
from tokenferry.engine import book as book_module
from tokenferry.engine.book import StreamMeta
from tokenferry.engine.options import Limits, Options
from tokenferry.engine.stream import Stream
from tokenferry.errors import TooManyFollowers


def finish(bench: Bench) -> None:
    bench.sink.text("x")
    bench.sink.finish(0, "stop")
    bench.sink.end()
    bench.timers.tick()


def due(bench: Bench, *, at_most: int = 10, crowded: bool = False) -> list[str]:
    entries = bench.dispatcher.book.due(600, at_most=at_most, crowded=crowded)
    return [entry.stream.id for entry in entries]


def finished(bench: Bench, count: int) -> list[Stream]:
    streams = []
    for _ in range(count):
        streams.append(bench.create())
        finish(bench)
    return streams


def test_chunks_are_due_after_their_time_and_not_before() -> None:
    bench = Bench()
    (stream,) = finished(bench, 1)
    bench.timers.advance(599)
    assert due(bench) == []
    bench.timers.advance(1)
    assert due(bench) == [stream.id]


def test_the_oldest_are_due_first_and_so_many_at_once() -> None:
    bench = Bench()
    streams = finished(bench, 3)
    bench.timers.advance(601)
    assert due(bench, at_most=2) == [streams[0].id, streams[1].id]


def test_a_running_stream_is_never_due() -> None:
    bench = Bench()
    bench.create()
    bench.timers.advance(10_000)
    assert due(bench, crowded=True) == []


def test_where_room_is_scarce_finished_streams_go_before_their_time() -> None:
    bench = Bench()
    streams = finished(bench, 2)
    assert due(bench, crowded=True) == [stream.id for stream in streams]


def test_a_stream_that_is_being_read_stays() -> None:
    bench = Bench()
    one, two = finished(bench, 2)
    outlet = RecordingOutlet()
    outlet.paused = True
    _, subscription = bench.follow(one, outlet, resumes=True)
    bench.timers.advance(601)
    assert due(bench) == [two.id]
    entry = bench.dispatcher.book.get("k", one.id)
    assert entry is not None
    assert not bench.dispatcher.book.strike(entry)
    bench.dispatcher.book.leave(subscription, lost=True)
    assert due(bench) == [one.id, two.id]


def test_the_time_of_a_stream_begins_when_its_last_reader_has_left() -> None:
    bench = Bench()
    stream = bench.create()
    outlet = RecordingOutlet()
    outlet.paused = True
    _, subscription = bench.follow(stream, outlet)
    finish(bench)
    bench.timers.advance(1000)
    assert due(bench, crowded=True) == []
    bench.wall_ms += 1_000_000
    bench.dispatcher.book.leave(subscription, lost=True)
    bench.timers.advance(599)
    assert due(bench) == []
    bench.timers.advance(1)
    assert due(bench) == [stream.id]


def test_a_stream_is_kept_until_its_provider_has_reported() -> None:
    bench = Bench([ScriptedProvider(drains=True)])
    stream = bench.create()
    bench.sink.text("x")
    bench.timers.tick()
    bench.dispatcher.cancel("k", stream.id)
    bench.timers.tick()
    assert (stream.done, bench.dispatcher.book.live_count) == (True, 1)
    assert due(bench, crowded=True) == []
    bench.sink.usage(Usage(3, 1))
    bench.sink.end()
    bench.timers.tick()
    assert bench.dispatcher.book.live_count == 0
    assert due(bench, crowded=True) == [stream.id]


@pytest.mark.parametrize(("kept", "gone"), [(1, 2), (2, 1), (3, 0), (4, 0)])
def test_no_more_are_kept_than_the_limit(
    monkeypatch: pytest.MonkeyPatch, kept: int, gone: int
) -> None:
    monkeypatch.setattr(book_module, "FINISHED_STREAMS_MAX", kept)
    bench = Bench()
    streams = finished(bench, 3)
    assert due(bench) == [stream.id for stream in streams[:gone]]


def test_what_is_struck_out_cannot_be_found() -> None:
    bench = Bench()
    (stream,) = finished(bench, 1)
    book = bench.dispatcher.book
    entry = book.get("k", stream.id)
    assert entry is not None
    assert book.strike(entry)
    assert book.get("k", stream.id) is None
    assert list(book.owned("k")) == []
    assert (book.stream_ids(), book.live_count) == ([], 0)
    assert due(bench, crowded=True) == []


def test_the_newest_of_a_key_come_first_and_no_other_keys() -> None:
    bench = Bench()
    one, two = bench.create(), bench.create()
    bench.create(owner="other")
    assert [entry.stream for entry in bench.dispatcher.book.owned("k")] == [two, one]


@pytest.mark.parametrize(("followers", "is_full"), [(1, False), (2, True), (3, True)])
def test_a_stream_has_so_many_followers_and_no_more(followers: int, *, is_full: bool) -> None:
    bench = Bench(limits=Limits(1 << 20, followers_max=2))
    stream = bench.create()
    for _ in range(followers):
        bench.follow(stream)
    if is_full:
        with pytest.raises(TooManyFollowers):
            bench.dispatcher.book.check_room(stream)
    else:
        bench.dispatcher.book.check_room(stream)


def test_who_was_lost_comes_back_and_is_lost_again_has_the_whole_time_again() -> None:
    bench = Bench()
    stream = bench.create()
    book = bench.dispatcher.book
    for _ in range(2):
        outlet, subscription = bench.follow(stream)
        bench.timers.advance(100)
        book.leave(subscription, lost=True)
        bench.timers.advance(59)
        assert bench.provider.calls[0].cancelled == 0
    assert outlet.lanes == 0
    bench.timers.advance(1)
    assert bench.provider.calls[0].cancelled == 1


@pytest.mark.parametrize(("timeout_s", "after_s"), [(0.0, 0.0), (1.0, 1.0)])
def test_the_orphan_time_is_as_long_as_was_asked(timeout_s: float, after_s: float) -> None:
    bench = Bench()
    stream = bench.create(Options(on_disconnect_cancel=False, orphan_timeout_s=timeout_s))
    _, subscription = bench.follow(stream)
    bench.dispatcher.book.leave(subscription, lost=True)
    assert bench.provider.calls[0].cancelled == (after_s == 0)
    bench.timers.advance(after_s)
    assert bench.provider.calls[0].cancelled == 1


def test_who_is_lost_twice_is_one_orphan() -> None:
    bench = Bench()
    stream = bench.create()
    _, subscription = bench.follow(stream)
    for _ in range(2):
        bench.dispatcher.book.leave(subscription, lost=True)
    bench.follow(stream)
    bench.timers.advance(1000)
    assert bench.provider.calls[0].cancelled == 0
    assert stream.drops == 1


@pytest.mark.parametrize(
    ("lost", "is_over", "drops"), [(True, False, 1), (False, False, 0), (True, True, 0)]
)
def test_only_a_connection_that_is_lost_before_the_end_is_a_drop(
    drops: int, *, lost: bool, is_over: bool
) -> None:
    bench = Bench()
    stream = bench.create()
    outlet = RecordingOutlet()
    outlet.paused = True
    _, subscription = bench.follow(stream, outlet)
    if is_over:
        finish(bench)
    bench.dispatcher.book.leave(subscription, lost=lost)
    assert stream.drops == drops


def test_an_orphan_that_ends_by_itself_holds_no_timer() -> None:
    bench = Bench()
    stream = bench.create()
    _, subscription = bench.follow(stream)
    bench.dispatcher.book.leave(subscription, lost=True)
    entry = bench.dispatcher.book.get("k", stream.id)
    assert entry is not None
    timer = entry.orphan_timer
    assert isinstance(timer, Timer)
    finish(bench)
    assert (timer.cancelled, entry.orphan_timer) == (True, None)


def test_what_is_not_written_of_a_stream_means_what_it_always_meant() -> None:
    """A journal outlives the release that wrote it, and has no defaults in it."""
    written = (
        b'{"owner":"k","model":"m","provider":"p","provider_model":"q","created_ms":1,'
        b'"orphan_timeout_s":60}'
    )
    meta = msgspec.json.decode(written, type=StreamMeta)
    assert not meta.on_disconnect_cancel
    assert not meta.include_usage
    assert (meta.prompt_tokens, meta.output_tokens_max) == (0, None)
    assert (meta.recovery, meta.account, meta.transport) == ("fail", "operator", "unknown")
    assert msgspec.json.encode(meta) == written.replace(b":60}", b":60.0}")


def test_an_end_in_an_earlier_process_counts_from_then() -> None:
    bench = Bench()
    (stream,) = finished(bench, 1)
    book = bench.dispatcher.book
    entry = book.get("k", stream.id)
    assert entry is not None
    book.strike(entry)
    book.add(entry)
    book.retire(entry, bench.wall_ms - 599_000)
    assert due(bench) == []
    bench.timers.advance(1.1)
    assert due(bench) == [stream.id]
    assert entry.ended_ms == bench.wall_ms - 599_000


def test_an_end_in_the_future_counts_as_now() -> None:
    bench = Bench()
    (stream,) = finished(bench, 1)
    book = bench.dispatcher.book
    entry = book.get("k", stream.id)
    assert entry is not None
    book.strike(entry)
    book.add(entry)
    book.retire(entry, bench.wall_ms + 10_000_000)
    assert entry.ended_ms == bench.wall_ms
