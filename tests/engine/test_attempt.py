from typing import Any

from tokenferry.engine.attempt import AttemptSink

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
