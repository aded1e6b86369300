import json
from collections.abc import Sequence

import pytest
from msgspec import Raw

from engine.virtual import Bench, ScriptedProvider
from tokenferry.domain.usage import Usage
from tokenferry.engine.generation import USAGE_WAIT_S
from tokenferry.engine.options import Limits
from tokenferry.engine.ports import JournalUnavailable
from tokenferry.errors import ProviderCutOff, ProviderRejected, ProviderUnreachable
from tokenferry.protocol.chat import Delta, FunctionDelta, ToolCallDelta
from tokenferry.stores.memory import MemoryJournal

USAGE = Usage(5, 7, cached_tokens=2, reasoning_tokens=3)


def test_a_whole_answer_is_one_head_its_deltas_and_one_terminal_frame() -> None:
    bench = Bench()
    outlet, _ = bench.follow(bench.create())
    bench.sink.head("m-2026", "fp", "default")
    for text in ("안", "녕", "!"):
        bench.sink.text(text)
    bench.sink.finish(0, "stop")
    bench.sink.usage(USAGE)
    bench.sink.end()
    bench.timers.tick()
    frames = outlet.frames()
    assert [frame["seq"] for frame in frames] == [1, 2, 3, 4, 5]
    assert outlet.text() == "안녕!"
    assert {frame["model"] for frame in frames} == {"m-2026"}
    assert [frame["done"] for frame in frames] == [False] * 4 + [True]
    assert frames[-1]["choices"][0]["finish_reason"] == "stop"
    assert frames[-1]["usage"]["prompt_tokens_details"]["cached_tokens"] == 2
    (outcome,) = bench.meter.outcomes
    assert (outcome.finish, outcome.usage, outcome.attempts) == ("stop", USAGE, 1)


def test_nothing_is_sent_before_the_first_delta() -> None:
    bench = Bench()
    outlet, _ = bench.follow(bench.create())
    bench.sink.head("m", None, None)
    bench.timers.tick()
    assert outlet.written == []


def test_the_finish_waits_for_usage_and_not_for_ever() -> None:
    bench = Bench()
    outlet, _ = bench.follow(bench.create())
    bench.sink.text("하나")
    bench.sink.finish(0, "stop")
    bench.timers.advance(USAGE_WAIT_S - 0.01)
    assert not outlet.frames()[-1]["done"]
    bench.timers.advance(0.02)
    last = outlet.frames()[-1]
    assert last["done"]
    assert last["usage"]["estimated"] is True
    assert last["usage"]["completion_tokens"] == 2
    assert bench.provider.calls[0].cancelled == 1
    assert len(bench.meter.outcomes) == 1


def test_usage_of_zero_stays_zero() -> None:
    bench = Bench()
    outlet, _ = bench.follow(bench.create())
    bench.sink.text("text that would be estimated")
    bench.sink.finish(0, "stop")
    bench.sink.usage(Usage(0, 0))
    bench.sink.end()
    bench.timers.tick()
    assert outlet.frames()[-1]["usage"]["total_tokens"] == 0
    assert bench.meter.outcomes[0].usage == Usage(0, 0)


def test_an_estimate_never_exceeds_the_output_limit() -> None:
    bench = Bench()
    bench.follow(stream := bench.create(max_tokens=3))
    bench.sink.text("가" * 50)
    bench.dispatcher.cancel("k", stream.id)
    bench.timers.tick()
    usage = bench.meter.outcomes[0].usage
    assert usage is not None
    assert usage.completion_tokens == 3
    assert usage.estimated


@pytest.mark.parametrize("cut", ["cancel", "fail", "end"])
@pytest.mark.parametrize(("limit", "completion"), [(None, 7), (100, 7), (5, 5)])
def test_what_came_after_a_report_is_added_to_it(
    cut: str, limit: int | None, completion: int
) -> None:
    """Claude says at the beginning what the prompt has, and "one" of the answer."""
    bench = Bench()
    bench.follow(stream := bench.create(max_tokens=limit))
    bench.sink.usage(Usage(30, 1, cached_tokens=20))
    bench.sink.text("가" * 4)
    bench.sink.delta(0, Delta(content="나" * 2))
    if cut == "cancel":
        bench.dispatcher.cancel("k", stream.id)
    elif cut == "fail":
        bench.sink.fail(ProviderCutOff("The provider closed the connection."))
    else:
        bench.sink.finish(0, "stop")
        bench.sink.end()
    bench.timers.tick()
    assert bench.meter.outcomes[0].usage == Usage(30, completion, cached_tokens=20, estimated=True)


@pytest.mark.parametrize(
    "impossible",
    [
        Usage(-1, 2),
        Usage(1, -2),
        Usage(1, 2, cached_tokens=-1),
        Usage(1, 10**12 + 1),
        # Of a program that counts down below zero; no book could hold what it costs.
        Usage(2**64 - 1, 2),
    ],
)
def test_a_report_that_cannot_be_true_is_none(impossible: Usage) -> None:
    bench = Bench()
    bench.follow(bench.create())
    bench.sink.text("가나다")
    bench.sink.usage(impossible)
    bench.sink.finish(0, "stop")
    bench.sink.end()
    bench.timers.tick()
    assert bench.meter.outcomes[0].usage == Usage(2, 3, estimated=True)


@pytest.mark.parametrize("first", ["cancel", "end", "fail"])
def test_reports_that_keep_pace_are_taken_as_they_are(first: str) -> None:
    bench = Bench()
    bench.follow(stream := bench.create(max_tokens=3))
    for count in (1, 2, 9):
        bench.sink.text("가나다라")
        bench.sink.usage(Usage(30, count))
    if first == "cancel":
        bench.dispatcher.cancel("k", stream.id)
    elif first == "fail":
        bench.sink.fail(ProviderCutOff("cut"))
    else:
        bench.sink.finish(0, "stop")
        bench.sink.end()
    bench.timers.tick()
    assert bench.meter.outcomes[0].usage == Usage(30, 9)


@pytest.mark.parametrize("first", ["cancel", "end", "fail"])
def test_of_cancel_finish_and_failure_the_first_wins(first: str) -> None:
    bench = Bench()
    stream = bench.create()
    outlet, _ = bench.follow(stream)
    sink = bench.sink
    sink.text("x")
    sink.finish(0, "stop")
    acts = {
        "cancel": lambda: bench.dispatcher.cancel("k", stream.id),
        "end": sink.end,
        "fail": lambda: sink.fail(ProviderCutOff("cut")),
    }
    for name in [first, *(name for name in acts if name != first)]:
        acts[name]()
    sink.text("too late")
    bench.timers.advance(10)
    frames = outlet.frames()
    assert [frame["done"] for frame in frames].count(True) == 1
    assert frames[-1]["done"]
    # A finish reason that had come is true even when the client cancels afterwards.
    expected = {"cancel": "stop", "end": "stop", "fail": "error"}[first]
    assert frames[-1]["choices"][0]["finish_reason"] == expected
    assert len(bench.meter.outcomes) == 1


def test_a_failure_in_the_middle_is_an_error_frame_and_keeps_what_came() -> None:
    bench = Bench()
    outlet, _ = bench.follow(bench.create())
    bench.sink.text("half")
    bench.sink.fail(ProviderCutOff("The provider closed the connection."))
    bench.timers.tick()
    last = outlet.frames()[-1]
    assert outlet.text() == "half"
    assert last["error"]["code"] == "provider_cut_off"
    assert last["choices"][0]["finish_reason"] == "error"
    assert last["done"] is True
    assert last["usage"]["estimated"] is True
    assert bench.meter.outcomes[0].error_code == "provider_cut_off"


def test_an_end_without_a_finish_reason_is_no_success() -> None:
    bench = Bench()
    outlet, _ = bench.follow(bench.create())
    bench.sink.text("half")
    bench.sink.end()
    bench.timers.tick()
    assert outlet.frames()[-1]["error"]["code"] == "provider_cut_off"


def test_a_failure_before_the_first_token_goes_to_the_next_candidate_unseen() -> None:
    first, second = ScriptedProvider("a"), ScriptedProvider("b")
    bench = Bench([first, second])
    outlet, _ = bench.follow(bench.create())
    first.sink.head("m-of-a", None, None)
    first.sink.fail(ProviderUnreachable("refused"))
    second.sink.text("from b")
    second.sink.finish(0, "stop")
    second.sink.usage(USAGE)
    second.sink.end()
    bench.timers.tick()
    assert outlet.text() == "from b"
    assert "error" not in outlet.frames()[-1]
    (outcome,) = bench.meter.outcomes
    assert (outcome.provider, outcome.attempts) == ("b", 2)


def test_no_candidate_is_tried_after_the_first_token() -> None:
    first, second = ScriptedProvider("a"), ScriptedProvider("b")
    bench = Bench([first, second])
    outlet, _ = bench.follow(bench.create())
    first.sink.text("visible")
    first.sink.fail(ProviderUnreachable("reset"))
    bench.timers.tick()
    assert second.calls == []
    assert outlet.frames()[-1]["error"]["code"] == "provider_unreachable"


def test_a_rejection_that_no_other_candidate_would_mend_is_final() -> None:
    first, second = ScriptedProvider("a"), ScriptedProvider("b")
    bench = Bench([first, second])
    stream = bench.create()
    bench.follow(stream)
    first.sink.fail(ProviderRejected("bad image", status=400))
    bench.timers.tick()
    assert second.calls == []
    assert stream.error is not None
    assert stream.error.http_status == 400


def test_what_is_left_of_a_failed_candidate_does_not_speak_for_the_next() -> None:
    first, second = ScriptedProvider("a"), ScriptedProvider("b")
    bench = Bench([first, second])
    outlet, _ = bench.follow(bench.create())
    left = first.sink
    left.head("m-of-a", None, None)
    left.fail(ProviderRejected("an error event", status=503))
    assert first.calls[0].cancelled == 1
    left.text("late")
    left.usage(Usage(99, 99))
    left.finish(0, "length")
    left.end()
    left.fail(ProviderCutOff("the connection closed after the event"))
    second.sink.text("from b")
    second.sink.finish(0, "stop")
    second.sink.usage(USAGE)
    second.sink.end()
    bench.timers.tick()
    assert outlet.text() == "from b"
    assert outlet.frames()[-1]["choices"][0]["finish_reason"] == "stop"
    assert {frame["model"] for frame in outlet.frames()} == {"m"}
    assert bench.meter.outcomes[0].usage == USAGE


def test_after_a_failover_nothing_of_the_first_candidate_is_left() -> None:
    first, second = ScriptedProvider("a"), ScriptedProvider("b")
    bench = Bench([first, second])
    outlet, _ = bench.follow(bench.create())
    first.sink.usage(Usage(99, 99))
    first.sink.finish(0, "length")
    first.sink.fail(ProviderUnreachable("reset"))
    bench.timers.advance(USAGE_WAIT_S + 1)
    assert outlet.written == []
    second.sink.text("b")
    second.sink.finish(0, "stop")
    second.sink.end()
    bench.timers.tick()
    last = outlet.frames()[-1]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"]["estimated"] is True


def test_cancel_closes_the_provider_and_settles_at_once() -> None:
    bench = Bench()
    outlet, _ = bench.follow(stream := bench.create())
    bench.sink.text("one")
    bench.dispatcher.cancel("k", stream.id)
    bench.timers.tick()
    assert bench.provider.calls[0].cancelled == 1
    assert outlet.frames()[-1]["choices"][0]["finish_reason"] == "cancelled"
    assert len(bench.meter.outcomes) == 1


def test_a_drained_call_is_settled_with_what_the_provider_reports_at_its_end() -> None:
    bench = Bench([ScriptedProvider(drains=True)])
    outlet, _ = bench.follow(stream := bench.create())
    bench.sink.text("one")
    bench.dispatcher.cancel("k", stream.id)
    bench.timers.tick()
    assert outlet.frames()[-1]["done"]
    assert bench.meter.outcomes == []
    bench.sink.text("discarded")
    bench.sink.finish(0, "stop")
    bench.sink.usage(Usage(3, 40))
    bench.sink.end()
    bench.timers.tick()
    assert "discarded" not in outlet.text()
    (outcome,) = bench.meter.outcomes
    assert (outcome.finish, outcome.usage) == ("cancelled", Usage(3, 40))


def test_what_a_drained_call_says_later_is_no_gap_between_chunks() -> None:
    bench = Bench([ScriptedProvider(drains=True)])
    bench.follow(stream := bench.create())
    for _ in range(3):
        bench.sink.text("one")
        bench.timers.advance(0.1)
    bench.dispatcher.cancel("k", stream.id)
    bench.timers.advance(60)
    bench.sink.finish(0, "stop")
    bench.sink.usage(Usage(3, 40))
    bench.sink.end()
    (outcome,) = bench.meter.outcomes
    assert (outcome.finish, outcome.chunk_gap_s) == ("cancelled", None)


def test_a_stream_over_its_limit_is_stopped_and_says_so() -> None:
    bench = Bench(limits=Limits(stream_bytes_max=400))
    outlet, _ = bench.follow(bench.create())
    for _ in range(100):
        bench.sink.text("0123456789")
    bench.timers.tick()
    frames = outlet.frames()
    assert frames[-1]["error"]["code"] == "stream_too_large"
    assert len(frames) < 50
    assert bench.provider.calls[0].cancelled == 1
    assert len(bench.meter.outcomes) == 1


@pytest.mark.parametrize("is_empty", [True, False])
def test_where_not_even_the_head_has_room_the_end_is_the_last_record(*, is_empty: bool) -> None:
    bench = Bench(limits=Limits(stream_bytes_max=10))
    stream = bench.create()
    outlet, _ = bench.follow(stream)
    bench.sink.head("a name " * 100, None, None)
    if not is_empty:
        bench.sink.text("text")
        bench.sink.text("more")
    bench.sink.finish(0, "stop")
    bench.sink.end()
    bench.timers.tick()
    (frame,) = outlet.frames()
    assert frame["error"]["code"] == "stream_too_large"
    assert (stream.head, stream.done) == (1, True)
    assert len(bench.meter.outcomes) == 1


def test_a_record_that_has_no_room_is_not_kept() -> None:
    bench = Bench(limits=Limits(stream_bytes_max=400))
    stream = bench.create()
    outlet, _ = bench.follow(stream)
    bench.sink.text("x")
    bench.sink.text("a" * 10_000)
    bench.timers.tick()
    assert outlet.text() == "x"
    assert outlet.frames()[-1]["error"]["code"] == "stream_too_large"
    assert stream.head == 3


class Unreadable(MemoryJournal):
    """A journal that takes everything and gives nothing."""

    def read(self, stream_id: str, after: int, limit: int) -> Sequence[bytes]:
        raise JournalUnavailable("the disk is gone")


def test_a_stream_whose_records_cannot_be_read_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tokenferry.engine.stream.RING_RECORDS", 10)
    bench = Bench(journal=Unreadable(1 << 20))
    stream = bench.create()
    outlet, _ = bench.follow(stream)
    for _ in range(50):
        bench.sink.text("word ")
        bench.timers.tick()
    bench.dispatcher.cancel("k", stream.id)
    bench.timers.tick()
    assert outlet.frames()[-1]["choices"][0]["finish_reason"] == "cancelled"
    (outcome,) = bench.meter.outcomes
    assert outcome.usage is not None
    assert 0 < outcome.usage.completion_tokens < 50
    assert bench.dispatcher.book.live_count == 0
    assert "the disk is gone" in caplog.text


def test_tool_calls_and_reasoning_keep_their_keys_beside_the_content() -> None:
    bench = Bench()
    outlet, _ = bench.follow(bench.create())
    bench.sink.reasoning("생각")
    call = ToolCallDelta(0, "c1", "function", FunctionDelta("날씨", '{"도시":'))
    bench.sink.delta(0, Delta(tool_calls=[call]))
    bench.sink.delta(1, Delta(reasoning="other choice", content="x"))
    bench.timers.tick()
    _, reasoning, tool, other = outlet.frames()
    assert reasoning["choices"][0]["delta"] == {"content": "", "reasoning_content": "생각"}
    delta = tool["choices"][0]["delta"]
    assert delta["content"] == ""
    assert json.loads(json.dumps(delta["tool_calls"][0]))["function"]["name"] == "날씨"
    assert other["choices"][0]["index"] == 1
    assert other["choices"][0]["delta"] == {"content": "x", "reasoning_content": "other choice"}


def test_reasoning_may_come_with_what_is_passed_on_unread() -> None:
    """OpenRouter says each piece of reasoning twice: as a text, and in `reasoning_details`."""
    bench = Bench()
    outlet, _ = bench.follow(bench.create())
    details = [{"type": "reasoning.text", "text": "흠 😀", "signature": None}]
    raw = Raw(json.dumps(details).encode())
    bench.sink.delta(0, Delta(reasoning="흠 😀", reasoning_details=raw))
    bench.sink.delta(0, Delta("답", "끝", annotations=Raw(b"[1e400]")))
    bench.timers.tick()
    _, first, second = outlet.frames()
    assert first["choices"][0]["delta"] == {
        "content": "",
        "reasoning_content": "흠 😀",
        "reasoning_details": details,
    }
    delta = second["choices"][0]["delta"]
    assert (delta["content"], delta["reasoning_content"]) == ("답", "끝")


def test_several_choices_are_complete_only_together() -> None:
    bench = Bench()
    outlet, _ = bench.follow(bench.create(n=2))
    bench.sink.text("a")
    bench.sink.delta(1, Delta(content="b"))
    bench.sink.finish(0, "stop")
    bench.timers.advance(USAGE_WAIT_S + 1)
    assert not outlet.frames()[-1]["done"]
    bench.sink.finish(1, "length")
    bench.sink.usage(USAGE)
    bench.sink.end()
    bench.timers.tick()
    assert outlet.frames()[-1]["finish_reasons"] == ["stop", "length"]


def test_the_time_between_chunks_is_the_mean_up_to_the_finish_reason() -> None:
    bench = Bench()
    bench.follow(bench.create())
    bench.timers.advance(3)
    for text in ("하나", "둘", "셋"):
        bench.sink.text(text)
        bench.timers.advance(0.5)
    bench.sink.reasoning("넷")
    bench.timers.advance(0.3)
    bench.sink.finish(0, "stop")
    # What follows is no pace of the model's.
    bench.timers.advance(1)
    bench.sink.usage(USAGE)
    bench.sink.end()
    (outcome,) = bench.meter.outcomes
    assert outcome.chunk_gap_s == pytest.approx((1.5 + 0.3) / 3)


@pytest.mark.parametrize("end", ["one chunk", "failure", "cancel", "failed before"])
def test_there_is_no_time_between_chunks_without_two_and_a_finish(end: str) -> None:
    bench = Bench([ScriptedProvider("a"), ScriptedProvider("b")])
    stream = bench.create()
    bench.follow(stream)
    if end == "failed before":
        # What a call has said that shows nothing is not the next one's.
        bench.providers[0].sink.finish(0, "stop")
        bench.providers[0].sink.fail(ProviderUnreachable("no"))
    bench.timers.advance(1)
    sink = bench.providers[end == "failed before"].sink
    sink.text("하나")
    bench.timers.advance(1)
    if end == "one chunk":
        sink.finish(0, "stop")
        sink.end()
    else:
        sink.text("둘")
        bench.timers.advance(1)
        if end == "failure":
            sink.fail(ProviderCutOff("gone"))
        else:
            bench.dispatcher.cancel("k", stream.id)
    (outcome,) = bench.meter.outcomes
    assert outcome.chunk_gap_s is None
    assert outcome.first_token_s is not None
