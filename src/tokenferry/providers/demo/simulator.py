"""The demo model as a provider: it sends a written answer piece by piece, at a human pace.

The pace: a first token after 250 ms, as a fast hosted model has it, and then about 30 tokens a
second, somewhat faster than a person reads.
Weakness: one timer a token and stream; meant for tens of streams, not for load tests.
"""

import asyncio
from collections.abc import Sequence

from tokenferry.engine.ports import Call, Sink
from tokenferry.errors import UnsupportedParameter
from tokenferry.protocol.chat import ChatRequest
from tokenferry.providers.demo.script import Script, Step, rest_of, write

FIRST_TOKEN_MS = 250
TOKEN_INTERVAL_MS = 33

# After a stall of the event loop, at most this many tokens are sent at once; the rest of the
# answer is simply later. A burst would look like the buffering that a gateway must not do.
BURST_TOKENS_MAX = 3


class DemoProvider:
    """The built-in simulator, as the engine's `Provider`.

    Args:
        first_token_ms: The wait before the first token, at least 0.
        token_interval_ms: The wait between tokens; 0 sends one a turn of the event loop.
    """

    name = "demo"

    def __init__(
        self,
        *,
        first_token_ms: float = FIRST_TOKEN_MS,
        token_interval_ms: float = TOKEN_INTERVAL_MS,
    ) -> None:
        if first_token_ms < 0 or token_interval_ms < 0:
            raise ValueError("the demo provider's waits must not be negative")
        self._first_token_s = first_token_ms / 1_000
        self._interval_s = token_interval_ms / 1_000

    def prepare(self, request: ChatRequest, model: str) -> "DemoPrepared":
        """Write the whole answer; it is sent when it is started.

        Raises:
            InvalidRequest: If the tool choice or the response format contradicts itself.
            UnsupportedParameter: If the request wants what a simulator cannot give.
        """
        return DemoPrepared(write(request), model, self._first_token_s, self._interval_s)

    def prepare_continuation(self, request: ChatRequest, model: str, text: str) -> "DemoPrepared":
        """Write the answer again, and leave out what is there: it is the same for ever.

        Raises:
            RequestError: If the answer is another one, as of another release.
        """
        rest = rest_of(write(request), text)
        if rest is None:
            raise UnsupportedParameter("The simulator's answer does not begin like this any more.")
        return DemoPrepared(rest, model, self._first_token_s, self._interval_s)


class DemoPrepared:
    """A written answer, ready to be sent any number of times."""

    # It keeps to the request's.
    output_tokens_max = None

    def __init__(self, script: Script, model: str, first_token_s: float, interval_s: float) -> None:
        self._script = script
        self._model = model
        self._first_token_s = first_token_s
        self._interval_s = interval_s

    def start(
        self,
        sink: Sink,
        key: int = 0,  # noqa: ARG002 -- it has no keys
        headers: Sequence[tuple[str, str]] = (),  # noqa: ARG002 -- nor headers
    ) -> Call:
        """Begin to send; the first call of `sink` comes in a later turn of the event loop."""
        delivery = _Delivery(self._script, self._model, self._interval_s, sink)
        delivery.begin(self._first_token_s)
        return delivery


class _Delivery:
    """One answer on its way: the next step, and the timer for it."""

    def __init__(self, script: Script, model: str, interval_s: float, sink: Sink) -> None:
        self._script = script
        self._model = model
        self._interval_s = interval_s
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._next = 0
        self._cancelled = False

    def begin(self, first_token_s: float) -> None:
        self._due_s = self._loop.time() + first_token_s
        self._timer = self._loop.call_at(self._due_s, self._open)

    def cancel(self) -> bool:
        """Send nothing more; may be called at any time, also by the sink."""
        self._cancelled = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return False

    def _open(self) -> None:
        self._sink.head(self._model, None, None)
        self._tick()

    def _tick(self) -> None:
        """Send what is due, and set the timer for the rest."""
        steps = self._script.steps
        for _ in range(self._due_count()):
            if self._cancelled or self._next == len(steps):
                break
            self._send(steps[self._next])
            self._next += 1
        if self._cancelled:
            return
        if self._next == len(steps):
            self._close()
            return
        self._timer = self._loop.call_at(self._due_s, self._tick)

    def _due_count(self) -> int:
        """Return how many steps are due, and move the due time to the next step after them."""
        if not self._interval_s:
            return 1
        now_s = self._loop.time()
        count = 1 + int((now_s - self._due_s) / self._interval_s)
        if count > BURST_TOKENS_MAX:
            self._due_s = now_s + self._interval_s
            return BURST_TOKENS_MAX
        self._due_s += max(count, 1) * self._interval_s
        return max(count, 1)

    def _send(self, step: Step) -> None:
        if step.kind == "text":
            self._sink.text(step.text)
        elif step.kind == "reasoning":
            self._sink.reasoning(step.text)
        else:
            self._sink.delta(0, step.delta())
        for index in range(1, self._script.choice_count):
            if self._cancelled:
                return
            self._sink.delta(index, step.delta())

    def _close(self) -> None:
        self._timer = None
        for index in range(self._script.choice_count):
            self._sink.finish(index, self._script.finish_reason)
        self._sink.usage(self._script.usage)
        self._sink.end()
