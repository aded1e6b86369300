"""One stream on the way to its user, over any number of connections.

    new ──create──▶ asked ──started──▶ live ◀──resumed, reset── asked ◀──resume── known
                      │                  │  └──a gap: detach, resume──▶ asked
                      └── connection lost: back to new or known; asked again on the next one

Source: spec/PROTOCOL.md, section 5. Weakness: of a create whose answer was lost nobody knows
whether it arrived; it is repeated with the same idempotency key, and it is the server that keeps
that.
"""

from dataclasses import dataclass
from typing import Any, Final

from tokenferry_client import frames
from tokenferry_client.actions import Action, Deliver, Send
from tokenferry_client.events import Chunk, Done, ErrorInfo, Failed, Rewind, Snapshot, Started
from tokenferry_client.frames import UnreadableFrame
from tokenferry_client.trail import Fit, Trail

# Gaps in a row, without one record that fits between them, that one connection may show. Nothing
# in order loses frames; more of them say that this connection will not get better.
GAPS_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Creation:
    """What is asked of the server for a new stream."""

    request: dict[str, Any]
    idempotency_key: str
    options: dict[str, Any] | None = None


class Lane:
    """One stream of the link.

    Args:
        ref: The client's own id for it.
        creation: What to create; None to follow a stream that is there.
        stream_id: The stream to follow.
        trail: The position to follow it from.
    """

    __slots__ = (
        "_cancel_sent",
        "_cancelled",
        "_creation",
        "_detached",
        "_gaps",
        "_live",
        "_offered",
        "_trail",
        "asked",
        "ended",
        "paused",
        "ref",
        "stream_id",
    )

    def __init__(
        self,
        ref: str,
        creation: Creation | None = None,
        stream_id: str | None = None,
        trail: Trail | None = None,
    ) -> None:
        self.ref = ref
        self.stream_id = stream_id
        self.asked = False
        self.ended = False
        self.paused = False
        self._creation = creation
        self._trail = trail or Trail()
        self._live = False
        self._offered = False
        self._cancelled = False
        self._cancel_sent = False
        self._detached = False
        self._gaps = 0

    @property
    def left(self) -> bool:
        """Whether its user has let go of it."""
        return self._detached

    # -- the connection ------------------------------------------------------------------------

    def ask(self) -> list[Action]:
        """Ask the server for the stream, on a connection that does not have it yet."""
        if self.paused:
            return self._send_cancel()  # nothing else is wanted of it for now
        if self._detached and self.stream_id is not None:
            self.ended = True
            return self._send_cancel()
        self.asked = True
        if self.stream_id is None and self._creation is not None:
            self._offered = True
            return [Send(self._create(self._creation))]
        return [*self._send_cancel(), self._resume()]

    def cut(self) -> None:
        """Take note that the connection, or what was asked on it, is lost."""
        self.asked = self._live = self._cancel_sent = False
        self._gaps = 0
        # A cancel that was not sent is all that is left to do of a stream that was let go.
        if self._detached and not self._cancelled:
            self.ended = True

    def fail(self, error: ErrorInfo, frame: dict[str, Any] | None = None) -> list[Action]:
        """End the stream for the user.

        Raises:
            UnreadableFrame: If the frame that says so is not of the protocol.
        """
        frame = frame or {}
        failed = Failed(
            self.ref,
            error,
            self.stream_id,
            self._trail.epoch,
            self._trail.after,
            usage=frames.optional_mapping(frame, "usage"),
            cost=frames.optional_string(frame, "cost"),
            state=frames.optional_string(frame, "state"),
            retry_after_ms=error.retry_after_ms,
            limit=frames.optional_mapping(frame, "limit"),
            balance=frames.optional_string(frame, "balance"),
        )
        return self._end(failed)

    # -- the user ------------------------------------------------------------------------------

    def cancel(self, *, usable: bool) -> list[Action]:
        """End the stream at the server; its terminal message is the answer.

        `usable` says whether the connection takes messages: of a paused stream nothing is asked,
        and yet it can be cancelled.
        """
        self._cancelled = True
        if self.stream_id is None and not self._offered:
            return self._end(Done(self.ref, "cancelled"))
        return self._send_cancel() if self.asked or (usable and self.paused) else []

    def pause(self) -> list[Action]:
        """Receive nothing for now; the position stays, and the next asking goes on there."""
        if self.paused or self.stream_id is None:
            return []
        self.paused = True
        if not self.asked:
            return []
        self.asked = self._live = False
        return [self._detach()]

    def detach(self) -> list[Action]:
        """Stop receiving; the stream goes on without this client."""
        if self.asked and self.stream_id is None:
            self._detached = True  # it has no name yet that could be detached from
            return []
        if self._cancelled and not self._cancel_sent:
            self._detached, self.paused = True, False  # as soon as there is a connection
            return []
        self.ended = True
        return [self._detach()] if self.asked else []

    # -- the server ----------------------------------------------------------------------------

    def started(self, frame: dict[str, Any]) -> list[Action]:
        """Take the answer to `create`."""
        stream_id, epoch = frames.string(frame, "stream_id"), frames.integer(frame, "epoch")
        self.stream_id, self._trail = stream_id, Trail(epoch)
        self._live = True
        if self._detached:
            self.ended = True
            return [*self._send_cancel(), self._detach()]
        told = Deliver(Started(self.ref, stream_id, epoch))
        return [told, *self._send_cancel()]

    def resumed(self, frame: dict[str, Any]) -> list[Action]:
        """Take the answer to `resume`: what follows, counts."""
        after, head = frames.integer(frame, "from"), frames.integer(frame, "head")
        if frames.integer(frame, "epoch") != self._trail.epoch or after > self._trail.after:
            raise UnreadableFrame("`resumed` is not what was asked for")
        self._live = True
        if frame.get("state") == "done" and 0 < head == self._trail.after and self._trail.empty:
            # Nothing would come, because the user had the terminal message; but how the stream
            # ended is what a follower waits for.
            self._trail = Trail(self._trail.epoch, head - 1)
            return self._ask_anew()
        return []

    def reset(self, frame: dict[str, Any]) -> list[Action]:
        """Drop what the stream's new owner has not found."""
        epoch, keep_through = frames.integer(frame, "epoch"), frames.integer(frame, "keep_through")
        reason = frames.optional_string(frame, "reason") or ""
        if epoch <= self._trail.epoch:
            raise UnreadableFrame("`reset` leads to no newer epoch")
        before = self._trail.after
        self._trail.rewind(epoch, min(keep_through, before))
        self._live = True
        out: list[Action] = []
        after = self._trail.after
        if after < before:
            out.append(Deliver(Rewind(self.ref, epoch, after, self._trail.texts(), reason)))
        # What the server sends next fits on keep_through; after a cut through a merged chunk
        # less than that is left.
        return out if after == keep_through else out + self._ask_anew()

    def chunk(self, frame: dict[str, Any]) -> list[Action]:
        """Take one record, or a run of them."""
        last = frames.integer(frame, "seq")
        first = last if frame.get("from") is None else frames.integer(frame, "from")
        epoch = frames.integer(frame, "epoch")
        index, delta, text = frames.piece(frame)
        if not self._fits(epoch, first, last):
            return self._mend(epoch, first, last)
        self._trail.apply(last, index, text)
        return [Deliver(Chunk(self.ref, text, delta, index, epoch, last))]

    def terminal(self, frame: dict[str, Any]) -> list[Action]:
        """Take the last record: `done`, or an error with `done: true`."""
        epoch, seq = frames.integer(frame, "epoch"), frames.integer(frame, "seq")
        if not self._fits(epoch, seq, seq):
            return self._mend(epoch, seq, seq)
        if frame["type"] == "error":
            return self.fail(frames.error_info(frame), frame)
        return self._end(self._done(frame, epoch, seq))

    def snapshot(self, frame: dict[str, Any]) -> list[Action]:
        """Take the whole answer in place of its records."""
        epoch, through = frames.integer(frame, "epoch"), frames.integer(frame, "through")
        message = frames.mapping(frame, "message")
        messages = frames.optional_mappings(frame, "messages")
        told = Deliver(Snapshot(self.ref, epoch, through, message, messages))
        if frame.get("error") is not None:
            # The text of an answer that failed is kept as well.
            return [told, *self.fail(frames.error_info(frame), frame)]
        return [told, *self._end(self._done(frame, epoch, through))]

    # -- both ----------------------------------------------------------------------------------

    def _fits(self, epoch: int, first: int, last: int) -> bool:
        fits = self._live and self._trail.fit(epoch, first, last) is Fit.NEXT
        if fits:
            self._gaps = 0
        return fits

    def _mend(self, epoch: int, first: int, last: int) -> list[Action]:
        """Answer records that do not fit; not at all, if they are known or of another asking."""
        if not self._live or self._trail.fit(epoch, first, last) is Fit.KNOWN:
            return []
        self._gaps += 1
        if self._gaps > GAPS_MAX:
            raise UnreadableFrame("records are missing again and again")
        return self._ask_anew()

    def _ask_anew(self) -> list[Action]:
        """Ask at what the client has; a connection that follows the stream must first let go."""
        self._live = False
        return [self._detach(), self._resume()]

    def _end(self, event: Done | Failed) -> list[Action]:
        self.ended = True
        return [] if self._detached else [Deliver(event)]

    def _done(self, frame: dict[str, Any], epoch: int, seq: int) -> Done:
        return Done(
            self.ref,
            frames.string(frame, "finish_reason"),
            frames.reasons(frame),
            frames.optional_mapping(frame, "usage"),
            frames.optional_string(frame, "cost"),
            epoch,
            seq,
            balance=frames.optional_string(frame, "balance"),
            notice=frames.optional_mapping(frame, "notice"),
        )

    def _send_cancel(self) -> list[Action]:
        if not self._cancelled or self._cancel_sent or self.stream_id is None:
            return []
        self._cancel_sent = True
        return [Send({"type": "cancel", "stream_id": self.stream_id})]

    def _create(self, creation: Creation) -> dict[str, Any]:
        message = {
            "type": "create",
            "ref": self.ref,
            "idempotency_key": creation.idempotency_key,
            # The pieces are the point; without this the server would send the whole at the end.
            "request": {**creation.request, "stream": True},
        }
        if creation.options is not None:
            message["options"] = creation.options
        return message

    def _resume(self) -> Send:
        return Send(
            {
                "type": "resume",
                "ref": self.ref,
                "stream_id": self.stream_id,
                "epoch": self._trail.epoch,
                "after": self._trail.after,
            }
        )

    def _detach(self) -> Send:
        return Send({"type": "detach", "stream_id": self.stream_id})
