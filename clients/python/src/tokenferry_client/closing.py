"""When to come back after a connection has ended: a table over close codes.

Source: spec/PROTOCOL.md, sections 6 and 8. "Full jitter" is a delay drawn from the whole range up
to a ceiling that doubles: clients that were cut off together do not come back together. Weakness:
of a refused upgrade only the status is known, and a proxy's counts like the server's own.
"""

from typing import Final

DELAY_MS_MIN: Final = 250
DELAY_MS_MAX: Final = 30_000
# The ceiling of the first delay; twice the least one, so that there is something to draw.
FIRST_CEILING_MS: Final = 500
# A server that says "back off" is short of something: begin two doublings higher, and never with
# less than half.
BACK_OFF_DOUBLINGS: Final = 2
RANDOM_BITS: Final = 32

# The client is at fault, and would be again. RFC 6455, 7.4.1.
_OWN_FAULT: Final = frozenset((1002, 1003, 1007, 1008, 1009, 1010))
_HEARTBEAT_LOST: Final = 4108
# As what a server counts that is short of something and does not say for how long.
OVERLOADED: Final = 1013
# In the range of what is final, and a limit like those that are not: some connection ends.
TOO_MANY_CONNECTIONS: Final = 4029

# docs/errors.md. Other statuses below 500 say that the request is at fault, and would be again.
_CODES_OF_STATUS: Final = {401: 4001, 403: 4003, 408: OVERLOADED, 429: TOO_MANY_CONNECTIONS}
SERVER_ERRORS: Final = 500


def is_final(code: int) -> bool:
    """Say whether the client must not come back by itself."""
    own_range = code in range(4000, 4100) and code != TOO_MANY_CONNECTIONS
    return code in _OWN_FAULT or own_range


def delay_ms(code: int, attempt: int, random_bits: int) -> int:
    """Return how long to wait before the next attempt to connect.

    Args:
        code: The close code of the last connection; 1006 when there was none.
        attempt: How many attempts have failed since things went well, from 0.
        random_bits: 32 random bits.
    """
    if code in range(4200, 4300) and attempt == 0:
        return 0  # at once, but once: a server that says so for ever is not to be hammered
    backs_off = code in range(4100, 4200) and code != _HEARTBEAT_LOST
    if backs_off or code == TOO_MANY_CONNECTIONS:
        ceiling_ms = _ceiling_ms(attempt + BACK_OFF_DOUBLINGS)
        return _draw(ceiling_ms // 2, ceiling_ms, random_bits)
    return _draw(DELAY_MS_MIN, _ceiling_ms(attempt), random_bits)


def code_of_status(status: int) -> int:
    """Return the close code that stands for the HTTP status of a refused upgrade."""
    if status in _CODES_OF_STATUS:
        return _CODES_OF_STATUS[status]
    return OVERLOADED if status >= SERVER_ERRORS else 4000


def _ceiling_ms(doublings: int) -> int:
    # The exponent is bounded, because it is the peer who decides how often this is asked.
    return min(DELAY_MS_MAX, FIRST_CEILING_MS << min(doublings, RANDOM_BITS))


def _draw(low_ms: int, high_ms: int, random_bits: int) -> int:
    return low_ms + ((high_ms - low_ms) * random_bits >> RANDOM_BITS)
