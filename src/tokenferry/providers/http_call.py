"""One request and its response: callbacks all the way from the socket to the decoder.

A token costs plain calls only: `HttpCall.received` → the body's quick way, or where that does not
serve → the HTTP parser → `HttpCall.on_body` → the body → the decoder. A call has no task of its
own, except while its connection is being opened, and no timer is armed for a read.

Source: RFC 9112; RFC 9110, 15.2 for interim responses. Weakness: the limit of a response's head
and trailers is looked at after each read, so that what is accepted may exceed it by one read.
"""

import asyncio
import logging
from collections.abc import Callable

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserUpgrade,
    HttpResponseParser,
)

from tokenferry.errors import ProviderCutOff, ProviderError, ProviderTimeout
from tokenferry.providers.http_asked import Asked, Head
from tokenferry.providers.http_body import Body, ignore, open_body
from tokenferry.providers.http_pool import Connection, Lane
from tokenferry.providers.http_request import HttpProviderSettings

# What common servers allow for a whole head; the largest seen from a provider is about 4 KiB.
HEAD_BYTES_MAX = 64 * 1024
HEADERS_MAX = 256
# Chunks of up to 256 MiB; whoever sends larger ones, or pads their size, is read by the parser.
CHUNK_SIZE_DIGITS_MAX = 7
# A connection that was closed while it was idle shows this within a round trip. A server that
# gives up later may have begun to work, and to bill.
STALE_WINDOW_S = 5.0

_SWITCHING_PROTOCOLS = 101
_OK = 200
_BODYLESS = (204, 304)

_logger = logging.getLogger(__name__)


class HttpCall:
    """One request and its response; implements the engine's `Call` and the pool's `Exchange`.

    Of all paths that end a call (`_finish`, `_fail`, `cancel`) the first one wins, and sets
    `_is_over`; after that neither decoder nor sink is called, but for the one report of that path.
    """

    __slots__ = (
        "_asked",
        "_body",
        "_connection",
        "_drain_room",
        "_ends_by_close",
        "_feed",
        "_fields",
        "_is_between_chunks",
        "_is_complete",
        "_is_draining",
        "_is_over",
        "_keep_alive",
        "_lane",
        "_loop",
        "_now",
        "_parser",
        "_quick",
        "_read_s",
        "_settings",
        "_take",
        "_timer",
        "_unframed_bytes",
        "_written",
        "_written_s",
    )

    def __init__(
        self, settings: HttpProviderSettings, lane: Lane, asked: Asked, written: bytes
    ) -> None:
        self._settings = settings
        self._lane = lane
        self._asked = asked
        self._written = written
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._timer: asyncio.TimerHandle | None = None
        self._connection: Connection | None = None
        self._parser: HttpResponseParser | None = None
        self._feed: Callable[[bytes], None] = ignore
        self._take: Callable[[bytes], None] = ignore
        self._body: Body | None = None
        self._fields: list[tuple[bytes, bytes]] = []
        self._unframed_bytes = 0  # read since the last byte of a body: head or trailers
        self._read_s = 0.0
        self._written_s = 0.0
        self._drain_room = settings.drain_bytes_max
        self._ends_by_close = False
        self._keep_alive = False
        self._quick: Callable[[bytes], bool] | None = None
        self._is_between_chunks = False
        self._is_complete = False
        self._is_draining = False
        self._is_over = False

    def open(self) -> None:
        """Get a connection and send the request."""
        self._lane.open(self)
        if self._connection is None:
            self._arm(self._settings.place_timeout_s, self._check_place)

    def cancel(self) -> bool:
        """Stop, in whatever phase; idempotent. The sink hears more only if the call is drained."""
        if self._is_over or self._is_draining:
            return not self._is_over
        if self._settings.on_cancel == "drain" and self._body is not None:
            self._is_draining = True
            self._quick = None
            self._take = self._take_draining
            self._arm(self._settings.drain_timeout_s, self._drain_late)
            return True
        self._is_over = True
        if self._connection is None:
            self._lane.withdraw(self)
        self._let_go()
        return False

    # The pool's side.

    def ready(self, connection: Connection) -> None:
        """Write the request."""
        self._connection = connection
        self._parser = HttpResponseParser(self)
        self._feed = self._parser.feed_data
        self._written_s = self._now()
        self._arm(self._settings.first_byte_timeout_s, self._first_byte_late)
        connection.write(self._written)

    def refused(self, error: ProviderError) -> None:
        """Report that there is no connection."""
        self._fail(error)

    def received(self, data: bytes) -> None:
        """Take what was read. This is the token path."""
        # What is called is loaded first, here and below: a call of what stands in a slot
        # (`self._now()`) is one that CPython does not specialise.
        now = self._now
        self._read_s = now()
        if self._is_between_chunks:
            # Most reads are one whole chunk: its framing is checked here, and the parser, which
            # stands between two chunks, stays there.
            end = data.find(b"\r\n", 1, CHUNK_SIZE_DIGITS_MAX + 2)
            chunk = data[end + 2 : -2]
            if chunk and end > 0 and data[:end] == b"%x" % len(chunk) and data[-2:] == b"\r\n":
                try:
                    quick = self._quick
                    if quick is None or not quick(chunk):
                        self._take(chunk)
                        self._find_quick()
                except Exception as exc:  # noqa: BLE001 -- whatever it is, the loop lives on
                    self._fail(self._error_of(exc))
                return
        self._parse(data)
        self._find_quick()

    def _find_quick(self) -> None:
        """Ask the body, after it was fed, whether it knows a quick way for the next chunk."""
        if self._body is not None and not (self._is_over or self._is_draining):
            self._quick = self._body.quick

    def _parse(self, data: bytes) -> None:
        self._unframed_bytes += len(data)
        try:
            self._feed(data)
        except HttpParserCallbackError as exc:
            # The callbacks handle every Exception: this is an interrupt of the whole process.
            raise exc.__context__ or exc from None
        except (HttpParserError, HttpParserUpgrade) as exc:
            self._misread(exc)
        if self._is_complete:
            self._finish()
        elif self._unframed_bytes > HEAD_BYTES_MAX:
            self._fail(self._asked.invalid("the response's head or trailers are too large"))
        else:
            if self._timer is None and self._body is not None and not self._is_over:
                self._arm(self._settings.idle_timeout_s, self._check_idle)
            if self._is_between_chunks and not data.endswith(b"\r\n"):
                self._is_between_chunks = False  # a part of the next chunk's size came along

    def lost(self, exc: Exception | None) -> None:
        """Take the end of the connection: a retry, a complete body, or a cut."""
        connection, self._connection = self._connection, None
        if self._is_over or connection is None:
            return
        if self._is_stale(connection):
            # The server had closed the connection before it saw this request, as far as anyone
            # can tell: it was idle before, and not one byte came back. Nothing was visible to the
            # client yet, so that one more try is safe enough. There is never a second one, since
            # a fresh connection is not stale.
            self._disarm()
            self._lane.open(self, fresh=True)
        elif self._ends_by_close and exc is None:
            self._finish()
        else:
            self._fail(
                ProviderCutOff("The provider closed the connection before the answer was complete.")
            )

    def _is_stale(self, connection: Connection) -> bool:
        return (
            connection.is_reused
            and self._body is None
            and not self._unframed_bytes
            and self._now() - self._written_s < STALE_WINDOW_S
        )

    # The parser's side. What happens here is inside `feed_data`, so the call ends only after it.

    def on_message_begin(self) -> None:
        """Take note of a second response: whoever sends that is not to be trusted with more."""
        if self._is_complete:
            self._keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; trailers say nothing that is of use."""
        if self._body is not None or self._is_over:
            return
        if len(self._fields) >= HEADERS_MAX:
            self._fail(self._asked.invalid(f"the response has over {HEADERS_MAX} headers"))
        else:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Decide what becomes of the body."""
        if self._is_over or self._is_complete or self._parser is None:
            return
        status = self._parser.get_status_code()
        headers = _join_fields(self._fields)
        self._fields.clear()
        if status < _OK and status != _SWITCHING_PROTOCOLS:
            return  # an interim response; the real one follows
        coding = headers.get("transfer-encoding", "").lower()
        self._ends_by_close = not (
            "content-length" in headers or coding.endswith("chunked") or status in _BODYLESS
        )
        try:
            self._asked.hear(headers)
            self._body = open_body(Head(status, headers), self._asked)
        except Exception as exc:  # noqa: BLE001 -- whatever it is, the loop lives on
            self._fail(self._error_of(exc))
            return
        if self._is_over:  # the new decoder's first call to its sink had it cancelled
            return
        self._take = self._body.feed
        self._disarm()  # what follows for a body that is not all there; see `_parse`

    def on_chunk_header(self) -> None:
        """Take note that the parser is inside a chunk."""
        self._is_between_chunks = False

    def on_chunk_complete(self) -> None:
        """Take note that the parser is between two chunks, if nothing else follows."""
        self._is_between_chunks = not self._is_over

    def on_body(self, chunk: bytes) -> None:
        """Take a part of the body. This is the token path."""
        self._unframed_bytes = 0
        try:
            self._take(chunk)
        except Exception as exc:  # noqa: BLE001 -- whatever it is, the loop lives on
            self._fail(self._error_of(exc))

    def on_message_complete(self) -> None:
        """Take note of the end."""
        if self._body is None or self._parser is None or self._is_complete or self._is_over:
            return
        self._is_complete = True
        self._keep_alive = self._parser.should_keep_alive()
        self._take = ignore

    def _take_draining(self, chunk: bytes) -> None:
        self._drain_room -= len(chunk)
        if self._drain_room < 0:
            self._drain_late()
        elif self._body is not None:
            self._body.feed(chunk)

    def _misread(self, exc: HttpParserError | HttpParserUpgrade) -> None:
        self._keep_alive = False
        if not self._is_complete:
            what = "an upgrade" if isinstance(exc, HttpParserUpgrade) else str(exc)
            self._fail(
                self._asked.invalid(
                    f"the response is not valid HTTP/1.1 ({what}); check the provider's base_url"
                )
            )

    # The timers' side: one timer a call, armed anew for each phase.

    def _arm(self, delay_s: float, callback: Callable[[], None]) -> None:
        self._disarm()
        self._timer = self._loop.call_later(delay_s, callback)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check_place(self) -> None:
        # Whoever has left the line is connecting, and that has a limit of its own.
        if self._lane.leave_line(self):
            self._time_out("no free connection", self._settings.place_timeout_s)

    def _first_byte_late(self) -> None:
        self._time_out("no response to the request", self._settings.first_byte_timeout_s)

    def _check_idle(self) -> None:
        idle_timeout_s = self._settings.idle_timeout_s
        left_s = self._read_s + idle_timeout_s - self._now()
        if left_s > 0:
            self._arm(left_s, self._check_idle)
        else:
            self._time_out("the response went silent: nothing", idle_timeout_s)

    def _time_out(self, what: str, limit_s: float) -> None:
        self._fail(ProviderTimeout(f"{self._asked.provider}: {what} within {limit_s:g} s."))

    def _drain_late(self) -> None:
        self._fail(
            ProviderCutOff("The request was cancelled, and its answer was not read to the end.")
        )

    # The ends.

    def _finish(self) -> None:
        """End with a complete body."""
        if self._is_over or self._body is None:
            return
        self._is_over = True
        try:
            error = self._body.end()
        except Exception as exc:  # noqa: BLE001 -- whatever it is, the loop lives on
            self._keep_alive = False
            error = self._error_of(exc)
        self._let_go()
        if error is not None:
            self._report(error)

    def _fail(self, error: ProviderError) -> None:
        """End before that."""
        if self._is_over:
            return
        self._is_over = True
        if self._body is not None:
            try:
                error = self._body.explain(error)
            except Exception as exc:  # noqa: BLE001 -- whatever it is, the loop lives on
                error = self._error_of(exc)
        self._is_complete = False
        self._let_go()
        self._report(error)

    def _let_go(self) -> None:
        """Part with the connection, the timer and the parser, which refers back to the call."""
        self._disarm()
        self._is_between_chunks = False
        self._quick = None
        self._take = self._feed = ignore
        self._parser = None
        if self._body is not None:
            self._body.stop()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._is_complete and self._keep_alive:
            connection.give_back()
        else:
            connection.close()

    def _report(self, error: ProviderError) -> None:
        try:
            self._asked.sink.fail(error)
        except Exception:
            _logger.exception("The sink of a call to %s failed.", self._asked.provider)

    def _error_of(self, exc: Exception) -> ProviderError:
        if isinstance(exc, ProviderError):
            return exc
        name = self._asked.provider
        _logger.error("Reading an answer of %s failed.", name, exc_info=exc)
        return ProviderError(f"{name}: the gateway failed to read its answer.")


def _join_fields(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers under lower-case names; repeated ones are one list, RFC 9110, 5.3."""
    headers: dict[str, str] = {}
    for name, value in fields:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers
