"""The form of an API key, `tf_<public id>_<secret>_<checksum>`, and how a request carries one.

The public id names the key in lists and logs. The checksum is a CRC-32 over everything before
the last underscore, so that a mistyped, cut or foreign key is told apart from an unknown one
without a look into the store. Only a hash of the secret is ever stored.

Source: RFC 9110 section 11.6.2 and RFC 6750 section 2.1 for the header.
Weakness: the checksum finds accidents, not attackers; anybody can compute it.
"""

import hashlib
import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tokenferry.domain.allowance import NO_OWN_LIMITS, KeyLimits
from tokenferry.domain.ledger import OPERATOR
from tokenferry.errors import MalformedKey, MissingKey

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# 62^12 is about 2^71: among ten million keys, two are alike with a chance of one in 60 million.
PUBLIC_ID_CHARACTERS = 12
# 62^32 is about 2^190: nobody guesses it.
SECRET_CHARACTERS = 32
# 62^6 > 2^32, so that it holds every CRC-32.
CHECKSUM_CHARACTERS = 6
# Both are cut down to base62 by a modulo; 56 bits to spare make its bias unnoticeable.
RANDOM_BYTES = 48
_PUBLIC_ID_BYTES = 16
# A list of models that is longer is meant as "all but a few", which is another thing.
MODELS_MAX = 100
MODEL_CHARACTERS_MAX = 300
# Fits a line of `tokenferry keys list`.
NAME_CHARACTERS_MAX = 64

_FORM = re.compile(
    rf"tf_([0-9A-Za-z]{{{PUBLIC_ID_CHARACTERS}}})_([0-9A-Za-z]{{{SECRET_CHARACTERS}}})"
    rf"_([0-9A-Za-z]{{{CHECKSUM_CHARACTERS}}})"
)
_MALFORMED = (
    "The API key does not have the form of a Tokenferry key, tf_ID_SECRET_CHECKSUM. "
    "Copy the whole key again; a provider's own key is not accepted here."
)
_NO_HEADER = "No API key came with the request. Send the header `Authorization: Bearer YOUR_KEY`."
# Names that may be repeated in an error; any other first word could be a part of a secret.
_OTHER_SCHEMES = frozenset({"apikey", "basic", "digest", "key", "negotiate", "token"})


class ParsedKey(NamedTuple):
    """The two parts of a key that mean something."""

    public_id: str
    secret: str

    def __repr__(self) -> str:
        """Leave the secret out of logs and tracebacks."""
        return f"ParsedKey({self.public_id!r}, ***)"


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What a key may do.

    Attributes:
        account_id: Who pays; it never changes.
        models: The only model names that it may ask for; None for all.
        budget_nanos: What it may spend in a calendar month, UTC; None for no limit.
        expires_at_ms: Unix time until which it is good; None for ever.
        limits: What it may have a minute and at a time, apart from what keys have as a rule.
    """

    account_id: str = OPERATOR
    models: tuple[str, ...] | None = None
    budget_nanos: int | None = None
    expires_at_ms: int | None = None
    limits: KeyLimits = NO_OWN_LIMITS


UNLIMITED = KeyTerms()


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as it is stored.

    Attributes:
        public_id: Names the key; safe to show.
        name: What its owner calls it.
        secret_hash: See `hash_secret`.
        created_at_ms: Unix time.
        revoked_at_ms: Unix time, None while the key is good.
        terms: What it may do.
        suspended: Whether its account is suspended now.
    """

    public_id: str
    name: str
    secret_hash: bytes
    created_at_ms: int
    revoked_at_ms: int | None = None
    terms: KeyTerms = UNLIMITED
    suspended: bool = False


def format_key(public_id: str, secret: str) -> str:
    """Return the key's text."""
    body = f"tf_{public_id}_{secret}"
    return f"{body}_{_checksum(body)}"


def parse_key(text: str) -> ParsedKey | None:
    """Return the parts of a key, or None if the text is not the form of one."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    public_id, secret, checksum = match.groups()
    if _checksum(text[: -CHECKSUM_CHARACTERS - 1]) != checksum:
        return None
    return ParsedKey(public_id, secret)


def require_key(text: str) -> ParsedKey:
    """Return the parts of a key.

    Raises:
        MalformedKey: If the text is not the form of one.
    """
    key = parse_key(text)
    if key is None:
        raise MalformedKey(_MALFORMED)
    return key


def key_from_random(random: bytes) -> ParsedKey:
    """Return a new key made from `RANDOM_BYTES` random bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a key takes {RANDOM_BYTES} random bytes, not {len(random)}")
    return ParsedKey(
        _base62(int.from_bytes(random[:_PUBLIC_ID_BYTES]), PUBLIC_ID_CHARACTERS),
        _base62(int.from_bytes(random[_PUBLIC_ID_BYTES:]), SECRET_CHARACTERS),
    )


def hash_secret(secret: str) -> bytes:
    """Return the 32 bytes that are stored in place of the secret.

    A plain SHA-256: slow hashes protect passwords that people choose, which can be guessed.
    This secret is 190 random bits, so that no guessing helps, and it is checked on every request.
    """
    return hashlib.sha256(secret.encode()).digest()


def bearer_token(header: str | None) -> str:
    """Return what follows `Bearer ` in an Authorization header.

    Raises:
        MissingKey: If there is no header, or nothing in it.
        MalformedKey: If the header is of another form. The message never repeats what came,
            apart from the name of a well-known scheme.
    """
    if header is None:
        raise MissingKey(_NO_HEADER)
    words = header.split()
    if not words or (len(words) == 1 and words[0].lower() == "bearer"):
        raise MissingKey(_NO_HEADER)
    scheme, *rest = words
    if scheme.lower() != "bearer":
        raise MalformedKey(
            f"The Authorization header came with {_shape(scheme, rest)}. "
            "Write it as `Authorization: Bearer YOUR_KEY`."
        )
    if len(rest) != 1:
        raise MalformedKey(
            f"The Authorization header has {len(rest)} words after `Bearer`; a key is one word. "
            "Write it as `Authorization: Bearer YOUR_KEY`."
        )
    return rest[0]


def clean_name(name: str) -> str | None:
    """Return a key's name as it is stored, or None if it cannot be one.

    A name has 1 to `NAME_CHARACTERS_MAX` printable characters. Hangul that came decomposed, as
    macOS file names are, is composed, so that equal names are equal.
    """
    cleaned = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(cleaned) <= NAME_CHARACTERS_MAX or not cleaned.isprintable():
        return None
    return cleaned


def clean_models(names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the models of a key as they are stored, or None if they cannot be that."""
    cleaned = tuple(dict.fromkeys(unicodedata.normalize("NFC", name).strip() for name in names))
    fits = all(0 < len(name) <= MODEL_CHARACTERS_MAX and name.isprintable() for name in cleaned)
    return cleaned if fits and 0 < len(cleaned) <= MODELS_MAX else None


def _shape(scheme: str, rest: list[str]) -> str:
    if scheme.lower() in _OTHER_SCHEMES:
        return f"the scheme `{scheme}` in place of `Bearer`"
    if not rest:
        return "one word, without `Bearer ` before it"
    return f"{len(rest) + 1} words, of which the first is not `Bearer`"


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_CHARACTERS)


def _base62(number: int, characters: int) -> str:
    digits = []
    for _ in range(characters):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
