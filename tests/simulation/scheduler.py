"""A run of the world by dice: the same seed, the same events."""

import random
from collections.abc import Callable  # noqa: TC003 -- no block of its own for one name
from pathlib import Path

from simulation.world import ORPHAN_S, SPEECH, World

STEPS = 120
CREDITS = (1, 300, 1_000, 5_000)
DURABILITIES = ("process", "process", "disk", "disk", "memory")


class Scheduler:
    """Rolls dice for what happens next.

    Args:
        seed: Of the dice.
        path: Where the journal may be.
    """

    def __init__(self, seed: int, path: Path) -> None:
        self.dice = dice = random.Random(seed)  # noqa: S311 -- dice, not secrets
        self.world = World(
            path,
            dice.choice(DURABILITIES),
            candidates=dice.choice((1, 1, 2)),
            drains=dice.random() < 0.3,
        )
        self.events: list[tuple[int, Callable[[], None]]] = [
            (10, self.create),
            (60, self.speak),
            (45, self.world.tick),
            (12, self.resume),
            (8, self.leave),
            (6, self.slow),
            (6, self.quick),
            (8, self.give),
            (4, self.cancel),
            (5, self.pass_time),
            (4, self.world.archive_some),
            (2, self.world.fail_journal),
            (4, self.world.heal),
            (12, lambda: self.world.answer(well=True)),
            (1, lambda: self.world.answer(well=False)),
            (2, self.world.restart),
            (1, self.world.stop),
            (1, lambda: self.world.cut_power(dice)),
        ]

    def run(self) -> None:
        """Let it all happen, and end."""
        weights = [weight for weight, _ in self.events]
        try:
            for _ in range(STEPS):
                self.dice.choices(self.events, weights)[0][1]()
            self.world.end()
        finally:
            self.world.close()

    def create(self) -> None:
        key = self.dice.choice((None, None, "a", "b"))
        cancels, follows = self.dice.random() < 0.2, self.dice.random() < 0.9
        self.world.create(key, cancels=cancels, follows=follows, window=self._window())

    def speak(self) -> None:
        if calls := self.world.calls():
            weights = (60, 10, 10, 5, 5, 5, 5)
            what = self.dice.choices(SPEECH, weights)[0]
            self.world.speak(self.dice.choice(calls), what, self.dice.choice((1, 1, 3, 12)))

    def resume(self) -> None:
        world, dice = self.world, self.dice
        positions = [*world.positions, *((stream_id, 1, 0) for stream_id in world.known)]
        if positions:
            room = dice.choice((None, None, 1, 2))
            position, merges = dice.choice(positions), dice.random() < 0.4
            world.resume(*position, merges=merges, room=room, window=self._window())

    def _window(self) -> int | None:
        return self.dice.choice((None, None, 1, 4_000))

    def give(self) -> None:
        if readers := self._readers():
            count, to_stream = self.dice.choice(CREDITS), self.dice.choice(CREDITS)
            self.world.give(self.dice.choice(readers), count, to_stream)

    def leave(self) -> None:
        if readers := self._readers():
            self.world.leave(self.dice.choice(readers), lost=self.dice.random() < 0.7)

    def slow(self) -> None:
        if readers := self._readers():
            self.world.slow(self.dice.choice(readers), self.dice.choice((0, 1, 2, 4)))

    def quick(self) -> None:
        if readers := self._readers():
            self.world.quick(self.dice.choice(readers))

    def cancel(self) -> None:
        if self.world.known:
            self.world.cancel(self.dice.choice(self.world.known))

    def pass_time(self) -> None:
        self.world.advance(self.dice.choice((0.3, 2.5, 11.0, ORPHAN_S + 1, 601.0)))

    def _readers(self) -> list:
        return [reader for reader in self.world.readers if not reader.lost]
