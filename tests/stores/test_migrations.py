"""A step of a database's form, once it has been taken by somebody, is what it was for ever.

`migrations.txt` holds the steps in their order, by the SHA-256 of what each says. A data directory
counts the steps that it has taken; a step that is edited, or comes between others, would leave that
directory without a column that the rest relies on, and no start would notice.
"""

from hashlib import sha256
from pathlib import Path

import pytest

from tokenferry.stores import sqlite_database
from tokenferry.stores.sqlite_database import MIGRATIONS
from tokenferry.stores.sqlite_requests import SqliteRequests

STEPS = Path(sqlite_database.__file__).parent
TAKEN = [
    line.split()
    for line in Path(__file__).with_name("migrations.txt").read_text().split("\n")
    if line
]
DATABASES = {"main": MIGRATIONS, "requests": SqliteRequests.migrations}


@pytest.mark.parametrize(("database", "steps"), DATABASES.items())
def test_steps_that_were_taken_stay_and_new_ones_follow(
    database: str, steps: tuple[str, ...]
) -> None:
    now = [(sha256((STEPS / step).read_bytes()).hexdigest(), step) for step in steps]
    taken = [(digest, step) for of, digest, step in TAKEN if of == database]
    assert now == taken, (
        "Do not change a step: write a new one, last in its database's list, and add its line "
        "to migrations.txt:\n" + "\n".join(f"{database} {digest} {step}" for digest, step in now)
    )


def test_every_step_is_taken_by_a_database() -> None:
    assert {path.name for path in STEPS.glob("*.sql")} == {
        step for steps in DATABASES.values() for step in steps
    }
