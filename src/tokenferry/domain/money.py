"""Money: whole nano-dollars (1e-9 USD), and their decimal form. There is no float.

A price is nano-dollars per million tokens, so that the cheapest published ones (0.003 USD per
million tokens) are whole numbers. What a stream costs is therefore exact in units of
nano-dollars / 1,000,000, and is rounded up to a nano-dollar once, at the end.
"""

import re

NANOS_PER_DOLLAR = 1_000_000_000
NANO_DIGITS = 9
# A billion dollars: nine such amounts fit SQLite's integers, which end at 9.2e18.
AMOUNT_NANOS_MAX = 10**18
_DECIMAL = re.compile(r"(-?)(\d{1,10})(?:\.(\d{1,9}))?")
_SHOWN_DIGITS_MIN = 2


def parse_dollars(text: str) -> int | None:
    """Return the nano-dollars of a decimal text such as `5.00`, or None if it is not one.

    Up to nine digits may follow the point; nothing is rounded. Only ASCII digits count, without
    exponent, sign `+` or grouping.
    """
    match = _DECIMAL.fullmatch(text) if text.isascii() else None
    if match is None:
        return None
    sign, whole, fraction = match.groups()
    nanos = int(whole) * NANOS_PER_DOLLAR + int((fraction or "").ljust(NANO_DIGITS, "0"))
    if nanos > AMOUNT_NANOS_MAX:
        return None
    return -nanos if sign else nanos


def format_dollars(nanos: int) -> str:
    """Return an amount as a decimal text, exactly, with two digits after the point or more."""
    whole, fraction = divmod(abs(nanos), NANOS_PER_DOLLAR)
    digits = f"{fraction:0{NANO_DIGITS}d}".rstrip("0").ljust(_SHOWN_DIGITS_MIN, "0")
    return f"{'-' if nanos < 0 else ''}{whole}.{digits}"
