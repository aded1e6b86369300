"""Stopping a stream: what the audit trail has of it at each moment, and so after a kill then."""

from unittest.mock import Mock

import pytest

from engine.virtual import Bench
from tokenferry.domain.account import Account
from tokenferry.engine.accounts import LoginSession
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.engine.generation import Generation
from tokenferry.engine.keys import StoreUnusable
from tokenferry.errors import StreamNotFound
from tokenferry.server.api_routes import Call, NoBody
from tokenferry.server.live_api import LiveApi, LiveFacts

CHIEF = Account("acc_9", "chief@예시.kr", "admin", "active", "ko", 1)


def generation_of(bench: Bench, stream_id: str) -> Generation:
    entry = bench.dispatcher.book.find(stream_id)
    assert entry is not None
    assert entry.generation is not None
    return entry.generation


class Trail:
    """Notes each entry, and what became of the stream until then; may fail or do something."""

    def __init__(self, bench: Bench, stream_id: str) -> None:
        self.bench = bench
        self.stream = bench.found(stream_id)
        self.noted: list[tuple[str, bool]] = []
        self.ended_meanwhile = False
        self.full = False

    async def keep(self, entry: AuditEntry) -> None:
        if self.full:
            raise StoreUnusable("the disk is full")
        assert (entry.target, entry.by_email) == (self.stream.id, CHIEF.email)
        self.noted.append((entry.action, self.stream.sealed))
        if self.ended_meanwhile:
            generation_of(self.bench, self.stream.id).cancel()

    async def stop(self) -> LiveFacts:
        routes = LiveApi(self.bench.dispatcher, self.keep).routes()
        (route,) = [one for one in routes if one.path.endswith("/stop")]
        request = Mock(match_info={"id": self.stream.id})
        stopped: LiveFacts = await route.handler(
            Call(request, NoBody(), None, LoginSession(CHIEF, b"", 9))
        )
        return stopped


@pytest.fixture
def trail() -> Trail:
    bench = Bench()
    return Trail(bench, bench.create().id)


async def test_it_is_noted_before_that_it_is_to_be_stopped_and_after_that_it_was(
    trail: Trail,
) -> None:
    stopped = await trail.stop()
    assert (stopped.id, stopped.state) == (trail.stream.id, "ending")
    assert trail.noted == [("stream.stop", False), ("stream.stopped", True)]


async def test_what_cannot_be_noted_is_not_stopped(trail: Trail) -> None:
    trail.full = True
    with pytest.raises(StoreUnusable):
        await trail.stop()
    assert not trail.stream.sealed


async def test_one_that_ends_by_itself_meanwhile_was_not_stopped(trail: Trail) -> None:
    trail.ended_meanwhile = True
    with pytest.raises(StreamNotFound):
        await trail.stop()
    assert [action for action, _ in trail.noted] == ["stream.stop"]
