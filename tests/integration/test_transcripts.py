"""Recorded provider streams, over real sockets, through the gateway, to each kind of client.

What comes out must be what an independent reading of the recording says: text, tool calls,
reasoning, finish reason and usage; however the recording is framed and wherever it is cut.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from harness.answers import MANNERS, ask, body
from harness.dialects import KINDS, sse
from harness.gateway import Gateway
from harness.providers import ScriptedProvider, places_to_cut, replay, response_bytes
from harness.reading import Reading
from harness.transcripts import SHARED, Transcript, own, shared

pytestmark = pytest.mark.asyncio(loop_scope="module")

RECORDED = shared()
ALL = [*own(), *RECORDED]
# Below this, a stream is cut at every byte; above it, at so many random places.
SHORT_BYTES = 5000
CUTS = 1000
# Further streams of each recording, each cut at one place.
SINGLE_CUTS = 12
# With more replays at once than this, a single one would take so long between its finish reason and
# its usage that the gateway would rightly stop waiting (after 2 s).
SIDE_BY_SIDE = 8
each_transcript = pytest.mark.parametrize("transcript", ALL, ids=lambda each: each.name)


def comparable(reading: Reading, kind: str) -> Reading:
    """Drop the ids of calls where the format has none and the gateway makes them up."""
    if kind != "gemini":
        return reading
    calls = tuple(("", name, arguments) for _, name, arguments in reading.tool_calls)
    return replace(reading, tool_calls=calls)


class Replays:
    """Runs replays side by side: each takes long, for its pauses, but hardly any work."""

    def __init__(self, gateway: Gateway, provider: ScriptedProvider) -> None:
        self._gateway = gateway
        self._provider = provider
        self._room = asyncio.Semaphore(SIDE_BY_SIDE)

    async def run(
        self, transcript: Transcript, manner: str, *, framing: str = "chunked", at: Any = ()
    ) -> None:
        """Replay once and compare."""
        blocks = sse(transcript.kind, transcript.events)
        prompt = self._provider.play(replay(blocks, framing=framing, at=at))
        answer = await ask(self._gateway, manner, body(f"m-{transcript.kind}", prompt))
        got = comparable(answer.read(), transcript.kind)
        assert got == transcript.reading, f"{manner}, {framing}, cut at {list(at)[:3]}"
        assert len(self._provider.exchanges(prompt)) == 1

    async def cut_everywhere(self, transcript: Transcript) -> None:
        """Replay in every manner, cut at every byte or at many places."""
        size = len(response_bytes(sse(transcript.kind, transcript.events)))
        at = places_to_cut(size, every_byte_below=SHORT_BYTES, count=CUTS, seed=size)

        async def run(manner: str) -> None:
            async with self._room:
                await self.run(transcript, manner, at=at)

        await asyncio.gather(*map(run, MANNERS))

    async def cut_once_each(self, transcript: Transcript) -> None:
        """Replay a number of streams, each cut at one place."""
        size = len(response_bytes(sse(transcript.kind, transcript.events)))
        places = random.Random(size).sample(range(1, size), SINGLE_CUTS)  # noqa: S311
        await asyncio.gather(
            *(
                self.run(transcript, MANNERS[index % len(MANNERS)], at=[place])
                for index, place in enumerate(places)
            )
        )


@pytest.fixture(scope="module")
def replays(gateway: Gateway, provider: ScriptedProvider) -> Replays:
    return Replays(gateway, provider)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def background(
    replays: Replays, request: pytest.FixtureRequest
) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
    """Begin every wanted replay of `test_cut_everywhere` at once; the tests wait for their own."""
    wanted = {
        item.callspec.params["transcript"].name
        for item in request.session.items
        if getattr(item, "originalname", "") == "test_cut_everywhere"
    }
    tasks = {
        transcript.name: asyncio.create_task(replays.cut_everywhere(transcript))
        for transcript in ALL
        if transcript.name in wanted
    }
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.needs("shared")
async def test_the_recordings_are_there() -> None:
    assert SHARED.is_dir()
    assert {transcript.kind for transcript in RECORDED} == set(KINDS)
    assert len(RECORDED) >= 17


@each_transcript
@pytest.mark.parametrize("manner", MANNERS)
async def test_a_replay_reads_as_recorded(
    replays: Replays, transcript: Transcript, manner: str
) -> None:
    framings: list[Coroutine[Any, Any, None]] = [
        replays.run(transcript, manner, framing=framing)
        for framing in ("chunked", "length", "close")
    ]
    await asyncio.gather(*framings)


@each_transcript
async def test_cut_everywhere(
    background: dict[str, asyncio.Task[None]], transcript: Transcript
) -> None:
    await background[transcript.name]


@each_transcript
async def test_cut_once(replays: Replays, transcript: Transcript) -> None:
    await replays.cut_once_each(transcript)
