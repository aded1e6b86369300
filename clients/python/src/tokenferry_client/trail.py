"""What a client has of one stream: a position, and the text that led to it.

Source: spec/PROTOCOL.md, section 5. A chunk is applied whole or not at all, and only if it begins
where the last one ended. Weakness: the text is kept until the stream ends, for the case that part
of it must be taken back; the server's limit on a stream's log bounds it.
"""

from enum import Enum


class Fit(Enum):
    """How records fit behind what the client has."""

    NEXT = "next"
    KNOWN = "known"
    GAP = "gap"


class Trail:
    """The records that a client has applied.

    Args:
        epoch: The epoch of the position it begins at; 0 when the stream is not known yet.
        after: The seq of that position.
    """

    __slots__ = ("_choices", "_origin", "_pieces", "after", "epoch")

    def __init__(self, epoch: int = 0, after: int = 0) -> None:
        self.epoch = epoch
        self.after = after
        self._origin = after
        self._pieces: list[tuple[int, int, str]] = []
        self._choices = 1

    @property
    def empty(self) -> bool:
        """Whether nothing has been applied."""
        return not self._pieces

    def fit(self, epoch: int, first: int, last: int) -> Fit:
        """Say what is to be done with the records `first`..`last`.

        A merged chunk of which a part is known is a gap: it cannot be split.
        """
        if epoch != self.epoch:
            return Fit.KNOWN if epoch < self.epoch else Fit.GAP
        if last <= self.after:
            return Fit.KNOWN
        return Fit.NEXT if first == self.after + 1 else Fit.GAP

    def apply(self, last: int, index: int, text: str) -> None:
        """Take the records up to `last`, which `fit`."""
        self._pieces.append((last, index, text))
        self._choices = max(self._choices, index + 1)
        self.after = last

    def rewind(self, epoch: int, keep_through: int) -> None:
        """Drop what is beyond `keep_through`, and go over to another epoch.

        Of a merged chunk that reaches beyond, nothing stays; `after` then is less than
        `keep_through`.
        """
        while self._pieces and self._pieces[-1][0] > keep_through:
            self._pieces.pop()
        self._origin = min(self._origin, keep_through)
        self.after = self._pieces[-1][0] if self._pieces else self._origin
        self.epoch = epoch

    def texts(self) -> tuple[str, ...]:
        """Return the text of each choice, since the beginning of this trail.

        Also of those of which nothing stands any more.
        """
        parts: list[list[str]] = [[] for _ in range(self._choices)]
        for _, index, text in self._pieces:
            parts[index].append(text)
        return tuple("".join(part) for part in parts)
