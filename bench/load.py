"""The load client: drives one target and prints what it saw as one line of JSON.

    python -m bench.load stream --kind sse|ws|lanes --port N --key K --model mock-100-20 …
    python -m bench.load requests --port N --key K --model mock-1-0 …
    python -m bench.load idle --port N --key K --steps 1000 5000 …
    python -m bench.load storm|resume|behind|resumable --port N --key K --model mock-60-500 …

`ws` sends a bare OpenAI body, one stream a connection; `lanes` speaks `tokenferry.v1`, many streams
a connection. Every stream must bring exactly the tokens that its model's name promises, each once
and in order, and its terminal; anything else is counted as lost or as an error.
"""

import argparse
import asyncio
import gc
import json
import os
import re
import time
from dataclasses import asdict

import uvloop
from bench.clients import (
    IdleSocket,
    LaneSocket,
    RequestConnection,
    SocketStream,
    SSEStream,
)
from bench.comeback import MODES, comeback
from bench.meter import Summary, Tally
from bench.processes import cpu_s, family, machine_s, raise_fd_limit, rss_kib

SETTLE_S = 0.05  # what the gateway does after the last byte belongs to the stream as well
RSS_EVERY_S = 0.05
IDLE_SETTLE_S = 1.0
OPENING_MAX = 64  # connections being opened at a time


def request_body(model: str, *, stream: bool) -> bytes:
    """Return an ordinary chat request of a few words."""
    message = {"role": "user", "content": "hello there"}
    body = {"model": model, "messages": [message], "stream": stream, "max_tokens": 4000}
    return json.dumps(body).encode()


async def run_streams(args, tally: Tally) -> None:
    """Open `streams` streams, `rounds` times each, started `stagger_ms` apart."""
    loop = asyncio.get_running_loop()
    body = request_body(args.model, stream=True)
    make = {"sse": SSEStream, "ws": SocketStream}[args.kind]

    async def one(number: int) -> None:
        await asyncio.sleep(number * args.stagger_ms / 1000)
        for _ in range(args.rounds):
            tally.expected += args.tokens
            client = make(args, body, tally)
            try:
                async with asyncio.timeout(args.timeout_s):
                    await loop.create_connection(lambda c=client: c, "127.0.0.1", args.port)
                    await client.finished
            except (OSError, TimeoutError) as error:
                tally.fail(repr(error))

    await asyncio.gather(*(one(number) for number in range(args.streams)))


async def run_lanes(args, tally: Tally) -> None:
    """The same load on a few connections with many lanes each."""
    loop = asyncio.get_running_loop()
    body = request_body(args.model, stream=True)
    sockets = [LaneSocket(args, body, tally) for _ in range(args.streams // args.lanes)]
    async with asyncio.timeout(args.timeout_s):
        for socket in sockets:
            await loop.create_connection(lambda s=socket: s, "127.0.0.1", args.port)
            await socket.opened

    async def one(number: int) -> None:
        await asyncio.sleep(number * args.stagger_ms / 1000)
        socket = sockets[number % len(sockets)]
        for turn in range(args.rounds):
            tally.expected += args.tokens
            try:
                async with asyncio.timeout(args.timeout_s):
                    await socket.create(f"{number}-{turn}")
            except TimeoutError as error:
                tally.fail(repr(error))

    await asyncio.gather(*(one(number) for number in range(args.streams)))
    for socket in sockets:
        socket.leave()


class Account:
    """The CPU time of the measured processes from now on, and that of all others.

    Ours is the family of whoever started the client: the driver, and what it has started.
    """

    def __init__(self, pids: list[int]):
        self.pids = pids
        self.ours = family(os.getppid())
        self.cpu_s, self.others_s = cpu_s(pids), self.others()
        self.started_s = time.monotonic()

    def others(self) -> float:
        return machine_s()[1] - cpu_s(self.ours)

    async def close(self, tally: Tally) -> Summary:
        wall_s = time.monotonic() - self.started_s
        await asyncio.sleep(SETTLE_S)
        others_s = max(0.0, self.others() - self.others_s)
        return tally.summary(wall_s, cpu_s(self.pids) - self.cpu_s, others_s)


async def watch_rss(args, tally: Tally) -> None:
    while True:
        tally.rss_peak_kib = max(tally.rss_peak_kib, rss_kib(args.pids))
        await asyncio.sleep(RSS_EVERY_S)


async def stream(args) -> dict:
    tally = Tally()
    watcher = asyncio.create_task(watch_rss(args, tally)) if args.rss else None
    account = Account(args.pids)
    await (run_lanes if args.kind == "lanes" else run_streams)(args, tally)
    summary = await account.close(tally)
    if watcher:
        watcher.cancel()
    return asdict(summary)


async def requests(args) -> dict:
    """`streams` keep-alive connections, each `rounds` requests in a row, not streamed."""
    tally = Tally()
    loop = asyncio.get_running_loop()
    body = request_body(args.model, stream=False)
    connections = [RequestConnection(args, body, tally) for _ in range(args.streams)]
    for connection in connections:
        await loop.create_connection(lambda c=connection: c, "127.0.0.1", args.port)
    account = Account(args.pids)
    tally.expected = args.streams * args.rounds
    for connection in connections:
        connection.start()
    try:
        async with asyncio.timeout(args.timeout_s):
            await asyncio.gather(*(connection.finished for connection in connections))
    except TimeoutError as error:
        tally.fail(repr(error))
    return asdict(await account.close(tally))


async def idle(args) -> dict:
    """Open ever more authenticated sockets that do nothing; report the memory at each step."""
    tally = Tally()
    gate = asyncio.Semaphore(OPENING_MAX)
    sockets: list[IdleSocket] = []

    async def one() -> None:
        async with gate:
            socket = IdleSocket(args, tally)
            sockets.append(socket)
            await asyncio.get_running_loop().create_connection(
                lambda: socket, "127.0.0.1", args.port
            )
            await socket.opened

    steps = []
    for count in args.steps:
        async with asyncio.timeout(args.timeout_s):
            await asyncio.gather(*(one() for _ in range(count - len(sockets))))
        await asyncio.sleep(IDLE_SETTLE_S)
        steps.append({"sockets": count, "rss_kib": rss_kib(args.pids)})
    for socket in sockets:
        socket.leave()
    return {"steps": steps, "errors": tally.errors, "complaints": tally.complaints}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.load")
    parser.add_argument("mode", choices=["stream", "requests", "idle", *MODES])
    parser.add_argument("--kind", choices=["sse", "ws", "lanes"], default="sse")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", default="none")
    parser.add_argument("--model", default="mock-100-20")
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--lanes", type=int, default=50, help="lanes a connection")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--stagger-ms", type=float, default=2.0)
    parser.add_argument("--timeout-s", type=float, default=60.0)
    parser.add_argument("--pids", type=int, nargs="*", default=[])
    parser.add_argument("--steps", type=int, nargs="*", default=[1000])
    parser.add_argument("--missed", type=int, default=1000, help="records that a resume fetches")
    parser.add_argument("--wait-s", type=float, default=3.0, help="how long a reader stands still")
    parser.add_argument("--rss", action="store_true", help="watch the peak of the memory as well")
    args = parser.parse_args()
    promise = re.fullmatch(r"mock-(\d+)-\d+", args.model)
    args.tokens = int(promise[1]) if promise else 0
    return args


def main() -> None:
    args = arguments()
    raise_fd_limit()
    gc.freeze()
    gc.disable()  # a collection in the client would look like latency of the gateway
    if args.mode in MODES:
        work = comeback(args, request_body(args.model, stream=True))
    else:
        work = {"stream": stream, "requests": requests, "idle": idle}[args.mode](args)
    print(json.dumps(uvloop.run(work)))


if __name__ == "__main__":
    main()
