"""A client over HTTP: server-sent events with `id: EPOCH-SEQ`, taken up again with `Last-Event-ID`.

Its request says `Idempotency-Key`, so that its stream outlives the connection, and that the same
request, sent again because the answer to the first was lost, is the same stream.

Source: WHATWG HTML, 9.2 (server-sent events); docs/decisions/0009-streams-survive.md. Weakness: a
record that makes several events is taken as one only if the last of them, or all, carry its id.
"""

import asyncio
import json
import random
from typing import Any

import aiohttp

from chaos.client import BACKOFF_S, COME_AGAIN, CONNECT_S, GIVE_UP, Way, body
from chaos.transcript import Tally, Transcript

PATIENCE_S = 3.0  # no ping to ask with; silences of live streams are shorter
READ_BYTES = 64 * 1024
EPOCH_UNKNOWN = 0
REFUSALS_MAX = 15  # a drain is over long before


class Broken(Exception):
    """The answer ended before its end."""


class EventClient:
    """One client of one stream.

    Args:
        way: How to get to the gateway.
        lane: The stream.
        tally: The counts.
        dice: Its luck.
    """

    def __init__(self, way: Way, lane: Transcript, tally: Tally, dice: random.Random):
        self.way = way
        self.lane = lane
        self.tally = tally
        self.dice = dice
        # An error's event tells no usage, and other streams' events only if their request asked.
        lane.told_usage = lane.leads
        # Of a terminal record, of which several events tell.
        self.finish: dict[str, Any] = {}
        # The text of a stream whose chunks are no longer kept, when the request was sent again.
        self.whole: str | None = None
        self.refusals = 0
        self.opened = False

    async def run(self) -> None:
        """Read the stream to its end."""
        first = True
        while not self.lane.over:
            if not first:
                self.tally["reconnects"] += 1
                await asyncio.sleep(self.dice.uniform(*BACKOFF_S))
            first = False
            try:
                await self.connection()
            except (aiohttp.ClientError, OSError, Broken):
                self.tally["connections lost" if self.opened else "attempts that failed"] += 1

    async def connection(self) -> None:
        self.opened = False
        async with asyncio.timeout(CONNECT_S):
            response = await self.ask()
        self.opened = True
        async with response:
            if response.status != 200:
                async with asyncio.timeout(CONNECT_S):
                    self.refused(json.loads(await response.read())["error"]["code"])
                return
            if self.lane.stream_id is None:
                self.tally["streams created"] += 1
                self.lane.started(response.headers["x-stream-id"], EPOCH_UNKNOWN)
            await self.read(response)

    async def ask(self) -> aiohttp.ClientResponse:
        way, lane = self.way, self.lane
        if lane.stream_id is None:
            request = body(lane) | {"stream": True, "stream_options": {"include_usage": True}}
            headers = way.headers | {"Idempotency-Key": lane.script.name}
            url = f"{way.url}/v1/chat/completions"
            return await way.session.post(url, json=request, headers=headers)
        self.tally["resumes"] += 1
        self.finish = {}
        url = f"{way.url}/v1/streams/{lane.stream_id}/events"
        headers = way.headers
        if lane.last:
            headers = headers | {"Last-Event-ID": f"{lane.epoch}-{lane.last}"}
        else:
            lane.epoch = EPOCH_UNKNOWN
        return await way.session.get(url, headers=headers)

    def refused(self, code: str) -> None:
        if code in GIVE_UP:
            self.lane.give_up(code)
        elif self.lane.stream_id is None and self.knows_end(code):
            return
        elif code in COME_AGAIN:
            raise Broken(code)
        else:
            self.lane.fault("wrong answers", f"refused with {code}")
            self.lane.given_up = True

    def knows_end(self, code: str) -> bool:
        """Take an error that is the end of the stream: nothing had come before it.

        `server_draining` is that, or the refusal of a server that stops; asking again tells.
        """
        self.refusals += 1
        if code == "server_draining" and self.refusals < REFUSALS_MAX:
            return False
        return self.lane.failed(code)

    async def read(self, response: aiohttp.ClientResponse) -> None:
        rest = b""
        while not self.lane.over:
            async with asyncio.timeout(PATIENCE_S):
                data = await response.content.read(READ_BYTES)
            if not data:
                raise Broken("the end of the body")
            *events, rest = (rest + data).split(b"\n\n")
            for event in events:
                if not self.lane.over:  # what follows a snapshot says nothing more
                    self.take(event.decode())

    def take(self, event: str) -> None:
        """Take one event."""
        fields = [line.partition(":") for line in event.split("\n") if not line.startswith(":")]
        values = {name: text.removeprefix(" ") for name, _, text in fields}
        data, position = values.get("data"), values.get("id")
        if data is None:
            return
        if data == "[DONE]":
            self.ended(position)
            return
        message = json.loads(data)
        if values.get("event", "message") != "message" or "type" in message:
            self.take_named(values.get("event") or message["type"], message)
        elif "error" in message:
            self.finish |= {"finish_reason": "error", "error": message["error"]}
            self.finish.setdefault("id", position)
        elif not message["choices"]:
            self.finish |= {"usage": message["usage"]}
            self.finish["id"] = position or self.finish.get("id")
        elif (reason := message["choices"][0]["finish_reason"]) is not None:
            self.finish |= {"finish_reason": reason, "id": position}
            if position is None:
                self.whole = message["choices"][0]["delta"].get("content") or ""
        else:
            self.take_chunk(position, message["choices"][0]["delta"].get("content") or "")

    def take_named(self, name: str, message: dict[str, Any]) -> None:
        if name == "reset":
            self.tally["resets"] += 1
            self.lane.reset(message["epoch"], message["keep_through"])
        elif name == "snapshot":
            self.tally["snapshots"] += 1
            self.lane.snapshot(message)

    def take_chunk(self, position: str | None, text: str) -> None:
        lane = self.lane
        if position is None:
            lane.fault("wrong answers", "an event without an id")
            raise Broken
        epoch, seq = self.split(position)
        # Events of text may be merged, and say only where they end: what is new must be all of it.
        if not lane.chunk(epoch, min(lane.last + 1, seq), seq, text):
            raise Broken("a gap")

    def ended(self, position: str | None) -> None:
        lane = self.lane
        if self.whole is not None:
            lane.kept(self.whole, self.finish)
            return
        if "error" in self.finish:
            lane.told_usage = False
        position = position or self.finish.get("id") or f"{lane.epoch}-{lane.last + 1}"
        epoch, seq = self.split(position)
        if not lane.terminal(epoch, seq, self.finish):
            raise Broken("a gap")

    def split(self, position: str) -> tuple[int, int]:
        """Return epoch and seq; whoever reads from the start learns the epoch from the first id."""
        epoch, seq = map(int, position.split("-"))
        if self.lane.epoch == EPOCH_UNKNOWN:
            self.lane.epoch = epoch
        return epoch, seq
