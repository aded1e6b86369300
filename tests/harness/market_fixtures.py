"""A module's market, and in it a new buyer for each test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from harness.market import Market


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole_market(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    """Yield a gateway with all sellers; at the end its books must be right."""
    async with AsyncExitStack() as stack:
        market = await Market(tmp_path_factory.mktemp("market")).open(stack)
        yield market
        await market.verified()


@pytest_asyncio.fixture(loop_scope="module")
async def market(whole_market: Market) -> Market:
    """Return the market with a new buyer, and no notices of others."""
    await whole_market.welcome()
    return whole_market
