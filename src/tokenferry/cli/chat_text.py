"""What a terminal may be shown of a text that somebody else wrote.

A terminal takes some characters for orders: to move, to change its title, to answer in the user's
place. None of them gets through; each leaves a mark in its place.

Source: ECMA-48 (C0, C1); Unicode, "Bidirectional Algorithm" (UAX 9) for the marks that turn text
around. Weakness: letters that look alike stay as they are.
"""

from typing import Final

_KEPT: Final = "\n\t"
# Control Pictures, U+2400: what stands for a control character, at its distance.
_PICTURES: Final = 0x2400
_DELETE_PICTURE: Final = 0x2421
_UNKNOWN: Final = "�"
# Those that turn around what follows: embeddings, overrides and isolates.
_TURNING: Final = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
# They end a line for some terminals and none for others.
_LINE_ENDS: Final = (0x2028, 0x2029)


def _table() -> dict[int, str]:
    table = {code: chr(_PICTURES + code) for code in range(0x20) if chr(code) not in _KEPT}
    table[0x7F] = chr(_DELETE_PICTURE)
    table |= dict.fromkeys(range(0x80, 0xA0), _UNKNOWN)
    table |= dict.fromkeys(_TURNING, _UNKNOWN)
    table |= dict.fromkeys(_LINE_ENDS, "\n")
    # Half of a pair cannot be written at all.
    table |= dict.fromkeys(range(0xD800, 0xE000), _UNKNOWN)
    return table


_SHOWN: Final = _table()


def harmless(text: str) -> str:
    """Return a text with a mark in place of everything that a terminal would obey.

    It goes character by character, so that the pieces of a text may be given one by one.
    """
    return text.translate(_SHOWN)
