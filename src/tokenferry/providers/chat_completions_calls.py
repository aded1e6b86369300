"""Tool calls in OpenAI's chat completions: which call a fragment belongs to, and its repair.

Source: OpenAI API reference, "Streaming", November 2026, and what servers make of it: vLLM (all
calls with index 0), Ollama and others (no index), Google's endpoint (no ids), DeepInfra
(`arguments: null`), Fireworks (id and name in every fragment), Poolside (another id in later
fragments). Weakness: fragments of one call that repeat its name, with neither index nor id, are
taken for calls of their own; of a name that comes in two equal pieces only one is kept.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tokenferry.protocol.surrogates import well_formed
from tokenferry.providers.chat_completions_chunks import ChunkToolCall


def repair(call: ChunkToolCall) -> None:
    """Give a fragment the types that clients expect, and no half of a surrogate pair.

    A function's arguments are left to a joiner: their other half may come with the next fragment.
    """
    if call.id is not None:
        call.id = _clean(call.id)
        if call.id and call.type is None:
            call.type = "function"
    if call.type is not None:
        call.type = _clean(call.type)
    if call.extra_content is not None:
        call.extra_content = well_formed(call.extra_content)
    called = call.called
    if called is not None and called.name is not None:
        called.name = _clean(called.name)
    function, custom = call.function, call.custom
    if function is not None and not isinstance(function.arguments, str):
        function.arguments = _arguments(function.arguments)
    if custom is not None:
        is_text = isinstance(custom.input, str)
        custom.input = _clean(custom.input) if is_text else _arguments(custom.input)


def _clean(text: str) -> str:
    cleaned: str = text if text.isascii() else well_formed(text)
    return cleaned


def _arguments(value: Any) -> str | UnsetType:
    """Return as text what some servers send as null or as an object."""
    if value is UNSET or value is None:
        return UNSET
    return msgspec.json.encode(well_formed(value)).decode()


class ToolCallIndex:
    """Gives every tool call of a choice its own index.

    Some servers leave the index out, others give every call index 0; a new id with a name then
    begins a new call, and so does a name where there is no id.
    """

    __slots__ = ("_ids", "_named", "_names", "_positions")

    def __init__(self) -> None:
        self._ids: list[str | None] = []
        self._names: list[str] = []
        self._positions: dict[int, int] = {}
        # Which calls were named in this event: two entries with names are two calls.
        self._named: set[int] = set()

    def begin_event(self) -> None:
        """Take note that the next call is the first of an event."""
        self._named.clear()

    def of(self, call: ChunkToolCall) -> int:
        """Return the index of the call that a fragment belongs to.

        What the call's client knows already, its id and name, is taken out of the fragment: many
        clients join every string, and would have it twice.
        """
        index = call.index if isinstance(call.index, int) else None
        position = self._find(call, index)
        if position is None:
            position = len(self._ids)
            self._ids.append(None)
            self._names.append("")
        if index is not None:
            self._positions[index] = position
        if call.id:
            if self._ids[position] is None:
                self._ids[position] = call.id
            else:
                call.id = call.type = None
        called = call.called
        if called is not None and called.name:
            self._named.add(position)
            if called.name == self._names[position]:
                called.name = None
            else:
                self._names[position] += called.name
        return position

    def _find(self, call: ChunkToolCall, index: int | None) -> int | None:
        """Return the call that a fragment goes on with; None if it begins one."""
        if index is not None:
            position = self._positions.get(index)
        else:
            position = len(self._ids) - 1 if self._ids else None
        names = call.called is not None and call.called.name
        if call.id:
            if call.id in self._ids and (index is None or position is not None):
                return self._ids.index(call.id)
            if position is None or (names and self._ids[position] is not None):
                return None
            return position
        if names and (index is None or position in self._named):
            return None
        return position
