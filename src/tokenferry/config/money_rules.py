"""Rules for money and percentages, which are decimal texts and become integers."""

import re
from dataclasses import dataclass

from tokenferry.config.rules import PlainRule, Refused, shown, type_of
from tokenferry.domain.money import NANOS_PER_DOLLAR, format_dollars, parse_dollars

PPM_PER_PERCENT = 10_000
_PERCENT_DIGITS = 4
_PERCENT = re.compile(rf"(-?)(\d{{1,6}})(?:\.(\d{{1,{_PERCENT_DIGITS}}}))?")


@dataclass(frozen=True)
class Dollars(PlainRule):
    """An amount in USD as a decimal text, within whole dollars; stored in nano-dollars."""

    low: int
    high: int
    kind = "decimal text"

    def accept(self, value: object) -> int:
        """Accept a decimal text within the limits."""
        remedy = f'write a text such as "1.00", within {self.range()}'
        if not isinstance(value, str):
            raise Refused(f"is {type_of(value)}, not a text", remedy)
        nanos = parse_dollars(value)
        if nanos is None:
            raise Refused(f"is {shown(value)}, not an amount", remedy)
        if not self.low * NANOS_PER_DOLLAR <= nanos <= self.high * NANOS_PER_DOLLAR:
            raise Refused(f"is {format_dollars(nanos)}, out of range", remedy)
        return nanos

    def range(self) -> str:
        """Return the limits."""
        return f"{self.low}..{self.high} USD"


@dataclass(frozen=True)
class Percent(PlainRule):
    """A percentage as a decimal text, within limits; stored in parts per million."""

    low: int
    high: int
    kind = "decimal text"

    def accept(self, value: object) -> int:
        """Accept a decimal text within the limits."""
        remedy = f'write a text such as "12.5", within {self.range()}'
        if not isinstance(value, str):
            raise Refused(f"is {type_of(value)}, not a text", remedy)
        match = _PERCENT.fullmatch(value) if value.isascii() else None
        if match is None:
            raise Refused(f"is {shown(value)}, not a percentage", remedy)
        sign, whole, fraction = match.groups()
        ppm = int(whole) * PPM_PER_PERCENT + int((fraction or "").ljust(_PERCENT_DIGITS, "0"))
        ppm = -ppm if sign else ppm
        if not self.low * PPM_PER_PERCENT <= ppm <= self.high * PPM_PER_PERCENT:
            raise Refused(f"is {shown(value)}, out of range", remedy)
        return ppm

    def range(self) -> str:
        """Return the limits."""
        return f"{self.low}..{self.high} %"


@dataclass(frozen=True)
class Amount(PlainRule):
    """A price as a decimal text with so many digits after the point, or none; kept as written."""

    digits: int
    high: int
    kind = "decimal text"

    def accept(self, value: object) -> str:
        """Accept a decimal text above zero, in its shortest exact form."""
        fraction = f"(?:\\.\\d{{{self.digits}}})?" if self.digits else ""
        if not isinstance(value, str):
            raise Refused(f"is {type_of(value)}, not a text", f"write {self.range()}")
        if not re.fullmatch(f"[1-9]\\d{{0,8}}{fraction}", value, re.ASCII):
            raise Refused(f"is {shown(value)}, not an amount", f"write {self.range()}")
        if minor_units(value, self.digits) > self.high * 10**self.digits:
            raise Refused(f"is {shown(value)}, out of range", f"write {self.range()}")
        return value

    def range(self) -> str:
        """Return the limits."""
        return f"a text such as {self._example()}, 1..{self.high}"

    def _example(self) -> str:
        return '"5.00"' if self.digits else '"10000"'


def minor_units(amount: str, digits: int) -> int:
    """Return an amount that `Amount` has accepted in its currency's smallest unit."""
    whole, _, fraction = amount.partition(".")
    return int(whole + (fraction or "0" * digits))


@dataclass(frozen=True)
class Rate(PlainRule):
    """What another currency's unit costs, as a decimal text, or nothing; stored in millionths."""

    kind = "decimal text"

    def accept(self, value: object) -> int:
        """Accept a decimal text above zero; an empty one is none."""
        remedy = f"write {self.range()}"
        if not isinstance(value, str):
            raise Refused(f"is {type_of(value)}, not a text", remedy)
        if not value:
            return 0
        match = re.fullmatch(r"(\d{1,7})(?:\.(\d{1,6}))?", value, re.ASCII)
        millionths = int(match[1]) * 10**6 + int((match[2] or "").ljust(6, "0")) if match else 0
        if not millionths:
            raise Refused(f"is {shown(value)}, not a rate", remedy)
        return millionths

    def range(self) -> str:
        """Return the form."""
        return 'a text such as "1450.00"'
