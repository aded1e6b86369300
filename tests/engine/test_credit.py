"""Streams that are sent only as far as their client has given credit."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.virtual import Bench, RecordingOutlet, frames_of
from tokenferry.domain.credit_window import CREDIT_BYTES_MAX
from tokenferry.engine.credit import CreditedSubscription, Credits
from tokenferry.engine.ports import JournalUnavailable
from tokenferry.engine.stream import Stream, Subscription
from tokenferry.protocol.frames import FrameRenderer, payload_bytes
from tokenferry.stores.memory import MemoryJournal

# The window of a stream is a quarter of it, a chunk of one letter some 320 bytes.
WINDOW_BYTES = 4_000
PLENTY = 10_000_000


class Reader(RecordingOutlet):
    """A client that counts."""

    def __init__(self, window_bytes: int = WINDOW_BYTES) -> None:
        super().__init__()
        self.credit = Credits(window_bytes)
        self.count()
        self.given = self.credit.window_bytes
        self.given_to: dict[str, int] = {}

    def follow(
        self,
        bench: Bench,
        stream: Stream,
        *,
        after: int = 0,
        resumes: bool = False,
        merges: bool = False,
    ) -> CreditedSubscription:
        renderer = FrameRenderer(stream.id, stream.epoch, aware=True, merges=merges)
        subscription = CreditedSubscription(
            stream, self, renderer, self.credit, after=after, resumes=resumes
        )
        self.given_to[stream.id] = self.credit.stream_window_bytes
        bench.dispatcher.book.follow(subscription)
        self.pump()
        return subscription

    def give(self, count: int, subscription: CreditedSubscription | None = None) -> None:
        assert self.credit.add(count, subscription)
        if subscription is None:
            self.given += count
        else:
            self.given_to[subscription.stream.id] += count
        self.pump()

    def sent(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the size and content of each message."""
        for _, payload in frames_of(b"".join(self.written)):
            yield len(payload), json.loads(payload)

    def of(self, stream: Stream) -> list[dict[str, Any]]:
        return [frame for _, frame in self.sent() if frame["stream_id"] == stream.id]

    def text_of(self, stream: Stream) -> str:
        chunks = [frame for frame in self.of(stream) if frame["type"] == "chunk"]
        return "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)

    def check(self) -> None:
        """Check that the last chunk was sent while there was credit, and so all before it."""
        chunks = [(size, frame) for size, frame in self.sent() if frame["type"] == "chunk"]
        assert not chunks or sum(size for size, _ in chunks[:-1]) < self.given
        assert self.credit.window.left == self.given - sum(size for size, _ in chunks)
        for stream_id, given_bytes in self.given_to.items():
            sizes = [size for size, frame in chunks if frame["stream_id"] == stream_id]
            assert not sizes or sum(sizes[:-1]) < given_bytes


def say(bench: Bench, call: int, count: int, text: str = "x") -> None:
    for _ in range(count):
        bench.provider.calls[call].sink.text(text)
    bench.timers.tick()


def end(bench: Bench, call: int = 0) -> None:
    sink = bench.provider.calls[call].sink
    sink.finish(0, "stop")
    sink.end()
    bench.timers.tick()


def test_without_credit_a_stream_stands_still_and_goes_on_with_it() -> None:
    bench, reader = Bench(), Reader()
    stream = bench.create()
    subscription = reader.follow(bench, stream)
    for _ in range(20):
        say(bench, 0, 1)
    before = len(reader.of(stream))
    assert 1 < before < 10  # a quarter of the window
    assert [frame["seq"] for frame in reader.of(stream)] == [*range(1, before + 1)]
    assert not reader.line
    reader.check()
    reader.give(WINDOW_BYTES)  # of the connection: that is not what it waits for
    assert len(reader.of(stream)) == before
    reader.give(-subscription.window.left, subscription)  # no more than what was overdrawn
    assert len(reader.of(stream)) == before
    reader.give(1, subscription)
    assert len(reader.of(stream)) == before + 1
    reader.check()
    end(bench)
    assert reader.done == []
    reader.give(PLENTY, subscription)
    assert [frame["seq"] for frame in reader.of(stream)] == [*range(1, stream.head + 1)]
    assert reader.of(stream)[-1]["type"] == "done"
    assert reader.text_of(stream) == "x" * 20
    assert reader.done == [stream.id]
    reader.check()


def test_a_chunk_that_is_larger_than_the_window_is_sent() -> None:
    bench, reader = Bench(), Reader(1)
    stream = bench.create()
    subscription = reader.follow(bench, stream)
    say(bench, 0, 1, "한" * 10_000)
    assert [frame["seq"] for frame in reader.of(stream)] == [1]
    reader.give(1_000)
    reader.give(1_000, subscription)
    assert reader.text_of(stream) == "한" * 10_000


def test_the_end_needs_no_credit() -> None:
    bench, reader = Bench(), Reader(1)
    stream = bench.create()
    reader.follow(bench, stream)
    say(bench, 0, 1)
    assert len(reader.of(stream)) == 1
    reader.give(PLENTY)
    reader.give(1_000, reader.credit.waiting[0])
    assert len(reader.of(stream)) == 2
    reader.credit.window.left = 0
    end(bench)
    assert [frame["type"] for frame in reader.of(stream)] == ["chunk", "chunk", "done"]
    assert reader.done == [stream.id]


def test_a_stream_that_stands_still_holds_up_no_other() -> None:
    bench, reader = Bench(), Reader()
    one, two = bench.create(), bench.create()
    reader.follow(bench, one)
    subscription = reader.follow(bench, two)
    say(bench, 0, 20)
    say(bench, 1, 1)
    stood = reader.text_of(one)
    assert len(stood) < 20
    assert reader.text_of(two) == "x"
    for _ in range(20):
        reader.give(1_000)
        reader.give(1_000, subscription)
        say(bench, 1, 1)
    assert reader.text_of(one) == stood
    assert reader.text_of(two) == "x" * 21
    reader.check()


def test_a_connection_without_credit_sends_no_chunk_of_any_stream() -> None:
    bench, reader = Bench(), Reader(1)
    streams = [bench.create() for _ in range(3)]
    lanes = [reader.follow(bench, stream) for stream in streams]
    for lane in lanes:
        reader.give(PLENTY, lane)
    for number in range(3):
        say(bench, number, 200)
    assert [len(reader.of(stream)) for stream in streams] == [1, 0, 0]
    # Small credits reach each of them in turn.
    for _ in range(30):
        reader.give(400)
    assert min(len(reader.of(stream)) for stream in streams) >= 10
    reader.check()
    reader.give(PLENTY)
    assert [reader.text_of(stream) for stream in streams] == ["x" * 200] * 3


def test_a_cancelled_stream_is_sent_to_its_end() -> None:
    bench, reader = Bench(), Reader()
    stream, other = bench.create(), bench.create()
    subscription = reader.follow(bench, stream)
    waiting = reader.follow(bench, other)
    say(bench, 0, 20)
    say(bench, 1, 20)
    before, stood = reader.credit.window.left, reader.text_of(other)
    bench.dispatcher.cancel("k", stream.id)
    subscription.free()
    reader.pump()
    bench.timers.tick()
    assert [frame["seq"] for frame in reader.of(stream)] == [*range(1, stream.head + 1)]
    assert reader.of(stream)[-1]["finish_reason"] == "cancelled"
    assert reader.done == [stream.id]
    assert reader.credit.window.left == before
    assert reader.text_of(other) == stood
    assert reader.credit.waiting == [waiting]
    waiting.close()
    assert reader.credit.waiting == []
    assert not other.followed


def test_a_cancel_after_the_end_brings_the_rest_as_well() -> None:
    bench, reader = Bench(), Reader()
    stream = bench.create()
    subscription = reader.follow(bench, stream)
    say(bench, 0, 20)
    end(bench)
    assert reader.done == []
    subscription.free()
    reader.pump()
    assert reader.text_of(stream) == "x" * 20
    assert reader.done == [stream.id]


def test_a_replay_that_stands_still_is_not_called_over() -> None:
    bench, reader = Bench(), Reader()
    stream = bench.create()
    bench.follow(stream)
    say(bench, 0, 20)
    subscription = reader.follow(bench, stream, after=2, resumes=True)
    assert reader.caught == []
    reader.give(PLENTY)
    assert reader.caught == []
    reader.give(PLENTY, subscription)
    assert reader.caught == [21]
    assert [frame["seq"] for frame in reader.of(stream)] == [*range(3, 22)]


def test_a_replay_of_nothing_is_over_without_credit() -> None:
    bench, reader = Bench(), Reader(1)
    stream = bench.create()
    bench.follow(stream)
    say(bench, 0, 2)
    reader.credit.window.left = 0
    reader.follow(bench, stream, after=3, resumes=True)
    assert reader.caught == [3]
    assert reader.credit.waiting == []


def test_a_client_that_is_behind_gets_fewer_frames_if_it_asked_for_that() -> None:
    bench, reader = Bench(), Reader()
    stream = bench.create()
    subscription = reader.follow(bench, stream, merges=True)
    say(bench, 0, 1_000, "한글 ")
    frames = len(reader.of(stream))
    reader.give(PLENTY)
    for _ in range(5):
        reader.give(400, subscription)
        # However the bytes of the records stand to those of the frames, no credit is left over.
        assert subscription.window.left <= 0
        reader.check()
    merged = reader.of(stream)[frames:]
    assert 5 <= len(merged) <= 15
    assert merged[0]["from"] < merged[0]["seq"]
    assert merged[-1]["seq"] < 1_000
    reader.give(PLENTY, subscription)
    assert reader.text_of(stream) == "한글 " * 1_000
    # It is no longer behind.
    for text in ("하나", "둘"):
        bench.sink.text(text)
    bench.timers.tick()
    assert ["from" in frame for frame in reader.of(stream)[-2:]] == [False, False]


def test_a_merged_frame_counts_as_it_is_sent() -> None:
    bench, reader = Bench(), Reader(PLENTY)
    stream = bench.create()
    subscription = reader.follow(bench, stream, merges=True)
    subscription.window.left = 0
    say(bench, 0, 500)
    reader.give(300, subscription)
    # The text of a record has three bytes less than the record: one frame would not use it up.
    assert subscription.window.left <= 0
    reader.give(5_000, subscription)
    assert reader.text_of(stream) == "x" * 500
    reader.check()


def test_what_comes_after_a_merged_frame_waits_for_credit_of_its_own() -> None:
    bench, reader = Bench(), Reader(PLENTY)
    stream = bench.create()
    subscription = reader.follow(bench, stream, merges=True)
    say(bench, 0, 1)
    reader.given_to[stream.id] -= subscription.window.left
    subscription.window.left = 0
    say(bench, 0, 2)
    bench.sink.reasoning("why")
    bench.timers.tick()
    before = len(reader.of(stream))
    # More than the texts have, less than the frame that they make.
    reader.give(50, subscription)
    assert len(reader.of(stream)) == before + 1
    reader.check()


def test_who_never_gives_credit_is_closed_when_nothing_is_kept_any_more() -> None:
    bench, reader = Bench(journal=MemoryJournal(1 << 20)), Reader()
    stream = bench.create()
    subscription = reader.follow(bench, stream)
    say(bench, 0, 20)
    end(bench)
    bench.journal.drop(stream.id)
    stream.release()
    reader.give(1_000, subscription)
    assert (reader.gone_from, reader.done) == ([stream.id], [])


def test_a_journal_that_cannot_be_read_cuts_the_client_off() -> None:
    class Unreadable(MemoryJournal):
        def read(self, stream_id: str, after: int, limit: int) -> list[bytes]:
            raise JournalUnavailable("x")

    bench, reader = Bench(journal=Unreadable(1 << 20)), Reader()
    stream = bench.create()
    subscription = reader.follow(bench, stream)
    say(bench, 0, 20)
    stream.release()
    reader.give(1_000, subscription)
    assert reader.was_cut


def test_credit_beyond_all_measure_is_not_taken() -> None:
    bench, reader = Bench(), Reader()
    subscription = reader.follow(bench, bench.create())
    for lane in (None, subscription):
        assert not reader.credit.add(CREDIT_BYTES_MAX, lane)
    assert (reader.credit.window.left, subscription.window.left) == (WINDOW_BYTES, 1_000)


def test_who_does_not_count_is_sent_everything() -> None:
    """A plain request on the same connection, say."""
    bench, reader = Bench(), Reader(1)
    stream = bench.create()
    renderer = FrameRenderer(stream.id, stream.epoch, aware=False, merges=False)
    plain = Subscription(stream, reader, renderer)
    bench.dispatcher.book.follow(plain)
    say(bench, 0, 100)
    assert reader.seqs() == [*range(1, 102)]
    assert reader.credit.add(5, plain)
    assert reader.credit.window.left == 1


steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, 1), st.integers(1, 150)),
        st.tuples(st.just("give"), st.integers(-1, 1), st.integers(1, 30_000)),
        st.tuples(st.just("full"), st.just(0), st.integers(0, 1)),
    ),
    max_size=25,
)


@given(steps, st.integers(1, 40_000), st.booleans(), st.booleans())
def test_everything_comes_once_and_nothing_without_credit(
    script: list[tuple[str, int, int]],
    window_bytes: int,
    merges: bool,  # noqa: FBT001
    cancels: bool,  # noqa: FBT001
) -> None:
    bench, reader = Bench(), Reader(window_bytes)
    streams = [bench.create(), bench.create()]
    lanes = [reader.follow(bench, stream, merges=merges) for stream in streams]
    said = ["", ""]
    for step, of, count in script:
        if step == "say":
            text = "가" * (count % 7 + 1)
            say(bench, of, count, text)
            said[of] += text * count
        elif step == "give":
            reader.give(count, None if of < 0 else lanes[of])
        elif count:
            reader.paused = True
        else:
            reader.resume()
        reader.check()
    reader.resume()
    end(bench, 0)
    if cancels:
        bench.dispatcher.cancel("k", streams[1].id)
        lanes[1].free()
        reader.pump()
        bench.timers.tick()
    else:
        end(bench, 1)
        reader.give(PLENTY, lanes[1])
    reader.give(PLENTY, lanes[0])
    reader.give(PLENTY)
    for stream, text in zip(streams, said, strict=True):
        assert reader.text_of(stream) == text
        last = 0
        for frame in reader.of(stream):
            assert frame.get("from", frame["seq"]) == last + 1
            last = frame["seq"]
        assert last == stream.head
    assert sorted(reader.done) == sorted(stream.id for stream in streams)
    assert reader.credit.waiting == []


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_what_counts_is_the_payload(size: int) -> None:
    bench, reader = Bench(), Reader(PLENTY)
    stream = bench.create()
    reader.follow(bench, stream)
    say(bench, 0, 1, "x" * max(1, size))
    counted = reader.credit.window_bytes - reader.credit.window.left
    assert counted == sum(length for length, _ in reader.sent())
    assert payload_bytes(b"") == 0
