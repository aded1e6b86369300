"""An answer as it grows: text, reasoning, refusal and calls of tools, put together from chunks.

What the server has lost can be taken back, record by record. Weakness: the pieces are kept until
the stream ends; the server's limit on a stream's log (4 MiB) bounds them.
"""

from dataclasses import dataclass, field
from typing import Any

from tokenferry_client.events import Chunk, Snapshot, ToolCallDelta


@dataclass(slots=True)
class ToolCall:
    """A call of a tool that the model wants.

    Attributes:
        arguments: JSON, once the answer is complete; of a custom tool its input, which is any text.
        is_custom: Whether the tool is one of OpenAI's custom tools, and not a function.
    """

    id: str = ""
    name: str = ""
    arguments: str = ""
    is_custom: bool = False

    def message(self) -> dict[str, Any]:
        """Return it as the assistant's message of the next request has it."""
        if self.is_custom:
            custom = {"name": self.name, "input": self.arguments}
            return {"id": self.id, "type": "custom", "custom": custom}
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Final:
    """A whole answer.

    Attributes:
        stream_id: The gateway's name for it.
        text: Of the first choice.
        texts: Of each choice.
        finish_reason: `stop`, `length`, `tool_calls`, `content_filter`, `cancelled`, ….
        usage: OpenAI's keys; `estimated: true` marks a count of the gateway's own.
        cost: Decimal USD; None when no price is known.
    """

    stream_id: str
    text: str
    texts: tuple[str, ...]
    reasoning: str
    refusal: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    finish_reasons: tuple[str, ...] = ()
    usage: dict[str, Any] | None = None
    cost: str | None = None


@dataclass(slots=True)
class Answer:
    """The chunks so far, and what they make."""

    _chunks: list[Chunk] = field(default_factory=list)

    def add(self, chunk: Chunk) -> None:
        """Take the next chunk."""
        self._chunks.append(chunk)

    def rewind(self, keep_through: int) -> None:
        """Drop what is beyond a record."""
        while self._chunks and self._chunks[-1].seq > keep_through:
            self._chunks.pop()

    def replace(self, snapshot: Snapshot) -> None:
        """Take the whole answer in place of everything before."""
        self._chunks = whole(snapshot)

    def standing(self, choices: int, ref: str, epoch: int, seq: int) -> list[Chunk]:
        """Return a chunk for each of so many choices that takes the place of what was shown."""
        return [
            Chunk(ref, self.text(index), self._message(index), index, epoch, seq, replaces=True)
            for index in range(choices)
        ]

    def text(self, index: int = 0) -> str:
        """Return the text of a choice."""
        return "".join(chunk.text for chunk in self._chunks if chunk.index == index)

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each choice."""
        parts: list[list[str]] = [[]]
        for chunk in self._chunks:
            parts += ([] for _ in range(len(parts), chunk.index + 1))
            parts[chunk.index].append(chunk.text)
        return tuple("".join(part) for part in parts)

    @property
    def reasoning(self) -> str:
        """The reasoning of the first choice, where the model shows it."""
        return self._reasoning(0)

    @property
    def refusal(self) -> str:
        """The refusal of the first choice."""
        return self._refusal(0)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls of the first choice, in order."""
        calls = self._calls(0)
        return tuple(calls[index] for index in sorted(calls))

    def _reasoning(self, choice: int) -> str:
        return "".join(chunk.reasoning for chunk in self._chunks if chunk.index == choice)

    def _refusal(self, choice: int) -> str:
        return "".join(chunk.refusal for chunk in self._chunks if chunk.index == choice)

    def _calls(self, choice: int) -> dict[int, ToolCall]:
        calls: dict[int, ToolCall] = {}
        for chunk in self._chunks:
            for delta in chunk.tool_calls if chunk.index == choice else ():
                _join(calls.setdefault(delta.index, ToolCall()), delta)
        return calls

    def _message(self, choice: int) -> dict[str, Any]:
        """Return a choice as OpenAI's message has it, without what is empty."""
        message: dict[str, Any] = {
            "content": self.text(choice),
            "reasoning_content": self._reasoning(choice),
            "refusal": self._refusal(choice),
            "tool_calls": [
                {"index": index, **call.message()}
                for index, call in sorted(self._calls(choice).items())
            ],
        }
        return {key: value for key, value in message.items() if value}


def whole(snapshot: Snapshot) -> list[Chunk]:
    """Return all of an answer: one chunk for each choice."""
    epoch, through = snapshot.epoch, snapshot.through
    messages = snapshot.messages or (snapshot.message,)
    return [
        Chunk(snapshot.ref, _content(message), message, index, epoch, through, replaces=True)
        for index, message in enumerate(messages)
    ]


def _content(message: dict[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _join(call: ToolCall, delta: ToolCallDelta) -> None:
    call.id = call.id or delta.id
    call.name += delta.name
    call.arguments += delta.arguments
    call.is_custom = call.is_custom or delta.is_custom
