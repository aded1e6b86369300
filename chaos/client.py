"""A WebSocket client of its own that loses its connection all the time, resumes, and checks.

It follows several streams on one connection, in the aware manner, and knows nothing of any SDK.

Source: spec/PROTOCOL.md, "Resume" and "Flow, heartbeat, drain". Weakness: a silence is taken for a
dead connection after `PATIENCE_S`; on a very slow machine that makes more resumes, and no wrong
count.
"""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from chaos.transcript import Tally, Transcript

PROTOCOL = "tokenferry.v1"
CONNECT_S = 2.5
SILENCE_S = 0.6  # then it asks whether anybody is there
PATIENCE_S = 0.9
CLOSE_S = 0.1
DAWDLE_SHARE, DAWDLE_S = 0.02, 0.1
BACKOFF_S = (0.02, 0.3)
GIVE_UP = frozenset(("stream_not_found", "expired", "position_ahead"))
# Said by a server that stops, or that has as much as it can take: come again.
COME_AGAIN = frozenset(("server_draining", "server_overloaded", "journal_unavailable"))


class Lost(Exception):
    """The connection is good for nothing more."""


@dataclass(frozen=True)
class Way:
    """How clients get to the gateway: through the proxy."""

    session: aiohttp.ClientSession
    port: int
    key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def body(transcript: Transcript) -> dict[str, Any]:
    """Return the request that orders the stream."""
    message = {"role": "user", "content": transcript.script.prompt}
    return {"model": "chaos", "messages": [message]}


class SocketClient:
    """One client: creates or follows its streams, and comes back until each of them has ended.

    Args:
        way: How to get to the gateway.
        lanes: The streams; those without a `stream_id` are created, the others followed.
        tally: The counts.
        dice: Its luck.
    """

    def __init__(self, way: Way, lanes: Sequence[Transcript], tally: Tally, dice: random.Random):
        self.way = way
        self.lanes = lanes
        self.tally = tally
        self.dice = dice
        self.opened = False
        self.merges = dice.random() < 0.5
        # A reader that takes its time falls behind, which is another path through the server.
        self.dawdles = dice.random() < 0.1
        # Some change their minds; the server must then say so, in one terminal message.
        self.cancels_at = dice.randint(1, 30) if dice.random() < 0.05 else None

    async def run(self) -> None:
        """Follow all lanes to their ends."""
        first = True
        while not all(lane.over for lane in self.lanes):
            if not first:
                self.tally["reconnects"] += 1
                await asyncio.sleep(self.dice.uniform(*BACKOFF_S))
            first = False
            try:
                await self.connection()
            except (aiohttp.ClientError, OSError, Lost):
                self.tally["connections lost" if self.opened else "attempts that failed"] += 1

    async def connection(self) -> None:
        """Serve one connection until everything has ended or it is lost."""
        way, self.opened = self.way, False
        async with asyncio.timeout(CONNECT_S):
            socket = await way.session.ws_connect(
                f"{way.url}/v1/stream",
                headers=way.headers,
                protocols=(PROTOCOL,),
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                max_msg_size=0,
            )
        self.opened = True
        try:
            caps = ["coalesce"] if self.merges else []
            await socket.send_json({"type": "hello", "version": 1, "caps": caps})
            for number, lane in enumerate(self.lanes):
                if not lane.over:
                    await socket.send_json(self.opening(number, lane))
            await self.read(socket)
        finally:
            await socket.close()

    def opening(self, number: int, lane: Transcript) -> dict[str, Any]:
        """Return what to ask for: the stream, or the rest of it."""
        if lane.stream_id is None:
            return {
                "type": "create",
                "ref": number,
                "idempotency_key": lane.script.name,
                "request": body(lane),
            }
        self.tally["resumes"] += 1
        return {
            "type": "resume",
            "ref": number,
            "stream_id": lane.stream_id,
            "epoch": lane.epoch,
            "after": lane.last,
        }

    async def read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        asked = False
        while not all(lane.over for lane in self.lanes):
            try:
                message = await socket.receive(timeout=PATIENCE_S if asked else SILENCE_S)
            except TimeoutError:
                if asked:
                    raise Lost from None
                asked = True
                await socket.send_json({"type": "ping", "t": 1})
                continue
            asked = False
            if message.type is not aiohttp.WSMsgType.TEXT:
                if isinstance(message.data, aiohttp.WebSocketError):
                    self.tally.fault("wrong bytes", 1, f"no WebSocket frame: {message.data}")
                raise Lost(str(message))
            await self.take(socket, json.loads(message.data))
            if self.dawdles and self.dice.random() < DAWDLE_SHARE:
                await asyncio.sleep(DAWDLE_S)

    async def take(self, socket: aiohttp.ClientWebSocketResponse, message: dict[str, Any]) -> None:
        """Take one message.

        Raises:
            Lost: If the connection must be left: something is missing, or the server stops.
        """
        kind = message["type"]
        if kind in ("ready", "pong", "hb", "queued"):
            return
        if kind == "going_away":
            # Most stay to the end; who leaves at once has to be let in by the next process.
            if self.dice.random() < 0.3:
                raise Lost("it goes away")
            return
        lane = self.lane_of(message)
        if lane is None:
            self.refused(message)
        elif kind == "chunk":
            await self.take_chunk(socket, lane, message)
        elif message.get("done") and kind != "snapshot":
            if not lane.terminal(message["epoch"], message["seq"], message):
                raise Lost("a gap")
        elif kind == "error":
            self.lane_refused(lane, message["error"]["code"])
        else:
            self.take_answer(lane, message)

    def lane_of(self, message: dict[str, Any]) -> Transcript | None:
        ref, stream_id = message.get("ref"), message.get("stream_id")
        if isinstance(ref, int) and 0 <= ref < len(self.lanes):
            return self.lanes[ref]
        return next(
            (each for each in self.lanes if stream_id and each.stream_id == stream_id), None
        )

    def refused(self, message: dict[str, Any]) -> None:
        code = message.get("error", {}).get("code")
        if code not in COME_AGAIN:
            self.tally.fault("wrong answers", 1, f"{message} out of nowhere")
        raise Lost(code)

    def lane_refused(self, lane: Transcript, code: str) -> None:
        if code in GIVE_UP:
            lane.give_up(code)
        elif code in COME_AGAIN:
            raise Lost(code)
        else:
            lane.fault("wrong answers", f"refused with {code}")
            lane.given_up = True

    def take_answer(self, lane: Transcript, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "started":
            self.tally["streams created"] += lane.stream_id is None
            lane.started(message["stream_id"], message["epoch"])
        elif kind == "resumed":
            lane.resumed(message)
        elif kind == "reset":
            self.tally["resets"] += 1
            lane.reset(message["epoch"], message["keep_through"])
        elif kind == "snapshot":
            self.tally["snapshots"] += 1
            lane.snapshot(message)
        elif kind == "caught_up":
            lane.caught_up(message["seq"])
        else:
            lane.fault("wrong answers", f"a message of type {kind}")

    async def take_chunk(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        lane: Transcript,
        message: dict[str, Any],
    ) -> None:
        seq = message["seq"]
        text = message["choices"][0]["delta"]["content"]
        if not lane.chunk(message["epoch"], message.get("from", seq), seq, text):
            raise Lost("a gap")
        if lane.leads and self.cancels_at is not None and seq >= self.cancels_at:
            self.cancels_at = None
            await socket.send_json({"type": "cancel", "stream_id": lane.stream_id})
