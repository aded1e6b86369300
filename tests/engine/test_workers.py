"""Threads with a bounded queue."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tokenferry.engine.workers import Workers
from tokenferry.errors import Overloaded


@contextmanager
def workers(threads: int, waiting_max: int) -> Iterator[Workers]:
    made = Workers("test", threads, waiting_max)
    try:
        yield made
    finally:
        made.close()


async def test_work_is_done_in_a_thread_and_its_result_returned() -> None:
    with workers(1, 0) as some:
        assert await some.run(threading.get_ident) != threading.get_ident()


async def test_what_the_work_raises_is_raised() -> None:
    with workers(1, 0) as some:
        with pytest.raises(ZeroDivisionError):
            await some.run(lambda: 1 / 0)
        assert await some.run(lambda: 7) == 7


@pytest.mark.parametrize("waiting_max", [0, 1, 3])
async def test_the_queue_has_a_limit(waiting_max: int) -> None:
    gate = threading.Event()
    with workers(2, waiting_max) as some:
        waiting = [asyncio.ensure_future(some.run(gate.wait)) for _ in range(2 + waiting_max)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as refused:
            await some.run(gate.wait)
        assert refused.value.retry_after_ms
        gate.set()
        assert await asyncio.gather(*waiting) == [True] * (2 + waiting_max)
        assert await some.run(gate.wait)


async def test_who_gives_up_does_not_make_room_before_the_work_is_done() -> None:
    gate = threading.Event()
    with workers(1, 0) as some:
        waiting = asyncio.ensure_future(some.run(gate.wait))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(Overloaded):
            await some.run(gate.wait)
        gate.set()
        for _ in range(1_000):
            if not some._count:
                break
            await asyncio.sleep(0.001)
        assert await some.run(gate.wait)
