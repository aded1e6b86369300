"""Argon2id, off the event loop."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from argon2 import PasswordHasher

from tokenferry.errors import Overloaded
from tokenferry.server import passwords
from tokenferry.server.passwords import Argon2Passwords


@pytest.fixture
def hashing() -> Iterator[Argon2Passwords]:
    with closing(Argon2Passwords()) as made:
        yield made


async def test_a_password_is_known_again(hashing: Argon2Passwords) -> None:
    found = await hashing.hash("비밀번호 비밀번호")
    assert found.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert found != await hashing.hash("비밀번호 비밀번호")
    assert await hashing.verify(found, "비밀번호 비밀번호")
    assert not await hashing.verify(found, "비밀번호")
    assert not hashing.is_weak(found)


async def test_what_is_no_hash_lets_nobody_in(hashing: Argon2Passwords) -> None:
    for damaged in ("", "x", "$argon2id$v=19$m=19456,t=2,p=1$AAAA$AAAA"):
        assert not await hashing.verify(damaged, "nobody's password")
    assert not await hashing.verify(await hashing.hash("x"), "\ud800")


async def test_without_a_hash_the_work_is_the_same(hashing: Argon2Passwords) -> None:
    assert not await hashing.verify(None, "nobody's password")
    known = await hashing.hash("a")

    async def seconds(password_hash: str | None) -> float:
        began_s = time.process_time()
        await hashing.verify(password_hash, "b")
        return time.process_time() - began_s

    with_hash = min([await seconds(known) for _ in range(5)])
    without = min([await seconds(None) for _ in range(5)])
    assert 0.5 < with_hash / without < 2


def test_less_effort_is_noticed(hashing: Argon2Passwords) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("x")
    assert hashing.is_weak(weak)


async def test_the_event_loop_goes_on(hashing: Argon2Passwords) -> None:
    ticks = 0
    work = asyncio.ensure_future(hashing.hash("x"))
    while not work.done():
        ticks += 1
        await asyncio.sleep(0)
    assert ticks > 10


async def test_the_queue_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAITING_MAX", 1)
    with closing(Argon2Passwords()) as hashing:
        results = await asyncio.gather(
            *(hashing.hash("x") for _ in range(passwords.THREADS + 2)), return_exceptions=True
        )
    assert sum(isinstance(result, Overloaded) for result in results) == 1
