"""What goes wrong with one connection: drawn from a seed and the connection's number.

Weakness: the n-th connection of two runs with one seed has the same fault, but it need not be the
same client's, for which client comes n-th is a matter of time.
"""

import random
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a connection suffers."""

    NONE = "none"
    DELAY = "delay"
    RESET = "reset"
    CUT = "cut"
    BLACK_HOLE = "black hole"
    HALF_OPEN = "half-open"
    TRICKLE = "trickle"


# Faults that end a connection, against those that only hurt it.
CUTTING = frozenset((Kind.RESET, Kind.CUT, Kind.BLACK_HOLE, Kind.HALF_OPEN, Kind.TRICKLE))
WEIGHTS = {
    Kind.NONE: 2,
    Kind.DELAY: 2,
    Kind.RESET: 5,
    Kind.CUT: 6,
    Kind.BLACK_HOLE: 1,  # rare: the client needs its whole patience to notice
    Kind.HALF_OPEN: 2,
    Kind.TRICKLE: 3,
}
# Where it happens: within the upgrade (some 400 bytes either way), within the first frames, far on.
DOWN_BYTES = ((1, 400), (400, 3_000), (3_000, 60_000))
# A client says little: the upgrade, hello, creates and resumes.
UP_BYTES = ((1, 400), (400, 1_500))
UP_SHARE = 0.25
DELAYS_S = (0.001, 0.03)
PIECES_BYTES = (1, 23)


@dataclass(frozen=True, slots=True)
class Fault:
    """One connection's fault.

    Attributes:
        kind: What happens.
        up: Whether in the bytes from the client, or in those to it.
        at_bytes: After how many bytes of that direction; they are still passed on.
        delay_s: How long each read is held back.
        piece_bytes: Lengths of the pieces that a trickle passes on, in turn.
    """

    kind: Kind = Kind.NONE
    up: bool = False
    at_bytes: int = 0
    delay_s: float = 0.0
    piece_bytes: tuple[int, ...] = ()


def draw(seed: int, number: int) -> Fault:
    """Return the fault of the n-th connection."""
    dice = random.Random(f"{seed}/{number}")
    (kind,) = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))
    up = dice.random() < UP_SHARE
    at_bytes = dice.randint(*dice.choice(UP_BYTES if up else DOWN_BYTES))
    delay_s = dice.uniform(*DELAYS_S) if kind is Kind.DELAY else 0.0
    pieces: tuple[int, ...] = ()
    if kind is Kind.TRICKLE:
        # A thousand pieces a second at most: the rest of a long answer would take for ever.
        at_bytes = min(at_bytes, 4_000)
        pieces = tuple(dice.randint(*PIECES_BYTES) for _ in range(16))
    return Fault(kind, up, at_bytes, delay_s, pieces)
