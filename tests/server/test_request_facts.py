"""What is told of a request: lists, stories, lines of a file."""

import csv
import io

import pytest

from domain.test_request_record import charge, record
from tokenferry.domain.ledger import Transfer
from tokenferry.domain.request_record import Content
from tokenferry.engine.statement import Booked, Reserved
from tokenferry.server.request_facts import (
    BYTE_ORDER_MARK,
    COLUMNS,
    TryFacts,
    csv_cells,
    csv_lines,
    request_facts,
    story,
)

USAGE = Transfer("usage", "st_1", "account:a", "revenue", 12_000, 500)
BOOKED = Booked(charge(), 0, Reserved(20_000, "posted"), [(7, USAGE)])


def test_a_listed_request():
    tries = '[["p","pm","provider_http_503",12],["q","pm","ok",480]]'
    found = request_facts(charge(tries=tries, estimated=1))
    assert (found.status, found.estimated, found.cost, found.created) == (
        "ok",
        True,
        "0.000012",
        0,
    )
    assert found.tries == [
        TryFacts("p", "pm", "provider_http_503", 12, 503),
        TryFacts("q", "pm", "ok", 480, 200),
    ]
    assert request_facts(charge(cost_nanos=None, tries="")).cost is None


def test_a_whole_story():
    found = story(charge(), BOOKED, record(), Content("{}", "[]", is_cut=True))
    assert (found.accepted_ms, found.ended_ms, found.queued_ms) == (0, 500, 7)
    assert (found.transport, found.request_id, found.ended_by) == ("sse", "req_1", "provider")
    # Four tokens in the 300 ms after the first one.
    assert found.tokens_per_second == 13.3
    assert (found.hold.amount, found.hold.state, found.hold.released) == (
        "0.00002",
        "posted",
        "0.000008",
    )
    ((number, amount),) = [(entry.number, entry.amount) for entry in found.entries]
    assert (number, amount) == (7, "-0.000012")
    assert (found.content.prompt, found.content.answer, found.content.cut) == ("{}", "[]", True)
    assert (found.recorded, found.charged, found.shortfall) == (True, True, "0.00")


def test_a_story_that_only_the_books_know():
    found = story(charge(), BOOKED, None, None)
    assert (found.recorded, found.charged, found.content) == (False, True, None)
    unknown = (found.transport, found.request_id, found.ended_by, found.queued_ms, found.chunks,
               found.drops, found.resumes)  # fmt: skip
    assert unknown == (None,) * 7


def test_a_story_that_only_the_log_knows():
    refused = record(is_charged=False, cost_nanos=0, finish="error", error_code="budget_exceeded")
    found = story(refused.charge, Booked(None, 0, None, ()), refused, None)
    assert (found.charged, found.hold, found.entries, found.ended_by) == (False, None, [], "client")


@pytest.mark.parametrize(
    ("first_token_ms", "tokens", "pace"), [(None, 4, None), (200, 0, None), (500, 4, None)]
)
def test_a_pace_that_nobody_can_tell(first_token_ms, tokens, pace):
    own = charge(first_token_ms=first_token_ms, completion_tokens=tokens)
    assert story(own, BOOKED, None, None).tokens_per_second is pace


def test_a_hold_that_cost_more_and_one_that_is_open():
    more = story(charge(cost_nanos=30_000), BOOKED, None, None)
    assert more.hold.released == "0.00"
    running = BOOKED._replace(reserved=Reserved(20_000, "open"))
    assert story(charge(), running, None, None).hold.released is None


def test_a_file_is_read_by_spreadsheets_and_runs_in_none():
    rows = [csv_cells(charge(model='=HYPERLINK("x")')), csv_cells(charge(model="한국어, 모델"))]
    data = csv_lines([COLUMNS], BYTE_ORDER_MARK) + csv_lines(rows)
    assert data.startswith(b"\xef\xbb\xbftime,")
    first, second = csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
    assert (first["model"], second["model"]) == ('\'=HYPERLINK("x")', "한국어, 모델")
    assert (first["time"], first["cost_usd"], first["estimated"]) == (
        "1970-01-01T00:00:00Z",
        "0.000012",
        "false",
    )
