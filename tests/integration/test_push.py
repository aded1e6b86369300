"""Each token is pushed the moment it exists, and silence is never mistaken for an end.

The provider sends a token only after the client has the one before it: a gateway that holds
anything back would never finish. No clock is needed to see it.
"""

import asyncio
import json
from typing import Any

import pytest

from harness import websocket
from harness.answers import aware_frames, body, check_plain, text_of
from harness.dialects import KINDS, closing, opening, token, whole
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import Exchange, Script, ScriptedProvider, replay
from harness.sse import DONE, open_stream

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKENS = 20
# The least that may be configured.
HEARTBEAT_S = 1
LANES = 25
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    return {
        "server": {
            **SERVER,
            "heartbeat_s": HEARTBEAT_S,
            "ping_interval_s": HEARTBEAT_S,
            "ping_timeout_s": HEARTBEAT_S,
        },
        "providers": [provider_entry(kind, provider.url) for kind in KINDS],
    }


class Lockstep:
    """A script that waits for the client's word before each token."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._turn = asyncio.Semaphore(0)

    def go_on(self) -> None:
        self._turn.release()

    async def script(self, exchange: Exchange) -> None:
        exchange.head()
        for part in opening(self._kind):
            exchange.chunk(part)
        for number in range(TOKENS):
            exchange.chunk(token(self._kind, f"{number} "))
            await self._turn.acquire()
        for part in closing(self._kind, TOKENS):
            exchange.chunk(part)
        exchange.end()


EXPECTED = "".join(f"{number} " for number in range(TOKENS))


@each_kind
async def test_events_come_one_by_one(
    gateway: Gateway, provider: ScriptedProvider, kind: str
) -> None:
    lockstep = Lockstep(kind)
    prompt = provider.play(lockstep.script)
    async with open_stream(gateway.port, gateway.key, body(f"m-{kind}", prompt)) as stream:
        # What keeps nginx, and what keeps compressing proxies, from holding events back.
        assert stream.headers["x-accel-buffering"] == "no"
        assert "no-transform" in stream.headers["cache-control"]
        text = ""
        while (data := await stream.next()) != DONE:
            assert data is not None
            if content := text_of([json.loads(data)]):
                text += content
                lockstep.go_on()
    assert text == EXPECTED


@each_kind
@pytest.mark.parametrize("manner", ["plain", "aware"])
async def test_frames_come_one_by_one(
    gateway: Gateway, provider: ScriptedProvider, manner: str, kind: str
) -> None:
    lockstep = Lockstep(kind)
    prompt = provider.play(lockstep.script)
    async with websocket.connect(gateway.port, gateway.key) as socket:
        request = body(f"m-{kind}", prompt)
        if manner == "aware":
            request = {"type": "create", "ref": "r", "request": request}
        socket.send_json(request)
        text = ""
        frame: dict[str, Any] = {}
        while not frame.get("done"):
            frame = await socket.receive_json()
            if content := text_of([frame]):
                text += content
                lockstep.go_on()
        await socket.close()
    assert text == EXPECTED


# -- silence --------------------------------------------------------------------------------------


def pauses(kind: str, resume: asyncio.Event, *, shown: bool) -> Script:
    """Return a script that falls silent, before or after the first token, until it is told."""

    async def run(exchange: Exchange) -> None:
        exchange.head()
        for part in opening(kind):
            exchange.chunk(part)
        if shown:
            exchange.chunk(token(kind, "앞 "))
        await resume.wait()
        for part in (token(kind, "뒤"), *closing(kind, 2)):
            exchange.chunk(part)
        exchange.end()

    return run


@pytest.mark.parametrize("shown", [False, True])
async def test_a_silent_stream_of_events_shows_that_it_lives(
    gateway: Gateway, provider: ScriptedProvider, *, shown: bool
) -> None:
    resume = asyncio.Event()
    prompt = provider.play(pauses("openai", resume, shown=shown))
    async with open_stream(gateway.port, gateway.key, body("m-openai", prompt)) as stream:
        assert stream.status == 200
        reading = asyncio.ensure_future(stream.rest())
        async with asyncio.timeout(HEARTBEAT_S * 5):
            await stream.commented.wait()
        assert not reading.done()
        resume.set()
        *events, last = await reading
    assert last == DONE
    assert text_of([json.loads(event) for event in events]) == ("앞 뒤" if shown else "뒤")


@pytest.mark.parametrize("failed", ["provider_cut_off", "refused"])
async def test_an_error_after_a_sign_of_life_is_an_event(
    gateway: Gateway, provider: ScriptedProvider, failed: str
) -> None:
    resume = asyncio.Event()

    async def run(exchange: Exchange) -> None:
        await resume.wait()
        if failed == "refused":
            exchange.head("503 No", framing="0")
        else:
            exchange.close()

    prompt = provider.play(run)
    async with open_stream(gateway.port, gateway.key, body("m-openai", prompt)) as stream:
        # The head came with the first comment: a status can no longer tell.
        assert stream.status == 200
        resume.set()
        error, last = await stream.rest()
    assert json.loads(error)["error"]["message"]
    assert last == DONE


async def test_a_silent_plain_connection_is_pinged_and_gets_no_frame(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    resume = asyncio.Event()
    prompt = provider.play(pauses("openai", resume, shown=True))
    async with websocket.connect(gateway.port, gateway.key) as socket:
        socket.send_json(body("m-openai", prompt))
        frame = await socket.receive_json()
        while not text_of([frame]):
            frame = await socket.receive_json()
        following = asyncio.ensure_future(socket.receive_json())
        async with asyncio.timeout(HEARTBEAT_S * 5):
            await socket.pinged.wait()
        assert not following.done(), "a plain client knows no heartbeat"
        resume.set()
        frame = await following
        check_plain(frame)
        assert text_of([frame]) == "뒤"


async def test_an_aware_client_that_asked_gets_heartbeats(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    resume = asyncio.Event()
    prompt = provider.play(pauses("openai", resume, shown=True))
    async with websocket.connect(
        gateway.port, gateway.key, subprotocols=[websocket.SUBPROTOCOL]
    ) as socket:
        socket.send_json({"type": "hello", "version": 1, "caps": ["hb"]})
        ready = await socket.receive_type("ready")
        assert ready["heartbeat_s"] == HEARTBEAT_S
        socket.send_json({"type": "create", "ref": "r", "request": body("m-openai", prompt)})
        for _ in range(2):
            assert isinstance((await socket.receive_type("hb"))["t"], int)
        resume.set()
        assert (await socket.receive_type("done"))["finish_reason"] == "stop"


async def test_a_client_that_answers_no_ping_is_let_go(gateway: Gateway) -> None:
    async with websocket.connect(gateway.port, gateway.key) as socket:
        socket.answers_pings = False
        closed = await socket.closed()
        assert socket.pings >= 1
    assert closed.code in (1006, 4108)


# -- many streams on one connection ---------------------------------------------------------------


async def test_many_streams_heartbeats_and_pongs_share_one_connection(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    # Every writer of the connection at once: a torn frame would be no JSON, or no frame.
    texts = {ref: [f"{ref}-{number} 🙂 " for number in range(100)] for ref in range(LANES)}
    async with websocket.connect(
        gateway.port, gateway.key, subprotocols=[websocket.SUBPROTOCOL]
    ) as socket:
        socket.send_json({"type": "hello", "version": 1, "caps": ["hb"]})
        for ref, pieces in texts.items():
            kind = KINDS[ref % len(KINDS)]
            blocks = whole(kind, pieces)
            prompt = provider.play(replay(blocks, at=range(50, 20_000, 211)))
            request = body(f"m-{kind}", prompt)
            socket.send_json({"type": "create", "ref": ref, "request": request})
        streams: dict[str, int] = {}
        got: dict[int, list[dict[str, Any]]] = {ref: [] for ref in texts}
        pongs = ended = 0
        while ended < LANES:
            frame = await socket.receive_json()
            if frame["type"] == "started":
                streams[frame["stream_id"]] = frame["ref"]
            elif frame["type"] in ("chunk", "done"):
                got[streams[frame["stream_id"]]].append(frame)
                ended += frame["type"] == "done"
                socket.send_json({"type": "ping", "t": 1})
                socket.send_frame(websocket.PING, b"raw")
            elif frame["type"] == "pong":
                pongs += 1
    assert pongs > 0
    for ref, frames in got.items():
        assert text_of(frames) == "".join(texts[ref])
        expected = 1
        for frame in frames:
            assert frame.get("from", frame["seq"]) == expected
            expected = frame["seq"] + 1


async def test_more_streams_than_allowed_are_refused_and_the_others_go_on(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    resume = asyncio.Event()
    async with websocket.connect(
        gateway.port, gateway.key, subprotocols=[websocket.SUBPROTOCOL]
    ) as socket:
        for ref in range(32):
            prompt = provider.play(pauses("openai", resume, shown=False))
            request = body("m-openai", prompt)
            socket.send_json({"type": "create", "ref": ref, "request": request})
            await socket.receive_type("started")
        socket.send_json({"type": "create", "ref": "one-more", "request": body("m-openai", "x")})
        refused = await socket.receive_type("error")
        assert (refused["ref"], refused["error"]["code"]) == ("one-more", "too_many_streams")
        resume.set()
        for _ in range(32):
            assert (await socket.receive_type("done"))["finish_reason"] == "stop"
        # A place is free again.
        prompt = provider.play(replay(whole("openai", ["네"])))
        request = body("m-openai", prompt)
        socket.send_json({"type": "create", "ref": "again", "request": request})
        assert text_of(await aware_frames(socket, "again")) == "네"
