"""The driver: clients, a breaking proxy, a gateway that is killed over and over, one table.

    python -m chaos.run                     the proof: 500 kills, 10,000 cuts, under 20 minutes
    python -m chaos.run --short             the same in small, under 30 seconds
    python -m chaos.run --seed 7 --kills 0  again with these dice; no kill

Exit status: 0 nothing was lost; 1 something that must be zero is not; 2 the journal of this version
is not durable, so that kills would prove nothing.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import aiohttp
import uvloop

from chaos import faults
from chaos.books import audited, open_account
from chaos.client import SocketClient, Way
from chaos.events import EventClient
from chaos.lifecycle import Lives, Provider
from chaos.proxy import Proxy
from chaos.report import Report, summarize
from chaos.script import Script
from chaos.transcript import Book, Transcript

DEPLOY_SHARE = 0.1
# How a stream is drawn: tokens and pace; a burst, an ordinary answer, a slow one, a long one.
SHAPES = (((1, 40), 0), ((20, 150), 8_000), ((10, 60), 30_000), ((300, 1_500), 1_000))
LANES_MAX = 4
LONE_SHARE = 0.25  # of clients with one stream, beside those that draw one
EVENTS_SHARE_OF_LONE = 0.5
FOLLOWED_SHARE = 0.25
REVISIT_SHARE = 0.25
REMEMBERED = (
    1000  # finished streams that are read again, of some seconds; some past their retention
)
STUCK_S = 60.0  # a stream takes a few seconds; the rest is patience
CALM_S = 45.0  # at the end, with nothing going wrong any more, everybody must get through
PROGRESS_S = 10.0
LINE_CHARACTERS = 1_500  # the end of a traceback says what it was


@dataclass(frozen=True)
class Plan:
    """How much is run."""

    kills: int = 500
    cuts: int = 10_000
    clients: int = 48
    limit_s: float = 1_500.0


SHORT = Plan(kills=6, cuts=100, clients=16, limit_s=60.0)


class Client(Protocol):
    """Whatever reads streams through the proxy and tells their transcripts; SDKs' clients too."""

    async def run(self) -> None:
        """Read all of its streams to their ends."""


@dataclass
class Run:
    """One run under way."""

    plan: Plan
    seed: int
    lives: Lives
    proxy: Proxy
    way: Way
    has_events: bool
    book: Book = field(default_factory=Book)
    scripts: dict[str, Script] = field(default_factory=dict)
    finished: deque[Transcript] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    over: bool = False
    began_s: float = field(default_factory=time.monotonic)

    # -- the clients -----------------------------------------------------------------------------

    async def worker(self, number: int) -> None:
        """Be one client after another, until the run is over."""
        dice = random.Random(f"{self.seed}/worker/{number}")
        turn = 0
        while not self.over:
            turn += 1
            if self.finished and dice.random() < REVISIT_SHARE:
                self.book.tally["read again after the end"] += 1
                again = self.reader_of(dice.choice(self.finished))
                await self.watch(again, self.client([again], dice))
                continue
            lanes = [self.lead(f"s{number}x{turn}x{n}", dice) for n in range(self.draw_lanes(dice))]
            client = self.client(lanes, dice)
            followed = dice.random() < FOLLOWED_SHARE
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.watch_all(lanes, client))
                if followed:
                    tasks.create_task(self.follow(lanes[0], dice))
            # One that an error stood for has no name to come back to.
            self.finished += [each for each in lanes if each.end and each.stream_id]

    def draw_lanes(self, dice: random.Random) -> int:
        return 1 if dice.random() < LONE_SHARE else dice.randint(1, LANES_MAX)

    def lead(self, name: str, dice: random.Random) -> Transcript:
        (least, most), pace_us = dice.choice(SHAPES)
        script = self.scripts[name] = Script(name, dice.randint(least, most), pace_us)
        return Transcript(script, self.book, leads=True)

    def reader_of(self, other: Transcript) -> Transcript:
        """Return a second reader's transcript of a stream, from its start."""
        reader = Transcript(other.script, self.book, leads=False)
        reader.stream_id, reader.epoch = other.stream_id, other.epoch
        return reader

    def client(self, lanes: list[Transcript], dice: random.Random) -> Client:
        """Return a client; here SDKs' clients will take their share."""
        tally = self.book.tally
        if self.has_events and len(lanes) == 1 and dice.random() < EVENTS_SHARE_OF_LONE:
            return EventClient(self.way, lanes[0], tally, dice)
        return SocketClient(self.way, lanes, tally, dice)

    async def follow(self, leader: Transcript, dice: random.Random) -> None:
        """Read a stream from its start beside the client that created it."""
        while leader.stream_id is None and not leader.over:
            await asyncio.sleep(0.02)
        if leader.stream_id is not None:
            self.book.tally["followed by a second reader"] += 1
            reader = self.reader_of(leader)
            await self.watch(reader, self.client([reader], random.Random(dice.random())))

    async def watch(self, lane: Transcript, client: Client) -> None:
        await self.watch_all([lane], client)

    async def watch_all(self, lanes: list[Transcript], client: Client) -> None:
        """Run a client; streams that have not ended after a long time are stuck."""
        try:
            async with asyncio.timeout(STUCK_S):
                await client.run()
        except TimeoutError:
            for lane in lanes:
                if not lane.over:
                    lane.stuck(str((await self.counts(lane.script.name)).get(lane.script.name)))

    # -- the gateway's lives ---------------------------------------------------------------------

    async def kill(self) -> None:
        """Let the gateway live and die until there were enough kills and cuts."""
        lives, plan, dice = self.lives, self.plan, self.lives.dice
        if plan.kills:
            await lives.stop()
            while lives.ends.kills < plan.kills and not self.late:
                if dice.random() < DEPLOY_SHARE:
                    await lives.deploy()
                else:
                    await lives.live_and_die()
            if not await lives.start():
                raise RuntimeError(f"the gateway does not start:\n{lives.tail()}")
        while self.proxy.cuts < plan.cuts and not self.late:
            await asyncio.sleep(0.05)

    @property
    def late(self) -> bool:
        return time.monotonic() - self.began_s > self.plan.limit_s

    async def tell(self) -> None:
        """Say from time to time how far it is, and what was found since."""
        told = 0
        while True:
            await asyncio.sleep(PROGRESS_S)
            tally, ends = self.book.tally, self.lives.ends
            for complaint in tally.complaints[told:]:
                print(f"! {complaint}", file=sys.stderr)
            told = len(tally.complaints)
            print(
                f"  {time.monotonic() - self.began_s:4.0f} s: {ends.kills} kills,"
                f" {self.proxy.cuts} cuts, {tally['streams created']} streams,"
                f" {tally['resumes']} resumes; {len(tally.complaints)} complaints",
                file=sys.stderr,
                flush=True,
            )

    # -- the whole -------------------------------------------------------------------------------

    async def everything(self) -> Report:
        teller = asyncio.create_task(self.tell())
        workers = [asyncio.create_task(self.worker(n)) for n in range(self.plan.clients)]
        try:
            killer = asyncio.create_task(self.kill())
            await asyncio.wait([killer, *workers], return_when=asyncio.FIRST_COMPLETED)
            if not killer.done():
                killer.cancel()
                raise RuntimeError("a client's task ended before its time")
            await killer
            self.over = self.proxy.calm = True
            done, pending = await asyncio.wait(workers, timeout=CALM_S)
            for task in pending:
                task.cancel()
                self.book.tally.fault("stuck", 1, "a client did not get through in the calm")
            for task in done:
                task.result()
        finally:
            for task in (teller, *workers):
                task.cancel()
            await asyncio.gather(teller, *workers, return_exceptions=True)
        await self.lives.stop()
        return await self.report()

    async def counts(self, name: str = "") -> dict[str, dict[str, int]]:
        """Return the provider's counts, of one stream or of all."""
        url = f"http://127.0.0.1:{self.provider_port}/counts/{name}".removesuffix("/")
        async with self.way.session.get(url) as response:
            return json.loads(await response.read())

    provider_port: int = 0

    async def report(self) -> Report:
        tally = self.book.tally
        counts = await self.counts()
        second = [name for name, count in counts.items() if count["calls"] > 1]
        unheard = [
            name
            for name, end in self.book.ends.items()
            if end.finish == "stop" and counts[name]["written"] != self.scripts[name].tokens
        ]
        errors = self.lives.errors()
        tally.complaints += [f"second calls: {name} {counts[name]}" for name in second[:5]]
        tally.complaints += [f"the server's log: …{line[-LINE_CHARACTERS:]}" for line in errors[:5]]
        found = {
            "second calls": len(second),
            "unheard tokens": len(unheard),
            "journal errors": len(errors),
            "missing kills": max(0, self.plan.kills - self.lives.ends.kills),
            "missing cuts": max(0, self.plan.cuts - self.proxy.cuts),
        }
        books, complaints = audited(self.lives.data, self.book.completed)
        tally.complaints += complaints
        return summarize(tally, self.lives, self.proxy.cuts, found | books)


async def has_events(way: Way, port: int) -> bool:
    """Say whether the gateway serves streams over HTTP: no such page, or no such stream."""
    url = f"http://127.0.0.1:{port}/v1/streams/st_none/events"
    async with way.session.get(url, headers=way.headers) as response:
        answer = json.loads(await response.read())
        return answer["error"]["code"] == "stream_not_found"


async def run(plan: Plan, seed: int, if_volatile: str) -> Report | None:
    """Run a plan.

    Args:
        plan: How much.
        seed: The dice.
        if_volatile: What to do when the journal is not durable and the plan asks for kills:
            `refuse` (return None), `spare` (no kill) or `kill`.
    """
    with tempfile.TemporaryDirectory(prefix="tokenferry-chaos-") as directory:
        work = Path(directory)
        provider = Provider(work)
        lives = Lives(work, provider.port, random.Random(f"{seed}/lives"))
        proxy = Proxy(lives.port, lambda number: faults.draw(seed, number))
        # A connection each, so that each has a fault of its own.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            try:
                await provider.start()
                lives.prepare()
                key = open_account(lives)
                if not await lives.start():
                    raise RuntimeError(f"the gateway does not start:\n{lives.tail()}")
                await proxy.start()
                if plan.kills and not lives.durable and if_volatile != "kill":
                    if if_volatile == "refuse":
                        return None
                    print("chaos: the journal is not durable; no kills", file=sys.stderr)
                    plan = replace(plan, kills=0)
                way = Way(session, proxy.port, key)
                serves_events = await has_events(way, lives.port)
                one = Run(plan, seed, lives, proxy, way, serves_events)
                one.provider_port = provider.port
                return await one.everything()
            finally:
                await proxy.stop()
                await lives.abandon()
                provider.stop()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos.run", description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a few kills, a hundred cuts")
    parser.add_argument("--seed", type=int, help="the dice of an earlier run")
    parser.add_argument("--kills", type=int, help="how often the gateway is killed")
    parser.add_argument("--cuts", type=int, help="how many connections are cut, at least")
    parser.add_argument("--clients", type=int, help="how many clients at a time")
    parser.add_argument(
        "--anyway", action="store_true", help="kill, though the journal is not durable"
    )
    return parser.parse_args()


def main() -> int:
    args = arguments()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1 << 32)
    given = {name: getattr(args, name) for name in ("kills", "cuts", "clients")}
    given = {name: number for name, number in given.items() if number is not None}
    plan = replace(SHORT if args.short else Plan(), **given)
    print(f"chaos: seed {seed}", flush=True)
    began_s = time.monotonic()
    if_volatile = "kill" if args.anyway else "spare" if args.short and not args.kills else "refuse"
    report = uvloop.run(run(plan, seed, if_volatile))
    if report is None:
        print("chaos: the journal of this version is not durable; try --kills 0", file=sys.stderr)
        return 2
    print(report.text())
    verdict = "nothing was lost" if report.good else "NOT GOOD"
    print(f"chaos: {verdict}; seed {seed}, {time.monotonic() - began_s:.0f} s")
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
