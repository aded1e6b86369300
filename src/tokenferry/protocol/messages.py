"""The aware messages of the WebSocket protocol, both ways.

Source: spec/PROTOCOL.md, "Messages".
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from tokenferry.domain.rate_limit import Standing
from tokenferry.errors import TokenferryError
from tokenferry.protocol.frames import encode, text_frame, wire_error

VERSION = 1
SUBPROTOCOL = "tokenferry.v1"
TICKET_PREFIX = "ticket."
REF_CHARACTERS_MAX = 128
IDEMPOTENCY_KEY_CHARACTERS = 255
# What a client may ask for in `hello`, of what this server can do.
CAPS = ("hb", "coalesce", "credit")


class Auth(Struct, tag="auth"):
    """Authentication by the first frame."""

    token: str


class Hello(Struct, tag="hello"):
    """What the client speaks and can take."""

    version: int = VERSION
    caps: list[str] = []
    window_bytes: Annotated[int, Meta(ge=1)] | None = None


class CreateOptions(Struct):
    """What a client wants of a stream beyond the answer."""

    on_disconnect: str = "continue"
    orphan_timeout_s: float | None = None
    coalesce_ms: int | None = None
    recovery: str | None = None


class Create(Struct, tag="create"):
    """Start a stream; `request` is a chat-completion body."""

    request: Raw
    ref: str | int | None = None
    idempotency_key: str | None = None
    options: CreateOptions = msgspec.field(default_factory=CreateOptions)


class Resume(Struct, tag="resume"):
    """Go on with a stream after the last seq that the client has."""

    stream_id: str
    epoch: int
    after: Annotated[int, Meta(ge=0)]
    ref: str | int | None = None


class Detach(Struct, tag="detach"):
    """Stop receiving a stream, which goes on."""

    stream_id: str


class Cancel(Struct, tag="cancel"):
    """End a stream."""

    stream_id: str


class Credit(Struct, tag="credit"):
    """Allow further bytes, of one stream or of all together."""

    bytes: Annotated[int, Meta(ge=1)]
    stream_id: str | None = None


class Ack(Struct, tag="ack"):
    """Tell how far the client has got."""

    stream_id: str
    seq: int


class Ping(Struct, tag="ping"):
    """Ask for a `pong` that carries `t` back."""

    t: Raw = Raw(b"null")


ClientMessage = Auth | Hello | Create | Resume | Detach | Cancel | Credit | Ack | Ping

client_decoder = msgspec.json.Decoder(ClientMessage)


def ready(
    connection_id: str,
    heartbeat_s: float,
    limits: dict[str, int],
    windows: dict[str, int] | None = None,
) -> bytes:
    """Return the frame that greets an authenticated aware client.

    Args:
        connection_id: Its name in logs.
        heartbeat_s: See `hb`.
        limits: What it may have.
        windows: How many bytes it is sent without credit, if it counts them.
    """
    return _frame(
        {
            "type": "ready",
            "version": VERSION,
            "connection_id": connection_id,
            "heartbeat_s": heartbeat_s,
            "caps": CAPS,
            "limits": limits,
            **(windows or {}),
        }
    )


def queued(stream_id: str, position: int, eta_s: float | None) -> bytes:
    """Return the frame that says how many are in front of a stream that waits for its provider."""
    eta = None if eta_s is None else max(1, round(eta_s))
    return _frame({"type": "queued", "stream_id": stream_id, "position": position, "eta_s": eta})


def started(ref: str | int | None, stream_id: str, epoch: int, resume_s: float) -> bytes:
    """Return the frame that says which stream a `create` has started.

    `resume_for_s` counts from the stream's end.
    """
    return _frame(
        {
            "type": "started",
            "ref": ref,
            "stream_id": stream_id,
            "epoch": epoch,
            "seq": 0,
            "resume_for_s": resume_s,
        }
    )


def resumed(
    ref: str | int | None, stream_id: str, epoch: int, after: int, head: int, *, done: bool
) -> bytes:
    """Return the frame before a replay of (after, head]."""
    return _frame(
        {
            "type": "resumed",
            "ref": ref,
            "stream_id": stream_id,
            "epoch": epoch,
            "from": after,
            "head": head,
            "state": "done" if done else "live",
        }
    )


def reset_fields(
    stream_id: str, epoch: int, keep_through: int, head: int, *, done: bool
) -> dict[str, Any]:
    """Return what a client must know whose stream has a new owner, before a replay."""
    return {
        "type": "reset",
        "stream_id": stream_id,
        "epoch": epoch,
        "keep_through": keep_through,
        "head": head,
        "state": "done" if done else "live",
        "reason": "owner_changed",
    }


def reset(ref: str | int | None, fields: dict[str, Any]) -> bytes:
    """Return the frame that takes the place of `resumed` where the stream has a new owner."""
    return _frame({"ref": ref} | fields)


class FinalAnswer(Struct):
    """What is kept of an answer after its chunks, as far as it was sent to nobody else.

    Attributes:
        completion: The whole completion, in OpenAI's form.
        usage: In OpenAI's form, or null.
        error: As in an error frame, or null.
    """

    stream_id: str
    epoch: int
    through: int
    completion: Raw
    finish_reason: str | None
    usage: Raw
    cost: str | None
    error: Raw


class _Choice(Struct):
    message: Raw


class _Completion(Struct):
    choices: list[_Choice]


_completion_decoder = msgspec.json.Decoder(_Completion)


def snapshot_fields(answer: FinalAnswer) -> dict[str, Any]:
    """Return the final text in place of the chunks; `messages` where there are several choices."""
    choices = _completion_decoder.decode(answer.completion).choices
    fields = {
        "type": "snapshot",
        "stream_id": answer.stream_id,
        "epoch": answer.epoch,
        "through": answer.through,
        "message": choices[0].message,
        "finish_reason": answer.finish_reason,
        "usage": answer.usage,
        "cost": answer.cost,
        "done": True,
    }
    if len(choices) > 1:
        fields["messages"] = [choice.message for choice in choices]
    if answer.error != b"null":
        fields["error"] = answer.error
    return fields


def snapshot(ref: str | int | None, answer: FinalAnswer) -> bytes:
    """Return the frame that ends a stream whose chunks are no longer kept."""
    return _frame({"ref": ref} | snapshot_fields(answer))


def caught_up(stream_id: str, seq: int) -> bytes:
    """Return the frame after a replay."""
    return _frame({"type": "caught_up", "stream_id": stream_id, "seq": seq})


def going_away(reconnect_after_ms: int, deadline_ms: int) -> bytes:
    """Return the frame that announces the server's stop."""
    return _frame(
        {
            "type": "going_away",
            "reconnect_after_ms": reconnect_after_ms,
            "deadline_ms": deadline_ms,
        }
    )


def heartbeat(now_ms: int) -> bytes:
    """Return the frame that shows browsers, which see no pings, that the connection lives."""
    return _frame({"type": "hb", "t": now_ms})


def low_balance(balance: str) -> bytes:
    """Return the frame that tells an account's clients that its credit runs low."""
    return _frame({"type": "notice", "code": "low_balance", "balance": balance})


def rate_limits(ref: str | int | None, standings: Sequence[Standing]) -> bytes:
    """Return the frame that says how a client stands with its limits after its `create`."""
    return _frame(
        {
            "type": "rate_limits",
            "ref": ref,
            "rate_limits": [standing._asdict() for standing in standings],
        }
    )


def pong(t: Raw) -> bytes:
    """Return the answer to a `ping`."""
    return _frame({"type": "pong", "t": t})


def error(
    exc: TokenferryError, *, ref: str | int | None = None, stream_id: str | None = None
) -> bytes:
    """Return an error that belongs to no running stream."""
    body: dict[str, Any] = {"type": "error", "error": wire_error(exc), **exc.details}
    if ref is not None:
        body["ref"] = ref
    if stream_id is not None:
        body["stream_id"] = stream_id
    if exc.retry_after_ms is not None:
        body["retry_after_ms"] = exc.retry_after_ms
    return _frame(body)


def plain_error(exc: TokenferryError) -> bytes:
    """Return an error for a plain client: a terminal frame that its loop understands."""
    body: dict[str, Any] = exc.details | {
        "error": wire_error(exc),
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
        "stream_id": None,
        "epoch": 0,
        "seq": 0,
        "done": True,
    }
    if exc.retry_after_ms is not None:
        body["retry_after_ms"] = exc.retry_after_ms
    return _frame(body)


def _frame(message: dict[str, Any]) -> bytes:
    return text_frame(encode(message))
