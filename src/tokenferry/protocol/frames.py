"""From journal records to WebSocket frames; `protocol.events` does it for server-sent events.

One renderer serves one subscription. Everything about a stream that does not change from record
to record is encoded once, so that a token costs one join of byte strings.

Source: spec/PROTOCOL.md (frames), RFC 6455, 5.2 (frame header). Rules for plain frames: one choice
whose `delta.content` is a string, a `finish_reason` key, a boolean `done`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from tokenferry.domain import journal
from tokenferry.domain.ledger import Charge
from tokenferry.domain.usage import Usage
from tokenferry.errors import TokenferryError

encode = msgspec.json.Encoder().encode

_TEXT = journal.TEXT
_REASONING = journal.REASONING

# RFC 6455, 5.2: lengths up to 125 stand in the second byte, up to 65535 in two further ones.
_LENGTH_7_MAX = 125
_LENGTH_16 = 126
_LENGTH_16_MAX = 0xFFFF


class Head(Struct):
    """The payload of a head record: what all chunks of a stream say alike.

    Attributes:
        reasoning_fields: The delta keys that reasoning text is sent under.
        candidate: Who serves it, as (provider, model), if that is not the first candidate; for a
            later process, and no client.
    """

    model: str
    created: int
    reasoning_fields: list[str]
    system_fingerprint: str | None = None
    service_tier: str | None = None
    candidate: tuple[str, str] | None = None


class WireError(Struct):
    """An error as clients see it."""

    message: str
    type: str
    param: str | None
    code: str
    retryable: bool


class Terminal(Struct, omit_defaults=True):
    """The payload of a terminal record.

    Attributes:
        finish_reasons: One a choice, in order; empty for an error.
        usage: In OpenAI's form; None when nothing was consumed.
        cost: In decimal USD, or None when no price is known.
        balance: The account's, after the cost, in decimal USD; None for the operator's own keys.
        notice: What the client should know beside a regular end: that its credit was used up.
        charge: What is to be booked; for a later process, and no client.
    """

    finish_reasons: list[str] = []
    usage: dict[str, Any] | None = None
    cost: str | None = None
    error: WireError | None = None
    balance: str | None = None
    notice: WireError | None = None
    charge: Charge | None = None

    def money(self) -> dict[str, Any]:
        """Return what clients are told of money, beside `cost`."""
        said: dict[str, Any] = {}
        if self.balance is not None:
            said["balance"] = self.balance
        if self.notice is not None:
            said["notice"] = self.notice
        return said


head_decoder = msgspec.json.Decoder(Head)
terminal_decoder = msgspec.json.Decoder(Terminal)


def wire_error(error: TokenferryError) -> WireError:
    """Return an error as clients see it."""
    return WireError(error.message, error.type, error.param, error.code, error.retryable)


def wire_usage(usage: Usage) -> dict[str, Any]:
    """Return usage in OpenAI's form; `estimated` is there only when it is true."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "audio_tokens": usage.prompt_audio_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.completion_audio_tokens,
            "accepted_prediction_tokens": usage.accepted_prediction_tokens,
            "rejected_prediction_tokens": usage.rejected_prediction_tokens,
        },
        **({"estimated": True} if usage.estimated else {}),
    }


def text_frame(payload: bytes) -> bytes:
    """Return an unmasked, unfragmented WebSocket text frame."""
    length = len(payload)
    if length <= _LENGTH_7_MAX:
        return b"\x81%c%b" % (length, payload)
    if length <= _LENGTH_16_MAX:
        return b"\x81\x7e%b%b" % (length.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (length.to_bytes(8, "big"), payload)


def payload_bytes(frame: bytes) -> int:
    """Return the length of the payload of a frame as `text_frame` makes it; 0 if there is none."""
    if not frame:
        return 0
    short = frame[1]
    return len(frame) - (2 if short <= _LENGTH_7_MAX else 4 if short == _LENGTH_16 else 10)


class Renderer(Protocol):
    """Turns the records of one stream into what one client is sent."""

    merges: bool

    def open(self, record: bytes) -> None:
        """Take the head record without sending it: the client has it already."""

    def render(self, seq: int, record: bytes) -> bytes:
        """Return the wire bytes of a record; nothing, if this client is sent none for it."""

    def merge(self, first: int, last: int, texts: Sequence[bytes]) -> bytes:
        """Return one message for the text records `first`..`last`; only if `merges`."""


def reasoning_delta(fields: Sequence[str], text: bytes) -> bytes:
    """Return the keys of a delta that carry reasoning text, a JSON string."""
    return b",".join(b'"%b":%b' % (field.encode(), text) for field in fields)


def join_strings(texts: Sequence[bytes]) -> bytes:
    """Join JSON strings (text records) into one; escapes are complete in each."""
    return b'"%b"' % b"".join([text[2:-1] for text in texts])


def merged(renderer: Renderer, after: int, records: Sequence[bytes]) -> Iterator[bytes]:
    """Render a client's backlog after a seq with runs of text joined: fewer and larger messages."""
    seq = after
    texts: list[bytes] = []
    for record in records:
        if record[0] == _TEXT:
            texts.append(record)
            seq += 1
            continue
        if texts:
            yield renderer.merge(seq - len(texts) + 1, seq, texts)
            texts = []
        seq += 1
        yield renderer.render(seq, record)
    if texts:
        yield renderer.merge(seq - len(texts) + 1, seq, texts)


class FrameRenderer:
    """Renders a stream as WebSocket frames.

    Args:
        stream_id: The stream.
        epoch: Its epoch.
        aware: Whether frames carry a `type`.
        merges: Whether text may be merged when the client is behind.
    """

    __slots__ = (
        "_aware",
        "_bare_start",
        "_choice",
        "_content",
        "_end",
        "_reasoning_fields",
        "_start",
        "_tail",
        "_text_frame_bytes",
        "merges",
    )

    def __init__(self, stream_id: str, epoch: int, *, aware: bool, merges: bool) -> None:
        self.merges = merges
        self._aware = aware
        self._reasoning_fields: list[str] = []
        self._start = b'{"type":"chunk",' if aware else b"{"
        identity = b'"stream_id":%b,"epoch":%d' % (encode(stream_id), epoch)
        self._tail = b"%b," % identity
        self._start += b'"id":%b,"object":"chat.completion.chunk",' % encode(
            f"chatcmpl-{stream_id}"
        )
        self._choice = b'"choices":[{"index":'
        self._bare_start = self._content = self._start
        self._text_frame_bytes = 0
        self._end = b',"logprobs":null,"finish_reason":null}],%b,"seq":' % identity

    def open(self, record: bytes) -> None:
        """Take the head record without sending it."""
        head = head_decoder.decode(record[1:])
        self._reasoning_fields = head.reasoning_fields
        self._start = self._bare_start + head_fields(head)
        self._content = self._start + self._choice + b'0,"delta":{"content":'
        # Less one for the record's kind, and one more for the brace.
        self._text_frame_bytes = len(self._content) + len(self._end)

    def render(self, seq: int, record: bytes) -> bytes:
        """Return the frame of a record."""
        kind = record[0]
        if kind == _TEXT:
            # The token path: `text_frame`, written out. With its ids no frame has under 126 bytes.
            tail = b'%d,"done":false}' % seq
            length = self._text_frame_bytes + len(record) + len(tail)
            if length <= _LENGTH_16_MAX:
                size = length.to_bytes(2, "big")
                return b"\x81\x7e%b%b%b}%b%b" % (size, self._content, record[1:], self._end, tail)
            return text_frame(b"%b%b}%b%b" % (self._content, record[1:], self._end, tail))
        if kind == journal.HEAD:
            self.open(record)
            payload = b'%b"","role":"assistant"}%b%d,"done":false}'
            return text_frame(payload % (self._content, self._end, seq))
        if kind == _REASONING:
            delta = reasoning_delta(self._reasoning_fields, record[1:])
            payload = b'%b"",%b}%b%d,"done":false}'
            return text_frame(payload % (self._content, delta, self._end, seq))
        if kind in journal.TERMINAL:
            return text_frame(self._render_terminal(seq, record))
        return text_frame(self._render_delta(seq, record))

    def merge(self, first: int, last: int, texts: Sequence[bytes]) -> bytes:
        """Return one frame for several text records; `from` names the first seq."""
        return text_frame(
            b'%b%b}%b%d,"from":%d,"done":false}'
            % (self._content, join_strings(texts), self._end, last, first)
        )

    def _render_delta(self, seq: int, record: bytes) -> bytes:
        index, delta, logprobs = journal.unpack_delta(record)
        if record[0] == journal.BARE_DELTA:
            delta = b'{"content":""}' if delta == b"{}" else b'{"content":"",' + delta[1:]
        return (
            b'%b%b%d,"delta":%b,"logprobs":%b,"finish_reason":null}],%b"seq":%d,"done":false}'
            % (
                self._start,
                self._choice,
                index,
                delta,
                logprobs or b"null",
                self._tail,
                seq,
            )
        )

    def _render_terminal(self, seq: int, record: bytes) -> bytes:
        end = terminal_decoder.decode(record[1:])
        position = b'%b"seq":%d,' % (self._tail, seq)
        money = b"".join(b',"%b":%b' % (n.encode(), encode(v)) for n, v in end.money().items())
        usage = b'"usage":%b,"cost":%b%b,"done":true}' % (
            encode(end.usage),
            encode(end.cost),
            money,
        )
        reasons = b""
        if len(end.finish_reasons) > 1:
            reasons = b'"finish_reasons":%b,' % encode(end.finish_reasons)
        error = b"" if end.error is None else b'"error":%b,' % encode(end.error)
        reason = encode("error" if end.error else end.finish_reasons[0])
        if self._aware:
            kind = b'{"type":"done",' if end.error is None else b'{"type":"error",'
            return b'%b%b"finish_reason":%b,%b%b%b' % (
                kind,
                error,
                reason,
                reasons,
                position,
                usage,
            )
        choice = b'0,"delta":{"content":""},"logprobs":null,"finish_reason":%b}],' % reason
        return b"".join((self._start, error, self._choice, choice, reasons, position, usage))


def head_fields(head: Head) -> bytes:
    """Return the keys that every chunk of a stream has alike."""
    fields = b'"created":%d,"model":%b,' % (head.created, encode(head.model))
    if head.system_fingerprint is not None:
        fields += b'"system_fingerprint":%b,' % encode(head.system_fingerprint)
    if head.service_tier is not None:
        fields += b'"service_tier":%b,' % encode(head.service_tier)
    return fields
