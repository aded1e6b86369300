"""The command that lists what administrators have changed, beside a server or without one."""

import json
import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from stores.test_sqlite_audit_trail import ENTRY
from tokenferry.engine.audit_trail import ACTIONS
from tokenferry.stores.sqlite_audit_trail import SqliteAuditTrail

ROOT = Path(__file__).parents[2]
DATA = Path("tokenferry-data")
# 2026-11-28T07:00:00Z.
MOMENT_MS = 1_795_849_200_000
MINUTE_MS = 60_000


def lively() -> None:
    """Write three changes, a minute apart."""
    key = ENTRY._replace(
        moment_ms=MOMENT_MS + MINUTE_MS, action="key.limit", target="id",
        details='{"priority":true,"streams_max":null}',
    )  # fmt: skip
    price = ENTRY._replace(
        moment_ms=MOMENT_MS + 2 * MINUTE_MS, action="price.set", target="p/한글 모델\x1b[2J",
        account_id=None, by_email=None, details='{"rates":{"input":"1.00"},"note":"a\x9bb"}',
    )  # fmt: skip
    with closing(SqliteAuditTrail(DATA / "tokenferry.db")) as trail:
        for entry in (ENTRY._replace(moment_ms=MOMENT_MS), key, price):
            trail.append(entry)


def actions(out: str) -> list[str]:
    return [line.split()[1] for line in out.splitlines()[1:]]


def test_the_latest_come_first_as_they_can_be_read(run):
    lively()
    result = run("audit")
    assert result.code == 0
    header, price, key, grant = [line.split() for line in result.out.splitlines()]
    assert header == ["TIME", "ACTION", "TARGET", "BY", "DETAILS"]
    assert grant[:4] == ["2026-11-28T07:00:00Z", "account.grant", "acc_1", "관리@예시.kr"]
    assert grant[4:] == ['reason="버그', '제보"']
    assert key[4:] == ["account=acc_1", "priority=true", "streams_max=null"]
    # Nothing in it moves the cursor.
    assert price[2:5] == ["p/한글", r"모델\x1b[2J", "acc_9"]
    assert price[5:] == ['rates={"input":"1.00"}', r'note="a\x9bb"']


def test_filters(run):
    lively()
    assert actions(run("audit", "--limit", "2").out) == ["price.set", "key.limit"]
    assert actions(run("audit", "--action", "key.limit").out) == ["key.limit"]
    assert actions(run("audit", "--account", "acc_1").out) == ["key.limit", "account.grant"]
    assert actions(run("audit", "--account", "acc_2").out) == []
    for since in ("2026-11-28T07:01:00Z", "2026-11-28T16:01:00+09:00", "2026-11-28T07:01"):
        assert actions(run("audit", "--since", since).out) == ["price.set", "key.limit"]
    assert len(actions(run("audit", "--since", "2026-11-28").out)) == 3
    assert actions(run("audit", "--since", "2026-11-29").out) == []


def test_an_action_that_there_is_none_of_is_no_empty_list(run):
    lively()
    result = run("audit", "--action", "key.limits")
    assert (result.code, result.out) == (2, "")
    assert "key.limit, key.revoke" in result.err
    page = (ROOT / "docs" / "administration.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`([a-z]+\.[a-z]+)`", page)) - {"tokenferry.audit"} == set(ACTIONS)


def test_json_is_what_the_api_gives_a_line_for_each(run):
    lively()
    result = run("audit", "--json", "--account", "acc_1")
    key, grant = [json.loads(line) for line in result.out.splitlines()]
    assert (key["number"], key["action"], key["account"]) == (2, "key.limit", "acc_1")
    assert grant == {
        "number": 1,
        "created": MOMENT_MS // 1000,
        "action": "account.grant",
        "target": "acc_1",
        "account": "acc_1",
        "by": "acc_9",
        "by_email": "관리@예시.kr",
        "details": {"reason": "버그 제보"},
    }
    assert "관리@예시.kr" in result.out
    assert run("audit", "--json", "--account", "acc_2").out == ""


def test_what_is_not_there_and_what_is_wrong(run):
    missing = run("audit")
    assert (missing.code, missing.out) == (1, "")
    assert "--data-dir" in missing.err
    lively()
    for limit in ("0", "10001"):
        result = run("audit", "--limit", limit)
        assert (result.code, result.out) == (2, "")
        assert "--limit" in result.err
    for since in ("yesterday", "", "2026-02-30", "2026-11-28T25:00"):
        result = run("audit", "--since", since)
        assert (result.code, result.out) == (2, "")
        assert "--since" in result.err


def test_a_reader_that_leaves_ends_it_quietly():
    """More than a pipe takes, for `tokenferry audit --json | head -1`."""
    with closing(SqliteAuditTrail(DATA / "tokenferry.db")) as trail:
        trail.append(ENTRY._replace(details=json.dumps({"reason": "가" * 100_000})))
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenferry", "audit", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 1
