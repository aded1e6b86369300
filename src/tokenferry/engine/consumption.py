"""What an answer has consumed: the provider's reports, and estimates of what nobody reported.

Source: docs/decisions/0010-money.md. Weakness: an estimate reads what was said since the latest
report, which for a long answer takes milliseconds; few answers need one.
"""

from tokenferry.domain.usage import Usage, estimate, with_lost, with_unreported
from tokenferry.engine.attempt import Attempt, Plan
from tokenferry.engine.stream import Stream
from tokenferry.protocol.completion import folded


class Consumption:
    """The usage of one stream.

    Args:
        stream: Whose records tell what was said.
        plan: What it does.
    """

    __slots__ = ("_estimate", "_is_final", "_report", "_said", "_stream", "_usage")

    def __init__(self, stream: Stream, plan: Plan) -> None:
        self._stream = stream
        self._report: Usage | None = None
        # Of what came after the report, and how many records there were then.
        self._estimate: Usage | None = None
        self._said = plan.beginning.head if plan.beginning else 0
        # What `final` has returned, and whether nothing was reported since.
        self._usage: Usage | None = None
        self._is_final = False

    def report(self, usage: Usage) -> None:
        """Keep the newest report; an answer may go on after it."""
        self._report, self._estimate = usage, None
        self._said = self._stream.record_count
        self._is_final = False

    def forget(self) -> None:
        """Drop the report: it is of a call that came to nothing."""
        self._report = None
        self._is_final = False

    def final(self, plan: Plan, attempt: Attempt, *, opened: bool) -> Usage | None:
        """Return the report, with an estimate of what was delivered after it; None for nothing.

        Claude reports the answer at its end only. What an earlier process received is in it, as an
        estimate: nobody reported that. The stream is sealed with what this returns first: nothing
        is said afterwards, but a call that is drained may still report.

        Args:
            plan: What the stream does.
            attempt: Who serves it.
            opened: Whether anything was delivered.
        """
        if not self._is_final:
            self._usage = self._worked_out(plan, attempt, opened=opened)
            self._is_final = True
        return self._usage

    def _worked_out(self, plan: Plan, attempt: Attempt, *, opened: bool) -> Usage | None:
        beginning, stream = plan.beginning, self._stream
        if self._report is not None and not self._report.is_possible:
            self._report, self._said = None, beginning.head if beginning else 0
        is_behind = opened and not stream.sealed and stream.record_count > self._said
        if not is_behind and self._estimate is None and beginning is None:
            return self._report
        limit = attempt.all_output_tokens_max(plan.request)
        if is_behind and self._estimate is None:
            said = folded(stream.id, stream.records_after(self._said)).output_text()
            self._estimate = estimate(plan.prompt_tokens, said, output_tokens_max=limit)
        usage = with_unreported(self._report, self._estimate, output_tokens_max=limit)
        if beginning is not None:
            usage = with_lost(beginning.usage, usage, output_tokens_max=limit)
        return usage
