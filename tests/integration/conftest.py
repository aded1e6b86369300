"""Fixtures of the tests over real sockets: one gateway process a test module.

A module names the providers it wants by overriding `gateway_options`.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness.dialects import KINDS
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import ScriptedProvider, scripted_provider


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[ScriptedProvider]:
    """A scripted provider; at the end, no request without a script may have come to it."""
    async with scripted_provider() as running:
        yield running
        assert not running.unscripted, running.unscripted


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider) -> dict[str, Any]:
    """Return what the gateway is started with: here, one provider of each kind."""
    return {
        "server": SERVER,
        "providers": [provider_entry(kind, provider.url) for kind in KINDS],
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(directory: Path, gateway_options: dict[str, Any]) -> AsyncIterator[Gateway]:
    """A running gateway; at the end it must still be alive and must stop cleanly."""
    running = Gateway(directory, **gateway_options)
    await running.start()
    try:
        yield running
        await running.stop()
    finally:
        await running.kill()
