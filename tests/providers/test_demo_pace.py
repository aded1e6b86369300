"""The demo simulator's pace, on a clock that is moved by hand."""

import asyncio
import heapq
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from tokenferry.protocol.chat import ChatRequest, parse_request
from tokenferry.providers.demo import DemoProvider
from tokenferry.providers.demo.script import write
from tokenferry.providers.demo.simulator import BURST_TOKENS_MAX


class Recorder:
    """A sink that keeps which calls came, and can act on a text."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.on_text: Callable[[], object] = lambda: None

    def head(self, *_: object) -> None:
        self.calls.append("head")

    def text(self, _text: str) -> None:
        self.calls.append("text")
        self.on_text()

    def delta(self, *_: object) -> None:
        self.calls.append("delta")

    def finish(self, *_: object) -> None:
        self.calls.append("finish")

    def usage(self, _usage: object) -> None:
        self.calls.append("usage")

    def end(self) -> None:
        self.calls.append("end")


class FakeLoop:
    """The clock and the timers of an event loop, moved by hand."""

    def __init__(self) -> None:
        self._now_s = 1_000.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count()

    def time(self) -> float:
        return self._now_s

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Called by a handle that is cancelled; `advance` skips it."""

    def call_at(self, when_s: float, callback: Callable[..., None]) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when_s, callback, (), self)  # type: ignore[arg-type]
        heapq.heappush(self._timers, (when_s, next(self._order), handle))
        return handle

    def advance(self, ms: float, *, stalled: bool = False) -> None:
        """Let time pass; timers run when due, or all late at the end of a stall."""
        until_s = self._now_s + ms / 1_000
        if stalled:
            self._now_s = until_s
        while self._timers and self._timers[0][0] <= until_s:
            when_s, _, handle = heapq.heappop(self._timers)
            self._now_s = max(self._now_s, when_s)
            if not handle.cancelled():
                handle._run()
        self._now_s = until_s

    @property
    def waiting(self) -> int:
        return sum(not handle.cancelled() for _, _, handle in self._timers)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> FakeLoop:
    fake = FakeLoop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: fake)
    return fake


def ask(text: str | None = "Hello", **fields: Any) -> ChatRequest:
    messages = fields.pop("messages", [{"role": "user", "content": text}])
    return parse_request(
        json.dumps({"model": "demo", "messages": messages, **fields}, ensure_ascii=False).encode()
    )


class TestPace:
    def test_first_token_and_interval(self, loop):
        sink = Recorder()
        DemoProvider().prepare(ask(), "demo").start(sink)
        loop.advance(249)
        assert sink.calls == []
        loop.advance(2)
        assert sink.calls == ["head", "text"]
        loop.advance(1_000)
        assert len(sink.calls) - 1 == 31

    def test_whole_answer_takes_its_time_and_leaves_no_timer(self, loop):
        sink = Recorder()
        DemoProvider().prepare(ask(), "demo").start(sink)
        count = len(write(ask()).steps)
        loop.advance(250 + 33 * (count - 1) - 1)
        assert sink.calls[-1] == "text"
        loop.advance(2)
        assert sink.calls[-1] == "end"
        assert loop.waiting == 0

    @pytest.mark.parametrize(
        ("stall_ms", "sent"), [(33, 1), (66, 2), (99, 3), (132, 3), (10_000, 3)]
    )
    def test_a_stall_is_not_made_up_for_at_once(self, loop, stall_ms, sent):
        assert BURST_TOKENS_MAX == 3
        sink = Recorder()
        DemoProvider().prepare(ask(), "demo").start(sink)
        loop.advance(251)
        before = len(sink.calls)
        loop.advance(stall_ms, stalled=True)
        assert len(sink.calls) - before == sent
        loop.advance(331)
        assert len(sink.calls) - before - sent in (10, 11)

    def test_cancel_before_the_first_token(self, loop):
        sink = Recorder()
        call = DemoProvider().prepare(ask(), "demo").start(sink)
        call.cancel()
        assert loop.waiting == 0
        loop.advance(60_000)
        assert sink.calls == []

    def test_cancel_in_the_middle_and_again(self, loop):
        sink = Recorder()
        call = DemoProvider().prepare(ask(), "demo").start(sink)
        loop.advance(1_000)
        sent = len(sink.calls)
        assert sent > 1
        assert call.cancel() is False
        assert call.cancel() is False
        assert loop.waiting == 0
        loop.advance(60_000)
        assert len(sink.calls) == sent

    def test_cancel_from_within_the_sink(self, loop):
        sink = Recorder()
        call = DemoProvider().prepare(ask(n=5), "demo").start(sink)
        sink.on_text = call.cancel
        loop.advance(60_000)
        assert sink.calls == ["head", "text"]
        assert loop.waiting == 0

    @pytest.mark.parametrize("waits", [{"first_token_ms": -1}, {"token_interval_ms": -0.1}])
    def test_negative_waits_are_refused(self, waits):
        with pytest.raises(ValueError, match="negative"):
            DemoProvider(**waits)
