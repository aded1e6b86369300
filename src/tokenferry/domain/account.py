"""An account, and the tokens that stand for its owner: logins, and links in mails.

A token is a prefix and 256 random bits. Only its hash is stored, as for API keys: what nobody can
guess needs no slow hash.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Literal

Role = Literal["admin", "member"]
State = Literal["unverified", "active", "suspended"]
Language = Literal["en", "ko"]
Purpose = Literal["verify", "reset"]

RANDOM_BYTES = 32
ID_BYTES = 9
SESSION_PREFIX = "ts_"
MAIL_PREFIXES: dict[Purpose, str] = {"verify": "tv_", "reset": "tr_"}
# Fits an administrator's list and a line of a log.
REASON_CHARACTERS_MAX = 200

# 32 bytes are 43 characters of base64url without padding.
_TOKEN = re.compile(r"(ts_|tv_|tr_)[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Account:
    """Who may use the gateway, and pays for it.

    Attributes:
        account_id: Names it; safe to show.
        email: See `email_address`; None for the operator's own.
        role: An `admin` may administer the others.
        state: What it may do: nothing yet, everything, nothing any more.
        language: Of its mails.
        created_ms: Unix time.
        suspended_reason: For people; None unless suspended.
    """

    account_id: str
    email: str | None
    role: Role
    state: State
    language: Language
    created_ms: int
    suspended_reason: str | None = None


def id_from_random(random: bytes) -> str:
    """Return a new account's id, made from `ID_BYTES` random bytes."""
    if len(random) != ID_BYTES:
        raise ValueError(f"an account's id takes {ID_BYTES} random bytes, not {len(random)}")
    return f"acc_{random.hex()}"


def token_from_random(prefix: str, random: bytes) -> str:
    """Return a new token, made from `RANDOM_BYTES` random bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a token takes {RANDOM_BYTES} random bytes, not {len(random)}")
    return prefix + base64.urlsafe_b64encode(random).decode().rstrip("=")


def token_hash(token: str, prefix: str) -> bytes | None:
    """Return the 32 bytes that are stored for a token; None if it has not the form of one."""
    match = _TOKEN.fullmatch(token)
    if match is None or match[1] != prefix:
        return None
    return hashlib.sha256(token.encode()).digest()


def clean_reason(text: str) -> str | None:
    """Return a reason as it is stored, or None if it is too long or no line of text."""
    cleaned = text.strip()
    if len(cleaned) > REASON_CHARACTERS_MAX or not cleaned.isprintable():
        return None
    return cleaned
