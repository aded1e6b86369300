import logging

import pytest

from engine.virtual import OPTIONS, Bench, ScriptedProvider
from tokenferry.engine import dispatcher as dispatcher_module
from tokenferry.engine.dispatcher import Limits, Options
from tokenferry.errors import (
    Draining,
    InvalidKey,
    ModelNotFound,
    RateLimited,
    StreamNotFound,
    UnsupportedParameter,
)


def finish(bench: Bench, call: int = -1) -> None:
    sink = bench.provider.calls[call].sink
    sink.text("x")
    sink.finish(0, "stop")
    sink.end()
    bench.timers.tick()


def test_unknown_models_and_refused_parameters_never_reach_a_provider() -> None:
    bench = Bench()
    with pytest.raises(ModelNotFound):
        bench.create(model="nope")
    bench.provider.refusal = UnsupportedParameter("no", param="seed")
    with pytest.raises(UnsupportedParameter, match="no"):
        bench.create()
    assert bench.provider.calls == []
    assert bench.dispatcher.live_count == 0


def test_a_candidate_that_refuses_a_parameter_is_passed_over() -> None:
    first, second = ScriptedProvider("a"), ScriptedProvider("b")
    first.refusal = UnsupportedParameter("no", param="seed")
    bench = Bench([first, second])
    bench.create()
    assert (len(first.calls), len(second.calls)) == (0, 1)


def test_an_adapter_that_breaks_gives_an_error_and_no_leak(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.provider.failure = RuntimeError("bug")
    with caplog.at_level(logging.ERROR):
        stream = bench.create()
    outlet, _ = bench.follow(stream)
    bench.timers.tick()
    assert outlet.frames()[-1]["error"]["code"] == "internal_error"
    assert bench.dispatcher.live_count == 0
    assert "bug" in caplog.text


def test_another_key_sees_the_same_as_for_an_unknown_stream() -> None:
    bench = Bench()
    stream = bench.create(owner="mine")
    with pytest.raises(StreamNotFound) as unknown:
        bench.dispatcher.find("mine", "st_nope")
    with pytest.raises(StreamNotFound) as foreign:
        bench.dispatcher.find("other", stream.id)
    assert unknown.value.message.replace("st_nope", stream.id) == foreign.value.message
    with pytest.raises(StreamNotFound):
        bench.dispatcher.cancel("other", stream.id)
    assert bench.dispatcher.find("mine", stream.id) is stream


def test_an_orphan_goes_on_for_its_time_and_is_then_cancelled() -> None:
    bench = Bench()
    _, subscription = bench.follow(bench.create())
    bench.sink.text("x")
    bench.dispatcher.leave(subscription, lost=True)
    bench.timers.advance(59.9)
    assert bench.provider.calls[0].cancelled == 0
    bench.timers.advance(0.2)
    assert bench.provider.calls[0].cancelled == 1
    assert bench.meter.outcomes[0].finish == "cancelled"


def test_a_follower_that_comes_back_in_time_saves_the_orphan() -> None:
    bench = Bench()
    stream = bench.create()
    _, subscription = bench.follow(stream)
    bench.sink.text("x")
    bench.timers.tick()
    bench.dispatcher.leave(subscription, lost=True)
    bench.timers.advance(30)
    outlet, _ = bench.follow(stream, after=1, resumes=True)
    bench.timers.advance(1000)
    finish(bench)
    assert outlet.seqs() == [2, 3, 4]
    assert outlet.caught == [2]
    assert bench.provider.calls[0].cancelled == 0


def test_the_last_of_several_followers_counts() -> None:
    bench = Bench()
    stream = bench.create()
    _, first = bench.follow(stream)
    _, second = bench.follow(stream)
    bench.dispatcher.leave(first, lost=True)
    bench.timers.advance(100)
    assert bench.provider.calls[0].cancelled == 0
    bench.dispatcher.leave(second, lost=True)
    bench.timers.advance(100)
    assert bench.provider.calls[0].cancelled == 1


def test_cancel_on_disconnect_is_at_once() -> None:
    bench = Bench()
    options = Options(resumable=True, on_disconnect_cancel=True, orphan_timeout_s=60)
    _, subscription = bench.follow(bench.create(options))
    bench.dispatcher.leave(subscription, lost=True)
    assert bench.provider.calls[0].cancelled == 1


def test_a_detached_stream_generates_on() -> None:
    bench = Bench()
    _, subscription = bench.follow(bench.create())
    bench.dispatcher.leave(subscription, lost=False)
    bench.timers.advance(1000)
    assert bench.provider.calls[0].cancelled == 0
    finish(bench)
    assert bench.meter.outcomes[0].finish == "stop"


def test_an_idempotency_key_returns_the_first_stream_and_calls_once() -> None:
    bench = Bench()
    options = Options(
        resumable=True, on_disconnect_cancel=False, orphan_timeout_s=60, idempotency_key="i"
    )
    first = bench.create(options)
    assert bench.create(options) is first
    assert bench.create(options, owner="other") is not first
    finish(bench, 0)
    assert bench.create(options) is first
    assert len(bench.provider.calls) == 2


def test_the_rate_of_creates_is_limited_a_key() -> None:
    bench = Bench(limits=Limits(creates_per_minute=3, stream_bytes_max=1 << 20))
    for _ in range(3):
        bench.create()
    with pytest.raises(RateLimited) as refused:
        bench.create()
    bench.create(owner="other")
    wait_ms = refused.value.retry_after_ms
    assert wait_ms is not None
    bench.timers.advance((wait_ms - 1) / 1000)
    with pytest.raises(RateLimited):
        bench.create()
    bench.timers.advance(0.001)
    bench.create()


def test_a_draining_server_takes_no_new_work_and_ends_the_rest_in_time() -> None:
    bench = Bench()
    outlet, _ = bench.follow(bench.create())
    bench.sink.text("x")
    bench.dispatcher.draining = True
    with pytest.raises(Draining):
        bench.create()
    bench.dispatcher.abort_all(Draining("restart"))
    assert outlet.frames()[-1]["error"]["code"] == "server_draining"
    assert bench.dispatcher.live_count == 0


def test_a_revoked_keys_streams_end_and_no_others() -> None:
    bench = Bench()
    mine, _ = bench.follow(bench.create(owner="a"))
    other, _ = bench.follow(bench.create(owner="b"))
    bench.dispatcher.abort_owned("a", InvalidKey("revoked"))
    bench.timers.tick()
    assert mine.frames()[-1]["error"]["code"] == "invalid_api_key"
    assert other.written == []
    assert [call.cancelled for call in bench.provider.calls] == [1, 0]


def test_finished_streams_are_kept_for_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    first = bench.create()
    finish(bench)
    bench.timers.advance(599)
    assert bench.dispatcher.find("k", first.id) is first
    bench.timers.advance(2)
    bench.create()
    finish(bench)
    with pytest.raises(StreamNotFound):
        bench.dispatcher.find("k", first.id)
    assert list(bench.journal.read(first.id, 0, 10)) == []


def test_no_more_finished_streams_are_kept_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher_module, "FINISHED_STREAMS_MAX", 2)
    bench = Bench()
    streams = []
    for _ in range(3):
        streams.append(bench.create(OPTIONS))
        finish(bench)
    with pytest.raises(StreamNotFound):
        bench.dispatcher.find("k", streams[0].id)
    assert bench.dispatcher.find("k", streams[2].id) is streams[2]
