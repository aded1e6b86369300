"""Joining of UTF-16 surrogate halves that a provider's JSON escapes have torn apart.

A provider that cuts its text by UTF-16 code units can send the two halves of one emoji as the
JSON escapes of two events. Each event alone is then no valid Unicode: msgspec refuses it, rightly,
and the standard library lets the half through. Nothing that leaves this module holds a half: it is
joined with its other one, or replaced by U+FFFD.

Source: RFC 8259, section 8.2; Unicode 17, section 3.9, "Surrogate code units" and the practice of
replacing what cannot be decoded. Weakness: a half that is held back delays one character until the
next text of the same block, or its end.
"""

import json
import re
from typing import Any, Final

REPLACEMENT: Final = "\ufffd"

_HALF = re.compile("[\ud800-\udfff]")
_HIGH = ("\ud800", "\udbff")


class SurrogateJoiner:
    """Joins halves across the fragments of one text.

    One joiner serves one text: the answer of a choice, its reasoning, the arguments of one call.
    """

    __slots__ = ("_high",)

    def __init__(self) -> None:
        self._high = ""

    @property
    def pending(self) -> bool:
        """Whether a high half is held back."""
        return bool(self._high)

    def push(self, text: str) -> str:
        """Take the next fragment and return what can be passed on, which may be empty."""
        if not text:
            return ""
        text = self._high + text
        self._high = ""
        if not _HALF.search(text):
            return text
        text = _join_pairs(text)
        if _HIGH[0] <= text[-1] <= _HIGH[1]:
            self._high = text[-1]
            text = text[:-1]
        return _HALF.sub(REPLACEMENT, text)

    def flush(self) -> str:
        """Take the end of the text: U+FFFD for a half that stayed alone, else nothing."""
        rest = REPLACEMENT if self._high else ""
        self._high = ""
        return rest


def loads(data: bytes) -> Any:
    """Decode JSON that msgspec refuses for its halves; they stay in the strings.

    Halves that came as bytes (CESU-8) are read as well. Strings that go into no joiner need
    `well_formed`.

    Raises:
        ValueError: If it is no JSON, or nested deeper than the interpreter can follow.
    """
    try:
        return json.loads(data.decode("utf-8", "surrogatepass"))
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def well_formed(value: Any, *, but: str | None = None) -> Any:
    """Return a decoded JSON value with the halves in all its strings joined or replaced.

    Args:
        value: The value.
        but: The key whose strings stay as they are, because they go into a joiner.

    Raises:
        ValueError: If it is nested deeper than the interpreter can follow.
    """
    try:
        return _well_formed(value, but)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def _well_formed(value: Any, but: str | None) -> Any:
    if isinstance(value, str):
        return _HALF.sub(REPLACEMENT, _join_pairs(value)) if _HALF.search(value) else value
    if isinstance(value, list):
        return [_well_formed(item, but) for item in value]
    if isinstance(value, dict):
        return {
            _well_formed(key, but): item
            if key == but and isinstance(item, str)
            else _well_formed(item, but)
            for key, item in value.items()
        }
    return value


def _join_pairs(text: str) -> str:
    """Return the text with each high half that stands before a low one made into one character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
