"""The form of an API key, `tf_ID_SECRET_CHECKSUM`: a mistyped or foreign key is told at once.

The checksum is a CRC-32 over everything before the last underscore, in base 62.

Source: spec/vectors/api_key.json, which the server is tested with as well. Weakness: whether a key
is known, only the server can tell.
"""

import re
import zlib
from typing import Final

from tokenferry_client.errors import InvalidKeyError

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM_CHARACTERS: Final = 6
_FORM: Final = re.compile(r"tf_[0-9A-Za-z]{12}_[0-9A-Za-z]{32}_[0-9A-Za-z]{6}")
_CHARACTERS: Final = 55


def check(key: str) -> None:
    """Look at a key's form; the messages never repeat the key.

    Raises:
        InvalidKeyError: If it cannot be a key of a Tokenferry gateway.
    """
    if not key:
        raise InvalidKeyError(
            "There is no API key. Pass `api_key`, or set the variable TOKENFERRY_API_KEY. "
            "A gateway prints its first key when it starts, and `tokenferry keys create NAME` more."
        )
    if key != key.strip():
        raise InvalidKeyError("The API key has blanks or a line's end around it. Remove them.")
    if not key.startswith("tf_"):
        raise InvalidKeyError(
            "The API key is none of a Tokenferry gateway: those begin with `tf_`. "
            "A language model provider's own key is not accepted here."
        )
    if _FORM.fullmatch(key) is None:
        raise InvalidKeyError(
            f"The API key is not whole: it has {len(key)} characters, and a key has {_CHARACTERS}: "
            "tf_ID_SECRET_CHECKSUM, letters and digits. Copy the whole key again."
        )
    body, _, checksum = key.rpartition("_")
    if _base62(zlib.crc32(body.encode())) != checksum:
        raise InvalidKeyError(
            "The API key is mistyped: its last six characters do not fit the others. Copy it again."
        )


def _base62(number: int) -> str:
    digits = ""
    for _ in range(_CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
