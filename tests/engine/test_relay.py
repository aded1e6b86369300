import logging

import pytest

from engine.virtual import Bench, RecordingOutlet


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
