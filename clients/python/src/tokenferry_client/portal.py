"""A thread with an event loop, and the way into it from other threads.

Weakness: a process that forks has the thread in the parent only; the child is told so.
"""

import asyncio
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from tokenferry_client.errors import ClientClosedError

# Closing is a few frames; a peer that does not answer is not waited for longer.
STOP_TIMEOUT_S: Final = 10.0

T = TypeVar("T")


class Portal:
    """An event loop in a thread of its own; any number of threads may use it at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._closed = False
        thread = threading.Thread(
            target=_live, args=(self._loop,), name="tokenferry-client", daemon=True
        )
        thread.start()
        self._thread = thread
        # Also when the program ends, or nobody has the client any more.
        self._stop = weakref.finalize(self, _stop, self._loop, thread, self._pid)

    def run(self, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine in the loop, and wait for it.

        An interrupt (Ctrl-C) cancels it, if it has not ended yet, and goes on to the caller.

        Raises:
            ClientClosedError: If the portal is closed, or belongs to another process.
        """
        future = self._submit(start)
        try:
            return future.result()
        except concurrent.futures.CancelledError as exc:
            # The loop ended under it.
            raise ClientClosedError("The client was closed.") from exc
        except BaseException:
            future.cancel()
            raise

    def call(self, act: Callable[[], T]) -> T:
        """Run a plain function in the loop, and wait for it.

        Raises:
            ClientClosedError: If the portal is closed, or belongs to another process.
        """

        async def run() -> T:
            return act()

        return self.run(run)

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a last coroutine, and end loop and thread; nothing happens the second time."""
        if self._pid != os.getpid():
            return  # before the lock: a thread of the parent may have held it at the fork
        with self._lock:
            if self._closed:
                return
            future = self._submit_unlocked(last)
            self._closed = True
        try:
            future.result(STOP_TIMEOUT_S)
        finally:
            self._stop()

    def _submit(self, start: Callable[[], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        if self._pid != os.getpid():
            raise ClientClosedError(
                "This client was made before the process forked, and its thread is not here. "
                "Make a client in each process."
            )
        if self._thread is threading.current_thread():
            raise RuntimeError("the blocking client cannot be used in its own thread")
        with self._lock:
            if self._closed:
                raise ClientClosedError("The client was closed. Make another one.")
            return self._submit_unlocked(start)

    def _submit_unlocked(
        self, start: Callable[[], Coroutine[Any, Any, T]]
    ) -> concurrent.futures.Future[T]:
        return asyncio.run_coroutine_threadsafe(start(), self._loop)


def _live(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, pid: int) -> None:
    if pid == os.getpid() and thread.is_alive():
        loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():
            thread.join(STOP_TIMEOUT_S)
