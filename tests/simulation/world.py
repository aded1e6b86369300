"""The engine in a world that can be told to go wrong: one data directory, many processes.

Each public method is one event. Whatever the order, what the protocol promises is checked from
outside, while it happens (`reader`) and after each event (`check`). Time, disk, providers and
clients do nothing by themselves.

Weakness: one thread, one node; a power cut is tried only where the disk has kept its word.
"""

import logging
import random
from collections import Counter
from collections.abc import Coroutine  # noqa: TC003 -- no block of its own for one name
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from engine.virtual import KEY, Bench
from simulation.faults import Disk, FaultyJournal, to_thread
from simulation.provider import Call, Provider
from simulation.reader import Reader, Truth, check_log
from tokenferry.domain.allowance import Allowance
from tokenferry.domain.retry import RetryTerms
from tokenferry.engine import relay, retention, stream
from tokenferry.engine.admission import Rates
from tokenferry.engine.archive import Summary
from tokenferry.engine.options import GateTerms, Limits, Options
from tokenferry.engine.recovery import recover
from tokenferry.engine.resume import Replay, plan_resume
from tokenferry.engine.retention import Periods, Retention
from tokenferry.engine.router import RoutingRules
from tokenferry.engine.stream import Stream
from tokenferry.errors import IdempotencyKeyReused, StorageUnavailable
from tokenferry.protocol.cursor import Position
from tokenferry.stores.memory import MemoryJournal
from tokenferry.stores.memory_archive import MemoryArchive

# Nobody comes near them; what is held of them is checked after each event.
RATES = Rates(Allowance(10**6, 10**9, 10**6), models={"m": Allowance(10**6, 10**9, 10**6)})
CHUNKS_S = 600.0
PERIODS = Periods(CHUNKS_S, 86_400, 2_592_000, 1 << 30)
ORPHAN_S = 60.0
BEGINNING_MS = 1_790_000_000_000
# The first provider has few places, so that some wait for a turn.
RETRYING = RoutingRules(
    RetryTerms(retries=1), gates={"p0": GateTerms(streams_max=2, line_max=3, wait_max_s=20.0)}
)
# Credit that no answer here uses up.
PLENTY = 10**6
# Of one candidate for one stream: the first, and the retry.
CALLS_MAX = 2
SPEECH = ("text", "reasoning", "delta", "finish", "usage", "end", "fail")


class World:
    """See the module's docstring.

    Args:
        path: The journal's directory.
        durability: "memory", "process" or "disk".
        candidates: Providers that serve the model.
        drains: Whether providers are read to their end after a cancel.
    """

    def __init__(
        self, path: Path, durability: str, *, candidates: int = 1, drains: bool = False
    ) -> None:
        self.path, self.durability = path, durability
        self.candidates, self.drains = candidates, drains
        self.disk = Disk() if durability == "disk" else None
        self.truth = Truth()
        self.archive = MemoryArchive()
        self.now_ms = [BEGINNING_MS]
        self.readers: list[Reader] = []
        # Positions that lost clients have: stream, epoch, seq.
        self.positions: list[tuple[str, int, int]] = []
        # Each stream that a client was told of, by its idempotency key where it has one.
        self.known: list[str] = []
        self.by_key: dict[str, str] = {}
        self.started: list[Counter[str]] = [Counter() for _ in range(candidates)]
        self.numbers = 0
        self.bench: Bench
        self.journal: FaultyJournal | MemoryJournal
        self._archiving: Coroutine[Any, Any, int] | None = None
        self._patches = ExitStack()
        for where, name, value in (
            (stream, "RING_RECORDS", 4),
            (stream, "TURN_RECORDS", 3),
            (relay, "TURN_RECORDS", 3),
            (retention, "asyncio", SimpleNamespace(to_thread=to_thread)),
        ):
            self._patches.enter_context(mock.patch.object(where, name, value))
        logging.disable(logging.CRITICAL)
        self._patches.callback(logging.disable, logging.NOTSET)
        self.start()

    # -- processes -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start a process on what the last one left."""
        if self.durability == "memory":
            self.journal = MemoryJournal(1 << 30)
        elif self.disk is not None:
            self.journal = self.disk.begin(self.path, self.now_ms)
        else:
            self.journal = FaultyJournal(self.path, disk=False, now_ms=self.now_ms)
        self.bench = Bench(
            [Provider(f"p{n}", each, drains=self.drains) for n, each in enumerate(self.started)],
            journal=self.journal,  # type: ignore[arg-type] -- either adapter of the port
            archive=self.archive,
            limits=Limits(stream_bytes_max=2000, rates=RATES),
            sync=None if self.disk is None else self.disk.sync,
            rules=RETRYING,
        )
        self.bench.wall_ms = self.now_ms[0]
        found = self.journal.recovered()
        for each in found:
            records = self.journal.read(each.stream_id, 0, each.head + 1)
            assert len(records) == each.head
            for seq, record in enumerate(records, 1):
                self.truth.check_record(each.stream_id, seq, record)
        heads = {each.stream_id: each.head for each in found}
        if self.durability != "memory":
            for stream_id, seq in self.truth.records:
                assert heads.get(stream_id, seq) >= seq, "a record that a client has seen is lost"
        self.was_ended = {each.stream_id for each in found if each.terminal is not None}
        recover(self.bench.dispatcher, found)
        self.bench.timers.tick()
        for each in found:
            entry = self.bench.dispatcher.book.get("k", each.stream_id)
            assert entry is not None
            # Where the disk takes its time, readers come before its end is readable.
            assert entry.stream.sealed, "it hangs after a restart"
            assert entry.stream.done or self.disk is not None

    def kill(self) -> None:
        """End the process: what it had in memory is gone, and its connections with it."""
        for reader in self.readers:
            if not reader.ended:
                self.positions.append((reader.stream_id, reader.epoch, reader.last))
            reader.lost = True
        self.readers = []
        if self._archiving is not None:
            self._archiving.close()
            self._archiving = None
        if isinstance(self.journal, FaultyJournal):
            self.journal.abandon()
        if self.disk is not None:
            self.disk.forget()
        if self.durability == "memory":
            self.truth, self.known, self.by_key, self.positions = Truth(), [], {}, []
            self.archive = MemoryArchive()

    def restart(self) -> None:
        """Kill the process, and start the next one."""
        self.kill()
        self.start()
        self.check()

    def stop(self) -> None:
        """End the process in good order, and start the next one."""
        journal = self.journal
        if isinstance(journal, FaultyJournal):
            journal.failing = False
            journal.close_files()
            journal.abandon = lambda: None  # type: ignore[method-assign] -- it has let go
        self.restart()

    def cut_power(self, dice: random.Random) -> None:
        """Kill the process, and lose a part of what was not synced."""
        if self.disk is None or not self.disk.is_honest:
            return
        self.kill()
        self.disk.cut_power(self.path, dice)
        # Nobody was told of a stream that is lost; who holds its name, as here, has it in vain.
        self.start()
        self.check()

    def close(self) -> None:
        """Let go of everything."""
        self.kill()
        self._patches.close()

    # -- clients -------------------------------------------------------------------------------

    def create(
        self,
        key: str | None = None,
        *,
        cancels: bool = False,
        follows: bool = True,
        window: int | None = None,
    ) -> None:
        """Have a client ask for a stream, and follow it."""
        options = Options(
            on_disconnect_cancel=cancels, orphan_timeout_s=ORPHAN_S, idempotency_key=key
        )
        now_s = self.bench.timers.now_s
        try:
            made = self.bench.dispatcher.create(KEY, self.bench.request(), options, arrived_s=now_s)
        except (StorageUnavailable, IdempotencyKeyReused):
            return
        stream_id = made.id if isinstance(made, Stream) else made.stream_id
        if key is not None and not self.may_lose:
            assert self.by_key.setdefault(key, stream_id) == stream_id, "generated twice for a key"
        if stream_id not in self.known:
            self.known.append(stream_id)
        if isinstance(made, Stream):
            if follows:
                self._reader(window).follow(made, 0, resumes=False, merges=False)
            else:
                entry = self.bench.dispatcher.book.get("k", stream_id)
                assert entry is not None
                self.bench.dispatcher.book.orphan(entry)
        self.check()

    @property
    def may_lose(self) -> bool:
        """Whether a create may be lost though its client was told: without a sync that worked."""
        return self.disk is not None

    def resume(
        self,
        stream_id: str,
        epoch: int,
        after: int,
        *,
        merges: bool,
        room: int | None,
        window: int | None = None,
    ) -> None:
        """Have a client come back with a position that it has."""
        found = self.bench.dispatcher.book.get("k", stream_id) or self.archive.find("k", stream_id)
        if found is None:
            assert self.may_lose or self.durability == "memory", "a stream is forgotten"
            return
        plan = plan_resume(found, Position(epoch, after))
        if not isinstance(plan, Replay):
            assert isinstance(found, Summary)
            assert (plan.through, found.state != "generating") == (found.head, True)
            assert self.truth.ended.get(stream_id, found.head) == found.head
            return
        assert plan.after <= after
        assert plan.is_reset == (epoch < plan.entry.stream.epoch)
        assert plan.is_reset or plan.after == after
        # All that a client has seen is there still, so nobody has to take anything back.
        assert plan.after == after or not self._promised
        reader = self._reader(window)
        reader.room = room
        reader.follow(plan.entry.stream, plan.after, resumes=True, merges=merges)
        self.check()

    @property
    def _promised(self) -> bool:
        return self.disk is None or self.disk.is_honest

    def _reader(self, window: int | None) -> Reader:
        book = self.bench.dispatcher.book
        reader = Reader(self.truth, self.journal, self.disk, book, window)
        self.readers.append(reader)
        return reader

    def leave(self, reader: Reader, *, lost: bool) -> None:
        """Have a client drop its connection, or detach."""
        self.positions.append((reader.stream_id, reader.epoch, reader.last))
        reader.leave(lost=lost)
        self.check()

    def slow(self, reader: Reader, room: int) -> None:
        """Have a client read no further than so many writes."""
        reader.room = room
        reader.paused = room <= 0

    def quick(self, reader: Reader) -> None:
        """Have a slow client read everything again."""
        reader.room = None
        reader.resume()
        self.check()

    def give(self, reader: Reader, count: int, to_stream: int) -> None:
        """Have a client that counts give credit."""
        reader.give(count, to_stream)
        self.check()

    def cancel(self, stream_id: str) -> None:
        """Have a client end a stream; any number of times."""
        entry = self.bench.dispatcher.book.get("k", stream_id)
        if entry is not None:
            self.bench.dispatcher.cancel("k", stream_id)
            for reader in self.readers:
                if reader.stream_id == stream_id:
                    reader.free()
        self.check()

    # -- providers, disk, time -----------------------------------------------------------------

    def calls(self) -> list[Call]:
        """Return the answers that are under way."""
        return [
            call
            for provider in self.bench.providers
            for call in provider.calls
            if isinstance(call, Call) and not call.is_over
        ]

    def speak(self, call: Call, what: str, times: int = 1) -> None:
        """Have a provider say something; it is not committed before the tick's end."""
        for _ in range(times):
            if not call.is_over:
                self.numbers += 1
                call.say(what, self.numbers)

    def tick(self) -> None:
        """End a tick of the event loop."""
        self.bench.timers.tick()
        self.check()

    def fail_journal(self) -> None:
        """Let the journal's disk be full from now on."""
        if isinstance(self.journal, FaultyJournal):
            self.journal.failing = True

    def answer(self, *, well: bool) -> None:
        """Let a sync that is under way end."""
        if self.disk is not None:
            self.disk.answer(well=well)
            self.bench.timers.tick()
            self.check()

    def heal(self) -> None:
        """Let the disk work, until nothing waits for it."""
        if isinstance(self.journal, FaultyJournal):
            self.journal.failing = False
        for _ in range(100):
            self.bench.timers.tick()
            if self.bench.dispatcher.relay.is_idle:
                break
            if self.disk is not None and self.disk.is_busy:
                self.disk.answer(well=True)
            else:
                self._advance(relay.RETRY_S)
        assert self.bench.dispatcher.relay.is_idle
        self.check()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._advance(seconds)
        self.check()

    def _advance(self, seconds: float) -> None:
        self.now_ms[0] += round(seconds * 1000)
        self.bench.wall_ms = self.now_ms[0]
        self.bench.timers.advance(seconds)

    def archive_some(self) -> None:
        """Do the next half of a round of retention: choose, or save and give up."""
        if self._archiving is None:
            keeper = Retention(self.bench.dispatcher.book, self.journal, self.archive, PERIODS)
            self._archiving = keeper.archive_due()
        try:
            self._archiving.send(None)
        except StopIteration:
            self._archiving = None
        self.check()

    # -- what must hold ------------------------------------------------------------------------

    def check(self) -> None:
        """Check what must hold between any two events."""
        book, meter = self.bench.dispatcher.book, self.bench.meter
        outcomes = Counter(outcome.stream_id for outcome in meter.outcomes)
        assert all(count == 1 for count in outcomes.values()), "settled twice by one process"
        assert not outcomes.keys() & self.was_ended, "settled again after its terminal record"
        assert meter.begun >= len(meter.outcomes), "settled, but never begun"
        assert book.live_count == len(book.running())
        admissions = self.bench.dispatcher.admissions
        for subjects in (admissions._keys, admissions._models):
            running = sum(subject.running for subject in subjects.values())
            assert running == book.live_count, "a slot is lost, or given back twice"
        under_way: dict[str, int] = {}
        for state in self.bench.dispatcher.engine.router.candidates():
            under_way[state.provider] = under_way.get(state.provider, 0) + state.under_way
        for name, gate in self.bench.dispatcher.engine.router.gates().items():
            line = gate.state()
            assert line.running == under_way.get(name, 0), "a place is lost, or given back twice"
            assert not line.limit or line.running <= line.limit, "more than there are places"
        for counter in self.started:
            assert all(count <= CALLS_MAX for count in counter.values()), "called too often"
        for entry in book.owned("k"):
            check_log(entry.stream, self.journal)

    def end(self) -> None:
        """Let everything come to its end, and check that nothing is left of it."""
        self.heal()
        for reader in self.readers:
            if not reader.lost:
                self.quick(reader)
                self.give(reader, PLENTY, PLENTY)
                assert reader.lost or reader.last == self._head(reader.stream_id), "it is stuck"
                self.leave(reader, lost=True)
        self.advance(ORPHAN_S + 1)
        # A call that fails may be followed by another one, after a wait.
        for _ in range(self.candidates * CALLS_MAX):
            for call in self.calls():
                self.speak(call, "fail")
                self.speak(call, "end")
            self.advance(RETRYING.retry.wait_max_s)
        assert not self.calls(), "a provider is called for ever"
        self.heal()
        book, meter = self.bench.dispatcher.book, self.bench.meter
        assert all(entry.stream.done for entry in book.owned("k")), "it never ends"
        assert (book.running(), book.live_count) == ([], 0)
        for gate in self.bench.dispatcher.engine.router.gates().values():
            line = gate.state()
            assert (line.running, sum(line.waiting.values())) == (0, 0), "somebody waits for ever"
        assert meter.begun == len(meter.outcomes)
        for state in self.bench.router.candidates():
            assert state.under_way == 0, "a place at a candidate is lost"
        self.advance(CHUNKS_S + 1)
        for _ in range(100):
            self.archive_some()
            if self._archiving is None and not list(book.owned("k")):
                break
        self._check_empty()

    def _head(self, stream_id: str) -> int:
        entry = self.bench.dispatcher.book.get("k", stream_id)
        assert entry is not None, "what somebody reads is kept"
        return entry.stream.head

    def _check_empty(self) -> None:
        book = self.bench.dispatcher.book
        assert [*book._entries, *book._finished, *book._idempotent] == []
        assert not self.journal._logs
        for stream_id in self.known:
            summary = self.archive.find("k", stream_id)
            if summary is None:
                assert self.may_lose, "a stream is forgotten"
                continue
            assert summary.state != "generating"
            assert self.truth.ended.get(stream_id, summary.head) == summary.head
