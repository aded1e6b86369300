"""The judgement on Autobahn's report; the report itself takes two minutes: `make autobahn`."""

import json
from pathlib import Path

import pytest

from autobahn.summary import ALLOWED, CASES_MIN, Case, counts, faults, read

GOOD = [Case(f"1.{number}", "OK", "OK") for number in range(CASES_MIN - 1)]
KNOWN = [Case(number, "FAILED", "WRONG CODE") for number in ALLOWED]


def test_a_report_without_surprises_has_no_faults() -> None:
    assert not faults(GOOD + KNOWN)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (Case("5.1", "FAILED", "OK"), "Case 5.1 failed: FAILED, closing OK."),
        (Case("5.1", "OK", "UNCLEAN"), "Case 5.1 failed: OK, closing UNCLEAN."),
        (Case("5.1", "UNIMPLEMENTED", "OK"), "Case 5.1 failed: UNIMPLEMENTED, closing OK."),
    ],
)
def test_an_unknown_failure_is_a_fault(case: Case, expected: str) -> None:
    assert faults([*GOOD, *KNOWN, case]) == [expected]


def test_an_allowed_failure_that_passes_must_leave_the_list() -> None:
    (number,) = ALLOWED
    assert faults([*GOOD, Case(number, "OK", "OK")]) == [
        f"Case {number} passes now: take it off the list of allowed failures."
    ]


def test_a_run_that_stopped_early_is_a_fault() -> None:
    assert len(faults(GOOD)) == 1
    assert "cases ran" in faults(GOOD)[0]


def test_reading_and_counting(tmp_path: Path) -> None:
    index = tmp_path / "index.json"
    report = {
        "1.1": {"behavior": "OK", "behaviorClose": "OK"},
        "6.4": {"behavior": "NON-STRICT", "behaviorClose": "OK"},
        "7.9.5": {"behavior": "OK", "behaviorClose": "WRONG CODE"},
    }
    index.write_text(json.dumps({"agent": report}), "utf-8")
    cases = read(index, "agent")
    assert [case.number for case in cases] == ["1.1", "6.4", "7.9.5"]
    assert counts(cases) == "OK 1, NON-STRICT 1, FAILED 1"
