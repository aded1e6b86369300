"""Byte credits: streams that are sent only as far as their client has given credit.

A stream without credit is a cursor that stands still, as that of a client whose transport is full;
what it waits for is a message, not the transport.

Source: spec/PROTOCOL.md, "Credit". Weakness: on such a connection each token goes through the line,
which costs more than the way of all others.
"""

from collections.abc import Sequence

from tokenferry.domain import journal
from tokenferry.domain.credit_window import Window, granted_bytes, stream_bytes
from tokenferry.engine.stream import Outlet, Stream, Subscription
from tokenferry.protocol.frames import Renderer, payload_bytes


class Credits:
    """The credit of one connection and of its streams.

    Args:
        asked: The window that the client asks for, in bytes.

    Attributes:
        window_bytes: The connection's window at first.
        window: What is left of it.
        waiting: Streams with something to send and no credit, whose turn is next first.
    """

    __slots__ = ("waiting", "window", "window_bytes")

    def __init__(self, asked: int | None) -> None:
        self.window_bytes = granted_bytes(asked)
        self.window = Window(self.window_bytes)
        self.waiting: list[CreditedSubscription] = []

    @property
    def stream_window_bytes(self) -> int:
        """The window of each stream at first."""
        return stream_bytes(self.window_bytes)

    def told(self) -> dict[str, int]:
        """Return what the client is told of it."""
        return {
            "window_bytes": self.window_bytes,
            "stream_window_bytes": self.stream_window_bytes,
        }

    def add(self, count: int, subscription: Subscription | None = None) -> bool:
        """Add to the connection's credit or to a stream's, and put in line what may go on.

        Returns:
            False, and nothing is added, where there would be more than anybody may have.
        """
        if subscription is None:
            added = self.window.add(count)
            for waiting in self.waiting:
                waiting.outlet.enqueue(waiting)
        elif isinstance(subscription, CreditedSubscription):
            added = subscription.window.add(count)
            if subscription in self.waiting:
                subscription.outlet.enqueue(subscription)
        else:
            return True  # of a plain request, or older than the client's wish
        return added


class CreditedSubscription(Subscription):
    """A cursor that goes on only while there is credit.

    The end of a stream needs none, but comes after all chunks before it.

    Attributes:
        window: What is left of the stream's own credit.
    """

    __slots__ = ("_credits", "_is_behind", "_is_free", "window")

    def __init__(
        self,
        stream: Stream,
        outlet: Outlet,
        renderer: Renderer,
        credit: Credits,
        *,
        after: int = 0,
        resumes: bool = False,
    ) -> None:
        self._credits = credit
        self._is_behind = self._is_free = False
        self.window = Window(credit.stream_window_bytes)
        super().__init__(stream, outlet, renderer, after=after, resumes=resumes)

    def free(self) -> None:
        """Send the rest without credit: the client has cancelled, and waits for the end alone."""
        self._is_free = True
        if self in self._credits.waiting:
            self.outlet.enqueue(self)

    def close(self) -> None:
        """Stop reading; idempotent."""
        super().close()
        if self in self._credits.waiting:
            self._credits.waiting.remove(self)

    def take_turn(self, out: list[bytes], *, merging: bool) -> bool:
        """Append the wire bytes of the next records, as far as there is credit; see the base."""
        stream = self.stream
        if self.after == stream.head:
            return False
        is_at_end = stream.done and self.after + 1 == stream.head
        if not (self._is_free or is_at_end or self._left > 0):
            self._wait()
            return False
        if self in self._credits.waiting:
            # Whoever was served is behind all others, if it has to wait again.
            self._credits.waiting.remove(self)
        records = self.next_records()
        self.after += self._take(records, out, merging=merging or self._is_behind)
        if records and self.after < stream.head:
            return True
        self._is_behind = False
        return False

    def _take(self, records: Sequence[bytes], out: list[bytes], *, merging: bool) -> int:
        """Render records until the credit is used up; return how many they were."""
        renderer, seq = self._renderer, self.after
        merging = merging and renderer.merges
        texts: list[bytes] = []
        held = 0  # bytes of these
        for record in records:
            kind = record[0]
            is_merged = merging and kind == journal.TEXT
            if not is_merged:
                # Whether this one may follow shows when those are counted as they are sent.
                self._send_texts(seq, texts, out)
                held = 0
            if not self._is_free and kind not in journal.TERMINAL and self._left <= held:
                break
            if is_merged:
                texts.append(record)
                held += len(record)
            else:
                frame = self.render(seq + 1, record)
                out.append(frame)
                if kind not in journal.TERMINAL:
                    self._spend(frame)
            seq += 1
        self._send_texts(seq, texts, out)
        return seq - self.after

    def _send_texts(self, through: int, texts: list[bytes], out: list[bytes]) -> None:
        if texts:
            first = through - len(texts) + 1
            frame = self._renderer.merge(first, through, texts)
            texts.clear()
            out.append(frame)
            self._spend(frame)

    @property
    def _left(self) -> int:
        return min(self.window.left, self._credits.window.left)

    def _spend(self, frame: bytes) -> None:
        if not self._is_free:
            count = payload_bytes(frame)
            self.window.spend(count)
            self._credits.window.spend(count)

    def _wait(self) -> None:
        self._is_behind = True
        if self not in self._credits.waiting:
            self._credits.waiting.append(self)
