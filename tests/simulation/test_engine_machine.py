"""The whole engine as a state machine: Hypothesis chooses the events, and makes a failure small."""

import random
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from simulation.provider import Call  # noqa: TC001 -- no block of its own for one name
from simulation.reader import Reader
from simulation.world import ORPHAN_S, SPEECH, World

# By number and not by name: what there is to choose from changes from step to step.
ANY = st.integers(0, 99)
# Of clients that count what they are sent, in bytes; a window of 1 lets one frame through.
WINDOW = st.sampled_from([None, 1, 4_000])
CREDIT = st.sampled_from([1, 300, 1_000, 5_000])


class EngineMachine(RuleBasedStateMachine):
    """See the module's docstring."""

    @initialize(
        durability=st.sampled_from(["process", "disk", "memory"]),
        candidates=st.integers(1, 2),
        drains=st.booleans(),
    )
    def begin(self, durability: str, candidates: int, *, drains: bool) -> None:
        self.directory = tempfile.mkdtemp()
        path = Path(self.directory) / "journal"
        self.world = World(path, durability, candidates=candidates, drains=drains)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.world.end()
        finally:
            self.world.close()
            shutil.rmtree(self.directory)

    def readers(self) -> list[Reader]:
        return [reader for reader in self.world.readers if not reader.lost]

    # -- clients -------------------------------------------------------------------------------

    @rule(
        key=st.sampled_from([None, "a", "b"]),
        window=WINDOW,
        cancels=st.booleans(),
        follows=st.booleans(),
    )
    def create(self, key: str | None, window: int | None, *, cancels: bool, follows: bool) -> None:
        self.world.create(key, cancels=cancels, follows=follows, window=window)

    @precondition(lambda self: self.world.known)
    @rule(which=ANY, merges=st.booleans(), room=st.sampled_from([None, 1, 2]), window=WINDOW)
    def resume(self, which: int, room: int | None, window: int | None, *, merges: bool) -> None:
        starts = [(stream_id, 1, 0) for stream_id in self.world.known]
        positions = [*self.world.positions, *starts]
        stream_id, epoch, after = positions[which % len(positions)]
        self.world.resume(stream_id, epoch, after, merges=merges, room=room, window=window)

    @precondition(lambda self: self.readers())
    @rule(which=ANY, lost=st.booleans())
    def leave(self, which: int, *, lost: bool) -> None:
        readers = self.readers()
        self.world.leave(readers[which % len(readers)], lost=lost)

    @precondition(lambda self: self.readers())
    @rule(which=ANY, room=st.integers(0, 3))
    def slow(self, which: int, room: int) -> None:
        readers = self.readers()
        self.world.slow(readers[which % len(readers)], room)

    @precondition(lambda self: self.readers())
    @rule(which=ANY)
    def quick(self, which: int) -> None:
        readers = self.readers()
        self.world.quick(readers[which % len(readers)])

    @precondition(lambda self: self.readers())
    @rule(which=ANY, count=CREDIT, to_stream=CREDIT)
    def give(self, which: int, count: int, to_stream: int) -> None:
        readers = self.readers()
        self.world.give(readers[which % len(readers)], count, to_stream)

    @precondition(lambda self: self.world.known)
    @rule(which=ANY)
    def cancel(self, which: int) -> None:
        self.world.cancel(self.world.known[which % len(self.world.known)])

    # -- providers, disk, time, processes ------------------------------------------------------

    @precondition(lambda self: self.world.calls())
    @rule(which=ANY, what=st.sampled_from(["text", *SPEECH]), times=st.sampled_from([1, 1, 3, 12]))
    def speak(self, which: int, what: str, times: int) -> None:
        calls: list[Call] = self.world.calls()
        self.world.speak(calls[which % len(calls)], what, times)

    @rule()
    def tick(self) -> None:
        self.world.tick()

    @rule(seconds=st.sampled_from([0.3, 2.5, 11.0, ORPHAN_S + 1, 601.0]))
    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule()
    def archive_some(self) -> None:
        self.world.archive_some()

    @rule()
    def fail_journal(self) -> None:
        self.world.fail_journal()

    @rule()
    def heal(self) -> None:
        self.world.heal()

    @precondition(lambda self: self.world.disk is not None and self.world.disk.is_busy)
    @rule(well=st.booleans())
    def answer(self, *, well: bool) -> None:
        self.world.answer(well=well)

    @rule()
    def restart(self) -> None:
        self.world.restart()

    @rule()
    def stop(self) -> None:
        self.world.stop()

    @precondition(lambda self: self.world.disk is not None and self.world.disk.is_honest)
    @rule(seed=st.integers(0, 99))
    def cut_power(self, seed: int) -> None:
        self.world.cut_power(random.Random(seed))  # noqa: S311 -- dice, not secrets

    @invariant()
    def every_promise_is_kept(self) -> None:
        if hasattr(self, "world"):
            self.world.check()


TestEngineMachine = EngineMachine.TestCase
TestEngineMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
