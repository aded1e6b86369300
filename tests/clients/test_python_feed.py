"""A buffer with a limit between a stream and its reader; and notices, and what is paused."""

import asyncio
import json
from typing import Any

import pytest

from tokenferry_client import actions, events
from tokenferry_client.events import CaughtUp, Queued, RateLimit, RateLimits
from tokenferry_client.feed import CHARACTERS_MAX, EVENTS_MAX, Feed
from tokenferry_client.lane import Creation
from tokenferry_client.link import Link
from tokenferry_client.link_options import LinkOptions

EVENT = CaughtUp("a", 1)


class TestFeed:
    def setup_method(self) -> None:
        self.asked: list[str] = []
        self.feed = Feed("a", lambda ref: self.asked.append(f"pause {ref}"), self.unpause)

    def unpause(self, ref: str) -> None:
        self.asked.append(f"unpause {ref}")
        self.feed.push(EVENT, 0)

    @pytest.mark.parametrize(
        ("count", "characters"), [(EVENTS_MAX, 0), (2, CHARACTERS_MAX // 2), (1, CHARACTERS_MAX)]
    )
    async def test_pauses_at_its_limit_and_goes_on_when_empty(
        self, count: int, characters: int
    ) -> None:
        for _ in range(count - 1):
            self.feed.push(EVENT, characters)
        assert not self.feed.paused
        self.feed.push(EVENT, characters)
        self.feed.push(EVENT, characters)
        assert self.asked == ["pause a"]
        for _ in range(count + 1):
            await self.feed.next()
        assert self.asked == ["pause a"]
        assert await self.feed.next() == EVENT
        assert self.asked == ["pause a", "unpause a"]
        assert self.feed.size == 0

    async def test_ends_after_what_waits(self) -> None:
        self.feed.push(EVENT, 0)
        self.feed.end()
        assert [await self.feed.next() for _ in range(3)] == [EVENT, None, None]

    async def test_has_one_reader_and_a_cancelled_one_takes_nothing(self) -> None:
        reader = asyncio.create_task(self.feed.next())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one reader"):
            await self.feed.next()
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        self.feed.push(EVENT, 0)
        assert await self.feed.next() == EVENT


class TestLink:
    def setup_method(self) -> None:
        self.link = Link(LinkOptions(notices=True))
        self.link.create("a", Creation({}, "k"), now_ms=0)
        self.open()
        self.receive(type="started", ref="a", stream_id="st_1", epoch=1)

    def open(self) -> list[actions.Action]:
        self.link.opened(now_ms=0)
        return self.receive(type="ready", heartbeat_s=15, connection_id="c_1")

    def receive(self, **frame: Any) -> list[actions.Action]:
        return self.link.received(json.dumps(frame), now_ms=0, random_bits=0)

    def chunk(self, seq: int) -> list[actions.Action]:
        choices = [{"index": 0, "delta": {"content": "x"}}]
        return self.receive(type="chunk", stream_id="st_1", epoch=1, seq=seq, choices=choices)

    def test_notices_are_told(self) -> None:
        assert self.link.connection_id == "c_1"
        assert self.receive(type="queued", stream_id="st_1", position=3, eta_s=None) == [
            actions.Deliver(Queued("a", 3))
        ]
        assert self.receive(type="caught_up", stream_id="st_1", seq=2) == [
            actions.Deliver(CaughtUp("a", 2))
        ]
        limit = {"name": "requests", "limit": 60, "remaining": 0, "reset_ms": 9}
        assert self.receive(type="rate_limits", ref="a", rate_limits=[limit]) == [
            actions.Deliver(RateLimits("a", (RateLimit("requests", 60, 0, 9),)))
        ]
        assert self.receive(type="queued", stream_id="st_2", position=3) == []
        assert self.receive(type="rate_limits", rate_limits=[limit]) == []

    def test_a_notice_that_is_none_costs_the_connection(self) -> None:
        assert actions.Close(4000) in self.receive(type="rate_limits", ref="a", rate_limits=[1])

    def test_what_is_paused_is_asked_for_again_where_it_was(self) -> None:
        assert len(self.chunk(1)) == 1
        detach = actions.Send({"type": "detach", "stream_id": "st_1"})
        assert self.link.pause("a", now_ms=0) == [detach]
        assert self.link.pause("a", now_ms=0) == []
        assert self.chunk(2) == []
        resume = {"type": "resume", "ref": "a", "stream_id": "st_1", "epoch": 1, "after": 1}
        assert self.link.unpause("a") == [actions.Send(resume)]
        assert self.link.unpause("a") == []
        assert self.chunk(2) == []
        self.receive(
            type="resumed", ref="a", stream_id="st_1", epoch=1, head=2, state="live", **{"from": 1}
        )
        assert [type(action) for action in self.chunk(2)] == [actions.Deliver]

    def test_what_is_paused_waits_on_the_next_connection_too(self) -> None:
        self.link.pause("a", now_ms=0)
        assert any(
            isinstance(action, actions.Connect)
            for action in self.link.closed(1006, now_ms=0, random_bits=0)
        )
        assert [type(action) for action in self.open()] == [actions.Timer]
        assert len(self.link.unpause("a")) == 1

    def test_what_goes_on_again_goes_on_after_every_lost_connection(self) -> None:
        self.link.pause("a", now_ms=0)
        self.link.unpause("a")
        self.link.closed(1006, now_ms=0, random_bits=0)
        resume = {"type": "resume", "ref": "a", "stream_id": "st_1", "epoch": 1, "after": 0}
        assert self.open()[0] == actions.Send(resume)

    def test_what_goes_on_again_is_asked_for_once_the_server_has_greeted(self) -> None:
        self.link.pause("a", now_ms=0)
        self.link.closed(1006, now_ms=0, random_bits=0)
        self.link.opened(now_ms=0)
        assert self.link.unpause("a") == []
        asked, _ = self.receive(type="ready", heartbeat_s=15)
        assert isinstance(asked, actions.Send)
        assert asked.message["type"] == "resume"

    def test_what_goes_on_again_waits_until_a_server_that_goes_away_is_back(self) -> None:
        self.link.create("b", Creation({}, "l"), now_ms=0)
        self.receive(type="started", ref="b", stream_id="st_2", epoch=1)
        self.link.pause("a", now_ms=0)
        self.receive(type="going_away", reconnect_after_ms=0)
        assert self.link.unpause("a") == []
        self.link.closed(1012, now_ms=0, random_bits=0)
        assert self.link.unpause("a") == []
        asked = [action for action in self.open() if isinstance(action, actions.Send)]
        assert [action.message["ref"] for action in asked] == ["a", "b"]

    def test_a_paused_stream_can_be_cancelled_with_and_without_a_connection(self) -> None:
        cancel = actions.Send({"type": "cancel", "stream_id": "st_1"})
        self.link.pause("a", now_ms=0)
        assert self.link.cancel("a", now_ms=0) == [cancel]
        assert self.link.cancel("a", now_ms=0) == []
        self.link.closed(1006, now_ms=0, random_bits=0)
        assert self.open()[0] == cancel
        (asked,) = self.link.unpause("a")
        assert isinstance(asked, actions.Send)
        assert asked.message["type"] == "resume"

    def test_a_paused_stream_that_is_cancelled_while_there_is_no_connection(self) -> None:
        self.link.pause("a", now_ms=0)
        self.link.closed(1006, now_ms=0, random_bits=0)
        assert self.link.cancel("a", now_ms=0) == []
        assert self.open()[0] == actions.Send({"type": "cancel", "stream_id": "st_1"})

    def test_what_was_cancelled_and_left_can_be_followed_again(self) -> None:
        self.link.closed(1006, now_ms=0, random_bits=0)
        self.link.cancel("a", now_ms=0)
        self.link.detach("a", now_ms=0)
        self.link.follow("b", "st_1", 1, 0, now_ms=0)
        asked = [action for action in self.open() if isinstance(action, actions.Send)]
        assert [action.message["type"] for action in asked] == ["cancel", "resume"]
        self.receive(type="resumed", ref="b", stream_id="st_1", epoch=1, head=1, **{"from": 0})
        assert [type(action) for action in self.chunk(1)] == [actions.Deliver]

    def test_no_attempt_can_succeed(self) -> None:
        self.link.closed(1006, now_ms=0, random_bits=0)
        error = events.ErrorInfo("wrong_scheme", "m")
        (told,) = self.link.refuse(error)
        assert isinstance(told, actions.Deliver)
        assert isinstance(told.event, events.Failed)
        assert told.event.error == error
        assert self.link.create("b", Creation({}, "l"), now_ms=0) == [actions.Connect(0)]

    def test_a_connection_that_was_refused_ends_in_the_servers_own_words(self) -> None:
        self.link.closed(1006, now_ms=0, random_bits=0)
        error = events.ErrorInfo("invalid_api_key", "This key was revoked.")
        (told,) = self.link.closed(4001, now_ms=0, random_bits=0, refusal=error)
        assert isinstance(told, actions.Deliver)
        assert isinstance(told.event, events.Failed)
        assert told.event.error == error
