"""The points at which the gateway kills itself are there, and it dies at none but the right hit."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chaos.server import Fuse, parse, wrap

from chaos import server

ROOT = Path(__file__).parents[2]


class Killed(Exception):
    pass


@pytest.fixture(autouse=True)
def no_death(monkeypatch: pytest.MonkeyPatch) -> None:
    def die() -> None:
        raise Killed

    monkeypatch.setattr(server, "die", die)


def test_a_point_is_read_with_its_hit_and_share() -> None:
    assert parse("a.before") == Fuse("a.before", 1, 0.5)
    assert parse("a.before:7") == Fuse("a.before", 7, 0.5)
    assert parse("a.torn:7:0.25") == Fuse("a.torn", 7, 0.25)


@pytest.mark.parametrize(("moment", "calls"), [("before", 2), ("after", 3)])
def test_it_dies_at_the_third_hit_before_or_after_the_call(moment: str, calls: int) -> None:
    called: list[int] = []
    owner = SimpleNamespace(call=called.append)
    wrap(owner, "call", "x", Fuse(f"x.{moment}", 3))
    owner.call(1)
    owner.call(2)
    with pytest.raises(Killed):
        owner.call(3)
    assert len(called) == calls


async def test_coroutines_are_wrapped_too() -> None:
    async def call(value: int) -> int:
        return value

    owner: Any = SimpleNamespace(call=call)
    wrap(owner, "call", "x", Fuse("y.before", 1))
    assert await owner.call(5) == 5
    wrap(owner, "call", "x", Fuse("x.after", 1))
    with pytest.raises(Killed):
        await owner.call(5)


@pytest.mark.parametrize("ready", [False, True])
def test_a_write_is_torn_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ready: bool
) -> None:
    monkeypatch.setattr(os, "write", os.write)
    monkeypatch.setattr(os, "ftruncate", os.ftruncate)
    stage = "journal" if ready else "start"
    server.wrap_writes(Fuse(f"{stage}.write.torn", 2, 0.5, ready))
    segment, other = tmp_path / "00000001.seg", tmp_path / "lock"
    for path in (other, segment):
        fd = os.open(path, os.O_CREAT | os.O_WRONLY)
        os.write(fd, b"12345678")
        if path is segment:
            with pytest.raises(Killed):
                os.write(fd, b"abcdefgh")
        else:
            os.write(fd, b"abcdefgh")
        os.close(fd)
    assert segment.read_bytes() == b"12345678abcd"
    assert other.read_bytes() == b"12345678abcdefgh"


def test_the_gateway_has_the_points() -> None:
    # In a process of its own: the launcher imports everything.
    made = subprocess.run(
        [sys.executable, "-m", "chaos.server", "--points"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = {line.split()[0] for line in made.stdout.splitlines()}
    for point in ("journal.append", "journal.close", "provider.call", "relay.send", "settlement"):
        assert {f"{point}.before", f"{point}.after"} <= names
    assert {"drain.before", "drain.abort.after", "start.ready.before"} <= names
