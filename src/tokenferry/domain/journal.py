"""The records of a stream's log, in the compact form that the journal keeps.

A record is one `bytes`: a kind, then its payload. Every record has a seq, and seqs are contiguous
from 1. What a client is sent is rebuilt from the record and the stream's head alone, so the same
(stream, epoch, seq) gives the same bytes for ever; see `protocol.frames`.

    h  head: JSON, the first record of a stream that produced anything
    t  text of choice 0: a JSON string
    r  reasoning of choice 0: a JSON string
    d  delta with content: index, length, JSON object, JSON logprobs or nothing
    b  delta without content (b for bare): the same
    f  finish: JSON, terminal
    e  error: JSON, terminal
"""

HEAD = 0x68
TEXT = 0x74
REASONING = 0x72
DELTA = 0x64
BARE_DELTA = 0x62
FINISH = 0x66
ERROR = 0x65

TERMINAL = frozenset((FINISH, ERROR))


def pack(kind: int, payload: bytes) -> bytes:
    """Return the record of a kind with its payload."""
    return bytes((kind,)) + payload


def pack_delta(index: int, delta: bytes, logprobs: bytes, *, has_content: bool) -> bytes:
    """Return the record of a delta for any choice.

    Args:
        index: The choice.
        delta: A JSON object.
        logprobs: A JSON object, or nothing.
        has_content: Whether the object has a `content` key.
    """
    kind = DELTA if has_content else BARE_DELTA
    return b"%c%d %d %b%b" % (kind, index, len(delta), delta, logprobs)


def unpack_delta(record: bytes) -> tuple[int, bytes, bytes]:
    """Return index, delta and logprobs of a delta record."""
    index, length, rest = record[1:].split(b" ", 2)
    end = int(length)
    return int(index), rest[:end], rest[end:]


def is_terminal(record: bytes) -> bool:
    """Say whether a record ends its stream."""
    return record[0] in TERMINAL
