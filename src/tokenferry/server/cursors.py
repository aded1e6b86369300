"""Cursors of lists: how one page says where the next one begins.

They name the last entry of a page, not its place, so that what comes new shifts nothing.
"""

from tokenferry.errors import InvalidRequest

# What fits 64 bits.
_DIGITS_MAX = 18


def number_of(cursor: str) -> int:
    """Return the number that a cursor is.

    Raises:
        InvalidRequest: If it is none.
    """
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > _DIGITS_MAX:
        raise InvalidRequest("`before` must be the `next` of the page before.", param="before")
    return int(cursor)


def moment_of(cursor: str) -> tuple[int, str] | None:
    """Return the moment and the name that a cursor is made of; None for an empty one.

    Raises:
        InvalidRequest: If it is none of `cursor_of`.
    """
    if not cursor:
        return None
    moment, _, name = cursor.partition(".")
    return number_of(moment), name


def cursor_of(moment_ms: int, name: str) -> str:
    """Return the cursor that stands for an entry."""
    return f"{moment_ms}.{name}"
