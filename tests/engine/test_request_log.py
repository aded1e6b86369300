"""The request log on a virtual clock: what is recorded of a request, and what it may cost."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine.virtual import Bench, ScriptedProvider
from tokenferry.domain.retry import RetryTerms
from tokenferry.domain.usage import Usage
from tokenferry.engine import request_log
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.ledger import Hold
from tokenferry.engine.options import GateTerms, Options
from tokenferry.engine.recovery import recover
from tokenferry.engine.request_log import (
    RETRY_S,
    TRIES_MAX,
    WRITE_DELAY_S,
    Draft,
    RequestLog,
    Written,
)
from tokenferry.engine.router import RoutingRules
from tokenferry.errors import ProviderUnreachable, StorageUnavailable
from tokenferry.stores.segment_journal import SegmentJournal


class Log:
    """A bench whose finished requests are recorded, and what was written of them."""

    def __init__(self, bench: Bench, content_bytes_max: int = 0) -> None:
        self.bench = bench
        self.batches: list[list[Draft]] = []
        self.counts = {"written": 0, "dropped": 0}
        self.fault: StoreUnusable | None = None
        # Set, batches wait until they are let go.
        self.held: list[Written] | None = None
        self.log = RequestLog(self._write, bench.timers, content_bytes_max)
        self.log.counted = self._count
        bench.dispatcher.engine = replace(bench.dispatcher.engine, requests=self.log)

    def _write(self, drafts: Sequence[Draft], written: Written) -> None:
        self.batches.append(list(drafts))
        if self.held is not None:
            self.held.append(written)
        else:
            written(self.fault)

    def _count(self, result: str, count: int) -> None:
        self.counts[result] += count

    def answer(self, *, after_s: float = 0.0) -> str:
        """Have one request answered; return its stream."""
        stream = self.bench.create()
        self.bench.timers.advance(after_s)
        self.bench.sink.text("네")
        self.bench.sink.finish(0, "stop")
        self.bench.sink.usage(Usage(3, 1))
        self.bench.sink.end()
        self.bench.timers.tick()
        return stream.id

    def written(self) -> list[Draft]:
        self.bench.timers.advance(WRITE_DELAY_S)
        return [draft for batch in self.batches for draft in batch]


@pytest.fixture
def log() -> Log:
    return Log(Bench())


def test_an_answer_is_recorded_with_its_way(log):
    stream_id = log.answer(after_s=1.5)
    (draft,) = log.written()
    record, charge = draft.record, draft.record.charge
    assert (charge.stream_id, charge.key_id, charge.model) == (stream_id, "k", "m")
    assert (charge.first_token_ms, charge.finish, charge.prompt_tokens) == (1500, "stop", 3)
    assert (record.is_charged, record.ended_by, record.chunks) == (True, "provider", 1)
    assert (record.queued_ms, record.drops, record.resumes) == (0, 0, 0)
    assert (record.transport, record.request_id) == ("websocket", "")
    assert draft.content() is None


@pytest.mark.parametrize(("stream", "transport"), [(True, "sse"), (False, "http")])
def test_an_http_request_has_its_id_and_manner(log, stream, transport):
    options = Options(on_disconnect_cancel=True, orphan_timeout_s=0, request_id="req_7")
    log.bench.create(options, stream=stream)
    log.bench.sink.fail(ProviderUnreachable("x"))
    (draft,) = log.written()
    assert (draft.record.transport, draft.record.request_id) == (transport, "req_7")
    assert (draft.record.ended_by, draft.record.charge.finish) == ("provider", "error")
    assert (draft.record.chunks, draft.record.charge.first_token_ms) == (0, None)


def test_readers_that_are_lost_and_come_back_are_counted(log):
    bench = log.bench
    stream = bench.create()
    _, subscription = bench.follow(stream)
    bench.sink.text("하나")
    bench.timers.tick()
    for _ in range(2):
        bench.dispatcher.book.leave(subscription, lost=True)
        # Told twice, as connections do.
        bench.dispatcher.book.leave(subscription, lost=True)
        _, subscription = bench.follow(stream, after=1, resumes=True)
    bench.sink.finish(0, "stop")
    bench.sink.end()
    (draft,) = log.written()
    assert (draft.record.drops, draft.record.resumes, draft.record.chunks) == (2, 2, 1)


def test_who_stopped_it_is_told_by_who_still_reads(log):
    bench = log.bench
    asked, left = bench.create(), bench.create()
    bench.follow(asked)
    bench.dispatcher.cancel("k", asked.id)
    _, subscription = bench.follow(left)
    bench.dispatcher.book.leave(subscription, lost=True)
    bench.timers.advance(60)
    found = {draft.record.charge.stream_id: draft.record.ended_by for draft in log.written()}
    assert found == {asked.id: "client", left.id: "disconnect"}


def test_the_time_in_a_line_is_counted_once():
    terms = {"p": GateTerms(streams_max=1)}
    bench = Bench(rules=RoutingRules(RetryTerms(retries=0), gates=terms))
    log = Log(bench)
    bench.create()
    waiting = bench.create()
    bench.timers.advance(2.5)
    bench.sink.text("네")
    bench.sink.finish(0, "stop")
    bench.sink.end()
    bench.timers.advance(1)
    bench.dispatcher.cancel("k", waiting.id)
    queued = {d.record.charge.stream_id: d.record.queued_ms for d in log.written()}
    assert queued[waiting.id] == 2500
    assert sorted(queued.values()) == [0, 2500]


def test_what_was_refused_before_it_began_is_recorded_and_not_charged():
    class Refusing:
        def __call__(self, work, committed):
            committed(StoreUnusable("no") if isinstance(work[0], Hold) else [])

    bench = Bench(ledger=Refusing())
    log = Log(bench)
    entry = bench.create()
    generation = bench.dispatcher.book.get("k", entry.id).generation
    generation.plan.bill.is_refused = True
    generation.abort(StorageUnavailable("The ledger cannot be written now."))
    (draft,) = log.written()
    charge = draft.record.charge
    assert (draft.record.is_charged, charge.error_code) == (False, "storage_unavailable")
    assert (charge.cost_nanos, charge.attempts, charge.tries) == (0, 0, "")
    assert draft.record.ended_by == "gateway"


class TestQueue:
    """What waits, how long, and how much."""

    def test_what_gathers_is_written_together(self, log):
        log.answer()
        log.answer()
        assert log.batches == []
        assert not log.log.is_idle
        assert len(log.written()) == 2
        assert (len(log.batches), log.counts["written"]) == (1, 2)
        assert log.log.is_idle

    def test_what_comes_while_one_is_written_waits_for_it(self, log):
        log.held = []
        log.answer()
        log.written()
        log.answer()
        assert len(log.written()) == 1
        log.held.pop()(None)
        assert len(log.written()) == 2

    @pytest.mark.parametrize(("more", "dropped"), [(0, 0), (1, 1)])
    def test_beyond_the_limit_the_latest_are_dropped_and_counted(
        self, log, monkeypatch, more, dropped
    ):
        monkeypatch.setattr(request_log, "WAITING_MAX", 3)
        log.held = []
        first = log.answer()
        log.written()  # one is on its way, and counts
        for _ in range(2 + more):
            log.answer()
        assert log.counts["dropped"] == dropped
        log.held.pop()(None)
        written = log.written()
        assert len(written) == 3
        assert written[0].record.charge.stream_id == first

    def test_a_store_that_comes_back_gets_everything(self, log, caplog):
        log.fault = StoreUnusable("the disk is full")
        log.answer()
        log.written()
        log.fault = None
        log.bench.timers.advance(RETRY_S)
        assert (log.counts, log.log.is_idle) == ({"written": 1, "dropped": 0}, True)
        assert caplog.text.count("the disk is full") == 1

    def test_a_batch_that_is_refused_for_good_is_given_up(self, log):
        log.fault = StoreUnusable("constraint")
        log.answer()
        log.written()
        log.bench.timers.advance(RETRY_S * TRIES_MAX)
        assert (len(log.batches), log.counts) == (TRIES_MAX, {"written": 0, "dropped": 1})
        log.fault = None
        log.answer()
        log.written()
        assert (log.counts["written"], log.log.is_idle) == (1, True)

    def test_money_does_not_depend_on_it(self, log):
        log.fault = StoreUnusable("no")
        log.answer()
        log.bench.timers.advance(60)
        assert [charge.finish for charge in log.bench.charges] == ["stop"]

    def test_what_waits_is_written_at_once_when_asked_for(self, log):
        log.answer()
        log.log.flush()
        assert log.counts["written"] == 1
        log.log.flush()
        assert len(log.batches) == 1


class TestContent:
    """Prompts and answers, only where the operator keeps them."""

    def test_what_was_asked_and_answered(self):
        log = Log(Bench(), content_bytes_max=10_000)
        log.answer()
        (draft,) = log.written()
        content = draft.content()
        assert "messages" in content.prompt
        assert '"content":"네"' in content.answer
        assert not content.is_cut

    def test_too_much_that_waits_leaves_the_record_without_it(self, monkeypatch):
        monkeypatch.setattr(request_log, "WAITING_BYTES_MAX", 700)
        log = Log(Bench(), content_bytes_max=10_000)
        for _ in range(9):
            log.answer()
        kept = [draft.content() is not None for draft in log.written()]
        assert len(kept) == 9
        assert kept[0]
        assert not kept[-1]
        # What is written makes room again.
        log.answer()
        assert log.written()[-1].content() is not None

    def test_of_a_long_answer_no_more_is_read_than_is_kept(self):
        log = Log(Bench(), content_bytes_max=1024)
        stream = log.bench.create()
        for _ in range(300):
            log.bench.sink.text("열 글자 입니다. ")
        log.bench.sink.finish(0, "stop")
        log.bench.sink.end()
        (draft,) = log.written()
        assert len(draft.answer) < 60 < stream.head
        content = draft.content()
        assert content.is_cut
        assert len(content.answer.encode()) <= 1024
        assert "열 글자 입니다. 열 글자" in content.answer


class TestRecovery:
    """Requests of a process that died before it wrote them."""

    @pytest.fixture
    def journal_path(self, tmp_path: Path) -> Path:
        return tmp_path / "journal"

    def after(self, path: Path) -> Log:
        journal = SegmentJournal(path, wall_ms=lambda: 1_790_000_000_500)
        bench = Bench([ScriptedProvider()], journal=journal)  # type: ignore[arg-type] -- another adapter of the port
        log = Log(bench)
        recover(bench.dispatcher, journal.recovered())
        bench.timers.tick()
        journal.close_files()
        return log

    def test_one_that_was_cut_off_and_one_that_had_ended(self, journal_path):
        journal = SegmentJournal(journal_path, wall_ms=lambda: 1_790_000_000_500)
        bench = Bench([ScriptedProvider()], journal=journal)  # type: ignore[arg-type] -- as above
        before = Log(bench)
        options = Options(on_disconnect_cancel=False, orphan_timeout_s=9, request_id="req_1")
        ended = before.answer()
        running = bench.create(options)
        bench.sink.text("하나")
        bench.sink.text("둘")
        bench.timers.tick()
        journal.close_files()
        assert before.batches == []

        found = {draft.record.charge.stream_id: draft.record for draft in
                 self.after(journal_path).written()}  # fmt: skip
        assert set(found) == {ended, running.id}
        lost = found[running.id]
        assert (lost.charge.error_code, lost.ended_by) == ("upstream_lost", "gateway")
        assert (lost.transport, lost.request_id, lost.chunks) == ("sse", "req_1", 2)
        assert (lost.queued_ms, lost.drops, lost.resumes) == (None, None, None)
        assert (found[ended].charge.finish, found[ended].ended_by) == ("stop", "provider")
        assert found[ended].chunks == 1
