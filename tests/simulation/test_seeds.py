"""The whole engine under scripted faults, by seeds.

`SIMULATION_SEED=7` replays one; `make simulate` runs thousands (`SIMULATION_SEEDS=5000`, and
`SIMULATION_FIRST=…` to begin elsewhere).
"""

import os
from pathlib import Path

import pytest

from simulation.scheduler import Scheduler

ONE = os.environ.get("SIMULATION_SEED")
FIRST = int(ONE or os.environ.get("SIMULATION_FIRST", "0"))
COUNT = 1 if ONE else int(os.environ.get("SIMULATION_SEEDS", "60"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_every_promise_is_kept(seed: int, tmp_path: Path) -> None:
    Scheduler(seed, tmp_path / "journal").run()
