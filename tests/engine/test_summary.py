import asyncio
import json
from dataclasses import replace

import pytest

from engine.virtual import Bench
from tokenferry.engine.archive import Summary
from tokenferry.engine.book import Entry
from tokenferry.engine.options import Options
from tokenferry.engine.summary import glance, summarize
from tokenferry.errors import ProviderCutOff


def entry_of(bench: Bench, stream_id: str) -> Entry:
    entry = bench.dispatcher.find("k", stream_id)
    assert isinstance(entry, Entry)
    return entry


def summary(bench: Bench, stream_id: str) -> Summary:
    """Return a stream's summary, of which a glance says the same but for the text."""
    entry = entry_of(bench, stream_id)
    found = asyncio.run(summarize(entry))
    assert glance(entry) == replace(found, message=None)
    return found


def content(found: Summary) -> str:
    assert found.message is not None
    return str(json.loads(found.message)["choices"][0]["message"]["content"])


def test_a_stream_that_runs() -> None:
    bench = Bench()
    stream = bench.create()
    bench.sink.text("안녕 ")
    bench.timers.tick()
    bench.sink.text("🙂")  # is not committed yet
    found = summary(bench, stream.id)
    assert (found.state, found.head, found.epoch) == ("generating", 2, 1)
    assert (found.finish_reason, found.error, found.usage) == (None, None, None)
    assert (found.owner, found.model, found.ended_ms) == ("k", "m", 0)
    assert content(found) == "안녕 "


def test_a_stream_before_its_first_record() -> None:
    bench = Bench()
    found = summary(bench, bench.create().id)
    assert (found.state, found.head) == ("generating", 0)


def test_a_stream_that_is_done() -> None:
    bench = Bench()
    options = Options(on_disconnect_cancel=False, orphan_timeout_s=60, idempotency_key="i")
    stream = bench.create(options)
    bench.sink.text("안녕")
    bench.sink.finish(0, "length")
    bench.sink.end()
    bench.timers.tick()
    found = summary(bench, stream.id)
    assert (found.state, found.finish_reason, found.head) == ("done", "length", 3)
    assert (found.idempotency_key, found.ended_ms) == ("i", bench.wall_ms)
    assert found.request_hash is not None
    assert content(found) == "안녕"


def test_a_stream_that_was_cancelled() -> None:
    bench = Bench()
    stream = bench.create()
    bench.sink.text("안")
    bench.dispatcher.cancel("k", stream.id)
    bench.timers.tick()
    found = summary(bench, stream.id)
    assert (found.state, found.finish_reason) == ("cancelled", "cancelled")
    assert found.usage is not None
    assert json.loads(found.usage)["estimated"] is True


def test_a_stream_that_failed() -> None:
    bench = Bench()
    stream = bench.create()
    bench.sink.text("안")
    bench.sink.fail(ProviderCutOff("it ended too soon"))
    bench.timers.tick()
    found = summary(bench, stream.id)
    assert (found.state, found.finish_reason) == ("error", None)
    assert found.error is not None
    assert json.loads(found.error)["code"] == "provider_cut_off"


def test_a_glance_at_a_long_stream_reads_its_end_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    stream = bench.create()
    for _ in range(100):
        bench.sink.text("a")
    bench.sink.finish(0, "stop")
    bench.sink.end()
    bench.timers.tick()
    read: list[tuple[int, int]] = []
    journal_read = bench.journal.read

    def reading(stream_id: str, after: int, limit: int) -> object:
        read.append((after, limit))
        return journal_read(stream_id, after, limit)

    monkeypatch.setattr(bench.journal, "read", reading)
    assert glance(entry_of(bench, stream.id)).state == "done"
    assert read == [(stream.head - 1, 1)]


def test_a_long_text_is_folded_with_others_turns_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenferry.engine.summary.SLICE_RECORDS", 10)
    bench = Bench()
    stream = bench.create()
    for _ in range(99):
        bench.sink.text("a")
    bench.timers.tick()
    turns = []

    async def fold() -> Summary:
        folding = asyncio.ensure_future(summarize(entry_of(bench, stream.id)))
        while not folding.done():
            turns.append(1)
            await asyncio.sleep(0)
        return folding.result()

    assert content(asyncio.run(fold())) == "a" * 99
    assert len(turns) >= 100 / 10
