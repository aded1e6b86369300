"""A provider of the simulation: it keeps the port's rules, and counts who called it for what."""

from collections import Counter

from engine.virtual import ScriptedCall, ScriptedProvider
from tokenferry.domain.usage import Usage
from tokenferry.engine.ports import Sink
from tokenferry.errors import ProviderCutOff
from tokenferry.protocol.chat import Delta


class Call(ScriptedCall):
    """One answer under way.

    Attributes:
        stream_id: For which stream.
        is_over: Whether the provider has nothing more to say, or nobody to say it to.
    """

    def __init__(self, sink: Sink, stream_id: str, *, drains: bool) -> None:
        super().__init__(sink, drains=drains)
        self.stream_id = stream_id
        self.is_over = False

    def cancel(self) -> bool:
        drains = super().cancel() and not self.is_over
        self.is_over |= not drains
        return drains

    def say(self, what: str, number: int) -> None:
        """Say one thing, and a different one each time."""
        sink = self.sink
        if what == "text":
            sink.text(f"{number}안 ")
        elif what == "reasoning":
            sink.reasoning(f"왜{number}")
        elif what == "delta":
            sink.delta(0, Delta(content=f"d{number}"))
        elif what == "finish":
            sink.finish(0, "stop")
        elif what == "usage":
            sink.usage(Usage(prompt_tokens=3, completion_tokens=number))
        elif what == "end":
            self.is_over = True
            sink.end()
        else:
            self.is_over = True
            sink.fail(ProviderCutOff("It fails."))


class Provider(ScriptedProvider):
    """See the module's docstring.

    Args:
        name: Its name.
        started: Streams that it was called for, over all processes.
        drains: Whether a cancelled answer is read to its end.
    """

    def __init__(self, name: str, started: Counter[str], *, drains: bool) -> None:
        super().__init__(name, drains=drains)
        self.started = started

    def start(self, sink: Sink, key: int = 0, headers: object = ()) -> Call:
        # Where there are several candidates, the sink is one that belongs to the attempt.
        generation = getattr(sink.head, "__self__", sink)
        stream_id = generation.stream.id
        self.started[stream_id] += 1
        call = Call(sink, stream_id, drains=self.drains)
        self.calls.append(call)
        return call
