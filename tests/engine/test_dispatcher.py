import gc
import logging
from collections.abc import Sequence

import pytest

from engine.virtual import Bench, ScriptedProvider
from tokenferry.domain.allowance import Allowance
from tokenferry.domain.price_form import read_terms
from tokenferry.domain.pricing import Price, PriceBook
from tokenferry.engine.admission import Rates
from tokenferry.engine.generation import Generation
from tokenferry.engine.options import Limits, Options
from tokenferry.engine.ports import Append, JournalUnavailable
from tokenferry.engine.relay import GIVE_UP_S, Synced
from tokenferry.errors import (
    Draining,
    IdempotencyKeyReused,
    InvalidKey,
    ModelNotFound,
    ModelRetired,
    PayloadTooLarge,
    RateLimited,
    StorageUnavailable,
    StreamNotFound,
    UnsupportedParameter,
)
from tokenferry.protocol.chat import ChatRequest
from tokenferry.protocol.segment import META_BYTES_MAX
from tokenferry.stores.memory import MemoryJournal


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
    assert bench.dispatcher.book.live_count == 0


def test_a_candidate_that_refuses_a_parameter_is_passed_over() -> None:
    first, second = ScriptedProvider("a"), ScriptedProvider("b")
    first.refusal = UnsupportedParameter("no", param="seed")
    bench = Bench([first, second])
    bench.create()
    assert (len(first.calls), len(second.calls)) == (0, 1)


def test_a_retired_model_reaches_no_provider_and_names_its_successor() -> None:
    terms = read_terms(
        {"rates": {"input": "1", "output": "1"}, "shutdown_ms": 0, "successor": "next"}
    )
    first, second = ScriptedProvider("a"), ScriptedProvider("b")
    bench = Bench([first, second], prices=PriceBook([Price("a/m", 0, terms)]))
    bench.create()
    assert (len(first.calls), len(second.calls)) == (0, 1)
    with pytest.raises(ModelRetired) as gone:
        bench.create(model="a/m")
    assert gone.value.details["successor"] == "next"
    # Who could be asked for something else says more.
    second.refusal = UnsupportedParameter("no", param="seed")
    with pytest.raises(UnsupportedParameter):
        bench.create()
    assert first.prepared == []
    assert bench.dispatcher.book.live_count == 1


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
    assert bench.dispatcher.book.live_count == 0
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
    assert bench.found(stream.id, "mine") is stream


def test_an_orphan_goes_on_for_its_time_and_is_then_cancelled() -> None:
    bench = Bench()
    _, subscription = bench.follow(bench.create())
    bench.sink.text("x")
    bench.dispatcher.book.leave(subscription, lost=True)
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
    bench.dispatcher.book.leave(subscription, lost=True)
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
    bench.dispatcher.book.leave(first, lost=True)
    bench.timers.advance(100)
    assert bench.provider.calls[0].cancelled == 0
    bench.dispatcher.book.leave(second, lost=True)
    bench.timers.advance(100)
    assert bench.provider.calls[0].cancelled == 1


def test_cancel_on_disconnect_is_at_once() -> None:
    bench = Bench()
    options = Options(on_disconnect_cancel=True, orphan_timeout_s=60)
    _, subscription = bench.follow(bench.create(options))
    bench.dispatcher.book.leave(subscription, lost=True)
    assert bench.provider.calls[0].cancelled == 1


def test_a_detached_stream_generates_on() -> None:
    bench = Bench()
    _, subscription = bench.follow(bench.create())
    bench.dispatcher.book.leave(subscription, lost=False)
    bench.timers.advance(1000)
    assert bench.provider.calls[0].cancelled == 0
    finish(bench)
    assert bench.meter.outcomes[0].finish == "stop"


def test_an_idempotency_key_returns_the_first_stream_and_calls_once() -> None:
    bench = Bench()
    options = Options(on_disconnect_cancel=False, orphan_timeout_s=60, idempotency_key="i")
    first = bench.create(options)
    assert bench.create(options) is first
    assert bench.create(options, owner="other") is not first
    finish(bench, 0)
    assert bench.create(options) is first
    assert len(bench.provider.calls) == 2


def test_the_rate_of_creates_is_limited_a_key() -> None:
    bench = Bench(limits=Limits(1 << 20, rates=Rates(Allowance(requests_per_minute=3))))
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
    assert bench.dispatcher.book.live_count == 0


def test_a_revoked_keys_streams_end_and_no_others() -> None:
    bench = Bench()
    mine, _ = bench.follow(bench.create(owner="a"))
    other, _ = bench.follow(bench.create(owner="b"))
    bench.dispatcher.abort_owned("a", InvalidKey("revoked"))
    bench.timers.tick()
    assert mine.frames()[-1]["error"]["code"] == "invalid_api_key"
    assert other.written == []
    assert [call.cancelled for call in bench.provider.calls] == [1, 0]


def test_a_repeated_create_with_another_request_is_refused() -> None:
    bench = Bench()
    options = Options(on_disconnect_cancel=False, orphan_timeout_s=60, idempotency_key="i")
    first = bench.create(options, temperature=1)
    with pytest.raises(IdempotencyKeyReused):
        bench.create(options, temperature=0)
    assert bench.create(options, temperature=1) is first
    assert len(bench.provider.calls) == 1


class FullDisk(MemoryJournal):
    def __init__(self) -> None:
        super().__init__(1 << 20)
        self.is_full = False

    def open(self, stream_id: str, epoch: int, meta: bytes) -> None:
        if self.is_full:
            raise JournalUnavailable("no space left")
        super().open(stream_id, epoch, meta)

    def append(self, batch: Sequence[Append]) -> None:
        if self.is_full:
            raise JournalUnavailable("no space left")
        super().append(batch)


def test_nothing_is_begun_that_cannot_be_saved() -> None:
    journal = FullDisk()
    journal.is_full = True
    bench = Bench(journal=journal)
    with pytest.raises(StorageUnavailable):
        bench.create()
    assert bench.provider.calls == []
    assert bench.dispatcher.book.live_count == 0
    journal.is_full = False
    bench.create()
    assert len(bench.provider.calls) == 1


def test_a_disk_that_is_full_for_a_moment_delays_and_loses_nothing() -> None:
    journal = FullDisk()
    bench = Bench(journal=journal)
    outlet, _ = bench.follow(bench.create())
    journal.is_full = True
    bench.sink.text("a")
    bench.timers.advance(1)
    bench.sink.text("b")
    bench.timers.advance(1)
    assert outlet.written == []
    journal.is_full = False
    bench.timers.advance(1)
    assert (outlet.text(), outlet.seqs()) == ("ab", [1, 2, 3])


def test_a_disk_that_stays_full_ends_the_providers_work_and_cuts_the_clients() -> None:
    journal = FullDisk()
    bench = Bench(journal=journal)
    stream = bench.create()
    outlet, _ = bench.follow(stream)
    journal.is_full = True
    bench.sink.text("a")
    bench.timers.advance(GIVE_UP_S + 1)
    assert bench.provider.calls[0].cancelled == 1
    assert outlet.was_cut
    assert outlet.written == []
    journal.is_full = False
    bench.timers.advance(1)
    late, _ = bench.follow(stream, resumes=True)
    assert late.frames()[-1]["error"]["code"] == "storage_unavailable"


class Disk:
    """A disk that syncs when the test says so."""

    def __init__(self) -> None:
        self.asked: list[Synced] = []

    def __call__(self, synced: Synced) -> None:
        self.asked.append(synced)

    def sync(self, bench: Bench, exc: JournalUnavailable | None = None) -> None:
        self.asked.pop(0)(exc)
        bench.timers.tick()


def test_a_provider_is_called_and_a_token_sent_only_after_a_sync() -> None:
    disk = Disk()
    bench = Bench(sync=disk)
    stream = bench.create()
    outlet, _ = bench.follow(stream)
    bench.timers.tick()
    assert bench.provider.calls == []
    disk.sync(bench)
    bench.sink.text("a")
    bench.timers.tick()
    bench.sink.text("b")
    bench.sink.finish(0, "stop")
    bench.sink.end()
    bench.timers.tick()
    assert (outlet.written, len(disk.asked)) == ([], 1)
    disk.sync(bench)
    assert outlet.text() == "a"
    assert len(disk.asked) == 1  # what came meanwhile is the next commit
    disk.sync(bench)
    assert (outlet.text(), outlet.seqs(), outlet.done) == ("ab", [1, 2, 3, 4], [stream.id])
    assert bench.dispatcher.relay.is_idle


def test_a_stream_that_is_cancelled_before_its_sync_calls_nobody() -> None:
    disk = Disk()
    bench = Bench(sync=disk)
    stream = bench.create()
    outlet, _ = bench.follow(stream)
    bench.dispatcher.cancel("k", stream.id)
    while disk.asked or not bench.dispatcher.relay.is_idle:
        bench.timers.tick()
        disk.sync(bench)
    assert bench.provider.calls == []
    assert outlet.frames()[-1]["choices"][0]["finish_reason"] == "cancelled"
    # What is settled has begun, or the number of open streams would fall below zero.
    assert (bench.meter.begun, len(bench.meter.outcomes)) == (1, 1)


def test_a_failed_sync_holds_nothing_back(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk()
    bench = Bench(sync=disk)
    outlet, _ = bench.follow(bench.create())
    bench.timers.tick()
    disk.sync(bench)
    bench.sink.text("a")
    bench.timers.tick()
    with caplog.at_level(logging.ERROR):
        disk.sync(bench, JournalUnavailable("i/o error"))
    assert outlet.text() == "a"
    assert "i/o error" in caplog.text


def test_a_stream_that_ends_while_the_disk_is_busy_is_counted_as_begun_and_ended() -> None:
    waiting: list[Synced] = []
    bench = Bench(sync=waiting.append)
    stream = bench.create()
    bench.timers.tick()
    bench.dispatcher.cancel("k", stream.id)
    waiting.pop()(None)
    assert bench.provider.calls == []
    assert (bench.meter.begun, len(bench.meter.outcomes)) == (1, 1)


def test_a_request_that_is_too_large_to_be_kept_is_refused_and_leaves_nothing() -> None:
    bench = Bench()
    options = Options(on_disconnect_cancel=False, orphan_timeout_s=60, recovery="continue")
    with pytest.raises(PayloadTooLarge):
        bench.create(options, user="x" * META_BYTES_MAX)
    assert bench.provider.calls == []
    assert bench.dispatcher.book.live_count == 0
    assert list(bench.dispatcher.book.owned("k")) == []
    bench.create(options)


def test_what_a_settled_stream_needed_is_let_go_of_without_the_collector() -> None:
    def alive() -> int:
        return sum(isinstance(each, Generation | ChatRequest) for each in gc.get_objects())

    bench = Bench()
    gc.collect()
    before = alive()
    gc.disable()
    try:
        bench.create()
        assert alive() > before
        finish(bench)
        bench.provider.calls.clear()
        bench.provider.prepared.clear()
        assert alive() == before
    finally:
        gc.enable()
