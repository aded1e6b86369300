"""E-mail addresses in one form, so that one person's address is one account.

What people type is trimmed, composed (NFC) and put into lower case; the domain is kept in its
Unicode form. Local parts may be Korean, as RFC 6531 allows.

Source: RFC 5321, sections 4.1.2 and 4.5.3.1; RFC 6531, section 3.3; RFC 3490 for domains.
Weakness: quoted local parts are refused, which nobody has. Domains follow IDNA 2003, as the
standard library does, in which `ß` and `ss` are one. A local part's case may count at its server;
at none that is known does it.
"""

import re
import unicodedata

# RFC 5321, 4.5.3.1, in octets; 254 is what fits a path with its brackets.
LOCAL_BYTES_MAX = 64
ADDRESS_BYTES_MAX = 254
# Longer than that is not even looked at.
_TYPED_CHARACTERS_MAX = 1_000

_SPECIALS = frozenset('"(),:;<>@[\\]')
_ASCII_DOMAIN = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]"
)


def normalise_email(text: str) -> str | None:
    """Return an address as it is stored and compared, or None if it is none."""
    if len(text) > _TYPED_CHARACTERS_MAX:
        return None
    composed = unicodedata.normalize("NFC", text.strip()).lower()
    local, at, domain = composed.rpartition("@")
    # Lower case may take a letter apart again.
    local = unicodedata.normalize("NFC", local)
    ascii_domain = domain_to_ascii(domain)
    if not at or ascii_domain is None or not _is_local_part(local):
        return None
    unicode_domain = unicodedata.normalize("NFC", ascii_domain.encode().decode("idna"))
    address = f"{local}@{unicode_domain}"
    if len(f"{local}@{ascii_domain}".encode()) > ADDRESS_BYTES_MAX:
        return None
    return address


def email_part(text: str) -> str:
    """Return a part of an address as it is found in normalised ones."""
    return unicodedata.normalize("NFC", text.strip().lower())


def domain_to_ascii(domain: str) -> str | None:
    """Return a domain as the DNS and mail servers know it, or None if it is none."""
    try:
        encoded = domain.encode("idna").decode().lower()
        # What the DNS takes and nobody can show is refused as well.
        encoded.encode().decode("idna")
    except UnicodeError:
        return None
    return encoded if _ASCII_DOMAIN.fullmatch(encoded) else None


def _is_local_part(text: str) -> bool:
    if not text or not text.isprintable() or any(each.isspace() for each in text):
        return False
    if text[0] == "." or text[-1] == "." or ".." in text or not _SPECIALS.isdisjoint(text):
        return False
    return len(text.encode()) <= LOCAL_BYTES_MAX
