"""What the operator sees of lines and running streams is what they are."""

import pytest

from engine.test_gate import Caller, gate
from engine.virtual import Bench, VirtualTimers
from tokenferry.engine.live_view import ClassState, line_states, live_stream, live_streams


class TestLines:
    def test_an_empty_line_is_no_wait(self) -> None:
        timers = VirtualTimers()
        assert line_states(gate(timers, streams_max=1), timers.time()) == [
            ClassState("priority", 0, None, 0.0),
            ClassState("default", 0, None, 0.0),
            ClassState("flex", 0, None, 0.0),
        ]

    def test_nobody_knows_how_long_a_line_takes_that_has_not_moved(self) -> None:
        timers = VirtualTimers()
        narrow = gate(timers, streams_max=1)
        Caller(narrow, "running")
        assert {state.eta_s for state in line_states(narrow, timers.time())} == {None}

    def test_each_class_with_the_one_that_waits_longest_and_those_before_it(self) -> None:
        timers = VirtualTimers()
        narrow = gate(timers, streams_max=1)
        running = Caller(narrow, "0")
        for name in ("1", "2"):
            # One goes each two seconds: that is the line's pace.
            timers.advance(2)
            following = Caller(narrow, name)
            running.leave()
            timers.tick()
            running = following
        Caller(narrow, "first", account="a")
        timers.advance(3)
        Caller(narrow, "second", account="b")
        Caller(narrow, "third", "flex")
        timers.advance(1)
        pace_s = narrow.pace_s()
        assert pace_s is not None
        assert [tuple(state) for state in line_states(narrow, timers.time())] == [
            ("priority", 0, None, pytest.approx(pace_s)),
            ("default", 2, pytest.approx(4), pytest.approx(3 * pace_s)),
            ("flex", 1, pytest.approx(1), pytest.approx(4 * pace_s)),
        ]


class TestStreams:
    def test_the_newest_first_page_by_page(self) -> None:
        bench = Bench()
        book = bench.dispatcher.book
        streams = []
        for _ in range(5):
            streams.append(bench.create().id)
            bench.wall_ms += 1
        first = live_streams(book, 2)
        assert [stream.stream_id for stream in first] == streams[:2:-1]
        last = first[-1]
        rest = live_streams(book, 9, (last.created_ms, last.stream_id))
        assert [stream.stream_id for stream in rest] == streams[2::-1]

    def test_of_the_same_moment_none_is_left_out(self) -> None:
        bench = Bench()
        book = bench.dispatcher.book
        streams = {bench.create().id for _ in range(5)}
        found, before = [], None
        while page := live_streams(book, 2, before):
            found += [stream.stream_id for stream in page]
            before = page[-1].created_ms, page[-1].stream_id
        assert sorted(found) == sorted(streams)

    def test_those_of_one_account_alone(self) -> None:
        bench = Bench()
        stream = bench.create()
        assert [
            one.stream_id for one in live_streams(bench.dispatcher.book, 9, None, "nobody")
        ] == []
        (own,) = live_streams(bench.dispatcher.book, 9, None, "operator")
        assert (own.stream_id, own.key_id) == (stream.id, "k")

    def test_how_far_it_is(self) -> None:
        bench = Bench()
        stream = bench.create()
        entry = bench.dispatcher.book.find(stream.id)
        assert entry is not None
        assert live_stream(entry).state == "calling"
        assert live_stream(entry).calls == 1
        bench.sink.text("x")
        bench.timers.tick()
        shown = live_stream(entry)
        assert (shown.state, shown.chunks, shown.provider) == ("answering", 2, "p")
        bench.dispatcher.cancel("k", stream.id)
        assert live_stream(entry).state == "ending"
        bench.timers.tick()
        assert live_streams(bench.dispatcher.book, 9) == []
