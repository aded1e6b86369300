"""The provider: streams scripts, and counts for each stream's name what became of it.

`python -m chaos.provider PORT` answers POSTs with chat-completion chunks and the usage at the end;
`GET /counts` and `GET /counts/NAME` return the counts as JSON. HTTP chunks begin and end anywhere,
also inside of characters, and every seventh token is escaped as JSON escapes.

Weakness: it knows requests with Content-Length only. What it counts as written may still be in a
buffer of the kernel when the gateway dies.
"""

import asyncio
import json
import re
import sys
from dataclasses import asdict, dataclass

import uvloop

from chaos.script import US_PER_S, Script, parse, token

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
BACKLOG = 1024
BURST_TOKENS = 200  # written in one turn of the loop, so that no stream holds up the others
ESCAPED_EVERY = 7
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


@dataclass
class Count:
    """What became of one stream."""

    calls: int = 0
    written: int = 0
    done: int = 0
    closed_early: int = 0


def event(choices: list[dict], usage: dict | None = None) -> bytes:
    body = {
        "id": "chatcmpl-chaos",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "chaos-1",
        "choices": choices,
    }
    if usage is not None:
        body["usage"] = usage
    return b"data: %s\n\n" % json.dumps(body, ensure_ascii=False).encode()


def token_event(name: str, index: int) -> bytes:
    text = json.dumps(token(name, index), ensure_ascii=not index % ESCAPED_EVERY).encode()
    whole = event([{"index": 0, "delta": {"content": ""}, "finish_reason": None}])
    return whole.replace(b'{"content": ""}', b'{"content": %b}' % text)


def ending(script: Script) -> bytes:
    """Return finish, usage and the end of the events."""
    used = {
        "prompt_tokens": script.prompt_tokens,
        "completion_tokens": script.tokens,
        "total_tokens": script.prompt_tokens + script.tokens,
    }
    finish = event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    return finish + event([], used) + b"data: [DONE]\n\n"


def http_chunks(data: bytes) -> bytes:
    """Return the bytes as two HTTP chunks, cut somewhere."""
    cut = 1 + data[-9] % (len(data) - 1)
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (data[:cut], data[cut:]))


class Upstream(asyncio.Protocol):
    """One connection from a gateway; requests on it are answered one after another."""

    def __init__(self, counts: dict[str, Count]):
        self.counts = counts
        self.received = b""
        self.timer: asyncio.Handle | None = None
        self.script: Script | None = None
        self.index = 0
        self.next_s = 0.0

    def connection_made(self, transport):
        self.transport = transport
        self.loop = asyncio.get_running_loop()

    def connection_lost(self, _exc):
        if self.timer is not None:
            self.timer.cancel()
        if self.script is not None:
            self.counts[self.script.name].closed_early += 1

    def data_received(self, data):
        self.received += data
        while (head_end := self.received.find(b"\r\n\r\n")) >= 0:
            length = CONTENT_LENGTH.search(self.received, 0, head_end)
            end = head_end + 4 + (int(length[1]) if length else 0)
            if len(self.received) < end:
                return
            head, body = self.received[:head_end], self.received[head_end + 4 : end]
            self.received = self.received[end:]
            if head.startswith(b"GET"):
                self.answer_counts(head.split()[1].decode())
            else:
                self.begin(body)

    def answer_counts(self, path: str) -> None:
        name = path.removeprefix("/counts").removeprefix("/")
        counts = {name: self.counts[name]} if name in self.counts else {}
        counts = counts if name else self.counts
        body = json.dumps({name: asdict(count) for name, count in counts.items()}).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % len(body) + body)

    def begin(self, body: bytes) -> None:
        script = parse(body.decode())
        if script is None or self.script is not None:
            self.transport.abort()
            return
        self.script, self.index = script, 0
        self.counts.setdefault(script.name, Count()).calls += 1
        self.next_s = self.loop.time()
        self.transport.write(STREAM_HEAD)
        self.tick()

    def tick(self) -> None:
        script = self.script
        if script is None or self.transport.is_closing():
            return
        count = BURST_TOKENS if not script.pace_us else 1
        events = []
        for index in range(self.index, min(self.index + count, script.tokens)):
            events.append(token_event(script.name, index))
            self.index += 1
        if events:
            self.transport.write(http_chunks(b"".join(events)))
            self.counts[script.name].written = max(self.counts[script.name].written, self.index)
        if self.index == script.tokens:
            self.transport.write(http_chunks(ending(script)) + b"0\r\n\r\n")
            self.counts[script.name].done += 1
            self.script = None
            return
        self.next_s += script.pace_us / US_PER_S
        self.timer = self.loop.call_at(self.next_s, self.tick)


async def serve(port: int) -> None:
    counts: dict[str, Count] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(counts), "127.0.0.1", port, backlog=BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
