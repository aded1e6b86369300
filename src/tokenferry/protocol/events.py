"""From journal records to server-sent events in OpenAI's form.

Every event has an `id:`, the position `EPOCH-SEQ` after it, so that a client that lost its
connection can name what it has (`Last-Event-ID`). Where the HTTP body is chunked, each event comes
with its chunk's framing, so that a token costs one join and one write.

Source: OpenAI API reference, "Streaming"; WHATWG HTML, 9.2 (`id:`, comments); RFC 9112, 7.1.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from tokenferry.domain import journal
from tokenferry.protocol.frames import (
    encode,
    head_decoder,
    head_fields,
    join_strings,
    reasoning_delta,
    terminal_decoder,
)

_TEXT = journal.TEXT
# What follows the text of choice 0 in an event.
_AFTER_TEXT = b'},"logprobs":null,"finish_reason":null}]'


def framed(events: bytes, *, chunked: bool) -> bytes:
    """Return events, or a comment, as a part of an HTTP body."""
    return b"%x\r\n%b\r\n" % (len(events), events) if chunked else events


class _KeptChoice(Struct):
    index: int
    message: Raw
    finish_reason: str | None = None


class _Kept(Struct):
    id: str
    created: int
    model: str
    choices: list[_KeptChoice]
    usage: Raw = Raw(b"null")


_kept_decoder = msgspec.json.Decoder(_Kept)


def kept_events(completion: bytes, *, include_usage: bool) -> bytes:
    """Return a whole completion as events: one a choice, then its usage if wanted, then the end."""
    kept = _kept_decoder.decode(completion)
    fields = b'"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b' % (
        encode(kept.id),
        kept.created,
        encode(kept.model),
    )
    events = [
        b'data: {%b,"choices":[{"index":%d,"delta":%b,"logprobs":null,"finish_reason":%b}]}\n\n'
        % (fields, choice.index, _as_delta(choice.message), encode(choice.finish_reason))
        for choice in kept.choices
    ]
    if include_usage:
        events.append(b'data: {%b,"choices":[],"usage":%b}\n\n' % (fields, kept.usage))
    events.append(b"data: [DONE]\n\n")
    return b"".join(events)


def _as_delta(message: Raw) -> bytes:
    """Return a message as a delta: there, clients join the fragments of tool calls by index."""
    fields = msgspec.json.decode(message)
    for index, call in enumerate(fields.get("tool_calls") or ()):
        call["index"] = index
    return encode(fields)


class EventRenderer:
    """Renders a stream as the events of OpenAI's streaming.

    Args:
        stream_id: The stream.
        epoch: Its epoch.
        include_usage: Whether the client asked for the usage chunk.
        chunked: Whether events come with a chunk's framing.
    """

    __slots__ = (
        "_bare_start",
        "_choice",
        "_chunked",
        "_content",
        "_end",
        "_include_usage",
        "_position",
        "_reasoning_fields",
        "_start",
        "_text_event_bytes",
        "merges",
    )

    def __init__(
        self, stream_id: str, epoch: int, *, include_usage: bool, chunked: bool = False
    ) -> None:
        self.merges = True
        self._include_usage = include_usage
        self._chunked = chunked
        self._reasoning_fields: list[str] = []
        name = encode(f"chatcmpl-{stream_id}")
        self._start = b'data: {"id":%b,"object":"chat.completion.chunk",' % name
        self._choice = b'"choices":[{"index":'
        self._bare_start = self._content = self._start
        self._text_event_bytes = 0
        # OpenAI: with include_usage, every chunk but the last says `usage: null`.
        usage = b',"usage":null' if include_usage else b""
        self._position = b"\nid: %d-" % epoch
        self._end = b"%b}%b" % (usage, self._position)

    def open(self, record: bytes) -> None:
        """Take the head record without sending it."""
        head = head_decoder.decode(record[1:])
        self._reasoning_fields = head.reasoning_fields
        self._start = self._bare_start + head_fields(head)
        self._content = self._start + self._choice + b'0,"delta":{"content":'
        # Less one for the record's kind.
        self._text_event_bytes = len(self._content) + len(_AFTER_TEXT) + len(self._end) - 1

    def render(self, seq: int, record: bytes) -> bytes:
        """Return the events of a record."""
        kind = record[0]
        if kind == _TEXT:
            # The token path.
            tail = b"%d\n\n" % seq
            if self._chunked:
                size = self._text_event_bytes + len(record) + len(tail)
                parts = (size, self._content, record[1:], _AFTER_TEXT, self._end, tail)
                return b"%x\r\n%b%b%b%b%b\r\n" % parts
            return b"%b%b%b%b%b" % (self._content, record[1:], _AFTER_TEXT, self._end, tail)
        if kind == journal.HEAD:
            self.open(record)
            event = self._event(seq, 0, b'{"role":"assistant","content":""}', b"null", b"null")
        elif kind == journal.REASONING:
            delta = b"{%b}" % reasoning_delta(self._reasoning_fields, record[1:])
            event = self._event(seq, 0, delta, b"null", b"null")
        elif kind in journal.TERMINAL:
            event = self._render_terminal(seq, record)
        else:
            index, delta, logprobs = journal.unpack_delta(record)
            event = self._event(seq, index, delta, logprobs or b"null", b"null")
        return framed(event, chunked=self._chunked)

    def merge(self, first: int, last: int, texts: Sequence[bytes]) -> bytes:  # noqa: ARG002 -- an id names the last only
        """Return one event for several text records."""
        text = join_strings(texts)
        event = b"%b%b%b%b%d\n\n" % (self._content, text, _AFTER_TEXT, self._end, last)
        return framed(event, chunked=self._chunked)

    def _event(self, seq: int, index: int, delta: bytes, logprobs: bytes, reason: bytes) -> bytes:
        return b'%b%b%d,"delta":%b,"logprobs":%b,"finish_reason":%b}]%b%d\n\n' % (
            self._start,
            self._choice,
            index,
            delta,
            logprobs,
            reason,
            self._end,
            seq,
        )

    def _render_terminal(self, seq: int, record: bytes) -> bytes:
        """Return the last events; a client that has not seen the very last one has none of them."""
        end = terminal_decoder.decode(record[1:])
        done = b"data: [DONE]%b%d\n\n" % (self._position, seq)
        if end.error is not None:
            # The official SDKs raise on an event with `error`; [DONE] ends the others' loops.
            return b'data: {"error":%b}\n\n%b' % (encode(end.error), done)
        events = [
            self._event(seq - 1, index, b"{}", b"null", encode(reason))
            for index, reason in enumerate(end.finish_reasons)
        ]
        if self._include_usage:
            # Official SDKs keep keys that they do not know.
            cost = {} if end.cost is None else {"cost": end.cost}
            last = encode({"choices": [], "usage": end.usage} | cost | end.money())
            events.append(b"%b%b\n\n" % (self._start, last[1:]))
        events.append(done)
        return b"".join(events)


def notice(name: str, fields: dict[str, Any], position: str | None = None) -> bytes:
    """Return an event that is no chunk: it has a name, and a position if it moves the client."""
    where = "" if position is None else f"\nid: {position}"
    return f"event: {name}\ndata: {encode(fields).decode()}{where}\n\n".encode()
