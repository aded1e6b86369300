"""How the streams' routes read numbers and positions; the routes are in tests/integration."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from engine.virtual import Bench
from tokenferry.engine.book import Entry
from tokenferry.errors import InvalidRequest
from tokenferry.protocol.cursor import Position
from tokenferry.server.streams_api import LIST_DEFAULT, LIST_MAX, _limit, _position


def entry() -> Entry:
    bench = Bench()
    found = bench.dispatcher.find("k", bench.create().id)
    assert isinstance(found, Entry)
    return found


def asked(query: str = "", **headers: str) -> web.Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request("GET", f"/v1/streams/s/events{query}", headers=named)


@pytest.mark.parametrize(
    ("text", "limit"), [(None, LIST_DEFAULT), ("1", 1), ("099", 99), (str(LIST_MAX), LIST_MAX)]
)
def test_limits(text: str | None, limit: int) -> None:
    assert _limit(text) == limit


@pytest.mark.parametrize(
    "text", ["0", "101", "-1", "1.0", "", " 1", "\u0661", "00000000199999", "1\n"]
)
def test_limits_that_are_none(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        _limit(text)
    assert caught.value.param == "limit"


@pytest.mark.parametrize(
    ("request_", "position"),
    [
        (asked(), Position(1, 0)),
        (asked("?after=7"), Position(1, 7)),
        (asked("?after=2-7"), Position(2, 7)),
        (asked(Last_Event_ID="3-9999999999"), Position(3, 9_999_999_999)),
        (asked("?after=2-7", Last_Event_ID="1-5"), Position(1, 5)),
    ],
)
def test_positions(request_: web.Request, position: Position) -> None:
    assert _position(request_, entry()) == position


@pytest.mark.parametrize(
    "text", ["", "-1", "1-", "1-2-3", "a", "\u0661", "1-\u0663", "10000000000", "1 "]
)
def test_positions_that_are_none(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        _position(asked(Last_Event_ID=text), entry())
    assert caught.value.param == "Last-Event-ID"
