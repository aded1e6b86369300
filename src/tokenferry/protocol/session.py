"""What a WebSocket frame from a client means, given what came before it. No I/O.

    connected ──auth──▶ authenticated ──any frame──▶ authenticated
        │                    │
        └─ anything else     └─ ten bad frames in a row
           closes 4001          close 4000

A frame with a `type` is a message of the aware manner; without one, on a connection without the
subprotocol, it is a chat-completion request in the plain manner.

Source: spec/PROTOCOL.md, "Two manners".
"""

from dataclasses import dataclass, replace

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from tokenferry.errors import InvalidFrame, MissingKey, TokenferryError, UnsupportedVersion
from tokenferry.protocol.chat import why_unreadable
from tokenferry.protocol.messages import (
    IDEMPOTENCY_KEY_CHARACTERS,
    REF_CHARACTERS_MAX,
    VERSION,
    Auth,
    ClientMessage,
    Create,
    Hello,
    Resume,
    client_decoder,
)
from tokenferry.protocol.surrogates import loads, well_formed

BAD_FRAMES_MAX = 10


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """A frame that is an ordinary chat-completion body."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """A frame that is refused.

    Attributes:
        error: Why.
        plain: Whether the answer has the form of the plain manner.
        ref: The client's own id in the frame, when it could be read.
        close_code: Close the connection with this code after the answer; None to go on.
    """

    error: TokenferryError
    plain: bool
    ref: str | int | None = None
    close_code: int | None = None


class _Peek(Struct):
    type: Raw | UnsetType = UNSET
    ref: Raw = Raw(b"null")  # in a plain request it is an unknown field, and may be anything


_peek_decoder = msgspec.json.Decoder(_Peek)
_ref_decoder = msgspec.json.Decoder(str | int | None)
_ON_DISCONNECT = ("continue", "cancel")
_RECOVERY = (None, "fail", "continue")
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Session:
    """Reads the frames of one connection.

    Args:
        aware: Whether the subprotocol was agreed on.
        authenticated: Whether the upgrade carried a good key or ticket.
    """

    __slots__ = ("_bad_frames", "_subprotocol", "authenticated", "aware")

    def __init__(self, *, aware: bool, authenticated: bool) -> None:
        self._subprotocol = aware
        self._bad_frames = 0
        self.aware = aware
        self.authenticated = authenticated

    def receive(self, data: bytes) -> ClientMessage | PlainRequest | Refusal:
        """Read one text frame."""
        message = self._read(data)
        if isinstance(message, Refusal):
            if not self.authenticated and message.close_code is None:
                return replace(message, close_code=MissingKey.close_code)
            return self._count_bad(message)
        if not isinstance(message, PlainRequest):
            self.aware = True
        if isinstance(message, Auth) is self.authenticated:
            return self._out_of_place(message)
        if not isinstance(message, PlainRequest):
            self._bad_frames = 0
        return message

    def accepted(self) -> None:
        """Take note that a plain request was good."""
        self._bad_frames = 0

    def refused(self, refusal: Refusal) -> Refusal:
        """Count a plain request whose body turned out to be bad, and return what to answer."""
        return self._count_bad(refusal)

    def _read(self, data: bytes) -> ClientMessage | PlainRequest | Refusal:
        try:
            peek = _peek_decoder.decode(data)
        except _UNREADABLE as exc:
            return self._unreadable(data, exc)
        if peek.type is UNSET:
            if not self._subprotocol:
                return PlainRequest(data)
            error = InvalidFrame("With the subprotocol, every frame needs a `type`.", param="type")
            return Refusal(error, plain=False, ref=_read_ref(peek.ref))
        try:
            message = client_decoder.decode(data)
        except _UNREADABLE as exc:
            error = InvalidFrame(f"The frame is no message of this protocol: {exc}.")
            return Refusal(error, plain=False, ref=_read_ref(peek.ref))
        return self._check(message)

    def _unreadable(self, data: bytes, exc: Exception) -> Refusal:
        """Refuse what is no JSON that may be passed on; most of it tells all the same whose it is.

        Half an emoji is the usual case: a client with several streams must know which one it was.
        """
        error = InvalidFrame(f"A frame must be one JSON object: {why_unreadable(data, exc)}.")
        try:
            frame = loads(data)
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            return Refusal(error, plain=not self.aware)
        plain = "type" not in frame and not self._subprotocol
        return Refusal(error, plain=plain, ref=None if plain else _usable(frame.get("ref")))

    def _check(self, message: ClientMessage) -> ClientMessage | Refusal:
        if isinstance(message, Hello) and message.version != VERSION:
            unsupported = UnsupportedVersion(
                f"This server speaks version {VERSION}, and no other.", param="version"
            )
            return Refusal(unsupported, plain=False, close_code=unsupported.close_code)
        if isinstance(message, Create | Resume) and not _fits(message.ref):
            too_long = f"`ref` may have {REF_CHARACTERS_MAX} characters."
            return Refusal(InvalidFrame(too_long, param="ref"), plain=False)
        if isinstance(message, Create) and (error := _fault(message)) is not None:
            return Refusal(error, plain=False, ref=message.ref)
        return message

    def _out_of_place(self, message: ClientMessage | PlainRequest) -> Refusal:
        plain = isinstance(message, PlainRequest)
        if self.authenticated:
            error = InvalidFrame("This connection is authenticated already.")
            return self._count_bad(Refusal(error, plain=plain))
        missing = MissingKey(
            "Authenticate first: an `Authorization: Bearer` header, a ticket, or a first frame "
            '{"type":"auth","token":"…"}.'
        )
        ref = getattr(message, "ref", None)  # a create's and a resume's
        return Refusal(missing, plain=plain, ref=ref, close_code=missing.close_code)

    def _count_bad(self, refusal: Refusal) -> Refusal:
        self._bad_frames += 1
        if refusal.close_code is None and self._bad_frames >= BAD_FRAMES_MAX:
            return replace(refusal, close_code=InvalidFrame.close_code)
        return refusal


def _fault(create: Create) -> InvalidFrame | None:
    """Return what is wrong with a `create`, if anything is."""
    if create.options.on_disconnect not in _ON_DISCONNECT:
        what = "`options.on_disconnect` must be `continue` or `cancel`."
        return InvalidFrame(what, param="options.on_disconnect")
    if create.options.recovery not in _RECOVERY:
        what = "`options.recovery` must be `fail` or `continue`."
        return InvalidFrame(what, param="options.recovery")
    key = create.idempotency_key
    if key is not None and not 0 < len(key) <= IDEMPOTENCY_KEY_CHARACTERS:
        what = f"`idempotency_key` must have 1 to {IDEMPOTENCY_KEY_CHARACTERS} characters."
        return InvalidFrame(what, param="idempotency_key")
    return None


def _fits(ref: str | int | None) -> bool:
    """Say whether a client's id is short enough to be given back; digits count as characters."""
    return len(str(ref)) <= REF_CHARACTERS_MAX


def _read_ref(raw: Raw) -> str | int | None:
    """Return the client's id in a frame that is refused, if it is one."""
    try:
        ref = _ref_decoder.decode(raw)
    except _UNREADABLE:
        return None
    return _usable(ref)


def _usable(ref: object) -> str | int | None:
    """Return what was decoded as a client's id, if it may be given back as one."""
    if not isinstance(ref, str | int) or isinstance(ref, bool) or well_formed(ref) != ref:
        return None
    return ref if _fits(ref) else None
