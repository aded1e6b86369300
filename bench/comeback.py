"""Load of clients that come back: after a storm, with much to fetch, far behind, or just waiting.

Source: spec/PROTOCOL.md, "Resume". Weakness: all clients are one process on one core, so that times
of a storm have the client's own work in them.
"""

import asyncio
import re
import socket
import time

from bench.clients import TEXT, FramedSocket, frame, frames
from bench.meter import Tally, quantile_ms
from bench.processes import cpu_s, rss_kib

OPENING_MAX = 64
SETTLE_S = 1.0
SEQ = re.compile(rb'"seq": ?(\d+)')
STREAM_ID = re.compile(rb'"stream_id": ?"([^"]+)"')
CAUGHT_UP = b'"caught_up"'
DONE = re.compile(rb'"done": ?true')
PONG = b'"pong"'
RECEIVE_BYTES = 8 * 1024  # of a reader that does not read: little is on its way


class Follower(FramedSocket):
    """One connection with one stream, which it can lose and take up again."""

    subprotocol = b"Sec-WebSocket-Protocol: tokenferry.v1\r\n"

    def __init__(self, args, tally: Tally, before: "Follower | None" = None):
        super().__init__(args, tally)
        loop = asyncio.get_running_loop()
        self.stream_id = before.stream_id if before else b""
        self.last = before.last if before else 0
        self.begun, self.caught_up, self.done = (loop.create_future() for _ in range(3))

    def create(self, body: bytes) -> None:
        self.transport.write(frame(TEXT, b'{"type":"create","request":%s}' % body))

    def resume(self, after: int) -> None:
        message = b'{"type":"resume","stream_id":"%s","epoch":1,"after":%d}'
        self.transport.write(frame(TEXT, message % (self.stream_id, after)))

    def cancel(self) -> None:
        self.transport.write(frame(TEXT, b'{"type":"cancel","stream_id":"%s"}' % self.stream_id))

    def on_text(self, payload: bytes, now_ns: int) -> None:
        if b'"error"' in payload:
            self.tally.fail(payload.decode(errors="replace"))
        elif CAUGHT_UP in payload:
            resolve(self.caught_up, now_ns)
        elif b'"started"' in payload:
            self.stream_id = STREAM_ID.search(payload)[1]
        elif (found := SEQ.search(payload)) is not None:
            seq = int(found[1])
            self.tally.disorder += seq != self.last + 1
            self.last = seq
            resolve(self.begun, now_ns)
            if DONE.search(payload):
                resolve(self.done, now_ns)

    def drop(self) -> None:
        """Lose the connection as a client does whose network went away."""
        self.leaving = True
        self.transport.abort()


def resolve(future: asyncio.Future, now_ns: int) -> None:
    if not future.done():
        future.set_result(now_ns)


async def connect(args, follower: Follower, receive_bytes: int = 0) -> Follower:
    """Open the connection, and wait until it is authenticated."""
    raw = socket.socket()
    raw.setblocking(False)  # noqa: FBT003 -- the socket module's own form
    if receive_bytes:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", args.port))
    await loop.create_connection(lambda: follower, sock=raw)
    await follower.opened
    return follower


async def open_all(args, tally: Tally, body: bytes, *, until_done: bool) -> list[Follower]:
    """Open `streams` connections, each with a stream that has begun, or has ended."""
    gate = asyncio.Semaphore(OPENING_MAX)

    async def one() -> Follower:
        async with gate:
            follower = await connect(args, Follower(args, tally))
            follower.create(body)
            await (follower.done if until_done else follower.begun)
            return follower

    return await asyncio.gather(*(one() for _ in range(args.streams)))


async def storm(args, tally: Tally, body: bytes) -> dict:
    """Drop all connections at once; all come back at once and resume their streams."""
    followers = await open_all(args, tally, body, until_done=False)
    before_s = cpu_s(args.pids)
    for follower in followers:
        follower.drop()
    await asyncio.sleep(0)

    async def back(old: Follower) -> int:
        started_ns = time.monotonic_ns()
        new = await connect(args, Follower(args, tally, old))
        new.resume(new.last)
        took_ns = await new.caught_up - started_ns
        followers_now.append(new)
        return took_ns

    followers_now: list[Follower] = []
    times_ns = await asyncio.gather(*(back(old) for old in followers))
    used_s = cpu_s(args.pids) - before_s
    for follower in followers_now:
        follower.cancel()  # else it would go on beside the next storm
    await asyncio.gather(*(follower.done for follower in followers_now))
    for follower in followers_now:
        follower.drop()
    return quantiles(times_ns) | {"cpu_s": used_s, "streams": len(followers)}


async def resume(args, tally: Tally, body: bytes) -> dict:
    """Fetch the last `missed` records of a finished stream, again and again, less a ping's time."""
    follower = await connect(args, Fetcher(args, tally))
    follower.create(body)
    await follower.done
    head = follower.last
    times_ns, pings_ns = [], []
    for _ in range(args.rounds):
        pings_ns.append(await follower.ping())
        times_ns.append(await follower.fetch(head - args.missed, head))
    network_ns = sorted(pings_ns)[len(pings_ns) // 2]
    follower.drop()
    return quantiles([max(0, each - network_ns) for each in times_ns]) | {
        "ping_p50_ms": network_ns / 1e6,
        "missed": args.missed,
    }


class Fetcher(Follower):
    """A follower that looks at frames only when all of a replay is there."""

    def __init__(self, args, tally: Tally):
        super().__init__(args, tally)
        self.waits_for = b""
        self.arrived: asyncio.Future | None = None

    def data_received(self, data):
        if self.arrived is None:
            super().data_received(data)
            return
        self.received += data
        if self.waits_for in self.received[-256:]:
            resolve(self.arrived, time.monotonic_ns())

    async def asks(self, message: bytes, waits_for: bytes) -> int:
        """Send a message; return the nanoseconds until the end of its answer has arrived."""
        self.received, self.waits_for = b"", waits_for
        self.arrived = asyncio.get_running_loop().create_future()
        started_ns = time.monotonic_ns()
        self.transport.write(frame(TEXT, message))
        return await self.arrived - started_ns

    async def ping(self) -> int:
        return await self.asks(b'{"type":"ping","t":1}', PONG)

    async def fetch(self, after: int, head: int) -> int:
        message = b'{"type":"resume","stream_id":"%s","epoch":1,"after":%d}'
        took_ns = await self.asks(message % (self.stream_id, after), CAUGHT_UP)
        payloads = [payload for _, payload, _ in frames(self.received)]
        seqs = [int(found[1]) for each in payloads if (found := SEQ.search(each))]
        if seqs != [*range(after + 1, head + 1), head]:  # the last one is of `caught_up`
            self.tally.fail(f"a resume after {after} of {head} brought {len(seqs)} records")
        return took_ns


async def behind(args, tally: Tally, body: bytes) -> dict:
    """Let one reader stand still while its stream goes on; report the gateway's memory."""
    follower = await connect(args, Follower(args, tally), RECEIVE_BYTES)
    before_kib = rss_kib(args.pids)
    follower.create(body)
    await follower.begun
    follower.transport.pause_reading()
    await asyncio.sleep(args.wait_s)
    while_kib, read = rss_kib(args.pids), follower.last
    follower.transport.resume_reading()
    await follower.done
    await asyncio.sleep(SETTLE_S)
    after_kib = rss_kib(args.pids)
    if follower.last != args.tokens + 2:
        tally.fail(f"{follower.last} records of {args.tokens + 2}")
    behind_by = follower.last - read
    follower.drop()
    steps_kib = {"before_kib": before_kib, "while_kib": while_kib, "after_kib": after_kib}
    return steps_kib | {"behind": behind_by}


async def resumable(args, tally: Tally, body: bytes) -> dict:
    """Hold many connections, each of which has just had a stream that is kept."""
    before_kib = rss_kib(args.pids)
    followers = await open_all(args, tally, body, until_done=True)
    await asyncio.sleep(SETTLE_S)
    after_kib = rss_kib(args.pids)
    for follower in followers:
        follower.drop()
    return {"before_kib": before_kib, "after_kib": after_kib, "streams": len(followers)}


def quantiles(times_ns: list[int]) -> dict[str, float]:
    return {"p50_ms": quantile_ms(times_ns, 0.5), "p99_ms": quantile_ms(times_ns, 0.99)}


MODES = {"storm": storm, "resume": resume, "behind": behind, "resumable": resumable}


async def comeback(args, body: bytes) -> dict:
    """Run one of the modes, and add what went wrong."""
    tally = Tally()
    outcome: dict = {}
    try:
        async with asyncio.timeout(args.timeout_s):
            outcome = await MODES[args.mode](args, tally, body)
    except (OSError, TimeoutError) as error:
        tally.fail(repr(error))
    return outcome | {
        "errors": tally.errors,
        "disorder": tally.disorder,
        "complaints": tally.complaints,
    }
