"""Server-sent events as providers send them: an incremental parser. No I/O.

Source: WHATWG HTML, 9.2.6 "Interpreting an event stream". Only the data of an event is returned:
no provider that we speak to says anything in `event:` or `id:` that its data does not repeat.
What servers send instead of a stream, though they call it one, is our own rule: lines of JSON count
as data whose `data:` is missing, other text is kept for a message.
Weakness: for both reasons it is no general EventSource parser.
"""

import re

from tokenferry.errors import ProviderInvalidResponse

BOM = b"\xef\xbb\xbf"
LF = 0x0A
# How much of a text that is no stream is kept: 200 characters, whatever their script.
TEXT_BYTES_MAX = 800
_JSON = (b"{", b"[")
_FIELD = re.compile(rb":|(?:event|id|retry)(?::|\Z)")


class EventTooLarge(ProviderInvalidResponse):
    """An event is larger than the parser's limit."""

    code = "provider_event_too_large"


class Parser:
    """Turns chunks of bytes into event data, wherever the chunks are cut.

    Args:
        event_bytes_max: Bytes that the lines of one event may take up, line ends included.

    Attributes:
        at_boundary: Whether the parser stands between two events, with nothing carried over.
    """

    __slots__ = (
        "_at_start",
        "_data",
        "_event_bytes",
        "_event_bytes_max",
        "_rest",
        "_rest_bytes",
        "_skip_lf",
        "_stray",
        "_text",
        "at_boundary",
    )

    def __init__(self, *, event_bytes_max: int = 1 << 20) -> None:
        self._event_bytes_max = event_bytes_max
        self._at_start = True
        self._skip_lf = False
        self.at_boundary = False  # the first bytes may be a byte order mark
        self._event_bytes = 0
        self._data: list[bytes] = []
        # An unfinished line, in pieces: joined once, however many chunks it takes to arrive.
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        # The line that began an event of JSON alone; the lines that were neither.
        self._stray: bytes | None = None
        self._text = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of each event that this chunk completes, data lines joined by LF.

        Raises:
            EventTooLarge: If an event outgrows `event_bytes_max`.
        """
        # Fast path, nearly every chunk of a real stream: whole events of one data line each.
        if (
            self.at_boundary
            and chunk.startswith(b"data: ")
            and chunk.endswith(b"\n\n")
            and b"\r" not in chunk
            and len(chunk) <= self._event_bytes_max
        ):
            if chunk.find(b"\n") == len(chunk) - 2:
                return [chunk[6:-2]]
            blocks = chunk[:-2].split(b"\n\n")
            if all(block.startswith(b"data: ") and b"\n" not in block for block in blocks):
                return [block[6:] for block in blocks]
        return self._feed_slowly(chunk)

    def end(self) -> bytes:
        """Take the end; return what was sent and is no server-sent event, as far as it is of use.

        That is an unfinished event of JSON without `data:`, or else the beginning of a text. An
        event that only lacks its empty line is dropped, as the specification has it.
        """
        if self._rest:
            self._take_field(b"".join(self._rest))
        return b"\n".join(self._data) if self._is_stray() else self._text

    def _feed_slowly(self, chunk: bytes) -> list[bytes]:
        if not chunk:
            return []
        if self._at_start:
            if (start := self._without_bom(chunk)) is None:
                return []
            chunk = start
        if self._skip_lf and chunk:
            self._skip_lf = False
            if chunk[0] == LF:
                chunk = chunk[1:]
        if b"\r" in chunk:
            # A CR ends a line at once; if an LF follows in the next chunk, it belongs to it.
            self._skip_lf = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        events = self._take(chunk)
        self.at_boundary = not (
            self._at_start or self._skip_lf or self._event_bytes or self._rest_bytes
        )
        return events

    def _without_bom(self, chunk: bytes) -> bytes | None:
        """Drop a leading byte order mark; None until it can be told apart."""
        head = b"".join((*self._rest, chunk))
        if len(head) < len(BOM) and BOM.startswith(head):
            self._rest = [head]
            self.at_boundary = False
            return None
        self._rest.clear()
        self._at_start = False
        return head.removeprefix(BOM)

    def _take(self, chunk: bytes) -> list[bytes]:
        """Take text whose only line ends are LF."""
        *lines, rest = chunk.split(b"\n")
        events = []
        if lines:
            if self._rest:
                lines[0] = b"".join((*self._rest, lines[0]))
                self._rest.clear()
                self._rest_bytes = 0
            for line in lines:
                self._event_bytes += len(line) + 1
                if self._event_bytes > self._event_bytes_max:
                    raise self._too_large()
                if line:
                    self._take_field(line)
                else:
                    if self._data:
                        events.append(b"\n".join(self._data))
                        self._data.clear()
                    self._event_bytes = 0
        if rest:
            self._rest.append(rest)
            self._rest_bytes += len(rest)
            if self._event_bytes + self._rest_bytes > self._event_bytes_max:
                raise self._too_large()
        return events

    def _take_field(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif not line.startswith(b"event:"):  # which stands before all data of Anthropic's
            self._take_other(line)

    def _take_other(self, line: bytes) -> None:
        if line == b"data":
            self._data.append(b"")
        elif self._is_stray():
            self._data.append(line)
        elif self._data or _FIELD.match(line):
            return
        elif line.startswith(_JSON) and not self._text:
            self._stray = line
            self._data.append(line)
        elif len(self._text) < TEXT_BYTES_MAX:
            text = line if not self._text else self._text + b"\n" + line
            self._text = text[:TEXT_BYTES_MAX]

    def _is_stray(self) -> bool:
        """Say whether the event under way began as JSON without `data:`."""
        return bool(self._data) and self._data[0] is self._stray

    def _too_large(self) -> EventTooLarge:
        return EventTooLarge(f"The provider sent an event of over {self._event_bytes_max} bytes.")
