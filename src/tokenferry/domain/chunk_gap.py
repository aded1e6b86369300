"""How far apart the chunks of an answer came.

Source: our own, see docs/decisions/0016-telemetry.md. Weakness: a mean hides a stall.
"""


def mean_gap_s(chunks: int, first_s: float | None, last_s: float | None) -> float | None:
    """Return the mean time between the chunks of an answer; None where there is none to tell.

    Args:
        chunks: How many they were.
        first_s: When the first one came, in seconds of a clock that does not go back.
        last_s: When the finish reason came; None if it did not.
    """
    if first_s is None or last_s is None or last_s < first_s or chunks < 2:  # noqa: PLR2004 -- a gap takes two
        return None
    return (last_s - first_s) / (chunks - 1)
