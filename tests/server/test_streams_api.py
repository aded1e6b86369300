"""How the streams' routes read numbers and positions, and what they do while a stream moves on.

The routes themselves are in tests/integration.
"""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from engine.virtual import KEY, Bench
from tokenferry.engine.archive import Summary
from tokenferry.engine.book import Entry
from tokenferry.engine.summary import summarize
from tokenferry.errors import InvalidRequest
from tokenferry.protocol.cursor import Position
from tokenferry.server import streams_api
from tokenferry.server.streams_api import (
    LIST_DEFAULT,
    LIST_MAX,
    StreamsApi,
    _limit,
    _position,
)


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


# -- a stream on its way to the archive --------------------------------------------------------


def api_of(bench: Bench) -> StreamsApi:
    """Return the routes over an engine, for a client with its one key."""
    authenticator = SimpleNamespace(authenticate=lambda _token, _network: KEY)
    shared = SimpleNamespace(dispatcher=bench.dispatcher, authenticator=authenticator)
    return StreamsApi(cast("Any", SimpleNamespace(shared=shared, trusted_proxies=0)))


def listing(query: str = "") -> web.Request:
    headers = {"Authorization": "Bearer tf_x"}
    return make_mocked_request("GET", f"/v1/streams{query}", headers=headers)


def finish(bench: Bench) -> Entry:
    stream = bench.create()
    bench.sink.text("안녕")
    bench.sink.finish(0, "stop")
    bench.sink.end()
    bench.timers.tick()
    found = bench.dispatcher.find(KEY.public_id, stream.id)
    assert isinstance(found, Entry)
    return found


def shown(answer: web.Response) -> Any:
    return json.loads(cast("bytes", answer.body))


async def test_a_stream_that_is_saved_and_not_yet_given_up_is_listed_once() -> None:
    bench = Bench()
    first, second = finish(bench), finish(bench)
    bench.archive.save([await summarize(first)])
    answer = await api_of(bench)._list(listing())
    listed = [each["id"] for each in shown(answer)["data"]]
    assert listed == [second.stream.id, first.stream.id]
    one = await api_of(bench)._list(listing("?limit=1"))
    assert [each["id"] for each in shown(one)["data"]] == [second.stream.id]


async def test_a_stream_that_is_given_up_while_it_is_read_is_shown_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    found = finish(bench)

    async def losing(entry: Entry) -> Summary:
        bench.archive.save([await summarize(entry)])
        bench.dispatcher.book.strike(entry)
        bench.journal.drop(entry.stream.id)
        return await summarize(entry)

    monkeypatch.setattr(streams_api, "summarize", losing)
    answer = shown(await api_of(bench)._answer(KEY.public_id, found.stream.id))
    assert (answer["state"], answer["head"]) == ("done", 3)
    assert answer["completion"]["choices"][0]["message"]["content"] == "안녕"
