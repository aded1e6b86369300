"""The relay: commits what a tick of the event loop produced, then lets the readers have it.

However many providers' sockets were readable in one tick, there is one journal commit for all of
them, and one write for each client connection.
"""

import logging
from collections.abc import Callable

from tokenferry.engine.ports import Journal
from tokenferry.engine.stream import TURN_RECORDS, Outlet, Stream

log = logging.getLogger(__name__)


class Relay:
    """Between the producers' streams and the clients' outlets.

    Args:
        journal: Where records are committed before anybody sees them.
        call_soon: The event loop's way to run something at the end of this tick.
    """

    __slots__ = ("_call_soon", "_dirty", "_journal")

    def __init__(self, journal: Journal, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._journal = journal
        self._call_soon = call_soon
        self._dirty: list[Stream] = []

    def mark(self, stream: Stream) -> None:
        """Take note that a stream is about to have its first pending record of this tick."""
        if not self._dirty:
            self._call_soon(self.flush)
        self._dirty.append(stream)

    def flush(self) -> None:  # noqa: C901, PLR0912 -- the token path, in one piece
        """Commit everything pending and let its readers have it."""
        streams = self._dirty
        if not streams:
            return
        self._dirty = []
        # Commit before send: a seq that a client has seen is never used again.
        self._journal.append(streams)
        outlets: list[Outlet] = []
        for stream in streams:
            before = stream.head
            records = stream.commit()
            done = stream.done
            for subscription in stream.subscriptions:
                outlet = subscription.outlet
                try:
                    if (
                        subscription.after != before
                        or outlet.paused
                        or done
                        or len(records) > TURN_RECORDS
                    ):
                        outlet.enqueue(subscription)
                    else:
                        # At the head: what was committed is what this reader would read.
                        out, render, seq = outlet.out, subscription.render, before
                        for record in records:
                            seq += 1
                            out.append(render(seq, record))
                        subscription.after = seq
                except Exception as exc:  # noqa: BLE001 -- it must not stop the others' tokens
                    _cut(outlet, exc)
                if not outlet.queued:
                    outlet.queued = True
                    outlets.append(outlet)
            if done:
                self._journal.close(stream.id)
        for outlet in outlets:
            try:
                if outlet.line:
                    outlet.pump()
                else:
                    outlet.queued = False
                    out = outlet.out
                    outlet.out = []
                    outlet.write(out[0] if len(out) == 1 else b"".join(out))
            except Exception as exc:  # noqa: BLE001 -- as above
                _cut(outlet, exc)


def _cut(outlet: Outlet, exc: Exception) -> None:
    log.error("writing to a client failed; its connection is cut", exc_info=exc)
    outlet.cut()
