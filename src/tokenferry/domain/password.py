"""What a password may be.

Long rather than of many kinds of characters, and none of those that everybody tries first.

Source: NIST SP 800-63B-4, section 3.1.1.2 (length, normalisation, block list, no composition
rules), 2025. Weakness: the block list is short: well-known ones of ten or more characters, those
of a Korean keyboard included (`dkssudgktpdy` is 안녕하세요); it is no list of what has leaked.
"""

import unicodedata

CHARACTERS_MIN = 10
# More would only make hashing slow.
CHARACTERS_MAX = 256

_COMMON_WORDS = """
    0123456789 0987654321 1234567890 12345678910 123456789a 1234567891 123123123123 1212121212
    1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx3edc 1234qwerasdf 123qweasdzxc a123456789 aa12345678 a1234567890
    abc1234567 abcd123456 abcdefghij abcdefghijk asdfghjkl; asdfasdfasdf iloveyou123 iloveyou12
    letmein123 changeme123 changeme1234 password01 password11 password12 password123 password1234
    password12345 passw0rd123 p@ssw0rd123 p@ssword123 p@ssw0rd1234 administrator admin12345
    admin123456 qwerty12345 qwerty123456 qwertyuiop qwertyuiop1 qwertyuiop[] qwer1234qwer
    qwerasdfzxcv q1w2e3r4t5 q1w2e3r4t5y6 welcome123 welcome1234 zaq12wsxcde3 zxcvbnm123 tokenferry
    tokenferry1 tokenferry123 dkssudgktpdy dkssudgktpdy1 qlalfqjsgh1 qlalfqjsgh1234 tkfkdgo1234
    rladbswl123 wkaehtkqslek
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def normalise_password(text: str) -> str:
    """Return a password as it is hashed: Hangul typed on a Mac and elsewhere is the same."""
    return unicodedata.normalize("NFC", text)


def password_fault(password: str, email: str) -> str | None:
    """Return why a (normalised) password cannot be one, as a sentence; None if it can.

    Args:
        password: From `normalise_password`.
        email: The account's (normalised) address.
    """
    if not CHARACTERS_MIN <= len(password) <= CHARACTERS_MAX:
        return f"A password has {CHARACTERS_MIN} to {CHARACTERS_MAX} characters."
    if any("\ud800" <= character <= "\udfff" for character in password):
        return "The password has a character that is none."
    folded = password.lower()
    if folded in (email, email.partition("@")[0]):
        return "The password is the e-mail address; choose another one."
    if folded in _COMMON or len(set(folded)) == 1:
        return "The password is one of those that are tried first; choose another one."
    return None
