"""Reads Autobahn's report: how many cases had which outcome, and which failures are not known."""

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

# Failures that are not ours to mend; each says whose and why it does no harm.
ALLOWED = {
    "7.9.5": (
        "aiohttp answers a close frame that carries 1006 with 1000 instead of 1002: its list of"
        " valid codes holds the one that RFC 6455 section 7.4.1 reserves for 'no close frame"
        " came'. The connection closes either way, and nothing reads the client's close code."
    )
}
PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}
# Fewer cases than this mean that the client stopped early, not that the server is good.
CASES_MIN = 300


class Case(NamedTuple):
    """One case's outcome: of the conversation, and of its closing handshake."""

    number: str
    behavior: str
    closing: str

    @property
    def outcome(self) -> str:
        """The worse of the two, in Autobahn's own words."""
        return self.behavior if self.closing in PASSED else "FAILED"


def read(index: Path, agent: str) -> list[Case]:
    """Return every case of the report."""
    report = json.loads(index.read_text("utf-8"))[agent]
    return [Case(number, one["behavior"], one["behaviorClose"]) for number, one in report.items()]


def faults(cases: list[Case]) -> list[str]:
    """Return what is wrong, one sentence each; nothing when all is well."""
    found = [
        f"Case {case.number} failed: {case.behavior}, closing {case.closing}."
        for case in cases
        if case.outcome not in PASSED and case.number not in ALLOWED
    ]
    passed = {case.number for case in cases if case.outcome in PASSED}
    found += [
        f"Case {number} passes now: take it off the list of allowed failures."
        for number in sorted(passed & ALLOWED.keys())
    ]
    if len(cases) < CASES_MIN:
        found.append(f"Only {len(cases)} cases ran; at least {CASES_MIN} were expected.")
    return found


def counts(cases: list[Case]) -> str:
    """Return the outcomes and how often each occurred, in one line."""
    counter = Counter(case.outcome for case in cases)
    return ", ".join(f"{outcome} {count}" for outcome, count in counter.most_common())
