"""The chaos client over HTTP reads events as the protocol has them, and misses none."""

import json
import random
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from chaos.client import Way
from chaos.events import REFUSALS_MAX, Broken, EventClient
from chaos.script import Script
from chaos.transcript import FAULTS, Book, Transcript

SCRIPT = Script("abc", 3, 0)
END = SCRIPT.records
USAGE = {
    "prompt_tokens": SCRIPT.prompt_tokens,
    "completion_tokens": 3,
    "total_tokens": SCRIPT.prompt_tokens + 3,
}


@pytest_asyncio.fixture
async def client() -> Any:
    async with aiohttp.ClientSession() as session:
        book = Book()
        lane = Transcript(SCRIPT, book, leads=True)
        yield EventClient(Way(session, 1, "tf_x"), lane, book.tally, random.Random(1))


def faults(client: EventClient) -> dict[str, int]:
    return {kind: count for kind, count in client.tally.items() if kind in FAULTS}


def chunk(seq: int, text: str | None = None, reason: str | None = None) -> str:
    text = SCRIPT.text(seq, seq) if text is None else text
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return f"data: {json.dumps({'choices': [choice]})}\nid: 1-{seq}"


def ending(seq: int) -> list[str]:
    """Return the events of the terminal record: only the last one has its seq."""
    usage = json.dumps({"choices": [], "usage": USAGE})
    finish = json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    before = f"\nid: 1-{seq - 1}"
    return [f"data: {finish}{before}", f"data: {usage}{before}", f"data: [DONE]\nid: 1-{seq}"]


def give(client: EventClient, *events: str) -> None:
    for event in events:
        client.take(event)


async def test_a_whole_answer(client: EventClient) -> None:
    client.lane.started("st_1", 0)
    give(client, ": keep-alive", *(chunk(seq) for seq in range(1, END)), *ending(END))
    assert client.lane.over
    assert client.tally["completed"] == 1
    assert faults(client) == {}


async def test_merged_text_must_be_all_that_is_new(client: EventClient) -> None:
    client.lane.started("st_1", 0)
    give(client, chunk(1), chunk(4, SCRIPT.text(2, 4)))
    assert faults(client) == {}


async def test_text_that_is_missing_shows(client: EventClient) -> None:
    client.lane.started("st_1", 0)
    give(client, chunk(1), chunk(3))
    assert faults(client) == {"wrong bytes": 1}


async def test_an_event_twice_shows(client: EventClient) -> None:
    client.lane.started("st_1", 0)
    give(client, chunk(1), chunk(2), chunk(2))
    assert faults(client) == {"duplicated": 1}


async def test_an_event_without_a_position_shows(client: EventClient) -> None:
    client.lane.started("st_1", 0)
    with pytest.raises(Broken):
        give(client, chunk(1).partition("\n")[0])
    assert faults(client) == {"wrong answers": 1}


async def test_usage_that_is_not_told_to_its_creator_shows(client: EventClient) -> None:
    client.lane.started("st_1", 0)
    finish, _, last = ending(END)
    give(client, *(chunk(seq) for seq in range(1, END)), finish, last)
    assert faults(client) == {"wrong bills": 1}


async def test_a_reset_and_an_error(client: EventClient) -> None:
    client.lane.started("st_1", 0)
    reset = {"type": "reset", "epoch": 2, "keep_through": 2}
    give(client, chunk(1), chunk(2), f"event: reset\ndata: {json.dumps(reset)}\nid: 2-2")
    error = json.dumps({"error": {"code": "upstream_lost"}})
    give(client, f"data: {error}", "data: [DONE]\nid: 2-3")
    assert client.tally["resets"] == client.tally["ended in upstream_lost"] == 1
    assert faults(client) == {}


async def test_an_answer_whose_chunks_are_gone(client: EventClient) -> None:
    client.lane.started("st_1", 0)
    whole = {"index": 0, "delta": {"content": SCRIPT.text(1, 4)}, "finish_reason": "stop"}
    give(client, f"data: {json.dumps({'choices': [whole]})}", "data: [DONE]")
    assert client.lane.over
    assert faults(client) == {}


async def test_an_error_in_place_of_the_answer(client: EventClient) -> None:
    client.refused("upstream_lost")
    assert client.lane.over
    assert faults(client) == {}


async def test_a_drain_is_asked_again_and_not_for_ever(client: EventClient) -> None:
    for _ in range(REFUSALS_MAX - 1):
        with pytest.raises(Broken):
            client.refused("server_draining")
    client.refused("server_draining")
    assert client.tally["ended by a deploy"] == 1
    assert faults(client) == {}


async def test_another_refusal_is_wrong(client: EventClient) -> None:
    client.refused("invalid_value")
    assert client.lane.over
    assert faults(client) == {"wrong answers": 1}
