"""The mock provider: an OpenAI-compatible upstream that costs next to nothing.

`python -m bench.provider PORT` answers every POST. The model's name says what to stream:
`mock-100-20` is 100 tokens, one every 20 ms; `mock-2000-0` is 2,000 tokens as fast as the socket
takes them. The content of each token is `time.monotonic_ns()` at the moment it is written, so that
whoever reads it on the same machine knows how long it was under way. Without `"stream": true` the
answer is one JSON object.

Weakness: it knows requests with Content-Length only, and holds an unread answer in memory.
"""

import asyncio
import re
import sys
import time

import uvloop

SCRIPT = re.compile(rb'"model": ?"(?:[\w.-]+/)?mock-(\d+)-(\d+)"')
STREAMED = re.compile(rb'"stream": ?true')
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
BACKLOG = 4096

CHUNK_HEAD = (
    b'data: {"id":"chatcmpl-abc123","object":"chat.completion.chunk",'
    b'"created":1760000000,"model":"gpt-4.1",'
)
TOKEN = (
    CHUNK_HEAD + b'"system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":"%d "},'
    b'"logprobs":null,"finish_reason":null}]}\n\n'
)
FINISH = CHUNK_HEAD + b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = (
    CHUNK_HEAD + b'"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":%d,'
    b'"total_tokens":%d}}\n\n'
)
DONE = b"data: [DONE]\n\n"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
ANSWER = (
    b'{"id":"c1","object":"chat.completion","created":1760000000,"model":"gpt-4.1",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}'
)
MODELS = b'{"object":"list","data":[{"id":"mock-100-20","object":"model"}]}'


def json_answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


def http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Upstream(asyncio.Protocol):
    """One connection from a gateway; requests on it are answered one after another."""

    def connection_made(self, transport):
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.received = b""
        self.timer = None
        self.tokens_left = self.tokens_total = 0
        self.interval_s = self.next_s = 0.0

    def connection_lost(self, _exc):
        if self.timer is not None:
            self.timer.cancel()

    def data_received(self, data):
        self.received += data
        while (head_end := self.received.find(b"\r\n\r\n")) >= 0:
            length = CONTENT_LENGTH.search(self.received, 0, head_end)
            end = head_end + 4 + (int(length[1]) if length else 0)
            if len(self.received) < end:
                return
            method_is_get = self.received.startswith(b"GET")
            body, self.received = self.received[head_end + 4 : end], self.received[end:]
            if method_is_get:
                self.transport.write(json_answer(MODELS))
            elif STREAMED.search(body):
                self.begin(body)
            else:
                self.transport.write(json_answer(ANSWER))

    def begin(self, body):
        script = SCRIPT.search(body)
        if script is None:
            self.transport.close()
            return
        self.tokens_left = self.tokens_total = int(script[1])
        self.interval_s = int(script[2]) / 1000
        self.next_s = self.loop.time()
        self.transport.write(STREAM_HEAD)
        self.tick()

    def tick(self):
        if self.transport.is_closing():
            return
        while self.tokens_left:
            self.tokens_left -= 1
            self.transport.write(http_chunk(TOKEN % time.monotonic_ns()))
            if self.interval_s:
                self.next_s += self.interval_s
                self.timer = self.loop.call_at(self.next_s, self.tick)
                return
        self.end()

    def end(self):
        self.transport.write(http_chunk(FINISH))
        self.transport.write(http_chunk(USAGE % (self.tokens_total, self.tokens_total + 10)))
        self.transport.write(http_chunk(DONE))
        self.transport.write(b"0\r\n\r\n")


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", port, backlog=BACKLOG)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
