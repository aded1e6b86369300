"""Who waits for a slot, and who is next: classes in order, accounts alike, nobody for ever.

Three classes, by OpenAI's `service_tier`. A higher class goes first, except that every
`LOWER_TURN`-th slot goes to the lower class whose next one has waited beyond its patience: a class
above that is never empty slows the others down, and does not starve them.

Inside a class, accounts take turns by the work that they bring, not by the number of their
requests: start-time fair queueing. What one account has lined up does not delay another one by more
than one entry of each account in front. Nor does it keep another one out of a line that is full.

Source: P. Goyal, H. M. Vin, H. Cheng, "Start-time Fair Queueing", SIGCOMM 1996, for the tags.
Weakness: a position in the line costs a walk over the accounts that wait; it is asked for a few
times a second.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

ServiceClass = Literal["priority", "default", "flex"]
# In their order.
CLASSES: Final[tuple[ServiceClass, ...]] = ("priority", "default", "flex")
NS_PER_S: Final = 1_000_000_000
# After how long a class that waits gets some of the slots of those above it.
PATIENCE_NS: Final[dict[ServiceClass, int]] = {
    "priority": 0,
    "default": 5 * NS_PER_S,
    "flex": 60 * NS_PER_S,
}
LOWER_TURN: Final = 8
# Beyond so many, those are forgotten who owe nothing any more.
GONE_MAX: Final = 1_000


def class_of(service_tier: str | None) -> ServiceClass:
    """Return the class of a request by its `service_tier`; what is not known waits as usual."""
    if service_tier == "priority":
        return "priority"
    return "flex" if service_tier == "flex" else "default"


class Entry(NamedTuple):
    """Somebody who waits.

    Attributes:
        entry_id: Names it.
        account: Whose it is.
        cost: How much work it brings, in tokens; at least 1.
        since_ns: Monotonic time from which it has waited.
        until_ns: Monotonic time at which it gives up; None for never.
    """

    entry_id: str
    account: str
    cost: int
    since_ns: int
    until_ns: int | None


IsReady = Callable[[Entry], bool]


def _anybody(_: Entry) -> bool:
    return True


class _Line:
    """What one account has lined up in a class."""

    __slots__ = ("entries", "finish")

    def __init__(self) -> None:
        # In order of arrival, each with its start tag.
        self.entries: OrderedDict[str, tuple[int, Entry]] = OrderedDict()
        self.finish = 0


class _Class:
    """The accounts that wait in one class."""

    def __init__(self) -> None:
        self.lines: dict[str, _Line] = {}
        self.length = 0
        # Virtual time: the start tag of whom was served last.
        self.now = 0
        # How far accounts that do not wait just now have come, if further than that.
        self._gone: dict[str, int] = {}

    def push(self, entry: Entry) -> None:
        line = self.lines.get(entry.account)
        if line is None:
            line = self.lines[entry.account] = _Line()
            line.finish = self._gone.pop(entry.account, 0)
        start = max(self.now, line.finish)
        line.finish = start + entry.cost
        line.entries[entry.entry_id] = (start, entry)
        self.length += 1

    def head(self, is_ready: IsReady) -> Entry | None:
        """Return who is next in this class."""
        best: tuple[int, Entry] | None = None
        for line in self.lines.values():
            head = next((found for found in line.entries.values() if is_ready(found[1])), None)
            if head is None:
                continue
            # Of equals, who came first.
            if best is None or (head[0], head[1].since_ns) < (best[0], best[1].since_ns):
                best = head
        return None if best is None else best[1]

    def remove(self, entry: Entry, *, is_served: bool) -> None:
        line = self.lines[entry.account]
        start, _ = line.entries.pop(entry.entry_id)
        self.length -= 1
        if is_served:
            self.now = max(self.now, start)
        else:
            # Who gives up has brought no work: what follows moves up.
            self._retag(line)
        if not line.entries:
            del self.lines[entry.account]
            self._gone[entry.account] = line.finish
        if not self.lines:
            # Idle: nobody owes anybody anything.
            self.now = max(self._gone.values())
            self._gone.clear()
        elif len(self._gone) > GONE_MAX:
            self._gone = {name: far for name, far in self._gone.items() if far > self.now}

    def ahead_of(self, entry: Entry) -> int:
        """Return how many of this class go before an entry of it."""
        start, _ = self.lines[entry.account].entries[entry.entry_id]
        own = (start, entry.since_ns)
        return sum(
            (other_start, other.since_ns) < own
            for line in self.lines.values()
            for other_start, other in line.entries.values()
        )

    def oldest_ns(self) -> int | None:
        """Return since when the one has waited that came first; None if nobody waits."""
        firsts = (next(iter(line.entries.values())) for line in self.lines.values())
        return min((entry.since_ns for _, entry in firsts), default=None)

    def tagged(self) -> Iterator[tuple[tuple[int, int], Entry]]:
        """Yield all of this class, each with what it is ordered by."""
        for line in self.lines.values():
            for start, entry in line.entries.values():
                yield (start, entry.since_ns), entry

    def _retag(self, line: _Line) -> None:
        finish = self.now
        for entry_id, (start, entry) in line.entries.items():
            # Never later than it was promised.
            moved = min(start, finish)
            line.entries[entry_id] = (moved, entry)
            finish = moved + entry.cost
        line.finish = finish


class FairQueue:
    """The line in front of a number of slots. See the module's docstring."""

    def __init__(self) -> None:
        self._classes = {name: _Class() for name in CLASSES}
        self._where: dict[str, tuple[ServiceClass, Entry]] = {}
        # Slots that went to the highest class that waited, since a lower one had its turn.
        self._turns = 0

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._where)

    def __contains__(self, entry_id: object) -> bool:
        """Return whether somebody waits."""
        return entry_id in self._where

    def length(self, service_class: ServiceClass) -> int:
        """Return how many of a class wait."""
        return self._classes[service_class].length

    def oldest_ns(self, service_class: ServiceClass) -> int | None:
        """Return since when the one of a class has waited that came first; None if nobody waits."""
        return self._classes[service_class].oldest_ns()

    def push(self, service_class: ServiceClass, entry: Entry) -> None:
        """Line up.

        Raises:
            ValueError: If the entry waits already.
        """
        if entry.entry_id in self._where:
            raise ValueError(f"{entry.entry_id} waits already")
        self._classes[service_class].push(entry)
        self._where[entry.entry_id] = (service_class, entry)

    def peek(self, now_ns: int, is_ready: IsReady = _anybody) -> Entry | None:
        """Return who is next of those who are ready, and leave the line as it is."""
        chosen = self._choose(now_ns, is_ready)
        return None if chosen is None else chosen[1]

    def pop(self, now_ns: int, is_ready: IsReady = _anybody) -> Entry | None:
        """Let the next one of those who are ready go; None if there is none."""
        chosen = self._choose(now_ns, is_ready)
        if chosen is None:
            return None
        service_class, entry = chosen
        waiting_below = any(
            self._classes[name].length for name in CLASSES[CLASSES.index(service_class) + 1 :]
        )
        self._turns = self._turns + 1 if waiting_below else 0
        self._classes[service_class].remove(entry, is_served=True)
        del self._where[entry.entry_id]
        return entry

    def remove(self, entry_id: str) -> bool:
        """Leave the line; return whether the entry waited."""
        found = self._where.pop(entry_id, None)
        if found is None:
            return False
        service_class, entry = found
        self._classes[service_class].remove(entry, is_served=False)
        return True

    def surplus(self, service_class: ServiceClass, account: str) -> Entry | None:
        """Return who is to leave a full line for one more of an account; None if nobody is.

        That is the latest of the account that has the most in this class and those below it, in
        the lowest, if it has even then no fewer than the one who comes.
        """
        counts: dict[str, int] = {}
        latest: dict[str, Entry] = {}
        for name in CLASSES[CLASSES.index(service_class) :]:
            for owner, line in self._classes[name].lines.items():
                counts[owner] = counts.get(owner, 0) + len(line.entries)
                latest[owner] = next(reversed(line.entries.values()))[1]
        most = max(counts, key=lambda owner: counts[owner], default=account)
        if counts.get(most, 0) <= counts.get(account, 0) + 1:
            return None
        return latest[most]

    def expired(self, now_ns: int) -> list[Entry]:
        """Return those who should have been served by now, and leave the line as it is."""
        return [
            entry
            for _, entry in self._where.values()
            if entry.until_ns is not None and entry.until_ns <= now_ns
        ]

    def first_until_ns(self) -> int | None:
        """Return when the first one gives up; None if nobody ever does."""
        times = [entry.until_ns for _, entry in self._where.values() if entry.until_ns is not None]
        return min(times, default=None)

    def in_order(self) -> list[str]:
        """Return all who wait, who is next first, turns of lower classes left out."""
        return [
            entry.entry_id for name in CLASSES for _, entry in sorted(self._classes[name].tagged())
        ]

    def position(self, entry_id: str) -> int:
        """Return how many go before an entry, as things stand: 0 is next.

        Turns of lower classes are left out: it may take a little longer.

        Raises:
            KeyError: If it does not wait.
        """
        service_class, entry = self._where[entry_id]
        above = CLASSES[: CLASSES.index(service_class)]
        ahead = sum(self._classes[name].length for name in above)
        return ahead + self._classes[service_class].ahead_of(entry)

    def _choose(self, now_ns: int, is_ready: IsReady) -> tuple[ServiceClass, Entry] | None:
        heads = [
            (name, head)
            for name in CLASSES
            if (head := self._classes[name].head(is_ready)) is not None
        ]
        if not heads:
            return None
        if self._turns >= LOWER_TURN - 1:
            overdue = [
                (name, head)
                for name, head in heads[1:]
                if now_ns - head.since_ns >= PATIENCE_NS[name]
            ]
            if overdue:
                # The one that has waited longest beyond its patience.
                return max(
                    overdue,
                    key=lambda chosen: now_ns - chosen[1].since_ns - PATIENCE_NS[chosen[0]],
                )
        return heads[0]
