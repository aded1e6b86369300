"""How many bytes a client may still be sent, where it counts them itself: byte credits.

Browsers read a WebSocket as fast as it comes, whatever becomes of the messages, so that a slow page
cannot hold back the server through TCP. A page that wants to says how much it can take, and gives
credit for what it has dealt with.

Source: spec/PROTOCOL.md, "Credit"; RFC 9113, 5.2, for a window of the whole and one of each stream.
Weakness: a chunk is never cut, so that a window may be overdrawn by less than one chunk.
"""

WINDOW_BYTES = 256 * 1024
# More than this is no window any more: it is what a slow reader's memory is to be kept from.
WINDOW_BYTES_MAX = 16 * 1024 * 1024
# So many streams of one connection can stand still before the others do.
STREAMS_OF_WINDOW = 4
# As in RFC 9113, 6.9.1: whoever gives more has mistaken the unit, or the message.
CREDIT_BYTES_MAX = (1 << 31) - 1


def granted_bytes(asked: int | None) -> int:
    """Return the window of a connection whose client asks for so much, 1 or more; None: as usual.

    It is that much, up to the most there is.
    """
    return WINDOW_BYTES if asked is None else min(asked, WINDOW_BYTES_MAX)


def stream_bytes(window_bytes: int) -> int:
    """Return the window of each stream of a connection with such a window."""
    return max(1, window_bytes // STREAMS_OF_WINDOW)


class Window:
    """What may still be sent.

    Args:
        left: Bytes at first.

    Attributes:
        left: Bytes now; anything may be sent while it is above 0, and may take it below.
    """

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, count: int) -> None:
        """Take note that so many bytes were sent."""
        self.left -= count

    def add(self, count: int) -> bool:
        """Add credit; return False, and add nothing, where that would be beyond all measure."""
        if self.left + count > CREDIT_BYTES_MAX:
            return False
        self.left += count
        return True
