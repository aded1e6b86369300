"""What an answer has consumed, asked of at any moment."""

import pytest

from engine.virtual import Bench
from tokenferry.domain.usage import TOKENS_MAX, Usage
from tokenferry.engine.attempt import Beginning
from tokenferry.engine.consumption import Consumption
from tokenferry.protocol import completion

REPORT = Usage(10, 4)


class Answer:
    """A running answer, and its consumption as another reads it."""

    def __init__(self, beginning: Beginning | None = None) -> None:
        self.bench = Bench()
        self.stream = self.bench.create()
        (entry,) = self.bench.dispatcher.book.running()
        assert entry.generation is not None
        self.plan = entry.generation.plan._replace(beginning=beginning)
        self.of = Consumption(self.stream, self.plan)

    def final(self, *, opened: bool = True) -> Usage | None:
        return self.of.final(self.plan, self.plan.attempts[0], opened=opened)


def test_of_nothing_there_is_nothing() -> None:
    assert Answer().final(opened=False) is None


def test_a_report_is_taken_as_it_is_and_the_newest_counts() -> None:
    answer = Answer()
    answer.bench.sink.text("one two three")
    answer.of.report(Usage(10, 1))
    answer.of.report(REPORT)
    assert answer.final() is REPORT


def test_without_a_report_what_was_said_is_estimated() -> None:
    answer = Answer()
    answer.bench.sink.text("a" * 40)
    usage = answer.final()
    assert usage is not None
    assert (usage.completion_tokens, usage.estimated) == (10, True)


def test_what_is_said_after_a_report_is_added_until_the_next_one() -> None:
    answer = Answer()
    answer.bench.sink.text("a" * 40)
    answer.of.report(REPORT)
    answer.bench.sink.text("b" * 40)
    usage = answer.final()
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (10, 14, True)
    later = Usage(10, 20)
    answer.of.report(later)
    assert answer.final() is later


@pytest.mark.parametrize("impossible", [Usage(-1, 2), Usage(1, TOKENS_MAX + 1)])
def test_what_cannot_be_true_is_no_report(impossible: Usage) -> None:
    answer = Answer()
    answer.bench.sink.text("a" * 40)
    answer.of.report(impossible)
    usage = answer.final()
    assert usage is not None
    assert (usage.completion_tokens, usage.estimated) == (10, True)


def test_a_call_that_came_to_nothing_is_forgotten() -> None:
    answer = Answer()
    answer.of.report(REPORT)
    answer.of.forget()
    assert answer.final(opened=False) is None


def test_what_an_earlier_process_has_received_is_in_it() -> None:
    lost = Usage(8, 3, estimated=True)
    answer = Answer(Beginning("", 0, 0, lost))
    answer.of.report(REPORT)
    usage = answer.final()
    assert usage is not None
    assert usage.completion_tokens == 7
    assert usage.estimated


def test_after_the_end_it_is_worked_out_once_and_anew_for_a_late_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = Answer()
    answer.bench.sink.text("a" * 40)
    before = answer.final()
    (entry,) = answer.bench.dispatcher.book.running()
    assert entry.generation is not None
    entry.generation.cancel()
    assert answer.stream.sealed
    assert answer.final() == before
    monkeypatch.setattr(completion.Completion, "output_text", None)
    assert answer.final() == before
    answer.of.report(REPORT)
    assert answer.final() is REPORT
