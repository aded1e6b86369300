"""What a setting's value may be, continued: the weights of candidates."""

from dataclasses import dataclass

from tokenferry.config.rules import Integer, PlainRule, Refused, refuse_all, type_of


@dataclass(frozen=True)
class Integers(PlainRule):
    """A list of whole numbers.

    Attributes:
        item: The rule of each.
        high: How many at most.
    """

    item: Integer
    high: int
    kind = "array of integers"

    def accept(self, value: object) -> tuple[int, ...]:
        """Accept a list of integers within their limits."""
        if not isinstance(value, list):
            raise Refused(f"is {type_of(value)}, not an array", "write it as [3, 1]")
        if len(value) > self.high:
            raise Refused(f"has {len(value)} items", f"write at most {self.high}")
        numbers: list[int] = []
        refusals: list[Refused] = []
        for index, item in enumerate(value):
            try:
                numbers.append(self.item.accept(item))
            except Refused as exc:
                refusals.append(Refused(f"has an item that {exc.problem}", exc.remedy, (index,)))
        refuse_all(refusals)
        return tuple(numbers)

    def range(self) -> str:
        """Return the limits."""
        return f"at most {self.high} of: {self.item.range()}"
