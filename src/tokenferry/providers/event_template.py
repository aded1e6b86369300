"""What most events of a stream have in common, so that a token is known at a glance.

Most events of a stream differ in one string only. Where all before and after it is as in one that
was read in full, and the string is valid JSON, so is the event.

Weakness: it knows one form. A provider that pads its chunks, or changes them as it goes, is read
in full each time.
"""

from collections.abc import Callable

import msgspec

_decode = msgspec.json.Decoder(str).decode


class EventTemplate:
    """Reads the events of one form.

    Args:
        prefix: All of an event up to the string's first character, `data: ` included.
        suffix: All after the string's last character, with the blank line.
        sink: Where the string goes, if it is not empty.
    """

    __slots__ = ("_sink", "_start", "_stop", "prefix", "suffix")

    def __init__(self, prefix: bytes, suffix: bytes, sink: Callable[[str], None]) -> None:
        self.prefix = prefix
        self.suffix = suffix
        self._sink = sink
        # The quotes belong to the string.
        self._start = len(prefix) - 1
        self._stop = 1 - len(suffix)

    def take(self, event: bytes) -> bool:
        """Take one whole event if it has this form; otherwise nothing has happened."""
        # The token path.
        if not event.startswith(self.prefix) or not event.endswith(self.suffix):
            return False
        try:
            text = _decode(event[self._start : self._stop])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return False  # two events, or no string, or a broken one
        if text:
            sink = self._sink  # see `HttpCall.received`
            sink(text)
        return True
