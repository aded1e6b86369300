"""The thread of the blocking client: what becomes of calls when it ends, and after a fork."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tokenferry_client import ClientClosedError, Tokenferry
from tokenferry_client.portal import Portal

KEY = "tf_AbCdEf012345_0123456789ABCDEFGHIJabcdefghijZx_4OoXhA"
HANG_S = 30


async def nothing() -> None:
    """Close nothing."""


def test_a_call_that_is_under_way_when_the_client_is_closed_is_told_so() -> None:
    portal = Portal()
    began = threading.Event()

    async def wait() -> None:
        began.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(portal.run, wait)
        assert began.wait(HANG_S)
        portal.close(nothing)
        with pytest.raises(ClientClosedError):
            call.result(HANG_S)


def test_a_stream_is_left_in_peace_when_its_client_is_closed_before() -> None:
    with Tokenferry(api_key=KEY, base_url="http://127.0.0.1:9") as client:
        stream = client.stream(model="m", messages=[])
    stream.close()
    with pytest.raises(ClientClosedError):
        next(stream)


def test_a_child_can_close_what_its_parent_was_using_at_the_fork() -> None:
    portal = Portal()
    with portal._lock:
        child = os.fork()
        if child == 0:
            portal.close(nothing)
            os._exit(0)
    done = threading.Event()
    status: list[int] = []

    def wait() -> None:
        status.append(os.waitpid(child, 0)[1])
        done.set()

    threading.Thread(target=wait, daemon=True).start()
    if not done.wait(HANG_S):
        os.kill(child, 9)
    assert done.wait(HANG_S)
    assert status == [0]
    portal.close(nothing)
