"""How faults are collected and written."""

from pathlib import Path

import pytest

from tokenferry.config.report import ConfigError, Fault, Report, did_you_mean
from tokenferry.config.rules import Refused
from tokenferry.config.toml_lines import Lines

SOURCE = """\
[server]
port = 1
origins = [
  "a",
  "b",
]
"""


@pytest.fixture
def report() -> Report:
    return Report(Lines(SOURCE))


def test_faults_come_in_the_order_of_the_file_and_then_the_others(report: Report) -> None:
    report.add_outside("variable", "r")
    report.add(("server", "origins", 1), "second", "r")
    report.add(("server", "port"), "first", "r")
    assert [(fault.line, fault.message) for fault in report.faults()] == [
        (2, "first"),
        (5, "second"),
        (None, "variable"),
    ]


def test_a_setting_has_a_line_only_if_it_stands_in_the_file(report: Report) -> None:
    report.add_setting(("server", "port"), "in the file", "r")
    report.add_setting(("server", "host"), "from elsewhere", "r")
    assert [fault.line for fault in report.faults()] == [2, None]


def test_a_refusal_with_others_at_its_side(report: Report) -> None:
    refused = Refused("is wrong", "right it", inside=(0,))
    refused.also = [Refused("is wrong too", "right it too", inside=(1,))]
    report.refused("`origins`", refused, ("server", "origins"))
    report.refused("--origins", refused, None)
    assert report.faults() == [
        Fault(4, "`origins` is wrong", "right it"),
        Fault(5, "`origins` is wrong too", "right it too"),
        Fault(None, "--origins is wrong", "right it"),
        Fault(None, "--origins is wrong too", "right it too"),
    ]


def test_an_error_has_a_line_of_text_for_each_fault() -> None:
    error = ConfigError([Fault(3, "m", "r"), Fault(None, "n", "s")], Path("my.toml"))
    assert str(error) == "my.toml:3: m -> r\nn -> s"


@pytest.mark.parametrize(
    ("word", "remedy"),
    [("prot", "did you mean `port`?"), ("zzz", "remove it"), ("", "remove it")],
)
def test_the_nearest_known_word(word: str, remedy: str) -> None:
    assert did_you_mean(word, ["host", "port"], "remove it") == remedy
