"""Cuts text into the pieces that the simulator streams and counts as its tokens.

Pieces join back to the same text, and no piece begins inside a character as a reader sees it
(an extended grapheme cluster), so that a piece can be displayed the moment it arrives.

Source: Unicode Standard Annex 29, section 3.1 (grapheme cluster boundaries), as far as the
standard library knows the properties.
Weakness: where UAX 29 needs a property that `unicodedata` lacks, the rules here join more than
it asks for, never less. Real tokenizers cut differently; the counts are of this simulator only.
"""

import unicodedata
from collections.abc import Iterable, Iterator

# Extend or SpacingMark by UAX 29 although their category is not M: ZWNJ and ZWJ, the Thai and Lao
# vowel AM, the half-width katakana voicing marks.
_EXTENDING = frozenset("\u200c\u200d\u0e33\u0eb3\uff9e\uff9f")
# Prepend: signs that are written before the digits or letter that they belong to.
_PREPENDING = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e"
    "\U000110bd\U000110cd\U000111c2\U000111c3\U0001193f\U00011941\U00011a3a\U00011f02"
)
_ZWJ = "\u200d"
_VIRAMA_CLASS = 9  # Canonical_Combining_Class of the signs that bind two consonants

# Beyond this many characters a prompt's count is projected from its beginning: counting costs
# about 1 µs a character, and a prompt may have millions.
COUNTED_CHARACTERS_MAX = 4_096

# Roughly as today's tokenizers do: a word with the space before it is one token, long words two.
_WORD_CHARACTERS_MAX = 10
_SPACES_MAX = 16
_NEWLINES_MAX = 2
_REPEATS_MAX = 3


def clusters(text: str) -> Iterator[str]:
    """Yield the characters of `text` as a reader sees them."""
    start = 0
    for at in range(1, len(text)):
        if not _belongs(text, start, at):
            yield text[start:at]
            start = at
    if text:
        yield text[start:]


def _belongs(text: str, start: int, at: int) -> bool:
    """Return whether the character at `at` belongs to the cluster that began at `start`."""
    this, before = text[at], text[at - 1]
    if before in _PREPENDING:
        return True
    if this.isascii():
        return before == "\r" and this == "\n"
    if _is_regional(this):
        return at - start == 1 and _is_regional(before)
    if is_hangul(this) and is_hangul(before):
        return _joins_syllable(before, this)
    return before == _ZWJ or _extends(this) or _is_bound_consonant(text, start, at)


def _extends(character: str) -> bool:
    """Return whether a character never begins a cluster."""
    return (
        character in _EXTENDING
        or unicodedata.category(character)[0] == "M"
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= character <= "\U000e007f"  # the letters of a subdivision's flag
    )


def _is_bound_consonant(text: str, start: int, at: int) -> bool:
    """Return whether an Indic consonant is bound to the one before it; rule GB9c."""
    return unicodedata.category(text[at]) == "Lo" and any(
        unicodedata.combining(mark) == _VIRAMA_CLASS for mark in text[start + 1 : at]
    )


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _joins_syllable(before: str, this: str) -> bool:
    """Return whether conjoining jamo make one syllable; a superset of rules GB6 to GB8."""
    if _is_leading_jamo(before):
        return not "\u3130" <= this <= "\u318f"
    if "\u3130" <= before <= "\u318f":
        return False
    return "\u1160" <= this <= "\u11ff" or "\ud7b0" <= this <= "\ud7ff"


def _is_leading_jamo(character: str) -> bool:
    return "\u1100" <= character <= "\u115f" or "\ua960" <= character <= "\ua97f"


def is_hangul(character: str) -> bool:
    """Return whether a character is a Hangul syllable or jamo."""
    return (
        "\uac00" <= character <= "\ud7ff"
        or "\u1100" <= character <= "\u11ff"
        or "\u3130" <= character <= "\u318f"
        or "\ua960" <= character <= "\ua97f"
    )


def is_han_or_kana(character: str) -> bool:
    """Return whether a character is written without spaces between words, as in Japanese."""
    return is_kana(character) or (
        "\u3400" <= character <= "\u9fff"
        or "\uf900" <= character <= "\ufaff"
        or "\U00020000" <= character <= "\U0003ffff"
    )


def is_kana(character: str) -> bool:
    """Return whether a character is hiragana or katakana."""
    return "\u3040" <= character <= "\u30ff" or "\uff66" <= character <= "\uff9f"


def _kind(character: str) -> str:
    if character.isspace():
        return "newline" if character in "\r\n" else "space"
    if is_hangul(character):
        return "hangul"
    if is_han_or_kana(character):
        return "unspaced"
    return "word" if character.isalnum() else "mark"


def _length_max(kind: str, first: str) -> int:
    """Return how many clusters a piece takes; varied by its first character, as in real ones."""
    match kind:
        case "hangul":
            return 1 + ord(first[0]) % 3
        case "unspaced":
            return 1 + ord(first[0]) % 2
        case "word":
            return _WORD_CHARACTERS_MAX
        case "space":
            return _SPACES_MAX
        case "newline":
            return _NEWLINES_MAX
        case _:
            return _REPEATS_MAX


def pieces(text: str) -> list[str]:
    """Return `text` cut into pieces; joined, they are `text` again."""
    found: list[str] = []
    piece = last = ""
    piece_kind, room = "", 0
    for cluster in clusters(text):
        kind = _kind(cluster[0])
        if piece == " " and kind not in ("space", "newline"):
            piece, piece_kind, room = piece + cluster, kind, _length_max(kind, cluster) - 1
        elif kind == piece_kind and room and (kind != "mark" or cluster == last):
            piece, room = piece + cluster, room - 1
        else:
            if piece:
                found.append(piece)
            piece, piece_kind, room = cluster, kind, _length_max(kind, cluster) - 1
        last = cluster
    if piece:
        found.append(piece)
    return found


def count_tokens(texts: Iterable[str]) -> int:
    """Return the number of pieces in all texts together.

    Exact up to `COUNTED_CHARACTERS_MAX` characters, projected in proportion beyond.
    """
    counted = characters_counted = characters = 0
    for text in texts:
        sample = text[: COUNTED_CHARACTERS_MAX - characters_counted]
        counted += len(pieces(sample)) if sample else 0
        characters_counted += len(sample)
        characters += len(text)
    if characters == characters_counted:
        return counted
    return -(-counted * characters // characters_counted)


def quote(text: str, characters_max: int) -> str:
    """Return the beginning of `text`, cut between clusters, with an ellipsis if it was cut."""
    text = text.strip()
    if len(text) <= characters_max:
        return text
    kept = ""
    # One character more than fits, so that a cluster which the limit cuts is seen to be longer.
    for cluster in clusters(text[: characters_max + 1]):
        if len(kept) + len(cluster) > characters_max:
            break
        kept += cluster
    return kept.rstrip() + "…"
