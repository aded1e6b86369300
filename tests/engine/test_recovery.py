"""A process dies, and the next one finds its streams: on the journal that survives."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.virtual import KEY, Bench, RecordingOutlet, ScriptedProvider
from tokenferry.domain.usage import Usage, estimate_tokens
from tokenferry.engine.options import Options
from tokenferry.engine.recovery import Takeover, recover, start
from tokenferry.engine.resume import Replay, plan_resume
from tokenferry.engine.stream import Stream
from tokenferry.errors import (
    InvalidKey,
    ProviderCutOff,
    ProviderRejected,
    UnsupportedParameter,
)
from tokenferry.protocol.chat import Delta, FunctionDelta, ToolCallDelta, parse_request
from tokenferry.protocol.cursor import Position
from tokenferry.stores.memory import MemoryJournal
from tokenferry.stores.segment_journal import SegmentJournal


class Site:
    """A data directory, and one process after the other on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.revoked: set[str] = set()
        self.journal: SegmentJournal | None = None

    def check_key(self, owner: str) -> None:
        if owner in self.revoked:
            raise InvalidKey("The key was revoked.")

    def start(self, *providers: ScriptedProvider) -> Bench:
        """Start a process; the one before it is gone, with all that was not committed."""
        if self.journal is not None:
            self.journal.close_files()
        self.journal = SegmentJournal(self.path, wall_ms=lambda: 1_790_000_000_000)
        bench = Bench(list(providers), journal=self.journal)  # type: ignore[arg-type] -- another adapter of the port
        takeover = recover(bench.dispatcher, self.journal.recovered())
        self.ended = takeover.ended
        start(bench.dispatcher, takeover, self.check_key)
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
    assert bench.dispatcher.book.live_count == 0


def test_what_an_earlier_process_finished_is_kept_for_the_rest_of_its_time(site: Site) -> None:
    bench = site.start()
    stream = bench.create()
    finished(bench, "x")
    book = site.start().dispatcher.book
    assert book.due(600, at_most=9, crowded=False) == []
    (entry,) = book.due(0, at_most=9, crowded=False)
    assert (entry.stream.id, entry.ended_ms) == (stream.id, 1_790_000_000_000)


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
    assert site.ended == 1
    assert bench.dispatcher.book.get("k", stream.id) is not None
    caplog.clear()
    assert site.start().dispatcher.book.get("k", stream.id) is not None
    assert site.ended == 0
    assert "st_alien" not in caplog.text


def test_a_lost_stream_counts_as_one_that_ran_and_failed(site: Site) -> None:
    stream = site.start().create()
    bench = site.start()
    assert bench.meter.begun == len(bench.meter.outcomes) == 1
    found = bench.found(stream.id)
    assert found.error is not None
    assert found.error.kind == "upstream_lost"
    # This process has called nobody for it, and a repeated request is told so.
    assert found.calls == 0


def test_a_stream_that_failed_before_its_first_token_can_be_resumed(
    site: Site,
) -> None:
    bench = site.start()
    stream = bench.create()
    bench.sink.fail(ProviderCutOff("gone"))
    bench.timers.tick()
    bench = site.start()
    assert bench.found(stream.id).head_record is None
    _, whole = resumed(bench, stream.id, 1, 0)
    assert whole.frames()[0]["error"]["code"] == ProviderCutOff.code
    _, rest = resumed(bench, stream.id, 1, 1)
    assert (rest.frames(), rest.done) == ([], [stream.id])


def test_nothing_is_recovered_from_memory() -> None:
    bench = Bench(journal=MemoryJournal(1 << 20))
    bench.create()
    assert recover(bench.dispatcher, bench.journal.recovered()) == Takeover(0, [])


CONTINUE = Options(on_disconnect_cancel=False, orphan_timeout_s=60, recovery="continue")


def cut_off(site: Site, *texts: str, options: Options = CONTINUE, **fields: Any) -> Stream:
    """Begin a stream, and let its process die."""
    bench = site.start()
    stream = bench.create(options, **fields)
    for text in texts:
        bench.sink.text(text)
        bench.timers.tick()
    return stream


def finished(bench: Bench, *texts: str, usage: Usage | None = None) -> None:
    for text in texts:
        bench.sink.text(text)
        bench.timers.tick()
    bench.sink.finish(0, "stop")
    if usage is not None:
        bench.sink.usage(usage)
    bench.sink.end()
    bench.timers.tick()


def test_a_stream_that_asked_for_it_is_gone_on_with(site: Site) -> None:
    stream = cut_off(site, "하나 ", "둘 ", max_tokens=50)
    bench = site.start()
    assert (site.ended, bench.provider.beginnings, len(bench.provider.calls)) == (
        0,
        ["하나 둘 "],
        1,
    )
    plan, outlet = resumed(bench, stream.id, 1, 2)
    assert (plan.is_reset, plan.after, plan.entry.stream.epoch) == (True, 2, 2)
    bench.sink.head("another name", None, None)
    finished(bench, "셋", usage=Usage(20, 7))
    frames = outlet.frames()
    assert [(frame["epoch"], frame["seq"]) for frame in frames] == [(2, 3), (2, 4), (2, 5)]
    assert outlet.text() == "둘 셋"
    assert [frame["model"] for frame in frames] == ["m"] * 3
    prompt = estimate_tokens("안녕")
    assert frames[-1]["usage"]["prompt_tokens"] == prompt + 20
    assert frames[-1]["usage"]["completion_tokens"] == estimate_tokens("하나 둘 ") + 7
    assert frames[-1]["usage"]["estimated"] is True
    (outcome,) = bench.meter.outcomes
    assert (outcome.finish, outcome.error_code, bench.meter.begun) == ("stop", None, 1)
    assert outcome.usage == Usage(prompt + 20, estimate_tokens("하나 둘 ") + 7, estimated=True)
    again = site.start()
    assert again.provider.calls == []
    _, whole = resumed(again, stream.id, 2, 0)
    assert whole.text() == "하나 둘 셋"


def test_the_estimate_never_lifts_the_sum_above_the_limit(site: Site) -> None:
    cut_off(site, "가나다라마바사", max_tokens=8)
    bench = site.start()
    finished(bench, "아", usage=Usage(9, 3))
    (outcome,) = bench.meter.outcomes
    assert outcome.usage is not None
    assert outcome.usage.completion_tokens == 8


def test_a_rest_without_a_report_is_estimated_too(site: Site) -> None:
    cut_off(site, "가나")
    bench = site.start()
    finished(bench, "다")
    (outcome,) = bench.meter.outcomes
    assert outcome.usage == Usage(2 * estimate_tokens("안녕"), 3, estimated=True)


def test_what_is_gone_on_with_holds_a_slot_until_its_end(site: Site) -> None:
    cut_off(site, "a")
    bench = site.start()
    (held,) = bench.dispatcher.admissions._keys.values()
    assert held.running == 1
    finished(bench, "b")
    assert held.running == 0


@pytest.mark.parametrize("recovery", ["fail", "continue"])
def test_nobody_is_called_twice_who_did_not_ask_for_it(site: Site, recovery: str) -> None:
    options = CONTINUE._replace(recovery=recovery)
    cut_off(site, "a", options=options)
    cut_off(site, options=options)
    bench = site.start()
    assert len(bench.provider.calls) == (2 if recovery == "continue" else 0)


def test_an_answer_that_had_not_begun_is_asked_for_anew(site: Site) -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": "?"}], "stream": None}
    bench = site.start()
    asked = parse_request(json.dumps(request).encode())
    asked.stream = True  # as the WebSocket's front does
    stream = bench.dispatcher.create(KEY, asked, CONTINUE, arrived_s=0.0)
    assert isinstance(stream, Stream)
    bench = site.start()
    assert (bench.provider.beginnings, bench.provider.prepared[0].stream) == ([], True)
    _, outlet = resumed(bench, stream.id, 1, 0)
    finished(bench, "a", usage=Usage(3, 1))
    assert outlet.text() == "a"
    assert bench.meter.outcomes[0].usage == Usage(3, 1)


def test_one_that_no_provider_goes_on_with_is_lost(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    stream = cut_off(site, "a")
    provider = ScriptedProvider()
    provider.no_continuation = UnsupportedParameter("not here")
    with caplog.at_level("INFO"):
        bench = site.start(provider)
    assert (site.ended, provider.calls) == (1, [])
    assert f"{stream.id} cannot be gone on with: not here" in caplog.text
    _, outlet = resumed(bench, stream.id, 1, 2)
    assert outlet.frames()[0]["error"]["code"] == "upstream_lost"


def test_a_call_of_a_tool_that_had_begun_is_lost_and_not_asked_for_anew(site: Site) -> None:
    bench = site.start()
    stream = bench.create(CONTINUE)
    bench.sink.delta(
        0, Delta(tool_calls=[ToolCallDelta(0, "c", "function", FunctionDelta("f", "{"))])
    )
    bench.timers.tick()
    bench = site.start()
    assert (site.ended, bench.provider.calls) == (1, [])
    _, outlet = resumed(bench, stream.id, 1, 2)
    assert outlet.frames()[-1]["error"]["code"] == "upstream_lost"


def test_one_whose_model_is_gone_is_lost(site: Site) -> None:
    cut_off(site, "a", model="p/m")
    bench = site.start(ScriptedProvider("other"))
    assert (site.ended, bench.provider.calls) == (1, [])


def test_a_provider_that_refuses_the_beginning_ends_it_as_lost(site: Site) -> None:
    stream = cut_off(site, "a")
    bench = site.start()
    _, outlet = resumed(bench, stream.id, 1, 2)
    bench.sink.fail(ProviderRejected("no prefill here", status=400, code="invalid"))
    bench.timers.tick()
    (last,) = outlet.frames()
    assert last["error"]["code"] == "upstream_lost"
    assert "no prefill here" in last["error"]["message"]
    assert last["usage"]["completion_tokens"] == 1
    assert [outcome.finish for outcome in bench.meter.outcomes] == ["error"]


def test_the_next_candidate_may_take_what_one_refuses(site: Site) -> None:
    stream = cut_off(site, "a")
    first, second = ScriptedProvider("p"), ScriptedProvider("q")
    bench = site.start(first, second)
    _, outlet = resumed(bench, stream.id, 1, 2)
    first.sink.fail(ProviderRejected("no prefill here", status=400, code="invalid"))
    second.sink.text("b")
    second.sink.finish(0, "stop")
    second.sink.end()
    bench.timers.tick()
    assert outlet.text() == "b"
    assert (bench.meter.outcomes[0].provider, bench.meter.outcomes[0].attempts) == ("q", 2)


def test_after_new_text_the_providers_own_error_ends_it(site: Site) -> None:
    stream = cut_off(site, "a")
    bench = site.start()
    _, outlet = resumed(bench, stream.id, 1, 2)
    bench.sink.text("b")
    bench.sink.fail(ProviderCutOff("gone"))
    bench.timers.tick()
    assert outlet.frames()[-1]["error"]["code"] == ProviderCutOff.code


def test_nobody_comes_back_and_it_is_cancelled_after_the_orphan_time(site: Site) -> None:
    cut_off(site, "a")
    bench = site.start()
    bench.sink.text("b")
    bench.timers.advance(59)
    assert bench.provider.calls[-1].cancelled == 0
    bench.timers.advance(2)
    assert bench.provider.calls[-1].cancelled == 1
    assert [outcome.finish for outcome in bench.meter.outcomes] == ["cancelled"]
    assert bench.dispatcher.book.live_count == 0


def test_a_key_that_was_revoked_meanwhile_gets_nothing_more(site: Site) -> None:
    stream = cut_off(site, "a")
    site.revoked.add("k")
    bench = site.start()
    assert bench.provider.calls == []
    _, outlet = resumed(bench, stream.id, 1, 2)
    assert outlet.frames()[-1]["error"]["code"] == InvalidKey.code


def test_it_is_taken_over_three_times_and_then_lost(site: Site) -> None:
    stream = cut_off(site, "0")
    for number in ("1", "2", "3"):
        bench = site.start()
        assert site.ended == 0
        bench.sink.text(number)
        bench.timers.tick()
    assert bench.provider.beginnings == ["012"]
    bench = site.start()
    assert (site.ended, bench.provider.calls) == (1, [])
    plan, outlet = resumed(bench, stream.id, 1, 0)
    assert plan.entry.stream.epoch == 5
    assert outlet.text() == "0123"
    assert outlet.frames()[-1]["error"]["code"] == "upstream_lost"


def test_the_room_of_a_stream_counts_what_was_there(site: Site) -> None:
    cut_off(site, "a" * ((1 << 20) - 200))
    bench = site.start()
    bench.sink.text("b" * 300)
    bench.timers.tick()
    assert [outcome.error_code for outcome in bench.meter.outcomes] == ["stream_too_large"]


def test_a_takeover_lasts_before_a_provider_is_called(site: Site) -> None:
    cut_off(site, "a")
    assert site.journal is not None
    site.journal.close_files()
    order: list[str] = []
    site.journal = journal = SegmentJournal(site.path, wall_ms=lambda: 1_790_000_000_000)
    sync = journal.sync
    journal.sync = lambda: (order.append("sync"), sync())[1]  # type: ignore[method-assign]
    bench = Bench(journal=journal)  # type: ignore[arg-type] -- another adapter of the port
    takeover = recover(bench.dispatcher, journal.recovered())
    assert (order, bench.provider.calls) == (["sync"], [])
    start(bench.dispatcher, takeover, site.check_key)
    assert len(bench.provider.calls) == 1


def test_every_stream_has_its_end_before_anybody_is_served(site: Site) -> None:
    stream = site.start().create()
    assert site.journal is not None
    site.journal.close_files()
    site.journal = SegmentJournal(site.path, wall_ms=lambda: 1_790_000_002_500)
    bench = Bench(journal=site.journal)  # type: ignore[arg-type] -- another adapter of the port
    recover(bench.dispatcher, site.journal.recovered())
    assert bench.found(stream.id).done
    assert bench.dispatcher.relay.is_idle


@pytest.mark.parametrize(("passed_ms", "took_s"), [(2500, 2.5), (0, 0.0), (-5000, 0.0)])
def test_how_long_a_lost_stream_took_is_the_time_to_its_last_commit(
    tmp_path: Path, passed_ms: int, took_s: float
) -> None:
    now_ms = [1_790_000_000_000]
    path = tmp_path / "journal"
    journal = SegmentJournal(path, wall_ms=lambda: now_ms[0])
    bench = Bench(journal=journal)  # type: ignore[arg-type] -- another adapter of the port
    bench.create()
    now_ms[0] += passed_ms
    bench.sink.text("x")
    bench.timers.tick()
    journal.close_files()
    journal = SegmentJournal(path, wall_ms=lambda: now_ms[0])
    bench = Bench(journal=journal)  # type: ignore[arg-type] -- another adapter of the port
    recover(bench.dispatcher, journal.recovered())
    journal.close_files()
    (outcome,) = bench.meter.outcomes
    assert outcome.duration_s == took_s
