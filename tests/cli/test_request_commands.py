"""The commands that look at requests, beside a server or without one."""

from contextlib import closing
from pathlib import Path

from domain.test_request_record import charge, record
from engine.virtual import request
from tokenferry.engine.ledger import Hold
from tokenferry.engine.request_log import Draft
from tokenferry.stores.sqlite_ledger import SqliteLedger
from tokenferry.stores.sqlite_requests import SqliteRequests

DATA = Path("tokenferry-data")


def lively() -> None:
    """Write two charges, a hold, and a request that was refused."""
    rows = [
        charge("st_1", 500, account_id="operator"),
        charge("st_2", 900, account_id="operator", model="한국어", finish="cancelled"),
    ]
    with closing(SqliteLedger(DATA / "tokenferry.db")) as ledger:
        ledger.commit([Hold("st_1", "operator", "k", 20_000, 1, None, 1), *rows])
    refused = record(
        "st_3", 700, is_charged=False, account_id="operator", cost_nanos=0, attempts=0,
        finish="error", error_code="budget_exceeded", first_token_ms=None, tries="",
    )  # fmt: skip
    with closing(SqliteRequests(DATA / "requests.db")) as log:
        log.write([Draft(record()._replace(charge=rows[0]), request(), (), 99), Draft(refused)])


def streams(out: str) -> list[str]:
    return [line.split()[1] for line in out.splitlines()[1:]]


def test_the_latest_come_first(run):
    lively()
    result = run("requests", "list")
    assert (result.code, streams(result.out)) == (0, ["st_2", "st_3", "st_1"])
    assert "budget_exceeded" in result.out
    assert streams(run("requests", "list", "--limit", "2").out) == ["st_2", "st_3"]


def test_filters(run):
    lively()
    assert streams(run("requests", "list", "--model", "한국어").out) == ["st_2"]
    assert streams(run("requests", "list", "--status", "failed").out) == ["st_3"]
    assert streams(run("requests", "list", "--status", "ok", "--key", "k").out) == ["st_1"]
    assert streams(run("requests", "list", "--account", "nobody").out) == []


def test_the_story_of_one(run):
    lively()
    result = run("requests", "show", "st_1")
    lines = [tuple(line.split(None, 1)) for line in result.out.splitlines()]
    assert result.code == 0
    assert ("held", "0.00002 USD, posted") in lines
    assert ("attempt", "p/pm: ok after 480 ms") in lines
    assert ("reader", "1 lost, 1 came back") in lines
    assert ("cost", "0.000012 USD") in lines
    assert ("transfer", "1 usage 0.000012 USD") in lines
    # What was asked is not for the terminal's history.
    assert "안녕" not in result.out
    refused = run("requests", "show", "st_3").out
    assert "not charged" in refused


def test_a_request_that_only_the_books_know(run):
    lively()
    (DATA / "requests.db").unlink()
    assert "only what the books have" in run("requests", "show", "st_1").out
    assert streams(run("requests", "list").out) == ["st_2", "st_1"]
    assert not (DATA / "requests.db").exists()


def test_what_is_not_there(run):
    assert "--data-dir" in run("requests", "list").err
    lively()
    missing = run("requests", "show", "st_9")
    assert (missing.code, missing.out) == (1, "")
    assert "no request" in missing.err
    for limit in ("0", "10001"):
        refused = run("requests", "list", "--limit", limit)
        assert (refused.code, refused.out) == (2, "")
        assert "--limit" in refused.err
