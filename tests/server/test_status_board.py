"""The latest report: how often it is made, under which names, and what it never tells."""

import asyncio
import json

import msgspec
import pytest

from domain.test_request_record import record
from tokenferry.domain.routing import Catalog
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.request_log import Draft
from tokenferry.engine.workers import Workers
from tokenferry.server.status_board import KEPT_MS, StatusBoard, facts
from tokenferry.stores.memory_requests import MemoryRequests

NOW_MS = 1_795_797_600_000  # 2026-11-27 16:40 UTC
CATALOG = Catalog(
    [("openai", "gpt-4.1"), ("azure", "gpt-4.1")], [("best", [("openai", "gpt-4.1")])]
)


class Store(MemoryRequests):
    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.fault: StoreUnusable | None = None

    def days(self, from_day):
        self.reads += 1
        if self.fault is not None:
            raise self.fault
        return super().days(from_day)


class World:
    def __init__(self) -> None:
        self.store = Store()
        self.now_ms = NOW_MS
        self.disk = Workers("test", 1, 5)
        self.board = StatusBoard(self.store, self.disk, CATALOG, lambda: self.now_ms)

    def served(self, model: str, stream_id: str, **fields) -> None:
        self.store.write([Draft(record(stream_id, NOW_MS - 5, model=model, **fields))])


@pytest.fixture
def world():
    world = World()
    yield world
    world.disk.close()


async def test_it_is_made_twice_a_minute_at_most(world):
    assert len(await asyncio.gather(*(world.board.report() for _ in range(20)))) == 20
    assert world.store.reads == 1
    world.now_ms += KEPT_MS - 1
    await world.board.report()
    assert world.store.reads == 1
    world.now_ms += 1
    await world.board.report()
    world.now_ms -= 3_600_000
    await world.board.report()
    assert world.store.reads == 3


async def test_a_failure_is_not_kept(world):
    world.store.fault = StoreUnusable("no")
    with pytest.raises(StoreUnusable):
        await world.board.report()
    world.store.fault = None
    assert (await world.board.report()).now_ms == NOW_MS


async def test_models_are_shown_by_the_names_of_the_list(world):
    world.served("gpt-4.1", "1")
    world.served("openai/gpt-4.1", "2")
    world.served("azure/gpt-4.1", "3", finish="error", error_code="provider_http_500")
    world.served("best", "4")
    world.served("gone", "5")
    found = facts(await world.board.report())
    assert [(model.model, model.availability) for model in found.models] == [
        ("best", 1.0),
        ("gpt-4.1", 0.666666),
    ]


async def test_it_tells_nothing_of_who_and_how_much(world):
    for n in range(5):
        world.served("best", f"{n}", finish="error", error_code="provider_auth_failed")
    text = msgspec.json.encode(facts(await world.board.report())).decode()
    found = json.loads(text)
    assert found["state"] == "outage"
    assert found["incidents"][0]["failed"] == 1.0
    assert set(found["models"][0]) == {
        "model", "state", "availability", "first_token_p50_ms", "first_token_p95_ms", "days",
    }  # fmt: skip
    assert set(found["incidents"][0]) == {"model", "state", "began", "ended", "over", "failed"}
    for word in ("openai", "azure", "auth", "served", '"k"', '"a"'):
        assert word not in text


async def test_days_and_incidents_in_their_units(world):
    for n in range(3):
        world.served("best", f"{n}", finish="error", error_code="upstream_lost")
    found = facts(await world.board.report())
    assert found.as_of == NOW_MS // 1000
    assert (found.models[0].days[0].day, found.models[0].days[-1].day) == (
        "2026-08-30",
        "2026-11-27",
    )
    (incident,) = found.incidents
    assert incident.began <= NOW_MS // 1000 < incident.ended
    assert incident.ended - incident.began == 3_600
