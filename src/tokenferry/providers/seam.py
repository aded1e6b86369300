"""The seam between an answer's beginning and its rest: drops what a provider says a second time.

Some providers repeat the text that they were given as the beginning; it is dropped if all of it
comes, and passed on as the model's own words if they go another way. White space at the seam,
which Anthropic does not take at the end of a beginning, is dropped as far as the model repeats it.

Weakness: a model that really begins the rest with the whole beginning once more loses that.
"""

import msgspec
from msgspec import Raw

from tokenferry.engine.ports import Sink
from tokenferry.errors import ProviderError
from tokenferry.protocol.chat import Delta


class SeamSink:
    """A sink for the rest of an answer.

    Args:
        sink: Where everything goes that is new.
        repeated: What the provider may say again; not empty.
        as_whole: Whether it is dropped as a whole or not at all; otherwise as far as it comes.
    """

    __slots__ = (
        "_as_whole",
        "_decided",
        "_matched",
        "_repeated",
        "_sink",
        "head",
        "reasoning",
        "usage",
    )

    def __init__(self, sink: Sink, repeated: str, *, as_whole: bool) -> None:
        self._sink = sink
        self._repeated = repeated
        self._as_whole = as_whole
        # Characters of `repeated` that have come.
        self._matched = 0
        self._decided = False
        self.head = sink.head
        self.reasoning = sink.reasoning
        self.usage = sink.usage

    def text(self, text: str) -> None:
        """Pass on what is new."""
        if not self._decided:
            text = self._new(text)
            if not text:
                return
        self._sink.text(text)

    def delta(self, index: int, delta: Delta, logprobs: Raw | None = None) -> None:
        """Pass on what is new."""
        if not self._decided and delta.content:
            delta = msgspec.structs.replace(delta, content=self._new(delta.content))
        self._sink.delta(index, delta, logprobs)

    def finish(self, index: int, reason: str) -> None:
        """Pass it on; what came until now was the model's own."""
        self._release()
        self._sink.finish(index, reason)

    def end(self) -> None:
        """Pass it on; what came until now was the model's own."""
        self._release()
        self._sink.end()

    def fail(self, error: ProviderError) -> None:
        """Pass it on; of a repetition that was cut off, nothing is new."""
        self._decided = True
        self._sink.fail(error)

    def _new(self, text: str) -> str:
        """Return what is new so far, of what was held back and of the next piece."""
        repeated, matched = self._repeated, self._matched
        common = 0
        for ours, theirs in zip(repeated[matched : matched + len(text)], text, strict=False):
            if ours != theirs:
                break
            common += 1
        self._matched = matched + common
        whole = self._matched == len(repeated)
        if common == len(text) and not whole:
            return ""
        self._decided = True
        if self._as_whole and not whole:
            return repeated[:matched] + text
        return text[common:]

    def _release(self) -> None:
        if self._decided:
            return
        self._decided = True
        if self._as_whole and self._matched:
            self._sink.text(self._repeated[: self._matched])
