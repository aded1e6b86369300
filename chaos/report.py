"""The one table at the end, and what in it must be zero."""

from dataclasses import dataclass

from chaos.lifecycle import Lives
from chaos.transcript import FAULTS, Tally

COUNTS = (
    "streams created",
    "completed",
    "ended in upstream_lost",
    "ended by a deploy",
    "cancelled",
    "connections lost",
    "attempts that failed",
    "reconnects",
    "resumes",
    "resets",
    "snapshots",
    "read again after the end",
    "followed by a second reader",
)
PROVIDER_FAULTS = {
    "second calls": "streams for which the provider was called more than once",
    "unheard tokens": "completed streams of which the provider says otherwise",
}
BOOK_FAULTS = {
    "book differences": "what `tokenferry ledger verify` finds",
    "open reservations": "streams whose reservation has no end",
    "wrong charges": "completed streams that were not charged once, for what the provider counted",
}
PLAN_FAULTS = {
    "missing kills": "fewer than planned when the time was up",
    "missing cuts": "fewer than planned when the time was up",
}
SERVER_FAULTS = {
    "journal errors": "errors in the server's log",
    "failed starts": "starts that ended in an error",
    "bad exits": "ends that were neither clean nor a kill",
}


@dataclass(frozen=True)
class Line:
    """One line of the table; `zero` says that it must be."""

    name: str
    count: int
    zero: bool = False
    meaning: str = ""


@dataclass(frozen=True)
class Report:
    """What a run found."""

    lines: list[Line]
    points: list[tuple[str, int]]
    never_reached: list[str]
    complaints: list[str]

    @property
    def good(self) -> bool:
        return not any(line.zero and line.count for line in self.lines)

    def text(self) -> str:
        width = max(len(line.name) for line in self.lines)
        rows = []
        for line in self.lines:
            verdict = "" if not line.zero else "  must be 0: NO" if line.count else "  must be 0"
            row = f"{line.name:<{width}}  {line.count:>9,}{verdict:<15}  {line.meaning}"
            rows.append(row.rstrip())
        kills = ", ".join(f"{name} {count}" for name, count in self.points)
        rows += ["", f"killed: {kills or 'never'}"]
        if self.never_reached:
            rows.append(f"points that were never reached: {', '.join(self.never_reached)}")
        rows += [f"! {complaint}" for complaint in self.complaints]
        return "\n".join(rows)


def summarize(tally: Tally, lives: Lives, cuts: int, more: dict[str, int]) -> Report:
    """Return the report.

    Args:
        tally: What the clients saw.
        lives: The gateway's processes.
        cuts: Connections that the proxy cut.
        more: Counts by the names of all the `…_FAULTS`, and how many streams were charged.
    """
    ends = lives.ends
    lines = [
        Line("kills", ends.kills, meaning="kill -9, at a point or at random"),
        Line("starts", ends.starts),
        Line("deploys", ends.deploys, meaning="SIGTERM, with a drain"),
        Line("connections cut", cuts, meaning="by the proxy"),
        *(Line(name, tally[name]) for name in COUNTS),
        Line(
            "streams charged", more["streams charged"], meaning="for something that was generated"
        ),
        *(Line(name, tally[name], zero=True, meaning=what) for name, what in FAULTS.items()),
    ]
    found = more | {"failed starts": ends.failed_starts, "bad exits": ends.bad_exits}
    for name, what in (PROVIDER_FAULTS | BOOK_FAULTS | SERVER_FAULTS | PLAN_FAULTS).items():
        lines.append(Line(name, found[name], zero=True, meaning=what))
    return Report(lines, sorted(ends.points.items()), lives.never_reached, tally.complaints)
