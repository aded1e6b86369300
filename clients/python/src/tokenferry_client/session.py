"""The link on a real socket, with real timers, and the client's own line before it.

Weakness: it lives in one event loop, and is not to be touched from outside of it.
"""

import asyncio
import contextlib
import json
from collections import deque

from tokenferry_client import actions, closing, dial, errors
from tokenferry_client.address import Address
from tokenferry_client.clock import milliseconds, now_ms, random_bits
from tokenferry_client.connection import Connection
from tokenferry_client.dial import DialFailed
from tokenferry_client.events import (
    Done,
    ErrorInfo,
    Event,
    Failed,
    Position,
    RateLimits,
    Reconnecting,
    Started,
    Waiting,
)
from tokenferry_client.feed import Feed
from tokenferry_client.lane import Creation
from tokenferry_client.link import ABNORMAL, NORMAL, Link
from tokenferry_client.pace import Pace
from tokenferry_client.session_options import SessionOptions


class Session:
    """One connection at a time, and any number of streams over it.

    Args:
        address: Where the gateway is.
        key: The API key.
        options: How it behaves.
    """

    def __init__(self, address: Address, key: str, options: SessionOptions) -> None:
        self._address = address
        self._key = key
        self._options = options
        self._link = Link(options.of_link())
        self._pace = Pace(options.max_retries, options.queue_max, milliseconds(options.max_wait_s))
        self._feeds: dict[str, Feed] = {}
        self._creations: dict[str, Creation] = {}
        self._refusals: dict[str, Failed] = {}
        self._connection: Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pace_timer: asyncio.TimerHandle | None = None
        self._todo: deque[actions.Action] = deque()
        self._acting = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._refs = 0
        self._dials_failed = 0
        self._ending = False  # that there is no connection is no matter of the line
        # Whether streams were under way when the last connection ended.
        self._broken = False
        self._cause: ErrorInfo | None = None
        self._characters = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closed = False

    @property
    def connection_id(self) -> str | None:
        """The gateway's name for the connection."""
        return self._link.connection_id

    def create(self, creation: Creation) -> Feed:
        """Ask for a new stream, now or when it is this request's turn.

        Raises:
            ValueError: If there are too many streams.
            TokenferryError: If the line is full, or the session is closed.
        """
        time_ms = now_ms()
        if self._pace.must_wait(time_ms) and self._pace.full:
            said = f"{self._options.queue_max} requests of this client wait already."
            raise errors.of_info(errors.at_limit(self._pace.code, said))
        feed = self._open_feed()
        self._creations[feed.ref] = creation
        if self._pace.come(feed.ref, time_ms):
            self._ask(feed.ref)
        else:
            self._tell_wait(feed.ref, self._pace.code)
        self._look_at_line()
        return feed

    def follow(self, position: Position) -> Feed:
        """Follow a stream from a position on.

        Raises:
            ValueError: If it is followed already, or there are too many.
            TokenferryError: If the session is closed.
        """
        feed = self._open_feed()
        where = (position.stream_id, position.epoch, position.seq)
        try:
            wanted = self._link.follow(feed.ref, *where, now_ms=now_ms())
        except ValueError:
            del self._feeds[feed.ref]
            raise
        self._act(wanted)
        return feed

    def cancel(self, ref: str) -> None:
        """End a stream at the server; nothing happens to one that has ended."""
        if self._pace.place(ref, now_ms()) is not None:
            self._deliver(Done(ref, "cancelled"))
        else:
            self._act(self._link.cancel(ref, now_ms=now_ms(), random_bits=random_bits()))

    def detach(self, ref: str) -> None:
        """Stop receiving a stream, which goes on."""
        feed = self._feeds.pop(ref, None)
        if feed is not None:
            feed.drop()
        self._forget(ref)
        self._act(self._link.detach(ref, now_ms=now_ms(), random_bits=random_bits()))

    def abandon(self, ref: str) -> None:
        """Cancel a stream that nobody can read any more; from any thread."""
        if self._loop is None or ref not in self._feeds:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended, and all streams with it
            self._loop.call_soon_threadsafe(self._drop, ref)

    async def close(self) -> None:
        """Close; streams that have not ended fail with `client_closed`, and go on at the server."""
        self._enter_loop()
        if not self.closed:
            self.closed = True
            self._fail_all(ErrorInfo(errors.CLIENT_CLOSED, "The client was closed."))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- streams -------------------------------------------------------------------------------

    def _open_feed(self) -> Feed:
        if self.closed:
            raise errors.ClientClosedError("The client was closed. Make another one.")
        self._enter_loop()
        self._refs += 1
        feed = Feed(str(self._refs), self._pause, self._unpause)
        self._feeds[feed.ref] = feed
        return feed

    def _enter_loop(self) -> None:
        """Take note of the event loop; of one that was closed before, nothing is left.

        Raises:
            RuntimeError: If the client lives in another one that may still run.
        """
        before, self._loop = self._loop, asyncio.get_running_loop()
        if before is None or before is self._loop:
            return
        if not before.is_closed():
            self._loop = before
            raise RuntimeError("this client lives in another event loop; make one for each")
        self._connection = None
        self._tasks.clear()
        self._fail_all(ErrorInfo(errors.CLIENT_CLOSED, "The event loop was closed."))

    def _fail_all(self, error: ErrorInfo) -> None:
        """End all streams, and the connection; of those that wait in line none moves up."""
        self._pace.clear()
        self._creations.clear()
        self._refusals.clear()
        for ref in list(self._feeds):
            self._end(Failed(ref, error))
        self._act(self._link.close())
        self._set_timer(None)
        self._look_at_line()

    def _ask(self, ref: str) -> None:
        try:
            wanted = self._link.create(ref, self._creations[ref], now_ms=now_ms())
        except ValueError as exc:
            self._deliver(Failed(ref, errors.at_limit("too_many_streams", str(exc))))
        else:
            self._act(wanted)

    def _drop(self, ref: str) -> None:
        self.cancel(ref)
        self.detach(ref)

    def _pause(self, ref: str) -> None:
        self._act(self._link.pause(ref, now_ms=now_ms(), random_bits=random_bits()))

    def _unpause(self, ref: str) -> None:
        self._act(self._link.unpause(ref))

    def _forget(self, ref: str) -> None:
        """Take a request that has got through, or never will, off the line."""
        if self._creations.pop(ref, None) is not None:
            self._refusals.pop(ref, None)
            self._pace.leave(ref)
            self._look_at_line()

    # -- actions -------------------------------------------------------------------------------

    def _act(self, wanted: list[actions.Action]) -> None:
        """Carry actions out in the order in which they were decided.

        What one of them leads to comes after all that were decided before.
        """
        self._todo.extend(wanted)
        if self._acting:
            return
        self._acting = True
        try:
            while self._todo:
                self._carry_out(self._todo.popleft())
        finally:
            self._acting = False

    def _carry_out(self, action: actions.Action) -> None:
        match action:
            case actions.Send(message):
                self._send(json.dumps(message, ensure_ascii=False))
            case actions.Deliver(event):
                self._deliver(event)
            case actions.Timer(in_ms):
                self._set_timer(in_ms)
            case actions.Connect(delay_ms):
                self._connect(delay_ms)
            case actions.Close(code):
                self._hang_up(code)

    def _send(self, text: str) -> None:
        connection = self._connection
        if connection is None:
            return
        if not connection.put(text):
            # A server that reads nothing is as good as lost.
            self._hang_up(NORMAL)
            self._lost(ABNORMAL)

    def _deliver(self, event: Event) -> None:
        if isinstance(event, RateLimits):
            self._take_limits(event)
        elif isinstance(event, Started):
            self._forget(event.ref)
        elif isinstance(event, Failed):
            if self._waits_instead(event):
                return
            event = errors.explained(event, self._cause)
        if isinstance(event, Done | Failed):
            self._end(event)
        elif event.ref in self._feeds:
            self._feeds[event.ref].push(event, self._characters)

    def _set_timer(self, in_ms: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if in_ms is not None:
            self._timer = asyncio.get_running_loop().call_later(in_ms / 1000, self._fired)

    def _fired(self) -> None:
        self._timer = None
        self._act(self._link.fired(now_ms=now_ms(), random_bits=random_bits()))

    # -- the line ------------------------------------------------------------------------------

    def _waits_instead(self, failed: Failed) -> bool:
        """Let a refused request wait for its turn; say whether it does."""
        ref, error = failed.ref, failed.error
        # The client's own errors have no type.
        if ref not in self._creations or self._ending or not (error.retryable and error.type):
            return False
        wait_ms = failed.retry_after_ms
        if wait_ms is None:
            wait_ms = closing.delay_ms(closing.OVERLOADED, self._pace.refusals(ref), random_bits())
        if not self._pace.refused(ref, error.code, wait_ms, now_ms()):
            return False
        self._refusals[ref] = failed
        self._tell_wait(ref, error.code)
        self._look_at_line()
        return True

    def _tell_wait(self, ref: str, code: str) -> None:
        place = self._pace.place(ref, now_ms())
        if place is not None and ref in self._feeds:
            position, wait_ms = place
            self._feeds[ref].push(Waiting(ref, code, wait_ms, position), 0)

    def _take_limits(self, event: RateLimits) -> None:
        for limit in event.limits:
            if limit.name == "requests" and limit.remaining == 0:
                self._pace.spent(limit.limit, limit.reset_ms, now_ms())
        self._look_at_line()

    def _look_at_line(self) -> None:
        """Let go whose turn it is, and come back when it is the next one's."""
        if self._pace_timer is not None:
            self._pace_timer.cancel()
            self._pace_timer = None
        due = self._pace.due(now_ms())
        if due.in_ms is not None and not self.closed:
            wait_s, loop = due.in_ms / 1000, asyncio.get_running_loop()
            self._pace_timer = loop.call_later(wait_s, self._look_at_line)
        for ref in due.late:
            said = f"The request has waited for {self._options.max_wait_s:g} s for its turn."
            late = Failed(ref, errors.at_limit(self._pace.code, said))
            self._end(self._refusals.get(ref, late))
        for ref in due.go:
            self._ask(ref)

    def _end(self, event: Done | Failed) -> None:
        feed = self._feeds.pop(event.ref, None)
        if feed is not None:
            feed.push(event, self._characters)
            feed.end()
        self._forget(event.ref)

    # -- the socket ----------------------------------------------------------------------------

    def _connect(self, delay_ms: int) -> None:
        connection = self._connection = Connection()
        if self._link.outage.attempts == 0:  # it is no second attempt of anything
            self._broken, self._dials_failed = False, 0
        if self._broken:
            cause = "the connection was lost" if self._cause is None else self._cause.message
            for ref in self._feeds:
                if self._pace.place(ref, now_ms()) is None:
                    told = Reconnecting(ref, self._dials_failed + 1, delay_ms, cause)
                    self._feeds[ref].push(told, 0)
        task = asyncio.get_running_loop().create_task(self._run(connection, delay_ms))
        connection.task = task
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Take note of the end of a connection's task; a defect of ours must not hang anybody."""
        self._tasks.discard(task)
        if task.cancelled():
            # By ourselves, or by who cancels all tasks, as `asyncio.run` does at its end.
            if self._connection is not None and self._connection.task is task:
                self._fail_all(ErrorInfo(errors.CLIENT_CLOSED, "The client's task was cancelled."))
        elif (exc := task.exception()) is not None:
            self._fail_all(ErrorInfo(errors.CLIENT_DEFECT, f"The client failed: {exc!r}"))

    def _hang_up(self, code: int) -> None:
        self._broken = bool(self._feeds)
        if self._connection is not None:
            self._connection.hang_up(code)
        self._connection = None

    def _lost(self, code: int, refusal: ErrorInfo | None = None) -> None:
        bits = random_bits()
        self._end_with(self._link.closed(code, now_ms=now_ms(), random_bits=bits, refusal=refusal))

    def _end_with(self, wanted: list[actions.Action]) -> None:
        self._broken, self._ending = bool(self._feeds), True
        try:
            self._act(wanted)
        finally:
            self._ending = False

    async def _run(self, connection: Connection, delay_ms: int) -> None:
        """Open a socket after a delay, and read it to its end."""
        await asyncio.sleep(delay_ms / 1000)
        timeout_s = self._options.connect_timeout_s
        try:
            socket = await dial.dial(
                self._address, self._key, timeout_s=timeout_s, tls=self._options.tls
            )
        except DialFailed as exc:
            if self._connection is connection:
                self._connection = None
                self._not_dialled(exc)
            return
        self._broken, self._dials_failed, self._cause = False, 0, None
        if connection.wanted:
            self._act(self._link.opened(now_ms=now_ms()))
        code = await connection.carry(socket, self._received)
        if self._connection is connection:
            self._connection = None
            self._lost(code)

    def _not_dialled(self, failure: DialFailed) -> None:
        """Try again, or say why that is of no use."""
        self._dials_failed += 1
        self._cause = failure.info
        unwanted = failure.code == closing.TOO_MANY_CONNECTIONS and not self._options.max_retries
        if not self._link.outage.held and (failure.hopeless or unwanted):
            self._end_with(self._link.refuse(failure.info))
        else:
            self._lost(failure.code, failure.info)

    def _received(self, text: str) -> None:
        self._characters = len(text)
        try:
            self._act(self._link.received(text, now_ms=now_ms(), random_bits=random_bits()))
        finally:
            self._characters = 0
