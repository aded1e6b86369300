from typing import Any

from tokenferry.engine.attempt import AttemptSink, RivalSink

CALLS = ("head", "text", "reasoning", "delta", "finish", "usage", "end", "fail")


class Recorder:
    """A generation that writes down what is called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.called.append(name)


def test_everything_passes_until_the_candidate_has_failed_and_nothing_after() -> None:
    recorder = Recorder()
    sink = AttemptSink(recorder)
    for name in CALLS:
        getattr(sink, name)("x")
    assert recorder.called == [*CALLS]
    sink.close()
    sink.close()
    for name in CALLS:
        getattr(sink, name)("x")
    assert recorder.called == [*CALLS]


def rival() -> tuple[RivalSink, Recorder]:
    recorder = Recorder()
    return RivalSink(
        recorder,
        lambda: recorder.called.append("won"),
        lambda error: recorder.called.append(f"lost {error}"),
    ), recorder


def test_a_rival_that_shows_something_has_won_and_then_says_what_it_kept() -> None:
    sink, recorder = rival()
    kept_by_an_adapter = sink.text
    sink.head("m", None, None)
    sink.usage("usage")
    assert recorder.called == []
    kept_by_an_adapter("x")
    assert recorder.called == ["won", "head", "usage", "text"]
    kept_by_an_adapter("x")
    sink.text("x")
    sink.end()
    assert recorder.called[4:] == ["text", "text", "end"]


def test_a_rival_that_was_closed_is_not_heard_whatever_an_adapter_has_kept() -> None:
    sink, recorder = rival()
    kept_by_an_adapter = sink.text
    sink.close()
    kept_by_an_adapter("x")
    for name in CALLS:
        getattr(sink, name)("x")
    assert recorder.called == []


def test_a_rival_that_fails_has_lost_and_one_that_is_promoted_fails_for_the_stream() -> None:
    sink, recorder = rival()
    sink.fail("e")
    assert recorder.called == ["lost e"]
    sink, recorder = rival()
    sink.head("m", None, None)
    sink.promote()
    sink.fail("e")
    assert recorder.called == ["head", "fail"]
