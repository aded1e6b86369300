from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.virtual import Bench, RecordingOutlet
from tokenferry.engine import stream as stream_module
from tokenferry.engine.ports import JournalUnavailable
from tokenferry.engine.relay import Synced  # noqa: TC001 -- no block of its own for one name
from tokenferry.engine.stream import RING_RECORDS, TURN_RECORDS, Stream
from tokenferry.errors import ProviderCutOff
from tokenferry.stores.memory import MemoryJournal


def say(bench: Bench, count: int) -> None:
    for number in range(count):
        bench.sink.text(f"{number} ")
    bench.timers.tick()


def end(bench: Bench) -> None:
    bench.sink.finish(0, "stop")
    bench.sink.end()
    bench.timers.tick()


def test_a_tick_is_one_write_a_connection() -> None:
    bench = Bench()
    outlet = RecordingOutlet()
    for _ in range(3):
        bench.follow(bench.create(), outlet)
    for call in bench.provider.calls:
        call.sink.text("x")
        call.sink.text("y")
    bench.timers.tick()
    assert len(outlet.written) == 1
    assert len(outlet.frames()) == 9


def test_each_token_of_several_streams_on_a_connection_is_sent_once() -> None:
    bench = Bench()
    outlet = RecordingOutlet()
    one, two = bench.create(), bench.create()
    bench.follow(one, outlet)
    bench.follow(two, outlet)
    for speaking in ((0, 1), (0,), (0, 1)):
        for number in speaking:
            bench.provider.calls[number].sink.text("x")
        bench.timers.tick()
    assert len(outlet.written) == 3
    assert [frame["seq"] for frame in outlet.frames() if frame["stream_id"] == one.id] == [
        *range(1, 5)
    ]
    assert [frame["seq"] for frame in outlet.frames() if frame["stream_id"] == two.id] == [
        *range(1, 4)
    ]


@given(st.integers(0, 3 * RING_RECORDS), st.data())
def test_a_late_reader_gets_what_an_early_one_got(count: int, data: st.DataObject) -> None:
    bench = Bench(journal=MemoryJournal(1 << 24))
    stream = bench.create()
    early, _ = bench.follow(stream)
    for start in range(0, count, 500):
        say(bench, min(500, count - start))
    end(bench)
    after = data.draw(st.integers(0, stream.head))
    late, _ = bench.follow(stream, after=after, resumes=True)
    assert b"".join(late.written) == b"".join(frames_after(early, after))
    assert late.done == [stream.id]


def frames_after(outlet: RecordingOutlet, after: int) -> list[bytes]:
    frames = []
    for data in outlet.written:
        rest = data
        while rest:
            length, start = rest[1], 2
            if length == 126:
                length, start = int.from_bytes(rest[2:4], "big"), 4
            frames.append(rest[: start + length])
            rest = rest[start + length :]
    return frames[after:]


def test_a_reader_that_is_far_behind_reads_the_journal_not_the_ring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_module, "RING_RECORDS", 10)
    bench = Bench()
    stream = bench.create()
    outlet = RecordingOutlet(room=1)
    bench.follow(stream, outlet)
    for _ in range(20):
        say(bench, 10)
    assert outlet.paused
    end(bench)
    outlet.room = None
    outlet.resume()
    assert outlet.seqs() == list(range(1, stream.head + 1))
    assert outlet.done == [stream.id]


def test_a_full_transport_stops_the_client_and_nobody_else() -> None:
    bench = Bench()
    stream = bench.create()
    slow, quick = RecordingOutlet(room=1), RecordingOutlet()
    bench.follow(stream, slow)
    bench.follow(stream, quick)
    for _ in range(5):
        say(bench, 100)
    assert len(slow.written) == 1
    assert len(quick.frames()) == 501


def test_who_leaves_a_stream_is_not_sent_what_it_was_behind() -> None:
    bench = Bench()
    stream = bench.create()
    outlet = RecordingOutlet(room=1)
    _, left = bench.follow(stream, outlet)
    for _ in range(5):
        say(bench, 100)
    assert outlet.paused
    read = outlet.seqs()[-1]
    bench.dispatcher.book.leave(left, lost=False)
    _, anew = bench.follow(stream, outlet, after=read, resumes=True)
    outlet.room = None
    outlet.resume()
    assert outlet.seqs() == list(range(1, stream.head + 1))
    assert outlet.caught == [stream.head]
    bench.dispatcher.book.leave(anew, lost=False)
    say(bench, 100)
    assert outlet.seqs()[-1] == stream.head - 100
    assert (outlet.lanes, outlet.line) == (0, [])


def test_who_is_behind_gets_text_merged_and_nothing_twice() -> None:
    bench = Bench()
    stream = bench.create()
    outlet = RecordingOutlet(room=1)
    bench.follow(stream, outlet, merges=True)
    for _ in range(20):
        say(bench, 50)
    outlet.room = None
    outlet.resume()
    frames = outlet.frames()
    assert outlet.text() == "".join(f"{n} " for _ in range(20) for n in range(50))
    merged = [frame for frame in frames if "from" in frame]
    assert merged
    assert len(frames) < 200
    last = 0
    for frame in frames:
        assert frame.get("from", frame["seq"]) == last + 1
        last = frame["seq"]


def test_a_slow_client_of_many_streams_is_not_written_all_of_them_at_once() -> None:
    bench = Bench()
    outlet = RecordingOutlet(room=0)
    outlet.paused = True
    streams = [bench.create() for _ in range(20)]
    for stream in streams:
        bench.follow(stream, outlet)
    for call in bench.provider.calls:
        for _ in range(TURN_RECORDS):
            call.sink.text("x" * 1000)
    bench.timers.tick()
    assert outlet.written == []
    turn_bytes = TURN_RECORDS * 1500
    rounds = 0
    while outlet.line:
        outlet.room = 1
        outlet.resume()
        rounds += 1
        assert len(outlet.written[-1]) < stream_module.ROUND_BYTES + turn_bytes
        # Nobody has a second turn before all have had one.
        begun = {frame["stream_id"] for frame in outlet.frames()}
        assert len(begun) == min(rounds, len(streams))
    assert len(outlet.seqs()) == len(streams) * (TURN_RECORDS + 1)


def test_streams_of_one_connection_take_turns() -> None:
    bench = Bench()
    outlet = RecordingOutlet()
    outlet.paused = True
    one, two = bench.create(), bench.create()
    bench.follow(one, outlet)
    bench.follow(two, outlet)
    for call in bench.provider.calls:
        for _ in range(3 * TURN_RECORDS):
            call.sink.text("x")
    bench.timers.tick()
    outlet.resume()
    ids = [frame["stream_id"] for frame in outlet.frames()]
    switches = sum(a != b for a, b in pairwise(ids))
    assert switches >= 5


def test_a_reader_whose_records_are_gone_is_told() -> None:
    bench = Bench()
    stream = bench.create()
    outlet = RecordingOutlet(room=1)
    bench.follow(stream, outlet)
    say(bench, 5)
    say(bench, 5)
    end(bench)
    stream.release()
    bench.journal.drop(stream.id)
    outlet.room = None
    outlet.resume()
    assert outlet.gone_from == [stream.id]


def test_who_reads_the_journal_gets_nothing_that_waits_for_the_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_module, "RING_RECORDS", 1)
    waiting: list[Synced] = []
    bench = Bench(sync=waiting.append)
    stream = bench.create()
    bench.timers.tick()
    waiting.pop()(None)
    for _ in range(3):
        say(bench, 1)
        waiting.pop()(None)
    say(bench, 1)
    outlet, _ = bench.follow(stream, resumes=True)
    assert outlet.seqs() == [1, 2, 3, 4]
    later, _ = bench.follow(stream, after=1, resumes=True)
    assert later.seqs() == [2, 3, 4]
    assert list(stream.committed()) == list(bench.journal.read(stream.id, 0, 4))
    waiting.pop()(None)
    assert outlet.seqs() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("texts", "kept"), [(6, 7), (7, 8), (8, 4), (12, 8), (13, 4)])
def test_so_many_records_are_held_in_memory(
    monkeypatch: pytest.MonkeyPatch, texts: int, kept: int
) -> None:
    monkeypatch.setattr(stream_module, "RING_RECORDS", 4)
    bench = Bench()
    stream = bench.create()
    for _ in range(texts):
        say(bench, 1)
    assert stream.head == texts + 1
    assert len(stream._ring) == kept
    assert stream._ring == list(bench.journal.read(stream.id, stream.head - kept, kept))


def test_who_is_near_the_head_costs_no_read_of_the_journal() -> None:
    bench = Bench()
    stream = bench.create()
    say(bench, 5)
    bench.journal.drop(stream.id)
    outlet, _ = bench.follow(stream)
    assert len(outlet.frames()) == 6


def test_what_waits_for_the_disk_is_counted_once() -> None:
    waiting: list[Synced] = []
    bench = Bench(sync=waiting.append)
    stream = bench.create()
    bench.timers.tick()
    waiting.pop()(None)
    bench.sink.text("one ")
    bench.timers.tick()
    waiting.pop()(None)
    bench.sink.text("two ")
    bench.timers.tick()
    bench.sink.text("three")
    texts = [record[2:-1] for record in stream.all_records() if record[:1] == b"t"]
    assert texts == [b"one ", b"two ", b"three"]
    # The head, one committed text, one that waits for the disk, one that is not written.
    whole = list(stream.all_records())
    assert (stream.head, stream.record_count) == (2, 4)
    assert [list(stream.records_after(after)) for after in range(5)] == [
        whole[after:] for after in range(5)
    ]
    waiting.pop()(None)
    waiting.pop()(None)
    assert list(stream.all_records()) == list(stream.committed())
    assert len(list(stream.committed())) == 4


def test_an_outlet_knows_how_many_it_reads() -> None:
    bench = Bench()
    outlet = RecordingOutlet()
    _, one = bench.follow(bench.create(), outlet)
    bench.follow(bench.create(), outlet)
    assert outlet.lanes == 2
    for _ in range(2):
        one.close()
    assert outlet.lanes == 1


def test_who_is_behind_gets_what_is_no_text_in_its_place() -> None:
    bench = Bench()
    stream = bench.create()
    outlet = RecordingOutlet(room=1)
    bench.follow(stream, outlet, merges=True)
    said: list[str] = []
    for texts in (1, 3, 0, 2):
        for number in range(texts):
            bench.sink.text(f"{number}")
            said.append(f"{number}")
        bench.sink.reasoning("?")
        bench.timers.tick()
        said.append("?")
    end(bench)
    outlet.room = None
    outlet.resume()
    early, *late, last = outlet.frames()
    # The first write found room, and was as it is for everybody.
    assert (early["seq"], last["seq"]) == (1, stream.head)
    position, read = 1, ""
    for frame in late:
        assert frame.get("from", frame["seq"]) == position + 1
        position = frame["seq"]
        delta = frame["choices"][0]["delta"]
        read += delta.get("reasoning_content") or delta["content"]
    assert position == stream.head - 1
    assert read == "".join(said)
    assert [frame["seq"] - frame["from"] + 1 for frame in late if "from" in frame] == [3, 2]


def test_who_was_never_behind_gets_each_chunk_by_itself() -> None:
    bench = Bench()
    stream = bench.create()
    say(bench, 3)
    outlet, _ = bench.follow(stream, merges=True)
    assert outlet.seqs() == [1, 2, 3, 4]
    assert not any("from" in frame for frame in outlet.frames())


def test_a_stream_that_failed_before_its_first_token_can_be_followed_from_its_end() -> None:
    bench = Bench()
    stream = bench.create()
    bench.sink.fail(ProviderCutOff("gone"))
    bench.timers.tick()
    assert stream.head_record is None
    outlet, _ = bench.follow(stream, after=1, resumes=True)
    assert (outlet.frames(), outlet.gone_from, outlet.done) == ([], [], [stream.id])


def test_who_has_everything_of_a_stream_that_is_over_gets_nothing_twice() -> None:
    bench = Bench()
    stream = bench.create()
    say(bench, 2)
    end(bench)
    outlet, _ = bench.follow(stream, after=stream.head, resumes=True)
    assert (outlet.written, outlet.done) == ([], [stream.id])


class Unreadable(MemoryJournal):
    def read(self, stream_id: str, after: int, limit: int) -> Sequence[bytes]:
        raise JournalUnavailable("the disk is gone")


def test_a_reader_is_cut_off_where_the_journal_cannot_be_read_and_may_come_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(journal=Unreadable(1 << 20))
    stream = bench.create()
    say(bench, 2)
    end(bench)
    outlet, _ = bench.follow(stream, resumes=True)
    assert (outlet.was_cut, outlet.written, outlet.gone_from) == (True, [], [])
    assert "the journal cannot be read" in caplog.text


def committed_stream(records: int) -> Stream:
    stream = Stream("st_1", "k", ((1, 1),), MemoryJournal(1 << 20))
    stream.pending = [b"h{}", *[b't"x"'] * (records - 1)]
    stream.commit()
    return stream


def test_chunks_that_wait_for_the_disk_or_for_the_tick_are_chunks() -> None:
    stream = committed_stream(2)
    stream.in_flight = [b't"x"']
    stream.pending = [b't"x"', b"d{}"]
    assert stream.chunk_count == 3


def test_neither_the_head_nor_the_end_is_a_chunk() -> None:
    assert committed_stream(4).chunk_count == 2
