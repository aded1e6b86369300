"""The event loops of these tests: what meets the sockets itself runs on both."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import pytest_asyncio
import uvloop

from tokenferry.providers.http_pool import ConnectionPool


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.path.name.startswith("test_http_"):
        return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[ConnectionPool]:
    """A pool that is closed after the test, with nothing left of it."""
    pool = ConnectionPool()
    yield pool
    pool.close()
    await asyncio.wait_for(pool.wait_closed(), 10)
