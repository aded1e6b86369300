"""The client's side of the protocol: frames and the passing of time in, actions out. No I/O.

    idle ──a stream is wanted──▶ dialling ──opened──▶ open ──closed──▶ dialling, or idle when no
                                    ▲                  │               stream is left or allowed
                                    └── silence, or an unreadable frame: closed by the client

Source: spec/PROTOCOL.md, sections 2 to 6; what goes in and comes out is written down case by case
in spec/vectors. Weakness: it trusts its owner to carry actions out in order, and to report nothing
of a socket after `Close`.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from tokenferry_client import closing, frames
from tokenferry_client.actions import Action, Close, Connect, Deliver, Send, Timer
from tokenferry_client.events import CaughtUp, Chunk, ErrorInfo, Queued, RateLimits, Started
from tokenferry_client.frames import UnreadableFrame
from tokenferry_client.lane import Creation, Lane
from tokenferry_client.link_options import (
    GRACE_MS,
    HEARTBEAT_MS,
    HEARTBEAT_MS_MAX,
    HEARTBEAT_MS_MIN,
    STABLE_MS,
    STREAMS_MAX,
    LinkOptions,
)
from tokenferry_client.outage import Outage
from tokenferry_client.trail import Trail

VERSION: Final = 1
# What the client closes with; browsers allow a page no others than 1000 and those from 3000.
NORMAL: Final = 1000
UNREADABLE: Final = 4000
SILENT: Final = 4108
# No close frame, RFC 6455, 7.1.5: how a connection counts that the client has given up.
ABNORMAL: Final = 1006


class Phase(Enum):
    """Where the connection is."""

    IDLE = "idle"
    DIALLING = "dialling"
    OPEN = "open"


class Link:
    """One connection at a time, and the streams on it.

    Every input returns what is to be done. Times are of a monotonic clock; random bits are 32.
    """

    def __init__(self, options: LinkOptions) -> None:
        self._options = options
        self._lanes: dict[str, Lane] = {}
        self._phase = Phase.IDLE
        self.outage = Outage(options)
        self._opened_ms = self._heard_ms = 0
        self._heartbeat_ms = HEARTBEAT_MS
        self._pinged = self._ready = self._leaving = False
        self._not_before_ms = 0
        self._refusal: ErrorInfo | None = None
        self.connection_id: str | None = None

    @property
    def phase(self) -> Phase:
        """Where the connection is."""
        return self._phase

    @property
    def _usable(self) -> bool:
        """Whether streams can be asked for now."""
        return self._phase is Phase.OPEN and self._ready and not self._leaving

    # -- the user ------------------------------------------------------------------------------

    def create(self, ref: str, creation: Creation, *, now_ms: int) -> list[Action]:
        """Start a stream.

        Raises:
            ValueError: If the ref is in use, or there are too many streams.
        """
        return self._add(Lane(ref, creation), now_ms)

    def follow(
        self, ref: str, stream_id: str, epoch: int, after: int, *, now_ms: int
    ) -> list[Action]:
        """Follow a stream from a position on.

        Raises:
            ValueError: If the ref is in use, the stream is followed already, or there are too many.
        """
        if self._of_stream(stream_id) is not None:
            raise ValueError("the stream is followed already")
        return self._add(Lane(ref, stream_id=stream_id, trail=Trail(epoch, after)), now_ms)

    def cancel(self, ref: str, *, now_ms: int, random_bits: int = 0) -> list[Action]:
        """End a stream; nothing happens to one that has ended."""
        return self._of_user(
            ref, lambda lane: lane.cancel(usable=self._usable), now_ms, random_bits
        )

    def detach(self, ref: str, *, now_ms: int, random_bits: int = 0) -> list[Action]:
        """Stop receiving a stream, which goes on; nothing happens to one that has ended."""
        return self._of_user(ref, Lane.detach, now_ms, random_bits)

    def pause(self, ref: str, *, now_ms: int, random_bits: int = 0) -> list[Action]:
        """Receive nothing of a stream for now: its user has not read what there is."""
        return self._of_user(ref, Lane.pause, now_ms, random_bits)

    def unpause(self, ref: str) -> list[Action]:
        """Go on with a paused stream where it was left."""
        lane = self._lanes.get(ref)
        if lane is None:
            return []
        lane.paused = False
        return lane.ask() if self._usable and not lane.asked else []

    def refuse(self, error: ErrorInfo) -> list[Action]:
        """Take note that no attempt to connect can succeed: all streams fail."""
        self._phase = Phase.IDLE
        return self._give_up(error)

    def close(self) -> list[Action]:
        """Let everything go: streams that have not ended fail with `client_closed`."""
        out = self._hang_up(NORMAL)
        self._phase = Phase.IDLE
        return out + self._give_up(ErrorInfo("client_closed", "The client was closed."))

    # -- the socket ----------------------------------------------------------------------------

    def opened(self, *, now_ms: int) -> list[Action]:
        """Take note that the socket is open: the upgrade was answered."""
        if self._phase is not Phase.DIALLING:
            return []
        self._phase = Phase.OPEN
        self._opened_ms = self._heard_ms = now_ms
        self._heartbeat_ms = HEARTBEAT_MS
        self._pinged = self._ready = self._leaving = False
        # A server that refuses the key closes, and what is then under way to it can cost its
        # reason: a reset overtakes the close frame.
        token = self._options.token
        first = self._hello() if token is None else Send({"type": "auth", "token": token})
        return [first, self._timer(now_ms)]

    def closed(
        self, code: int, *, now_ms: int, random_bits: int, refusal: ErrorInfo | None = None
    ) -> list[Action]:
        """Take note that the socket has closed, or could not be opened (1006).

        `refusal` is what the server said of it, if it did so outside of a message.
        """
        if self._phase is Phase.IDLE:
            return []
        # What the server said in a message says more than the code that it closed with.
        self._refusal = self._refusal or refusal
        out: list[Action] = [Timer(None)] if self._phase is Phase.OPEN else []
        return out + self._lost(code, now_ms, random_bits)

    def fired(self, *, now_ms: int, random_bits: int) -> list[Action]:
        """Take note that the timer has fired."""
        if self._phase is not Phase.OPEN:
            return []
        silent_ms = now_ms - self._heard_ms
        if silent_ms >= self._patience_ms():
            return self._drop(SILENT, now_ms, random_bits)
        out: list[Action] = []
        if self._options.pings and not self._pinged and silent_ms >= self._heartbeat_ms:
            self._pinged = True
            out.append(Send({"type": "ping", "t": now_ms}))
        return [*out, self._timer(now_ms)]

    def received(self, text: str, *, now_ms: int, random_bits: int) -> list[Action]:
        """Take a text frame."""
        if self._phase is not Phase.OPEN:
            return []
        self._heard_ms = now_ms
        self._pinged = False
        try:
            out = self._take(frames.parse(text), now_ms)
        except UnreadableFrame:
            return self._drop(UNREADABLE, now_ms, random_bits)
        return out + self._leave_if_free(now_ms, random_bits)

    # -- frames --------------------------------------------------------------------------------

    def _take(self, frame: dict[str, Any], now_ms: int) -> list[Action]:
        kind = frame.get("type")
        if kind == "ready":
            return self._on_ready(frame, now_ms)
        if kind == "going_away":
            self._leave(now_ms, frames.integer(frame, "reconnect_after_ms"))
        elif kind == "started":
            return self._on_started(frame)
        elif kind == "error" and frame.get("done") is not True:
            return self._on_refusal(frame, now_ms)
        elif self._options.notices and isinstance(kind, str) and kind in _NOTICES:
            return self._on_notice(frame)
        elif isinstance(kind, str) and kind in _OF_STREAM:
            lane = self._of_stream(frame.get("stream_id"))
            if lane is not None and lane.asked:
                return self._settle(lane, _OF_STREAM[kind](lane, frame))
        return []

    def _on_ready(self, frame: dict[str, Any], now_ms: int) -> list[Action]:
        heartbeat_s = frame.get("heartbeat_s")
        if isinstance(heartbeat_s, bool) or not isinstance(heartbeat_s, int | float):
            raise UnreadableFrame("`heartbeat_s` is no number")
        self.connection_id = frames.optional_string(frame, "connection_id")
        self._heartbeat_ms = int(max(HEARTBEAT_MS_MIN, min(heartbeat_s * 1000, HEARTBEAT_MS_MAX)))
        return [*self._ask_all(), self._timer(now_ms)]

    def _on_notice(self, frame: dict[str, Any]) -> list[Action]:
        """Take what is no part of an answer; of streams that are not followed, nothing."""
        if frame["type"] == "rate_limits":
            ref = frame.get("ref")
            found = frames.rate_limits(frame)
            return [Deliver(RateLimits(ref, found))] if isinstance(ref, str) else []
        lane = self._of_stream(frame.get("stream_id"))
        if lane is None or not lane.asked:
            return []
        if frame["type"] == "caught_up":
            return [Deliver(CaughtUp(lane.ref, frames.integer(frame, "seq")))]
        eta_s = frames.optional_integer(frame, "eta_s")
        return [Deliver(Queued(lane.ref, frames.integer(frame, "position"), eta_s))]

    def _ask_all(self) -> list[Action]:
        """Ask for every stream, once the connection is known to be good."""
        if self._ready:
            return []
        self._ready = self.outage.held = True
        out: list[Action] = [] if self._options.token is None else [self._hello()]
        if not self._leaving:
            for lane in self._lanes.values():
                out += lane.ask()
            self._sweep()
        return out

    def _hello(self) -> Send:
        caps = ["coalesce"] if self._options.pings else ["coalesce", "hb"]
        return Send({"type": "hello", "version": VERSION, "caps": caps})

    def _on_started(self, frame: dict[str, Any]) -> list[Action]:
        lane = self._of_ref(frame)
        if lane is None or not lane.asked or lane.stream_id is not None:
            return []
        if self._of_stream(frames.string(frame, "stream_id")) is not None:
            # Two creates with one idempotency key: the server sends the stream once only.
            error = ErrorInfo("already_followed", "This client follows the stream already.")
            return self._settle(lane, lane.fail(error))
        return self._settle(lane, lane.started(frame))

    def _on_refusal(self, frame: dict[str, Any], now_ms: int) -> list[Action]:
        """Take an error that ends no stream: a refused create or resume, or a connection's."""
        error = frames.error_info(frame)
        lane = self._of_ref(frame)
        if lane is None:
            if frame.get("stream_id") is None and frame.get("ref") is None:
                self._refusal = error  # why the server is about to close
            return []
        if not lane.asked:
            return []
        if error.code == "server_draining" or (error.retryable and lane.stream_id is not None):
            self._leave(now_ms, frames.optional_integer(frame, "retry_after_ms") or 0)
            lane.cut()
            self._sweep()
            return []
        return self._settle(lane, lane.fail(error, frame))

    def _settle(self, lane: Lane, out: list[Action]) -> list[Action]:
        """Draw the conclusions from what a lane has made of a frame."""
        if lane.ended:
            self._lanes.pop(lane.ref)
        if lane.ended or any(
            isinstance(action, Deliver) and isinstance(action.event, Chunk | Started)
            for action in out
        ):
            self.outage.forgive()
        return out

    # -- coming and going ----------------------------------------------------------------------

    def _add(self, lane: Lane, now_ms: int) -> list[Action]:
        if lane.ref in self._lanes:
            raise ValueError("the ref is in use")
        if len(self._lanes) >= STREAMS_MAX:
            raise ValueError(f"a link has at most {STREAMS_MAX} streams")
        self._lanes[lane.ref] = lane
        if self._phase is Phase.IDLE:
            return self._dial(max(0, self._not_before_ms - now_ms))
        return lane.ask() if self._usable else []

    def _of_user(
        self, ref: str, act: Callable[[Lane], list[Action]], now_ms: int, random_bits: int
    ) -> list[Action]:
        lane = self._lanes.get(ref)
        if lane is None:
            return []
        out = act(lane)
        if lane.ended:
            del self._lanes[ref]
        return out + self._leave_if_free(now_ms, random_bits)

    def _leave(self, now_ms: int, after_ms: int) -> None:
        """Ask for nothing new on this connection, and come back when the server wants it."""
        self._leaving = True
        self._not_before_ms = now_ms + after_ms

    def _leave_if_free(self, now_ms: int, random_bits: int) -> list[Action]:
        """Close a connection that the server wants to end, once no stream is on it."""
        if self._phase is not Phase.OPEN or not self._leaving:
            return []
        if any(lane.asked for lane in self._lanes.values()):
            return []
        return self._drop(NORMAL, now_ms, random_bits)

    def _drop(self, code: int, now_ms: int, random_bits: int) -> list[Action]:
        return self._hang_up(code) + self._lost(ABNORMAL, now_ms, random_bits)

    def _hang_up(self, code: int) -> list[Action]:
        return [] if self._phase is Phase.IDLE else [Close(code), Timer(None)]

    def _lost(self, code: int, now_ms: int, random_bits: int) -> list[Action]:
        """Go on without the connection: come back, give up, or rest."""
        was_good = self._phase is Phase.OPEN and now_ms - self._opened_ms >= STABLE_MS
        self._phase = Phase.IDLE
        if was_good or not self._lanes:
            self.outage.forgive()
        for lane in self._lanes.values():
            lane.cut()
        self._sweep()
        if not self._lanes:
            return []
        if closing.is_final(code):
            said = f"The server closed the connection with {code}."
            return self._give_up(self._refusal or ErrorInfo("connection_closed", said))
        outage, refusal = self.outage, self._refusal
        over, lost = outage.over(now_ms, refusal), outage.error()
        vain = outage.in_vain(code, now_ms, refusal)
        # To a stream that this client had, it comes back.
        out = self._give_up(refusal or lost, new_only=outage.held) if vain else []
        out += self._give_up(lost) if over else []
        if not self._lanes:
            return out
        delay_ms = outage.next_ms(code, refusal, random_bits)
        return out + self._dial(max(delay_ms, self._not_before_ms - now_ms))

    def _dial(self, delay_ms: int) -> list[Action]:
        self._phase = Phase.DIALLING
        self._refusal = None  # what was said of the last connection is not true of this one
        return [Connect(delay_ms, self._options.ticket)]

    def _sweep(self) -> None:
        self._lanes = {ref: lane for ref, lane in self._lanes.items() if not lane.ended}

    def _give_up(self, error: ErrorInfo, *, new_only: bool = False) -> list[Action]:
        gone = (one for one in self._lanes.values() if not new_only or one.stream_id is None)
        out = [action for lane in gone for action in lane.fail(error)]
        self._sweep()
        if not self._lanes:
            self.outage.forgive()
        return out

    def _patience_ms(self) -> int:
        return 2 * self._heartbeat_ms + GRACE_MS

    def _timer(self, now_ms: int) -> Timer:
        """Set the timer to when silence will have lasted long enough for the next step.

        Frames do not move it: it is looked at when it fires.
        """
        wait_ms = self._patience_ms()
        if self._options.pings and not self._pinged:
            wait_ms = self._heartbeat_ms
        return Timer(max(1, self._heard_ms + wait_ms - now_ms))

    def _of_stream(self, stream_id: Any) -> Lane | None:
        if not isinstance(stream_id, str):
            return None
        lanes = (lane for lane in self._lanes.values() if not lane.left)
        return next((lane for lane in lanes if lane.stream_id == stream_id), None)

    def _of_ref(self, frame: dict[str, Any]) -> Lane | None:
        ref = frame.get("ref")
        return self._lanes.get(ref) if isinstance(ref, str) else None


_NOTICES: Final = frozenset(("caught_up", "queued", "rate_limits"))
_OF_STREAM: Final[dict[str, Callable[[Lane, dict[str, Any]], list[Action]]]] = {
    "resumed": Lane.resumed,
    "reset": Lane.reset,
    "chunk": Lane.chunk,
    "done": Lane.terminal,
    "error": Lane.terminal,
    "snapshot": Lane.snapshot,
}
