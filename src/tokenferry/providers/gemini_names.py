"""Names of functions that Gemini refuses, and the way back.

OpenAI's names may begin with a digit or a dash; Google's begin with a letter or an underscore, and
one name that does not has the whole request refused. Such a name goes to Google with an underscore
before it, and comes back without.

Source: Google's guide "Function calling", July 2026, and its answers to such requests. Weakness:
where a request has a function of both spellings, the calls of both come back as the shorter's; a
name over Google's length is left to Google's own 400.
"""

from collections.abc import Mapping

from msgspec import Raw
from msgspec.structs import replace

from tokenferry.engine.ports import Sink
from tokenferry.protocol.chat import ChatRequest, Delta, ToolCallDelta


def google_name(name: str) -> str:
    """Return a function's name as Google takes it."""
    first = name[:1]
    return f"_{name}" if first == "-" or first.isdigit() else name


def changed_names(request: ChatRequest) -> dict[str, str]:
    """Return the client's names, by Google's, of the functions whose names differ."""
    names = [tool.function.name for tool in request.tools or () if tool.function is not None]
    return {taken: name for name in names if (taken := google_name(name)) != name}


class NamesSink:
    """A sink that gives functions the client's names.

    Args:
        sink: Where everything goes.
        names: The client's names, by Google's.
    """

    __slots__ = ("_names", "_sink", "end", "fail", "finish", "head", "reasoning", "text", "usage")

    def __init__(self, sink: Sink, names: Mapping[str, str]) -> None:
        self._sink = sink
        self._names = names
        self.end = sink.end
        self.fail = sink.fail
        self.finish = sink.finish
        self.head = sink.head
        self.reasoning = sink.reasoning
        self.text = sink.text
        self.usage = sink.usage

    def delta(self, index: int, delta: Delta, logprobs: Raw | None = None) -> None:
        """Pass it on, with the client's names."""
        if delta.tool_calls:
            delta = replace(delta, tool_calls=[self._renamed(call) for call in delta.tool_calls])
        self._sink.delta(index, delta, logprobs)

    def _renamed(self, call: ToolCallDelta) -> ToolCallDelta:
        function = call.function
        name = None if function is None else self._names.get(function.name or "")
        if function is None or name is None:
            return call
        return replace(call, function=replace(function, name=name))
