"""The form of a voucher's code, `TF-XXXX-XXXX-XXXX-XXXX-XXXX`, and its hash.

Nineteen random characters of 32 are 95 bits: nobody guesses one. The last character is a check
over the others, which finds every single wrong character and all but one in 32 of the swapped
ones before anything is looked up. Only a hash of the code is stored.

Source: Crockford's base 32 for the alphabet: without I, L, O, U; the first three are read as the
digits that they look like.
Weakness: the check finds accidents, not attackers; anybody can compute it.
"""

import hashlib

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM_CHARACTERS = 19
# 95 bits of them are used; the byte to spare is cut off.
RANDOM_BYTES = 12
GROUP_CHARACTERS = 4
PREFIX = "TF"
CODE_CHARACTERS_MAX = 64
# Of a million vouchers, two are alike with a chance of one in 37 million; then none is stored.
VOUCHER_ID_BYTES = 8

_READ_AS = str.maketrans({"I": "1", "L": "1", "O": "0"})
_BITS_PER_CHARACTER = 5


def code_from_random(random: bytes) -> str:
    """Return a new code made from `RANDOM_BYTES` random bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a code takes {RANDOM_BYTES} random bytes, not {len(random)}")
    number = int.from_bytes(random)
    characters = []
    for _ in range(RANDOM_CHARACTERS):
        characters.append(ALPHABET[number % len(ALPHABET)])
        number >>= _BITS_PER_CHARACTER
    body = "".join(characters)
    return _grouped(body + _check(body))


def parse_code(text: str) -> str | None:
    """Return a code in its one form, or None if the text is none.

    Case, blanks and hyphens do not matter.
    """
    if len(text) > CODE_CHARACTERS_MAX or not text.isascii():
        return None
    letters = text.upper().replace("-", "").replace(" ", "").strip()
    if not letters.startswith(PREFIX):
        return None
    body = letters.removeprefix(PREFIX).translate(_READ_AS)
    if len(body) != RANDOM_CHARACTERS + 1 or not set(body) <= set(ALPHABET):
        return None
    return _grouped(body) if _check(body[:-1]) == body[-1] else None


def hash_code(code: str) -> bytes:
    """Return the 32 bytes that are stored in place of a code in its one form.

    A plain SHA-256, as for the secrets of keys: 95 random bits are not found by trying.
    """
    return hashlib.sha256(code.encode()).digest()


def _grouped(body: str) -> str:
    groups = [body[at : at + GROUP_CHARACTERS] for at in range(0, len(body), GROUP_CHARACTERS)]
    return "-".join([PREFIX, *groups])


def _check(body: str) -> str:
    """Return the character that makes the weighted sum what it should be.

    Weights are odd, so that each has an inverse modulo 32 and a single wrong character shows.
    """
    total = sum((2 * at + 1) * ALPHABET.index(letter) for at, letter in enumerate(body))
    return ALPHABET[total % len(ALPHABET)]
